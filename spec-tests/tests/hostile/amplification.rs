//! Little sent that becomes much for somebody else: what leaves for one recipient is at most twice what came and 1 KiB
//! (`spondee_core::limits::GROWTH`), whatever namespaces, quotes and headers are made for. Every stanza that the server writes in
//! a test is held to that where it is written; here is tried what was found to break it.

use spec_tests::element::{CLIENT, Element, Item, STREAMS};
use spec_tests::memory::World;
use spec_tests::talk::{Talk, plain_auth};
use spondee_core::limits::{GROWTH, HEADER_DECLARATION_BYTES, PRESENCE_BYTES};
use spondee_core::port::Opening;

use crate::scene::{Scene, Stage, VICTIM};
use crate::stage::Outcome;

/// Romeo, signed in, whose last stream is opened by `header`.
fn signed_in_with(world: &mut World, header: &str) -> Result<Talk, String> {
    let mut romeo = Talk::connect(world, Opening::Tls);
    romeo.open(world, "localhost")?;
    romeo.send(world, &plain_auth("romeo", "secret"));
    romeo.next(world)?;
    romeo.restart();
    romeo.send(world, header);
    match romeo.poll(world)? {
        Some(Item::Open(_)) => Ok(romeo),
        other => Err(format!("expected a header, not {other:?}")),
    }
}

/// The same in a session.
fn session_with(world: &mut World, header: &str) -> Result<Talk, String> {
    let mut romeo = signed_in_with(world, header)?;
    romeo.next(world)?;
    romeo.bind(world, "orchard")?;
    Ok(romeo)
}

/// A header that declares this besides what is usual.
fn header_with(declarations: &str) -> String {
    format!(
        "<stream:stream to='localhost' version='1.0' xmlns='{CLIENT}' xmlns:stream='{STREAMS}'{declarations}>"
    )
}

/// What `stanza` may become at most, for whoever gets it from romeo.
fn most(stanza: &str) -> usize {
    let addresses = format!(" from='romeo@localhost/orchard' to='{VICTIM}'");
    2 * stanza.len() + GROWTH + addresses.len()
}

/// 54 bytes became 261,104; twenty threw the receiver off, a thousand cost seconds.
#[test]
fn a_header_with_a_long_namespace_ends_its_stream() -> Outcome {
    let mut scene = Scene::new()?;
    for bytes in [HEADER_DECLARATION_BYTES, 10_000, 261_000] {
        let header = header_with(&format!(" xmlns:a='{}'", "u".repeat(bytes)));
        let mut romeo = signed_in_with(&mut scene.world, &header)?;
        scene.ends(&mut romeo, "policy-violation")?;
    }
    let header = header_with(&format!(" xmlns:a='{}'", "u".repeat(10_000)));
    scene.refuses(&[Stage::Fresh], header.as_bytes(), "policy-violation")?;
    let many: String = (0..15).map(|n| format!(" xmlns:a{n}='u'")).collect();
    let mut romeo = signed_in_with(&mut scene.world, &header_with(&many))?;
    scene.ends(&mut romeo, "policy-violation")
}

#[test]
fn as_much_as_a_header_may_declare_adds_no_more_than_that_to_a_stanza() -> Outcome {
    let mut scene = Scene::new()?;
    let header = header_with(&format!(" xmlns:a='{}'", "u".repeat(680)));
    let mut romeo = session_with(&mut scene.world, &header)?;
    let plain = format!("<message to='{VICTIM}'><a:x/></message>");
    let error = format!("<message to='{VICTIM}' type='error'><a:x/></message>");
    for (stanza, count) in [(plain, 20), (error, 1_000)] {
        romeo.send(&mut scene.world, &stanza.repeat(count));
        let arrived = scene.juliets_bytes().len();
        assert!(arrived > count * 700, "{arrived} bytes are too few");
        assert!(arrived < count * most(&stanza), "{arrived} bytes arrive");
    }
    assert_eq!(romeo.rest(&mut scene.world)?, []);
    scene.leaves(romeo.peer())
}

