//! Counts that forget: so many for each key, one forgiven after each interval.

use alloc::collections::BTreeSet;
use core::time::Duration;

use super::Limit;
use crate::limits::SASL_COUNTED_MAX;
use crate::map::{Keyed, Map};
use crate::time::Instant;

/// A leaky bucket for each key, kept as the moment at which it will be empty.
///
/// There are at most `SASL_COUNTED_MAX`. A new one then takes over the one that is emptiest together with what is in it: nobody
/// is ever given more answers than the limit for having been pushed out, and to push out somebody who is held up takes
/// as many failures for every other entry. Whoever has no entry is answered, so a full table keeps nobody out who knows
/// the password.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(super) by_key: Map<u64, Count>,
    pub(super) by_time: BTreeSet<(Instant, u64)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    empty_at: Instant,
    log: Log,
}

/// Whether the log has it that the limit was reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Log {
    Silent,
    Told,
}

impl Counts {
    pub(crate) const fn new(key: Keyed) -> Self {
        Self {
            by_key: Map::with_hasher(key),
            by_time: BTreeSet::new(),
        }
    }

    pub(crate) fn is_spent(&self, key: u64, now: Instant, max: u32, each: Duration) -> bool {
        let count = self.by_key.get(&key);
        max > 0 && count.is_some_and(|count| count.is_spent(now, max, each))
    }

    /// One more, of which the log has no business.
    pub(crate) fn count(&mut self, key: u64, now: Instant, max: u32, each: Duration) {
        self.add(key, now, max, each, Log::Told);
    }

    /// One more; with `Log::Told` somebody else says what there is to say.
    pub(super) fn add(
        &mut self,
        key: u64,
        now: Instant,
        max: u32,
        each: Duration,
        log: Log,
    ) -> Limit {
        self.forget_empty(now);
        let mut count = self.take(key).unwrap_or(Count {
            empty_at: now,
            log: Log::Silent,
        });
        count.empty_at = count.empty_at.max(now) + each;
        let mut limit = Limit::AsBefore;
        if (count.log, log) == (Log::Silent, Log::Silent) && count.is_spent(now, max, each) {
            count.log = Log::Told;
            limit = Limit::Reached;
        }
        self.by_time.insert((count.empty_at, key));
        self.by_key.insert(key, count);
        limit
    }

    /// The count of a key, or the emptiest of all where there is no room for one more.
    fn take(&mut self, key: u64) -> Option<Count> {
        if let Some(count) = self.by_key.remove(&key) {
            self.by_time.remove(&(count.empty_at, key));
            return Some(count);
        }
        if self.by_key.len() < SASL_COUNTED_MAX {
            return None;
        }
        let (empty_at, other) = self.by_time.pop_first()?;
        self.by_key.remove(&other);
        Some(Count {
            empty_at,
            log: Log::Silent,
        })
    }

    fn forget_empty(&mut self, now: Instant) {
        while let Some((at, key)) = self.by_time.first().copied()
            && at <= now
        {
            self.by_time.remove(&(at, key));
            self.by_key.remove(&key);
        }
        if self.by_key.is_empty() {
            self.clear();
        }
    }

    /// Gives the memory of an attack back, too.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.by_key.hasher().clone());
    }
}

impl Count {
    /// Whether one more would not fit.
    fn is_spent(&self, now: Instant, max: u32, each: Duration) -> bool {
        self.empty_at.since(now) > each.saturating_mul(max.saturating_sub(1))
    }
}
