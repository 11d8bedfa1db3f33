//! How sessions begin, are kept alive and end: RFC 6120 §7, §4.4, §4.6 and §4.9.3.

mod stage;

use std::time::Duration;

use spec_tests::element::{BIND, CLIENT, Element, Item, STREAMS};
use spec_tests::memory::{Ended, Mesh, Peer, Step, StorePace, World, config};
use spec_tests::talk::{Talk, bind_request, header, plain_auth};
use spondee_core::config::{Config, ConflictResolve};
use spondee_core::jid::Domain;
use spondee_core::limits::{FLOW_PATIENCE, Limits};
use spondee_core::port::Opening;
use stage::{Outcome, stream_error, world};

const ROMEO: &str = "romeo@localhost";
const TYBALT: &str = "tybalt@other.test";
const LIMITS: &str = "urn:xmpp:stream-limits:0";
const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";

fn signed_in(world: &mut World, account: &str) -> Result<Talk, String> {
    let mut talk = Talk::connect(world, Opening::Tls);
    let (_, host) = account.split_once('@').ok_or("no host")?;
    talk.open(world, host)?;
    talk.sign_in(world, account, "secret")?;
    Ok(talk)
}

fn condition(stanza: &Element) -> Option<&str> {
    stanza.child(CLIENT, "error").and_then(Element::condition)
}

/// Reads the server's header, where none was read yet, and then the stream error.
fn header_and_error(world: &mut World, talk: &mut Talk) -> Result<String, String> {
    match talk.poll(world)? {
        Some(Item::Open(header)) if header.is(STREAMS, "stream") => stream_error(world, talk),
        other => Err(format!("expected a header, not {other:?}")),
    }
}

/// RFC 6120 §7.7.2.2.
#[test]
fn a_resource_that_is_taken_is_resolved_as_configured() -> Outcome {
    for conflict in [
        ConflictResolve::KickOld,
        ConflictResolve::KickNew,
        ConflictResolve::Random,
        ConflictResolve::Increment,
    ] {
        let mut world = world(3, |config| {
            for host in config.accounts_mut() {
                host.conflict = conflict;
            }
        });
        let mut old = Talk::session(&mut world, ROMEO, "orchard")?;
        let mut new = signed_in(&mut world, ROMEO)?;
        let mut newest = signed_in(&mut world, ROMEO)?;
        match conflict {
            ConflictResolve::KickOld => {
                assert_eq!(new.bind(&mut world, "orchard")?, "romeo@localhost/orchard");
                assert_eq!(stream_error(&mut world, &mut old)?, "conflict");
                assert_eq!(
                    newest.bind(&mut world, "orchard")?,
                    "romeo@localhost/orchard"
                );
                assert_eq!(stream_error(&mut world, &mut new)?, "conflict");
                continue;
            }
            ConflictResolve::KickNew => {
                new.send(&mut world, &bind_request("orchard"));
                assert_eq!(condition(&new.next(&mut world)?), Some("conflict"));
                assert_eq!(new.bind(&mut world, "garden")?, "romeo@localhost/garden");
            }
            ConflictResolve::Random => {
                let first = new.bind(&mut world, "orchard")?;
                let second = newest.bind(&mut world, "orchard")?;
                assert!(first != second && !first.ends_with("/orchard"), "{first}");
                assert!(first.len() > "romeo@localhost/".len() + 20, "{first}");
            }
            ConflictResolve::Increment => {
                assert_eq!(
                    new.bind(&mut world, "orchard")?,
                    "romeo@localhost/orchard#1"
                );
                assert_eq!(
                    newest.bind(&mut world, "orchard")?,
                    "romeo@localhost/orchard#2"
                );
            }
        }
        assert_eq!(old.rest(&mut world)?, []);
        assert_eq!(world.ended(old.peer()), None);
    }
    Ok(())
}

