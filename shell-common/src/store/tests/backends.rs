//! What a back end does: `Memory` and `Sqlite` alike, then what only a file on disk has.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;
use spondee_core::store::{Reply, StoreError};

use super::super::{Backend, FILE_NAME, History, Memory, Sqlite, open_sqlite};
use super::*;
use crate::scratch::Scratch;

type Outcomes = Vec<Result<Vec<Reply>, StoreError>>;

/// Asks both back ends and returns their common answer.
struct Both {
    memory: Memory,
    sqlite: Sqlite,
    _directory: Scratch,
}

impl Both {
    fn new() -> Self {
        let directory = Scratch::new();
        Self {
            memory: Memory::default(),
            sqlite: open_sqlite(directory.path(), History::Unknown).unwrap(),
            _directory: directory,
        }
    }

    fn apply(&mut self, batches: &[Batch]) -> Outcomes {
        let outcomes = self.memory.apply(batches);
        assert_eq!(self.sqlite.apply(batches), outcomes, "{batches:?}");
        outcomes
    }

    fn one(&mut self, owner: &str, ops: Vec<Op>) -> Result<Vec<Reply>, StoreError> {
        self.apply(&[batch(owner, ops)]).remove(0)
    }
}

fn value(text: &'static str) -> Reply {
    Reply::Value(Some(Bytes::from(text)))
}

#[test]
fn answers_one_reply_for_each_operation_and_sees_its_own_writes() {
    let mut both = Both::new();
    let replies = both.one(
        "a@x.example",
        vec![
            get("k"),
            put("k", "1", Expect::Anything),
            get("k"),
            put("k", "2", Expect::Anything),
            list("", 10),
            Op::Delete {
                map: MAP,
                key: Bytes::from("k"),
            },
            get("k"),
        ],
    );
    let entries = vec![(Bytes::from("k"), Bytes::from("2"))];
    assert_eq!(
        replies.unwrap(),
        [
            Reply::Value(None),
            Reply::Done,
            value("1"),
            Reply::Done,
            Reply::List(entries),
            Reply::Done,
            Reply::Value(None),
        ]
    );
}

