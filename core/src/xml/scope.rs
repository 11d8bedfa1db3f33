//! Namespace declarations in scope: those of the stream header, and those of an item being scanned.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

use super::stack::Stack;
use super::{Attributes, Ns, XmlError, chars};

/// What the stream header declares for its children (RFC 6120 §4.8).
#[derive(Debug)]
pub(super) enum Context {
    /// There is no header yet.
    None,
    /// `stream:stream` with the prefix `stream` and jabber:client, which nearly everybody sends. Needs no memory.
    Usual,
    Own(Box<Own>),
}

/// A header's own choice, decoded.
#[derive(Debug)]
pub(super) struct Own {
    root: Box<str>,
    default: Box<str>,
    prefixes: Vec<(Box<str>, Box<str>)>,
}

impl Context {
    /// Remembers a validated start tag, whose qualified name is `root`.
    pub(super) fn of_header(root: &str, attributes: Attributes<'_>) -> Self {
        let mut own = Own {
            root: root.into(),
            default: "".into(),
            prefixes: Vec::new(),
        };
        for attribute in attributes {
            if attribute.name == "xmlns" {
                own.default = attribute.value().into();
            } else if let Some(prefix) = attribute.name.strip_prefix("xmlns:") {
                own.prefixes.push((prefix.into(), attribute.value().into()));
            }
        }
        let usual = root == "stream:stream"
            && *own.default == *Ns::Client.uri()
            && matches!(own.prefixes.as_slice(), [(prefix, uri)]
                if **prefix == *"stream" && **uri == *Ns::Streams.uri());
        if usual {
            return Self::Usual;
        }
        own.prefixes.shrink_to_fit();
        Self::Own(Box::new(own))
    }

    /// The qualified name of the root.
    pub(super) fn root(&self) -> &str {
        match self {
            Self::None => "",
            Self::Usual => "stream:stream",
            Self::Own(own) => &own.root,
        }
    }

    /// The default namespace; empty if there is none.
    pub(super) fn default_uri(&self) -> &str {
        match self {
            Self::None => "",
            Self::Usual => Ns::Client.uri(),
            Self::Own(own) => &own.default,
        }
    }

    /// Whether an element without prefix and declaration is in the content namespace.
    pub(super) fn is_content(&self) -> bool {
        self.default_uri() == Ns::Client.uri()
    }

    /// The prefixes with their namespaces, decoded.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = (&str, &str)> {
        let (usual, own) = match self {
            Self::None => (None, None),
            Self::Usual => (Some(("stream", Ns::Streams.uri())), None),
            Self::Own(own) => (None, Some(own.prefixes.iter())),
        };
        let own = own.into_iter().flatten();
        usual
            .into_iter()
            .chain(own.map(|(prefix, uri)| (&**prefix, &**uri)))
    }
}

/// A number that two prefixes share exactly if their namespaces are the same, so that expanded names are compared without
/// comparing namespaces again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Id(u16);

impl Id {
    /// The content namespace.
    pub(super) const CONTENT: Self = Self(0);
    /// What the prefix `xml` is bound to.
    const XML: Self = Self(1);
    /// The first of the header's prefixes, then the first of an item's.
    const CONTEXT: u16 = 2;
    const ITEM: u16 = u16::MAX / 2;
}

/// Where a prefix got its namespace.
#[derive(Clone, Copy, Debug)]
pub(super) enum Binding {
    /// From the item itself.
    Item(Id, Range),
    /// From the stream header: to be written again.
    Header(Id),
    /// It is `xml`.
    Xml(Id),
}

impl Binding {
    pub(super) const fn id(self) -> Id {
        match self {
            Self::Item(id, _) | Self::Header(id) | Self::Xml(id) => id,
        }
    }
}

