//! Many streams end for one reason, because the server stops (RFC 6120 §4.9.3.20) or a host is gone (§4.9.3.5): a few in each turn, and whoever
//! stays is served between.

mod stage;

use std::time::Duration;

use spec_tests::memory::{Bounds, Ended, Peer, Step, StorePace, World, config};
use spec_tests::talk::{Talk, header, plain_auth};
use spondee_core::config::Config;
use spondee_core::jid::{BareJid, Domain};
use spondee_core::limits::{ACCOUNT_IDLE, ENDINGS_PER_TICK, Limits, StoreCredit};
use spondee_core::port::{Closed, Command, CommandId, Input, Opening};
use spondee_core::store::Class;
use stage::{Outcome, stream_error, world};

const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";
const TYBALT: &str = "tybalt@other.test";
const END: &str = "</stream:stream>";
const PING: &str = "<iq type='get' to='localhost' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";

/// Sessions of one account and another.
fn crowd(world: &mut World, name: &str, host: &str, count: usize) -> Result<Vec<Talk>, String> {
    let mut crowd = Vec::new();
    for number in 0..count {
        let account = format!("{name}{}@{host}", number / 10);
        if number % 10 == 0 {
            world.add_user(&account, "secret");
        }
        crowd.push(Talk::session(world, &account, &format!("r{number}"))?);
    }
    Ok(crowd)
}

fn without_other_host() -> Config {
    let mut config = config();
    config
        .hosts
        .remove(&Domain::parse("other.test").expect("a domain"));
    config
}

/// The next letter reaches the shard, as an order does.
fn order(world: &mut World) {
    world.step(Step::Letter(0));
    world.step(Step::Drain(0));
}

fn turn(world: &mut World) {
    world.tick_at_once();
    world.step(Step::Drain(0));
}

/// What this client writes is read in a turn of its own.
fn read(world: &mut World, peer: Peer, xml: &str) {
    world.write(peer, xml.as_bytes());
    world.step(Step::Read(peer));
    world.step(Step::Drain(0));
}

fn told(world: &mut World, peer: Peer) -> String {
    String::from_utf8_lossy(&world.take_received(peer)).into_owned()
}

/// Those of the crowd that were told `condition` and a closing tag since this was last asked.
fn ended(world: &mut World, crowd: &[Talk], condition: &str) -> Vec<usize> {
    let mut ended = Vec::new();
    for (number, one) in crowd.iter().enumerate() {
        let told = told(world, one.peer());
        if told.ends_with(END) {
            assert!(told.contains(condition), "{told}");
            ended.push(number);
        }
    }
    ended
}

#[test]
fn a_host_that_goes_ends_its_streams_a_few_in_a_turn_and_others_are_served_between() -> Outcome {
    let count = 2 * ENDINGS_PER_TICK + 10;
    let mut world = world(1, |_| {});
    let crowd = crowd(&mut world, "guest", "other.test", count)?;
    let romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    world.post_reload(without_other_host());
    order(&mut world);
    let mut order = Vec::new();
    let mut turns = Vec::new();
    while order.len() < count {
        turn(&mut world);
        let now = ended(&mut world, &crowd, "<host-gone ");
        turns.push(now.len());
        order.extend(now);
        read(&mut world, romeo.peer(), PING);
        let told = told(&mut world, romeo.peer());
        assert!(told.contains("type='result'"), "{told}");
        assert!(turns.len() < 9, "{turns:?}");
    }
    assert_eq!(turns, [ENDINGS_PER_TICK, ENDINGS_PER_TICK, 10]);
    // Each once, those first who came first.
    assert!(order.is_sorted(), "{order:?}");
    world.run();
    assert_eq!(world.ended(romeo.peer()), None);
    Ok(())
}

/// A server of which one stream ends in each turn.
fn one_by_one() -> World {
    bounded(Bounds {
        credit: StoreCredit::of_one(1),
        idle: 9,
        endings: 1,
    })
}

fn bounded(bounds: Bounds) -> World {
    let mut config = config();
    config.shards = 1;
    let mut world = World::with_bounds(config, 0, bounds);
    for account in stage::CAST {
        world.add_user(account, "secret");
    }
    world
}

