//! What is kept too long goes, each hour and on the first shard alone: first what waited too long for who is away and what was delivered,
//! then what the archives let go.
//!
//! Nobody is loaded for it. It goes in steps, which a back end carries out behind everything else and not too many of them
//! (`Class::Upkeep`).

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::Shard;
use crate::archive::ARCHIVE;
use crate::due::Due;
use crate::jid::{BareJid, Domain};
use crate::limits::{RETENTION_AGAIN, RETENTION_EVERY, RETENTION_FIRST, STORE_TRIM_ENTRIES};
use crate::options::Expiry;
use crate::store::{Batch, Class, Kept, Op, Reply, StoreError};
use crate::time::{Instant, Now, UnixTime};
use crate::wait::Wait;

/// Where a pass stands.
#[derive(Debug, Default)]
pub(super) struct Retention {
    /// What is left of it, what is under way first.
    sweeps: VecDeque<Sweep>,
}

/// One walk over the owners of a host.
#[derive(Debug)]
struct Sweep {
    host: Domain,
    /// What entries are not needed for any more,
    kept: Kept,
    /// that are older than this.
    before: i64,
    /// The owner to go on with.
    from: Option<BareJid>,
}

impl Shard {
    /// The first shard looks after what is kept, for all.
    pub(super) fn begin_retention(&mut self) {
        if self.place.shard == 0 {
            let start = Instant::default();
            self.timers.set(Due::Retention, start, RETENTION_FIRST);
        }
    }

    /// It is time for the next step, or for the first.
    pub(super) fn retain(&mut self, now: Now) {
        if self.is_stopping() {
            return;
        }
        if self.retention.sweeps.is_empty() {
            self.retention.sweeps = self.sweeps(now.wall);
        }
        let Some(sweep) = self.retention.sweeps.front() else {
            return self.retain_later(now, RETENTION_EVERY);
        };
        let op = Op::Sweep {
            log: ARCHIVE,
            before: sweep.before,
            kept: sweep.kept,
            from: sweep.from.clone(),
            limit: STORE_TRIM_ENTRIES,
        };
        let batch = Batch {
            owner: BareJid::of_domain(&sweep.host),
            tenure: 0,
            class: Class::Upkeep,
            ops: vec![op],
        };
        self.store(batch, Wait::Retention);
    }

    /// The store has answered.
    pub(super) fn retained(&mut self, now: Now, outcome: Result<Vec<Reply>, StoreError>) {
        let Ok([Reply::Swept { entries: _, next }]) = outcome.as_deref() else {
            self.retention.sweeps.clear();
            return self.retain_later(now, RETENTION_AGAIN);
        };
        match (next, self.retention.sweeps.front_mut()) {
            (Some(next), Some(sweep)) => sweep.from = Some(next.clone()),
            (None, _) => drop(self.retention.sweeps.pop_front()),
            (Some(_), None) => self.fx.bug("a sweep that nobody wanted"),
        }
        match self.retention.sweeps.is_empty() {
            true => self.retain_later(now, RETENTION_EVERY),
            false => self.retain(now),
        }
    }

    fn retain_later(&mut self, now: Now, pause: Duration) {
        self.timers.set(Due::Retention, now.mono, pause);
    }

    /// What there is to do now, host by host.
    fn sweeps(&self, now: UnixTime) -> VecDeque<Sweep> {
        let mut sweeps = VecDeque::new();
        for (host, config) in self.config.realms() {
            let mut add = |kept, before| {
                sweeps.push_back(Sweep {
                    host: host.clone(),
                    kept,
                    before,
                    from: None,
                });
            };
            // What was delivered goes in any case.
            let owed = before(now, config.archive.offline_expires_after);
            add(Kept::Owed, owed.unwrap_or(i64::MIN));
            if let Some(archived) = before(now, config.archive.expires_after) {
                add(Kept::Archived, archived);
            }
        }
        sweeps
    }
}

/// The key before which it is over with entries, if it ever is.
fn before(now: UnixTime, expiry: Expiry) -> Option<i64> {
    match expiry {
        Expiry::After(period) => {
            let period = i64::try_from(period.as_micros()).unwrap_or(i64::MAX);
            Some(now.0.saturating_mul(1000).saturating_sub(period))
        }
        Expiry::Never => None,
    }
}
