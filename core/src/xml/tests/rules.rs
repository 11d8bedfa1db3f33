//! One test for each rule that bytes can break.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::super::{ScanLimits, Scanner, XmlClass, XmlError};
use super::{HEADER, element, element_in, header_of, raw, refusal, scan_all};
use crate::limits::{COPY_GROWTH, HEADER_DECLARATION_BYTES, HEADER_DECLARATIONS};

fn is_refused(cases: &[&str], error: XmlError) {
    for case in cases {
        assert_eq!(refusal(case), error, "{case}");
    }
}

/// RFC 6120 §11.1.
#[test]
fn restricted_xml_is_refused_as_such() {
    is_refused(&["<a><!-- b --></a>", "<!--b-->"], XmlError::Comment);
    is_refused(
        &["<a><?php ?></a>", "<?b?>"],
        XmlError::ProcessingInstruction,
    );
    is_refused(
        &["<a><!DOCTYPE b></a>", "<!DOCTYPE b>"],
        XmlError::DocumentType,
    );
    is_refused(
        &[
            "<a>&lol;</a>",
            "<a b='&lol;'/>",
            "<a>&am;</a>",
            "<a>&ampx;</a>",
        ],
        XmlError::Entity,
    );
    for error in [
        XmlError::Comment,
        XmlError::ProcessingInstruction,
        XmlError::DocumentType,
        XmlError::Entity,
    ] {
        assert_eq!(error.class(), XmlClass::RestrictedXml);
        assert_eq!(error.class().condition(), "restricted-xml");
    }
}

#[test]
fn a_billion_laughs_end_at_the_document_type() {
    let xml =
        "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol1 '&lol;&lol;'>]><a>";
    assert_eq!(header_of(xml), Err(XmlError::DocumentType));
}

#[test]
fn an_xml_declaration_may_only_come_first() {
    is_refused(
        &["<?xml version='1.0'?><a/>"],
        XmlError::ProcessingInstruction,
    );
    assert_eq!(
        header_of(&format!(" {HEADER}")),
        Err(XmlError::ProcessingInstruction)
    );
}

#[test]
fn tags_that_do_not_match_the_grammar_are_refused() {
    let cases = [
        "<>",
        "< a/>",
        "<1/>",
        "<a b/>",
        "<a b=c/>",
        "<a b='c'd='e'/>",
        "<a =''/>",
        "<a b=''=''/>",
        "<a/ >",
        "<a//>",
        "<a><b></b/></a>",
        "<a></a b=''>",
        "<a></ a>",
        "<a <b/>",
        "<a b='1' 'c'/>",
        "<a><![CDATX[]]></a>",
        "<a><!b></a>",
        "<a\"b\"/>",
        "<:a/>",
        "<a :b=''/>",
        "<-a/>",
    ];
    is_refused(&cases, XmlError::Syntax);
}

#[test]
fn end_tags_must_match() {
    is_refused(
        &[
            "<a></b>",
            "<a><b></a>",
            "<a><b></b></c>",
            "<a></aa>",
            "<aa></a>",
        ],
        XmlError::Mismatch,
    );
    is_refused(
        &["</stream>", "</a>", "</stream:streams>"],
        XmlError::Mismatch,
    );
    is_refused(&["<x:a xmlns:x='b' xmlns:y='b'></y:a>"], XmlError::Mismatch);
}

#[test]
fn characters_that_xml_does_not_allow_are_refused() {
    let cases = [
        "<a>\0</a>",
        "<a>\u{1}</a>",
        "<a>\u{B}</a>",
        "<a>\u{1F}</a>",
        "<a>\u{FFFE}</a>",
        "<a>\u{FFFF}</a>",
        "<a b='\0'/>",
        "<a b='\u{FFFF}'/>",
        "<a><![CDATA[\u{8}]]></a>",
        "<a><![CDATA[\u{FFFE}]]></a>",
    ];
    is_refused(&cases, XmlError::Character);
    assert_eq!(
        element("<a>\u{7F}\u{80}\u{FFFD}\u{10FFFF}\u{FEFF}</a>").text(),
        "\u{7F}\u{80}\u{FFFD}\u{10FFFF}\u{FEFF}"
    );
}

