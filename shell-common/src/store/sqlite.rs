//! SQLite: one file, WAL, synchronous=FULL.
//!
//! A group of batches is one transaction. What a batch insists on is read before its first write, so a batch that is refused has
//! changed nothing, and no savepoints are needed. Any other error rolls the group back, and its batches are run one by one.

mod fields;
mod logs;
mod measure;
mod owners;
mod sql;
mod tables;
mod tend;
#[cfg(test)]
mod tests;
mod trims;
mod unseen;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, ffi};
use spondee_core::jid::BareJid;
use spondee_core::store::{Batch, Catalog, Erased, Expect, Op, Reply, StoreError};
use tracing::Level;

use self::owners::Remembered;
use self::sql::Sql;
pub(super) use self::sql::is_in;
use self::tables::key_of;
use super::refuse::{Outcome, each_until_unknown, refuse};
use super::unseen::StandIns;
use super::{Backend, Begun, History, Quiet, Tended, schema};
use crate::limits::{SQLITE_MEASURE_ENTRIES, SQLITE_PAGE_STEPS};
use crate::log::{Cause, Subject, may_write};

/// One connection.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    path: PathBuf,
    sql: Arc<Sql>,
    role: Role,
    health: Health,
    /// Of the writer: a reader could not know what others have done since.
    remembered: Remembered,
    stand_ins: StandIns,
    /// How often it was tended.
    groups: u32,
    traces: Traces,
    /// How far a page goes in one step.
    page_steps: i32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Reader,
    Writer,
}

/// Whether the file may be written to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Health {
    /// What is there is no database any more: the more is written, the less can be saved. What can be read is read.
    Damaged,
    Sound,
}

/// Where what purged owners had can still be read, when nothing of it is in the database any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Traces {
    /// In the write-ahead log, as it was written there.
    InLog,
    Nowhere,
}

impl Sqlite {
    /// Opens the file, creating it 0600 if there never was one, or migrating it. It keeps what `catalog` names.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub fn open(path: &Path, catalog: &Catalog, history: History<'_>) -> Result<Self, String> {
        Ok(Self {
            connection: schema::open(path, catalog, history)?,
            path: path.to_owned(),
            sql: Arc::new(Sql::new(catalog)),
            role: Role::Writer,
            health: Health::Sound,
            remembered: Remembered::default(),
            stand_ins: StandIns::default(),
            groups: 0,
            // Opening it has brought the log into the database and begun it anew.
            traces: Traces::Nowhere,
            page_steps: SQLITE_PAGE_STEPS,
        })
    }

    /// Opens a file that somebody else has open, for reading alone.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub fn open_reader(path: &Path, catalog: &Catalog) -> Result<Self, String> {
        Ok(Self {
            connection: schema::open_beside(path)?,
            path: path.to_owned(),
            sql: Arc::new(Sql::new(catalog)),
            role: Role::Reader,
            health: Health::Sound,
            remembered: Remembered::default(),
            stand_ins: StandIns::default(),
            groups: 0,
            traces: Traces::Nowhere,
            page_steps: SQLITE_PAGE_STEPS,
        })
    }

    /// Lets a page go so far in one step.
    #[cfg(test)]
    pub(super) const fn set_page_steps(&mut self, steps: i32) {
        self.page_steps = steps;
    }

    #[cfg(test)]
    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What all statements did so far.
    #[cfg(test)]
    pub(super) fn all_statements(&self, what: rusqlite::StatementStatus) -> i32 {
        let of = |sql: &&str| {
            let statement = self.connection.prepare_cached(sql);
            statement.map_or(0, |statement| statement.get_status(what))
        };
        self.sql.all().iter().map(of).sum()
    }
}

