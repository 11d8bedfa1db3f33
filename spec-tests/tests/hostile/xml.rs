//! What is not XML, or XML that XMPP forbids: RFC 6120 §11, §4.9.3.13, §4.9.3.18 and §4.9.3.22.

use spec_tests::element::{CLIENT, STREAMS};

use crate::scene::{Scene, Stage, message};
use crate::stage::Outcome;

const HEADER: &str = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";

/// Each of `faults` ends the stream with `condition` wherever it stands: in the body of a message, between stanzas, in every
/// stage of a stream.
fn refused_everywhere(faults: &[&str], condition: &str) -> Outcome {
    let mut scene = Scene::new()?;
    for fault in faults {
        let inside = message(fault);
        scene.refuses(&Stage::OPEN, inside.as_bytes(), condition)?;
        let between = format!("{fault}{}", message("behind it"));
        scene.refuses(&Stage::OPEN, between.as_bytes(), condition)?;
    }
    Ok(())
}

/// Each of `faults`, which are elements or parts of text, ends the stream with `condition`.
fn refused_in_a_body(faults: &[&[u8]], condition: &str) -> Outcome {
    let mut scene = Scene::new()?;
    for fault in faults {
        let whole = message("|");
        let (before, behind) = whole.split_once('|').ok_or("no body")?;
        let input = [before.as_bytes(), fault, behind.as_bytes()].concat();
        scene.refuses(&Stage::OPEN, &input, condition)?;
    }
    Ok(())
}

#[test]
fn a_billion_laughs_end_the_stream_at_the_document_type() -> Outcome {
    let mut entities = "<!ENTITY lol0 'lol'>".to_owned();
    for level in 1..10 {
        let inner = format!("&lol{};", level - 1).repeat(10);
        entities.push_str(&format!("<!ENTITY lol{level} '{inner}'>"));
    }
    let laughs = format!("<?xml version='1.0'?><!DOCTYPE lolz [{entities}]>{HEADER}");
    let mut scene = Scene::new()?;
    scene.refuses(&[Stage::Fresh], laughs.as_bytes(), "restricted-xml")?;
    let again = format!("<!DOCTYPE lolz [{entities}]>{}", message("&lol9;"));
    scene.refuses(&Stage::OPEN, again.as_bytes(), "restricted-xml")?;
    // The reference alone, to an entity that nobody declared.
    scene.refuses(&Stage::OPEN, message("&lol9;").as_bytes(), "restricted-xml")
}

#[test]
fn a_document_type_is_restricted_xml() -> Outcome {
    let types = [
        "<!DOCTYPE stream>",
        "<!DOCTYPE stream SYSTEM 'file:///etc/passwd'>",
        "<!DOCTYPE stream PUBLIC 'a' 'http://example.com/a.dtd' [<!ELEMENT a ANY>]>",
    ];
    let mut scene = Scene::new()?;
    for declaration in types {
        for before in ["", "<?xml version='1.0'?>"] {
            let input = format!("{before}{declaration}{HEADER}");
            scene.refuses(&[Stage::Fresh], input.as_bytes(), "restricted-xml")?;
        }
    }
    refused_everywhere(&types, "restricted-xml")
}

#[test]
fn a_comment_is_restricted_xml() -> Outcome {
    let mut scene = Scene::new()?;
    let input = format!("<?xml version='1.0'?><!-- hello -->{HEADER}");
    scene.refuses(&[Stage::Fresh], input.as_bytes(), "restricted-xml")?;
    refused_everywhere(&["<!-- hello -->", "<!---->"], "restricted-xml")
}

#[test]
fn a_processing_instruction_is_restricted_xml() -> Outcome {
    let mut scene = Scene::new()?;
    let input = format!("<?xml version='1.0'?><?php echo 1 ?>{HEADER}");
    scene.refuses(&[Stage::Fresh], input.as_bytes(), "restricted-xml")?;
    refused_everywhere(
        &[
            "<?php echo 1 ?>",
            "<?xml-stylesheet href='a'?>",
            "<?xml version='1.0'?>",
        ],
        "restricted-xml",
    )
}

/// Overlong, surrogates, beyond Unicode, cut short, and bytes that UTF-8 never has.
const NOT_UTF8: [&[u8]; 14] = [
    b"\x80",
    b"\xbf",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xc3",
    b"\xe0\x80\xaf",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x9f\x92",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xff",
];

