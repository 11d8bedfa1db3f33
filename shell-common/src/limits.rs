//! Every bound of the shells, each with the reason for its value. The protocol's own bounds are `spondee_core::limits`.

use std::ops::RangeInclusive;
use std::time::Duration;

use spondee_core::limits::{
    ADDRESSES_BYTES, C2S_STANZA_BYTES, GROWTH, OFFER_AGAIN, OFFERS, ROUND, STORE_ALONE_BYTES,
    STORE_QUEUE_BATCHES, StoreCredit,
};

pub mod dns;
pub mod log;
pub mod pie;
pub mod shell;

// -- Configuration: what a file may hold

/// Bytes of a configuration. Ten thousand hosts with options of their own are half of it; anything larger was named by mistake.
pub const CONFIG_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes of a secret that an option holds. The longest that people have are keys, in Base64, of a few hundred.
pub const SECRET_BYTES: u64 = 4096;

/// Lines that are not TOML and are told one by one. Whoever has more has given another kind of file.
pub const CONFIG_SYNTAX_FAULTS: usize = 20;

// -- Configuration: what an option may be set to

/// `threads`. More threads than any machine has cores only divide the accounts without need.
pub const THREADS: RangeInclusive<u16> = 1..=256;

/// `certificates_watch`. Once a second costs nothing that could be measured; less often than once a day is a reload by hand.
pub const CERTIFICATES_WATCH: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);

/// `rate` of `limits` in bytes per second. Below a hundred nobody could sign in within `c2s_timeout`; nobody is faster than the most.
pub const RATE: RangeInclusive<u32> = 100..=4_000_000_000;

/// `burst` of `limits`. A longer one limits nothing.
pub const RATE_BURST: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60 * 60);

/// `max_connections`. There are never more than the limit of open files allows.
pub const CONNECTIONS: RangeInclusive<usize> = 1..=100_000_000;

/// `max_connections_per_address`; 0 is no limit.
pub const CONNECTIONS_PER_ADDRESS: RangeInclusive<usize> = 0..=100_000_000;

/// `tcp_backlog`. Linux takes no more than 65,535, and no more than `net.core.somaxconn` whatever we ask for.
pub const TCP_BACKLOG: RangeInclusive<i32> = 1..=65_535;

/// Former iteration counts remembered for each host. Nobody changes it more often and has accounts from all those times.
pub const FORMER_ROUNDS: usize = 8;

// -- TLS

/// Bytes of a handshake or of a partial record that one TLS connection keeps until the rest arrives.
///
/// The largest record is about 16 KiB, the largest handshake message that rustls takes 64 KiB, and real client hellos
/// stay below 2 KiB. What is larger, or a message cut into so many records that their headers outweigh it, is hostile.
pub const TLS_UNCONSUMED_BYTES: usize = 64 * 1024;

/// Bytes of a certificate or key file. The longest chain with its key stays below 64 KiB; a bundle of all authorities is about
/// 250 KiB. Anything larger stands in the directory by mistake.
pub const CERTIFICATE_FILE_BYTES: u64 = 1024 * 1024;

/// Certificates that a client may show, its own and the root included. webpki follows six between them, and real paths have one or two; each
/// costs a look and perhaps a signature.
pub const CLIENT_CERTIFICATES: usize = 8;

/// Bytes of them all. They stay in memory as long as the connection, because rustls keeps them. Four with RSA keys of 4096 bits are 8 KiB.
pub const CLIENT_CERTIFICATE_BYTES: usize = 16 * 1024;

/// Accounts of a host that the certificate of a client may name. People have a few, and each is a choice that the client has to make.
pub const CLIENT_CERTIFICATE_NAMES: usize = 32;

/// Certificates that a server may show, its own included. Real chains have two to four, some with their root; each may have to be looked at for
/// each other.
pub const SERVER_CERTIFICATES: usize = 10;

/// Bytes of them all: what one message of a handshake holds.
pub const SERVER_CERTIFICATES_BYTES: usize = 64 * 1024;

/// Signatures that are looked at for them. A path has two or three, and one more for each authority of the same name that is not the one.
pub const SERVER_CERTIFICATE_SIGNATURES: usize = 16;

/// Names of a server's certificate that are told, and their bytes: whoever hosts for others has a hundred in one, which is the most that Let's
/// Encrypt signs. They stay in memory as long as the stream, since any of them may still be claimed.
pub const SERVER_CERTIFICATE_NAMES: usize = 256;
/// See above.
pub const SERVER_CERTIFICATE_NAMES_BYTES: usize = 16 * 1024;

/// Bytes of the names of authorities that go out with each handshake where clients are asked for a certificate. A name is about 100 bytes, and
/// an operator has a few authorities. Of more none is named, and clients choose by themselves what they show.
pub const CLIENT_AUTHORITY_NAMES_BYTES: usize = 4096;

