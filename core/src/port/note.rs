//! What the core tells logs and counters: typed, so that tests can assert on it.

use alloc::boxed::Box;
use core::net::IpAddr;

use super::{ConnId, LinkFailure, PeerStanding, ProvenBy, StreamError, TlsVersion};
use crate::jid::{BareJid, Domain, Jid};
use crate::sasl::{Failure, Mechanism, OfferEmpty, Tally};

/// One event. Boxed payloads keep `Action` small.
///
/// `account` of what failed is the one that was named, whether it exists or not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Note {
    /// A change of an account is on disk.
    AccountChanged {
        /// The account.
        account: BareJid,
        /// What was done.
        change: AccountChange,
        /// From where, if its user did it, or whoever became its user; `None` if an administrator did.
        by: Option<IpAddr>,
    },
    /// An account whose sign-ins failed so often that strangers hear nothing of their passwords for a while. It need not exist.
    AccountHeldUp {
        /// The account.
        account: BareJid,
        /// From where the last of these failures came.
        peer: IpAddr,
    },
    /// The same for everybody at an address, but for the accounts that signed in from there lately.
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
    /// A session goes on that had lost its connection, or was about to.
    Resumed {
        /// The connection that carries it now.
        conn: ConnId,
        /// The full address.
        jid: Jid,
    },
    /// A connection is over.
    Closed {
        /// The connection.
        conn: ConnId,
        /// The peer's address.
        peer: IpAddr,
        /// Whose stream it was, or was to be; of a server's, the domain that its header names.
        account: Option<BareJid>,
        /// Why.
        reason: CloseReason,
    },
    /// A link to a remote domain is proven: stanzas go by it.
    LinkProven {
        /// From this domain of ours.
        ours: Domain,
        /// To this one.
        theirs: Domain,
        /// There.
        peer: IpAddr,
        /// By this.
        by: ProvenBy,
        /// TLS, if there is any.
        tls: Option<TlsVersion>,
    },
    /// A link to a remote domain goes by a stream that its server has opened (XEP-0288).
    LinkTaken {
        /// From this domain of ours.
        ours: Domain,
        /// To this one.
        theirs: Domain,
        /// From there.
        peer: IpAddr,
    },
    /// There is no way to a remote domain, or it broke before it was of use.
    LinkFailed {
        /// From this domain of ours.
        ours: Domain,
        /// To this one.
        theirs: Domain,
        /// Why.
        why: LinkFailure,
    },
    /// A component has come, or has not, or has gone.
    Component {
        /// The connection.
        conn: ConnId,
        /// The peer's address.
        peer: IpAddr,
        /// The name that it serves, or wants to.
        name: Domain,
        /// Which of these.
        change: ComponentChange,
    },
    /// An administrator ended sessions.
    Disconnected {
        /// Of this account.
        account: BareJid,
        /// So many.
        sessions: usize,
    },
    /// A client cannot sign in at this host because of its configuration.
    NothingOffered {
        /// The host.
        host: Domain,
        /// The client's address.
        peer: IpAddr,
        /// Why.
        why: OfferEmpty,
    },
    /// The connection or its stream ended in the middle of a sign-in.
    SignInCutOff {
        /// The connection.
        conn: ConnId,
        /// The peer's address.
        peer: IpAddr,
        /// Whose sign-in.
        account: Option<BareJid>,
    },
    /// A sign-in failed.
    SignInFailed {
        /// The connection.
        conn: ConnId,
        /// The peer's address, for tools that ban.
        peer: IpAddr,
        /// Whose sign-in.
        account: Option<BareJid>,
        /// How.
        failure: Failure,
    },
    /// It was decided whether a server that opened a stream to us speaks for a domain.
    PeerJudged {
        /// The connection.
        conn: ConnId,
        /// The peer's address.
        peer: IpAddr,
        /// Of which domain, and what.
        judged: Box<PeerJudged>,
    },
    /// A sign-in succeeded.
    SignedIn {
        /// The connection.
        conn: ConnId,
        /// The peer's address.
        peer: IpAddr,
        /// Whose.
        account: BareJid,
        /// By which mechanism.
        mechanism: Mechanism,
    },
    /// Accounts of a host were counted that lack keys for some of the hashes, or there are none any more: what not all can use is not offered.
    KeysMissing {
        /// The host.
        host: Domain,
        /// How many.
        tally: Tally,
    },
    /// What waits for another server could not be kept, or not be read again.
    LinkQueue {
        /// The domain of ours that it is from.
        ours: Domain,
        /// The domain that it is for.
        theirs: Domain,
        /// What, and how much.
        trouble: QueueTrouble,
    },
    /// Messages of an account could not be kept. Those that nobody has were refused to their senders.
    Unkept {
        /// The account.
        account: BareJid,
        /// How many.
        messages: usize,
    },
    /// What an account keeps cannot be read: nobody can use it, and nothing of it is written, until it is mended.
    Unreadable {
        /// The account.
        account: BareJid,
        /// Which row makes no sense, and why.
        why: Box<str>,
    },
}

/// What was done to an account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AccountChange {
    /// It is new.
    Added,
    /// It is gone, and everything it kept.
    Deleted,
    /// Nobody signs in to it any more.
    Disabled,
    /// It may be signed in to again.
    Enabled,
    /// Of the same password keys are kept, in place of itself, or of fewer or cheaper keys.
    KeysMade,
    /// It has a new password.
    PasswordSet,
}

/// What is wrong with what waits for another server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum QueueTrouble {
    /// So many stanzas could not be written: as long as the server runs they wait in memory; when it stops they are returned.
    Unkept(usize),
    /// So many rows make no sense: they stay where they are, and are not sent.
    Unreadable(usize),
}

/// What has become of a component.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ComponentChange {
    /// It serves its name.
    Connected,
    /// It does not any more: its stream or connection is over.
    Gone,
    /// Another connection has taken its place.
    Replaced,
    /// No component of this name is configured.
    Unknown,
    /// Whether it knows the secret was not looked at: too many sign-ins have failed at its address.
    HeldUp,
    /// It does not know the secret.
    WrongSecret,
}

/// What was decided of a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerJudged {
    /// The domain of ours to which it speaks, or wanted to.
    pub host: Domain,
    /// For which domain.
    pub server: Domain,
    /// Whether it does.
    pub standing: PeerStanding,
}

/// Why a stream ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CloseReason {
    /// By `</stream:stream>` or the end of the connection.
    Ended,
    /// By the server: the client did not answer in time whether it was there.
    Unresponsive,
    /// Nothing was ever heard of the peer, as when somebody looks whether the port is open. However it ended, no stream failed.
    Unheard,
    /// By this stream error, as the server was told to: it stops, the administrator changed something, or another session of
    /// the account took this one's place.
    Dismissed(Box<StreamError>),
    /// By this stream error, for something that the peer or the connection did.
    Failed(Box<StreamError>),
    /// By this stream error, because of what was decided of a server: `PeerJudged` says it.
    Judged(Box<StreamError>),
    /// The peer wanted TLS where there is none to be had.
    StarttlsRefused,
}