/// 2,200 bytes became 261,900, without any header.
#[test]
fn a_default_namespace_declared_once_is_not_repeated_for_each_child() -> Outcome {
    let mut scene = Scene::new()?;
    for attributes in ["", " type='error'"] {
        let stanza = format!(
            "<c:message to='{VICTIM}'{attributes} xmlns:c='{CLIENT}' xmlns='{}'>{}</c:message>",
            "u".repeat(1_365),
            "<x/>".repeat(190)
        );
        scene.refuses(&[Stage::Session], stanza.as_bytes(), "policy-violation")?;
    }
    // With a prefix of its own it stays declared once, and arrives.
    let mut romeo = scene.enter(Stage::Session)?;
    let stanza = format!(
        "<c:message to='{VICTIM}' xmlns:c='{CLIENT}' xmlns:u='{}'>{}</c:message>",
        "u".repeat(1_365),
        "<u:x/>".repeat(190)
    );
    romeo.send(&mut scene.world, &stanza);
    let arrived = scene.juliets_bytes().len();
    assert!(arrived > 2_000 && arrived < most(&stanza), "{arrived}");
    scene.leaves(romeo.peer())
}

#[test]
fn content_inside_other_namespaces_does_not_multiply() -> Outcome {
    let stanza = |count: usize| {
        format!(
            "<message to='{VICTIM}'><f xmlns='urn:f' xmlns:c='{CLIENT}'>{}</f></message>",
            "<c:a/>".repeat(count)
        )
    };
    let mut scene = Scene::new()?;
    let many = stanza(9_000);
    scene.refuses(&[Stage::Session], many.as_bytes(), "policy-violation")?;
    let mut romeo = scene.enter(Stage::Session)?;
    romeo.send(&mut scene.world, &stanza(20));
    let arrived = scene.juliets_bytes();
    let arrived = String::from_utf8_lossy(&arrived);
    assert_eq!(arrived.matches("<a xmlns='jabber:client'/>").count(), 20);
    scene.leaves(romeo.peer())
}

/// Quotes and signs that would be six times as long if they were escaped again: in ids, which errors repeat, and in addresses.
#[test]
fn what_has_to_be_escaped_comes_back_no_longer() -> Outcome {
    let mut scene = Scene::new()?;
    let mut romeo = scene.enter(Stage::Session)?;
    let many = |what: &str| what.repeat(1_000);
    for stanza in [
        format!("<message id=\"{}\" to='nobody@localhost'/>", many("'")),
        format!("<message id='{}' to='nobody@localhost'/>", many(">")),
        format!("<iq type='get' id='{}'/>", many("\"")),
        format!("<message to=\"nobody@localhost/{}\"/>", many("'")),
        format!("<message to='nobody@localhost/{}'/>", many(">")),
    ] {
        romeo.send(&mut scene.world, &stanza);
        let answer = scene.world.take_received(romeo.peer()).len();
        assert!(answer > 100 && answer < stanza.len() + 400, "{answer}");
    }
    let text = format!("<![CDATA[{}]]>{}", many("<&>"), many(">"));
    let stanza = format!("<message to='{VICTIM}'><body>{text}</body></message>");
    romeo.send(&mut scene.world, &stanza);
    let arrived = scene.juliets_bytes().len();
    assert!(arrived < stanza.len() + 100, "{arrived} bytes arrive");
    scene.leaves(romeo.peer())
}

/// A resource of quotes only is stamped on every stanza of its session, in quotes of the other kind.
#[test]
fn a_resource_of_quotes_is_no_longer_for_others() -> Outcome {
    let mut scene = Scene::new()?;
    for quote in ["'", "\""] {
        let mut romeo = scene.enter(Stage::SignedIn)?;
        let jid = romeo.bind(&mut scene.world, &quote.repeat(1_023))?;
        romeo.send(&mut scene.world, &format!("<message to='{VICTIM}'/>"));
        let (world, juliet) = scene.juliet();
        let bytes = world.take_received(juliet.peer()).len();
        assert!(bytes < jid.len() + 100, "{bytes} bytes for {}", jid.len());
        scene.leaves(romeo.peer())?;
    }
    Ok(())
}

