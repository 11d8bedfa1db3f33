//! Faults that tests plant, to see that the simulators find them. Where nothing is counted (the feature `counting`) there are none.

/// What is done wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// What a lost stream has not confirmed goes behind what waits, and not before it.
    ResentBehind,
    /// What nobody confirmed counts as arrived as soon as it is written.
    ConfirmedUnasked,
    /// What is said of a key is believed on whichever stream it comes.
    AnsweredAnywhere,
    /// A server that has proven one domain may speak for all.
    FromUnchecked,
    /// What a stream has not confirmed when it is lost is dropped.
    NotResent,
    /// A pair that has a way takes another one beside it, and goes on there.
    TwoWays,
    /// What is on disk goes from there when it is written to a stream, and not when it has arrived.
    ForgottenEarly,
}

#[cfg(any(test, feature = "counting"))]
mod plant {
    use core::cell::Cell;

    use super::Fault;

    std::thread_local! {
        static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// From now on this is done wrong on this thread, or nothing.
    pub fn plant(fault: Option<Fault>) {
        PLANTED.set(fault);
    }

    pub(crate) fn is_planted(fault: Fault) -> bool {
        PLANTED.get() == Some(fault)
    }
}

#[cfg(any(test, feature = "counting"))]
pub(crate) use plant::is_planted;
#[cfg(any(test, feature = "counting"))]
pub use plant::plant;

/// Whether it is.
#[cfg(not(any(test, feature = "counting")))]
#[inline(always)]
pub(crate) const fn is_planted(_: Fault) -> bool {
    false
}
