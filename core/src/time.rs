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

/// The same with microseconds, as in `2026-11-22T03:00:00.000000Z`: of a time in microseconds since 1970-01-01T00:00:00Z.
#[must_use]
pub fn to_xep0082(us: i64) -> String {
    let mut text = UnixTime(us.div_euclid(1000)).to_xep0082();
    text.pop();
    // Writing to a String cannot fail.
    let _ = write!(text, "{:03}Z", us.rem_euclid(1000));
    text
}

/// Reads a date and time of XEP-0082 §3.2: microseconds since 1970-01-01T00:00:00Z. What is finer is cut off.
#[must_use]
pub fn parse_xep0082(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let (year, rest) = date.rsplit_once('-')?.0.rsplit_once('-')?;
    let day = date.rsplit_once('-')?.1;
    let negative = year.strip_prefix('-');
    let digits = negative.unwrap_or(year);
    if digits.len() < 4 || digits.len() > 5 {
        return None;
    }
    let year = number(digits)? * if negative.is_some() { -1 } else { 1 };
    let (month, day) = (two(rest)?, two(day)?);
    let (clock, offset) = match time.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => {
            let at = time.rfind(['+', '-'])?;
            let (clock, zone) = (time.get(..at)?, time.get(at..)?);
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let (hours, minutes) = (two(hours)?, two(minutes)?);
            if hours > 14 || minutes > 59 {
                return None;
            }
            let ahead = hours * 60 + minutes;
            (clock, if zone.starts_with('-') { -ahead } else { ahead })
        }
    };
    let (clock, fraction) = clock
        .split_once('.')
        .map_or((clock, None), |(c, f)| (c, Some(f)));
    let mut parts = clock.splitn(3, ':');
    let (hour, minute, second) = (
        two(parts.next()?)?,
        two(parts.next()?)?,
        two(parts.next()?)?,
    );
    let days = days_from_civil(year, month, day);
    if civil_from_days(days) != (year, month, day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = ((days * 24 + hour) * 60 + minute - offset) * 60 + second;
    let us = fraction.map_or(Some(0), microseconds)?;
    Some(seconds * 1_000_000 + us)
}

/// Of the digits behind a point.
fn microseconds(digits: &str) -> Option<i64> {
    let (mut us, mut step) = (0, 100_000);
    for digit in digits.bytes() {
        if !digit.is_ascii_digit() {
            return None;
        }
        us += i64::from(digit - b'0') * step;
        step /= 10;
    }
    (!digits.is_empty()).then_some(us)
}

fn two(text: &str) -> Option<i64> {
    (text.len() == 2).then(|| number(text))?
}

fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// The inverse of `civil_from_days`. A month or day out of range comes back as another.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9).rem_euclid(12);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
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
    fn reads_what_it_writes_and_other_ways_to_say_the_same() {
        let us = 1_795_316_645_678_901;
        let text = to_xep0082(us);
        assert_eq!(text, "2026-11-22T03:04:05.678901Z");
        assert_eq!(parse_xep0082(&text), Some(us));
        let second = us - 678_901;
        for (text, read) in [
            ("2026-11-22T03:04:05Z", second),
            ("2026-11-22T03:04:05.6Z", second + 600_000),
            ("2026-11-22T05:34:05+02:30", second),
            ("2026-11-21T22:04:05-05:00", second),
            ("2026-11-22T03:04:05.678901234Z", us),
            ("1969-12-31T23:59:59.999999Z", -1),
        ] {
            assert_eq!(parse_xep0082(text), Some(read), "{text}");
        }
        assert_eq!(to_xep0082(-1), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn what_is_no_date_and_time_is_not_read() {
        for text in [
            "",
            "T",
            "2026-11-22",
            "2026-11-22T03:04:05",
            "2026-02-30T03:04:05Z",
            "2026-13-01T03:04:05Z",
            "2026-11-22T24:04:05Z",
            "2026-11-22T03:04:05.Z",
            "2026-11-22T03:04:05.1xZ",
            "2026-11-22T3:04:05Z",
            "2026-11-22T03:04:05+0230",
            "20261122T03:04:05",
            "2026-11-22T03:04:+5Z",
            "99999999-11-22T03:04:05Z",
        ] {
            assert_eq!(parse_xep0082(text), None, "{text}");
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
