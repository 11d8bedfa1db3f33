//! An administrator ends sessions: all of an account, or one, whatever its owner is doing meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use spec_tests::acks::{ENABLE, SM, resume};
use spec_tests::element::{CLIENT, Element, Item, STREAMS};
use spec_tests::memory::{Fate, Step, StorePace, World};
use spec_tests::talk::Talk;
use spondee_core::jid::{BareJid, Resource};
use spondee_core::port::{
    Command, CommandError, CommandId, CommandReply, CommandResult, Note, Opening,
};
use spondee_core::store::{Class, StoreError};
use stage::{Outcome, stream_error, world};

const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";

fn disconnect(account: &str, resource: Option<&str>) -> Command {
    Command::Disconnect {
        account: BareJid::parse(account).unwrap(),
        resource: resource.map(|name| Resource::parse(name).unwrap()),
    }
}

const fn ended(sessions: usize) -> CommandResult {
    Ok(CommandReply::Disconnected { sessions })
}

/// Who is there of an account, as its administrator is shown.
fn devices(world: &mut World, account: &str) -> Result<Vec<String>, String> {
    let account = BareJid::parse(account).unwrap();
    match world.command(Command::Show { account }) {
        Ok(CommandReply::User(details)) => {
            Ok(details.devices.into_iter().map(|d| d.resource).collect())
        }
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn all_sessions_of_an_account_end_and_nobody_elses() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let mut phone = Talk::session(&mut world, ROMEO, "phone")?;
        let mut garden = Talk::session(&mut world, ROMEO, "garden")?;
        let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
        assert_eq!(world.command(disconnect(ROMEO, None)), ended(2));
        for talk in [&mut phone, &mut garden] {
            assert_eq!(stream_error(&mut world, talk)?, "policy-violation");
        }
        assert_eq!(balcony.rest(&mut world)?, []);
        let note = Note::Disconnected {
            account: BareJid::parse(ROMEO).unwrap(),
            sessions: 2,
        };
        assert!(world.notes.contains(&note), "{:?}", world.notes);
        assert_eq!(devices(&mut world, ROMEO)?, [""; 0]);
        assert_eq!(devices(&mut world, JULIET)?, ["balcony"]);
        // Who was put out may come back.
        Talk::session(&mut world, ROMEO, "phone")?;
        assert_eq!(devices(&mut world, ROMEO)?, ["phone"]);
        world.is_sound()?;
    }
    Ok(())
}

#[test]
fn one_session_ends_by_its_resource_and_the_others_hear_that_it_is_gone() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let mut phone = Talk::session(&mut world, ROMEO, "phone")?;
        let mut garden = Talk::session(&mut world, ROMEO, "garden")?;
        phone.send(&mut world, "<presence/>");
        garden.send(&mut world, "<presence/>");
        phone.rest(&mut world)?;
        garden.rest(&mut world)?;
        // Resources are told apart by every letter (RFC 7622 §3.4).
        let strange = world.command(disconnect(ROMEO, Some("Phone")));
        assert_eq!(strange, Err(CommandError::NoSuchSession));
        assert_eq!(phone.rest(&mut world)?, []);
        assert_eq!(world.command(disconnect(ROMEO, Some("phone"))), ended(1));
        assert_eq!(stream_error(&mut world, &mut phone)?, "policy-violation");
        let gone = garden.next(&mut world)?;
        assert!(gone.is(CLIENT, "presence"), "{gone}");
        assert_eq!(gone.attribute("type"), Some("unavailable"));
        assert_eq!(gone.attribute("from"), Some("romeo@localhost/phone"));
        assert_eq!(devices(&mut world, ROMEO)?, ["garden"]);
        let again = world.command(disconnect(ROMEO, Some("phone")));
        assert_eq!(again, Err(CommandError::NoSuchSession));
        world.is_sound()?;
    }
    Ok(())
}

#[test]
fn who_has_no_session_or_no_account_is_told_apart_and_nobody_is_loaded_for_it() -> Outcome {
    let mut world = world(3, |_| {});
    let loads = world.asked(Class::Load);
    assert_eq!(world.command(disconnect(ROMEO, None)), ended(0));
    for (account, resource, error) in [
        (ROMEO, Some("phone"), CommandError::NoSuchSession),
        ("nobody@localhost", None, CommandError::NoSuchUser),
        ("nobody@localhost", Some("phone"), CommandError::NoSuchUser),
        ("romeo@far.example", None, CommandError::NoSuchHost),
    ] {
        let answer = world.command(disconnect(account, resource));
        assert_eq!(answer, Err(error), "{account} {resource:?}");
    }
    assert_eq!(world.asked(Class::Load), loads);
    // One that was there a moment ago is in memory still.
    let phone = Talk::session(&mut world, ROMEO, "phone")?;
    world.hang_up(phone.peer());
    world.run();
    assert_eq!(world.command(disconnect(ROMEO, None)), ended(0));
    let told = |note: &Note| matches!(note, Note::Disconnected { .. });
    assert!(!world.notes.iter().any(told), "{:?}", world.notes);
    world.is_sound()
}

