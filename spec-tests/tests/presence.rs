//! Presence that a session sends and that is sent to it: RFC 6121 §4.2 to §4.6.

mod stage;

use spec_tests::element::{CLIENT, Element};
use spec_tests::memory::World;
use spec_tests::talk::Talk;
use spondee_core::limits::DIRECTED_BYTES;
use stage::{Outcome, stream_error, world};

const HALL: &str = "juliet@localhost/hall";
const GARDEN: &str = "juliet@localhost/garden";

/// The kinds of ends that a session can come to, all without a word of presence.
const ENDS: [fn(&mut World, &mut Talk) -> Outcome; 4] = [
    |world, talk| {
        talk.send(world, "</stream:stream>");
        Ok(())
    },
    |world, talk| {
        world.hang_up(talk.peer());
        world.run();
        Ok(())
    },
    |world, talk| {
        talk.send(world, "<x xmlns='urn:example:x'/>");
        stream_error(world, talk).map(|_| ())
    },
    |world, talk| {
        talk.send(world, "<not-well-formed");
        talk.send(world, "<");
        stream_error(world, talk).map(|_| ())
    },
];

/// Everything a session hears, as (from, type) in order; each stanza must be presence addressed to it or to its account.
fn heard(world: &mut World, talk: &mut Talk, own: &str) -> Result<Vec<(String, String)>, String> {
    let account = own.split('/').next().unwrap_or_default();
    let mut heard = Vec::new();
    for stanza in talk.rest(world)? {
        let to = stanza.attribute("to");
        if !stanza.is(CLIENT, "presence") || (to != Some(own) && to != Some(account)) {
            return Err(format!("not for {own}: {stanza}"));
        }
        let from = stanza.attribute("from").unwrap_or_default();
        let kind = stanza.attribute("type").unwrap_or("available");
        heard.push((from.to_owned(), kind.to_owned()));
    }
    Ok(heard)
}

fn said(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(from, kind)| ((*from).to_owned(), (*kind).to_owned()))
        .collect()
}

/// RFC 6121 §4.2.2: "to all of the user's available resources, including the resource that generated the presence notification".
/// §4.3.2 point 4, as each account is subscribed to itself: the newcomer hears of the others.
#[test]
fn resources_of_an_account_hear_of_each_other() -> Outcome {
    let mut world = world(3, |_| {});
    let mut porch = Talk::session(&mut world, "juliet@localhost", "porch")?;
    let mut hall = Talk::session(&mut world, "juliet@localhost", "hall")?;
    let mut garden = Talk::session(&mut world, "juliet@localhost", "garden")?;
    hall.send(
        &mut world,
        "<presence id='p1' xml:lang='it'><show>away</show><priority>3</priority><x xmlns='urn:x'/></presence>",
    );
    assert_eq!(
        heard(&mut world, &mut hall, HALL)?,
        said(&[(HALL, "available")])
    );
    // Connected, not available.
    assert_eq!(garden.rest(&mut world)?, []);
    garden.send(&mut world, "<presence/>");
    assert_eq!(
        heard(&mut world, &mut hall, HALL)?,
        said(&[(GARDEN, "available")])
    );
    let mut news = garden.rest(&mut world)?;
    news.sort_by_key(|stanza| stanza.attribute("from").map(str::to_owned));
    let [own, other] = news.as_slice() else {
        return Err(format!("{news:?}"));
    };
    assert_eq!(own.attribute("from"), Some(GARDEN));
    // The full XML of the last presence (RFC 6121 §4.3.2), id included (§4.3.2.1).
    assert_eq!(other.attribute("from"), Some(HALL));
    assert_eq!(other.attribute("to"), Some(GARDEN));
    assert_eq!(other.attribute("id"), Some("p1"));
    assert_eq!(other.attribute("xml:lang"), Some("it"));
    assert_eq!(
        other.child(CLIENT, "show").map(Element::text).as_deref(),
        Some("away")
    );
    assert!(other.child("urn:x", "x").is_some(), "{other}");
    assert_eq!(porch.rest(&mut world)?, []);
    Ok(())
}