/// RFC 6120 §7.6: unguessable and different each time; so is what the server makes of an empty wish.
#[test]
fn the_server_makes_a_resource_for_who_asks_for_none() -> Outcome {
    let mut world = world(1, |_| {});
    let mut bound = Vec::new();
    for request in [
        format!("<iq type='set' id='b'><bind xmlns='{BIND}'/></iq>"),
        format!("<iq type='set' id='b'><bind xmlns='{BIND}'><resource/></bind></iq>"),
        format!("<iq type='set' id='b' to='localhost'><bind xmlns='{BIND}'/></iq>"),
    ] {
        let mut talk = signed_in(&mut world, ROMEO)?;
        talk.send(&mut world, &request);
        let answer = talk.next(&mut world)?;
        let jid = answer
            .child(BIND, "bind")
            .and_then(|bind| bind.child(BIND, "jid"));
        let jid = jid.ok_or_else(|| format!("{request}: {answer}"))?.text();
        assert!(jid.len() > "romeo@localhost/".len() + 20, "{jid}");
        assert!(!bound.contains(&jid), "{jid}");
        bound.push(jid);
    }
    Ok(())
}

/// RFC 6120 §7.6.2.2.
#[test]
fn refuses_a_second_bind_of_the_same_stream_and_goes_on() -> Outcome {
    let mut world = world(3, |_| {});
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    for request in [
        bind_request("garden"),
        bind_request("orchard"),
        bind_request("garden").replacen("<iq ", "<iq to='localhost' ", 1),
        bind_request("garden").replacen("<iq ", "<iq to='romeo@localhost' ", 1),
    ] {
        romeo.send(&mut world, &request);
        let answer = romeo.next(&mut world)?;
        assert_eq!(condition(&answer), Some("not-allowed"), "{request}");
    }
    romeo.send(&mut world, "<presence/>");
    let presence = romeo.next(&mut world)?;
    assert_eq!(presence.attribute("from"), Some("romeo@localhost/orchard"));
    Ok(())
}

/// RFC 6120 §7.7.3: "at least 5 and no more than 10" retries, then `policy-violation`.
#[test]
fn a_client_may_retry_to_bind_five_times() -> Outcome {
    let mut world = world(3, |config| {
        for host in config.accounts_mut() {
            host.conflict = ConflictResolve::KickNew;
        }
    });
    let _old = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut lucky = signed_in(&mut world, ROMEO)?;
    let mut stubborn = signed_in(&mut world, ROMEO)?;
    for talk in [&mut lucky, &mut stubborn] {
        for _ in 0..5 {
            talk.send(&mut world, &bind_request("orchard"));
            assert_eq!(condition(&talk.next(&mut world)?), Some("conflict"));
        }
    }
    lucky.bind(&mut world, "garden")?;
    stubborn.send(&mut world, &bind_request("orchard"));
    assert_eq!(condition(&stubborn.next(&mut world)?), Some("conflict"));
    assert_eq!(stream_error(&mut world, &mut stubborn)?, "policy-violation");
    Ok(())
}

/// RFC 3921 §3, whose clients address the request to the host.
#[test]
fn an_old_client_may_establish_its_session() -> Outcome {
    let mut world = world(3, |_| {});
    let mut romeo = signed_in(&mut world, ROMEO)?;
    romeo.bind(&mut world, "orchard")?;
    for to in ["", "to='localhost'", "to='romeo@localhost'"] {
        romeo.send(
            &mut world,
            &format!("<iq type='set' id='s' {to}><session xmlns='{SESSION}'/></iq>"),
        );
        let answer = romeo.next(&mut world)?;
        assert_eq!(answer.attribute("type"), Some("result"), "{to}: {answer}");
        assert_eq!(answer.attribute("id"), Some("s"));
    }
    // Another host's session is not ours to establish.
    romeo.send(
        &mut world,
        &format!("<iq type='set' id='s' to='other.test'><session xmlns='{SESSION}'/></iq>"),
    );
    assert_eq!(
        condition(&romeo.next(&mut world)?),
        Some("service-unavailable")
    );
    Ok(())
}

