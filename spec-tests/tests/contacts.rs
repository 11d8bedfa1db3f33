//! Subscriptions and presence between accounts, on one shard and across several: what each side hears, in what order, whatever is lost on
//! the way.

use spec_tests::memory::{Fate, World};
use spec_tests::talk::Talk;
use spondee_core::jid::BareJid;
use spondee_core::limits::ACCOUNT_IDLE;
use spondee_core::port::{Command, CommandReply};
use spondee_core::store::{Class, StoreError};

mod stage;

use stage::{Outcome, stream_error, world};

const ROSTER: &str = "<iq id='r' type='get'><query xmlns='jabber:iq:roster'/></iq>";

/// Somebody who has asked for the roster and is available.
fn arrive(world: &mut World, account: &str, resource: &str) -> Result<Talk, String> {
    let mut talk = Talk::session(world, account, resource)?;
    talk.send(world, ROSTER);
    talk.send(world, "<presence/>");
    world.run();
    Ok(talk)
}

/// What this session heard, each in a few words: presence as `FROM TYPE`, pushes as `push JID SUBSCRIPTION (ask) (approved)`.
fn heard(world: &mut World, talk: &mut Talk) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    for element in talk.rest(world)? {
        let text = element.to_string();
        let attribute = |name: &str| element.attribute(name).unwrap_or_default().to_owned();
        words.push(match element.name.as_str() {
            "presence" => {
                let kind = Some(attribute("type")).filter(|kind| !kind.is_empty());
                let kind = kind.unwrap_or_else(|| "available".to_owned());
                format!("{} {kind}", attribute("from"))
            }
            "iq" if attribute("type") == "set" => {
                let item = text.split("<item ").nth(1).unwrap_or_default();
                let part = |name: &str| {
                    let rest = item.split(&format!("{name}=")).nth(1)?;
                    rest.get(1..)?.split(['\'', '"']).next().map(str::to_owned)
                };
                let jid = part("jid").unwrap_or_default();
                let mut word = format!("push {jid} {}", part("subscription").unwrap_or_default());
                if part("ask").is_some() {
                    word.push_str(" ask");
                }
                if part("approved").is_some() {
                    word.push_str(" approved");
                }
                word
            }
            other => format!("{other} {}", attribute("type")),
        });
    }
    Ok(words)
}

fn say(world: &mut World, talk: &mut Talk, kind: &str, to: &str) {
    talk.send(world, &format!("<presence type='{kind}' to='{to}'/>"));
    world.run();
}

const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";

/// The last request that this session heard, as it came.
fn request(world: &mut World, talk: &mut Talk) -> Result<String, String> {
    let elements = talk.rest(world)?;
    let is_request = |e: &&spec_tests::element::Element| e.attribute("type") == Some("subscribe");
    let found = elements.iter().rfind(is_request);
    Ok(found.map(ToString::to_string).unwrap_or_default())
}

/// Two who see each other.
fn friends(world: &mut World) -> Result<[Talk; 2], String> {
    let mut romeo = arrive(world, ROMEO, "orchard")?;
    let mut juliet = arrive(world, JULIET, "balcony")?;
    say(world, &mut romeo, "subscribe", JULIET);
    say(world, &mut juliet, "subscribed", ROMEO);
    say(world, &mut juliet, "subscribe", ROMEO);
    say(world, &mut romeo, "subscribed", JULIET);
    heard(world, &mut romeo)?;
    heard(world, &mut juliet)?;
    Ok([romeo, juliet])
}

/// What an account's roster says of a contact: the words of a push.
fn standing(world: &mut World, account: &str, contact: &str) -> Result<String, String> {
    let mut talk = Talk::session(world, account, "reader")?;
    talk.send(world, ROSTER);
    world.run();
    let result = talk.rest(world)?;
    world.hang_up(talk.peer());
    world.run();
    let items = result.first().and_then(|iq| iq.children().next().cloned());
    let items: Vec<_> = items
        .iter()
        .flat_map(|query| query.children().cloned())
        .collect();
    let item = items
        .iter()
        .find(|item| item.attribute("jid") == Some(contact));
    Ok(item.map_or_else(String::new, |item| {
        let part = |name: &str| item.attribute(name).unwrap_or_default().to_owned();
        [part("subscription"), part("ask"), part("approved")]
            .join(" ")
            .trim()
            .to_owned()
    }))
}

