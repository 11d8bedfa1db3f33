//! A start tag inside an item: its attributes one by one, then its namespaces, when its end has come.

use rxml::NameStr;

use super::item::{Around, Empty, Form, Found, Item, Kind, Raw, State, Step};
use super::order::Sorted;
use super::scope::{self, Binding, Id, Range};
use super::stack::Stack;
use super::{Content, Ns, XmlError, chars};
use crate::limits::{HEADER_DECLARATION_BYTES, HEADER_DECLARATIONS};
use crate::work;

/// An open element.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Open {
    pub(super) name: Range,
    /// How many declarations were in scope outside.
    pub(super) scope: u32,
    default: DefaultNs,
}

/// The default namespace inside an element.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum DefaultNs {
    /// The header's.
    #[default]
    Header,
    Content,
    Other,
}

/// A qualified name; `colon` is where its colon stands, counted from its start, or 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Name {
    pub(super) range: Range,
    colon: u16,
}

impl Name {
    /// A name of plain ASCII, of no more bytes than `ScanLimits::name_bytes`, with its colon there.
    #[inline]
    pub(super) const fn plain(range: Range, colon: usize) -> Self {
        let colon = colon as u16;
        Self { range, colon }
    }

    /// Judges a complete name whose bytes are name bytes.
    pub(super) fn new(item: &[u8], range: Range) -> Result<Self, XmlError> {
        let colon = check_name(range.of(item))?;
        Ok(Self { range, colon })
    }

    fn prefix(self) -> Option<Range> {
        let start = self.range.start;
        let end = start + u32::from(self.colon);
        (self.colon != 0).then_some(Range { start, end })
    }

    fn local(self) -> Range {
        let skip = match self.colon {
            0 => 0,
            colon => u32::from(colon) + 1,
        };
        Range {
            start: self.range.start + skip,
            end: self.range.end,
        }
    }
}

/// The start tag being read.
#[derive(Debug)]
pub(super) struct Tag {
    /// Where its `<` stands.
    pub(super) start: u32,
    name: Name,
    attributes: Stack<Attribute, 12>,
    /// One bit for each attribute name so far, by its length and edges: most names need no comparison.
    seen: u64,
    /// The attributes by their names.
    order: Sorted,
    declarations: u16,
    /// What the declarations take as bytes.
    declaration_bytes: usize,
    prefixed: u16,
    /// The value of its `xmlns`, and what it means.
    default: Option<(Range, DefaultNs)>,
    /// How many declarations were in scope outside.
    scope: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Attribute {
    name: Name,
    /// Of a prefixed one, once the tag has ended.
    ns: Id,
}

impl Tag {
    pub(super) fn new() -> Self {
        Self {
            start: 0,
            name: Name::default(),
            attributes: Stack::new(),
            seen: 0,
            order: Sorted::new(),
            declarations: 0,
            declaration_bytes: 0,
            prefixed: 0,
            default: None,
            scope: 0,
        }
    }

    /// A tag of this name begins at `start`.
    pub(super) fn begin(&mut self, start: u32, name: Name, scope: usize) {
        self.start = start;
        self.name = name;
        self.attributes.truncate(0);
        self.seen = 0;
        self.order.truncate(0);
        self.declarations = 0;
        self.declaration_bytes = 0;
        self.prefixed = 0;
        self.default = None;
        self.scope = scope;
    }

    /// An attribute of this name begins.
    pub(super) fn push(&mut self, name: Name) {
        let ns = Id::default();
        self.attributes.push(Attribute { name, ns });
    }

