//! What comes out: elements, their attributes and children, the rare forms rewritten, and what the writer writes.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::super::scope::Context;
use super::super::{
    Content, Element, Ns, ScanLimits, Scanner, Token, Writer, escape_attribute, escape_text,
};
use super::{HEADER, PREFIXED, element, element_in, raw, scan_all};
use crate::limits::Limits;
use crate::work;

/// Elements that are forwarded as they came.
#[test]
fn self_contained_elements_stay_as_they_are() {
    for xml in [
        "<message to='a@b' type=\"chat\"><body>hi &amp; <![CDATA[<ho>]]></body></message>",
        "<iq xmlns='jabber:client' id='1'><query xmlns='jabber:iq:roster'/></iq>",
        "<x:a xmlns:x='urn:x' x:b='1'><x:c/></x:a>",
        "<message><f xmlns='urn:f'><message xmlns='jabber:client'><body/></message></f></message>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>",
        "<message xml:lang='en'><\u{E9}l\u{E9}ment \u{E4}='\u{1F600}'/></message>",
        "<a xmlns:n='a b&amp;c\u{E9}'/>",
        "<a  b = 'c' ></a >",
    ] {
        assert_eq!(raw(&element(xml)), xml);
    }
}

/// House contract 12, RFC 6120 §4.8.5.
#[test]
fn what_is_taken_from_the_header_is_written_out() {
    let out = |header: &str, xml: &str| raw(&element_in(header, xml).unwrap());
    assert_eq!(
        out(HEADER, "<stream:features/>"),
        "<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>"
    );
    assert_eq!(
        out(
            HEADER,
            "<stream:error><a xmlns='urn:a'>b</a></stream:error>"
        ),
        "<stream:error xmlns:stream='http://etherx.jabber.org/streams'><a xmlns='urn:a'>b</a></stream:error>"
    );
    assert_eq!(
        out(
            PREFIXED,
            "<c:message c:x='1'><c:body>a</c:body></c:message>"
        ),
        "<message c:x='1' xmlns:c='jabber:client'><body>a</body></message>"
    );
    assert_eq!(
        out(
            PREFIXED,
            "<c:message><x:y x:a='1' xml:lang='en' b='2'/></c:message>"
        ),
        "<message xmlns:x='urn:x'><x:y x:a='1' xml:lang='en' b='2'/></message>"
    );
    assert_eq!(
        out(PREFIXED, "<error/>"),
        "<error xmlns='http://etherx.jabber.org/streams'/>"
    );
    assert_eq!(
        out(PREFIXED, "<message xmlns='jabber:client'><body/></message>"),
        "<message xmlns='jabber:client'><body/></message>"
    );
    assert_eq!(out("<s>", "<message/>"), "<message xmlns=''/>");
    assert_eq!(
        out(
            "<s xmlns=\"jabber:client\" xmlns:x = \"a'b&#38;c\">",
            "<message><x:y/></message>"
        ),
        "<message xmlns:x=\"a'b&#38;c\"><x:y/></message>"
    );
}

#[test]
fn the_content_namespace_is_written_without_a_prefix() {
    for (xml, written) in [
        (
            "<c:message xmlns:c='jabber:client'><c:body >a</c:body ></c:message >",
            "<message xmlns:c='jabber:client'><body>a</body></message>",
        ),
        (
            "<message><body xmlns='jabber:client'>a</body></message>",
            "<message><body>a</body></message>",
        ),
        (
            "<message><x:body xmlns:x='jabber:&#99;lient'>a</x:body></message>",
            "<message><body xmlns:x='jabber:&#99;lient'>a</body></message>",
        ),
        (
            "<message xmlns='jabber:client'><body xmlns='jabber:client'>a</body></message>",
            "<message><body>a</body></message>",
        ),
    ] {
        let element = element(xml);
        assert_eq!((element.ns(), element.name()), (Ns::Client, "message"));
        assert_eq!(raw(&element), written);
        assert_eq!(element.children().next().unwrap().ns(), Ns::Client);
    }
}

