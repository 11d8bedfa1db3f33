//! Values of the syntax tree made into what an option holds, every fault noted with its line.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use spondee_core::jid::BareJid;
use spondee_core::limits::Network;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The faults of one file.
#[derive(Debug)]
pub(super) struct Faults<'a> {
    text: &'a str,
    /// Each with its line; 0 for those of the file as a whole.
    found: Vec<(usize, String)>,
}

impl<'a> Faults<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self {
            text,
            found: Vec::new(),
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

    /// `FILE:LINE: …` in the order of lines.
    pub(super) fn sentences(mut self, file: &dyn Display) -> Vec<String> {
        self.found.sort();
        self.found.dedup();
        let sentence = |(line, message)| match line {
            0 => format!("{file}: {message}"),
            line => format!("{file}:{line}: {message}"),
        };
        self.found.into_iter().map(sentence).collect()
    }
}

/// A table whose options are read one by one. What is missing or wrong is `None`; what is wrong is noted.
#[derive(Debug)]
pub(super) struct Section<'a, 't, 'f> {
    pub(super) table: &'a DeTable<'t>,
    pub(super) faults: &'a mut Faults<'f>,
}

impl Section<'_, '_, '_> {
    /// The option's value, by a reader that completes the sentence "`option` …" if it fails.
    pub(super) fn get<T>(
        &mut self,
        option: &str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.table.get(option)?;
        match read(value.get_ref()) {
            Ok(read) => Some(read),
            Err(wrong) => {
                self.faults.at(&value.span(), format!("`{option}` {wrong}"));
                None
            }
        }
    }

    /// The option's values. As in Prosody a single value is a list of one.
    pub(super) fn list<T>(
        &mut self,
        option: &str,
        read: impl Fn(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let value = self.table.get(option)?;
        let items: &[Spanned<DeValue<'_>>] = match value.get_ref().as_array() {
            Some(items) => items,
            None => std::slice::from_ref(value),
        };
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            match read(item.get_ref()) {
                Ok(item) => list.push(item),
                Err(wrong) => self.faults.at(&item.span(), format!("`{option}` {wrong}")),
            }
        }
        // A list with a hole would be something else than was meant.
        (list.len() == items.len()).then_some(list)
    }

    /// Where the option's value stands.
    pub(super) fn span(&self, option: &str) -> Range<usize> {
        self.table.get(option).map_or(0..0, Spanned::span)
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
pub(super) fn choice<T>(if_true: T, if_false: T) -> impl FnOnce(&DeValue<'_>) -> Result<T, String> {
    move |value| match value.as_bool() {
        Some(true) => Ok(if_true),
        Some(false) => Ok(if_false),
        None => Err(not("true or false", value)),
    }
}

/// One of several words.
pub(super) fn word<T: Copy>(words: &[(&str, T)]) -> impl FnOnce(&DeValue<'_>) -> Result<T, String> {
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
        words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, meaning)| *meaning)
            .ok_or_else(|| format!("must be one of {}, not \"{text}\"", all()))
    }
}

/// A whole number within bounds.
pub(super) fn number<T>(bounds: RangeInclusive<T>) -> impl Fn(&DeValue<'_>) -> Result<T, String>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    move |value| {
        let what = || format!("a whole number from {} to {}", bounds.start(), bounds.end());
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
) -> impl FnOnce(&DeValue<'_>) -> Result<Duration, String> {
    move |value| {
        let seconds = if let Some(integer) = value.as_integer() {
            u64::from_str_radix(integer.as_str(), integer.radix()).ok()
        } else if let Some(text) = value.as_str() {
            seconds(text)
        } else {
            return Err(not(PERIOD, value));
        };
        let period = Duration::from_secs(seconds.ok_or_else(|| format!("must be {PERIOD}"))?);
        if !bounds.contains(&period) {
            let (least, most) = (bounds.start().as_secs(), bounds.end().as_secs());
            return Err(format!("must be from {least} to {most} seconds"));
        }
        Ok(period)
    }
}

const PERIOD: &str = "a number of seconds, or text such as \"2 minutes\"";

/// `90`, `90 s`, `1 minute`, `2h`, `1 day`.
fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" | "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 60 * 60,
        "d" | "day" | "days" => 24 * 60 * 60,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// An address to listen on; `*` is all of IPv4, as in Prosody.
pub(super) fn interface(value: &DeValue<'_>) -> Result<IpAddr, String> {
    let text = value
        .as_str()
        .ok_or_else(|| not("a list of addresses in quotes", value))?;
    match text {
        "*" => Ok(Ipv4Addr::UNSPECIFIED.into()),
        "::" => Ok(Ipv6Addr::UNSPECIFIED.into()),
        text => text.parse().map_err(|_| {
            format!("holds \"{text}\", which is no IP address, nor \"*\" (all of IPv4) or \"::\" (all of IPv6)")
        }),
    }
}

/// Addresses that begin alike; one alone is a network too.
pub(super) fn network(value: &DeValue<'_>) -> Result<Network, String> {
    let text = value
        .as_str()
        .ok_or_else(|| not("a list of addresses or networks in quotes", value))?;
    text.parse().map_err(|_| {
        format!("holds \"{text}\", which is neither an IP address nor a network such as \"192.0.2.0/24\"")
    })
}

/// The address of an account.
pub(super) fn account(value: &DeValue<'_>) -> Result<BareJid, String> {
    let text = value.as_str().ok_or_else(|| {
        not(
            "a list of addresses in quotes, such as \"bot@example.org\"",
            value,
        )
    })?;
    BareJid::parse(text)
        .ok()
        .filter(|account| account.local().is_some())
        .ok_or_else(|| {
            format!("holds \"{text}\", which is no account's address such as \"bot@example.org\"")
        })
}

fn not(wanted: &str, value: &DeValue<'_>) -> String {
    let article = match value.type_str() {
        "integer" | "array" => "an",
        _ => "a",
    };
    format!("must be {wanted}, not {article} {}", value.type_str())
}

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
