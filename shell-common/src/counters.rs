//! What the turns did. Slowness is almost always one of "messages in each read, write, wake and commit" being 1.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::rest::Rest;
use crate::store::StoreCounters;

/// One number with one writer: a load and a store instead of a locked instruction.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds. Only one thread may.
    pub fn add(&self, more: usize) {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(more);
        self.0.store(sum, Ordering::Relaxed);
    }

    /// The sum so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one thread did; only that thread adds.
#[derive(Debug, Default)]
pub struct Counters {
    /// Rounds of the loop.
    pub turns: Count,
    /// Connections accepted.
    pub accepted: Count,
    /// Reads of sockets that brought something.
    pub reads: Count,
    /// How much they brought.
    pub read_bytes: Count,
    /// Writes to sockets.
    pub writes: Count,
    /// How much they took.
    pub written_bytes: Count,
    /// Inputs given to the core.
    pub inputs: Count,
    /// Actions it gave back.
    pub actions: Count,
    /// Envelopes and connections sent to other shards.
    pub parcels: Count,
    /// Batches of them.
    pub dispatches: Count,
    /// Stanzas in the envelopes, one for each address.
    pub crossed: Count,
    /// Connections given to other shards.
    pub moved: Count,
    /// Whether it has anything left to do, if it is to stop.
    pub rest: Rest,
}

/// The sums over all threads, as one line for the log.
#[derive(Debug)]
pub struct Totals {
    sums: Vec<(&'static str, u64)>,
}

impl Totals {
    /// `wakes` counts each thread's wake-ups by others.
    #[must_use]
    pub fn new<'a>(
        threads: impl Iterator<Item = &'a Counters> + Clone,
        wakes: u64,
        store: StoreCounters,
    ) -> Self {
        let sum = |of: fn(&Counters) -> &Count| threads.clone().map(|one| of(one).get()).sum();
        Self {
            sums: vec![
                ("turns", sum(|c| &c.turns)),
                ("accepted", sum(|c| &c.accepted)),
                ("reads", sum(|c| &c.reads)),
                ("read_bytes", sum(|c| &c.read_bytes)),
                ("writes", sum(|c| &c.writes)),
                ("written_bytes", sum(|c| &c.written_bytes)),
                ("inputs", sum(|c| &c.inputs)),
                ("actions", sum(|c| &c.actions)),
                ("parcels", sum(|c| &c.parcels)),
                ("dispatches", sum(|c| &c.dispatches)),
                ("crossed", sum(|c| &c.crossed)),
                ("moved", sum(|c| &c.moved)),
                ("wakes", wakes),
                ("commits", store.commits),
                ("batches", store.batches),
                ("store_reads", store.reads),
                ("loads", store.loads),
            ],
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("counters:")?;
        for (name, sum) in &self.sums {
            write!(f, " {name}={sum}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_all_threads_into_one_line() {
        let threads = [Counters::default(), Counters::default()];
        threads[0].reads.add(2);
        threads[1].reads.add(3);
        let line = Totals::new(threads.iter(), 7, StoreCounters::default()).to_string();
        assert!(line.contains(" reads=5 "), "{line}");
        assert!(line.contains(" wakes=7 "), "{line}");
    }
}
