//! Guests: accounts that are there while somebody is signed in to them (XEP-0175), at hosts that have no others.
//!
//! Nothing is kept of them, so the store is never asked: what it would answer who has nothing is answered here, when the turn is over. An
//! owner that is asked in vain for an account finds none, as everywhere.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Shard;
use crate::config::Config;
use crate::jid::{BareJid, Domain, Jid};
use crate::port::Ticket;
use crate::sasl::Provider;
use crate::store::{Batch, Erased, Measured, Op, Page, Reply};
use crate::time::Now;

/// Who has guests, and what is to be answered about them: as much as was asked in this turn.
#[derive(Debug)]
pub(super) struct Guests {
    hosts: Vec<Domain>,
    answers: VecDeque<(Ticket, Vec<Reply>)>,
}

impl Guests {
    /// Of these hosts.
    pub(super) fn of(config: &Config) -> Self {
        let hosts = config.realms();
        let guests = hosts.filter(|(_, host)| host.provider == Provider::Anonymous);
        Self {
            hosts: guests.map(|(host, _)| host.clone()).collect(),
            answers: VecDeque::new(),
        }
    }

    /// Whether this is, or would be, a guest. Asked for all that is stored: most servers have no such host.
    fn has(&self, local: Option<&str>, domain: &str) -> bool {
        local.is_some() && self.hosts.iter().any(|host| host.as_str() == domain)
    }

    /// Who has guests may have changed. Those of a host that is gone are guests until they are, too.
    pub(super) fn are_of(&mut self, config: &Config) {
        self.hosts
            .retain(|host| config.accounts(host.as_str()).is_none());
        self.hosts.extend(Self::of(config).hosts);
    }

    /// What the store would be asked.
    pub(super) fn ask(&mut self, ticket: Ticket, batch: &Batch) {
        let replies = batch.ops.iter().map(of_nothing).collect();
        self.answers.push_back((ticket, replies));
    }

    /// Whether something is still to be answered.
    pub(super) fn wait(&self) -> bool {
        !self.answers.is_empty()
    }
}

impl Shard {
    /// Whether this is, or would be, a guest.
    pub(super) fn is_guest(&self, account: &BareJid) -> bool {
        self.guests.has(account.local(), account.domain())
    }

    /// The same, of whoever a stanza is to.
    pub(super) fn is_to_guest(&self, to: &Jid) -> bool {
        self.guests.has(to.local(), to.domain())
    }

    /// Whoever asked the store about a guest has an answer.
    pub(super) fn answer_guests(&mut self, now: Now) {
        while let Some((ticket, replies)) = self.guests.answers.pop_front() {
            self.stored(now, ticket, Ok(replies));
            self.settle(now);
        }
    }
}

/// What a store answers that has nothing of the owner and keeps nothing.
fn of_nothing(op: &Op) -> Reply {
    match op {
        Op::Append { .. } | Op::Blank { .. } | Op::Delete { .. } | Op::Purge | Op::Put { .. } => {
            Reply::Done
        }
        Op::Count { .. } | Op::CountIn { .. } => Reply::Count(0),
        Op::DeletePrefix { .. } => Reply::Deleted {
            rows: 0,
            more: false,
        },
        Op::Erase => Reply::Erased(Erased::All),
        Op::Get { .. } => Reply::Row(None),
        Op::List { .. } => Reply::Rows {
            rows: Vec::new(),
            more: false,
        },
        Op::Load => Reply::Loaded(Box::default()),
        Op::Measure { .. } => Reply::Measured(Measured::default()),
        Op::Owners { .. } => Reply::Owners(Vec::new()),
        Op::Page { .. } => Reply::Page(Page::default()),
        Op::Sweep { .. } => Reply::Swept {
            entries: 0,
            next: None,
        },
        Op::Trim { .. } => Reply::Trimmed {
            entries: 0,
            more: false,
        },
    }
}
