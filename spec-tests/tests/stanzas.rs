//! What a stanza is when it arrives, and the errors a client can cause: RFC 6120 §8 and §4.7.4.

mod stage;

use spec_tests::element::{BIND, CLIENT, Element, Item, STANZA_ERRORS, STREAMS};
use spec_tests::memory::World;
use spec_tests::talk::{Talk, bind_request, plain_auth};
use spondee_core::config::ConflictResolve;
use spondee_core::port::Opening;
use stage::{Outcome, stream_error, world};

const ROMEO: &str = "romeo@localhost/orchard";
const JULIET: &str = "juliet@localhost/balcony";

/// Romeo and juliet, on shards of their own.
fn pair(world: &mut World) -> Result<(Talk, Talk), String> {
    Ok((
        Talk::session(world, "romeo@localhost", "orchard")?,
        Talk::session(world, "juliet@localhost", "balcony")?,
    ))
}

/// A stream on which romeo has signed in; its new header is still to come.
fn signed_in(world: &mut World) -> Result<Talk, String> {
    let mut romeo = Talk::connect(world, Opening::Tls);
    romeo.open(world, "localhost")?;
    romeo.send(world, &plain_auth("romeo", "secret"));
    romeo.next(world)?;
    romeo.restart();
    Ok(romeo)
}

/// A session of romeo's whose last stream header has these attributes and names the stream as it likes.
fn session_with_header(world: &mut World, header: &str) -> Result<Talk, String> {
    let mut romeo = signed_in(world)?;
    romeo.send(world, header);
    match romeo.poll(world)? {
        Some(Item::Open(_)) => romeo.next(world)?,
        other => return Err(format!("expected a header, not {other:?}")),
    };
    Ok(romeo)
}

fn sent_by_romeo(world: &mut World, header: &str, stanza: &str) -> Result<Element, String> {
    let mut juliet = Talk::session(world, "juliet@localhost", "balcony")?;
    let mut romeo = session_with_header(world, header)?;
    romeo.bind(world, "orchard")?;
    romeo.send(world, stanza);
    juliet.next(world)
}

/// The name and the type of the condition in a stanza error.
fn condition(stanza: &Element) -> Option<(&str, &str)> {
    let error = stanza.child(CLIENT, "error")?;
    Some((error.condition()?, error.attribute("type")?))
}

/// RFC 6120 §8.1.2.1: "MUST add a 'from' attribute to the stanza or override" it with the full JID.
#[test]
fn from_is_always_the_full_address_of_the_sender() -> Outcome {
    let mut world = world(3, |_| {});
    let (mut romeo, mut juliet) = pair(&mut world)?;
    for from in [
        "",
        "from='romeo@localhost'",
        "from='romeo@localhost/orchard'",
        // The same addresses, prepared (RFC 7622 §3.2, §3.3).
        "from='ROMEO@Localhost'",
        "from=\"Romeo@LOCALHOST/orchard\"",
        "from='&#114;omeo@localhost'",
    ] {
        for stanza in [
            format!("<message {from} to='{JULIET}'/>"),
            format!("<presence {from} to='{JULIET}'/>"),
            format!("<iq {from} to='{JULIET}' type='get' id='1'><x xmlns='x'/></iq>"),
            format!("<message {from} to='{JULIET}' type='error'/>"),
        ] {
            romeo.send(&mut world, &stanza);
            let arrived = juliet.next(&mut world)?;
            assert_eq!(arrived.attribute("from"), Some(ROMEO), "{stanza}");
            assert_eq!(arrived.attribute("to"), Some(JULIET), "{stanza}");
        }
    }
    Ok(())
}

