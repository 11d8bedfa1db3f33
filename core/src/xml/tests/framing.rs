//! The stream around the elements: header, declaration, white space, end, and cuts.

use alloc::format;
use alloc::vec::Vec;

use super::super::{Ns, ScanLimits, Scanner, Token, XmlClass, XmlError};
use super::{HEADER, PREFIXED, header_of, scan_all, scanner};
use crate::limits::Limits;
use crate::work;

#[test]
fn the_header_is_read_and_decoded() {
    let header = header_of(
        "<?xml version='1.0'?>\r\n<stream:stream from=\"j&#xFC;rg@a.example\" to = 'a.example' id='&lt;1&gt;' version='1.0' \
         xml:lang='de' x:to='no' xmlns:x='urn:x' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
    )
    .unwrap();
    assert_eq!(
        (&*header.name, header.ns, header.content),
        ("stream", Ns::Streams, Ns::Client)
    );
    assert_eq!(header.from.as_deref(), Some("j\u{FC}rg@a.example"));
    assert_eq!(header.to.as_deref(), Some("a.example"));
    assert_eq!(header.id.as_deref(), Some("<1>"));
    assert_eq!(header.version.as_deref(), Some("1.0"));
    assert_eq!(header.lang.as_deref(), Some("de"));
}

#[test]
fn the_header_names_its_namespaces_whatever_they_are() {
    let header = header_of("<a/>").unwrap();
    assert_eq!(
        (&*header.name, header.ns, header.content),
        ("a", Ns::None, Ns::None)
    );
    let header = header_of(PREFIXED).unwrap();
    assert_eq!(
        (&*header.name, header.ns, header.content),
        ("stream", Ns::Streams, Ns::Streams)
    );
    let header = header_of("<s:stream xmlns:s='urn:x' xmlns='jabber:server'>").unwrap();
    assert_eq!((header.ns, header.content), (Ns::Other, Ns::Server));
    assert_eq!(header_of("<s:stream>"), Err(XmlError::UnboundPrefix));
}

/// XML 1.0 §2.8, RFC 6120 §11.5, §11.6, §11.8.
#[test]
fn the_xml_declaration_is_checked() {
    let with = |declaration: &str| header_of(&format!("{declaration}<a>")).err();
    for fine in [
        "",
        "<?xml version='1.0'?>",
        "<?xml version=\"1.0\" encoding='utf-8'?>\n",
        "<?xml  version = '1.0'  encoding=\"UTF-8\"\t?>",
        "<?xml version='1.0' standalone='yes'?>",
        "<?xml version='1.0' encoding='UTF-8' standalone='yes' ?> ",
    ] {
        assert_eq!(with(fine), None, "{fine}");
    }
    for (declaration, error) in [
        ("<?xml version='1.1'?>", XmlError::Version),
        ("<?xml version='2.0'?>", XmlError::Version),
        (
            "<?xml version='1.0' encoding='UTF-16'?>",
            XmlError::Encoding,
        ),
        (
            "<?xml version='1.0' encoding='ISO-8859-1'?>",
            XmlError::Encoding,
        ),
        (
            "<?xml version='1.0' standalone='no'?>",
            XmlError::Standalone,
        ),
        (
            "<?xml version='1.0' standalone='maybe'?>",
            XmlError::Declaration,
        ),
        ("<?xml?>", XmlError::Declaration),
        ("<?xml encoding='UTF-8'?>", XmlError::Declaration),
        (
            "<?xml version='1.0'encoding='UTF-8'?>",
            XmlError::Declaration,
        ),
        (
            "<?xml version='1.0' encoding='UTF-8' version='1.0'?>",
            XmlError::Declaration,
        ),
        ("<?xml version='1.0'>", XmlError::Declaration),
        ("<?xml version='1.0' \u{E9}?>", XmlError::Declaration),
        (
            "<?xml-stylesheet href='a'?>",
            XmlError::ProcessingInstruction,
        ),
        ("<?XML version='1.0'?>", XmlError::ProcessingInstruction),
        ("<?xml version='1.0'?>a", XmlError::OutsideRoot),
        (
            "<?xml version='1.0'?><?xml version='1.0'?>",
            XmlError::ProcessingInstruction,
        ),
        ("<?xml version='1.0'?></a>", XmlError::Syntax),
        ("<?xml version='1.0'?><![CDATA[", XmlError::OutsideRoot),
    ] {
        assert_eq!(with(declaration), Some(error), "{declaration}");
    }
    let endless = format!("<?xml {}", " ".repeat(1_000));
    assert_eq!(
        scan_all(&mut scanner(), endless.as_bytes()).1,
        Some(XmlError::Declaration)
    );
    assert_eq!(
        XmlError::Encoding.class().condition(),
        "unsupported-encoding"
    );
}

/// RFC 6120 §11.6: U+FEFF is a character there, and so stands before the root.
#[test]
fn a_byte_order_mark_is_refused() {
    assert_eq!(
        header_of(&format!("\u{FEFF}{HEADER}")),
        Err(XmlError::OutsideRoot)
    );
    for utf16 in [&b"\xFE\xFF\0<"[..], b"\xFF\xFE<\0", b"<\0a\0", b"\0<\0a"] {
        assert_eq!(
            scan_all(&mut scanner(), utf16).1,
            Some(XmlError::Encoding),
            "{utf16:?}"
        );
    }
    assert_eq!(XmlError::Encoding.class(), XmlClass::UnsupportedEncoding);
}

