//! How clients ask for their lists and change them, and what they hear of it.

use std::collections::BTreeSet;

use spondee_core::stanza::{IqType, Kind};

use super::super::Simulation;
use super::super::accounts::NAMES;
use super::super::client::Nature;
use super::super::faults::{Credit, Struck};
use super::super::stanzas::{Question, Sent, To, mark};
use super::{BLOCKING, Blocked, LISTED, Outcome, Request, Wish};
use crate::element::{CLIENT, Element};

impl Simulation {
    /// A device asks for its list, blocks somebody or several, or ends that.
    pub(in super::super) fn block(&mut self) {
        let sessions = self.sessions(|nature| nature != Nature::Deaf);
        if sessions.is_empty() {
            return;
        }
        let index = self.random.pick(&sessions);
        for _ in 0..=self.random.below(2) {
            let count = self.random.pick(&[1, 1, 1, 2, 3]);
            let some = (0..count).map(|_| self.random.pick(&LISTED));
            let some: BTreeSet<&str> = some.collect();
            let some = some.into_iter().collect();
            let wish = match self.random.below(10) {
                0..=2 => Wish::Get,
                3..=5 => Wish::Block(some),
                6..=8 => Wish::Unblock(some),
                _ => Wish::UnblockAll,
            };
            self.ask_blocklist(index, wish);
            if self.random.percent(20) {
                self.manage_subscription(index);
            }
        }
        if self.random.percent(50) {
            self.world.coalesce(self.clients[index].peer);
        }
    }

    /// It reads its list.
    pub(in super::super) fn read_blocklist(&mut self, index: usize) {
        self.ask_blocklist(index, Wish::Get);
    }

    fn ask_blocklist(&mut self, index: usize, wish: Wish) {
        self.counts.blocks += 1;
        let account = self.clients[index].account;
        let kind = match wish {
            Wish::Get => IqType::Get,
            Wish::Block(_) | Wish::Unblock(_) | Wish::UnblockAll => IqType::Set,
        };
        let what = (Kind::Iq(kind), To::Unsaid, Question::Kept, None);
        self.send_with(index, what, payload(&wish).into(), None);
        let number = self.clients[index].sent;
        let request = Request {
            by: index,
            account,
            at: self.now,
            wish,
        };
        self.blocks
            .asked(self.now, &format!("c{index}-{number}"), request, number);
    }