/// RFC 6120 §8.1.2.1: whatever it was.
#[test]
fn a_forged_from_is_overridden_and_seen_by_nobody() -> Outcome {
    let mut world = world(3, |_| {});
    let (mut romeo, mut juliet) = pair(&mut world)?;
    for from in [
        "juliet@localhost",
        "juliet@localhost/balcony",
        "nobody@localhost",
        "romeo@localhost/garden",
        "romeo@localhost/Orchard",
        "romeo@localhost/orchard/x",
        "romeo@other.test",
        "romeo@other.test/orchard",
        "localhost",
        "localhost/orchard",
        "far.example",
        "r\u{43e}meo@localhost",
        "@localhost",
        "romeo@",
        "romeo@localhost/",
        "",
        " ",
    ] {
        for (name, rest) in [
            ("message", "/>"),
            ("presence", "/>"),
            ("iq", " type='get' id='1'><x xmlns='x'/></iq>"),
            // Refused for what it is, were it not forged.
            ("iq", "/>"),
        ] {
            let stanza = format!("<{name} from='{from}' to='{JULIET}'{rest}");
            romeo.send(&mut world, &stanza);
            if (name, rest) == ("iq", "/>") {
                let refusal = romeo.next(&mut world)?;
                assert_eq!(condition(&refusal), Some(("bad-request", "modify")));
                assert_eq!(refusal.attribute("to"), Some(ROMEO), "{stanza}");
            } else {
                let arrived = juliet.next(&mut world)?;
                assert_eq!(arrived.attribute("from"), Some(ROMEO), "{stanza}");
            }
            assert_eq!(juliet.rest(&mut world)?, [], "{stanza}");
        }
    }
    assert_eq!(world.ended(romeo.peer()), None);
    Ok(())
}

/// RFC 6120 §4.7.2: what of its addresses is not needed ends nothing. Another host would be needed, and is not to be had.
#[test]
fn the_header_behind_the_sign_in_may_name_anybody_but_another_host() -> Outcome {
    let header = |addresses: &str| {
        format!(
            "<stream:stream {addresses} version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        )
    };
    let mut world = world(3, |_| {});
    for addresses in [
        "",
        "to='localhost'",
        "to='LOCALHOST/x'",
        "to='juliet@localhost'",
        "to='localhost' from='romeo@localhost/orchard'",
        "to='localhost' from='juliet@localhost'",
        "to='localhost' from='myhost'",
        "to='localhost' from='my host'",
        "to='localhost' from=''",
        "from='@'",
    ] {
        let mut romeo = session_with_header(&mut world, &header(addresses))
            .map_err(|fault| format!("{addresses}: {fault}"))?;
        assert_eq!(romeo.bind(&mut world, "orchard")?, ROMEO, "{addresses}");
        world.hang_up(romeo.peer());
        world.run();
    }
    for (addresses, condition) in [
        ("to='other.test'", "not-authorized"),
        ("to='romeo@other.test'", "not-authorized"),
        ("to='far.example'", "host-unknown"),
        ("to=''", "improper-addressing"),
        ("to='@localhost'", "improper-addressing"),
    ] {
        let mut romeo = signed_in(&mut world)?;
        romeo.send(&mut world, &header(addresses));
        romeo.poll(&mut world)?;
        assert_eq!(
            stream_error(&mut world, &mut romeo)?,
            condition,
            "{addresses}"
        );
    }
    Ok(())
}

/// RFC 6120 §4.7.4 and §8.1.5: added where there is none, never changed, never made up.
#[test]
fn the_language_of_the_stream_is_that_of_its_stanzas() -> Outcome {
    let plain = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
                 xmlns:stream='http://etherx.jabber.org/streams'";
    for (header, own, arrives) in [
        (format!("{plain} xml:lang='de-CH'>"), "", Some("de-CH")),
        (
            format!("{plain} xml:lang='de-CH'>"),
            "xml:lang='it'",
            Some("it"),
        ),
        (
            format!("{plain} xml:lang='de-CH'>"),
            "xml:lang=''",
            Some(""),
        ),
        (format!("{plain}>"), "xml:lang=\"it\"", Some("it")),
        (format!("{plain}>"), "", None),
    ] {
        for shards in [1, 3] {
            for name in ["message", "presence"] {
                let stanza = format!("<{name} to='{JULIET}' {own}><status>a</status></{name}>");
                let arrived = sent_by_romeo(&mut world(shards, |_| {}), &header, &stanza)?;
                assert_eq!(arrived.attribute("xml:lang"), arrives, "{header} {stanza}");
            }
        }
    }
    Ok(())
}

/// RFC 6120 §8.1: a payload is not the server's business. Between the tags it arrives as it was written, byte for byte.
#[test]
fn the_payload_arrives_byte_for_byte() -> Outcome {
    let payloads = [
        "<body>plain</body>",
        "<body>a<![CDATA[<&]]>&lt;&amp;&#x1F600;&#13;😀 ü\u{301}\t</body>",
        "<body/><body></body ><body xml:lang = \"de\" />",
        "<x xmlns='urn:x' b=\"c'd\" a='e\"f'>\n <y xmlns=''/>\n</x>",
        "<p:q xmlns:p='urn:p' p:a='1' a='2'><p:r/></p:q >",
        "<x xmlns='urn:x'><body xmlns='jabber:client'>in</body></x>",
        "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:a@b</gone></error>",
        " text <a xmlns='a'/> between ",
    ];
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let (mut romeo, mut juliet) = pair(&mut world)?;
        for payload in payloads {
            for name in ["message", "presence"] {
                let stanza = format!("<{name}  to = '{JULIET}'\n id=\"i'd\" >{payload}</{name}  >");
                romeo.send(&mut world, &stanza);
                let raw = world.take_received(juliet.peer());
                let raw = String::from_utf8(raw).map_err(|e| e.to_string())?;
                let inner = raw
                    .split_once('>')
                    .and_then(|(_, rest)| rest.rsplit_once("</"));
                assert_eq!(inner.map(|(inner, _)| inner), Some(payload));
                assert!(raw.contains("id=\"i'd\""), "{raw}");
                // And the whole of it means what it meant.
                let sent = spec_tests::element::parse(&stanza)?;
                let arrived = spec_tests::element::parse(&raw)?;
                assert_eq!(arrived.content, sent.content);
            }
            romeo.send(
                &mut world,
                &format!("<iq to='{JULIET}' type='error' id='1'>{payload}</iq>"),
            );
            juliet.next(&mut world)?;
        }
    }
    Ok(())
}

