//! Contacts, blocking, messages, archives, accounts and phones as people with slixmpp have them: scenes of `interop/slixmpp_contacts.py` and its
//! neighbours, each against a server of its own that is stopped and killed between their lines.
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
const CONTACTS: &str = "slixmpp_contacts.py";
const MESSAGES: &str = "slixmpp_messages.py";
const ARCHIVE: &str = "slixmpp_archive.py";
const ACCOUNT: &str = "slixmpp_account.py";
const PHONE: &str = "slixmpp_phone.py";
const PEOPLE: &[(&str, &str)] = &[
    ("juliet@localhost", "the lark, not the nightingale"),
    ("mercutio@localhost", "a plague o' both your houses"),
    (
        "nurse@localhost",
        "this afternoon, sir? well, she shall be there",
    ),
    ("romeo@localhost", "p\u{e0}ssw\u{f6}rd of R\u{f4}meo"),
];

/// Plays a scene of a script to its end, and does to the server what it wants.
fn plays(text: &str, scene: &str) {
    let Some(installed) =
        installed("slixmpp: contacts, blocking, messages, archives, accounts, phones")
    else {
        return;
    };
    let mut server = Server::start(PEOPLE).unwrap();
    let mut command = Command::new(installed.join("venv/bin/python"));
    command
        .arg(script(text))
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
    plays(CONTACTS, "request_waits_for_who_is_away");
}

#[test]
fn a_pre_approval_answers_the_request() {
    plays(CONTACTS, "pre_approval_answers_the_request");
}

#[test]
fn what_was_asked_and_granted_is_taken_back() {
    plays(CONTACTS, "what_was_asked_and_granted_is_taken_back");
}

#[test]
fn the_roster_is_told_by_version() {
    plays(CONTACTS, "roster_is_told_by_version");
}

#[test]
fn two_devices_are_in_step() {
    plays(CONTACTS, "two_devices_are_in_step");
}

#[test]
fn who_is_blocked_sees_nobody_until_unblocked() {
    plays(CONTACTS, "blocking_and_unblocking");
}

#[test]
fn contacts_learn_when_somebody_left_and_strangers_do_not() {
    plays(CONTACTS, "last_activity_of_who_left");
}

#[test]
fn two_who_ask_each_other_at_once_agree_in_the_end() {
    plays(CONTACTS, "two_ask_each_other_at_once");
}

#[test]
fn who_is_deleted_is_nobodys_contact() {
    plays(CONTACTS, "who_is_deleted_is_nobodys_contact");
}

#[test]
fn each_device_has_both_sides_of_a_conversation() {
    plays(MESSAGES, "devices_have_both_sides_of_a_conversation");
}

#[test]
fn what_is_not_for_all_devices_is_not_copied() {
    plays(MESSAGES, "what_is_not_for_all_devices_is_not_copied");
}

#[test]
fn notes_to_oneself_come_once() {
    plays(MESSAGES, "notes_to_oneself_come_once");
}

#[test]
fn who_is_away_gets_everything_in_order() {
    plays(MESSAGES, "who_is_away_gets_everything_in_order");
}

#[test]
fn what_waits_goes_to_one_device_of_many() {
    plays(MESSAGES, "what_waits_goes_to_one_device_of_many");
}

#[test]
fn what_is_for_the_moment_is_not_kept() {
    plays(MESSAGES, "what_is_for_the_moment_is_not_kept");
}

#[test]
fn who_asks_the_archive_first_is_not_told_twice() {
    plays(MESSAGES, "who_asks_the_archive_first_is_not_told_twice");
}

#[test]
fn what_clients_build_on_passes_and_is_kept() {
    plays(MESSAGES, "what_clients_build_on_passes_and_is_kept");
}

#[test]
fn ids_that_others_made_up_are_taken_off() {
    plays(MESSAGES, "ids_that_others_made_up_are_taken_off");
}

#[test]
fn what_bounces_is_told_to_all_devices() {
    plays(MESSAGES, "what_bounces_is_told_to_all_devices");
}

#[test]
fn three_thousand_messages_are_paged_both_ways() {
    plays(ARCHIVE, "three_thousand_messages_are_paged_both_ways");
}

#[test]
fn the_archive_is_asked_for_a_part() {
    plays(ARCHIVE, "the_archive_is_asked_for_a_part");
}

#[test]
fn a_page_meets_what_comes_live() {
    plays(ARCHIVE, "a_page_meets_what_comes_live");
}

#[test]
fn preferences_say_what_is_kept() {
    plays(ARCHIVE, "preferences_say_what_is_kept");
}

#[test]
fn wrong_preferences_change_nothing() {
    plays(ARCHIVE, "wrong_preferences_change_nothing");
}

#[test]
fn private_xml_is_kept_for_all_devices() {
    plays(ACCOUNT, "private_xml_is_kept_for_all_devices");
}

#[test]
fn vcards_are_kept_and_shown() {
    plays(ACCOUNT, "vcards_are_kept_and_shown");
}

#[test]
fn a_password_is_changed() {
    plays(ACCOUNT, "a_password_is_changed");
}

#[test]
fn an_account_is_given_up() {
    plays(ACCOUNT, "an_account_is_given_up");
}

#[test]
fn an_inactive_phone_is_told_once_what_changed() {
    plays(PHONE, "an_inactive_phone_is_told_once_what_changed");
}

#[test]
fn a_phone_that_returns_is_looked_at() {
    plays(PHONE, "a_phone_that_returns_is_looked_at");
}
