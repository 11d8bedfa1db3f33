use spondee_core::entropy::Entropy;

use super::*;

const NAME: &str = "romeo@localhost";

fn kept(account: Option<(&str, Status)>) -> Kept {
    let mut entropy = Entropy::new([7; 32]);
    let accounts = account.map(|(password, status)| {
        let password = Secret::new(password.as_bytes().to_vec());
        let jobs = DeriveParams::for_new_password(2, &mut entropy);
        let keys = jobs.iter().map(|job| job.derive(&password)).collect();
        (NAME.to_owned(), Credentials::hashed(status, keys))
    });
    Kept {
        accounts: accounts.into_iter().collect(),
    }
}

fn is_sound(ledger: &Ledger, kept: &Kept) -> bool {
    ledger.faults(kept, &mut Passwords::default()).is_empty()
}

#[test]
fn what_was_reported_must_be_there_and_what_was_asked_for_may_be() {
    let (none, enabled) = (kept(None), kept(Some(("a", Status::Enabled))));
    let (disabled, other) = (
        kept(Some(("a", Status::Disabled))),
        kept(Some(("b", Status::Enabled))),
    );
    let mut ledger = Ledger::default();
    assert!(is_sound(&ledger, &none));
    assert!(!is_sound(&ledger, &enabled), "nobody asked for it");
    ledger.begin(NAME, Change::Add("a".to_owned()));
    assert!(is_sound(&ledger, &none) && is_sound(&ledger, &enabled));
    assert!(!is_sound(&ledger, &other) && !is_sound(&ledger, &disabled));
    ledger.done(NAME);
    assert!(!is_sound(&ledger, &none) && is_sound(&ledger, &enabled));
    ledger.begin(NAME, Change::Passwd("b".to_owned()));
    assert!(is_sound(&ledger, &enabled) && is_sound(&ledger, &other));
    ledger.refused(NAME);
    assert!(is_sound(&ledger, &enabled) && !is_sound(&ledger, &other));
    ledger.begin(NAME, Change::Disable);
    ledger.done(NAME);
    assert!(is_sound(&ledger, &disabled) && !is_sound(&ledger, &enabled));
    ledger.begin(NAME, Change::Delete);
    ledger.done(NAME);
    assert!(is_sound(&ledger, &none) && !is_sound(&ledger, &disabled));
}

#[test]
fn after_a_crash_the_books_say_what_was_found() {
    for (found, sound) in [("a", "b"), ("b", "a")] {
        let mut ledger = Ledger::default();
        ledger.begin(NAME, Change::Add("a".to_owned()));
        ledger.done(NAME);
        ledger.begin(NAME, Change::Passwd("b".to_owned()));
        let found = kept(Some((found, Status::Enabled)));
        ledger.settle(&found, &mut Passwords::default());
        assert!(is_sound(&ledger, &found));
        assert!(!is_sound(&ledger, &kept(Some((sound, Status::Enabled)))));
    }
}

#[test]
fn requests_read_back() {
    for change in [
        Change::Add("x y".to_owned()),
        Change::Delete,
        Change::Disable,
        Change::Enable,
        Change::Passwd("\u{e4}".to_owned()),
    ] {
        let parsed = Change::parse(change.request(NAME).trim_end());
        assert_eq!(parsed, Some((NAME.to_owned(), change)));
    }
    assert_eq!(Change::parse(r#"{"command":"list"}"#), None);
}
