//! How clients ask for copies, query their archives and set preferences; and what they make of what comes.

use spondee_core::stanza::{IqType, Kind};

use super::super::Simulation;
use super::super::accounts::NAMES;
use super::super::blocks::Blocked;
use super::super::client::{Nature, Stage};
use super::super::content::{CARBONS, Forged};
use super::super::lives::State;
use super::super::stanzas::{Question, To, is_of};
use super::archive::{Ask, Entry, Fin};
use super::carbons::Copies;
use super::copies::{Arrival, Way, check_others};
use super::prefs::{Outcome, Prefs};
use super::{MAM, Query, Request};
use crate::element::{CLIENT, Element};
use spondee_core::stanza::{MessageType, PresenceType};

impl Simulation {
    /// A session turns copies on or off.
    pub(in super::super) fn turn_copies(&mut self) {
        let sessions = self.sessions(|nature| nature != Nature::Deaf);
        if sessions.is_empty() {
            return;
        }
        let index = self.random.pick(&sessions);
        let copies = match self.random.percent(80) {
            true => Copies::On,
            false => Copies::Off,
        };
        self.ask_for_copies(index, copies);
    }

    fn ask_for_copies(&mut self, index: usize, copies: Copies) {
        let name = match copies {
            Copies::On => "enable",
            Copies::Off => "disable",
        };
        let payload = format!("<{name} xmlns='{CARBONS}'/>");
        let id = self.ask_own(index, IqType::Set, payload);
        let carbons = self.kept.carbons.entry(index).or_default();
        carbons.asked(self.now, id.clone(), copies);
        self.kept.requests.insert(id, Request::Carbons);
    }

    /// A session asks its archive, or has its say about what goes there.
    pub(in super::super) fn consult(&mut self) {
        let sessions = self.sessions(|nature| nature != Nature::Deaf);
        if sessions.is_empty() {
            return;
        }
        let index = self.random.pick(&sessions);
        let account = self.clients[index].account;
        match self.random.below(10) {
            0 => drop(self.read_prefs(index)),
            1..=2 => {
                let prefs = Prefs::any(&mut self.random);
                let id = self.ask_own(index, IqType::Set, prefs.xml());
                let by = Some((index, self.clients[index].sent));
                self.kept.prefs[account].asked(self.now, id.clone(), by, prefs);
                self.kept.requests.insert(id, Request::SetPrefs);
            }
            3 => {
                let payload = format!("<metadata xmlns='{MAM}'/>");
                let id = self.ask_own(index, IqType::Get, payload);
                self.kept.requests.insert(id, Request::Other);
            }
            _ => {
                let ask = Ask::any(&mut self.random, &self.kept.archives[account]);
                self.query(index, ask);
            }
        }
    }

    /// What a client does that was away: it has copies from now on, reads what it missed, and then is there.
    pub(in super::super) fn catch_up(&mut self) {
        let mut sessions = self.sessions(|nature| nature != Nature::Deaf);
        sessions.retain(|index| {
            let life = self.ledger.life(*index);
            life.is_some_and(|life| life.state() == State::Bound(None))
        });
        if sessions.is_empty() {
            return;
        }
        let index = self.random.pick(&sessions);
        self.ask_for_copies(index, Copies::On);
        if self.random.percent(60) {
            let archive = &self.kept.archives[self.clients[index].account];
            let last = archive.last().map(|last| last.id.clone());
            let after = last.filter(|_| self.random.percent(70));
            self.query(
                index,
                Ask {
                    after,
                    ..Ask::default()
                },
            );
        }
        if self.random.percent(80) {
            let priority = Some(self.random.pick(&[0, 0, 5]));
            self.announce(index, PresenceType::Available, priority);
        }
        if self.random.percent(50) {
            self.world.coalesce(self.clients[index].peer);
        }
    }

    pub(super) fn query(&mut self, index: usize, ask: Ask) -> String {
        self.counts.queries += 1;
        let next = format!("q{index}-{}", self.clients[index].sent + 1);
        let id = self.ask_own(index, IqType::Set, ask.xml(&next));
        let account = self.clients[index].account;
        let archive = &self.kept.archives[account];
        let carbons = self.kept.carbons.get(&index);
        let knowledge = self.kept.clients.entry(index).or_default();
        let query = Query {
            id: id.clone(),
            by: index,
            account,
            ask,
            seen: knowledge.seen.len(),
            known: (archive.start, archive.entries.len()),
            results: Vec::new(),
            fin: None,
            changes: carbons.map_or(0, super::Carbons::changes),
        };
        let request = Request::Query(Box::new(query));
        self.kept.requests.insert(id.clone(), request);
        id
    }

    pub(super) fn read_prefs(&mut self, index: usize) -> String {
        let payload = format!("<prefs xmlns='{MAM}'/>");
        let id = self.ask_own(index, IqType::Get, payload);
        let request = Request::ReadPrefs(self.now);
        self.kept.requests.insert(id.clone(), request);
        id
    }

