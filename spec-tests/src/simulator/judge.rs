//! Oracle at rest: where every stanza should have gone, by RFC 6121 §8.5 and RFC 6120 §10, and whether it did.
//!
//! Written apart from the server's own table: each checks the other.

use spondee_core::stanza::{IqType, Kind, MessageType, PresenceType};

use super::Moment;
use super::accounts::NAMES;
use super::blocks::{Blocked, Blocks};
use super::faults::{Faults, Served};
use super::ledger::Ledger;
use super::lives::{Attention, Life, Name, Standing, State};
use super::stanzas::{Question, Sent, To};
use super::subscriptions::account_of;

/// What should have become of a stanza.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Verdict {
    /// These clients got it, and the sender this answer.
    Exactly(Vec<usize>, Option<&'static str>),
    /// Nobody gets it, and the sender an answer, which others judge.
    Answered,
    /// It was not certain who was there. Whether it may have vanished with them.
    Loosely(Loss),
}

/// What it means if it vanished.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Loss {
    Fault,
    Excused,
}

/// What is known of who sent it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sender {
    /// There throughout: it was accepted, and answers arrive.
    There,
    /// It closed its stream in good order: it was accepted, and answers that need nobody else arrive.
    Left,
    /// It closed its connection behind it: it was accepted.
    Parted,
    /// It may not have been read.
    Unsure,
}

