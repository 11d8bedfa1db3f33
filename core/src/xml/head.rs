//! The attributes of a start tag that is known to be valid.

use alloc::borrow::Cow;

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
        todo!()
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        todo!()
    }
}
