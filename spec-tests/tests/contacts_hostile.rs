//! Contacts as somebody would have them who wishes others ill, and as a store has them that fails at the worst moment.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use spec_tests::memory::{Fate, Step, StorePace, Workers, World, config};
use spec_tests::talk::{Talk, bind_request, header, plain_auth};
use spondee_core::jid::BareJid;
use spondee_core::port::{Command, CommandId, Opening};
use spondee_core::roster::{ROSTER, ROSTER_UNSAID, ROSTER_VERSION};
use spondee_core::store::{Expect, Field, Row, StoreError};

type Outcome = Result<(), String>;

const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";
const NURSE: &str = "nurse@localhost";
const ROSTER_GET: &str = "<iq id='r' type='get'><query xmlns='jabber:iq:roster'/></iq>";

/// One shard, and three accounts.
fn world() -> World {
    let mut world = World::new(config());
    for name in [ROMEO, JULIET, NURSE] {
        world.add_user(name, "secret");
    }
    world
}

/// Somebody who has asked for the roster and is available.
fn arrive(world: &mut World, account: &str, resource: &str) -> Result<Talk, String> {
    let mut talk = Talk::session(world, account, resource)?;
    talk.send(world, ROSTER_GET);
    talk.send(world, "<presence/>");
    Ok(talk)
}

/// All that this client was written, well-formed or not.
fn told(world: &mut World, talk: &Talk) -> String {
    String::from_utf8(world.take_received(talk.peer())).unwrap()
}

/// Everything but what `waits`.
fn let_all_happen_but(world: &mut World, waits: impl Fn(&Step) -> bool) {
    loop {
        let steps = world.steps();
        match steps.into_iter().find(|step| !waits(step)) {
            Some(step) => world.step(step),
            None if world.tick_at_once() => {}
            None => return,
        }
    }
}

fn is_commit(step: &Step) -> bool {
    matches!(step, Step::Commit(_))
}

fn account(name: &str) -> BareJid {
    BareJid::parse(name).unwrap()
}

fn presence(kind: &str, to: &str) -> String {
    format!("<presence type='{kind}' to='{to}'/>")
}

/// She sees him; he sees her, too, if it is to be `both`.
fn befriend(world: &mut World, he: &mut Talk, she: &mut Talk) {
    she.send(world, &presence("subscribe", ROMEO));
    he.send(world, &presence("subscribed", JULIET));
    told(world, he);
    told(world, she);
}

/// Somebody whose admission waits for a reading may have written a session's worth of stanzas meanwhile.
#[test]
fn who_is_let_in_late_and_changes_something_at_once_is_no_fault() -> Outcome {
    let mut world = world();
    world.workers = Workers::Slow;
    let mut juliet = Talk::connect(&mut world, Opening::Tls);
    juliet.open(&mut world, "localhost")?;
    let set = "<iq id='s' type='set'><query xmlns='jabber:iq:roster'><item jid='a@localhost'/></query></iq>";
    // All in one piece, as what it is held back by wants.
    let words =
        plain_auth("juliet", "secret") + &header("localhost") + &bind_request("balcony") + set;
    world.write(juliet.peer(), words.as_bytes());
    let_all_happen_but(&mut world, |step| matches!(step, Step::Derive(_)));
    // What was read of her is not known to be good any more.
    let disable = Command::Disable {
        account: account(NURSE),
    };
    world.post_command(CommandId(7), disable);
    let_all_happen_but(&mut world, |step| matches!(step, Step::Derive(_)));
    world.run();
    let told = told(&mut world, &juliet);
    assert!(told.contains("type='result' id='s'/>"), "{told}");
    assert_eq!(world.is_sound(), Ok(()), "{}", "let in late");
    Ok(())
}

/// A subscription stanza that has no room is said again: nobody's sessions need end for it.
#[test]
fn many_strangers_who_ask_at_once_end_nobodys_session() -> Outcome {
    let mut world = world();
    let juliet = arrive(&mut world, JULIET, "balcony")?;
    let mut strangers = Vec::new();
    for number in 0..6 {
        let name = format!("stranger{number}@localhost");
        world.add_user(&name, "secret");
        strangers.push(Talk::session(&mut world, &name, "x")?);
    }
    world.store_pace = StorePace::Slow;
    world.write(juliet.peer(), presence("subscribe", ROMEO).as_bytes());
    let_all_happen_but(&mut world, is_commit);
    // Strangers say something that changes nothing on their side.
    let many = presence("unsubscribe", JULIET).repeat(400);
    for stranger in &strangers {
        world.write(stranger.peer(), many.as_bytes());
        let_all_happen_but(&mut world, is_commit);
    }
    world.store_pace = StorePace::Prompt;
    world.run();
    assert_eq!(world.ended(juliet.peer()), None);
    let told = told(&mut world, &juliet);
    assert!(!told.contains("stream:error"), "{told}");
    assert_eq!(world.is_sound(), Ok(()), "{}", "after it");
    Ok(())
}

