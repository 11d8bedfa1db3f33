//! SQLite: one file, WAL, synchronous=FULL.
//!
//! A group of batches is one transaction, each batch a savepoint in it. Values are kept as TEXT where they are text, so that
//! the database's own tools show them (`SELECT * FROM readable`).

use std::path::{Path, PathBuf};

use bytes::Bytes;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Params, Row, ToSql, params};
use spondee_core::jid::BareJid;
use spondee_core::store::{Batch, Expect, Op, Reply, StoreError, Table};
use tracing::Level;

use super::{Backend, History, schema};
use crate::log::{Cause, Subject, may_write};

/// One connection.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    path: PathBuf,
}

impl Sqlite {
    /// Opens the file, creating it 0600 if there never was one, or migrating it.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub fn open(path: &Path, history: History<'_>) -> Result<Self, String> {
        Ok(Self {
            connection: schema::open(path, history)?,
            path: path.to_owned(),
        })
    }

    #[cfg(test)]
    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl Backend for Sqlite {
    fn apply(&mut self, batches: &[Batch]) -> Vec<Result<Vec<Reply>, StoreError>> {
        self.transact(batches).unwrap_or_else(|error| {
            // Whoever signs in makes it be read, and may do so as often as they like.
            if may_write(Level::ERROR, Cause::Server, Subject::Warning) {
                tracing::error!(
                    file = %self.path.display(),
                    batches = batches.len(),
                    "storage failed, nothing of this was kept: {error}; {}",
                    advice(&error, &self.path)
                );
            }
            self.roll_back();
            batches.iter().map(|_| Err(StoreError::Failed)).collect()
        })
    }

    fn reader(&self) -> Option<Box<dyn Backend>> {
        match schema::open_reader(&self.path) {
            Ok(connection) => Some(Box::new(Self {
                connection,
                path: self.path.clone(),
            })),
            Err(error) => {
                tracing::warn!(
                    "no second connection to the database, reads wait for writes: {error}"
                );
                None
            }
        }
    }
}

type Outcome = Result<Vec<Reply>, StoreError>;

/// Why a batch stopped half-way.
enum Fault {
    /// An `Expect` did not hold.
    Conflict,
    /// What SQLite says.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Sqlite {
    fn transact(&self, batches: &[Batch]) -> rusqlite::Result<Vec<Outcome>> {
        // A panic in the last call may have left its transaction open.
        self.roll_back();
        if let [batch] = batches
            && let [Op::Get { .. }] = batch.ops[..]
        {
            // One statement is a transaction of its own, and half the work of one in a transaction.
            return Ok(vec![self.judge(batch)?]);
        }
        let reads = batches.iter().all(Batch::is_read_only);
        // Immediate: a deferred transaction that reads first cannot wait for another writer's lock later.
        self.execute(if reads { "BEGIN" } else { "BEGIN IMMEDIATE" }, [])?;
        let outcomes = batches
            .iter()
            .map(|batch| self.apply_batch(batch))
            .collect::<rusqlite::Result<_>>()?;
        self.execute("COMMIT", [])?;
        Ok(outcomes)
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK", [])
            && may_write(Level::ERROR, Cause::Server, Subject::Warning)
        {
            tracing::error!("cannot roll back: {error}");
        }
    }

    /// Inside a transaction. An `Err` spoils the whole transaction.
    fn apply_batch(&self, batch: &Batch) -> rusqlite::Result<Outcome> {
        if batch.is_read_only() {
            return self.judge(batch);
        }
        self.execute("SAVEPOINT batch", [])?;
        let outcome = self.judge(batch)?;
        if outcome.is_err() {
            self.execute("ROLLBACK TO batch", [])?;
        }
        self.execute("RELEASE batch", [])?;
        Ok(outcome)
    }

    /// Whose fault it is: the batch's alone or everybody's.
    fn judge(&self, batch: &Batch) -> rusqlite::Result<Outcome> {
        match self.run(batch) {
            Ok(replies) => Ok(Ok(replies)),
            Err(Fault::Conflict) => Ok(Err(StoreError::Conflict)),
            Err(Fault::Sqlite(error)) if spoils(&error) || self.connection.is_autocommit() => {
                Err(error)
            }
            Err(Fault::Sqlite(error)) => {
                if may_write(Level::ERROR, Cause::Server, Subject::Warning) {
                    tracing::error!(owner = %batch.owner, "storage refused a batch: {error}");
                }
                Ok(Err(StoreError::Failed))
            }
        }
    }

    fn run(&self, batch: &Batch) -> Result<Vec<Reply>, Fault> {
        let owner = &batch.owner;
        let mut replies = Vec::with_capacity(batch.ops.len());
        for op in &batch.ops {
            replies.push(match op {
                Op::Delete { map, key } => self.delete(owner, *map, key)?,
                Op::Get { map, key } => Reply::Value(self.get(owner, *map, key)?),
                Op::List { map, after, limit } => {
                    Reply::List(self.list(owner, *map, after, *limit)?)
                }
                Op::Owners { map, after, limit } => {
                    Reply::Owners(self.owners(owner, *map, after.as_ref(), *limit)?)
                }
                Op::Purge => self.purge(owner)?,
                Op::Put {
                    map,
                    key,
                    value,
                    expect,
                } => self.put(owner, *map, key, value, *expect)?,
            });
        }
        Ok(replies)
    }

