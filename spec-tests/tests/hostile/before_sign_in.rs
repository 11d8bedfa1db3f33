//! What a stranger may not do: RFC 6120 §4.3.5, §7.1, and bounds on its bytes and its time.

use std::time::Duration;

use spec_tests::element::SASL;
use spec_tests::memory::Ended;
use spec_tests::talk::bind_request;
use spondee_core::limits::Limits;
use spondee_core::port::Opening;

use crate::scene::{Scene, Stage, VICTIM, message};
use crate::stage::{Outcome, stream_error};

#[test]
fn a_stanza_before_authentication_ends_the_stream() -> Outcome {
    let mut scene = Scene::new()?;
    for stanza in [
        message("from nobody"),
        format!("<presence to='{VICTIM}'/>"),
        "<presence/>".to_owned(),
        format!("<iq to='{VICTIM}' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"),
        "<iq to='localhost' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>".to_owned(),
        "<iq to='localhost' type='result' id='1'/>".to_owned(),
        format!("<message from='{VICTIM}' to='{VICTIM}'/>"),
    ] {
        scene.refuses(&Stage::STRANGER, stanza.as_bytes(), "not-authorized")?;
    }
    // One that is signed in and has no resource has no more rights, but for the request to bind one.
    for stanza in [message("from nobody"), "<presence/>".to_owned()] {
        scene.refuses(&[Stage::SignedIn], stanza.as_bytes(), "not-authorized")?;
    }
    Ok(())
}

#[test]
fn a_bind_before_authentication_ends_the_stream() -> Outcome {
    let mut scene = Scene::new()?;
    for request in [
        bind_request("orchard"),
        bind_request("balcony"),
        bind_request("balcony").replacen("<iq ", "<iq from='juliet@localhost' ", 1),
    ] {
        scene.refuses(&Stage::STRANGER, request.as_bytes(), "not-authorized")?;
    }
    // In the middle of an exchange it is no better.
    let mut romeo = scene.enter(Stage::Secure)?;
    let first = spec_tests::sasl::encode(b"n,,n=romeo,r=abcdefgh");
    romeo.send(
        &mut scene.world,
        &format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{first}</auth>"),
    );
    assert!(romeo.next(&mut scene.world)?.is(SASL, "challenge"));
    romeo.send(&mut scene.world, &bind_request("orchard"));
    scene.ends(&mut romeo, "not-authorized")
}

/// White space, tiny elements and sign-ins that fail: all of it counts.
#[test]
fn a_stranger_may_send_so_much_and_no_more() -> Outcome {
    let limits = Limits::default();
    let mut scene = Scene::new()?;
    let most = limits.unauthenticated_stream_bytes as usize;
    for stage in [Stage::Fresh, Stage::Clear, Stage::Secure] {
        let spaces = " ".repeat(most + 1);
        scene.refuses(&[stage], spaces.as_bytes(), "policy-violation")?;
    }
    for stage in Stage::STRANGER {
        let abort = format!("<response xmlns='{SASL}'>*</response>");
        let padded = format!("{abort}{}", " ".repeat(most));
        let mut talk = scene.enter(stage)?;
        scene.world.write(talk.peer(), padded.as_bytes());
        scene.world.run();
        // In one read nothing of it is looked at.
        scene.ends(&mut talk, "policy-violation")?;
    }
    Ok(())
}

/// Dripped bytes buy no time, before TLS, below it, and after the sign-in.
#[test]
fn a_stranger_has_so_much_time_and_dripped_bytes_buy_no_more() -> Outcome {
    let Limits {
        until_tls,
        negotiation,
        ..
    } = Limits::default();
    for (stage, time) in [
        (Stage::Fresh, until_tls),
        (Stage::Clear, until_tls),
        (Stage::Secure, negotiation),
        (Stage::SignedIn, negotiation),
    ] {
        let mut scene = Scene::new()?;
        let mut talk = scene.enter(stage)?;
        let begun = scene.world.now().mono;
        let step = Duration::from_millis(500);
        let mut drip = "<auth mechanism='".bytes().chain(std::iter::repeat(b'x'));
        if stage == Stage::Fresh {
            drip = "<stream:stream a".bytes().chain(std::iter::repeat(b'x'));
        }
        while scene.world.now().mono.since(begun) + step < time {
            scene.nothing_arrived()?;
            let said = scene.world.take_received(talk.peer());
            assert!(said.is_empty(), "{stage:?}: {said:?}");
            let byte = [drip.next().unwrap_or(b'x')];
            scene.world.write(talk.peer(), &byte);
            scene.world.advance(step);
        }
        scene.world.advance(step * 4);
        if stage == Stage::Fresh {
            talk.poll(&mut scene.world)?;
        }
        let ended = stream_error(&mut scene.world, &mut talk)?;
        assert_eq!(ended, "connection-timeout", "{stage:?}");
        scene.is_closed(talk.peer())?;
    }
    Ok(())
}

/// The same for handshakes: in the midst of one there are no words, only the end.
#[test]
fn a_handshake_that_never_completes_is_closed_in_time() -> Outcome {
    let Limits { until_tls, .. } = Limits::default();
    let mut scene = Scene::new()?;
    let direct = scene.world.connect(Opening::Tls);
    let mut upgrading = scene.enter(Stage::Clear)?;
    upgrading.send(
        &mut scene.world,
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    );
    upgrading.next(&mut scene.world)?;
    let peers = [direct, upgrading.peer()];
    scene.world.advance(until_tls - Duration::from_millis(1));
    for peer in peers {
        assert_eq!(scene.world.ended(peer), None);
    }
    scene.world.advance(Duration::from_secs(1));
    for peer in peers {
        assert_eq!(scene.world.ended(peer), Some(Ended::Closed));
    }
    for peer in peers {
        scene.is_closed(peer)?;
    }
    Ok(())
}
