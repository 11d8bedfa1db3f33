//! Every way in which a stanza can come to its end.

use super::*;
use crate::envelope::placement::Placement;
use crate::jid::BareJid;
use crate::jid::Domain;
use crate::limits::{LOAD_AGAIN, OFFER_AGAIN, OFFERS};
use crate::port::Command;
use crate::store::StoreError;

/// A change of the own account.
const ROSTER_SET: &str =
    "<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='a@b.example'/></query></iq>";

/// A session that counts, and an account of another session's or nobody's, `at` this shard of two.
fn stage(policy: Policy, at: usize) -> (Stage, Peer, [String; 2]) {
    let mut stage = Stage::new(policy, 2);
    let (romeo, juliet) = (stage.account(0, 0), stage.account(at, 1));
    let sender = stage.session(&romeo, "r", Counts::Yes);
    (stage, sender, [romeo, juliet])
}

#[test]
fn what_no_disk_is_to_have_is_settled_at_once() {
    for (policy, words) in [
        (
            Policy::Never,
            "<message to='ID' type='chat'><body>x</body></message>",
        ),
        (
            Policy::Always,
            "<message to='ID' type='headline'><body>x</body></message>",
        ),
        (Policy::Always, "<presence to='ID'/>"),
        (
            Policy::Always,
            "<iq to='ID/j' type='get' id='1'><query xmlns='urn:x'/></iq>",
        ),
        (
            Policy::Always,
            "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
        ),
        (
            Policy::Always,
            "<iq to='localhost' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
        ),
        (
            Policy::Always,
            "<message to='nobody@example.com' type='error'/>",
        ),
        (Policy::Always, "<presence/>"),
    ] {
        for at in [0, 1] {
            let (mut stage, sender, [_, juliet]) = stage(policy, at);
            stage.available(&juliet, "j");
            stage.send(sender, &words.replace("ID", &juliet));
            assert_eq!(stage.h(sender), 1, "{words}");
            stage.finish();
            stage.no_bugs();
        }
    }
}

/// What is answered counts like what is routed, and so does what nothing may answer.
#[test]
fn what_is_refused_or_nonsense_is_settled_with_its_answer() {
    for (words, answer) in [
        ("<message to='@' id='1'/>", "jid-malformed"),
        ("<iq type='get' id='1'/>", "bad-request"),
        ("<iq type='nonsense' id='1'/>", "bad-request"),
        ("<message to='@' type='error' id='1'/>", ""),
        (
            "<message to='x@example.com' id='1'><body>x</body></message>",
            "remote-server-not-found",
        ),
        (
            "<message to='localhost' id='1'><body>x</body></message>",
            "service-unavailable",
        ),
        (
            "<presence type='subscribe' to='x@example.com' id='1'/>",
            "remote-server-not-found",
        ),
    ] {
        let (mut stage, sender, _) = stage(Policy::Never, 0);
        stage.send(sender, words);
        assert_eq!(stage.h(sender), 1, "{words}");
        let heard = stage.heard(sender);
        assert!(heard.contains(answer), "{words}: {heard}");
        assert_eq!(heard.is_empty(), answer.is_empty(), "{words}: {heard}");
        stage.no_bugs();
    }
}

#[test]
fn what_changes_the_own_account_is_settled_once_that_is_on_disk_or_refused() {
    for words in [
        ROSTER_SET,
        "<iq type='set' id='1'><vCard xmlns='vcard-temp'><FN>R</FN></vCard></iq>",
        "<iq type='set' id='1'><block xmlns='urn:xmpp:blocking'><item jid='a@b.example'/></block></iq>",
        "<presence type='subscribe' id='1' to='ID'/>",
    ] {
        for error in [None, Some(StoreError::Busy), Some(StoreError::Failed)] {
            let (mut stage, sender, [romeo, juliet]) = stage(Policy::Never, 1);
            stage.send(sender, &words.replace("ID", &juliet));
            assert_eq!(stage.h(sender), 0, "{words}");
            match error {
                None => stage.commit(&romeo),
                Some(error) => {
                    stage.fail(&romeo, error);
                    let h = u32::from(error != StoreError::Busy);
                    assert_eq!(stage.h(sender), h, "{words}");
                    stage.finish();
                    stage.world.advance(OFFER_AGAIN);
                }
            }
            assert_eq!(stage.h(sender), 1, "{words}");
            let refused = stage.heard(sender).contains("internal-server-error");
            assert_eq!(refused, error == Some(StoreError::Failed), "{words}");
            stage.finish();
            stage.no_bugs();
        }
    }
}

