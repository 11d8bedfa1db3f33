//! What the server writes that is no stanza, to the byte: headers, their ids, negotiation; and what it never writes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use spec_tests::element::Item;
use spec_tests::memory::World;
use spec_tests::talk::{Talk, bind_request, header, plain_auth};
use spondee_core::port::Opening;
use stage::{Outcome, stream_error, world};

const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

/// What the server wrote since, as it stands.
fn text(world: &mut World, talk: &Talk) -> String {
    String::from_utf8(world.take_received(talk.peer())).unwrap()
}

/// The id of the header that comes first.
fn id(world: &mut World, talk: &mut Talk) -> Result<String, String> {
    match talk.poll(world)? {
        Some(Item::Open(header)) => Ok(header.attribute("id").unwrap().to_owned()),
        other => Err(format!("expected a header, not {other:?}")),
    }
}

/// RFC 6120 §4.7.3: unique, not to be guessed, never again; §4.3.3: another one behind each restart.
#[test]
fn every_header_has_an_id_of_its_own() -> Outcome {
    let mut world = world(3, |_| {});
    let mut ids = BTreeSet::new();
    let mut count = 0;
    for _ in 0..50 {
        let mut talk = Talk::connect(&mut world, Opening::Clear);
        talk.send(&mut world, &header("localhost"));
        ids.insert(id(&mut world, &mut talk)?);
        talk.next(&mut world)?;
        talk.starttls(&mut world)?;
        talk.restart();
        talk.send(&mut world, &header("localhost"));
        ids.insert(id(&mut world, &mut talk)?);
        talk.next(&mut world)?;
        talk.send(&mut world, &plain_auth("romeo", "secret"));
        talk.next(&mut world)?;
        talk.restart();
        talk.send(&mut world, &header("localhost"));
        ids.insert(id(&mut world, &mut talk)?);
        let mut lost = Talk::connect(&mut world, Opening::Clear);
        lost.send(&mut world, &header("far.example"));
        ids.insert(id(&mut world, &mut lost)?);
        assert_eq!(stream_error(&mut world, &mut lost)?, "host-unknown");
        count += 4;
        world.hang_up(talk.peer());
        world.run();
    }
    assert_eq!(ids.len(), count);
    // What nobody guesses takes 128 bits, 22 characters of base64.
    assert!(ids.iter().all(|id| id.len() >= 22), "{ids:?}");
    Ok(())
}

/// RFC 6120 §11.5: the declaration stands first, says nothing of `standalone`, and no mark of byte order (§11.6) is before it.
#[test]
fn a_header_stands_behind_an_xml_declaration_and_nothing_else() {
    let mut world = world(1, |_| {});
    let well = |written: &str| {
        let rest = written.strip_prefix("<?xml version='1.0'?><stream:stream ");
        let rest = rest.unwrap_or_else(|| panic!("{written}"));
        let header = rest.split('>').next().unwrap();
        assert!(header.contains(" xml:lang='en'"), "{header}");
        assert!(!rest.contains("<?"), "{written}");
    };
    let mut talk = Talk::connect(&mut world, Opening::Clear);
    talk.send(&mut world, &header("localhost"));
    well(&text(&mut world, &talk));
    talk.send(&mut world, STARTTLS);
    world.secure(talk.peer());
    world.run();
    text(&mut world, &talk);
    talk.send(&mut world, &header("localhost"));
    well(&text(&mut world, &talk));
    talk.send(&mut world, &plain_auth("romeo", "secret"));
    text(&mut world, &talk);
    talk.send(&mut world, &header("localhost"));
    well(&text(&mut world, &talk));
    // Also in front of an error.
    let mut lost = Talk::connect(&mut world, Opening::Clear);
    lost.send(&mut world, &header("far.example"));
    well(&text(&mut world, &lost));
}

/// RFC 6120 §5.3.3 and §6.3.5: no white space, not even between the elements, until the stream begins anew.
#[test]
fn nothing_stands_between_what_the_server_says_in_negotiation() {
    let mut world = world(1, |_| {});
    let mut talk = Talk::connect(&mut world, Opening::Clear);
    talk.send(&mut world, &header("localhost"));
    assert!(text(&mut world, &talk).ends_with("</stream:features>"));
    talk.send(&mut world, STARTTLS);
    let proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    assert_eq!(text(&mut world, &talk), proceed);
    world.secure(talk.peer());
    world.run();
    assert_eq!(text(&mut world, &talk), "");
    talk.send(&mut world, &header("localhost"));
    text(&mut world, &talk);
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>";
    talk.send(&mut world, auth);
    let challenge = "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
    assert_eq!(text(&mut world, &talk), challenge);
    talk.send(&mut world, &plain_auth("romeo", "wrong"));
    let failure = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>";
    assert_eq!(text(&mut world, &talk), failure);
    talk.send(&mut world, &plain_auth("romeo", "secret"));
    let success = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
    assert_eq!(text(&mut world, &talk), success);
}

/// RFC 6120 §13.10.1: neither contacts nor strangers, nor the account's own other clients, nor the client itself.
#[test]
fn nobody_hears_from_where_another_is_connected() -> Outcome {
    let address = Ipv4Addr::new(198, 51, 100, 187);
    let mut world = world(3, |_| {});
    let mut romeo = Talk::connect_from(&mut world, IpAddr::V4(address), 0, Opening::Tls);
    romeo.open(&mut world, "localhost")?;
    romeo.sign_in(&mut world, "romeo@localhost", "secret")?;
    let mut other = Talk::session(&mut world, "romeo@localhost", "garden")?;
    let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
    other.send(&mut world, "<presence/>");
    let mut heard = String::new();
    for stanza in [
        // Without a wish for a resource, so that the server makes it.
        "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "<presence/>",
        "<presence to='juliet@localhost/balcony'/>",
        "<message to='juliet@localhost/balcony'><body>hi</body></message>",
        "<message to='nobody@localhost'><body>hi</body></message>",
        "<iq type='get' to='localhost' id='2'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
        "<iq type='get' to='romeo@localhost' id='3'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
        "<iq type='get' to='localhost' id='4'><query xmlns='jabber:iq:version'/></iq>",
    ] {
        romeo.send(&mut world, stanza);
    }
    for question in [
        "<iq type='get' to='romeo@localhost' id='5'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
        "<iq type='get' to='localhost' id='6'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>",
    ] {
        juliet.send(&mut world, question);
    }
    // A conflict ends the older session, and says why.
    let mut newer = Talk::connect(&mut world, Opening::Tls);
    newer.open(&mut world, "localhost")?;
    newer.sign_in(&mut world, "romeo@localhost", "secret")?;
    newer.send(&mut world, &bind_request("garden"));
    for talk in [&romeo, &other, &juliet, &newer] {
        heard += &text(&mut world, talk);
    }
    assert!(heard.len() > 2000, "{heard}");
    let parts = ["198.51.100", "100.187", "c633", "198-51", "198_51"];
    let told = parts.iter().find(|part| heard.contains(**part));
    assert_eq!(told, None, "{heard}");
    Ok(())
}
