//! Lazy reading of an element's content, for payloads addressed to the server.
//!
//! The bytes are known to be valid, so nothing is checked again. No function here calls itself: depth is counted.

use alloc::borrow::Cow;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Attribute, Attributes, Ns, chars, head};
use crate::work;

/// The child elements of a validated element.
#[derive(Clone, Debug)]
pub struct Children<'a> {
    pieces: Pieces<'a>,
    scope: Scope<'a>,
}

/// A child element inside a validated element, borrowed.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    raw: &'a [u8],
    name: &'a str,
    attributes: Attributes<'a>,
    inner: &'a [u8],
    /// What the elements around it declare.
    scope: Scope<'a>,
}

impl<'a> Children<'a> {
    pub(super) const fn of(inner: &'a [u8], scope: Scope<'a>) -> Self {
        Self {
            pieces: Pieces { rest: inner },
            scope,
        }
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        loop {
            let from = self.pieces.rest;
            let Piece::Start { tag, .. } = self.pieces.next()? else {
                continue;
            };
            let inner = self.pieces.skip_element(tag);
            let len = from.len() - self.pieces.rest.len();
            let (name, attributes) = head::start_tag(tag);
            return Some(Node {
                raw: from.get(..len).unwrap_or_default(),
                name,
                attributes,
                inner,
                scope: self.scope.clone(),
            });
        }
    }
}

impl<'a> Node<'a> {
    /// The local name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        split(self.name).1
    }

    /// The namespace of the name, by the declarations in scope.
    #[must_use]
    pub fn ns(&self) -> Ns {
        let prefix = split(self.name).0;
        match (self.declaration(prefix), prefix) {
            (Some(declaration), _) => Ns::from_uri(&declaration.value()),
            (None, "xml") => Ns::Xml,
            (None, _) => Ns::Client,
        }
    }

    /// The namespace name to the byte, decoded, also where `ns` says `Other`.
    #[must_use]
    pub fn ns_uri(&self) -> Cow<'a, str> {
        let prefix = split(self.name).0;
        match (self.declaration(prefix), prefix) {
            (Some(declaration), _) => declaration.value(),
            (None, "xml") => Cow::Borrowed(Ns::Xml.uri()),
            (None, _) => Cow::Borrowed(Ns::Client.uri()),
        }
    }

    /// What says what a prefix means here.
    fn declaration(&self, prefix: &str) -> Option<Attribute<'a>> {
        let own = self.attributes().find(|a| a.declares() == Some(prefix));
        own.or_else(|| self.scope.find(prefix))
    }

    /// Whether this is `name` in `ns`.
    #[must_use]
    pub fn is(&self, ns: Ns, name: &str) -> bool {
        self.name() == name && self.ns() == ns
    }

    /// All attributes, declarations included.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        self.attributes.clone()
    }

    /// The decoded value of the attribute with this qualified name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Cow<'a, str>> {
        let found = self.attributes().find(|attribute| attribute.name == name);
        found.map(|attribute| attribute.value())
    }

    /// The whole element as it stands in what is around it.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Child elements.
    #[must_use]
    pub fn children(&self) -> Children<'a> {
        Children::of(self.inner, self.scope.inside(self.attributes()))
    }

    /// Direct character data, decoded.
    #[must_use]
    pub fn text(&self) -> Cow<'a, str> {
        text(self.inner)
    }

    /// The element as bytes of its own: every prefix and default namespace in scope that it uses is declared again, so
    /// that it parses inside any wrapper (house contract 12).
    pub fn write_standalone(&self, out: &mut Vec<u8>) {
        let name_end = self.name.len() + 1;
        let (start, rest) = self.raw.split_at_checked(name_end).unwrap_or_default();
        out.extend_from_slice(start);
        for prefix in borrowed_prefixes(self.raw) {
            let declaration = self.scope.find(prefix);
            let uri = match (&declaration, prefix) {
                (Some(declaration), _) => declaration.quoted,
                (None, "") => b"'jabber:client'",
                (None, _) => continue, // it is `xml`
            };
            out.extend_from_slice(b" xmlns");
            if !prefix.is_empty() {
                out.push(b':');
                out.extend_from_slice(prefix.as_bytes());
            }
            out.push(b'=');
            out.extend_from_slice(uri);
        }
        out.extend_from_slice(rest);
    }
}

/// The declarations around a node, outermost first. The children of an element share one list, or a wide start tag would be read
/// again for each of them.
#[derive(Clone, Debug)]
pub(super) struct Scope<'a>(Rc<Vec<Attribute<'a>>>);

impl<'a> Scope<'a> {
    /// Inside a top-level element.
    pub(super) fn outermost(attributes: Attributes<'a>) -> Self {
        Self(Rc::default()).inside(attributes)
    }

