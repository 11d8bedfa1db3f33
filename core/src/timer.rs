//! Deadlines of one shard: set, stop, and the earliest first.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use crate::time::Instant;

/// One deadline for each key. A key set again moves.
#[derive(Debug)]
pub struct Timers<K> {
    by_time: BTreeSet<(Instant, K)>,
    by_key: BTreeMap<K, Instant>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self {
            by_time: BTreeSet::new(),
            by_key: BTreeMap::new(),
        }
    }
}

impl<K: Copy + Ord> Timers<K> {
    /// Fires `key` after `wait`, rounded up so that many fire together: to a second above ten seconds, to 100 ms below.
    pub fn set(&mut self, key: K, now: Instant, wait: Duration) {
        let grain = if wait > Duration::from_secs(10) {
            1_000_000
        } else {
            100_000
        };
        let at = (now + wait).0.div_ceil(grain).saturating_mul(grain);
        self.set_exactly(key, Instant(at));
    }

    /// The same to the microsecond, for what few do at a time.
    pub fn set_exactly(&mut self, key: K, at: Instant) {
        if let Some(before) = self.by_key.insert(key, at) {
            self.by_time.remove(&(before, key));
        }
        self.by_time.insert((at, key));
    }

    /// Forgets `key`.
    pub fn stop(&mut self, key: K) {
        if let Some(at) = self.by_key.remove(&key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// The earliest deadline and what it is for.
    #[must_use]
    pub fn next(&self) -> Option<(Instant, K)> {
        self.by_time.first().copied()
    }

    /// How many there are.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there are none.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Whether there is one for `key`.
    #[must_use]
    pub fn is_set(&self, key: K) -> bool {
        self.by_key.contains_key(&key)
    }

    /// Takes one deadline that has passed.
    pub fn expired(&mut self, now: Instant) -> Option<K> {
        let (at, key) = self.next()?;
        if at > now {
            return None;
        }
        self.stop(key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_in_order_rounded_up_and_only_when_due() {
        let mut timers = Timers::default();
        timers.set('b', Instant(1), Duration::from_secs(20));
        timers.set('a', Instant(1), Duration::from_millis(150));
        assert_eq!(timers.next(), Some((Instant(200_000), 'a')));
        assert_eq!(timers.expired(Instant(199_999)), None);
        assert_eq!(timers.expired(Instant(21_000_000)), Some('a'));
        assert_eq!(timers.expired(Instant(21_000_000)), Some('b'));
        assert_eq!(timers.expired(Instant(21_000_000)), None);
    }

    #[test]
    fn a_key_has_one_deadline() {
        let mut timers = Timers::default();
        timers.set(1, Instant(0), Duration::from_secs(1));
        timers.set(1, Instant(0), Duration::from_secs(5));
        assert_eq!(timers.expired(Instant(2_000_000)), None);
        timers.stop(1);
        assert_eq!(timers.next(), None);
    }
}
