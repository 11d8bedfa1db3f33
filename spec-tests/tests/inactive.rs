//! What a client that nobody looks at is told, and when (XEP-0352), where there is much to tell.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use spec_tests::acks::{ENABLE, SM, acknowledge};
use spec_tests::element::{CLIENT, Element};
use spec_tests::memory::{World, config};
use spec_tests::talk::Talk;
use spondee_core::config::Config;

const ROMEO: &str = "romeo@localhost";
const INACTIVE: &str = "<inactive xmlns='urn:xmpp:csi:0'/>";
const ACTIVE: &str = "<active xmlns='urn:xmpp:csi:0'/>";

const CONTACTS: usize = 50;
const PRESENCES: usize = 1000;

/// Every test tells what was not as expected by returning it.
type Outcome = Result<(), String>;

/// A server with this many shards and two accounts.
fn world(shards: u16, configure: impl FnOnce(&mut Config)) -> World {
    let mut config = config();
    config.shards = shards;
    configure(&mut config);
    let mut world = World::new(config);
    for account in [ROMEO, "juliet@localhost"] {
        world.add_user(account, "secret");
    }
    world
}

/// Whether stream management is on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Counting {
    On,
    Off,
}

/// Romeo's phone, and as many contacts as there are, all of them available.
fn phone_and_contacts(
    world: &mut World,
    counting: Counting,
    contacts: usize,
) -> Result<(Talk, Vec<Talk>), String> {
    let mut phone = Talk::session(world, ROMEO, "phone")?;
    if counting == Counting::On {
        phone.send(world, ENABLE);
    }
    phone.send(world, "<presence/>");
    let mut talks = Vec::new();
    for n in 0..contacts {
        let name = format!("contact{n}@localhost");
        world.add_user(&name, "secret");
        let mut talk = Talk::session(world, &name, "desk")?;
        let presence = |kind: &str, to: &str| format!("<presence type='{kind}' to='{to}'/>");
        talk.send(world, &presence("subscribe", ROMEO));
        phone.send(world, &presence("subscribed", &name));
        phone.send(world, &presence("subscribe", &name));
        talk.send(world, &presence("subscribed", ROMEO));
        talk.send(world, "<presence/>");
        talks.push(talk);
    }
    let told = phone.rest(world)?;
    if counting == Counting::On {
        let stanzas = told.iter().filter(|element| element.ns == CLIENT).count();
        phone.send(world, &acknowledge(u32::try_from(stanzas).unwrap()));
        phone.rest(world)?;
    }
    Ok((phone, talks))
}

/// Each of them says so often, in turn, how it is.
fn chatter(world: &mut World, contacts: &[Talk]) {
    for n in 0..PRESENCES {
        let talk = &contacts[n % contacts.len()];
        let said = format!("<presence><status>{n}</status></presence>");
        world.write(talk.peer(), said.as_bytes());
        world.run();
    }
}

/// Of presence, what each sender said; and everything else.
fn sort(told: Vec<Element>) -> (BTreeMap<String, Vec<String>>, Vec<Element>) {
    let mut presence: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut others = Vec::new();
    for element in told {
        if element.is(CLIENT, "presence") {
            let from = element.attribute("from").unwrap_or_default().to_owned();
            let status = element.child(CLIENT, "status").map(Element::text);
            let said = presence.entry(from).or_default();
            said.push(status.unwrap_or_default());
        } else {
            others.push(element);
        }
    }
    (presence, others)
}

/// XEP-0352 §3.2: "Suppress presence updates until the client becomes active again".
#[test]
fn a_thousand_presences_of_fifty_contacts_are_no_byte_and_then_one_of_each_before_what_wakes()
-> Outcome {
    for counting in [Counting::Off, Counting::On] {
        let mut world = world(3, |_| {});
        let (mut phone, mut contacts) = phone_and_contacts(&mut world, counting, CONTACTS)?;
        phone.send(&mut world, INACTIVE);
        chatter(&mut world, &contacts);
        assert_eq!(world.take_received(phone.peer()), b"", "{counting:?}");
        contacts[7].send(
            &mut world,
            "<message to='romeo@localhost' type='chat'><body>wake up</body></message>",
        );
        let told = phone.rest(&mut world)?;
        let at = told
            .iter()
            .position(|element| element.is(CLIENT, "message"));
        assert_eq!(at, Some(CONTACTS), "the message comes behind all of them");
        let (presence, others) = sort(told);
        assert_eq!(presence.len(), CONTACTS);
        for n in 0..CONTACTS {
            let from = format!("contact{n}@localhost/desk");
            let last = (PRESENCES - CONTACTS + n).to_string();
            assert_eq!(presence.get(&from), Some(&vec![last]), "{from}");
        }
        // And no request: of an inactive client more may be unacknowledged.
        assert_eq!(others.len(), 1, "{others:?}");
        world.is_sound()?;
    }
    Ok(())
}