/// The store is asked first how much there is.
#[test]
fn private_xml_is_settled_once_it_is_kept_and_not_when_it_is_counted() {
    let set = "<iq type='set' id='1'><query xmlns='jabber:iq:private'><a xmlns='urn:a'>x</a></query></iq>";
    for failing in [None, Some(0), Some(1)] {
        let (mut stage, sender, [romeo, _]) = stage(Policy::Never, 0);
        stage.send(sender, set);
        for step in 0..2 {
            assert_eq!(stage.h(sender), u32::from(failing == Some(0) && step > 0));
            if failing == Some(step) {
                stage.fail(&romeo, StoreError::Failed);
                break;
            }
            stage.commit(&romeo);
        }
        assert_eq!(stage.h(sender), 1);
        let kind = if failing.is_some() { "error" } else { "result" };
        stage.finish();
        assert!(stage.heard(sender).contains(&format!("type='{kind}'")));
        stage.no_bugs();
    }
}

/// XEP-0077 §3.3.
#[test]
fn a_new_password_is_settled_once_it_is_good() {
    let (mut stage, sender, [romeo, _]) = stage(Policy::Never, 0);
    let user = romeo.split_once('@').unwrap().0;
    let words = format!(
        "<iq type='set' id='1' to='localhost'><query xmlns='jabber:iq:register'><username>{user}</username>\
         <password>secret2</password></query></iq>"
    );
    stage.send(sender, &words);
    let mut steps = 0;
    while stage.world.batches() > 0 {
        assert_eq!(stage.h(sender), 0);
        stage.commit(&romeo);
        steps += 1;
    }
    assert_eq!((stage.h(sender), steps), (1, 2));
    assert!(stage.heard(sender).contains("type='result'"));
    // Another, for which there is no room.
    stage.world.store_pace = StorePace::Busy;
    stage.write(sender, &words);
    stage.world.run();
    stage.world.advance(OFFER_AGAIN * u32::from(OFFERS));
    assert_eq!(stage.h(sender), 2);
    stage.no_bugs();
}

#[test]
fn a_message_for_who_is_away_is_settled_once_it_is_kept_or_refused() {
    for at in [0, 1] {
        for error in [
            None,
            Some(StoreError::Failed),
            Some(StoreError::Full),
            Some(StoreError::Conflict),
        ] {
            let (mut stage, sender, [_, juliet]) = stage(Policy::Never, at);
            stage.send(sender, &chat(&juliet, "1"));
            assert_eq!(stage.h(sender), 0, "it is loaded");
            stage.commit(&juliet);
            assert_eq!(stage.h(sender), 0, "it is not kept");
            match error {
                None => stage.commit(&juliet),
                Some(error) => stage.fail(&juliet, error),
            }
            assert_eq!(stage.h(sender), 1);
            assert_eq!(
                stage.heard(sender).contains(&error_of("1")),
                error.is_some()
            );
            assert_eq!(stage.archive(&juliet).len(), usize::from(error.is_none()));
            stage.finish();
            stage.no_bugs();
        }
    }
}

#[test]
fn what_a_busy_store_is_offered_again_is_settled_once_it_takes_it_or_never_will() {
    let (mut stage, sender, [_, juliet]) = stage(Policy::Never, 1);
    stage.send(sender, &chat(&juliet, "1"));
    stage.commit(&juliet);
    stage.fail(&juliet, StoreError::Busy);
    // What is behind it waits, too.
    stage.send(sender, &chat(&juliet, "2"));
    assert_eq!(stage.h(sender), 0);
    stage.finish();
    assert_eq!(stage.h(sender), 0);
    stage.world.advance(OFFER_AGAIN);
    assert_eq!(stage.h(sender), 2);

    stage.world.store_pace = StorePace::Busy;
    stage.write(sender, &chat(&juliet, "3"));
    stage.world.run();
    stage.world.advance(OFFER_AGAIN * (u32::from(OFFERS) - 2));
    assert_eq!(stage.h(sender), 2);
    stage.world.advance(OFFER_AGAIN * 2);
    assert_eq!(stage.h(sender), 3);
    assert!(stage.heard(sender).contains(&error_of("3")));
    stage.no_bugs();
}

/// A server that cannot know what is on its disk stops.
#[test]
fn what_perhaps_is_on_disk_is_never_settled() {
    for at in [0, 1] {
        let (mut stage, sender, [_, juliet]) = stage(Policy::Never, at);
        stage.send(sender, &chat(&juliet, "1"));
        stage.commit(&juliet);
        let next = stage.next_of(&juliet);
        stage.world.lose_answer(next);
        stage.finish();
        stage.write(sender, &chat(&juliet, "2"));
        stage.world.advance(Duration::from_secs(30));
        assert_eq!(stage.h(sender), 0);
        stage.no_bugs();
    }
}

