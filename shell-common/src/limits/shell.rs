//! What a shell that waits for sockets itself is bounded by.

use std::time::Duration;

use spondee_core::limits::{
    CLOSE, ENVELOPE_BYTES, FLOW_READ_BYTES, INBOX_BYTES, SESSION_QUEUE_BYTES, WAY_BYTES,
};

use super::CONTROL_CONNECTIONS;
use super::dns::DNS_DESCRIPTORS;

/// Ready sockets read in one turn (the contract of a turn): enough to batch, few enough that an answer waits milliseconds.
pub const READS_PER_TURN: usize = 64;
/// Bytes read from all sockets in one turn, and taken from each way from another shard. What comes of them goes to the sockets of those they
/// are for before anything more is read, so that whoever reads as fast as it comes finds no more than this in its queue: even
/// the shortest stanza, of which five times its length leaves (`from` is stamped), makes a third of `session_queue_bytes`.
pub const TURN_BYTES: usize = 256 * 1024;
const _: () = assert!(3 * 5 * TURN_BYTES <= SESSION_QUEUE_BYTES);
// Of envelopes a few are taken in a turn.
const _: () = assert!(4 * ENVELOPE_BYTES <= TURN_BYTES);
/// Writes to one socket in one turn. It gets all it takes, in rounds with the others that take as much, but not for ever: what is left goes
/// out in the next turn, and this many times `AHEAD_BYTES` are `session_queue_bytes`.
pub const WRITES_PER_TURN: usize = 64;
/// Bytes of one read. Four TLS records; a sender with more to say waits behind the others.
pub const READ_BYTES: usize = 64 * 1024;
/// Ciphertext made ahead of a socket: what one write can be expected to take. The rest stays in the core, which counts it.
pub const AHEAD_BYTES: usize = 64 * 1024;
const _: () = assert!(WRITES_PER_TURN * AHEAD_BYTES >= SESSION_QUEUE_BYTES);
/// Bytes that the kernel takes for a connection beyond what the network has under way. It says that there is room when half of them are
/// gone: often enough in ten seconds that a client which reads 4 KiB a second is seen to.
pub const UNSENT_BYTES: u32 = 32 * 1024;
const _: () = assert!(UNSENT_BYTES as usize <= FLOW_READ_BYTES);
/// Events taken from the poller at once. More stay in the kernel until the next turn.
pub const EVENTS: usize = 256;
/// Connections accepted by one listener in one turn, so that a flood of them does not starve those already there.
pub const ACCEPTS_PER_TURN: usize = 16;
/// The listen queue of each listener (`tcp_backlog`): a burst of reconnecting clients fits while the thread is busy.
pub const BACKLOG: i32 = 1024;
/// How long accepting rests when there are no descriptors left. Clients wait in the listen queue meanwhile.
pub const ACCEPT_REST: Duration = Duration::from_secs(1);
/// How long accepting rests while somebody is being told to make room.
pub const ROOM_REST: Duration = Duration::from_millis(10);
/// Of the permits that members leave, one in so many is kept from strangers: whoever comes when the others are taken finds a
/// place while the oldest of them is on its way out.
pub const PERMIT_RESERVE_PART: usize = 8;
/// The most permits kept so: what a few threads accept in a turn or two. If it is not enough, accepting rests `ROOM_REST`.
pub const PERMIT_RESERVE: usize = 128;
/// The last permits, one in so many and no more than `LAST_PERMITS`, are for strangers alone: when members have all others, nobody
/// is accepted. With only one left to contend for, whoever sits in it could not be told from whoever waits.
pub const LAST_PERMITS_PART: usize = 16;
/// See `LAST_PERMITS_PART`: enough that a crowd from one address is seen to be one.
pub const LAST_PERMITS: usize = 4;
/// How long a stranger who is alone at its address may stay, however few permits are left. A sign-in over a slow network takes
/// this long: without it, the last to come would throw each other out, and nobody would get in.
pub const ALONE: Duration = Duration::from_secs(2);
/// How long the log says nothing more of an address whose strangers make room for others.
pub const MAKES_ROOM_TOLD: Duration = Duration::from_secs(60);
/// Descriptors kept for what is neither a client nor a shard's own: database, log, certificates while they are read, the main
/// thread's poller; two for each connection of the control socket; and those of the thread for names.
pub const RESERVED_DESCRIPTORS: usize = 64 + 2 * CONTROL_CONNECTIONS + DNS_DESCRIPTORS;
/// Descriptors of each shard beside its listeners: its poller and what wakes it.
pub const SHARD_DESCRIPTORS: usize = 2;
/// From the decision to close a connection until its socket is gone: for what is still unwritten, and for the peer's end.
pub const LINGER: Duration = Duration::from_secs(3);
/// From SIGTERM to the end. The core waits `Limits::close` for the peers' `</stream:stream>`, then comes `LINGER`.
pub const SHUTDOWN: Duration = Duration::from_secs(10);
const _: () = assert!(CLOSE.as_secs() + LINGER.as_secs() < SHUTDOWN.as_secs());
/// How often it is looked, once all connections are gone, whether what their sessions had is on the disk: some commits long.
pub const REST_LOOK: Duration = Duration::from_millis(10);
/// Bytes of envelopes on the way from one shard to another: twice what the core has there before all wait that feed it. What goes beyond
/// it waits on the sender's side: one stanza of each who waits, answers to what came before, and what is told of sessions that end.
pub const LANE_BYTES: usize = 8 * 1024 * 1024;
const _: () = assert!(2 * WAY_BYTES <= LANE_BYTES);
const _: () = assert!(16 * TURN_BYTES <= LANE_BYTES);
// What one account refuses for want of room has not filled the way that all share.
const _: () = assert!(8 * INBOX_BYTES <= LANE_BYTES);
/// What an envelope costs beside what it says.
pub const ENVELOPE_COST: usize = 256;

/// How many clients there is room for with so many descriptors, each of the shards with this many listeners.
#[must_use]
pub fn connections(descriptors: usize, shards: usize, listeners: usize) -> usize {
    let reserved = RESERVED_DESCRIPTORS + shards * (SHARD_DESCRIPTORS + listeners);
    descriptors - reserved.min(descriptors / 2)
}

/// Raises the soft limit of open files to the hard one and returns it.
#[must_use]
pub fn raise_descriptors() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Some systems refuse a soft limit above a further bound of theirs; then what was there has to do.
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // `None` is no limit.
    current.map_or(usize::MAX, |count| {
        usize::try_from(count).unwrap_or(usize::MAX)
    })
}

/// Whether a call failed because the process or the system has no descriptors or no memory left, rather than because of one
/// peer.
#[must_use]
pub fn is_exhausted(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}
