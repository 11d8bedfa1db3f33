//! What comes out.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{CommandId, CommandResult, ConnId, Lookup, Note, Ticket, TlsSide};
use crate::envelope::{Envelope, Place};
use crate::jid::BareJid;
use crate::sasl::DeriveParams;
use crate::secret::Secret;
use crate::store::Batch;

/// What a shell is to do. Drained with `Shard::poll_action` after each batch of inputs.
#[derive(Debug)]
pub enum Action {
    /// The end of a command.
    Answer {
        /// The command.
        id: CommandId,
        /// What came of it.
        result: CommandResult,
    },
    /// Write what `outgoing` still holds, close (TLS with close_notify), then say `Input::Closed`. No more bytes are read.
    Close {
        /// This connection.
        conn: ConnId,
    },
    /// Open a connection. `Input::Connected` follows, or `Input::Closed`. Told to close it before, drop it at once and say so.
    Connect {
        /// Its name from now on.
        conn: ConnId,
        /// Where to.
        to: SocketAddr,
    },
    /// CPU-heavy and pure: PBKDF2 for each job, on a worker. Answered by `Input::Derived`.
    Derive {
        /// For the answer.
        ticket: Ticket,
        /// Prepared password.
        password: Secret,
        /// One job for each hash wanted.
        jobs: Vec<DeriveParams>,
    },
    /// `outgoing(conn)` went from empty to non-empty: once for each batch of inputs, however many stanzas.
    Flush {
        /// This connection.
        conn: ConnId,
    },
    /// Take the connection with `detach` and bring it to `to`, which calls `attach`. If the way is full, leave it and try
    /// again: nothing is read from it meanwhile, and its deadline runs here.
    HandOff {
        /// This connection.
        conn: ConnId,
        /// The shard that owns its account.
        to: Place,
    },
    /// Ask the directory of the account's host whether this is its password. It waits, so somewhere else. Answered by `Input::Judged`.
    Judge {
        /// For the answer.
        ticket: Ticket,
        /// Whose password it is said to be; the directory is asked about the localpart.
        account: BareJid,
        /// Prepared password. Nobody keeps it.
        password: Secret,
    },
    /// For the log and the counters.
    Note(Note),
    /// Stop reading from the peer.
    Pause {
        /// This connection.
        conn: ConnId,
    },
    /// Ask DNS. Answered by `Input::Resolved`.
    Resolve {
        /// For the answer.
        ticket: Ticket,
        /// What is asked.
        lookup: Lookup,
    },
    /// Read again: first what is already decrypted, then the socket until it would block, without waiting for readiness.
    /// Also due after `attach`.
    Resume {
        /// This connection.
        conn: ConnId,
    },
    /// From here on the connection is a member or, its session over, a stranger again; `Close` comes without this. It begins as
    /// a stranger, also after `attach`. For a shell that must choose whom to `Evict`.
    Standing {
        /// This connection.
        conn: ConnId,
        /// What it is now.
        standing: Standing,
    },
    /// Start TLS once every byte queued before is in the socket.
    Secure {
        /// This connection.
        conn: ConnId,
        /// Which side we are.
        side: TlsSide,
        /// What followed `<starttls/>` or `<proceed/>` in the same read: it belongs to TLS, never to the parser.
        behind: Vec<u8>,
    },
    /// Bring this to another shard. First in, first out for each pair.
    Send(Box<Envelope>),
    /// Apply this batch; answered by `Input::Stored`, after the commit if it changes anything.
    Store {
        /// For the answer.
        ticket: Ticket,
        /// The operations.
        batch: Batch,
    },
}

/// Whether a connection is somebody's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It is signed in to an account.
    Member,
    /// It is not, or not any more.
    Stranger,
}

const _: () = assert!(size_of::<Action>() <= 80);
const _: () = assert!(size_of::<super::Input<'static>>() <= 80);
