//! Sessions that wait because they write to others faster than those read. The readers' side is `effects/pressure.rs`; between
//! shards, one-way envelopes say who is to wait and who may go on.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use super::Shard;
use crate::arena::{ArenaKey as _, Key};
use crate::envelope::{Body, Feeding, Place};
use crate::jid::Jid;
use crate::limits::FLOW_PATIENCE;
use crate::port::ConnId;
use crate::time::{Instant, Now};

/// A connection that others wait for, wherever it is.
type Reader = (Place, Key);

/// The connections of this shard that are not read, for whom, and until when at most.
#[derive(Debug, Default)]
pub(super) struct Slowed(BTreeMap<ConnId, BTreeMap<Reader, Instant>>);

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
        if let Some(readers) = self.0.get_mut(&conn) {
            readers.retain(|_, until| *until > now);
            if readers.is_empty() {
                self.0.remove(&conn);
            }
        }
    }

    fn add(&mut self, conn: ConnId, reader: Reader, until: Instant) {
        self.0.entry(conn).or_default().insert(reader, until);
    }

    /// Whether it waits for nobody any more.
    fn remove(&mut self, conn: ConnId, reader: Reader) -> bool {
        let Some(readers) = self.0.get_mut(&conn) else {
            return false;
        };
        readers.remove(&reader);
        let free = readers.is_empty();
        if free {
            self.0.remove(&conn);
        }
        free
    }
}

impl Shard {
    /// Half of what may be owed to a connection of ours is: who writes to it is to wait.
    pub(super) fn press(&mut self, now: Now, feeder: Jid, reader: ConnId) {
        let feeding = Feeding {
            feeder,
            reader: reader.key(),
        };
        let owner = self.placement.owner(feeding.feeder.bare());
        if owner == self.place {
            self.slow(now, self.place, feeding);
        } else if self.config.hosts.contains_key(feeding.feeder.domain()) {
            self.send(owner, Body::Slow(Box::new(feeding)));
        }
    }

    /// Most of it is read, or nobody waits for it any more.
    pub(super) fn relieved(&mut self, reader: ConnId, feeders: BTreeSet<Jid>) {
        for feeder in feeders {
            let owner = self.placement.owner(feeder.bare());
            let feeding = Feeding {
                feeder,
                reader: reader.key(),
            };
            if owner == self.place {
                self.go(self.place, &feeding);
            } else {
                self.send(owner, Body::Go(Box::new(feeding)));
            }
        }
    }

    /// A session of ours is to wait for a reader of shard `from`, but not for ever.
    pub(super) fn slow(&mut self, now: Now, from: Place, feeding: Feeding) {
        if let Some(conn) = self.session_named(&feeding.feeder) {
            let until = now.mono + FLOW_PATIENCE;
            self.slowed.add(conn, (from, feeding.reader), until);
            self.pause(conn);
            self.look_again(now, conn);
        }
    }

    /// It need not wait any more.
    pub(super) fn go(&mut self, from: Place, feeding: &Feeding) {
        if let Some(conn) = self.session_named(&feeding.feeder)
            && self.slowed.remove(conn, (from, feeding.reader))
        {
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

    fn session_named(&self, jid: &Jid) -> Option<ConnId> {
        let key = self.by_name.get(jid.bare())?;
        let session = self.owners.get(*key)?.account.session_of(jid.resource()?)?;
        Some(session.conn())
    }
}