/// Two sign-ins wait for the account to load; what the first has pipelined ends it at once.
#[test]
fn a_sign_in_is_not_lost_with_the_one_before_it() -> Outcome {
    let mut world = world(1, |_| {});
    world.store_pace = StorePace::Slow;
    let mut talks = Vec::new();
    for _ in 0..3 {
        let mut talk = Talk::connect(&mut world, Opening::Tls);
        talk.open(&mut world, "localhost")?;
        talks.push(talk);
    }
    let auth = plain_auth("romeo", "secret");
    let brief = format!("{auth}{}</stream:stream>", header("localhost"));
    for (talk, written) in talks.iter().zip([&brief, &brief, &auth]) {
        world.write(talk.peer(), written.as_bytes());
    }
    world.run();
    for talk in &mut talks {
        assert_eq!(talk.next(&mut world)?.name, "success");
    }
    assert_eq!(world.ended(talks[0].peer()), Some(Ended::Closed));
    talks[2].open(&mut world, "localhost")?;
    talks[2].bind(&mut world, "orchard")?;
    Ok(())
}

/// RFC 6120 §4.4: the closing tag is answered, and nothing comes behind it.
#[test]
fn a_closed_stream_gets_its_closing_tag_and_nothing_more() -> Outcome {
    let mut world = world(3, |_| {});
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
    romeo.send(
        &mut world,
        "<message to='juliet@localhost/balcony'/></stream:stream><message to='juliet@localhost/balcony'/>",
    );
    assert_eq!(romeo.poll(&mut world)?, Some(Item::Close));
    assert_eq!(world.ended(romeo.peer()), Some(Ended::Closed));
    assert_eq!(juliet.rest(&mut world)?.len(), 1);
    juliet.send(&mut world, "<message to='romeo@localhost/orchard' id='1'/>");
    assert_eq!(
        condition(&juliet.next(&mut world)?),
        Some("service-unavailable")
    );
    Ok(())
}

/// RFC 6120 §4.4: who does not answer our closing tag is not waited for.
#[test]
fn a_peer_that_keeps_a_closed_stream_open_is_closed_after_a_while() -> Outcome {
    let mut world = world(1, |_| {});
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    romeo.send(&mut world, "<x xmlns='urn:example:x'/>");
    assert_eq!(
        stream_error(&mut world, &mut romeo)?,
        "unsupported-stanza-type"
    );
    romeo.send(&mut world, "<message/> <presence/>");
    world.advance(Limits::default().close - Duration::from_millis(1));
    assert_eq!(world.ended(romeo.peer()), None);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.ended(romeo.peer()), Some(Ended::Closed));
    assert!(world.take_received(romeo.peer()).is_empty());
    Ok(())
}

/// RFC 6120 §4.9.3.20, for streams wherever they stand; new ones hear it at once.
#[test]
fn a_shutdown_ends_every_stream_with_system_shutdown() -> Outcome {
    let mut world = world(3, |_| {});
    let mut bound = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut signed_in = signed_in(&mut world, "juliet@localhost")?;
    let mut featured = Talk::connect(&mut world, Opening::Tls);
    featured.open(&mut world, "localhost")?;
    let mut clear = Talk::connect(&mut world, Opening::Clear);
    clear.open(&mut world, "localhost")?;
    let mut silent = Talk::connect(&mut world, Opening::Clear);
    let handshake = world.connect(Opening::Tls);
    world.mesh = Mesh::Full;
    let mut leaving = Vec::new();
    for _ in 0..3 {
        let mut talk = Talk::connect(&mut world, Opening::Tls);
        talk.open(&mut world, "localhost")?;
        talk.send(&mut world, &plain_auth("nurse", "secret"));
        leaving.push(talk);
    }
    let stuck: Vec<usize> = (0..3)
        .filter(|index| world.take_received(leaving[*index].peer()).is_empty())
        .collect();
    assert_eq!(stuck.len(), 2);
    let before = world.handed_off();

    world.shut_down();
    for talk in [&mut bound, &mut signed_in, &mut featured, &mut clear] {
        assert_eq!(stream_error(&mut world, talk)?, "system-shutdown");
    }
    assert_eq!(
        header_and_error(&mut world, &mut silent)?,
        "system-shutdown"
    );
    assert_eq!(world.ended(handshake), Some(Ended::Closed));
    // What waited for its way to another shard ends here and goes nowhere any more.
    world.mesh = Mesh::Free;
    world.run();
    for index in stuck {
        assert_eq!(
            stream_error(&mut world, &mut leaving[index])?,
            "system-shutdown"
        );
    }
    assert_eq!(world.handed_off(), before);

    let mut late = Talk::connect(&mut world, Opening::Clear);
    world.run();
    assert_eq!(header_and_error(&mut world, &mut late)?, "system-shutdown");
    let late = world.connect(Opening::Tls);
    world.run();
    assert_eq!(world.ended(late), Some(Ended::Closed));
    world.advance(Limits::default().close);
    for talk in [&bound, &signed_in, &featured, &clear, &silent] {
        assert_eq!(world.ended(talk.peer()), Some(Ended::Closed));
    }
    Ok(())
}

