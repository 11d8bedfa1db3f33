//! One account with a long archive: what a load and a page of it read, and how long others wait while half of it goes.
//!
//! Twenty thousand messages by default, a million with `SPONDEE_LONG`. Figures are shown by `--nocapture`; how fast it was is not judged.

#![expect(
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    reason = "figures for people, and answers that nobody expects"
)]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::StatementStatus;
use spondee_core::arena::Arena;
use spondee_core::limits::{STORE_OWED_ENTRIES, STORE_TRIM_ENTRIES};
use spondee_core::port::Ticket;
use spondee_core::store::{Amount, Entry, Kept, Order, Page, Payload, Peer, Pick};

use super::super::{Quiet, Store};
use super::*;
use crate::mailbox::{Letter, Mailbox};

const A: &str = "a@x.example";
/// 2,700 messages a day.
const STEP: i64 = 32_000_000;

fn long(short: i64, long: i64) -> i64 {
    match std::env::var_os("SPONDEE_LONG") {
        Some(_) => long,
        None => short,
    }
}

/// One of a hundred is with `c`. Those that wait come last, and nothing was delivered behind the others.
fn fill(sqlite: &mut Sqlite, messages: std::ops::Range<i64>, waiting: i64) {
    let last = messages.end;
    let body = "x".repeat(200);
    let entry = |number: i64| Entry {
        key: number * STEP,
        peer: Bytes::from_static(match number % 100 {
            50 => b"c@y.example",
            _ => b"b@y.example",
        }),
        resource: None,
        kept: Kept::Both,
        payload: Payload(vec![Bytes::from(format!(
            "<message>{number} {body}</message>"
        ))]),
    };
    let numbers: Vec<i64> = messages.collect();
    for part in numbers.chunks(10_000) {
        let batches: Vec<Batch> = part
            .chunks(500)
            .map(|some| {
                let entries = some.iter().map(|number| entry(*number)).collect();
                batch(A, vec![Op::Append { log: LOG, entries }])
            })
            .collect();
        assert!(sqlite.apply(&batches).iter().all(Result::is_ok));
        sqlite.tend(Quiet::No);
    }
    let done = done((last - waiting - 1) * STEP);
    assert_eq!(
        sqlite.apply(&[batch(A, vec![done])]),
        [Ok(vec![Reply::Done])]
    );
}

fn everything() -> Pick {
    Pick {
        kept: Kept::Archived,
        peer: None,
        ids: None,
        after: None,
        before: None,
        upto: i64::MAX,
        order: Order::Backward,
        limit: 50,
    }
}

/// What is asked of so many messages: name, question, rows that may be read, and entries of the index.
fn questions(messages: i64) -> Vec<(&'static str, Op, usize)> {
    let middle = messages / 2 * STEP;
    let page = |pick: Pick| Op::Page {
        log: LOG,
        pick: Box::new(pick),
    };
    let with = |bare: &'static str| {
        Some(Peer {
            bare: Bytes::from_static(bare.as_bytes()),
            resource: None,
        })
    };
    vec![
        ("the last page", page(everything()), 50),
        (
            "a page from the middle",
            page(Pick {
                before: Some(middle),
                ..everything()
            }),
            50,
        ),
        (
            "a page by time",
            page(Pick {
                order: Order::Forward,
                after: Some(middle),
                before: Some(middle + 40 * STEP),
                ..everything()
            }),
            39,
        ),
        (
            "a page by contact, one of a hundred",
            page(Pick {
                before: Some(middle),
                peer: with("c@y.example"),
                ..everything()
            }),
            50,
        ),
        (
            "a page by a contact that is not there",
            page(Pick {
                peer: with("d@y.example"),
                ..everything()
            }),
            0,
        ),
        (
            "a page of what waits",
            page(Pick {
                kept: Kept::Owed,
                after: Some((messages - 5001) * STEP),
                order: Order::Forward,
                ..everything()
            }),
            50,
        ),
        ("a load", Op::Load, 5000),
    ]
}

/// How much SQLite's machine does for each of them.
fn cost(sqlite: &mut Sqlite, messages: i64) -> Vec<(&'static str, i32)> {
    let mut costs = Vec::new();
    for (name, op, expected) in questions(messages) {
        let ask = batch(A, vec![op]);
        let mut cost = 0;
        // Once to prepare the statements.
        for _ in 0..2 {
            let before = sqlite.all_statements(StatementStatus::VmStep);
            let began = Instant::now();
            let reply = sqlite.apply(std::slice::from_ref(&ask)).remove(0);
            let took = began.elapsed();
            cost = sqlite.all_statements(StatementStatus::VmStep) - before;
            let found = match reply.unwrap().remove(0) {
                Reply::Page(Page { entries, .. }) => entries.len(),
                Reply::Loaded(loaded) => {
                    usize::try_from(loaded.end(LOG).unwrap().owed.entries).unwrap()
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected, "{name}");
            eprintln!("{messages} messages, {name}: {found} found, {cost} steps, {took:?}");
        }
        costs.push((name, cost));
    }
    costs
}

#[test]
fn what_a_load_and_a_page_read_does_not_grow_with_the_archive() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
    let waiting = i64::from(STORE_OWED_ENTRIES);
    let (short, all) = (long(10_000, 10_000), long(30_000, 1_000_000));
    fill(&mut sqlite, 0..short, waiting);
    let few = cost(&mut sqlite, short);
    fill(&mut sqlite, short..all, waiting);
    let many = cost(&mut sqlite, all);
    for ((name, few), (_, many)) in few.iter().zip(&many) {
        // A day more or less where a contact is looked for, which has 2,700 entries, each a few steps.
        let grown = many - few;
        assert!(
            grown < 20_000 && *many < 200_000,
            "{name}: {few} and {many}"
        );
    }
}

