//! Which of the bounds an administrator can set, and to what: each range with its reason.

use alloc::format;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::{
    Limits, ROSTER_UNSAID_CONTACTS, SASL_DELAY_PART, STORE_LOAD_ROWS, STORE_OWED_ENTRIES,
    STORE_PAGE_ENTRIES,
};
use crate::options::{Source, of_server};

/// `c2s_stanza_size_limit` in bytes. RFC 6120 §13.12 asks for at least 10,000; a stanza above 4 MiB does not fit the queue of
/// the session it goes to (`session_queue_bytes` of the core).
pub const C2S_STANZA_BYTES: RangeInclusive<u32> = 10_000..=4 * 1024 * 1024;

/// `c2s_timeout`. Half of it is for TLS; beyond an hour a connection that never signs in would be kept for nothing.
pub const C2S_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(2)..=Duration::from_secs(60 * 60);

/// `c2s_close_timeout`. A peer that does not close its stream within ten minutes never will.
pub const C2S_CLOSE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(10 * 60);

/// `c2s_queue_size_limit` in bytes. At least the shortest stanza limit; more than a quarter of a gigabyte for each session that does
/// not read ends in want of memory.
pub const C2S_QUEUE_BYTES: RangeInclusive<usize> = 10_000..=256 * 1024 * 1024;

/// `c2s_account_queue_size_limit` in bytes. Never below `c2s_queue_size_limit`; more than a gigabyte for each account whose clients do not read
/// ends in want of memory.
pub const C2S_ACCOUNT_QUEUE_BYTES: RangeInclusive<usize> = 10_000..=1024 * 1024 * 1024;

/// `max_sessions_per_account`. Each makes a message to the bare address cost one more.
pub const SESSIONS_PER_ACCOUNT: RangeInclusive<usize> = 1..=1000;

/// `sasl_failures_per_stream`. RFC 6120 §6.4.5: at least 2 and no more than 5.
pub const SASL_FAILURES_PER_STREAM: RangeInclusive<u8> = 2..=5;

/// `sasl_failures_per_address` and `sasl_failures_per_account`; 0 is no limit.
pub const SASL_FAILURES: RangeInclusive<u32> = 0..=1_000_000;

/// `sasl_failure_forgiven_after`. Beyond a day, one afternoon's typing errors would last for weeks.
pub const SASL_FAILURE_FORGIVEN_AFTER: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);

/// `registration_throttle_max` and `registration_throttle_total`; 0 is no limit.
pub const REGISTRATIONS: RangeInclusive<u32> = 0..=1_000_000;

/// `registration_throttle_period`. Beyond a week nobody remembers that somebody waits.
pub const REGISTRATION_PERIOD: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 60 * 60);

/// `default_iteration_count`. RFC 5802 §5.1 recommends at least 4096; ten million are seconds of work for each client that
/// signs in and for the server at each PLAIN.
pub const ITERATION_COUNT: RangeInclusive<u32> = 4096..=10_000_000;

/// `user_tombstone_expiry`. Beyond a hundred years it is `never`.
pub const USER_TOMBSTONE_EXPIRY: RangeInclusive<Duration> =
    Duration::ZERO..=Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// `roster_max_contacts`. A roster is kept in memory as long as its account is, and sent whole to a client that has none; with more rows an
/// account could not be loaded. None would be no roster.
pub const ROSTER_CONTACTS: RangeInclusive<usize> = 1..=10_000;

/// `roster_max_requests`. A stranger makes each of them; without any, nobody could be asked who is away. Their bytes have a bound of their
/// own (`ROSTER_REQUESTS_BYTES`).
pub const ROSTER_REQUESTS: RangeInclusive<usize> = 1..=1000;

/// `blocklist_max_items`. A list is kept in memory as long as its account is, looked through for every stanza, and sent whole to a client
/// that asks for it. None would be no list.
pub const BLOCKLIST_ITEMS: RangeInclusive<usize> = 1..=2000;

/// `private_storage_max_items`. All of them are counted before one more is kept; none would be no storage.
pub const PRIVATE_ITEMS: RangeInclusive<usize> = 1..=10_000;

/// `smacks_hibernation_time`. Who has not come back within a week will not; contacts see a session that sleeps as one that is there.
pub const SM_HIBERNATION: RangeInclusive<Duration> =
    Duration::ZERO..=Duration::from_secs(7 * 24 * 60 * 60);

/// `smacks_max_unacked_stanzas` and `smacks_max_inactive_unacked_stanzas`. Beyond that a client that does not read is found out by what its
/// queue holds, not by asking.
pub const SM_UNACKED: RangeInclusive<usize> = 0..=10_000;

/// `smacks_max_queue_size`. A page of an archive is written at once and must fit, with its end and some more; more than a hundred
/// thousand do not fit the bytes that there are for them.
pub const SM_QUEUE: RangeInclusive<usize> = 300..=100_000;

const _: () = assert!(STORE_PAGE_ENTRIES < 300);