#[test]
fn references_to_forbidden_characters_are_refused() {
    for number in [
        "#0",
        "#8",
        "#11",
        "#x1F",
        "#xD800",
        "#xDFFF",
        "#xFFFE",
        "#xFFFF",
        "#x110000",
        "#99999999999999999999",
    ] {
        assert_eq!(
            refusal(&format!("<a>&{number};</a>")),
            XmlError::Character,
            "{number}"
        );
        assert_eq!(
            refusal(&format!("<a b='&{number};'/>")),
            XmlError::Character,
            "{number}"
        );
    }
}

#[test]
fn an_ampersand_must_begin_a_reference() {
    let cases = [
        "<a>&#+85;</a>",
        "<a>&#-85;</a>",
        "<a>& b</a>",
        "<a>&;</a>",
        "<a>&#;</a>",
        "<a>&#x;</a>",
        "<a>&#X41;</a>",
        "<a>&#4f;</a>",
        "<a>&#x4g;</a>",
        "<a>&amp </a>",
        "<a b='&'/>",
        "<a b='&#x'/>",
    ];
    is_refused(&cases, XmlError::Reference);
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    let cases: [&[u8]; 10] = [
        b"\x80",
        b"\xC0\x80",
        b"\xC1\xBF",
        b"\xE0\x80\x80",
        b"\xED\xA0\x80",
        b"\xF0\x80\x80\x80",
        b"\xF4\x90\x80\x80",
        b"\xFF",
        b"\xC3(",
        b"\xE2\x82(",
    ];
    for bytes in cases {
        let places: [(&[u8], &[u8]); 4] = [
            (b"<a>", b"</a>"),
            (b"<a b='", b"'/>"),
            (b"<a><![CDATA[", b"]]></a>"),
            (b"<a", b"/>"),
        ];
        for (before, behind) in places {
            let data = [HEADER.as_bytes(), before, bytes, behind].concat();
            let error = scan_all(&mut super::scanner(), &data).1;
            assert_eq!(
                error,
                Some(XmlError::Utf8),
                "{:?}",
                String::from_utf8_lossy(&data)
            );
        }
    }
    assert_eq!(XmlError::Utf8.class(), XmlClass::UnsupportedEncoding);
}

#[test]
fn names_follow_xml() {
    is_refused(
        &["<a\u{D7}/>", "<a \u{F7}=''/>", "<\u{B7}a/>", "<\u{300}/>"],
        XmlError::Name,
    );
    is_refused(&["<x:\u{300}a xmlns:x='b'/>"], XmlError::QualifiedName);
}

#[test]
fn the_end_of_a_cdata_section_may_not_stand_in_text() {
    is_refused(
        &[
            "<a>]]></a>",
            "<a>b]]>c</a>",
            "<a><![CDATA[]]>]]></a>",
            "<a>]]]></a>",
        ],
        XmlError::CdataEnd,
    );
    assert_eq!(element("<a><![CDATA[]]>></a>").text(), ">");
    assert_eq!(element("<a>]]&gt;]] >]></a>").text(), "]]>]] >]>");
    assert_eq!(element("<a>]<b/>]></a>").text(), "]]>");
}

#[test]
fn markup_may_not_stand_in_a_value() {
    is_refused(&["<a b='<'/>", "<a b='c<d'/>"], XmlError::MarkupInValue);
    assert_eq!(element("<a b='>'/>").attribute("b").unwrap(), ">");
}

/// XML 1.0 §3.1, Namespaces in XML §6.3.
#[test]
fn attributes_are_unique_by_name_and_by_expanded_name() {
    let cases = [
        "<a b='' b=''/>",
        "<a b='' c='' b=''/>",
        "<a xmlns='b' xmlns='b'/>",
        "<a xmlns:b='c' xmlns:b='c'/>",
        "<a xmlns:x='u' xmlns:y='u' x:b='' y:b=''/>",
        "<a xmlns:x='u'><b xmlns:y='&#117;' y:b='' c='' x:b=''/></a>",
        "<a xmlns:x='http://etherx.jabber.org/streams' x:b='' stream:b=''/>",
        "<a xml:lang='' xml:lang=''/>",
        "<a xmlns:x='jabber:client' xmlns:y='jabber:client' x:b='' y:b=''/>",
    ];
    is_refused(&cases, XmlError::DuplicateAttribute);
    for fine in [
        "<a xmlns:x='u' xmlns:y='v' x:b='' y:b='' b=''/>",
        "<a xmlns='u' xmlns:x='u' x:b='' b=''/>",
        "<a ab='' ba=''/>",
        "<a xmlns:x='u' x:x=''/>",
        "<a xmlns:x='u'><b xmlns:x='v' xmlns:y='u' x:c='' y:c=''/></a>",
    ] {
        element(fine);
    }
}

