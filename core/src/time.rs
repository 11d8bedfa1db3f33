//! Time as the core knows it: two numbers the shell hands in with each input.
//!
//! There is no clock here. A log of inputs carries its own time and so replays exactly.

use alloc::string::String;
use core::fmt::Write as _;
use core::ops::Add;
use core::time::Duration;

/// Microseconds since the server started; never goes back.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instant(pub u64);

/// Milliseconds since 1970-01-01T00:00:00Z, for stamps that leave the server.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixTime(pub i64);

/// The moment of an input, by both clocks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    /// For deadlines and intervals.
    pub mono: Instant,
    /// For stamps.
    pub wall: UnixTime,
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates: the end of time is never reached twice.
    fn add(self, wait: Duration) -> Self {
        let us = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(us))
    }
}

impl Instant {
    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl UnixTime {
    /// The XEP-0082 §3.2 form in UTC with milliseconds, as in `2026-11-22T03:00:00.000Z`.
    #[must_use]
    pub fn to_xep0082(self) -> String {
        let day_ms = 86_400_000;
        let (days, ms) = (self.0.div_euclid(day_ms), self.0.rem_euclid(day_ms));
        let (year, month, day) = civil_from_days(days);
        let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        let mut text = String::with_capacity(24);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:03}Z",
            ms % 1000
        );
        text
    }
}

/// Days since 1970-01-01 to year, month, day in the proleptic Gregorian calendar.
///
/// Counts in 400-year eras that begin on 1 March, so that the leap day is the last of its year.
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_dates_of_leap_years_and_before_the_epoch() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_316_645_678, "2026-11-22T03:04:05.678Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(UnixTime(ms).to_xep0082(), text);
        }
    }

    #[test]
    fn adding_to_the_end_of_time_saturates() {
        assert_eq!(
            Instant(u64::MAX) + Duration::from_secs(1),
            Instant(u64::MAX)
        );
        assert_eq!(Instant(1).since(Instant(5)), Duration::ZERO);
    }
}
