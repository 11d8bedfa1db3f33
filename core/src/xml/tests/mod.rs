//! What the scanner, the reader and the writer promise.

mod content;
mod cost;
mod framing;
mod properties;
mod rules;

use alloc::string::String;
use alloc::vec::Vec;

use super::{Element, Header, ScanLimits, Scanner, Token, XmlError};
use crate::limits::Limits;

/// The header that nearly everybody sends.
pub(super) const HEADER: &str = "<?xml version='1.0'?><stream:stream to='a.example' version='1.0' \
     xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// A header with another default namespace and a prefix for the content namespace.
pub(super) const PREFIXED: &str = "<stream xmlns='http://etherx.jabber.org/streams' \
     xmlns:c='jabber:client' xmlns:x='urn:x'>";

fn scanner() -> Scanner {
    Scanner::new(ScanLimits::client(&Limits::default()))
}

/// All tokens of `data` in one piece, then the error if there is one.
fn scan_all(scanner: &mut Scanner, mut data: &[u8]) -> (Vec<Token>, Option<XmlError>) {
    let mut tokens = Vec::new();
    loop {
        match scanner.scan(&mut data) {
            Ok(Some(token)) => tokens.push(token),
            Ok(None) => return (tokens, None),
            Err(error) => return (tokens, Some(error)),
        }
    }
}

/// The one element of `xml` in a stream opened with `header`.
fn element_in(header: &str, xml: &str) -> Result<Element, XmlError> {
    let mut scanner = scanner();
    assert_eq!(scan_all(&mut scanner, header.as_bytes()).1, None);
    match scan_all(&mut scanner, xml.as_bytes()) {
        (_, Some(error)) => Err(error),
        (mut tokens, None) => match tokens.pop() {
            Some(Token::Element(element)) if tokens.is_empty() => Ok(element),
            other => panic!("{xml}: {other:?} behind {tokens:?}"),
        },
    }
}

fn element(xml: &str) -> Element {
    element_in(HEADER, xml).unwrap()
}

/// What `xml` is refused with in a usual stream.
fn refusal(xml: &str) -> XmlError {
    element_in(HEADER, xml).expect_err(xml)
}

fn header_of(xml: &str) -> Result<Header, XmlError> {
    match scan_all(&mut scanner(), xml.as_bytes()) {
        (_, Some(error)) => Err(error),
        (mut tokens, None) => match tokens.remove(0) {
            Token::Header(header) => Ok(header),
            other @ (Token::Element(_) | Token::End) => panic!("{other:?}"),
        },
    }
}

fn raw(element: &Element) -> String {
    String::from_utf8(element.raw().to_vec()).unwrap()
}
