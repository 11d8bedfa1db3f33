//! Who of an account's sessions has what, of messages that several of them were told: what one has acknowledged need not be told again when
//! another is over that never did.

use alloc::collections::BTreeMap;

/// Messages by number: of each, how many sessions hold it that have not acknowledged it.
#[derive(Debug, Default)]
pub(super) struct Holders {
    last: u64,
    of: BTreeMap<u64, Holding>,
}

/// See `Holders`.
#[derive(Debug)]
enum Holding {
    /// Nobody has acknowledged it; so many may.
    By(u32),
    /// Somebody has; so many more may.
    Had(u32),
}

impl Holders {
    pub(super) const fn new() -> Self {
        Self {
            last: 0,
            of: BTreeMap::new(),
        }
    }

    /// Whether none was ever numbered: numbers are not given out again.
    pub(super) const fn is_unused(&self) -> bool {
        self.last == 0
    }

    /// A number for another message.
    pub(super) const fn next(&mut self) -> u64 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    /// One more session holds it.
    pub(super) fn add(&mut self, number: u64) {
        let (Holding::By(count) | Holding::Had(count)) =
            self.of.entry(number).or_insert(Holding::By(0));
        *count = count.saturating_add(1);
    }

    /// One of them has acknowledged it.
    pub(super) fn acked(&mut self, number: u64) {
        if let Some(holding) = self.of.get_mut(&number) {
            let (Holding::By(count) | Holding::Had(count)) = *holding;
            *holding = Holding::Had(count.saturating_sub(1));
            if count <= 1 {
                self.of.remove(&number);
            }
        }
    }

    /// One of them is over, and never did. Whether nobody else has it, nor holds it.
    pub(super) fn lost(&mut self, number: u64) -> bool {
        let Some(holding) = self.of.get_mut(&number) else {
            return false;
        };
        let (Holding::By(count) | Holding::Had(count)) = holding;
        *count = count.saturating_sub(1);
        if *count > 0 {
            return false;
        }
        matches!(self.of.remove(&number), Some(Holding::By(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(count: u32) -> (Holders, u64) {
        let mut holders = Holders::default();
        let number = holders.next();
        for _ in 0..count {
            holders.add(number);
        }
        (holders, number)
    }

    #[test]
    fn what_one_has_acknowledged_is_not_lost_with_another() {
        let (mut holders, number) = told(2);
        holders.acked(number);
        assert!(!holders.lost(number));
        assert!(holders.of.is_empty());
    }

    #[test]
    fn what_nobody_has_acknowledged_is_lost_with_the_last() {
        let (mut holders, number) = told(3);
        assert!(!holders.lost(number));
        assert!(!holders.lost(number));
        assert!(holders.lost(number));
        assert!(holders.of.is_empty());
    }

    #[test]
    fn what_all_have_acknowledged_is_forgotten() {
        let (mut holders, number) = told(2);
        holders.acked(number);
        holders.acked(number);
        assert!(holders.of.is_empty());
        assert!(!holders.lost(number));
    }
}
