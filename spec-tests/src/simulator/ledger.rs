//! Oracle: every stanza sent, who got it, what was answered. What is wrong whatever else happened is said at once; what should
//! have happened is judged at rest (`judge.rs`).

use std::collections::{BTreeMap, BTreeSet};

use spondee_core::stanza::{IqType, Kind, MessageType, PresenceType};

use super::Moment;
use super::accounts::NAMES;
use super::kept::Way;
use super::lives::Life;
use super::stanzas::{Receipt, Sent, To, is_of, mark};
use super::subscriptions::account_of;
use crate::element::{CLIENT, Element};

/// All stanzas, and the lives that sent and received them.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Since everything was last at rest.
    pub(super) open: BTreeMap<String, Sent>,
    /// Judged: they must not turn up again.
    closed: BTreeSet<String>,
    /// Lives that were not over then.
    pub(super) lives: Vec<Life>,
    /// The addresses clients were ever bound to.
    names: BTreeMap<usize, String>,
    /// When.
    bound: BTreeMap<usize, Moment>,
    /// Presence that may be repeated to new sessions: by whom.
    broadcasts: BTreeMap<String, usize>,
    /// The number of the last stanza from one client to another.
    last: BTreeMap<(usize, usize), u32>,
    /// Whom a client sent directed presence to.
    directed: BTreeMap<usize, BTreeSet<String>>,
    /// Whom a client believes available.
    pub(super) seen: BTreeMap<usize, BTreeSet<String>>,
    /// Of whom the server said that they are over, to which account.
    pub(super) farewells: BTreeSet<(usize, String)>,
    /// Those who need not hear of every end (RFC 6121 §4.6.1).
    pub(super) withdrawn: BTreeSet<usize>,
    /// Those who closed their stream and saw it closed: all they sent was accepted.
    pub(super) left: BTreeSet<usize>,
    /// Those who closed their connection behind what they sent, and of whom all was accepted.
    pub(super) parted: BTreeSet<usize>,
    /// Those who read all that the server sent them before it was over.
    pub(super) read_out: BTreeSet<usize>,
    /// What clients got, of which the server may not know: by client and mark.
    pub(super) unsure: BTreeSet<(usize, String)>,
    /// When everything was last at rest, or the server died.
    pub(super) rest: Moment,
    /// When everything was last at rest.
    pub(super) rest_of_all: Moment,
}

impl Ledger {
    /// The address a client is or was bound to.
    pub(super) fn name(&self, client: usize) -> &str {
        self.names.get(&client).map_or("", String::as_str)
    }

    /// The number of the last stanza that one client got from another.
    pub(super) fn last(&self, from: usize, to: usize) -> u32 {
        self.last.get(&(from, to)).copied().unwrap_or_default()
    }

    pub(super) fn life(&mut self, client: usize) -> Option<&mut Life> {
        self.lives.iter_mut().find(|life| life.client == client)
    }

    pub(super) fn bound(&mut self, at: Moment, client: usize, jid: &str) -> Result<(), String> {
        // Whoever takes over an address inherits what its predecessor was told, and what it is owed.
        let others = |life: &&Life| life.client != client && life.may_be(jid);
        if self.lives.iter().any(|life| others(&life)) {
            self.withdrawn.insert(client);
        }
        self.names.insert(client, jid.to_owned());
        self.bound.insert(client, at);
        match self.life(client) {
            Some(life) => life.bound(at, jid.to_owned()),
            None => return Err(format!("{jid} was bound without a request")),
        }
        Ok(())
    }

    /// A client writes a stanza.
    pub(super) fn sent(&mut self, sent: Sent) {
        let by = sent.by;
        if sent.kind == Kind::Presence(PresenceType::Unavailable) {
            self.withdrawn.insert(by);
        }
        if let (Kind::Presence(PresenceType::Available), Some(to)) = (sent.kind, sent.to.address())
        {
            self.directed.entry(by).or_default().insert(to.to_owned());
        }
        if sent.is_broadcast() {
            self.broadcasts.insert(sent.mark.clone(), by);
        }
        self.open.insert(sent.mark.clone(), sent);
    }