#[test]
fn a_server_that_stops_is_not_at_rest_before_all_have_ended_and_are_on_disk() -> Outcome {
    let mut world = one_by_one();
    let crowd = crowd(&mut world, "guest", "localhost", 5)?;
    world.store_pace = StorePace::Slow;
    world.post_shutdown();
    order(&mut world);
    for number in 0..crowd.len() {
        assert!(!world.is_at_rest());
        turn(&mut world);
        assert_eq!(ended(&mut world, &crowd, "<system-shutdown "), [number]);
        // It answers, and its connection is over.
        read(&mut world, crowd[number].peer(), END);
        world.step_all_but_commits();
    }
    assert!(!world.is_at_rest(), "when they left is not on disk");
    world.store_pace = StorePace::Prompt;
    world.run();
    assert!(world.is_at_rest());
    Ok(())
}

#[test]
fn what_a_stream_says_that_waits_for_its_end_is_not_heard() -> Outcome {
    for broken in [false, true] {
        let mut world = one_by_one();
        let _first = crowd(&mut world, "guest", "other.test", 1)?;
        let tybalt = Talk::session(&mut world, TYBALT, "r")?;
        let romeo = Talk::session(&mut world, ROMEO, "r")?;
        world.post_reload(without_other_host());
        order(&mut world);
        let message = "<message to='romeo@localhost/r' type='chat'><body>Draw</body></message>";
        read(&mut world, tybalt.peer(), message);
        // Another is served meanwhile.
        read(&mut world, romeo.peer(), PING);
        if broken {
            // Its connection breaks before its turn comes: it is not heard for that.
            world.cut(tybalt.peer());
            order(&mut world);
        }
        world.run();
        let told_romeo = told(&mut world, romeo.peer());
        assert!(told_romeo.contains("type='result'"), "{told_romeo}");
        assert!(!told_romeo.contains("Draw"), "{told_romeo}");
        let told = told(&mut world, tybalt.peer());
        assert_eq!(told.contains("<host-gone "), !broken, "{told}");
    }
    Ok(())
}

#[test]
fn nobody_comes_in_while_a_server_stops() -> Outcome {
    let mut world = one_by_one();
    let _first = crowd(&mut world, "guest", "localhost", 3)?;
    let strangers = [world.connect(Opening::Tls), world.connect(Opening::Tls)];
    for stranger in strangers {
        world.secure(stranger);
        world.write(stranger, header("localhost").as_bytes());
        world.run();
        told(&mut world, stranger);
    }
    // The password of one is being looked at, that of the other comes too late.
    world.store_pace = StorePace::Slow;
    read(&mut world, strangers[0], &plain_auth("romeo", "secret"));
    world.post_shutdown();
    order(&mut world);
    read(&mut world, strangers[1], &plain_auth("juliet", "secret"));
    world.store_pace = StorePace::Prompt;
    while let Some(step) = world.steps().into_iter().next() {
        world.step(step);
    }
    // Before its turn came.
    let first = told(&mut world, strangers[0]);
    assert!(
        first.contains("<system-shutdown ") && first.ends_with(END),
        "{first}"
    );
    assert_eq!(told(&mut world, strangers[1]), "");
    // So is whoever comes now.
    let late = world.connect(Opening::Clear);
    world.step(Step::Drain(0));
    let late = told(&mut world, late);
    assert!(
        late.contains("<system-shutdown ") && late.ends_with(END),
        "{late}"
    );
    world.run();
    let second = told(&mut world, strangers[1]);
    assert!(
        second.contains("<system-shutdown ") && second.ends_with(END),
        "{second}"
    );
    assert!(![first, second].concat().contains("<success"));
    Ok(())
}

/// Whoever is told late that the server stops has no more time for it than who was told first.
#[test]
fn all_clients_have_one_deadline_when_the_server_stops() -> Outcome {
    let mut world = one_by_one();
    let crowd = crowd(&mut world, "guest", "localhost", 3)?;
    let close = Limits::default().close;
    world.post_shutdown();
    order(&mut world);
    for _ in &crowd {
        turn(&mut world);
        world.pass(close / 4);
    }
    world.run();
    assert!(crowd.iter().all(|one| world.ended(one.peer()).is_none()));
    world.advance(close / 4 + Duration::from_millis(1));
    assert!(
        crowd
            .iter()
            .all(|one| world.ended(one.peer()) == Some(Ended::Closed))
    );
    assert!(world.is_at_rest());
    Ok(())
}