    fn delete(&self, owner: &BareJid, map: Table, key: &Bytes) -> rusqlite::Result<Reply> {
        self.execute(
            "DELETE FROM entry
             WHERE owner = (SELECT id FROM owner WHERE jid = ?1) AND map = ?2 AND key = ?3",
            params![owner.as_str(), map.name(), &key[..]],
        )?;
        Ok(Reply::Done)
    }

    fn get(&self, owner: &BareJid, map: Table, key: &Bytes) -> rusqlite::Result<Option<Bytes>> {
        self.connection
            .prepare_cached(
                "SELECT value FROM entry
                 WHERE owner = (SELECT id FROM owner WHERE jid = ?1) AND map = ?2 AND key = ?3",
            )?
            .query_row(params![owner.as_str(), map.name(), &key[..]], |row| {
                bytes(row, 0)
            })
            .optional()
    }

    fn list(
        &self,
        owner: &BareJid,
        map: Table,
        after: &Bytes,
        limit: u32,
    ) -> rusqlite::Result<Vec<(Bytes, Bytes)>> {
        self.connection
            .prepare_cached(
                "SELECT key, value FROM entry
                 WHERE owner = (SELECT id FROM owner WHERE jid = ?1) AND map = ?2 AND key > ?3
                 ORDER BY key LIMIT ?4",
            )?
            .query_map(
                params![owner.as_str(), map.name(), &after[..], limit],
                |row| Ok((bytes(row, 0)?, bytes(row, 1)?)),
            )?
            .collect()
    }

    fn owners(
        &self,
        host: &BareJid,
        map: Table,
        after: Option<&BareJid>,
        limit: u32,
    ) -> rusqlite::Result<Vec<(BareJid, Bytes)>> {
        // No address is empty, so behind the empty text is the beginning. The host itself is not below the host.
        self.connection
            .prepare_cached(
                "SELECT owner.jid,
                     (SELECT value FROM entry
                      WHERE entry.owner = owner.id AND map = ?2 ORDER BY key LIMIT 1)
                 FROM owner
                 WHERE domain = ?1 AND jid > ?3 AND jid <> ?1
                     AND EXISTS (SELECT 1 FROM entry WHERE entry.owner = owner.id AND map = ?2)
                 ORDER BY jid LIMIT ?4",
            )?
            .query_map(
                params![
                    host.domain(),
                    map.name(),
                    after.map_or("", BareJid::as_str),
                    limit
                ],
                |row| Ok((address(row, 0)?, bytes(row, 1)?)),
            )?
            .collect()
    }

    fn purge(&self, owner: &BareJid) -> rusqlite::Result<Reply> {
        // What it keeps goes with it: ON DELETE CASCADE.
        self.execute("DELETE FROM owner WHERE jid = ?1", params![owner.as_str()])?;
        Ok(Reply::Done)
    }

    fn put(
        &self,
        owner: &BareJid,
        map: Table,
        key: &Bytes,
        value: &Bytes,
        expect: Expect,
    ) -> Result<Reply, Fault> {
        if expect != Expect::Present {
            self.execute(
                "INSERT INTO owner (jid, domain) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![owner.as_str(), owner.domain()],
            )?;
        }
        let sql = match expect {
            Expect::Absent => {
                "INSERT INTO entry (owner, map, key, value)
                 SELECT id, ?2, ?3, ?4 FROM owner WHERE jid = ?1
                 ON CONFLICT DO NOTHING"
            }
            Expect::Anything => {
                "INSERT INTO entry (owner, map, key, value)
                 SELECT id, ?2, ?3, ?4 FROM owner WHERE jid = ?1
                 ON CONFLICT (owner, map, key) DO UPDATE SET value = excluded.value"
            }
            Expect::Present => {
                "UPDATE entry SET value = ?4
                 WHERE owner = (SELECT id FROM owner WHERE jid = ?1) AND map = ?2 AND key = ?3"
            }
        };
        let changed = self.execute(
            sql,
            params![owner.as_str(), map.name(), &key[..], Value(value)],
        )?;
        if changed == 0 {
            return Err(Fault::Conflict);
        }
        Ok(Reply::Done)
    }

    fn execute(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(params)
    }
}

/// Errors after which SQLite asks for a ROLLBACK of everything (https://www.sqlite.org/lang_transaction.html, "Response To
/// Errors Within A Transaction"), or after which nothing else can be hoped for.
fn spoils(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::NotADatabase
                | ErrorCode::OperationInterrupted
                | ErrorCode::OutOfMemory
                | ErrorCode::SystemIoFailure
        )
    )
}

/// What the administrator should do first.
fn advice(error: &rusqlite::Error, path: &Path) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full: make room on it, then try again".to_owned(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program uses the file: end it, then try again".to_owned()
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "the file is damaged: restore it from a backup".to_owned()
        }
        _ => match schema::refusal(path) {
            Some(reason) => format!("{reason}; mend that, then try again"),
            None => "look at the disk (its health, free space, quotas and limits), then try again"
                .to_owned(),
        },
    }
}

/// A value as TEXT where it is text. SQLite's own functions end a text at NUL, so a value with one stays a BLOB.
struct Value<'a>(&'a [u8]);

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = !self.0.contains(&0) && std::str::from_utf8(self.0).is_ok();
        Ok(ToSqlOutput::Borrowed(if text {
            ValueRef::Text(self.0)
        } else {
            ValueRef::Blob(self.0)
        }))
    }
}

fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_bytes()?))
}

fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<BareJid> {
    let text = row.get_ref(column)?.as_str()?;
    BareJid::parse(text).map_err(|_| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            format!("{text:?} is not an address").into(),
        )
    })
}
