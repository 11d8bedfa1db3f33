//! Several connections that want one session.

use std::time::Duration;

use spec_tests::acks::{Came, SM};
use spec_tests::element::{Element, Item, STREAMS};
use spec_tests::memory::{World, archiving, config};
use spec_tests::talk::Talk;

use crate::phone::{Phone, signed_in};
use crate::{JULIET, Outcome, ROMEO, message, numbered, once, refused, same, texts, world};

/// Everything that came to a connection, up to its end.
fn all(world: &mut World, talk: &mut Talk) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    while let Some(item) = talk.poll(world)? {
        items.push(item);
    }
    Ok(items)
}

/// XEP-0198 §5: the old stream ends with `conflict`.
fn is_conflict(items: &[Item]) -> bool {
    match items {
        [.., Item::Element(error), Item::Close] => {
            error.is(STREAMS, "error") && error.condition() == Some("conflict")
        }
        _ => false,
    }
}

#[test]
fn two_connections_that_take_a_session_from_each_other_share_it_and_nothing_more() -> Outcome {
    const ROUNDS: usize = 300;
    for shards in [1, 2] {
        let mut config = archiving(|_| {});
        config.shards = shards;
        let mut world = world(config);
        let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
        let sent = numbered("m", 0..3 * ROUNDS);
        let mut came = Vec::new();
        for part in sent.chunks(3) {
            romeo.send(&mut world, &message(JULIET, &part[0]));
            // What came before the session is taken away was read, or was not.
            if came.len() % 2 == 0 {
                came.extend(texts(&juliet.come(&mut world)?));
            }
            romeo.send(&mut world, &message(JULIET, &part[1]));
            let mut unread = signed_in(&mut world, JULIET)?;
            world.write(unread.peer(), juliet.acks.resume()?.as_bytes());
            world.write(
                unread.peer(),
                format!("<message to='{JULIET}/phone' type='headline' id='own'/>").as_bytes(),
            );
            romeo.send(&mut world, &message(JULIET, &part[2]));
            let items = all(&mut world, &mut juliet.talk)?;
            if !is_conflict(&items) {
                return Err(format!("not a conflict: {:?}", items.last()));
            }
            let resumed = unread.next(&mut world)?;
            juliet.acks.take_resumed(&resumed)?;
            juliet.acks.send("own".to_owned());
            juliet.talk = unread;
            came.extend(texts(&juliet.come(&mut world)?));
        }
        same(&came, &sent)?;
        assert_eq!(romeo.rest(&mut world)?, []);
        juliet.lives(&mut world)?;
        // Those that were taken away wait for their last word for a while.
        juliet.come(&mut world)?;
        juliet.answer(&mut world);
        world.advance(Duration::from_secs(60));
        juliet.lives(&mut world)?;
        let connections: usize = world.residue().iter().map(|residue| residue[0]).sum();
        assert_eq!(connections, 2);
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// Both are told that they have it, in whatever order; at last one has it.
#[test]
fn of_two_that_resume_at_once_one_has_the_session() -> Outcome {
    for turns in 0..8 {
        let mut world = world(config());
        let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        let juliet = Phone::there(&mut world, JULIET, "phone")?;
        juliet.cut(&mut world);
        romeo.send(&mut world, &message(JULIET, "before"));
        let mut first = signed_in(&mut world, JULIET)?;
        let mut second = signed_in(&mut world, JULIET)?;
        let resume = juliet.acks.resume()?;
        world.write(first.peer(), resume.as_bytes());
        world.turns(turns);
        world.write(second.peer(), resume.as_bytes());
        world.run();
        romeo.send(&mut world, &message(JULIET, "after"));
        let (one, other) = (all(&mut world, &mut first)?, all(&mut world, &mut second)?);
        let has = |items: &[Item]| !is_conflict(items);
        if has(&one) == has(&other) {
            return Err(format!("behind {turns} turns: {one:?}, {other:?}"));
        }
        let winner = if has(&one) { &one } else { &other };
        let elements: Vec<Element> = winner
            .iter()
            .filter_map(|item| match item {
                Item::Element(element) => Some(element.clone()),
                Item::Open(_) | Item::Close => None,
            })
            .collect();
        assert!(elements[0].is(SM, "resumed"), "{winner:?}");
        same(
            &texts(&elements),
            &["before".to_owned(), "after".to_owned()],
        )?;
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// What an old connection brings in the moment of a resumption is handled, and acknowledged, or neither: it is there once.
#[test]
fn what_the_old_connection_wrote_last_is_handled_once() -> Outcome {
    for shards in [1, 2] {
        for turns in 0..12 {
            for before in 0..4 {
                let mut config = archiving(|_| {});
                config.shards = shards;
                let mut world = world(config);
                let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
                romeo.send(&mut world, "<presence/>");
                let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
                let mut new = signed_in(&mut world, JULIET)?;
                let sent = numbered("m", 0..5);
                for text in &sent {
                    juliet.put(&mut world, &message(ROMEO, text));
                }
                world.turns(before);
                world.write(new.peer(), juliet.acks.resume()?.as_bytes());
                world.turns(turns);
                // This comes too late, or early enough to be counted.
                juliet.put(&mut world, &message(ROMEO, "late"));
                world.run();
                let resumed = new.next(&mut world)?;
                juliet.acks.take_resumed(&resumed)?;
                juliet.talk = new;
                let again: String = juliet.acks.unacknowledged().map(String::as_str).collect();
                juliet.say(&mut world, &again);
                let all: Vec<_> = sent.into_iter().chain(["late".to_owned()]).collect();
                let came = texts(&romeo.rest(&mut world)?);
                same(&came, &all).map_err(|fault| {
                    format!("{shards} shards, {before} and {turns} turns: {fault}")
                })?;
                juliet.lives(&mut world)?;
                assert_eq!(world.is_sound(), Ok(()));
            }
        }
    }
    Ok(())
}

/// The same resource bound anew, which ends the session that sleeps there; whoever resumes that then is told.
#[test]
fn who_binds_the_resource_of_a_sleeper_takes_its_place_and_gets_what_it_had() -> Outcome {
    let mut world = world(archiving(|_| {}));
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let sent = numbered("m", 0..40);
    let mut came = Vec::new();
    let mut old: Option<Phone> = None;
    for part in sent.chunks(2) {
        let mut juliet = Phone::enter(&mut world, JULIET, "phone")?;
        if let Some(mut old) = old.take() {
            let mut talk = signed_in(&mut world, JULIET)?;
            talk.send(&mut world, &old.acks.resume()?);
            let answer = talk.next(&mut world)?;
            assert!(answer.is(SM, "failed"), "{answer}");
            assert!(matches!(old.acks.take(&answer), Ok(Came::Other)));
            world.hang_up(talk.peer());
        }
        juliet.send(&mut world, "<presence/>");
        came.extend(texts(&juliet.come(&mut world)?));
        juliet.answer(&mut world);
        for text in part {
            romeo.send(&mut world, &message(JULIET, text));
        }
        juliet.cut(&mut world);
        old = Some(juliet);
    }
    let mut last = Phone::enter(&mut world, JULIET, "phone")?;
    last.send(&mut world, "<presence/>");
    came.extend(texts(&last.come_all(&mut world)?));
    same(&came, &sent)?;
    once(&sent, &came, &refused(&romeo.rest(&mut world)?))?;
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// A book of counts that was not asked for is none.
#[test]
fn a_resumption_of_more_than_was_sent_ends_that_stream_alone() -> Outcome {
    for h in [100, u32::MAX >> 1] {
        let mut world = world(config());
        let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
        juliet.cut(&mut world);
        romeo.send(&mut world, &message(JULIET, "m"));
        let id = juliet.acks.id().ok_or("no id")?.to_owned();
        for _ in 0..20 {
            let mut talk = signed_in(&mut world, JULIET)?;
            talk.send(&mut world, &spec_tests::acks::resume(&id, h));
            let items = all(&mut world, &mut talk)?;
            let [Item::Element(error), Item::Close] = items.as_slice() else {
                return Err(format!("{items:?}"));
            };
            assert!(
                error.child(SM, "handled-count-too-high").is_some(),
                "{error}"
            );
        }
        juliet.resume(&mut world)?;
        same(&texts(&juliet.come(&mut world)?), &["m".to_owned()])?;
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}
