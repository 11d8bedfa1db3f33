//! A client of the fuzzers: whether what it is told makes sense.
//!
//! Reads the server's output with our own scanner and hands each whole stream to rxml, so both have to find it well-formed.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::jid::{BareJid, Jid};
use crate::limits::GROWTH;
use crate::stanza::{IqType, Kind, ParseError, Stanza};
use crate::testing;
use crate::xml::differential::check_well_formed;
use crate::xml::{Element, Ns, ScanLimits, Scanner, Token};

/// Larger documents are not held against rxml: it would take too long for a fuzzer.
const DOCUMENT_BYTES: usize = 16 * 1024;

const LIMITS: ScanLimits = ScanLimits {
    element_bytes: u32::MAX,
    depth: u16::MAX,
    attributes: u16::MAX,
    declarations: u16::MAX,
    name_bytes: u16::MAX,
    elements: u32::MAX,
};

/// One client.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its end of the connection.
    pub(super) line: testing::Peer,
    /// Who wanted that.
    pub(super) side: Side,
    /// What it sent and nobody read yet.
    pub(super) backlog: Vec<u8>,
    /// Whether it reads what it is sent.
    pub(super) ears: Ears,
    /// Whether the core said that its stream is over.
    pub(super) stream: Course,
    /// Whose it is, once it is signed in.
    pub(super) account: Option<BareJid>,
    /// Its full address, once it is bound.
    pub(super) jid: Option<Jid>,
    /// Whether every byte it sent is from the list of phrases, so that what it said is known.
    pub(super) speech: Speech,
    /// The names and passwords it tried.
    pub(super) tried: BTreeSet<(BareJid, &'static str)>,
    /// All it was told.
    pub(super) heard: Vec<u8>,
    /// By how much the stanzas it was told exceed what may be added to each, addresses not counted; each of them came once, which
    /// is not so of presence.
    pub(super) surplus: usize,
    scanner: Scanner,
    /// Where in `heard` the present document begins.
    document: usize,
    version: Version,
    end: Course,
}

/// Who wanted the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    /// It did.
    Client,
    /// The core did: it is a server.
    Server,
}

/// Whether it reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ears {
    Open,
    Shut,
}

/// What the header of the server's present document says that it speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    Present,
    /// One that is older, or none: all that the server may say there is an error.
    Past,
}

/// Whether something goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Course {
    On,
    Over,
}

/// Who made up what it says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Speech {
    Phrases,
    Free,
}

/// A stanza that a peer was sent.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) stanza: Stanza,
    /// The peer that says it wrote it.
    pub(super) mark: Option<usize>,
}

impl Peer {
    pub(super) fn new(line: testing::Peer, side: Side) -> Self {
        Self {
            line,
            side,
            backlog: Vec::new(),
            ears: Ears::Open,
            stream: Course::On,
            account: None,
            jid: None,
            speech: Speech::Phrases,
            tried: BTreeSet::new(),
            heard: Vec::new(),
            surplus: 0,
            scanner: Scanner::new(LIMITS),
            document: 0,
            version: Version::Present,
            end: Course::On,
        }
    }

    /// TLS is up, or SASL is done: another document begins.
    pub(super) fn restart(&mut self) {
        self.check_document();
        self.scanner = Scanner::new(LIMITS);
        self.document = self.heard.len();
    }

    /// Takes output of the server.
    ///
    /// # Panics
    /// If it is not well-formed, or no stanza may be sent yet.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Vec<Received> {
        let mut received = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let before = rest;
            assert_eq!(self.end, Course::On, "output behind the closing tag");
            let token = self.scanner.scan(&mut rest);
            let taken = before.len() - rest.len();
            self.heard
                .extend_from_slice(before.get(..taken).unwrap_or_default());
            match token {
                Ok(None) => {}
                Ok(Some(Token::Header(header))) => {
                    let is_fit = match self.side {
                        Side::Client => header.id.is_some() && header.from.is_some(),
                        Side::Server => header.id.is_none() && header.to.is_some(),
                    };
                    assert!(is_fit, "{header:?}");
                    self.version = match header.version.as_deref() {
                        Some("1.0") => Version::Present,
                        Some(_) | None => Version::Past,
                    };
                }
                Ok(Some(Token::Element(element))) => received.extend(self.element(element)),
                Ok(Some(Token::End)) => self.end = Course::Over,
                Err(error) => panic!("{error:?} in {:?}", self.text()),
            }
        }
        received
    }

    fn element(&mut self, element: Element) -> Option<Received> {
        let ns = element.ns();
        let refused = ns == Ns::Streams && element.name() == "error";
        assert!(self.version == Version::Present || refused, "{element:?}");
        if self.side == Side::Server {
            assert!(matches!(ns, Ns::Streams | Ns::Tls), "{element:?}");
            return None;
        }
        if ns == Ns::Client {
            if element.name() != "presence" {
                let size = element.raw().len() - addresses(&element);
                self.surplus += size.saturating_sub(GROWTH);
            }
            return Some(self.stanza(element));
        }
        assert!(
            matches!(ns, Ns::Sasl | Ns::Streams | Ns::Tls),
            "{element:?}"
        );
        if ns == Ns::Sasl && element.name() == "success" {
            self.restart();
        }
        None
    }

    fn stanza(&self, element: Element) -> Received {
        let mark = element.children().find(|child| child.name() == "mark");
        let mark = mark.and_then(|mark| mark.text().parse().ok());
        let from = element.attribute("from");
        let from = from.map(|from| Jid::parse(&from).expect("an address of the server's"));
        let mut stanza = match Stanza::parse(element, None) {
            Ok(stanza) => stanza,
            // What the server forwards was a request that it could read; what it answers may have had no id.
            Err(ParseError::Refuse(stanza, _)) if matches!(stanza.kind(), Kind::Iq(_)) => *stanza,
            Err(wrong) => panic!("{wrong:?} to {:?}", self.jid),
        };
        // What clients say of it is not read, but this is what the server says.
        if let Some(from) = from {
            stanza.set_from(from);
        }
        match (&self.jid, stanza.kind()) {
            (Some(jid), _) => {
                let right = stanza.to().is_none_or(|to| to.bare() == jid.bare());
                assert!(right, "{stanza:?} to {jid}");
            }
            (None, Kind::Iq(IqType::Error)) => {} // a request to bind was refused
            (None, kind) => panic!("{kind:?} before a resource is bound"),
        }
        Received { stanza, mark }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.heard.get(self.document..).unwrap_or_default()).into_owned()
    }

    /// Lets rxml read the present document.
    pub(super) fn check_document(&self) {
        let document = self.heard.get(self.document..).unwrap_or_default();
        if document.len() <= DOCUMENT_BYTES {
            check_well_formed(document);
        }
    }
}

/// What the addresses of a stanza take.
fn addresses(element: &Element) -> usize {
    let sizes = element.attributes().map(|attribute| match attribute.name {
        "to" | "from" => attribute.name.len() + attribute.quoted.len() + 2,
        _ => 0,
    });
    sizes.sum()
}
