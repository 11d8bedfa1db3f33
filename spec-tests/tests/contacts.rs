//! Subscriptions and presence between accounts, on one shard and across several: what each side hears, in what order, whatever is lost on
//! the way.

use spec_tests::memory::World;
use spec_tests::talk::Talk;
use spondee_core::port::Note;

mod stage;

use stage::{Outcome, world};

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

fn has_no_fault(world: &World) {
    let fault = world.notes.iter().find(|note| matches!(note, Note::Bug(_)));
    assert_eq!(fault, None);
}

const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";

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
        // RFC 6121 §4.2: presence from each, once.
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
        assert_eq!(
            heard(&mut world, &mut romeo)?.last().map(String::as_str),
            Some("juliet@localhost/chamber available")
        );
        world.hang_up(juliet.peer());
        world.run();
        assert_eq!(
            heard(&mut world, &mut romeo)?,
            ["juliet@localhost/chamber unavailable"]
        );
        has_no_fault(&world);
    }
    Ok(())
}