/// "On becoming active, push the latest presence from each contact."
#[test]
fn who_becomes_active_is_told_the_last_of_each_at_once() -> Outcome {
    let mut world = world(3, |_| {});
    let (mut phone, contacts) = phone_and_contacts(&mut world, Counting::Off, CONTACTS)?;
    phone.send(&mut world, INACTIVE);
    chatter(&mut world, &contacts);
    assert_eq!(world.take_received(phone.peer()), b"");
    phone.send(&mut world, ACTIVE);
    let (presence, others) = sort(phone.rest(&mut world)?);
    assert_eq!((presence.len(), others.len()), (CONTACTS, 0));
    assert!(presence.values().all(|said| said.len() == 1));
    // From now on each comes as it is said.
    chatter(&mut world, &contacts);
    let (presence, _) = sort(phone.rest(&mut world)?);
    let said: usize = presence.values().map(Vec::len).sum();
    assert_eq!(said, PRESENCES);
    world.is_sound()
}

/// However many there are, what waits is bounded: one more, and all of it is told.
#[test]
fn more_than_may_wait_is_told_in_bulk() -> Outcome {
    let mut world = world(1, |config| {
        for host in config.accounts_mut() {
            host.csi.max_held = 10;
        }
    });
    let (mut phone, mut contacts) = phone_and_contacts(&mut world, Counting::Off, 1)?;
    phone.send(&mut world, INACTIVE);
    let state = "<message to='romeo@localhost/phone' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>";
    for round in 0..3 {
        for n in 0..10 {
            contacts[0].send(&mut world, state);
            let received = world.take_received(phone.peer());
            assert_eq!(received, b"", "round {round}, {n}");
        }
        contacts[0].send(&mut world, state);
        assert_eq!(phone.rest(&mut world)?.len(), 11, "round {round}");
    }
    world.is_sound()
}

/// What was held when the connection was lost is there when the client is back, and nothing waits for it to be looked at then (§5.2).
#[test]
fn a_session_that_is_resumed_is_told_what_was_held_and_is_active() -> Outcome {
    let mut world = world(1, |_| {});
    let mut phone = Talk::session(&mut world, ROMEO, "phone")?;
    phone.send(&mut world, ENABLE);
    let enabled = phone.next(&mut world)?;
    let id = enabled.attribute("id").unwrap().to_owned();
    phone.send(&mut world, INACTIVE);
    let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
    let presence =
        |n: u32| format!("<presence to='romeo@localhost/phone'><status>{n}</status></presence>");
    for n in 0..3 {
        juliet.send(&mut world, &presence(n));
    }
    assert_eq!(world.take_received(phone.peer()), b"");
    world.hang_up(phone.peer());
    world.run();
    for n in 3..6 {
        juliet.send(&mut world, &presence(n));
    }
    let mut back = Talk::connect(&mut world, spondee_core::port::Opening::Tls);
    back.open(&mut world, "localhost")?;
    back.sign_in(&mut world, ROMEO, "secret")?;
    back.send(&mut world, &spec_tests::acks::resume(&id, 0));
    let told = back.rest(&mut world)?;
    assert!(told[0].is(SM, "resumed"), "{told:?}");
    let (presence_told, _) = sort(told);
    let said: Vec<_> = presence_told.into_values().collect();
    assert_eq!(said, [["5"]]);
    juliet.send(&mut world, &presence(6));
    let (presence_told, _) = sort(back.rest(&mut world)?);
    let said: Vec<_> = presence_told.into_values().collect();
    assert_eq!(said, [["6"]]);
    world.is_sound()
}
