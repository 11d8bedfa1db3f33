//! What a batch may be.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use super::*;
use crate::jid::BareJid;
use crate::limits::{
    STORE_ALONE_BYTES, STORE_BATCH_BYTES, STORE_BATCH_OPS, STORE_LIST_ROWS, STORE_QUEUE_BATCHES,
    STORE_QUEUE_BYTES, STORE_TRIM_ENTRIES, StoreCredit,
};

static PEOPLE: Shape = Shape {
    name: "people",
    key: &[
        Column::new("place", Kind::Text),
        Column::new("number", Kind::Int),
    ],
    columns: &[
        Column::new("note", Kind::Text).optional(),
        Column::new("card", Kind::Xml),
    ],
    loading: Loading::Loaded,
    puts: Puts::Awaited,
};

/// How far somebody has come.
static PROGRESS: Shape = Shape {
    name: "progress",
    key: &[],
    columns: &[Column::new("done", Kind::Time)],
    loading: Loading::Loaded,
    puts: Puts::Quiet,
};

/// The changes of one batch, in words.
pub(crate) fn in_words(ops: &[Op]) -> Vec<String> {
    batch(ops.to_vec()).check().unwrap();
    let word = |op: &Op| {
        if let Op::Put { table, row, .. } = op {
            format!("put {table:?} {:?}", row.0)
        } else if let Op::Delete { table, key } = op {
            format!("delete {table:?} {:?}", key.0)
        } else if let Op::DeletePrefix { table, prefix } = op {
            format!("delete all {table:?} {:?}", prefix.0)
        } else {
            panic!("{op:?}")
        }
    };
    ops.iter().map(word).collect()
}

const LOG: Log = Log::new("log");

fn batch(ops: Vec<Op>) -> Batch {
    Batch {
        owner: BareJid::parse("a@x.example").unwrap(),
        tenure: 0,
        class: Class::Change,
        ops,
    }
}

fn check(op: Op) -> Result<(), Flaw> {
    batch(vec![op]).check()
}

fn key(place: &str, number: i64) -> Row {
    Row(vec![Field::text(place), Field::Int(number)])
}

fn put(place: &str, note: Field, card: &str) -> Op {
    let card = Field::Xml(Bytes::copy_from_slice(card.as_bytes()));
    Op::Put {
        table: &PEOPLE,
        row: Row(vec![Field::text(place), Field::Int(1), note, card]),
        expect: Expect::Anything,
    }
}

fn get() -> Op {
    Op::Get {
        table: &PEOPLE,
        key: key("p", 1),
    }
}

#[test]
fn a_row_fits_its_table_only_column_by_column() {
    assert_eq!(check(put("p", Field::Absent, "<x/>")), Ok(()));
    assert_eq!(check(put("p", Field::text("n"), "<x/>")), Ok(()));
    for note in [Field::Int(1), Field::Bytes(Bytes::new()), Field::Time(1)] {
        assert_eq!(check(put("p", note, "<x/>")), Err(Flaw::Shape));
    }
    let not_utf8 = Field::Text(Bytes::from_static(b"\xff"));
    assert_eq!(check(put("p", not_utf8, "<x/>")), Err(Flaw::Shape));
    let short = Op::Put {
        table: &PEOPLE,
        row: key("p", 1),
        expect: Expect::Anything,
    };
    assert_eq!(check(short), Err(Flaw::Shape));
}

#[test]
fn text_with_nul_is_refused_wherever_it_stands() {
    assert_eq!(check(put("p\0", Field::Absent, "x")), Err(Flaw::Shape));
    assert_eq!(check(put("p", Field::text("\0"), "x")), Err(Flaw::Shape));
    assert_eq!(check(put("p", Field::Absent, "x\0")), Err(Flaw::Shape));
    let entry = |peer: &'static str, payload: &'static str| {
        check(Op::Append {
            log: LOG,
            entries: vec![Entry {
                key: 1,
                peer: Bytes::from(peer),
                resource: None,
                kept: Kept::Archived,
                payload: Payload(vec![Bytes::from(payload)]),
            }],
        })
    };
    assert_eq!(entry("b@x.example", "<message/>"), Ok(()));
    assert_eq!(entry("b\0", "<message/>"), Err(Flaw::Shape));
    assert_eq!(entry("b@x.example", "\0"), Err(Flaw::Shape));
}

#[test]
fn reads_and_writes_are_not_mixed() {
    let write = || put("p", Field::Absent, "<x/>");
    assert_eq!(batch(vec![get(), get()]).check(), Ok(()));
    assert_eq!(batch(vec![write(), write()]).check(), Ok(()));
    assert_eq!(batch(vec![get(), write()]).check(), Err(Flaw::Mixed));
}

#[test]
fn a_batch_has_bounds_and_one_operation_alone_may_be_longer() {
    let many = |count| batch((0..count).map(|_| get()).collect()).check();
    assert_eq!(many(STORE_BATCH_OPS), Ok(()));
    assert_eq!(many(STORE_BATCH_OPS + 1), Err(Flaw::Size));
    let long = "x".repeat(STORE_BATCH_BYTES);
    let long = || put("p", Field::Absent, &long);
    assert_eq!(check(long()), Ok(()));
    assert_eq!(batch(vec![long(), long()]).check(), Err(Flaw::Size));
    let longest = "x".repeat(STORE_ALONE_BYTES);
    assert_eq!(check(put("p", Field::Absent, &longest)), Err(Flaw::Size));
}

