//! Whether two samples are of one distribution, whatever that is: the rank-sum test of Mann and Whitney.

/// A sample, in ascending order.
#[derive(Clone, Debug)]
pub(super) struct Sorted(Vec<u64>);

impl Sorted {
    pub(super) fn of(mut sample: Vec<u64>) -> Self {
        sample.sort_unstable();
        Self(sample)
    }

    /// What so many of a thousand are below; 0 of an empty sample.
    pub(super) fn permille(&self, permille: usize) -> u64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * permille / 1000).copied().unwrap_or(0)
    }

    pub(super) fn median(&self) -> u64 {
        self.permille(500)
    }

    /// By how many standard deviations the ranks of this sample are above what they would be if both were of one distribution. With
    /// thousands of each it is normally distributed then, and beyond 4 once in 16,000 times.
    pub(super) fn z(&self, other: &Self) -> f64 {
        let (m, n) = (self.0.len() as f64, other.0.len() as f64);
        let all = m + n;
        // Both are walked through together; what is equal shares the mean of its ranks.
        let (mut i, mut k) = (0, 0);
        let (mut rank_sum, mut before, mut ties) = (0.0, 0.0, 0.0);
        while i < self.0.len() || k < other.0.len() {
            let next = match (self.0.get(i), other.0.get(k)) {
                (Some(mine), Some(theirs)) => *mine.min(theirs),
                (Some(one), None) | (None, Some(one)) => *one,
                (None, None) => break,
            };
            let equal = |values: &[u64]| values.iter().take_while(|value| **value == next).count();
            let (mine, theirs) = (equal(&self.0[i..]), equal(&other.0[k..]));
            let count = (mine + theirs) as f64;
            rank_sum += mine as f64 * (before + (count + 1.0) / 2.0);
            ties += count.powi(3) - count;
            before += count;
            i += mine;
            k += theirs;
        }
        let excess = rank_sum - m * (all + 1.0) / 2.0;
        let variance = m * n / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
        match variance > 0.0 {
            true => excess / variance.sqrt(),
            // All are equal, or there are none.
            false => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use spec_tests::dice::Dice;

    use super::*;

    fn near(value: f64, wanted: f64) {
        assert!((value - wanted).abs() < 1e-3, "{value} is not {wanted}");
    }

    #[test]
    fn ranks_are_summed_as_by_hand() {
        // Ranks 1, 2.5 and 4 of seven, where 12 is the mean of three and 8 the variance, less what the tie takes.
        let (a, b) = (Sorted::of(vec![3, 1, 2]), Sorted::of(vec![9, 7, 2, 8]));
        near(a.z(&b), (7.5 - 12.0) / 7.857_143_f64.sqrt());
        let a = Sorted::of(vec![10, 20, 40]);
        let b = Sorted::of(vec![30, 50, 60, 70]);
        near(a.z(&b), -5.0 / 8_f64.sqrt());
        near(b.z(&a), 5.0 / 8_f64.sqrt());
    }

    #[test]
    fn what_cannot_be_told_apart_is_not() {
        let same = Sorted::of(vec![5; 10]);
        near(same.z(&same.clone()), 0.0);
        near(Sorted::of(Vec::new()).z(&same), 0.0);
        assert_eq!(Sorted::of(Vec::new()).median(), 0);
        let mut dice = Dice::new(1);
        let mut draw = |more: u64| {
            let sample = (0..10_000).map(|_| 1000 + more + dice.roll() % 100);
            Sorted::of(sample.collect())
        };
        let (one, other, slower) = (draw(0), draw(0), draw(4));
        assert!(one.z(&other).abs() < 4.0, "{}", one.z(&other));
        assert!(slower.z(&one) > 8.0, "{}", slower.z(&one));
    }

    #[test]
    fn quantiles_are_members_of_the_sample() {
        let sample = Sorted::of((1..=101).rev().collect());
        assert_eq!(
            [50, 500, 950].map(|permille| sample.permille(permille)),
            [6, 51, 96]
        );
    }
}
