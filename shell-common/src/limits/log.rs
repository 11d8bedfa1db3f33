//! What the log is bounded by.

use std::time::Duration;

/// Bytes of lines that wait for standard error to take them: more than two thousand lines, a minute of a server that hundreds sign
/// in to, What comes while it is full is dropped and counted. As much again
/// may be in the middle of being written.
pub const QUEUE_BYTES: usize = 256 * 1024;

/// How long the end of the program waits for standard error to take the last lines. Whoever reads the log is done in
/// milliseconds; where nobody reads, nobody is missed.
pub const FLUSH: Duration = Duration::from_secs(2);

/// How soon standard error is tried again where it is set not to block (by another program that shares it) and is full.
pub const RETRY: Duration = Duration::from_millis(100);
