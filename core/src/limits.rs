//! Every bound of the protocol core, each with the reason for its default.
//!
//! Bounds of what only a shell has (descriptors, worker queues, sockets a turn) stand in the shells' own `limits`.

use alloc::vec::Vec;
use core::time::Duration;

mod component;
mod federation;
mod network;
mod options;
mod server;

pub use component::*;
pub use federation::{
    CONNECT_PATIENCE, LINKS_SHOWN, OPENING_PATIENCE, RACE_DELAY, RACE_RUNNERS, REACH_FEATURES_TOLD,
    REACH_RECORDS_TOLD, REACH_WORD_BYTES, REACHES, ROUND, ROUND_ADDRESSES, ROUND_CONNECTS,
    ROUND_TARGETS, TRAIL_RULES,
};
pub use network::{Network, NotANetwork};
pub use options::{
    ARCHIVE_BYTES, ARCHIVE_EXPIRY, ARCHIVE_MESSAGES, ARCHIVE_RESULTS, BLOCKLIST_ITEMS,
    C2S_ACCOUNT_QUEUE_BYTES, C2S_CLOSE_TIMEOUT, C2S_QUEUE_BYTES, C2S_STANZA_BYTES, C2S_TIMEOUT,
    CSI_QUEUE, ITERATION_COUNT, OFFLINE_MESSAGES, PRIVATE_ITEMS, REGISTRATION_PERIOD,
    REGISTRATIONS, ROSTER_CONTACTS, ROSTER_REQUESTS, S2S_CLOSE_TIMEOUTS, S2S_RETRY_TIMES,
    S2S_SEND_QUEUE_SIZES, S2S_STANZA_SIZES, S2S_TIMEOUTS, SASL_FAILURE_FORGIVEN_AFTER,
    SASL_FAILURES, SASL_FAILURES_PER_STREAM, SESSIONS_PER_ACCOUNT, SM_ACK_DELAY,
    SM_HIBERNATED_SESSIONS, SM_HIBERNATION, SM_OLD_SESSIONS, SM_QUEUE, SM_UNACKED,
    USER_TOMBSTONE_EXPIRY,
};
pub use server::*;

use crate::rate::Rate;

/// Bytes of the nonce a SCRAM client may choose. Clients send 16 to 64; it is kept over a round trip of strangers and sent back
/// to them.
pub const SCRAM_NONCE_BYTES: usize = 256;

/// Bytes of a stream's `xml:lang`. Tags of languages have up to a few dozen; it is written into every stanza of the session, so
/// that a long one would make a stanza cost its receiver many times what it cost its sender.
pub const STREAM_LANG_BYTES: usize = 64;

/// What leaves for one recipient is at most twice what came and 1 KiB: whoever makes the server write pays at least half of it, and
/// a stanza that is mostly addresses costs no more than a small one. Not counted are `to` and `from`, which the server must write
/// (RFC 6120 §8.1) and which have at most 3,071 bytes each (RFC 7622 §3.1). Every stanza written in a test is held to this.
pub const GROWTH: usize = 1024;

/// What of `GROWTH` an element may take that is written again without prefixes of its stream header (`xml::rewrite`). The
/// rest is for what the server puts into a stanza's start tag: `xml:lang` and the names of attributes.
pub const COPY_GROWTH: usize = GROWTH - 128;

/// Bytes of the two addresses of a stanza, which have no bound but their own (RFC 7622 §3.1).
pub const ADDRESSES_BYTES: usize = 2 * 3071;

/// Declarations of namespaces in a stream header. There are two in nearly all, and a handful in the others. One more ends the stream
/// with `policy-violation`.
///
/// `Deviation:` RFC 6120 §4.8.5 would have a stream closed with `invalid-namespace` whose header declares namespaces of payloads at
/// all. Libraries do so, and their users are not to blame.
pub const HEADER_DECLARATIONS: u16 = 16;

// `xml::rewrite` has a bit for each.
const _: () = assert!(HEADER_DECLARATIONS as u32 <= u32::BITS);

/// Bytes of all of these together, from the white space before `xmlns` to the closing quote: sixteen of usual length. A stanza can
/// use each of them with two bytes, and who gets it must be told what they mean, which is to fit `COPY_GROWTH`.
pub const HEADER_DECLARATION_BYTES: usize = 768;

const _: () = assert!(HEADER_DECLARATION_BYTES <= COPY_GROWTH);

/// Bytes of a presence that a session may make known to all: it is kept, and repeated to each resource that becomes available later,
/// for no more than the few bytes which that one sends. As many as RFC 6120 §13.12 asks of any stanza; those of clients have a few hundred.
pub const PRESENCE_BYTES: usize = 10_000;

// Whatever an administrator says of stanzas and queues, such a presence can be sent, and told to who reads.
const _: () = assert!(PRESENCE_BYTES <= *C2S_STANZA_BYTES.start() as usize);
const _: () = assert!(PRESENCE_BYTES <= *C2S_QUEUE_BYTES.start());

