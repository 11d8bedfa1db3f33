//! What comes of a block when the store is slow, fails or is lost.

use std::time::Duration;

use spec_tests::client::{Client, PATIENCE};
use spec_tests::memory::{Fate, StorePace};
use spec_tests::server::Server;
use spec_tests::talk::Talk;
use spondee_core::blocking::BLOCKLIST;
use spondee_core::jid::BareJid;
use spondee_core::limits::{ACCOUNT_IDLE, INBOX_STANZAS};
use spondee_core::port::Note;
use spondee_core::store::{Expect, Field, Row, StoreError};

use super::stage::{Outcome, stream_error, world};
use super::{
    JULIET, NOTHING, NURSE, ROMEO, TYBALT, arrive, ask, friends, get, heard, hush, set, words,
};

/// XEP-0191 §3.3: "the duration of the block is potentially unlimited and applies across sessions".
#[test]
fn a_list_is_the_same_after_memory_forgot_it_and_after_a_crash() -> Outcome {
    let mut world = world(2, |_| {});
    let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
    ask(
        &mut world,
        &mut balcony,
        &set("block", &[ROMEO, "b.example", "a@b/c"]),
    )?;
    ask(&mut world, &mut balcony, &set("unblock", &["b.example"]))?;
    for crash in [false, true] {
        world.hang_up(balcony.peer());
        world.run();
        match crash {
            false => world.advance(ACCOUNT_IDLE + Duration::from_secs(1)),
            true => world.crash(),
        }
        balcony = Talk::session(&mut world, JULIET, "balcony")?;
        let whole = ["blocklist a@b/c romeo@localhost"];
        assert_eq!(ask(&mut world, &mut balcony, &get("1"))?, whole);
    }
    Ok(())
}

/// A row of a hand that slipped: somebody who is blocked must not come through.
#[test]
fn an_account_whose_list_cannot_be_read_is_not_served() -> Outcome {
    let mut world = world(1, |_| {});
    let account = BareJid::parse(JULIET).unwrap();
    let row = Row(vec![Field::text("Romeo@localhost"), Field::Time(1)]);
    world.keep(account.clone(), &BLOCKLIST, row, Expect::Absent);
    assert!(Talk::session(&mut world, JULIET, "balcony").is_err());
    world.advance(Duration::from_secs(10));
    let why = "blocklist, contact \"Romeo@localhost\": an address that is not prepared";
    let unreadable = Note::Unreadable {
        account,
        why: why.into(),
    };
    assert!(world.notes.contains(&unreadable), "{:?}", world.notes);
    Ok(())
}

