//! Many streams that end for one reason, because the server stops or a host is gone: a few in each turn, so that whoever stays is served
//! between. They end in the order of their connections' slots, which nobody chooses; behind them sessions that are asleep, those first who
//! have slept longest. When the server stops, accounts that are idle leave memory last of all, and keep what they have yet to.
//!
//! `Choice:` a stream that waits for its end is read no more. What still counts is then decided for all in one moment, when the server stops
//! or the host goes (RFC 6120 §4.9.1.1: the error, and "immediately close the stream"), and not by how many are before it; and nobody does
//! anything at a host of which there are no options any more. What it sent and nobody read is as what comes behind our closing tag (§4.4):
//! dropped, and with stream management not acknowledged, so that its client says it again. What others send it reaches it until its turn comes.

use alloc::collections::{BTreeMap, BTreeSet};

use super::connections::Role;
use super::{Course, Shard};
use crate::config::Config;
use crate::limits::ENDINGS_PER_TICK;
use crate::port::ConnId;
use crate::stream::Violation;
use crate::time::Now;

/// Who waits for the end.
#[derive(Debug)]
pub(super) struct Endings {
    streams: BTreeMap<ConnId, Violation>,
    /// By when they fell asleep.
    asleep: BTreeSet<u64>,
    /// So many end in one `Tick`.
    per_tick: usize,
}

impl Default for Endings {
    fn default() -> Self {
        Self {
            streams: BTreeMap::new(),
            asleep: BTreeSet::new(),
            per_tick: ENDINGS_PER_TICK,
        }
    }
}

impl Endings {
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.asleep.is_empty()
    }

    /// Whether this stream waits for its end.
    pub(super) fn holds(&self, conn: ConnId) -> bool {
        !self.streams.is_empty() && self.streams.contains_key(&conn)
    }

    /// It ends now. Whether it waited.
    pub(super) fn forget(&mut self, conn: ConnId) -> bool {
        !self.streams.is_empty() && self.streams.remove(&conn).is_some()
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) const fn narrow(&mut self, per_tick: usize) {
        self.per_tick = per_tick;
    }
}

/// Whether this host, as far as a stream has one, is served no more.
pub(super) fn is_gone(config: &Config, host: Option<&str>) -> bool {
    host.is_some_and(|host| !config.hosts.contains_key(host))
}

impl Shard {
    /// Every stream and every session is to end whose host, as far as a stream has one, `which` says yes to.
    pub(super) fn end_all_of(
        &mut self,
        violation: Violation,
        which: impl Fn(Option<&str>) -> bool,
    ) {
        for (conn, connection) in self.connections.iter() {
            // The error that comes first is the one that a stream ends with.
            let ends = match connection.role {
                Role::Stranger
                | Role::Leaving(_)
                | Role::Member(_)
                | Role::Server
                | Role::BothWays(..)
                | Role::Component(_) => true,
                // A stream of ours ends with what it is for.
                Role::Reaching(..) | Role::Link(..) | Role::Ending | Role::Gone => false,
            };
            if ends && which(connection.stream.host()) {
                self.endings.streams.entry(conn).or_insert(violation);
            }
        }
        for (number, key) in self.sleepers.all() {
            let owner = self.owners.get(key);
            if owner.is_some_and(|owner| which(Some(owner.account.jid().domain()))) {
                self.endings.asleep.insert(number);
            }
        }
    }

    /// The streams of servers are to end of which the rules in force would not let all be that is proven there.
    pub(super) fn judge_servers_again(&mut self) {
        for (conn, connection) in self.connections.iter() {
            if let Some(refusal) = connection.stream.is_refused_now(&self.config) {
                let violation = Violation::Peer(refusal);
                self.endings.streams.entry(conn).or_insert(violation);
            }
        }
    }

    /// As many end as may in one turn.
    pub(super) fn end_some(&mut self, now: Now) {
        for _ in 0..self.endings.per_tick {
            if let Some((conn, violation)) = self.endings.streams.pop_first() {
                self.end_stream(now, conn, violation);
            } else if let Some(number) = self.endings.asleep.pop_first() {
                // Unless its client came back, or listens only for what is still acknowledged.
                if let Some((key, session)) = self.sleepers.at(number) {
                    self.die(now, key, session);
                }
            } else if !self.is_stopping() || !self.lets_idle_go() || !self.let_one_idle_go() {
                return;
            }
        }
    }

    fn end_stream(&mut self, now: Now, conn: ConnId, violation: Violation) {
        if self.is_stopping() {
            // What clients have handled is worth knowing, while they can still say so.
            self.fx.ask(conn);
        }
        self.fail(now, conn, violation);
    }

    /// A stream that has not signed in and waits for its end gets it instead of an answer: nobody comes in who would have to go at once.
    /// Whether it did.
    pub(super) fn ends_instead(&mut self, now: Now, conn: ConnId) -> bool {
        let connection = self.connections.get(conn);
        if connection.is_some_and(|connection| connection.stream.is_signed_in()) {
            return false;
        }
        let violation = self.endings.streams.remove(&conn);
        if let Some(violation) = violation {
            self.fail(now, conn, violation);
        }
        violation.is_some()
    }

    /// Whether `end_some` has something to do.
    pub(super) fn has_endings(&self) -> bool {
        !self.endings.is_empty() || self.is_stopping() && self.lets_idle_go()
    }

    pub(super) fn is_stopping(&self) -> bool {
        matches!(self.course, Course::Stopping(_))
    }
}
