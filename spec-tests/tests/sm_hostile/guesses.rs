//! Ids of sessions, for those who do not have them.

use std::collections::BTreeSet;

use spec_tests::acks::{ENABLE, resume};
use spec_tests::dice::Dice;
use spec_tests::memory::{World, archiving, config};
use spec_tests::talk::Talk;
use spondee_core::port::Opening;

use crate::phone::{Phone, signed_in};
use crate::{JULIET, MALLORY, Outcome, ROMEO, answers, message, same, texts, world};

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn guess(dice: &mut Dice) -> String {
    let letters = (0..22).map(|_| char::from(ALPHABET[dice.below(ALPHABET.len())]));
    letters.collect()
}

/// What nearly is this id.
fn neighbours(id: &str) -> Vec<String> {
    let flipped: String = id
        .chars()
        .map(|c| match c.is_ascii_uppercase() {
            true => c.to_ascii_lowercase(),
            false => c.to_ascii_uppercase(),
        })
        .collect();
    vec![
        flipped,
        id[1..].to_owned(),
        id[..id.len() - 1].to_owned(),
        format!("{id}A"),
        format!(" {id}"),
        id.replace(['-', '_'], "+"),
        String::new(),
        "x".repeat(4000),
    ]
}

/// The answer to each guess, as it was written.
fn ask(world: &mut World, talk: &mut Talk, previd: &str, h: u32) -> String {
    talk.send(world, &resume(previd, h));
    String::from_utf8_lossy(&world.take_received(talk.peer())).into_owned()
}

/// XEP-0198 §9: others' ids, real ones, are as good as any guess; and whoever guessed may bind all the same.
#[test]
fn thousands_of_guesses_find_nothing_and_tell_nothing() -> Outcome {
    let mut world = world(archiving(|_| {}));
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    let mut gone = Phone::there(&mut world, JULIET, "gone")?;
    gone.close(&mut world);
    juliet.cut(&mut world);
    romeo.send(&mut world, &message("juliet@localhost/phone", "m"));
    let id = juliet.acks.id().ok_or("no id")?.to_owned();
    let over = gone.acks.id().ok_or("no id")?.to_owned();
    let mut dice = Dice::new(0x9e55);
    for account in [MALLORY, JULIET] {
        let mut guesser = signed_in(&mut world, account)?;
        let wrong = ask(&mut world, &mut guesser, &guess(&mut dice), 0);
        assert!(
            wrong.contains("<item-not-found") && !wrong.contains(" h="),
            "{wrong}"
        );
        for _ in 0..3000 {
            let previd = guess(&mut dice);
            let h = u32::try_from(dice.below(10)).unwrap_or(0);
            assert_eq!(ask(&mut world, &mut guesser, &previd, h), wrong, "{previd}");
        }
        let mut others = neighbours(&id);
        if account == MALLORY {
            others.extend([id.clone(), over.clone()]);
        }
        for previd in others {
            for h in [0, 1, u32::MAX] {
                assert_eq!(ask(&mut world, &mut guesser, &previd, h), wrong, "{previd}");
            }
        }
        guesser.bind(&mut world, "x")?;
        answers(&mut world, &mut guesser)?;
    }
    juliet.resume(&mut world)?;
    same(&texts(&juliet.come(&mut world)?), &["m".to_owned()])?;
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// XEP-0198 §9: not before somebody has signed in.
#[test]
fn before_a_password_nothing_is_resumed() -> Outcome {
    for opening in [Opening::Clear, Opening::Tls] {
        let mut world = world(config());
        let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
        juliet.cut(&mut world);
        let id = juliet.acks.id().ok_or("no id")?.to_owned();
        let mut mallory = Talk::connect(&mut world, opening);
        mallory.open(&mut world, "localhost")?;
        let wrong = ask(&mut world, &mut mallory, "guess", 0);
        for previd in [id.as_str(), "", "x"] {
            for h in [0, 1, 7] {
                let answer = ask(&mut world, &mut mallory, previd, h);
                if world.ended(mallory.peer()).is_none() {
                    assert_eq!(answer, wrong);
                }
            }
        }
        assert!(!wrong.contains("resumed"), "{wrong}");
        juliet.resume(&mut world)?;
        juliet.lives(&mut world)?;
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn ids_are_long_and_none_comes_twice() -> Outcome {
    let mut config = config();
    config.shards = 2;
    let mut world = world(config);
    let mut ids = BTreeSet::new();
    for number in 0..300 {
        let account = [JULIET, ROMEO, MALLORY][number % 3];
        let mut phone = Phone::enter_with(&mut world, account, "x", ENABLE)?;
        let id = phone.acks.id().ok_or("no id")?.to_owned();
        assert_eq!(id.len(), 22, "{id}");
        assert!(id.bytes().all(|byte| ALPHABET.contains(&byte)), "{id}");
        ids.insert(id);
        phone.close(&mut world);
    }
    assert_eq!(ids.len(), 300);
    // No part of them is the same in all, or counts.
    for place in 0..22 {
        let letters: BTreeSet<_> = ids.iter().map(|id| id.as_bytes()[place]).collect();
        assert!(letters.len() > 3, "place {place}: {letters:?}");
    }
    Ok(())
}

/// The last ten are known, to their own account alone, and cost nobody anything.
#[test]
fn of_sessions_that_are_over_the_last_are_known() -> Outcome {
    let mut world = world(config());
    let mut ended = Vec::new();
    for number in 0..25 {
        let mut phone = Phone::there(&mut world, JULIET, &format!("r{number}"))?;
        for _ in 0..number {
            phone.send(
                &mut world,
                "<message to='juliet@localhost/nobody' type='headline'/>",
            );
        }
        phone.close(&mut world);
        ended.push(phone.acks.id().ok_or("no id")?.to_owned());
    }
    // Also once the account was out of memory.
    for _ in 0..2 {
        let mut talk = signed_in(&mut world, JULIET)?;
        let mut known = Vec::new();
        for (number, id) in ended.iter().enumerate() {
            let answer = ask(&mut world, &mut talk, id, 0);
            if answer.contains(" h=") {
                // Its presence counts, too.
                assert!(answer.contains(&format!(" h='{}'", number + 1)), "{answer}");
                known.push(number);
            }
        }
        same(&known, &(15..25).collect::<Vec<_>>())?;
        world.hang_up(talk.peer());
        world.advance(std::time::Duration::from_secs(300));
    }
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}
