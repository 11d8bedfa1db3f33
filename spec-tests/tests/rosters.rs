//! Rosters through all that can become of a change: loaded, held until it is on disk, committed, failed, lost, forgotten by memory,
//! and read again.

use std::time::Duration;

use spec_tests::client::{Client, PATIENCE};
use spec_tests::memory::{Bounds, Fate, StorePace, World, config};
use spec_tests::server::Server;
use spec_tests::talk::Talk;
use spondee_core::jid::BareJid;
use spondee_core::limits::{ACCOUNT_IDLE, ENDINGS_PER_TICK, StoreCredit};
use spondee_core::port::{Command, Note};
use spondee_core::roster::{ROSTER, ROSTER_VERSION};
use spondee_core::sasl::Tombstones;
use spondee_core::secret::Secret;
use spondee_core::store::{Expect, Field, Row, StoreError};

type Outcome = Result<(), String>;

const JULIET: &str = "juliet@localhost";

fn world(shards: u16) -> World {
    let mut config = config();
    config.shards = shards;
    let mut world = World::new(config);
    for user in [JULIET, "romeo@localhost"] {
        world.add_user(user, "secret");
    }
    world
}

fn set(id: &str, item: &str) -> String {
    format!("<iq id='{id}' type='set'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
}

fn get(id: &str) -> String {
    format!("<iq id='{id}' type='get'><query xmlns='jabber:iq:roster'/></iq>")
}

/// What this session heard.
fn heard(world: &mut World, talk: &mut Talk) -> Result<String, String> {
    let elements = talk.rest(world)?;
    Ok(elements.iter().map(ToString::to_string).collect())
}

fn ask(world: &mut World, talk: &mut Talk, xml: &str) -> Result<String, String> {
    talk.send(world, xml);
    heard(world, talk)
}

/// The names of contacts, in the order in which they are told.
fn contacts(query: &str) -> Vec<&str> {
    let names = query.split("name=").skip(1);
    names.map(|rest| &rest[1..2]).collect()
}

#[test]
fn nobody_hears_of_a_change_before_it_is_on_disk() -> Outcome {
    let mut world = world(1);
    let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
    let mut chamber = Talk::session(&mut world, JULIET, "chamber")?;
    for talk in [&mut balcony, &mut chamber] {
        ask(&mut world, talk, &get("0"))?;
    }
    world.store_pace = StorePace::Slow;
    let item = "<item jid='nurse@example.com' name='N'/>";
    world.write(balcony.peer(), set("1", item).as_bytes());
    world.step_all_but_commits();
    // The other device asks meanwhile: it waits, too.
    world.write(chamber.peer(), get("2").as_bytes());
    world.step_all_but_commits();
    for talk in [&mut balcony, &mut chamber] {
        assert_eq!(heard(&mut world, talk)?, "");
    }
    world.run();
    let told = heard(&mut world, &mut balcony)?;
    assert!(told.find("result").unwrap() < told.find("nurse").unwrap());
    let told = heard(&mut world, &mut chamber)?;
    assert_eq!(
        contacts(&told),
        ["N", "N"],
        "the push, then the result: {told}"
    );
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

#[test]
fn a_change_that_comes_to_nothing_is_refused_and_forgotten() -> Outcome {
    for (error, condition) in [
        (StoreError::Failed, "internal-server-error"),
        (StoreError::Conflict, "internal-server-error"),
        (StoreError::Full, "resource-constraint"),
    ] {
        let mut world = world(1);
        let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
        let mut chamber = Talk::session(&mut world, JULIET, "chamber")?;
        let first = "<item jid='a@example.com' name='A'/>";
        ask(&mut world, &mut balcony, &set("1", first))?;
        let before = ask(&mut world, &mut chamber, &get("2"))?;
        for item in [
            "<item jid='b@example.com' name='B'/>",
            "<item jid='a@example.com' name='C'/>",
            "<item jid='a@example.com' subscription='remove'/>",
        ] {
            world.fates.push_back(Fate::Failed(error));
            let told = ask(&mut world, &mut balcony, &set("3", item))?;
            assert!(
                told.contains(condition) && !told.contains("result"),
                "{told}"
            );
            assert_eq!(heard(&mut world, &mut chamber)?, "");
        }
        let after = ask(&mut world, &mut chamber, &get("2"))?;
        assert_eq!(after, before, "the version, too");
        // It is still interested, and what is set now is kept.
        ask(
            &mut world,
            &mut balcony,
            &set("4", "<item jid='d@x' name='D'/>"),
        )?;
        assert_eq!(contacts(&heard(&mut world, &mut chamber)?), ["D"]);
        assert_eq!(
            contacts(&ask(&mut world, &mut chamber, &get("5"))?),
            ["A", "D"]
        );
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn a_store_that_is_busy_is_asked_again() -> Outcome {
    let mut world = world(1);
    let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
    world.store_pace = StorePace::Busy;
    let item = "<item jid='a@example.com' name='A'/>";
    assert_eq!(ask(&mut world, &mut balcony, &set("1", item))?, "");
    world.store_pace = StorePace::Prompt;
    world.advance(Duration::from_secs(1));
    assert!(heard(&mut world, &mut balcony)?.contains("result"));
    assert_eq!(contacts(&ask(&mut world, &mut balcony, &get("2"))?), ["A"]);
    Ok(())
}

#[test]
fn where_nobody_knows_what_became_of_a_change_the_sessions_end_and_read_it_anew() -> Outcome {
    for (fate, contact) in [
        (Fate::Lost, &["A"][..]),
        (Fate::Failed(StoreError::Unknown), &[]),
    ] {
        let mut world = world(1);
        let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
        let chamber = Talk::session(&mut world, JULIET, "chamber")?;
        world.fates.push_back(fate);
        let item = "<item jid='a@example.com' name='A'/>";
        world.write(balcony.peer(), set("1", item).as_bytes());
        world.run();
        for talk in [&balcony, &chamber] {
            let told = String::from_utf8(world.take_received(talk.peer())).unwrap();
            assert!(told.contains("<stream:error>"), "{told}");
            assert!(!told.contains("<iq "), "{told}");
        }
        balcony = Talk::session(&mut world, JULIET, "balcony")?;
        assert_eq!(
            contacts(&ask(&mut world, &mut balcony, &get("2"))?),
            contact
        );
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn what_is_written_at_once_with_the_end_of_the_stream_is_done() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards);
        let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
        let balcony = Talk::session(&mut world, JULIET, "balcony")?;
        let item = "<item jid='a@example.com' name='A'/>";
        let all = format!(
            "{}<message to='romeo@localhost/orchard' id='m'/></stream:stream>",
            set("1", item)
        );
        world.write(balcony.peer(), all.as_bytes());
        world.hang_up(balcony.peer());
        world.run();
        assert!(heard(&mut world, &mut romeo)?.contains("message"));
        let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
        assert_eq!(contacts(&ask(&mut world, &mut balcony, &get("2"))?), ["A"]);
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn a_roster_is_the_same_after_memory_forgot_it_and_after_a_crash() -> Outcome {
    let mut world = world(2);
    let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
    for (id, item) in [
        (
            "1",
            "<item jid='a@example.com' name='A'><group>\"g\\</group></item>",
        ),
        ("2", "<item jid='b@example.com' name='B'/>"),
        ("3", "<item jid='c@example.com' name='C'/>"),
        ("4", "<item jid='b@example.com' subscription='remove'/>"),
    ] {
        assert!(ask(&mut world, &mut balcony, &set(id, item))?.contains("result"));
    }
    let before = ask(&mut world, &mut balcony, &get("5"))?;
    assert_eq!(contacts(&before), ["A", "C"]);
    for crash in [false, true] {
        world.hang_up(balcony.peer());
        world.run();
        match crash {
            false => world.advance(ACCOUNT_IDLE + Duration::from_secs(1)),
            true => world.crash(),
        }
        balcony = Talk::session(&mut world, JULIET, "balcony")?;
        assert_eq!(ask(&mut world, &mut balcony, &get("5"))?, before);
    }
    Ok(())
}

#[test]
fn an_account_that_is_made_again_begins_with_nothing_and_repeats_no_version() -> Outcome {
    let mut world = world(1);
    let account = BareJid::parse(JULIET).unwrap();
    let mut versions = Vec::new();
    for _ in 0..3 {
        let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
        let empty = ask(&mut world, &mut balcony, &get("1"))?;
        assert!(
            empty.contains("ver='0'") || empty.contains("ver=\"0\""),
            "{empty}"
        );
        for _ in 0..3 {
            ask(&mut world, &mut balcony, &set("2", "<item jid='a@x'/>"))?;
            versions.push(heard_version(&mut world, &mut balcony)?);
        }
        let delete = Command::Delete {
            account: account.clone(),
        };
        world.command(delete).map_err(|e| format!("{e:?}"))?;
        world.advance(Duration::from_millis(1));
        let password = Secret::new("secret".into());
        let account = account.clone();
        let add = Command::Add {
            account,
            password,
            tombstones: Tombstones::Ignore,
        };
        world.command(add).map_err(|e| format!("{e:?}"))?;
    }
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    Ok(())
}

fn heard_version(world: &mut World, talk: &mut Talk) -> Result<String, String> {
    talk.send(world, &get("v"));
    let result = talk.next(world)?;
    let query = result.children().next().ok_or("no query")?;
    Ok(query.attribute("ver").ok_or("no version")?.to_owned())
}

/// A row of a hand that slipped: the account cannot be used, and nothing of it is lost.
#[test]
fn a_roster_that_cannot_be_read_is_never_written_over() -> Outcome {
    let mut world = world(1);
    let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
    ask(
        &mut world,
        &mut balcony,
        &set("1", "<item jid='a@x' name='A'/>"),
    )?;
    world.hang_up(balcony.peer());
    world.advance(ACCOUNT_IDLE + Duration::from_secs(1));
    let account = BareJid::parse(JULIET).unwrap();
    let row = |subscription: &str| {
        let mut row = Row(vec![Field::Absent; ROSTER.width()]);
        row.0[0] = Field::text("b@x");
        row.0[1] = Field::text("B");
        row.0[2] = Field::text(subscription);
        row
    };
    world.keep(account.clone(), &ROSTER, row("bith"), Expect::Absent);
    for _ in 0..2 {
        assert!(Talk::session(&mut world, JULIET, "balcony").is_err());
        world.advance(Duration::from_secs(10));
    }
    let why = "roster, contact \"b@x\": no such subscription";
    let unreadable = Note::Unreadable {
        account: account.clone(),
        why: why.into(),
    };
    assert!(world.notes.contains(&unreadable), "{:?}", world.notes);
    world.keep(account, &ROSTER, row("both"), Expect::Present);
    balcony = Talk::session(&mut world, JULIET, "balcony")?;
    assert_eq!(
        contacts(&ask(&mut world, &mut balcony, &get("2"))?),
        ["A", "B"]
    );
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// As many contacts as there may be, with long names: the answer fits the queue of a session that reads.
#[test]
fn the_longest_roster_reaches_a_client() -> Outcome {
    let mut world = world(1);
    let account = BareJid::parse(JULIET).unwrap();
    for number in 0..1000 {
        let mut row = Row(vec![Field::Absent; ROSTER.width()]);
        row.0[0] = Field::text(&format!("a{number:04}@example.com"));
        row.0[1] = Field::text(&"N".repeat(1000));
        row.0[2] = Field::text("none");
        row.0[5] = Field::text(&format!("[\"{}\"]", "g".repeat(900)));
        world.keep(account.clone(), &ROSTER, row, Expect::Absent);
    }
    let version = Row(vec![Field::Int(1)]);
    world.keep(account, &ROSTER_VERSION, version, Expect::Absent);
    let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
    let told = ask(&mut world, &mut balcony, &get("1"))?;
    assert!(told.len() > 1_900_000, "{}", told.len());
    assert_eq!(contacts(&told).len(), 1000);
    assert_eq!(world.ended(balcony.peer()), None);
    Ok(())
}

/// The real server, killed as soon as it has answered.
#[test]
fn contacts_that_were_answered_for_are_there_after_a_sigkill() -> Outcome {
    let mut server = Server::start(&[(JULIET, "secret")])?;
    let trust = server.trust()?;
    let enter =
        |server: &Server| Client::session(server.clear, "localhost", &trust, "juliet", "secret");
    let mut told = Vec::new();
    for number in 0..5 {
        let mut juliet = enter(&server)?;
        juliet.send(&get("g"))?;
        let query = juliet.next(PATIENCE)?.to_string();
        assert_eq!(contacts(&query).concat(), told.concat());
        let name = number.to_string();
        let item = format!("<item jid='a{name}@example.com' name='{name}'><group>g</group></item>");
        juliet.send(&set("s", &item))?;
        let result = juliet.next(PATIENCE)?;
        assert_eq!(result.attribute("type"), Some("result"), "{result}");
        told.push(name);
        server.kill()?;
        server.start_again()?;
    }
    Ok(())
}

/// Found by the simulator: what a connection brought waited for credit when it broke, and began with a change.
#[test]
fn what_waits_for_credit_when_its_connection_breaks_is_done_to_the_end() -> Outcome {
    let bounds = Bounds {
        credit: StoreCredit {
            batches: 3,
            bytes: 1 << 20,
        },
        idle: 0,
        endings: ENDINGS_PER_TICK,
    };
    let mut world = World::with_bounds(config(), 0, bounds);
    let [romeo, nurse] = ["romeo@localhost", "nurse@localhost"];
    for user in [JULIET, romeo, nurse] {
        world.add_user(user, "secret");
    }
    let balcony = Talk::session(&mut world, JULIET, "balcony")?;
    let mut others = [
        Talk::session(&mut world, romeo, "r")?,
        Talk::session(&mut world, nurse, "n")?,
    ];
    world.store_pace = StorePace::Slow;
    let item = "<item jid='a@example.com' name='A'/>";
    // With two batches out of three, nobody is read who could ask for more.
    for talk in &others {
        world.write(talk.peer(), set("1", item).as_bytes());
    }
    world.step_all_but_commits();
    let message = format!("<message to='{romeo}/r'><body>behind</body></message>");
    let all = set("1", item) + &message;
    world.write(balcony.peer(), all.as_bytes());
    world.step_all_but_commits();
    world.cut(balcony.peer());
    world.run();
    assert!(heard(&mut world, &mut others[0])?.contains("behind"));
    let mut chamber = Talk::session(&mut world, JULIET, "chamber")?;
    assert_eq!(contacts(&ask(&mut world, &mut chamber, &get("1"))?), ["A"]);
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}