/// RFC 6121 §3.1, both ways.
#[test]
fn two_people_add_each_other() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        for talk in [&mut romeo, &mut juliet] {
            heard(&mut world, talk)?;
        }
        say(&mut world, &mut romeo, "subscribe", "juliet@localhost/x");
        assert_eq!(
            heard(&mut world, &mut romeo)?,
            ["push juliet@localhost none ask"]
        );
        assert_eq!(
            heard(&mut world, &mut juliet)?,
            ["romeo@localhost subscribe"]
        );
        say(&mut world, &mut juliet, "subscribed", ROMEO);
        assert_eq!(
            heard(&mut world, &mut juliet)?,
            ["push romeo@localhost from"]
        );
        assert_eq!(
            heard(&mut world, &mut romeo)?,
            [
                "juliet@localhost subscribed",
                "push juliet@localhost to",
                "juliet@localhost/balcony available"
            ]
        );
        say(&mut world, &mut juliet, "subscribe", ROMEO);
        assert_eq!(
            heard(&mut world, &mut romeo)?,
            ["juliet@localhost subscribe"]
        );
        say(&mut world, &mut romeo, "subscribed", JULIET);
        assert_eq!(
            heard(&mut world, &mut romeo)?,
            ["push juliet@localhost both"]
        );
        assert_eq!(
            heard(&mut world, &mut juliet)?,
            [
                "push romeo@localhost from ask",
                "romeo@localhost subscribed",
                "push romeo@localhost both",
                "romeo@localhost/orchard available"
            ]
        );
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// RFC 6121 §4.2, §4.4, §4.5.
#[test]
fn contacts_hear_of_each_change_once_and_of_every_end() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let [mut romeo, juliet] = friends(&mut world)?;
        world.hang_up(juliet.peer());
        world.run();
        assert_eq!(
            heard(&mut world, &mut romeo)?,
            ["juliet@localhost/balcony unavailable"]
        );
        let mut juliet = arrive(&mut world, JULIET, "chamber")?;
        assert_eq!(
            heard(&mut world, &mut juliet)?[1..],
            [
                "juliet@localhost/chamber available",
                "romeo@localhost/orchard available"
            ]
        );
        juliet.send(&mut world, "<presence><show>away</show></presence>");
        juliet.send(
            &mut world,
            "<presence to='romeo@localhost'><show>dnd</show></presence>",
        );
        juliet.send(&mut world, "<presence type='unavailable'/>");
        juliet.send(&mut world, "</stream:stream>");
        world.run();
        let available = "juliet@localhost/chamber available";
        assert_eq!(
            heard(&mut world, &mut romeo)?,
            [
                available,
                available,
                available,
                "juliet@localhost/chamber unavailable"
            ]
        );
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// RFC 6121 §3.1.3: with all that it holds, "whenever the contact creates an available resource, until [it] approves or denies".
#[test]
fn a_request_waits_for_who_is_away_and_comes_back_until_it_is_answered() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        let ask = "<presence id='x1' type='subscribe' to='juliet@localhost'>\
                   <status>It is my lady</status><n xmlns='urn:example:note'>O &amp; it</n></presence>";
        romeo.send(&mut world, ask);
        world.run();
        let mut told = Vec::new();
        for crash in [false, true, false] {
            if crash {
                world.crash();
            }
            let mut juliet = arrive(&mut world, JULIET, "balcony")?;
            told.push(request(&mut world, &mut juliet)?);
            world.hang_up(juliet.peer());
            world.run();
        }
        for told in &told {
            for part in [
                "id='x1'",
                "<status",
                "It is my lady",
                "urn:example:note",
                "O &amp; it",
            ] {
                assert!(told.contains(part), "{part} in {told}");
            }
            assert!(told.contains("from='romeo@localhost'"), "{told}");
        }
        // It is no contact until then.
        assert_eq!(standing(&mut world, JULIET, ROMEO)?, "");
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        say(&mut world, &mut juliet, "unsubscribed", ROMEO);
        world.hang_up(juliet.peer());
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        assert_eq!(request(&mut world, &mut juliet)?, "");
        assert_eq!(standing(&mut world, ROMEO, JULIET)?, "none");
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// RFC 6121 §3.3.3 and §2.5.2.
#[test]
fn who_withdraws_a_request_takes_it_away_where_it_waits() -> Outcome {
    let remove = "<iq id='1' type='set'><query xmlns='jabber:iq:roster'>\
                  <item jid='juliet@localhost' subscription='remove'/></query></iq>";
    for withdraw in [
        "<presence type='unsubscribe' to='juliet@localhost'/>",
        remove,
    ] {
        for shards in [1, 3] {
            let mut world = world(shards, |_| {});
            let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
            say(&mut world, &mut romeo, "subscribe", JULIET);
            romeo.send(&mut world, withdraw);
            world.run();
            let mut juliet = arrive(&mut world, JULIET, "balcony")?;
            assert_eq!(request(&mut world, &mut juliet)?, "", "{withdraw}");
            assert_eq!(world.is_sound(), Ok(()));
        }
    }
    Ok(())
}