/// Bytes of all addresses to which one session has sent directed presence and that must hear of its end (RFC 6121 §4.6.3): a hundred and
/// thirty for each of as many as there may be (`Limits::directed_presence`), where thirty are usual. They are kept as long as it lasts.
pub const DIRECTED_BYTES: usize = 128 * 1024;

/// Deadlines looked at in one `Tick`: bounds the work of a turn. What is left is due at once.
pub const TICK_MAX: usize = 1024;

/// Streams and sleeping sessions that end in one `Tick`, where many end because the server stops or a host is gone. Each writes its last words,
/// tells its contacts, and leaves to the disk what it is owed: as many as that together take some milliseconds, which is what a busy turn
/// takes. Ten thousand on one shard are over in 157 turns, far within the ten seconds that a server has to stop.
pub const ENDINGS_PER_TICK: usize = 64;

/// Commands that may wait behind one on the same account; one more is answered `Busy`. An administrator's script, not an
/// attacker, makes them.
pub const COMMANDS_WAITING_MAX: usize = 256;

/// Accounts in one page of a list, whatever was asked for: a page is one answer of the store.
pub const LIST_MAX: u32 = 1000;

/// Bytes of what a session said when it became unavailable (`<status/>`) that are kept with the time of its end: more than a line.
pub const LAST_STATUS_BYTES: usize = 512;

/// Bytes of a client's `<status/>` that an administrator is shown: more than a line. With the largest number of sessions an account can
/// have (`SESSIONS_PER_ACCOUNT`), what is told of it is far below what the control socket takes.
pub const STATUS_SHOWN_BYTES: usize = 512;

/// Bytes of a new password as it is typed. A sign-in by PLAIN must fit into `unauthenticated_element_bytes`; nobody's password is a
/// tenth as long.
pub const PASSWORD_BYTES: usize = 1024;

/// Sign-ins on one stream that come to nothing before a password is looked at. RFC 6120 §6.4.5 has a client go on to its next
/// mechanism when one fails, and poezio comes to PLAIN as the seventh. Six of our mechanisms can be tried with each of three binding
/// flags and one without: who tries all that there is fails eighteen times.
pub const SASL_NEGOTIATIONS_MAX: u8 = 20;

/// Addresses, as many accounts, and as many accounts at usual addresses, whose failed sign-ins each shard counts: twenty failures of each
/// in five minutes are a thousand a second, more than a shard gives away. Full, each table takes about a megabyte. What then: see `sasl::throttle`.
pub const SASL_COUNTED_MAX: usize = 16_384;

/// Accounts of its own whose usual addresses each shard remembers, at 24 bytes each: more than have signed in lately on all but the largest
/// servers. Beyond it those that have not signed in for longest are forgotten.
pub const SASL_REGULARS_MAX: usize = 65_536;

/// Usual addresses of one account: at home, at work, on the move, and one more. With few, whoever has an account cannot make the
/// others be forgotten by signing in from everywhere.
pub const SASL_REGULAR_ADDRESSES: usize = 4;

/// How long an address stays usual for an account without another sign-in, at least; at most twice as long. Covers a holiday.
pub const SASL_REGULAR_FOR: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Empty output buffers that a shard keeps for reuse, and the largest worth keeping in bytes: a turn of 64 sockets reuses them
/// all, and an idle shard holds 1 MiB.
pub const SPARE_BUFFERS: usize = 64;
/// See `SPARE_BUFFERS`.
pub const SPARE_CAPACITY: usize = 16 * 1024;
/// Bytes of a new output buffer: the features of a stream, or a few messages.
pub const OUTPUT_CAPACITY: usize = 1024;

const _: () = assert!(OUTPUT_CAPACITY <= SPARE_CAPACITY);

/// Bytes of stanzas in one envelope from shard to shard, unless a single one has more: what a shard takes from another in one turn is a
/// few of these, so that each comes whole and none makes a turn long.
pub const ENVELOPE_BYTES: usize = 64 * 1024;

/// Stanzas that wait for an account which waits for the disk: what one turn brings to it from everywhere. Beyond it messages and requests
/// are refused with `resource-constraint`. Beyond half of it an account that has sent a quarter has no more room: what has no room and cannot
/// be refused ends sessions, and nobody is to bring that about alone.
pub const INBOX_STANZAS: usize = 4096;

/// Stanzas, and bytes of them, with which those who send are read no further until their receiver can act: an eighth of what it takes, since
/// what one turn reads of a client comes before anybody on another shard hears that it is to wait.
pub const INBOX_FED: usize = INBOX_STANZAS / 8;
/// See `INBOX_FED`.
pub const INBOX_FED_BYTES: usize = INBOX_BYTES / 8;

/// Bytes of messages of one account that are to be kept and that the store was not offered yet, from which on those who send them, and the
/// account's own sessions, are read no further: half of a batch, so that the next is there when one is done.
pub const KEPT_FED_BYTES: usize = STORE_BATCH_BYTES / 2;

/// Bytes of these: four of the longest. An eighth of the way from one shard to another, so that no account fills that.
pub const INBOX_BYTES: usize = 1024 * 1024;

