//! The rare forms: elements that only their stream header makes complete, or that write the content namespace otherwise than the
//! stanzas of a stream do. They are written again, self-contained and with the content namespace unprefixed (RFC 6120 §4.8.5).
//!
//! What need not change stays as it came, to the byte: prefixes and declarations where the sender put them, text, values. What is
//! taken from the header is declared once, on the element itself. So a copy is hardly larger than what came, and costs what its
//! own bytes cost, whatever the header says.

use alloc::vec::Vec;

use bytes::Bytes;

use super::item::Top;
use super::pull::{Piece, Pieces, split};
use super::scope::{Binding, Context, Id, Range, Scope, declaration_bytes};
use super::stack::Stack;
use super::{Attribute, Attributes, Element, Ns, ScanLimits, XmlError, head};
use crate::limits::COPY_GROWTH;
use crate::work;

/// Writes `raw`, an element in `ns` proven in `context`, again so that it uses nothing of the header and no prefix for the
/// content namespace. How large that is is counted first.
///
/// # Errors
/// `Growth` or `TooBig` where it would be too large.
///
/// `Choice:` RFC 6120 §13.12 leaves a stanza error or the end of the stream. A client comes here only by declaring a namespace
/// once and having us repeat it hundreds of times.
pub(super) fn rewrite(
    raw: &[u8],
    ns: Ns,
    context: &Context,
    limits: &ScanLimits,
) -> Result<Element, XmlError> {
    let count = Count {
        size: 0,
        bound: raw.len().saturating_mul(2).saturating_add(COPY_GROWTH),
    };
    let mut counted = Copy::new(raw, context, count);
    counted.write(Borrowed::default())?;
    let Copy { out, borrowed, .. } = counted;
    let size = out.size + borrowed.bytes(context);
    if size > out.bound {
        return Err(XmlError::Growth);
    }
    if size > limits.element_bytes as usize {
        return Err(XmlError::TooBig);
    }
    let mut copy = Copy::new(raw, context, Vec::with_capacity(size));
    copy.write(borrowed)?;
    let top = Top {
        ns,
        name: copy.name,
        inner: copy.inner,
    };
    Ok(Element::scanned(Bytes::from(copy.out), raw.len(), top))
}

/// Takes what is written.
trait Sink {
    fn put(&mut self, bytes: &[u8]) -> Result<(), XmlError>;
    fn len(&self) -> usize;
}

/// Writes nothing and says when it would be too much.
struct Count {
    size: usize,
    bound: usize,
}

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) -> Result<(), XmlError> {
        work::step(1);
        self.size += bytes.len();
        if self.size > self.bound {
            return Err(XmlError::Growth);
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.size
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), XmlError> {
        work::glance(bytes.len());
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn len(&self) -> usize {
        self.len()
    }
}

/// Which prefixes of the header an element uses: one bit for each, of which there are at most `limits::HEADER_DECLARATIONS`.
#[derive(Clone, Copy, Debug, Default)]
struct Borrowed(u32);

impl Borrowed {
    fn add(&mut self, number: usize) {
        let bit = u32::try_from(number)
            .ok()
            .and_then(|n| 1_u32.checked_shl(n));
        self.0 |= bit.unwrap_or_default();
    }

    fn prefixes(self) -> impl Iterator<Item = usize> {
        (0..32).filter(move |number| self.0 >> number & 1 != 0)
    }

    fn bytes(self, context: &Context) -> usize {
        let declared = self.prefixes().filter_map(|number| context.prefix(number));
        let bytes = declared.map(|declared| {
            let prefix = Range::offset(declared.name.len());
            declaration_bytes(prefix, Range::offset(declared.quoted.len()))
        });
        bytes.sum()
    }
}

/// What an unprefixed name means.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum DefaultNs {
    #[default]
    Content,
    /// The header's default namespace, if that is another.
    Header,
    /// What is declared here, another too.
    Declared(Range),
}

/// An open element.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    /// Its name as it is written, in the element as it came.
    name: Range,
    /// How many declarations were in scope outside.
    scope: u32,
    inside: Defaults,
}

/// The default namespace of the element as it came and of the copy.
#[derive(Clone, Copy, Debug, Default)]
struct Defaults {
    read: DefaultNs,
    written: DefaultNs,
}

/// The copy being written.
struct Copy<'a, S> {
    raw: &'a [u8],
    context: &'a Context,
    scope: Scope,
    opens: Stack<Open, 8>,
    borrowed: Borrowed,
    out: S,
    /// Of the element itself, in `out`.
    name: Range,
    inner: Range,
}

impl<'a, S: Sink> Copy<'a, S> {
    fn new(raw: &'a [u8], context: &'a Context, out: S) -> Self {
        Self {
            raw,
            context,
            scope: Scope::new(),
            opens: Stack::new(),
            borrowed: Borrowed::default(),
            out,
            name: Range::default(),
            inner: Range::default(),
        }
    }

    /// Writes all of it; `declared` is what the element itself is to declare of the header's.
    fn write(&mut self, declared: Borrowed) -> Result<(), XmlError> {
        let mut pieces = Pieces { rest: self.raw };
        loop {
            let before = pieces.rest;
            let Some(piece) = pieces.next() else {
                return Ok(());
            };
            match piece {
                Piece::Start { tag, .. } => self.start(tag, declared)?,
                Piece::End => self.end()?,
                Piece::Text(_) | Piece::Cdata(_) => {
                    let len = before.len() - pieces.rest.len();
                    self.out.put(before.get(..len).unwrap_or_default())?;
                }
            }
        }
    }

