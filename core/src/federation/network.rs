//! What is asked of the network on our own behalf: names, and connections that we open.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::jid::Domain;
use crate::time::UnixTime;

/// What is asked of DNS. Names are absolute, in A-labels (RFC 5890 §2.3.2.1) and lower case.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Lookup {
    /// The addresses of a name, of both families.
    Addresses(Box<str>),
    /// The SRV records of a name such as `_xmpp-client._tcp.example.org`.
    Services(Box<str>),
}

/// What came of a `Lookup`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Resolved {
    /// Addresses, at least one, those of the two families in turn, IPv6 first (RFC 8305 §4), and who said so.
    Addresses(Vec<IpAddr>, Source),
    /// Services as they came, at least one.
    Services(Vec<Service>),
    /// The service is decidedly not there: the only record says `.` (RFC 2782, "Target").
    NoService,
    /// There is no such name.
    NoName,
    /// There is, and it has no such records.
    NoData,
    /// Nobody could say.
    Failed(LookupError),
}

/// One SRV record (RFC 2782).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Service {
    /// Lower ones go first.
    pub priority: u16,
    /// How often it goes first among those of one priority.
    pub weight: u16,
    /// The port at the target.
    pub port: u16,
    /// Whose addresses these are.
    pub target: Box<str>,
}

/// Who said so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// A name server, or what one said before.
    Dns,
    /// `/etc/hosts`, or what everybody knows: the administrator's own word.
    Hosts,
}

/// Why nobody could say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LookupError {
    /// More is being asked already than there is room for.
    Busy,
    /// Name servers answered, and had nothing to say, or nothing that can be used.
    Refused,
    /// No name server answered in time.
    TimedOut,
}

/// Whom TLS is with, and so which side we are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TlsSide {
    /// We are asked.
    Server(TlsServer),
    /// We ask.
    Client(Box<TlsClient>),
}

/// What we are asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsServer {
    /// The host of the stream: its certificate serves a peer that sends no SNI.
    pub host: Domain,
    /// Who asks. A server is asked for its certificate, shows any or none, and what is thought of it comes with `Secured`.
    pub protocol: Protocol,
}

/// What we ask for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsClient {
    /// The name that the certificate is to be for, sent as SNI: A-labels, or an IP literal, for which none is sent.
    pub name: Box<str>,
    /// The one protocol of ALPN (RFC 7301); `None` behind STARTTLS (XEP-0368 §3).
    pub protocol: Option<Protocol>,
    /// Whose certificate of ours is shown if one is asked for: this domain's, also if it is for servers alone. Nobody else's.
    pub ours: Option<Domain>,
}

/// What is spoken inside TLS that came first on the wire (XEP-0368).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// As a client.
    XmppClient,
    /// As a server.
    XmppServer,
}

impl Protocol {
    /// As ALPN names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::XmppClient => "xmpp-client",
            Self::XmppServer => "xmpp-server",
        }
    }
}

/// What the certificate of a server says. The handshake itself is proven: whoever sent it has its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerCertificate {
    /// Whether an authority that is trusted vouches for it, now and for the name that was asked for; `None` where it connected to us.
    pub verdict: Option<Verdict>,
    /// The same among servers, whoever it is for: `federation::match_names` says that.
    pub chain: Chain,
    /// Whom it names.
    pub names: CertificateNames,
    /// SHA-256 of the certificate itself.
    pub fingerprint: [u8; 32],
}

/// Whether an authority that is trusted vouches for a certificate, for a server that meets others. Times are to the second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Chain {
    /// One does.
    Valid {
        /// The last moment at which all of the path is valid, the authority's own certificate aside.
        until: UnixTime,
    },
    /// It has expired, or one above it.
    Expired {
        /// Then.
        on: UnixTime,
    },
    /// It is not valid yet, or one above it: perhaps a clock is wrong.
    NotYetValid {
        /// Then it will be.
        from: UnixTime,
    },
    /// It has signed itself.
    SelfSigned,
    /// No authority that is trusted vouches for it.
    Untrusted,
    /// It is meant neither for servers nor for clients, or for an authority.
    WrongUse,
    /// It cannot be read, something about it is broken, or there is too much of it.
    Unreadable,
}

impl Chain {
    /// The last moment at which it is good, if it is.
    #[must_use]
    pub const fn valid_until(self) -> Option<UnixTime> {
        match self {
            Self::Valid { until } => Some(until),
            Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::SelfSigned
            | Self::Untrusted
            | Self::WrongUse
            | Self::Unreadable => None,
        }
    }
}

/// Whom a certificate names, in the forms that count between servers (RFC 6120 §13.7.1.2.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateNames {
    /// As they are written there.
    pub each: Vec<CertificateName>,
    /// Whether somebody on its path may vouch for some names only.
    pub constraints: NameConstraints,
}

/// One name in a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CertificateName {
    /// `id-on-xmppAddr` (RFC 6120 §13.7.1.4).
    XmppAddr(Box<str>),
    /// `id-on-dnsSRV` (RFC 4985), with the name of the service.
    Srv(Box<str>),
    /// dNSName.
    Dns(Box<str>),
}

/// Whether a path to an authority has name constraints (RFC 5280 §4.2.1.10).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NameConstraints {
    /// It has none, or there is no path.
    None,
    /// A certificate on it has, or the authority.
    Present,
}

/// What is to be thought of a server's certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is good.
    Good,
    /// It has expired, or one above it.
    Expired,
    /// It is not valid yet, or one above it: perhaps a clock is wrong.
    NotYetValid,
    /// It is good for other names.
    OtherName,
    /// It is not meant for servers.
    OtherUse,
    /// It has signed itself.
    SelfSigned,
    /// No authority that is trusted vouches for it.
    Untrusted,
    /// It cannot be read, or something about it is broken.
    Unreadable,
}

/// Why a connection could not be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnectError {
    /// There is no descriptor, no port or no memory to do it with.
    Exhausted,
    /// Nobody listens there.
    Refused,
    /// The network gave up waiting.
    TimedOut,
    /// There is no way there.
    Unreachable,
}

/// TLS versions we speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// What comes first on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opening {
    /// A stream header; TLS by STARTTLS.
    Clear,
    /// A TLS handshake (XEP-0368). Its time counts towards the deadline to TLS.
    Tls,
}
