//! The scanner held against rxml: one verdict on the same bytes, and the same events from what comes out.
//!
//! Where the two differ is listed in spec-tests/rxml-differences.md. Each entry has its function here, named after it: either
//! it puts the bytes into words on which both agree, or it recognises what one of them lets pass.

use alloc::string::String;
use alloc::vec::Vec;

use rxml::{Event, Options, Parse, Parser, WithOptions};

use super::{Element, Header, Ns, ScanLimits, Scanner, Token, XmlError, chars, declaration, head};

/// Scans `data` as a whole, byte by byte and in small pieces, and holds the outcome against rxml.
///
/// # Panics
/// On any difference that is not on the list.
pub fn scan_against_rxml(data: &[u8]) {
    let ours = Scan::of(data, data.len().max(1));
    for size in [1, 7] {
        assert_eq!(ours, Scan::of(data, size), "cut every {size} bytes");
    }
    let theirs = Reading::of(&agreed(data, &ours));
    let items: Vec<Vec<Seen>> = ours.elements.iter().map(seen_alone).collect();
    for (ours, theirs) in items.iter().zip(&theirs.items) {
        assert_eq!(ours, theirs, "another element");
    }
    for (element, seen) in ours.elements.iter().zip(&items) {
        check_views(element, seen);
    }
    let agree = items.len() == theirs.items.len() && ours.end == theirs.end;
    match ours.error {
        None => assert!(agree, "{:?}, where rxml says {theirs:?}", ours.end),
        Some(error) => {
            let failing = data.get(..failing_len(data)).unwrap_or_default();
            assert!(
                agree || unknown_to_rxml(failing, error) || seen_late(failing, &ours),
                "{error:?} at {:?}, where rxml says {theirs:?}",
                String::from_utf8_lossy(failing),
            );
        }
    }
}

/// Holds one pass of the scanner against one of rxml, for bytes that both must take.
///
/// # Panics
/// If either refuses them.
pub fn check_well_formed(data: &[u8]) {
    let ours = Scan::of(data, data.len().max(1));
    let theirs = Reading::of(&agreed(data, &ours));
    let ends = (ours.end, theirs.end);
    let text = || String::from_utf8_lossy(data);
    assert_eq!(ends.0, ends.1, "{:?}: {:?}", ours.error, text());
    assert_ne!(ends.0, End::Error, "{:?}: {:?}", ours.error, text());
    assert_eq!(ours.elements.len(), theirs.items.len(), "{:?}", text());
}

/// How a reading ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// It wants more bytes.
    More,
    /// The stream is closed.
    Closed,
    Error,
}

/// What the scanner makes of some bytes.
#[derive(Debug, PartialEq)]
struct Scan {
    header: Option<Header>,
    elements: Vec<Element>,
    end: End,
    error: Option<XmlError>,
}

/// Bounds that nothing reaches: rxml has none.
const UNLIMITED: ScanLimits = ScanLimits {
    element_bytes: u32::MAX,
    depth: u16::MAX,
    attributes: u16::MAX,
    declarations: u16::MAX,
    name_bytes: u16::MAX,
    elements: u32::MAX,
};

impl Scan {
    /// Scans in pieces of `size`.
    fn of(data: &[u8], size: usize) -> Self {
        let mut scanner = Scanner::new(UNLIMITED);
        let mut scan = Self {
            header: None,
            elements: Vec::new(),
            end: End::More,
            error: None,
        };
        for mut piece in data.chunks(size) {
            loop {
                match scanner.scan(&mut piece) {
                    Ok(None) => break,
                    Ok(Some(Token::Header(header))) => scan.header = Some(header),
                    Ok(Some(Token::Element(element))) => scan.elements.push(element),
                    Ok(Some(Token::End)) => {
                        scan.end = End::Closed;
                        return scan;
                    }
                    Err(error) => {
                        scan.end = End::Error;
                        scan.error = Some(error);
                        return scan;
                    }
                }
            }
        }
        scan
    }
}

/// How many bytes it takes until the scanner refuses them.
fn failing_len(data: &[u8]) -> usize {
    let mut scanner = Scanner::new(UNLIMITED);
    for (at, mut byte) in data.chunks(1).enumerate() {
        while let Some(_token) = match scanner.scan(&mut byte) {
            Ok(token) => token,
            Err(_) => return at + 1,
        } {}
    }
    data.len()
}

/// One thing in an element, as rxml sees it.
#[derive(Debug, PartialEq)]
enum Seen {
    /// Namespace, local name and the attributes by namespace and name.
    Start(String, String, Vec<(String, String, String)>),
    Text(String),
    End,
}

