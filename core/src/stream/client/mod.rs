//! A stream with a client: sign-in, a resource, a session (RFC 6120 §5 to §7).

mod bind;
mod established;
mod features;
mod header;
mod negotiate;
mod registration;
mod resume;
mod signin;

use alloc::boxed::Box;
use alloc::vec::Vec;

pub(super) use features::{transport, write_limits};
pub(super) use negotiate::misplaced;
pub(super) use signin::decode;

use self::registration::{Made, Registering};
use super::deadline::Deadline;
use super::{Cx, Event, Hearing, State, Stream};
use crate::config::Config;
use crate::jid::{BareJid, Domain, Jid};
use crate::limits::{Limits, SASL_NEGOTIATIONS_MAX};
use crate::port::Opening;
use crate::sasl::{self, Encryption, Failure, Offer, Subject, Transport};
use crate::time::Instant;
use crate::xml::Element;

/// Where a client's stream stands.
///
/// ```text
///            clear                          direct TLS
///              |                                |
///              v           starttls             v
///   Header(First) ----> Negotiate ----------> Secure
///        ^                |  ^                  |
///        |                |  | failure          | secured
///        +----------------|--|------------------+
///                    auth v  |
///        SignIn: Exchange <---> Lookup/Derive ---> Admit      (hand-off to the owner's shard happens in Lookup;
///                                                    |         Reject and HeldUp lead back to Negotiate)
///                                                    | admitted
///                                                    v
///                      Header(AfterSasl) ---> Bind ---> Established
///                                             |  ^          ^
///                                      resume v  | failed   | resumed
///                                            Resuming ------+
/// ```
#[derive(Debug)]
pub(super) enum Client {
    /// Waits for the peer's stream header.
    Header(Awaited),
    /// Features are sent: TLS or SASL may begin.
    Negotiate(Box<Negotiation>),
    /// `<proceed/>` is sent, or the port is a TLS port: what comes now is TLS's. Carries the failed sign-ins so far.
    Secure(Failures),
    /// A sign-in is under way.
    SignIn(Box<Negotiation>, Progress),
    /// Somebody who has not signed in makes an account, and waits to hear that it is made.
    Register(Box<Negotiation>, Box<Registering>),
    /// Authenticated; the client must bind a resource. Counts refused attempts.
    Bind(BareJid, u8),
    /// Wants to go on with a session instead, and waits to hear whether it may.
    Resuming(BareJid, u8),
    /// A session: stanzas both ways.
    Established(Jid),
    /// Its session is over, because its client removes the account, and waits to hear that it is removed.
    Apart(Jid),
}

/// Which header is awaited.
#[derive(Debug)]
pub(super) enum Awaited {
    /// The first, or the one after TLS; with the failed sign-ins so far.
    First(Transport, Failures),
    /// The one after SASL.
    AfterSasl(BareJid),
}

/// How far a sign-in has come. What it takes most of is boxed: a session keeps room for none of it.
#[derive(Debug)]
pub(super) enum Progress {
    /// The exchange waits for the client.
    Exchange(Option<Box<Found>>, Box<sasl::Exchange>),
    /// The exchange waits for the store.
    Lookup(BareJid, Box<sasl::Lookup>),
    /// The exchange waits for a worker.
    Derive(Option<Box<Found>>, sasl::Derive),
    /// The exchange waits for a directory.
    Judge(Box<Found>, sasl::Judge),
    /// The password was right; waits to be told whether to say so, which comes before the last word.
    Proof(Box<Found>, Box<(Vec<u8>, sasl::Exchange)>),
    /// Verified; waits for the account's owner. Nothing of `<success/>` is written, which will say this.
    Admit(BareJid, Option<Vec<u8>>),
    /// The password was wrong, or the name is none; waits to be told whether to say so. Nothing of `<failure/>` is written.
    Reject(Option<BareJid>, Failure),
    /// After too many failures, whatever the outcome: waits since this moment to say that there is none.
    HeldUp(Option<BareJid>, Instant),
}

/// Who signs in, and what the store had of that account.
#[derive(Debug)]
pub(super) struct Found {
    account: BareJid,
    /// The hash of the credentials that the exchange is made against; of an account that does not exist, none.
    record: Option<[u8; 32]>,
    /// See `SignIn`.
    as_of: u64,
}

/// What negotiation knows of its stream.
#[derive(Debug)]
pub(super) struct Negotiation {
    host: Domain,
    transport: Transport,
    offer: Offer,
    /// Sign-ins so far that failed.
    failures: Failures,
    /// Whether an account was made here.
    made: Made,
}

/// Sign-ins of a stream that came to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    /// With a password, right or wrong.
    passwords: u8,
    /// Before a password was looked at.
    negotiations: u8,
}

impl Client {
    /// A connection was made.
    pub(super) fn new(opening: Opening) -> Self {
        match opening {
            Opening::Clear => Self::Header(Awaited::First(Transport::Clear, Failures::default())),
            Opening::Tls => Self::Secure(Failures::default()),
        }
    }

    /// What becomes of what it sends.
    pub(super) const fn hearing(&self) -> Hearing {
        match self {
            Self::Header(_) => Hearing::Header,
            Self::Negotiate(_)
            | Self::SignIn(_, Progress::Exchange(..))
            | Self::Bind(..)
            | Self::Established(_) => Hearing::Elements,
            Self::Secure(_) => Hearing::Tls,
            Self::Apart(_)
            | Self::Register(..)
            | Self::Resuming(..)
            | Self::SignIn(
                _,
                Progress::Lookup(..)
                | Progress::Derive(..)
                | Progress::Judge(..)
                | Progress::Proof(..)
                | Progress::Admit(..)
                | Progress::Reject(..)
                | Progress::HeldUp(..),
            ) => Hearing::Later,
        }
    }

