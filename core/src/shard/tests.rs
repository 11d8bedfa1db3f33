//! What a shard promises of accounts that nobody waits for, and of what it has with the store.

mod breaks;
mod census;
mod components;
mod guests;
mod links;
mod managed;
mod petitions;
mod reaching;
mod receipts;
mod retention;
mod servers;
mod stage;

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::credit::Credit;
use super::{Now, Shard};
use crate::config::{Config, of_localhost};
use crate::due::Due;
use crate::envelope::Place;
use crate::jid::BareJid;
use crate::limits::{ACCOUNT_IDLE, ACCOUNTS_IDLE_MAX, LOAD_AGAIN, LOAD_TRIES, StoreCredit};
use crate::port::{Action, Input, Listener, Opening, Ticket};
use crate::sasl::SignIn;
use crate::store::{Batch, Class, Op, Reply, StoreError};

const RECORD: [u8; 32] = [7; 32];

/// Which does not count what accounts lack to sign in.
fn shard() -> Shard {
    let mut shard = begun(of_localhost(), 0);
    shard.timers.stop(Due::Census);
    shard
}

/// One that has found nothing that was kept for other servers.
fn begun(config: Config, shard: u16) -> Shard {
    let mut shard = Shard::new(Arc::new(config), Place { node: 0, shard }, [0; 32]);
    shard.timers.stop(Due::Kept);
    shard
}

fn jid(name: &str) -> BareJid {
    BareJid::parse(&format!("{name}@localhost")).unwrap()
}

fn at(since: Duration) -> Now {
    let mut now = Now::default();
    now.mono = now.mono + since;
    now
}

/// What was asked of the store since the last look.
fn asked(shard: &mut Shard) -> Vec<(Ticket, Batch)> {
    let mut asked = Vec::new();
    while let Some(action) = shard.poll_action() {
        if let Action::Store { ticket, batch } = action {
            asked.push((ticket, batch));
        }
    }
    asked
}

/// The store answers the one thing that it was asked.
fn answer(shard: &mut Shard, now: Now, outcome: Result<Vec<Reply>, StoreError>) {
    let asked = asked(shard);
    let [(ticket, _)] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    let ticket = *ticket;
    shard.handle(now, Input::Stored { ticket, outcome });
}

/// An account comes into memory, and nobody is signed in to it.
fn bring_in(shard: &mut Shard, now: Now, name: &str) {
    shard.bring_in(jid(name), Some(RECORD));
    answer(shard, now, Ok(vec![Reply::Loaded(Box::default())]));
}

#[test]
fn an_account_that_nobody_needs_stays_for_a_while_and_no_longer() {
    let mut shard = shard();
    let (start, end) = (
        Duration::from_secs(100),
        Duration::from_secs(100) + ACCOUNT_IDLE,
    );
    bring_in(&mut shard, at(start), "juliet");
    assert_eq!(shard.poll_timeout(), Some(at(end).mono));
    shard.handle(at(end - Duration::from_nanos(1)), Input::Tick);
    assert!(shard.by_name.contains_key("juliet@localhost"));
    shard.handle(at(end), Input::Tick);
    assert!(shard.by_name.is_empty() && shard.owners.is_empty());
    // Nothing but what looks after all that is kept.
    assert_eq!(shard.poll_timeout().map(|at| at.0 / 1_000_000), Some(300));
}

#[test]
fn of_too_many_idle_accounts_the_one_that_was_idle_for_longest_goes() {
    let mut shard = shard();
    let now = at(Duration::from_secs(100));
    for n in 0..ACCOUNTS_IDLE_MAX {
        bring_in(&mut shard, now, &format!("user{n}"));
    }
    // The first is needed once more, and is the last then.
    let first = *shard.by_name.get("user0@localhost").unwrap();
    shard.stay(first);
    shard.drop_if_idle(now, first);
    bring_in(&mut shard, now, "one-more");
    assert_eq!(shard.owners.len(), ACCOUNTS_IDLE_MAX);
    assert!(shard.by_name.contains_key("user0@localhost"));
    assert!(!shard.by_name.contains_key("user1@localhost"));
}

#[test]
fn what_cannot_be_read_is_read_again_only_while_somebody_waits_for_it() {
    let mut shard = shard();
    shard.bring_in(jid("juliet"), Some(RECORD));
    answer(&mut shard, at(Duration::ZERO), Err(StoreError::Failed));
    assert!(shard.by_name.is_empty(), "nobody is signed in");

    let mut shard = self::shard();
    let peer = "192.0.2.1:4321".parse().unwrap();
    let opening = Opening::Clear;
    let conn = shard.accept(at(Duration::ZERO), Listener::of_clients(opening), peer);
    let sign_in = SignIn::made_up(jid("juliet"), RECORD);
    shard.seek_admission(at(Duration::ZERO), conn, &sign_in);
    for n in 0..u32::from(LOAD_TRIES) {
        let now = at(LOAD_AGAIN * n);
        if n > 0 {
            shard.handle(now, Input::Tick);
        }
        assert!(shard.by_name.contains_key("juliet@localhost"));
        answer(&mut shard, now, Err(StoreError::Failed));
    }
    assert!(shard.by_name.is_empty());
}

/// A record that was read before some change of credentials may be void: the account asks again which is good.
#[test]
fn credentials_that_may_have_changed_since_are_read_again() {
    for (changes, expected) in [(0, 1), (1, 2)] {
        let mut shard = shard();
        let now = at(Duration::ZERO);
        let peer = "192.0.2.1:4321".parse().unwrap();
        let opening = Opening::Clear;
        let conn = shard.accept(now, Listener::of_clients(opening), peer);
        shard.changes = changes;
        shard.seek_admission(now, conn, &SignIn::made_up(jid("juliet"), RECORD));
        let asked = asked(&mut shard);
        let [(_, batch)] = asked.as_slice() else {
            panic!("{asked:?}");
        };
        assert_eq!(batch.ops.len(), expected, "{:?}", batch.ops);
        assert!(matches!(batch.ops.last(), Some(Op::Load)));
    }
}

#[test]
fn an_answer_of_another_kind_than_its_question_is_a_fault() {
    let mut shard = shard();
    shard.bring_in(jid("juliet"), Some(RECORD));
    let asked = asked(&mut shard);
    let [(ticket, _)] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    let (ticket, keys) = (*ticket, Ok(Vec::new()));
    shard.handle(Now::default(), Input::Derived { ticket, keys });
    let note = shard.poll_action();
    assert!(
        matches!(note, Some(Action::Note(crate::port::Note::Bug(_)))),
        "{note:?}"
    );
}

#[test]
fn credit_is_low_beyond_its_half_and_spent_at_its_end() {
    let mut credit = Credit::new(1);
    let all = StoreCredit::of_one(1).batches;
    let batch = Batch {
        owner: jid("juliet"),
        tenure: 0,
        class: Class::Load,
        ops: vec![Op::Load],
    };
    let mut taken = Vec::new();
    for n in 1..=all {
        taken.push(credit.take(&batch));
        assert_eq!(credit.is_low(), n > all / 2, "{n}");
        assert_eq!(credit.is_spent(), n == all, "{n}");
    }
    for bytes in taken {
        credit.give_back(bytes);
    }
    assert_eq!(credit.used(), 0);
    assert!(!credit.is_low());
}
