//! Chance for tests: a seed gives one sequence for ever (SplitMix64).

/// A sequence of random numbers. Not for secrets.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if there is none.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is left after the remainder fits"
    )]
    pub const fn below(&mut self, end: usize) -> usize {
        match self.roll().checked_rem(end as u64) {
            Some(number) => number as usize,
            None => 0,
        }
    }

    /// True in so many of a hundred cases.
    pub const fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}
