//! The attributes of a start tag that is known to be valid.

use alloc::borrow::Cow;

use super::chars;
use crate::work;

/// Walks the attributes of one validated start tag without allocating.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    pub(super) rest: &'a [u8],
}

/// One attribute as it stands in the start tag.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// Qualified name: `to`, `xml:lang`, `xmlns:x`.
    pub name: &'a str,
    /// The value with its quotes, references not decoded: ready to be written again behind `name=`.
    pub quoted: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The value: references decoded, white space normalised (XML 1.0 §3.3.3).
    #[must_use]
    pub fn value(&self) -> Cow<'a, str> {
        chars::attribute_value(self.inside())
    }

    /// What stands between its quotes.
    pub(super) fn inside(&self) -> &'a [u8] {
        let inside = self.quoted.get(1..self.quoted.len().saturating_sub(1));
        inside.unwrap_or_default()
    }

    /// What this declares, if it is a declaration: the prefix, empty for the default namespace.
    pub(super) fn declares(&self) -> Option<&'a str> {
        match self.name.strip_prefix("xmlns")? {
            "" => Some(""),
            rest => rest.strip_prefix(':'),
        }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let rest = self.rest;
        let from = chars::skip_space(rest, 0);
        let name_end = name_end(rest, from);
        let equals = chars::skip_space(rest, name_end);
        let start = chars::skip_space(rest, equals + 1);
        let quote = *rest.get(start)?; // at the end of the tag there is none
        let len = memchr::memchr(quote, rest.get(start + 1..)?)?;
        let end = start + len + 2;
        work::step(start);
        work::glance(len);
        self.rest = rest.get(end..)?;
        Some(Attribute {
            name: core::str::from_utf8(rest.get(from..name_end)?).ok()?,
            quoted: rest.get(start..end)?,
        })
    }
}

/// The qualified name and the attributes of a validated tag, which begins with `<` and may go on behind its end.
pub(super) fn start_tag(tag: &[u8]) -> (&str, Attributes<'_>) {
    let end = name_end(tag, 1);
    let name = tag.get(1..end).unwrap_or_default();
    let rest = tag.get(end..tag_end(tag)).unwrap_or_default();
    let name = core::str::from_utf8(name).unwrap_or_default();
    (name, Attributes { rest })
}

/// Where the name that begins at `from` ends.
pub(super) fn name_end(tag: &[u8], from: usize) -> usize {
    let rest = tag.get(from..).unwrap_or_default();
    let len = rest.iter().position(|byte| !chars::is_name(*byte));
    from + len.unwrap_or(rest.len())
}

/// How long the validated tag is that begins with `<`: up to its `>`, which a quoted `>` is not.
pub(super) fn tag_end(tag: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let rest = tag.get(at..).unwrap_or_default();
        let Some(found) = memchr::memchr3(b'>', b'\'', b'"', rest) else {
            return tag.len();
        };
        at += found + 1;
        work::glance(found);
        let quote = match rest.get(found) {
            Some(quote @ (b'\'' | b'"')) => *quote,
            _ => return at,
        };
        let value = tag.get(at..).unwrap_or_default();
        let Some(closing) = memchr::memchr(quote, value) else {
            return tag.len();
        };
        at += closing + 1;
        work::glance(closing);
    }
}
