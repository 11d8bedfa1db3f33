//! A stanza: a parsed head over shared, validated bytes.
//!
//! Forwarding writes a fresh start tag from the head and copies the rest as it came: the payload is never serialised again, and
//! `from` is always ours to set.

mod build;
mod condition;
mod delay;
mod kind;
mod latest;
mod parse;
mod stored;
#[cfg(test)]
mod tests;

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use condition::{Condition, ErrorType};
pub(crate) use delay::delay;
pub use kind::{IqType, Kind, MessageType, PresenceType};
pub(crate) use latest::Latest;
pub use parse::ParseError;
pub use stored::write_stored_forwarded;
pub(crate) use stored::write_stored_message;

use crate::jid::Jid;
use crate::limits::GROWTH;
use crate::xml::{Children, Element, Node, quote, quote_plain, stands_for_itself};

/// A range of bytes in the element's raw form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Span {
    start: u32,
    end: u32,
}

/// `xml:lang` of a stanza.
#[derive(Clone, Debug)]
enum Lang {
    /// Said on the stanza itself: with its quotes.
    Own(Span),
    /// Taken from the stream (RFC 6120 §4.7.4), decoded.
    Stream(Arc<str>),
    Unsaid,
}

/// A well-formed, namespace-complete stanza within limits. Made by `parse` from what the scanner proved, or by `build`.
#[derive(Clone, Debug)]
pub struct Stanza {
    element: Element,
    kind: Kind,
    to: Option<Jid>,
    from: Option<Jid>,
    /// The `id` value with its quotes.
    id: Option<Span>,
    lang: Lang,
    /// Every other attribute of the start tag, prefix declarations included, whole.
    rest: Vec<Span>,
    /// By whose doing it is sent, if it is not whom it is from.
    cause: Option<Jid>,
    /// What somebody found among its children who looks at those of every stanza of its kind: once is enough.
    found: Option<u16>,
}

impl Stanza {
    /// Which stanza, of which type.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whom it is for; `None` means the sender's own account (RFC 6120 §10.3).
    #[must_use]
    pub const fn to(&self) -> Option<&Jid> {
        self.to.as_ref()
    }

    /// Whom it is from, as stamped.
    #[must_use]
    pub const fn from(&self) -> Option<&Jid> {
        self.from.as_ref()
    }

    /// Whose availability it tells: a later one of the same sender makes it needless.
    #[must_use]
    pub const fn announces(&self) -> Option<&Jid> {
        match self.kind {
            Kind::Presence(PresenceType::Available | PresenceType::Unavailable) => self.from(),
            Kind::Presence(
                PresenceType::Error
                | PresenceType::Probe
                | PresenceType::Subscribe
                | PresenceType::Subscribed
                | PresenceType::Unsubscribe
                | PresenceType::Unsubscribed,
            )
            | Kind::Iq(_)
            | Kind::Message(_) => None,
        }
    }

    /// Stamps the sender.
    pub fn set_from(&mut self, from: Jid) {
        self.from = Some(from);
    }

    /// Addresses it.
    pub fn set_to(&mut self, to: Jid) {
        self.to = Some(to);
    }

    /// By whose doing it is sent: who wrote it, or what it is a copy of.
    #[must_use]
    pub const fn cause(&self) -> Option<&Jid> {
        match &self.cause {
            Some(cause) => Some(cause),
            None => self.from.as_ref(),
        }
    }

    /// It is a copy of what this one wrote, whoever it is from.
    pub(crate) fn caused_by(&mut self, cause: Option<Jid>) {
        self.cause = cause;
    }

