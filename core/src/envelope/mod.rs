//! What one shard tells another: one way, addressed by place, never a question.

pub mod placement;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::arena::Key;
use crate::federation::{Claim, Verified};
use crate::jid::{BareJid, Domain, Jid};
use crate::sasl::{AddressPrint, Hashes};
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
    /// A session that waited for a connection of the sending shard, or the way from there, need not any more. One that gets lost costs as long as it would have waited at
    /// most.
    Go(Box<Feeding>),
    /// What became of stanzas that sessions of the receiving shard sent, as far as the sending shard had to do with it: behind all that this
    /// turn says. None gets lost: what comes back is said again.
    Handled(Vec<Sent>),
    /// An account of this host was admitted that cannot sign in by these hashes. What comes back is said again.
    Lacking(Domain, Hashes),
    /// A stranger tries to make an account: counted for its address, if that is counted, by every shard. One that gets lost is counted where
    /// it happened only.
    Registration(Option<AddressPrint>),
    /// An account of the sending shard has on disk what one of the receiving shard told it. One that gets lost costs that the other says it
    /// once more.
    Settled(Box<Settled>),
    /// A sign-in failed: counted for its address by every shard. One that gets lost, because the way is full, is counted where it
    /// happened only.
    SignInFailed(AddressPrint),
    /// A session of the receiving shard writes to a connection of the sending one faster than that is read, or has more answered than the
    /// way back takes: it is to wait.
    Slow(Box<Feeding>),
    /// A domain of the receiving shard has proven itself to this one of ours. One that gets lost costs the rest of a wait.
    Heard(Box<(Domain, Domain)>),
    /// A domain of the receiving shard has answered something, perhaps a ping. One that gets lost costs that it is pinged again.
    Pong(Box<Pong>),
    /// A key that was shown to a stream of the sending shard, for a domain of the receiving one: its servers are to be asked, by whoever is
    /// at that address. What comes back is
    /// answered for.
    Verify(Box<(Asker, Claim, Option<AddressPrint>)>),
    /// What is known of a key that a stream of the receiving shard asked about. What comes back is said again.
    Verified(Box<(Asker, Claim, Verified)>),
    /// So many bytes of what the receiving shard has sent were taken in. If it gets lost, they are said with the next.
    Taken(usize),
}

/// A stanza on its way, shared by all who get it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `from` is set.
    pub stanza: Arc<Stanza>,
    /// Whom it is for.
    pub to: To,
    /// By which its sender hears what became of it, if it wants to know.
    pub receipt: Option<Receipt>,
}

/// An answer of a remote domain itself to one of ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pong {
    /// The domain of ours.
    pub ours: Domain,
    /// The one that answers.
    pub theirs: Domain,
    /// The id of what was asked.
    pub id: Box<str>,
}

/// A stream that other servers opened, to which a key was shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Asker {
    /// Its shard.
    pub place: Place,
    /// Its connection there.
    pub conn: Key,
}

/// Who wants to know what becomes of a stanza.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Receipt {
    /// An account, which told a contact something about a subscription: it says it again until the contact has it on disk.
    Said(Told),
    /// A session with stream management, which sent a message: it is said once, and answered for whatever becomes of it.
    Sent(Sent),
}

/// Tells one stanza that an account told a contact, as long as that account is in memory, from every other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Told(pub u64);

/// One stanza of a session with stream management, or of another server, by what its shard finds it with. Whoever has one answers for a part of what becomes
/// of the stanza, and says once that it is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sent {
    /// Who sent it.
    pub by: Sender,
    /// Which of the stanzas it was that the sender sent.
    pub number: u32,
    /// The shard.
    pub place: Place,
}

/// Who counts what it sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sender {
    /// A session.
    Session {
        /// Its account in the memory of its shard: dead once that is dropped.
        account: Key,
        /// The session, among all that this account has and had in memory.
        session: u64,
    },
    /// Another server, on this connection.
    Server(Key),
}

/// That a stanza has done what it does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settled {
    /// The account that sent it.
    pub account: BareJid,
    /// The account that got it.
    pub contact: BareJid,
    /// Which it was.
    pub receipt: Told,
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
            receipt: None,
        }
    }

    /// A stanza that the server tells each of these.
    #[must_use]
    pub const fn each(stanza: Arc<Stanza>, to: Vec<Jid>) -> Self {
        Self {
            stanza,
            to: To::Each(to),
            receipt: None,
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

    const fn copies(&self) -> usize {
        match &self.to {
            To::Named => 1,
            To::Each(jids) => jids.len(),
        }
    }
}

impl Body {
    /// About how many bytes it keeps alive: what its parts share is counted once. Else whoever tells many of something long would
    /// fill the way for all others with what takes no memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Deliver(deliveries) => deliveries.iter().map(Delivery::weight).sum(),
            Self::Go(_)
            | Self::Lacking(..)
            | Self::Registration(_)
            | Self::SignInFailed(_)
            | Self::Slow(_)
            | Self::Taken(_) => size_of::<Feeding>(),
            Self::Heard(heard) => {
                size_of::<(Domain, Domain)>() + heard.0.as_str().len() + heard.1.as_str().len()
            }
            Self::Pong(pong) => size_of::<Pong>() + pong.id.len(),
            Self::Verify(asked) => {
                size_of::<(Asker, Claim, Option<AddressPrint>)>() + asked.1.size()
            }
            Self::Verified(told) => size_of::<(Asker, Claim, Verified)>() + told.1.size(),
            Self::Handled(handled) => size_of_val(handled.as_slice()),
            Self::Settled(settled) => {
                let addresses = [&settled.account, &settled.contact];
                let addresses = addresses.map(|jid| jid.as_str().len());
                size_of::<Settled>() + addresses.iter().sum::<usize>()
            }
        }
    }

    /// How many stanzas it brings, one for each address.
    #[must_use]
    pub fn copies(&self) -> usize {
        match self {
            Self::Deliver(deliveries) => deliveries.iter().map(Delivery::copies).sum(),
            Self::Go(_)
            | Self::Handled(_)
            | Self::Lacking(..)
            | Self::Registration(_)
            | Self::Settled(_)
            | Self::SignInFailed(_)
            | Self::Slow(_)
            | Self::Heard(_)
            | Self::Pong(_)
            | Self::Verify(_)
            | Self::Verified(_)
            | Self::Taken(_) => 0,
        }
    }
}

/// Who is to wait, and for what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Feeding {
    /// The session that writes, or the account.
    pub feeder: Jid,
    /// What it is to wait for.
    pub awaited: Awaited,
}

/// What somebody waits for who writes faster than it is read.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Awaited {
    /// The card of somebody else, which it has asked for.
    Card,
    /// All connections of the shard that says so: too much of what its account sent was not read.
    Queues,
    /// An account of that shard, which waits for the disk.
    Inbox(Key),
    /// A connection of that shard.
    Reader(Key),
    /// The way from that shard to this one.
    Way(Place),
}
