//! What a back end does with tables: all of them alike.

use spondee_core::entropy::Entropy;
use spondee_core::limits::{STORE_LIST_BYTES, STORE_LIST_ROWS, STORE_LOAD_ROWS};
use spondee_core::sasl::{Credentials, Dates, DeriveParams, Hash, Status, Verifier};
use spondee_core::secret::Secret;
use spondee_core::store::Loaded;

use super::*;

fn row(key: &str, value: &str) -> Reply {
    Reply::Row(Some(note(key, value)))
}

fn key(room: &str, number: i64) -> Row {
    Row(vec![Field::text(room), Field::Int(number)])
}

fn room(room: &str) -> Row {
    Row(vec![Field::text(room)])
}

#[test]
fn answers_one_reply_for_each_operation() {
    let mut stores = Backends::new();
    let writes = vec![
        put("k", "1", Expect::Anything),
        put("k", "2", Expect::Anything),
        put("l", "3", Expect::Absent),
        Op::Delete {
            table: &NOTES,
            key: Row(vec![Field::text("l")]),
        },
    ];
    let done = Reply::Done;
    assert_eq!(
        stores.all("a@x.example", writes),
        Ok(vec![done.clone(), done.clone(), done.clone(), done])
    );
    assert_eq!(
        stores.all("a@x.example", vec![get("k"), get("l")]),
        Ok(vec![row("k", "2"), Reply::Row(None)])
    );
    assert_eq!(stores.one("b@x.example", get("k")), Reply::Row(None));
}

#[test]
fn a_failed_expectation_refuses_its_batch_and_no_other() {
    let mut stores = Backends::new();
    let outcomes = stores.apply(&[
        batch("a@x.example", vec![put("k", "a", Expect::Absent)]),
        batch(
            "b@x.example",
            vec![
                put("k", "b", Expect::Absent),
                put("l", "b", Expect::Present),
            ],
        ),
        batch("a@x.example", vec![put("k", "a2", Expect::Absent)]),
        batch("c@x.example", vec![put("k", "c", Expect::Absent)]),
    ]);
    let done = Ok(vec![Reply::Done]);
    let conflict = Err(StoreError::Conflict);
    assert_eq!(outcomes, [done.clone(), conflict.clone(), conflict, done]);
    assert_eq!(stores.one("a@x.example", get("k")), row("k", "a"));
    assert_eq!(stores.one("b@x.example", get("k")), Reply::Row(None));
    assert_eq!(stores.one("c@x.example", get("k")), row("k", "c"));
}

#[test]
fn what_a_batch_expects_is_judged_before_its_first_write() {
    let mut stores = Backends::new();
    let twice = vec![put("k", "1", Expect::Absent), put("k", "2", Expect::Absent)];
    stores.all("a@x.example", twice).unwrap();
    assert_eq!(stores.one("a@x.example", get("k")), row("k", "2"));
    let purged = vec![Op::Purge, put("k", "3", Expect::Absent)];
    assert_eq!(stores.all("a@x.example", purged), Err(StoreError::Conflict));
    assert_eq!(stores.one("a@x.example", get("k")), row("k", "2"));
}

#[test]
fn purge_forgets_everything_of_one_owner() {
    let mut stores = Backends::new();
    for owner in ["a@x.example", "b@x.example"] {
        let ops = vec![
            put("k", owner, Expect::Absent),
            put_place(place("r", 1, "<x/>")),
            state("on"),
        ];
        stores.all(owner, ops).unwrap();
    }
    let purged = vec![Op::Purge, put("l", "new", Expect::Anything)];
    stores.all("a@x.example", purged).unwrap();
    assert_eq!(
        stores.all("a@x.example", vec![get("k"), get("l")]),
        Ok(vec![Reply::Row(None), row("l", "new")])
    );
    let nothing = Reply::Loaded(Box::default());
    assert_eq!(stores.one("a@x.example", Op::Load), nothing);
    assert_eq!(stores.one("b@x.example", get("k")), row("k", "b@x.example"));
    let Reply::Loaded(loaded) = stores.one("b@x.example", Op::Load) else {
        panic!();
    };
    assert_eq!(loaded.rows(&PLACES).len() + loaded.rows(&STATE).len(), 2);
}

#[test]
fn a_load_brings_every_loaded_table_in_the_order_of_keys() {
    let mut stores = Backends::new();
    let ops = vec![
        put_place(place("r", 10, "<ten/>")),
        put_place(place("q", 2, "<two/>")),
        put_place(place("r", 9, "<nine/>")),
        state("on"),
        put("k", "not loaded", Expect::Absent),
    ];
    stores.all("a@x.example", ops).unwrap();
    let loaded = Loaded {
        tables: vec![
            (
                &PLACES,
                vec![
                    place("q", 2, "<two/>"),
                    place("r", 9, "<nine/>"),
                    place("r", 10, "<ten/>"),
                ],
            ),
            (&STATE, vec![Row(vec![Field::text("on")])]),
        ],
        ends: Vec::new(),
    };
    let loaded = Reply::Loaded(Box::new(loaded));
    assert_eq!(stores.one("a@x.example", Op::Load), loaded);
}

