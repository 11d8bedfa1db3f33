//! What reading costs, in steps: whatever is sent, so many for each byte and no more. Each of these is a way to make one byte
//! cost many.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::super::{Ns, ScanLimits, Scanner, Token};
use super::{HEADER, scan_all};
use crate::limits::Limits;
use crate::work;

/// As much as one stanza may have.
const ROOM: usize = 240_000;

/// `piece` as often as it has room.
fn filled(piece: &str) -> String {
    piece.repeat(ROOM / piece.len())
}

fn numbered(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect()
}

/// Headers that declare as much as they may.
fn headers() -> Vec<String> {
    let with = |declarations: String| {
        format!(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'{declarations}>"
        )
    };
    let alike = |n| format!(" xmlns:h{n:02}='{n:034}'");
    Vec::from([
        HEADER.into(),
        with(format!(" xmlns:h='{}'", "u".repeat(600))),
        with(numbered(14, alike)),
    ])
}

fn message(attributes: &str, inside: &str) -> String {
    format!("<message{attributes}>{inside}</message>")
}

/// Text and elements.
fn plain() -> Vec<(&'static str, String)> {
    let wide = format!(" x='{}' xmlns:p='u'", "y".repeat(100_000));
    let many = numbered(128, |n| format!(" a{n:03}a=''")) + " xmlns:p='u'";
    Vec::from([
        ("text", message("", &filled("a b"))),
        ("references", message("", &filled("&lt;"))),
        (
            "brackets",
            message("", &format!("<![CDATA[{}]]>", filled("]"))),
        ),
        ("small elements", message("", &"<a/>".repeat(9_999))),
        (
            "small elements with ends",
            message("", &"<a></a>".repeat(9_999)),
        ),
        (
            "a long start tag before the children",
            message(&wide, &"<p:priority/>".repeat(9_999)),
        ),
        (
            "many attributes before the children",
            message(&many, &"<p:priority/>".repeat(9_999)),
        ),
    ])
}

/// Sixty-four declarations, of these prefixes and of names that begin so.
fn declarations(first: usize, uri: &str) -> String {
    numbered(64, |n| format!(" xmlns:p{:03}='{uri}{n:03}'", first + n))
}

/// Elements in which as many prefixes are in scope as may be.
fn in_scope(inside: &str) -> String {
    let inside = inside.repeat((ROOM / inside.len()).min(9_000));
    let inner = format!("<a{}>{inside}</a>", declarations(64, "v"));
    message(&declarations(0, "u"), &inner)
}

/// Attributes and namespaces.
fn named() -> Vec<(&'static str, String)> {
    let one_of_each = numbered(64, |n| format!(" p{n:03}:x=''"));
    let alike = |prefix: &str| numbered(128, |n| format!(" {prefix}a{n:03}a=''"));
    let coded = "&amp;".repeat(300);
    let each_of_header = numbered(9_999, |n| format!("<h{:02}:a/>", n % 14));
    Vec::from([
        ("names in a large scope", in_scope("<p000:x/>")),
        (
            "attributes of every prefix",
            in_scope(&format!("<b{one_of_each}/>")),
        ),
        (
            "attributes whose names are alike",
            message("", &filled(&format!("<b{}/>", alike("")))),
        ),
        (
            "attributes with one prefix",
            message(" xmlns:p='u'", &filled(&format!("<b{}/>", alike("p:")))),
        ),
        (
            "declarations over and over",
            message(
                &declarations(0, "u"),
                &filled(&format!("<b{}/>", declarations(64, "v"))),
            ),
        ),
        (
            "long declarations that must be decoded",
            message(
                &declarations(0, &coded),
                &format!("<b{}/>", declarations(64, &coded)),
            ),
        ),
        (
            "prefixed content",
            message(" xmlns:c='jabber:client'", &"<c:a></c:a>".repeat(9_999)),
        ),
        ("prefixes of the header", message("", &each_of_header)),
        (
            "one prefix of the header",
            message("", &"<h:a/>".repeat(9_999)),
        ),
    ])
}

fn stanzas() -> Vec<(&'static str, String)> {
    let mut stanzas = plain();
    stanzas.extend(named());
    stanzas
}

/// Scans one stanza and looks for what a server looks for in it.
fn read(scanner: &mut Scanner, xml: &str) {
    if let (tokens, None) = scan_all(scanner, xml.as_bytes())
        && let [Token::Element(element)] = tokens.as_slice()
    {
        let found = element
            .children()
            .find(|child| child.is(Ns::Client, "priority"));
        assert!(found.is_none());
        assert_eq!(element.attribute("to"), None);
    }
}

#[test]
fn a_stanza_costs_what_its_bytes_cost() {
    let mut accepted = 0;
    for header in headers() {
        for (name, xml) in stanzas() {
            let mut scanner = Scanner::new(ScanLimits::client(&Limits::default()));
            assert_eq!(scan_all(&mut scanner, header.as_bytes()).1, None);
            let before = work::done();
            read(&mut scanner, &xml);
            let done = work::done().since(before);
            let bytes = xml.len();
            assert!(done.is_worth(bytes), "{name}: {done:?} for {bytes} bytes");
            accepted += done.elements;
        }
    }
    // Some use prefixes that only one of the headers declares.
    let all = (headers().len() * stanzas().len()) as u64;
    assert_eq!(accepted, all - 4);
}