/// The one element of `xml` behind a usual header of this content namespace, and how many steps it took.
fn in_stream_of(content: Content, xml: &str) -> (Element, u64) {
    let mut scanner = Scanner::of(content, ScanLimits::client(&Limits::default()));
    let header = HEADER.replace("jabber:client", content.ns().uri());
    let (mut tokens, error) = scan_all(&mut scanner, header.as_bytes());
    assert!(
        matches!(tokens.pop(), Some(Token::Header(header)) if header.content == content.ns()),
        "{error:?}"
    );
    assert!(matches!(scanner.context, Context::Usual(_)));
    let before = work::done();
    let (mut tokens, error) = scan_all(&mut scanner, xml.as_bytes());
    let steps = work::done().since(before).steps;
    match tokens.pop() {
        Some(Token::Element(element)) if tokens.is_empty() => (element, steps),
        other => panic!("{xml}: {other:?}, {error:?}"),
    }
}

/// Whatever the content namespace is, stanzas come out as if it was jabber:client, and cost the same.
#[test]
fn each_content_namespace_has_the_form_of_the_clients() {
    for content in [Content::Server, Content::Component] {
        let ns = content.ns().uri();
        for xml in [
            "<message to='a@b' type='chat'><body>hi &amp; ho</body></message>",
            "<iq id='1'><query xmlns='jabber:iq:roster'><item/></query></iq>",
            "<message><f xmlns='urn:f'><message xmlns='jabber:client'><body/></message></f></message>",
        ] {
            let (theirs, steps) = in_stream_of(content, xml);
            let (clients, clients_steps) = in_stream_of(Content::Client, xml);
            assert_eq!((&theirs, steps), (&clients, clients_steps), "{ns}: {xml}");
            assert_eq!((raw(&theirs).as_str(), theirs.ns()), (xml, Ns::Client));
        }
        for (xml, expected) in [
            (
                "<message xmlns='NS'><body/></message>",
                "<message><body/></message>",
            ),
            (
                "<message><body xmlns='NS'/></message>",
                "<message><body/></message>",
            ),
            (
                "<s:message xmlns:s='NS'><s:body/></s:message>",
                "<message xmlns:s='NS'><body/></message>",
            ),
            (
                "<message><f xmlns='urn:f'><message xmlns='NS'><body/></message></f></message>",
                "<message><f xmlns='urn:f'><message xmlns='jabber:client'><body/></message></f></message>",
            ),
        ] {
            let (element, _) = in_stream_of(content, &xml.replace("NS", ns));
            assert_eq!(raw(&element), expected.replace("NS", ns), "{xml}");
            assert_eq!(element.ns(), Ns::Client, "{xml}");
        }
        let (foreign, _) = in_stream_of(Content::Client, &format!("<message xmlns='{ns}'/>"));
        assert_eq!(foreign.ns(), content.ns());
    }
}

/// What an unprefixed name means is kept, whatever becomes of the names around it.
#[test]
fn default_namespaces_are_declared_where_they_are_needed_again() {
    for (xml, written) in [
        (
            "<c:message xmlns:c='jabber:client' xmlns='urn:u'><a/><c:body/><b><d/></b></c:message>",
            "<message xmlns:c='jabber:client'><a xmlns='urn:u'/><body/><b xmlns='urn:u'><d/></b></message>",
        ),
        (
            "<message><f xmlns='urn:f' xmlns:c='jabber:client'><c:message><c:body/><g/></c:message><h/></f></message>",
            "<message><f xmlns='urn:f' xmlns:c='jabber:client'><message xmlns='jabber:client'><body/><g xmlns='urn:f'/></message><h/></f></message>",
        ),
        (
            "<message><stream:x xmlns='urn:f'><a/></stream:x><b/></message>",
            "<message xmlns:stream='http://etherx.jabber.org/streams'><stream:x xmlns='urn:f'><a/></stream:x><b/></message>",
        ),
        (
            "<message><stream:x><a xmlns:stream='urn:s'><stream:y/></a></stream:x></message>",
            "<message xmlns:stream='http://etherx.jabber.org/streams'><stream:x><a xmlns:stream='urn:s'><stream:y/></a></stream:x></message>",
        ),
        (
            "<message><a b='1' xmlns='urn:a' stream:c='2'/><![CDATA[<stream:d>]]></message>",
            "<message xmlns:stream='http://etherx.jabber.org/streams'><a xmlns='urn:a' b='1' stream:c='2'/><![CDATA[<stream:d>]]></message>",
        ),
    ] {
        assert_eq!(raw(&element(xml)), written);
    }
}

