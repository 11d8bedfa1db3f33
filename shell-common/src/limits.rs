//! Every bound of the shells, each with the reason for its value. The protocol's own bounds are `spondee_core::limits`.

use std::ops::RangeInclusive;
use std::time::Duration;

// -- Configuration: what an option may be set to

/// `threads`. More threads than any machine has cores only divide the accounts without need.
pub const THREADS: RangeInclusive<u16> = 1..=256;

/// `c2s_stanza_size_limit` in bytes. RFC 6120 §13.12 asks for at least 10,000; a stanza above 4 MiB does not fit the queue of
/// the session it goes to (`session_queue_bytes` of the core).
pub const C2S_STANZA_BYTES: RangeInclusive<u32> = 10_000..=4 * 1024 * 1024;

/// `c2s_timeout`. Half of it is for TLS; beyond an hour a connection that never signs in would be kept for nothing.
pub const C2S_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(2)..=Duration::from_secs(60 * 60);

/// `c2s_close_timeout`. A peer that does not close its stream within ten minutes never will.
pub const C2S_CLOSE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(10 * 60);

/// `default_iteration_count`. RFC 5802 §5.1 recommends at least 4096; ten million are seconds of work for each client that
/// signs in and for the server at each PLAIN.
pub const ITERATION_COUNT: RangeInclusive<u32> = 4096..=10_000_000;

// -- TLS

/// Bytes of a handshake or of a partial record that one TLS connection keeps until the rest arrives.
///
/// The largest record is about 16 KiB, the largest handshake message that rustls takes 64 KiB, and real client hellos
/// stay below 2 KiB. What is larger, or a message cut into so many records that their headers outweigh it, is hostile.
pub const TLS_UNCONSUMED_BYTES: usize = 64 * 1024;

/// Bytes of a certificate or key file. The longest chain with its key stays below 64 KiB; a bundle of all authorities is about
/// 250 KiB. Anything larger stands in the directory by mistake.
pub const CERTIFICATE_FILE_BYTES: u64 = 1024 * 1024;

/// Levels of directories searched for certificates, the one configured included. As Prosody.
pub const CERTIFICATE_DIRECTORY_DEPTH: u8 = 3;

// PBKDF2 workers.

/// Questions that wait for a PBKDF2 worker. A PLAIN sign-in at 10,000 rounds of SHA-512 takes about 9 ms, so a full queue is two
/// to three seconds of work for two workers: as long as anybody will wait. Beyond it the answer is `Busy`.
pub const DERIVE_QUEUE: usize = 512;

/// Questions a worker takes at a time when the queue is long, so that their answers wake a shard once. Each waits for the others,
/// so there are few.
pub const DERIVE_BATCH: usize = 4;

pub mod shell;
