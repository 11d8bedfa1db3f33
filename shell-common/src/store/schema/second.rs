//! Version 2: a table for each kind of thing, with columns that a person can read; a log of messages.
//!
//! Numbers of owners are never given again (`AUTOINCREMENT`), so that what a deleted account left belongs to nobody who comes
//! after. A purged owner has no address any more and is emptied in steps. Small rows are `WITHOUT ROWID`: those of one owner lie
//! together. The archive is not: its rows lie in the order of arrival, so that long texts are only ever appended; and it names its
//! owner without `REFERENCES`, which would be a look-up a row.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::types::Value;
use rusqlite::{Transaction, params_from_iter};
use serde::Deserialize;
use spondee_core::sasl::Status;

/// The tables of before under another name, and those of now that there is something to bring into.
const BEGIN: &str = "
    DROP VIEW readable;
    DROP INDEX owner_by_domain;
    ALTER TABLE owner RENAME TO owner_before;
    CREATE TABLE owner (
        id     INTEGER PRIMARY KEY AUTOINCREMENT,
        jid    TEXT UNIQUE,
        domain TEXT
    ) STRICT;
    CREATE INDEX owner_by_domain ON owner (domain, jid);
    INSERT INTO owner (id, jid, domain) SELECT id, jid, domain FROM owner_before;
    CREATE TABLE credentials (
        owner             INTEGER NOT NULL REFERENCES owner (id),
        status            TEXT NOT NULL,
        sha1_iterations   INTEGER,
        sha1_salt         BLOB,
        sha1_stored       BLOB,
        sha1_server       BLOB,
        sha256_iterations INTEGER,
        sha256_salt       BLOB,
        sha256_stored     BLOB,
        sha256_server     BLOB,
        sha512_iterations INTEGER,
        sha512_salt       BLOB,
        sha512_stored     BLOB,
        sha512_server     BLOB,
        created           INTEGER,
        updated           INTEGER,
        PRIMARY KEY (owner)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE archive (
        id       INTEGER PRIMARY KEY,
        owner    INTEGER NOT NULL,
        key      INTEGER NOT NULL,
        tag      INTEGER NOT NULL,
        peer     TEXT NOT NULL,
        resource TEXT,
        kept     INTEGER NOT NULL,
        xml      TEXT,
        UNIQUE (owner, key, tag)
    ) STRICT;
    CREATE INDEX archive_owed ON archive (owner, key) WHERE kept >= 2;
    CREATE TABLE archive_day (
        owner INTEGER NOT NULL,
        tag   INTEGER NOT NULL,
        day   INTEGER NOT NULL,
        PRIMARY KEY (owner, tag, day)
    ) STRICT, WITHOUT ROWID;
";

const END: &str = "
    DROP TABLE entry;
    DROP TABLE owner_before;
";

/// A record of version 1. What its programs took for damaged is damaged here, too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    status: Status,
    keys: Vec<Keys>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    hash: String,
    salt: String,
    rounds: u32,
    stored_key: String,
    server_key: String,
}

/// Each with the bytes of its keys.
const HASHES: [(&str, usize); 3] = [("SHA-1", 20), ("SHA-256", 32), ("SHA-512", 64)];

/// There was one map, that of credentials, and one key in it.
pub(super) fn convert(step: &Transaction<'_>) -> rusqlite::Result<()> {
    step.execute_batch(BEGIN)?;
    let mut before = step.prepare(
        "SELECT owner, CAST(value AS TEXT) FROM entry WHERE map = 'credentials' AND key = x'736372616D'",
    )?;
    let mut after = step.prepare(
        "INSERT INTO credentials VALUES
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, NULL, NULL)",
    )?;
    let mut records = before.query([])?;
    while let Some(record) = records.next()? {
        let owner = record.get(0)?;
        let value = String::from_utf8_lossy(record.get_ref(1)?.as_bytes()?);
        let columns = columns(&value).unwrap_or_else(|| damaged(&value));
        after.execute(params_from_iter(std::iter::once(owner).chain(columns)))?;
    }
    drop(records);
    drop((before, after));
    step.execute_batch(END)
}

fn columns(record: &str) -> Option<Vec<Value>> {
    let mut record: Record = serde_json::from_str(record).ok()?;
    let mut columns = vec![Value::Text(match record.status {
        Status::Enabled => "enabled".to_owned(),
        Status::Disabled => "disabled".to_owned(),
    })];
    for (hash, length) in HASHES {
        match record.keys.iter().position(|keys| keys.hash == hash) {
            Some(at) => columns.extend(record.keys.remove(at).columns(length)?),
            None => columns.extend([const { Value::Null }; 4]),
        }
    }
    // A second set for one hash, or one for a hash that there was not.
    record.keys.is_empty().then_some(columns)
}

impl Keys {
    fn columns(&self, length: usize) -> Option<[Value; 4]> {
        let key = |text: &str| {
            let key = STANDARD.decode(text).ok()?;
            (key.len() == length).then_some(Value::Blob(key))
        };
        let salt = STANDARD.decode(&self.salt).ok()?;
        if salt.is_empty() || self.rounds == 0 {
            return None;
        }
        Some([
            Value::Integer(self.rounds.into()),
            Value::Blob(salt),
            key(&self.stored_key)?,
            key(&self.server_key)?,
        ])
    }
}

/// What could not be read stands where the status was: nobody is let in by it, and nothing of it is lost.
fn damaged(record: &str) -> Vec<Value> {
    let text = record.replace('\0', "\u{fffd}");
    let mut columns = vec![Value::Text(text)];
    columns.resize(1 + 4 * HASHES.len(), Value::Null);
    columns
}
