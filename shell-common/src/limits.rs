//! Every bound of the shells, each with the reason for its value. The protocol's own bounds are `spondee_core::limits`.

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