/// RFC 6120 §4.9.3.5.
#[test]
fn a_reload_that_removes_a_host_ends_its_streams_with_host_gone() -> Outcome {
    let mut world = world(3, |_| {});
    let mut tybalt = Talk::session(&mut world, "tybalt@other.test", "street")?;
    let mut unbound = signed_in(&mut world, "tybalt@other.test")?;
    let mut featured = Talk::connect(&mut world, Opening::Tls);
    featured.open(&mut world, "other.test")?;
    let mut fresh = Talk::connect(&mut world, Opening::Tls);
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut config = config();
    config.shards = 3;
    config.hosts.retain(|host, _| host.as_str() == "localhost");
    world.reload(config.clone());
    for talk in [&mut tybalt, &mut unbound, &mut featured] {
        assert_eq!(stream_error(&mut world, talk)?, "host-gone");
    }
    fresh.send(&mut world, &header("other.test"));
    assert_eq!(header_and_error(&mut world, &mut fresh)?, "host-unknown");
    for to in [
        "tybalt@other.test",
        "tybalt@other.test/street",
        "other.test",
    ] {
        romeo.send(&mut world, &format!("<message to='{to}'/>"));
        let answer = romeo.next(&mut world)?;
        assert_eq!(condition(&answer), Some("remote-server-not-found"), "{to}");
    }
    // It comes back with its accounts.
    config.hosts = spec_tests::memory::config().hosts;
    world.reload(config);
    Talk::session(&mut world, "tybalt@other.test", "street")?;
    Ok(())
}

/// The sender is served, what waits for the receiver is bounded, and the receiver's session ends (RFC 6120 §4.9.3.17).
#[test]
fn a_receiver_that_never_reads_holds_up_nobody_and_is_closed() -> Outcome {
    const QUEUE: usize = 100_000;
    for shards in [1, 3] {
        let mut world = world(shards, |config| config.limits.session_queue_bytes = QUEUE);
        let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
        let romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        let mut nurse = Talk::session(&mut world, "nurse@localhost", "kitchen")?;
        world.stop_taking(romeo.peer());
        let body = "x".repeat(999);
        for number in 0..200 {
            juliet.send(
                &mut world,
                &format!("<message to='romeo@localhost/orchard' id='{number}'><body>{body}</body></message>"),
            );
            juliet.send(
                &mut world,
                "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>",
            );
        }
        // She waits for him, but not for ever.
        world.advance(FLOW_PATIENCE);
        let answers = juliet.rest(&mut world)?;
        let pongs = answers
            .iter()
            .filter(|a| a.attribute("type") == Some("result"));
        assert_eq!(pongs.count(), 200);
        let lost = answers
            .iter()
            .filter(|a| condition(a) == Some("service-unavailable"));
        assert!(lost.count() > 140, "what came after the end is refused");
        nurse.send(&mut world, "<message to='romeo@localhost/orchard' id='n'/>");
        assert_eq!(
            condition(&nurse.next(&mut world)?),
            Some("service-unavailable")
        );
        world.take_again(romeo.peer());
        let received = String::from_utf8_lossy(&world.take_received(romeo.peer())).into_owned();
        assert!(received.len() < QUEUE + 1000, "{}", received.len());
        assert!(
            received.contains("<resource-constraint "),
            "no reason was given"
        );
        world.advance(Limits::default().close);
        assert_eq!(world.ended(romeo.peer()), Some(Ended::Closed));
        // The account is free for a client that reads.
        Talk::session(&mut world, ROMEO, "orchard")?;
    }
    Ok(())
}

