//! Properties of the scanner on generated and damaged streams, with rxml as the reference.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;
use proptest::sample::select;

use super::super::differential::scan_against_rxml;
use super::super::{Scanner, Token};
use super::{HEADER, PREFIXED, scan_all, scanner};

/// Streams differ in what elements may take from them.
const HEADERS: [&str; 5] = [
    HEADER,
    PREFIXED,
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:x='urn:&amp;\u{E9}' xmlns:y='urn:y'>",
    "\n<s xmlns:x='urn:x'>",
    "<?xml version='1.0' standalone='yes'?><s xmlns:x='jabber:client' xmlns=''>",
];

/// Grows a stream from a list of choices, so that what fails shrinks with the list.
struct Grower<'a> {
    choices: core::slice::Iter<'a, u8>,
    out: String,
    /// The prefixes that are bound, innermost last.
    bound: Vec<&'static str>,
    faults: Faults,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Faults {
    None,
    /// Now and then, one that is well-formed but for one rule.
    Some,
}

/// What no start tag may hold, each for one reason.
const FAULTY_ATTRIBUTES: [&str; 20] = [
    " xmlns:x=''",
    " xmlns=''  xmlns='a'",
    " a='' a=''",
    " xmlns:xml='a'",
    " xmlns:xmlns='a'",
    " x:q='' z:q=''",
    " xmlns:p='http://www.w3.org/XML/1998/namespace'",
    " xmlns:q='http://www.w3.org/2000/xmlns/'",
    " b='<'",
    " b='&lol;'",
    " xmlns:x='a' xmlns:x='b'",
    " u:b=''",
    " b:='c'",
    " a:b:c=''",
    " b",
    " b=c",
    " b=''c=''",
    " b='&#0;'",
    " b='\u{FFFE}'",
    " xmlns:p='u' xmlns:q='&#117;' p:a='' q:a=''",
];

const NAMES: [&str; 8] = [
    "message",
    "body",
    "a",
    "stream",
    "\u{E9}t\u{E9}",
    "_-.1",
    "A\u{B7}",
    "xmlnsa",
];
const PREFIXES: [&str; 4] = ["x", "y", "c", "\u{E9}"];
const URIS: [&str; 8] = [
    "urn:x",
    "urn:y",
    "jabber:client",
    "jabber:&#99;lient",
    "urn:&amp;\u{E9}",
    "urn:\tx",
    "http://etherx.jabber.org/streams",
    " ",
];
const VALUES: [&str; 14] = [
    "",
    "a",
    " b ",
    "\u{E9}\u{20AC}\u{1F600}",
    "&amp;&lt;&gt;&quot;&apos;",
    "&#65;",
    "&#x000000000041;",
    "\r\n",
    "\t",
    "\n",
    "\r",
    ">/>",
    "]]>",
    "&#13;&#10;&#9;",
];
const TEXTS: [&str; 14] = [
    "text",
    " ",
    "\u{E9}\u{20AC}\u{1F600}",
    "&amp;&lt;&gt;&quot;&apos;",
    "&#0000000000065;",
    "\r\n",
    "\r",
    "]]",
    ">",
    "<![CDATA[<a>&]]>",
    "<![CDATA[]]]]>",
    "<![CDATA[]\r\n]]>",
    "'\"",
    "\u{FFFD}\u{7F}",
];

