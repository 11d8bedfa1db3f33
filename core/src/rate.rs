//! How fast a peer may send: a leaky bucket, kept as the moment at which it will be empty.

use core::time::Duration;

use crate::time::Instant;

/// So many bytes a second, and how far a peer may be ahead of that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// On the average.
    pub bytes_per_second: u32,
    /// What would take so long may come at once.
    pub burst: Duration,
}

impl Rate {
    /// How long so many bytes take.
    fn time_for(&self, bytes: usize) -> Duration {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let per_second = u64::from(self.bytes_per_second.max(1));
        Duration::from_micros(bytes.saturating_mul(1_000_000) / per_second)
    }
}

/// What one peer has sent of late.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Bucket {
    empty_at: Instant,
}

impl Bucket {
    /// So many bytes have come.
    pub(crate) fn pour(&mut self, now: Instant, rate: &Rate, bytes: usize) {
        self.empty_at = self.empty_at.max(now) + rate.time_for(bytes);
    }

    /// How long no more should come. What came at once beyond the burst is taken, and waited for.
    pub(crate) fn rest(&self, now: Instant, rate: &Rate) -> Duration {
        self.empty_at.since(now).saturating_sub(rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_what_goes_beyond_it_is_waited_for() {
        let rate = Rate {
            bytes_per_second: 1000,
            burst: Duration::from_secs(2),
        };
        let second = |n: u64| Instant(n * 1_000_000);
        let mut bucket = Bucket::default();
        bucket.pour(second(10), &rate, 2000);
        assert_eq!(bucket.rest(second(10), &rate), Duration::ZERO);
        bucket.pour(second(10), &rate, 3000);
        assert_eq!(bucket.rest(second(10), &rate), Duration::from_secs(3));
        assert_eq!(bucket.rest(second(13), &rate), Duration::ZERO);
        bucket.pour(second(13), &rate, 1);
        assert!(!bucket.rest(second(13), &rate).is_zero());
        // Who was silent has no more than the burst.
        bucket.pour(second(100), &rate, 3000);
        assert_eq!(bucket.rest(second(100), &rate), Duration::from_secs(1));
    }

    #[test]
    fn the_slowest_rate_and_the_most_bytes_end_in_a_long_rest() {
        let rate = Rate {
            bytes_per_second: 0,
            burst: Duration::ZERO,
        };
        let mut bucket = Bucket::default();
        bucket.pour(Instant(u64::MAX), &rate, usize::MAX);
        assert_eq!(bucket.rest(Instant(u64::MAX), &rate), Duration::ZERO);
        bucket.pour(Instant(0), &rate, usize::MAX);
        assert!(!bucket.rest(Instant(0), &rate).is_zero());
    }
}
