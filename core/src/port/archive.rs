//! What an administrator can ask of archives.

/// What is to be done with the archive of an account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ArchiveTask {
    /// Tells how much there is. `CommandReply::Archive`.
    Measure,
    /// One step of removing what is older than a moment, in microseconds since 1970-01-01T00:00:00Z. What waits to be delivered stays
    /// until it is. `CommandReply::Trimmed`.
    Trim(i64),
}

/// How much an account has archived. Times are in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ArchiveSize {
    /// Messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first of them came.
    pub oldest: Option<i64>,
    /// When the last of them came.
    pub newest: Option<i64>,
    /// Messages that wait until somebody is there, archived or not.
    pub waiting: u32,
}
