//! Where every stanza should go, by RFC 6121 §8.5, RFC 6120 §10 and XEP-0160. Written apart from the server's own table: each checks the
//! other.

use spondee_core::stanza::{IqType, Kind, MessageType, PresenceType};

use super::Moment;
use super::accounts::NAMES;
use super::blocks::{Blocked, Blocks};
use super::faults::Served;
use super::judge::Circumstances;
use super::kept::Likely;
use super::ledger::Ledger;
use super::lives::{Life, Standing};
use super::stanzas::{Question, Sent, To};
use super::subscriptions::account_of;

/// What should have become of a stanza.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// These clients got it, and the sender this answer.
    Exactly(Vec<usize>, Option<&'static str>),
    /// It waits for somebody who is away, and the sender hears nothing.
    Owed,
    /// Nobody gets it, and the sender an answer, which others judge.
    Answered,
    /// It was not certain who was there. Whether it may have vanished with them.
    Loosely(Loss),
}

/// What it means if it vanished.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Loss {
    Fault,
    Excused,
}

impl Ledger {
    pub(super) fn verdict(&self, around: &Circumstances<'_>, sent: &Sent) -> Verdict {
        let Circumstances {
            now,
            faults,
            blocks,
            ..
        } = *around;
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
            (To::Unsaid, _) => self.to_bare(around, sent, own.copied().unwrap_or_default()),
            (To::Bare(bare), _) => self.to_bare(around, sent, bare),
            (To::Full(full), _) => self.to_full(around, sent, full),
        }
    }

    /// Whether the sender's own list is about whom it wrote to.
    pub(super) fn own_list(&self, now: Moment, blocks: &Blocks, sent: &Sent) -> Blocked {
        let account = account_of(self.name(sent.by).split('/').next().unwrap_or_default());
        match (account, sent.to.address()) {
            (Some(account), Some(to)) if sent.to != To::Malformed => {
                blocks.standing(account, to, sent.at, now)
            }
            _ => Blocked::No,
        }
    }

    fn to_full(&self, around: &Circumstances<'_>, sent: &Sent, full: &str) -> Verdict {
        let now = around.now;
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
                self.to_bare(around, sent, full.split('/').next().unwrap_or_default())
            }
            Kind::Message(MessageType::Headline | MessageType::Error)
            | Kind::Iq(IqType::Result | IqType::Error)
            | Kind::Presence(_) => ignored,
        }
    }

    /// RFC 6121 §8.5.2, of stanzas that are no IQs.
    fn to_bare(&self, around: &Circumstances<'_>, sent: &Sent, bare: &str) -> Verdict {
        let now = around.now;
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
                None => self.to_absent(around, sent, bare),
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

    /// RFC 6121 §8.5.2.2.1, XEP-0160 §2.
    fn to_absent(&self, around: &Circumstances<'_>, sent: &Sent, bare: &str) -> Verdict {
        let exists = account_of(bare).map_or(Likely::No, |account| {
            around.accounts.existed(account, sent.at)
        });
        match exists {
            Likely::Yes if sent.content.is_owed(sent.kind) => Verdict::Owed,
            Likely::Maybe if sent.content.is_owed(sent.kind) => self.loosely(around.now, sent),
            Likely::Yes | Likely::Maybe | Likely::No => {
                Verdict::Exactly(Vec::new(), Some("service-unavailable"))
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