/// Time before the end of a certificate from which on it is warned of. What renews certificates by itself does so earlier (with a
/// third of 90 days left), so it has failed for days by then; and a person still has days.
pub const CERTIFICATE_ENDS_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A lifetime of a certificate that leaves no such time. Authorities give these to who renews by machine: of them, the second half
/// is warned of, and always the last days.
pub const CERTIFICATE_SHORT_LIVED: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// These last days: less than a weekend is no time to mend anything.
pub const CERTIFICATE_LAST_DAYS: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Days that a certificate lasts which is made here, unless another number is asked for.
pub const CERTIFICATE_DAYS: u32 = 365;

/// Levels of directories that `cert import` looks through: `/etc/letsencrypt` has `live/HOST/FILE`, and a level is to spare.
pub const IMPORT_DEPTH: u8 = 4;

/// Files that it looks at. A thousand hosts with ten renewals each are as many; whoever has more has named the root of the machine.
pub const IMPORT_FILES: usize = 50_000;

/// Levels of directories searched for certificates, the one configured included. As Prosody.
pub const CERTIFICATE_DIRECTORY_DEPTH: u8 = 3;

/// Steps of handshakes by DHE that wait for the thread that takes them. A step takes a third of a millisecond with ffdhe2048 and twelve with
/// ffdhe8192, so the last of a full queue waits for a tenth of a second, or three: less than anybody gives up after.
pub const HANDSHAKE_QUEUE: usize = 256;

/// How long `check tls` waits for a connection to another server, and then for all that it says.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of stream features that it reads. Real ones are below 2 KiB.
pub const PROBE_FEATURES_BYTES: usize = 16 * 1024;

// -- PBKDF2 workers

/// Questions that wait for a PBKDF2 worker. A PLAIN sign-in at 10,000 rounds of SHA-512 takes about 9 ms, so a full queue is two
/// to three seconds of work for two workers: as long as anybody will wait. Beyond it the answer is `Busy`.
pub const DERIVE_QUEUE: usize = 512;

/// Questions a worker takes at a time when the queue is long, so that their answers wake a shard once. Each waits for the others,
/// so there are few.
pub const DERIVE_BATCH: usize = 4;

// -- LDAP

/// How long a verification may take, all in all, and how long it may wait before that for its turn. A directory answers within
/// milliseconds; one that has not after this long is down, or behind a firewall, and who signs in is to hear that and not to hang.
pub const LDAP_PATIENCE: Duration = Duration::from_secs(5);

/// Questions that wait for one directory. At eight a time and five milliseconds each a full queue takes a sixth of a second; with one that
/// does not answer all but the first eight of them are given up together.
pub const LDAP_QUEUE: usize = 256;

/// Connections to one directory, and so verifications at a time. A verification takes three round trips, a few milliseconds; more at a time
/// than this a directory hashes no faster.
pub const LDAP_CONNECTIONS: usize = 8;

/// A connection that nobody used for this long is closed. Servers close theirs after minutes, and firewalls forget them.
pub const LDAP_IDLE: Duration = Duration::from_secs(60);

/// Bytes of one message from a directory. Entries come without attributes: a name, or an error with words. Both stay below a few thousand.
pub const LDAP_MESSAGE_BYTES: usize = 64 * 1024;

/// Messages that answer a search: two entries, the end, and references to other servers, of which a directory has a few.
pub const LDAP_ANSWERS: usize = 64;

// -- Storage

// The longest stanza that may be let in fits a batch, grown on its way, with two full addresses.
const _: () = assert!(
    *C2S_STANZA_BYTES.end() as usize * 2 + GROWTH + ADDRESSES_BYTES + 1024 <= STORE_ALONE_BYTES
);
// However many threads there may be, each has credit for a few batches at least.
const _: () = assert!(StoreCredit::of_one(*THREADS.end()).batches >= 64);
// A group is no more than what may wait.
const _: () = assert!(STORE_GROUP_BATCHES <= STORE_QUEUE_BATCHES);
const _: () = assert!(STORE_GATHER_OPS <= STORE_GROUP_BATCHES);

/// Batches in one commit. Above 500 the cost of the commit no longer shows in the cost of a batch, and the first one of a
/// group waits for the last: a thousand take about a tenth of a second on a slow disk.
pub const STORE_GROUP_BATCHES: usize = 1024;

/// Bytes in one commit. Whoever changes something may wait for all of them: about a tenth of a second.
pub const STORE_GROUP_BYTES: usize = 8 * 1024 * 1024;

/// Entries of logs that the writer gathers before it commits when nobody waits for anything: with many owners each is on a page of
/// its own, and twice as many in a commit cost a tenth less each.
pub const STORE_GATHER_OPS: usize = 256;

