//! A store that stumbles at the worst moment: on one batch of an account's messages, or on what was delivered of them. Nothing is lost of
//! which nobody was told, nothing comes twice.

use std::time::Duration;

use spec_tests::element::Element;
use spec_tests::kept::{How, Seen};
use spec_tests::memory::{Step, StorePace, World, archiving};
use spec_tests::talk::Talk;
use spondee_core::store::{Batch, Class, Op, StoreError};

use crate::{Outcome, message, same};

const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";
const NURSE: &str = "nurse@localhost";

/// One shard, and three accounts that archive as every new one does.
fn world() -> World {
    let mut world = World::new(archiving(|_| {}));
    for name in [ROMEO, JULIET, NURSE] {
        world.add_user(name, "secret");
    }
    world
}

/// Everything happens but what the store is asked, of which this batch is the first not to be kept.
fn stumble(world: &mut World, is_it: impl Fn(&Batch) -> bool, error: StoreError) -> Outcome {
    world.store_pace = StorePace::Slow;
    let mut struck = false;
    let stumbled = loop {
        let steps = world.steps();
        let step = steps.first().copied();
        match step {
            Some(Step::Commit(index)) if !struck && world.batch(index).is_some_and(&is_it) => {
                struck = true;
                world.fail(index, error);
            }
            Some(step) => world.step(step),
            None if world.tick_at_once() => {}
            None if struck => break Ok(()),
            None => break Err("nothing was asked that could fail".to_owned()),
        }
    };
    world.store_pace = StorePace::Prompt;
    stumbled
}

/// Messages of juliet's.
fn appends(batch: &Batch) -> bool {
    batch.owner.as_str() == JULIET && batch.ops.iter().any(|op| matches!(op, Op::Append { .. }))
}

/// How far juliet's have been delivered.
fn marks(batch: &Batch) -> bool {
    batch.owner.as_str() == JULIET
        && batch.class == Class::Append
        && batch.ops.iter().any(|op| matches!(op, Op::Put { .. }))
}

/// What juliet's account changes for her.
fn changes(batch: &Batch) -> bool {
    batch.owner.as_str() == JULIET && batch.class == Class::Change
}

/// Everything happens but what the store is asked so.
fn let_wait(world: &mut World, is_it: impl Fn(&Batch) -> bool) {
    world.store_pace = StorePace::Slow;
    loop {
        let waits = |step: &Step| matches!(step, Step::Commit(index) if world.batch(*index).is_some_and(&is_it));
        match world.steps().into_iter().find(|step| !waits(step)) {
            Some(step) => world.step(step),
            None => return,
        }
    }
}

fn bodies(stanzas: &[Element], how: How) -> Result<Vec<String>, String> {
    let mut bodies = Vec::new();
    for stanza in stanzas {
        let seen = Seen::read(stanza, JULIET)?;
        bodies.extend(seen.filter(|seen| seen.how == how).map(|seen| seen.body));
    }
    Ok(bodies)
}

/// What juliet is sent when she comes, and how she goes again.
fn visit(world: &mut World, resource: &str) -> Result<Vec<String>, String> {
    let mut juliet = Talk::session(world, JULIET, resource)?;
    juliet.send(world, "<presence/>");
    let came = juliet.rest(world)?;
    world.hang_up(juliet.peer());
    world.run();
    bodies(&came, How::Owed)
}