/// Sessions that are asleep (XEP-0198) end behind those that are awake, and what they are owed is kept.
#[test]
fn sessions_that_are_asleep_end_too_and_what_they_are_owed_is_kept() -> Outcome {
    let mut world = one_by_one();
    let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
    juliet.send(&mut world, "<presence/>");
    juliet.send(&mut world, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    world.tell_closed(juliet.peer(), Closed::Reset);
    world.run();
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    romeo.send(
        &mut world,
        "<message to='juliet@localhost' type='chat'><body>Wherefore</body></message>",
    );
    world.shut_down();
    assert_eq!(stream_error(&mut world, &mut romeo)?, "system-shutdown");
    world.advance(Limits::default().close);
    assert!(world.is_at_rest());
    world.crash();
    let mut juliet = Talk::session(&mut world, JULIET, "chamber")?;
    juliet.send(&mut world, "<presence/>");
    let told = told(&mut world, juliet.peer());
    assert!(told.contains("Wherefore"), "{told}");
    Ok(())
}

/// However often it is said that their host is gone.
#[test]
fn sessions_that_are_asleep_end_once() -> Outcome {
    let mut world = one_by_one();
    world.add_user("mercutio@other.test", "secret");
    for account in [TYBALT, "mercutio@other.test"] {
        let mut asleep = Talk::session(&mut world, account, "r")?;
        asleep.send(&mut world, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        world.tell_closed(asleep.peer(), Closed::Reset);
        world.run();
    }
    for _ in 0..3 {
        world.post_reload(without_other_host());
        order(&mut world);
    }
    let mut turns = 0;
    while world.tick_at_once() {
        world.step(Step::Drain(0));
        turns += 1;
    }
    assert_eq!(turns, 2);
    Ok(())
}

/// What two accounts have yet to tell each other brings each into memory again as long as the other has not heard it.
#[test]
fn a_server_stops_although_two_accounts_have_something_to_tell_each_other() -> Outcome {
    for turns in 0..20 {
        let mut world = world(1, |_| {});
        let romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        let juliet = Talk::session(&mut world, JULIET, "balcony")?;
        world.store_pace = StorePace::Slow;
        for (talk, contact) in [(romeo, JULIET), (juliet, ROMEO)] {
            let subscribe = format!("<presence type='subscribe' to='{contact}'/>");
            world.write(talk.peer(), subscribe.as_bytes());
        }
        world.turns(turns);
        world.crash();
        let account = BareJid::parse(ROMEO).map_err(|e| format!("{e:?}"))?;
        world.post_command(CommandId(0), Command::Show { account });
        world.turns(4);
        world.shut_down();
        assert!(world.is_at_rest());
    }
    Ok(())
}

/// Nor does it keep more of those who left before than the store has room for.
#[test]
fn accounts_leave_memory_as_the_store_has_room() -> Outcome {
    let credit = StoreCredit {
        batches: 2,
        ..StoreCredit::of_one(1)
    };
    for stops in [true, false] {
        let mut world = bounded(Bounds {
            credit,
            idle: 99,
            endings: 64,
        });
        for talk in crowd(&mut world, "guest", "localhost", 200)? {
            world.write(talk.peer(), END.as_bytes());
        }
        world.run();
        world.store_pace = StorePace::Slow;
        match stops {
            true => world.post_shutdown(),
            false => world.pass(ACCOUNT_IDLE),
        }
        world.step_all_but_commits();
        world.tell(0, Input::Tick);
        world.step_all_but_commits();
        assert!(!world.tick_at_once(), "it waits for the store");
        assert_eq!(world.batches(), 2);
        assert!(!world.is_at_rest());
        let before = world.asked(Class::Append);
        world.advance(Duration::ZERO);
        assert_eq!(world.asked(Class::Append), before + 18);
        assert!(world.is_at_rest());
    }
    Ok(())
}
