//! What a deadline is for.

use crate::account::{AccountKey, SessionKey};
use crate::envelope::Place;
use crate::federation::RoundKey;
use crate::link::RemoteKey;
use crate::port::{ConnId, Ticket};

/// One deadline: what is to be looked at.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Due {
    /// A client that was asked what it has handled: whether it lives.
    Ack(ConnId),
    /// An account whose store did not serve it: it is asked again.
    Account(AccountKey),
    /// Messages that a busy store did not take: they are offered again.
    Appends(Ticket),
    /// What accounts lack to sign in: it is counted, or told where it could not be.
    Census,
    /// What was kept for other servers: the next is looked for.
    Kept,
    /// An account that is being deleted, of which not all contacts have heard: they are told again.
    Leave(AccountKey),
    /// An account that a busy store did not tell what waits: it is asked again.
    Owed(AccountKey),
    /// A domain that is being reached: whether another of its addresses is to be tried.
    Reach(RoundKey),
    /// A session that has much to read: how much it has taken.
    Reader(ConnId),
    /// A remote domain: whether somebody's patience is over, or a wait.
    Remote(RemoteKey),
    /// What is known of keys that streams of another shard asked about, which could not be told: it is told again.
    Verified(Place),
    /// What became of stanzas of another shard, which could not be told: it is told again.
    Receipts(Place),
    /// A session that is asleep: its time is over.
    Resume(AccountKey, SessionKey),
    /// What is kept too long: the next step of looking for it.
    Retention,
    /// The stream on a connection, whatever its state makes of it.
    Stream(ConnId),
}