/// All that is in juliet's archive, as one page.
fn archive(world: &mut World) -> Result<Vec<String>, String> {
    let mut juliet = Talk::session(world, JULIET, "archive")?;
    juliet.send(
        world,
        "<iq type='set' id='a'><query xmlns='urn:xmpp:mam:2'/></iq>",
    );
    let came = juliet.rest(world)?;
    world.hang_up(juliet.peer());
    world.run();
    let text = |stanza: &Element| {
        let result = stanza.child(spec_tests::kept::MAM, "result")?;
        let message = result.children().next()?.children().nth(1)?;
        Some(message.children().next()?.text())
    };
    Ok(came.iter().filter_map(text).collect())
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// What the store was too busy for is offered again; what was written behind it must not overtake it, or who has read that believes
/// it has all.
#[test]
fn a_message_for_which_the_store_was_busy_is_not_overtaken() -> Outcome {
    let mut world = world();
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    romeo.send(&mut world, &message(JULIET, "0", "first"));
    world.write(romeo.peer(), message(JULIET, "1", "second").as_bytes());
    stumble(&mut world, appends, StoreError::Busy)?;
    romeo.send(&mut world, &message(JULIET, "2", "third"));
    // She comes before it is offered again.
    let mut came = visit(&mut world, "balcony")?;
    world.advance(Duration::from_secs(30));
    came.extend(visit(&mut world, "balcony")?);
    assert_eq!(romeo.rest(&mut world)?, []);
    assert_eq!(world.is_sound(), Ok(()));
    same(&came, &texts(&["first", "second", "third"]))?;
    same(&archive(&mut world)?, &came)
}

/// The same of a page of the archive, by which a client synchronises.
#[test]
fn a_page_does_not_show_what_comes_behind_a_message_that_waits_for_the_store() -> Outcome {
    let mut world = world();
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    romeo.send(&mut world, &message(JULIET, "0", "first"));
    world.write(romeo.peer(), message(JULIET, "1", "second").as_bytes());
    stumble(&mut world, appends, StoreError::Busy)?;
    romeo.send(&mut world, &message(JULIET, "2", "third"));
    let page = archive(&mut world)?;
    let all = texts(&["first", "second", "third"]);
    assert!(all.starts_with(&page), "{page:?}");
    world.advance(Duration::from_secs(30));
    same(&archive(&mut world)?, &all)
}

/// RFC 6120 §8: a call that is made again because a change of somebody else's failed does nothing twice.
#[test]
fn a_message_behind_a_change_that_fails_is_kept_once() -> Outcome {
    let mut world = world();
    let romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let nurse = Talk::session(&mut world, NURSE, "x")?;
    let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
    juliet.send(&mut world, "<presence><priority>-1</priority></presence>");
    juliet.rest(&mut world)?;
    // She changes something; a subscription and a message wait for that.
    let set = |name: &str| {
        let item = format!("<item jid='{name}@localhost'/>");
        format!("<iq type='set' id='{name}'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
    };
    world.write(juliet.peer(), set("one").as_bytes());
    let_wait(&mut world, changes);
    let ask = format!("<presence type='subscribe' to='{JULIET}'/>");
    world.write(nurse.peer(), ask.as_bytes());
    let_wait(&mut world, changes);
    world.write(romeo.peer(), message(JULIET, "1", "once").as_bytes());
    let_wait(&mut world, changes);
    // The first change is kept, and the one that the message came behind is not.
    let first = world.steps().into_iter().next().ok_or("no change waits")?;
    world.step(first);
    stumble(&mut world, changes, StoreError::Failed)?;
    world.run();
    assert_eq!(world.is_sound(), Ok(()));
    same(&archive(&mut world)?, &texts(&["once"]))?;
    world.hang_up(juliet.peer());
    same(&visit(&mut world, "balcony")?, &texts(&["once"]))
}

/// The mark is not for anybody to wait for, but it has to come to the disk: the account leaves memory, and comes back without a crash.
#[test]
fn what_was_delivered_is_not_delivered_again_because_the_store_was_busy_then() -> Outcome {
    for error in [StoreError::Busy, StoreError::Full, StoreError::Failed] {
        let mut world = world();
        let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        romeo.send(&mut world, &message(JULIET, "0", "first"));
        let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
        world.write(juliet.peer(), b"<presence/>");
        stumble(&mut world, marks, error)?;
        let came = juliet.rest(&mut world)?;
        same(&bodies(&came, How::Owed)?, &texts(&["first"]))?;
        world.hang_up(juliet.peer());
        // It is idle for longer than accounts stay in memory.
        world.advance(Duration::from_secs(300));
        let again = visit(&mut world, "balcony")?;
        assert!(again.is_empty(), "{error:?}: once more {again:?}");
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// Who was refused for want of room is not delivered to, whatever the store says when.
#[test]
fn a_message_that_cannot_be_kept_is_refused_and_is_nowhere() -> Outcome {
    for (error, condition) in [
        (StoreError::Full, "resource-constraint"),
        (StoreError::Failed, "internal-server-error"),
    ] {
        let mut world = world();
        let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        romeo.send(&mut world, &message(JULIET, "0", "first"));
        world.write(romeo.peer(), message(JULIET, "1", "second").as_bytes());
        stumble(&mut world, appends, error)?;
        let refused = romeo.rest(&mut world)?;
        let conditions: Vec<_> = refused.iter().map(crate::condition).collect();
        same(&conditions, &[condition])?;
        romeo.send(&mut world, &message(JULIET, "2", "third"));
        let came = visit(&mut world, "balcony")?;
        same(&came, &texts(&["first", "third"]))?;
        assert!(visit(&mut world, "balcony")?.is_empty());
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}