#[test]
fn prefixes_must_be_bound_where_they_are_used() {
    let cases = [
        "<x:a/>",
        "<a x:b=''/>",
        "<a><b xmlns:x='u'/><x:c/></a>",
        "<a><b xmlns:x='u'></b><c x:d=''/></a>",
        "<xmlns:a/>",
    ];
    is_refused(&cases, XmlError::UnboundPrefix);
    element("<x:a xmlns:x='u'><x:b/></x:a>");
    element("<a x:b='' xmlns:x='u'/>");
    element("<a xml:lang='en'><xml:b/></a>");
}

/// Namespaces in XML §3.
#[test]
fn the_reserved_prefixes_and_namespaces_cannot_be_bound_otherwise() {
    const XML: &str = "http://www.w3.org/XML/1998/namespace";
    const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
    for case in [
        "<a xmlns:xml='b'/>",
        "<a xmlns:xmlns='b'/>",
        &format!("<a xmlns:xmlns='{XMLNS}'/>"),
        &format!("<a xmlns:b='{XML}'/>"),
        &format!("<a xmlns='{XML}'/>"),
        &format!("<a xmlns:b='{XMLNS}'/>"),
        &format!("<a xmlns='{XMLNS}'/>"),
        &format!("<a xmlns:b='{}'/>", XML.replace("w3", "&#119;3")),
    ] {
        assert_eq!(refusal(case), XmlError::ReservedPrefix, "{case}");
    }
    element(&format!("<a xmlns:xml='{XML}' xml:lang='en'/>"));
}

#[test]
fn a_prefix_cannot_be_undeclared_but_the_default_can() {
    is_refused(&["<a xmlns:b=''/>"], XmlError::PrefixUndeclared);
    assert_eq!(
        raw(&element("<a xmlns=''><b xmlns='u'><c xmlns=''/></b></a>")),
        "<a xmlns=''><b xmlns='u'><c xmlns=''/></b></a>"
    );
}

#[test]
fn names_have_at_most_one_colon_with_something_on_each_side() {
    is_refused(
        &[
            "<a:/>",
            "<a b:=''/>",
            "<a:b:c xmlns:a='d'/>",
            "<a:1 xmlns:a='d'/>",
            "<a xmlns:='d'/>",
        ],
        XmlError::QualifiedName,
    );
}

fn limited(change: impl FnOnce(&mut ScanLimits), xml: &str) -> Option<XmlError> {
    let mut limits = ScanLimits {
        element_bytes: 10_000,
        depth: 10,
        attributes: 10,
        declarations: 10,
        name_bytes: 50,
        elements: 100,
    };
    let mut scanner = Scanner::new(limits);
    assert_eq!(scan_all(&mut scanner, HEADER.as_bytes()).1, None);
    change(&mut limits);
    scanner.set_limits(limits);
    scan_all(&mut scanner, xml.as_bytes()).1
}

#[test]
fn an_element_over_the_limit_is_refused_at_the_byte_that_exceeds_it() {
    let xml = "<a>12345</a>";
    assert_eq!(limited(|l| l.element_bytes = 12, xml), None);
    assert_eq!(limited(|l| l.element_bytes = 12, &xml.repeat(3)), None);
    assert_eq!(
        limited(|l| l.element_bytes = 11, xml),
        Some(XmlError::TooBig)
    );
    assert_eq!(limited(|l| l.element_bytes = 11, &xml[..11]), None);
    assert_eq!(XmlError::TooBig.class(), XmlClass::StanzaTooBig);
    assert_eq!(XmlError::TooBig.class().condition(), "policy-violation");
}

#[test]
fn a_value_or_text_without_end_is_refused_at_the_limit() {
    for endless in ["<a b='", "<a>", "<a><![CDATA[", "<a b='&#", "<a ", "<a>&#x"] {
        let xml = format!(
            "{endless}{}",
            if endless == "<a " { " " } else { "0" }.repeat(300)
        );
        assert_eq!(
            limited(|l| l.element_bytes = 200, &xml),
            Some(XmlError::TooBig),
            "{endless}"
        );
    }
}

#[test]
fn white_space_between_elements_is_not_counted() {
    let xml = format!("{}<a/>", " \r\n\t".repeat(100));
    assert_eq!(limited(|l| l.element_bytes = 4, &xml), None);
}

