//! Clients that say that nobody looks at them (XEP-0352).

use std::time::Duration;

use spec_tests::memory::{World, config};
use spec_tests::talk::Talk;
use spondee_core::config::Config;

use crate::phone::Phone;
use crate::sleepers::{befriend, last_of_each};
use crate::{JULIET, Outcome, ROMEO, message, numbered, same, texts, world};

const INACTIVE: &str = "<inactive xmlns='urn:xmpp:csi:0'/>";
const ACTIVE: &str = "<active xmlns='urn:xmpp:csi:0'/>";

fn composing(id: &str) -> String {
    format!(
        "<message type='chat' to='{JULIET}/phone' id='{id}'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
    )
}

/// Fifty contacts of hers, all there.
fn contacts(config: Config) -> Result<(World, Vec<String>, Vec<Talk>), String> {
    let mut world = world(config);
    let names: Vec<_> = (0..50).map(|n| format!("c{n}@localhost")).collect();
    for name in &names {
        world.add_user(name, "secret");
    }
    befriend(&mut world, JULIET, &names);
    let mut talks = Vec::new();
    for name in &names {
        let mut talk = Talk::session(&mut world, name, "x")?;
        talk.send(&mut world, "<presence/>");
        talks.push(talk);
    }
    Ok((world, names, talks))
}

/// A thousand presences, no byte; then one of each, before the message that wakes her.
#[test]
fn a_thousand_presences_of_fifty_contacts_cost_an_inactive_client_nothing_until_a_message()
-> Outcome {
    for shards in [1, 2] {
        for managed in [true, false] {
            let mut config = config();
            config.shards = shards;
            let (mut world, names, mut contacts) = contacts(config)?;
            let mut juliet = match managed {
                true => Phone::there(&mut world, JULIET, "phone")?.talk,
                false => {
                    let mut talk = Talk::session(&mut world, JULIET, "phone")?;
                    talk.send(&mut world, "<presence/>");
                    talk
                }
            };
            juliet.send(&mut world, INACTIVE);
            world.take_received(juliet.peer());
            for round in 0..20 {
                for talk in &mut contacts {
                    let presence = format!("<presence><status>{round}</status></presence>");
                    talk.send(&mut world, &presence);
                }
                world.advance(Duration::from_secs(1));
            }
            let bytes = world.take_received(juliet.peer());
            assert_eq!(bytes.len(), 0, "{}", String::from_utf8_lossy(&bytes));
            contacts[0].send(&mut world, &message(JULIET, "wake"));
            let mut came = juliet.rest(&mut world)?;
            came.retain(|element| element.ns == "jabber:client");
            last_of_each(&came, &names, 19)?;
            let last = came.last().ok_or("nothing came")?;
            assert_eq!(texts(std::slice::from_ref(last)), ["wake"], "{last}");
            assert_eq!(world.is_sound(), Ok(()));
        }
    }
    Ok(())
}

