//! Every bound of what only a shell has, each with the reason for its default.

// PBKDF2 workers.

/// Questions that wait for a PBKDF2 worker. A PLAIN sign-in at 10,000 rounds of SHA-512 takes about 9 ms, so a full queue is two
/// to three seconds of work for two workers: as long as anybody will wait. Beyond it the answer is `Busy`.
pub const DERIVE_QUEUE: usize = 512;

/// Questions a worker takes at a time when the queue is long, so that their answers wake a shard once. Each waits for the others,
/// so there are few.
pub const DERIVE_BATCH: usize = 4;

// Storage.

/// Batches submitted and not yet answered. Beyond it `Store::submit` says `Busy`. At 10,000 rows a second this is under
/// two seconds of work: whoever waits longer had better be told.
pub const STORE_QUEUE_BATCHES: usize = 16_384;

/// Bytes of keys and values in those batches. A queue full of the longest stanzas (256 KiB) must not fill the memory.
pub const STORE_QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// Batches in one commit. Above 500 the cost of the commit no longer shows in the cost of a batch, and the first one of a
/// group waits for the last: a thousand take about a tenth of a second on a slow disk.
pub const STORE_GROUP_BATCHES: usize = 1024;

/// Threads that serve batches which only read. Reads are short and mostly from the page cache; two keep one slow read
/// from holding up all others.
pub const STORE_READERS: usize = 2;

/// Milliseconds that SQLite waits for a lock held by another program, such as an administrator's `sqlite3`.
pub const SQLITE_BUSY_MS: u64 = 5_000;

/// Prepared statements that each SQLite connection keeps: more than there are.
pub const SQLITE_STATEMENTS: usize = 32;

/// Bytes to which SQLite cuts its write-ahead log after a checkpoint. One long transaction must not leave a long file for
/// ever.
pub const SQLITE_WAL_BYTES: u32 = 64 * 1024 * 1024;