/// RFC 6120 §4.8.2: a declaration of the content namespace that says nothing new may go; what it means stays.
#[test]
fn a_payload_in_the_content_namespace_means_what_it_meant() -> Outcome {
    let mut world = world(3, |_| {});
    let (mut romeo, mut juliet) = pair(&mut world)?;
    for payload in [
        "<message xmlns='jabber:client' from='juliet@localhost'><body>wrapped</body></message>",
        "<f xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>in</body></message></f>",
        "<c:body xmlns:c='jabber:client'>prefixed</c:body>",
    ] {
        let stanza = format!("<message to='{JULIET}'>{payload}</message>");
        romeo.send(&mut world, &stanza);
        let sent = spec_tests::element::parse(&stanza)?;
        assert_eq!(juliet.next(&mut world)?.content, sent.content);
    }
    Ok(())
}

/// RFC 6120 §4.8.3: what a stanza needs of the stream header comes with it.
#[test]
fn a_prefix_of_the_stream_header_is_declared_where_the_stanza_arrives() -> Outcome {
    let header = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:x='urn:x' \
                  xmlns:unused='urn:unused' xmlns:stream='http://etherx.jabber.org/streams'>";
    let stanza = format!("<message to='{JULIET}' x:a='1'><x:b x:c='2'><d/></x:b></message>");
    for shards in [1, 3] {
        let arrived = sent_by_romeo(&mut world(shards, |_| {}), header, &stanza)?;
        let attribute = |element: &Element, name: &str| {
            let key = ("urn:x".to_owned(), name.to_owned());
            element.attributes.get(&key).cloned()
        };
        assert_eq!(attribute(&arrived, "a").as_deref(), Some("1"));
        let inner = arrived.child("urn:x", "b").ok_or("no x:b")?;
        assert_eq!(attribute(inner, "c").as_deref(), Some("2"));
        assert!(inner.child(CLIENT, "d").is_some(), "{arrived}");
    }
    Ok(())
}

