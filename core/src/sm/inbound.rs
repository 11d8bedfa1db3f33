//! What became of the stanzas that a client sends: which of them are settled, and when it is told.
//!
//! XEP-0198 §4 has us say of a stanza that it is handled once we have "accepted responsibility" for it. Here that is when nothing of what it
//! brings about can be lost any more: it ends in *parts* (its own account's change, the sender's archive, the receiver's part, ...), each of
//! which is answered for once, and it is settled with the last of them. A client is told how many are settled of which all before
//! them are, too.

use alloc::collections::VecDeque;

use crate::limits::UNSETTLED_MAX;

/// The stanzas that came since stream management was enabled.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    /// How many were settled before the first that is not (XEP-0198 §4: "reset from 2^32-1 back to zero").
    settled: u32,
    /// Of each behind those, how many parts are outstanding.
    outstanding: VecDeque<u32>,
    reading: Reading,
    asked: Asked,
}

/// Whether there may be more.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Reading {
    #[default]
    On,
    /// Too many are not settled, until half of them are.
    HeldUp,
}

/// Whether the client waits to hear more than it was told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Asked {
    #[default]
    Nothing,
    /// It asked when so many had come.
    Upto(u32),
    /// The same, and there is something to tell it.
    Due(u32),
}

/// What the end of one part has brought about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Handled {
    /// No such part was outstanding, which cannot be.
    Stray,
    /// As many are settled as before.
    Waits,
    /// More are settled.
    Moved,
}

impl Inbound {
    /// Another stanza came: which it is, the first being 1. One part of it is outstanding, the call that it is handled in.
    pub(crate) fn begin(&mut self) -> u32 {
        self.outstanding.push_back(1);
        if self.unsettled() >= UNSETTLED_MAX {
            self.reading = Reading::HeldUp;
        }
        self.came()
    }

    /// So many more parts of a stanza are outstanding, one of which is already.
    pub(crate) fn expect(&mut self, number: u32, parts: u32) {
        if let Some(outstanding) = self.outstanding_of(number) {
            *outstanding = outstanding.saturating_add(parts);
        }
    }

    /// One part of a stanza is done.
    pub(crate) fn handled(&mut self, number: u32) -> Handled {
        let Some(outstanding) = self.outstanding_of(number).filter(|parts| **parts > 0) else {
            return Handled::Stray;
        };
        *outstanding = outstanding.saturating_sub(1);
        let before = self.settled;
        while self.outstanding.front() == Some(&0) {
            self.outstanding.pop_front();
            self.settled = self.settled.wrapping_add(1);
        }
        if before == self.settled {
            return Handled::Waits;
        }
        if self.unsettled() <= UNSETTLED_MAX / 2 {
            self.reading = Reading::On;
        }
        if self.outstanding.is_empty() && self.outstanding.capacity() > SPARE {
            // A session that rests takes no room for how much it once had to wait for.
            self.outstanding = VecDeque::new();
        }
        Handled::Moved
    }

    /// How many are settled, with all before them: the `h` of an answer.
    pub(crate) const fn h(&self) -> u32 {
        self.settled
    }

    /// Whether all that came is.
    pub(crate) fn is_settled(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// Whether so many are not that no more is to be read for now.
    pub(crate) fn holds_up(&self) -> bool {
        self.reading == Reading::HeldUp
    }

    /// The client asks. It is answered at once with what is settled (XEP-0198 §4: "MUST NOT be withheld"); if that is not all, it is
    /// told more when there is more.
    pub(crate) fn asked(&mut self) -> u32 {
        self.asked = match self.is_settled() {
            true => Asked::Nothing,
            false => Asked::Upto(self.came()),
        };
        self.settled
    }

    /// Whether the client is to be told that more is settled, and nobody has been asked yet to tell it.
    pub(crate) const fn falls_due(&mut self) -> bool {
        let Asked::Upto(came) = self.asked else {
            return false;
        };
        self.asked = Asked::Due(came);
        true
    }

    /// What it is told then, if it has not asked anew meanwhile.
    pub(crate) const fn tell(&mut self) -> Option<u32> {
        let Asked::Due(came) = self.asked else {
            return None;
        };
        // No more are under way than a small part of the numbers there are.
        self.asked = match came.wrapping_sub(self.settled).cast_signed() {
            ..=0 => Asked::Nothing,
            1.. => Asked::Upto(came),
        };
        Some(self.settled)
    }

    /// How many came.
    fn came(&self) -> u32 {
        let unsettled = u32::try_from(self.unsettled()).unwrap_or(u32::MAX);
        self.settled.wrapping_add(unsettled)
    }

    fn unsettled(&self) -> usize {
        self.outstanding.len()
    }

    fn outstanding_of(&mut self, number: u32) -> Option<&mut u32> {
        let behind = number.wrapping_sub(self.settled).wrapping_sub(1);
        self.outstanding.get_mut(usize::try_from(behind).ok()?)
    }
}

/// As many slots stay when all are empty.
const SPARE: usize = 16;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// So many are settled already.
    fn after(settled: u32) -> Inbound {
        Inbound {
            settled,
            ..Inbound::default()
        }
    }