/// What rxml makes of some bytes.
#[derive(Debug)]
struct Reading {
    /// The complete children of the root.
    items: Vec<Vec<Seen>>,
    end: End,
    events: usize,
}

impl Reading {
    fn of(data: &[u8]) -> Self {
        let mut parser = Parser::with_options(Options {
            max_token_length: data.len() + 16,
            ..Options::default()
        });
        let mut reading = Self {
            items: Vec::new(),
            end: End::More,
            events: 0,
        };
        let mut item = Vec::new();
        let mut depth = 0_usize;
        let mut input = data;
        loop {
            let event = match parser.parse(&mut input, false) {
                Ok(Some(event)) => event,
                Ok(None) => return reading,
                Err(rxml::error::EndOrError::NeedMoreData) => return reading,
                Err(rxml::error::EndOrError::Error(_)) => {
                    reading.end = End::Error;
                    return reading;
                }
            };
            reading.events += 1;
            match event {
                Event::XmlDeclaration(..) => continue,
                Event::StartElement(_, (ns, name), attributes) => {
                    depth += 1;
                    if depth > 1 {
                        let attributes = attributes.iter().map(|((ns, name), value)| {
                            (
                                String::from(ns.as_str()),
                                name.as_str().into(),
                                value.clone(),
                            )
                        });
                        let ns = ns.as_str().into();
                        item.push(Seen::Start(ns, name.as_str().into(), attributes.collect()));
                    }
                }
                Event::Text(_, text) if depth > 1 => match item.last_mut() {
                    Some(Seen::Text(before)) => before.push_str(&text),
                    _ => item.push(Seen::Text(text)),
                },
                Event::Text(..) => {}
                Event::EndElement(_) => {
                    depth -= 1;
                    if depth == 0 {
                        reading.end = End::Closed;
                        return reading;
                    }
                    item.push(Seen::End);
                    if depth == 1 {
                        reading.items.push(core::mem::take(&mut item));
                    }
                }
            }
        }
    }
}

/// What rxml sees of an element inside a plain stream.
fn seen_alone(element: &Element) -> Vec<Seen> {
    seen_inside("<r xmlns='jabber:client'>", element.raw())
}

fn seen_inside(root: &str, element: &[u8]) -> Vec<Seen> {
    let mut document = Vec::from(root);
    for_rxml(element, &mut document);
    let mut reading = Reading::of(&document);
    assert_eq!(
        (reading.items.len(), reading.end),
        (1, End::More),
        "rxml refuses {:?}",
        String::from_utf8_lossy(element),
    );
    reading.items.pop().unwrap_or_default()
}

/// Holds what `Element` and `Node` say against what rxml sees.
fn check_views(element: &Element, seen: &[Seen]) {
    let Some(Seen::Start(ns, name, attributes)) = seen.first() else {
        panic!("no start tag");
    };
    assert_eq!(
        (element.ns(), element.name()),
        (Ns::from_uri(ns), name.as_str())
    );
    let own = element.attributes().filter(|a| a.declares().is_none());
    let mut values: Vec<String> = own.map(|a| a.value().into_owned()).collect();
    let mut expected: Vec<String> = attributes.iter().map(|(.., value)| value.clone()).collect();
    values.sort();
    expected.sort();
    assert_eq!(values, expected, "attributes");
    let (text, children) = direct(seen);
    assert_eq!(element.text(), text, "text");
    let mut nodes = element.children();
    for expected in children {
        let Some(node) = nodes.next() else {
            panic!("a child is missing");
        };
        let Some(Seen::Start(ns, name, _)) = expected.first() else {
            panic!("no start tag");
        };
        assert_eq!((&*node.ns_uri(), node.name()), (ns.as_str(), name.as_str()));
        assert_eq!(node.text(), direct(expected).0, "text of a child");
        assert_eq!(
            node.children().count(),
            direct(expected).1.len(),
            "grandchildren"
        );
        let mut alone = Vec::new();
        node.write_standalone(&mut alone);
        let wrapped = seen_inside("<r xmlns='urn:w' xmlns:a='urn:v' xmlns:b='urn:u'>", &alone);
        assert_eq!(wrapped, expected, "standalone");
    }
    assert!(nodes.next().is_none(), "a child too many");
}

