//! How many connections the process holds. Descriptors belong to the process and connections move between threads, so this is
//! the one number that threads share: an atomic step at accept and at close, none in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mio::Waker;

/// Counts connections up to a limit and rings when the last one is gone.
#[derive(Debug)]
pub(crate) struct Seats {
    taken: AtomicUsize,
    limit: usize,
    empty: Arc<Waker>,
}

impl Seats {
    /// `empty` is woken whenever the last seat becomes free.
    pub(crate) const fn new(limit: usize, empty: Arc<Waker>) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            limit,
            empty,
        }
    }

    /// A seat, if there is one left.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Seat> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        // Given back by the drop if it is one too many.
        let seat = Seat(Arc::clone(self));
        (before < self.limit).then_some(seat)
    }

    /// Whether there are no connections.
    pub(crate) fn is_empty(&self) -> bool {
        self.taken.load(Ordering::Acquire) == 0
    }
}

/// One connection's seat, free again when dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Seats>);

impl Drop for Seat {
    fn drop(&mut self) {
        if self.0.taken.fetch_sub(1, Ordering::AcqRel) == 1 {
            // A poller that cannot be woken is about to end; its deadline does the rest.
            let _ = self.0.empty.wake();
        }
    }
}
