use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use std::format;

use super::*;
use crate::config::HostConfig;
use crate::jid::{BareJid, Domain};
use crate::limits::{Limits, PASSWORD_BYTES};
use crate::map::Keyed;
use crate::options::Item as _;
use crate::sasl::{Throttle, Verdict};
use crate::secret::Secret;
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::time::Instant;
use crate::xml::Writer;

fn query(inside: &str) -> Stanza {
    Stanza::build(Kind::Iq(IqType::Set), Some("1"), None, None, |w| {
        let query = format!("<query xmlns='jabber:iq:register'>{inside}</query>");
        w.raw(query.as_bytes());
    })
}

fn juliet() -> BareJid {
    BareJid::parse("juliet@localhost").unwrap()
}

fn change_of(inside: &str) -> Result<Change, Condition> {
    change(&query(inside).payload().unwrap(), &juliet())
}

fn apply(inside: &str) -> Result<Application, Condition> {
    let host = Domain::parse("localhost").unwrap();
    let config = HostConfig::default();
    apply_for(&query(inside).payload().unwrap(), &host, &config)
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

/// XEP-0077 §3.3.
#[test]
fn a_member_changes_its_own_password() {
    for name in ["juliet", "Juliet", "juliet@localhost"] {
        let wanted = format!("<username>{name}</username><password>new &amp; good</password>");
        let changed = Change::Password(secret("new & good"));
        assert_eq!(change_of(&wanted), Ok(changed), "{name}");
    }
    for (inside, refused) in [
        ("", Condition::BadRequest),
        ("<username>juliet</username>", Condition::BadRequest),
        ("<password>x</password>", Condition::BadRequest),
        ("<username/><password>x</password>", Condition::BadRequest),
        (
            "<username>juliet</username><password/>",
            Condition::BadRequest,
        ),
        // Nothing of it is left once it is prepared.
        (
            "<username>juliet</username><password>&#xad;</password>",
            Condition::NotAcceptable,
        ),
        (
            "<username>romeo</username><password>x</password>",
            Condition::NotAllowed,
        ),
        (
            "<username>juliet@capulet.example</username><password>x</password>",
            Condition::NotAllowed,
        ),
        (
            "<username>a b</username><password>x</password>",
            Condition::NotAllowed,
        ),
        (
            "<username>juliet</username><password>&#xe000;</password>",
            Condition::NotAcceptable,
        ),
        (
            "<username>juliet</username><password>12345</password>",
            Condition::NotAcceptable,
        ),
        (
            "<username>juliet</username><password>juliet</password>",
            Condition::NotAcceptable,
        ),
        (
            "<username xmlns='x'>juliet</username><password>x</password>",
            Condition::BadRequest,
        ),
    ] {
        assert_eq!(change_of(inside), Err(refused), "{inside}");
    }
    let long = "x".repeat(PASSWORD_BYTES + 1);
    let long = format!("<username>juliet</username><password>{long}</password>");
    assert_eq!(change_of(&long), Err(Condition::NotAcceptable));
}

/// XEP-0077 §3.2.
#[test]
fn a_member_removes_its_account_and_says_nothing_else() {
    assert_eq!(change_of("<remove/>"), Ok(Change::Remove));
    for inside in ["<remove/><x/>", "<username>juliet</username><remove/>"] {
        assert_eq!(change_of(inside), Err(Condition::BadRequest), "{inside}");
    }
}

/// XEP-0077 §3.1.
#[test]
fn a_stranger_gives_a_name_and_a_password() {
    let bill = "<username>Bill</username><password>Calliope</password><email>bard@shakespeare.example</email>";
    let application = Application {
        account: BareJid::parse("bill@localhost").unwrap(),
        password: secret("Calliope"),
    };
    assert_eq!(apply(bill), Ok(application));
    for inside in [
        "",
        "<username>bill</username>",
        "<username>bill</username><password/>",
        "<username>bill</username><password>&#xad;</password>",
        "<username>bill</username><password>short</password>",
        "<username>william</username><password>william</password>",
        "<username/><password>Calliope</password>",
        "<username>a b</username><password>Calliope</password>",
        "<username>a@b</username><password>Calliope</password>",
        "<username>a/b</username><password>Calliope</password>",
    ] {
        assert_eq!(apply(inside), Err(Condition::NotAcceptable), "{inside}");
    }
    assert_eq!(apply("<remove/>"), Err(Condition::UnexpectedRequest));
    let reserved = "<username>ADMIN</username><password>Calliope</password>";
    assert_eq!(apply(reserved), Err(Condition::Conflict));
}

#[test]
fn what_is_answered_names_the_fields() {
    let written = |write: &dyn Fn(&mut Writer<'_>)| {
        let mut xml = Vec::new();
        write(&mut Writer::new(&mut xml));
        String::from_utf8(xml).unwrap()
    };
    assert_eq!(
        written(&|w| on_file(w, &juliet())),
        "<query xmlns='jabber:iq:register'><registered/><instructions>To change the password, give a new one.</instructions>\
         <username>juliet</username><password/></query>"
    );
    assert_eq!(
        written(&|w| fields(w)),
        "<query xmlns='jabber:iq:register'><instructions>Choose a username and a password.</instructions>\
         <username/><password/></query>"
    );
}

#[test]
fn names_are_reserved_as_they_are_prepared() {
    let reserved = Reserved::read("ADMIN").unwrap();
    assert!(reserved.is(Some("admin")));
    assert!(!reserved.is(Some("admi")) && !reserved.is(None));
    assert_eq!(Reserved::read("a b"), None);
    let options = RegistrationOptions::default();
    assert_eq!(options.by, WhoRegisters::Administrators);
    assert!(options.reserved.len() > 5);
}

/// A shard at which somebody registers.
struct Desk {
    registrations: Registrations,
    throttle: Throttle,
    limits: Limits,
    now: Instant,
}

impl Desk {
    fn new(per_address: u32, all: u32) -> Self {
        let key = Keyed::new([0; 16]);
        let limits = Limits {
            registrations_per_address: per_address,
            registrations: all,
            registration_period: Duration::from_secs(3600),
            ..Limits::default()
        };
        Self {
            registrations: Registrations::new(&key),
            throttle: Throttle::new(&[0; 32], &key),
            limits,
            now: Instant(1_000_000_000_000),
        }
    }

    /// How many of ten in a row may.
    fn ten(&mut self, address: &str) -> usize {
        let from = address.parse().unwrap();
        let print = self
            .throttle
            .attempt(&self.limits, from, None)
            .counted_address();
        let mut may = 0;
        for _ in 0..10 {
            if self.registrations.verdict(self.now, &self.limits, print) == Verdict::Answer {
                self.registrations.count(self.now, &self.limits, print);
                may += 1;
            }
        }
        may
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }
}

#[test]
fn an_address_has_so_many_in_a_period_and_others_have_their_own() {
    let mut desk = Desk::new(3, 100);
    assert_eq!(desk.ten("192.0.2.1"), 3);
    assert_eq!(desk.ten("192.0.2.2"), 3);
    assert_eq!(desk.ten("2001:db8::1"), 3);
    // The same network.
    assert_eq!(desk.ten("2001:db8::2"), 0);
    desk.wait(1200);
    assert_eq!(desk.ten("192.0.2.1"), 1);
    desk.wait(3600);
    assert_eq!(desk.ten("192.0.2.1"), 3);
    desk.registrations.forgive_all();
    assert_eq!(desk.ten("192.0.2.1"), 3);
}

#[test]
fn all_addresses_together_have_so_many() {
    let mut desk = Desk::new(3, 7);
    assert_eq!(desk.ten("192.0.2.1"), 3);
    assert_eq!(desk.ten("192.0.2.2"), 3);
    assert_eq!(desk.ten("192.0.2.3"), 1);
    assert_eq!(desk.ten("192.0.2.4"), 0);
    desk.wait(3600);
    assert_eq!(desk.ten("192.0.2.4"), 3);
}

#[test]
fn without_a_limit_there_is_none_and_a_proxy_counts_only_with_all() {
    let mut desk = Desk::new(0, 0);
    assert_eq!(desk.ten("192.0.2.1"), 10);
    let mut desk = Desk::new(1, 8);
    desk.limits.unlimited_addresses = ["192.0.2.1".parse().unwrap()].into();
    assert_eq!(desk.ten("192.0.2.1"), 8);
}