#[test]
fn who_has_signed_in_and_has_no_resource_yet_is_put_out_with_all_and_not_counted() -> Outcome {
    let mut world = world(3, |_| {});
    let mut phone = Talk::session(&mut world, ROMEO, "phone")?;
    let mut unbound = Talk::connect(&mut world, Opening::Tls);
    unbound.open(&mut world, "localhost")?;
    unbound.sign_in(&mut world, ROMEO, "secret")?;
    assert_eq!(world.command(disconnect(ROMEO, Some("phone"))), ended(1));
    assert_eq!(stream_error(&mut world, &mut phone)?, "policy-violation");
    assert_eq!(unbound.rest(&mut world)?, []);
    assert_eq!(world.command(disconnect(ROMEO, None)), ended(0));
    assert_eq!(stream_error(&mut world, &mut unbound)?, "policy-violation");
    world.is_sound()
}

#[test]
fn a_disabled_account_has_no_session_to_end() {
    let mut world = world(3, |_| {});
    let account = BareJid::parse(ROMEO).unwrap();
    let disable = Command::Disable { account };
    assert_eq!(world.command(disable), Ok(CommandReply::Done));
    assert_eq!(world.command(disconnect(ROMEO, None)), ended(0));
}

/// What a session said before is done first, and its answer is on the way before its end.
#[test]
fn what_waits_for_the_disk_comes_before_the_end() -> Outcome {
    for fate in [Fate::Kept, Fate::Failed(StoreError::Failed)] {
        let mut world = world(1, |_| {});
        let mut phone = Talk::session(&mut world, ROMEO, "phone")?;
        let mut garden = Talk::session(&mut world, ROMEO, "garden")?;
        world.store_pace = StorePace::Slow;
        world.fates.push_back(fate);
        let set =
            "<iq id='1' type='set'><query xmlns='jabber:iq:roster'><item jid='a@x'/></query></iq>";
        world.write(phone.peer(), set.as_bytes());
        world.step_all_but_commits();
        world.post_command(CommandId(7), disconnect(ROMEO, None));
        world.step_all_but_commits();
        world.run();
        let answers = world.take_answers();
        assert_eq!(answers, [(CommandId(7), ended(2))]);
        let answer = phone.next(&mut world)?;
        let kept = matches!(fate, Fate::Kept);
        let kind = if kept { "result" } else { "error" };
        assert_eq!(answer.attribute("type"), Some(kind), "{answer}");
        for talk in [&mut phone, &mut garden] {
            assert_eq!(stream_error(&mut world, talk)?, "policy-violation");
        }
        world.is_sound()?;
    }
    Ok(())
}

#[test]
fn an_account_that_cannot_be_read_keeps_its_sessions() -> Outcome {
    let mut world = world(3, |_| {});
    let mut phone = Talk::session(&mut world, ROMEO, "phone")?;
    for (error, told) in [
        (StoreError::Busy, CommandError::Busy),
        (StoreError::Failed, CommandError::Store),
        (StoreError::Unknown, CommandError::Store),
    ] {
        world.fates.push_back(Fate::Failed(error));
        assert_eq!(world.command(disconnect(ROMEO, None)), Err(told));
    }
    assert_eq!(phone.rest(&mut world)?, []);
    assert_eq!(world.command(disconnect(ROMEO, None)), ended(1));
    world.is_sound()
}

/// A session with stream management that can be resumed, and its id.
fn managed(world: &mut World, account: &str, resource: &str) -> Result<(Talk, String), String> {
    let mut talk = Talk::session(world, account, resource)?;
    talk.send(world, ENABLE);
    let enabled = talk.next(world)?;
    let id = enabled.attribute("id").ok_or("no id")?.to_owned();
    Ok((talk, id))
}

/// Signed in, and nothing else.
fn signed_in(world: &mut World, account: &str) -> Result<Talk, String> {
    let mut talk = Talk::connect(world, Opening::Tls);
    talk.open(world, "localhost")?;
    talk.sign_in(world, account, "secret")?;
    Ok(talk)
}