// What comes at once from one shard finds room in an inbox that has nothing else.
const _: () = assert!(ENVELOPE_BYTES < INBOX_BYTES);
const _: () = assert!(4 * STANZA_BYTES as usize <= INBOX_BYTES);

/// Items of an inbox that are run before others have their turn.
pub const INBOX_TURN: usize = 256;

const _: () = assert!(INBOX_TURN <= INBOX_STANZAS);

/// Bytes of stanzas that are, unless half a session's queue is less: clients are written to between two turns, and those that read must
/// never owe more than their queues take, all fifty of an account together.
pub const INBOX_TURN_BYTES: usize = 64 * 1024;

/// Reading what an account keeps: so often in all, with `LOAD_AGAIN` between, while somebody is signed in. Then its streams end.
pub const LOAD_TRIES: u8 = 3;
/// See `LOAD_TRIES`.
pub const LOAD_AGAIN: Duration = Duration::from_secs(1);

// A session learns of it sooner than somebody who signs in gives up.
const _: () = assert!(LOAD_TRIES as u64 * LOAD_AGAIN.as_secs() < NEGOTIATION.as_secs());

/// Offering a batch to a store that is busy: so often in all, with `OFFER_AGAIN` between. Together as long as anybody waits for an answer.
pub const OFFERS: u8 = 50;
/// See `OFFERS`.
pub const OFFER_AGAIN: Duration = Duration::from_millis(200);

const _: () = assert!(OFFERS as u128 * OFFER_AGAIN.as_millis() <= FLOW_PATIENCE.as_millis());

/// How long an account stays in memory that nobody is signed in to: whoever comes back after the network was away needs no reading.
pub const ACCOUNT_IDLE: Duration = Duration::from_secs(60);

/// Accounts of one shard that stay for that reason. Beyond it those go that have been idle for longest.
pub const ACCOUNTS_IDLE_MAX: usize = 4096;

/// Idle accounts among which one is looked for that can leave memory: those that wait for contacts do so for a turn or two, and are few.
pub const IDLE_LOOK: usize = 64;

/// How long one session that does not read may hold up another that writes to it, at most. Then it is looked at how much it took: with less
/// than `FLOW_READ_BYTES` it ends. A person waits so long for a message to go out, and no longer.
pub const FLOW_PATIENCE: Duration = Duration::from_secs(10);

/// See `FLOW_PATIENCE`: 4 KiB a second. The slowest links in use are several times as fast, and a byte now and then is no reading.
pub const FLOW_READ_BYTES: usize = 40 * 1024;

const _: () = assert!(FLOW_READ_BYTES as u64 == 4 * 1024 * FLOW_PATIENCE.as_secs());
const _: () = assert!(FLOW_READ_BYTES < SESSION_QUEUE_BYTES / 2);

/// How long a client that has been sent most of what it is owed, but is not read because it waits itself, is not judged by what it
/// acknowledges: what it waits for goes on after `FLOW_PATIENCE`, and it may wait for several.
pub const FLOW_UNHEARD: Duration = Duration::from_secs(30);

/// How long those who are told to wait may not have heard. What they sent meanwhile, and what is sent to who reads at that rate, is taken
/// beyond the session's own bound, up to that of its account. News crosses shards within a turn or two, which are milliseconds.
pub const FLOW_NEWS: Duration = Duration::from_secs(1);

const _: () = assert!(FLOW_NEWS.as_secs() < FLOW_PATIENCE.as_secs());

/// Sessions of which the last presence waits for one that has much to read: more than are ever there for one person. One more ends that
/// session, whose client learns anew who is there.
pub const LATE_PRESENCES: usize = 16_384;

/// Bytes that these may have of all sessions of one account: as many of the longest as anybody has devices. Beyond it only whether they are
/// there is told. One copy serves all whom it waits for.
pub const LATE_SENDER_BYTES: usize = 16 * PRESENCE_BYTES;

/// Who sent what is in a session's queue is counted from here on: a queue that is emptied each turn rarely has as much.
pub const DEBT_FLOOR: usize = 16 * 1024;

/// Bytes on the way from one shard to another that were not taken in. Over half of it, all wait that feed it, until a quarter is left. As many
/// turns of what is taken in at a time as hide that it takes a turn to say so, and no more: what is on its way when somebody is told to wait
/// must still find room where it goes.
pub const WAY_BYTES: usize = 4 * 1024 * 1024;

/// Bytes that one account may have on it; over it, its sessions wait that feed it, until half is left. Four such accounts fill the half over
/// which others have to wait, so that none does alone.
pub const WAY_ACCOUNT_BYTES: usize = 512 * 1024;

/// It is said so often what was taken in.
pub const WAY_TAKEN_BYTES: usize = 128 * 1024;

/// Stanzas of one session with stream management of which it is not known yet what became: beyond it the session is read no further, until
/// half of them are settled. As many as a fast client sends while a slow disk writes once.
pub const UNSETTLED_MAX: usize = 1024;

/// What became of stanzas is said again so soon to a shard to which the way was full. Nobody loses anything by it, but clients wait.
pub const RECEIPTS_AGAIN: Duration = Duration::from_millis(50);

