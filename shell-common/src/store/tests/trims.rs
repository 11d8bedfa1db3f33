//! What goes from logs and what stays, and how much there is: all of them alike.

use spondee_core::store::{Amount, Kept, Measured, Owed, Pick};

use super::logs::{A, append, end, entry, everything, trim};
use super::*;

/// What is left of an owner's log, kept for anything.
fn left(stores: &mut Backends, owner: &str) -> Vec<(i64, Kept)> {
    let pick = Box::new(Pick {
        kept: Kept::Both,
        ..everything()
    });
    let Reply::Page(page) = stores.one(owner, Op::Page { log: LOG, pick }) else {
        panic!();
    };
    page.entries.iter().map(|e| (e.key, e.kept)).collect()
}

/// Two of each purpose; up to 3 all was delivered.
fn half_delivered() -> Backends {
    let mut stores = Backends::new();
    let kept = [Kept::Archived, Kept::Owed, Kept::Both];
    let entries = (1..).zip(kept.iter().chain(&kept));
    let entries = entries.map(|(key, kept)| entry(key, "b@y.example", *kept));
    stores
        .all(A, vec![append(entries.collect()), done(3)])
        .unwrap();
    stores
}

fn sweep_of(stores: &mut Backends, kept: Kept, before: i64, limit: u32) -> u32 {
    let op = Op::Sweep {
        log: LOG,
        before,
        kept,
        from: None,
        limit,
    };
    let Reply::Swept { entries, .. } = stores.one("x.example", op) else {
        panic!();
    };
    entries
}

#[test]
fn what_was_delivered_is_not_owed_when_the_archive_lets_it_go() {
    let mut stores = half_delivered();
    assert_eq!(sweep_of(&mut stores, Kept::Archived, 100, 500), 4);
    // The third was delivered, the sixth was not.
    assert_eq!(
        left(&mut stores, A),
        [(2, Kept::Owed), (5, Kept::Owed), (6, Kept::Owed)]
    );
    let mut stores = half_delivered();
    assert_eq!(trim(&mut stores, 100, Kept::Archived, 500), (4, false));
    assert_eq!(
        left(&mut stores, A),
        [(2, Kept::Owed), (5, Kept::Owed), (6, Kept::Owed)]
    );
}

#[test]
fn what_was_kept_for_delivery_only_goes_once_it_was_delivered() {
    let mut stores = half_delivered();
    // Nothing is so old that it would not be owed any more.
    assert_eq!(sweep_of(&mut stores, Kept::Owed, i64::MIN, 500), 1);
    let kept = [
        (1, Kept::Archived),
        (3, Kept::Both),
        (4, Kept::Archived),
        (5, Kept::Owed),
        (6, Kept::Both),
    ];
    assert_eq!(left(&mut stores, A), kept);
    assert_eq!(sweep_of(&mut stores, Kept::Owed, i64::MIN, 500), 0);
    // What is owed for too long is owed no more, delivered or not.
    assert_eq!(sweep_of(&mut stores, Kept::Owed, 6, 500), 2);
    assert_eq!(
        left(&mut stores, A),
        [
            (1, Kept::Archived),
            (3, Kept::Archived),
            (4, Kept::Archived),
            (6, Kept::Both)
        ]
    );
    // Without a mark nothing was delivered.
    stores.one(
        "b@x.example",
        append(vec![entry(1, "b@y.example", Kept::Owed)]),
    );
    assert_eq!(sweep_of(&mut stores, Kept::Owed, i64::MIN, 500), 0);
}

#[test]
fn a_sweep_of_what_was_delivered_keeps_to_its_limit() {
    let mut stores = Backends::new();
    for owner in [A, "b@x.example"] {
        let entries = (0..9).map(|key| entry(key, "b@y.example", Kept::Owed));
        stores
            .all(owner, vec![append(entries.collect()), done(7)])
            .unwrap();
    }
    for expected in [5, 5, 5, 1, 0] {
        assert_eq!(sweep_of(&mut stores, Kept::Owed, i64::MIN, 5), expected);
    }
    for owner in [A, "b@x.example"] {
        assert_eq!(left(&mut stores, owner), [(8, Kept::Owed)]);
    }
}

