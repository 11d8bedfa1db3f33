//! Sessions with stream management that sleep, come back, and are over.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::stage::{Counts, Stage, chat, config, error_of};
use crate::archive::Policy;
use crate::config::ConflictResolve;
use crate::limits::{FLOW_PATIENCE, STORE_BATCH_OPS};
use crate::store::StoreError;
use crate::testing::{Peer, StorePace, World};

/// Two accounts on shards of their own.
fn stage(policy: Policy) -> (Stage, [String; 2]) {
    let mut stage = Stage::new(policy, 2);
    let accounts = [stage.account(0, 0), stage.account(1, 0)];
    (stage, accounts)
}

/// How often this was heard, in this order.
fn bodies(heard: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = heard;
    while let Some((_, behind)) = rest.split_once("<body>") {
        let Some((body, behind)) = behind.split_once("</body>") else {
            break;
        };
        found.push(body.into());
        rest = behind;
    }
    found
}

fn numbers(range: core::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("{n}")).collect()
}

/// The connection is gone, without a word.
fn cut(stage: &mut Stage, peer: Peer) {
    stage.world.hang_up(peer);
    stage.world.run();
}

#[test]
fn whoever_is_over_leaves_more_than_one_batch_takes() {
    let (mut stage, [romeo, juliet]) = stage(Policy::Never);
    let sender = stage.session(&romeo, "r", Counts::No);
    let (reader, _) = stage.resumable(&juliet, "j");
    stage.write(reader, "<presence/>");
    stage.world.run();
    let count = 2 * STORE_BATCH_OPS + 10;
    for n in 0..count {
        stage.write(sender, &chat(&juliet, &format!("{n}")));
    }
    stage.world.run();
    stage.write(reader, "</stream:stream>");
    stage.world.run();
    assert_eq!(stage.heard(sender), "");
    let next = stage.session(&juliet, "k", Counts::No);
    stage.write(next, "<presence/>");
    stage.world.run();
    assert_eq!(bodies(&stage.heard(next)), numbers(0..count));
    stage.no_bugs();
}

/// Also where its client says so when it comes back.
#[test]
fn who_has_all_of_a_page_that_waited_is_told_the_next() {
    for h in [0, 100, 256, 257] {
        let (mut stage, [romeo, juliet]) = stage(Policy::Never);
        let sender = stage.session(&romeo, "r", Counts::No);
        for n in 0..300 {
            stage.write(sender, &chat(&juliet, &format!("{n}")));
        }
        stage.world.run();
        let (reader, id) = stage.resumable(&juliet, "j");
        stage.write(reader, "<presence/>");
        stage.world.run();
        // Its own presence is the first that it hears.
        let first = bodies(&stage.heard(reader)).len();
        assert_eq!(first, 256);
        cut(&mut stage, reader);
        let reader = stage.resume(&juliet, &id, h);
        stage.world.run();
        let mut heard = stage.heard(reader);
        stage.write(reader, "<a xmlns='urn:xmpp:sm:3' h='257'/>");
        stage.world.run();
        heard += &stage.heard(reader);
        let has = usize::try_from(h).unwrap().saturating_sub(1);
        assert_eq!(bodies(&heard), numbers(has..300), "h={h}");
        stage.no_bugs();
    }
}

/// A client that was told less would send it again.
#[test]
fn how_much_was_handled_of_a_session_that_is_over_is_said_once_it_is_known() {
    for comes_back_before in [true, false] {
        let (mut stage, [romeo, juliet]) = stage(Policy::Never);
        let (sender, id) = stage.resumable(&romeo, "r");
        stage.world.store_pace = StorePace::Slow;
        let words = chat(&juliet, "1") + "</stream:stream>";
        stage.send(sender, &words);
        stage.commit(&juliet);
        let next = stage.next_of(&juliet);
        // Nothing but the message is in the hands of the store.
        assert!(stage.world.is_change(next));
        let again = match comes_back_before {
            true => {
                let again = resume_alone(&mut stage, &romeo, &id);
                assert_eq!(stage.heard(again), "");
                stage.commit(&juliet);
                stage.world.step_all_but_commits();
                again
            }
            false => {
                stage.finish();
                let again = stage.resume(&romeo, &id, 0);
                stage.world.run();
                again
            }
        };
        let heard = stage.heard(again);
        assert!(
            heard.contains("<failed xmlns='urn:xmpp:sm:3' h='1'>"),
            "{heard}"
        );
        stage.finish();
        assert!(stage.bind(again, "r").contains("type='result'"));
        stage.no_bugs();
    }
}

