//! What is asked and told of archives.

use serde::{Deserialize, Serialize};
use spondee_core::port::{ArchiveSize, ArchiveTask, CommandReply};
use spondee_core::store::Erased;

/// What is to be done. Times are in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(in super::super) enum Task {
    Measure,
    Trim { before: i64 },
}

impl From<Task> for ArchiveTask {
    fn from(task: Task) -> Self {
        match task {
            Task::Measure => Self::Measure,
            Task::Trim { before } => Self::Trim(before),
        }
    }
}

impl From<ArchiveTask> for Task {
    fn from(task: ArchiveTask) -> Self {
        match task {
            ArchiveTask::Measure => Self::Measure,
            ArchiveTask::Trim(before) => Self::Trim { before },
        }
    }
}

/// `ArchiveSize`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in super::super) struct Size {
    messages: u64,
    bytes: u64,
    oldest: Option<i64>,
    newest: Option<i64>,
    waiting: u32,
}

impl From<ArchiveSize> for Size {
    fn from(size: ArchiveSize) -> Self {
        let ArchiveSize {
            messages,
            bytes,
            oldest,
            newest,
            waiting,
        } = size;
        Self {
            messages,
            bytes,
            oldest,
            newest,
            waiting,
        }
    }
}

impl From<Size> for CommandReply {
    fn from(size: Size) -> Self {
        let Size {
            messages,
            bytes,
            oldest,
            newest,
            waiting,
        } = size;
        Self::Archive(ArchiveSize {
            messages,
            bytes,
            oldest,
            newest,
            waiting,
        })
    }
}

/// What is left.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum Left {
    /// What another program holds.
    Held,
    Nothing,
    Some,
}

impl From<Erased> for Left {
    fn from(erased: Erased) -> Self {
        match erased {
            Erased::All => Self::Nothing,
            Erased::Held => Self::Held,
            Erased::Some => Self::Some,
        }
    }
}

impl From<Left> for CommandReply {
    fn from(left: Left) -> Self {
        Self::Erased(match left {
            Left::Held => Erased::Held,
            Left::Nothing => Erased::All,
            Left::Some => Erased::Some,
        })
    }
}
