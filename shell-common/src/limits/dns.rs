//! What is asked of DNS, and how much of what it says is believed.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Bytes of an answer in a datagram, which the query says (RFC 6891 §6.2.5). What fits is not fragmented on any network of today; what does not is
/// asked for by TCP.
pub const DNS_DATAGRAM_BYTES: u16 = 1232;

/// Name servers of `/etc/resolv.conf` that are asked (resolv.conf(5): `MAXNS`).
pub const DNS_SERVERS: usize = 3;

/// How long one server is waited for where `options timeout` says nothing, and how long at most: as in glibc.
pub const DNS_TIMEOUT: Duration = Duration::from_secs(5);
/// See `DNS_TIMEOUT`.
pub const DNS_TIMEOUT_MAX: Duration = Duration::from_secs(30);

/// How often all servers are asked in turn where `options attempts` says nothing, and how often at most: as in glibc.
pub const DNS_ATTEMPTS: u32 = 2;
/// See `DNS_ATTEMPTS`.
pub const DNS_ATTEMPTS_MAX: u32 = 5;

/// Aliases that lead from one name to the next. Two are usual, and a loop must end.
pub const DNS_ALIASES: usize = 8;

/// Records of one kind that are taken from an answer. A round of connections tries far fewer.
pub const DNS_RECORDS: usize = 32;

/// Questions that are under way. An answer takes some milliseconds to a second, so this is hundreds to thousands a second; more at a time is what
/// name servers call a flood.
pub const DNS_QUESTIONS: usize = 64;

/// Sockets of exchanges: two for a question at most, one for each family of addresses.
pub const DNS_SOCKETS: usize = 2 * DNS_QUESTIONS;

/// Descriptors beside them: what wakes the thread, and a file while it is read.
pub const DNS_DESCRIPTORS: usize = DNS_SOCKETS + 2;

/// Questions of shards that wait for one of those to be answered. More wait only where name servers are silent, and then nobody will wait so long.
pub const DNS_QUEUE: usize = 1024;

/// How long a question may wait so. Name servers have been silent all that time; who asked hears that and tries later.
pub const DNS_PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked, at most, whether `/etc/hosts` or `/etc/resolv.conf` has changed: two calls of the system, and an administrator who has
/// changed one waits no longer than for a command to be typed.
pub const DNS_FILES_LOOK: Duration = Duration::from_secs(2);

/// How long nothing is done when the kernel has no memory to wait for sockets.
pub const DNS_REST: Duration = Duration::from_millis(50);

/// How much longer the addresses of one family are waited for than those of the other (RFC 8305 §3 has 50 ms, for clients in front of which
/// somebody sits).
pub const DNS_OTHER_FAMILY: Duration = Duration::from_millis(250);

/// Answers that are remembered. Each takes some hundred bytes, and a server links to fewer domains.
pub const DNS_CACHED: usize = 2000;

/// How long an answer is remembered, whatever its time to live: shorter, every link would ask anew; longer, a server that moved is missed.
pub const DNS_POSITIVE: RangeInclusive<Duration> =
    Duration::from_secs(30)..=Duration::from_secs(60 * 60);

/// The same of the answer that there is nothing (RFC 2308 §5 has three hours at most; who has just made a record does not want to wait).
pub const DNS_NEGATIVE: RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(5 * 60);

/// Bytes of `/etc/hosts` and of `/etc/resolv.conf` that are read. Lists of those to be blocked have some megabytes.
pub const DNS_FILE_BYTES: u64 = 16 * 1024 * 1024;
