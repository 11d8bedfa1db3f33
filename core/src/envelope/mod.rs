//! What one shard tells another: one way, addressed by place, never a question.

pub mod placement;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

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
    /// Stanzas for accounts that the receiving shard owns, in the order in which they were said.
    Deliver(Vec<Delivery>),
    /// A session that waited for a connection of the sending shard need not any more. One that gets lost costs as long as it would have waited at
    /// most.
    Go(Box<Feeding>),
    /// A sign-in failed: counted for its address by every shard. One that gets lost, because the way is full, is counted where it
    /// happened only.
    SignInFailed(AddressPrint),
    /// A session of the receiving shard writes to a connection of the sending one faster than that is read: it is to wait.
    Slow(Box<Feeding>),
}

/// A stanza on its way, shared by all who get it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `from` is set.
    pub stanza: Arc<Stanza>,
    /// Whom it is for.
    pub to: To,
}

/// Whom a stanza is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum To {
    /// Whom it names, as its sender wrote it. Who cannot be reached is answered for.
    Named,
    /// Each of these, told by the server. Who cannot be reached need not know.
    Each(Vec<Jid>),
}

impl Delivery {
    /// A stanza to whom it names.
    #[must_use]
    pub fn named(stanza: impl Into<Arc<Stanza>>) -> Self {
        Self {
            stanza: stanza.into(),
            to: To::Named,
        }
    }

    /// About how many bytes it keeps alive.
    #[must_use]
    pub fn weight(&self) -> usize {
        let addresses = match &self.to {
            To::Named => self.stanza.to().map_or(0, |to| to.as_str().len()),
            To::Each(jids) => jids
                .iter()
                .map(|jid| size_of::<Jid>() + jid.as_str().len())
                .sum(),
        };
        size_of::<Stanza>() + self.stanza.size() + addresses
    }
}

impl Body {
    /// About how many bytes it keeps alive: what its parts share is counted once. Else whoever tells many of something long would
    /// fill the way for all others with what takes no memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Deliver(deliveries) => deliveries.iter().map(Delivery::weight).sum(),
            Self::Go(_) | Self::SignInFailed(_) | Self::Slow(_) => size_of::<Feeding>(),
        }
    }
}

/// Who writes to whom, one to one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Feeding {
    /// The session that writes.
    pub feeder: Jid,
    /// The connection that reads, on the shard that sends this.
    pub reader: Key,
}
