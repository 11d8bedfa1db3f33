//! Namespace declarations in scope: those of the stream header, and those of an item being scanned.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::order::Sorted;
use super::stack::Stack;
use super::{Attributes, Content, Ns, XmlError, chars};
use crate::work;

/// What the stream header declares for its children (RFC 6120 §4.8).
#[derive(Debug)]
pub(super) enum Context {
    /// There is no header yet.
    None,
    /// `stream:stream` with the prefix `stream` and the content namespace, which nearly everybody sends. Needs no memory.
    Usual(Content),
    Own(Box<Own>),
}

/// A header's own choice.
#[derive(Debug)]
pub(super) struct Own {
    content: Content,
    root: Box<str>,
    /// As it stands in the header, and decoded.
    default: Option<(Box<[u8]>, Box<str>)>,
    prefixes: Vec<Declared>,
}

#[derive(Debug)]
struct Declared {
    prefix: Box<str>,
    /// As it stands in the header, with its quotes.
    quoted: Box<[u8]>,
    /// Decoded.
    uri: Box<str>,
    id: Id,
}

/// A prefix that the header declares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefix<'c> {
    pub(super) name: &'c str,
    /// The namespace name with its quotes, as it stands in the header.
    pub(super) quoted: &'c [u8],
    /// The namespace name.
    pub(super) uri: &'c str,
    id: Id,
}

impl Context {
    /// Remembers a validated start tag, whose qualified name is `root`.
    pub(super) fn of_header(root: &str, attributes: Attributes<'_>, content: Content) -> Self {
        let mut own = Own {
            content,
            root: root.into(),
            default: None,
            prefixes: Vec::new(),
        };
        for attribute in attributes {
            if attribute.name == "xmlns" {
                own.default = Some((attribute.quoted.into(), attribute.value().into()));
            } else if let Some(prefix) = attribute.name.strip_prefix("xmlns:") {
                let uri = attribute.value();
                let known = own.prefixes.iter().map(|p| (&*p.uri, p.id));
                let id = match known_id(&uri, content, known) {
                    Some(id) => id,
                    None => Id::of_header(own.prefixes.len()),
                };
                own.prefixes.push(Declared {
                    prefix: prefix.into(),
                    quoted: attribute.quoted.into(),
                    uri: uri.into(),
                    id,
                });
            }
        }
        let usual = root == "stream:stream"
            && own.default_uri() == content.ns().uri()
            && matches!(own.prefixes.as_slice(), [only]
                if *only.prefix == *"stream" && *only.uri == *Ns::Streams.uri());
        if usual {
            return Self::Usual(content);
        }
        own.prefixes.shrink_to_fit();
        Self::Own(Box::new(own))
    }

    /// The qualified name of the root.
    pub(super) fn root(&self) -> &str {
        match self {
            Self::None => "",
            Self::Usual(_) => "stream:stream",
            Self::Own(own) => &own.root,
        }
    }

    /// The default namespace; empty if there is none.
    pub(super) fn default_uri(&self) -> &str {
        match self {
            Self::None => "",
            Self::Usual(content) => content.ns().uri(),
            Self::Own(own) => own.default_uri(),
        }
    }

    /// The default namespace with its quotes, as it stands in the header.
    pub(super) fn quoted_default(&self) -> &[u8] {
        let own = match self {
            Self::None => None,
            Self::Usual(content) => return content.quoted(),
            Self::Own(own) => own.default.as_ref(),
        };
        own.map_or(b"''", |(quoted, _)| quoted)
    }

    /// Whether an element without prefix and declaration is in the content namespace.
    pub(super) fn is_content(&self) -> bool {
        match self {
            Self::None => false,
            Self::Usual(_) => true,
            Self::Own(own) => own.content.is(own.default_uri().as_bytes()),
        }
    }

    /// The content namespace.
    pub(super) const fn content(&self) -> Content {
        match self {
            // Of what stands in front of a header, nothing is content.
            Self::None => Content::Client,
            Self::Usual(content) => *content,
            Self::Own(own) => own.content,
        }
    }

    /// The prefix with this number, in the order of the header.
    pub(super) fn prefix(&self, number: usize) -> Option<Prefix<'_>> {
        match self {
            Self::None => None,
            Self::Usual(_) => (number == 0).then_some(Prefix {
                name: "stream",
                quoted: b"'http://etherx.jabber.org/streams'",
                uri: Ns::Streams.uri(),
                id: Id::of_header(0),
            }),
            Self::Own(own) => own.prefixes.get(number).map(|declared| Prefix {
                name: &declared.prefix,
                quoted: &declared.quoted,
                uri: &declared.uri,
                id: declared.id,
            }),
        }
    }

    /// The prefixes: at most `limits::HEADER_DECLARATIONS`.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = Prefix<'_>> {
        (0..).map_while(|number| self.prefix(number))
    }
}

impl Own {
    fn default_uri(&self) -> &str {
        self.default.as_ref().map_or("", |(_, uri)| uri)
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
    const CONTEXT: usize = 2;
    const ITEM: usize = u16::MAX as usize / 2;

    /// That of a namespace first bound to the header's prefix of this number.
    fn of_header(number: usize) -> Self {
        Self(u16::try_from(number.saturating_add(Self::CONTEXT)).unwrap_or(u16::MAX))
    }

    /// That of a namespace first bound to a prefix of the item, when so many others were in scope.
    fn of_item(number: usize) -> Self {
        Self(u16::try_from(number.saturating_add(Self::ITEM)).unwrap_or(u16::MAX))
    }
}

/// Where a prefix got its namespace.
#[derive(Clone, Copy, Debug)]
pub(super) enum Binding {
    /// From the declaration of the item that has this number.
    Item(Id, usize),
    /// From the stream header, where it is the prefix of this number: to be written again.
    Header(Id, usize),
    /// It is `xml`.
    Xml(Id),
}

impl Binding {
    pub(super) const fn id(self) -> Id {
        match self {
            Self::Item(id, _) | Self::Header(id, _) | Self::Xml(id) => id,
        }
    }
}

/// Bytes of the item, by their offsets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
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