    /// Refuses the last attribute if another has its name (XML 1.0 §3.1).
    fn check_unique(&mut self, item: &[u8], name: &[u8]) -> Result<(), XmlError> {
        let edge = |byte: Option<&u8>| byte.copied().map_or(0, usize::from);
        let mark = name.len() * 7 + edge(name.first()) * 3 + edge(name.last());
        let bit = 1_u64 << (mark % 64);
        let Self {
            attributes, order, ..
        } = self;
        let count = attributes.len();
        let name_of = |number| {
            attributes
                .get(number)
                .map_or(&[][..], |a| a.name.range.of(item))
        };
        if self.seen & bit != 0 && order.find(count.saturating_sub(1), name, name_of).is_some() {
            return Err(XmlError::DuplicateAttribute);
        }
        order.add(count, name_of);
        self.seen |= bit;
        Ok(())
    }
}

impl Item {
    /// The last attribute is complete, with this value.
    #[inline]
    pub(super) fn attribute(
        &mut self,
        item: &[u8],
        around: Around<'_>,
        value: Range,
        raw: Raw,
    ) -> Result<(), XmlError> {
        let Some(name) = self.tag.attributes.last().map(|attribute| attribute.name) else {
            return Ok(());
        };
        let bytes = name.range.of(item);
        self.tag.check_unique(item, bytes)?;
        if let Some(local) = bytes.strip_prefix(b"xmlns") {
            match local.first() {
                None => return self.declare_default(item, around, value, raw),
                Some(b':') => return self.declare(item, around, name.local(), value),
                Some(_) => {}
            }
        }
        self.tag.prefixed += u16::from(name.colon != 0);
        let attributes = self.tag.attributes.len() - usize::from(self.tag.declarations);
        if attributes > usize::from(around.limits.attributes) {
            return Err(XmlError::TooManyAttributes);
        }
        Ok(())
    }

    fn declare_default(
        &mut self,
        item: &[u8],
        around: Around<'_>,
        value: Range,
        raw: Raw,
    ) -> Result<(), XmlError> {
        self.count_declaration(around, Range::default(), value)?;
        let content = around.context.content();
        let default = match raw {
            Raw::Plain => self.default_ns(content, value.of(item))?,
            Raw::Coded => self.default_ns(content, scope::decoded(item, value).as_bytes())?,
        };
        self.tag.default = Some((value, default));
        Ok(())
    }

    fn default_ns(&mut self, content: Content, uri: &[u8]) -> Result<DefaultNs, XmlError> {
        if uri == Ns::Client.uri().as_bytes() {
            return Ok(DefaultNs::Content);
        }
        if content.is_other(uri) {
            self.form = Form::Rare;
            return Ok(DefaultNs::Content);
        }
        scope::check_unreserved(uri)?;
        Ok(DefaultNs::Other)
    }

    fn declare(
        &mut self,
        item: &[u8],
        around: Around<'_>,
        prefix: Range,
        value: Range,
    ) -> Result<(), XmlError> {
        self.count_declaration(around, prefix, value)?;
        self.scope.declare(item, around.context, prefix, value)?;
        // Each level may declare a default besides, and looking a prefix up must stay cheap.
        let limits = around.limits;
        let in_scope = usize::from(limits.declarations) + usize::from(limits.depth);
        if self.scope.len() > in_scope {
            return Err(XmlError::TooManyDeclarations);
        }
        Ok(())
    }

    fn count_declaration(
        &mut self,
        around: Around<'_>,
        prefix: Range,
        value: Range,
    ) -> Result<(), XmlError> {
        self.tag.declarations += 1;
        if self.tag.declarations > around.limits.declarations {
            return Err(XmlError::TooManyDeclarations);
        }
        if self.kind != Kind::Content {
            self.tag.declaration_bytes += scope::declaration_bytes(prefix.len(), value.len() + 2);
            if self.tag.declarations > HEADER_DECLARATIONS
                || self.tag.declaration_bytes > HEADER_DECLARATION_BYTES
            {
                return Err(XmlError::HeaderDeclarations);
            }
        }
        Ok(())
    }

    /// Behind the `>` of a start tag.
    pub(super) fn finish_tag(
        &mut self,
        item: &[u8],
        around: Around<'_>,
        empty: Empty,
    ) -> Result<Step, XmlError> {
        if self.tag.prefixed != 0 {
            self.resolve_attributes(item, around)?;
        }
        let default = self.resolve_element(item, around)?;
        if self.kind != Kind::Content {
            return Ok(Step::Found(Found::Root(empty)));
        }
        if self.opens.len() == 0 {
            self.top(item, around)?;
        }
        match empty {
            Empty::No => self.opens.push(Open {
                name: self.tag.name.range,
                scope: Range::offset(self.tag.scope),
                default,
            }),
            Empty::Yes => {
                self.scope.truncate(self.tag.scope);
                if self.opens.len() == 0 {
                    return Ok(Step::Found(Found::Element));
                }
            }
        }
        Ok(self.go(State::Text {
            from: Range::offset(self.at),
        }))
    }