    /// A client reads a stanza.
    pub(super) fn heard(&mut self, client: usize, stanza: &Element) -> Result<(), String> {
        match mark(stanza) {
            Some(mark) => {
                let mark = mark.to_owned();
                self.delivered(client, &mark, stanza)?;
            }
            None if is_of(stanza, Kind::Presence(PresenceType::Unavailable)) => {
                let from = stanza.attribute("from").unwrap_or_default();
                let receiver = self.name(client).split('/').next().unwrap_or_default();
                if let Some(account) = account_of(receiver) {
                    self.farewells.insert((account, from.to_owned()));
                }
            }
            // Who asks for it, and may: judged by what it sees.
            None if is_of(stanza, Kind::Presence(PresenceType::Available)) => {}
            None => self.answered(client, stanza)?,
        }
        self.note_presence(client, stanza);
        Ok(())
    }

    /// What another client wrote.
    fn delivered(&mut self, to: usize, mark: &str, stanza: &Element) -> Result<(), String> {
        let from = stanza.attribute("from").unwrap_or_default();
        if let Some(by) = self.broadcasts.get(mark) {
            return self.broadcast(*by, to, mark, from, stanza);
        }
        let Some(sent) = self.open.get_mut(mark) else {
            let known = if self.closed.contains(mark) {
                "again"
            } else {
                "though nobody may send it"
            };
            return Err(format!("client {to} got {stanza} {known}"));
        };
        let fail = |what: &str| Err(format!("client {to} got {stanza}, {what}: {sent:?}"));
        if let Err(what) = check_words(sent, stanza) {
            return fail(&what);
        }
        let receiver = self.names.get(&to).map_or("", String::as_str);
        let own = NAMES
            .iter()
            .find(|name| receiver.split('/').next() == Some(**name));
        let addressed = stanza.attribute("to").unwrap_or_default();
        let wanted = sent.target();
        let fits = addressed == receiver
            || !addressed.contains('/') && own.is_some_and(|own| *own == addressed)
            || sent.kind == Kind::Message(MessageType::Chat)
                && own.is_some_and(|own| addressed.split('/').next() == Some(*own));
        if addressed != wanted || !fits {
            return fail("which is for somebody else");
        }
        if sent.delivered.contains(&to) {
            return fail("twice");
        }
        if sent.receipt == Receipt::Never {
            return fail("which the server said it had not handled");
        }
        let unsure = &self.unsure;
        let is_with = |client: &usize| !unsure.contains(&(*client, mark.to_owned()));
        // Its own session may be over, of which it has not heard.
        let mut lives = self.lives.iter();
        let is_managed = lives.any(|life| life.client == to && life.managed.is_some());
        if sent.spooled.iter().any(is_with) && !is_managed {
            return fail("though somebody got it from what was owed");
        }
        let last = self.last.entry((sent.by, to)).or_default();
        if *last >= sent.number {
            return fail("out of order");
        }
        *last = sent.number;
        sent.delivered.push(to);
        Ok(())
    }

    /// Whether this is what was sent, whatever came to stand around it.
    pub(super) fn check_words(&self, sent: &Sent, stanza: &Element) -> Result<(), String> {
        check_words(sent, stanza)
    }

    /// A client gets a message live: it must not have it.
    pub(super) fn may_have(&self, client: usize, mark: &str) -> Result<(), String> {
        match self.open.get(mark) {
            Some(sent) if sent.is_with(client) => Err("which it has already".to_owned()),
            Some(_) | None => Ok(()),
        }
    }

    /// A client gets a copy of a message.
    pub(super) fn copied(&mut self, client: usize, mark: &str, way: Way) -> Result<(), String> {
        self.may_have(client, mark)?;
        let Some(sent) = self.open.get_mut(mark) else {
            return Ok(());
        };
        sent.copied.push((client, way));
        let last = self.last.entry((sent.by, client)).or_default();
        if *last >= sent.number {
            return Err(format!("out of order: behind number {last}"));
        }
        *last = sent.number;
        Ok(())
    }