fn spool(stores: &mut Backends, owner: &str) -> Spool {
    let Reply::Loaded(loaded) = stores.one(owner, Op::Load) else {
        panic!();
    };
    Spool::from_loaded(&loaded).unwrap()
}

/// XEP-0313 §3.2: "The UIDs of deleted messages MUST NOT be reused for new messages".
#[test]
fn the_last_key_outlives_its_entry() {
    let mut stores = half_delivered();
    assert_eq!(trim(&mut stores, 6, Kept::Both, 500), (5, false));
    assert_eq!(spool(&mut stores, A).last, Some(6), "of the log");
    // By a sweep: nobody is loaded for it who could remember.
    assert_eq!(sweep_of(&mut stores, Kept::Both, 100, 500), 1);
    assert_eq!(left(&mut stores, A), []);
    let after = spool(&mut stores, A);
    assert_eq!((after.last, after.done), (Some(6), Some(3)));
    assert_eq!(end(&mut stores, A), None);
    // An owner without a row, and one whose row knows of a later key.
    for (owner, row, last) in [("b@x.example", None, 6), ("c@x.example", Some(9), 9)] {
        let mut ops = vec![append(vec![entry(6, "b@y.example", Kept::Archived)])];
        ops.extend(row.map(|last| {
            Spool {
                last: Some(last),
                ..Spool::default()
            }
            .put()
        }));
        stores.all(owner, ops).unwrap();
        let op = Op::Trim {
            log: LOG,
            before: 7,
            kept: Kept::Archived,
            limit: 5,
        };
        stores.one(owner, op);
        assert_eq!(spool(&mut stores, owner).last, Some(last));
    }
    // What is deleted leaves nothing.
    stores.one(A, Op::Purge);
    assert_eq!(spool(&mut stores, A), Spool::default());
}

fn measure(stores: &mut Backends, kept: Kept, entries: u64, bytes: u64, upto: i64) -> Measured {
    let op = Op::Measure {
        log: LOG,
        kept,
        most: Amount { entries, bytes },
        upto,
    };
    let Reply::Measured(measured) = stores.one(A, op) else {
        panic!();
    };
    measured
}

#[test]
fn a_measure_says_how_much_there_is_and_before_which_key_it_is_too_much() {
    let mut stores = half_delivered();
    let size = b"<message id='1'/>".len() as u64;
    let amount = |entries: u64| Amount {
        entries,
        bytes: entries * size,
    };
    let all = measure(&mut stores, Kept::Archived, 100, 10_000, 100);
    let owed = Owed {
        entries: 2,
        bytes: 2 * b"<message id='1'/>".len(),
    };
    let expected = Measured {
        whole: amount(4),
        within: amount(4),
        beyond: None,
        oldest: Some(1),
        newest: Some(6),
        owed,
    };
    assert_eq!(all, expected);
    // By number, by bytes, and by neither exactly.
    for (entries, bytes) in [
        (2, 10_000),
        (100, 2 * size),
        (2, 3 * size - 1),
        (3, 3 * size - 1),
    ] {
        let found = measure(&mut stores, Kept::Archived, entries, bytes, 100);
        assert_eq!((found.beyond, found.within), (Some(4), amount(2)));
        assert_eq!(found.whole, amount(4));
    }
    // The newest itself is too much.
    let found = measure(&mut stores, Kept::Archived, 100, size - 1, 100);
    assert_eq!((found.beyond, found.within), (Some(7), amount(0)));
    // What came later does not show.
    let found = measure(&mut stores, Kept::Archived, 1, 10_000, 5);
    assert_eq!((found.newest, found.beyond), (Some(4), Some(4)));
    let found = measure(&mut stores, Kept::Owed, 100, 10_000, 100);
    assert_eq!((found.oldest, found.whole), (Some(2), amount(4)));
    // A trim as it says leaves what was within.
    let beyond = measure(&mut stores, Kept::Archived, 2, 10_000, 100)
        .beyond
        .unwrap();
    trim(&mut stores, beyond, Kept::Archived, 500);
    let found = measure(&mut stores, Kept::Archived, 2, 10_000, 100);
    assert_eq!((found.whole, found.beyond), (amount(2), None));
    stores.one(A, Op::Purge);
    assert_eq!(
        measure(&mut stores, Kept::Archived, 2, 10_000, 100),
        Measured::default()
    );
}