    /// What its deadline is for.
    pub(super) fn deadline(&self, config: &Config) -> Deadline {
        match self {
            Self::Secure(_) => Deadline::Handshake,
            Self::Header(Awaited::First(Transport::Clear, _)) => Deadline::Tls,
            Self::SignIn(_, Progress::HeldUp(_, since)) => Deadline::HeldUp(*since),
            Self::Negotiate(n) | Self::SignIn(n, Progress::Exchange(..))
                if n.must_secure(config) =>
            {
                Deadline::Tls
            }
            Self::Header(_)
            | Self::Negotiate(_)
            | Self::Register(..)
            | Self::SignIn(..)
            | Self::Bind(..)
            | Self::Resuming(..) => Deadline::Negotiation,
            Self::Established(_) | Self::Apart(_) => Deadline::Idle,
        }
    }

    /// Whether it has signed in.
    pub(super) fn is_signed_in(&self) -> bool {
        self.signed_in().is_some()
    }

    /// The account it has signed in to.
    pub(super) fn signed_in(&self) -> Option<&str> {
        match self {
            Self::Established(jid) | Self::Apart(jid) => Some(jid.bare()),
            Self::Header(Awaited::AfterSasl(account))
            | Self::Bind(account, _)
            | Self::Resuming(account, _) => Some(account.as_str()),
            Self::Header(Awaited::First(..))
            | Self::Negotiate(_)
            | Self::Register(..)
            | Self::Secure(_)
            | Self::SignIn(..) => None,
        }
    }

    /// The host it is to, as far as that is known and not void.
    pub(super) fn host(&self) -> Option<&str> {
        match self {
            Self::Negotiate(n) | Self::Register(n, _) | Self::SignIn(n, _) => Some(n.host.as_str()),
            Self::Header(Awaited::AfterSasl(account))
            | Self::Bind(account, _)
            | Self::Resuming(account, _) => Some(account.domain()),
            Self::Established(jid) | Self::Apart(jid) => Some(jid.domain()),
            Self::Header(Awaited::First(..)) | Self::Secure(_) => None,
        }
    }

    /// The account it is of, or that a sign-in under way names.
    pub(super) fn account(&self) -> Option<BareJid> {
        match self {
            Self::SignIn(_, progress) => progress.account(),
            Self::Header(Awaited::AfterSasl(account))
            | Self::Bind(account, _)
            | Self::Resuming(account, _) => Some(account.clone()),
            Self::Established(jid) | Self::Apart(jid) => Some(jid.to_bare()),
            Self::Header(Awaited::First(..))
            | Self::Negotiate(_)
            | Self::Register(..)
            | Self::Secure(_) => None,
        }
    }
}

impl Progress {
    /// Whose sign-in it is, as far as that is known.
    fn account(&self) -> Option<BareJid> {
        match self {
            Self::Exchange(found, _) | Self::Derive(found, _) => {
                found.as_ref().map(|found| found.account.clone())
            }
            Self::Judge(found, _) | Self::Proof(found, _) => Some(found.account.clone()),
            Self::Lookup(account, _) | Self::Admit(account, _) => Some(account.clone()),
            Self::Reject(account, _) | Self::HeldUp(account, _) => account.clone(),
        }
    }
}

impl Negotiation {
    /// Whether only TLS can get this stream on. So it is where the host is not served any more.
    fn must_secure(&self, config: &Config) -> bool {
        let host = config.accounts(&self.host);
        let encryption = host.map_or(Encryption::Required, |host| host.sasl.encryption);
        self.transport == Transport::Clear && encryption == Encryption::Required
    }
}

impl Failures {
    /// One more.
    const fn add(&mut self, failure: Failure) {
        let count = match failure.subject() {
            Subject::Password | Subject::Server => &mut self.passwords,
            Subject::Negotiation => &mut self.negotiations,
        };
        *count = count.saturating_add(1);
    }

    /// Whether there may be no more.
    const fn are_enough(self, limits: &Limits) -> bool {
        self.passwords >= limits.sasl_failures || self.negotiations >= SASL_NEGOTIATIONS_MAX
    }
}

impl Stream {
    /// An element from a client. The state was taken out of the stream.
    pub(super) fn on_client_element(
        &mut self,
        cx: &mut Cx<'_>,
        client: Client,
        element: Element,
    ) -> Option<Event> {
        match client {
            Client::Established(jid) => self.on_established(cx, jid, element),
            Client::Negotiate(negotiation) => self.on_negotiate(cx, negotiation, None, &element),
            Client::SignIn(negotiation, Progress::Exchange(found, exchange)) => {
                self.on_negotiate(cx, negotiation, Some((found, exchange)), &element)
            }
            Client::Bind(account, retries) => self.on_bind(cx, account, retries, element),
            // The scanner hands out no element before the header, and the others want no input.
            client @ (Client::Apart(_)
            | Client::Header(_)
            | Client::Register(..)
            | Client::Resuming(..)
            | Client::Secure(_)
            | Client::SignIn(..)) => {
                self.state = State::Client(client);
                Some(self.bug(cx, "an element where none was wanted"))
            }
        }
    }
}