#[test]
fn depth_is_limited() {
    assert_eq!(limited(|l| l.depth = 2, "<a><b/><b></b></a>"), None);
    assert_eq!(
        limited(|l| l.depth = 1, "<a><b/></a>"),
        Some(XmlError::TooDeep)
    );
    let deep = format!("{}{}", "<a>".repeat(10), "</a>".repeat(10));
    assert_eq!(limited(|_| {}, &deep), None);
    assert_eq!(
        limited(|_| {}, &"<a>".repeat(10_000)),
        Some(XmlError::TooDeep)
    );
}

#[test]
fn attributes_and_declarations_are_limited_apart() {
    let attributes = |count: usize| (0..count).map(|n| format!(" b{n}=''")).collect::<String>();
    let declarations = |count: usize| {
        (0..count)
            .map(|n| format!(" xmlns:b{n}='u'"))
            .collect::<String>()
    };
    assert_eq!(
        limited(
            |_| {},
            &format!("<a{}{}/>", attributes(10), declarations(10))
        ),
        None
    );
    assert_eq!(
        limited(|_| {}, &format!("<a{}/>", attributes(11))),
        Some(XmlError::TooManyAttributes)
    );
    assert_eq!(
        limited(|_| {}, &format!("<a{}/>", declarations(11))),
        Some(XmlError::TooManyDeclarations)
    );
    let nested = format!("<a{0}><b{0}><c{0}/></b></a>", declarations(10));
    assert_eq!(
        limited(|_| {}, &nested),
        Some(XmlError::TooManyDeclarations)
    );
}

#[test]
fn names_are_limited() {
    let name = |len: usize| "n".repeat(len);
    assert_eq!(
        limited(|_| {}, &format!("<{0} {0}=''></{0}>", name(50))),
        None
    );
    for xml in [
        format!("<{}", name(51)),
        format!("<a {}", name(51)),
        format!("<a></{}", name(51)),
        format!("<\u{E9}{}", name(49)),
    ] {
        assert_eq!(limited(|_| {}, &xml), Some(XmlError::NameTooLong), "{xml}");
    }
}

#[test]
fn elements_are_counted() {
    assert_eq!(
        limited(|_| {}, &format!("<a>{}</a>", "<b/>".repeat(99))),
        None
    );
    assert_eq!(
        limited(|_| {}, &format!("<a>{}</a>", "<b/>".repeat(100))),
        Some(XmlError::TooManyElements)
    );
}

#[test]
fn text_between_elements_is_refused() {
    is_refused(
        &["a", "&amp;", "<![CDATA[a]]>", "<a/>b"],
        XmlError::TextInStream,
    );
    assert_eq!(XmlError::TextInStream.class().condition(), "bad-format");
}

#[test]
fn a_second_stream_header_is_refused_at_its_end() {
    let xml = &HEADER[HEADER.find("<stream").unwrap()..];
    assert_eq!(refusal(xml), XmlError::SecondHeader);
    is_refused(
        &[
            "<stream xmlns='http://etherx.jabber.org/streams'>",
            "<stream:stream>",
        ],
        XmlError::SecondHeader,
    );
    element("<stream xmlns='urn:x'/>");
    element("<stream:features/>");
}

#[test]
fn an_error_is_the_last_word() {
    let mut scanner = super::scanner();
    let xml = format!("{HEADER}<a/></b><c/>");
    let (tokens, error) = scan_all(&mut scanner, xml.as_bytes());
    assert_eq!((tokens.len(), error), (2, Some(XmlError::Mismatch)));
    assert_eq!(scan_all(&mut scanner, b"<a/>").1, Some(XmlError::Mismatch));
    assert_eq!(scanner.held(), 0);
}

/// A header with this attribute besides the usual ones.
fn header_with(attribute: &str) -> String {
    format!(
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' {attribute}>"
    )
}

