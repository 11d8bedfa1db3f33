//! What an administrator is shown of an account, whatever its owner is doing meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::time::Duration;

use spec_tests::acks::{ENABLE, SM, acknowledge, resume};
use spec_tests::memory::{Fate, StorePace, World};
use spec_tests::talk::Talk;
use spondee_core::jid::BareJid;
use spondee_core::limits::{ACCOUNT_IDLE, LOAD_AGAIN, LOAD_TRIES, STATUS_SHOWN_BYTES};
use spondee_core::port::{
    Availability, Command, CommandError, CommandId, CommandReply, CommandResult, Contacts,
    LastActivity, Line, Show, UserDetails,
};
use spondee_core::sasl::{Form, Status, Tombstones};
use spondee_core::store::{Class, StoreError};
use stage::{Outcome, stream_error, world};

const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";

const DONE: CommandResult = Ok(CommandReply::Done);
const GONE: CommandResult = Err(CommandError::NoSuchUser);
const FAILED: CommandResult = Err(CommandError::Store);

fn jid(account: &str) -> BareJid {
    BareJid::parse(account).unwrap()
}

fn show(account: &str) -> Command {
    Command::Show {
        account: jid(account),
    }
}

fn disable(account: &str) -> Command {
    Command::Disable {
        account: jid(account),
    }
}

fn delete(account: &str) -> Command {
    Command::Delete {
        account: jid(account),
    }
}

fn shown(world: &mut World, account: &str) -> Result<UserDetails, String> {
    details(world.command(show(account)))
}

fn details(result: CommandResult) -> Result<UserDetails, String> {
    match result {
        Ok(CommandReply::User(details)) => Ok(*details),
        other => Err(format!("{other:?}")),
    }
}

/// Nobody is connected to an account of this status.
fn absent(status: Status) -> UserDetails {
    UserDetails {
        status,
        password: Form::Hashed,
        contacts: Contacts::default(),
        last_activity: None,
        devices: Vec::new(),
    }
}

/// Nobody is connected, and the last who was left so long ago.
fn left(ago: Duration, status: Option<&str>) -> UserDetails {
    let status = status.map(str::to_owned);
    UserDetails {
        last_activity: Some(LastActivity { ago, status }),
        ..absent(Status::Enabled)
    }
}

/// Whether the shards have nothing in memory.
fn is_empty(world: &World) -> bool {
    world.residue().iter().flatten().all(|left| *left == 0)
}

/// Accounts in memory beside those that merely stay there for a while, on all shards.
fn owners(world: &World) -> usize {
    world.residue().iter().map(|residue| residue[1]).sum()
}

#[test]
fn each_device_is_shown_with_its_connection_and_presence() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let mut phone = Talk::session(&mut world, ROMEO, "phone")?;
        world.advance(Duration::from_secs(5));
        let mut balcony = Talk::session(&mut world, ROMEO, "balcony")?;
        balcony.send(
            &mut world,
            "<presence><show>xa</show><priority>-7</priority><status>Reading</status>\
             <status xml:lang='it'>Leggo</status></presence>",
        );
        world.advance(Duration::from_secs(60));
        let shown_now = shown(&mut world, ROMEO)?;
        assert_eq!(shown_now.status, Status::Enabled);
        let [first, second] = shown_now.devices.as_slice() else {
            return Err(format!("{shown_now:?}"));
        };
        assert_eq!((&*first.resource, &*second.resource), ("phone", "balcony"));
        assert_eq!(first.availability, Availability::Connected);
        let said = Availability::Available {
            priority: -7,
            show: Some(Show::Xa),
            status: Some("Reading".to_owned()),
        };
        assert_eq!(second.availability, said);
        assert_eq!(first.connected, Duration::from_secs(65));
        assert_eq!(second.connected, Duration::from_secs(60));
        assert_ne!(first.peer, second.peer);
        // Unavailable again: the connection stays.
        balcony.send(&mut world, "<presence type='unavailable'/>");
        phone.send(&mut world, "<presence/>");
        let devices = shown(&mut world, ROMEO)?.devices;
        let said: Vec<_> = devices.into_iter().map(|d| d.availability).collect();
        let plain = Availability::Available {
            priority: 0,
            show: None,
            status: None,
        };
        assert_eq!(said, [plain, Availability::Connected]);
        // Who is not there any more is not shown.
        world.hang_up(balcony.peer());
        assert_eq!(shown(&mut world, ROMEO)?.devices.len(), 1);
    }
    Ok(())
}

