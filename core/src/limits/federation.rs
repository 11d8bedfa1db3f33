//! Connections that we open: how many, to how many places, and for how long.

use core::time::Duration;

/// Targets of a domain that are tried in one round. Large services have four or so, and who has more has them for other networks than ours.
pub const ROUND_TARGETS: usize = 8;

/// Addresses of one target: two of each family. More are for the sharing of load, and any of them does.
pub const ROUND_ADDRESSES: usize = 4;

/// Connections that are begun in one round. Whoever runs a domain has us knock at as many doors of others, and no more.
pub const ROUND_CONNECTS: usize = 16;

/// Of these so many at a time (RFC 8305 §5 lets one be begun beside another).
pub const RACE_RUNNERS: usize = 2;

/// The next address is tried beside one that has not answered for so long (RFC 8305 §5: 250 ms is recommended).
pub const RACE_DELAY: Duration = Duration::from_millis(250);

/// One address is given up after so long: three or four SYN segments, of which TCP sends the second after a second, the third after three and the
/// fourth after seven.
pub const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// From an open connection to the features behind TLS: half a dozen round trips of the slowest links, and a handshake of the slowest machines.
/// A server that takes longer would be of no use to anybody.
pub const OPENING_PATIENCE: Duration = Duration::from_secs(20);

/// A round is over after so long (Prosody's `s2s_timeout`): whoever waits for it, a person or a stanza, has waited enough.
pub const ROUND: Duration = Duration::from_secs(90);

// One target that answers nothing does not take all the time there is, nor does one that says nothing.
const _: () = assert!(
    (ROUND_ADDRESSES / RACE_RUNNERS) as u64 * CONNECT_PATIENCE.as_secs()
        + OPENING_PATIENCE.as_secs()
        <= ROUND.as_secs() / 2
);

/// Domains that are being reached at a time for administrators, on each shard: each holds two connections at most, and a person looks at one.
pub const REACHES: usize = 8;

/// Links and streams that each shard tells of at once. A person reads some dozens; a program that counts is told that there are more. With what
/// certificates name, an answer is some megabytes at most.
pub const LINKS_SHOWN: usize = 5_000;

/// Records of one answer of DNS that are told. As many as are looked at in earnest, several times over; DNS itself has room for thousands.
pub const REACH_RECORDS_TOLD: usize = 32;

const _: () = assert!(REACH_RECORDS_TOLD >= ROUND_TARGETS && REACH_RECORDS_TOLD >= ROUND_ADDRESSES);

/// Stream features that are told, and SASL mechanisms: Prosody and ejabberd have a dozen of each.
pub const REACH_FEATURES_TOLD: usize = 64;

/// Bytes of one name, namespace or text of a peer's that is told: a namespace has thirty. With all there may be of them, an answer stays far below
/// what the control socket takes.
pub const REACH_WORD_BYTES: usize = 256;

/// Rules in what explains a verdict on a stream: twice as many as there are today on the longest way to one.
pub const TRAIL_RULES: usize = 12;