    /// Where `part`, a slice of `item`, lies in it.
    pub(super) fn within(item: &[u8], part: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).saturating_sub(item.as_ptr() as usize);
        Self::new(Self::offset(start), start.saturating_add(part.len()))
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
    /// The name of the namespace.
    uri: Range,
    kept: Kept,
    id: Id,
}

/// Where the name of a namespace is.
#[derive(Clone, Copy, Debug, Default)]
enum Kept {
    /// In the item, which says it as it is.
    #[default]
    Item,
    /// In `Scope::decoded`.
    Decoded,
}

impl Declaration {
    fn uri<'s>(&self, item: &'s [u8], decoded: &'s str) -> &'s [u8] {
        match self.kept {
            Kept::Item => self.uri.of(item),
            Kept::Decoded => self.uri.of(decoded.as_bytes()),
        }
    }
}

/// The prefixes that the open elements of an item declare, innermost last.
#[derive(Debug)]
pub(super) struct Scope {
    declarations: Stack<Declaration, 4>,
    /// Names of namespaces that do not stand for themselves.
    decoded: String,
    by_prefix: Sorted,
    by_name: Sorted,
}

impl Scope {
    pub(super) fn new() -> Self {
        Self {
            declarations: Stack::new(),
            decoded: String::new(),
            by_prefix: Sorted::new(),
            by_name: Sorted::new(),
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.declarations.len()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        if len >= self.len() {
            return;
        }
        if !self.decoded.is_empty() {
            let kept = self.declarations.iter().take(len);
            let ends = kept.filter(|d| matches!(d.kept, Kept::Decoded));
            let end = ends.last().map_or(0, |declaration| declaration.uri.end);
            self.decoded.truncate(end as usize);
        }
        self.declarations.truncate(len);
        self.by_prefix.truncate(len);
        self.by_name.truncate(len);
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
        let (uri, kept) = match &name {
            Cow::Borrowed(_) => (uri, Kept::Item),
            Cow::Owned(name) => {
                let start = Range::offset(self.decoded.len());
                self.decoded.push_str(name);
                (Range::new(start, self.decoded.len()), Kept::Decoded)
            }
        };
        self.declarations.push(Declaration {
            prefix,
            uri,
            kept,
            id,
        });
        let Self {
            declarations,
            decoded,
            by_prefix,
            by_name,
        } = self;
        let count = declarations.len();
        by_prefix.add(count, |number| prefix_of(declarations, item, number));
        by_name.add(count, |number| name_of(declarations, item, decoded, number));
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
        let name = |number| prefix_of(&self.declarations, item, number);
        if let Some(number) = self.by_prefix.find(self.len(), prefix, name)
            && let Some(declaration) = self.declarations.get(number)
        {
            return Ok(Binding::Item(declaration.id, number));
        }
        let declared = context.prefixes().enumerate();
        declared
            .map(|(number, declared)| (number, declared.name, declared.id))
            .inspect(|_| work::step(1))
            .find(|(_, name, _)| name.as_bytes() == prefix)
            .map(|(number, _, id)| Binding::Header(id, number))
            .ok_or(XmlError::UnboundPrefix)
    }

    /// The namespace that the declaration of this number names.
    pub(super) fn uri<'s>(&'s self, item: &'s [u8], number: usize) -> &'s [u8] {
        name_of(&self.declarations, item, &self.decoded, number)
    }

    /// The number of the namespace `name`: that of a binding in scope that has the same, or a new one.
    fn id(&self, item: &[u8], context: &Context, name: &str) -> Id {
        let own = |number| name_of(&self.declarations, item, &self.decoded, number);
        let same = self.by_name.find(self.len(), name.as_bytes(), own);
        if let Some(declaration) = same.and_then(|number| self.declarations.get(number)) {
            return declaration.id;
        }
        let declared = context.prefixes().map(|prefix| (prefix.uri, prefix.id));
        known_id(name, context.content(), declared).unwrap_or_else(|| Id::of_item(self.len()))
    }
}

fn prefix_of<'i>(all: &Stack<Declaration, 4>, item: &'i [u8], number: usize) -> &'i [u8] {
    all.get(number)
        .map_or(&[], |declaration| declaration.prefix.of(item))
}

fn name_of<'i>(
    all: &Stack<Declaration, 4>,
    item: &'i [u8],
    decoded: &'i str,
    number: usize,
) -> &'i [u8] {
    all.get(number)
        .map_or(&[], |declaration| declaration.uri(item, decoded))
}

/// The number of the namespace `uri`, if it is the content namespace or among these.
fn known_id<'c>(
    uri: &str,
    content: Content,
    mut known: impl Iterator<Item = (&'c str, Id)>,
) -> Option<Id> {
    if content.is(uri.as_bytes()) {
        return Some(Id::CONTENT);
    }
    let found = known.find(|(bound, _)| {
        work::glance(uri.len());
        *bound == uri
    });
    found.map(|(_, id)| id)
}

/// Bytes of ` xmlns:prefix='uri'`, or of ` xmlns='uri'` where there is no prefix.
pub(super) const fn declaration_bytes(prefix: u32, quoted: u32) -> usize {
    let colon = if prefix == 0 { 0 } else { 1 };
    b" xmlns=".len() + colon + prefix as usize + quoted as usize
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