const _: () = assert!(4 * WAY_ACCOUNT_BYTES <= WAY_BYTES / 2);
const _: () = assert!(STANZA_BYTES as usize <= WAY_ACCOUNT_BYTES);
// What is taken in and not said yet keeps nobody waiting.
const _: () = assert!(2 * WAY_TAKEN_BYTES <= WAY_ACCOUNT_BYTES / 2);
const _: () = assert!(WAY_TAKEN_BYTES < WAY_BYTES / 4);

// -- Stream management

/// Bytes of what one client has not acknowledged, or of what waits for one that is asleep (`smacks_max_queue_size` is how many stanzas): as
/// much as may be unread.
pub const SM_QUEUE_BYTES: usize = SESSION_QUEUE_BYTES;

/// After so long it is looked again whether a client has answered, where its stream could not be read.
pub const SM_ACK_AGAIN: Duration = Duration::from_secs(1);

/// Bytes of what waits for all sessions of one shard that are asleep: sixteen that are full. Beyond it those go whose clients have been away for
/// longest, and what waited for them is kept on disk.
pub const SM_ASLEEP_BYTES: usize = 16 * SM_QUEUE_BYTES;

/// Characters of the id of a session by which it is found, of 22. Who times that learns 24 bits of 128, and of its own account's sessions only.
pub const SM_ID_TOLD: usize = 4;

// -- What an administrator gets who says nothing

/// `Limits::session_queue_bytes`.
pub const SESSION_QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// `Limits::account_queue_bytes`.
const ACCOUNT_QUEUE_BYTES: usize = 4 * SESSION_QUEUE_BYTES;
/// `Limits::c2s_stanza_bytes`.
const STANZA_BYTES: u32 = 256 * 1024;
/// `Limits::unauthenticated_element_bytes`.
const UNAUTHENTICATED_ELEMENT_BYTES: u32 = 16 * 1024;
/// `Limits::unauthenticated_stream_bytes`.
const UNAUTHENTICATED_STREAM_BYTES: u32 = 64 * 1024;
/// `Limits::negotiation`.
const NEGOTIATION: Duration = Duration::from_secs(60);
/// `Limits::sasl_delay`.
const SASL_DELAY: Duration = Duration::from_secs(5);
/// `Limits::close`.
pub const CLOSE: Duration = Duration::from_secs(5);

// A stanza finds room in a queue that has nothing else, whatever became of it on its way. What an administrator says of the two is
// compared in `read_queues`, but for what a stanza may grow by: an empty queue takes one of any length.
const _: () =
    assert!(2 * STANZA_BYTES as usize + GROWTH + ADDRESSES_BYTES <= SESSION_QUEUE_BYTES / 2);

// A sign-in by PLAIN with the longest names and password, in base64, and three elements in all.
const _: () = assert!(
    (2047 + 1 + 1023 + 1 + PASSWORD_BYTES).div_ceil(3) * 4 + 256
        <= UNAUTHENTICATED_ELEMENT_BYTES as usize
);
const _: () = assert!(3 * UNAUTHENTICATED_ELEMENT_BYTES <= UNAUTHENTICATED_STREAM_BYTES);

/// Of so many parts of `Limits::negotiation`, one is the longest that a held-up sign-in may be answered late.
const SASL_DELAY_PART: u32 = 12;

// So many answers that are late fit into the half that TLS leaves, and end the stream before its time does.
const _: () = assert!(2 * (*SASL_FAILURES_PER_STREAM.end() as u32) < SASL_DELAY_PART);
const _: () = assert!(SASL_DELAY.as_secs() * SASL_DELAY_PART as u64 <= NEGOTIATION.as_secs());

