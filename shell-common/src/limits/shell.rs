//! What a shell that waits for sockets itself is bounded by.

use std::time::Duration;

/// Ready sockets read in one turn (the contract of a turn): enough to batch, few enough that an answer waits milliseconds.
pub const READS_PER_TURN: usize = 64;
/// Bytes read from all sockets in one turn, and taken from each way from another shard. What comes of them goes to the sockets of those they
/// are for before anything more is read, so that whoever reads as fast as it comes finds no more than this in its queue: even
/// the shortest stanza, of which five times its length leaves (`from` is stamped), makes a third of `session_queue_bytes`.
pub const TURN_BYTES: usize = 256 * 1024;
/// Writes to one socket in one turn. It gets all it takes, in rounds with the others that take as much, but not for ever: what is left goes
/// out in the next turn, and this many times `AHEAD_BYTES` are `session_queue_bytes`.
pub const WRITES_PER_TURN: usize = 64;
/// Bytes of one read. Four TLS records; a sender with more to say waits behind the others.
pub const READ_BYTES: usize = 64 * 1024;
/// Ciphertext made ahead of a socket: what one write can be expected to take. The rest stays in the core, which counts it.
pub const AHEAD_BYTES: usize = 64 * 1024;
/// Events taken from the poller at once. More stay in the kernel until the next turn.
pub const EVENTS: usize = 256;
/// Connections accepted by one listener in one turn, so that a flood of them does not starve those already there.
pub const ACCEPTS_PER_TURN: usize = 16;
/// The listen queue of each listener (`tcp_backlog`): a burst of reconnecting clients fits while the thread is busy.
pub const BACKLOG: i32 = 1024;
/// How long accepting rests when there are no descriptors left. Clients wait in the listen queue meanwhile.
pub const ACCEPT_REST: Duration = Duration::from_secs(1);
/// Descriptors kept for what is not a client: listeners, pollers, database, log, control socket.
pub const RESERVED_DESCRIPTORS: usize = 128;
/// From the decision to close a connection until its socket is gone: for what is still unwritten, and for the peer's end.
pub const LINGER: Duration = Duration::from_secs(3);
/// From SIGTERM to the end. The core waits `Limits::close` for the peers' `</stream:stream>`, then comes `LINGER`.
pub const SHUTDOWN: Duration = Duration::from_secs(10);
/// Bytes of envelopes on the way from one shard to another: many times what one turn can read. The first part of the queue;
/// while it is full, the sender's clients are not read.
pub const LANE_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of envelopes that wait on the sender's side for room on that way: what one turn can make of what it read and
/// what earlier turns left incomplete. Beyond it stanzas are refused.
pub const SPILL_BYTES: usize = 32 * 1024 * 1024;
/// What an envelope costs beside the bytes of its stanza.
pub const ENVELOPE_BYTES: usize = 256;

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