/// Bytes of the item, by their offsets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Range {
    pub(super) const fn new(start: u32, end: usize) -> Self {
        let end = Self::offset(end);
        Self { start, end }
    }

    pub(super) const fn len(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Offsets are at most `ScanLimits::element_bytes`, which is a u32.
    pub(super) const fn offset(at: usize) -> u32 {
        at as u32
    }

    #[inline]
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Declaration {
    prefix: Range,
    uri: Range,
    id: Id,
}

/// The prefixes that the open elements of an item declare, innermost last.
#[derive(Debug)]
pub(super) struct Scope(Stack<Declaration, 4>);

impl Scope {
    pub(super) fn new() -> Self {
        Self(Stack::new())
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// `xmlns:prefix='uri'`, by Namespaces in XML §3 and §5.
    pub(super) fn declare(
        &mut self,
        item: &[u8],
        context: &Context,
        prefix: Range,
        uri: Range,
    ) -> Result<(), XmlError> {
        let name = decoded(item, uri);
        if prefix.of(item) == b"xml" {
            // Allowed, and bound so already.
            return if name == Ns::Xml.uri() {
                Ok(())
            } else {
                Err(XmlError::ReservedPrefix)
            };
        }
        if prefix.of(item) == b"xmlns" {
            return Err(XmlError::ReservedPrefix);
        }
        if name.is_empty() {
            return Err(XmlError::PrefixUndeclared);
        }
        check_unreserved(name.as_bytes())?;
        let id = self.id(item, context, &name);
        self.0.push(Declaration { prefix, uri, id });
        Ok(())
    }

    /// What `prefix` is bound to.
    pub(super) fn resolve(
        &self,
        item: &[u8],
        context: &Context,
        prefix: &[u8],
    ) -> Result<Binding, XmlError> {
        if prefix == b"xml" {
            return Ok(Binding::Xml(Id::XML));
        }
        let found = self.0.iter().rev().find(|d| d.prefix.of(item) == prefix);
        if let Some(declaration) = found {
            return Ok(Binding::Item(declaration.id, declaration.uri));
        }
        let position = context
            .prefixes()
            .find(|(declared, _)| declared.as_bytes() == prefix);
        match position {
            Some((_, uri)) => Ok(Binding::Header(header_id(context, uri))),
            None => Err(XmlError::UnboundPrefix),
        }
    }

    /// The number of the namespace `name`: that of a binding in scope that has the same, or a new one.
    fn id(&self, item: &[u8], context: &Context, name: &str) -> Id {
        let own = self.0.iter().find(|declaration| {
            let raw = declaration.uri.of(item);
            raw == name.as_bytes()
                || (chars::needs_decoding(raw) && chars::attribute_value(raw) == name)
        });
        if let Some(declaration) = own {
            return declaration.id;
        }
        match header_id(context, name) {
            Id(u16::MAX) => {
                let number = u16::try_from(self.0.len()).unwrap_or(0);
                Id(Id::ITEM.saturating_add(number))
            }
            id => id,
        }
    }
}

/// The number of a namespace known from the header (the first prefix bound to it), or `u16::MAX`.
fn header_id(context: &Context, uri: &str) -> Id {
    if uri == Ns::Client.uri() {
        return Id::CONTENT;
    }
    let position = context.prefixes().position(|(_, bound)| bound == uri);
    let number = position.and_then(|position| u16::try_from(position).ok());
    Id(number.map_or(u16::MAX, |number| number.saturating_add(Id::CONTEXT)))
}

/// Whether `uri` is what `xml` or `xmlns` is bound to, which nothing else may be (Namespaces in XML §3).
pub(super) fn check_unreserved(uri: &[u8]) -> Result<(), XmlError> {
    if uri == Ns::Xml.uri().as_bytes() || uri == Ns::Xmlns.uri().as_bytes() {
        return Err(XmlError::ReservedPrefix);
    }
    Ok(())
}

/// A namespace name of a declaration of an item.
pub(super) fn decoded(item: &[u8], range: Range) -> Cow<'_, str> {
    chars::attribute_value(range.of(item))
}

/// The binding of `prefix` in the header, decoded.
pub(super) fn header_uri<'c>(context: &'c Context, prefix: &[u8]) -> Option<&'c str> {
    context
        .prefixes()
        .find(|(declared, _)| declared.as_bytes() == prefix)
        .map(|(_, uri)| uri)
}

/// For the reader that takes the rare forms: a root that declares what the header declares.
pub(super) fn synthetic_root(context: &Context) -> Vec<u8> {
    let mut root = Vec::from(b"<r xmlns='".as_slice());
    super::escape_attribute(&mut root, context.default_uri());
    root.push(b'\'');
    for (prefix, uri) in context.prefixes() {
        root.extend_from_slice(b" xmlns:");
        root.extend_from_slice(prefix.as_bytes());
        root.extend_from_slice(b"='");
        super::escape_attribute(&mut root, uri);
        root.push(b'\'');
    }
    root.push(b'>');
    root
}
