//! Why there is no answer, and what that means to who asked.

use spondee_core::store::{Batch, Reply, StoreError};
use tokio_postgres::error::SqlState;
use tracing::Level;

use super::connect::{Failure, in_words};
use super::mark::is_fenced;
use crate::log::{Cause, Subject, may_write};
use crate::store::refuse::Outcome;

pub(super) type Answer = Result<Reply, Fault>;

/// Why an answer is none.
#[derive(Debug)]
pub(super) enum Fault {
    /// A fault of this program.
    Bug(&'static str),
    /// Something that only a person or another program can have written there.
    Foreign(&'static str),
    /// More than an owner can have.
    TooMuch,
    /// A value that is not of its kind.
    Value(String),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Value(in_words(&error))
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bug(what) => write!(f, "an error of this program, please report it: {what}"),
            Self::Foreign(what) => write!(f, "another program has written there: {what}"),
            Self::TooMuch => f.write_str(
                "there is more of it than an owner can have, so some of it was put there by another program: remove what \
                 should not be there",
            ),
            Self::Value(why) => f.write_str(why),
        }
    }
}

/// Whether the server may have been told to commit.
#[derive(Debug)]
pub(super) enum Commit {
    /// With what was decided before: batches that were refused took no effect in any case.
    Sent(Vec<Outcome>),
    Unsent,
}

/// Why a group came to nothing, or nobody knows to what.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) why: Why,
    pub(super) commit: Commit,
}

#[derive(Debug)]
pub(super) enum Why {
    Failure(Failure),
    Fault(Fault),
}

impl Stop {
    /// No statement was sent.
    pub(super) const fn away(why: String) -> Self {
        Self::failed(Failure::Lost(why))
    }

    /// Before the end of a transaction.
    pub(super) const fn failed(failure: Failure) -> Self {
        Self {
            why: Why::Failure(failure),
            commit: Commit::Unsent,
        }
    }

    /// The same, of this program.
    pub(super) const fn fault(fault: Fault) -> Self {
        Self {
            why: Why::Fault(fault),
            commit: Commit::Unsent,
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        matches!(self.why, Why::Failure(Failure::Lost(_)))
    }

    /// What it means to who asked.
    pub(super) fn meaning(&self) -> StoreError {
        match (&self.why, &self.commit) {
            (Why::Failure(Failure::Lost(_)), Commit::Sent(_)) => StoreError::Unknown,
            (Why::Failure(Failure::Lost(_)), Commit::Unsent) => StoreError::Busy,
            (Why::Failure(Failure::Refused(error)), _) => meaning(error),
            (Why::Fault(_), _) => StoreError::Failed,
        }
    }

    /// Whether one batch alone may be the cause.
    pub(super) fn spoils_one(&self) -> bool {
        match &self.why {
            Why::Failure(Failure::Refused(error)) => meaning(error) == StoreError::Failed,
            Why::Failure(Failure::Lost(_)) => false,
            Why::Fault(_) => true,
        }
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.why {
            Why::Failure(failure) => failure.fmt(f),
            Why::Fault(fault) => fault.fmt(f),
        }
    }
}

/// What an error of the server means to who asked.
fn meaning(error: &tokio_postgres::Error) -> StoreError {
    let Some(code) = error.code() else {
        return StoreError::Failed;
    };
    if is_fenced(code) {
        return StoreError::Fenced;
    }
    if *code == SqlState::DISK_FULL {
        return StoreError::Full;
    }
    // Locks, deadlocks, deadlines, and what a server lacks for a while: connections, memory, itself.
    let passes = [
        &SqlState::T_R_SERIALIZATION_FAILURE,
        &SqlState::T_R_DEADLOCK_DETECTED,
        &SqlState::LOCK_NOT_AVAILABLE,
        &SqlState::QUERY_CANCELED,
    ];
    match passes.contains(&code)
        || ["53", "57", "08"]
            .iter()
            .any(|class| code.code().starts_with(class))
    {
        true => StoreError::Busy,
        false => StoreError::Failed,
    }
}

/// What is said, and what it means to who asked.
pub(super) fn cannot_read(batch: &Batch, fault: Fault) -> StoreError {
    if may_write(Level::ERROR, Cause::Server, Subject::Warning) {
        tracing::error!(owner = %batch.owner, "storage cannot read: {fault}");
    }
    drop(fault);
    StoreError::Failed
}