/// RFC 6121 §4.7.2.1 and §4.7.2.2, as clients write it that do not keep to them.
#[test]
fn presence_that_says_too_much_or_nothing_sensible_is_shown_as_far_as_it_goes() -> Outcome {
    let mut world = world(1, |_| {});
    let mut romeo = Talk::session(&mut world, ROMEO, "phone")?;
    let long = "\u{e9}".repeat(STATUS_SHOWN_BYTES);
    let cut = format!("{}\u{2026}", "\u{e9}".repeat(STATUS_SHOWN_BYTES / 2));
    for (inside, show, status) in [
        (
            "<show>lunch</show><status> \n </status>".to_owned(),
            None,
            None,
        ),
        ("<show xmlns='x'>dnd</show><status/>".to_owned(), None, None),
        ("<show> dnd </show>".to_owned(), Some(Show::Dnd), None),
        (format!("<status>{long}</status>"), None, Some(cut.as_str())),
        (
            "<status>a\u{202e}&#x9b;b</status>".to_owned(),
            None,
            Some("a\u{202e}\u{9b}b"),
        ),
    ] {
        romeo.send(&mut world, &format!("<presence>{inside}</presence>"));
        let devices = shown(&mut world, ROMEO)?.devices;
        let said = Availability::Available {
            priority: 0,
            show,
            status: status.map(str::to_owned),
        };
        let all: Vec<_> = devices.into_iter().map(|d| d.availability).collect();
        assert_eq!(all, [said], "{inside}");
    }
    Ok(())
}

#[test]
fn what_a_device_does_not_take_is_counted() -> Outcome {
    let mut world = world(1, |_| {});
    let romeo = Talk::session(&mut world, ROMEO, "phone")?;
    let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
    let line =
        |world: &mut World| -> Result<Line, String> { Ok(shown(world, ROMEO)?.devices[0].line) };
    assert_eq!(line(&mut world)?, Line::Here { unread: 0 });
    world.stop_taking(romeo.peer());
    juliet.send(
        &mut world,
        "<message to='romeo@localhost/phone'><body>hello</body></message>",
    );
    let unread = world.owed(romeo.peer());
    assert_eq!(line(&mut world)?, Line::Here { unread });
    assert!(unread > 50, "{unread}");
    Ok(())
}

/// A session with stream management that can be resumed, and its id.
fn managed(world: &mut World, resource: &str) -> Result<(Talk, String), String> {
    let mut talk = Talk::session(world, ROMEO, resource)?;
    talk.send(world, ENABLE);
    let enabled = talk.next(world)?;
    let id = enabled.attribute("id").ok_or("no id")?.to_owned();
    Ok((talk, id))
}