/// What a client hears that comes back for a session that is over: that, and how many of its stanzas were handled, if they all were by then.
fn is_over(world: &mut World, id: &str, handled: Option<u32>) -> Outcome {
    let mut talk = signed_in(world, ROMEO)?;
    talk.send(world, &resume(id, 0));
    let failed = talk.next(world)?;
    let is_failed = failed.is(SM, "failed") && failed.condition() == Some("item-not-found");
    let h = failed.attribute("h").and_then(|h| h.parse::<u32>().ok());
    world.hang_up(talk.peer());
    world.run();
    match is_failed && h.is_some() && (handled.is_none() || h == handled) {
        true => Ok(()),
        false => Err(failed.to_string()),
    }
}

/// All elements that a client was told, also if its stream has ended; the error itself is not among them.
fn heard(world: &mut World, talk: &mut Talk) -> Result<Vec<Element>, String> {
    let mut heard = Vec::new();
    while let Some(item) = talk.poll(world)? {
        match item {
            Item::Element(element) if !element.is(STREAMS, "error") => heard.push(element),
            Item::Element(_) | Item::Open(_) | Item::Close => {}
        }
    }
    Ok(heard)
}

/// The bodies of messages among these, in their order.
fn bodies(elements: &[Element]) -> Vec<String> {
    let messages = elements.iter().filter(|e| e.is(CLIENT, "message"));
    let body = |message: &Element| message.child(CLIENT, "body").map(Element::text);
    messages.filter_map(body).collect()
}

/// XEP-0198 §5.
#[test]
fn sessions_that_are_asleep_end_with_the_others_and_cannot_be_resumed() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let (mut phone, asleep) = managed(&mut world, ROMEO, "phone")?;
        phone.send(&mut world, "<presence/><presence/>");
        let (mut garden, awake) = managed(&mut world, ROMEO, "garden")?;
        garden.send(&mut world, "<presence/>");
        let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
        world.hang_up(phone.peer());
        world.run();
        garden.rest(&mut world)?;
        assert_eq!(devices(&mut world, ROMEO)?, ["phone", "garden"]);
        let write = |to: &str, body: &str| {
            format!("<message to='{to}' type='chat'><body>{body}</body></message>")
        };
        balcony.send(&mut world, &write("romeo@localhost/phone", "one"));
        balcony.send(&mut world, &write("romeo@localhost/garden", "two"));
        assert_eq!(world.command(disconnect(ROMEO, None)), ended(2));
        assert_eq!(devices(&mut world, ROMEO)?, [""; 0]);
        assert_eq!(bodies(&heard(&mut world, &mut garden)?), ["two"]);
        is_over(&mut world, &asleep, Some(2))?;
        is_over(&mut world, &awake, Some(1))?;
        // What nobody acknowledged waits for the next who comes.
        let mut phone = Talk::session(&mut world, ROMEO, "phone")?;
        phone.send(&mut world, "<presence/>");
        let mut waited = bodies(&phone.rest(&mut world)?);
        waited.sort_unstable();
        assert_eq!(waited, ["one", "two"]);
        // Nobody is told that anything was lost.
        assert_eq!(bodies(&balcony.rest(&mut world)?), [""; 0]);
        world.is_sound()?;
    }
    Ok(())
}

#[test]
fn one_session_that_is_asleep_ends_by_its_resource_and_the_others_get_what_waited_for_it() -> Outcome
{
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let (phone, id) = managed(&mut world, ROMEO, "phone")?;
        let mut garden = Talk::session(&mut world, ROMEO, "garden")?;
        garden.send(&mut world, "<presence/>");
        let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
        world.write(phone.peer(), b"<presence/>");
        world.run();
        world.hang_up(phone.peer());
        world.run();
        garden.rest(&mut world)?;
        balcony.send(
            &mut world,
            "<message to='romeo@localhost/phone' type='chat'><body>one</body></message>",
        );
        assert_eq!(garden.rest(&mut world)?, []);
        assert_eq!(world.command(disconnect(ROMEO, Some("phone"))), ended(1));
        let told = garden.rest(&mut world)?;
        assert_eq!(bodies(&told), ["one"]);
        let gone = told.iter().find(|element| element.is(CLIENT, "presence"));
        let gone = gone.ok_or("nobody is gone")?;
        assert_eq!(gone.attribute("type"), Some("unavailable"));
        assert_eq!(gone.attribute("from"), Some("romeo@localhost/phone"));
        assert_eq!(devices(&mut world, ROMEO)?, ["garden"]);
        is_over(&mut world, &id, Some(1))?;
        let again = world.command(disconnect(ROMEO, Some("phone")));
        assert_eq!(again, Err(CommandError::NoSuchSession));
        world.is_sound()?;
    }
    Ok(())
}