impl Ledger {
    /// Judges everything sent since the last time.
    pub(super) fn judge(
        &self,
        now: Moment,
        faults: &Faults,
        blocks: &Blocks,
        stirred: &dyn Fn(usize, usize) -> bool,
    ) -> Result<(), String> {
        for sent in self.open.values() {
            if sent.is_broadcast() {
                self.judge_broadcast(now, sent)?;
            } else {
                self.judge_one(now, (faults, blocks), sent)?;
            }
        }
        self.judge_addresses()?;
        self.judge_farewells(now, stirred)?;
        self.judge_ghosts(faults, stirred)
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one case after the other, each a few lines"
    )]
    fn judge_one(
        &self,
        now: Moment,
        (faults, blocks): (&Faults, &Blocks),
        sent: &Sent,
    ) -> Result<(), String> {
        let verdict = self.verdict(now, faults, blocks, sent);
        let sender = self.sender(now, sent);
        let fail = |what: &str| {
            Err(format!(
                "{what}: {sent:?}, should be {verdict:?}, sender {sender:?}"
            ))
        };
        let answer = sent.answers.first().map(String::as_str);
        let name = self.name(sent.by);
        let lost = faults.answer_came_back(sent.kind.to_error(), &sent.id, name)
            || faults.answer_came_back(Kind::Iq(IqType::Result), &sent.id, name);
        if answer.is_some() && !sent.delivered.is_empty() {
            return fail("both delivered and answered");
        }
        // What waits for an account that cannot be read is answered so.
        let own = name.split('/').next();
        let whose = sent.to.bare().or(own).unwrap_or_default();
        if answer == Some("internal-server-error") && faults.store_since(sent.at, whose) {
            return Ok(());
        }
        match &verdict {
            Verdict::Exactly(to, wanted) => {
                let mut got = sent.delivered.clone();
                got.sort_unstable();
                if sender != Sender::Unsure && got != *to {
                    return fail("not delivered to whom it should be");
                }
                if got.iter().any(|client| !to.contains(client)) {
                    return fail("delivered to whom it should not be");
                }
                // The account must be read for it, and a store that has much to do serves others first.
                let busy =
                    sent.question == Question::Items && answer == Some("resource-constraint");
                if answer.is_some() && answer != *wanted && !busy {
                    return fail("wrongly answered");
                }
                if sender == Sender::There && answer != *wanted && !busy && !lost {
                    return fail("not answered");
                }
            }
            Verdict::Answered => {
                if !sent.delivered.is_empty() {
                    return fail("delivered to whom it should not be");
                }
                if answer.is_none() && matches!(sender, Sender::There | Sender::Left) {
                    return fail("not answered");
                }
            }
            Verdict::Loosely(loss) => {
                let one = matches!(&sent.to, To::Full(_))
                    && sent.kind != Kind::Message(MessageType::Chat);
                if one && sent.delivered.len() > 1 {
                    return fail("delivered to two");
                }
                let gone = faults.reload_since(sent.at);
                let fits = match answer {
                    None | Some("service-unavailable") => true,
                    Some("result") => sent.question != Question::Unknown,
                    Some("not-acceptable") => self.own_list(now, blocks, sent) != Blocked::No,
                    Some("remote-server-not-found") => {
                        let served = sent.to.bare().map(|bare| faults.served(bare, sent.at));
                        gone || served != Some(Served::Yes)
                    }
                    Some("resource-constraint") => {
                        // The store had much to do, as above, or the way was full.
                        sent.question == Question::Items
                            || faults.came_back(sent.kind, &sent.id, self.name(sent.by))
                    }
                    Some(_) => false,
                };
                if !fits {
                    return fail("wrongly answered");
                }
                let vanished = sent.delivered.is_empty() && answer.is_none() && !lost;
                if *loss == Loss::Fault && sender == Sender::There && vanished {
                    return fail("vanished");
                }
            }
        }
        Ok(())
    }

    fn sender(&self, now: Moment, sent: &Sent) -> Sender {
        let life = self.lives.iter().find(|life| life.client == sent.by);
        match life.map(|life| life.during(sent.at, now)) {
            Some(Standing::Always(_)) => Sender::There,
            _ if self.left.contains(&sent.by) => Sender::Left,
            _ if self.parted.contains(&sent.by) => Sender::Parted,
            _ => Sender::Unsure,
        }
    }

    fn verdict(&self, now: Moment, faults: &Faults, blocks: &Blocks, sent: &Sent) -> Verdict {
        let refused = |condition| {
            Verdict::Exactly(Vec::new(), sent.kind.may_be_refused().then_some(condition))
        };
        let own_list = self.own_list(now, blocks, sent);
        match own_list {
            Blocked::Yes => return refused("not-acceptable"),
            // The answer may have come from somebody who was blocked by then.
            Blocked::Maybe => return Verdict::Loosely(Loss::Excused),
            Blocked::No => {}
        }
        if faults.came_back(sent.kind, &sent.id, self.name(sent.by)) {
            return refused("resource-constraint");
        }
        if sent.question == Question::Kept {
            return Verdict::Answered;
        }
        if sent.to == To::Malformed {
            return refused("jid-malformed");
        }
        match sent.to.bare().map(|bare| faults.served(bare, sent.at)) {
            Some(Served::No) => return refused("remote-server-not-found"),
            Some(Served::Unsure) => return self.loosely(now, sent),
            Some(Served::Yes) | None => {}
        }
        let own = NAMES
            .iter()
            .find(|name| self.name(sent.by).split('/').next() == Some(**name));
        let other = sent.to.bare().and_then(account_of);
        let other_list =
            other.map(|other| blocks.standing(other, self.name(sent.by), sent.at, now));
        match other_list {
            Some(Blocked::Maybe) => return self.loosely(now, sent),
            Some(Blocked::Yes) => return blocked(sent),
            Some(Blocked::No) | None => {}
        }
        match (&sent.to, sent.kind) {
            (To::Malformed | To::Remote, _) => refused("remote-server-not-found"),
            (To::Host(_), Kind::Presence(_)) => Verdict::Exactly(Vec::new(), None),
            (To::Host(_), Kind::Iq(IqType::Get)) if sent.question != Question::Unknown => {
                Verdict::Exactly(Vec::new(), Some("result"))
            }
            (To::Host(_), _) => refused("service-unavailable"),
            // Judged by what is seen then.
            (_, Kind::Presence(PresenceType::Probe)) => Verdict::Exactly(Vec::new(), None),
            (To::Bare(_) | To::Unsaid, Kind::Iq(kind)) => {
                let asks_itself = sent.to == To::Unsaid || sent.to.bare() == own.copied();
                match (asks_itself, kind, sent.question) {
                    (true, IqType::Get, Question::Ping) | (_, IqType::Get, Question::Items) => {
                        Verdict::Exactly(Vec::new(), Some("result"))
                    }
                    _ => refused("service-unavailable"),
                }
            }
            (To::Unsaid, _) => self.to_bare(now, sent, own.copied().unwrap_or_default()),
            (To::Bare(bare), _) => self.to_bare(now, sent, bare),
            (To::Full(full), _) => self.to_full(now, sent, full),
        }
    }

    /// Whether the sender's own list is about whom it wrote to.
    fn own_list(&self, now: Moment, blocks: &Blocks, sent: &Sent) -> Blocked {
        let account = account_of(self.name(sent.by).split('/').next().unwrap_or_default());
        match (account, sent.to.address()) {
            (Some(account), Some(to)) if sent.to != To::Malformed => {
                blocks.standing(account, to, sent.at, now)
            }
            _ => Blocked::No,
        }
    }

    fn to_full(&self, now: Moment, sent: &Sent, full: &str) -> Verdict {
        let mut there = Vec::new();
        for life in self.lives.iter().filter(|life| life.may_be(full)) {
            match life.during(sent.at, now) {
                Standing::Never => {}
                Standing::Always(_) => there.push(life.client),
                Standing::Unsure | Standing::MayLose => return self.loosely(now, sent),
            }
        }
        if !there.is_empty() {
            return Verdict::Exactly(there, None);
        }
        // RFC 6121 §8.5.3.2.
        let refused = Verdict::Exactly(Vec::new(), Some("service-unavailable"));
        let ignored = Verdict::Exactly(Vec::new(), None);
        match sent.kind {
            Kind::Message(MessageType::Normal | MessageType::Groupchat)
            | Kind::Iq(IqType::Get | IqType::Set) => refused,
            Kind::Message(MessageType::Chat) => {
                self.to_bare(now, sent, full.split('/').next().unwrap_or_default())
            }
            Kind::Message(MessageType::Headline | MessageType::Error)
            | Kind::Iq(IqType::Result | IqType::Error)
            | Kind::Presence(_) => ignored,
        }
    }

    /// RFC 6121 §8.5.2, of stanzas that are no IQs.
    fn to_bare(&self, now: Moment, sent: &Sent, bare: &str) -> Verdict {
        let mut there: Vec<(usize, i8)> = Vec::new();
        for life in self.lives.iter().filter(|life| NAMES[life.account] == bare) {
            match life.during(sent.at, now) {
                Standing::Never => {}
                Standing::Always(priorities) => match priorities.as_slice() {
                    [None] => {}
                    [Some(priority)] => there.push((life.client, *priority)),
                    _ => return self.loosely(now, sent),
                },
                Standing::Unsure | Standing::MayLose => return self.loosely(now, sent),
            }
        }
        let highest = there.iter().map(|(_, p)| *p).filter(|p| *p >= 0).max();
        let mut those = |which: &dyn Fn(i8) -> bool| {
            there.retain(|(_, priority)| which(*priority));
            let mut clients: Vec<usize> = there.iter().map(|(client, _)| *client).collect();
            clients.sort_unstable();
            clients
        };
        match sent.kind {
            Kind::Message(MessageType::Normal | MessageType::Chat) => match highest {
                Some(highest) => Verdict::Exactly(those(&|p| p == highest), None),
                None => Verdict::Exactly(Vec::new(), Some("service-unavailable")),
            },
            Kind::Message(MessageType::Headline) => Verdict::Exactly(those(&|p| p >= 0), None),
            Kind::Message(MessageType::Groupchat) => {
                Verdict::Exactly(Vec::new(), Some("service-unavailable"))
            }
            Kind::Presence(PresenceType::Available | PresenceType::Unavailable) => {
                Verdict::Exactly(those(&|_| true), None)
            }
            Kind::Message(MessageType::Error) | Kind::Presence(_) | Kind::Iq(_) => {
                Verdict::Exactly(Vec::new(), None)
            }
        }
    }

    fn loosely(&self, now: Moment, sent: &Sent) -> Verdict {
        let answerable = matches!(
            sent.kind,
            Kind::Iq(IqType::Get | IqType::Set)
                | Kind::Message(MessageType::Normal | MessageType::Chat | MessageType::Groupchat)
        );
        let own = self.name(sent.by).split('/').next();
        let bare = sent.to.bare().or(own).unwrap_or_default();
        let loses = |life: &Life| {
            NAMES[life.account] == bare && life.during(sent.at, now) == Standing::MayLose
        };
        Verdict::Loosely(if answerable && !self.lives.iter().any(loses) {
            Loss::Fault
        } else {
            Loss::Excused
        })
    }

    /// RFC 6121 §4.2.2: presence reaches all available resources of the account.
    fn judge_broadcast(&self, now: Moment, sent: &Sent) -> Result<(), String> {
        if self.sender(now, sent) != Sender::There
            || sent.kind != Kind::Presence(PresenceType::Available)
        {
            return Ok(());
        }
        let account = self.name(sent.by).split('/').next().unwrap_or_default();
        for life in self
            .lives
            .iter()
            .filter(|life| NAMES[life.account] == account)
        {
            let available = match life.during(sent.at, now) {
                Standing::Always(priorities) => priorities.iter().all(Option::is_some),
                Standing::Never | Standing::Unsure | Standing::MayLose => false,
            };
            if (available || life.client == sent.by) && !sent.delivered.contains(&life.client) {
                return Err(format!("client {} never got {sent:?}", life.client));
            }
        }
        Ok(())
    }

    /// RFC 6120 §7.7.2.2: an address has one session.
    fn judge_addresses(&self) -> Result<(), String> {
        let alive = |life: &&Life| {
            let known = matches!(life.name, Name::Known(_));
            known && life.attention == Attention::Reads && !life.is_over()
        };
        let mut names: Vec<&str> = self.lives.iter().filter(alive).map(Life::jid).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("{} has two sessions", pair[0])),
            None => Ok(()),
        }
    }

    /// The server said of these that they are over.
    fn judge_farewells(
        &self,
        now: Moment,
        stirred: &dyn Fn(usize, usize) -> bool,
    ) -> Result<(), String> {
        for (account, from) in &self.farewells {
            let other = account_of(from.split('/').next().unwrap_or_default());
            if other.is_some_and(|other| stirred(*account, other)) {
                continue; // it was over for those alone
            }
            let mut of_name = self.lives.iter().filter(|life| life.may_be(from));
            let over = |life: &Life| !matches!(life.during(self.rest, now), Standing::Always(_));
            if !of_name.any(over) {
                return Err(format!(
                    "the server says that {from} is gone, which it is not"
                ));
            }
        }
        Ok(())
    }

    /// RFC 6121 §4.5.2, §4.6.3: who was told that somebody is available is told that it is no more.
    fn judge_ghosts(
        &self,
        faults: &Faults,
        stirred: &dyn Fn(usize, usize) -> bool,
    ) -> Result<(), String> {
        for life in self.lives.iter().filter(|life| !life.is_over()) {
            // RFC 6121 §4.6.3, case 1: what is directed to one resource of a subscriber ends with what is told to all its available ones,
            // and it may be none.
            let is_available = life.state() != State::Bound(None);
            let excused = self.withdrawn.contains(&life.client) || !is_available;
            if excused || life.attention == Attention::Loses {
                continue;
            }
            let Some(seen) = self.seen.get(&life.client) else {
                continue;
            };
            for jid in seen {
                let alive = self
                    .lives
                    .iter()
                    .any(|other| other.may_be(jid) && !other.is_over());
                let other = account_of(jid.split('/').next().unwrap_or_default());
                if other.is_some_and(|other| stirred(life.account, other)) {
                    continue;
                }
                if !alive && !faults.farewell_came_back(jid, NAMES[life.account]) {
                    return Err(format!("{} was never told that {jid} is gone", life.jid()));
                }
            }
        }
        Ok(())
    }
}

/// XEP-0191 §3.3: as where nobody is.
fn blocked(sent: &Sent) -> Verdict {
    let answer = match (sent.kind, &sent.to) {
        (Kind::Iq(IqType::Get), To::Bare(_)) if sent.question == Question::Items => Some("result"),
        (Kind::Iq(IqType::Get | IqType::Set), _)
        | (Kind::Message(MessageType::Normal | MessageType::Chat | MessageType::Groupchat), _) => {
            Some("service-unavailable")
        }
        (Kind::Iq(_) | Kind::Message(_) | Kind::Presence(_), _) => None,
    };
    Verdict::Exactly(Vec::new(), answer)
}