/// RFC 6120 §4.8.2: a client may declare its content namespace on each stanza, or under a prefix.
#[test]
fn a_stanza_arrives_in_the_content_namespace_however_it_was_declared() -> Outcome {
    let header =
        format!("<s:stream to='localhost' version='1.0' xmlns:s='{STREAMS}' xmlns:c='{CLIENT}'>");
    for stanza in [
        format!("<c:message to='{JULIET}'><c:body>hi</c:body><x xmlns='urn:x'/></c:message>"),
        format!(
            "<message xmlns='{CLIENT}' to='{JULIET}'><body>hi</body><x xmlns='urn:x'/></message>"
        ),
        format!(
            "<m:message xmlns:m='{CLIENT}' to='{JULIET}'><m:body>hi</m:body><c:x xmlns:c='urn:x'/></m:message>"
        ),
    ] {
        let mut world = world(3, |_| {});
        let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
        let mut romeo = session_with_header(&mut world, &header)?;
        let bind = bind_request("orchard").replacen("<iq ", &format!("<iq xmlns='{CLIENT}' "), 1);
        romeo.send(&mut world, &bind);
        romeo.next(&mut world)?;
        romeo.send(&mut world, &stanza);
        let arrived = juliet.next(&mut world)?;
        let body = arrived.child(CLIENT, "body").map(Element::text);
        assert_eq!(body.as_deref(), Some("hi"), "{arrived}");
        assert!(arrived.child("urn:x", "x").is_some(), "{arrived}");
    }
    Ok(())
}

/// A stanza, the id of the error that answers it, and its condition and type: the order of RFC 6120 §8.3.3.
const ERRORS: &[(&str, Option<&str>, (&str, &str))] = &[
    // §8.3.3.1, §8.2.3.
    (
        "<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
        Some(""),
        ("bad-request", "modify"),
    ),
    (
        "<iq id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
        Some("1"),
        ("bad-request", "modify"),
    ),
    (
        "<iq id='1' type='subscribe' to='localhost'/>",
        Some("1"),
        ("bad-request", "modify"),
    ),
    ("<iq id='1' type=''/>", Some("1"), ("bad-request", "modify")),
    (
        "<iq id='1' type='Get'><a xmlns='a'/></iq>",
        Some("1"),
        ("bad-request", "modify"),
    ),
    (
        "<iq id='1' type='get'/>",
        Some("1"),
        ("bad-request", "modify"),
    ),
    (
        "<iq id='1' type='set'>text</iq>",
        Some("1"),
        ("bad-request", "modify"),
    ),
    (
        "<iq id='1' type='get'><a xmlns='a'/><b xmlns='b'/></iq>",
        Some("1"),
        ("bad-request", "modify"),
    ),
    // RFC 6121 §4.7.1.
    (
        "<presence id='1' type='available'/>",
        Some("1"),
        ("bad-request", "modify"),
    ),
    (
        "<presence type='invisible'/>",
        None,
        ("bad-request", "modify"),
    ),
    // §8.3.3.3.
    (
        "<iq id='1' type='get' to='localhost'><pong xmlns='urn:xmpp:ping'/></iq>",
        Some("1"),
        ("feature-not-implemented", "cancel"),
    ),
    // §8.3.3.7.
    (
        "<iq id='1' type='get' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info' node='x'/></iq>",
        Some("1"),
        ("item-not-found", "cancel"),
    ),
    (
        "<iq id='1' type='get'><query xmlns='http://jabber.org/protocol/disco#items' node='x'/></iq>",
        Some("1"),
        ("item-not-found", "cancel"),
    ),
    // §8.3.3.8.
    (
        "<message id='1' to='@'/>",
        Some("1"),
        ("jid-malformed", "modify"),
    ),
    (
        "<message id='1' to=''/>",
        Some("1"),
        ("jid-malformed", "modify"),
    ),
    (
        "<presence id='1' to='ch@r@cters@localhost/x'/>",
        Some("1"),
        ("jid-malformed", "modify"),
    ),
    // §8.3.3.10.
    (
        "<iq id='1' type='set' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>",
        Some("1"),
        ("not-allowed", "cancel"),
    ),
    // §8.3.3.16.
    (
        "<message id='1' to='a@far.example'/>",
        Some("1"),
        ("remote-server-not-found", "cancel"),
    ),
    (
        "<presence id='1' type='subscribe' to='a@far.example'/>",
        Some("1"),
        ("remote-server-not-found", "cancel"),
    ),
    // §8.3.3.19.
    (
        "<message id='1' to='nobody@localhost'/>",
        Some("1"),
        ("service-unavailable", "cancel"),
    ),
    (
        "<message to='nobody@localhost'/>",
        None,
        ("service-unavailable", "cancel"),
    ),
];