/// Its client is back while others wait for the store.
fn resume_alone(stage: &mut Stage, account: &str, id: &str) -> Peer {
    let peer = stage.sign_in_alone(account);
    let resume = format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>");
    stage.send(peer, &resume);
    peer
}

#[test]
fn a_session_whose_client_is_back_is_not_over_before_that_is_answered() {
    let (mut stage, [romeo, juliet]) = stage(Policy::Never);
    let (sender, id) = stage.resumable(&romeo, "r");
    stage.send(sender, &chat(&juliet, "1"));
    stage.commit(&juliet);
    stage.fail(&juliet, StoreError::Busy);
    stage.world.hang_up(sender);
    stage.world.step_all_but_commits();
    stage.world.pass(Duration::from_secs(599));
    let again = resume_alone(&mut stage, &romeo, &id);
    assert_eq!(stage.heard(again), "");
    stage.world.elapse(Duration::from_secs(2));
    stage.world.step_all_but_commits();
    assert_eq!(stage.heard(again), "");
    stage.world.store_pace = StorePace::Prompt;
    stage.world.advance(Duration::from_secs(10));
    let heard = stage.heard(again);
    assert!(heard.contains("<resumed "), "{heard}");
    assert!(heard.contains(" h='1'"), "{heard}");
    stage.no_bugs();
}

#[test]
fn who_sleeps_gives_its_resource_to_who_comes() {
    for conflict in [
        ConflictResolve::KickOld,
        ConflictResolve::KickNew,
        ConflictResolve::Random,
        ConflictResolve::Increment,
    ] {
        let mut config = config(Policy::Never, 1);
        for host in config.accounts_mut() {
            host.conflict = conflict;
        }
        let world = World::new(config);
        let mut stage = Stage { world };
        let romeo = stage.account(0, 0);
        let (sleeper, _) = stage.resumable(&romeo, "r");
        cut(&mut stage, sleeper);
        let next = stage.sign_in(&romeo);
        let bound = stage.bind(next, "r");
        assert!(
            bound.contains(&format!("{romeo}/r<")),
            "{conflict:?}: {bound}"
        );
        stage.no_bugs();
    }
}

#[test]
fn those_who_sleep_keep_nobody_out() {
    let mut config = config(Policy::Never, 1);
    config.limits.sessions_per_account = 2;
    let world = World::new(config);
    let mut stage = Stage { world };
    let romeo = stage.account(0, 0);
    for n in 0..9 {
        let (sleeper, _) = stage.resumable(&romeo, &format!("r{n}"));
        cut(&mut stage, sleeper);
    }
    assert_eq!(stage.world.residue()[0][8], 9);
    for n in 0..2 {
        let next = stage.sign_in(&romeo);
        let bound = stage.bind(next, &format!("s{n}"));
        assert!(bound.contains("type='result'"), "{bound}");
    }
    let one_more = stage.sign_in(&romeo);
    assert!(stage.bind(one_more, "t").contains("resource-constraint"));
    stage.no_bugs();
}

/// XEP-0280: a copy is of something.
#[test]
fn a_message_of_which_only_a_copy_was_left_is_delivered_itself() {
    for policy in [Policy::Never, Policy::Always] {
        let (mut stage, [romeo, juliet]) = stage(policy);
        let sender = stage.session(&romeo, "r", Counts::No);
        let (first, _) = stage.resumable(&juliet, "a");
        let (copied, _) = stage.resumable(&juliet, "b");
        stage.write(
            copied,
            "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>",
        );
        stage.world.run();
        let to = format!("{juliet}/a");
        stage.write(sender, &chat(&to, "1"));
        stage.world.run();
        assert!(stage.heard(copied).contains("<received "));
        for peer in [first, copied] {
            stage.write(peer, "</stream:stream>");
            stage.world.run();
        }
        let next = stage.session(&juliet, "k", Counts::No);
        stage.write(next, "<presence/>");
        stage.world.run();
        let heard = stage.heard(next);
        assert!(!heard.contains("<received "), "{heard}");
        let message =
            format!("<message to='{juliet}/a' from='{romeo}/r' type='chat' id='1'><body>1</body>");
        assert_eq!(heard.matches(&message).count(), 1, "{heard}");
        assert_eq!(heard.contains("<stanza-id "), policy == Policy::Always);
        assert!(heard.contains("<delay "), "{heard}");
        assert!(!stage.heard(sender).contains(&error_of("1")));
        stage.no_bugs();
    }
}