    fn inside(&self, attributes: Attributes<'a>) -> Self {
        let mut own = attributes.filter(|a| a.declares().is_some()).peekable();
        if own.peek().is_none() {
            return self.clone();
        }
        let outside = self.0.iter().copied();
        Self(Rc::new(outside.chain(own).collect()))
    }

    fn find(&self, prefix: &str) -> Option<Attribute<'a>> {
        let mut outwards = self.0.iter().rev().inspect(|_| work::step(1));
        outwards.find(|a| a.declares() == Some(prefix)).copied()
    }
}

/// The prefixes (empty for the default namespace) that `element` uses and does not declare where it uses them.
fn borrowed_prefixes(element: &[u8]) -> Vec<&str> {
    let mut borrowed = Vec::new();
    let mut declared: Vec<(&str, usize)> = Vec::new();
    let mut depth = 0_usize;
    for piece in (Pieces { rest: element }) {
        match piece {
            Piece::Start { tag, empty } => {
                depth += 1;
                let (name, attributes) = head::start_tag(tag);
                let own = attributes.clone().filter_map(|a| a.declares());
                declared.extend(own.map(|prefix| (prefix, depth)));
                let named = attributes
                    .filter(|a| a.declares().is_none())
                    .map(|a| split(a.name).0)
                    .filter(|prefix| !prefix.is_empty());
                for prefix in named.chain([split(name).0]) {
                    let own = declared.iter().any(|(declared, _)| *declared == prefix);
                    if !own && prefix != "xml" && !borrowed.contains(&prefix) {
                        borrowed.push(prefix);
                    }
                }
                if empty {
                    declared.retain(|(_, at)| *at < depth);
                    depth -= 1;
                }
            }
            Piece::End => {
                declared.retain(|(_, at)| *at < depth);
                depth = depth.saturating_sub(1);
            }
            Piece::Text(_) | Piece::Cdata(_) => {}
        }
    }
    borrowed
}

/// The character data directly inside an element with this content.
pub(super) fn text(inner: &[u8]) -> Cow<'_, str> {
    work::step(inner.len());
    let plain = |byte: &u8| !matches!(byte, b'<' | b'&' | b'\r');
    if inner.iter().all(plain) {
        return Cow::Borrowed(core::str::from_utf8(inner).unwrap_or_default());
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut pieces = Pieces { rest: inner };
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Text(raw) => chars::decode_text(raw, &mut text),
            Piece::Cdata(raw) => chars::decode_cdata(raw, &mut text),
            Piece::Start { tag, .. } => {
                pieces.skip_element(tag);
            }
            Piece::End => {}
        }
    }
    Cow::Owned(String::from_utf8(text).unwrap_or_default())
}

/// A piece of validated content.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece<'a> {
    /// Character data, not decoded.
    Text(&'a [u8]),
    /// The inside of a CDATA section.
    Cdata(&'a [u8]),
    /// A whole start tag.
    Start { tag: &'a [u8], empty: bool },
    /// An end tag.
    End,
}

/// Walks validated content without allocating.
#[derive(Clone, Debug)]
pub(super) struct Pieces<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        const CDATA: &[u8] = b"<![CDATA[";
        match self.rest {
            [] => None,
            [b'<', b'/', ..] => {
                let end = memchr::memchr(b'>', self.rest).map_or(self.rest.len(), |at| at + 1);
                self.take(end);
                Some(Piece::End)
            }
            [b'<', b'!', ..] => {
                let end = memchr::memmem::find(self.rest, b"]]>").unwrap_or(self.rest.len());
                let section = self.take(end);
                self.take(3);
                Some(Piece::Cdata(section.get(CDATA.len()..).unwrap_or_default()))
            }
            [b'<', ..] => {
                let tag = self.take(head::tag_end(self.rest));
                let empty = tag.ends_with(b"/>");
                Some(Piece::Start { tag, empty })
            }
            rest => {
                let end = memchr::memchr(b'<', rest).unwrap_or(rest.len());
                Some(Piece::Text(self.take(end)))
            }
        }
    }
}

impl<'a> Pieces<'a> {
    /// Goes past the end of the element whose start tag was just read, and gives its content.
    fn skip_element(&mut self, tag: &[u8]) -> &'a [u8] {
        if tag.ends_with(b"/>") {
            return &[];
        }
        let inner = self.rest;
        let mut depth = 1_usize;
        loop {
            let len = inner.len() - self.rest.len();
            match self.next() {
                None => return inner,
                Some(Piece::Start { empty: false, .. }) => depth += 1,
                Some(Piece::End) => depth -= 1,
                Some(Piece::Start { .. } | Piece::Text(_) | Piece::Cdata(_)) => {}
            }
            if depth == 0 {
                return inner.get(..len).unwrap_or_default();
            }
        }
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
        self.rest = rest;
        work::glance(len);
        taken
    }
}

/// Prefix, empty if there is none, and local name.
pub(super) fn split(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}
