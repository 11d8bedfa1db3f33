//! What becomes of finding out whether a domain can be reached, and how.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::network::{
    ConnectError, Lookup, LookupError, Opening, Resolved, ServerCertificate, TlsVersion,
};
use super::rule::Refusal;

/// One place at which the servers of a domain may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// Whose addresses these are: a name as DNS has it, or an address.
    pub name: Box<str>,
    /// The port there.
    pub port: u16,
    /// What comes first on the wire (XEP-0368 §3).
    pub opening: Opening,
}

/// What was done to reach a domain, in order, and what came of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reach {
    /// What DNS was asked, and what it said.
    pub asked: Vec<Asked>,
    /// Connections that were begun.
    pub attempts: Vec<Attempt>,
    /// How it ended.
    pub outcome: Result<Box<Reached>, Unreached>,
}

/// One question to DNS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// The question.
    pub lookup: Lookup,
    /// The answer: of records as many as `REACH_RECORDS_TOLD`. `None` if it was not waited for.
    pub outcome: Option<Resolved>,
}

/// One connection that was begun.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// To this target.
    pub target: Target,
    /// At this address of it.
    pub to: SocketAddr,
    /// What became of it.
    pub outcome: AttemptOutcome,
}

/// What became of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AttemptOutcome {
    /// It was given up, because all of it was.
    Abandoned,
    /// It came to nothing.
    Failed(AttemptError),
    /// Another address of the target was sooner.
    Overtaken,
    /// It led to the features of the domain's stream.
    Reached,
}

/// Why a connection came to nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AttemptError {
    /// What the peer sent is wrong in this way; so it was told, as far as it could be.
    Broke(StreamError),
    /// The peer ended the stream or the connection while this was waited for.
    Ended(Awaited),
    /// Its place was needed.
    Evicted,
    /// The header of the peer's stream is from somebody else.
    OtherHost(Box<str>),
    /// Something came in the clear where TLS was to begin. It was not believed.
    Plaintext,
    /// What we ask of servers was not there (`federation::decide`). It was told, as far as it could be.
    Policy(Refusal),
    /// The peer ended the stream with this error.
    Refused(PeerError),
    /// No other server is looked for there, so no connection was begun.
    RefusedPlace(RefusedPlace),
    /// The peer offers TLS and says `<failure/>` to who wants it (RFC 6120 §5.4.2.2).
    StarttlsRefused,
    /// This was waited for too long.
    TimedOut(Awaited),
    /// The TLS handshake failed, or a record.
    Tls,
    /// There was no connection.
    Unconnected(ConnectError),
    /// The peer does not believe that we are who we say.
    Unproven(Unproven),
}

/// Why a peer does not believe who we are, as dialback has words for it (XEP-0220 §2.1.1, §2.5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unproven {
    /// Whoever it asked says that our key is not ours.
    Invalid,
    /// It could not ask, or would not.
    Error(PeerError),
}

/// Whose an address is at which no other server is looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefusedPlace {
    /// We listen there ourselves.
    Own,
    /// This machine's alone.
    Loopback,
    /// A private network's (10.0.0.0/8, fc00::/7 and their like).
    Private,
    /// A provider's, for its customers (100.64.0.0/10).
    Shared,
    /// One link's.
    LinkLocal,
    /// Nobody's.
    Unspecified,
    /// Of many.
    Multicast,
    /// Of all on a network.
    Broadcast,
}

/// What is waited for from a peer that we connect to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Awaited {
    /// That there is a connection.
    Connection,
    /// The end of the handshake.
    Tls,
    /// The header of its stream.
    Header,
    /// Its stream features.
    Features,
    /// `<proceed/>`.
    Proceed,
    /// That it believes who we are, or anything behind that.
    Proof,
}

/// A stream error of a peer (RFC 6120 §4.9.2). It says what it likes: both are cut to `REACH_WORD_BYTES`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerError {
    /// The name of its condition, if there is any.
    pub condition: Box<str>,
    /// What it says for people.
    pub text: Option<Box<str>>,
}

/// How a domain is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reached {
    /// There.
    pub target: Target,
    /// At this address.
    pub at: SocketAddr,
    /// What protects the stream; `None` if nothing does.
    pub tls: Option<Secured>,
    /// What the domain offers there; what was said before TLS is not among it (RFC 6120 §5.4.3.3).
    pub features: Features,
}

/// TLS with a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Secured {
    /// How it began.
    pub by: SecuredBy,
    /// Its version.
    pub version: TlsVersion,
    /// What its cipher suite is called.
    pub suite: &'static str,
    /// What the server's certificate says; `None` if it showed none.
    pub certificate: Option<Box<ServerCertificate>>,
}

/// How TLS began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SecuredBy {
    /// At once (XEP-0368).
    DirectTls,
    /// As a stream feature (RFC 6120 §5), of which the server said this.
    Starttls(Starttls),
}

/// Whether a server goes on without TLS, as it says itself, in the clear.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Starttls {
    /// Perhaps.
    Optional,
    /// It does not (RFC 6120 §5.3.1).
    Required,
}

/// Stream features (RFC 6120 §4.3.2), at most `REACH_FEATURES_TOLD` of each kind.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Features {
    /// SASL mechanisms, as they are named.
    pub mechanisms: Vec<Box<str>>,
    /// All features.
    pub all: Vec<Feature>,
}

/// One stream feature, as the server names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Feature {
    /// Its local name.
    pub name: Box<str>,
    /// Its namespace.
    pub namespace: Box<str>,
}

/// Why a domain is not reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unreached {
    /// DNS has no address for any target.
    NoAddresses,
    /// The domain says that it has no such service (RFC 2782, "Target").
    NoService,
    /// DNS does not say where to go, and might if it was asked again.
    Unresolved(LookupError),
    /// What we ask of servers was not there, and will not be at the next (`federation::decide`).
    Policy(Refusal),
    /// No attempt led to it.
    Unsuccessful,
    /// A peer said that it will have nothing to do with us, so no other was asked.
    Unwelcome,
    /// The time for it was over.
    TimedOut,
    /// The server stops.
    Stopped,
}

/// A stream error that was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StreamError {
    /// Its element's name.
    pub condition: &'static str,
    /// What was sent with it for people.
    pub text: Option<&'static str>,
}