/// The bounds of one server. `Default` is what an administrator gets who says nothing, `read` (in `options.rs`) what one gets who does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of one stanza from a client (`c2s_stanza_size_limit`). Prosody's default; RFC 6120 §13.12 asks for at least
    /// 10,000. Advertised by XEP-0478.
    pub c2s_stanza_bytes: u32,
    /// Bytes of one element before authentication: the longest legitimate one is a SASL
    /// response of a few hundred.
    pub unauthenticated_element_bytes: u32,
    /// Bytes of a whole stream before authentication. A sign-in takes three.
    pub unauthenticated_stream_bytes: u32,
    /// Open elements at a time, the stanza itself counted. The deepest stanza seen in practice has about ten.
    pub depth: u16,
    /// The same before authentication, where nothing nests deeper than two.
    pub unauthenticated_depth: u16,
    /// Attributes of one element, namespace declarations not counted.
    pub attributes: u16,
    /// Namespace declarations of one element.
    pub declarations: u16,
    /// Bytes of one element or attribute name, prefix included.
    pub name_bytes: u16,
    /// Elements of one stanza: keeps a stanza of `<a/><a/>…` from costing more than its bytes suggest.
    pub elements: u32,
    /// Passwords on one stream that were wrong or held up (`sasl_failures_per_stream`). RFC 6120 §6.4.5 recommends 2 to 5, and to
    /// let administrators choose. What fails earlier has a count of its own: `SASL_NEGOTIATIONS_MAX`.
    pub sasl_failures: u8,
    /// Wrong passwords from one address, an IPv6 /64 being one, that are answered as such before the others have to wait
    /// (`sasl_failures_per_address`); 0 for any number. Twenty is four streams full: a household's worth of typing errors.
    pub sasl_failures_per_address: u32,
    /// The same for one account, whether there is such an account or not (`sasl_failures_per_account`).
    pub sasl_failures_per_account: u32,
    /// How soon one of these failures is forgiven (`sasl_failure_forgiven_after`). With a quarter of a minute all twenty are in
    /// five minutes, and whoever goes on guessing gets 240 answers an hour where unthrottled it would be millions.
    pub sasl_failure_forgiven_after: Duration,
    /// Addresses whose own failures are not counted, because many people share them: a proxy in front of the server
    /// (`unlimited_addresses`, in the manner of Prosody's `unlimited_jids`).
    pub unlimited_addresses: Vec<Network>,
    /// Accounts that strangers at one address may try to make in `registration_period` (`registration_throttle_max`); 0 for any number.
    /// Five are a household.
    pub registrations_per_address: u32,
    /// The same of all addresses together (`registration_throttle_total`): who has many addresses has no more.
    pub registrations: u32,
    /// See `registrations_per_address` (`registration_throttle_period`).
    pub registration_period: Duration,
    /// How late a held-up sign-in is answered. Slows a client that tries again at once down; four such answers and the fifth,
    /// which ends the stream, fit `negotiation`, however short that is.
    pub sasl_delay: Duration,
    /// Attempts to bind a resource after one was refused. RFC 6120 §7.7.3 recommends 5 to 10.
    pub bind_retries: u8,
    /// From accept to an authenticated stream (`c2s_timeout`). `Deviation:` Prosody gives five minutes; a minute is
    /// ample for a person behind a slow link and five times cheaper to wait out.
    pub negotiation: Duration,
    /// From accept to TLS where encryption is required: leaves half of `negotiation` for SASL.
    pub until_tls: Duration,
    /// After `</stream:stream>`, for the peer's own (`c2s_close_timeout`).
    pub close: Duration,
    /// Silence after which a white space keepalive is sent, so that TCP finds a dead peer (RFC 6120 §4.6.1). Fourteen
    /// minutes, as Prosody: below the quarter of an hour after which many NATs forget a connection.
    pub idle: Duration,
    /// Bytes a session's peer may leave unread (`c2s_queue_size_limit`). Over half of it, who writes to the
    /// session waits, for `FLOW_PATIENCE` at most; beyond it the session is closed.
    pub session_queue_bytes: usize,
    /// Bytes that the peers of all sessions of one account may leave unread (`c2s_account_queue_size_limit`). Beyond it the session with the
    /// longest queue is closed: else fifty clients of one account that read nothing would take fifty times as much. And what the clients of one
    /// account may have sent that others have not read, for each shard of those.
    pub account_queue_bytes: usize,
    /// How fast a client may send (`limits`); `None` is as fast as it can. Counted below TLS and not before it, from the first byte to the last.
    pub c2s_rate: Option<Rate>,
    /// The same of another server, on each stream that it opened, once it has proven a domain (`limits`). Before that all that it sends is
    /// bounded.
    pub s2s_rate: Option<Rate>,
    /// Sessions of one account (`max_sessions_per_account`, RFC 6120 §13.12). More than anybody has devices; bounds the cost of a
    /// message to a bare JID.
    pub sessions_per_account: usize,
    /// Full JIDs that one session has sent directed presence to and that must hear of its end (RFC 6121 §4.6.3).
    pub directed_presence: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            c2s_stanza_bytes: STANZA_BYTES,
            unauthenticated_element_bytes: UNAUTHENTICATED_ELEMENT_BYTES,
            unauthenticated_stream_bytes: UNAUTHENTICATED_STREAM_BYTES,
            depth: 64,
            unauthenticated_depth: 8,
            attributes: 128,
            declarations: 64,
            name_bytes: 1024,
            elements: 10_000,
            sasl_failures: 5,
            sasl_failures_per_address: 20,
            sasl_failures_per_account: 20,
            registrations_per_address: 5,
            registrations: 100,
            registration_period: Duration::from_secs(60 * 60),
            sasl_failure_forgiven_after: Duration::from_secs(15),
            unlimited_addresses: Vec::new(),
            sasl_delay: SASL_DELAY,
            bind_retries: 5,
            negotiation: NEGOTIATION,
            until_tls: Duration::from_secs(NEGOTIATION.as_secs() / 2),
            close: CLOSE,
            idle: Duration::from_secs(14 * 60),
            session_queue_bytes: SESSION_QUEUE_BYTES,
            account_queue_bytes: ACCOUNT_QUEUE_BYTES,
            c2s_rate: None,
            s2s_rate: None,
            sessions_per_account: 50,
            directed_presence: 1000,
        }
    }
}

// -- Storage: what a batch and an answer may be

/// Operations in one batch; of an append each entry counts.
pub const STORE_BATCH_OPS: usize = 512;

