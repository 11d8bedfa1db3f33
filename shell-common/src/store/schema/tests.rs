//! Schemas: what a database of before becomes, and what a migration that is cut off leaves.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use spondee_core::archive::{ARCHIVE, SPOOL, Spool};
use spondee_core::blocking::{BLOCKLIST, Blocklist};
use spondee_core::catalog::CATALOG;
use spondee_core::jid::BareJid;
use spondee_core::roster::{ROSTER, ROSTER_VERSION, Roster};
use spondee_core::sasl::{CREDENTIALS, Credentials, Hash, Status, TALLIED};
use spondee_core::store::{
    Batch, Class, Column, Entry, Expect, Field, Kept, Kind, Loaded, Loading, Log, Need, Op,
    Payload, Puts, Reply, Row, Shape,
};

use super::super::tests::{LOG, NOTES, PLACES, STATE, done};
use super::super::{Backend as _, FILE_NAME, Sqlite, open_sqlite};
use super::*;
use crate::scratch::Scratch;

/// Made by the last program of schema 1, by `spondee user`: five accounts on two hosts, one of them disabled; a sixth was deleted.
const BEFORE: &[u8] = include_bytes!("../../../tests/data/schema-1.sqlite");

/// Made by the last program of schema 3, by `spondee user`: two accounts, one of them disabled; a third was deleted. One has a contact,
/// blocks somebody, and was there once.
const THIRD: &[u8] = include_bytes!("../../../tests/data/schema-3.sqlite");

fn before() -> Scratch {
    written(BEFORE)
}

fn written(database: &[u8]) -> Scratch {
    let directory = Scratch::new();
    std::fs::write(directory.path().join(FILE_NAME), database).unwrap();
    directory
}

fn in_file(directory: &Scratch) -> PathBuf {
    directory.path().join(FILE_NAME)
}

/// What a program that is killed now leaves.
fn copy(from: &Scratch, to: &Scratch) {
    for suffix in ["", "-wal"] {
        let name = format!("{FILE_NAME}{suffix}");
        std::fs::copy(from.path().join(&name), to.path().join(&name)).unwrap();
    }
}

fn batch(owner: &str, ops: Vec<Op>) -> Batch {
    Batch {
        owner: BareJid::parse(owner).unwrap(),
        tenure: 0,
        class: Class::Change,
        ops,
    }
}

fn get_credentials() -> Op {
    Op::Get {
        table: &CREDENTIALS,
        key: Row::default(),
    }
}

fn credentials(store: &mut Sqlite, owner: &str) -> Option<Credentials> {
    let batch = batch(owner, vec![get_credentials()]);
    let reply = store.apply(&[batch]).remove(0).unwrap().remove(0);
    let Reply::Row(row) = reply else {
        panic!("{reply:?}");
    };
    row.map(|row| Credentials::from_row(&row).unwrap())
}