impl Backend for Sqlite {
    fn apply(&mut self, batches: &[Batch]) -> Vec<Outcome> {
        self.transact(batches).unwrap_or_else(|error| {
            // Whoever signs in makes it be read, and may do so as often as they like.
            if may_write(Level::ERROR, Cause::Server, Subject::Warning) {
                tracing::error!(
                    file = %self.path.display(),
                    batches = batches.len(),
                    "storage failed, {}: {error}; {}",
                    match meaning(&error) {
                        StoreError::Unknown => "and nobody can know what of this was kept",
                        StoreError::Busy
                        | StoreError::Conflict
                        | StoreError::Failed
                        | StoreError::Fenced
                        | StoreError::Full => "nothing of this was kept",
                    },
                    advice(&error, &self.path)
                );
            }
            self.roll_back();
            if is_damage(&error) && !batches.iter().all(Batch::is_read_only) {
                self.stop_writing();
            }
            batches.iter().map(|_| Err(meaning(&error))).collect()
        })
    }

    fn page(&mut self, batch: &Batch, begun: &mut Begun) -> Option<Outcome> {
        let [op @ (Op::Measure { .. } | Op::Page { .. })] = &batch.ops[..] else {
            return self.apply(std::slice::from_ref(batch)).pop();
        };
        if let Err(flaw) = batch.check() {
            return Some(refuse(batch, &format!("{flaw:?}")));
        }
        self.roll_back();
        let mut step = || {
            self.execute("BEGIN")?;
            let owner = self.find_owner(&batch.owner)?;
            let reply = self.read_step(owner, op, begun)?;
            self.execute("COMMIT")?;
            Ok(reply.map(|reply| Ok(vec![reply])))
        };
        let stepped = step().unwrap_or_else(|fault| Some(Err(cannot_read(batch, fault))));
        if !self.connection.is_autocommit() {
            self.roll_back();
        }
        stepped
    }

    fn reader(&self) -> Option<Box<dyn Backend>> {
        match schema::open_reader(&self.path) {
            Ok(connection) => Some(Box::new(Self {
                connection,
                path: self.path.clone(),
                sql: self.sql.clone(),
                role: Role::Reader,
                health: Health::Sound,
                remembered: Remembered::default(),
                stand_ins: StandIns::default(),
                groups: 0,
                traces: Traces::Nowhere,
                page_steps: self.page_steps,
            })),
            Err(error) => {
                tracing::warn!(
                    "no second connection to the database, reads wait for writes: {error}"
                );
                None
            }
        }
    }

    fn tend(&mut self, quiet: Quiet) -> Tended {
        self.step(quiet).unwrap_or_else(|fault| {
            self.roll_back();
            // What failed here was asked by nobody, and is tried again after each group.
            if may_write(Level::ERROR, Cause::Server, Subject::Warning) {
                tracing::error!(file = %self.path.display(), "upkeep of the database failed: {fault}");
            }
            match fault {
                Fault::Sqlite(error) if meaning(&error) == StoreError::Unknown => Tended::Unknown,
                Fault::Bug(_) | Fault::Conflict | Fault::Sqlite(_) | Fault::TooMuch => Tended::Done,
            }
        })
    }
}

/// Behind and before which keys.
fn between(after: Option<i64>, before: Option<i64>, upto: i64) -> (i64, i64) {
    let upto = upto.saturating_add(1);
    let before = before.map_or(upto, |before| before.min(upto));
    (after.unwrap_or(i64::MIN), before)
}

type Answer = Result<Reply, Fault>;

/// Why a batch stopped half-way.
#[derive(Debug)]
enum Fault {
    /// A fault of this program.
    Bug(&'static str),
    /// An `Expect` did not hold. Nothing was written.
    Conflict,
    /// What SQLite says.
    Sqlite(rusqlite::Error),
    /// More than an owner can have.
    TooMuch,
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bug(what) => write!(f, "an error of this program, please report it: {what}"),
            Self::Conflict => f.write_str("what was expected is not so"),
            Self::Sqlite(error) => error.fmt(f),
            Self::TooMuch => f.write_str(
                "there is more of it than an owner can have, so some of it was put there by another program: remove what \
                 should not be there",
            ),
        }
    }
}