/// XEP-0198 §5.
#[test]
fn a_device_that_lost_its_connection_is_shown_asleep_until_it_is_back_or_its_time_is_over()
-> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let (mut phone, id) = managed(&mut world, "phone")?;
        let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
        phone.send(&mut world, "<presence><priority>-1</priority></presence>");
        let h = phone
            .rest(&mut world)?
            .iter()
            .filter(|e| !e.is(SM, "r"))
            .count();
        let h = u32::try_from(h).unwrap();
        phone.send(&mut world, &acknowledge(h));
        world.advance(Duration::from_secs(60));
        let before = shown(&mut world, ROMEO)?.devices.remove(0);
        assert_eq!(before.line, Line::Here { unread: 0 });
        world.hang_up(phone.peer());
        world.advance(Duration::from_secs(5));
        for _ in 0..3 {
            juliet.send(
                &mut world,
                "<message to='romeo@localhost/phone' type='chat'><body>hello</body></message>",
            );
        }
        let asleep = |lasted, left, waiting| Line::Asleep {
            lasted: Duration::from_secs(lasted),
            left: Duration::from_secs(left),
            waiting,
        };
        let now = shown(&mut world, ROMEO)?;
        assert_eq!(now.last_activity, None);
        let [device] = now.devices.as_slice() else {
            return Err(format!("{now:?}"));
        };
        // It is as it was, but for the connection.
        assert_eq!(device.line, asleep(5, 595, 3));
        assert_eq!(device.peer, before.peer);
        assert_eq!(device.availability, before.availability);
        assert_eq!(device.connected, before.connected + Duration::from_secs(5));
        // Nothing waits any more once it is back.
        let mut again = Talk::connect(&mut world, spondee_core::port::Opening::Tls);
        again.open(&mut world, "localhost")?;
        again.sign_in(&mut world, ROMEO, "secret")?;
        again.send(&mut world, &resume(&id, h));
        assert!(again.next(&mut world)?.is(SM, "resumed"));
        let device = shown(&mut world, ROMEO)?.devices.remove(0);
        assert_eq!(device.line, Line::Here { unread: 0 });
        assert_ne!(device.peer, before.peer);
        assert_eq!(device.connected, before.connected + Duration::from_secs(5));
        // What it never acknowledged waits for it again, for as long as there is any hope.
        world.hang_up(again.peer());
        world.advance(Duration::from_secs(599));
        let device = shown(&mut world, ROMEO)?.devices.remove(0);
        assert_eq!(device.line, asleep(599, 1, 3));
        world.advance(Duration::from_secs(11));
        let over = shown(&mut world, ROMEO)?;
        assert_eq!(over, left(Duration::from_secs(10), None));
        world.is_sound()?;
    }
    Ok(())
}

#[test]
fn an_account_that_is_not_in_memory_is_read_for_it_and_stays_only_for_a_while() -> Outcome {
    let mut world = world(3, |_| {});
    let loads = world.asked(Class::Load);
    assert_eq!(shown(&mut world, ROMEO)?, absent(Status::Enabled));
    assert_eq!(world.asked(Class::Load), loads + 1);
    assert_eq!(owners(&world), 0);
    // It is in memory still, and can be signed in to.
    assert_eq!(shown(&mut world, ROMEO)?, absent(Status::Enabled));
    assert_eq!(world.asked(Class::Load), loads + 1);
    let romeo = Talk::session(&mut world, ROMEO, "phone")?;
    assert_eq!(shown(&mut world, ROMEO)?.devices.len(), 1);
    world.hang_up(romeo.peer());
    world.run();
    world.advance(ACCOUNT_IDLE);
    assert!(is_empty(&world));
    let left = left(ACCOUNT_IDLE, None);
    assert_eq!(shown(&mut world, ROMEO)?, left);
    world.is_sound()
}

#[test]
fn an_account_that_may_not_sign_in_is_shown_and_leaves_memory() -> Outcome {
    let mut world = world(3, |_| {});
    assert_eq!(world.command(disable(ROMEO)), DONE);
    for _ in 0..2 {
        assert_eq!(shown(&mut world, ROMEO)?, absent(Status::Disabled));
        assert!(is_empty(&world));
    }
    let enable = Command::Enable {
        account: jid(ROMEO),
    };
    let answers = world.commands(vec![show(ROMEO), enable, show(ROMEO)]);
    let [before, DONE, after] = answers.as_slice() else {
        return Err(format!("{answers:?}"));
    };
    assert_eq!(details(before.clone())?, absent(Status::Disabled));
    assert_eq!(details(after.clone())?, absent(Status::Enabled));
    Talk::session(&mut world, ROMEO, "phone")?;
    world.is_sound()
}