/// `limits::HEADER_DECLARATIONS`, `limits::HEADER_DECLARATION_BYTES`.
#[test]
fn declarations_of_a_header_are_limited() {
    let usual = " xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'".len();
    let room = HEADER_DECLARATION_BYTES - usual - " xmlns:x=''".len();
    let long = |bytes: usize| header_of(&header_with(&format!("xmlns:x='{}'", "u".repeat(bytes))));
    assert!(long(room).is_ok());
    assert_eq!(long(room + 1), Err(XmlError::HeaderDeclarations));
    assert_eq!(long(200_000), Err(XmlError::HeaderDeclarations));
    let many = |count: usize| {
        let declarations = (0..count).map(|n| format!(" xmlns:b{n}='u'"));
        header_of(&header_with(&declarations.collect::<String>()))
    };
    let others = usize::from(HEADER_DECLARATIONS) - 2;
    assert!(many(others).is_ok());
    assert_eq!(many(others + 1), Err(XmlError::HeaderDeclarations));
    let class = XmlError::HeaderDeclarations.class();
    assert_eq!(class.condition(), "policy-violation");
}

/// `limits::GROWTH`: all that a header may declare, used in the smallest stanza.
#[test]
fn what_is_taken_from_the_header_comes_once() {
    let declarations: String = (0..14)
        .map(|n| format!(" xmlns:b{n}='{}'", "u".repeat(37)))
        .collect();
    let header = header_with(&declarations);
    let uses: String = (0..14).map(|n| format!("<b{n}:a/>")).collect();
    let xml = format!("<message>{}</message>", uses.repeat(10));
    let element = element_in(&header, &xml).unwrap();
    assert_eq!(element.raw().len(), xml.len() + declarations.len());
    assert!(declarations.len() > 680 && declarations.len() < COPY_GROWTH);
}

/// `limits::COPY_GROWTH`.
#[test]
fn a_rewritten_element_is_at_most_twice_as_large_and_a_little() {
    let repeated = |count: usize| {
        format!(
            "<c:message xmlns:c='jabber:client' xmlns='{}'>{}</c:message>",
            "u".repeat(1000),
            "<x/>".repeat(count)
        )
    };
    assert!(element(&repeated(1)).raw().len() > 1000);
    assert_eq!(refusal(&repeated(190)), XmlError::Growth);
    let nested = |count: usize| {
        let inner = "<c:a/>".repeat(count);
        format!("<message><f xmlns='urn:f' xmlns:c='jabber:client'>{inner}</f></message>")
    };
    for count in 1..100 {
        let xml = nested(count);
        match element_in(HEADER, &xml) {
            Ok(element) => assert!(element.raw().len() <= 2 * xml.len() + COPY_GROWTH),
            Err(error) => assert_eq!((error, count > 60), (XmlError::Growth, true)),
        }
    }
    assert_eq!(refusal(&nested(100)), XmlError::Growth);
    assert_eq!(XmlError::Growth.class().condition(), "policy-violation");
}

#[test]
fn a_rewritten_element_may_not_outgrow_the_limit() {
    let xml = "<a><stream:b/></a>";
    let size = element(xml).raw().len();
    let limit = |size: usize| u32::try_from(size).unwrap();
    assert_eq!(limited(|l| l.element_bytes = limit(size), xml), None);
    assert_eq!(
        limited(|l| l.element_bytes = limit(size - 1), xml),
        Some(XmlError::TooBig)
    );
}

/// Namespaces in XML §6.1, where so many prefixes are in scope that they are kept in order.
#[test]
fn one_of_many_prefixes_means_what_was_declared_last() {
    let declarations = |uri: &str| {
        (0..40)
            .map(|n| format!(" xmlns:p{}='{uri}{n}'", n * 7 % 40))
            .collect::<String>()
    };
    let xml = format!(
        "<m{}><a{} p0:x=''><p7:y/></a><p7:y p0:x='' p1:x=''/></m>",
        declarations("u"),
        declarations("v&amp;")
    );
    let element = element(&xml);
    let children: Vec<_> = element.children().collect();
    assert_eq!(children[0].children().next().unwrap().ns_uri(), "v&1");
    assert_eq!(children[1].ns_uri(), "u1");
    // Two prefixes for one namespace are one, however many there are.
    let same = xml.replace(
        "<p7:y p0:x='' p1:x=''/>",
        "<b xmlns:q='u&#48;' q:x='' p0:x=''/>",
    );
    assert_eq!(refusal(&same), XmlError::DuplicateAttribute);
    let unbound = xml.replace("<p7:y p0:x='' p1:x=''/>", "<p40:y/>");
    assert_eq!(refusal(&unbound), XmlError::UnboundPrefix);
    let names: String = (0..60).map(|n| format!(" a{n}=''")).collect();
    assert_eq!(
        refusal(&format!("<m{names} a37=''/>")),
        XmlError::DuplicateAttribute
    );
}