#[test]
fn nobody_hears_of_a_block_before_it_is_on_disk() -> Outcome {
    for shards in [1, 3] {
        let mut world = friends(shards, &[(JULIET, ROMEO)]);
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        let mut balcony = arrive(&mut world, JULIET, "balcony")?;
        let mut chamber = arrive(&mut world, JULIET, "chamber")?;
        hush(&mut world, &mut [&mut romeo, &mut balcony, &mut chamber])?;
        world.store_pace = StorePace::Slow;
        // Behind it, in one go, what is refused then.
        let all = set("block", &[ROMEO]) + "<message to='romeo@localhost'><body>b</body></message>";
        world.write(balcony.peer(), all.as_bytes());
        world.step_all_but_commits();
        let message = "<message to='juliet@localhost/chamber'><body>b</body></message>";
        world.write(romeo.peer(), message.as_bytes());
        world.step_all_but_commits();
        for talk in [&mut romeo, &mut balcony, &mut chamber] {
            assert_eq!(heard(&mut world, talk)?, NOTHING);
        }
        world.run();
        assert_eq!(
            heard(&mut world, &mut balcony)?,
            [
                "result",
                "block romeo@localhost",
                "message error cancel not-acceptable blocked"
            ]
        );
        assert_eq!(heard(&mut world, &mut chamber)?, ["block romeo@localhost"]);
        let mut told = heard(&mut world, &mut romeo)?;
        told.sort();
        assert_eq!(
            told,
            [
                "juliet@localhost/balcony unavailable",
                "juliet@localhost/chamber unavailable",
                "message error cancel service-unavailable"
            ]
        );
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn a_change_that_comes_to_nothing_is_refused_and_changes_nothing() -> Outcome {
    for (error, condition) in [
        (StoreError::Failed, "cancel internal-server-error"),
        (StoreError::Conflict, "cancel internal-server-error"),
        (StoreError::Full, "wait resource-constraint"),
    ] {
        for shards in [1, 3] {
            let mut world = friends(shards, &[(JULIET, ROMEO)]);
            let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
            let mut nurse = arrive(&mut world, NURSE, "house")?;
            let mut balcony = arrive(&mut world, JULIET, "balcony")?;
            let mut chamber = arrive(&mut world, JULIET, "chamber")?;
            balcony.send(&mut world, "<presence to='nurse@localhost'/>");
            ask(&mut world, &mut balcony, &set("block", &["a@b"]))?;
            hush(&mut world, &mut [&mut romeo, &mut nurse, &mut chamber])?;
            for change in [
                set("block", &["localhost"]),
                set("unblock", &["a@b"]),
                set("unblock", &[]),
            ] {
                world.fates.push_back(Fate::Failed(error));
                let told = ask(&mut world, &mut balcony, &change)?;
                assert_eq!(told, [format!("iq error {condition}")]);
                for talk in [&mut romeo, &mut nurse, &mut chamber] {
                    assert_eq!(heard(&mut world, talk)?, NOTHING);
                }
            }
            assert_eq!(ask(&mut world, &mut balcony, &get("1"))?, ["blocklist a@b"]);
            let message = "<message to='juliet@localhost/balcony'><body>b</body></message>";
            assert_eq!(ask(&mut world, &mut romeo, message)?, NOTHING);
            assert_eq!(
                heard(&mut world, &mut balcony)?,
                ["romeo@localhost/orchard: b"]
            );
            // Who saw it sees its end.
            world.hang_up(balcony.peer());
            world.run();
            for talk in [&mut romeo, &mut nurse] {
                let gone = ["juliet@localhost/balcony unavailable"];
                assert_eq!(heard(&mut world, talk)?, gone);
            }
            assert_eq!(world.is_sound(), Ok(()));
        }
    }
    Ok(())
}

/// The sessions end (nobody may believe what it was told), and whoever saw them sees that, also who is blocked since.
#[test]
fn where_nobody_knows_what_became_of_a_block_contacts_see_the_sessions_end_once() -> Outcome {
    for (fate, list) in [
        (Fate::Lost, "blocklist localhost"),
        (Fate::Failed(StoreError::Unknown), "blocklist"),
    ] {
        for shards in [1, 3] {
            let mut world = friends(shards, &[(JULIET, ROMEO)]);
            let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
            let mut nurse = arrive(&mut world, NURSE, "house")?;
            let mut balcony = arrive(&mut world, JULIET, "balcony")?;
            balcony.send(&mut world, "<presence to='nurse@localhost'/>");
            hush(&mut world, &mut [&mut romeo, &mut nurse, &mut balcony])?;
            world.fates.push_back(fate);
            world.write(balcony.peer(), set("block", &["localhost"]).as_bytes());
            world.run();
            assert_eq!(
                stream_error(&mut world, &mut balcony)?,
                "internal-server-error"
            );
            for talk in [&mut romeo, &mut nurse] {
                let gone = ["juliet@localhost/balcony unavailable"];
                assert_eq!(heard(&mut world, talk)?, gone, "{fate:?}");
            }
            let mut balcony = arrive(&mut world, JULIET, "balcony")?;
            assert_eq!(heard(&mut world, &mut balcony)?[0], list);
            hush(&mut world, &mut [&mut romeo])?;
            world.hang_up(balcony.peer());
            world.run();
            let told = heard(&mut world, &mut romeo)?;
            assert_eq!(told.is_empty(), list != "blocklist", "{told:?}");
            assert_eq!(world.is_sound(), Ok(()));
        }
    }
    Ok(())
}

/// What comes to nothing later has nothing to do with it.
#[test]
fn a_block_that_is_on_disk_stays_told_whatever_becomes_of_later_changes() -> Outcome {
    for error in [StoreError::Unknown, StoreError::Failed] {
        let mut world = friends(1, &[(JULIET, ROMEO)]);
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        let mut balcony = arrive(&mut world, JULIET, "balcony")?;
        hush(&mut world, &mut [&mut romeo])?;
        ask(&mut world, &mut balcony, &set("block", &[ROMEO]))?;
        let gone = ["juliet@localhost/balcony unavailable"];
        assert_eq!(heard(&mut world, &mut romeo)?, gone);
        world.fates.push_back(Fate::Failed(error));
        let item = "<query xmlns='jabber:iq:roster'><item jid='a@b'/></query>";
        let change = format!("<iq id='1' type='set'>{item}</iq>");
        world.write(balcony.peer(), change.as_bytes());
        world.run();
        world.hang_up(balcony.peer());
        world.run();
        assert_eq!(heard(&mut world, &mut romeo)?, NOTHING);
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn a_block_that_is_written_with_the_end_of_the_stream_is_done() -> Outcome {
    for shards in [1, 3] {
        let mut world = friends(shards, &[(JULIET, ROMEO)]);
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        let balcony = arrive(&mut world, JULIET, "balcony")?;
        hush(&mut world, &mut [&mut romeo])?;
        let all = set("block", &[ROMEO]) + "</stream:stream>";
        world.write(balcony.peer(), all.as_bytes());
        world.hang_up(balcony.peer());
        world.run();
        let gone = ["juliet@localhost/balcony unavailable"];
        assert_eq!(heard(&mut world, &mut romeo)?, gone);
        let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
        assert_eq!(
            ask(&mut world, &mut balcony, &get("1"))?,
            ["blocklist romeo@localhost"]
        );
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// It waits for the disk, and has much to do then: others wait, and who is blocked hears what it always hears.
#[test]
fn who_is_blocked_does_not_learn_that_the_blocker_is_busy() -> Outcome {
    let mut world = world(1, |_| {});
    let mut juliet = arrive(&mut world, JULIET, "balcony")?;
    ask(&mut world, &mut juliet, &set("block", &[NURSE]))?;
    let mut nurse = arrive(&mut world, NURSE, "house")?;
    let romeo = arrive(&mut world, ROMEO, "orchard")?;
    let tybalt = arrive(&mut world, TYBALT, "square")?;
    hush(&mut world, &mut [&mut nurse, &mut juliet])?;
    world.store_pace = StorePace::Slow;
    world.write(juliet.peer(), set("block", &["a@b"]).as_bytes());
    world.step_all_but_commits();
    // One that is not kept: for others the store is asked who there is, whoever sends them.
    let hint = "<no-store xmlns='urn:xmpp:hints'/>";
    let message =
        format!("<message to='juliet@localhost' type='chat'><body>b</body>{hint}</message>");
    let many = message.repeat(INBOX_STANZAS);
    for talk in [&romeo, &tybalt, &nurse] {
        world.write(talk.peer(), many.as_bytes());
    }
    world.step_all_but_commits();
    for talk in [&romeo, &tybalt] {
        let told = String::from_utf8(world.take_received(talk.peer())).unwrap();
        assert!(!told.contains("<message"), "they are not read: {told}");
    }
    let told = heard(&mut world, &mut nurse)?;
    let refused = "message error cancel service-unavailable";
    assert_eq!(told.len(), INBOX_STANZAS, "at once");
    assert!(told.iter().all(|word| word == refused));
    world.run();
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// The real server, killed as soon as it has answered: as many as there may be, and all of them gone.
#[test]
fn what_was_answered_for_is_so_after_a_sigkill() -> Outcome {
    let mut server = Server::start(&[(JULIET, "secret")])?;
    let trust = server.trust()?;
    let enter =
        |server: &Server| Client::session(server.clear, "localhost", &trust, "juliet", "secret");
    let named = |n: usize| format!("a{n:03}@b.example");
    let mut blocked = 0;
    for (change, count) in [
        ("block", 250),
        ("block", 250),
        ("block", 250),
        ("unblock", 1),
        ("unblock", 0),
    ] {
        let mut juliet = enter(&server)?;
        let first = if change == "block" { blocked } else { 0 };
        let addresses: Vec<String> = (first..first + count).map(named).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        juliet.send(&set(change, &addresses))?;
        assert_eq!(words(&juliet.next(PATIENCE)?), "result");
        server.kill()?;
        server.start_again()?;
        let mut juliet = enter(&server)?;
        juliet.send(&get("1"))?;
        let told = words(&juliet.next(PATIENCE)?);
        blocked = match (change, count) {
            ("block", count) => blocked + count,
            (_, 0) => 0,
            (_, count) => blocked - count,
        };
        assert_eq!(told.split(' ').count(), 1 + blocked, "{told}");
    }
    Ok(())
}