/// RFC 6121 §3.4.
#[test]
fn who_approved_beforehand_is_not_asked() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        say(&mut world, &mut juliet, "subscribed", ROMEO);
        let told = heard(&mut world, &mut juliet)?;
        assert_eq!(
            told.last().map(String::as_str),
            Some("push romeo@localhost none approved")
        );
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        heard(&mut world, &mut romeo)?;
        say(&mut world, &mut romeo, "subscribe", JULIET);
        assert_eq!(
            heard(&mut world, &mut juliet)?,
            ["push romeo@localhost from"]
        );
        assert_eq!(
            heard(&mut world, &mut romeo)?,
            [
                "push juliet@localhost none ask",
                "juliet@localhost subscribed",
                "push juliet@localhost to",
                "juliet@localhost/balcony available"
            ]
        );
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// RFC 6121 §3.2, §3.3, §2.5.2.
#[test]
fn who_ends_a_subscription_ends_it_on_both_sides() -> Outcome {
    let remove = "<iq id='1' type='set'><query xmlns='jabber:iq:roster'>\
                  <item jid='juliet@localhost' subscription='remove'/></query></iq>";
    let cancel = "<presence type='unsubscribed' to='juliet@localhost'/>";
    let leave = "<presence type='unsubscribe' to='juliet@localhost'/>";
    for (xml, romeo_hears, juliet_hears) in [
        (
            cancel,
            vec!["push juliet@localhost to"],
            vec![
                "romeo@localhost/orchard unavailable",
                "romeo@localhost unsubscribed",
                "push romeo@localhost from",
            ],
        ),
        (
            leave,
            vec![
                "push juliet@localhost from",
                "juliet@localhost/balcony unavailable",
            ],
            vec!["romeo@localhost unsubscribe", "push romeo@localhost to"],
        ),
        (
            remove,
            vec![
                "iq result",
                "push juliet@localhost remove",
                "juliet@localhost/balcony unavailable",
            ],
            vec![
                "romeo@localhost unsubscribe",
                "push romeo@localhost to",
                "romeo@localhost/orchard unavailable",
                "romeo@localhost unsubscribed",
                "push romeo@localhost none",
            ],
        ),
    ] {
        for shards in [1, 3] {
            let mut world = world(shards, |_| {});
            let [mut romeo, mut juliet] = friends(&mut world)?;
            romeo.send(&mut world, xml);
            world.run();
            assert_eq!(heard(&mut world, &mut romeo)?, romeo_hears, "{xml}");
            assert_eq!(heard(&mut world, &mut juliet)?, juliet_hears, "{xml}");
            assert_eq!(world.is_sound(), Ok(()));
        }
    }
    Ok(())
}

