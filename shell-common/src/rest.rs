//! Whether threads that stop have anything left to do. What is on its way between them is nobody's, and counts, too: an envelope may bring
//! what is to be kept, or what a session waits for that ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What one thread tells of itself; only that thread writes.
#[derive(Debug, Default)]
pub struct Rest {
    sent: AtomicU64,
    taken: AtomicU64,
    rests: AtomicBool,
}

/// What is left to do for a thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Left {
    /// Nothing, unless something comes.
    Nothing,
    /// Something.
    Something,
}

impl Rest {
    /// Said before parcels leave: how many that makes in all.
    pub fn sends(&self, sent: u64) {
        self.sent.store(sent, Ordering::Release);
    }

    /// Said at the end of a turn: what is left to do, once all is dealt with that came up to now, which are so many parcels in all.
    pub fn ends_turn(&self, taken: u64, left: Left) {
        self.rests.store(left == Left::Nothing, Ordering::Release);
        self.taken.store(taken, Ordering::Release);
    }

    /// Whether nothing is left to do for any of them, and nothing is on its way between them.
    pub fn of_all<'a>(threads: impl Iterator<Item = &'a Self> + Clone) -> bool {
        // In this order: what had been sent when all was counted that was taken is less than what was sent at last. So if the two are
        // one number, nothing was on its way, and nothing was sent while it was looked at who rests.
        let taken: u64 = threads
            .clone()
            .map(|one| one.taken.load(Ordering::Acquire))
            .sum();
        let all_rest = threads.clone().all(|one| one.rests.load(Ordering::Acquire));
        let sent: u64 = threads.map(|one| one.sent.load(Ordering::Acquire)).sum();
        all_rest && taken == sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_rests_while_something_is_on_its_way() {
        let [one, other] = [Rest::default(), Rest::default()];
        let all = || Rest::of_all([&one, &other].into_iter());
        assert!(!all());
        one.ends_turn(0, Left::Nothing);
        other.ends_turn(0, Left::Nothing);
        assert!(all());
        one.sends(1);
        assert!(!all());
        other.ends_turn(1, Left::Something);
        assert!(!all());
        other.ends_turn(1, Left::Nothing);
        assert!(all());
    }
}