#[test]
fn a_failed_expectation_undoes_its_batch_and_no_other() {
    let mut both = Both::new();
    let outcomes = both.apply(&[
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
    assert_eq!(
        both.one("a@x.example", vec![get("k")]),
        Ok(vec![value("a")])
    );
    assert_eq!(
        both.one("b@x.example", vec![get("k")]),
        Ok(vec![Reply::Value(None)])
    );
    assert_eq!(
        both.one("c@x.example", vec![get("k")]),
        Ok(vec![value("c")])
    );
}

#[test]
fn purge_forgets_everything_of_one_owner() {
    let mut both = Both::new();
    for owner in ["a@x.example", "b@x.example"] {
        both.one(owner, vec![put("k", owner, Expect::Absent)])
            .unwrap();
    }
    let purged = both.one(
        "a@x.example",
        vec![Op::Purge, put("l", "new", Expect::Absent)],
    );
    assert_eq!(purged, Ok(vec![Reply::Done, Reply::Done]));
    let left = both.one("a@x.example", vec![get("k"), get("l")]);
    assert_eq!(left, Ok(vec![Reply::Value(None), value("new")]));
    let other = both.one("b@x.example", vec![get("k")]);
    assert_eq!(other, Ok(vec![value("b@x.example")]));
}

#[test]
fn lists_owners_of_one_domain_in_pages() {
    let mut both = Both::new();
    for owner in [
        "c@x.example",
        "a@x.example",
        "x.example",
        "a@y.example",
        "b@x.example",
        "d@sub.x.example",
    ] {
        let ops = vec![
            put("k2", "second", Expect::Absent),
            put("k1", owner, Expect::Absent),
        ];
        both.one(owner, ops).unwrap();
    }
    // Without entries there is no owner to list.
    both.one("b@x.example", vec![Op::Purge]).unwrap();
    let entry = |owner: &'static str| (jid(owner), Bytes::from(owner));
    let page = |both: &mut Both, after, limit| {
        both.one("x.example", vec![owners(after, limit)])
            .unwrap()
            .remove(0)
    };
    assert_eq!(
        page(&mut both, None, 1),
        Reply::Owners(vec![entry("a@x.example")])
    );
    assert_eq!(
        page(&mut both, Some("a@x.example"), 9),
        Reply::Owners(vec![entry("c@x.example")])
    );
    assert_eq!(
        page(&mut both, Some("c@x.example"), 9),
        Reply::Owners(vec![])
    );
}

#[test]
fn keys_sort_as_bytes_and_values_keep_every_byte() {
    let mut both = Both::new();
    let texts: [&'static [u8]; 5] = [b"\0", b"a\0b", "\u{e9}".as_bytes(), b"\xff\xfe", b"Z"];
    for bytes in texts {
        let ops = vec![Op::Put {
            map: MAP,
            key: Bytes::from_static(bytes),
            value: Bytes::from_static(bytes),
            expect: Expect::Absent,
        }];
        both.one("a@x.example", ops).unwrap();
    }
    let mut sorted = texts;
    sorted.sort_unstable();
    let entry = |bytes| (Bytes::from_static(bytes), Bytes::from_static(bytes));
    assert_eq!(
        both.one("a@x.example", vec![list("", 10)]),
        Ok(vec![Reply::List(sorted.map(entry).to_vec())])
    );
    assert_eq!(
        both.one("a@x.example", vec![list("Z", 1)]),
        Ok(vec![Reply::List(vec![entry(b"a\0b")])])
    );
}

fn any_op() -> impl Strategy<Value = Op> {
    let key = || prop::sample::select(vec!["", "a", "b", "\u{e9}"]).prop_map(Bytes::from);
    let value = prop::collection::vec(any::<u8>(), 0..4).prop_map(Bytes::from);
    let expect = prop::sample::select(vec![Expect::Absent, Expect::Anything, Expect::Present]);
    let after = prop::option::of(any_owner());
    prop_oneof![
        1 => key().prop_map(|key| Op::Delete { map: MAP, key }),
        2 => key().prop_map(|key| Op::Get { map: MAP, key }),
        1 => (key(), 0..4u32).prop_map(|(after, limit)| Op::List { map: MAP, after, limit }),
        1 => (after, 0..4u32).prop_map(|(after, limit)| Op::Owners { map: MAP, after, limit }),
        1 => Just(Op::Purge),
        6 => (key(), value, expect)
            .prop_map(|(key, value, expect)| Op::Put { map: MAP, key, value, expect }),
    ]
}

fn any_owner() -> impl Strategy<Value = BareJid> {
    let owners = vec!["a@x.example", "b@x.example", "a@y.example", "x.example"];
    prop::sample::select(owners).prop_map(jid)
}

fn any_groups() -> impl Strategy<Value = Vec<Vec<Batch>>> {
    let batch = (any_owner(), prop::collection::vec(any_op(), 0..5))
        .prop_map(|(owner, ops)| Batch { owner, ops });
    prop::collection::vec(prop::collection::vec(batch, 0..6), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_back_ends_give_the_same_answers(groups in any_groups()) {
        let mut both = Both::new();
        let mut readers = (both.memory.reader().unwrap(), both.sqlite.reader().unwrap());
        for batches in groups {
            both.apply(&batches);
            let reads: Vec<_> = batches.into_iter().filter(Batch::is_read_only).collect();
            prop_assert_eq!(readers.0.apply(&reads), readers.1.apply(&reads));
        }
    }
}

#[test]
fn files_are_for_their_owner_only() {
    let directory = Scratch::new();
    let mut sqlite = open_sqlite(directory.path(), History::Unknown).unwrap();
    let _reader = sqlite.reader().unwrap();
    sqlite.apply(&[batch("a@x.example", vec![put("k", "v", Expect::Absent)])]);
    for name in [
        FILE_NAME.to_owned(),
        format!("{FILE_NAME}-wal"),
        format!("{FILE_NAME}-shm"),
    ] {
        let metadata = std::fs::metadata(directory.path().join(&name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_file_that_others_could_read_is_closed_to_them() {
    let directory = Scratch::new();
    let path = directory.path().join(FILE_NAME);
    drop(open_sqlite(directory.path(), History::Unknown).unwrap());
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    drop(open_sqlite(directory.path(), History::Unknown).unwrap());
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_was_answered_is_there_after_opening_again() {
    let directory = Scratch::new();
    let write = batch("a@x.example", vec![put("k", "v", Expect::Absent)]);
    let mut sqlite = open_sqlite(directory.path(), History::Unknown).unwrap();
    assert_eq!(sqlite.apply(&[write]), [Ok(vec![Reply::Done])]);
    drop(sqlite);
    let mut sqlite = open_sqlite(directory.path(), History::Unknown).unwrap();
    let read = batch("a@x.example", vec![get("k")]);
    assert_eq!(sqlite.apply(&[read]), [Ok(vec![value("v")])]);
}

#[test]
fn every_commit_is_synced() {
    let directory = Scratch::new();
    let sqlite = open_sqlite(directory.path(), History::Unknown).unwrap();
    let pragma = |name| {
        let read = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        sqlite
            .connection()
            .pragma_query_value(None, name, read)
            .unwrap()
    };
    assert_eq!(pragma("journal_mode"), String::from("wal").into());
    assert_eq!(pragma("synchronous"), 2.into());
    assert_eq!(pragma("foreign_keys"), 1.into());
    assert_eq!(pragma("secure_delete"), 2.into());
}

#[test]
fn values_are_readable_with_the_databases_own_tools() {
    let directory = Scratch::new();
    let mut sqlite = open_sqlite(directory.path(), History::Unknown).unwrap();
    let json = r#"{"status":"enabled"}"#;
    sqlite.apply(&[batch(
        "a@x.example",
        vec![put("scram", json, Expect::Absent)],
    )]);
    let row: (String, String, String, String) = sqlite
        .connection()
        .query_row(
            "SELECT jid, map, key, json_extract(value, '$.status') FROM readable",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!(
        (&*row.0, &*row.1, &*row.2, &*row.3),
        ("a@x.example", "credentials", "scram", "enabled")
    );
}

#[test]
fn a_full_disk_fails_the_batches_and_nothing_else() {
    let directory = Scratch::new();
    let mut sqlite = open_sqlite(directory.path(), History::Unknown).unwrap();
    let pages: i64 = sqlite
        .connection()
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    let limit = |sqlite: &Sqlite, pages: i64| {
        sqlite
            .connection()
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .unwrap();
    };
    limit(&sqlite, pages);
    let big = batch(
        "big@x.example",
        vec![Op::Put {
            map: MAP,
            key: Bytes::from("k"),
            value: Bytes::from(vec![b'x'; 1_000_000]),
            expect: Expect::Anything,
        }],
    );
    let small = batch("a@x.example", vec![put("k", "v", Expect::Anything)]);
    let failed = Err(StoreError::Failed);
    assert_eq!(
        sqlite.apply(&[small.clone(), big]),
        [failed.clone(), failed]
    );
    let read = batch("a@x.example", vec![get("k")]);
    assert_eq!(
        sqlite.apply(std::slice::from_ref(&read)),
        [Ok(vec![Reply::Value(None)])]
    );
    limit(&sqlite, 1_000_000);
    assert_eq!(sqlite.apply(&[small]), [Ok(vec![Reply::Done])]);
    assert_eq!(sqlite.apply(&[read]), [Ok(vec![value("v")])]);
}

#[test]
fn a_transaction_left_open_by_a_panic_is_rolled_back() {
    let directory = Scratch::new();
    let mut sqlite = open_sqlite(directory.path(), History::Unknown).unwrap();
    sqlite
        .connection()
        .execute_batch("BEGIN; INSERT INTO owner (jid, domain) VALUES ('z@x', 'x')")
        .unwrap();
    let write = batch("a@x.example", vec![put("k", "v", Expect::Absent)]);
    assert_eq!(sqlite.apply(&[write]), [Ok(vec![Reply::Done])]);
    let owners: i64 = sqlite
        .connection()
        .query_row("SELECT count(*) FROM owner", [], |row| row.get(0))
        .unwrap();
    assert_eq!(owners, 1);
}

#[test]
fn a_reader_refuses_to_write() {
    let directory = Scratch::new();
    let sqlite = open_sqlite(directory.path(), History::Unknown).unwrap();
    let write = batch("a@x.example", vec![put("k", "v", Expect::Absent)]);
    let refused = sqlite.reader().unwrap().apply(&[write]);
    assert_eq!(refused, [Err(StoreError::Failed)]);
}

#[test]
fn refuses_a_database_of_a_newer_version() {
    let directory = Scratch::new();
    let sqlite = open_sqlite(directory.path(), History::Unknown).unwrap();
    sqlite
        .connection()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    drop(sqlite);
    let refusal = open_sqlite(directory.path(), History::Unknown).unwrap_err();
    assert!(refusal.contains("newer version of Spondee"), "{refusal}");
    assert!(refusal.contains("schema 99"), "{refusal}");
}

#[test]
fn refuses_what_is_not_its_database() {
    let directory = Scratch::new();
    let path = directory.path().join(FILE_NAME);
    std::fs::write(
        &path,
        "not a database, but long enough to be taken for one".repeat(20),
    )
    .unwrap();
    let refusal = open_sqlite(directory.path(), History::Unknown).unwrap_err();
    assert!(refusal.contains("is not an SQLite database"), "{refusal}");
    std::fs::remove_file(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(other);
    let refusal = open_sqlite(directory.path(), History::Unknown).unwrap_err();
    assert!(refusal.contains("of another program"), "{refusal}");
}
