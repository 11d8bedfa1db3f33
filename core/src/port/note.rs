//! What the core tells logs and counters: typed, so that tests can assert on it.

use core::net::IpAddr;

use super::ConnId;
use crate::jid::{BareJid, Domain, Jid};
use crate::sasl::{Failure, Mechanism, OfferEmpty};

/// One event. Boxed payloads keep `Action` small.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Note {
    /// An account whose sign-ins failed so often that strangers hear nothing of their passwords for a while. It need not exist.
    AccountHeldUp {
        /// The account.
        account: BareJid,
    },
    /// The same for everybody at an address.
    AddressHeldUp {
        /// The address; for IPv6, the /64 around it.
        peer: IpAddr,
    },
    /// A state that the program holds impossible; the stream was closed with `internal-server-error`.
    Bug(&'static str),
    /// A session began: what it may now send is routed.
    Bound {
        /// The connection.
        conn: ConnId,
        /// The full address.
        jid: Jid,
    },
    /// A connection is over.
    Closed {
        /// The connection.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// A client cannot sign in at this host because of its configuration.
    NothingOffered {
        /// The host.
        host: Domain,
        /// Why.
        why: OfferEmpty,
    },
    /// A sign-in failed.
    SignInFailed {
        /// The connection.
        conn: ConnId,
        /// The peer's address, for tools that ban.
        peer: IpAddr,
        /// How.
        failure: Failure,
    },
    /// A sign-in succeeded.
    SignedIn {
        /// The connection.
        conn: ConnId,
        /// Whose.
        account: BareJid,
        /// By which mechanism.
        mechanism: Mechanism,
    },
}

/// Why a stream ended: the stream error sent, or none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CloseReason {
    /// By `</stream:stream>` or the end of the connection.
    Ended,
    /// With this stream error (its element's name).
    Error(&'static str),
}