/// The character data directly inside an element, and its children.
fn direct(seen: &[Seen]) -> (String, Vec<&[Seen]>) {
    let (mut text, mut children) = (String::new(), Vec::new());
    let (mut depth, mut from) = (0_usize, 0);
    for (at, event) in seen.iter().enumerate() {
        match event {
            Seen::Start(..) => {
                if depth == 1 {
                    from = at;
                }
                depth += 1;
            }
            Seen::Text(part) if depth == 1 => text.push_str(part),
            Seen::Text(_) => {}
            Seen::End => {
                depth -= 1;
                if depth == 1 {
                    children.extend(seen.get(from..=at));
                }
            }
        }
    }
    (text, children)
}

/// The bytes in words on which both agree: `line-ends`, `long-references`, `leading-space`, `declaration`.
fn agreed(data: &[u8], ours: &Scan) -> Vec<u8> {
    let mut words = Vec::new();
    for_rxml(data, &mut words);
    let space = chars::skip_space(&words, 0);
    let declared = words
        .get(space..)
        .is_some_and(|rest| rest.starts_with(b"<?"));
    if !declared {
        words.drain(..space);
    }
    if words.starts_with(b"<?") {
        match memchr::memchr(b'>', &words).map(|end| end + 1) {
            // The scanner judges a declaration when it is complete.
            None if ours.end == End::More => words.clear(),
            None => {}
            // One that it lets pass is written as rxml knows it.
            Some(end) => {
                let declaration = words.get(..end).unwrap_or_default();
                if declaration::check(declaration).is_ok() {
                    words.splice(..end, *b"<?xml version='1.0'?>");
                }
            }
        }
    }
    words
}

/// Appends well-formed bytes in words on which rxml and XML agree (spec-tests/rxml-differences.md): line ends normalised, no
/// leading zeros in character references.
fn for_rxml(raw: &[u8], out: &mut Vec<u8>) {
    const CDATA: &[u8] = b"<![CDATA[";
    let mut rest = raw;
    while let Some(at) = memchr::memchr3(b'&', b'\r', b'<', rest) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        if special.starts_with(b"\r") {
            rest = chars::line_end(special, out);
            continue;
        }
        if special.starts_with(CDATA) {
            let end = memchr::memmem::find(special, b"]]>").unwrap_or(special.len());
            let (section, behind) = special.split_at(end);
            chars::decode_cdata(section, out);
            rest = behind;
            continue;
        }
        let openings = [b"&#x".as_slice(), b"&#", b"&", b"<"];
        let opening = openings.into_iter().find(|o| special.starts_with(o));
        let opening = opening.unwrap_or_default();
        out.extend_from_slice(opening);
        rest = special.get(opening.len()..).unwrap_or_default();
        if opening.len() > 1 {
            let zeros = rest.iter().take_while(|byte| **byte == b'0').count();
            rest = rest.get(zeros..).unwrap_or_default();
        }
    }
    out.extend_from_slice(rest);
}

/// What is an error to us at the end of `failing` and none to rxml, whatever follows.
fn unknown_to_rxml(failing: &[u8], error: XmlError) -> bool {
    let tag = memchr::memrchr(b'<', failing).and_then(|start| failing.get(start..));
    let last = tag.and_then(|tag| head::start_tag(tag).1.last());
    let policy = matches!(error, XmlError::Growth | XmlError::HeaderDeclarations);
    let text_in_stream = error == XmlError::TextInStream;
    let second_header = error == XmlError::SecondHeader;
    let declaration = error == XmlError::Declaration;
    let repeated_default =
        error == XmlError::DuplicateAttribute && last.is_some_and(|a| a.name == "xmlns");
    let xmlns_bound =
        error == XmlError::ReservedPrefix && last.is_some_and(|a| a.value() == Ns::Xmlns.uri());
    policy || text_in_stream || second_header || declaration || repeated_default || xmlns_bound
}

/// `late-errors`: rxml looks at a token when it is complete, so it may still wait at the end of `failing`. Then however the
/// token ends, nothing of it may come out.
fn seen_late(failing: &[u8], ours: &Scan) -> bool {
    const ENDS: [&[u8]; 11] = [
        b"<", b" <", b">", b"/>", b"'>", b"\">", b"''>", b"=''>", b";", b";<", b"]]><",
    ];
    let before = Reading::of(&agreed(failing, ours));
    if before.items.len() != ours.elements.len() || before.end == End::Closed {
        return false;
    }
    before.end == End::Error
        || ENDS.iter().all(|end| {
            let ended = Reading::of(&agreed(&[failing, end].concat(), ours));
            ended.events == before.events
        })
}
