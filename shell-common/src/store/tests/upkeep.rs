//! What can wait waits, but not for ever.

use std::time::Duration;

use spondee_core::store::{Amount, Kept};

use super::super::Store;
use super::super::lanes::Server;
use super::threads::{OTHER, Play, QUICK, Shard, append, write};
use super::*;
use crate::limits::{STORE_UPKEEP_GROUPS, STORE_UPKEEP_PAUSE};

fn trim() -> Vec<Op> {
    vec![Op::Trim {
        log: LOG,
        before: 10,
        kept: Kept::Archived,
        limit: 500,
    }]
}

fn upkeep(play: &mut Play, owner: &str) -> Option<Server> {
    play.submit(owner, Class::Upkeep, trim())
}

fn owners(batches: &[Batch]) -> Vec<&str> {
    batches.iter().map(|batch| batch.owner.as_str()).collect()
}

#[test]
fn upkeep_is_behind_everything_else_in_a_group_of_its_own() {
    let mut play = Play::new();
    assert_eq!(upkeep(&mut play, "a@x.example"), Some(Server::Writer));
    assert_eq!(upkeep(&mut play, "b@x.example"), None);
    for owner in ["c@x.example", "d@x.example"] {
        play.submit(owner, Class::Change, write());
    }
    let group = play.take(Server::Writer);
    assert_eq!(owners(&group), ["c@x.example", "d@x.example"]);
    play.lanes.answered(&group);
    for owner in ["a@x.example", "b@x.example"] {
        let group = play.take(Server::Writer);
        assert_eq!(owners(&group), [owner]);
        play.lanes.answered(&group);
    }
    assert_eq!(play.take(Server::Writer).len(), 0);
}

#[test]
fn upkeep_is_not_passed_over_for_ever() {
    let mut play = Play::new();
    upkeep(&mut play, "a@x.example");
    let mut groups = 0;
    loop {
        play.submit("c@x.example", Class::Change, write());
        let group = play.take(Server::Writer);
        play.lanes.answered(&group);
        if owners(&group) == ["a@x.example"] {
            break;
        }
        assert_eq!(owners(&group), ["c@x.example"]);
        groups += 1;
    }
    assert_eq!(groups, STORE_UPKEEP_GROUPS);
    // What was not taken then is taken next, and the count begins anew.
    assert_eq!(owners(&play.take(Server::Writer)), ["c@x.example"]);
}

#[test]
fn behind_upkeep_others_have_the_writer_for_some_time() {
    let mut play = Play::new();
    play.lanes.rests(Duration::from_secs(1));
    assert_eq!(play.lanes.upkeep_pause(), None, "there is none");
    upkeep(&mut play, "a@x.example");
    assert!(
        play.lanes
            .upkeep_pause()
            .is_some_and(|pause| pause <= STORE_UPKEEP_PAUSE)
    );
    assert_eq!(play.take(Server::Writer).len(), 0, "not yet");
    for _ in 0..2 * STORE_UPKEEP_GROUPS {
        play.submit("c@x.example", Class::Change, write());
        let group = play.take(Server::Writer);
        assert_eq!(owners(&group), ["c@x.example"]);
        play.lanes.answered(&group);
    }
    // Its owner does not wait for that, nor does the end.
    play.submit("a@x.example", Class::Change, write());
    assert_eq!(play.take(Server::Writer).len(), 2);
    upkeep(&mut play, "d@x.example");
    assert_eq!(play.take(Server::Writer).len(), 0);
    play.lanes.stop();
    assert_eq!(owners(&play.take(Server::Writer)), ["d@x.example"]);
}

#[test]
fn upkeep_after_a_pause_is_begun_though_nothing_else_comes() {
    let directory = Scratch::new();
    let store = Store::start(Box::new(open(&directory)), 1);
    let mut shard = Shard::new();
    for number in 0..20 {
        let ticket = shard.tickets.insert(());
        let batch = Batch {
            class: Class::Upkeep,
            ..batch("a@x.example", trim())
        };
        store.submit(&shard.mailbox, ticket, batch).unwrap();
        let (entries, more) = (0, false);
        let trimmed = Ok(vec![Reply::Trimmed { entries, more }]);
        assert_eq!(shard.post(), [(number, trimmed)]);
    }
}

#[test]
fn an_owner_that_wants_something_has_its_upkeep_done_first() {
    for (class, wanted) in [(Class::Change, write()), (Class::Append, append(1))] {
        let mut play = Play::new();
        upkeep(&mut play, "a@x.example");
        play.submit("c@x.example", Class::Change, write());
        play.submit("a@x.example", class, wanted);
        let group = play.take(Server::Writer);
        let classes: Vec<Class> = group.iter().map(|batch| batch.class).collect();
        assert_eq!(classes, [Class::Change, Class::Upkeep, class]);
    }
    // A read sees it.
    let mut play = Play::new();
    upkeep(&mut play, "a@x.example");
    assert_eq!(
        play.submit("a@x.example", Class::SignIn, vec![get("k")]),
        None
    );
    play.submit("c@x.example", Class::Change, write());
    let group = play.take(Server::Writer);
    assert_eq!(owners(&group), ["a@x.example", "c@x.example"]);
    assert_eq!(play.lanes.answered(&group), [QUICK]);
}

#[test]
fn upkeep_does_not_overtake_what_its_owner_wrote_before() {
    let mut play = Play::new();
    play.submit("a@x.example", Class::Change, write());
    upkeep(&mut play, "a@x.example");
    let group = play.take(Server::Writer);
    assert_eq!(group[1].class, Class::Upkeep);
    play.lanes.answered(&group);
    // Behind a read of its owner it waits, and is upkeep again.
    play.submit("a@x.example", Class::SignIn, vec![get("k")]);
    upkeep(&mut play, "a@x.example");
    assert_eq!(play.take(Server::Writer).len(), 0);
    let read = play.take(QUICK);
    play.lanes.answered(&read);
    play.submit("c@x.example", Class::Change, write());
    assert_eq!(owners(&play.take(Server::Writer)), ["c@x.example"]);
    assert_eq!(owners(&play.take(Server::Writer)), ["a@x.example"]);
}

#[test]
fn gathering_is_not_ended_by_upkeep() {
    let mut play = Play::new();
    play.submit("a@x.example", Class::Append, append(2));
    assert!(play.lanes.may_gather());
    play.lanes.gathers();
    assert_eq!(upkeep(&mut play, "b@x.example"), None);
    assert!(play.lanes.may_gather());
    assert_eq!(owners(&play.take(Server::Writer)), ["a@x.example"]);
    assert_eq!(owners(&play.take(Server::Writer)), ["b@x.example"]);
}

#[test]
fn a_measure_has_its_turns_like_a_page() {
    let mut play = Play::new();
    let measure = Op::Measure {
        log: LOG,
        kept: Kept::Archived,
        most: Amount::default(),
        upto: i64::MAX,
    };
    play.submit("a@x.example", Class::Page, vec![measure]);
    assert_eq!(
        play.submit("a@x.example", Class::Change, write()),
        Some(Server::Writer)
    );
    let job = play.lanes.take(OTHER).remove(0);
    assert!(job.is_page());
}
