//! The scanner: bytes of a stream in any cut, complete top-level items out.
//!
//! Looks at each byte once, keeps only the tail of an unfinished item, and gives its memory back when the tail is empty. What
//! the bytes of an item mean is `item`'s to say.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::item::{Around, Empty, Form, Found, Item, Kind};
use super::scope::Context;
use super::{Content, Element, Ns, XmlError, chars, head, rewrite};
use crate::limits::{Limits, S2S_UNPROVEN_ELEMENT_BYTES};
use crate::work;

/// The bounds of one scanner; exceeding one is an error at the byte that exceeds it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ScanLimits {
    /// Bytes of one top-level item, from its `<` to its `>` (RFC 6120 §13.12). White space before it is not kept and not
    /// counted, or keepalives would add up for days: who counts a whole stream counts it there.
    pub element_bytes: u32,
    /// Elements open at a time, the top-level one counted.
    pub depth: u16,
    /// Attributes of one element, declarations not counted.
    pub attributes: u16,
    /// Namespace declarations of one element. At most so many prefixes as this and `depth` together may be in scope at a
    /// time, so that finding one stays cheap.
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

    /// What a server may send before it has proven any domain.
    #[must_use]
    pub const fn unproven(limits: &Limits) -> Self {
        Self {
            element_bytes: S2S_UNPROVEN_ELEMENT_BYTES,
            depth: limits.unauthenticated_depth,
            ..Self::client(limits)
        }
    }

    /// What it may send then.
    #[must_use]
    pub const fn server(limits: &Limits, stanza_bytes: u32) -> Self {
        Self {
            element_bytes: stanza_bytes,
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

/// One direction of one stream.
#[derive(Debug)]
pub struct Scanner {
    limits: ScanLimits,
    content: Content,
    position: Position,
    pub(super) context: Context,
    pub(super) partial: Option<Box<Partial>>,
}

/// What has been seen.
#[derive(Clone, Copy, Debug)]
enum Position {
    /// Nothing.
    Start,
    /// White space, behind which no XML declaration may stand (XML 1.0 §2.8).
    BeforeRoot,
    /// The stream header.
    Content,
    /// A stream header that is its own end.
    EmptyRoot,
    /// The end of the stream.
    Ended,
    Dead(XmlError),
}

/// An item that is not complete.
#[derive(Debug)]
pub(super) struct Partial {
    tail: Vec<u8>,
    pub(super) item: Item,
}

/// Bytes taken into the tail at a time: how much of the items behind may be copied in vain.
const PIECE: usize = 4096;

impl Scanner {
    /// A scanner before the stream header of a client.
    #[must_use]
    pub const fn new(limits: ScanLimits) -> Self {
        Self::of(Content::Client, limits)
    }

    /// A scanner before the stream header of a peer that sends this content.
    #[must_use]
    pub const fn of(content: Content, limits: ScanLimits) -> Self {
        Self {
            limits,
            content,
            position: Position::Start,
            context: Context::None,
            partial: None,
        }
    }

    /// What its peer sends.
    #[must_use]
    pub const fn content(&self) -> Content {
        self.content
    }

    /// New bounds, from the next item on. For use between items.
    pub const fn set_limits(&mut self, limits: ScanLimits) {
        self.limits = limits;
    }

    /// Takes bytes off the front of `input` until an item is complete (`Some`: call again, `input` may hold more) or
    /// `input` is empty (`None`).
    ///
    /// White space between elements is skipped. A single stray space keeps nothing. The outcome does not depend on how
    /// the bytes are cut. Behind the end of the stream everything is dropped.
    ///
    /// # Errors
    /// The first rule the bytes break. The scanner is then dead: every later call gives the same error.
    pub fn scan(&mut self, input: &mut &[u8]) -> Result<Option<Token>, XmlError> {
        let result = self.next(input);
        if let Err(error) = result {
            self.position = Position::Dead(error);
            self.partial = None;
        }
        result
    }

    /// How many bytes of an unfinished item it keeps.
    #[must_use]
    pub fn held(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| partial.tail.len())
    }

    fn next(&mut self, input: &mut &[u8]) -> Result<Option<Token>, XmlError> {
        match self.position {
            Position::Dead(error) => return Err(error),
            Position::Ended => {
                *input = &[];
                return Ok(None);
            }
            Position::EmptyRoot => {
                self.position = Position::Ended;
                return Ok(Some(Token::End));
            }
            Position::Start | Position::BeforeRoot | Position::Content => {}
        }
        match self.partial.take() {
            Some(partial) => self.resume(partial, input),
            None => self.begin(input),
        }
    }

    /// Scans from the first byte of an item, without a copy if `input` holds all of it.
    fn begin(&mut self, input: &mut &[u8]) -> Result<Option<Token>, XmlError> {
        let space = chars::skip_space(input, 0);
        *input = input.get(space..).unwrap_or_default();
        let kind = match self.position {
            Position::Start if space == 0 => Kind::Start,
            Position::Content => Kind::Content,
            Position::Start
            | Position::BeforeRoot
            | Position::EmptyRoot
            | Position::Ended
            | Position::Dead(_) => Kind::Root,
        };
        if kind == Kind::Root {
            self.position = Position::BeforeRoot;
        }
        match input.first() {
            None => return Ok(None),
            Some(b'<') => {}
            Some(byte) => return Err(stray(*byte, kind)),
        }
        let mut item = Item::new(kind);
        let found = self.advance(&mut item, input)?;
        if let Found::More = found {
            let tail = input.to_vec();
            *input = &[];
            self.partial = Some(Box::new(Partial { tail, item }));
            return Ok(None);
        }
        let (raw, behind) = input.split_at_checked(item.len()).unwrap_or_default();
        *input = behind;
        self.token(found, &item, Bytes::copy_from_slice(raw))
    }

    /// Goes on with an item that was cut.
    fn resume(
        &mut self,
        mut partial: Box<Partial>,
        input: &mut &[u8],
    ) -> Result<Option<Token>, XmlError> {
        while !input.is_empty() {
            let Partial { tail, item } = &mut *partial;
            let held = tail.len();
            let piece = input.get(..PIECE).unwrap_or(input);
            tail.extend_from_slice(piece);
            let found = self.advance(item, tail)?;
            if let Found::More = found {
                *input = input.get(piece.len()..).unwrap_or_default();
                continue;
            }
            *input = input
                .get(item.len().saturating_sub(held)..)
                .unwrap_or_default();
            tail.truncate(item.len());
            let raw = core::mem::take(tail).into_boxed_slice();
            return self.token(found, item, Bytes::from(raw));
        }
        self.partial = Some(partial);
        Ok(None)
    }

    /// Lets the machine see as much as the limit allows.
    fn advance(&self, item: &mut Item, bytes: &[u8]) -> Result<Found, XmlError> {
        let limit = self.limits.element_bytes as usize;
        let around = Around {
            limits: &self.limits,
            context: &self.context,
        };
        let found = item.advance(bytes.get(..limit).unwrap_or(bytes), around)?;
        if matches!(found, Found::More) && bytes.len() > limit {
            return Err(XmlError::TooBig);
        }
        Ok(found)
    }
}

impl Scanner {
    /// Makes the token of a complete item.
    fn token(&mut self, found: Found, item: &Item, raw: Bytes) -> Result<Option<Token>, XmlError> {
        match found {
            Found::More => Ok(None),
            Found::Root(empty) => {
                let tag = raw.get(item.tag_start()..).unwrap_or_default();
                let header = self.header(tag);
                self.position = match empty {
                    Empty::Yes => Position::EmptyRoot,
                    Empty::No => Position::Content,
                };
                Ok(Some(Token::Header(header)))
            }
            Found::Element => {
                work::element();
                let element = match item.form {
                    Form::Standalone => {
                        let came = raw.len();
                        Element::scanned(raw, came, item.top)
                    }
                    Form::Rare => rewrite::rewrite(&raw, item.top.ns, &self.context, &self.limits)?,
                };
                Ok(Some(Token::Element(element)))
            }
            Found::End => {
                self.position = Position::Ended;
                Ok(Some(Token::End))
            }
        }
    }

    /// Reads the validated start tag of the root and remembers what it declares.
    fn header(&mut self, tag: &[u8]) -> Header {
        let (root, attributes) = head::start_tag(tag);
        self.context = Context::of_header(root, attributes.clone(), self.content);
        let value = |name: &str| {
            let mut attributes = attributes.clone();
            let found = attributes.find(|attribute| attribute.name == name)?;
            Some(found.value().into_owned())
        };
        let (prefix, name) = root.split_once(':').unwrap_or(("", root));
        let ns = match prefix {
            "" => Ns::from_uri(self.context.default_uri()),
            "xml" => Ns::Xml,
            prefix => {
                let mut declared = self.context.prefixes();
                let declared = declared.find(|declared| declared.name == prefix);
                Ns::from_uri(declared.map_or("", |declared| declared.uri))
            }
        };
        Header {
            name: name.into(),
            ns,
            content: Ns::from_uri(self.context.default_uri()),
            to: value("to"),
            from: value("from"),
            id: value("id"),
            version: value("version"),
            lang: value("xml:lang"),
        }
    }
}

/// What a byte means that should have been `<`.
const fn stray(byte: u8, kind: Kind) -> XmlError {
    match (kind, byte) {
        // UTF-16 and UTF-32, with or without a mark (RFC 6120 §11.6). A UTF-8 mark is a character like any other there.
        (Kind::Start, 0 | 0xFE | 0xFF) => XmlError::Encoding,
        (Kind::Start | Kind::Root, _) => XmlError::OutsideRoot,
        (Kind::Content, _) => XmlError::TextInStream,
    }
}