#[test]
fn what_waits_for_an_account_that_cannot_be_read_is_settled_when_it_is_refused() {
    for at in [0, 1] {
        let (mut stage, sender, [_, juliet]) = stage(Policy::Never, at);
        stage.send(sender, &chat(&juliet, "1"));
        stage.fail(&juliet, StoreError::Failed);
        assert_eq!(stage.h(sender), 1);
        assert!(stage.heard(sender).contains("internal-server-error"));
        stage.no_bugs();
    }
}

#[test]
fn what_is_for_nobody_is_settled_when_that_is_known() {
    for policy in [Policy::Never, Policy::Always] {
        let (mut stage, sender, [romeo, _]) = stage(policy, 0);
        stage.send(sender, &chat("nobody@localhost", "1"));
        if policy == Policy::Always {
            stage.commit(&romeo);
        }
        assert_eq!(stage.h(sender), 0);
        stage.commit("nobody@localhost");
        assert_eq!(stage.h(sender), 1);
        assert!(stage.heard(sender).contains("service-unavailable"));
        stage.no_bugs();
    }
}

/// Who is blocked is answered after as long a time as where there is nobody.
#[test]
fn what_is_blocked_on_either_side_is_settled_with_its_answer() {
    for at in [0, 1] {
        for loaded in [false, true] {
            let (mut stage, sender, [romeo, juliet]) = stage(Policy::Always, at);
            let reader = stage.session(&juliet, "j", Counts::No);
            let block = format!(
                "<iq type='set' id='1'><block xmlns='urn:xmpp:blocking'><item jid='{romeo}'/></block></iq>"
            );
            stage.write(reader, &block);
            stage.world.run();
            if !loaded {
                stage.write(reader, "</stream:stream>");
                stage.world.run();
            }
            stage.send(sender, &chat(&juliet, "1"));
            stage.commit(&romeo);
            assert_eq!(stage.h(sender), 0);
            stage.commit(&juliet);
            assert_eq!(stage.h(sender), 1);
            assert!(stage.heard(sender).contains("service-unavailable"));
            // The other way round.
            stage.finish();
            stage.write(sender, &block.replace(&romeo, &juliet));
            stage.world.run();
            stage.send(sender, &chat(&juliet, "2"));
            assert_eq!(stage.h(sender), 3);
            assert!(stage.heard(sender).contains("urn:xmpp:blocking:errors"));
            stage.no_bugs();
        }
    }
}

#[test]
fn what_finds_the_way_full_is_settled_when_it_comes_back() {
    let (mut stage, sender, [romeo, juliet]) = stage(Policy::Always, 1);
    stage.available(&juliet, "j");
    stage.world.lane_capacity = 0;
    stage.send(sender, &chat(&juliet, "1"));
    assert!(stage.heard(sender).contains("resource-constraint"));
    assert_eq!(stage.h(sender), 0, "it is archived, too");
    stage.commit(&romeo);
    assert_eq!(stage.h(sender), 1);
    stage.no_bugs();
}

#[test]
fn what_waits_for_an_account_that_is_deleted_is_settled_with_it() {
    for at in [0, 1] {
        // Its messages are offered again, or wait for that.
        let (mut stage, sender, [_, juliet]) = stage(Policy::Never, at);
        stage.send(sender, &chat(&juliet, "1"));
        stage.commit(&juliet);
        stage.fail(&juliet, StoreError::Busy);
        stage.send(sender, &chat(&juliet, "2"));
        assert_eq!(stage.h(sender), 0);
        delete(&mut stage, &juliet);
        stage.finish();
        assert_eq!(stage.h(sender), 2);
        // The second was kept, and went with all else.
        let heard = stage.heard(sender);
        assert!(
            heard.contains(&error_of("1")) && !heard.contains(&error_of("2")),
            "{heard}"
        );
        stage.no_bugs();

        // It is in the inbox.
        let (mut stage, sender, [_, juliet]) = self::stage(Policy::Never, at);
        let reader = stage.available(&juliet, "j");
        stage.world.store_pace = StorePace::Slow;
        delete(&mut stage, &juliet);
        stage.world.step_all_but_commits();
        // Nobody has to be told of its end.
        let set = "<iq type='set' id='1'><vCard xmlns='vcard-temp'><FN>J</FN></vCard></iq>";
        stage.send(reader, set);
        // What is known of it was read: it is to go.
        stage.commit(&juliet);
        stage.send(sender, &chat(&juliet, "1"));
        assert_eq!(stage.h(sender), 0);
        stage.commit(&juliet);
        assert_eq!(stage.h(sender), 1);
        assert!(stage.heard(sender).contains(&error_of("1")));
        // While it goes.
        stage.send(sender, &chat(&juliet, "2"));
        stage.finish();
        assert_eq!(stage.h(sender), 2);
        stage.no_bugs();
    }
}