/// How long it gathers, at most. Nobody hears anything later for it but that a stanza is settled.
pub const STORE_GATHER_FOR: Duration = Duration::from_millis(4);

/// It gathers when the last commit ended less than this ago: where a message comes now and then, each is committed at once.
pub const STORE_GATHER_AFTER: Duration = Duration::from_millis(20);

/// Groups that may go before a batch of upkeep when the store is never idle. It is then a group of its own, about as long as each of
/// them: a twentieth of the writer's time.
pub const STORE_UPKEEP_GROUPS: u32 = 16;

/// Of so many parts of the writer's time upkeep takes one at most: behind each batch of it there is none for nineteen times as long.
pub const STORE_UPKEEP_PART: u32 = 20;

/// The longest such pause: who asked for a step has a command to be answered, perhaps.
pub const STORE_UPKEEP_PAUSE: Duration = Duration::from_secs(10);

const _: () = assert!(STORE_UPKEEP_PAUSE.as_secs() < CONTROL_ANSWER.as_secs() / 2);

/// Threads that serve batches which only read. One is for sign-ins and loads alone, so that nobody's pages hold them up.
pub const STORE_READERS: usize = 2;

/// Sign-ins and loads that one transaction reads, so that locks and a cold cache are paid for once. Each waits for the others:
/// half a millisecond.
pub const STORE_URGENT_READS: usize = 64;

/// Sign-ins and loads that wait for a reader which is reading credentials, ten microseconds each, before another one is woken: to wake it
/// costs as much as they do. Where a page is not in memory they wait for the disk once, as those in one transaction do.
pub const STORE_WAKE_FOR: usize = 4;

/// Other reads in one transaction: sign-ins may come meanwhile.
pub const STORE_PATIENT_READS: usize = 4;

/// Steps of SQLite's machine that a page of a log by contact may take before others have their turn: about 20,000 entries of the index, or
/// 0.7 ms. Its transaction ends with them, so no page holds the write-ahead log.
pub const SQLITE_PAGE_STEPS: i32 = 100_000;

/// The shortest part of a day that such a page looks at, in microseconds: nobody has 20,000 entries in a second.
pub const SQLITE_PAGE_SPAN: i64 = 1_000_000;

/// Entries that a measure of a log looks at before others have their turn: each is read, which takes a microsecond.
pub const SQLITE_MEASURE_ENTRIES: u32 = 1000;

/// Milliseconds that SQLite waits for a lock held by another program, such as an administrator's `sqlite3`.
pub const SQLITE_BUSY_MS: u64 = 5_000;

/// Prepared statements that each SQLite connection keeps: more than there are.
pub const SQLITE_STATEMENTS: usize = 320;

/// Numbers of owners that the writer remembers: a tenth of a megabyte for each thousand. Beyond it they are looked up anew.
pub const SQLITE_OWNERS: usize = 65_536;

/// Days of contacts that the writer remembers to have seen. Beyond it each costs a statement once more.
pub const SQLITE_DAYS: usize = 65_536;

/// Entries of purged owners that one step of upkeep forgets: two milliseconds, which others wait for.
pub const SQLITE_UPKEEP_ENTRIES: u32 = 500;

/// Of so many groups, one is followed by a step of upkeep when the store is never quiet: a twentieth of the writer's time.
pub const SQLITE_UPKEEP_GROUPS: u32 = 16;

/// Bytes in the write-ahead log that are not in the database yet, at which the writer brings them there. It takes about 30 ms, which
/// others wait for; less often makes the log long, more often writes the same pages again and again.
pub const SQLITE_CHECKPOINT_BYTES: i64 = 16 * 1024 * 1024;

/// A log that is longer than `SQLITE_WAL_BYTES` although it was brought into the database begins anew once nobody reads from it. Those
/// who read are waited for so long, in milliseconds: our own readers take a few.
pub const SQLITE_RESTART_MS: u64 = 50;

/// Bytes of a log at which it is said that another program holds it: our own readers never let it come to that.
pub const SQLITE_WAL_HELD_BYTES: i64 = 256 * 1024 * 1024;

/// How long a connection to PostgreSQL may take to be made: behind it who signs in waits.
pub const POSTGRESQL_CONNECT: Duration = Duration::from_secs(5);

/// After a connection could not be made, none is tried for so long: meanwhile all is refused at once, so that nothing queues up behind it.
pub const POSTGRESQL_AWAY: Duration = Duration::from_secs(1);

/// How long it is asked what became of a group whose answer was lost. A server that is started anew is there in a few seconds; who waits
/// longer has been told so by now, and nothing else can be written meanwhile.
pub const POSTGRESQL_RESOLVE: Duration = Duration::from_secs(30);

/// How long after each such question comes the next.
pub const POSTGRESQL_ASK_AGAIN: Duration = Duration::from_millis(200);