impl Sqlite {
    fn transact(&mut self, batches: &[Batch]) -> rusqlite::Result<Vec<Outcome>> {
        // A panic in the last call may have left its transaction open.
        self.roll_back();
        if let [batch] = batches
            && let [Op::Get { .. }] = batch.ops[..]
        {
            // One statement is a transaction of its own, and half the work of one in a transaction.
            return Ok(vec![self.look(batch)]);
        }
        if let [batch] = batches
            && let [Op::Erase] = batch.ops[..]
        {
            return Ok(vec![self.erase(batch)]);
        }
        let reads = batches.iter().all(Batch::is_read_only);
        if !reads && self.health == Health::Damaged {
            return Ok(self.only_read(batches));
        }
        // Immediate: a deferred transaction that reads first cannot wait for another writer's lock later.
        self.execute(if reads { "BEGIN" } else { "BEGIN IMMEDIATE" })?;
        let mut outcomes = Vec::with_capacity(batches.len());
        for batch in batches {
            if batch.is_read_only() {
                outcomes.push(self.look(batch));
                continue;
            }
            match self.change(batch) {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) if spoils(&error) => return Err(error),
                Err(error) => {
                    self.roll_back();
                    return Ok(self.one_by_one(batches, &error));
                }
            }
        }
        self.execute("COMMIT")?;
        self.remembered.committed();
        Ok(outcomes)
    }

    /// Finds the batch that spoils its group: the others take effect.
    fn one_by_one(&mut self, batches: &[Batch], error: &rusqlite::Error) -> Vec<Outcome> {
        if let [batch] = batches {
            if may_write(Level::ERROR, Cause::Server, Subject::Warning) {
                tracing::error!(owner = %batch.owner, "storage refused a batch: {error}");
            }
            return vec![Err(StoreError::Failed)];
        }
        each_until_unknown(batches, |batch| {
            let outcome = self.apply(std::slice::from_ref(batch)).pop();
            outcome.unwrap_or(Err(StoreError::Failed))
        })
    }

    /// What can be read of a damaged file.
    fn only_read(&self, batches: &[Batch]) -> Vec<Outcome> {
        if may_write(Level::ERROR, Cause::Server, Subject::Warning) {
            let file = self.path.display();
            tracing::error!(
                "{file} is damaged, so nothing is written to it any more: end the server, and restore the file from a backup or \
                 try `sqlite3 {file} .recover`"
            );
        }
        let outcome = |batch: &Batch| match batch.is_read_only() {
            true => self.look(batch),
            false => Err(StoreError::Failed),
        };
        batches.iter().map(outcome).collect()
    }

    fn stop_writing(&mut self) {
        self.health = Health::Damaged;
        // Nor is the log written back when the file is closed: it may hold what is to be saved.
        let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        if let Err(error) = self.connection.set_db_config(keep_log, true) {
            tracing::error!("cannot keep the log of a damaged database: {error}");
        }
    }

    fn roll_back(&mut self) {
        self.remembered.rolled_back();
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
            && may_write(Level::ERROR, Cause::Server, Subject::Warning)
        {
            tracing::error!("cannot roll back: {error}");
        }
    }

    /// A batch that reads.
    fn look(&self, batch: &Batch) -> Outcome {
        if let Err(flaw) = batch.check() {
            return refuse(batch, &format!("{flaw:?}"));
        }
        let read = |op| self.read(&batch.owner, op);
        let replies: Result<_, Fault> = batch.ops.iter().map(read).collect();
        replies.map_err(|fault| cannot_read(batch, fault))
    }

    fn read(&self, owner: &BareJid, op: &Op) -> Answer {
        match op {
            Op::Get { table, key } => return self.get(owner, table, key),
            Op::Owners {
                table,
                after,
                limit,
            } => return self.owners(owner, table, after.as_ref(), *limit),
            Op::CountIn { subset, limit } => return self.count_in(owner, subset, *limit),
            Op::Append { .. }
            | Op::Blank { .. }
            | Op::Count { .. }
            | Op::Delete { .. }
            | Op::DeletePrefix { .. }
            | Op::Erase
            | Op::List { .. }
            | Op::Load
            | Op::Measure { .. }
            | Op::Page { .. }
            | Op::Purge
            | Op::Put { .. }
            | Op::Sweep { .. }
            | Op::Trim { .. } => {}
        }
        let id = self.find_owner(owner)?;
        match op {
            Op::Count {
                log,
                kept,
                peer,
                after,
                before,
                upto,
            } => {
                let between = between(*after, *before, *upto);
                self.count(id, *log, *kept, peer.as_ref(), between)
            }
            Op::List {
                table,
                prefix,
                after,
                limit,
            } => self.list(id, table, prefix, after.as_ref(), *limit),
            Op::Load => self.load(id),
            Op::Measure { .. } => self.whole_measure(id, op),
            Op::Page { log, pick } => self.whole_page(id, *log, pick),
            Op::CountIn { .. } | Op::Get { .. } | Op::Owners { .. } => {
                Err(Fault::Bug("read already"))
            }
            Op::Append { .. }
            | Op::Blank { .. }
            | Op::Delete { .. }
            | Op::DeletePrefix { .. }
            | Op::Erase
            | Op::Purge
            | Op::Put { .. }
            | Op::Sweep { .. }
            | Op::Trim { .. } => Err(Fault::Bug("a write among reads")),
        }
    }

    /// One step of what takes several.
    fn read_step(
        &self,
        owner: Option<i64>,
        op: &Op,
        begun: &mut Begun,
    ) -> Result<Option<Reply>, Fault> {
        if let Op::Measure { .. } = op {
            self.measure_step(owner, op, begun, SQLITE_MEASURE_ENTRIES)
        } else if let Op::Page { log, pick } = op {
            self.page_step(owner, *log, pick, begun, self.page_steps)
        } else {
            Err(Fault::Bug("a step of what has none"))
        }
    }

    /// A batch that writes, inside a transaction. An `Err` spoils the whole transaction; an `Ok(Err(_))` has changed nothing.
    fn change(&mut self, batch: &Batch) -> rusqlite::Result<Outcome> {
        if self.role == Role::Reader {
            return Ok(refuse(batch, "a reader does not write"));
        }
        if let Err(flaw) = batch.check() {
            return Ok(refuse(batch, &format!("{flaw:?}")));
        }
        let written = self.expect(batch).and_then(|()| {
            batch
                .ops
                .iter()
                .map(|op| self.write(&batch.owner, op))
                .collect()
        });
        match written {
            Ok(replies) => Ok(Ok(replies)),
            Err(Fault::Conflict) => Ok(Err(StoreError::Conflict)),
            Err(Fault::Sqlite(error)) => Err(error),
            Err(fault @ (Fault::Bug(_) | Fault::TooMuch)) => {
                tracing::error!("{fault}");
                Err(rusqlite::Error::InvalidQuery)
            }
        }
    }

    /// Whether everything is as the batch insists on.
    fn expect(&mut self, batch: &Batch) -> Result<(), Fault> {
        for op in &batch.ops {
            let Op::Put { table, row, expect } = op else {
                continue;
            };
            let wanted = match expect {
                Expect::Anything => continue,
                Expect::Absent => false,
                Expect::Present => true,
            };
            let found = match self.owner_id(&batch.owner)? {
                Some(owner) => self.exists(owner, table, &key_of(table, row))?,
                None => false,
            };
            if found != wanted {
                return Err(Fault::Conflict);
            }
        }
        Ok(())
    }

    fn write(&mut self, owner: &BareJid, op: &Op) -> Answer {
        let id = match op {
            Op::Purge => return self.purge(owner),
            Op::Sweep {
                log,
                before,
                kept,
                from,
                limit,
            } => return self.sweep(owner.domain(), *log, *before, *kept, from.as_ref(), *limit),
            // In a group with others it is one step of upkeep, and never the last.
            Op::Erase => {
                self.forget_some()?;
                return Ok(Reply::Erased(Erased::Some));
            }
            Op::Append { .. } | Op::Put { .. } => Some(self.make_owner(owner)?),
            Op::Blank { .. }
            | Op::Count { .. }
            | Op::CountIn { .. }
            | Op::Delete { .. }
            | Op::DeletePrefix { .. }
            | Op::Get { .. }
            | Op::List { .. }
            | Op::Load
            | Op::Measure { .. }
            | Op::Owners { .. }
            | Op::Page { .. }
            | Op::Trim { .. } => self.owner_id(owner)?,
        };
        let (rows, more) = (0, false);
        match (op, id) {
            (Op::Append { log, entries }, Some(id)) => self.append(id, *log, entries),
            (Op::Blank { log, key }, Some(id)) => self.blank(id, *log, *key),
            (Op::Delete { table, key }, Some(id)) => self.delete(id, table, key),
            (Op::DeletePrefix { table, prefix }, Some(id)) => self.delete_prefix(id, table, prefix),
            (Op::Put { table, row, .. }, Some(id)) => self.put(id, table, row),
            (
                Op::Trim {
                    log,
                    before,
                    kept,
                    limit,
                },
                Some(id),
            ) => {
                let (entries, more) = self.trim(id, *log, *before, *kept, *limit)?;
                Ok(Reply::Trimmed { entries, more })
            }
            (Op::Blank { .. } | Op::Delete { .. }, None) => Ok(Reply::Done),
            (Op::DeletePrefix { .. }, None) => Ok(Reply::Deleted { rows, more }),
            (Op::Trim { .. }, None) => Ok(Reply::Trimmed {
                entries: rows,
                more,
            }),
            (Op::Append { .. } | Op::Erase | Op::Put { .. } | Op::Purge | Op::Sweep { .. }, _) => {
                Err(Fault::Bug("an owner without a number"))
            }
            (
                Op::Count { .. }
                | Op::CountIn { .. }
                | Op::Get { .. }
                | Op::List { .. }
                | Op::Load
                | Op::Measure { .. }
                | Op::Owners { .. }
                | Op::Page { .. },
                _,
            ) => Err(Fault::Bug("a read among writes")),
        }
    }

    fn find_owner(&self, owner: &BareJid) -> rusqlite::Result<Option<i64>> {
        let mut find = self.connection.prepare_cached(sql::OWNER)?;
        find.query_row([owner.as_str()], |row| row.get(0))
            .optional()
    }

    /// The writer's number for an owner.
    fn owner_id(&mut self, owner: &BareJid) -> rusqlite::Result<Option<i64>> {
        if let Some(id) = self.remembered.owner(owner) {
            return Ok(Some(id));
        }
        let found = self.find_owner(owner)?;
        if let Some(id) = found {
            self.remembered.learn_owner(owner, id);
        }
        Ok(found)
    }

    fn make_owner(&mut self, owner: &BareJid) -> rusqlite::Result<i64> {
        if let Some(id) = self.owner_id(owner)? {
            return Ok(id);
        }
        let mut make = self.connection.prepare_cached(sql::NEW_OWNER)?;
        let id = make.insert([owner.as_str(), owner.domain()])?;
        self.remembered.learn_owner(owner, id);
        Ok(id)
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute([])
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// What is said, and what it means to who asked.
fn cannot_read(batch: &Batch, fault: Fault) -> StoreError {
    if may_write(Level::ERROR, Cause::Server, Subject::Warning) {
        tracing::error!(owner = %batch.owner, "storage cannot read: {fault}");
    }
    match fault {
        Fault::Sqlite(error) => meaning(&error),
        Fault::Bug(_) | Fault::Conflict | Fault::TooMuch => StoreError::Failed,
    }
}

/// What an error means to who asked.
fn meaning(error: &rusqlite::Error) -> StoreError {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        // The system may have dropped what it could not write, or write it yet: a sync that is tried again proves nothing.
        Some(ErrorCode::SystemIoFailure)
            if matches!(
                extended,
                Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
            ) =>
        {
            StoreError::Unknown
        }
        _ => StoreError::Failed,
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