    /// Finds the namespaces of the prefixed attributes and holds expanded names apart (Namespaces in XML §6.3).
    fn resolve_attributes(&mut self, item: &[u8], around: Around<'_>) -> Result<(), XmlError> {
        for index in 0..self.tag.attributes.len() {
            let Some(attribute) = self.tag.attributes.get_mut(index) else {
                break;
            };
            let name = attribute.name;
            let Some(prefix) = name.prefix().map(|prefix| prefix.of(item)) else {
                continue;
            };
            if prefix == b"xmlns" {
                continue;
            }
            let binding = self.scope.resolve(item, around.context, prefix)?;
            if let Binding::Header(..) = binding {
                self.form = Form::Rare;
            }
            let ns = binding.id();
            attribute.ns = ns;
            let local = name.local().of(item);
            let mut others = self.tag.attributes.iter().take(index);
            let same = |other: &Attribute| {
                work::step(1);
                other.name.colon != 0
                    && other.ns == ns
                    && other.name.local().of(item) == local
                    && !other.name.range.of(item).starts_with(b"xmlns:")
            };
            if self.tag.prefixed > 1 && others.any(same) {
                return Err(XmlError::DuplicateAttribute);
            }
        }
        Ok(())
    }

    /// Finds the namespace of the element as far as it matters: whether it can stay as it is written. Gives the default
    /// namespace inside it.
    fn resolve_element(&mut self, item: &[u8], around: Around<'_>) -> Result<DefaultNs, XmlError> {
        let outside = self
            .opens
            .last()
            .map_or(DefaultNs::Header, |open| open.default);
        let content = outside == DefaultNs::Content
            || (outside == DefaultNs::Header && around.context.is_content());
        let inside = match self.tag.default {
            None => outside,
            Some((_, own)) => {
                if own == DefaultNs::Content && content && self.opens.len() > 0 {
                    self.form = Form::Rare; // says again what holds already
                }
                own
            }
        };
        if let Some(prefix) = self.tag.name.prefix() {
            let binding = self.scope.resolve(item, around.context, prefix.of(item))?;
            if binding.id() == Id::CONTENT || matches!(binding, Binding::Header(..)) {
                self.form = Form::Rare;
            }
        } else if inside == DefaultNs::Header && !content {
            self.form = Form::Rare;
        }
        Ok(inside)
    }

    /// The tag is that of the item itself.
    fn top(&mut self, item: &[u8], around: Around<'_>) -> Result<(), XmlError> {
        let name = self.tag.name;
        self.top.name = name.local();
        self.top.inner = Range::new(Range::offset(self.at), self.at);
        let ns = match (name.prefix(), self.tag.default) {
            (None, None) if around.context.is_content() => Ns::Client,
            (None, None) => Ns::from_uri(around.context.default_uri()),
            (None, Some((uri, _))) => Ns::from_uri(&scope::decoded(item, uri)),
            (Some(prefix), _) => {
                match self.scope.resolve(item, around.context, prefix.of(item))? {
                    Binding::Item(_, number) => {
                        let uri = self.scope.uri(item, number);
                        Ns::from_uri(core::str::from_utf8(uri).unwrap_or_default())
                    }
                    Binding::Header(_, number) => {
                        let declared = around.context.prefix(number);
                        Ns::from_uri(declared.map_or("", |declared| declared.uri))
                    }
                    Binding::Xml(_) => Ns::Xml,
                }
            }
        };
        self.top.ns = around.context.content().internal(ns);
        if self.top.ns == Ns::Streams && name.local().of(item) == b"stream" {
            return Err(XmlError::SecondHeader);
        }
        Ok(())
    }
}

/// Judges a complete name; says where its colon stands, or 0 (Namespaces in XML §4).
fn check_name(name: &[u8]) -> Result<u16, XmlError> {
    if !name.is_ascii() {
        // rxml knows the ranges of XML 1.0 §2.3.
        let name = core::str::from_utf8(name).map_err(|_| XmlError::Utf8)?;
        <&NameStr>::try_from(name).map_err(|_| XmlError::Name)?;
    }
    let Some(colon) = name.iter().position(|byte| *byte == b':') else {
        return Ok(0);
    };
    let local = name.get(colon + 1..).unwrap_or_default();
    let well = local
        .first()
        .is_some_and(|byte| chars::is_name_start(*byte))
        && !local.contains(&b':');
    if !well {
        return Err(XmlError::QualifiedName);
    }
    if !local.is_ascii() {
        let local = core::str::from_utf8(local).map_err(|_| XmlError::Utf8)?;
        <&NameStr>::try_from(local).map_err(|_| XmlError::QualifiedName)?;
    }
    u16::try_from(colon).map_err(|_| XmlError::NameTooLong)
}
