//! A store that fails at any one step of the death of a session and of what follows.

use std::time::Duration;

use spec_tests::kept::{Entry, MAM, RSM};
use spec_tests::memory::{Fate, World, archiving, config};
use spec_tests::talk::Talk;
use spondee_core::config::Config;
use spondee_core::jid::BareJid;
use spondee_core::port::Command;
use spondee_core::secret::Secret;
use spondee_core::store::StoreError;

use crate::phone::{Phone, signed_in, signed_in_with};
use crate::{JULIET, Outcome, ROMEO, long, message, numbered, once, refused, texts, with, world};

/// How a session comes to its end for good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Death {
    Expiry,
    Goodbye,
    Conflict,
    Password,
    Flood,
    Stop,
}

const DEATHS: [Death; 6] = [
    Death::Expiry,
    Death::Goodbye,
    Death::Conflict,
    Death::Password,
    Death::Flood,
    Death::Stop,
];

const ERRORS: [StoreError; 4] = [
    StoreError::Busy,
    StoreError::Full,
    StoreError::Failed,
    StoreError::Unknown,
];

/// More batches than any of this makes.
const BATCHES: usize = 60;

/// And whether messages are archived.
fn kept() -> (Config, bool) {
    (with(archiving(|_| {}), |sm| sm.max_queue = 300), true)
}

fn not_archived() -> (Config, bool) {
    (with(config(), |sm| sm.max_queue = 300), false)
}

/// The texts in her archive.
fn archive(world: &mut World, password: &str) -> Result<Vec<String>, String> {
    let mut talk = signed_in_with(world, JULIET, password)?;
    talk.bind(world, "archive")?;
    let mut texts = Vec::new();
    let mut after = String::new();
    loop {
        talk.send(
            world,
            &format!("<iq type='set' id='a'><query xmlns='{MAM}' queryid='a'><set xmlns='{RSM}'>{after}</set></query></iq>"),
        );
        let mut last = None;
        for stanza in talk.rest(world)? {
            if let Some(entry) = Entry::read(&stanza, "a")? {
                texts.push(entry.body());
                last = Some(entry.id);
            }
        }
        match last {
            Some(id) => after = format!("<after>{id}</after>"),
            None => break,
        }
    }
    world.hang_up(talk.peer());
    world.run();
    Ok(texts)
}

/// Signs in and becomes available, if not at once, then a moment later. What came, all of it acknowledged.
fn visit(world: &mut World, password: &str) -> Result<Vec<String>, String> {
    let mut last = String::new();
    for _ in 0..5 {
        let visited = signed_in_with(world, JULIET, password).and_then(|mut talk| {
            talk.bind(world, "tablet")?;
            talk.send(world, "<presence/>");
            world.advance(Duration::from_secs(30));
            let came = texts(&talk.rest(world)?);
            talk.send(world, "<presence type='unavailable'/>");
            world.hang_up(talk.peer());
            world.run();
            Ok(came)
        });
        match visited {
            Ok(came) => return Ok(came),
            Err(fault) => last = fault,
        }
        world.advance(Duration::from_secs(60));
    }
    Err(last)
}

/// The end of juliet's session. The password afterwards.
fn die(world: &mut World, juliet: &mut Phone, death: Death) -> Result<&'static str, String> {
    match death {
        Death::Expiry => {
            juliet.cut(world);
            world.advance(Duration::from_secs(601));
        }
        Death::Goodbye => juliet.close(world),
        Death::Conflict => {
            juliet.cut(world);
            // It may be refused, and the other then ends by itself.
            let bound = signed_in(world, JULIET).and_then(|mut talk| {
                talk.bind(world, "phone")?;
                Ok(talk)
            });
            if let Ok(talk) = bound {
                world.hang_up(talk.peer());
            }
            world.advance(Duration::from_secs(601));
        }
        Death::Password => {
            juliet.cut(world);
            let passwd = Command::Passwd {
                account: BareJid::parse(JULIET).expect("an address"),
                password: Secret::new(b"other".to_vec()),
            };
            if world.command(passwd).is_ok() {
                return Ok("other");
            }
            world.advance(Duration::from_secs(601));
        }
        // The flood itself is in `scene`.
        Death::Flood => juliet.cut(world),
        Death::Stop => {
            world.shut_down();
            world.advance(Duration::from_secs(30));
            world.crash();
        }
    }
    Ok("secret")
}

