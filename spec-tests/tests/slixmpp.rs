//! Contacts, presence and blocking as people with slixmpp have them: scenes of `interop/slixmpp_contacts.py`, each against a server of
//! its own that is stopped and killed between their lines.
//!
//! They run as those of interop.rs do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value};
use spec_tests::program::{Program, installed, script};
use spec_tests::server::Server;

/// A whole scene on a busy machine; the scene itself gives up earlier, and says why.
const PATIENCE: Duration = Duration::from_secs(400);
const PEOPLE: &[(&str, &str)] = &[
    ("juliet@localhost", "the lark, not the nightingale"),
    ("mercutio@localhost", "a plague o' both your houses"),
    (
        "nurse@localhost",
        "this afternoon, sir? well, she shall be there",
    ),
    ("romeo@localhost", "p\u{e0}ssw\u{f6}rd of R\u{f4}meo"),
];

/// Plays a scene to its end, and does to the server what it wants.
fn plays(scene: &str) {
    let Some(installed) = installed("slixmpp, its contacts and who it blocks") else {
        return;
    };
    let mut server = Server::start(PEOPLE).unwrap();
    let mut command = Command::new(installed.join("venv/bin/python"));
    command
        .arg(script("slixmpp_contacts.py"))
        .args([scene, &server.clear.port().to_string(), "localhost"])
        .arg(server.authority().path());
    let mut program = Program::start(command).unwrap();
    let passwords: Map<String, Value> = PEOPLE
        .iter()
        .map(|(account, password)| {
            let name = account.split('@').next().unwrap();
            (name.to_owned(), Value::from(*password))
        })
        .collect();
    program.say(&Value::from(passwords).to_string()).unwrap();
    loop {
        match program.wait_for(PATIENCE, said).unwrap() {
            Said::Restart(how) => {
                match how.as_str() {
                    "kill" => server.kill().unwrap(),
                    _ => server.stop().unwrap(),
                }
                server.start_again().unwrap();
            }
            Said::Delete(account) => {
                server
                    .command(&["user", "delete", "--yes", &account])
                    .unwrap();
            }
            Said::Played(what) => {
                assert_eq!(what, scene);
                break;
            }
        }
        program.say("it is done").unwrap();
    }
    let status = program.wait(PATIENCE).unwrap();
    assert!(status.success(), "{status}: {:#?}", program.seen());
}

enum Said {
    Restart(String),
    Delete(String),
    Played(String),
}

fn said(line: &str) -> Option<Said> {
    let value: Value = serde_json::from_str(line).ok()?;
    if let Some(why) = value.get("failed") {
        panic!("{}", why.as_str().unwrap());
    }
    let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
    text("restart")
        .map(Said::Restart)
        .or_else(|| text("delete").map(Said::Delete))
        .or_else(|| text("played").map(Said::Played))
}

#[test]
fn a_request_waits_for_who_is_away() {
    plays("request_waits_for_who_is_away");
}

#[test]
fn a_pre_approval_answers_the_request() {
    plays("pre_approval_answers_the_request");
}

#[test]
fn what_was_asked_and_granted_is_taken_back() {
    plays("what_was_asked_and_granted_is_taken_back");
}

#[test]
fn the_roster_is_told_by_version() {
    plays("roster_is_told_by_version");
}

#[test]
fn two_devices_are_in_step() {
    plays("two_devices_are_in_step");
}

#[test]
fn who_is_blocked_sees_nobody_until_unblocked() {
    plays("blocking_and_unblocking");
}

#[test]
fn contacts_learn_when_somebody_left_and_strangers_do_not() {
    plays("last_activity_of_who_left");
}

#[test]
fn two_who_ask_each_other_at_once_agree_in_the_end() {
    plays("two_ask_each_other_at_once");
}

#[test]
fn who_is_deleted_is_nobodys_contact() {
    plays("who_is_deleted_is_nobodys_contact");
}