#[test]
fn a_queue_is_bounded_anew_by_a_reload() -> Outcome {
    let mut world = world(1, |_| {});
    let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
    let romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    world.stop_taking(romeo.peer());
    let message = format!(
        "<message to='romeo@localhost/orchard'><body>{}</body></message>",
        "x".repeat(999)
    );
    juliet.send(&mut world, &message.repeat(30));
    assert_eq!(juliet.rest(&mut world)?, []);
    let mut config = config();
    config.limits.session_queue_bytes = 40_000;
    world.reload(config);
    // What was there stays.
    juliet.send(&mut world, &message);
    assert_eq!(juliet.rest(&mut world)?, []);
    juliet.send(&mut world, &message.repeat(30));
    world.advance(FLOW_PATIENCE);
    let refused = juliet.rest(&mut world)?;
    assert!(refused.len() > 15, "{}", refused.len());
    Ok(())
}

/// XEP-0478 §3.1: in both features, and what holds then.
#[test]
fn limits_are_told_before_and_after_signing_in() -> Outcome {
    let told = |features: &Element| -> Option<(String, String)> {
        let limits = features.child(LIMITS, "limits")?;
        let text = |name| limits.child(LIMITS, name).map(Element::text);
        Some((text("max-bytes")?, text("idle-seconds")?))
    };
    let told = |features: &Element| told(features).ok_or_else(|| features.to_string());
    let pair = |max: &str, idle: &str| (max.to_owned(), idle.to_owned());
    let mut world = world(1, |config| config.limits.c2s_stanza_bytes = 12_345);
    let mut talk = Talk::connect(&mut world, Opening::Clear);
    let features = talk.open(&mut world, "localhost")?;
    assert_eq!(told(&features)?, pair("16384", "30"));
    talk.starttls(&mut world)?;
    let features = talk.open(&mut world, "localhost")?;
    assert_eq!(told(&features)?, pair("16384", "60"));
    let features = talk.sign_in(&mut world, ROMEO, "secret")?;
    assert_eq!(told(&features)?, pair("12345", "840"));
    Ok(())
}

/// The same bound for what a client brings upon itself, whoever answers it.
#[test]
fn a_client_that_never_reads_its_own_answers_is_closed() -> Outcome {
    const QUEUE: usize = 20_000;
    for request in [
        "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='get' id='p' to='juliet@localhost'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='set' id='p'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
        "<iq type='get' id='p'/>",
        "<presence type='invisible'/>",
        "<presence type='subscribe' to='a@far.example'/>",
        "<iq type='get' id='p' to='nobody@localhost'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>",
        "<presence/>",
        "<message to='@'/>",
        "<message to='a@far.example'/>",
        "<message to='romeo@localhost/orchard'/>",
    ] {
        let mut world = world(3, |config| config.limits.session_queue_bytes = QUEUE);
        let romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        world.stop_taking(romeo.peer());
        let many = request.repeat(100);
        for _ in 0..10 {
            world.write(romeo.peer(), many.as_bytes());
        }
        world.run();
        // Who writes to itself waits for itself.
        world.advance(FLOW_PATIENCE);
        world.take_again(romeo.peer());
        let received = world.take_received(romeo.peer());
        assert!(
            received.len() < QUEUE + 1000,
            "{request}: {}",
            received.len()
        );
        world.advance(Limits::default().close);
        assert_eq!(world.ended(romeo.peer()), Some(Ended::Closed), "{request}");
    }
    Ok(())
}

