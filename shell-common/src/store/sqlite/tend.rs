//! What the writer does when it has answered: it brings the log into the database, and empties what purged owners have left.

use std::time::Duration;

use spondee_core::store::{Batch, Erased, Reply, StoreError};
use tracing::Level;

use super::{Fault, Health, Outcome, Role, Sqlite, Traces, meaning, refuse, sql};
use crate::limits::{
    SQLITE_BUSY_MS, SQLITE_CHECKPOINT_BYTES, SQLITE_RESTART_MS, SQLITE_UPKEEP_GROUPS,
    SQLITE_WAL_BYTES, SQLITE_WAL_HELD_BYTES,
};
use crate::log::{Cause, Subject, may_write};
use crate::store::{Quiet, Tended, schema};

/// Of the write-ahead log, in bytes.
#[derive(Clone, Copy, Debug)]
struct Log {
    /// Since it last began anew.
    written: i64,
    /// Of it, what is in the database.
    moved: i64,
}

impl Sqlite {
    pub(super) fn step(&mut self, quiet: Quiet) -> Result<Tended, Fault> {
        if self.health == Health::Damaged {
            return Ok(Tended::Done);
        }
        self.tend_log(quiet)?;
        self.groups = self.groups.wrapping_add(1);
        if quiet == Quiet::No && !self.groups.is_multiple_of(SQLITE_UPKEEP_GROUPS) {
            return Ok(Tended::Done);
        }
        let tended = self.tend_leftovers()?;
        if (quiet, tended, self.traces) == (Quiet::Yes, Tended::Done, Traces::InLog) {
            // If somebody reads from it now, then another time.
            self.truncate()?;
        }
        Ok(tended)
    }

    /// Brings what the log holds into the database, when there is much of it or nothing else to do. It begins anew with the next
    /// commit if nobody reads from it at that moment. If somebody always does, it is waited for.
    fn tend_log(&mut self, quiet: Quiet) -> Result<(), Fault> {
        let log = self.checkpoint("NOOP")?;
        let due = match quiet {
            Quiet::Yes => log.written > log.moved,
            Quiet::No => log.written - log.moved >= SQLITE_CHECKPOINT_BYTES,
        };
        if !due {
            return Ok(());
        }
        let log = self.checkpoint("PASSIVE")?;
        if log.written < i64::from(SQLITE_WAL_BYTES) {
            return Ok(());
        }
        let log = self.truncate()?;
        if log.written >= SQLITE_WAL_HELD_BYTES
            && may_write(Level::WARN, Cause::Server, Subject::Warning)
        {
            tracing::warn!(
                file = %self.path.display(),
                "the log of the database has {} MB and grows, because another program has been reading the database all the while: \
                 end it",
                log.written / 1_000_000
            );
        }
        Ok(())
    }

    /// One step of what purged owners have left; once there is nothing of it, the log, where it still stands as it was written. What is
    /// deleted from the database is written over with zeros (`secure_delete`).
    pub(super) fn erase(&mut self, batch: &Batch) -> Outcome {
        if self.role == Role::Reader {
            return refuse(batch, "a reader does not write");
        }
        if self.health == Health::Damaged {
            return Err(StoreError::Failed);
        }
        let step = self.tend_leftovers().and_then(|tended| match tended {
            Tended::More => Ok(Erased::Some),
            Tended::Done | Tended::Unknown => {
                self.truncate()?;
                Ok(match self.traces {
                    Traces::InLog => Erased::Held,
                    Traces::Nowhere => Erased::All,
                })
            }
        });
        match step {
            Ok(erased) => Ok(vec![Reply::Erased(erased)]),
            Err(Fault::Sqlite(error)) => {
                self.roll_back();
                // Where another program holds it, it may let go.
                if meaning(&error) == StoreError::Busy {
                    return Ok(vec![Reply::Erased(Erased::Held)]);
                }
                if may_write(Level::ERROR, Cause::Server, Subject::Warning) {
                    tracing::error!(file = %self.path.display(), "storage cannot erase what was deleted: {error}");
                }
                Err(meaning(&error))
            }
            Err(fault @ (Fault::Bug(_) | Fault::Conflict | Fault::TooMuch)) => {
                self.roll_back();
                refuse(batch, &fault.to_string())
            }
        }
    }

    /// Brings all of the log into the database and cuts it to nothing, if those who read from it are done with that soon.
    fn truncate(&mut self) -> Result<Log, Fault> {
        let patience = |ms| self.connection.busy_timeout(Duration::from_millis(ms));
        patience(SQLITE_RESTART_MS)?;
        let truncated = self.checkpoint("TRUNCATE");
        patience(SQLITE_BUSY_MS)?;
        let log = truncated?;
        self.traces = match log.written {
            0 => Traces::Nowhere,
            _ => Traces::InLog,
        };
        Ok(log)
    }

    /// The log as it is afterwards.
    fn checkpoint(&self, mode: &str) -> Result<Log, Fault> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        let mut checkpoint = self.connection.prepare_cached(&sql)?;
        let (written, moved): (i64, i64) =
            checkpoint.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?;
        // Without a log both are -1.
        let bytes = |pages: i64| pages.max(0).saturating_mul(schema::PAGE_BYTES);
        Ok(Log {
            written: bytes(written),
            moved: bytes(moved),
        })
    }

    fn tend_leftovers(&mut self) -> Result<Tended, Fault> {
        let left = self.connection.prepare_cached(sql::LEFT)?.exists([])?;
        if !left {
            return Ok(Tended::Done);
        }
        self.traces = Traces::InLog;
        self.execute("BEGIN IMMEDIATE")?;
        self.forget_some()?;
        self.execute("COMMIT")?;
        self.remembered.committed();
        Ok(Tended::More)
    }
}