    /// What a client hears of its list. Whether that was all there is to it.
    pub(in super::super) fn heard_of_blocks(
        &mut self,
        index: usize,
        stanza: &Element,
    ) -> Result<bool, String> {
        let account = self.clients[index].account;
        let from = stanza.attribute("from").unwrap_or_default();
        let error = stanza.child(CLIENT, "error");
        let condition = error.and_then(Element::condition);
        // What is said of what it sent before may come behind the answer to what it sent later.
        let id = stanza.attribute("id").unwrap_or_default();
        let answers =
            stanza.attribute("type") == Some("error") && Sent::number_of(id, index).is_some();
        // And what was said before the block may have waited for the client.
        let sent = mark(stanza).and_then(|mark| self.ledger.open.get(mark));
        let at = sent.map_or(self.ledger.rest, |sent| sent.at);
        let earlier = self.blocks.standing(account, from, at, at) != Blocked::Yes;
        let may_come = answers || earlier || self.blocks.may_come(index, account, from);
        if condition != Some("not-acceptable") && !may_come {
            return Err(format!(
                "client {index} got {stanza}, from somebody it blocked"
            ));
        }
        if !stanza.is(CLIENT, "iq") {
            return Ok(false);
        }
        let say = |what: &str| format!("client {index} got {stanza}, {what}");
        let fail = |what| Err(say(what));
        match stanza.attribute("type") {
            Some("set") => {
                let Some(push) = stanza.children().find(|child| child.ns == BLOCKING) else {
                    return Ok(false);
                };
                if !from.is_empty() && from != NAMES[account] {
                    return fail("a push of somebody else");
                }
                if !self.blocks.copies.contains_key(&index) {
                    return fail("and never asked");
                }
                let Some(wish) = read_push(push) else {
                    return fail("which is no push");
                };
                self.blocklist_pushed(index, account, &wish)
                    .map_err(|what| say(&what))?;
                Ok(true)
            }
            Some("result" | "error") => {
                let id = stanza.attribute("id").unwrap_or_default();
                let Some(request) = self.blocks.requests.remove(id) else {
                    return Ok(false);
                };
                self.blocklist_answered(index, id, &request, condition, stanza)
                    .map_err(|what| say(&what))?;
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    fn blocklist_pushed(
        &mut self,
        index: usize,
        account: usize,
        wish: &Wish,
    ) -> Result<(), String> {
        let list = self.blocks.lists.entry(account).or_default();
        // What was asked with these very words.
        let mut ids: BTreeSet<String> = BTreeSet::new();
        let addresses: BTreeSet<Option<&str>> = match wish {
            Wish::Get => return Err("which is no push".to_owned()),
            Wish::Block(addresses) | Wish::Unblock(addresses) => {
                addresses.iter().copied().map(Some).collect()
            }
            Wish::UnblockAll => BTreeSet::from([None]),
        };
        let blocked = matches!(wish, Wish::Block(_));
        for write in list
            .writes
            .iter()
            .filter(|write| write.outcome != Outcome::Refused)
        {
            let same = list.writes.iter().filter(|other| other.id == write.id);
            let same: BTreeSet<Option<&str>> = same.map(|other| other.address).collect();
            if write.blocked == blocked && write.by.is_some() && same == addresses {
                ids.insert(write.id.clone());
            }
        }
        let own = |id: &String| {
            let request = self.blocks.requests.get(id);
            request.is_some_and(|request| request.by == index)
        };
        if ids.is_empty() || ids.iter().all(own) {
            return Err("which nobody asked for, or before the result".to_owned());
        }
        if ids.len() == 1 {
            for id in ids {
                self.blocks.becomes(self.now, &id, Outcome::Done);
            }
        }
        self.blocks.change(index, wish);
        Ok(())
    }

    fn blocklist_answered(
        &mut self,
        index: usize,
        id: &str,
        request: &Request,
        condition: Option<&str>,
        stanza: &Element,
    ) -> Result<(), String> {
        let Request {
            by, account, at, ..
        } = *request;
        if by != index {
            return Err("which somebody else asked for".to_owned());
        }
        let own = |address: &&'static str| address.split('/').next() == Some(NAMES[account]);
        let blocks_itself = matches!(&request.wish, Wish::Block(those) if those.iter().any(own));
        let struck = |what| self.faults.struck_since(at, NAMES[account], what);
        match condition {
            Some("not-allowed") if blocks_itself => {}
            Some("internal-server-error") if struck(Struck::Failed) => {}
            Some("resource-constraint")
                if struck(Struck::Full)
                    || struck(Struck::Busy)
                    || self.faults.credit == Credit::Scarce => {}
            Some(_) => return Err(format!("for no reason: {request:?}")),
            None if blocks_itself => return Err("though nobody can block himself".to_owned()),
            None if request.wish == Wish::Get => {
                let list = stanza.child(BLOCKING, "blocklist");
                let list = list.ok_or("which is no list")?;
                let items = read_items(list).ok_or("with somebody whom nobody blocked")?;
                return self.blocks.read(index, account, at, self.now, items);
            }
            None => {
                self.blocks.becomes(self.now, id, Outcome::Done);
                self.blocks.change(index, &request.wish);
                return Ok(());
            }
        }
        self.blocks.becomes(self.now, id, Outcome::Refused);
        Ok(())
    }
}

fn payload(wish: &Wish) -> String {
    let items = |addresses: &[&str]| -> String {
        let each = addresses
            .iter()
            .map(|address| format!("<item jid='{address}'/>"));
        each.collect()
    };
    match wish {
        Wish::Get => format!("<blocklist xmlns='{BLOCKING}'/>"),
        Wish::Block(those) => format!("<block xmlns='{BLOCKING}'>{}</block>", items(those)),
        Wish::Unblock(those) => format!("<unblock xmlns='{BLOCKING}'>{}</unblock>", items(those)),
        Wish::UnblockAll => format!("<unblock xmlns='{BLOCKING}'/>"),
    }
}

fn read_items(list: &Element) -> Option<BTreeSet<&'static str>> {
    let each = list.children().map(|item| {
        let jid = item.attribute("jid")?;
        LISTED.into_iter().find(|listed| *listed == jid)
    });
    each.collect()
}

fn read_push(push: &Element) -> Option<Wish> {
    let items: Vec<&'static str> = read_items(push)?.into_iter().collect();
    match (push.name.as_str(), items.is_empty()) {
        ("block", false) => Some(Wish::Block(items)),
        ("unblock", false) => Some(Wish::Unblock(items)),
        ("unblock", true) => Some(Wish::UnblockAll),
        _ => None,
    }
}
