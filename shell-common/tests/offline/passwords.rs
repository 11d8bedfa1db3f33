//! What is kept of passwords, by the host's `authentication`, without a server.

use std::fs;

use spondee_core::sasl::{CREDENTIALS, Credentials, Dates, Form, Hash, Status, Verifier};
use spondee_core::store::Row;

use super::export::{everything, export};
use super::place::Place;

const JULIET: &str = "juliet@example.org";
const ROMEO: &str = "romeo@example.org";

/// `example.org` keeps passwords like this.
fn configure(place: &Place, authentication: &str) {
    place.configure(&format!(
        "data_directory = \"data\"\n\
         default_iteration_count = 4096\n\
         [host.\"example.org\"]\n\
         authentication = \"{authentication}\"\n\
         [host.\"example.net\"]\n"
    ));
}

fn keeping() -> Place {
    let place = Place::new();
    configure(&place, "internal_plain");
    place
}

fn row(place: &Place, account: &str) -> Row {
    let (tables, _) = everything(place, account);
    let found = tables
        .into_iter()
        .find(|(table, _)| table.name == CREDENTIALS.name);
    found.unwrap().1.remove(0)
}

fn form(place: &Place, account: &str) -> Form {
    Credentials::form_of(&row(place, account))
}

/// The password that is kept.
fn kept(place: &Place, account: &str) -> String {
    match Credentials::from_row(&row(place, account))
        .unwrap()
        .verifier
    {
        Verifier::Password(password) => String::from_utf8(password.expose().to_vec()).unwrap(),
        Verifier::Keys(_) => panic!("keys of {account}"),
    }
}

#[test]
fn what_is_kept_of_a_new_password_is_as_its_host_has_it() {
    let place = keeping();
    // As SASLprep has it (RFC 4013 §3).
    place
        .run(
            &format!("spondee user add {JULIET}"),
            "I\u{ad}X\u{a0}\u{aa}\n",
        )
        .is_done();
    assert_eq!(kept(&place, JULIET), "IX a");
    place
        .run("spondee user add juliet@example.net", "secret\n")
        .is_done();
    assert_eq!(form(&place, "juliet@example.net"), Form::Hashed);
    place
        .run(&format!("spondee user passwd {JULIET}"), "another\n")
        .is_done();
    assert_eq!(kept(&place, JULIET), "another");
    place
        .run(&format!("spondee user passwd {JULIET}"), "\u{7}\n")
        .is_refused(1, "password");
    assert_eq!(kept(&place, JULIET), "another");
    for (line, status) in [
        ("spondee user disable", Status::Disabled),
        ("spondee user enable", Status::Enabled),
    ] {
        place.run(&format!("{line} {JULIET}"), "").is_done();
        assert_eq!(Credentials::status_of(&row(&place, JULIET)), status);
        assert_eq!(kept(&place, JULIET), "another");
    }
}

#[test]
fn keys_stay_keys_until_the_password_is_set_anew() {
    let place = Place::new();
    place
        .run(&format!("spondee user add {JULIET}"), "secret\n")
        .is_done();
    configure(&place, "internal_plain");
    place
        .run(&format!("spondee user disable {JULIET}"), "")
        .is_done();
    assert_eq!(form(&place, JULIET), Form::Hashed);
    place
        .run(&format!("spondee user passwd {JULIET}"), "secret\n")
        .is_done();
    assert_eq!(kept(&place, JULIET), "secret");
    configure(&place, "internal_hashed");
    place
        .run(&format!("spondee user passwd {JULIET}"), "secret\n")
        .is_done();
    assert_eq!(form(&place, JULIET), Form::Hashed);
}

#[test]
fn a_password_that_is_kept_is_exported_and_becomes_what_the_other_host_makes_of_it() {
    let place = keeping();
    place
        .run(&format!("spondee user add {JULIET}"), "<\"'&>\n")
        .is_done();
    let file = export(&place, JULIET);
    let attribute = "password='&lt;&quot;&apos;&amp;&gt;'";
    assert!(file.contains(attribute), "{file}");
    assert!(!file.contains("scram-credentials"), "{file}");
    for (authentication, expected) in [
        ("internal_plain", Form::Plain),
        ("internal_hashed", Form::Hashed),
    ] {
        let to = Place::new();
        configure(&to, authentication);
        fs::write(to.path("juliet.xml"), &file).unwrap();
        let line = format!("spondee user import {}", to.path("juliet.xml").display());
        assert_eq!(to.run(&line, "").code, 0);
        assert_eq!(form(&to, JULIET), expected);
        let exported = export(&to, JULIET);
        assert_eq!(exported.contains(attribute), expected == Form::Plain);
        assert_eq!(
            exported.contains("scram-credentials"),
            expected == Form::Hashed
        );
        // The days of its making and of its last change come with it.
        let account = |file: &str| {
            file.lines()
                .find(|l| l.starts_with("<account"))
                .unwrap()
                .to_owned()
        };
        assert_eq!(account(&exported), account(&file));
    }
}