    fn start(&mut self, tag: &'a [u8], declared: Borrowed) -> Result<(), XmlError> {
        let (name, attributes) = head::start_tag(tag);
        let around = self.opens.last().map(|open| open.inside);
        let outside = around.unwrap_or_else(|| self.stream());
        let scope = Range::offset(self.scope.len());
        let own = self.read_declarations(attributes.clone())?;
        let (name, inside) = self.name(name, own, outside)?;
        self.out.put(b"<")?;
        self.out.put(name.as_bytes())?;
        let name_end = self.here();
        if inside.written != outside.written {
            self.declare_default(inside.written)?;
        }
        for attribute in attributes.filter(|attribute| attribute.name != "xmlns") {
            self.attribute(&attribute)?;
        }
        let is_empty = tag.ends_with(b"/>");
        let end: &[u8] = if is_empty { b"/>" } else { b">" };
        if around.is_none() {
            for declared in declared.prefixes().filter_map(|n| self.context.prefix(n)) {
                self.declare(declared.name, declared.quoted)?;
            }
            self.out.put(end)?;
            let local = Range::offset(split(name).1.len());
            self.name = Range {
                start: name_end.saturating_sub(local),
                end: name_end,
            };
            self.inner = Range::new(self.here(), self.out.len());
        } else {
            self.out.put(end)?;
        }
        if is_empty {
            self.scope.truncate(scope as usize);
        } else {
            let name = Range::within(self.raw, name.as_bytes());
            self.opens.push(Open {
                name,
                scope,
                inside,
            });
        }
        Ok(())
    }

    /// What a start tag declares comes into scope; gives its own default namespace.
    fn read_declarations(
        &mut self,
        attributes: Attributes<'a>,
    ) -> Result<Option<DefaultNs>, XmlError> {
        let content = self.context.content();
        let mut own = None;
        for attribute in attributes {
            match attribute.declares() {
                None => {}
                Some("") if content.is(attribute.value().as_bytes()) => {
                    own = Some(DefaultNs::Content);
                }
                Some("") => {
                    let quoted = Range::within(self.raw, attribute.quoted);
                    own = Some(DefaultNs::Declared(quoted));
                }
                Some(prefix) => {
                    let prefix = Range::within(self.raw, prefix.as_bytes());
                    let uri = Range::within(self.raw, attribute.inside());
                    self.scope.declare(self.raw, self.context, prefix, uri)?;
                }
            }
        }
        Ok(own)
    }

    /// How an element of this name is written, and the default namespaces inside it.
    fn name(
        &mut self,
        name: &'a str,
        own: Option<DefaultNs>,
        outside: Defaults,
    ) -> Result<(&'a str, Defaults), XmlError> {
        let read = own.unwrap_or(outside.read);
        let (prefix, local) = split(name);
        let (name, written) = match prefix {
            "" => (name, read),
            prefix => match self.resolve(prefix)? {
                binding if binding.id() == Id::CONTENT => (local, DefaultNs::Content),
                Binding::Header(_, number) => {
                    self.borrowed.add(number);
                    (name, own.unwrap_or(outside.written))
                }
                Binding::Item(..) | Binding::Xml(_) => (name, own.unwrap_or(outside.written)),
            },
        };
        Ok((name, Defaults { read, written }))
    }

    fn end(&mut self) -> Result<(), XmlError> {
        let Some(open) = self.opens.last().copied() else {
            return Ok(());
        };
        self.opens.truncate(self.opens.len() - 1);
        self.scope.truncate(open.scope as usize);
        if self.opens.len() == 0 {
            self.inner.end = self.here();
        }
        self.out.put(b"</")?;
        self.out.put(open.name.of(self.raw))?;
        self.out.put(b">")
    }

    /// Around the element itself. The copy is for streams whose default namespace is the content namespace.
    fn stream(&self) -> Defaults {
        Defaults {
            read: if self.context.is_content() {
                DefaultNs::Content
            } else {
                DefaultNs::Header
            },
            written: DefaultNs::Content,
        }
    }

    fn attribute(&mut self, attribute: &Attribute<'_>) -> Result<(), XmlError> {
        let prefix = split(attribute.name).0;
        if !matches!(prefix, "" | "xmlns")
            && let Binding::Header(_, number) = self.resolve(prefix)?
        {
            self.borrowed.add(number);
        }
        self.out.put(b" ")?;
        self.out.put(attribute.name.as_bytes())?;
        self.out.put(b"=")?;
        self.out.put(attribute.quoted)
    }

    fn resolve(&self, prefix: &str) -> Result<Binding, XmlError> {
        self.scope
            .resolve(self.raw, self.context, prefix.as_bytes())
    }

    fn declare_default(&mut self, default: DefaultNs) -> Result<(), XmlError> {
        let quoted = match default {
            DefaultNs::Content => b"'jabber:client'",
            DefaultNs::Header => self.context.quoted_default(),
            DefaultNs::Declared(quoted) => quoted.of(self.raw),
        };
        self.declare("", quoted)
    }

    fn declare(&mut self, prefix: &str, quoted: &[u8]) -> Result<(), XmlError> {
        self.out.put(b" xmlns")?;
        if !prefix.is_empty() {
            self.out.put(b":")?;
            self.out.put(prefix.as_bytes())?;
        }
        self.out.put(b"=")?;
        self.out.put(quoted)
    }

    fn here(&self) -> u32 {
        Range::offset(self.out.len())
    }
}
