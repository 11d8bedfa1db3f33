//! Every bound of what only a shell has, each with the reason for its default.

// PBKDF2 workers.

/// Questions that wait for a PBKDF2 worker. A PLAIN sign-in at 10,000 rounds of SHA-512 takes about 9 ms, so a full queue is two
/// to three seconds of work for two workers: as long as anybody will wait. Beyond it the answer is `Busy`.
pub const DERIVE_QUEUE: usize = 512;

/// Questions a worker takes at a time when the queue is long, so that their answers wake a shard once. Each waits for the others,
/// so there are few.
pub const DERIVE_BATCH: usize = 4;
