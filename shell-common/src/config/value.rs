//! Values of the syntax tree made into what an option holds, every fault noted with its line.

use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::time::Duration;

use spondee_core::options::{Expiry, Item, Number};
use toml::de::DeValue;

use super::syntax::Headers;
use super::{ConfigError, Rest, Settings};

/// The faults of one file.
#[derive(Debug)]
pub(super) struct Faults<'a> {
    text: &'a str,
    /// Each with its line; 0 for those of the file as a whole.
    found: Vec<(usize, String)>,
    /// Options whose value is not known: they are at their defaults, and nothing may be concluded from that.
    doubtful: Vec<String>,
    names: Names,
    headers: Headers,
}

/// Whether all names of options are such.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Names {
    Known,
    /// One or more are not: any option that is not there may be meant by them.
    Doubtful,
    /// Lines are missing, too.
    Missing,
}

impl<'a> Faults<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self {
            text,
            found: Vec::new(),
            doubtful: Vec::new(),
            names: Names::Known,
            headers: Headers::Whole,
        }
    }

    /// A fault at these bytes of the text.
    pub(super) fn at(&mut self, span: &Range<usize>, message: String) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        self.found.push((line, message));
    }

    /// A fault of the file as a whole.
    pub(super) fn whole(&mut self, message: String) {
        self.found.push((0, message));
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// There is a name that is no option's.
    pub(super) fn doubt_names(&mut self) {
        if self.names == Names::Known {
            self.names = Names::Doubtful;
        }
    }

    /// Lines have been left out of the text.
    pub(super) const fn miss(&mut self, headers: Headers) {
        self.names = Names::Missing;
        self.headers = headers;
    }

    /// This option's value is not known.
    pub(super) fn doubt(&mut self, option: &str) {
        if !self.doubtful.iter().any(|other| other == option) {
            self.doubtful.push(option.to_owned());
        }
    }

    /// Whether every name is an option's.
    pub(super) fn has_known_names(&self) -> bool {
        self.names == Names::Known
    }

    /// Whether an option holds what the file says.
    pub(super) fn trusts(&self, option: &str) -> bool {
        self.names != Names::Missing && !self.doubtful.iter().any(|other| other == option)
    }

    /// A section that is not a host's may be meant for one.
    pub(super) const fn miss_host(&mut self) {
        self.headers = Headers::Missing;
    }

    /// Whether every section that is there could be read.
    pub(super) fn has_all_sections(&self) -> bool {
        self.headers == Headers::Whole
    }

    /// Takes those of another text with the same lines.
    pub(super) fn merge(&mut self, other: Faults<'_>) {
        self.found.extend(other.found);
    }

    /// What can be worked with in spite of these faults.
    pub(super) fn rest(&self, settings: Settings) -> Rest {
        Rest {
            settings,
            doubtful: self.doubtful.clone(),
        }
    }

    /// `FILE:LINE: …` in the order of lines.
    pub(super) fn into_error(mut self, file: &Path, rest: Option<Rest>) -> ConfigError {
        self.found.sort();
        self.found.dedup();
        let file = file.display();
        let sentence = |(line, message)| match line {
            0 => format!("{file}: {message}"),
            line => format!("{file}:{line}: {message}"),
        };
        ConfigError {
            faults: self.found.into_iter().map(sentence).collect(),
            rest: rest.map(Box::new),
        }
    }
}

pub(super) fn text(value: &DeValue<'_>) -> Result<String, String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| not("text in quotes", value))
}

/// Text that is not empty, for paths.
pub(super) fn path(value: &DeValue<'_>) -> Result<String, String> {
    let path = text(value)?;
    if path.is_empty() {
        return Err("must not be empty".to_owned());
    }
    Ok(path)
}

/// One of two things, told by `true` and `false`.
pub(super) fn choice<T: Copy>(
    if_true: T,
    if_false: T,
) -> impl Fn(&DeValue<'_>) -> Result<T, String> {
    move |value| match value.as_bool() {
        Some(true) => Ok(if_true),
        Some(false) => Ok(if_false),
        None => Err(not(TRUTH, value)),
    }
}

/// One of several words, and none of these others, each with what there is to say of it.
pub(super) fn word<T: Copy>(
    words: &[(&str, T)],
    others: &[(&str, &str)],
) -> impl Fn(&DeValue<'_>) -> Result<T, String> {
    move |value| {
        let all = || {
            let quoted: Vec<_> = words
                .iter()
                .map(|(word, _)| format!("\"{word}\""))
                .collect();
            quoted.join(", ")
        };
        let Some(text) = value.as_str() else {
            return Err(not(&format!("one of {}", all()), value));
        };
        if let Some((other, why)) = others.iter().find(|(other, _)| *other == text) {
            return Err(format!("cannot be \"{other}\": {why}"));
        }
        words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, meaning)| *meaning)
            .ok_or_else(|| {
                let lower = text.to_ascii_lowercase();
                let near = words.iter().find(|(word, _)| *word == lower);
                let near = near.map(|(word, _)| format!("; did you mean \"{word}\"?"));
                let near = near.unwrap_or_default();
                format!("must be one of {}, not \"{text}\"{near}", all())
            })
    }
}