/// Some messages to her session, its death, and who comes then, where the batch behind so many meets this error. Whether one did.
fn scene(
    (config, archived): (Config, bool),
    death: Death,
    behind: usize,
    error: StoreError,
) -> Result<bool, String> {
    let mut world = world(config);
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    let count = if death == Death::Flood { 310 } else { 4 };
    let sent = numbered("m", 0..count);
    let (first, rest) = sent.split_at(3);
    for text in first {
        romeo.send(&mut world, &message(JULIET, text));
    }
    world.fates.extend(vec![Fate::Kept; behind]);
    world.fates.push_back(Fate::Failed(error));
    let password = match death {
        Death::Flood => {
            let password = die(&mut world, &mut juliet, death)?;
            for text in rest {
                romeo.send(&mut world, &message(JULIET, text));
            }
            password
        }
        Death::Expiry | Death::Goodbye | Death::Conflict | Death::Password | Death::Stop => {
            romeo.send(&mut world, &message("juliet@localhost/phone", &rest[0]));
            die(&mut world, &mut juliet, death)?
        }
    };
    world.advance(Duration::from_secs(30));
    let mut refused = refused(&romeo.rest(&mut world).unwrap_or_default());
    let mut came = visit(&mut world, password)?;
    let struck = world.fates.is_empty();
    world.fates.clear();
    world.advance(Duration::from_secs(300));
    let again = visit(&mut world, password)?;
    if world.ended(romeo.peer()).is_none() {
        refused.extend(crate::refused(&romeo.rest(&mut world)?));
    }
    assert_eq!(world.is_sound(), Ok(()));
    if error == StoreError::Unknown {
        // A server ends there, and what it had in memory is lost with it.
        let more = again.into_iter().filter(|text| !came.contains(text));
        let more: Vec<_> = more.collect();
        came.extend(more);
        came.retain(|text| !refused.contains(text));
        let has = archive(&mut world, password)?;
        let known: Vec<_> = sent
            .iter()
            .filter(|text| came.contains(text) || refused.contains(text) || !archived)
            .cloned()
            .collect();
        let lost = sent.iter().filter(|text| !known.contains(text));
        let nowhere: Vec<_> = lost.filter(|text| !has.contains(text)).collect();
        // But the one whose own place in the archive nobody knows.
        if nowhere.len() > 1 {
            return Err(format!("{nowhere:?} are nowhere"));
        }
        return match archived {
            true => once(&known, &came, &refused).map(|()| struck),
            false => Ok(struck),
        };
    }
    came.extend(again);
    if death == Death::Stop && struck {
        // Who was cut off by the stop hears of nothing any more.
        let lost = sent.iter().filter(|text| !came.contains(text)).count();
        return match lost {
            0 => once(&sent, &came, &[]).map(|()| struck),
            _ if error == StoreError::Busy => {
                Err(format!("{lost} lost because the store was busy"))
            }
            _ => Ok(struck),
        };
    }
    once(&sent, &came, &refused).map(|()| struck)
}

fn every_step(config: fn() -> (Config, bool)) -> Outcome {
    for death in DEATHS {
        for error in ERRORS {
            let mut steps = 0;
            let most = if death == Death::Flood { 700 } else { BATCHES };
            // A flood is a batch for each message: some are looked at.
            let stride = if death == Death::Flood {
                long(7, 97)
            } else {
                1
            };
            for behind in (0..most).step_by(stride) {
                let struck = scene(config(), death, behind, error);
                let struck =
                    struck.map_err(|e| format!("{death:?}, {error:?} behind {behind}: {e}"))?;
                if !struck {
                    break;
                }
                steps += 1;
            }
            assert!(steps > 0, "{death:?}, {error:?}: nothing was asked");
        }
    }
    Ok(())
}

#[test]
fn a_store_that_fails_at_any_step_of_a_death_loses_nothing_that_is_archived() -> Outcome {
    every_step(kept)
}

#[test]
fn a_store_that_fails_at_any_step_of_a_death_loses_nothing_that_is_not() -> Outcome {
    every_step(not_archived)
}