/// RFC 6120 §4.6.1: a space, so that TCP finds a dead peer. Whoever says something need not be asked.
#[test]
fn a_silent_session_gets_a_space_once_in_a_while_and_lives_on() -> Outcome {
    let idle = Limits::default().idle;
    let mut world = world(3, |_| {});
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let spaces = |world: &mut World, talk: &Talk| {
        let received = world.take_received(talk.peer());
        assert!(received.iter().all(|byte| *byte == b' '), "{received:?}");
        received.len()
    };
    world.advance(idle - Duration::from_secs(1));
    assert_eq!(spaces(&mut world, &romeo), 0);
    world.advance(Duration::from_secs(2));
    assert_eq!(spaces(&mut world, &romeo), 1);
    world.advance(idle * 3);
    assert_eq!(spaces(&mut world, &romeo), 3);
    // Half of the time passes, then the client says a space itself.
    world.advance(idle / 2);
    romeo.send(&mut world, " ");
    spaces(&mut world, &romeo);
    world.advance(idle - Duration::from_secs(1));
    assert_eq!(spaces(&mut world, &romeo), 0);
    world.advance(Duration::from_secs(1));
    assert_eq!(spaces(&mut world, &romeo), 1);
    romeo.send(&mut world, "<presence/>");
    romeo.next(&mut world)?;
    assert_eq!(world.ended(romeo.peer()), None);
    Ok(())
}

/// RFC 6120 §4.9.3.4, however far it is and whatever it dribbles.
#[test]
fn a_connection_that_does_not_complete_its_negotiation_times_out() -> Outcome {
    let Limits {
        until_tls,
        negotiation,
        ..
    } = Limits::default();
    let mut world = world(3, |_| {});
    world.advance(Duration::from_millis(1));
    let mut silent = Talk::connect(&mut world, Opening::Clear);
    let mut greeted = Talk::connect(&mut world, Opening::Clear);
    greeted.open(&mut world, "localhost")?;
    let handshake = world.connect(Opening::Tls);
    let mut proceeding = Talk::connect(&mut world, Opening::Clear);
    proceeding.open(&mut world, "localhost")?;
    proceeding.send(
        &mut world,
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    );
    proceeding.next(&mut world)?;
    let mut secure = Talk::connect(&mut world, Opening::Tls);
    let mut featured = Talk::connect(&mut world, Opening::Tls);
    featured.open(&mut world, "localhost")?;
    let mut upgraded = Talk::connect(&mut world, Opening::Clear);
    upgraded.open(&mut world, "localhost")?;
    upgraded.starttls(&mut world)?;
    upgraded.open(&mut world, "localhost")?;
    let mut unbound = signed_in(&mut world, ROMEO)?;
    let mut bound = Talk::session(&mut world, "juliet@localhost", "balcony")?;

    // Deadlines are late by less than a second.
    let (moment, second) = (Duration::from_millis(1), Duration::from_secs(1));
    world.advance(until_tls - moment);
    // Bytes that complete nothing buy no time.
    for talk in [&mut silent, &mut greeted, &mut featured, &mut unbound] {
        talk.send(&mut world, " ");
    }
    for talk in [&silent, &greeted, &proceeding] {
        assert!(world.take_received(talk.peer()).is_empty());
    }
    world.advance(second);
    assert_eq!(
        header_and_error(&mut world, &mut silent)?,
        "connection-timeout"
    );
    assert_eq!(
        stream_error(&mut world, &mut greeted)?,
        "connection-timeout"
    );
    // In a TLS handshake there are no words.
    assert_eq!(world.ended(handshake), Some(Ended::Closed));
    assert_eq!(world.ended(proceeding.peer()), Some(Ended::Closed));
    assert!(world.take_received(handshake).is_empty());

    world.advance(negotiation - until_tls - second);
    for talk in [&secure, &featured, &upgraded, &unbound] {
        assert!(world.take_received(talk.peer()).is_empty());
        assert_eq!(world.ended(talk.peer()), None);
    }
    world.advance(second);
    assert_eq!(
        header_and_error(&mut world, &mut secure)?,
        "connection-timeout"
    );
    for talk in [&mut featured, &mut upgraded, &mut unbound] {
        assert_eq!(stream_error(&mut world, talk)?, "connection-timeout");
    }
    world.advance(Limits::default().close);
    assert_eq!(world.ended(unbound.peer()), Some(Ended::Closed));
    assert_eq!(bound.rest(&mut world)?, []);
    assert_eq!(world.ended(bound.peer()), None);
    Ok(())
}

