//! `limits`: how fast connections may send, in the words of Prosody's mod_limits.

use std::borrow::Cow;
use std::time::Duration;

use spondee_core::rate::Rate;
use toml::Spanned;
use toml::de::DeValue;

use super::value::{Section, period, text};
use crate::limits::{RATE, RATE_BURST};

/// The option of the whole server.
const OPTION: &str = "limits";

/// As in Prosody.
const DEFAULT_BURST: Duration = Duration::from_secs(2);

/// What `limits` says of clients; `None` where it says nothing or something wrong, which is noted.
pub(super) fn c2s(section: &mut Section<'_, '_, '_>) -> Option<Rate> {
    let value = section.table.get(OPTION)?;
    let Some(kinds) = value.get_ref().as_table() else {
        let fault = format!(
            "`{OPTION}` must name a kind of connection: {OPTION} = {{ c2s = {{ rate = \"10kb/s\", burst = \"2s\" }} }}"
        );
        section.faults.at(&value.span(), fault);
        return None;
    };
    let mut found = None;
    for (kind, value) in kinds {
        match kind.get_ref().as_ref() {
            "c2s" => found = one(section, kind, value),
            other => {
                let what = match other {
                    "s2sin" | "s2sout" | "component" => "there are no such connections yet",
                    _ => "there is no such kind of connection",
                };
                let fault = format!("`{OPTION}.{other}`: {what}; `c2s` are those of clients");
                section.faults.at(&kind.span(), fault);
            }
        }
    }
    found
}

fn one(
    section: &mut Section<'_, '_, '_>,
    kind: &Spanned<Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
) -> Option<Rate> {
    let name = format!("{OPTION}.{}", kind.get_ref());
    let Some(table) = value.get_ref().as_table() else {
        let fault = format!("`{name}` must be {{ rate = \"10kb/s\", burst = \"2s\" }}");
        section.faults.at(&value.span(), fault);
        return None;
    };
    for (key, _) in table {
        if !matches!(key.get_ref().as_ref(), "rate" | "burst") {
            let fault = format!(
                "there is no option `{name}.{}`; there are `rate` and `burst`",
                key.get_ref()
            );
            section.faults.at(&key.span(), fault);
        }
    }
    let Some(rate) = table.get("rate") else {
        let fault = format!("`{name}` has no `rate`, such as rate = \"10kb/s\"");
        section.faults.at(&value.span(), fault);
        return None;
    };
    let bytes_per_second = match bytes_per_second(rate.get_ref()) {
        Ok(bytes) => Some(bytes),
        Err(wrong) => {
            let fault = format!("`{name}.rate` {wrong}");
            section.faults.at(&rate.span(), fault);
            None
        }
    };
    let burst = match table.get("burst") {
        None => Some(DEFAULT_BURST),
        Some(burst) => match period(RATE_BURST)(burst.get_ref()) {
            Ok(burst) => Some(burst),
            Err(wrong) => {
                let fault = format!("`{name}.burst` {wrong}");
                section.faults.at(&burst.span(), fault);
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