#[test]
fn an_owner_with_more_than_can_be_loaded_is_not() {
    let mut stores = Backends::new();
    let most = i64::try_from(STORE_LOAD_ROWS).unwrap();
    let numbers: Vec<i64> = (0..most).collect();
    let put = |number: &i64| put_place(place("r", *number, "<x/>"));
    for some in numbers.chunks(500) {
        let ops = some.iter().map(put).collect();
        stores.all("a@x.example", ops).unwrap();
    }
    assert!(stores.all("a@x.example", vec![Op::Load]).is_ok());
    stores.one("a@x.example", put(&most));
    let refused = stores.all("a@x.example", vec![Op::Load]);
    assert_eq!(refused, Err(StoreError::Failed));
}

#[test]
fn a_list_is_in_the_order_of_keys_from_where_it_is_wanted() {
    let mut stores = Backends::new();
    // They differ in the last byte or number; text sorts by bytes, numbers by value.
    for (room, number) in [
        ("r", -1),
        ("r", 9),
        ("r", 10),
        ("r\u{e9}", 1),
        ("rz", 1),
        ("Z", 1),
    ] {
        stores.one("a@x.example", put_place(place(room, number, "<x/>")));
    }
    let keys = |reply| {
        let Reply::Rows { rows, more } = reply else {
            panic!("{reply:?}");
        };
        let rows = rows.into_iter();
        let keys = rows.map(|row| Row(row.0[..2].to_vec()));
        (keys.collect::<Vec<_>>(), more)
    };
    let mut ask =
        |prefix, after, limit| keys(stores.one("a@x.example", list(prefix, after, limit)));
    let all = [
        key("Z", 1),
        key("r", -1),
        key("r", 9),
        key("r", 10),
        key("rz", 1),
        key("r\u{e9}", 1),
    ];
    assert_eq!(ask(Row::default(), None, 512), (all.to_vec(), false));
    assert_eq!(ask(Row::default(), None, 2), (all[..2].to_vec(), true));
    let behind = Some(all[1].clone());
    assert_eq!(ask(Row::default(), behind, 512), (all[2..].to_vec(), false));
    assert_eq!(ask(room("r"), None, 3), (all[1..4].to_vec(), false));
    assert_eq!(ask(room("r"), None, 2), (all[1..3].to_vec(), true));
    let behind = Some(key("r", 9));
    assert_eq!(ask(room("r"), behind, 9), (all[3..4].to_vec(), false));
    assert_eq!(ask(key("r", 9), None, 9), (all[2..3].to_vec(), false));
    assert_eq!(ask(key("r", 9), Some(key("r", 9)), 9), (Vec::new(), false));
    let nobody = stores.one("b@x.example", list(Row::default(), None, 9));
    assert_eq!(keys(nobody), (Vec::new(), false));
}

#[test]
fn a_list_is_cut_at_its_bytes_but_never_before_its_first_row() {
    let mut stores = Backends::new();
    let half = "x".repeat(STORE_LIST_BYTES / 2);
    let huge = "x".repeat(STORE_LIST_BYTES * 2);
    for (number, card) in [(1, &half), (2, &half), (3, &huge), (4, &half)] {
        stores.one("a@x.example", put_place(place("r", number, card)));
    }
    let mut after = None;
    let mut pages = Vec::new();
    loop {
        let Reply::Rows { rows, more } = stores.one("a@x.example", list(room("r"), after, 512))
        else {
            panic!();
        };
        pages.push(rows.len());
        if !more {
            break;
        }
        after = rows.last().map(|row| Row(row.0[..2].to_vec()));
    }
    assert_eq!(
        pages,
        [1, 1, 1, 1],
        "half of it and the key are more than half"
    );
}

#[test]
fn rows_of_a_prefix_are_forgotten_in_steps() {
    let mut stores = Backends::new();
    let numbers: Vec<i64> = (0..i64::from(STORE_LIST_ROWS) + 3).collect();
    for some in numbers.chunks(500) {
        let put = |number: &i64| put_place(place("r", *number, "<x/>"));
        stores
            .all("a@x.example", some.iter().map(put).collect())
            .unwrap();
    }
    stores.one("a@x.example", put_place(place("s", 1, "<x/>")));
    let forget = || Op::DeletePrefix {
        table: &PLACES,
        prefix: room("r"),
    };
    for (rows, more) in [(STORE_LIST_ROWS, true), (3, false), (0, false)] {
        let deleted = Reply::Deleted { rows, more };
        assert_eq!(stores.one("a@x.example", forget()), deleted);
    }
    let all = Op::DeletePrefix {
        table: &PLACES,
        prefix: Row::default(),
    };
    let deleted = Reply::Deleted {
        rows: 1,
        more: false,
    };
    assert_eq!(stores.one("a@x.example", all), deleted);
}

