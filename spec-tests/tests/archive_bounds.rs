//! What accounts have archived stays within its bounds, whoever sends and however often accounts leave memory in between.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use spec_tests::memory::{World, archiving};
use spec_tests::talk::Talk;
use spondee_core::limits::ACCOUNT_IDLE;

const JULIET: &str = "juliet@localhost";
const ROMEO: &str = "romeo@localhost";

fn world(max_messages: u64, max_bytes: u64) -> World {
    let mut world = World::new(archiving(|archive| {
        archive.max_messages = max_messages;
        archive.max_bytes = max_bytes;
    }));
    for user in [JULIET, ROMEO] {
        world.add_user(user, "secret");
    }
    world
}

fn message(number: usize) -> String {
    format!(
        "<message to='{ROMEO}' id='m{number}' type='chat'><body>number {number:05}</body></message>"
    )
}

/// What this client has been told since it was last asked.
fn told(world: &mut World, talk: &Talk) -> String {
    String::from_utf8(world.take_received(talk.peer())).unwrap()
}

fn send(world: &mut World, talk: &Talk, numbers: std::ops::Range<usize>) {
    for number in numbers {
        world.write(talk.peer(), message(number).as_bytes());
        world.run();
    }
}

/// How many there are, and the oldest.
fn archived(world: &mut World, talk: &Talk) -> (usize, usize) {
    told(world, talk);
    let set = "<set xmlns='http://jabber.org/protocol/rsm'>";
    for (id, max) in [("count", 0), ("first", 1)] {
        let query = format!(
            "<iq id='{id}' type='set'><query xmlns='urn:xmpp:mam:2'>{set}<max>{max}</max></set></query></iq>"
        );
        world.write(talk.peer(), query.as_bytes());
        world.run();
    }
    let told = told(world, talk);
    let between = |from: &str, to: &str| {
        let (_, rest) = told.split_once(from).unwrap();
        let (number, _) = rest.split_once(to).unwrap();
        number.parse().unwrap()
    };
    (
        between("<count>", "</count>"),
        between("number ", "</body>"),
    )
}

#[test]
fn the_newest_messages_stay_on_both_sides() {
    let bytes = u64::try_from(message(0).len()).unwrap() * 2 * 100;
    for (max_messages, max_bytes) in [(100, u64::MAX), (1_000_000, bytes)] {
        let mut world = world(max_messages, max_bytes);
        let romeo = Talk::session(&mut world, ROMEO, "r").unwrap();
        let juliet = Talk::session(&mut world, JULIET, "j").unwrap();
        send(&mut world, &juliet, 0..500);
        for talk in [&romeo, &juliet] {
            let (count, oldest) = archived(&mut world, talk);
            assert!(count + oldest == 500, "no holes: {count} from {oldest} on");
            assert!((50..=230).contains(&count), "{count}");
            if max_messages == 100 {
                assert!((100..=107).contains(&count), "{count}");
            }
        }
    }
}

#[test]
fn what_is_counted_is_not_forgotten_when_an_account_leaves_memory() {
    let mut world = world(100, u64::MAX);
    let mut sent = 0;
    for _ in 0..40 {
        // Fewer than are counted before the count is kept.
        let juliet = Talk::session(&mut world, JULIET, "j").unwrap();
        send(&mut world, &juliet, sent..sent + 10);
        sent += 10;
        world.hang_up(juliet.peer());
        world.run();
        world.advance(ACCOUNT_IDLE + Duration::from_secs(1));
        let owners: usize = world.residue().iter().map(|left| left[1]).sum();
        assert_eq!(owners, 0, "nobody is in memory");
    }
    let juliet = Talk::session(&mut world, JULIET, "j").unwrap();
    let (count, oldest) = archived(&mut world, &juliet);
    assert_eq!(count + oldest, sent);
    assert!((100..=107).contains(&count), "{count}");
}