    /// A request to the own account; its id.
    fn ask_own(&mut self, index: usize, kind: IqType, payload: String) -> String {
        let to = match self.random.percent(20) {
            true => To::Bare(NAMES[self.clients[index].account].to_owned()),
            false => To::Unsaid,
        };
        let what = (Kind::Iq(kind), to, Question::Kept, None);
        self.send_with(index, what, payload.into(), None);
        format!("c{index}-{}", self.clients[index].sent)
    }

    /// What a client hears of what is kept. Whether that was all there is to it.
    pub(in super::super) fn heard_of_kept(
        &mut self,
        index: usize,
        stanza: &Element,
    ) -> Result<bool, String> {
        let own = NAMES[self.clients[index].account];
        let say = |fault: String| format!("client {index} got {stanza}, {fault}");
        if stanza.is(CLIENT, "iq") {
            self.answered_of_kept(index, stanza).map_err(say)?;
            return Ok(false);
        }
        let full = self.ledger.name(index);
        let Some(arrival) = Arrival::read(stanza, own, full).map_err(say)? else {
            return Ok(false);
        };
        self.arrives(index, own, &arrival).map_err(say)?;
        Ok(arrival.way != Way::Live)
    }

    fn arrives(&mut self, index: usize, own: &str, arrival: &Arrival<'_>) -> Result<(), String> {
        let (way, message) = (arrival.way, arrival.message);
        if is_of(message, Kind::Message(MessageType::Error)) && arrival.mark().is_none() {
            return self.hears_of_error(index, own, arrival);
        }
        let mark = arrival.mark().ok_or("which nobody marked")?;
        let is_open = self.ledger.open.contains_key(mark);
        let sent = self
            .ledger
            .open
            .get(mark)
            .or_else(|| self.kept.past.get(mark));
        let Some(sent) = sent else {
            // What came live is told by the ledger.
            return match way {
                Way::Live => Ok(()),
                Way::Spool | Way::Received | Way::Sent | Way::Result => {
                    Err("though nobody may keep it".to_owned())
                }
            };
        };
        self.ledger.check_words(sent, message)?;
        if let Kind::Message(_) = sent.kind {
            check_others(
                message,
                sent.account(),
                own,
                sent.content.count(Forged::Room),
            )?;
        }
        let (by, number) = (sent.by, sent.number);
        let account = self.clients[index].account;
        if matches!(way, Way::Received | Way::Sent) {
            if !is_open {
                return Err("a copy of what was over".to_owned());
            }
            self.check_copy(index, way, mark)?;
        }
        match way {
            Way::Result => self.counts.results += 1,
            Way::Received | Way::Sent => self.counts.copies += 1,
            Way::Spool => self.counts.spooled += 1,
            Way::Live => {}
        }
        self.kept.learn(account, mark, (way, arrival.id))?;
        if let Some(id) = arrival.id {
            self.kept.sees(index, id, way)?;
        }
        match way {
            Way::Live => self.ledger.may_have(index, mark),
            Way::Received | Way::Sent => self.ledger.copied(index, mark, way),
            Way::Result => self.kept.found(index, own, arrival),
            Way::Spool => {
                let is_left = self.kept.debts[account].is_left(mark);
                if !is_left && !self.ledger.may_leave(Some(account)) {
                    self.kept.in_order(index, by, number)?;
                }
                match is_open {
                    true => self.ledger.spooled(index, mark),
                    false => self.kept.debts[account].hand(mark, index),
                }
            }
        }
    }

    /// XEP-0280 §6, §7, §8: whether a client may have this copy.
    fn check_copy(&self, index: usize, way: Way, mark: &str) -> Result<(), String> {
        let Some(sent) = self.ledger.open.get(mark) else {
            return Ok(());
        };
        let own = NAMES[self.clients[index].account];
        let carbons = self.kept.carbons.get(&index);
        if !carbons.is_some_and(super::Carbons::were_on) {
            return Err("and never asked for copies".to_owned());
        }
        if sent.by == index {
            return Err("a copy of what it sent itself".to_owned());
        }
        let fits = match way {
            Way::Sent => {
                sent.account() == own && !sent.is_to_self() && sent.content.is_copied(sent.kind)
            }
            Way::Received => {
                sent.receiver() == Some(self.clients[index].account)
                    && sent.content.is_copied_to_receiver(sent.kind)
            }
            Way::Live | Way::Spool | Way::Result => true,
        };
        if !fits {
            return Err(format!("which is not to be copied to it: {sent:?}"));
        }
        // What was said before the block may have waited for the client.
        let account = self.clients[index].account;
        let blocked = self.blocks.standing(account, &sent.from, sent.at, sent.at);
        if way == Way::Received
            && blocked == Blocked::Yes
            && !self.blocks.may_come(index, account, &sent.from)
        {
            return Err("of somebody it blocked".to_owned());
        }
        Ok(())
    }

