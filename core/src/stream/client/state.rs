//! The states of a client's stream.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::jid::{BareJid, Domain, Jid};
use crate::limits::{Limits, SASL_NEGOTIATIONS_MAX};
use crate::sasl::{self, Failure, Offer, Subject, Transport, Verified};
use crate::time::Instant;

/// ```text
///            clear                          direct TLS
///              |                                |
///              v           starttls             v
///   Header(Fresh) ----> Negotiate ----------> Secure
///        ^                |  ^                  |
///        |                |  | failure          | secured
///        +----------------|--|------------------+
///                    auth v  |
///        Exchange <---> Lookup/Derive ---> Admit      (hand-off to the owner's shard happens in Lookup;
///                                            |         Reject and HeldUp lead back to Negotiate)
///                                            | admitted
///                                            v
///                     Header(Authenticated) ---> Bind ---> Established
///
///   any ---> Closing ---> Closed
/// ```
#[derive(Debug)]
pub(in crate::stream) enum State {
    /// Waits for the peer's stream header.
    Header(Phase),
    /// Features are sent: TLS or SASL may begin.
    Negotiate(Box<Negotiation>),
    /// `<proceed/>` is sent, or the port is a TLS port: what comes now is TLS's. Carries the failed sign-ins so far.
    Secure(Failures),
    /// A SASL exchange waits for the client.
    Exchange(Box<Negotiation>, sasl::Exchange),
    /// A SASL exchange waits for the store.
    Lookup(Box<Negotiation>, sasl::Lookup),
    /// A SASL exchange waits for a worker.
    Derive(Box<Negotiation>, sasl::Derive),
    /// Verified; waits for the account's owner. Nothing of `<success/>` is written.
    Admit(Box<Negotiation>, Box<Admission>),
    /// The password was wrong; waits to be told whether to say so. Nothing of `<failure/>` is written.
    Reject(Box<Negotiation>, Failure),
    /// After too many failures, whatever the outcome: waits since this moment to say that there is none.
    HeldUp(Box<Negotiation>, Instant),
    /// Authenticated; the client must bind a resource. Counts refused attempts.
    Bind(BareJid, u8),
    /// A session: stanzas both ways.
    Established(Jid),
    /// Our closing tag is sent.
    Closing(Closing),
    /// Both tags are exchanged, or nothing more can be said.
    Closed,
}

/// Which header is awaited.
#[derive(Debug)]
pub(in crate::stream) enum Phase {
    /// The first, or the one after TLS; with the failed sign-ins so far.
    Fresh(Transport, Failures),
    /// The one after SASL.
    Authenticated(BareJid),
}

/// What negotiation knows of its stream.
#[derive(Debug)]
pub(in crate::stream) struct Negotiation {
    pub(in crate::stream) host: Domain,
    pub(in crate::stream) transport: Transport,
    pub(in crate::stream) offer: Offer,
    /// Failed sign-ins.
    pub(in crate::stream) failures: Failures,
    /// Whose sign-in is under way, as far as that is known.
    pub(in crate::stream) account: Option<BareJid>,
    /// Which record the exchange was made against.
    pub(in crate::stream) record: Option<[u8; 32]>,
}

/// Sign-ins of a stream that came to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::stream) struct Failures {
    /// With a password, right or wrong.
    passwords: u8,
    /// Before a password was looked at.
    negotiations: u8,
}

impl Failures {
    /// One more.
    pub(in crate::stream) const fn add(&mut self, failure: Failure) {
        let count = match failure.subject() {
            Subject::Password | Subject::Server => &mut self.passwords,
            Subject::Negotiation => &mut self.negotiations,
        };
        *count = count.saturating_add(1);
    }

    /// Whether there may be no more.
    pub(in crate::stream) const fn are_enough(self, limits: &Limits) -> bool {
        self.passwords >= limits.sasl_failures || self.negotiations >= SASL_NEGOTIATIONS_MAX
    }
}

/// What `<success/>` will say.
#[derive(Debug)]
pub(in crate::stream) struct Admission {
    pub(in crate::stream) verified: Verified,
    pub(in crate::stream) data: Option<Vec<u8>>,
}

/// What becomes of input after our closing tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::stream) enum Closing {
    /// The scanner is dead: all is ignored.
    Deaf,
    /// Elements are ignored, the peer's closing tag is awaited.
    Listening,
}

impl State {
    pub(in crate::stream) const fn wants_input(&self) -> bool {
        match self {
            Self::Header(_)
            | Self::Negotiate(_)
            | Self::Exchange(..)
            | Self::Bind(..)
            | Self::Established(_)
            | Self::Closing(Closing::Listening) => true,
            Self::Secure(_)
            | Self::Lookup(..)
            | Self::Derive(..)
            | Self::Admit(..)
            | Self::Reject(..)
            | Self::HeldUp(..)
            | Self::Closing(Closing::Deaf)
            | Self::Closed => false,
        }
    }

    /// Whether input is thrown away.
    pub(in crate::stream) const fn is_deaf(&self) -> bool {
        matches!(self, Self::Closing(Closing::Deaf) | Self::Closed)
    }

    /// The account it has signed in to, while it lasts.
    pub(in crate::stream) fn signed_in(&self) -> Option<&str> {
        match self {
            Self::Established(jid) => Some(jid.bare()),
            Self::Header(Phase::Authenticated(account)) | Self::Bind(account, _) => {
                Some(account.as_str())
            }
            Self::Header(Phase::Fresh(..))
            | Self::Negotiate(_)
            | Self::Secure(_)
            | Self::Exchange(..)
            | Self::Lookup(..)
            | Self::Derive(..)
            | Self::Admit(..)
            | Self::Reject(..)
            | Self::HeldUp(..)
            | Self::Closing(_)
            | Self::Closed => None,
        }
    }

    pub(in crate::stream) const fn is_authenticated(&self) -> bool {
        matches!(
            self,
            Self::Header(Phase::Authenticated(_))
                | Self::Bind(..)
                | Self::Established(_)
                | Self::Closing(_)
                | Self::Closed
        )
    }
}