#[test]
fn who_does_not_exist_is_not_shown_and_not_loaded() -> Outcome {
    let mut world = world(3, |_| {});
    let loads = world.asked(Class::Load);
    assert_eq!(world.command(show("nobody@localhost")), GONE);
    assert_eq!(world.asked(Class::Load), loads);
    let unserved = world.command(show("romeo@far.example"));
    assert_eq!(unserved, Err(CommandError::NoSuchHost));
    // Nor who does not exist any more, or not yet.
    Talk::session(&mut world, ROMEO, "phone")?;
    let add = Command::Add {
        account: jid(ROMEO),
        password: spondee_core::secret::Secret::new(b"secret".to_vec()),
        tombstones: Tombstones::Ignore,
    };
    let answers = world.commands(vec![delete(ROMEO), show(ROMEO), add, show(ROMEO)]);
    assert_eq!(answers[..3], [DONE, GONE, DONE]);
    assert_eq!(details(answers[3].clone())?, absent(Status::Enabled));
    world.is_sound()
}

/// Wherever a sign-in stands, the account is shown with the devices that are bound, and the sign-in comes to its end.
#[test]
fn an_account_is_shown_while_it_loads_for_somebody_else() -> Outcome {
    for shards in [1, 3] {
        for turns in 0..14 {
            let mut world = world(shards, |_| {});
            world.store_pace = StorePace::Slow;
            let mut talk = Talk::connect(&mut world, spondee_core::port::Opening::Tls);
            talk.open(&mut world, "localhost")?;
            let all = [
                spec_tests::talk::plain_auth("romeo", "secret"),
                spec_tests::talk::header("localhost"),
                spec_tests::talk::bind_request("r"),
            ];
            world.write(talk.peer(), all.concat().as_bytes());
            world.turns(turns);
            let answers = world.commands(vec![show(ROMEO), show(ROMEO), show(JULIET)]);
            for answer in answers {
                assert_eq!(details(answer)?.status, Status::Enabled);
            }
            world.run();
            let devices = shown(&mut world, ROMEO)?.devices;
            assert_eq!(devices.len(), 1, "{shards} shards, {turns} turns");
            world.is_sound()?;
        }
    }
    Ok(())
}

#[test]
fn an_account_that_cannot_be_read_is_told_as_such_and_may_be_asked_again() -> Outcome {
    for error in [StoreError::Failed, StoreError::Unknown, StoreError::Busy] {
        for status in [Status::Enabled, Status::Disabled] {
            let mut world = world(3, |_| {});
            if status == Status::Disabled {
                assert_eq!(world.command(disable(ROMEO)), DONE);
            }
            // The record is read, the rest is not.
            world.fates.extend([Fate::Kept, Fate::Failed(error)]);
            assert_eq!(world.command(show(ROMEO)), FAILED);
            assert!(is_empty(&world));
            assert_eq!(shown(&mut world, ROMEO)?, absent(status));
            // The next in line is not answered by what became of the first.
            world.advance(ACCOUNT_IDLE);
            world.fates.extend([Fate::Kept, Fate::Failed(error)]);
            let answers = world.commands(vec![show(ROMEO), show(ROMEO), show(ROMEO)]);
            assert_eq!(answers[0], FAILED);
            for answer in &answers[1..] {
                assert_eq!(details(answer.clone())?, absent(status));
            }
            world.advance(ACCOUNT_IDLE);
            assert!(is_empty(&world), "{:?}", world.residue());
            world.is_sound()?;
        }
    }
    let mut world = world(1, |_| {});
    world.fates.push_back(Fate::Failed(StoreError::Busy));
    assert_eq!(world.command(show(ROMEO)), Err(CommandError::Busy));
    world.fates.push_back(Fate::Failed(StoreError::Unknown));
    assert_eq!(world.command(show(ROMEO)), FAILED);
    world.is_sound()
}