/// XEP-0313: what a page shows must not come again behind it.
#[test]
fn who_has_found_a_message_in_the_archive_is_not_told_when_another_is_over() {
    for asks in [false, true] {
        let (mut stage, [romeo, juliet]) = stage(Policy::Always);
        let sender = stage.session(&romeo, "r", Counts::No);
        let (first, _) = stage.resumable(&juliet, "a");
        stage.write(first, "<presence/>");
        stage.world.run();
        stage.write(sender, &chat(&juliet, "1"));
        stage.world.run();
        assert_eq!(bodies(&stage.heard(first)), ["1"]);
        let second = stage.session(&juliet, "b", Counts::No);
        stage.write(second, "<presence/>");
        if asks {
            stage.write(
                second,
                "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>",
            );
        }
        stage.world.run();
        assert_eq!(bodies(&stage.heard(second)).len(), usize::from(asks));
        stage.write(first, "</stream:stream>");
        stage.world.run();
        assert_eq!(bodies(&stage.heard(second)).len(), usize::from(!asks));
        stage.no_bugs();
    }
}

#[test]
fn what_an_account_does_not_acknowledge_is_bounded_for_all_its_sessions() {
    let mut config = config(Policy::Never, 1);
    config.limits.account_queue_bytes = 200_000;
    config.limits.sessions_per_account = 10;
    let world = World::new(config);
    let mut stage = Stage { world };
    let (romeo, juliet) = (stage.account(0, 0), stage.account(0, 1));
    let sender = stage.session(&romeo, "r", Counts::No);
    let readers = ["a", "b", "c", "d"].map(|name| stage.resumable(&juliet, name));
    let long = "x".repeat(10_000);
    for n in 0..20 {
        // Each of them, in turn: two have as much as all may have.
        let (_, name) = ["a", "b", "c", "d"].iter().enumerate().nth(n % 4).unwrap();
        for m in 0..2 {
            let words = format!(
                "<message to='{juliet}/{name}' type='chat' id='{n}.{m}'><body>{long}</body></message>"
            );
            stage.write(sender, &words);
        }
        stage.world.run();
    }
    // Who writes to them waits, but not for ever for who acknowledges nothing.
    for _ in 0..10 {
        stage.world.advance(FLOW_PATIENCE);
        stage.world.run();
    }
    let ended = readers
        .iter()
        .filter(|(reader, _)| stage.heard(*reader).contains("<resource-constraint "));
    let ended = ended.count();
    assert!((1..=4).contains(&ended), "{ended}");
    assert_eq!(stage.world.residue()[0][8], ended);
    // Nothing of it is lost.
    let mut count = 0;
    for (_, id) in &readers {
        let again = stage.resume(&juliet, id, 0);
        stage.world.run();
        count += bodies(&stage.heard(again)).len();
    }
    assert_eq!(count, 40);
    assert_eq!(stage.heard(sender), "");
    stage.no_bugs();
}

/// What it has acknowledged comes behind what it asked: to wait for that would be to wait for ever.
#[test]
fn who_asks_much_in_one_breath_is_heard_to_the_end_of_it() {
    let (mut stage, [romeo, _]) = stage(Policy::Never);
    let (peer, _) = stage.resumable(&romeo, "r");
    let count = 4_000;
    let ping = "<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
    let breath = ping.repeat(count) + &format!("<a xmlns='urn:xmpp:sm:3' h='{count}'/>");
    stage.write(peer, &breath);
    stage.world.run();
    let heard = stage.heard(peer);
    assert_eq!(heard.matches(" type='result'").count(), count);
    assert!(!heard.contains("<stream:error"), "{heard}");
    assert_eq!(stage.world.residue()[0][6], 0, "nobody waits");
    stage.no_bugs();
}

/// Its session went on without it; to hear that it says good-bye would be to answer for a session that is not over.
#[test]
fn what_comes_of_a_client_that_was_given_up_is_not_heard() {
    let (mut stage, [romeo, juliet]) = stage(Policy::Never);
    let sender = stage.session(&romeo, "r", Counts::No);
    let (reader, id) = stage.resumable(&juliet, "j");
    stage.write(reader, "<presence/>");
    stage.world.run();
    stage.write(sender, &chat(&juliet, "1"));
    stage.world.run();
    stage.heard(reader);
    // Its words are on their way when it is given up, and come before the connection is closed.
    stage.write(reader, "</stream:stream>");
    stage.world.elapse(Duration::from_secs(61));
    stage.world.run();
    assert_eq!(stage.heard(reader), "");
    let again = stage.resume(&juliet, &id, 1);
    stage.world.run();
    let heard = stage.heard(again);
    assert!(heard.contains("<resumed "), "{heard}");
    assert_eq!(bodies(&heard), ["1"]);
    stage.no_bugs();
}