/// `smacks_max_hibernated_sessions`. None is what `smacks_hibernation_time` says; more than there may be sessions says nothing.
pub const SM_HIBERNATED_SESSIONS: RangeInclusive<usize> = 1..=*SESSIONS_PER_ACCOUNT.end();

/// `smacks_max_old_sessions`. Each is a row that is loaded with its account.
pub const SM_OLD_SESSIONS: RangeInclusive<usize> = 0..=100;

/// `smacks_max_ack_delay`. Within a second hardly a phone answers; beyond ten minutes it is of no use to ask.
pub const SM_ACK_DELAY: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(10 * 60);

/// `csi_queue_size`. More than a thousand do not fit the bytes that there are for them.
pub const CSI_QUEUE: RangeInclusive<usize> = 1..=1000;

/// `s2s_timeout`. A round that looks for a server has as long; beyond an hour a connection that shows nobody would be kept for nothing.
pub const S2S_TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_secs(2)..=Duration::from_secs(60 * 60);

/// `s2s_close_timeout`, as for clients.
pub const S2S_CLOSE_TIMEOUTS: RangeInclusive<Duration> = C2S_CLOSE_TIMEOUT;

/// `s2s_retry_for`. Who hears after more than a day that a message has not arrived has found another way.
pub const S2S_RETRY_TIMES: RangeInclusive<Duration> =
    Duration::ZERO..=Duration::from_secs(24 * 60 * 60);

/// `s2s_send_queue_size`. None would be no link; their bytes have a bound of their own (`S2S_QUEUE_BYTES`).
pub const S2S_SEND_QUEUE_SIZES: RangeInclusive<usize> = 1..=1_000_000;

/// `s2s_stanza_size_limit` in bytes, as for clients.
pub const S2S_STANZA_SIZES: RangeInclusive<u32> = C2S_STANZA_BYTES;

// Something is left for other tables.
const _: () = assert!(
    *ROSTER_CONTACTS.end()
        + *ROSTER_REQUESTS.end()
        + *SM_OLD_SESSIONS.end()
        + *BLOCKLIST_ITEMS.end()
        + ROSTER_UNSAID_CONTACTS
        <= STORE_LOAD_ROWS - STORE_LOAD_ROWS / 16
);

const STANZA: &str = "c2s_stanza_size_limit";
const QUEUE: &str = "c2s_queue_size_limit";
const ACCOUNT_QUEUE: &str = "c2s_account_queue_size_limit";

impl Limits {
    /// What `from` says of them; the others are as they are by default.
    pub fn read(from: &mut impl Source) -> Self {
        let mut limits = Self::default();
        from.part("What a client may do");
        limits.read_streams(from);
        limits.read_queues(from);
        // `Choice:` none unless it is said. Prosody's configuration has 10kb/s for clients and 30kb/s for servers, and less than one busy room
        // of another server sends in a burst: that speaks for as many people as it has, and no number is right for all.
        [limits.c2s_rate, limits.s2s_rate] = from.rates(
            &of_server(
                "limits",
                "How fast a client (c2s) may send, and a server on a stream that it opened (s2sin), and for how long it may be ahead of that: \
                 beyond it no more is read from there for a while. Without this both may send as fast as they can.",
            )
            .shown_as(
                "{ c2s = { rate = \"10kb/s\", burst = \"2s\" }, s2sin = { rate = \"1mb/s\" } }",
            ),
            [("c2s", "clients"), ("s2sin", "other servers, as they open streams")],
        );
        limits.sessions_per_account = from.number(
            &of_server(
                "max_sessions_per_account",
                "How many clients of one account may be connected at a time.",
            ),
            limits.sessions_per_account,
            SESSIONS_PER_ACCOUNT,
        );
        from.part("Wrong passwords");
        limits.read_failures(from);
        from.part("Accounts that people make themselves, where `allow_registration` lets them");
        limits.read_registrations(from);
        limits
    }

    fn read_registrations(&mut self, from: &mut impl Source) {
        // `Choice:` Prosody has the names and no limit unless one is set.
        self.registrations_per_address = from.number(
            &of_server(
                "registration_throttle_max",
                "How many accounts may be made from one address (of IPv6, a /64), and how many from all addresses together, in this time. \
                 Attempts count, too: each tells whether there is such an account. 0 is no limit. What is in unlimited_addresses counts \
                 only with all others.",
            ),
            self.registrations_per_address,
            REGISTRATIONS,
        );
        self.registrations = from.number(
            &of_server("registration_throttle_total", ""),
            self.registrations,
            REGISTRATIONS,
        );
        self.registration_period = from.period(
            &of_server("registration_throttle_period", ""),
            self.registration_period,
            REGISTRATION_PERIOD,
        );
    }

