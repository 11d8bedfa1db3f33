//! How much reading is done, in steps and not in time: tests hold whatever comes to a bound that is the same on every machine.
//!
//! A step is a byte looked at, or an entry of a list; what the processor does with many bytes at once counts as one for sixteen.
//! Only tests count (the feature `counting`), each of their threads for itself.

/// Steps for one byte that came, at most: what no stanza exceeds.
pub const STEPS_PER_BYTE: u64 = 16;

/// Steps for one element of a stream on top of those for its bytes, at most: what its stream header adds.
pub const STEPS_PER_ELEMENT: u64 = 1024;

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Done {
    /// Steps.
    pub steps: u64,
    /// Top-level elements read to their ends.
    pub elements: u64,
}

impl Done {
    /// What was done since.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            steps: self.steps - before.steps,
            elements: self.elements - before.elements,
        }
    }

    /// Both.
    #[must_use]
    pub const fn and(self, more: Self) -> Self {
        Self {
            steps: self.steps + more.steps,
            elements: self.elements + more.elements,
        }
    }

    /// Whether that is no more than so many bytes may cost; they may end in the middle of an element.
    #[must_use]
    pub const fn is_worth(self, bytes: usize) -> bool {
        let elements = self.elements + 1;
        self.steps <= bytes as u64 * STEPS_PER_BYTE + elements * STEPS_PER_ELEMENT
    }
}

#[cfg(any(test, feature = "counting"))]
mod count {
    use core::cell::Cell;

    use super::Done;

    std::thread_local! {
        static DONE: Cell<Done> = const { Cell::new(Done { steps: 0, elements: 0 }) };
    }

    /// What this thread did so far.
    #[must_use]
    pub fn done() -> Done {
        DONE.get()
    }

    pub(crate) fn step(count: usize) {
        let mut done = DONE.get();
        done.steps += count as u64;
        DONE.set(done);
    }

    pub(crate) fn element() {
        let mut done = DONE.get();
        done.elements += 1;
        DONE.set(done);
    }
}

#[cfg(any(test, feature = "counting"))]
pub use count::done;
#[cfg(any(test, feature = "counting"))]
pub(crate) use count::{element, step};

/// What this thread did so far: nothing, where nothing is counted.
#[cfg(not(any(test, feature = "counting")))]
#[must_use]
pub const fn done() -> Done {
    Done {
        steps: 0,
        elements: 0,
    }
}

/// Counts steps.
#[cfg(not(any(test, feature = "counting")))]
#[inline(always)]
pub(crate) const fn step(_: usize) {}

/// Counts an element.
#[cfg(not(any(test, feature = "counting")))]
#[inline(always)]
pub(crate) const fn element() {}

/// Counts bytes of which many are looked at at once.
#[inline(always)]
pub(crate) fn glance(bytes: usize) {
    step(bytes / 16 + 1);
}