/// Presence is kept and told to every resource that becomes available, again and again.
#[test]
fn a_long_presence_is_not_made_known_to_all() -> Outcome {
    let mut scene = Scene::new()?;
    let presence = |bytes: usize| {
        let empty = "<presence id='p'><status></status></presence>";
        let status = "x".repeat(bytes - empty.len());
        empty.replacen("></", &format!(">{status}</"), 1)
    };
    let mut romeo = scene.enter(Stage::Session)?;
    let mut other = Talk::session(&mut scene.world, "romeo@localhost", "garden")?;
    other.send(&mut scene.world, "<presence/>");
    other.rest(&mut scene.world)?;
    romeo.send(&mut scene.world, &presence(PRESENCE_BYTES + 1));
    let answer = romeo.next(&mut scene.world)?;
    let error = answer.child(CLIENT, "error").and_then(Element::condition);
    assert_eq!(
        (answer.name.as_str(), error),
        ("presence", Some("policy-violation"))
    );
    assert_eq!(other.rest(&mut scene.world)?, []);
    romeo.send(&mut scene.world, &presence(PRESENCE_BYTES));
    let heard = other.next(&mut scene.world)?;
    assert_eq!(heard.attribute("from"), Some("romeo@localhost/orchard"));
    scene.world.hang_up(other.peer());
    scene.leaves(romeo.peer())
}

/// Headers as programs write them, each with a stanza in its manner and what must arrive of it.
fn manners() -> Vec<(String, String)> {
    let body = "<body>hi</body><x:y xmlns:x='urn:example:x'/>";
    let message = format!("<message to='{VICTIM}'>{body}</message>");
    Vec::from([
        // libstrophe
        (
            format!(
                "<?xml version=\"1.0\"?><stream:stream to=\"localhost\" xml:lang=\"en\" version=\"1.0\" \
                 xmlns=\"{CLIENT}\" xmlns:stream=\"{STREAMS}\">"
            ),
            message.clone(),
        ),
        // Iris, which Psi is made with
        (
            format!(
                "<?xml version=\"1.0\"?><stream:stream xmlns:stream=\"{STREAMS}\" version=\"1.0\" xmlns=\"{CLIENT}\" \
                 to=\"localhost\" xml:lang=\"en\" xmlns:xml=\"http://www.w3.org/XML/1998/namespace\">"
            ),
            message.clone(),
        ),
        // A library that declares what it knows.
        (
            header_with(
                " xmlns:db='jabber:server:dialback' xmlns:sasl='urn:ietf:params:xml:ns:xmpp-sasl' \
                 xmlns:x='urn:example:x' xmlns:caps='http://jabber.org/protocol/caps' xmlns:sm='urn:xmpp:sm:3'",
            ),
            format!("<message to='{VICTIM}'><body>hi</body><x:y/></message>"),
        ),
        // Python's ElementTree: a prefix for everything.
        (
            format!(
                "<ns0:stream xmlns:ns0='{STREAMS}' xmlns:ns1='{CLIENT}' to='localhost' version='1.0'>"
            ),
            format!(
                "<ns1:message to='{VICTIM}'><ns1:body>hi</ns1:body><ns2:y xmlns:ns2='urn:example:x'/></ns1:message>"
            ),
        ),
        // RFC 6120 §4.8.2: the namespace is said on each stanza.
        (
            format!("<stream xmlns='{STREAMS}' to='localhost' version='1.0'>"),
            message.replace("<message", &format!("<message xmlns='{CLIENT}'")),
        ),
    ])
}

#[test]
fn prefixes_and_headers_as_programs_write_them_are_understood() -> Outcome {
    let mut scene = Scene::new()?;
    for (header, stanza) in manners() {
        let mut romeo = signed_in_with(&mut scene.world, &header)?;
        romeo.next(&mut scene.world)?;
        let bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>";
        let bind = match header.contains("ns1=") {
            true => format!("<ns1:iq type='set' id='b'>{bind}</ns1:iq>"),
            false => format!("<iq type='set' id='b' xmlns='{CLIENT}'>{bind}</iq>"),
        };
        romeo.send(&mut scene.world, &bind);
        romeo.next(&mut scene.world)?;
        romeo.send(&mut scene.world, &stanza);
        let (world, juliet) = scene.juliet();
        let bytes = world.take_received(juliet.peer());
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("<message "), "{text}");
        let arrived = spec_tests::element::parse(&text)?;
        let body = arrived.child(CLIENT, "body").map(Element::text);
        assert_eq!(body.as_deref(), Some("hi"), "{header}");
        assert!(arrived.child("urn:example:x", "y").is_some(), "{header}");
        scene.leaves(romeo.peer())?;
    }
    Ok(())
}
