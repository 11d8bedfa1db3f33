//! Sessions that wait because they write to others faster than those read, or more than a way between shards takes. The readers' side is
//! `effects/pressure.rs`, that of the ways `ways.rs`; between shards, one-way envelopes say who is to wait and who may go on.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::Shard;
use crate::account::Session;
use crate::arena::ArenaKey as _;
use crate::due::Due;
use crate::effects::{Feeder, Hearing, Relief};
use crate::envelope::{Awaited, Body, Feeding, Place};
use crate::jid::Jid;
use crate::limits::FLOW_PATIENCE;
use crate::port::ConnId;
use crate::time::{Instant, Now};

/// What somebody waits for, and the shard that says so.
pub(super) type Wait = (Place, Awaited);

/// The connections of this shard that are not read, for what, and until when at most.
#[derive(Debug, Default)]
pub(super) struct Slowed(BTreeMap<ConnId, BTreeMap<Wait, Instant>>);

impl Slowed {
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn holds(&self, conn: ConnId) -> bool {
        !self.0.is_empty() && self.0.contains_key(&conn)
    }

    /// How long at most; `None` if it does not wait.
    pub(super) fn wait(&self, now: Instant, conn: ConnId) -> Option<Duration> {
        let until = self.0.get(&conn)?.values().max()?;
        Some(until.since(now))
    }

    pub(super) fn forget(&mut self, conn: ConnId) {
        self.0.remove(&conn);
    }

    /// Forgets what it has waited long enough for.
    pub(super) fn expire(&mut self, now: Instant, conn: ConnId) {
        if let Some(waits) = self.0.get_mut(&conn) {
            waits.retain(|_, until| *until > now);
            if waits.is_empty() {
                self.0.remove(&conn);
            }
        }
    }

    /// One that waits for it already waits no longer for what came behind.
    fn add(&mut self, now: Instant, conn: ConnId, wait: Wait) {
        let waits = self.0.entry(conn).or_default();
        let until = waits.get(&wait).copied().filter(|until| *until > now);
        waits.insert(wait, until.unwrap_or(now + FLOW_PATIENCE));
    }

    /// Whether it waits for nothing any more.
    fn remove(&mut self, conn: ConnId, wait: Wait) -> bool {
        let Some(waits) = self.0.get_mut(&conn) else {
            return false;
        };
        waits.remove(&wait);
        let free = waits.is_empty();
        if free {
            self.0.remove(&conn);
        }
        free
    }
}

impl Shard {
    /// Too much is owed to a connection of ours: who writes to it is to wait.
    pub(super) fn press(&mut self, now: Now, feeder: Feeder, reader: ConnId) {
        let awaited = Awaited::Reader(reader.key());
        match feeder {
            Feeder::Itself => self.hold_up(now, reader, (self.place, awaited)),
            Feeder::Other(feeder) => self.tell_slow(now, Feeding { feeder, awaited }),
        }
    }

    /// It is to be looked at after a while how much a session has taken.
    pub(super) fn look_at_reader(&mut self, now: Now, reader: ConnId) {
        self.timers
            .set(Due::Reader(reader), now.mono, FLOW_PATIENCE);
    }

    /// That while is over.
    pub(super) fn judge_reader(&mut self, now: Now, reader: ConnId) {
        let hearing = match self.is_unheard(reader) {
            true => Hearing::Unheard,
            false => Hearing::Heard,
        };
        if let Some(wait) = self.fx.judge(reader, hearing) {
            self.timers.set(Due::Reader(reader), now.mono, wait);
        }
        self.settle(now);
    }

    /// Most of it is read, or nobody waits for it any more.
    pub(super) fn relieved(&mut self, relief: Relief) {
        let awaited = Awaited::Reader(relief.reader.key());
        for feeder in &relief.feeders {
            match feeder {
                Feeder::Itself => self.free(relief.reader, (self.place, awaited)),
                Feeder::Other(feeder) => self.tell_go(Feeding {
                    feeder: feeder.clone(),
                    awaited,
                }),
            }
        }
        self.fx.catch_up(relief);
    }

    /// Who feeds something of ours is to wait, wherever it is.
    pub(super) fn tell_slow(&mut self, now: Now, feeding: Feeding) {
        let owner = self.placement.owner(feeding.feeder.bare());
        if owner == self.place {
            self.slow(now, self.place, &feeding);
        } else if self.config.accounts(feeding.feeder.domain()).is_some() {
            self.send(owner, Body::Slow(Box::new(feeding)));
        }
    }

    /// It may go on.
    pub(super) fn tell_go(&mut self, feeding: Feeding) {
        let owner = self.placement.owner(feeding.feeder.bare());
        if owner == self.place {
            self.go(self.place, &feeding);
        } else if self.config.accounts(feeding.feeder.domain()).is_some() {
            self.send(owner, Body::Go(Box::new(feeding)));
        }
    }

    /// Sessions of ours are to wait for something of shard `from`, but not for ever.
    pub(super) fn slow(&mut self, now: Now, from: Place, feeding: &Feeding) {
        for conn in self.sessions_named(&feeding.feeder) {
            self.hold_up(now, conn, (from, feeding.awaited));
        }
    }

    /// They need not wait any more.
    pub(super) fn go(&mut self, from: Place, feeding: &Feeding) {
        for conn in self.sessions_named(&feeding.feeder) {
            self.free(conn, (from, feeding.awaited));
        }
    }

    /// A connection is not read until it may go on.
    pub(super) fn hold_up(&mut self, now: Now, conn: ConnId, wait: Wait) {
        self.slowed.add(now.mono, conn, wait);
        self.pause(conn);
        self.look_again(now, conn);
    }

    /// It may, as far as this is concerned.
    pub(super) fn free(&mut self, conn: ConnId, wait: Wait) {
        if self.slowed.remove(conn, wait) {
            self.freed.push_back(conn);
        }
    }

    /// Those go on that wait for nobody any more. One after the other, and not one within the other: who ends behind what it wrote may
    /// let another go that ends likewise, and so on.
    pub(super) fn proceed_freed(&mut self, now: Now) {
        while let Some(conn) = self.freed.pop_front() {
            self.proceed(now, conn);
            self.settle(now);
        }
    }

    /// The session of this address, or all of this account.
    fn sessions_named(&self, jid: &Jid) -> Vec<ConnId> {
        let key = self.by_name.get(jid.bare());
        let Some(owner) = key.and_then(|key| self.owners.get(*key)) else {
            return Vec::new();
        };
        let sessions = owner.account.sessions().iter();
        let named = |session: &&Session| jid.resource().is_none() || session.jid == *jid;
        sessions.filter(named).filter_map(Session::conn).collect()
    }
}
