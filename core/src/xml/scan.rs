//! The scanner: bytes of a stream in any cut, complete top-level items out.
//!
//! Looks at each byte once, keeps only the tail of an unfinished item, and gives its memory back when the tail is empty.

use alloc::string::String;

use super::{Element, Ns};
use crate::limits::Limits;

/// The bounds of one scanner; exceeding one is an error at the byte that exceeds it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ScanLimits {
    /// Bytes of one top-level item, white space before it included.
    pub element_bytes: u32,
    /// Elements open at a time, the top-level one counted.
    pub depth: u16,
    /// Attributes of one element, declarations not counted.
    pub attributes: u16,
    /// Namespace declarations of one element.
    pub declarations: u16,
    /// Bytes of one qualified name.
    pub name_bytes: u16,
    /// Elements of one top-level item.
    pub elements: u32,
}

impl ScanLimits {
    /// What a peer may send before it is authenticated.
    #[must_use]
    pub const fn unauthenticated(limits: &Limits) -> Self {
        Self {
            element_bytes: limits.unauthenticated_element_bytes,
            depth: limits.unauthenticated_depth,
            ..Self::client(limits)
        }
    }

    /// What an authenticated client may send.
    #[must_use]
    pub const fn client(limits: &Limits) -> Self {
        Self {
            element_bytes: limits.c2s_stanza_bytes,
            depth: limits.depth,
            attributes: limits.attributes,
            declarations: limits.declarations,
            name_bytes: limits.name_bytes,
            elements: limits.elements,
        }
    }
}

/// One item of a stream.
#[derive(Clone, Debug)]
pub enum Token {
    /// The opening tag of the stream, an XML declaration before it included.
    Header(Header),
    /// A complete child of the stream.
    Element(Element),
    /// The closing tag of the stream. Nothing is scanned behind it.
    End,
}

/// The opening tag of a stream. Attribute values are decoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// Local name of the root: must be `stream` to be one.
    pub name: String,
    /// Namespace of the root.
    pub ns: Ns,
    /// The default namespace in force for children, `Ns::None` if there is none.
    pub content: Ns,
    /// `to`, as written.
    pub to: Option<String>,
    /// `from`, as written.
    pub from: Option<String>,
    /// `id`, as written.
    pub id: Option<String>,
    /// `version`, as written.
    pub version: Option<String>,
    /// `xml:lang`, as written.
    pub lang: Option<String>,
}

/// Why the bytes are not an XMPP stream. One variant for each rule; the stream maps them to its conditions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum XmlError {
    // Not well-formed (RFC 6120 §4.9.3.13); the helper's list replaces this one.
    /// Anything XML 1.0 does not allow.
    NotWellFormed,
    /// Bytes that are not UTF-8.
    Utf8,
    /// A declared encoding other than UTF-8 (RFC 6120 §4.9.3.22).
    Encoding,
    /// A prefix without a binding, or another offence against Namespaces in XML.
    Namespace,
    /// A comment, processing instruction, document type or entity reference (RFC 6120 §11.1).
    Restricted,
    /// One of `ScanLimits`: bytes.
    TooBig,
    /// One of `ScanLimits`: depth.
    TooDeep,
    /// One of `ScanLimits`: attributes or declarations.
    TooManyAttributes,
    /// One of `ScanLimits`: a name.
    NameTooLong,
    /// One of `ScanLimits`: elements.
    TooManyElements,
    /// Character data other than white space between the top-level elements.
    TextInStream,
}

/// One direction of one stream.
#[derive(Debug)]
pub struct Scanner {
    limits: ScanLimits,
}

impl Scanner {
    /// A scanner before the stream header.
    #[must_use]
    pub const fn new(limits: ScanLimits) -> Self {
        Self { limits }
    }

    /// New bounds, from the next item on. For use between items.
    pub const fn set_limits(&mut self, limits: ScanLimits) {
        self.limits = limits;
    }

    /// Takes bytes off the front of `input` until an item is complete (`Some`: call again, `input` may hold more) or
    /// `input` is empty (`None`).
    ///
    /// White space between elements is skipped. A single stray space keeps nothing. The outcome does not depend on how
    /// the bytes are cut.
    ///
    /// # Errors
    /// The first rule the bytes break. The scanner is then dead: every later call gives the same error.
    pub fn scan(&mut self, input: &mut &[u8]) -> Result<Option<Token>, XmlError> {
        let _ = input;
        todo!()
    }

    /// How many bytes of an unfinished item it keeps.
    #[must_use]
    pub const fn held(&self) -> usize {
        0
    }
}