/// What a stream asked before it ended is answered to nobody.
#[test]
fn an_answer_that_comes_after_the_end_changes_nothing() -> Outcome {
    let mut world = world(1, |_| {});
    let mut romeo = Talk::connect(&mut world, Opening::Tls);
    romeo.open(&mut world, "localhost")?;
    world.store_pace = StorePace::Slow;
    world.write(romeo.peer(), plain_auth("romeo", "secret").as_bytes());
    world.turns(1);
    world.shut_down();
    assert_eq!(stream_error(&mut world, &mut romeo)?, "system-shutdown");
    assert!(world.take_received(romeo.peer()).is_empty());
    Ok(())
}

/// A stranger comes to another shard than that of its account, and asks to sign in: its connection waits there to be brought to its owner.
fn under_way(world: &mut World, account: &str) -> Result<Peer, String> {
    let (user, host) = account.split_once('@').ok_or("no host")?;
    let other = 1 - world.owner(account);
    world.mesh = Mesh::Full;
    let peer = world.connect_to(other, Opening::Tls);
    world.secure(peer);
    world.step(Step::Read(peer));
    world.step(Step::Drain(other));
    let written = [header(host), plain_auth(user, "secret")].concat();
    world.write(peer, written.as_bytes());
    world.step(Step::Read(peer));
    world.step(Step::Drain(other));
    assert_eq!(world.waiting_hand_offs(), 1);
    Ok(peer)
}

/// It is brought there.
fn arrive(world: &mut World, owner: usize) {
    world.step(Step::HandOff(0));
    world.step(Step::Drain(owner));
}

fn told(world: &mut World, peer: Peer) -> String {
    String::from_utf8_lossy(&world.take_received(peer)).into_owned()
}

/// A connection that was under way when its new shard stopped ends there (RFC 6120 §4.9.3.20).
#[test]
fn a_connection_that_arrives_at_a_shard_that_stops_ends_with_system_shutdown() -> Outcome {
    let mut world = world(2, |_| {});
    let owner = world.owner(ROMEO);
    let peer = under_way(&mut world, ROMEO)?;
    // The shard that it comes from has not heard of it yet.
    world.post_shutdown();
    world.step(Step::Letter(owner));
    world.step(Step::Drain(owner));
    arrive(&mut world, owner);
    let told = told(&mut world, peer);
    assert!(told.contains("<system-shutdown "), "{told}");
    assert!(
        told.ends_with("</stream:stream>") && !told.contains("<success"),
        "{told}"
    );
    Ok(())
}

fn without_other_host() -> Config {
    let mut config = config();
    config.shards = 2;
    config
        .hosts
        .remove(&Domain::parse("other.test").expect("a domain"));
    config
}

/// So does one whose host is gone there (RFC 6120 §4.9.3.5).
#[test]
fn a_connection_that_arrives_at_a_shard_without_its_host_ends_with_host_gone() -> Outcome {
    let mut world = world(2, |_| {});
    let owner = world.owner(TYBALT);
    let peer = under_way(&mut world, TYBALT)?;
    world.post_reload(without_other_host());
    world.step(Step::Letter(owner));
    world.step(Step::Drain(owner));
    arrive(&mut world, owner);
    let told = told(&mut world, peer);
    assert!(told.contains("<host-gone "), "{told}");
    assert!(
        told.ends_with("</stream:stream>") && !told.contains("<success"),
        "{told}"
    );
    Ok(())
}

/// The shard that it comes from knows the host by a reload of which its new shard hears a moment later.
#[test]
fn a_connection_that_arrives_at_a_shard_before_the_news_of_its_host_signs_in() -> Outcome {
    let mut world = world(2, |_| {});
    let with_it = world.config().clone();
    world.reload(without_other_host());
    let owner = world.owner(TYBALT);
    world.post_reload(with_it);
    world.step(Step::Letter(1 - owner));
    world.step(Step::Drain(1 - owner));
    let peer = under_way(&mut world, TYBALT)?;
    arrive(&mut world, owner);
    world.run();
    let told = told(&mut world, peer);
    assert!(told.contains("<success "), "{told}");
    Ok(())
}
