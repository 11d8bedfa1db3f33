//! What only a file on disk has.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use spondee_core::sasl::{CREDENTIALS, Credentials, Dates, DeriveParams, Hash, Status};
use spondee_core::secret::Secret;
use spondee_core::time::UnixTime;

use super::super::{Quiet, Tended, open_sqlite};
use super::*;

fn row(key: &str, value: &str) -> Reply {
    Reply::Row(Some(note(key, value)))
}

#[test]
fn files_are_for_their_owner_only() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
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
    drop(open(&directory));
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    drop(open(&directory));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_was_answered_is_there_after_opening_again() {
    let directory = Scratch::new();
    let write = batch("a@x.example", vec![put("k", "v", Expect::Absent)]);
    let mut sqlite = open(&directory);
    assert_eq!(sqlite.apply(&[write]), [Ok(vec![Reply::Done])]);
    drop(sqlite);
    let mut sqlite = open(&directory);
    let read = batch("a@x.example", vec![get("k")]);
    assert_eq!(sqlite.apply(&[read]), [Ok(vec![row("k", "v")])]);
}

#[test]
fn every_commit_is_synced() {
    let directory = Scratch::new();
    let sqlite = open(&directory);
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
    assert_eq!(pragma("secure_delete"), 1.into());
}

#[test]
fn credentials_are_readable_with_the_databases_own_tools() {
    let directory = Scratch::new();
    let mut sqlite = open_sqlite(directory.path(), History::Unknown).unwrap();
    let job = DeriveParams {
        hash: Hash::Sha1,
        salt: b"sixteen bytes...".to_vec(),
        rounds: 1,
    };
    let keys = vec![job.derive(&Secret::new(b"pencil".to_vec()))];
    let status = Status::Enabled;
    let dates = Dates::new(UnixTime(1_795_316_645_678));
    let row = Credentials::hashed(status, keys).to_row(dates);
    let expect = Expect::Absent;
    let table = &CREDENTIALS;
    sqlite.apply(&[batch("a@x.example", vec![Op::Put { table, row, expect }])]);
    let row: (String, String, i64, String, Option<i64>, String) = sqlite
        .connection()
        .query_row(
            "SELECT address, status, sha1_iterations, sha1_salt, sha256_iterations, created
             FROM readable_credentials",
            [],
            |row| {
                let fields = (row.get(0)?, row.get(1)?, row.get(2)?);
                let (address, status, rounds) = fields;
                Ok((
                    address,
                    status,
                    rounds,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                ))
            },
        )
        .unwrap();
    assert_eq!((&*row.0, &*row.1, row.2), ("a@x.example", "enabled", 1));
    assert_eq!(row.3, "7369787465656E2062797465732E2E2E");
    assert_eq!((row.4, &*row.5), (None, "2026-11-22T03:04:05.678Z"));
}

#[test]
fn a_full_disk_refuses_the_batches_and_nothing_else() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
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
        vec![put("k", &"x".repeat(1_000_000), Expect::Anything)],
    );
    let small = batch("a@x.example", vec![put("k", "v", Expect::Anything)]);
    let full = Err(StoreError::Full);
    assert_eq!(sqlite.apply(&[small.clone(), big]), [full.clone(), full]);
    let read = batch("a@x.example", vec![get("k")]);
    assert_eq!(
        sqlite.apply(std::slice::from_ref(&read)),
        [Ok(vec![Reply::Row(None)])]
    );
    limit(&sqlite, 1_000_000);
    assert_eq!(sqlite.apply(&[small]), [Ok(vec![Reply::Done])]);
    assert_eq!(sqlite.apply(&[read]), [Ok(vec![row("k", "v")])]);
}

#[test]
fn a_transaction_left_open_by_a_panic_is_rolled_back() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
    sqlite
        .connection()
        .execute_batch("BEGIN; INSERT INTO owner (jid, domain) VALUES ('z@x', 'x')")
        .unwrap();
    // What the threads do when a back end has panicked.
    assert_eq!(sqlite.apply(&[]), []);
    assert!(sqlite.connection().is_autocommit());
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
    let sqlite = open(&directory);
    let write = batch("a@x.example", vec![put("k", "v", Expect::Absent)]);
    let refused = sqlite.reader().unwrap().apply(&[write]);
    assert_eq!(refused, [Err(StoreError::Failed)]);
}

#[test]
fn refuses_a_database_of_a_newer_version() {
    let directory = Scratch::new();
    let sqlite = open(&directory);
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

#[test]
fn the_log_is_brought_into_the_database_by_the_writer_when_it_is_quiet() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
    let write = batch("a@x.example", vec![put("k", "v", Expect::Anything)]);
    sqlite.apply(&[write]);
    let waiting = |sqlite: &Sqlite| {
        let read = |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?);
        let noop = "PRAGMA wal_checkpoint(NOOP)";
        sqlite.connection().query_row(noop, [], read).unwrap()
    };
    let before = waiting(&sqlite);
    assert!(before > 0);
    assert_eq!(sqlite.tend(Quiet::No), Tended::Done);
    assert_eq!(waiting(&sqlite), before);
    assert_eq!(sqlite.tend(Quiet::Yes), Tended::Done);
    assert_eq!(waiting(&sqlite), 0);
}

#[test]
fn a_batch_that_the_database_refuses_fails_alone() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
    // As a person could make one.
    sqlite
        .connection()
        .execute_batch("CREATE UNIQUE INDEX one ON notes (value)")
        .unwrap();
    let write = |owner, value| batch(owner, vec![put("k", value, Expect::Anything)]);
    let outcomes = sqlite.apply(&[
        write("a@x.example", "1"),
        write("b@x.example", "1"),
        write("c@x.example", "2"),
    ]);
    let done = Ok(vec![Reply::Done]);
    assert_eq!(outcomes, [done.clone(), Err(StoreError::Failed), done]);
    let read = batch("c@x.example", vec![get("k")]);
    assert_eq!(sqlite.apply(&[read]), [Ok(vec![row("k", "2")])]);
    // The number of an owner whose first batch was rolled back is none.
    let again = write("b@x.example", "3");
    assert_eq!(sqlite.apply(&[again]), [Ok(vec![Reply::Done])]);
    let read = batch("b@x.example", vec![get("k")]);
    assert_eq!(sqlite.apply(&[read]), [Ok(vec![row("k", "3")])]);
    let orphans: i64 = sqlite
        .connection()
        .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(orphans, 0);
}
