//! Sessions that are resumed while something happens to their account.

use std::time::Duration;

use spec_tests::acks::{ENABLE, Resumed, SM};
use spec_tests::element::{Element, Item};
use spec_tests::memory::{Fate, StorePace, World, archiving, config};
use spec_tests::talk::Talk;
use spondee_core::jid::BareJid;
use spondee_core::port::{Command, CommandId};
use spondee_core::secret::Secret;
use spondee_core::store::StoreError;

use crate::phone::{Phone, signed_in, signed_in_with};
use crate::{
    JULIET, Outcome, ROMEO, answers, message, numbered, once, refused, same, texts, world,
};

fn roster_set(name: &str) -> String {
    format!(
        "<iq type='set' id='set-{name}'><query xmlns='jabber:iq:roster'><item jid='{name}@localhost'/></query></iq>"
    )
}

const ROSTER: &str = "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>";

/// Contacts of which a session was told, in order.
fn pushes(stanzas: &[Element]) -> Vec<String> {
    let sets = stanzas
        .iter()
        .filter(|stanza| stanza.name == "iq" && stanza.attribute("type") == Some("set"));
    sets.filter_map(|set| set.child("jabber:iq:roster", "query"))
        .flat_map(Element::children)
        .filter_map(|item| item.attribute("jid").map(str::to_owned))
        .collect()
}

/// The answer waits for the disk, and what the change says comes once and in its place.
#[test]
fn who_resumes_while_the_account_commits_is_told_what_it_changed_once() -> Outcome {
    for turns in 0..10 {
        for fate in [
            Fate::Kept,
            Fate::Failed(StoreError::Failed),
            Fate::Failed(StoreError::Full),
            Fate::Failed(StoreError::Busy),
        ] {
            let mut world = world(config());
            let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
            let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
            juliet.send(&mut world, ROSTER);
            juliet.come(&mut world)?;
            let mut tablet = Talk::session(&mut world, JULIET, "tablet")?;
            juliet.cut(&mut world);
            let mut new = signed_in(&mut world, JULIET)?;
            world.store_pace = StorePace::Slow;
            world.fates.push_back(fate);
            world.write(tablet.peer(), roster_set("one").as_bytes());
            world.step_all_but_commits();
            world.write(romeo.peer(), message(JULIET, "m").as_bytes());
            world.step_all_but_commits();
            world.write(new.peer(), juliet.acks.resume()?.as_bytes());
            world.turns(turns);
            world.step_all_but_commits();
            world.store_pace = StorePace::Prompt;
            world.run();
            world.advance(Duration::from_secs(30));
            let resumed = new.next(&mut world)?;
            juliet.acks.take_resumed(&resumed)?;
            juliet.talk = new;
            let came = juliet.come(&mut world)?;
            let set = tablet.rest(&mut world)?;
            let done = set
                .iter()
                .any(|answer| answer.attribute("type") == Some("result"));
            let wanted: Vec<_> = done
                .then(|| "one@localhost".to_owned())
                .into_iter()
                .collect();
            same(&pushes(&came), &wanted).map_err(|e| format!("{fate:?}, {turns} turns: {e}"))?;
            same(&texts(&came), &["m".to_owned()])?;
            assert_eq!(romeo.rest(&mut world)?, []);
            juliet.lives(&mut world)?;
            assert_eq!(world.is_sound(), Ok(()));
        }
    }
    Ok(())
}

