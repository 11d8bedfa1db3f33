//! How a shard hears from those who are not shards: answers, commands, and that places are needed.

use spondee_core::port::{Command, CommandId, ConnId, DeriveError, Resolved, Ticket};
use spondee_core::sasl::{Judgement, ScramKeys};
use spondee_core::store::{Reply, StoreError};

use crate::tls::Taken;

/// One thing to hear. The shell turns it into the `Input` of the same name, but for a census and a handshake, which are its own affair.
#[derive(Debug)]
pub enum Letter {
    /// Permits have become scarce: it matters who holds them (`Permits::add_thread`).
    Census,
    /// From the control socket.
    Command(CommandId, Command),
    /// From a PBKDF2 worker.
    Derived(Ticket, Result<Vec<ScramKeys>, DeriveError>),
    /// From whoever accepts connections when permits run low.
    Evict(ConnId),
    /// From the thread for handshakes: for `Pump::resume`.
    Handshake(ConnId, Box<Taken>),
    /// From a thread that asked a directory.
    Judged(Ticket, Judgement),
    /// From the thread for names.
    Resolved(Ticket, Resolved),
    /// From a storage thread.
    Stored(Ticket, Result<Vec<Reply>, StoreError>),
}

/// A shard's letter box. `post` takes all letters and wakes the shard's thread at most once.
///
/// Not bounded itself: an answer exists only for a question, and the queues that take questions are bounded; a connection is
/// evicted once, and a census is far from the next.
pub trait Mailbox: Send + Sync + std::fmt::Debug {
    /// Delivers in order.
    fn post(&self, letters: Vec<Letter>);
}
