//! Components: how much waits for one.

/// All that one has not read, by what it takes in memory: a gateway that is busy for some seconds has time for it. Beyond it, stanzas for it are
/// refused.
pub const COMPONENT_QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// What of that is written ahead of its socket. What is not written can still be given to the connection that takes its place.
pub const COMPONENT_AHEAD_BYTES: usize = 64 * 1024;