    /// A client gets what was owed to it.
    pub(super) fn spooled(&mut self, client: usize, mark: &str) -> Result<(), String> {
        self.may_have(client, mark)?;
        let Some(sent) = self.open.get_mut(mark) else {
            return Ok(());
        };
        if sent.receipt == Receipt::Never {
            return Err("which the server said it had not handled".to_owned());
        }
        // One who got it may be gone, and the server not know that he had it.
        let unsure = &self.unsure;
        let is_with = |client: &usize| !unsure.contains(&(*client, mark.to_owned()));
        if sent.delivered.iter().any(is_with) {
            return Err("though somebody else got it".to_owned());
        }
        if sent.receiver() != account_of(receiver_of(&self.names, client)) {
            return Err("which is for somebody else".to_owned());
        }
        let receiver = sent.receiver();
        let mut lives = self.lives.iter();
        let is_again = lives.any(|life| Some(life.account) == receiver && life.managed.is_some());
        if !sent.content.is_owed(sent.kind) && !is_again {
            return Err("which nobody may keep".to_owned());
        }
        sent.spooled.push(client);
        Ok(())
    }

    /// Whether any session of an account may die and leave to others what it had.
    pub(super) fn may_leave(&self, account: Option<usize>) -> bool {
        let mut lives = self.lives.iter();
        lives.any(|life| Some(life.account) == account && life.managed.is_some())
    }

    /// Whether another than this client got this address behind a moment.
    pub(super) fn was_bound_since(&self, but: usize, jid: &str, since: Moment) -> bool {
        let mut bound = self.bound.iter().filter(|(_, at)| **at >= since);
        bound.any(|(client, _)| *client != but && self.name(*client) == jid)
    }

    /// Whether a stanza with this mark is presence to everybody.
    pub(super) fn is_broadcast(&self, mark: &str) -> bool {
        self.broadcasts.contains_key(mark)
    }

    /// To how many addresses of a client any of these sent directed presence.
    pub(super) fn directed_from(&self, senders: &[usize], receiver: &str) -> usize {
        let bare = receiver.split('/').next();
        let of = |address: &&String| *address == receiver || Some(address.as_str()) == bare;
        let told = senders.iter().filter_map(|by| self.directed.get(by));
        told.flatten().filter(of).count()
    }

    /// Whether anybody who ever had this address sent that client directed presence.
    pub(super) fn was_directed(&self, from: &str, receiver: &str) -> bool {
        let those = self.names.iter().filter(|(_, name)| *name == from);
        let those: Vec<usize> = those.map(|(client, _)| *client).collect();
        self.directed_from(&those, receiver) > 0
    }

    /// What a client saw of an account is void.
    pub(super) fn forget(&mut self, client: usize, account: &str) {
        if let Some(seen) = self.seen.get_mut(&client) {
            seen.retain(|from| from.split('/').next() != Some(account));
        }
    }

    /// Presence to everybody: own resources, and those who had directed presence.
    fn broadcast(
        &mut self,
        by: usize,
        to: usize,
        mark: &str,
        from: &str,
        stanza: &Element,
    ) -> Result<(), String> {
        if self.names.get(&by).map(String::as_str) != Some(from) {
            return Err(format!(
                "client {to} got {stanza}, whose sender is somebody else"
            ));
        }
        if let Some(sent) = self.open.get_mut(mark) {
            sent.delivered.push(to);
        }
        Ok(())
    }

