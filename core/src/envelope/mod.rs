//! What one shard tells another: one way, addressed by place, never a question.

pub mod placement;

use alloc::boxed::Box;

use crate::arena::Key;
use crate::jid::Jid;
use crate::sasl::AddressPrint;
use crate::stanza::Stanza;

/// A shard of a node. Nothing that may live elsewhere is ever named by a pointer.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The node; 0 is the only one so far.
    pub node: u16,
    /// The shard on it, from 0.
    pub shard: u16,
}

/// The one message type between shards.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The shard that sent it.
    pub from: Place,
    /// The shard it is for.
    pub to: Place,
    /// What it says.
    pub body: Body,
}

/// What an envelope says.
#[derive(Clone, Debug)]
pub enum Body {
    /// A stanza, `from` and `to` set, for an account the receiving shard owns.
    Deliver(Box<Stanza>),
    /// A session that waited for a connection of the sending shard need not any more. One that gets lost costs as long as it would have waited at
    /// most.
    Go(Box<Feeding>),
    /// A sign-in failed: counted for its address by every shard. One that gets lost, because the way is full, is counted where it
    /// happened only.
    SignInFailed(AddressPrint),
    /// A session of the receiving shard writes to a connection of the sending one faster than that is read: it is to wait.
    Slow(Box<Feeding>),
}

/// Who writes to whom, one to one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Feeding {
    /// The session that writes.
    pub feeder: Jid,
    /// The connection that reads, on the shard that sends this.
    pub reader: Key,
}
