//! Sessions whose clients come back and are gone again at once, and what they are not to lose by it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::stage::{Counts, Stage, body, chat, config};
use crate::archive::Policy;
use crate::testing::World;

const ROSTER_SET: &str = "<iq type='set' id='s'><query xmlns='jabber:iq:roster'>\
                          <item jid='nurse@localhost'/></query></iq>";

fn resume(id: &str, h: u32) -> String {
    format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{h}'/>")
}

/// It says so while its account waits for the disk, and is gone before anybody reads that.
#[test]
fn who_comes_back_while_its_account_is_busy_and_is_cut_off_loses_nothing() {
    let mut stage = Stage::new(Policy::Never, 2);
    let accounts: Vec<String> = (0..2).map(|shard| stage.account(shard, 0)).collect();
    let sender = stage.session(&accounts[0], "r", Counts::No);
    let (reader, id) = stage.resumable(&accounts[1], "j");
    stage.write(reader, "<presence/>");
    stage.world.run();
    stage.write(sender, &chat(&accounts[1], "1"));
    stage.world.run();
    stage.world.hang_up(reader);
    stage.world.run();
    let other = stage.session(&accounts[1], "o", Counts::No);
    let again = stage.sign_in(&accounts[1]);
    stage.send(other, ROSTER_SET);
    stage.send(again, &resume(&id, 1));
    stage.world.cut(again);
    stage.world.step_all_but_commits();
    stage.finish();
    let again = stage.resume(&accounts[1], &id, 1);
    stage.world.run();
    let heard = stage.heard(again);
    assert_eq!(body(&heard).as_deref(), Some("1"), "{heard}");
    stage.no_bugs();
}

/// It waits to hear how much was handled, and is gone before that is known.
#[test]
fn who_waits_for_what_it_sent_and_is_cut_off_loses_nothing() {
    let mut stage = Stage::new(Policy::Never, 2);
    let accounts: Vec<String> = (0..2).map(|shard| stage.account(shard, 0)).collect();
    let sender = stage.session(&accounts[0], "r", Counts::No);
    let (reader, id) = stage.resumable(&accounts[1], "j");
    stage.write(reader, "<presence/>");
    stage.world.run();
    stage.write(sender, &chat(&accounts[1], "1"));
    stage.world.run();
    let other = stage.session(&accounts[1], "o", Counts::No);
    let again = stage.sign_in(&accounts[1]);
    // Nobody is there to take it: it goes to the disk.
    stage.send(reader, &chat(&accounts[0], "2"));
    stage.world.hang_up(reader);
    stage.world.step_all_but_commits();
    stage.send(again, &resume(&id, 1));
    assert_eq!(stage.heard(again), "");
    stage.send(other, ROSTER_SET);
    stage.world.hang_up(again);
    stage.world.step_all_but_commits();
    stage.commit(&accounts[0]);
    stage.finish();
    let again = stage.resume(&accounts[1], &id, 1);
    stage.world.run();
    let heard = stage.heard(again);
    assert_eq!(body(&heard).as_deref(), Some("1"), "{heard}");
    stage.no_bugs();
}

#[test]
fn who_binds_while_its_account_is_busy_and_is_cut_off_sleeps() {
    let mut stage = Stage::new(Policy::Never, 1);
    let juliet = stage.account(0, 0);
    let other = stage.session(&juliet, "o", Counts::No);
    let client = stage.sign_in(&juliet);
    stage.send(other, ROSTER_SET);
    stage.send(
        client,
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
         <resource>j</resource></bind></iq><enable xmlns='urn:xmpp:sm:3' resume='true'/>",
    );
    stage.world.cut(client);
    stage.world.step_all_but_commits();
    stage.finish();
    assert_eq!(stage.world.residue()[0][8], 1);
    stage.no_bugs();
}

/// What was put off because it did not read.
#[test]
fn presence_that_a_slow_reader_was_not_told_is_told_when_it_is_back() {
    let mut config = config(Policy::Never, 1);
    config.limits.session_queue_bytes = 64 * 1024;
    let mut stage = Stage {
        world: World::new(config),
    };
    let juliet = stage.account(0, 0);
    let (reader, id) = stage.resumable(&juliet, "j");
    stage.write(reader, "<presence/>");
    stage.world.run();
    let other = stage.available(&juliet, "o");
    stage.heard(reader);
    stage.world.stop_taking(reader);
    let long = "x".repeat(4000);
    for n in 0..40 {
        let presence = format!("<presence><status>{n} {long}</status></presence>");
        stage.write(other, &presence);
        stage.world.run();
    }
    assert_eq!(stage.world.ended(reader), None);
    stage.world.cut(reader);
    stage.world.run();
    let again = stage.resume(&juliet, &id, 2);
    stage.world.run();
    let heard = stage.heard(again);
    assert!(heard.contains("<status>39 "), "{}", heard.len());
    stage.no_bugs();
}

/// Somebody forwards what waited once.
#[test]
fn what_others_say_of_delays_within_a_message_is_not_taken_for_its_own() {
    let mut stage = Stage::new(Policy::Never, 1);
    let (romeo, juliet) = (stage.account(0, 0), stage.account(0, 1));
    let sender = stage.session(&romeo, "r", Counts::No);
    let message = format!(
        "<message to='{juliet}' type='chat'><body>1</body><forwarded xmlns='urn:xmpp:forward:0'>\
         <delay xmlns='urn:xmpp:delay' from='localhost' stamp='2002-09-10T23:08:25Z'/>\
         </forwarded></message>"
    );
    stage.write(sender, &message);
    stage.world.run();
    let reader = stage.session(&juliet, "j", Counts::No);
    stage.write(reader, "<presence/>");
    stage.world.run();
    let heard = stage.heard(reader);
    assert_eq!(heard.matches("<delay ").count(), 2, "{heard}");
}

/// XEP-0198 §6: also where many sessions are over of which that is not known yet.
#[test]
fn who_waits_to_hear_what_was_handled_hears_it_whoever_else_is_over() {
    let mut config = config(Policy::Never, 2);
    for host in config.accounts_mut() {
        host.sm.max_old = 1;
    }
    let mut stage = Stage {
        world: World::new(config),
    };
    let (romeo, juliet) = (stage.account(0, 0), stage.account(1, 0));
    let (first, id) = stage.resumable(&romeo, "a");
    let (second, _) = stage.resumable(&romeo, "b");
    let again = stage.sign_in(&romeo);
    // Nobody is there to take them: they go to the disk.
    stage.send(first, &(chat(&juliet, "1") + "</stream:stream>"));
    stage.send(again, &resume(&id, 0));
    stage.send(second, &(chat(&juliet, "2") + "</stream:stream>"));
    assert_eq!(stage.heard(again), "");
    stage.finish();
    let heard = stage.heard(again);
    assert!(
        heard.contains("<failed xmlns='urn:xmpp:sm:3' h='1'>"),
        "{heard}"
    );
    stage.no_bugs();
}