/// RFC 6121 §4.5.2 and §3.2.2: what became of a change that the store refused decides on who hears of an end, not what was to be.
#[test]
fn who_saw_an_account_hears_of_its_end_and_nobody_else_whatever_the_store_refused() -> Outcome {
    for granted in [true, false] {
        let mut world = world();
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        let act = if granted {
            juliet.send(&mut world, &presence("subscribe", ROMEO));
            "subscribed"
        } else {
            befriend(&mut world, &mut romeo, &mut juliet);
            "unsubscribed"
        };
        told(&mut world, &romeo);
        told(&mut world, &juliet);
        // The change fails, and nothing can be read again.
        let failed = || Fate::Failed(StoreError::Failed);
        world.fates.extend([failed(), failed(), failed(), failed()]);
        romeo.send(&mut world, &presence(act, JULIET));
        world.advance(Duration::from_secs(10));
        assert!(
            world.ended(romeo.peer()).is_some()
                || told(&mut world, &romeo).contains("stream:error")
        );
        let heard = told(&mut world, &juliet);
        let unavailable = heard.matches("type='unavailable'").count();
        assert_eq!(unavailable, usize::from(!granted), "{granted}: {heard}");
        assert_eq!(world.is_sound(), Ok(()), "{}", "after it");
    }
    Ok(())
}

/// What is told of an end is as bounded as what is told of a beginning.
#[test]
fn nobody_makes_the_server_tell_all_contacts_a_long_farewell() -> Outcome {
    let mut world = world();
    let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
    let mut juliet = arrive(&mut world, JULIET, "balcony")?;
    befriend(&mut world, &mut romeo, &mut juliet);
    let long = "x".repeat(200_000);
    romeo.send(
        &mut world,
        &format!("<presence type='unavailable'><status>{long}</status></presence>"),
    );
    let heard = told(&mut world, &juliet);
    assert!(
        heard.contains("type='unavailable'"),
        "{} bytes",
        heard.len()
    );
    assert!(heard.len() < 10_000, "{} bytes", heard.len());
    Ok(())
}

fn subscribed_row(owner: &str, contact: &str, bytes: usize) -> Row {
    let status = "x".repeat(bytes);
    let stanza = format!(
        "<presence to='{contact}' from='{owner}' type='subscribed'><status>{status}</status></presence>"
    );
    Row(vec![
        Field::text(contact),
        Field::Absent,
        Field::Xml(stanza.into_bytes().into()),
    ])
}

fn contact_row(contact: &str, subscription: &str) -> Row {
    Row(vec![
        Field::text(contact),
        Field::Absent,
        Field::text(subscription),
        Field::Absent,
        Field::Absent,
        Field::Absent,
    ])
}

/// As many contacts as a batch of a farewell takes, each with as much unsaid as there may be.
#[test]
fn an_account_goes_however_much_it_has_not_said() -> Outcome {
    for long in [0, 9_900] {
        let mut world = world();
        let owner = format!("{}@localhost", "j".repeat(990));
        world.add_user(&owner, "secret");
        let owner = account(&owner);
        let anything = Expect::Anything;
        let padding = "n".repeat(990);
        for number in 0..200 {
            let contact = format!("{number:03}{padding}@localhost");
            world.keep(
                owner.clone(),
                &ROSTER,
                contact_row(&contact, "both"),
                anything,
            );
            if number < 50 {
                let row = subscribed_row(owner.as_str(), &contact, long);
                world.keep(owner.clone(), &ROSTER_UNSAID, row, anything);
            }
        }
        // What is read is worth it: somebody wrote as much.
        let romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        let words = format!("<message to='{ROMEO}'><body>{padding}</body></message>");
        world.write(romeo.peer(), words.repeat(2000).as_bytes());
        world.run();
        let version = Row(vec![Field::Int(5)]);
        world.keep(owner.clone(), &ROSTER_VERSION, version, anything);
        let done = world.command(Command::Delete { account: owner });
        assert!(done.is_ok(), "{long}: {done:?}");
        assert_eq!(world.is_sound(), Ok(()), "{}", "after it");
    }
    Ok(())
}

/// An administrator deletes an account that somebody does not let go.
#[test]
fn nobody_keeps_an_account_from_being_deleted() -> Outcome {
    let mut world = world();
    let strangers: Vec<Talk> = (0..3)
        .map(|number| {
            let name = format!("stranger{number}@localhost");
            world.add_user(&name, "secret");
            Talk::session(&mut world, &name, "x").unwrap()
        })
        .collect();
    let juliet = Command::Delete {
        account: account(JULIET),
    };
    world.post_command(CommandId(9), juliet);
    let nag = presence("subscribe", JULIET).repeat(2);
    let mut answered = None;
    for turn in 0..4000 {
        if turn % 3 == 0 {
            for stranger in &strangers {
                world.write(stranger.peer(), nag.as_bytes());
            }
        }
        let steps = world.steps();
        if let Some(step) = steps.get(turn % steps.len().max(1)) {
            world.step(*step);
        }
        if !world.take_answers().is_empty() {
            answered = Some(turn);
            break;
        }
    }
    assert!(answered.is_some_and(|turn| turn < 2000), "{answered:?}");
    world.run();
    assert_eq!(world.is_sound(), Ok(()), "{}", "after it");
    Ok(())
}

/// What nobody can know of, and what is so: who does not see an account any more hears that it is gone.
#[test]
fn who_was_refused_without_anybody_knowing_hears_of_the_end() -> Outcome {
    let mut world = world();
    let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
    let mut juliet = arrive(&mut world, JULIET, "balcony")?;
    befriend(&mut world, &mut romeo, &mut juliet);
    world.fates.push_back(Fate::Lost);
    romeo.send(&mut world, &presence("unsubscribed", JULIET));
    world.advance(Duration::from_secs(10));
    let heard = told(&mut world, &juliet);
    assert_eq!(heard.matches("type='unavailable'").count(), 1, "{heard}");
    assert!(heard.contains("type='unsubscribed'"), "{heard}");
    assert_eq!(world.is_sound(), Ok(()), "{}", "after it");
    Ok(())
}
