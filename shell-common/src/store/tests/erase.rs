//! What was deleted cannot be read any more, not even out of the files.

use spondee_core::catalog::CATALOG;
use spondee_core::private::PRIVATE;
use spondee_core::roster::ROSTER;
use spondee_core::store::{Entry, Erased, Kept, Payload};
use spondee_core::vcard::VCARD;

use super::*;
use crate::store::{Quiet, Tended};

/// Whose traces are looked for, and what all of them hold.
const ROMEO: &str = "romeo@x.example";
const MARKER: &str = "QUEEN-MAB";
/// Of somebody who stays.
const JULIET: &str = "juliet@x.example";

fn open_all(directory: &Scratch) -> Sqlite {
    Sqlite::open(
        &directory.path().join(FILE_NAME),
        &CATALOG,
        History::Unknown,
    )
    .unwrap()
}

fn do_all(store: &mut Sqlite, batches: &[Batch]) {
    for outcome in store.apply(batches) {
        outcome.unwrap();
    }
}

fn text(text: &str) -> Field {
    Field::Text(Bytes::copy_from_slice(text.as_bytes()))
}

fn xml(text: &str) -> Field {
    Field::Xml(Bytes::copy_from_slice(text.as_bytes()))
}

fn rows() -> Vec<Op> {
    let put = |table, row| Op::Put {
        table,
        row: Row(row),
        expect: Expect::Absent,
    };
    let card = xml(&format!("<vCard>{MARKER}{}</vCard>", "x".repeat(9000)));
    let mut rows = vec![put(&VCARD, vec![card])];
    for number in 0..100 {
        let (name, long) = (format!("{MARKER}{number}"), "y".repeat(number * 10));
        let note = xml(&format!("<n>{MARKER}{long}</n>"));
        rows.push(put(&PRIVATE, vec![text("urn:example"), text(&name), note]));
        let contact = text(&format!("{}{number}@y.example", MARKER.to_lowercase()));
        let named = text(&format!("{MARKER} {long}"));
        let (both, none) = (text("both"), || Field::Absent);
        rows.push(put(
            &ROSTER,
            vec![contact, named, both, none(), none(), none()],
        ));
    }
    rows
}

/// Messages of all lengths, so that pages are split and joined, and some take more than one.
fn append(owner: &str, word: &str, keys: impl Iterator<Item = i64>) -> Batch {
    let entry = |key: i64| {
        let length =
            usize::try_from(key * 7919 % 1500).unwrap() + usize::from(key % 50 == 0) * 9000;
        let body = format!(
            "<message><body>{word}{}</body></message>",
            "z".repeat(length)
        );
        Entry {
            key: key * 3_600_000_000,
            peer: Bytes::from(format!("{word}{}@y.example", key % 9)),
            resource: Some(Bytes::copy_from_slice(word.as_bytes())),
            kept: [Kept::Archived, Kept::Owed, Kept::Both][usize::try_from(key % 3).unwrap()],
            payload: Payload(vec![Bytes::from(body)]),
        }
    };
    let entries = keys.map(entry).collect();
    let op = Op::Append { log: LOG, entries };
    batch(owner, vec![op])
}

/// Two who write by turns; some of it goes and more comes meanwhile.
fn fill(store: &mut Sqlite) {
    do_all(store, &[batch(ROMEO, rows())]);
    for part in 0..40 {
        let keys = part * 100..(part + 1) * 100;
        do_all(
            store,
            &[
                append(ROMEO, MARKER, keys.clone()),
                append(JULIET, "lark", keys),
            ],
        );
        if part % 5 == 4 {
            let op = Op::Trim {
                log: LOG,
                before: part * 30 * 3_600_000_000,
                kept: Kept::Archived,
                limit: 500,
            };
            do_all(store, &[batch(ROMEO, vec![op])]);
        }
        store.tend(Quiet::No);
    }
}