/// What was changed here and not told there, because there was no way, or nobody left to tell it.
#[test]
fn what_a_contact_did_not_hear_is_said_again() -> Outcome {
    for how in ["lane", "crash"] {
        let mut world = world(3, |_| {});
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        let lanes = core::mem::replace(&mut world.lane_capacity, 0);
        say(&mut world, &mut romeo, "subscribe", JULIET);
        world.lane_capacity = lanes;
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        assert_eq!(
            request(&mut world, &mut juliet)?,
            "",
            "{how}: they are on different shards"
        );
        match how {
            "crash" => {
                world.crash();
                arrive(&mut world, ROMEO, "orchard")?;
                juliet = arrive(&mut world, JULIET, "balcony")?;
            }
            _ => romeo.send(&mut world, "<presence type='unavailable'/><presence/>"),
        }
        world.run();
        assert!(
            request(&mut world, &mut juliet)?.contains("romeo@localhost"),
            "{how}"
        );
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// An answer that was given before a new request had come is none to that.
#[test]
fn a_refusal_that_crosses_a_new_request_does_not_undo_it() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let [mut romeo, mut juliet] = friends(&mut world)?;
        // Neither has heard of the other's when it speaks.
        let cancel = "<presence type='unsubscribed' to='romeo@localhost'/>";
        let anew = "<presence type='unsubscribe' to='juliet@localhost'/>\
                    <presence type='subscribe' to='juliet@localhost'/>";
        world.write(juliet.peer(), cancel.as_bytes());
        world.write(romeo.peer(), anew.as_bytes());
        world.run();
        heard(&mut world, &mut romeo)?;
        assert!(request(&mut world, &mut juliet)?.contains("romeo@localhost"));
        assert_eq!(standing(&mut world, ROMEO, JULIET)?, "from subscribe");
        say(&mut world, &mut juliet, "subscribed", ROMEO);
        assert_eq!(standing(&mut world, ROMEO, JULIET)?, "both");
        assert_eq!(standing(&mut world, JULIET, ROMEO)?, "both");
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// Whoever takes a name later inherits nothing of it.
#[test]
fn an_account_that_is_deleted_takes_leave_of_its_contacts() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let [_romeo, mut juliet] = friends(&mut world)?;
        let mut nurse = arrive(&mut world, "nurse@localhost", "kitchen")?;
        say(&mut world, &mut nurse, "subscribe", ROMEO);
        heard(&mut world, &mut nurse)?;
        let account = BareJid::parse(ROMEO).map_err(|error| error.to_string())?;
        let deleted = world.command(Command::Delete { account });
        assert_eq!(deleted, Ok(CommandReply::Done));
        assert_eq!(
            heard(&mut world, &mut juliet)?,
            [
                "romeo@localhost/orchard unavailable",
                "romeo@localhost unsubscribe",
                "push romeo@localhost to",
                "romeo@localhost unsubscribed",
                "push romeo@localhost none"
            ]
        );
        assert_eq!(
            heard(&mut world, &mut nurse)?,
            ["romeo@localhost unsubscribed", "push romeo@localhost none"]
        );
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// RFC 6121 §4.3: within one server nobody is loaded for it.
#[test]
fn a_sign_in_with_contacts_loads_one_account() -> Outcome {
    let mut world = world(3, |_| {});
    let [romeo, juliet] = friends(&mut world)?;
    for talk in [&romeo, &juliet] {
        world.hang_up(talk.peer());
    }
    world.run();
    world.advance(2 * ACCOUNT_IDLE);
    let before = world.asked(Class::Load);
    arrive(&mut world, JULIET, "balcony")?;
    assert_eq!(world.asked(Class::Load) - before, 1);
    Ok(())
}

/// Nobody knows whether it was done: the streams end, contacts hear of that, and whatever was done is told at the next sign-in.
#[test]
fn a_change_of_which_nobody_knows_ends_streams_and_both_sides_agree_afterwards() -> Outcome {
    for (fate, state) in [
        (Fate::Lost, ["none subscribe", "romeo@localhost subscribe"]),
        (Fate::Failed(StoreError::Unknown), ["", ""]),
    ] {
        let mut world = world(3, |_| {});
        let mut nurse = arrive(&mut world, "nurse@localhost", "kitchen")?;
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        say(&mut world, &mut nurse, "subscribe", ROMEO);
        say(&mut world, &mut romeo, "subscribed", "nurse@localhost");
        for talk in [&mut nurse, &mut romeo] {
            heard(&mut world, talk)?;
        }
        world.fates.push_back(fate);
        say(&mut world, &mut romeo, "subscribe", JULIET);
        assert_eq!(
            stream_error(&mut world, &mut romeo)?,
            "internal-server-error"
        );
        world.run();
        assert_eq!(
            heard(&mut world, &mut nurse)?,
            ["romeo@localhost/orchard unavailable"]
        );
        arrive(&mut world, ROMEO, "orchard")?;
        assert_eq!(standing(&mut world, ROMEO, JULIET)?, state[0]);
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        let told = heard(&mut world, &mut juliet)?;
        let asked = told.iter().find(|words| words.ends_with("subscribe"));
        assert_eq!(asked.map_or("", String::as_str), state[1]);
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}