/// RFC 6121 §4.4.2: an update goes to all, and nobody is introduced again.
#[test]
fn an_update_goes_to_all_available_resources() -> Outcome {
    let mut world = world(1, |_| {});
    let mut hall = Talk::session(&mut world, "juliet@localhost", "hall")?;
    let mut garden = Talk::session(&mut world, "juliet@localhost", "garden")?;
    hall.send(&mut world, "<presence/>");
    garden.send(&mut world, "<presence/>");
    hall.rest(&mut world)?;
    garden.rest(&mut world)?;
    hall.send(
        &mut world,
        "<presence><show>dnd</show><status>Parting</status></presence>",
    );
    for (talk, own) in [(&mut hall, HALL), (&mut garden, GARDEN)] {
        let update = talk.next(&mut world)?;
        assert_eq!(update.attribute("from"), Some(HALL));
        assert_eq!(update.attribute("to"), Some(own));
        assert_eq!(
            update.child(CLIENT, "status").map(Element::text).as_deref(),
            Some("Parting")
        );
        assert_eq!(talk.rest(&mut world)?, []);
    }
    Ok(())
}

/// RFC 6121 §4.5.2: "to all of the user's available resources (as well as to the resource that generated the unavailable
/// presence in the first place)", in full.
#[test]
fn unavailable_presence_goes_to_all_and_to_its_sender() -> Outcome {
    let mut world = world(3, |_| {});
    let mut hall = Talk::session(&mut world, "juliet@localhost", "hall")?;
    let mut garden = Talk::session(&mut world, "juliet@localhost", "garden")?;
    hall.send(&mut world, "<presence/>");
    garden.send(&mut world, "<presence/>");
    hall.rest(&mut world)?;
    garden.rest(&mut world)?;
    hall.send(
        &mut world,
        "<presence type='unavailable'><status>gone</status></presence>",
    );
    for (talk, own) in [(&mut hall, HALL), (&mut garden, GARDEN)] {
        let gone = talk.next(&mut world).map_err(|e| format!("{own}: {e}"))?;
        assert_eq!(gone.attribute("type"), Some("unavailable"));
        assert_eq!(gone.attribute("from"), Some(HALL));
        assert_eq!(gone.attribute("to"), Some(own));
        assert_eq!(
            gone.child(CLIENT, "status").map(Element::text).as_deref(),
            Some("gone")
        );
        assert_eq!(talk.rest(&mut world)?, []);
    }
    // A second one says nothing new, and neither does the end.
    hall.send(&mut world, "<presence type='unavailable'/>");
    world.hang_up(hall.peer());
    world.run();
    assert_eq!(garden.rest(&mut world)?, []);
    Ok(())
}

/// RFC 6121 §4.5.2, last note: what follows unavailable presence is initial presence again.
#[test]
fn presence_after_unavailable_presence_is_initial_again() -> Outcome {
    let mut world = world(1, |_| {});
    let mut hall = Talk::session(&mut world, "juliet@localhost", "hall")?;
    let mut garden = Talk::session(&mut world, "juliet@localhost", "garden")?;
    garden.send(&mut world, "<presence/>");
    hall.send(&mut world, "<presence/><presence type='unavailable'/>");
    hall.rest(&mut world)?;
    garden.rest(&mut world)?;
    garden.send(&mut world, "<presence><show>xa</show></presence>");
    garden.rest(&mut world)?;
    assert_eq!(hall.rest(&mut world)?, []);
    hall.send(&mut world, "<presence/>");
    assert_eq!(
        heard(&mut world, &mut hall, HALL)?,
        said(&[(HALL, "available"), (GARDEN, "available")])
    );
    assert_eq!(
        heard(&mut world, &mut garden, GARDEN)?,
        said(&[(HALL, "available")])
    );
    Ok(())
}

/// RFC 6121 §4.5.2: "the server MUST generate the unavailable presence broadcast on the user's behalf".
#[test]
fn however_a_session_ends_the_others_hear_that_it_is_unavailable() -> Outcome {
    for end in ENDS {
        let mut world = world(3, |_| {});
        let mut hall = Talk::session(&mut world, "juliet@localhost", "hall")?;
        let mut porch = Talk::session(&mut world, "juliet@localhost", "porch")?;
        let mut garden = Talk::session(&mut world, "juliet@localhost", "garden")?;
        hall.send(&mut world, "<presence/>");
        garden.send(&mut world, "<presence/>");
        hall.rest(&mut world)?;
        garden.rest(&mut world)?;
        end(&mut world, &mut hall)?;
        assert_eq!(
            heard(&mut world, &mut garden, GARDEN)?,
            said(&[(HALL, "unavailable")])
        );
        assert_eq!(porch.rest(&mut world)?, []);
        // A resource that never was available does not become unavailable.
        end(&mut world, &mut porch)?;
        assert_eq!(garden.rest(&mut world)?, []);
    }
    Ok(())
}

