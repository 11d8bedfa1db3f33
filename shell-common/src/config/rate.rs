//! `limits`: how fast connections may send, in the words of Prosody's mod_limits.

use std::time::Duration;

use spondee_core::rate::Rate;
use toml::Spanned;
use toml::de::DeValue;

use super::reader::Wrongs;
use super::value::{period, text};
use crate::limits::{RATE, RATE_BURST};

/// As in Prosody.
const DEFAULT_BURST: Duration = Duration::from_secs(2);

/// What the option says of connections of these kinds, each with who they are; `None` where it says nothing, or something wrong.
pub(super) fn read<const N: usize>(
    option: &str,
    wanted: &[(&'static str, &'static str); N],
    value: &Spanned<DeValue<'_>>,
    wrongs: &mut Wrongs,
) -> Option<[Option<Rate>; N]> {
    let Some(kinds) = value.get_ref().as_table() else {
        let first = wanted.first().map_or("", |(name, _)| name);
        let wrong = format!(
            "`{option}` must name a kind of connection: {option} = {{ {first} = {{ rate = \"10kb/s\", burst = \"2s\" }} }}"
        );
        wrongs.push((value.span(), wrong));
        return None;
    };
    let mut found = [None; N];
    for (kind, value) in kinds {
        let name = kind.get_ref().as_ref();
        let place = wanted.iter().position(|(wanted, _)| *wanted == name);
        match place.and_then(|at| found.get_mut(at)) {
            Some(place) => *place = one(&format!("{option}.{name}"), value, wrongs),
            None => {
                let what = match name {
                    "s2sout" | "component" => "there is no limit on such connections",
                    _ => "there is no such kind of connection",
                };
                let known: Vec<String> = wanted
                    .iter()
                    .map(|(name, whose)| format!("`{name}` ({whose})"))
                    .collect();
                let wrong = format!(
                    "`{option}.{name}`: {what}; there are {}",
                    known.join(" and ")
                );
                wrongs.push((kind.span(), wrong));
            }
        }
    }
    Some(found)
}

fn one(name: &str, value: &Spanned<DeValue<'_>>, wrongs: &mut Wrongs) -> Option<Rate> {
    let Some(table) = value.get_ref().as_table() else {
        let wrong = format!("`{name}` must be {{ rate = \"10kb/s\", burst = \"2s\" }}");
        wrongs.push((value.span(), wrong));
        return None;
    };
    for (key, _) in table {
        if !matches!(key.get_ref().as_ref(), "rate" | "burst") {
            let wrong = format!(
                "there is no option `{name}.{}`; there are `rate` and `burst`",
                key.get_ref()
            );
            wrongs.push((key.span(), wrong));
        }
    }
    let Some(rate) = table.get("rate") else {
        let wrong = format!("`{name}` has no `rate`, such as rate = \"10kb/s\"");
        wrongs.push((value.span(), wrong));
        return None;
    };
    let bytes_per_second = match bytes_per_second(rate.get_ref()) {
        Ok(bytes) => Some(bytes),
        Err(wrong) => {
            wrongs.push((rate.span(), format!("`{name}.rate` {wrong}")));
            None
        }
    };
    let burst = match table.get("burst") {
        None => Some(DEFAULT_BURST),
        Some(burst) => match period(RATE_BURST)(burst.get_ref()) {
            Ok(burst) => Some(burst),
            Err(wrong) => {
                wrongs.push((burst.span(), format!("`{name}.burst` {wrong}")));
                None
            }
        },
    };
    Some(Rate {
        bytes_per_second: bytes_per_second?,
        burst: burst?,
    })
}

fn bytes_per_second(value: &DeValue<'_>) -> Result<u32, String> {
    let text = text(value)?;
    let bytes = parse(&text).ok_or_else(|| {
        format!("must be a number of bytes per second such as \"10kb/s\", not \"{text}\"")
    })?;
    let bytes = u32::try_from(bytes)
        .ok()
        .filter(|bytes| RATE.contains(bytes));
    bytes.ok_or_else(|| {
        format!(
            "must be from {} to {} bytes per second, not \"{text}\"",
            RATE.start(),
            RATE.end()
        )
    })
}

/// `3000b/s`, `10kb/s`, `1 MB/s`. A k is a thousand, as in Prosody.
fn parse(text: &str) -> Option<u64> {
    let text = text.trim().strip_suffix("/s")?;
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "b" | "byte" | "bytes" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rates_as_prosody_writes_them() {
        for (text, expected) in [
            ("3000b/s", Some(3000)),
            ("10kb/s", Some(10_000)),
            ("10 kb/s", Some(10_000)),
            ("1MB/s", Some(1_000_000)),
            ("2g/s", Some(2_000_000_000)),
            ("10kb", None),
            ("kb/s", None),
            ("10/s", None),
            ("10 furlongs/s", None),
            ("-1kb/s", None),
            ("99999999999999999999kb/s", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