impl Grower<'_> {
    fn grow(header: &str, choices: &[u8], faults: Faults) -> String {
        let mut grower = Grower {
            choices: choices.iter(),
            out: header.into(),
            bound: Vec::new(),
            faults,
        };
        if header.contains("xmlns:x") {
            grower.bound.push("x");
        }
        while grower.choices.len() > 0 {
            grower.element(0);
            if grower.pick(4) == 0 {
                grower.out.push_str(" \r\n");
            }
        }
        grower.out
    }

    fn pick(&mut self, among: usize) -> usize {
        usize::from(*self.choices.next().unwrap_or(&0)) % among
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.pick(of.len())]
    }

    /// Whether to break a rule here.
    fn faulty(&mut self) -> bool {
        self.faults == Faults::Some && self.pick(32) == 31
    }

    fn element(&mut self, depth: usize) {
        let outside = self.bound.len();
        let mut attributes = String::new();
        if self.pick(3) == 0 {
            attributes += &format!(" xmlns='{}'", self.one(&URIS));
        }
        if self.pick(3) == 0 {
            let (prefix, uri) = (self.one(&PREFIXES), self.one(&URIS));
            self.bound.push(prefix);
            attributes += &format!(" xmlns:{prefix}=\"{uri}\"");
            // The same namespace by another prefix: attributes can meet.
            if self.pick(3) == 0 {
                self.bound.push("z");
                attributes += &format!(" xmlns:z='{uri}'");
            }
        }
        if self.faulty() {
            attributes += self.one(&FAULTY_ATTRIBUTES);
        }
        // Different local names, so that no two attributes are the same.
        for number in 0..self.pick(4) {
            let prefix = self.prefix();
            let space = self.one(&[" ", "\n", "\r\n ", "\t"]);
            let equals = self.one(&["=", " = "]);
            attributes += &format!(
                "{space}{prefix}b{number}{equals}'{}{}'",
                self.one(&VALUES),
                self.one(&VALUES)
            );
        }
        let name = format!("{}{}", self.prefix(), self.one(&NAMES));
        self.out += &format!("<{name}{attributes}");
        if self.pick(4) == 0 {
            let end = self.one(&["/>", " />"]);
            self.out += end;
        } else {
            let end = self.one(&[">", " >"]);
            self.out += end;
            for _ in 0..self.pick(4) {
                if depth < 6 && self.pick(2) == 0 {
                    self.element(depth + 1);
                } else {
                    let text = self.text();
                    // Two harmless texts can make `]]>`.
                    let end = text.starts_with('>') && self.out.ends_with("]]");
                    self.out += if end { "" } else { text };
                }
            }
            let space = self.one(&["", " "]);
            let wrong = if self.faulty() { "a" } else { "" };
            self.out += &format!("</{name}{wrong}{space}>");
        }
        self.bound.truncate(outside);
    }

    fn text(&mut self) -> &'static str {
        if self.faulty() {
            return self.one(&[
                "]]>",
                "&#xFFFF;",
                "&#+65;",
                "& ",
                "&lol;",
                "\u{FFFF}",
                "\0",
                "<!---->",
                "<?a?>",
                "<!DOCTYPE a>",
                "<![CDATA[\u{1}]]>",
                "<>",
            ]);
        }
        self.one(&TEXTS)
    }

    /// A bound prefix with its colon, or none.
    fn prefix(&mut self) -> String {
        let choice = self.pick(2 * self.bound.len() + 2);
        match self.bound.get(choice) {
            Some(prefix) => format!("{prefix}:"),
            None => String::new(),
        }
    }
}

/// What is put into a stream to damage it.
const DAMAGE: [&str; 40] = [
    "<",
    ">",
    "/",
    "'",
    "\"",
    "=",
    "&",
    ";",
    " ",
    "\r",
    "\n",
    "\t",
    "\0",
    "]]>",
    "<!",
    "<?",
    "<!--",
    "<![CDATA[",
    "xmlns",
    "xmlns=''",
    " xmlns='a'",
    " xmlns:x='http://www.w3.org/2000/xmlns/'",
    "x:",
    ":",
    "</",
    "/>",
    "&#0;",
    "&#x1;",
    "&lol;",
    "\u{FFFF}",
    "\u{D7}",
    "\u{E9}",
    "1",
    "-",
    "</a>",
    "<a>",
    "<x:a>",
    " a='b'",
    "</stream:stream>",
    "<?xml version='1.0' encoding='utf-8'?>",
];

fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let edit = prop_oneof![
        (any::<prop::sample::Index>(), select(&DAMAGE[..])).prop_map(|(at, put)| (
            at,
            0,
            put.as_bytes().to_vec()
        )),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| (at, 1, [byte].to_vec())),
        (any::<prop::sample::Index>(), 1..9_usize).prop_map(|(at, len)| (at, len, Vec::new())),
    ];
    let choices = prop::collection::vec(any::<u8>(), 0..100);
    let edits = prop::collection::vec(edit, 0..3);
    (select(&HEADERS[..]), choices, edits, any::<bool>()).prop_map(
        |(header, choices, edits, all)| {
            let mut data = Grower::grow(header, &choices, Faults::Some).into_bytes();
            // The header is damaged now and then only, or nothing else would be tested.
            let spared = if all { 0 } else { header.len() };
            for (at, len, put) in edits {
                let spared = spared.min(data.len());
                let at = spared + at.index(data.len() - spared + 1);
                let end = data.len().min(at + len);
                data.splice(at..end, put);
            }
            data
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is well-formed is accepted, and means the same to rxml before and after.
    #[test]
    fn well_formed_streams_are_accepted(header in select(&HEADERS[..3]), choices in prop::collection::vec(any::<u8>(), 0..200)) {
        let xml = Grower::grow(header, &choices, Faults::None);
        let (tokens, error) = scan_all(&mut scanner(), xml.as_bytes());
        prop_assert!(matches!(error, None | Some(super::XmlError::SecondHeader)), "{:?}", error);
        prop_assert!(!tokens.is_empty());
        scan_against_rxml(xml.as_bytes());
    }

    #[test]
    fn damaged_streams_get_the_verdict_of_rxml(data in damaged()) {
        scan_against_rxml(&data);
    }

    #[test]
    fn words_of_xml_in_any_order_get_the_verdict_of_rxml(
        header in select(&HEADERS[..]),
        words in prop::collection::vec(select(&DAMAGE[..]), 0..12),
        inside in any::<bool>(),
    ) {
        let start = if inside { "<a b='c" } else { "" };
        scan_against_rxml(format!("{header}{start}{}", words.concat()).as_bytes());
    }

    #[test]
    fn any_bytes_get_the_verdict_of_rxml(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        scan_against_rxml(&bytes);
        scan_against_rxml(&[HEADER.as_bytes(), b"<a>", &bytes].concat());
        scan_against_rxml(&[HEADER.as_bytes(), b"<a b='", &bytes].concat());
    }

    /// Any cut of the same bytes gives the same tokens, and limits strike at the same byte.
    #[test]
    fn no_cut_changes_the_outcome(data in damaged(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6), limit in 1..300_u32) {
        let limits = super::ScanLimits { element_bytes: limit, depth: 4, attributes: 3, declarations: 2, name_bytes: 12, elements: 8 };
        let whole = outcome(limits, &[&data]);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
        at.sort_unstable();
        let mut pieces = Vec::new();
        let mut rest = data.as_slice();
        for at in at.into_iter().rev() {
            let (before, behind) = rest.split_at(at);
            pieces.push(behind);
            rest = before;
        }
        pieces.push(rest);
        pieces.reverse();
        prop_assert_eq!(&whole, &outcome(limits, &pieces));
        let bytes: Vec<&[u8]> = data.chunks(1).collect();
        prop_assert_eq!(&whole, &outcome(limits, &bytes));
    }
}

fn outcome(limits: super::ScanLimits, pieces: &[&[u8]]) -> Vec<String> {
    let mut scanner = Scanner::new(limits);
    let mut seen = Vec::new();
    for piece in pieces {
        let (tokens, error) = scan_all(&mut scanner, piece);
        seen.extend(tokens.iter().map(|token: &Token| format!("{token:?}")));
        if let Some(error) = error {
            seen.push(format!("{error:?}"));
            break;
        }
    }
    seen
}
