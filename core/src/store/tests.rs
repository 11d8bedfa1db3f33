//! What a batch may be.

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use super::*;
use crate::jid::BareJid;
use crate::limits::{STORE_BATCH_BYTES, STORE_BATCH_OPS, STORE_LIST_ROWS, STORE_TRIM_ENTRIES};

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
};

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
            log: Log("log"),
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
            log: Log("log"),
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
