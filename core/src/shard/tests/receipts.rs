//! What became of the stanzas of a session that counts them: each is settled once, and not before the disk has what it brought about.

mod chance;
mod ends;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::stage::{Counts, Stage, body, chat, config, error_of};
use crate::archive::Policy;
use crate::envelope::Body;
use crate::limits::{RECEIPTS_AGAIN, UNSETTLED_MAX};
use crate::port::Action;
use crate::testing::{Peer, Step, StorePace, World};

/// XEP-0198 §4: not before both archives have it.
#[test]
fn a_message_is_settled_once_sender_and_receiver_have_it_on_disk() {
    for (shards, at) in [(1, 0), (3, 0), (3, 2)] {
        for receiver_first in [false, true] {
            let mut stage = Stage::new(Policy::Always, shards);
            let (romeo, juliet) = (stage.account(0, 0), stage.account(at, 1));
            let reader = stage.available(&juliet, "j");
            let sender = stage.session(&romeo, "r", Counts::Yes);
            stage.send(sender, &chat(&juliet, "1"));
            assert!(stage.heard(reader).contains("<body>1</body>"));
            assert_eq!(stage.h(sender), 0);
            let mut order = [&romeo, &juliet];
            if receiver_first {
                order.reverse();
            }
            stage.commit(order[0]);
            assert_eq!(stage.h(sender), 0, "{order:?}");
            stage.commit(order[1]);
            assert_eq!(stage.h(sender), 1, "{order:?}");
            assert!(stage.inbound(sender).is_settled());
            stage.no_bugs();
        }
    }
}

#[test]
fn who_asks_is_told_once_a_turn_when_more_is_settled() {
    let mut stage = Stage::new(Policy::Always, 1);
    let (romeo, juliet) = (stage.account(0, 0), stage.account(0, 1));
    let sender = stage.session(&romeo, "r", Counts::Yes);
    stage.send(sender, &chat(&juliet, "1"));
    stage.send(sender, &(chat(&juliet, "2") + &chat(&juliet, "3")));
    assert_eq!(stage.inbound(sender).asked(), 0);
    assert_eq!(stage.heard(sender), "");
    stage.finish();
    let told = stage.heard(sender);
    assert!(told.ends_with("<a xmlns='urn:xmpp:sm:3' h='3'/>"), "{told}");
    assert!(told.matches("<a ").count() <= 2, "{told}");
    stage.send(sender, &chat(&juliet, "4"));
    stage.finish();
    assert_eq!((stage.h(sender), stage.heard(sender)), (4, String::new()));
}

#[test]
fn other_shards_tell_many_at_once_and_of_sessions_that_do_not_count_nothing() {
    for counts in [Counts::No, Counts::Yes] {
        let mut stage = Stage::new(Policy::Never, 2);
        let (romeo, juliet) = (stage.account(0, 0), stage.account(1, 0));
        let reader = stage.available(&juliet, "j");
        let sender = stage.session(&romeo, "r", counts);
        let words: Vec<String> = (0..10).map(|n| chat(&juliet, &format!("{n}"))).collect();
        stage.world.tell_bytes(sender, words.concat().as_bytes());
        stage.world.drain_all();
        while stage.world.letters() > 0 {
            let first = stage.world.steps();
            stage.world.step(first[0]);
        }
        let mut told = Vec::new();
        for action in stage.world.poll_actions(1) {
            if let Action::Send(envelope) = &action
                && let Body::Handled(handled) = &envelope.body
            {
                told.push(handled.len());
            }
            stage.world.carry_out(1, action);
        }
        stage.world.run();
        assert_eq!(stage.heard(reader).matches("<body>").count(), 10);
        match counts {
            Counts::No => assert!(told.is_empty()),
            Counts::Yes => {
                assert_eq!((told, stage.h(sender)), (vec![10], 10));
            }
        }
        stage.no_bugs();
    }
}

#[test]
fn too_much_that_is_not_settled_holds_its_session_up_and_nobody_else() {
    let mut stage = Stage::new(Policy::Always, 1);
    let (romeo, juliet) = (stage.account(0, 0), stage.account(0, 1));
    let sender = stage.session(&romeo, "r", Counts::Yes);
    let other = stage.session(&romeo, "o", Counts::Yes);
    stage.available(&juliet, "j");
    let all = u32::try_from(UNSETTLED_MAX + 100).unwrap();
    stage.world.store_pace = StorePace::Slow;
    let words: String = (0..all).map(|n| chat(&juliet, &format!("{n}"))).collect();
    stage.world.tell_bytes(sender, words.as_bytes());
    stage.world.step_all_but_commits();
    assert!(!stage.world.reads(sender));
    assert!(stage.inbound(sender).holds_up());
    let came = stage.inbound(sender).begin();
    assert_eq!(usize::try_from(came).unwrap(), UNSETTLED_MAX + 1);
    stage.inbound(sender).handled(came);
    stage.send(other, "<presence/>");
    assert_eq!(stage.h(other), 1);
    stage.finish();
    // The one that was made up here included.
    assert_eq!(stage.h(sender), all + 1);
    assert!(stage.world.reads(sender));
    stage.no_bugs();
}

#[test]
fn what_a_full_way_back_does_not_take_is_told_later() {
    let mut stage = Stage::new(Policy::Never, 2);
    let (romeo, juliet) = (stage.account(0, 0), stage.account(1, 0));
    stage.available(&juliet, "j");
    let sender = stage.session(&romeo, "r", Counts::Yes);
    stage
        .world
        .tell_bytes(sender, chat(&juliet, "1").as_bytes());
    stage.world.drain_all();
    stage.world.lane_capacity = 0;
    stage.world.run();
    assert_eq!(stage.h(sender), 0);
    // Once more in vain.
    stage.world.advance(RECEIPTS_AGAIN);
    assert_eq!(stage.h(sender), 0);
    stage.world.lane_capacity = usize::MAX;
    stage.world.run();
    assert_eq!(stage.h(sender), 0, "not before its time");
    stage.world.advance(RECEIPTS_AGAIN);
    assert_eq!(stage.h(sender), 1);
    stage.world.advance(Duration::from_secs(1));
    stage.no_bugs();
}