#[test]
fn bytes_that_are_not_utf8_are_an_unsupported_encoding() -> Outcome {
    refused_in_a_body(&NOT_UTF8, "unsupported-encoding")?;
    // In a value and in a name as well.
    let mut scene = Scene::new()?;
    for bytes in NOT_UTF8 {
        for (before, behind) in [("<message id='", "'/>"), ("<message><a", "/></message>")] {
            let input = [before.as_bytes(), bytes, behind.as_bytes()].concat();
            scene.refuses(&[Stage::Session], &input, "unsupported-encoding")?;
        }
    }
    Ok(())
}

/// Wherever segments cut it, a character is what it is: good ones arrive, bad ones end the stream.
#[test]
fn characters_cut_across_segments_are_neither_lost_nor_let_through() -> Outcome {
    let mut scene = Scene::new()?;
    let whole = message("|");
    let (before, behind) = whole.split_once('|').ok_or("no body")?;
    for good in ["\u{e4}", "\u{20ac}", "\u{1f4a9}"] {
        for cut in 1..good.len() {
            let mut romeo = scene.enter(Stage::Session)?;
            let (first, second) = good.as_bytes().split_at(cut);
            for part in [before.as_bytes(), first, second, behind.as_bytes()] {
                scene.world.write(romeo.peer(), part);
                scene.world.run();
            }
            assert_eq!(romeo.rest(&mut scene.world)?, []);
            let (world, juliet) = scene.juliet();
            let arrived = juliet.next(world)?;
            let body = arrived.child(CLIENT, "body").map(|body| body.text());
            assert_eq!(body.as_deref(), Some(good));
            scene.leaves(romeo.peer())?;
        }
    }
    for bad in NOT_UTF8 {
        for cut in 1..=bad.len() {
            let mut romeo = scene.enter(Stage::Session)?;
            let (first, second) = bad.split_at(cut);
            for part in [before.as_bytes(), first, second, behind.as_bytes()] {
                scene.world.write(romeo.peer(), part);
                scene.world.run();
            }
            scene.ends(&mut romeo, "unsupported-encoding")?;
        }
    }
    Ok(())
}

#[test]
fn a_nul_or_another_control_character_is_not_well_formed() -> Outcome {
    refused_in_a_body(
        &[
            b"\0",
            b"\x01",
            b"\x08",
            b"\x0b",
            b"\x1f",
            "\u{fffe}".as_bytes(),
            "\u{ffff}".as_bytes(),
            b"<a b='\0'/>",
            b"<a\0/>",
            b"<![CDATA[\0]]>",
        ],
        "not-well-formed",
    )
}

#[test]
fn a_reference_to_a_forbidden_character_is_not_well_formed() -> Outcome {
    let references: Vec<String> = [
        "&#0;",
        "&#x0;",
        "&#8;",
        "&#x1F;",
        "&#xD800;",
        "&#xDFFF;",
        "&#xFFFE;",
        "&#65535;",
        "&#x110000;",
        "&#4294967361;",
        "&#99999999999999999999999999;",
        "&#;",
        "&#x;",
        "&#-1;",
        "&#xg;",
    ]
    .iter()
    .flat_map(|reference| [(*reference).to_owned(), format!("<a b='{reference}'/>")])
    .collect();
    let references: Vec<&[u8]> = references.iter().map(String::as_bytes).collect();
    refused_in_a_body(&references, "not-well-formed")
}

#[test]
fn an_undeclared_prefix_is_not_well_formed() -> Outcome {
    refused_in_a_body(
        &[
            b"<x:a/>",
            b"<a x:b='c'/>",
            // Declared beside it, inside it, or taken back.
            b"<a xmlns:x='n'/><x:b/>",
            b"<x:a><b xmlns:x='n'/></x:a>",
            b"<a xmlns:x='n'><b xmlns:x=''/></a>",
        ],
        "not-well-formed",
    )?;
    let mut scene = Scene::new()?;
    let input = b"<x:message to='juliet@localhost/balcony'/>";
    scene.refuses(&Stage::OPEN, input, "not-well-formed")?;
    // The stream's own tag, before anything is declared.
    let header = HEADER.replace("xmlns:stream=", "xmlns:x=");
    scene.refuses(&[Stage::Fresh], header.as_bytes(), "not-well-formed")
}

#[test]
fn the_same_attribute_through_two_prefixes_is_not_well_formed() -> Outcome {
    refused_in_a_body(
        &[
            b"<a xmlns:x='n' xmlns:y='n' x:b='1' y:b='2'/>",
            b"<a xmlns:x='n'><b xmlns:y='n' x:b='1' y:b='2'/></a>",
            // One of the namespaces is written with a reference.
            b"<a xmlns:x='n' xmlns:y='&#110;' x:b='1' y:b='2'/>",
            // The other is the stream's own.
            b"<a xmlns:y='http://etherx.jabber.org/streams' stream:b='1' y:b='2'/>",
            b"<a b='1' b='2'/>",
            b"<a xml:lang='en' xml:lang='de'/>",
            b"<a xmlns:x='n' xmlns:x='n'/>",
        ],
        "not-well-formed",
    )?;
    let mut scene = Scene::new()?;
    let to = b"<message to='juliet@localhost/balcony' to='nurse@localhost'/>";
    scene.refuses(&Stage::OPEN, to, "not-well-formed")
}

