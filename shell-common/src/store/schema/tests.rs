//! Schemas: what a database of before becomes, and what a migration that is cut off leaves.

use std::path::Path;

use spondee_core::sasl::{CREDENTIALS, Credentials, Hash, Status};
use spondee_core::shard::CATALOG;
use spondee_core::store::{Batch, Class, Kind, Need, Op, Reply, Row};

use super::super::{Backend as _, FILE_NAME, Sqlite, open_sqlite};
use super::*;
use crate::scratch::Scratch;

/// Made by the last program of schema 1, by `spondee user`: five accounts on two hosts, one of them disabled; a sixth was deleted.
const BEFORE: &[u8] = include_bytes!("../../../tests/data/schema-1.sqlite");

fn before() -> Scratch {
    let directory = Scratch::new();
    std::fs::write(directory.path().join(FILE_NAME), BEFORE).unwrap();
    directory
}

fn credentials(store: &mut Sqlite, owner: &str) -> Option<Credentials> {
    let batch = Batch {
        owner: spondee_core::jid::BareJid::parse(owner).unwrap(),
        tenure: 0,
        class: Class::SignIn,
        ops: vec![Op::Get {
            table: &CREDENTIALS,
            key: Row::default(),
        }],
    };
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
    assert_eq!(version(&directory.path().join(FILE_NAME)), 2);
}

#[test]
fn a_migration_that_is_killed_starts_over() {
    let directory = before();
    let path = directory.path().join(FILE_NAME);
    let mut connection = Connection::open(&path).unwrap();
    configure(&connection).unwrap();
    // So few pages in memory that the log has most of it before the end.
    connection.pragma_update(None, "cache_size", 1).unwrap();
    let step = connection.transaction().unwrap();
    second::convert(&step).unwrap();
    let dead = Scratch::new();
    for suffix in ["", "-wal"] {
        let name = format!("{FILE_NAME}{suffix}");
        std::fs::copy(directory.path().join(&name), dead.path().join(&name)).unwrap();
    }
    drop(step);
    let log = std::fs::metadata(dead.path().join(format!("{FILE_NAME}-wal"))).unwrap();
    assert!(log.len() > 0, "nothing was under way");
    assert_eq!(version(&dead.path().join(FILE_NAME)), 1);
    check_migrated(&mut open_sqlite(dead.path(), History::Unknown).unwrap());
}

#[test]
fn a_record_that_cannot_be_read_is_kept_and_lets_nobody_in() {
    let directory = before();
    let path = directory.path().join(FILE_NAME);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute("UPDATE entry SET value = 'no json' WHERE owner = 1", [])
        .unwrap();
    drop(connection);
    let store = open_sqlite(directory.path(), History::Unknown).unwrap();
    let status: String = store
        .connection()
        .query_row(
            "SELECT status FROM credentials WHERE owner = 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(status, "no json");
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

#[test]
fn every_shape_is_as_its_table() {
    let directory = Scratch::new();
    let store = open_sqlite(directory.path(), History::Unknown).unwrap();
    for table in CATALOG.tables {
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
    }
}