/// Milliseconds that PostgreSQL may work on one statement. The longest is a measure of a long log, or a commit on a slow disk.
pub const POSTGRESQL_STATEMENT_MS: u64 = 10_000;

/// How much longer an answer is waited for: what is on the way then has been refused, and the connection is given up.
pub const POSTGRESQL_GRACE: Duration = Duration::from_secs(1);

/// Milliseconds that a statement waits for a lock held by another program, such as an administrator's `psql`: as `SQLITE_BUSY_MS`.
pub const POSTGRESQL_LOCK_MS: u64 = 5_000;

/// Milliseconds after which PostgreSQL ends a transaction in which nothing is said any more: that of a server whose machine is gone.
pub const POSTGRESQL_IDLE_MS: u64 = 15_000;

/// Numbers of owners that the writer remembers: as `SQLITE_OWNERS`.
pub const POSTGRESQL_OWNERS: usize = 65_536;

/// Entries that a measure of a log looks at before others have their turn: as `SQLITE_MEASURE_ENTRIES`.
pub const POSTGRESQL_MEASURE_ENTRIES: u32 = 1000;

/// Entries of purged owners that one step of upkeep forgets: as `SQLITE_UPKEEP_ENTRIES`.
pub const POSTGRESQL_UPKEEP_ENTRIES: u32 = 500;

/// Of so many groups, one is followed by a step of upkeep when the store is never quiet: as `SQLITE_UPKEEP_GROUPS`.
pub const POSTGRESQL_UPKEEP_GROUPS: u32 = 16;

/// Without work for this long, the writer brings the log into the database and does its upkeep.
pub const STORE_QUIET: Duration = Duration::from_secs(1);

/// Bytes to which SQLite cuts its write-ahead log after a checkpoint. One long transaction must not leave a long file for
/// ever.
pub const SQLITE_WAL_BYTES: u32 = 64 * 1024 * 1024;

/// Bytes of a database that SQLite looks through at each start and each command without a server. It reads some hundred megabytes a
/// second: a larger one is only measured.
pub const SQLITE_CHECKED_BYTES: i64 = 16 * 1024 * 1024;

// -- Data directory

/// Bytes that must be free where the data directory is, for a server to start: SQLite's files grow by about 100 KiB.
pub const DATA_BYTES_TO_START: u64 = 256 * 1024;

/// Bytes that had better be free: SQLite's write-ahead log alone may grow to this.
pub const DATA_BYTES_TO_RUN: u64 = SQLITE_WAL_BYTES as u64;

/// Bytes of `/etc/passwd` that are looked through for a user's name.
pub const PASSWD_BYTES: u64 = 1024 * 1024;

/// How often `spondee user erase` looks whether another program has let go of the database's log, and after which time: half a minute in all,
/// which is longer than a backup program reads in one piece.
pub const ERASE_TRIES: u32 = 60;
/// See `ERASE_TRIES`.
pub const ERASE_AGAIN: Duration = Duration::from_millis(500);

// -- Control socket

/// Connections at a time. Each holds a thread that waits, which costs little: enough for a script that runs dozens of commands in
/// parallel. The PBKDF2 workers are what they wait for.
pub const CONTROL_CONNECTIONS: usize = 64;

/// Bytes of the socket's path, which a Unix socket's address has room for; on Linux 107 (`unix(7)`).
pub const CONTROL_PATH_BYTES: usize = 107;

/// Bytes of one request. The longest is a step of an import: what one operation of the store holds, escaped, of which no byte takes more than two.
pub const CONTROL_REQUEST_BYTES: u64 = 2 * STORE_ALONE_BYTES as u64 + 32 * 1024;

/// Bytes of one answer: a page of the longest addresses, escaped, and more than that.
pub const CONTROL_ANSWER_BYTES: u64 = 16 * 1024 * 1024;

/// Accounts in one page of a list. The page is one question to the store, which serves others in between.
pub const CONTROL_PAGE: u32 = spondee_core::limits::LIST_MAX;

/// Silence after which a connection is closed, so that a script that hangs does not keep its place.
pub const CONTROL_IDLE: Duration = Duration::from_secs(60);

/// The longest wait for the end of a command. The slowest sets a password behind a full queue of workers: seconds.
pub const CONTROL_ANSWER: Duration = Duration::from_secs(30);

/// The same where a domain is reached: a round, and what a shard's turn takes.
pub const CONTROL_REACH: Duration = ROUND.saturating_add(Duration::from_secs(10));

const _: () = assert!(CONTROL_ANSWER.as_secs() < CONTROL_REACH.as_secs());

// A command may wait for an account of which the store is busy.
const _: () = assert!(OFFERS as u128 * OFFER_AGAIN.as_millis() < CONTROL_ANSWER.as_millis());