#[test]
fn white_space_before_the_header_is_skipped() {
    assert!(header_of(" \r\n\t<a>").is_ok());
    assert_eq!(header_of("a<a>"), Err(XmlError::OutsideRoot));
    assert_eq!(header_of(" a<a>"), Err(XmlError::OutsideRoot));
}

#[test]
fn white_space_between_elements_keeps_nothing() {
    let mut scanner = scanner();
    scan_all(&mut scanner, HEADER.as_bytes());
    for _ in 0..1_000 {
        assert!(matches!(scanner.scan(&mut &b" "[..]), Ok(None)));
        assert_eq!(scanner.held(), 0);
        assert!(scanner.partial.is_none());
    }
}

#[test]
fn the_end_of_the_stream_is_the_end() {
    for end in [
        "</stream:stream>",
        "</stream:stream\n>",
        " </stream:stream><a>",
        "</stream:stream>\0<!--",
    ] {
        let mut scanner = scanner();
        scan_all(&mut scanner, HEADER.as_bytes());
        let mut rest = end.as_bytes();
        assert!(
            matches!(scanner.scan(&mut rest), Ok(Some(Token::End))),
            "{end}"
        );
        assert!(matches!(scanner.scan(&mut rest), Ok(None)));
        assert!(matches!(scanner.scan(&mut &b"&&&"[..]), Ok(None)));
        assert_eq!(rest, b"");
    }
}

#[test]
fn a_header_that_is_its_own_end_opens_and_closes() {
    let xml = HEADER.replace("streams'>", "streams'/>");
    let (tokens, error) = scan_all(&mut scanner(), xml.as_bytes());
    assert!(
        matches!(tokens.as_slice(), [Token::Header(_), Token::End]),
        "{tokens:?}"
    );
    assert_eq!(error, None);
}

#[test]
fn many_elements_in_one_read_come_one_by_one() {
    let xml = format!("{HEADER}<a/> <b></b>\n<c>d</c></stream:stream>");
    let (tokens, error) = scan_all(&mut scanner(), xml.as_bytes());
    assert_eq!(error, None);
    let names: Vec<&str> = tokens
        .iter()
        .filter_map(|token| match token {
            Token::Element(element) => Some(element.name()),
            Token::Header(_) | Token::End => None,
        })
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn an_unfinished_element_is_kept_and_then_given_back() {
    let mut scanner = scanner();
    scan_all(&mut scanner, HEADER.as_bytes());
    scan_all(&mut scanner, b"<a>b");
    assert_eq!(scanner.held(), 4);
    let (tokens, _) = scan_all(&mut scanner, b"c</a><d");
    assert_eq!(tokens.len(), 1);
    assert_eq!(scanner.held(), 2);
    scan_all(&mut scanner, b"/>");
    assert_eq!(scanner.held(), 0);
    assert!(scanner.partial.is_none());
}

/// What is behind an unfinished element is scanned from the input itself, piece by piece.
#[test]
fn a_large_read_behind_an_unfinished_element_is_split() {
    let mut scanner = scanner();
    scan_all(&mut scanner, HEADER.as_bytes());
    scan_all(&mut scanner, b"<a>b");
    let rest = format!("c</a>{}", "<d>e</d>".repeat(5_000));
    let (tokens, error) = scan_all(&mut scanner, rest.as_bytes());
    assert_eq!((tokens.len(), error), (5_001, None));
}

#[test]
fn an_idle_scanner_is_small() {
    assert!(size_of::<Scanner>() <= 64, "{}", size_of::<Scanner>());
    let mut scanner = scanner();
    scan_all(&mut scanner, HEADER.as_bytes());
    assert!(matches!(
        scanner.context,
        super::super::scope::Context::Usual(_)
    ));
}

/// A trickled stanza costs linear time: the machine looks at each byte once, plus a step for each time it is called.
#[test]
fn a_trickled_element_is_looked_at_once() {
    let body = "some text &amp; <b c='d'>\u{E9}</b><![CDATA[ ]] ]]>".repeat(1_300);
    let attribute = "0123456789 \u{20AC} &#x41;".repeat(400);
    let xml = format!("<message id='{attribute}'><body>{body}</body></message>");
    assert!(xml.len() > 64 * 1024);
    let limits = ScanLimits::client(&Limits::default());
    let mut scanner = Scanner::new(limits);
    scan_all(&mut scanner, HEADER.as_bytes());
    let before = work::done();
    let (last, first) = xml.as_bytes().split_last().unwrap();
    for byte in first {
        assert!(matches!(scanner.scan(&mut &[*byte][..]), Ok(None)));
    }
    let steps = work::done().since(before).steps;
    assert!(steps < 4 * xml.len() as u64, "{steps} of {}", xml.len());
    let (tokens, _) = scan_all(&mut scanner, &[*last]);
    assert!(
        matches!(tokens.as_slice(), [Token::Element(element)] if element.raw() == xml.as_bytes())
    );
}