    /// What another device was answered.
    fn hears_of_error(&self, index: usize, own: &str, arrival: &Arrival<'_>) -> Result<(), String> {
        if arrival.way != Way::Received {
            return match arrival.way {
                Way::Live => Ok(()),
                Way::Spool | Way::Received | Way::Sent | Way::Result => {
                    Err("an error that is kept".to_owned())
                }
            };
        }
        let id = arrival.message.attribute("id").unwrap_or_default();
        let from = arrival.message.attribute("from");
        let sent = self.ledger.open.get(id).or_else(|| self.kept.past.get(id));
        let answers = sent.is_some_and(|sent| {
            let bare = sent.target().split('/').next();
            sent.account() == own
                && sent.content.is_copied(sent.kind)
                && from.and_then(|from| from.split('/').next()) == bare
                && sent.by != index
        });
        match answers {
            true => Ok(()),
            false => Err("an error that answers nothing that was copied".to_owned()),
        }
    }

    /// A request is answered.
    fn answered_of_kept(&mut self, index: usize, answer: &Element) -> Result<(), String> {
        let kind = answer.attribute("type").unwrap_or_default();
        let id = answer.attribute("id").unwrap_or_default();
        if !matches!(kind, "result" | "error") {
            return Ok(());
        }
        let Some(request) = self.kept.requests.remove(id) else {
            return Ok(());
        };
        let (now, account) = (self.now, self.clients[index].account);
        let error = answer.child(CLIENT, "error").and_then(Element::condition);
        let failed = matches!(error, Some("internal-server-error" | "resource-constraint"))
            && (self.faults.store_since(self.ledger.rest, NAMES[account])
                || self.faults.credit == super::super::faults::Credit::Scarce
                || self.clients[index].managed.is_some());
        match request {
            Request::Carbons => {
                if error.is_some() {
                    return Err("though anybody may have copies".to_owned());
                }
                let carbons = self.kept.carbons.entry(index).or_default();
                carbons.answered(now, id);
                Ok(())
            }
            Request::Query(mut query) => {
                let fin = match error {
                    Some(_) if failed => return Ok(()),
                    Some(condition) => Err(condition.to_owned()),
                    None => Ok(Fin::read(answer).ok_or("which is no end of a page")?),
                };
                query.fin = Some(fin);
                self.kept.answered.push(*query);
                Ok(())
            }
            Request::ReadPrefs(at) => {
                if failed {
                    return Ok(());
                }
                let read = Prefs::read(answer).ok_or("which are no preferences")?;
                let possible = self.kept.prefs[account].possible(at, now);
                match possible.contains(&&read) {
                    true => {
                        self.kept.last_read.insert(account, read);
                        Ok(())
                    }
                    false => Err(format!("though they may be {possible:?}")),
                }
            }
            Request::SetPrefs => {
                let outcome = match error {
                    Some(_) if failed => Outcome::Refused,
                    Some(_) => return Err("for no reason".to_owned()),
                    None => Outcome::Done,
                };
                self.kept.prefs[account].becomes(now, id, outcome);
                Ok(())
            }
            Request::Other => match error {
                Some(_) if !failed => Err("for no reason".to_owned()),
                Some(_) | None => Ok(()),
            },
        }
    }

    /// Whether a client is there and has nothing else to say.
    pub(super) fn is_session(&self, index: usize) -> bool {
        matches!(self.clients[index].stage, Stage::Session(_))
    }
}

impl super::Kept {
    /// A client sees an entry of its archive.
    fn sees(&mut self, client: usize, id: &str, way: Way) -> Result<(), String> {
        let knowledge = self.clients.entry(client).or_default();
        match way {
            Way::Result => drop(knowledge.paged.insert(id.to_owned())),
            Way::Live | Way::Received | Way::Sent if knowledge.paged.contains(id) => {
                return Err("which a page had before".to_owned());
            }
            Way::Live | Way::Received | Way::Sent | Way::Spool => {}
        }
        knowledge.seen.push(id.to_owned());
        Ok(())
    }

    /// A result of a query.
    fn found(&mut self, client: usize, own: &str, arrival: &Arrival<'_>) -> Result<(), String> {
        let entry = Entry::read(arrival, own).ok_or("which is no entry")?;
        let id = arrival.query.replacen('q', "c", 1);
        match self.requests.get_mut(&id) {
            Some(Request::Query(query)) if query.by == client => {
                query.results.push(entry);
                Ok(())
            }
            Some(_) | None => Err("which it did not ask for, or was told before".to_owned()),
        }
    }

    /// What was owed comes in its order.
    fn in_order(&mut self, client: usize, by: usize, number: u32) -> Result<(), String> {
        let knowledge = self.clients.entry(client).or_default();
        let last = knowledge.spooled.entry(by).or_default();
        if *last >= number {
            return Err(format!("behind number {last}"));
        }
        *last = number;
        Ok(())
    }
}