#[test]
fn line_ends_and_long_references_survive_rewriting() {
    let element = element(
        "<stream:a b='1\r2\r\n3\t4&#10;5&#000000000065;'>\r\n&#13;<![CDATA[]\r\n&#0065;]]>&#x000000000041;</stream:a>",
    );
    assert_eq!(element.attribute("b").unwrap(), "1 2 3 4\n5A");
    assert_eq!(element.text(), "\n\r]\n&#0065;A");
}

#[test]
fn an_element_knows_its_parts() {
    let element =
        element("<message to='a' x:to='b' xmlns:x='urn:x' id=\"'\"><a/>t<b>u</b></message>");
    assert_eq!((element.ns(), element.name()), (Ns::Client, "message"));
    assert_eq!(element.inner(), b"<a/>t<b>u</b>");
    assert_eq!(&element.raw()[element.inner_range()], element.inner());
    assert_eq!(element.attribute("to").unwrap(), "a");
    assert_eq!(element.attribute("x:to").unwrap(), "b");
    assert_eq!(element.attribute("from"), None);
    assert_eq!(element.text(), "t");
    let attributes: Vec<(&str, &[u8])> = element.attributes().map(|a| (a.name, a.quoted)).collect();
    assert_eq!(
        attributes,
        [
            ("to", &b"'a'"[..]),
            ("x:to", b"'b'"),
            ("xmlns:x", b"'urn:x'"),
            ("id", b"\"'\"")
        ]
    );
    let range = element.raw().as_ptr_range();
    for attribute in element.attributes() {
        assert!(
            range.contains(&attribute.quoted.as_ptr()) && range.contains(&attribute.name.as_ptr())
        );
    }
}

#[test]
fn empty_elements_have_no_content() {
    for xml in ["<a/>", "<a b='/>' />", "<a></a>", "<a ></a >"] {
        let element = element(xml);
        assert_eq!((element.name(), element.inner()), ("a", &b""[..]), "{xml}");
        assert_eq!(element.children().count(), 0);
    }
}

/// XML 1.0 §2.11 and §3.3.3.
#[test]
fn values_and_text_are_normalised_and_references_are_not() {
    let element = element(
        "<a b='1\t2\n3\r\n4\r5&#9;&#10;&#13;&quot;&apos;'>1\r\n2\r3\n&#13;&lt;&#x1F600;<![CDATA[&lt;\r]]></a>",
    );
    assert_eq!(element.attribute("b").unwrap(), "1 2 3 4 5\t\n\r\"'");
    assert_eq!(element.text(), "1\n2\n3\n\r<\u{1F600}&lt;\n");
}

#[test]
fn children_know_their_namespaces() {
    let element = element(
        "<iq xmlns:r='jabber:iq:roster' xmlns:u='u&amp;\u{E9}'><r:query><item/><x xmlns=''/></r:query><ping xmlns='urn:xmpp:ping'><a/></ping>\
         <u:a/><body/><xml:b/></iq>",
    );
    let children: Vec<_> = element.children().collect();
    let seen: Vec<(Ns, &str)> = children
        .iter()
        .map(|child| (child.ns(), child.name()))
        .collect();
    assert_eq!(
        seen,
        [
            (Ns::Roster, "query"),
            (Ns::Ping, "ping"),
            (Ns::Other, "a"),
            (Ns::Client, "body"),
            (Ns::Xml, "b")
        ]
    );
    assert_eq!(children[2].ns_uri(), "u&\u{E9}");
    assert!(children[0].is(Ns::Roster, "query"));
    assert!(!children[0].is(Ns::Roster, "item"));
    let inner: Vec<(Ns, &str)> = children[0]
        .children()
        .map(|child| (child.ns(), child.name()))
        .collect();
    assert_eq!(inner, [(Ns::Client, "item"), (Ns::None, "x")]);
    assert_eq!(children[1].children().next().unwrap().ns(), Ns::Ping);
}

