//! How many connections the process holds. Descriptors belong to the process and connections move between threads, so this is
//! the one number that threads share: an atomic step at accept and at close, none in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use spondee_core::time::Instant;

/// Counts connections up to a limit and rings when the last one is gone.
#[derive(Debug)]
pub struct Seats {
    taken: AtomicUsize,
    limit: usize,
    empty: Waker,
    /// When a thread may next complain that there are none left, in the core's microseconds.
    complain_at: AtomicU64,
}

impl Seats {
    /// `empty` is woken whenever the last seat becomes free.
    #[must_use]
    pub const fn new(limit: usize, empty: Waker) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            limit,
            empty,
            complain_at: AtomicU64::new(0),
        }
    }

    /// A seat, if there is one left.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Option<Seat> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        // Given back by the drop if it is one too many.
        let seat = Seat(Arc::clone(self));
        (before < self.limit).then_some(seat)
    }

    /// Whether a log line about a lack of seats is due: one a second, whichever thread writes it.
    pub fn may_complain(&self, now: Instant) -> bool {
        let next = now + Duration::from_secs(1);
        let due = |at| (at <= now.0).then_some(next.0);
        self.complain_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, due)
            .is_ok()
    }

    /// Whether there are no connections.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.load(Ordering::Acquire) == 0
    }
}

/// One connection's seat, free again when dropped.
#[derive(Debug)]
pub struct Seat(Arc<Seats>);

impl Drop for Seat {
    fn drop(&mut self) {
        if self.0.taken.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.empty.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_too_many_is_refused_and_a_dropped_one_is_free_again() {
        let seats = Arc::new(Seats::new(1, Waker::noop().clone()));
        let seat = seats.take();
        assert!(seat.is_some());
        assert!(seats.take().is_none());
        drop(seat);
        assert!(seats.is_empty());
        assert!(seats.take().is_some());
    }

    #[test]
    fn complaints_are_a_second_apart() {
        let seats = Seats::new(0, Waker::noop().clone());
        let said: Vec<bool> = [5, 999_999, 1_000_004, 1_000_005, 9_000_000]
            .into_iter()
            .map(|at| seats.may_complain(Instant(at)))
            .collect();
        assert_eq!(said, [true, false, false, true, true]);
    }
}