fn version(path: &Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

fn check_migrated(store: &mut Sqlite) {
    for (owner, status) in [
        ("juliet@example.org", Status::Enabled),
        ("romeo@example.org", Status::Disabled),
        ("jos\u{e9}@example.org", Status::Enabled),
        ("k\u{e4}the@b\u{fc}cher.example", Status::Enabled),
        ("romeo@b\u{fc}cher.example", Status::Enabled),
    ] {
        let found = credentials(store, owner).unwrap();
        assert_eq!(found.status, status, "{owner}");
        for hash in Hash::ALL {
            assert_eq!(found.keys_for(hash).unwrap().rounds, 4096, "{owner}");
        }
    }
    assert_eq!(credentials(store, "gone@example.org"), None);
    let stored: String = store
        .connection()
        .query_row(
            "SELECT sha1_stored FROM readable_credentials WHERE address = 'juliet@example.org'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    // As in the old record: TbdIOXZpWXp94RQiB8ZnXMwOMg8=
    assert_eq!(stored, "4DB748397669597A7DE1142207C6675CCC0E320F");
    let left: i64 = store
        .connection()
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name IN ('entry', 'owner_before', 'readable')",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn a_database_of_the_first_schema_is_migrated_with_every_account() {
    let directory = before();
    check_migrated(&mut open_sqlite(directory.path(), History::Unknown).unwrap());
    // And opened as what it is now.
    check_migrated(&mut open_sqlite(directory.path(), History::Unknown).unwrap());
    assert_eq!(version(&directory.path().join(FILE_NAME)), 7);
}

#[test]
fn a_migration_that_is_killed_starts_over() {
    let directory = before();
    let mut connection = Connection::open(in_file(&directory)).unwrap();
    configure(&connection).unwrap();
    // So few pages in memory that the log has most of it before the end.
    connection.pragma_update(None, "cache_size", 1).unwrap();
    let step = connection.transaction().unwrap();
    second::convert(&step).unwrap();
    let dead = Scratch::new();
    copy(&directory, &dead);
    drop(step);
    let log = std::fs::metadata(dead.path().join(format!("{FILE_NAME}-wal"))).unwrap();
    assert!(log.len() > 0, "nothing was under way");
    assert_eq!(version(&dead.path().join(FILE_NAME)), 1);
    check_migrated(&mut open_sqlite(dead.path(), History::Unknown).unwrap());
}

/// What a migration makes of this record.
fn migrated(record: impl rusqlite::ToSql) -> (Option<Credentials>, String) {
    let directory = before();
    let connection = Connection::open(in_file(&directory)).unwrap();
    connection
        .execute("UPDATE entry SET value = ?1 WHERE owner = 1", [record])
        .unwrap();
    drop(connection);
    let mut store = open_sqlite(directory.path(), History::Unknown).unwrap();
    let status = store
        .connection()
        .query_row(
            "SELECT status FROM credentials WHERE owner = 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    // The others are as they were.
    assert!(credentials(&mut store, "romeo@example.org").is_some());
    let batch = batch("juliet@example.org", vec![get_credentials()]);
    let reply = store.apply(&[batch]).remove(0).unwrap().remove(0);
    let Reply::Row(Some(row)) = reply else {
        panic!("{reply:?}");
    };
    (Credentials::from_row(&row), status)
}

#[test]
fn a_record_that_cannot_be_read_is_kept_and_lets_nobody_in() {
    assert_eq!(migrated("no json"), (None, "no json".to_owned()));
    assert_eq!(migrated(7), (None, "7".to_owned()));
    assert_eq!(migrated(&b"\xffx"[..]), (None, "\u{fffd}x".to_owned()));
    assert_eq!(migrated(""), (None, String::new()));
}

#[test]
fn a_record_that_let_nobody_in_lets_nobody_in() {
    let good: String = Connection::open(in_file(&before()))
        .unwrap()
        .query_row("SELECT value FROM entry WHERE owner = 1", [], |row| {
            row.get(0)
        })
        .unwrap();
    let (found, status) = migrated(good.clone());
    assert_eq!((found.is_some(), &*status), (true, "enabled"));
    let record: serde_json::Value = serde_json::from_str(&good).unwrap();
    let damages: [fn(&mut serde_json::Value); 8] = [
        |record| record["status"] = "away".into(),
        |record| record["locked"] = true.into(),
        |record| record["keys"][0]["hash"] = "SHA-3".into(),
        |record| record["keys"][1]["hash"] = "SHA-1".into(),
        |record| record["keys"][0]["rounds"] = 0.into(),
        |record| record["keys"][0]["salt"] = "".into(),
        |record| record["keys"][0]["stored_key"] = "AAAA".into(),
        |record| record["keys"][0]["until"] = 1.into(),
    ];
    for damage in damages {
        let mut damaged = record.clone();
        damage(&mut damaged);
        let damaged = damaged.to_string();
        assert_eq!(migrated(damaged.clone()), (None, damaged));
    }
}

#[test]
fn what_the_old_program_left_in_its_log_is_migrated_too() {
    let directory = before();
    let killed = Scratch::new();
    let old = Connection::open(in_file(&directory)).unwrap();
    old.pragma_update(None, "journal_mode", "WAL").unwrap();
    old.execute_batch(
        "INSERT INTO owner (id, jid, domain) VALUES (77, 'late@example.org', 'example.org');
         INSERT INTO entry (owner, map, key, value)
         SELECT 77, map, key, value FROM entry WHERE owner = 1;",
    )
    .unwrap();
    copy(&directory, &killed);
    assert!(killed.path().join(format!("{FILE_NAME}-wal")).exists());
    let mut store = open_sqlite(killed.path(), History::Unknown).unwrap();
    check_migrated(&mut store);
    assert!(credentials(&mut store, "late@example.org").is_some());
    // All of it is in the database: nobody waits for that later.
    let log = std::fs::metadata(killed.path().join(format!("{FILE_NAME}-wal"))).unwrap();
    assert_eq!(log.len(), 0);
}

#[test]
fn a_log_that_another_program_reads_from_is_not_built_on() {
    let directory = before();
    let other = Connection::open(in_file(&directory)).unwrap();
    other.pragma_update(None, "journal_mode", "WAL").unwrap();
    other
        .execute_batch("UPDATE owner SET jid = jid; BEGIN; SELECT * FROM owner")
        .unwrap();
    let refusal = open_sqlite(directory.path(), History::Unknown).unwrap_err();
    assert!(refusal.contains("locked by another program"), "{refusal}");
    assert_eq!(version(&in_file(&directory)), 1);
    other.execute_batch("COMMIT").unwrap();
    check_migrated(&mut open_sqlite(directory.path(), History::Unknown).unwrap());
}

#[test]
fn a_migration_for_which_there_is_no_room_changes_nothing() {
    let directory = before();
    let path = in_file(&directory);
    for pages in 6..40 {
        let mut connection = Connection::open(&path).unwrap();
        configure(&connection).unwrap();
        connection
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .unwrap();
        match bring_up(&path, &mut connection, 1, &CATALOG) {
            Ok(()) => {
                assert!(pages > 8, "{pages}");
                drop(connection);
                return check_migrated(
                    &mut open_sqlite(directory.path(), History::Unknown).unwrap(),
                );
            }
            Err(refusal) => {
                assert!(refusal.contains("no room"), "{refusal}");
                assert!(refusal.contains("nothing was changed"), "{refusal}");
            }
        }
        drop(connection);
        assert_eq!(version(&path), 1);
    }
    panic!("never room enough");
}

#[test]
fn the_number_of_a_deleted_owner_is_not_given_again() {
    let directory = before();
    let store = open_sqlite(directory.path(), History::Unknown).unwrap();
    let add = "INSERT INTO owner (jid, domain) VALUES ('new@example.org', 'example.org')";
    let id = || {
        store.connection().execute(add, []).unwrap();
        let id = store.connection().last_insert_rowid();
        store
            .connection()
            .execute("DELETE FROM owner WHERE id = ?1", [id])
            .unwrap();
        id
    };
    let first = id();
    assert!(id() > first);
}

/// What storage of contacts, preferences and items will name its columns: some are words of SQL.
static WORDS: Shape = Shape {
    name: "words",
    key: &[
        Column::new("jid", Kind::Text),
        Column::new("key", Kind::Int),
    ],
    columns: &[
        Column::new("groups", Kind::Text),
        Column::new("rule", Kind::Text).optional(),
        Column::new("since", Kind::Time).optional(),
        Column::new("domain", Kind::Bytes).optional(),
    ],
    loading: Loading::Loaded,
    puts: Puts::Awaited,
};

static NEWER: Catalog = Catalog {
    tables: &[
        &BLOCKLIST,
        &CREDENTIALS,
        &NOTES,
        &PLACES,
        &ROSTER,
        &ROSTER_VERSION,
        &SPOOL,
        &STATE,
        &WORDS,
    ],
    logs: &[LOG],
    subsets: &TALLIED,
};

/// What a program knows that knows less than this one.
static FEWER: Catalog = Catalog {
    tables: &[&CREDENTIALS, &ROSTER, &ROSTER_VERSION],
    logs: &[Log::new("archive")],
    subsets: &[],
};

fn check_shapes(store: &Sqlite, catalog: &Catalog) {
    for subset in catalog.subsets {
        let find = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?1";
        let sql: String = store
            .connection()
            .query_row(find, [subset.index()], |row| row.get(0))
            .unwrap();
        assert!(sql.contains(" WHERE "), "{sql}");
    }
    for table in catalog.tables {
        let columns = format!("PRAGMA table_info({})", table.name);
        let mut columns = store.connection().prepare(&columns).unwrap();
        let found: Vec<(String, String, bool, i64)> = columns
            .query_map([], |row| {
                Ok((row.get(1)?, row.get(2)?, row.get(3)?, row.get(5)?))
            })
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let owner = ("owner".to_owned(), "INTEGER".to_owned(), true, 1);
        let shape = table.all().zip(2..).map(|(column, place)| {
            let kind = match column.kind {
                Kind::Bytes => "BLOB",
                Kind::Int | Kind::Time => "INTEGER",
                Kind::Text | Kind::Xml => "TEXT",
            };
            let is_key = place < 2 + i64::try_from(table.key.len()).unwrap();
            let needed = column.need == Need::Always;
            let key = if is_key { place } else { 0 };
            (column.name.to_owned(), kind.to_owned(), needed, key)
        });
        let expected: Vec<_> = std::iter::once(owner).chain(shape).collect();
        assert_eq!(found, expected, "{table:?}");
        let is_strict: bool = store
            .connection()
            .query_row(
                "SELECT strict FROM pragma_table_list WHERE name = ?1",
                [table.name],
                |row| row.get(0),
            )
            .unwrap();
        assert!(is_strict, "{table:?}");
        let view = format!("SELECT * FROM readable_{}", table.name);
        let view = store.connection().prepare(&view).unwrap();
        let names = table.all().map(|column| column.name);
        let names = std::iter::once("address").chain(names);
        assert!(view.column_names().eq(names), "{table:?}");
    }
}

#[test]
fn every_shape_is_as_its_table_new_or_migrated() {
    for directory in [Scratch::new(), before(), written(THIRD)] {
        let store = open_sqlite(directory.path(), History::Unknown).unwrap();
        check_shapes(&store, &CATALOG);
    }
    for directory in [Scratch::new(), before(), written(THIRD)] {
        let store = Sqlite::open(&in_file(&directory), &NEWER, History::Unknown).unwrap();
        check_shapes(&store, &NEWER);
    }
}

#[test]
fn small_rows_lie_together_and_long_ones_as_they_come() {
    let directory = Scratch::new();
    let store = Sqlite::open(&in_file(&directory), &NEWER, History::Unknown).unwrap();
    let without_rowid = |table: &str| {
        let list = "SELECT wr FROM pragma_table_list WHERE name = ?1";
        let read = |row: &rusqlite::Row<'_>| row.get::<_, bool>(0);
        store.connection().query_row(list, [table], read).unwrap()
    };
    assert!(without_rowid("credentials") && without_rowid("words") && without_rowid("state"));
    // It holds XML.
    assert!(!without_rowid("places"));
}

#[test]
fn a_table_made_from_its_shape_is_written_and_read_by_programs_and_people() {
    let directory = Scratch::new();
    let mut store = Sqlite::open(&in_file(&directory), &NEWER, History::Unknown).unwrap();
    let row = |number, domain| {
        Row(vec![
            Field::text("b@y.example"),
            Field::Int(number),
            Field::text("[\"Friends\"]"),
            Field::Absent,
            Field::Time(1_795_316_645_678_000),
            domain,
        ])
    };
    let rows = vec![
        row(1, Field::Bytes(Bytes::from_static(b"\0\xff"))),
        row(2, Field::Absent),
    ];
    let put = |row: &Row| Op::Put {
        table: &WORDS,
        row: row.clone(),
        expect: Expect::Absent,
    };
    let batch = |ops| batch("a@x.example", ops);
    let outcomes = store.apply(&[batch(rows.iter().map(put).collect())]);
    assert_eq!(outcomes, [Ok(vec![Reply::Done, Reply::Done])]);
    let loaded = store.apply(&[batch(vec![Op::Load])]).remove(0).unwrap();
    let [Reply::Loaded(loaded)] = &loaded[..] else {
        panic!("{loaded:?}");
    };
    assert_eq!(loaded.rows(&WORDS), rows);
    let list = batch(vec![Op::List {
        table: &WORDS,
        prefix: Row(vec![Field::text("b@y.example")]),
        after: Some(Row(rows[0].0[..2].to_vec())),
        limit: 9,
    }]);
    let more = false;
    let behind = Reply::Rows {
        rows: vec![rows[1].clone()],
        more,
    };
    assert_eq!(store.apply(&[list]), [Ok(vec![behind])]);
    let seen: (String, String, String, String) = store
        .connection()
        .query_row(
            "SELECT address, groups, since, domain FROM readable_words WHERE key = 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    let words = [
        "a@x.example",
        "[\"Friends\"]",
        "2026-11-22T03:04:05.678Z",
        "00FF",
    ];
    assert_eq!([&*seen.0, &*seen.1, &*seen.2, &*seen.3], words);
}

#[test]
fn a_database_that_lacks_a_table_is_refused_and_not_taken_for_one_without_contacts() {
    let directory = Scratch::new();
    drop(Sqlite::open(&in_file(&directory), &NEWER, History::Unknown).unwrap());
    let connection = Connection::open(in_file(&directory)).unwrap();
    connection
        .execute_batch("DROP VIEW readable_words; DROP TABLE words")
        .unwrap();
    drop(connection);
    let refusal = Sqlite::open(&in_file(&directory), &NEWER, History::Unknown).unwrap_err();
    assert!(refusal.contains("the table words is gone"), "{refusal}");
    assert!(refusal.contains("restore it from a backup"), "{refusal}");
    Sqlite::open(&in_file(&directory), &FEWER, History::Unknown).unwrap();
}

#[test]
fn a_database_of_the_second_schema_gets_the_tables_that_came_later() {
    let directory = Scratch::new();
    drop(Sqlite::open(&in_file(&directory), &FEWER, History::Unknown).unwrap());
    let connection = Connection::open(in_file(&directory)).unwrap();
    connection
        .execute_batch(
            "DROP VIEW readable_credentials;
             ALTER TABLE credentials DROP COLUMN password;
             DROP INDEX archive_owed_only;
             PRAGMA user_version = 2",
        )
        .unwrap();
    drop(connection);
    let store = open_sqlite(directory.path(), History::Unknown).unwrap();
    check_shapes(&store, &CATALOG);
    assert_eq!(version(&in_file(&directory)), 7);
}

fn load(store: &mut Sqlite, owner: &str) -> Loaded {
    let reply = store.apply(&[batch(owner, vec![Op::Load])]).remove(0);
    let Ok([Reply::Loaded(loaded)]) = reply.as_deref() else {
        panic!("{reply:?}");
    };
    (**loaded).clone()
}

#[test]
fn a_database_of_the_third_schema_keeps_all_it_had_and_can_keep_messages() {
    let directory = written(THIRD);
    let mut store = open_sqlite(directory.path(), History::Unknown).unwrap();
    assert_eq!(version(&in_file(&directory)), 7);
    let romeo = credentials(&mut store, "romeo@example.org").unwrap();
    assert_eq!(romeo.status, Status::Disabled);
    assert_eq!(credentials(&mut store, "gone@example.org"), None);
    let loaded = load(&mut store, "juliet@example.org");
    let contacts = Roster::from_loaded(&loaded).unwrap();
    assert_eq!(
        contacts
            .items()
            .map(|item| item.name().to_owned())
            .collect::<Vec<_>>(),
        ["Romeo"]
    );
    assert_eq!(Blocklist::from_loaded(&loaded).unwrap().len(), 1);
    // Nothing was ever kept, so nothing was given out and nothing is owed.
    assert_eq!(Spool::from_loaded(&loaded), Ok(Spool::default()));
    assert_eq!(loaded.end(ARCHIVE), None);
    let spool = Spool {
        done: Some(1),
        last: Some(2),
        ..Spool::default()
    };
    let append = Op::Append {
        log: ARCHIVE,
        entries: [1, 2].map(message).into(),
    };
    let keep = batch("juliet@example.org", vec![append, spool.put()]);
    assert_eq!(store.apply(&[keep]), [Ok(vec![Reply::Done, Reply::Done])]);
    let loaded = load(&mut store, "juliet@example.org");
    assert_eq!(Spool::from_loaded(&loaded), Ok(spool));
    let owed = loaded.end(ARCHIVE).unwrap().owed;
    assert_eq!(owed.entries, 1, "the mark is heeded");
}

fn message(key: i64) -> Entry {
    Entry {
        key,
        peer: Bytes::from_static(b"romeo@example.org"),
        resource: None,
        kept: Kept::Owed,
        payload: Payload(vec![Bytes::from_static(b"<message/>")]),
    }
}

/// What people are shown of an entry's purpose.
#[test]
fn people_see_what_is_owed_and_what_was_delivered() {
    let directory = Scratch::new();
    let mut store = open_sqlite(directory.path(), History::Unknown).unwrap();
    let kept = [Kept::Archived, Kept::Owed, Kept::Both];
    let entries = (1..).zip(kept.iter().chain(&kept));
    let entries = entries.map(|(key, kept)| Entry {
        kept: *kept,
        ..message(key)
    });
    let append = Op::Append {
        log: ARCHIVE,
        entries: entries.collect(),
    };
    let seen = |store: &Sqlite| {
        let mut seen = store
            .connection()
            .prepare("SELECT kept FROM readable_archive ORDER BY time, xml, kept")
            .unwrap();
        let seen = seen.query_map([], |row| row.get(0)).unwrap();
        let mut seen: Vec<String> = seen.map(Result::unwrap).collect();
        seen.sort();
        seen
    };
    let owner = "juliet@example.org";
    store
        .apply(&[batch(owner, vec![append])])
        .remove(0)
        .unwrap();
    let both = "archived and owed";
    assert_eq!(
        seen(&store),
        ["archived", "archived", both, both, "owed", "owed"]
    );
    store
        .apply(&[batch(owner, vec![done(3)])])
        .remove(0)
        .unwrap();
    let past = "archived and delivered";
    assert_eq!(
        seen(&store),
        ["archived", "archived", past, both, "delivered", "owed"]
    );
}
