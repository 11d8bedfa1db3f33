//! Stanzas that are kept and come back: requests that wait for somebody, what is still to be said.

use alloc::vec::Vec;

use bytes::Bytes;

use super::Stanza;
use crate::jid::Jid;
use crate::limits::{ADDRESSES_BYTES, GROWTH, Limits, PRESENCE_BYTES};
use crate::xml::{ScanLimits, Scanner, Token};

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

    /// Reads what `to_xml` wrote, `from` included; `None` if it is nothing of the kind.
    #[must_use]
    pub fn from_xml(xml: &[u8]) -> Option<Self> {
        // It may have some more of these than a client may send: what the server wrote into it, and what it took from the stream header.
        let limits = ScanLimits {
            element_bytes: u32::try_from(STORED_BYTES).unwrap_or(u32::MAX),
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