/// An account whose deletion failed is still there, and so is its record.
#[test]
fn an_account_that_could_not_be_deleted_is_shown() -> Outcome {
    for error in [StoreError::Failed, StoreError::Busy] {
        let mut world = world(3, |_| {});
        let mut phone = Talk::session(&mut world, ROMEO, "phone")?;
        // The record is read.
        let fates = [Fate::Kept, Fate::Failed(error)];
        world.fates.extend(fates);
        let answers = world.commands(vec![delete(ROMEO), show(ROMEO)]);
        assert!(answers[0].is_err(), "{answers:?}");
        let ended = stream_error(&mut world, &mut phone)?;
        assert_eq!(ended, "not-authorized");
        let left = left(Duration::ZERO, None);
        assert_eq!(details(answers[1].clone())?, left);
        assert_eq!(owners(&world), 0);
        Talk::session(&mut world, ROMEO, "phone")?;
        world.is_sound()?;
    }
    Ok(())
}

/// A contact of this account is to be added.
fn add_contact(world: &mut World, talk: &Talk, contact: &str) {
    let set = format!(
        "<iq id='1' type='set'><query xmlns='jabber:iq:roster'><item jid='{contact}'/></query></iq>"
    );
    world.write(talk.peer(), set.as_bytes());
}

#[test]
fn contacts_are_counted_in_memory_and_on_disk() -> Outcome {
    let mut world = world(3, |_| {});
    let phone = Talk::session(&mut world, ROMEO, "phone")?;
    for (count, contact) in (1..).zip(["a@x", "b@x", "c@x"]) {
        add_contact(&mut world, &phone, contact);
        world.run();
        assert_eq!(shown(&mut world, ROMEO)?.contacts.count(), count);
    }
    world.hang_up(phone.peer());
    world.advance(ACCOUNT_IDLE + Duration::from_secs(1));
    assert!(is_empty(&world));
    assert_eq!(shown(&mut world, ROMEO)?.contacts.count(), 3);
    assert_eq!(world.command(disable(ROMEO)), DONE);
    assert_eq!(shown(&mut world, ROMEO)?.contacts.count(), 3);
    world.is_sound()
}

/// RFC 6121 §2.1.2.5 and §3.1.3.
#[test]
fn contacts_are_counted_by_who_sees_whose_presence() -> Outcome {
    let mut world = world(3, |_| {});
    let mut romeo = Talk::session(&mut world, ROMEO, "phone")?;
    let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
    let presence = |kind: &str, to: &str| format!("<presence type='{kind}' to='{to}'/>");
    add_contact(&mut world, &romeo, "nurse@localhost");
    juliet.send(&mut world, &presence("subscribe", ROMEO));
    let mut seen = Vec::new();
    let mut look = |world: &mut World| -> Outcome {
        let (romeo, juliet) = (shown(world, ROMEO)?, shown(world, JULIET)?);
        seen.push((romeo.contacts, juliet.contacts));
        Ok(())
    };
    look(&mut world)?;
    romeo.send(&mut world, &presence("subscribed", JULIET));
    look(&mut world)?;
    romeo.send(&mut world, &presence("subscribe", JULIET));
    look(&mut world)?;
    juliet.send(&mut world, &presence("subscribed", ROMEO));
    look(&mut world)?;
    let of = |none, to, from, both, requests| Contacts {
        none,
        to,
        from,
        both,
        requests,
        blocked: 0,
    };
    let expected = [
        (of(1, 0, 0, 0, 1), of(1, 0, 0, 0, 0)),
        (of(1, 0, 1, 0, 0), of(0, 1, 0, 0, 0)),
        (of(1, 0, 1, 0, 0), of(0, 1, 0, 0, 1)),
        (of(1, 0, 0, 1, 0), of(0, 0, 0, 1, 0)),
    ];
    assert_eq!(seen, expected);
    assert_eq!(seen[0].0.count(), 1, "a request alone is no contact");
    // XEP-0191 §3.3: who is blocked stays a contact.
    let block = "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/><item jid='verona.example'/>\
                 </block></iq>";
    juliet.send(&mut world, block);
    let blocking = Contacts {
        blocked: 2,
        ..expected[3].1
    };
    assert_eq!(shown(&mut world, JULIET)?.contacts, blocking);
    world.is_sound()
}