/// Bytes in one batch of several operations. It is one part of a group, and those in the same group wait for it.
pub const STORE_BATCH_BYTES: usize = 1024 * 1024;

/// Bytes in a batch of one operation: the longest stanza that `c2s_stanza_size_limit` can be set to let in, 4 MiB, grown to twice its
/// length on its way (`GROWTH`), with its addresses.
pub const STORE_ALONE_BYTES: usize = 8 * 1024 * 1024 + 64 * 1024;

/// Batches for which all shards together have credit. At 10,000 rows a second this is under two seconds of work: whoever
/// waits longer had better be told.
pub const STORE_QUEUE_BATCHES: usize = 16_384;

/// Bytes of these batches, unless there are so many shards that each would have less than one batch: a queue full of the longest
/// stanzas must not fill the memory.
pub const STORE_QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// What a shard may have under way in the store, from `Action::Store` to `Input::Stored`: batches, and the bytes that `Batch::weight`
/// tells. A shard that has not used up either may send one more batch, whatever it is; then it has. Loads and commands ask for no
/// credit, but count.
///
/// The queue of a shell has `room_for` all of that, so no shard that heeds its credit is answered `StoreError::Busy` for want of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StoreCredit {
    /// So many batches.
    pub batches: usize,
    /// So many bytes in them.
    pub bytes: usize,
}

impl StoreCredit {
    /// Of each of so many shards.
    #[must_use]
    pub const fn of_one(shards: u16) -> Self {
        let shards = at_least(shards as usize, 1);
        Self {
            batches: at_least(STORE_QUEUE_BATCHES / shards, 1),
            bytes: at_least(STORE_QUEUE_BYTES / shards, STORE_BATCH_BYTES),
        }
    }

    /// What the queue for so many shards must hold: the credit of all, for each the longest batch beyond it, and as many loads and
    /// commands as batches that ask for credit.
    #[must_use]
    pub const fn room_for(shards: u16) -> Self {
        let one = Self::of_one(shards);
        let shards = at_least(shards as usize, 1);
        Self {
            batches: one.batches.saturating_mul(2).saturating_mul(shards),
            bytes: one
                .bytes
                .saturating_add(STORE_ALONE_BYTES)
                .saturating_mul(shards),
        }
    }
}

const fn at_least(number: usize, least: usize) -> usize {
    if number < least { least } else { number }
}

const _: () = assert!(STORE_BATCH_BYTES <= STORE_ALONE_BYTES);
// Every shard may go one batch beyond its credit, and there is room.
const _: () = assert!(StoreCredit::room_for(1).batches > StoreCredit::of_one(1).batches);
const _: () =
    assert!(StoreCredit::room_for(1).bytes >= StoreCredit::of_one(1).bytes + STORE_ALONE_BYTES);

/// Rows in one answer to `Op::List`, and rows that one `Op::DeletePrefix` forgets: about a millisecond of work.
pub const STORE_LIST_ROWS: u32 = 512;

/// Bytes in one answer to `Op::List`. One row is always given.
pub const STORE_LIST_BYTES: usize = 256 * 1024;

/// Entries in one page of a log. As many as clients ask for, and more.
pub const STORE_PAGE_ENTRIES: u32 = 256;

/// Bytes in one page of a log. One entry is always given.
pub const STORE_PAGE_BYTES: usize = 1024 * 1024;

/// Entries that one `Op::Trim` takes: two milliseconds of the writer's time, which others wait for.
pub const STORE_TRIM_ENTRIES: u32 = 500;

/// Rows that one owner may have in tables that are loaded. Contacts, blocked addresses and the like have bounds far below it.
pub const STORE_LOAD_ROWS: usize = 16_384;

/// Bytes in them.
pub const STORE_LOAD_BYTES: usize = 8 * 1024 * 1024;

/// Entries owed to one owner. Over it, or over `STORE_OWED_BYTES`, nothing more is taken for somebody who is away; a load counts no
/// further, which takes it five milliseconds of a reader's time at most.
pub const STORE_OWED_ENTRIES: u32 = 5000;

/// Bytes of their payloads.
pub const STORE_OWED_BYTES: usize = 16 * 1024 * 1024;

/// Owners that one `Op::Sweep` looks at: about two milliseconds of the writer's time.
pub const STORE_SWEEP_OWNERS: u32 = 512;

/// Accounts that lack keys are counted up to here: who is told of them does not need to know more.
pub const CENSUS_MAX: u32 = 1000;

/// How often they are counted. Whoever was the last of them has other keys by then, and all are offered what all can use.
pub const CENSUS_EVERY: Duration = Duration::from_secs(60 * 60);

/// How soon again, if the store could not, or another shard could not be told.
pub const CENSUS_AGAIN: Duration = Duration::from_secs(10);

/// When what is kept too long is looked for first, after the start: sign-ins come first then.
pub const RETENTION_FIRST: Duration = Duration::from_secs(5 * 60);

/// How long after such a pass the next begins.
pub const RETENTION_EVERY: Duration = Duration::from_secs(60 * 60);

