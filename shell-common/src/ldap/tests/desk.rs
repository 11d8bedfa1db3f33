//! Threads that ask: each host's by themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use spondee_core::arena::Arena;
use spondee_core::jid::{BareJid, Domain};
use spondee_core::port::Ticket;
use spondee_core::sasl::Judgement;

use super::*;
use crate::ldap::{Directories, Unasked};
use crate::limits::{LDAP_CONNECTIONS, LDAP_QUEUE};
use crate::mailbox::{Letter, Mailbox};

#[derive(Debug)]
struct Collecting(Mutex<Sender<Letter>>);

impl Mailbox for Collecting {
    fn post(&self, letters: Vec<Letter>) {
        let sender = self.0.lock().unwrap();
        for letter in letters {
            // The test may be over.
            let _ = sender.send(letter);
        }
    }
}

/// A shard that asks, and what it is answered.
struct Shard {
    directories: Directories,
    mailbox: Arc<dyn Mailbox>,
    answers: Receiver<Letter>,
    tickets: Arena<Ticket, ()>,
}

impl Shard {
    fn new(directories: &[(&str, Settings)]) -> Self {
        let (sender, answers) = channel();
        let shard = Self {
            directories: Directories::default(),
            mailbox: Arc::new(Collecting(Mutex::new(sender))),
            answers,
            tickets: Arena::default(),
        };
        assert_eq!(shard.replace(directories), [""; 0]);
        shard
    }

    fn replace(&self, directories: &[(&str, Settings)]) -> Vec<String> {
        let all = directories.iter();
        let all: BTreeMap<_, _> = all
            .map(|(host, settings)| (Domain::parse(host).unwrap(), settings.clone()))
            .collect();
        self.directories.replace(&all)
    }

    fn ask(&mut self, account: &str, password: &str) -> Result<Ticket, Unasked> {
        let ticket = self.tickets.insert(());
        let account = BareJid::parse(account).unwrap();
        let password = secret(password);
        self.directories
            .judge(&self.mailbox, ticket, &account, password)
            .map(|()| ticket)
    }

    fn answer(&self) -> (Ticket, Judgement) {
        match self.answers.recv().unwrap() {
            Letter::Judged(ticket, judgement) => (ticket, judgement),
            letter @ (Letter::Census
            | Letter::Command(..)
            | Letter::Derived(..)
            | Letter::Evict(_)
            | Letter::Handshake(..)
            | Letter::Resolved(..)
            | Letter::Stored(..)) => panic!("{letter:?}"),
        }
    }

    #[track_caller]
    fn hears(&mut self, account: &str, password: &str, expected: Judgement) {
        let ticket = self.ask(account, password).unwrap();
        assert_eq!(self.answer(), (ticket, expected));
    }
}

/// A directory that takes connections and never says anything.
fn silent() -> (TcpListener, Settings) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let settings = Settings {
        patience: Duration::from_millis(50),
        ..settings(&address)
    };
    (listener, settings)
}

#[test]
fn what_a_directory_says_comes_under_the_ticket_of_who_asked() {
    let fake = Fake::start(good);
    let mut shard = Shard::new(&[("a.example", settings(&fake.address))]);
    shard.hears("juliet@a.example", "secret", Judgement::Right);
    shard.hears("juliet@a.example", "wrong", Judgement::Wrong);
    assert_eq!(shard.ask("juliet@b.example", "secret"), Err(Unasked));
    let mut asked: Vec<Ticket> = (0..100)
        .map(|_| shard.ask("juliet@a.example", "secret").unwrap())
        .collect();
    for _ in 0..100 {
        let (ticket, judgement) = shard.answer();
        assert_eq!(judgement, Judgement::Right);
        asked.retain(|other| *other != ticket);
    }
    assert_eq!(asked, []);
}

#[test]
fn a_directory_that_is_silent_holds_up_no_other_and_takes_no_more_than_it_has_room_for() {
    let fake = Fake::start(good);
    let (_listener, slow) = silent();
    let mut shard = Shard::new(&[("a.example", slow), ("b.example", settings(&fake.address))]);
    let mut asked = 0;
    while shard.ask("juliet@a.example", "secret").is_ok() {
        asked += 1;
        assert!(asked <= LDAP_QUEUE + LDAP_CONNECTIONS);
    }
    assert!(asked >= LDAP_QUEUE);
    let other = shard.ask("juliet@b.example", "secret").unwrap();
    let mut silence = 0;
    let mut others = 0;
    for _ in 0..=asked {
        match shard.answer() {
            (ticket, judgement) if ticket == other => {
                assert_eq!(judgement, Judgement::Right);
                others += 1;
                // Those before it wait for as long as all of them take.
                assert!(silence < asked);
            }
            (_, judgement) => {
                assert_eq!(judgement, Judgement::None);
                silence += 1;
            }
        }
    }
    assert_eq!((silence, others), (asked, 1));
}

#[test]
fn a_directory_is_replaced_and_one_that_cannot_be_leaves_what_was() {
    let (old, new) = (
        Fake::start(good),
        Fake::start(|id, asked| of_user(id, asked, 49)),
    );
    let mut shard = Shard::new(&[("a.example", settings(&old.address))]);
    shard.hears("juliet@a.example", "secret", Judgement::Right);
    assert_eq!(
        shard.replace(&[("a.example", settings(&new.address))]),
        [""; 0]
    );
    shard.hears("juliet@a.example", "secret", Judgement::Wrong);

    let broken = Settings {
        server: Server::parse("ldaps://127.0.0.1").unwrap(),
        authorities: Some("/nowhere/ca.pem".into()),
        ..settings(&old.address)
    };
    let faults = shard.replace(&[("a.example", broken.clone()), ("b.example", broken)]);
    let [a, b] = &faults[..] else {
        panic!("{faults:?}");
    };
    assert!(a.starts_with("host a.example has a directory that cannot be asked, so it goes on"));
    assert!(b.contains("nobody can sign in there: "), "{b}");
    assert!(b.contains("/nowhere/ca.pem"), "{b}");
    shard.hears("juliet@a.example", "secret", Judgement::Wrong);
    assert_eq!(shard.ask("juliet@b.example", "secret"), Err(Unasked));

    assert_eq!(shard.replace(&[]), [""; 0]);
    assert_eq!(shard.ask("juliet@a.example", "secret"), Err(Unasked));
}

#[test]
fn nothing_prints_what_is_asked() {
    let (_listener, slow) = silent();
    let mut shard = Shard::new(&[("a.example", slow)]);
    for _ in 0..3 {
        shard.ask("juliet@a.example", "hunter2").unwrap();
    }
    let printed = format!("{:?}", shard.directories);
    assert!(printed.contains("a.example"), "{printed}");
    assert!(!printed.contains("hunter2"), "{printed}");
}