fn append(count: usize) -> Op {
    let entry = |key: usize| Entry {
        key: key as i64,
        peer: Bytes::from_static(b"b@x.example"),
        resource: None,
        kept: Kept::Archived,
        payload: Payload(vec![Bytes::from_static(b"<message/>")]),
    };
    let entries = (0..count).map(entry).collect();
    Op::Append { log: LOG, entries }
}

#[test]
fn every_entry_of_an_append_counts() {
    assert_eq!(check(append(STORE_BATCH_OPS)), Ok(()));
    assert_eq!(check(append(STORE_BATCH_OPS + 1)), Err(Flaw::Size));
}

#[test]
fn with_appends_travels_only_what_promises_nothing() {
    let done = |expect| Op::Put {
        table: &PROGRESS,
        row: Row(vec![Field::Time(7)]),
        expect,
    };
    let forget = |table| Op::Delete {
        table,
        key: if table == &PROGRESS {
            Row::default()
        } else {
            key("p", 1)
        },
    };
    let check = |ops| {
        Batch {
            class: Class::Append,
            ..batch(ops)
        }
        .check()
    };
    let quiet = vec![append(1), done(Expect::Anything), forget(&PROGRESS)];
    assert_eq!(check(quiet), Ok(()));
    let trim = Op::Trim {
        log: LOG,
        before: 0,
        kept: Kept::Both,
        limit: 1,
    };
    for op in [
        done(Expect::Present),
        put("p", Field::Absent, "<x/>"),
        forget(&PEOPLE),
        trim,
        Op::Purge,
    ] {
        assert_eq!(check(vec![append(1), op]), Err(Flaw::Class));
    }
}

#[test]
fn a_page_is_nothing_but_pages_because_later_writes_do_not_wait_for_it() {
    let count = Op::Count {
        log: LOG,
        kept: Kept::Archived,
        peer: None,
        after: None,
        before: None,
        upto: 1,
    };
    let check = |op| {
        Batch {
            class: Class::Page,
            ..batch(vec![op])
        }
        .check()
    };
    assert_eq!(check(count), Ok(()));
    for op in [get(), Op::Load, append(1)] {
        assert_eq!(check(op), Err(Flaw::Class));
    }
}

#[test]
fn a_sweep_is_alone_in_its_batch() {
    let sweep = |limit| Op::Sweep {
        log: LOG,
        before: 0,
        kept: Kept::Archived,
        from: None,
        limit,
    };
    assert_eq!(check(sweep(STORE_TRIM_ENTRIES)), Ok(()));
    assert_eq!(check(sweep(0)), Err(Flaw::Limit));
    let two = vec![sweep(1), put("p", Field::Absent, "<x/>")];
    assert_eq!(batch(two).check(), Err(Flaw::Mixed));
}

#[test]
fn there_is_room_for_the_credit_of_all_shards_and_one_batch_more_of_each() {
    for shards in 1..=1024 {
        let one = StoreCredit::of_one(shards);
        let room = StoreCredit::room_for(shards);
        let shards = usize::from(shards);
        assert!(one.batches > 0 && one.batches * shards <= STORE_QUEUE_BATCHES);
        assert!(one.bytes >= STORE_BATCH_BYTES);
        assert!(one.bytes * shards <= STORE_QUEUE_BYTES || one.bytes == STORE_BATCH_BYTES);
        assert!(room.batches >= (one.batches + 1) * shards);
        assert!(room.bytes >= (one.bytes + STORE_ALONE_BYTES) * shards);
    }
}

#[test]
fn a_mark_is_read_from_the_only_row_of_its_table() {
    let mark = Mark {
        table: &PROGRESS,
        column: "done",
    };
    assert_eq!(mark.read(&[]), None);
    assert_eq!(mark.read(&[Row(vec![Field::Time(7)])]), Some(7));
    let column = "elsewhere";
    assert_eq!(
        Mark { column, ..mark }.read(&[Row(vec![Field::Time(7)])]),
        None
    );
}

#[test]
fn answers_have_bounds() {
    let list = |prefix, after, limit| {
        check(Op::List {
            table: &PEOPLE,
            prefix,
            after,
            limit,
        })
    };
    let place = || Row(vec![Field::text("p")]);
    assert_eq!(list(Row::default(), None, STORE_LIST_ROWS), Ok(()));
    assert_eq!(list(place(), Some(key("p", 1)), 1), Ok(()));
    assert_eq!(list(place(), Some(key("q", 1)), 1), Err(Flaw::Shape));
    assert_eq!(list(place(), Some(place()), 1), Err(Flaw::Shape));
    for limit in [0, STORE_LIST_ROWS + 1] {
        assert_eq!(list(Row::default(), None, limit), Err(Flaw::Limit));
    }
    let trim = |limit| {
        check(Op::Trim {
            log: LOG,
            before: 0,
            kept: Kept::Both,
            limit,
        })
    };
    assert_eq!(trim(STORE_TRIM_ENTRIES), Ok(()));
    assert_eq!(trim(STORE_TRIM_ENTRIES + 1), Err(Flaw::Limit));
}

#[test]
fn a_kept_entry_loses_one_purpose_at_a_time() {
    assert_eq!(Kept::Both.without(Kept::Owed), Some(Kept::Archived));
    assert_eq!(Kept::Owed.without(Kept::Archived), Some(Kept::Owed));
    assert_eq!(Kept::Owed.without(Kept::Owed), None);
    assert!(Kept::Both.meets(Kept::Archived) && !Kept::Owed.meets(Kept::Archived));
    for kept in [Kept::Archived, Kept::Owed, Kept::Both] {
        assert_eq!(Kept::from_bits(kept.bits()), Some(kept));
    }
}