/// RFC 6121 §4.6.3 point 2 and §4.6.1: the entity gets what is directed to it and the end, and nothing in between.
#[test]
fn who_got_directed_presence_hears_of_its_end_once_and_of_no_update() -> Outcome {
    let mut ends: Vec<fn(&mut World, &mut Talk) -> Outcome> = ENDS.to_vec();
    ends.push(|world, talk| {
        talk.send(world, "<presence type='unavailable'/>");
        talk.rest(world).map(|_| ())
    });
    for end in ends {
        for to in ["romeo@localhost", "romeo@localhost/orchard"] {
            let mut world = world(3, |_| {});
            let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
            let mut hall = Talk::session(&mut world, "juliet@localhost", "hall")?;
            romeo.send(&mut world, "<presence/>");
            romeo.rest(&mut world)?;
            hall.send(&mut world, "<presence/>");
            hall.send(
                &mut world,
                &format!("<presence to='{to}'><show>chat</show></presence>"),
            );
            hall.send(&mut world, &format!("<presence to='{to}'/>"));
            hall.send(&mut world, "<presence><show>away</show></presence>");
            hall.rest(&mut world)?;
            let orchard = "romeo@localhost/orchard";
            assert_eq!(
                heard(&mut world, &mut romeo, orchard)?,
                said(&[(HALL, "available"), (HALL, "available")])
            );
            end(&mut world, &mut hall)?;
            assert_eq!(
                heard(&mut world, &mut romeo, orchard)?,
                said(&[(HALL, "unavailable")])
            );
        }
    }
    Ok(())
}

/// RFC 6121 §4.6.3 point 3: it is so for a resource that has sent no initial presence, too.
#[test]
fn a_resource_that_is_not_available_may_direct_presence() -> Outcome {
    for end in ENDS {
        let mut world = world(3, |_| {});
        let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
        let mut hall = Talk::session(&mut world, "juliet@localhost", "hall")?;
        hall.send(&mut world, "<presence to='romeo@localhost/orchard'/>");
        end(&mut world, &mut hall)?;
        assert_eq!(
            heard(&mut world, &mut romeo, "romeo@localhost/orchard")?,
            said(&[(HALL, "available"), (HALL, "unavailable")])
        );
    }
    Ok(())
}

/// RFC 6121 §4.6.1: "MUST remove from the directed presence list [..] any entity to which the user sends directed unavailable
/// presence".
#[test]
fn directed_unavailable_presence_is_the_last_word() -> Outcome {
    let mut world = world(3, |_| {});
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    let mut hall = Talk::session(&mut world, "juliet@localhost", "hall")?;
    let to = "romeo@localhost/orchard";
    hall.send(
        &mut world,
        &format!("<presence to='{to}'/><presence to='{to}' type='unavailable'/>"),
    );
    romeo.rest(&mut world)?;
    world.hang_up(hall.peer());
    world.run();
    assert_eq!(romeo.rest(&mut world)?, []);
    Ok(())
}

/// RFC 6121 §4.6.1: "SHOULD remove any entity that sends unavailable presence to the user".
#[test]
fn who_becomes_unavailable_need_not_hear_of_the_end() -> Outcome {
    for to in ["juliet@localhost", HALL] {
        let mut world = world(3, |_| {});
        let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
        let mut hall = Talk::session(&mut world, "juliet@localhost", "hall")?;
        hall.send(
            &mut world,
            "<presence/><presence to='romeo@localhost/orchard'/>",
        );
        romeo.send(
            &mut world,
            &format!("<presence to='{to}' type='unavailable'/>"),
        );
        romeo.rest(&mut world)?;
        hall.rest(&mut world)?;
        world.hang_up(hall.peer());
        world.run();
        assert_eq!(romeo.rest(&mut world)?, [], "{to}");
    }
    Ok(())
}

