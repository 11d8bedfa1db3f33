//! When somebody was there last, and what an account can do: who may know that, and that nobody else learns anything (XEP-0012, XEP-0030
//! §8, XEP-0115).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "no stream ends by an error")]
mod stage;

use std::time::Duration;

use spec_tests::element::{CLIENT, Element};
use spec_tests::memory::{Fate, StorePace, World};
use spec_tests::talk::Talk;
use spondee_core::jid::BareJid;
use spondee_core::limits::ACCOUNT_IDLE;
use spondee_core::port::{Command, CommandError, CommandReply};
use spondee_core::roster::{ROSTER, ROSTER_VERSION};
use spondee_core::store::{Class, Expect, Field, Row, StoreError};
use stage::{Outcome, world};

const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";
const NURSE: &str = "nurse@localhost";
/// As long as Juliet's name.
const NOBODY: &str = "joliet@localhost";

const LAST: &str = "jabber:iq:last";
const INFO: &str = "http://jabber.org/protocol/disco#info";
const ITEMS: &str = "http://jabber.org/protocol/disco#items";

fn jid(account: &str) -> BareJid {
    BareJid::parse(account).unwrap()
}

/// Somebody's contact from the beginning, in this state.
fn contact(world: &mut World, account: &str, contact: &str, subscription: &str) {
    let mut row = vec![const { Field::Absent }; ROSTER.width()];
    row[0] = Field::text(contact);
    row[2] = Field::text(subscription);
    world.keep(jid(account), &ROSTER, Row(row), Expect::Anything);
    let version = Row(vec![Field::Int(1)]);
    world.keep(jid(account), &ROSTER_VERSION, version, Expect::Anything);
}

/// Juliet, whose presence Romeo sees, and the Nurse does not.
fn verona(shards: u16) -> World {
    let mut world = world(shards, |_| {});
    contact(&mut world, JULIET, ROMEO, "from");
    contact(&mut world, JULIET, NURSE, "to");
    world
}

fn request(to: &str, ns: &str) -> String {
    format!("<iq type='get' id='q' to='{to}'><query xmlns='{ns}'/></iq>")
}

/// What is answered to a request; other stanzas on the way are left out.
fn ask(world: &mut World, talk: &mut Talk, to: &str, ns: &str) -> Result<Element, String> {
    talk.send(world, &request(to, ns));
    let answers = talk.rest(world)?;
    let mut answers = answers.into_iter().filter(|answer| answer.name == "iq");
    match (answers.next(), answers.next()) {
        (Some(answer), None) => Ok(answer),
        other => Err(format!("{other:?}")),
    }
}

/// The same in a few words: seconds and status, or the condition.
fn last(world: &mut World, talk: &mut Talk, to: &str) -> Result<String, String> {
    let answer = ask(world, talk, to, LAST)?;
    if answer.attribute("type") == Some("error") {
        let error = answer.child(CLIENT, "error").ok_or("no error")?;
        return Ok(error.condition().ok_or("no condition")?.to_owned());
    }
    let query = answer.child(LAST, "query").ok_or("no query")?;
    let seconds = query.attribute("seconds").ok_or("no seconds")?;
    Ok(format!("{seconds} {}", query.text()).trim().to_owned())
}

fn leave(world: &mut World, mut talk: Talk) {
    talk.send(world, "</stream:stream>");
    world.run();
}

const MINUTE: Duration = Duration::from_secs(60);

