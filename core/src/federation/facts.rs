//! What is known of a stream between servers when it is judged, as far as that counts.

use core::fmt;

use super::names::NameMatch;
use crate::federation::{Chain, Opening, Starttls, TlsVersion};
use crate::jid::Domain;

/// All that `decide` looks at beside what the administrator said. A live stream keeps it, to be judged again when that changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// The domain of ours that it is about.
    pub ours: Domain,
    /// Whether that one has a certificate which can be shown to servers.
    pub own: OwnCertificate,
    /// Who has spoken, and for whom.
    pub side: Side,
    /// Whether the domain they speak for is one of ours.
    pub whose: Whose,
    /// What protects the stream.
    pub tls: Tls,
    /// What the peer offers for proving who we are.
    pub methods: Methods,
    /// What did not help on this stream.
    pub tried: Tried,
}

/// On which side of a stream we are, and the domain of the other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Side {
    /// The header of a stream to us is here, and it is to be told what there is. It may name nobody (RFC 6120 §4.7.1).
    In(Option<Domain>),
    /// A stream to us claims its first domain by `<db:result/>` (XEP-0220 §2.2.1).
    Claim(Domain),
    /// A stream to us that is open claims one more (XEP-0220 §2.6).
    Further(Domain),
    /// A stream of ours to this domain.
    Out(Domain),
}

/// Whose a domain is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whose {
    /// Somebody else's.
    Others,
    /// It is served here.
    Ours,
}

/// Whether there is a certificate of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OwnCertificate {
    /// There is one.
    Present,
    /// There is none.
    Absent,
}

/// What protects a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tls {
    /// Nothing. The peer says this of STARTTLS, where it is asked.
    Clear(StarttlsOffer),
    /// The handshake failed.
    Failed,
    /// TLS does.
    Up {
        /// Its version.
        version: TlsVersion,
        /// What came first on the wire: TLS (XEP-0368), or a header.
        opening: Opening,
        /// What the peer has shown.
        certificate: PeerCertificate,
    },
}

/// What a peer says of STARTTLS (RFC 6120 §5.3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StarttlsOffer {
    /// Nothing, or it is older than stream features.
    Absent,
    /// It has it.
    Offered,
    /// It goes no further without it.
    Required,
}

impl From<Option<Starttls>> for StarttlsOffer {
    fn from(offered: Option<Starttls>) -> Self {
        match offered {
            None => Self::Absent,
            Some(Starttls::Optional) => Self::Offered,
            Some(Starttls::Required) => Self::Required,
        }
    }
}

/// What a peer has shown of itself in the handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerCertificate {
    /// Nothing.
    None,
    /// A certificate.
    Shown {
        /// Whether somebody vouches for it.
        chain: Chain,
        /// Whether it is for the domain.
        names: NameMatch,
    },
}

/// Ways to prove who we are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Methods {
    /// SASL EXTERNAL (XEP-0178 §3).
    pub external: Method,
    /// Dialback (XEP-0220), by its feature or by its namespace in the header.
    pub dialback: Method,
}

/// Whether a way is there.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Method {
    /// It is not.
    Absent,
    /// It is.
    Offered,
}

/// What was tried on a stream of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tried {
    /// `<starttls/>`.
    pub starttls: Try,
    /// SASL EXTERNAL.
    pub external: Try,
    /// Dialback.
    pub dialback: Try,
}

/// Whether something was tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Try {
    /// It was not, or what becomes of it is not known yet.
    Untried,
    /// It was, for nothing.
    Failed,
}

impl Side {
    /// For whom the other side speaks.
    #[must_use]
    pub const fn domain(&self) -> Option<&Domain> {
        match self {
            Self::In(domain) => domain.as_ref(),
            Self::Claim(domain) | Self::Further(domain) | Self::Out(domain) => Some(domain),
        }
    }
}

/// Why a certificate does not prove a domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flaw {
    /// None was shown.
    Missing,
    /// `Chain::Expired`.
    Expired,
    /// `Chain::NotYetValid`.
    NotYetValid,
    /// `Chain::SelfSigned`.
    SelfSigned,
    /// `Chain::Untrusted`.
    Untrusted,
    /// `Chain::WrongUse`.
    WrongUse,
    /// `Chain::Unreadable`.
    Unreadable,
    /// It is for other domains.
    OtherNames,
    /// It is for no domain.
    Nameless,
}

impl PeerCertificate {
    /// What is wrong with it, the chain first. Without any it proves the domain.
    #[must_use]
    pub const fn flaw(self) -> Option<Flaw> {
        let Self::Shown { chain, names } = self else {
            return Some(Flaw::Missing);
        };
        match (chain, names) {
            (Chain::Expired { .. }, _) => Some(Flaw::Expired),
            (Chain::NotYetValid { .. }, _) => Some(Flaw::NotYetValid),
            (Chain::SelfSigned, _) => Some(Flaw::SelfSigned),
            (Chain::Untrusted, _) => Some(Flaw::Untrusted),
            (Chain::WrongUse, _) => Some(Flaw::WrongUse),
            (Chain::Unreadable, _) => Some(Flaw::Unreadable),
            (Chain::Valid { .. }, NameMatch::Mismatch) => Some(Flaw::OtherNames),
            (Chain::Valid { .. }, NameMatch::Nameless) => Some(Flaw::Nameless),
            (Chain::Valid { .. }, NameMatch::Xmpp | NameMatch::Srv | NameMatch::Dns) => None,
        }
    }
}

impl fmt::Display for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Shown { chain, names } = self else {
            return f.write_str("no certificate");
        };
        match chain {
            Chain::Valid { until } => write!(f, "valid until {}", until.to_xep0082())?,
            Chain::Expired { on } => write!(f, "expired on {}", on.to_xep0082())?,
            Chain::NotYetValid { from } => write!(f, "not valid before {}", from.to_xep0082())?,
            Chain::SelfSigned => f.write_str("signed by itself")?,
            Chain::Untrusted => f.write_str("signed by nobody who is trusted")?,
            Chain::WrongUse => f.write_str("made for another use")?,
            Chain::Unreadable => f.write_str("unreadable")?,
        }
        f.write_str(match names {
            NameMatch::Xmpp => ", names the domain by xmppAddr",
            NameMatch::Srv => ", names the domain by SRVName",
            NameMatch::Dns => ", names the domain by dNSName",
            NameMatch::Mismatch => ", names others",
            NameMatch::Nameless => ", names nobody",
        })
    }
}
