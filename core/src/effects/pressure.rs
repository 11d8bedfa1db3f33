//! Who writes waits for who reads: a session whose queue is half full has those who feed it one to one read no more until it has
//! taken most of that. Whether it reads is told by how much it takes, not by a byte now and then.

use alloc::collections::BTreeSet;

use crate::jid::Jid;
use crate::limits::{FLOW_NEWS, FLOW_PATIENCE, FLOW_READ_BYTES};
use crate::time::Instant;

/// A session with more than half of its queue owed.
#[derive(Debug)]
pub(super) struct Pressure {
    since: Instant,
    /// Bytes taken since then.
    taken: usize,
    /// The sessions that were told to wait.
    feeders: BTreeSet<Jid>,
}

/// What is to be done about one more stanza from somebody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Advice {
    /// Tell that one to wait.
    Tell,
    /// That one knows, or has waited in vain.
    Known,
    /// The session does not read: it ends.
    End,
}

impl Pressure {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            since: now,
            taken: 0,
            feeders: BTreeSet::new(),
        }
    }

    /// Whether those who feed it may not have heard yet: what is on its way must have a place.
    pub(super) fn is_news(&self, now: Instant) -> bool {
        now.since(self.since) < FLOW_NEWS
    }

    pub(super) const fn take(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(count);
    }

    pub(super) fn feed(&mut self, now: Instant, feeder: &Jid) -> Advice {
        if now.since(self.since) >= FLOW_PATIENCE {
            if self.taken < FLOW_READ_BYTES {
                return Advice::End;
            }
            // It reads, if slowly: all who have waited may have to do so again.
            *self = Self::new(now);
        }
        match self.feeders.contains(feeder) {
            true => Advice::Known,
            false => {
                self.feeders.insert(feeder.clone());
                Advice::Tell
            }
        }
    }

    /// Those who may go on.
    pub(super) fn into_feeders(self) -> BTreeSet<Jid> {
        self.feeders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feeder_is_told_once_and_who_reads_gets_more_time() {
        let [romeo, nurse] =
            ["romeo@localhost/a", "nurse@localhost/b"].map(|jid| Jid::parse(jid).unwrap());
        let start = Instant(5_000_000);
        let mut pressure = Pressure::new(start);
        assert!(pressure.is_news(start));
        assert_eq!(pressure.feed(start, &romeo), Advice::Tell);
        assert_eq!(pressure.feed(start, &romeo), Advice::Known);
        assert_eq!(pressure.feed(start, &nurse), Advice::Tell);
        pressure.take(FLOW_READ_BYTES);
        let later = start + FLOW_PATIENCE;
        assert!(!pressure.is_news(later));
        assert_eq!(pressure.feed(later, &romeo), Advice::Tell);
        pressure.take(FLOW_READ_BYTES - 1);
        assert_eq!(pressure.feed(later + FLOW_PATIENCE, &nurse), Advice::End);
    }
}