/// XEP-0012 §3.
#[test]
fn a_contact_hears_when_who_is_away_left_and_what_was_said_at_last() -> Outcome {
    for shards in [1, 3] {
        let mut world = verona(shards);
        let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
        assert_eq!(last(&mut world, &mut romeo, JULIET)?, "0");
        juliet.send(
            &mut world,
            "<presence><status>On the balcony</status></presence>",
        );
        assert_eq!(last(&mut world, &mut romeo, JULIET)?, "0");
        juliet.send(
            &mut world,
            "<presence type='unavailable'><status>Heading &lt;Home&gt;</status>\
             <status xml:lang='it'>A casa</status></presence>",
        );
        // A connected resource is enough.
        assert_eq!(last(&mut world, &mut romeo, JULIET)?, "0");
        world.advance(MINUTE);
        leave(&mut world, juliet);
        assert_eq!(last(&mut world, &mut romeo, JULIET)?, "0 Heading <Home>");
        // Whether it is still in memory or has to be read; and after a restart.
        world.advance(Duration::from_secs(903));
        assert_eq!(last(&mut world, &mut romeo, JULIET)?, "903 Heading <Home>");
        world.crash();
        let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        world.advance(MINUTE);
        assert_eq!(last(&mut world, &mut romeo, JULIET)?, "963 Heading <Home>");
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn the_session_that_ends_last_is_the_one_that_counts() -> Outcome {
    let mut world = verona(1);
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut first = Talk::session(&mut world, JULIET, "balcony")?;
    let mut second = Talk::session(&mut world, JULIET, "chamber")?;
    first.send(
        &mut world,
        "<presence type='unavailable'><status>Good night</status></presence>",
    );
    leave(&mut world, first);
    world.advance(MINUTE);
    assert_eq!(last(&mut world, &mut romeo, JULIET)?, "0");
    // Cut off: nothing was said.
    second.send(&mut world, "<presence/>");
    world.hang_up(second.peer());
    world.advance(MINUTE);
    assert_eq!(last(&mut world, &mut romeo, JULIET)?, "60");
    // What was said before it became available again is no farewell.
    let mut third = Talk::session(&mut world, JULIET, "balcony")?;
    third.send(
        &mut world,
        "<presence type='unavailable'><status>Good night</status></presence><presence/>",
    );
    world.hang_up(third.peer());
    world.run();
    assert_eq!(last(&mut world, &mut romeo, JULIET)?, "0");
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// XEP-0012 §3 and §8: "only to those entities that have permission to view the user's presence via a presence subscription".
#[test]
fn only_who_sees_the_presence_may_ask() -> Outcome {
    for is_there in [false, true] {
        for (subscription, answer) in [
            ("none", "service-unavailable"),
            ("to", "service-unavailable"),
            ("from", "0"),
            ("both", "0"),
            ("", "service-unavailable"),
        ] {
            let mut world = world(3, |_| {});
            if !subscription.is_empty() {
                contact(&mut world, JULIET, ROMEO, subscription);
            }
            let juliet = Talk::session(&mut world, JULIET, "balcony")?;
            if !is_there {
                leave(&mut world, juliet);
            }
            let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
            let told = last(&mut world, &mut romeo, JULIET)?;
            assert_eq!(told, answer, "{subscription}, there: {is_there}");
            let info = ask(&mut world, &mut romeo, JULIET, INFO)?;
            let is_told = info.attribute("type") == Some("result");
            assert_eq!(is_told, answer == "0", "{subscription}: {info}");
            let items = ask(&mut world, &mut romeo, JULIET, ITEMS)?;
            let items = items.child(ITEMS, "query").ok_or("no items")?;
            assert_eq!(items.children().count(), 0);
        }
    }
    Ok(())
}

/// `Choice:` there is no number that would be true.
#[test]
fn of_who_never_signed_in_nothing_is_known() -> Outcome {
    let mut world = verona(1);
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let told = last(&mut world, &mut romeo, JULIET)?;
    assert_eq!(told, "service-unavailable");
    // An account that is made again inherits nothing.
    let juliet = Talk::session(&mut world, JULIET, "balcony")?;
    leave(&mut world, juliet);
    let done = Ok(CommandReply::Done);
    let delete = Command::Delete {
        account: jid(JULIET),
    };
    assert_eq!(world.command(delete), done);
    world.add_user(JULIET, "secret");
    contact(&mut world, JULIET, ROMEO, "from");
    let told = last(&mut world, &mut romeo, JULIET)?;
    assert_eq!(told, "service-unavailable");
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// What the whole server did while somebody asked, and what it answered, with Juliet's name for whoever was asked.
fn trace(asker: &str, to: &str, ns: &str, juliet_is: Juliet) -> Result<String, String> {
    let mut world = verona(1);
    let mut asker = Talk::session(&mut world, asker, "hall")?;
    let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
    juliet.send(&mut world, BLOCK_ROMEO);
    juliet.send(&mut world, "<presence/>");
    match juliet_is {
        Juliet::There => {}
        Juliet::JustLeft => leave(&mut world, juliet),
        Juliet::Away => {
            leave(&mut world, juliet);
            world.advance(ACCOUNT_IDLE + MINUTE);
        }
    }
    world.take_received(asker.peer());
    let before = world.logs()[0].transcript().len();
    for _ in 0..3 {
        asker.send(&mut world, &request(to, ns));
    }
    world.take_received(asker.peer());
    assert_eq!(world.is_sound(), Ok(()));
    let trace = &world.logs()[0].transcript()[before..];
    assert!(trace.contains("<iq "), "{trace}");
    // When an idle account leaves memory is a deadline of the server's own.
    let lines = trace
        .lines()
        .filter(|line| !line.starts_with("Some(Instant("));
    let mut trace = lines.collect::<Vec<_>>().join("\n").replace(to, JULIET);
    // How many loads came before: the store does not look at it.
    for tenure in 0..99 {
        trace = trace.replace(&format!("tenure: {tenure},"), "tenure: _,");
    }
    Ok(trace)
}

const BLOCK_ROMEO: &str = "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></block></iq>";

#[derive(Clone, Copy, Debug)]
enum Juliet {
    /// She is available.
    There,
    /// Her account is still in memory.
    JustLeft,
    /// It is not.
    Away,
}

/// RFC 6120 §13.11: neither by the bytes nor by what the server does for them, however often it is asked.
#[test]
fn a_stranger_cannot_tell_who_is_there_who_is_away_and_who_does_not_exist() -> Outcome {
    nothing_is_told(NURSE)
}

/// XEP-0191 §3.3: nor who is blocked, contact or not, from the moment on when that is on disk.
#[test]
fn who_is_blocked_cannot_tell_it_either() -> Outcome {
    nothing_is_told(ROMEO)
}

fn nothing_is_told(asker: &str) -> Outcome {
    for ns in [LAST, INFO, ITEMS] {
        for juliet_is in [Juliet::There, Juliet::JustLeft, Juliet::Away] {
            let unknown = trace(asker, NOBODY, ns, juliet_is)?;
            let known = trace(asker, JULIET, ns, juliet_is)?;
            assert_eq!(known, unknown, "{ns}, {juliet_is:?}");
        }
    }
    Ok(())
}

/// XEP-0012 §4.
#[test]
fn a_client_is_asked_by_who_sees_its_presence_and_by_nobody_else() -> Outcome {
    let mut world = verona(3);
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut nurse = Talk::session(&mut world, NURSE, "hall")?;
    let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
    let mut chamber = Talk::session(&mut world, JULIET, "chamber")?;
    let balcony = format!("{JULIET}/balcony");
    for asker in [&mut romeo, &mut chamber] {
        asker.send(&mut world, &request(&balcony, LAST));
        let asked = juliet.next(&mut world)?;
        let from = asked.attribute("from").ok_or("no sender")?;
        juliet.send(
            &mut world,
            &format!(
                "<iq type='result' id='q' to='{from}'><query xmlns='{LAST}' seconds='123'/></iq>"
            ),
        );
        let answer = asker.next(&mut world)?;
        let query = answer.child(LAST, "query").ok_or("no query")?;
        assert_eq!(query.attribute("seconds"), Some("123"));
    }
    let refused = ask(&mut world, &mut nurse, &balcony, LAST)?.to_string();
    assert_eq!(juliet.rest(&mut world)?, []);
    // As where there is no such resource, and no such account.
    for other in ["/banister", "/bathroom"] {
        let other = format!("{JULIET}{other}");
        let there = ask(&mut world, &mut nurse, &other, LAST)?.to_string();
        assert_eq!(there.replace(&other, &balcony), refused);
    }
    let nobody = format!("{NOBODY}/balcony");
    let nowhere = ask(&mut world, &mut nurse, &nobody, LAST)?.to_string();
    assert_eq!(nowhere.replace(&nobody, &balcony), refused);
    Ok(())
}

/// Nobody waits for it, and what becomes of it changes nothing for who asks.
#[test]
fn the_end_of_a_session_is_kept_without_anybody_waiting_for_it() -> Outcome {
    let mut world = verona(1);
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let (appends, changes) = (world.asked(Class::Append), world.asked(Class::Change));
    // Who comes back within a minute has nothing put.
    for words in ["Zero", "One"] {
        let juliet = Talk::session(&mut world, JULIET, "balcony")?;
        juliet_leaves(&mut world, juliet, words);
        assert_eq!(last(&mut world, &mut romeo, JULIET)?, format!("0 {words}"));
        assert_eq!(world.asked(Class::Append), appends);
    }
    world.store_pace = StorePace::Slow;
    world.advance(ACCOUNT_IDLE);
    assert_eq!(world.asked(Class::Append), appends + 1);
    assert_eq!(world.asked(Class::Change), changes);
    world.store_pace = StorePace::Prompt;
    let told = last(&mut world, &mut romeo, JULIET)?;
    assert!(told.ends_with(" One"), "{told}");
    // One that the store does not take is known until the account leaves memory. Then there is the one before.
    let juliet = Talk::session(&mut world, JULIET, "balcony")?;
    world.advance(MINUTE);
    juliet_leaves(&mut world, juliet, "Two");
    assert_eq!(last(&mut world, &mut romeo, JULIET)?, "0 Two");
    world.fates.push_back(Fate::Failed(StoreError::Full));
    world.advance(ACCOUNT_IDLE + MINUTE);
    let told = last(&mut world, &mut romeo, JULIET)?;
    assert!(told.ends_with(" One"), "{told}");
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// It is on the disk, and not in memory alone.
#[test]
fn the_end_of_a_session_outlives_a_server_that_stops_and_an_account_that_is_disabled() -> Outcome {
    let mut world = verona(2);
    let juliet = Talk::session(&mut world, JULIET, "balcony")?;
    juliet_leaves(&mut world, juliet, "One");
    world.post_shutdown();
    world.run();
    assert!(world.is_at_rest());
    world.crash();
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let told = last(&mut world, &mut romeo, JULIET)?;
    assert!(told.ends_with(" One"), "{told}");
    // One that was there when it stopped.
    let _juliet = Talk::session(&mut world, JULIET, "balcony")?;
    world.advance(MINUTE);
    world.post_shutdown();
    world.run();
    world.advance(MINUTE);
    assert!(world.is_at_rest());
    world.crash();
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    assert_eq!(last(&mut world, &mut romeo, JULIET)?, "60");
    let juliet = Talk::session(&mut world, JULIET, "balcony")?;
    juliet_leaves(&mut world, juliet, "Two");
    let account = jid(JULIET);
    assert!(world.command(Command::Disable { account }).is_ok());
    world.crash();
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    assert_eq!(last(&mut world, &mut romeo, JULIET)?, "0 Two");
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// What is in memory of it stays there, where a change that fails has the rest read again.
#[test]
fn the_end_of_a_session_outlives_a_change_that_fails() -> Outcome {
    let mut world = verona(1);
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let juliet = Talk::session(&mut world, JULIET, "balcony")?;
    juliet_leaves(&mut world, juliet, "One");
    world.fates.push_back(Fate::Failed(StoreError::Full));
    romeo.send(
        &mut world,
        "<presence type='unsubscribe' to='juliet@localhost'/>",
    );
    romeo.send(
        &mut world,
        "<presence type='subscribe' to='juliet@localhost'/>",
    );
    world.run();
    world.advance(ACCOUNT_IDLE + MINUTE);
    world.crash();
    let account = jid(JULIET);
    let Ok(CommandReply::User(shown)) = world.command(Command::Show { account }) else {
        return Err("nothing is shown".to_owned());
    };
    assert!(format!("{shown:?}").contains("One"), "{shown:?}");
    Ok(())
}

/// Who cannot be deleted because the disk is full has left memory for that, and is still there.
#[test]
fn the_end_of_a_session_outlives_an_account_that_is_not_deleted() -> Outcome {
    for has_contacts in [true, false] {
        for is_there in [true, false] {
            // It is that they are told which fails, or that all goes which she keeps.
            let mut world = match has_contacts {
                true => verona(1),
                false => world(1, |_| {}),
            };
            let juliet = Talk::session(&mut world, JULIET, "balcony")?;
            if !is_there {
                leave(&mut world, juliet);
            }
            let fates = [Fate::Kept, Fate::Failed(StoreError::Full)];
            world.fates.extend(fates);
            let account = jid(JULIET);
            let failed = world.command(Command::Delete { account });
            assert_eq!(failed, Err(CommandError::Full));
            world.crash();
            let account = jid(JULIET);
            let Ok(CommandReply::User(shown)) = world.command(Command::Show { account }) else {
                return Err("nothing is shown".to_owned());
            };
            assert!(
                shown.last_activity.is_some(),
                "{has_contacts}, there: {is_there}"
            );
        }
    }
    Ok(())
}

fn juliet_leaves(world: &mut World, mut talk: Talk, words: &str) {
    talk.send(
        world,
        &format!(
            "<presence type='unavailable'><status>{words}</status></presence></stream:stream>"
        ),
    );
}

/// XEP-0012 §5.
#[test]
fn a_host_tells_anybody_for_how_long_it_has_been_running() -> Outcome {
    let mut world = verona(3);
    let mut nurse = Talk::session(&mut world, NURSE, "hall")?;
    let seconds = |told: String| told.parse::<u64>().map_err(|e| format!("{told}: {e}"));
    let before = seconds(last(&mut world, &mut nurse, "localhost")?)?;
    world.advance(MINUTE);
    let after = seconds(last(&mut world, &mut nurse, "localhost")?)?;
    assert_eq!(after, before + 60);
    Ok(())
}

/// XEP-0115 §5: who hears presence, hears what its client can do, as that client says it.
#[test]
fn capabilities_come_with_presence_as_they_were_said() -> Outcome {
    let mut world = verona(3);
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    contact(&mut world, ROMEO, JULIET, "to");
    romeo.send(&mut world, "<presence/>");
    world.crash();
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
    romeo.send(&mut world, "<presence/>");
    romeo.rest(&mut world)?;
    let caps = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://code.google.com/p/exodus' \
                ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>";
    juliet.send(&mut world, &format!("<presence>{caps}</presence>"));
    let received = world.take_received(romeo.peer());
    let received = String::from_utf8(received).map_err(|e| e.to_string())?;
    assert!(received.contains(caps), "{received}");
    // Who becomes available later hears the same.
    let mut chamber = Talk::session(&mut world, ROMEO, "chamber")?;
    chamber.rest(&mut world)?;
    chamber.send(&mut world, "<presence/>");
    let received = world.take_received(chamber.peer());
    let received = String::from_utf8(received).map_err(|e| e.to_string())?;
    assert!(received.contains(caps), "{received}");
    // What it means, that client tells to whoever asks it.
    let balcony = format!("{JULIET}/balcony");
    romeo.send(&mut world, &request(&balcony, INFO));
    let asked = juliet.rest(&mut world)?;
    assert!(asked.iter().any(|iq| iq.child(INFO, "query").is_some()));
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}