/// What nobody knows the end of ends the sessions, those that sleep, too, and whoever resumes then is told.
#[test]
fn a_change_whose_end_nobody_knows_ends_sleepers_and_loses_no_message() -> Outcome {
    for fate in [Fate::Failed(StoreError::Unknown), Fate::Lost] {
        let mut world = world(archiving(|_| {}));
        let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
        let tablet = Talk::session(&mut world, JULIET, "tablet")?;
        let sent = numbered("m", 0..5);
        juliet.cut(&mut world);
        for text in &sent {
            romeo.send(&mut world, &message(JULIET, text));
        }
        world.fates.push_back(fate);
        world.write(tablet.peer(), roster_set("one").as_bytes());
        world.run();
        world.advance(Duration::from_secs(30));
        let resumed = juliet.try_resume(&mut world)?;
        let came = match resumed {
            Resumed::Yes(_) => juliet.come(&mut world)?,
            Resumed::Over(_) | Resumed::Unknown => {
                let mut other = Phone::enter(&mut world, JULIET, "other")?;
                other.send(&mut world, "<presence/>");
                other.come(&mut world)?
            }
        };
        let mut came = texts(&came);
        let refused = refused(&romeo.rest(&mut world)?);
        came.retain(|text| !refused.contains(text));
        once(&sent, &came, &refused).map_err(|e| format!("{fate:?}: {e}"))?;
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// After a kill nobody knows the session, and the account is being loaded when it is asked for.
#[test]
fn who_resumes_while_the_account_is_loaded_waits_for_that() -> Outcome {
    for turns in 0..10 {
        let mut world = world(archiving(|_| {}));
        let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
        let mut over = Phone::there(&mut world, JULIET, "over")?;
        over.close(&mut world);
        juliet.come(&mut world)?;
        world.crash();
        for (phone, known) in [(&mut juliet, false), (&mut over, true)] {
            let mut talk = signed_in(&mut world, JULIET)?;
            world.store_pace = StorePace::Slow;
            world.write(talk.peer(), phone.acks.resume()?.as_bytes());
            world.turns(turns);
            world.step_all_but_commits();
            world.store_pace = StorePace::Prompt;
            world.run();
            let answer = talk.next(&mut world)?;
            let resumed = phone.acks.take_resumed(&answer)?;
            assert_eq!(matches!(resumed, Resumed::Over(_)), known, "{answer}");
            talk.bind(&mut world, "new")?;
            answers(&mut world, &mut talk)?;
            world.hang_up(talk.peer());
            world.advance(Duration::from_secs(300));
        }
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

fn account(name: &str) -> BareJid {
    BareJid::parse(name).expect("an address")
}

/// What ends an account's sessions.
fn commands() -> [(&'static str, Command); 3] {
    [
        (
            "delete",
            Command::Delete {
                account: account(JULIET),
            },
        ),
        (
            "disable",
            Command::Disable {
                account: account(JULIET),
            },
        ),
        (
            "passwd",
            Command::Passwd {
                account: account(JULIET),
                password: Secret::new(b"other".to_vec()),
            },
        ),
    ]
}

/// Whatever crosses: nobody is in afterwards who came in before, and each message is delivered once or refused.
#[test]
fn who_resumes_while_the_account_ends_or_its_password_changes_is_not_in_afterwards() -> Outcome {
    for (what, command) in commands() {
        for before in 0..8 {
            for turns in 0..8 {
                let mut world = world(archiving(|_| {}));
                let context =
                    |fault: String| format!("{what}, {before} and {turns} turns: {fault}");
                let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
                let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
                juliet.cut(&mut world);
                let sent = numbered("m", 0..3);
                for text in &sent {
                    romeo.send(&mut world, &message(JULIET, text));
                }
                let mut new = signed_in(&mut world, JULIET)?;
                if before % 2 == 0 {
                    world.post_command(CommandId(1 << 40), command.clone());
                    world.turns(before / 2);
                    world.write(new.peer(), juliet.acks.resume()?.as_bytes());
                } else {
                    world.write(new.peer(), juliet.acks.resume()?.as_bytes());
                    world.turns(before / 2);
                    world.post_command(CommandId(1 << 40), command.clone());
                }
                world.turns(turns);
                world.run();
                assert!(
                    world
                        .take_answers()
                        .iter()
                        .all(|(_, answer)| answer.is_ok())
                );
                // If it was in for a moment, it may have heard something.
                let (mut came, mut closed) = (Vec::new(), false);
                while let Some(item) = new.poll(&mut world).map_err(context)? {
                    match item {
                        Item::Element(element) => {
                            came.extend(texts(std::slice::from_ref(&element)));
                        }
                        Item::Close => closed = true,
                        Item::Open(header) => return Err(context(header.to_string())),
                    }
                }
                if !closed {
                    return Err(context("still in".to_owned()));
                }
                afterwards(&mut world, what, &mut juliet, &sent, came, &mut romeo)
                    .map_err(context)?;
                assert_eq!(world.is_sound(), Ok(()));
            }
        }
    }
    Ok(())
}

/// The account as it is then.
fn afterwards(
    world: &mut World,
    what: &str,
    juliet: &mut Phone,
    sent: &[String],
    heard: Vec<String>,
    romeo: &mut Talk,
) -> Outcome {
    let mut refused = refused(&romeo.rest(world)?);
    if what == "delete" {
        romeo.send(world, &message(JULIET, "after"));
        refused.extend(crate::refused(&romeo.rest(world)?));
        if !refused.contains(&"after".to_owned()) {
            return Err("somebody has what is for nobody".to_owned());
        }
        world.add_user(JULIET, "secret");
        let resumed = juliet.try_resume(world)?;
        return match resumed {
            Resumed::Unknown => Ok(()),
            other @ (Resumed::Yes(_) | Resumed::Over(_)) => {
                Err(format!("another account has its sessions: {other:?}"))
            }
        };
    }
    if what == "disable" {
        let enabled = world.command(Command::Enable {
            account: account(JULIET),
        });
        enabled.map_err(|e| format!("{e:?}"))?;
    }
    let password = if what == "passwd" { "other" } else { "secret" };
    let resumed = juliet.try_resume_with(world, password)?;
    if !matches!(resumed, Resumed::Over(_)) {
        return Err(format!("{resumed:?}"));
    }
    let mut talk = signed_in_with(world, JULIET, password)?;
    talk.bind(world, "later")?;
    talk.send(world, "<presence/>");
    let mut came = texts(&talk.rest(world)?);
    // What was heard was not acknowledged, so it comes again.
    let again = came.clone();
    came.extend(heard.into_iter().filter(|text| !again.contains(text)));
    once(sent, &came, &refused)
}

/// XEP-0077 §3.3: who changes the password stays, and those that sleep do not.
#[test]
fn a_password_changed_by_a_device_of_ones_own_ends_those_that_sleep() -> Outcome {
    let mut world = world(archiving(|_| {}));
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    juliet.cut(&mut world);
    romeo.send(&mut world, &message(JULIET, "m"));
    let mut tablet = Talk::session(&mut world, JULIET, "tablet")?;
    tablet.send(
        &mut world,
        "<iq type='set' to='localhost' id='change'><query xmlns='jabber:iq:register'><username>juliet</username><password>another secret</password></query></iq>",
    );
    let answer = tablet.next(&mut world)?;
    assert_eq!(answer.attribute("type"), Some("result"), "{answer}");
    let resumed = juliet.try_resume_with(&mut world, "another secret")?;
    assert!(matches!(resumed, Resumed::Over(_)), "{resumed:?}");
    tablet.send(&mut world, "<presence/>");
    same(&texts(&tablet.rest(&mut world)?), &["m".to_owned()])?;
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// A sleeper is there for its account: it stays in memory, and takes what comes, however long nobody is connected.
#[test]
fn an_account_with_nobody_but_a_sleeper_is_not_forgotten() -> Outcome {
    let mut world = world(config());
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    juliet.cut(&mut world);
    let sent = numbered("m", 0..9);
    for text in &sent {
        world.advance(Duration::from_secs(61));
        romeo.send(&mut world, &crate::fleeting(JULIET, text));
    }
    juliet.resume(&mut world)?;
    same(&texts(&juliet.come(&mut world)?), &sent)?;
    assert_eq!(romeo.rest(&mut world)?, []);
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// The host is gone by a reload, with all who sleep there.
#[test]
fn a_host_that_goes_takes_its_sleepers_along() -> Outcome {
    let mut world = world(config());
    let juliet = Phone::there(&mut world, JULIET, "phone")?;
    juliet.cut(&mut world);
    let mut fewer = config();
    fewer
        .hosts
        .retain(|domain, _| domain.as_str() != "localhost");
    world.reload(fewer);
    world.advance(Duration::from_secs(3600));
    world.reload(config());
    let mut talk = signed_in(&mut world, JULIET)?;
    talk.send(&mut world, &juliet.acks.resume()?);
    let answer = talk.next(&mut world)?;
    assert!(answer.is(SM, "failed"), "{answer}");
    talk.bind(&mut world, "phone")?;
    answers(&mut world, &mut talk)?;
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// An orderly stop: what a sleeper had waits for the next, whoever asked last, and the count is on the disk.
#[test]
fn an_orderly_stop_keeps_what_sleepers_had_and_how_much_came_from_them() -> Outcome {
    for shards in [1, 2] {
        let mut config = archiving(|_| {});
        config.shards = shards;
        let mut world = world(config);
        let mut romeo = Phone::there(&mut world, ROMEO, "orchard")?;
        let juliet = Phone::there(&mut world, JULIET, "phone")?;
        juliet.cut(&mut world);
        let sent = numbered("m", 0..7);
        for text in &sent {
            romeo.put(&mut world, &message(JULIET, text));
        }
        world.shut_down();
        world.advance(Duration::from_secs(10));
        romeo.come(&mut world)?;
        assert!(romeo.closed, "no farewell");
        let error = romeo.error.as_ref().and_then(Element::condition);
        assert_eq!(error, Some("system-shutdown"));
        world.crash();
        let Resumed::Over(_) = romeo.try_resume(&mut world)? else {
            return Err("the session is not known any more".to_owned());
        };
        let left = romeo.acks.unacknowledged().len();
        let mut tablet = Phone::enter(&mut world, JULIET, "tablet")?;
        tablet.send(&mut world, "<presence/>");
        let came = texts(&tablet.come_all(&mut world)?);
        // What the server said that it had not, it has not; the rest is there.
        same(&came, &sent[..sent.len() - left])?;
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// What she acknowledges behind the farewell of a server that stops does not come again: neither what waited nor what came live.
#[test]
fn what_is_acknowledged_behind_the_farewell_of_a_stop_does_not_come_again() -> Outcome {
    for enable in [ENABLE.to_owned(), ENABLE.replace(" resume='true'", "")] {
        for (owed, live) in [(0, 5), (5, 0), (400, 5)] {
            let mut world = world(archiving(|_| {}));
            let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
            let sent = numbered("m", 0..owed + live);
            for text in &sent[..owed] {
                romeo.send(&mut world, &message(JULIET, text));
            }
            let mut juliet = Phone::enter_with(&mut world, JULIET, "phone", &enable)?;
            juliet.send(&mut world, "<presence/>");
            let mut came = texts(&juliet.come(&mut world)?);
            for text in &sent[owed..] {
                romeo.send(&mut world, &message(JULIET, text));
            }
            world.shut_down();
            came.extend(texts(&juliet.come(&mut world)?));
            let answer = juliet.acks.answer();
            juliet.say(&mut world, &format!("{answer}</stream:stream>"));
            world.advance(Duration::from_secs(10));
            world.crash();
            let mut tablet = Phone::enter(&mut world, JULIET, "tablet")?;
            tablet.send(&mut world, "<presence/>");
            came.extend(texts(&tablet.come_all(&mut world)?));
            same(&came, &sent).map_err(|e| format!("{enable}, {owed} and {live}: {e}"))?;
            assert_eq!(world.is_sound(), Ok(()));
        }
    }
    Ok(())
}
