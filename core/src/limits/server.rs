//! Streams with other servers: how much of them, and for how long.

use core::time::Duration;

use crate::rate::Rate;

/// Prosody's `s2s_timeout`: from the connection to the first domain that is proven.
pub const S2S_TIMEOUT: Duration = Duration::from_secs(90);

/// Prosody's `s2s_close_timeout`.
pub const S2S_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Prosody's `s2s_send_queue_size`: stanzas that wait for one server of one domain of ours.
pub const S2S_SEND_QUEUE_SIZE: usize = 32_768;

/// How long messages wait for a server that cannot be reached, before their senders are told: a restart, or a short fault of the network.
pub const S2S_RETRY_FOR: Duration = Duration::from_secs(600);

/// How long requests wait, and presence that somebody addressed: who waits for an answer has given up by then.
pub const S2S_REQUEST_PATIENCE: Duration = Duration::from_secs(30);

/// Prosody's `s2s_stanza_size_limit`.
pub const S2S_STANZA_BYTES: u32 = 512 * 1024;

/// All that comes on a stream before anybody is proven: headers, a sign-in, some dozens of claims.
pub const S2S_UNPROVEN_BYTES: u32 = 64 * 1024;

/// One element of those.
pub const S2S_UNPROVEN_ELEMENT_BYTES: u32 = 16 * 1024;

/// Domains proven on one stream, of pairs with ours. Hosts with more open another.
pub const S2S_PAIRS: usize = 50;

/// Claims of one stream about which their servers are being asked.
pub const S2S_CLAIMS: usize = 5;

/// Bytes of a key, and of the id of a stream that it is for. Keys are 64 as XEP-0185 makes them, and those of others not much longer.
pub const DIALBACK_KEY_BYTES: usize = 1024;

/// Streams on which one remote domain has proven itself to one of ours, on each shard. A server has one, and for a while those that it has lost
/// and does not know of; of more than these the one goes that was silent for longest. A stream stays on the shard that accepted it, so of all
/// together there are as many on each.
pub const S2S_STREAMS: usize = 10;

/// Sign-ins of one stream that may fail. Which method a certificate is good for does not change by trying.
pub const S2S_SIGN_IN_FAILURES: u8 = 3;

/// A domain that could not be reached, and of which a server claims to be, is looked for again so long after the last time, whatever else it waits
/// for: two servers that wait for each other's keys would each try while the other waits. A third of `S2S_VERIFY_PATIENCE`, so that the answer is in
/// time; and who claims domains of others has each of them looked for six times a minute at most.
pub const S2S_VERIFY_AGAIN: Duration = Duration::from_secs(10);

/// How long the server of a domain has to say whether a key is its own.
pub const S2S_VERIFY_PATIENCE: Duration = Duration::from_secs(30);

/// Questions about keys that one stream may ask, in place of bytes, and for how long it may be ahead of that: a server asks one for each domain
/// that is shown to it. Beyond it the stream is read no more for a while, so that who makes us hash has the pace of who asks in earnest.
pub const S2S_QUESTIONS: Rate = Rate {
    bytes_per_second: 20,
    burst: Duration::from_secs(1),
};

/// Silence after which a stream is closed in order.
pub const S2S_IDLE: Duration = Duration::from_secs(3600);

/// Stanzas that one stream of ours has written and its peer not confirmed.
pub const S2S_UNCONFIRMED: usize = 2000;

/// Bytes of what waits for one domain, of one domain of ours.
pub const S2S_QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that a stream of ours has ahead of its socket.
pub const S2S_AHEAD_BYTES: usize = 64 * 1024;

/// The first wait for another round, at most; each further one is twice that, up to `S2S_BACKOFF_MAX`.
pub const S2S_BACKOFF: Duration = Duration::from_secs(60);

/// The longest wait for another round.
pub const S2S_BACKOFF_MAX: Duration = Duration::from_secs(900);

/// For how long a domain that is refused for good is not asked again, the first time; twice that each further time, up to `S2S_BACKOFF_MAX`.
pub const S2S_REFUSED_FOR: Duration = Duration::from_secs(60);

/// Domains of which something is known, for each shard. Those that have nothing to say or to wait for make room for others.
pub const S2S_REMOTES: usize = 10_000;

/// Domains that are being reached at a time, for each shard.
pub const S2S_OPENING: usize = 200;

/// Keys of one remote domain that are being asked about: it may open a few streams at a time.
pub const S2S_VERIFICATIONS: usize = 64;

/// How far back a queue is looked through for availability that a later one makes needless.
pub const S2S_PRESENCE_LOOKED_BACK: usize = 256;

/// A stream of ours that has lived so long may end as it likes, and another is opened at once; before, it is a failure, and waited behind.
pub const S2S_LIVED: Duration = Duration::from_secs(30);

/// A peer that does not say for so long what it has, though it was asked, is dead.
pub const S2S_ANSWER: Duration = Duration::from_secs(60);

/// A peer that has not had all is asked again after so long.
pub const S2S_ASK_AGAIN: Duration = Duration::from_secs(2);

/// A peer without stream management is pinged so often at most, while something is not confirmed.
pub const S2S_PING_EVERY: Duration = Duration::from_secs(5);

/// Domains of which nothing is known that all together may name in a minute, on each shard: as many as a large server meets after a restart.
pub const S2S_NEW_DOMAINS: u32 = 600;

/// Those that one account may. Who joins rooms of many servers is done with it in a minute or two.
pub const S2S_NEW_DOMAINS_OF_ACCOUNT: u32 = 20;

/// Those that may be named by keys which are shown from one address, an IPv6 /64 being one: each has us connect to where its DNS says.
pub const S2S_NEW_DOMAINS_OF_ADDRESS: u32 = 10;

/// Bytes of all that waits for other servers, on each shard. Who sends as fast as a client may (`limits`) fills a part of it before it comes back.
pub const S2S_QUEUES_BYTES: usize = 64 * 1024 * 1024;

/// Who looks for an answer so much later than it is due has slept itself, and waits as long once more before a peer is dead.
pub const S2S_LATE: Duration = Duration::from_secs(5);

/// How long somebody waits for a peer to confirm what was sent there, before the disk answers for it. Over a link that is well it takes one round
/// trip, and nothing is written.
pub const S2S_KEPT_AFTER: Duration = Duration::from_secs(2);

/// A store that did not serve a queue is asked again after so long.
pub const S2S_KEPT_AGAIN: Duration = Duration::from_secs(5);

/// Rows of a queue that are read at a time.
pub const S2S_KEPT_PAGE: u32 = 64;

/// Between the looking for one queue that was kept and for the next: twenty domains a second are connected to after a start.
pub const S2S_KEPT_PACE: Duration = Duration::from_millis(50);

/// A message that has waited for more than so many microseconds says since when: a minute, in which nobody wonders.
pub const S2S_DELAYED: i64 = 60_000_000;