/// How long after one that failed. Whatever is wrong with the store has been said by then.
pub const RETENTION_AGAIN: Duration = Duration::from_secs(10 * 60);

/// Of so many parts of what an archive may hold, one may be appended before it is measured again (`archive::Bounds`). To measure a million
/// takes a second of a reader's time, so each of the 60,000 messages in between pays for it as for a tenth of an append.
pub const ARCHIVE_OVER_PART: u64 = 16;

/// Messages that are counted before the count is kept. One in so many appends costs one row more.
pub const ARCHIVE_COUNTED_MESSAGES: u64 = 64;

/// Bytes likewise.
pub const ARCHIVE_COUNTED_BYTES: u64 = 256 * 1024;

/// Operations that one call makes by which an account takes what another sent it: a contact, the version of the roster, a request, what is
/// unsaid, two at most of each.
pub const CALL_OPS: usize = 8;

/// Contacts of which an account takes leave in one batch: a contact, what is unsaid and a request of each, and the version of the roster.
pub const LEAVE_TURN: usize = 48;

const _: () = assert!(LEAVE_TURN * CALL_OPS <= STORE_BATCH_OPS);
const _: () = assert!(LEAVE_TURN < ROSTER_UNSAID_CONTACTS);

/// How long an account that is to be deleted waits for its contacts before it tells them again, and how often it does. They are accounts of
/// this server, which need as long as the store does.
pub const LEAVE_AGAIN: Duration = Duration::from_secs(5);
/// See `LEAVE_AGAIN`.
pub const LEAVE_TRIES: u8 = 6;

/// Bytes of these: two requests and a contact, as long as they can be.
pub const CALL_BYTES: usize = 256 * 1024;

const _: () = assert!(CALL_OPS < STORE_BATCH_OPS / 2);
const _: () = assert!(
    4 * (2 * PRESENCE_BYTES + GROWTH + ADDRESSES_BYTES)
        + ROSTER_NAME_BYTES
        + 2 * ROSTER_GROUPS * (ROSTER_GROUP_BYTES + 3)
        < CALL_BYTES + 8 * 1024
);

// -- Rosters

/// Bytes of what a user calls a contact. RFC 6121 §2.1.2.4 likens it to a resourcepart, which has no more (RFC 7622 §3.1).
pub const ROSTER_NAME_BYTES: usize = 1023;

/// Bytes of the name of a group, likewise (RFC 6121 §2.1.2.6).
pub const ROSTER_GROUP_BYTES: usize = 1023;

/// Groups of one contact. People use one or two; each is compared with the others and sent to each client with every change.
pub const ROSTER_GROUPS: usize = 64;

/// Bytes of all contacts together, as they are sent to a client that asks for its roster. How many contacts there may be is for an
/// administrator to say; this is what each takes: two kilobytes of a thousand, where a hundred bytes are usual. Whoever has more, from
/// elsewhere, keeps it and can add nothing.
pub const ROSTER_BYTES: usize = 2 * 1024 * 1024;

// A client that has read what came before is never taken for one that does not read, because it asks for its roster: the rest is for an
// `id` as long as a stanza and for what others send meanwhile.
const _: () = assert!(2 * ROSTER_BYTES <= SESSION_QUEUE_BYTES);

// It can be loaded: in JSON a group takes at most twice its bytes, and one half is left for other tables.
const _: () = assert!(2 * 2 * ROSTER_BYTES <= STORE_LOAD_BYTES);

// One contact takes no more than a change may.
const _: () = assert!(
    2 * 1024 + ROSTER_NAME_BYTES + 2 * ROSTER_GROUPS * (ROSTER_GROUP_BYTES + 3) < STORE_BATCH_BYTES
);

/// Bytes of all requests of others that wait for one account's answer. Who has no room for one more hears nothing of it (RFC 6121 §3.1.3
/// has us limit what strangers can make us keep); how many there may be is for an administrator to say (`roster_max_requests`).
pub const ROSTER_REQUESTS_BYTES: usize = 1024 * 1024;

/// Contacts to which one account may have something unsaid at a time. Whatever is said is settled within a turn or two, unless the
/// contact's account cannot be read; one more is refused with `resource-constraint`.
pub const ROSTER_UNSAID_CONTACTS: usize = 256;

/// Bytes of that.
pub const ROSTER_UNSAID_BYTES: usize = 512 * 1024;

// -- Blocklists

/// Addresses in one request to block or unblock. Clients send one, or what a user has marked. Each is a row of a batch, and half a batch is
/// left for what else comes of the request.
pub const BLOCKLIST_REQUEST_ITEMS: usize = 256;

/// Bytes of all addresses together that an account blocks: a hundred and thirty for each of as many as an administrator can allow, where
/// thirty are usual.
pub const BLOCKLIST_BYTES: usize = 256 * 1024;

// A request is one batch; to unblock all is one, however many there are.
const _: () = assert!(2 * BLOCKLIST_REQUEST_ITEMS <= STORE_BATCH_OPS);
const _: () = assert!(STORE_LOAD_ROWS.div_ceil(STORE_LIST_ROWS as usize) < STORE_BATCH_OPS);
// An operation is some dozens of bytes beside its row.
const _: () = assert!(2 * BLOCKLIST_BYTES + BLOCKLIST_REQUEST_ITEMS * 1024 < STORE_BATCH_BYTES);