fn delete(stage: &mut Stage, account: &str) {
    let account = BareJid::parse(account).unwrap();
    let delete = Command::Delete { account };
    stage.world.post_command(crate::port::CommandId(1), delete);
}

#[test]
fn what_has_no_room_in_an_inbox_is_settled_when_it_is_refused_and_the_rest_when_it_is_read() {
    let (mut stage, _, [romeo, juliet]) = stage(Policy::Never, 1);
    let senders = ["a", "b", "c"].map(|name| stage.session(&romeo, name, Counts::Yes));
    let reader = stage.available(&juliet, "j");
    stage.send(reader, ROSTER_SET);
    let each = u32::try_from(UNSETTLED_MAX).unwrap();
    let words: String = (0..each).map(|n| chat(&juliet, &format!("{n}"))).collect();
    for sender in senders {
        stage.world.tell_bytes(sender, words.as_bytes());
        stage.world.step_all_but_commits();
    }
    let h = senders.map(|sender| stage.h(sender));
    assert_eq!(h, [0, 0, each]);
    let errors = stage
        .heard(senders[2])
        .matches("resource-constraint")
        .count();
    assert_eq!(errors, UNSETTLED_MAX);
    stage.finish();
    assert_eq!(senders.map(|sender| stage.h(sender)), [each; 3]);
    assert_eq!(
        stage.heard(reader).matches("<body>").count(),
        2 * UNSETTLED_MAX
    );
    stage.no_bugs();
}

/// In one batch with what somebody else changed, which comes to nothing.
#[test]
fn what_is_done_again_is_settled_once() {
    for error in [StoreError::Failed, StoreError::Full, StoreError::Unknown] {
        let (mut stage, sender, [romeo, juliet]) = stage(Policy::Always, 1);
        let nurse = stage.account(0, 2);
        let other = stage.session(&nurse, "n", Counts::Yes);
        let reader = stage.available(&juliet, "j");
        stage.send(reader, ROSTER_SET);
        // Both in its inbox, in this order.
        stage.send(
            other,
            &format!("<presence type='subscribe' to='{juliet}'/>"),
        );
        stage.commit(&nurse);
        stage.send(sender, &chat(&juliet, "1"));
        stage.commit(&romeo);
        stage.commit(&juliet);
        assert_eq!((stage.h(sender), stage.h(other)), (0, 1));
        stage.fail(&juliet, error);
        assert_eq!(stage.h(sender), 0, "it is read again");
        stage.commit(&juliet);
        assert_eq!(stage.h(sender), 0, "{error:?}");
        stage.finish();
        assert_eq!(stage.h(sender), 1, "{error:?}");
        assert_eq!(stage.archive(&juliet), ["1"]);
        stage.no_bugs();
    }
}

#[test]
fn what_is_for_a_host_that_went_away_meanwhile_is_settled_with_its_answer() {
    let mut before = config(Policy::Never, 2);
    let gone = Domain::parse("example.com").unwrap();
    let host = before.hosts.values().next().unwrap().clone();
    before.hosts.insert(gone.clone(), host);
    let mut after = before.clone();
    after.hosts.remove(&gone);
    let placement = Placement::new(&before.server_secret, 2);
    let mut names = (0..).map(|n| format!("user{n}@example.com"));
    let juliet = names.find(|name| placement.owner(name).shard == 1).unwrap();
    let world = World::new(before);
    let mut stage = Stage { world };
    let romeo = stage.account(0, 0);
    let sender = stage.session(&romeo, "r", Counts::Yes);
    stage.world.store_pace = StorePace::Slow;
    stage
        .world
        .tell_bytes(sender, chat(&juliet, "1").as_bytes());
    // The receiver's shard hears of it first.
    let heard = stage.world.configure(after);
    stage.world.tell(1, crate::port::Input::Reload(heard));
    stage.world.step_all_but_commits();
    assert_eq!(stage.h(sender), 1);
    assert!(stage.heard(sender).contains("remote-server-not-found"));
    stage.no_bugs();
}

#[test]
fn what_comes_for_a_session_that_is_over_is_for_nobody() {
    let (mut stage, sender, [_, juliet]) = stage(Policy::Always, 1);
    stage.send(sender, &chat(&juliet, "1"));
    stage.world.hang_up(sender);
    stage.finish();
    stage.world.advance(LOAD_AGAIN);
    assert_eq!(stage.archive(&juliet), ["1"]);
    stage.no_bugs();
}
