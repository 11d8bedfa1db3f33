//! Stanzas that are kept and come back: requests that wait for somebody, what is still to be said.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Kind, Stanza};
use crate::jid::Jid;
use crate::limits::{ADDRESSES_BYTES, GROWTH, Limits, PRESENCE_BYTES};
use crate::xml::{Ns, ScanLimits, Scanner, Token};

/// The stream in which a stored stanza would stand.
const HEADER: &[u8] =
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// Bytes of a stored stanza: what is kept has at most `PRESENCE_BYTES` as it comes.
const STORED_BYTES: usize = 2 * PRESENCE_BYTES + GROWTH + 2 * ADDRESSES_BYTES;

impl Stanza {
    /// The whole stanza as text: an element of jabber:client, which its names mean without saying so.
    #[must_use]
    pub fn to_xml(&self) -> Bytes {
        let mut xml = Vec::with_capacity(self.size() + 128);
        self.write(&mut xml);
        xml.into()
    }

    /// The same in parts, of which the content is shared with the stanza and not copied.
    #[must_use]
    pub(crate) fn to_parts(&self) -> [Bytes; 3] {
        let mut head = Vec::with_capacity(256);
        self.write_head(self.to(), &mut head);
        head.push(b'>');
        let inner = self.element.raw().slice(self.element.inner_range());
        let end = match self.kind {
            Kind::Iq(_) => "</iq>",
            Kind::Message(_) => "</message>",
            Kind::Presence(_) => "</presence>",
        };
        // As long as it is: it stays until the disk has it.
        let head = Bytes::copy_from_slice(&head);
        [head, inner, Bytes::from_static(end.as_bytes())]
    }

    /// Appends the whole stanza as one to be forwarded (XEP-0297 §3.1), which says what its names mean, with this behind its other content.
    pub(crate) fn write_forwarded(&self, more: &[u8], out: &mut Vec<u8>) {
        self.write_head(self.to(), out);
        write_xmlns(out);
        out.push(b'>');
        out.extend_from_slice(self.element.inner());
        out.extend_from_slice(more);
        self.write_end(out);
    }

    /// What a copy was made of (XEP-0280 §6): the message that is forwarded in it.
    #[must_use]
    pub(crate) fn copied(&self) -> Option<Self> {
        let payload = self.payload()?;
        let mut within = payload.children();
        let forwarded = within
            .next()
            .filter(|child| child.is(Ns::Forward, "forwarded"))?;
        let message = forwarded.children().next()?;
        Self::read(message.raw(), u32::MAX)
    }

    /// Reads what `to_xml` wrote, `from` included; `None` if it is nothing of the kind.
    #[must_use]
    pub fn from_xml(xml: &[u8]) -> Option<Self> {
        Self::read(xml, u32::try_from(STORED_BYTES).unwrap_or(u32::MAX))
    }

    /// The same of one that may be as long as any.
    #[must_use]
    pub(crate) fn from_whole_xml(xml: &[u8]) -> Option<Self> {
        Self::read(xml, u32::MAX)
    }

    fn read(xml: &[u8], most: u32) -> Option<Self> {
        // It may have some more of these than a client may send: what the server wrote into it, and what it took from the stream header.
        let limits = ScanLimits {
            element_bytes: most,
            attributes: u16::MAX,
            declarations: u16::MAX,
            ..ScanLimits::client(&Limits::default())
        };
        let mut scanner = Scanner::new(limits);
        scanner.scan(&mut &*HEADER).ok()?;
        let mut rest = xml;
        let Ok(Some(Token::Element(element))) = scanner.scan(&mut rest) else {
            return None;
        };
        let from = Jid::parse(&element.attribute("from")?).ok()?;
        let mut stanza = Self::parse(element, None).ok()?;
        stanza.set_from(from);
        rest.is_empty().then_some(stanza)
    }
}

fn write_xmlns(out: &mut Vec<u8>) {
    out.extend_from_slice(b" xmlns='jabber:client'");
}

/// Appends a stored stanza as one to be forwarded. Nothing, if nothing of it is left (XEP-0313 §3).
pub fn write_stored_forwarded(xml: &[u8], out: &mut Vec<u8>) {
    let name = xml
        .iter()
        .position(|byte| matches!(byte, b' ' | b'>' | b'/'));
    if let Some((name, rest)) = name.and_then(|at| xml.split_at_checked(at)) {
        out.extend_from_slice(name);
        write_xmlns(out);
        out.extend_from_slice(rest);
    }
}

/// Appends a stored message with this behind its other content.
pub(crate) fn write_stored_message(xml: &[u8], more: &[u8], out: &mut Vec<u8>) {
    const END: &[u8] = b"</message>";
    if let Some(before) = xml.strip_suffix(END) {
        out.extend_from_slice(before);
    } else if let Some(head) = xml.strip_suffix(b"/>") {
        out.extend_from_slice(head);
        out.push(b'>');
    } else {
        return;
    }
    out.extend_from_slice(more);
    out.extend_from_slice(END);
}