/// A whole number within bounds.
pub(super) fn number<T: Number>(
    bounds: RangeInclusive<T>,
) -> impl Fn(&DeValue<'_>) -> Result<T, String> {
    move |value| {
        let what = || format!("{WHOLE_NUMBER} from {} to {}", bounds.start(), bounds.end());
        let Some(integer) = value.as_integer() else {
            return Err(not(&what(), value));
        };
        i64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| format!("must be {}, not {}", what(), integer.as_str()))
    }
}

/// Prosody's periods: a number of seconds, or text such as `"2 minutes"`.
pub(super) fn period(
    bounds: RangeInclusive<Duration>,
) -> impl Fn(&DeValue<'_>) -> Result<Duration, String> {
    move |value| within(&bounds, PERIOD, value)
}

/// The same, or that there is no end. `Choice:` unlike in Prosody that is not `false`, which reads like the opposite.
pub(super) fn expiry(
    bounds: RangeInclusive<Duration>,
) -> impl Fn(&DeValue<'_>) -> Result<Expiry, String> {
    move |value| match value.as_str() {
        Some(text) if text.trim() == NEVER => Ok(Expiry::Never),
        Some(text) if is_ambiguous(text) => Err(AMBIGUOUS.to_owned()),
        Some(_) | None => within(&bounds, EXPIRY, value).map(Expiry::After),
    }
}

fn within(
    bounds: &RangeInclusive<Duration>,
    wanted: &str,
    value: &DeValue<'_>,
) -> Result<Duration, String> {
    let seconds = if let Some(integer) = value.as_integer() {
        u64::from_str_radix(integer.as_str(), integer.radix()).ok()
    } else if let Some(text) = value.as_str() {
        seconds(text)
    } else {
        return Err(not(wanted, value));
    };
    let period = Duration::from_secs(seconds.ok_or_else(|| format!("must be {wanted}"))?);
    if !bounds.contains(&period) {
        let (least, most) = (bounds.start().as_secs(), bounds.end().as_secs());
        return Err(format!("must be from {least} to {most} seconds"));
    }
    Ok(period)
}

/// Whether it is a number with `m`: minutes, but for Prosody's archives months. What is deleted too soon is gone.
pub(crate) fn is_ambiguous(text: &str) -> bool {
    let text = text.trim();
    let number = text.trim_end_matches(char::is_alphabetic);
    text.get(number.len()..) == Some("m")
}

/// What is said of it.
pub(crate) const AMBIGUOUS: &str = "may be minutes or months: write \"min\" or \"months\"";

/// What has no end.
pub(super) const NEVER: &str = "never";

const PERIOD: &str = "a number of seconds, or text such as \"2 minutes\"";
const EXPIRY: &str = "a number of seconds, or text such as \"2 minutes\", or \"never\"";

const DAY: u64 = 24 * 60 * 60;

/// `90`, `90 s`, `1 minute`, `2h`, `1 day`, `1w`, `6 months`, `1 year`. Nobody gets less than a month or a year that is meant.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" | "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 60 * 60,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => 7 * DAY,
        "month" | "months" => 31 * DAY,
        "y" | "year" | "years" => 365 * DAY,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// One of the things in a list.
pub(super) fn item<T: Item>(value: &DeValue<'_>) -> Result<T, String> {
    let text = value.as_str().ok_or_else(|| not(T::WANTED, value))?;
    T::read(text).ok_or_else(|| format!("holds \"{text}\", which is {}", T::NONE))
}

/// Completes "`option` …".
pub(super) fn not(wanted: &str, value: &DeValue<'_>) -> String {
    let article = match value.type_str() {
        "integer" | "array" => "an",
        _ => "a",
    };
    let meant = value
        .as_str()
        .and_then(|text| meant(wanted, text.trim()))
        .map(|meant| format!("; write {meant}, without quotes"));
    format!(
        "must be {wanted}, not {article} {}{}",
        value.type_str(),
        meant.unwrap_or_default()
    )
}

/// What somebody meant who put into quotes what has none.
fn meant(wanted: &str, text: &str) -> Option<String> {
    match wanted {
        TRUTH => truth(text).map(|meant| meant.to_string()),
        _ if wanted.starts_with(WHOLE_NUMBER) => text.parse::<u64>().ok().map(|n| n.to_string()),
        _ => None,
    }
}

/// What stands for true or false in other languages.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

const TRUTH: &str = "true or false";
const WHOLE_NUMBER: &str = "a whole number";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_periods_as_prosody_writes_them() {
        for (text, expected) in [
            ("90", Some(90)),
            ("1 minute", Some(60)),
            ("5 minutes", Some(300)),
            ("2h", Some(7200)),
            ("1 day", Some(86_400)),
            ("1w", Some(604_800)),
            ("2 weeks", Some(1_209_600)),
            ("1 month", Some(2_678_400)),
            ("1y", Some(31_536_000)),
            ("2 years", Some(63_072_000)),
            // In Prosody's archive that is a month; elsewhere in it, a minute.
            ("1m", Some(60)),
            ("30 s", Some(30)),
            ("", None),
            ("minute", None),
            ("1 fortnight", None),
            ("-1", None),
            ("1.5 minutes", None),
            ("99999999999999999999", None),
            ("18446744073709551615 days", None),
        ] {
            assert_eq!(seconds(text), expected, "{text:?}");
        }
    }
}