#[test]
fn every_kind_of_field_comes_back_as_it_went() {
    let mut stores = Backends::new();
    for (number, since, raw) in [
        (i64::MIN, Field::Absent, Field::Absent),
        (0, Field::Time(-1), Field::Bytes(Bytes::new())),
        (
            i64::MAX,
            Field::Time(i64::MAX),
            Field::Bytes(Bytes::from_static(b"\0\xff")),
        ),
    ] {
        let row = Row(vec![
            Field::text("\u{1f916}"),
            Field::Int(number),
            since,
            Field::Xml(Bytes::new()),
            raw,
        ]);
        stores.one("a@x.example", put_place(row.clone()));
        let read = Op::Get {
            table: &PLACES,
            key: key("\u{1f916}", number),
        };
        assert_eq!(stores.one("a@x.example", read), Reply::Row(Some(row)));
    }
}

#[test]
fn lists_owners_of_one_domain_in_pages() {
    let mut stores = Backends::new();
    for owner in [
        "c@x.example",
        "a@x.example",
        "x.example",
        "a@y.example",
        "b@x.example",
        "d@sub.x.example",
    ] {
        stores.one(owner, state(owner));
    }
    // Without a row there is no owner to list.
    stores.one("b@x.example", Op::Purge);
    stores.one("e@x.example", put("k", "elsewhere", Expect::Absent));
    let entry = |owner: &'static str| (jid(owner), Row(vec![Field::text(owner)]));
    let page = |stores: &mut Backends, after, limit| stores.one("x.example", owners(after, limit));
    assert_eq!(
        page(&mut stores, None, 1),
        Reply::Owners(vec![entry("a@x.example")])
    );
    assert_eq!(
        page(&mut stores, Some("a@x.example"), 9),
        Reply::Owners(vec![entry("c@x.example")])
    );
    assert_eq!(
        page(&mut stores, Some("c@x.example"), 9),
        Reply::Owners(vec![])
    );
}

#[test]
fn counts_owners_of_one_domain_whose_row_is_of_a_subset() {
    let mut stores = Backends::new();
    let row = |keys: &[Hash], password: Option<&'static str>| {
        let verifier = match password {
            Some(password) => Verifier::Password(Secret::new(password.into())),
            None => {
                let jobs = DeriveParams::for_new_password(1, &mut Entropy::new([3; 32]));
                let jobs = jobs.iter().filter(|job| keys.contains(&job.hash));
                Verifier::Keys(jobs.map(|job| job.derive(&Secret::default())).collect())
            }
        };
        let status = Status::Enabled;
        Credentials { status, verifier }.to_row(Dates::default())
    };
    let put = |row| Op::Put {
        table: &CREDENTIALS,
        row,
        expect: Expect::Anything,
    };
    for (owner, row) in [
        ("a@x.example", row(&[Hash::Sha1], None)),
        ("b@x.example", row(&[Hash::Sha1, Hash::Sha256], None)),
        ("c@x.example", row(&Hash::ALL, None)),
        ("d@x.example", row(&[], None)),
        ("e@x.example", row(&[], Some("pencil"))),
        ("f@y.example", row(&[Hash::Sha1], None)),
        ("g@sub.x.example", row(&[Hash::Sha1], None)),
    ] {
        stores.one(owner, put(row));
    }
    let mut counts = |host: &str, limit| {
        TALLIED.each_ref().map(|subset| {
            let Reply::Count(count) = stores.one(host, Op::CountIn { subset, limit }) else {
                panic!("no count");
            };
            count
        })
    };
    assert_eq!(counts("x.example", 9), [0, 1, 2, 1]);
    assert_eq!(counts("x.example", 1), [0, 1, 1, 1]);
    assert_eq!(counts("y.example", 9), [0, 1, 1, 0]);
    assert_eq!(counts("z.example", 9), [0; 4]);
    // What changes leaves or joins, and a purged owner is none.
    stores.one("a@x.example", put(row(&Hash::ALL, None)));
    stores.one("e@x.example", put(row(&[Hash::Sha512], None)));
    stores.one("b@x.example", Op::Purge);
    let mut counts = |host: &str| {
        TALLIED
            .each_ref()
            .map(|subset| stores.one(host, Op::CountIn { subset, limit: 9 }))
    };
    assert_eq!(counts("x.example"), [1, 1, 0, 0].map(Reply::Count));
}

#[test]
fn what_no_batch_may_be_is_refused_and_spoils_no_group() {
    let mut stores = Backends::new();
    let flawed = [
        vec![put("k", "a\0b", Expect::Anything)],
        vec![get("k"), put("k", "v", Expect::Anything)],
        vec![list(Row::default(), None, STORE_LIST_ROWS + 1)],
        vec![Op::Get {
            table: &NOTES,
            key: Row::default(),
        }],
    ];
    for ops in flawed {
        let good = || batch("b@x.example", vec![put("k", "v", Expect::Anything)]);
        let outcomes = stores.apply(&[good(), batch("a@x.example", ops), good()]);
        let done = Ok(vec![Reply::Done]);
        assert_eq!(outcomes, [done.clone(), Err(StoreError::Failed), done]);
    }
    assert_eq!(stores.one("a@x.example", get("k")), Reply::Row(None));
}
