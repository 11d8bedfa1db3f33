//! What the log is bounded by.

use std::time::Duration;

/// Bytes of lines that wait for standard error to take them: more than two thousand lines, a minute of a server that hundreds sign
/// in to, or the longest list of what was left out (`ADDRESSES`). What comes while it is full is dropped and counted. As much again
/// may be in the middle of being written.
pub const QUEUE_BYTES: usize = 256 * 1024;

/// How long the thread that writes the log gathers lines before it writes them: nobody who reads a log notices, and a busy server
/// wakes it fifty times a second and not for every line.
pub const GATHER: Duration = Duration::from_millis(20);

/// Lines about failures from one address in one minute, an IPv6 /64 being one: as many as the server answers wrong passwords
/// (`sasl_failures_per_address` of the core), so that a program that bans sees each of them. Wrong passwords, other failures and
/// warnings have as many each, so that none of them hides another.
pub const LINES_PER_ADDRESS: u32 = 20;

/// How long such lines are counted before they start anew.
pub const MINUTE: Duration = Duration::from_secs(60);

/// Addresses counted by themselves in one minute: more than fail within the same minute by mistake, and their lines are seven
/// megabytes at the most. Those beyond it share the lines of one.
pub const ADDRESSES: usize = 1024;

/// How long the end of the program waits for standard error to take the last lines. Whoever reads the log is done in
/// milliseconds; where nobody reads, nobody is missed.
pub const FLUSH: Duration = Duration::from_secs(2);

/// How soon standard error is tried again where it is set not to block (by another program that shares it) and is full.
pub const RETRY: Duration = Duration::from_millis(100);