#[test]
fn children_are_found_past_cdata_quotes_and_nesting() {
    let element =
        element("<a>x<b c='/>' d=\">\"><b><b/></b></b><![CDATA[<z/></a>]]><e>1<f>no</f>2</e></a>");
    let children: Vec<_> = element.children().collect();
    assert_eq!(
        children
            .iter()
            .map(|child| child.name())
            .collect::<Vec<_>>(),
        ["b", "e"]
    );
    assert_eq!(children[0].attribute("c").unwrap(), "/>");
    assert_eq!(children[1].text(), "12");
    assert_eq!(element.text(), "x<z/></a>");
}

#[test]
fn a_child_that_leaves_takes_along_what_it_uses() {
    let alone = |xml: &str| {
        let element = element(xml);
        let child = element.children().next().unwrap();
        let mut out = Vec::new();
        child.write_standalone(&mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(alone("<a><b/></a>"), "<b xmlns='jabber:client'/>");
    assert_eq!(
        alone("<a><b xmlns='u'><c/></b></a>"),
        "<b xmlns='u'><c/></b>"
    );
    assert_eq!(alone("<a xmlns='u'><b/></a>"), "<b xmlns='u'/>");
    assert_eq!(alone("<a xmlns=''><b/></a>"), "<b xmlns=''/>");
    assert_eq!(
        alone("<a xmlns:x='u' xmlns:y='v'><x:b>t</x:b></a>"),
        "<x:b xmlns:x='u'>t</x:b>"
    );
    assert_eq!(
        alone("<a xmlns:x=\"'\" xmlns:y='v'><x:b><c y:d='' xml:lang='e'/></x:b></a>"),
        "<x:b xmlns:x=\"'\" xmlns:y='v' xmlns='jabber:client'><c y:d='' xml:lang='e'/></x:b>"
    );
    assert_eq!(
        alone("<a xmlns:x='u'><b xmlns='w'><c xmlns:x='v'><x:d/></c><x:e/></b></a>"),
        "<b xmlns:x='u' xmlns='w'><c xmlns:x='v'><x:d/></c><x:e/></b>"
    );
}

#[test]
fn the_writer_escapes_and_nests() {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    writer
        .open("a")
        .attribute("b", "'\"<>&\t\r\n\u{E9}")
        .leaf("c", "<\r\n]]>&\"")
        .leaf("d", "")
        .open("e")
        .raw(b"<f/>")
        .close()
        .close();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "<a b='&apos;&quot;&lt;&gt;&amp;&#9;&#13;&#10;\u{E9}'><c>&lt;&#13;\n]]&gt;&amp;\"</c><d/><e><f/></e></a>"
    );
}

#[test]
fn the_writer_nests_as_deep_as_it_must() {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    for _ in 0..20 {
        writer.open("a");
    }
    for _ in 0..21 {
        writer.close();
    }
    let written = element(core::str::from_utf8(&out).unwrap());
    assert_eq!(written.raw().len(), 19 * 7 + 4);
}

#[test]
fn what_no_xml_can_carry_becomes_a_replacement_character() {
    let mut out = Vec::new();
    escape_text(&mut out, "a\0\u{1B}\u{FFFE}\u{FFFF}b\u{FFFD}");
    escape_attribute(&mut out, "\u{8}");
    assert_eq!(
        out,
        "a\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}b\u{FFFD}\u{FFFD}".as_bytes()
    );
}

#[test]
fn what_the_server_wrote_is_an_element_too() {
    for xml in [
        "<iq id='a>b' type='result'><a/></iq>",
        "<iq/>",
        "<iq id='/>'/>",
        "<iq>a</iq>",
    ] {
        let written = Element::from_written(xml.into());
        assert_eq!(written, element(xml));
    }
}

#[test]
fn an_element_of_nonsense_is_empty_but_does_no_harm() {
    for bytes in [
        &b""[..],
        b"<",
        b"a",
        b"<a",
        b"<a>",
        b"<a b",
        b"<a b='",
        b"<a b='c'>d",
        b"</",
        b"<<<>",
        b"<a></",
        b"\xFF\xFE",
    ] {
        let element = Element::from_written(bytes.to_vec());
        let _ = (
            element.name(),
            element.inner(),
            element.text(),
            element.inner_range(),
        );
        for attribute in element.attributes() {
            let _ = attribute.value();
        }
        for child in element.children() {
            let _ = (child.ns(), child.text(), child.children().count());
            child.write_standalone(&mut Vec::new());
        }
    }
}