/// RFC 6120 §8.3.3, each condition that a bound client can cause with one stanza; the sender goes on. §8.3.1: the id comes
/// back, empty for an IQ that had none.
#[test]
fn each_stanza_error_has_its_condition_its_type_and_its_id() -> Outcome {
    const PING: &str = "<ping xmlns='urn:xmpp:ping'/>";
    let long = "x".repeat(1024);
    let mut world = world(3, |_| {});
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    let overlong = [
        format!("<message id='1' to='{long}@localhost'/>"),
        format!("<iq id='1' type='get' to='juliet@localhost/{long}'>{PING}</iq>"),
    ];
    let malformed = overlong
        .iter()
        .map(|stanza| (stanza.as_str(), Some("1"), ("jid-malformed", "modify")));
    for (stanza, id, wanted) in ERRORS.iter().copied().chain(malformed) {
        romeo.send(&mut world, stanza);
        let error = romeo
            .next(&mut world)
            .map_err(|e| format!("{stanza}: {e}"))?;
        assert_eq!(condition(&error), Some(wanted), "{stanza}");
        assert_eq!(error.attribute("type"), Some("error"), "{error}");
        assert_eq!(error.attribute("id"), id, "{stanza}");
        assert!(stanza.starts_with(&format!("<{}", error.name)), "{error}");
    }
    assert_eq!(romeo.rest(&mut world)?, []);
    romeo.send(&mut world, &format!("<iq id='1' type='get'>{PING}</iq>"));
    assert_eq!(romeo.next(&mut world)?.attribute("type"), Some("result"));
    Ok(())
}

/// RFC 6121 §5.2.2: "an instant messaging application that does not recognize the value MUST treat it as 'normal'".
#[test]
fn a_message_of_unknown_type_is_normal() -> Outcome {
    let mut world = world(1, |_| {});
    let (mut romeo, mut juliet) = pair(&mut world)?;
    romeo.send(
        &mut world,
        &format!("<message to='{JULIET}' type='telegram' id='1'/>"),
    );
    let arrived = juliet.next(&mut world)?;
    assert!(
        matches!(arrived.attribute("type"), None | Some("normal")),
        "{arrived}"
    );
    Ok(())
}

/// RFC 6120 §7.6.2.1: the limit of sessions; §7.7.2.2: the name is taken.
#[test]
fn a_bind_is_refused_with_resource_constraint_or_conflict() -> Outcome {
    let mut world = world(3, |config| {
        config.limits.sessions_per_account = 2;
        for host in config.accounts_mut() {
            host.conflict = ConflictResolve::KickNew;
        }
    });
    let mut first = Talk::session(&mut world, "romeo@localhost", "one")?;
    let mut second = Talk::connect(&mut world, Opening::Tls);
    second.open(&mut world, "localhost")?;
    second.sign_in(&mut world, "romeo@localhost", "secret")?;
    second.send(&mut world, &bind_request("one"));
    assert_eq!(
        condition(&second.next(&mut world)?),
        Some(("conflict", "cancel"))
    );
    second.bind(&mut world, "two")?;
    let mut third = Talk::connect(&mut world, Opening::Tls);
    third.open(&mut world, "localhost")?;
    third.sign_in(&mut world, "romeo@localhost", "secret")?;
    third.send(&mut world, &bind_request("three"));
    let refused = third.next(&mut world)?;
    assert_eq!(condition(&refused), Some(("resource-constraint", "wait")));
    // One leaves, and there is room again.
    world.hang_up(second.peer());
    world.run();
    third.bind(&mut world, "three")?;
    assert_eq!(first.rest(&mut world)?, []);
    Ok(())
}

/// RFC 6120 §8.3.2: nothing but a condition is promised, and no application condition of ours is unknown.
#[test]
fn an_error_holds_one_condition_of_the_rfc() -> Outcome {
    let mut world = world(1, |_| {});
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    romeo.send(
        &mut world,
        "<message to='nobody@localhost'><body>secret</body></message>",
    );
    let answer = romeo.next(&mut world)?;
    let error = answer.child(CLIENT, "error").ok_or("no error")?;
    let conditions = error
        .children()
        .filter(|c| c.ns == STANZA_ERRORS && c.name != "text");
    assert_eq!(conditions.count(), 1, "{answer}");
    assert!(answer.child(BIND, "bind").is_none());
    Ok(())
}