#[test]
fn keys_that_are_imported_are_kept_as_keys_on_every_host() {
    let from = Place::new();
    from.run(&format!("spondee user add {ROMEO}"), "secret\n")
        .is_done();
    let to = keeping();
    fs::write(to.path("romeo.xml"), export(&from, ROMEO)).unwrap();
    let line = format!("spondee user import {}", to.path("romeo.xml").display());
    assert_eq!(to.run(&line, "").code, 0);
    let read = Credentials::from_row(&row(&to, ROMEO)).unwrap();
    assert_eq!(read.keys().len(), Hash::ALL.len());
}

#[test]
fn passwords_become_keys_by_a_command_and_on_no_host_that_keeps_them() {
    let place = keeping();
    for user in [JULIET, ROMEO, "juliet@example.net"] {
        place
            .run(&format!("spondee user add {user}"), "secret\n")
            .is_done();
    }
    let days = |place: &Place| Dates::of(&row(place, JULIET));
    let before = days(&place);
    place
        .run("spondee passwords upgrade --host example.org", "")
        .is_refused(1, "set its `authentication` to \"internal_hashed\" first");
    let said = place
        .run("spondee passwords upgrade", "")
        .is_done()
        .out
        .clone();
    assert!(
        said.starts_with("no password was upgraded on example.net: "),
        "{said}"
    );
    assert!(
        said.ends_with("example.org keeps passwords (`authentication`): they stay as they are\n"),
        "{said}"
    );
    assert_eq!(form(&place, JULIET), Form::Plain);
    place
        .run("spondee passwords upgrade --host example.com", "")
        .is_refused(1, "the host example.com is not served");

    configure(&place, "internal_hashed");
    place
        .run(&format!("spondee user disable {JULIET}"), "")
        .is_done();
    let said = place
        .run("spondee passwords upgrade --host example.org", "")
        .is_done()
        .out
        .clone();
    let data = place.path("data");
    assert_eq!(
        said,
        format!(
            "2 passwords were upgraded on example.org: keys are kept of all, and no password is left in the database (in {}; no server runs \
             there)\n",
            data.display()
        )
    );
    for user in [JULIET, ROMEO] {
        assert_eq!(form(&place, user), Form::Hashed);
    }
    assert_eq!(
        Credentials::status_of(&row(&place, JULIET)),
        Status::Disabled
    );
    assert_eq!(days(&place).created, before.created);
    let said = place
        .run("spondee passwords upgrade", "")
        .is_done()
        .out
        .clone();
    assert_eq!(
        said.matches("no password was upgraded").count(),
        2,
        "{said}"
    );
}

#[test]
fn a_host_of_guests_has_no_accounts_to_change() {
    let place = keeping();
    configure(&place, "anonymous");
    place
        .run(&format!("spondee user add {JULIET}"), "secret\n")
        .is_refused(1, "has guests and no accounts");
    place
        .run("spondee passwords upgrade --host example.org", "")
        .is_refused(1, "example.org has guests and no accounts");
    let said = place
        .run("spondee passwords upgrade", "")
        .is_done()
        .out
        .clone();
    assert!(
        said.ends_with(
            "example.org has guests (`authentication`): whatever it kept before stays as it is\n"
        ),
        "{said}"
    );
}

#[test]
fn a_user_is_shown_with_what_is_kept_of_the_password() {
    let place = keeping();
    place
        .run(&format!("spondee user add {JULIET}"), "secret\n")
        .is_done();
    let show = format!("spondee user show {JULIET}");
    let shown = place.run(&show, "").is_done().out.clone();
    assert!(shown.contains("\nits password is kept\n"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
    configure(&place, "internal_hashed");
    place.run("spondee passwords upgrade", "").is_done();
    let shown = place.run(&show, "").is_done().out.clone();
    assert!(
        shown.contains("\nkeys of its password are kept\n"),
        "{shown}"
    );
    let shown = place
        .run(&format!("{show} --json"), "")
        .is_done()
        .out
        .clone();
    assert!(shown.contains("\"password\": \"hashed\""), "{shown}");
}
