//! Every bound of the protocol core, each with the reason for its default.
//!
//! Bounds of what only a shell has (descriptors, worker queues, sockets a turn) stand in the shells' own `limits`.

use core::time::Duration;

/// Bytes of the nonce a SCRAM client may choose. Clients send 16 to 64; it is kept over a round trip of strangers and sent back
/// to them.
pub const SCRAM_NONCE_BYTES: usize = 256;

/// Bytes of a stream's `xml:lang`. Tags of languages have up to a few dozen; it is written into every stanza of the session, so
/// that a long one would make a stanza cost its receiver many times what it cost its sender.
pub const STREAM_LANG_BYTES: usize = 64;

/// Deadlines looked at in one `Tick`: bounds the work of a turn. What is left is due at once.
pub const TICK_MAX: usize = 1024;

/// Commands that may wait behind one on the same account; one more is answered `Busy`. An administrator's script, not an
/// attacker, makes them.
pub const COMMANDS_WAITING_MAX: usize = 256;

/// Accounts in one page of a list, whatever was asked for: a page is one answer of the store.
pub const LIST_MAX: u32 = 1000;

/// Empty output buffers that a shard keeps for reuse, and the largest worth keeping in bytes: a turn of 64 sockets reuses them
/// all, and an idle shard holds 1 MiB.
pub const SPARE_BUFFERS: usize = 64;
/// See `SPARE_BUFFERS`.
pub const SPARE_CAPACITY: usize = 16 * 1024;
/// Bytes of a new output buffer: the features of a stream, or a few messages.
pub const OUTPUT_CAPACITY: usize = 1024;

/// The bounds of one server. `Default` is what an administrator gets who says nothing.
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
    /// Failed SASL attempts on one stream. RFC 6120 §6.4.5 recommends 2 to 5.
    pub sasl_failures: u8,
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
    /// Bytes a session's peer may leave unread. Beyond it the session is closed: the sender never waits for a receiver.
    pub session_queue_bytes: usize,
    /// Sessions of one account. More than anybody has devices; bounds the cost of a message to a bare JID.
    pub sessions_per_account: usize,
    /// Full JIDs that one session has sent directed presence to and that must hear of its end (RFC 6121 §4.6.3).
    pub directed_presence: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            c2s_stanza_bytes: 256 * 1024,
            unauthenticated_element_bytes: 16 * 1024,
            unauthenticated_stream_bytes: 64 * 1024,
            depth: 64,
            unauthenticated_depth: 8,
            attributes: 128,
            declarations: 64,
            name_bytes: 1024,
            elements: 10_000,
            sasl_failures: 5,
            bind_retries: 5,
            negotiation: Duration::from_secs(60),
            until_tls: Duration::from_secs(30),
            close: Duration::from_secs(5),
            idle: Duration::from_secs(14 * 60),
            session_queue_bytes: 4 * 1024 * 1024,
            sessions_per_account: 50,
            directed_presence: 1000,
        }
    }
}