#[test]
fn of_who_is_away_the_end_of_the_last_session_is_shown() -> Outcome {
    for pause in [Duration::from_secs(5), ACCOUNT_IDLE * 2] {
        let mut world = world(3, |_| {});
        let mut phone = Talk::session(&mut world, ROMEO, "phone")?;
        assert_eq!(shown(&mut world, ROMEO)?.last_activity, None);
        phone.send(
            &mut world,
            "<presence type='unavailable'><status>Heading Home</status></presence></stream:stream>",
        );
        world.advance(pause);
        let said = left(pause, Some("Heading Home"));
        assert_eq!(shown(&mut world, ROMEO)?, said);
        // Who comes back is shown with what is there now.
        let phone = Talk::session(&mut world, ROMEO, "phone")?;
        assert_eq!(shown(&mut world, ROMEO)?.last_activity, None);
        world.hang_up(phone.peer());
        world.run();
        let cut = left(Duration::ZERO, None);
        assert_eq!(shown(&mut world, ROMEO)?, cut);
        world.is_sound()?;
    }
    Ok(())
}

/// Nobody is shown what is not on disk: whoever asks meanwhile waits for what becomes of it.
#[test]
fn an_account_that_commits_is_shown_as_it_is_afterwards() -> Outcome {
    for (fate, contacts) in [(Fate::Kept, 1), (Fate::Failed(StoreError::Failed), 0)] {
        let mut world = world(1, |_| {});
        let phone = Talk::session(&mut world, ROMEO, "phone")?;
        world.store_pace = StorePace::Slow;
        world.fates.push_back(fate);
        add_contact(&mut world, &phone, "a@x");
        world.step_all_but_commits();
        let commit = world.batches();
        world.post_command(CommandId(7), show(ROMEO));
        world.step_all_but_commits();
        // The record may be read before the commit is done, or after it: the answer is behind both.
        assert_eq!((commit, world.batches()), (1, 2));
        assert!(world.take_answers().is_empty());
        world.run();
        let answers = world.take_answers();
        let [(CommandId(7), answer)] = answers.as_slice() else {
            return Err(format!("{answers:?}"));
        };
        let details = details(answer.clone())?;
        assert_eq!(
            (details.contacts.count(), details.devices.len()),
            (contacts, 1)
        );
        world.is_sound()?;
    }
    Ok(())
}

/// With somebody signed in it is tried again; whoever asks waits for that, and hears of the last failure.
#[test]
fn an_account_that_is_read_again_is_shown_then() -> Outcome {
    for failures in 1..=LOAD_TRIES {
        let mut world = world(1, |_| {});
        let phone = Talk::session(&mut world, ROMEO, "phone")?;
        // The change fails, and so does what is read after it. The record is read between.
        let failed = Fate::Failed(StoreError::Failed);
        world.fates.extend([failed, failed, Fate::Kept]);
        world.fates.extend((1..failures).map(|_| failed));
        add_contact(&mut world, &phone, "a@x");
        world.run();
        world.post_command(CommandId(7), show(ROMEO));
        world.run();
        assert!(world.take_answers().is_empty());
        for _ in 0..failures.min(LOAD_TRIES - 1) {
            assert!(world.take_answers().is_empty());
            world.advance(LOAD_AGAIN);
            world.run();
        }
        let answers = world.take_answers();
        let [(CommandId(7), answer)] = answers.as_slice() else {
            return Err(format!("{answers:?}"));
        };
        if failures < LOAD_TRIES {
            assert_eq!(details(answer.clone())?.devices.len(), 1);
        } else {
            assert_eq!(*answer, FAILED);
            assert!(
                world
                    .take_received(phone.peer())
                    .ends_with(b"</stream:stream>")
            );
        }
        assert_eq!(world.fates.len(), 0);
        world.is_sound()?;
    }
    Ok(())
}