/// One who comes and goes all the time is one line at the end.
#[test]
fn a_contact_that_comes_and_goes_a_thousand_times_is_told_once() -> Outcome {
    let mut world = world(config());
    befriend(&mut world, JULIET, &[ROMEO.to_owned()]);
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    juliet.say(&mut world, INACTIVE);
    juliet.come(&mut world)?;
    for _ in 0..1000 {
        romeo.send(&mut world, "<presence/><presence type='unavailable'/>");
    }
    assert_eq!(world.take_received(juliet.talk.peer()), b"");
    juliet.say(&mut world, ACTIVE);
    let came = juliet.come(&mut world)?;
    let kinds: Vec<_> = came.iter().map(|stanza| stanza.attribute("type")).collect();
    assert_eq!(kinds, [Some("unavailable")], "{came:?}");
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// What waits is bounded by number and by bytes; beyond it all of it comes, in order, and nothing is lost.
#[test]
fn what_waits_for_an_inactive_client_is_bounded_and_comes_in_order() -> Outcome {
    for (count, filler) in [(1000, 0), (40, 10_000)] {
        for wakes in [ACTIVE.to_owned(), String::new()] {
            let mut world = world(config());
            let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
            let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
            juliet.say(&mut world, INACTIVE);
            let filler = "x".repeat(filler);
            let sent = numbered("s", 0..count);
            let mut came = Vec::new();
            let mut waiting = 0;
            for id in &sent {
                let state = composing(id).replace(
                    "/></message>",
                    &format!("><x xmlns='x'>{filler}</x></composing></message>"),
                );
                romeo.send(&mut world, &state);
                let stanzas = juliet.come(&mut world)?;
                waiting = if stanzas.is_empty() { waiting + 1 } else { 0 };
                came.extend(stanzas);
                assert!(waiting <= 257, "{waiting} wait");
                assert!(
                    waiting * filler.len() <= 80 * 1024,
                    "{waiting} of {} bytes wait",
                    filler.len()
                );
            }
            match wakes.is_empty() {
                true => romeo.send(&mut world, &message(JULIET, "wake")),
                false => juliet.say(&mut world, &wakes),
            }
            came.extend(juliet.come(&mut world)?);
            let ids: Vec<_> = came
                .iter()
                .filter_map(|stanza| stanza.attribute("id"))
                .filter(|id| id.starts_with('s'))
                .collect();
            same(&ids, &sent.iter().map(String::as_str).collect::<Vec<_>>())?;
            assert_eq!(romeo.rest(&mut world)?, []);
            assert_eq!(world.is_sound(), Ok(()));
        }
    }
    Ok(())
}

/// It is asleep with what waits for it, and active when it comes back.
#[test]
fn an_inactive_client_that_resumes_has_all_that_waited_and_is_active() -> Outcome {
    let mut world = world(config());
    befriend(&mut world, JULIET, &[ROMEO.to_owned()]);
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    for resumed in 0..5 {
        juliet.say(&mut world, INACTIVE);
        juliet.come(&mut world)?;
        let sent = numbered("s", 0..5);
        for id in &sent {
            romeo.send(&mut world, &composing(id));
        }
        romeo.send(&mut world, "<presence/>");
        juliet.cut(&mut world);
        romeo.send(&mut world, &composing("asleep"));
        juliet.resume(&mut world)?;
        let came = juliet.come(&mut world)?;
        let ids: Vec<_> = came
            .iter()
            .filter_map(|stanza| stanza.attribute("id"))
            .collect();
        let wanted: Vec<_> = sent.iter().map(String::as_str).chain(["asleep"]).collect();
        same(&ids, &wanted)?;
        assert_eq!(
            came.iter()
                .filter(|stanza| stanza.name == "presence")
                .count(),
            1
        );
        romeo.send(&mut world, &composing("at once"));
        assert_eq!(
            juliet.come(&mut world)?.len(),
            1,
            "inactive after resumption {resumed}"
        );
    }
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// Whoever flips it without end is told nothing by it, and pays alone.
#[test]
fn who_is_active_and_inactive_thousands_of_times_gets_what_comes_once() -> Outcome {
    let mut world = world(config());
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    let asked = juliet.asked;
    let mut came = Vec::new();
    for number in 0..200 {
        juliet.say(&mut world, &[INACTIVE, ACTIVE].concat().repeat(25));
        juliet.say(&mut world, INACTIVE);
        romeo.send(&mut world, &composing(&format!("s{number}")));
        juliet.say(&mut world, ACTIVE);
        came.extend(juliet.come(&mut world)?);
        juliet.answer(&mut world);
    }
    let ids: Vec<_> = came
        .iter()
        .filter_map(|stanza| stanza.attribute("id"))
        .collect();
    let wanted = numbered("s", 0..200);
    same(&ids, &wanted.iter().map(String::as_str).collect::<Vec<_>>())?;
    assert!(juliet.asked - asked <= 201);
    juliet.lives(&mut world)?;
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// Held stanzas are the session's: whoever dies with them hands them on as any other.
#[test]
fn what_waits_for_an_inactive_client_that_dies_goes_on() -> Outcome {
    for close in [true, false] {
        let mut world = world(config());
        let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
        juliet.say(&mut world, INACTIVE);
        let kept = format!(
            "<message type='chat' to='{JULIET}' id='kept'><x xmlns='x'/><store xmlns='urn:xmpp:hints'/></message>"
        );
        romeo.send(&mut world, &kept);
        romeo.send(&mut world, &message(JULIET, "wake"));
        romeo.send(&mut world, &composing("state"));
        if close {
            juliet.close(&mut world);
        } else {
            juliet.cut(&mut world);
            world.advance(Duration::from_secs(601));
        }
        let mut tablet = Phone::enter(&mut world, JULIET, "tablet")?;
        tablet.send(&mut world, "<presence/>");
        let came = tablet.come(&mut world)?;
        let ids: Vec<_> = came
            .iter()
            .filter_map(|stanza| stanza.attribute("id"))
            .collect();
        same(&ids, &["kept", "wake"])?;
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// A message that wakes and is not acknowledged: a black hole is found out as by who is active.
#[test]
fn an_inactive_client_behind_a_black_hole_is_asleep_in_the_stated_time() -> Outcome {
    let mut world = world(config());
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    juliet.say(&mut world, INACTIVE);
    romeo.send(&mut world, &message(JULIET, "m"));
    // With few unacknowledged it need not be asked sooner than by silence.
    world.advance(Duration::from_secs(15 * 60));
    assert!(juliet.is_dropped(&mut world)?);
    juliet.acks.forget_to(1);
    juliet.resume(&mut world)?;
    assert_eq!(texts(&juliet.come(&mut world)?), ["m"]);
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}
