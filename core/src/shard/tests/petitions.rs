//! What sessions with stream management ask of accounts of their own (XEP-0077), and lose their connection before it is done.

use alloc::format;
use alloc::string::String;

use super::stage::Stage;
use crate::archive::Policy;
use crate::testing::{Peer, StorePace};

fn change_password(account: &str) -> String {
    let user = account.split_once('@').unwrap().0;
    format!(
        "<iq type='set' id='p' to='localhost'><query xmlns='jabber:iq:register'><username>{user}</username>\
         <password>secret</password></query></iq>"
    )
}

/// A session that asks for something, and the name of another beside it; nothing is done yet.
fn ask(words: impl Fn(&str) -> String) -> (Stage, String, Peer, String, Peer) {
    let mut stage = Stage::new(Policy::Never, 1);
    let romeo = stage.account(0, 0);
    let (asker, id) = stage.resumable(&romeo, "r");
    let (other, _) = stage.resumable(&romeo, "o");
    stage.send(asker, &words(&romeo));
    assert_eq!(stage.heard(asker), "");
    (stage, romeo, asker, id, other)
}

#[test]
fn who_sleeps_when_its_password_is_changed_hears_of_it_when_it_is_back() {
    let (mut stage, romeo, asker, id, other) = ask(change_password);
    stage.world.hang_up(asker);
    stage.world.step_all_but_commits();
    stage.finish();
    // All others are gone.
    assert!(stage.heard(other).contains("</stream:stream>"));
    let again = stage.resume(&romeo, &id, 0);
    stage.world.run();
    let heard = stage.heard(again);
    assert!(heard.contains("<resumed "), "{heard}");
    assert!(heard.contains(" h='1'"), "{heard}");
    assert!(heard.contains("type='result' id='p'"), "{heard}");
    stage.no_bugs();
}

#[test]
fn who_has_another_connection_when_its_password_is_changed_keeps_it() {
    let (mut stage, romeo, asker, id, other) = ask(change_password);
    // It was asked by the password that is good so far.
    let again = stage.resume(&romeo, &id, 0);
    stage.world.run();
    assert!(stage.heard(asker).contains("<conflict "));
    assert!(stage.heard(other).contains("</stream:stream>"));
    let heard = stage.heard(again);
    assert!(heard.contains("<resumed "), "{heard}");
    assert!(heard.contains("type='result' id='p'"), "{heard}");
    assert!(!heard.contains("</stream:stream>"), "{heard}");
    stage.no_bugs();
}

#[test]
fn who_removes_its_account_and_is_gone_leaves_nothing() {
    let remove = "<iq type='set' id='p' to='localhost'><query xmlns='jabber:iq:register'><remove/></query></iq>";
    let (mut stage, romeo, asker, _, other) = ask(|_| remove.into());
    stage.world.hang_up(asker);
    stage.world.step_all_but_commits();
    stage.world.store_pace = StorePace::Prompt;
    stage.world.run();
    assert!(stage.heard(other).contains("</stream:stream>"));
    let next = stage.sign_in(&romeo);
    assert!(!stage.bind(next, "r").contains("type='result'"));
    assert_eq!(stage.world.residue()[0][8], 0);
    stage.no_bugs();
}