/// RFC 6121 §4.6.3 makes the server remember; how much, is bounded. Who is remembered still gets updates and the end.
#[test]
fn directed_presence_is_bounded_and_the_sender_hears_of_the_bound() -> Outcome {
    let mut world = world(3, |config| config.limits.directed_presence = 2);
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    let mut hall = Talk::session(&mut world, "juliet@localhost", "hall")?;
    let orchard = "romeo@localhost/orchard";
    for to in [orchard, "nurse@localhost", orchard] {
        hall.send(&mut world, &format!("<presence to='{to}'/>"));
    }
    assert_eq!(hall.rest(&mut world)?, []);
    hall.send(&mut world, "<presence to='tybalt@other.test' id='3'/>");
    let refused = hall.next(&mut world)?;
    let error = refused.child(CLIENT, "error");
    assert_eq!(refused.attribute("id"), Some("3"));
    assert_eq!(refused.attribute("from"), Some("tybalt@other.test"));
    assert_eq!(
        error.and_then(Element::condition),
        Some("resource-constraint")
    );
    assert_eq!(error.and_then(|e| e.attribute("type")), Some("wait"));
    // Unavailable presence needs no memory, and makes room.
    hall.send(
        &mut world,
        "<presence to='tybalt@other.test' type='unavailable'/>",
    );
    hall.send(
        &mut world,
        "<presence to='nurse@localhost' type='unavailable'/>",
    );
    hall.send(&mut world, "<presence to='tybalt@other.test'/>");
    assert_eq!(hall.rest(&mut world)?, []);
    world.hang_up(hall.peer());
    world.run();
    assert_eq!(
        heard(&mut world, &mut romeo, orchard)?,
        said(&[
            (HALL, "available"),
            (HALL, "available"),
            (HALL, "unavailable")
        ])
    );
    Ok(())
}

/// RFC 6120 §7.7.2.2: a session that takes over a resource inherits nothing; who knew the old one hears of its end.
#[test]
fn the_session_that_takes_over_a_resource_begins_unavailable() -> Outcome {
    let mut world = world(3, |_| {});
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    let mut garden = Talk::session(&mut world, "juliet@localhost", "garden")?;
    garden.send(&mut world, "<presence/>");
    let mut old = Talk::session(&mut world, "juliet@localhost", "hall")?;
    old.send(
        &mut world,
        "<presence/><presence to='romeo@localhost/orchard'/>",
    );
    old.rest(&mut world)?;
    garden.rest(&mut world)?;
    let mut new = Talk::session(&mut world, "juliet@localhost", "hall")?;
    assert_eq!(stream_error(&mut world, &mut old)?, "conflict");
    assert_eq!(
        heard(&mut world, &mut garden, GARDEN)?,
        said(&[(HALL, "unavailable")])
    );
    assert_eq!(
        heard(&mut world, &mut romeo, "romeo@localhost/orchard")?,
        said(&[(HALL, "available"), (HALL, "unavailable")])
    );
    assert_eq!(new.rest(&mut world)?, []);
    // The old connection's own end changes nothing.
    world.hang_up(old.peer());
    world.run();
    new.send(&mut world, "<presence/>");
    assert_eq!(
        heard(&mut world, &mut garden, GARDEN)?,
        said(&[(HALL, "available")])
    );
    Ok(())
}

/// RFC 6121 §4.7.1: presence of the other types, without an address, is for nobody.
#[test]
fn presence_of_other_types_without_an_address_says_nothing() -> Outcome {
    let mut world = world(1, |_| {});
    let mut hall = Talk::session(&mut world, "juliet@localhost", "hall")?;
    let mut garden = Talk::session(&mut world, "juliet@localhost", "garden")?;
    garden.send(&mut world, "<presence/>");
    garden.rest(&mut world)?;
    for kind in [
        "error",
        "probe",
        "subscribe",
        "subscribed",
        "unsubscribe",
        "unsubscribed",
    ] {
        hall.send(&mut world, &format!("<presence type='{kind}'/>"));
        assert_eq!(hall.rest(&mut world)?, [], "{kind}");
        assert_eq!(garden.rest(&mut world)?, [], "{kind}");
    }
    Ok(())
}

/// Addresses may have three thousand bytes each, and all of them are kept.
#[test]
fn addresses_of_directed_presence_are_bounded_in_bytes() -> Outcome {
    let mut world = world(1, |_| {});
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    let resource = "x".repeat(1000);
    let mut kept = 0;
    for n in 0..200 {
        let to = format!("nobody{n}@localhost/{resource}");
        romeo.send(&mut world, &format!("<presence to='{to}'/>"));
        match romeo.rest(&mut world)?.first() {
            None => kept += to.len(),
            Some(refusal) => {
                let error = refusal.child(CLIENT, "error");
                assert_eq!(
                    error.and_then(Element::condition),
                    Some("resource-constraint")
                );
                break;
            }
        }
    }
    assert!(
        kept <= DIRECTED_BYTES && kept + 2000 > DIRECTED_BYTES,
        "{kept}"
    );
    Ok(())
}