/// Answers, as they come.
#[derive(Debug)]
struct Answers(Mutex<Sender<Ticket>>);

impl Mailbox for Answers {
    fn post(&self, letters: Vec<Letter>) {
        for letter in letters {
            let Letter::Stored(ticket, outcome) = letter else {
                panic!("{letter:?}");
            };
            let replies = outcome.unwrap();
            if let [Reply::Swept { entries, .. }] = replies[..] {
                assert!(entries <= STORE_TRIM_ENTRIES);
            }
            self.0.lock().unwrap().send(ticket).unwrap();
        }
    }
}

/// Who asks one thing after the other.
struct Asker {
    store: Store,
    mailbox: Arc<dyn Mailbox>,
    answers: Receiver<Ticket>,
    tickets: Arena<Ticket, ()>,
}

impl Asker {
    fn of(store: &Store) -> Self {
        let (sender, answers) = channel();
        Self {
            store: store.clone(),
            mailbox: Arc::new(Answers(Mutex::new(sender))),
            answers,
            tickets: Arena::default(),
        }
    }

    /// How long it took.
    fn ask(&mut self, class: Class, owner: &str, op: Op) -> Duration {
        let ticket = self.tickets.insert(());
        let batch = Batch {
            class,
            ..batch(owner, vec![op])
        };
        let began = Instant::now();
        self.store.submit(&self.mailbox, ticket, batch).unwrap();
        assert_eq!(self.answers.recv().unwrap(), ticket);
        began.elapsed()
    }
}

/// Changes of somebody else, until there is nothing else to do. How long each took, the shortest first.
fn changes(store: &Store, until: &dyn Fn(usize) -> bool) -> Vec<Duration> {
    let mut asker = Asker::of(store);
    let mut took = Vec::new();
    while !until(took.len()) {
        let change = put("k", &took.len().to_string(), Expect::Anything);
        took.push(asker.ask(Class::Change, "b@x.example", change));
    }
    took.sort();
    took
}

fn show(what: &str, took: &[Duration]) {
    let at = |part: usize| took[(took.len() - 1) * part / 1000];
    eprintln!(
        "{what}: {} changes, half within {:?}, 99 of 100 within {:?}, 999 of 1000 within {:?}, the longest {:?}",
        took.len(),
        at(500),
        at(990),
        at(999),
        at(1000)
    );
}

#[test]
fn half_of_a_long_archive_goes_while_others_change_something() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
    let messages = long(20_000, 1_000_000);
    fill(&mut sqlite, 0..messages, 0);
    let store = Store::start(Box::new(sqlite), 1);
    show("before", &changes(&store, &|count| count == 300));
    let sweeper = {
        let store = store.clone();
        thread::spawn(move || {
            let mut asker = Asker::of(&store);
            let steps = messages / 2 / i64::from(STORE_TRIM_ENTRIES);
            let began = Instant::now();
            for _ in 0..steps {
                let sweep = Op::Sweep {
                    log: LOG,
                    before: messages / 2 * STEP,
                    kept: Kept::Archived,
                    from: None,
                    limit: STORE_TRIM_ENTRIES,
                };
                asker.ask(Class::Upkeep, "x.example", sweep);
            }
            eprintln!("{steps} steps took {:?}", began.elapsed());
        })
    };
    show("meanwhile", &changes(&store, &|_| sweeper.is_finished()));
    sweeper.join().unwrap();
    show("afterwards", &changes(&store, &|count| count == 300));
    store.stop();
    drop(store);
    let mut sqlite = open(&directory);
    let measure = Op::Measure {
        log: LOG,
        kept: Kept::Archived,
        most: Amount {
            entries: u64::MAX,
            bytes: u64::MAX,
        },
        upto: i64::MAX,
    };
    let reply = sqlite.apply(&[batch(A, vec![measure])]).remove(0).unwrap();
    let [Reply::Measured(left)] = reply[..] else {
        panic!("{reply:?}");
    };
    let half = messages / 2;
    assert_eq!(left.whole.entries, u64::try_from(half).unwrap());
    assert_eq!(left.oldest, Some(half * STEP));
}