/// A client is back and waits for what it sent before, of which the disk does not have all.
#[test]
fn a_client_that_is_back_and_waits_for_its_session_hears_that_it_is_over() -> Outcome {
    for resource in [None, Some("phone")] {
        let mut world = world(1, |_| {});
        let (phone, id) = managed(&mut world, ROMEO, "phone")?;
        let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
        let mut back = signed_in(&mut world, ROMEO)?;
        world.store_pace = StorePace::Slow;
        // The record is asked for first, so that it is there before the message is kept for who is away.
        world.post_command(CommandId(7), disconnect(ROMEO, resource));
        world.step_all_but_commits();
        let sent = "<message to='juliet@localhost' type='chat'><body>hi</body></message>";
        world.write(phone.peer(), sent.as_bytes());
        world.step_all_but_commits();
        world.hang_up(phone.peer());
        world.write(back.peer(), resume(&id, 0).as_bytes());
        world.step_all_but_commits();
        assert_eq!(heard(&mut world, &mut back)?, []);
        world.step(Step::Commit(0));
        world.step_all_but_commits();
        assert_eq!(world.take_answers(), [(CommandId(7), ended(1))]);
        world.run();
        match resource {
            Some(_) => {
                let failed = back.next(&mut world)?;
                assert!(failed.is(SM, "failed"), "{failed}");
                assert_eq!(failed.condition(), Some("item-not-found"), "{failed}");
                // It may go on with another.
                back.bind(&mut world, "phone")?;
            }
            // Its own stream ends with all others.
            None => {
                let told = heard(&mut world, &mut back)?;
                assert!(told.iter().all(|element| !element.is(SM, "resumed")));
                assert_eq!(devices(&mut world, ROMEO)?, [""; 0]);
            }
        }
        is_over(&mut world, &id, Some(1))?;
        balcony.send(&mut world, "<presence/>");
        assert_eq!(bodies(&balcony.rest(&mut world)?), ["hi"]);
        world.is_sound()?;
    }
    Ok(())
}

/// The end of a connection waits for the disk like everything else: whatever became of the session by then, it is over afterwards.
#[test]
fn a_session_that_loses_its_connection_meanwhile_does_not_outlive_the_command() -> Outcome {
    for resource in [None, Some("phone")] {
        for late in [false, true] {
            let mut world = world(1, |_| {});
            let (phone, id) = managed(&mut world, ROMEO, "phone")?;
            world.store_pace = StorePace::Slow;
            let set = "<iq id='1' type='set'><query xmlns='jabber:iq:roster'><item jid='a@x'/></query></iq>";
            world.write(phone.peer(), set.as_bytes());
            world.step_all_but_commits();
            if !late {
                world.hang_up(phone.peer());
                world.step_all_but_commits();
            }
            world.post_command(CommandId(7), disconnect(ROMEO, resource));
            world.step_all_but_commits();
            if late {
                world.hang_up(phone.peer());
                world.step_all_but_commits();
            }
            world.run();
            assert_eq!(world.take_answers(), [(CommandId(7), ended(1))]);
            assert_eq!(devices(&mut world, ROMEO)?, [""; 0]);
            is_over(&mut world, &id, Some(1))?;
            world.is_sound()?;
        }
    }
    Ok(())
}

/// Commands on one account run one after another, and what the one before it did is known to the next.
#[test]
fn it_takes_its_turn_among_other_commands() -> Outcome {
    let mut world = world(3, |_| {});
    let mut phone = Talk::session(&mut world, ROMEO, "phone")?;
    let mut garden = Talk::session(&mut world, ROMEO, "garden")?;
    let delete = Command::Delete {
        account: BareJid::parse(ROMEO).unwrap(),
    };
    let answers = world.commands(vec![
        disconnect(ROMEO, Some("phone")),
        disconnect(ROMEO, Some("phone")),
        disconnect(ROMEO, None),
        delete,
        disconnect(ROMEO, None),
    ]);
    assert_eq!(
        answers,
        [
            ended(1),
            Err(CommandError::NoSuchSession),
            ended(1),
            Ok(CommandReply::Done),
            Err(CommandError::NoSuchUser),
        ]
    );
    for talk in [&mut phone, &mut garden] {
        assert_eq!(stream_error(&mut world, talk)?, "policy-violation");
    }
    world.is_sound()
}
