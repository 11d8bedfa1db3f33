//! How many connections the process holds. Descriptors belong to the process and connections move between threads, so this is
//! the one number that threads share: an atomic step at accept and at close, none in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

/// Counts connections up to a limit and rings when the last one is gone.
#[derive(Debug)]
pub struct Seats {
    taken: AtomicUsize,
    limit: usize,
    empty: Waker,
}

impl Seats {
    /// `empty` is woken whenever the last seat becomes free.
    #[must_use]
    pub const fn new(limit: usize, empty: Waker) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            limit,
            empty,
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
}