/// How often the files hold it, in any case of letters.
fn found(directory: &Scratch, word: &str) -> Vec<(String, usize)> {
    let word = word.to_lowercase().into_bytes();
    let files = std::fs::read_dir(directory.path()).unwrap();
    let mut found = Vec::new();
    for file in files.map(Result::unwrap) {
        let bytes = std::fs::read(file.path()).unwrap().to_ascii_lowercase();
        let count = bytes.windows(word.len()).filter(|part| *part == word);
        match count.count() {
            0 => {}
            count => found.push((file.file_name().into_string().unwrap(), count)),
        }
    }
    found
}

fn erase(store: &mut Sqlite) -> Erased {
    let erase = Batch {
        class: Class::Upkeep,
        ..batch("x.example", vec![Op::Erase])
    };
    let reply = store.apply(&[erase]).remove(0).unwrap().remove(0);
    let Reply::Erased(erased) = reply else {
        panic!("{reply:?}");
    };
    erased
}

#[test]
fn nothing_readable_is_left_of_who_was_erased() {
    let directory = Scratch::new();
    let mut store = open_all(&directory);
    fill(&mut store);
    assert!(!found(&directory, MARKER).is_empty());
    do_all(&mut store, &[batch(ROMEO, vec![Op::Purge])]);
    let mut steps = 0;
    while erase(&mut store) == Erased::Some {
        steps += 1;
        // Others write meanwhile.
        do_all(
            &mut store,
            &[append(JULIET, "lark", 5000 + steps..5001 + steps)],
        );
    }
    assert!(steps > 6, "in steps");
    assert_eq!(found(&directory, MARKER), []);
    assert_eq!(found(&directory, ROMEO), []);
    assert!(!found(&directory, "lark").is_empty(), "of nobody else");
    let lark = store
        .connection()
        .query_row("SELECT count(*) FROM archive", [], |row| row.get(0));
    assert_eq!(lark, Ok(4000 + steps));
}

#[test]
fn nothing_readable_is_left_of_who_was_deleted_once_the_store_was_idle() {
    let directory = Scratch::new();
    let mut store = open_all(&directory);
    fill(&mut store);
    do_all(&mut store, &[batch(ROMEO, vec![Op::Purge])]);
    while store.tend(Quiet::Yes) == Tended::More {}
    assert_eq!(found(&directory, MARKER), []);
    assert_eq!(found(&directory, ROMEO), []);
    assert!(!found(&directory, "lark").is_empty());
}

#[test]
fn erasing_waits_for_who_reads_from_the_log() {
    let directory = Scratch::new();
    let mut store = open_all(&directory);
    do_all(&mut store, &[append(ROMEO, MARKER, 0..9)]);
    let other = rusqlite::Connection::open(directory.path().join(FILE_NAME)).unwrap();
    other.execute_batch("BEGIN; SELECT * FROM archive").unwrap();
    do_all(&mut store, &[batch(ROMEO, vec![Op::Purge])]);
    for _ in 0..2 {
        assert_eq!(erase(&mut store), Erased::Some);
    }
    for _ in 0..3 {
        assert_eq!(erase(&mut store), Erased::Held);
    }
    // Nor is it forgotten by who only has time.
    assert_eq!(store.tend(Quiet::Yes), Tended::Done);
    assert!(!found(&directory, MARKER).is_empty());
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(store.tend(Quiet::Yes), Tended::Done);
    assert_eq!(found(&directory, MARKER), []);
    assert_eq!(erase(&mut store), Erased::All);
}

#[test]
fn to_erase_is_a_step_of_upkeep_in_a_group_with_others() {
    let directory = Scratch::new();
    let mut store = open_all(&directory);
    let erase = batch("x.example", vec![Op::Erase]);
    let purge = batch(ROMEO, vec![Op::Purge]);
    do_all(&mut store, &[append(ROMEO, MARKER, 0..9), purge]);
    let some = Ok(vec![Reply::Erased(Erased::Some)]);
    let outcomes = store.apply(&[erase, append(JULIET, "lark", 0..1)]);
    assert_eq!(outcomes, [some, Ok(vec![Reply::Done])]);
}