#[test]
fn xml_and_xmlns_cannot_be_bound_to_anything_else() -> Outcome {
    let rebound = [
        "xmlns:xml='urn:x'",
        "xmlns:xml=''",
        "xmlns:xmlns='urn:x'",
        "xmlns:xmlns='http://www.w3.org/2000/xmlns/'",
        "xmlns:x='http://www.w3.org/XML/1998/namespace'",
        "xmlns:x='http://www.w3.org/2000/xmlns/'",
        "xmlns='http://www.w3.org/XML/1998/namespace'",
        "xmlns='http://www.w3.org/2000/xmlns/'",
        // Written with a reference.
        "xmlns:x='http://www.w3.org/2000/xmlns&#47;'",
    ];
    let elements: Vec<String> = rebound.iter().map(|one| format!("<a {one}/>")).collect();
    let elements: Vec<&[u8]> = elements.iter().map(String::as_bytes).collect();
    refused_in_a_body(&elements, "not-well-formed")?;
    let mut scene = Scene::new()?;
    for one in rebound.iter().filter(|one| one.starts_with("xmlns:")) {
        let header = HEADER.replace(" to=", &format!(" {one} to="));
        scene.refuses(&[Stage::Fresh], header.as_bytes(), "not-well-formed")?;
    }
    Ok(())
}

/// What is odd and not wrong arrives as it was meant.
#[test]
fn white_space_quotes_and_namespaces_survive_relaying() -> Outcome {
    let mut scene = Scene::new()?;
    let mut romeo = scene.enter(Stage::Session)?;
    let body = "a&#13;b&#10;c&#9;d &quot;e&quot; &apos;f&apos; &lt;g&gt; ]]&gt;";
    let odd = "http://example.com/%7Efoo  bar";
    let stanza = format!(
        "<c:message xmlns:c='{CLIENT}' xmlns:f='urn:f' f:to='nurse@localhost/kitchen' f:from='nurse@localhost' \
         to='juliet@localhost/balcony'><c:body>{body}</c:body><x xmlns='{odd}' y='1&#13;&#10;&#9;2'/></c:message>"
    );
    romeo.send(&mut scene.world, &stanza);
    assert_eq!(romeo.rest(&mut scene.world)?, []);
    let (world, juliet) = scene.juliet();
    let arrived = juliet.next(world)?;
    assert!(arrived.is(CLIENT, "message"), "{arrived}");
    assert_eq!(arrived.attribute("from"), Some("romeo@localhost/orchard"));
    assert_eq!(arrived.attribute("to"), Some("juliet@localhost/balcony"));
    let text = arrived.child(CLIENT, "body").map(|body| body.text());
    assert_eq!(text.as_deref(), Some("a\rb\nc\td \"e\" 'f' <g> ]]>"));
    let x = arrived.child(odd, "x").ok_or("the namespace changed")?;
    assert_eq!(x.attribute("y"), Some("1\r\n\t2"));
    scene.leaves(romeo.peer())
}

/// A stanza inside a payload stays payload, also one that looks like the end of the stream.
#[test]
fn a_stanza_inside_a_payload_stays_payload() -> Outcome {
    let mut scene = Scene::new()?;
    let mut romeo = scene.enter(Stage::Session)?;
    let inner = format!(
        "<message xmlns='{CLIENT}' from='nurse@localhost/kitchen' to='nurse@localhost/kitchen'><body>forged</body></message>\
         <presence xmlns='{CLIENT}' to='nurse@localhost/kitchen'/>\
         <s:stream xmlns:s='{STREAMS}'/>"
    );
    romeo.send(
        &mut scene.world,
        &format!("<message to='juliet@localhost/balcony'><x xmlns='urn:x'>{inner}</x></message>"),
    );
    assert_eq!(romeo.rest(&mut scene.world)?, []);
    let (world, juliet) = scene.juliet();
    let arrived = juliet.next(world)?;
    assert_eq!(arrived.attribute("from"), Some("romeo@localhost/orchard"));
    let x = arrived.child("urn:x", "x").ok_or("no payload")?;
    assert_eq!(x.children().count(), 3);
    scene.leaves(romeo.peer())
}