    /// The decoded `id`.
    #[must_use]
    pub fn id(&self) -> Option<Cow<'_, str>> {
        self.element.attribute("id")
    }

    /// The first child element: what an IQ asks for.
    #[must_use]
    pub fn payload(&self) -> Option<Node<'_>> {
        self.element.children().next()
    }

    /// What was found among its children, if they were looked at.
    pub(crate) const fn found(&self) -> Option<u16> {
        self.found
    }

    /// What is among its children.
    pub(crate) const fn note_found(&mut self, found: u16) {
        self.found = Some(found);
    }

    /// The child elements.
    #[must_use]
    pub fn children(&self) -> Children<'_> {
        self.element.children()
    }

    /// How many bytes it keeps alive.
    #[must_use]
    pub fn size(&self) -> usize {
        self.element.raw().len()
    }

    /// Appends the whole stanza, for a stream whose default namespace is the content namespace.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_to(self.to.as_ref(), out);
    }

    /// Appends the whole stanza addressed to `to`.
    pub fn write_to(&self, to: Option<&Jid>, out: &mut Vec<u8>) {
        let raw = self.element.raw();
        let inner = self.element.inner();
        out.reserve(raw.len() + 128);
        let start = out.len();
        let addresses = self.write_head(to, out);
        if inner.is_empty() {
            out.extend_from_slice(b"/>");
        } else {
            out.push(b'>');
            out.extend_from_slice(inner);
            self.write_end(out);
        }
        self.hold_to_growth(out.len() - start - addresses);
    }

    /// Appends its start tag without the end of that; returns how many bytes the addresses in it take.
    fn write_head(&self, to: Option<&Jid>, out: &mut Vec<u8>) -> usize {
        let raw = self.element.raw();
        out.push(b'<');
        out.extend_from_slice(self.kind.element().as_bytes());
        let addresses = out.len();
        write_jid(out, b" to=", to);
        write_jid(out, b" from=", self.from.as_ref());
        let addresses = out.len() - addresses;
        if let Some(kind) = self.kind.type_attribute() {
            out.extend_from_slice(b" type='");
            out.extend_from_slice(kind.as_bytes());
            out.push(b'\'');
        }
        if let Some(id) = self.id {
            out.extend_from_slice(b" id=");
            out.extend_from_slice(bytes_at(raw, id));
        }
        match &self.lang {
            Lang::Own(span) => {
                out.extend_from_slice(b" xml:lang=");
                out.extend_from_slice(bytes_at(raw, *span));
            }
            Lang::Stream(lang) => {
                out.extend_from_slice(b" xml:lang=");
                quote(out, lang);
            }
            Lang::Unsaid => {}
        }
        for span in &self.rest {
            out.push(b' ');
            out.extend_from_slice(bytes_at(raw, *span));
        }
        addresses
    }

    fn write_end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"</");
        out.extend_from_slice(self.kind.element().as_bytes());
        out.push(b'>');
    }

    /// The same with this behind its other content: well-formed and self-contained elements, which the server adds.
    #[must_use]
    pub(crate) fn with(&self, more: &[u8]) -> Self {
        Self {
            element: self.element.with(more),
            found: None,
            ..self.clone()
        }
    }

    /// The same without those of its children of which this is so; `None` if it is so of none.
    #[must_use]
    pub(crate) fn without(&self, is_gone: impl Fn(&Node<'_>) -> bool) -> Option<Self> {
        let element = self.element.without(is_gone)?;
        Some(Self {
            element,
            found: None,
            ..self.clone()
        })
    }

    /// Where tests make the server write stanzas, none may be larger than `limits::GROWTH` allows; `written` is its size without
    /// addresses.
    fn hold_to_growth(&self, written: usize) {
        if cfg!(any(test, feature = "testing")) {
            let came = self.element.came();
            assert!(
                written <= 2 * came + GROWTH,
                "of {came} bytes {written} came"
            );
        }
    }
}

/// A span is made from the very bytes it is read from, so it lies within them; an empty slice stands for a bug.
fn bytes_at(raw: &[u8], span: Span) -> &[u8] {
    raw.get(span.start as usize..span.end as usize)
        .unwrap_or_default()
}

fn write_jid(out: &mut Vec<u8>, open: &[u8], jid: Option<&Jid>) {
    if let Some(jid) = jid {
        out.extend_from_slice(open);
        // Before the resource an address has nothing that XML reserves (RFC 7622 §3.2, §3.3), and most have none or a plain one.
        match jid.resource().is_none_or(stands_for_itself) {
            true => quote_plain(out, jid.as_str()),
            false => quote(out, jid.as_str()),
        }
    }
}