    fn read_streams(&mut self, from: &mut impl Source) {
        self.negotiation = from.period(
            &of_server(
                "c2s_timeout",
                "How long a client may take to sign in: a number of seconds, or text such as \"2 minutes\". Prosody gives five \
                 minutes.",
            ),
            self.negotiation,
            C2S_TIMEOUT,
        );
        // The share that TLS has by default.
        self.until_tls = self.negotiation / 2;
        self.sasl_delay = self.sasl_delay.min(self.negotiation / SASL_DELAY_PART);
        self.close = from.period(
            &of_server(
                "c2s_close_timeout",
                "How long to wait for a client to close its stream after we have closed ours.",
            ),
            self.close,
            C2S_CLOSE_TIMEOUT,
        );
        self.c2s_stanza_bytes = from.number(
            &of_server(
                STANZA,
                "The longest stanza a client may send, in bytes. At least 10000.",
            ),
            self.c2s_stanza_bytes,
            C2S_STANZA_BYTES,
        );
    }

    fn read_queues(&mut self, from: &mut impl Source) {
        self.session_queue_bytes = from.number(
            &of_server(
                QUEUE,
                "How much may wait for a client that does not read, in bytes. Beyond it its session ends.",
            ),
            self.session_queue_bytes,
            C2S_QUEUE_BYTES,
        );
        let queue = self.session_queue_bytes;
        // What is longer than a queue could never be delivered.
        let stanza = usize::try_from(self.c2s_stanza_bytes).unwrap_or(usize::MAX);
        if queue < stanza {
            from.contradiction(
                &[QUEUE, STANZA],
                format!(
                    "`{QUEUE}` ({queue}) must not be below `{STANZA}` ({stanza}): such a stanza could not be delivered"
                ),
            );
        }
        // Four times what one client has, so that who raises the one option need not know of the other.
        self.account_queue_bytes = from.number(
            &of_server(
                ACCOUNT_QUEUE,
                "How much may wait for all clients of one account together that do not read. Beyond it the session that owes most \
                 ends. The default is four times c2s_queue_size_limit.",
            ),
            queue.saturating_mul(4),
            C2S_ACCOUNT_QUEUE_BYTES,
        );
        if self.account_queue_bytes < queue {
            from.contradiction(
                &[ACCOUNT_QUEUE, QUEUE],
                format!(
                    "`{ACCOUNT_QUEUE}` ({}) must not be below `{QUEUE}` ({queue}): that of one client would never be reached",
                    self.account_queue_bytes
                ),
            );
        }
    }

    fn read_failures(&mut self, from: &mut impl Source) {
        self.sasl_failures = from.number(
            &of_server(
                "sasl_failures_per_stream",
                "After how many failed sign-ins a stream is closed: 2 to 5.",
            ),
            self.sasl_failures,
            SASL_FAILURES_PER_STREAM,
        );
        self.sasl_failures_per_address = from.number(
            &of_server(
                "sasl_failures_per_address",
                "After how many from one address (of IPv6, a /64), or for one account, nobody there is told any more whether a \
                 password is right: the answer to every sign-in is then \"try again later\", and comes late. From an address where an \
                 account signed in during the last weeks, only wrong passwords for that very account from there count: neither what \
                 others do to it elsewhere nor what is tried with other names behind the same address keeps its owner out. 0 is no \
                 limit.",
            ),
            self.sasl_failures_per_address,
            SASL_FAILURES,
        );
        self.sasl_failures_per_account = from.number(
            &of_server("sasl_failures_per_account", ""),
            self.sasl_failures_per_account,
            SASL_FAILURES,
        );
        self.sasl_failure_forgiven_after = from.period(
            &of_server(
                "sasl_failure_forgiven_after",
                "How soon one of these failures is forgiven: a number of seconds, or text such as \"1 minute\".",
            ),
            self.sasl_failure_forgiven_after,
            SASL_FAILURE_FORGIVEN_AFTER,
        );
        self.unlimited_addresses = from.list(
            &of_server(
                "unlimited_addresses",
                "Addresses and networks to which neither sasl_failures_per_address nor max_connections_per_address applies, such as \
                 [\"192.0.2.7\", \"2001:db8:7::/48\"]: those of a proxy through which all clients come.",
            ),
            &[],
        );
    }
}

/// `archive_expires_after` and `offline_expires_after`. Beyond a hundred years it is `never`.
pub const ARCHIVE_EXPIRY: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// `archive_max_messages`. Fewer than a page would be no archive.
pub const ARCHIVE_MESSAGES: RangeInclusive<u64> = 256..=1_000_000_000;

/// `archive_max_bytes`. At least the longest stanza there can be.
pub const ARCHIVE_BYTES: RangeInclusive<u64> = 8 * 1024 * 1024..=1024 * 1024 * 1024 * 1024;

/// `max_archive_query_results`. More than the store gives in one page would have to be asked for twice.
pub const ARCHIVE_RESULTS: RangeInclusive<u32> = 1..=STORE_PAGE_ENTRIES;

/// `offline_max_messages`. All of them are counted when their owner comes into memory. None would be no offline storage.
pub const OFFLINE_MESSAGES: RangeInclusive<u32> = 1..=STORE_OWED_ENTRIES;