// A client that has read what came before is never taken for one that does not read, because it asks for its list: a byte becomes six at
// most when it is escaped.
const _: () = assert!(
    6 * BLOCKLIST_BYTES + *BLOCKLIST_ITEMS.end() * "<item jid=''/>".len() < SESSION_QUEUE_BYTES / 2
);

// All of it can be loaded together.
const _: () = assert!(
    2 * ROSTER_BYTES + ROSTER_REQUESTS_BYTES + ROSTER_UNSAID_BYTES + 2 * BLOCKLIST_BYTES
        < STORE_LOAD_BYTES
);

/// Addresses in a user's archiving preferences (XEP-0441), and bytes of all of them: they are in memory as long as the account is, and
/// are set in one batch. Nobody writes down as many by hand.
pub const ARCHIVE_RULES: usize = 500;
/// See `ARCHIVE_RULES`.
pub const ARCHIVE_RULES_BYTES: usize = 256 * 1024;

// The batch deletes all that were there, and puts the policy and each rule.
const _: () = assert!(ARCHIVE_RULES + 2 <= STORE_BATCH_OPS);
const _: () = assert!(ARCHIVE_RULES <= STORE_LIST_ROWS as usize);
const _: () = assert!(2 * ARCHIVE_RULES_BYTES + ARCHIVE_RULES * 1024 <= STORE_BATCH_BYTES);

/// Entries in one page of an archive's query that a client names by their ids.
pub const ARCHIVE_IDS: usize = STORE_PAGE_ENTRIES as usize;

/// Bytes of a query's `queryid`: it is sent with each entry of the page. Those of clients have a few dozen.
pub const ARCHIVE_QUERYID_BYTES: usize = 1024;

/// Messages that wait for a session which is still told what came while nobody was there: not kept, or others of its account have them
/// already. One more is refused; a copy of what another session of its account sends ends it.
pub const CATCHING_UP_STANZAS: usize = 1024;
/// Bytes of these.
pub const CATCHING_UP_BYTES: usize = 1024 * 1024;

/// Bytes of all that waits for such a session, presence of contacts and answers among it, as much as its queue takes. It ends beyond that.
pub const CATCHING_UP_TOLD_BYTES: usize = SESSION_QUEUE_BYTES;

/// Answers of its archive that wait for such a session, if it acknowledges: it is read meanwhile, because that it has what waited stands
/// behind what it asked. What it asks beyond these is refused.
pub const CATCHING_UP_PAGES: usize = 4;

/// Ranges of its archive of which it is remembered that a session was sent them: a client that pages through it makes one.
pub const FETCHED_RANGES: usize = 8;

/// Messages of an account of which it is remembered that there were copies (XEP-0280 §6.1: errors that answer them are copied, too):
/// who answers with an error does so within a few round trips.
pub const CARBONS_SENT: usize = 64;

// -- Clients that nobody looks at

/// Bytes of what waits for one of them (`csi_queue_size` is how many stanzas): presence of a hundred and sixty contacts with their
/// capabilities. One more stanza, and all of it is told. It is kept as long as the client sleeps, and sent when that wakes up.
pub const CSI_QUEUE_BYTES: usize = 64 * 1024;

// -- Private XML and cards

/// Elements in one request to keep private XML: one is usual. A call makes no more changes (`CALL_OPS`).
pub const PRIVATE_SET_ITEMS: usize = CALL_OPS;

/// Bytes of these with their keys.
pub const PRIVATE_SET_BYTES: usize = CALL_BYTES - 8 * 1024;

/// Bytes of the namespace and the name by which an element is known. Names of namespaces are addresses; each is a key of the database.
pub const PRIVATE_KEY_BYTES: usize = 1024;

/// Bytes of all private XML that an account keeps: bookmarks and notes of thousands take some hundred kilobytes. All of it is read before
/// more is taken. Whoever has more, from elsewhere, keeps it and can add nothing.
pub const PRIVATE_BYTES: usize = 1024 * 1024;

/// Bytes of a card. XEP-0153 wants pictures below eight kilobytes; people have larger ones, and everybody may ask for them with a hundred bytes.
pub const VCARD_BYTES: usize = 128 * 1024;

/// Characters of a password that people choose themselves, at least (RFC 6120 §13.9.4: "minimal criteria for password strength"): whoever guesses online
/// gets twenty answers for an account (`sasl_failures_per_account`). An administrator may set a shorter one.
pub const PASSWORD_CHARS_MIN: usize = 6;

/// Others who may be reading one account's card at a time, on its shard: its owner's changes wait for them, a millisecond at most for each.
pub const CARD_READS: u16 = 16;

const _: () = assert!(PRIVATE_SET_BYTES <= PRIVATE_BYTES && VCARD_BYTES < CALL_BYTES);
const _: () = assert!(PRIVATE_KEY_BYTES * PRIVATE_SET_ITEMS < PRIVATE_SET_BYTES);
