//! Storage behind one trait, driven by threads of its own.
//!
//! `Sqlite` is the back end of a server, `Postgresql` another, the store in memory of the core's tests (`spondee_core::testing`) a third; all
//! pass one test suite. `Store` puts one of them behind a bounded queue and answers into mailboxes. Nothing here knows what the values mean.

mod lanes;
#[cfg(test)]
mod memory;
mod page;
#[cfg(any(test, feature = "postgresql"))]
mod postgresql;
mod refuse;
mod schema;
mod sqlite;
mod statements;
#[cfg(test)]
mod tests;
mod unseen;
mod views;
mod whole;
mod worker;

use std::path::Path;
use std::sync::Arc;

use spondee_core::catalog::CATALOG;
use spondee_core::port::Ticket;
use spondee_core::store::{Batch, Reply, StoreError};

use crate::log::UntilWritten;
use crate::mailbox::Mailbox;

#[cfg(test)]
pub(crate) use memory::Memory;
pub use page::Begun;
#[cfg(any(test, feature = "postgresql"))]
pub use postgresql::Postgresql;
pub use sqlite::Sqlite;

/// The name of the database file in a data directory.
pub const FILE_NAME: &str = "spondee.sqlite";

/// A back end. Blocking; called on storage threads only.
pub trait Backend: Send {
    /// Applies the batches in order in one transaction and returns when it is on disk: one outcome for each batch. A batch that is
    /// refused takes no effect and leaves the others alone; if the commit fails, all fail.
    fn apply(&mut self, batches: &[Batch]) -> Vec<Result<Vec<Reply>, StoreError>>;

    /// One step of a batch that is one page of a log, or one measure, and nothing else. `None`: it is not ready, and is to be asked for again with the
    /// same `begun` when others have had their turn. Between steps nothing is held.
    fn page(&mut self, batch: &Batch, begun: &mut Begun) -> Option<Result<Vec<Reply>, StoreError>> {
        let _ = begun;
        let whole = self.apply(std::slice::from_ref(batch)).pop();
        Some(whole.unwrap_or(Err(StoreError::Failed)))
    }

    /// A second handle that serves read-only batches beside this one, if the back end can.
    fn reader(&self) -> Option<Box<dyn Backend>>;

    /// One step of what must be done some time: called by the writer when it has answered.
    fn tend(&mut self, quiet: Quiet) -> Tended {
        let _ = quiet;
        Tended::Done
    }
}

/// Whether anybody waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Quiet {
    /// More may come at any moment.
    No,
    /// Nothing has come for a while.
    Yes,
}

/// Whether something is left to tend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tended {
    /// Nothing.
    Done,
    /// Another step.
    More,
    /// Nobody can know what is on the disk: see `StoreError::Unknown`.
    Unknown,
}

/// What a commit contained, for the counters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StoreCounters {
    /// Transactions that changed something.
    pub commits: u64,
    /// Batches in them that changed something.
    pub batches: u64,
    /// Read-only batches.
    pub reads: u64,
    /// Those of them that loaded an owner.
    pub loads: u64,
}

/// The handle of a running store. Cloning shares it; the last one dropped stops it.
#[derive(Clone, Debug)]
pub struct Store {
    threads: Arc<worker::Threads>,
}

impl Store {
    /// Starts the threads of `backend`, with room for the credit of so many shards (`StoreCredit`): one writer with adaptive group
    /// commit, readers beside it that never overtake an owner's pending batch. When the outcome of a commit cannot be known, the
    /// process ends: see `StoreError::Unknown`.
    ///
    /// # Panics
    /// If the operating system refuses a thread: nothing runs yet that could go on without.
    #[must_use]
    pub fn start(backend: Box<dyn Backend>, shards: u16) -> Self {
        Self::start_with(backend, shards, end_process)
    }

    /// As `start`; `give_up` is called in place of the end of the process.
    fn start_with(backend: Box<dyn Backend>, shards: u16, give_up: fn()) -> Self {
        Self {
            threads: Arc::new(worker::Threads::start(backend, shards, give_up)),
        }
    }

    /// Queues a batch; the answer goes to `mailbox` under `ticket`.
    ///
    /// # Errors
    /// `Busy` if the queue is full or the store has stopped; nothing was queued.
    pub fn submit(
        &self,
        mailbox: &Arc<dyn Mailbox>,
        ticket: Ticket,
        batch: Batch,
    ) -> Result<(), StoreError> {
        self.threads.submit(mailbox, ticket, batch)
    }

    /// So far.
    #[must_use]
    pub fn counters(&self) -> StoreCounters {
        self.threads.counters()
    }

    /// Applies what is queued, then ends the threads. Later `submit`s are refused.
    pub fn stop(&self) {
        self.threads.stop();
    }
}

fn end_process() {
    tracing::error!(
        "the disk did not say whether it kept what was written, so nobody can know what is there: the server ends; start it \
         again once the disk is well, and it goes on with what was kept"
    );
    drop(UntilWritten);
    std::process::exit(EXIT_UNKNOWN);
}

/// The exit status when the disk failed in that way: that of other troubles that are not the administrator's.
const EXIT_UNKNOWN: i32 = 3;

/// What is known of the past of a data directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum History<'a> {
    /// There may have been none.
    Unknown,
    /// This file, made after the database, shows that there must be one.
    Used(&'a Path),
}

/// Opens the SQLite store in a data directory (see `boot::DataDirectory`), creating it 0600 if there never was one.
///
/// # Errors
/// A sentence for the administrator.
pub fn open_sqlite(directory: &Path, history: History<'_>) -> Result<Sqlite, String> {
    Sqlite::open(&directory.join(FILE_NAME), &CATALOG, history)
}

/// Opens the SQLite store in a data directory that somebody else has open, for reading alone.
///
/// # Errors
/// A sentence for the administrator.
pub fn open_sqlite_reader(directory: &Path) -> Result<Sqlite, String> {
    Sqlite::open_reader(&directory.join(FILE_NAME), &CATALOG)
}

/// Whether the database in a data directory is there, if it must be, and not cut off. Changes nothing.
///
/// # Errors
/// A sentence for the administrator.
pub fn examine(directory: &Path, history: History<'_>) -> Result<(), String> {
    whole::examine(&directory.join(FILE_NAME), history)
}