    /// What the server, or nobody, says about a stanza of this client. An answer goes to an address: whoever has it since the
    /// sender is gone gets it.
    fn answered(&mut self, client: usize, stanza: &Element) -> Result<(), String> {
        let id = stanza.attribute("id").unwrap_or_default();
        let name = self.name(client).to_owned();
        let fail = |what: &str| Err(format!("client {client} got {stanza}, {what}"));
        if stanza.attribute("to").is_some_and(|to| to != name) {
            return fail("which is for somebody else");
        }
        if self.answers_farewell(&name, stanza) {
            return Ok(());
        }
        let names = &self.names;
        let own = |sent: &&mut Sent| {
            names.get(&sent.by) == Some(&name) && sent.id == id && !is_answer(sent.kind)
        };
        let Some(sent) = self.open.values_mut().find(own) else {
            return fail("which answers nothing");
        };
        let answer = match stanza.attribute("type") {
            Some("result") if stanza.name == "iq" => "result",
            Some("error") if stanza.name == sent.kind.element() => stanza
                .child(CLIENT, "error")
                .and_then(Element::condition)
                .unwrap_or_default(),
            _ => return fail("which is from nobody"),
        };
        // RFC 6120 §10.3.1: a message without an address is one to the sender's own account.
        let from = match stanza.attribute("from") {
            Some(from) if sent.to == To::Unsaid && matches!(sent.kind, Kind::Message(_)) => {
                Some(from).filter(|from| Some(*from) != name.split('/').next())
            }
            from => from,
        };
        sent.answers.push(answer.to_owned());
        if from != sent.to.answers_from() {
            return fail("which is an answer of somebody else");
        }
        if sent.answers.len() > 1 {
            return fail("a second answer");
        }
        let unsure = &self.unsure;
        let is_with = |client: &usize| !unsure.contains(&(*client, sent.mark.clone()));
        if sent.delivered.iter().any(is_with) {
            return fail("though what it answers was delivered");
        }
        Ok(())
    }

    /// Whether it says that the end of directed presence could not be told to somebody (RFC 6121 §4.6.3).
    fn answers_farewell(&self, name: &str, stanza: &Element) -> bool {
        let from = stanza.attribute("from").unwrap_or_default();
        let id = stanza.attribute("id");
        let ours =
            |(by, told): (&usize, &BTreeSet<String>)| self.name(*by) == name && told.contains(from);
        is_of(stanza, Kind::Presence(PresenceType::Error))
            && id.is_none_or(|id| self.broadcasts.contains_key(id))
            && self.directed.iter().any(ours)
    }

    fn note_presence(&mut self, client: usize, stanza: &Element) {
        let Some(from) = stanza.attribute("from") else {
            return;
        };
        let seen = self.seen.entry(client).or_default();
        if is_of(stanza, Kind::Presence(PresenceType::Available)) {
            seen.insert(from.to_owned());
        } else if is_of(stanza, Kind::Presence(PresenceType::Unavailable)) {
            seen.remove(from);
        }
    }

    /// Everything is at rest and was judged: a new page.
    pub(super) fn turn_page(&mut self, now: Moment) {
        self.closed
            .extend(std::mem::take(&mut self.open).into_keys());
        self.farewells.clear();
        self.lives.retain(|life| !life.is_over());
        self.rest = now;
    }
}

fn receiver_of(names: &BTreeMap<usize, String>, client: usize) -> &str {
    let name = names.get(&client).map_or("", String::as_str);
    name.split('/').next().unwrap_or_default()
}

fn check_words(sent: &Sent, stanza: &Element) -> Result<(), String> {
    if stanza.attribute("from") != Some(sent.from.as_str()) {
        return Err("whose sender is somebody else".to_owned());
    }
    if !is_of(stanza, sent.kind) || stanza.attribute("id") != Some(sent.id.as_str()) {
        return Err("which is another stanza".to_owned());
    }
    let to = stanza.attribute("to");
    if to != Some(sent.target()) && !(sent.to == To::Unsaid && to.is_none()) {
        return Err("which is for somebody else".to_owned());
    }
    let body = stanza.child(CLIENT, "body").map(Element::text);
    let has_body = matches!(sent.kind, Kind::Message(_)) && sent.content.has_body();
    if has_body && body.as_deref() != Some(sent.content.text.as_str())
        || !has_body && body.is_some()
    {
        return Err("whose body was changed".to_owned());
    }
    Ok(())
}

/// Answers of clients have the id of what they answer.
pub(super) const fn is_answer(kind: Kind) -> bool {
    matches!(kind, Kind::Iq(IqType::Result | IqType::Error))
}