    #[test]
    fn stanzas_are_counted_from_one_and_settled_in_any_order_but_said_in_theirs() {
        let mut inbound = Inbound::default();
        let numbers: Vec<u32> = (0..4).map(|_| inbound.begin()).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert_eq!(inbound.handled(3), Handled::Waits);
        assert_eq!(inbound.handled(2), Handled::Waits);
        assert_eq!(inbound.h(), 0);
        assert_eq!(inbound.handled(1), Handled::Moved);
        assert_eq!(inbound.h(), 3);
        assert!(!inbound.is_settled());
        assert_eq!(inbound.handled(4), Handled::Moved);
        assert_eq!((inbound.h(), inbound.is_settled()), (4, true));
    }

    #[test]
    fn a_stanza_is_settled_with_the_last_of_its_parts_and_no_part_is_done_twice() {
        let mut inbound = Inbound::default();
        let (first, second) = (inbound.begin(), inbound.begin());
        inbound.expect(first, 2);
        assert_eq!(inbound.handled(first), Handled::Waits);
        assert_eq!(inbound.handled(first), Handled::Waits);
        assert_eq!(inbound.handled(second), Handled::Waits);
        assert_eq!(inbound.handled(second), Handled::Stray);
        assert_eq!(inbound.handled(first), Handled::Moved);
        assert_eq!(inbound.h(), 2);
        for number in [first, second, 0, 3, u32::MAX] {
            assert_eq!(inbound.handled(number), Handled::Stray, "{number}");
        }
        assert_eq!(inbound.h(), 2);
    }

    /// XEP-0198 §4.
    #[test]
    fn the_count_goes_from_its_end_to_zero() {
        let mut inbound = after(u32::MAX - 1);
        let numbers: Vec<u32> = (0..3).map(|_| inbound.begin()).collect();
        assert_eq!(numbers, [u32::MAX, 0, 1]);
        assert_eq!(inbound.asked(), u32::MAX - 1);
        for (number, handled, settled) in [
            (0, Handled::Waits, u32::MAX - 1),
            (u32::MAX, Handled::Moved, 0),
            (1, Handled::Moved, 1),
        ] {
            assert_eq!(inbound.handled(number), handled);
            assert_eq!(inbound.h(), settled);
        }
        assert!(inbound.falls_due());
        assert_eq!(inbound.tell(), Some(1));
        assert!(!inbound.falls_due());
    }

    #[test]
    fn too_many_that_are_not_settled_hold_the_session_up_until_half_of_them_are() {
        let mut inbound = Inbound::default();
        for _ in 1..UNSETTLED_MAX {
            inbound.begin();
        }
        assert!(!inbound.holds_up());
        let last = inbound.begin();
        assert!(inbound.holds_up());
        for number in 2..=last {
            inbound.handled(number);
        }
        assert!(inbound.holds_up(), "the first is outstanding");
        inbound.handled(1);
        assert!(!inbound.holds_up());

        for _ in 0..UNSETTLED_MAX {
            inbound.begin();
        }
        let half = u32::try_from(UNSETTLED_MAX / 2).unwrap();
        for number in 1..half {
            inbound.handled(last + number);
        }
        assert!(inbound.holds_up());
        inbound.handled(last + half);
        assert!(!inbound.holds_up());
    }

    #[test]
    fn who_asks_is_answered_at_once_and_told_more_until_it_knows_of_all_that_had_come() {
        let mut inbound = Inbound::default();
        assert_eq!(inbound.asked(), 0);
        for _ in 0..3 {
            inbound.begin();
        }
        inbound.handled(1);
        assert!(!inbound.falls_due(), "nobody waits for that");
        assert_eq!(inbound.asked(), 1);
        inbound.begin();
        inbound.handled(2);
        assert!(inbound.falls_due());
        assert!(!inbound.falls_due(), "once is enough");
        assert_eq!(inbound.tell(), Some(2));
        assert_eq!(inbound.tell(), None);
        inbound.handled(3);
        assert!(inbound.falls_due());
        assert_eq!(inbound.tell(), Some(3));
        inbound.handled(4);
        assert!(!inbound.falls_due(), "that came behind the question");
        assert!(inbound.is_settled());
    }

    #[test]
    fn who_asks_anew_before_it_is_told_needs_not_be() {
        let mut inbound = Inbound::default();
        inbound.begin();
        inbound.asked();
        inbound.handled(1);
        assert!(inbound.falls_due());
        assert_eq!(inbound.asked(), 1);
        assert_eq!(inbound.tell(), None);
    }
}
