//! Every rule by which servers are judged, in words: for the log and for who asks why, for the peer, and for whoever wrote what cannot be sent.
//!
//! What others are told is one fixed sentence for each rule, without a name, an address or a word of the peer's: somebody in a room may be told it
//! who must not learn where others are.

use core::fmt;

use super::facts::{Flaw, Method, OwnCertificate, PeerCertificate, StarttlsOffer, Try, Whose};
use super::rules::{Encryption, Listed, Permission};
use crate::federation::{Opening, TlsVersion};

/// What decides, or is noted on the way there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// Need: a certificate, as of everybody.
    SecureAuth,
    /// Need: encryption alone, as of few.
    InsecureDomain,
    /// Need: a certificate, as of few.
    SecureDomain,
    /// Need: encryption, as of everybody.
    RequireEncryption,
    /// Need: nothing.
    NothingNeeded,
    /// Note: the domain may be talked to.
    Permitted,
    /// Note: nothing protects the stream.
    InTheClear,
    /// Note: TLS does.
    Encrypted,
    /// Note: the certificate proves the domain.
    GoodCertificate,
    /// Note: the certificate does not.
    BadCertificate(Flaw),
    /// Note: EXTERNAL is no way for this stream.
    ExternalUnfit,
    /// Row I1: STARTTLS is offered, and nothing else.
    StarttlsAlone,
    /// Row I2: STARTTLS is offered if there is any, and the domain may do without.
    StarttlsBeside,
    /// Rows I2, F3: dialback proves in the clear.
    DialBackInTheClear,
    /// Row I3: who it is will be said later.
    Unnamed,
    /// Rows I4, F1: the certificate proves who the peer is.
    CertificateProves,
    /// Rows I6, F3: dialback proves, since the certificate need not.
    CertificateNotNeeded,
    /// Row O1: the peer offers STARTTLS, so it is begun.
    StarttlsOffered,
    /// Row O2: it does not, and is asked all the same.
    StarttlsUnoffered,
    /// Row O3: we prove ourselves in the clear.
    DialbackInTheClear,
    /// Row O6: we prove ourselves by our certificate.
    External,
    /// Row O6: we prove ourselves by dialback.
    Dialback,
    /// All others: it comes to nothing.
    Refused(Refusal),
}

/// Why a stream comes to nothing, or one domain on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// Row A1: the domain is not among the few that may be talked to.
    NotAllowed,
    /// Row A1: the domain is among those that may not.
    Excluded,
    /// Row A1: the domain is served here.
    OurDomain,
    /// Rows I1, F2: a domain is claimed in the clear.
    Unencrypted,
    /// Row I1: there is no certificate of ours to encrypt with.
    NoOwnCertificate,
    /// Rows I5, F2, O5: the certificate does not prove the domain, and must.
    Certificate(Flaw),
    /// Row O2: the peer cannot encrypt.
    StarttlsAbsent,
    /// Row O3: the peer wants encryption, which we are not to use.
    StarttlsForbidden,
    /// Row O4: the peer offers STARTTLS and refuses it.
    StarttlsFailed,
    /// Row O4: the handshake failed.
    TlsFailed,
    /// Row O7: nothing is left by which we could prove ourselves.
    NoMethod,
}

impl Rule {
    /// For the log, and for who asks why.
    #[must_use]
    pub const fn log(self) -> &'static str {
        match self {
            Self::SecureAuth => "a certificate is needed, as of all servers (`s2s_secure_auth`)",
            Self::InsecureDomain => {
                "encryption is needed, but no certificate (`s2s_insecure_domains`)"
            }
            Self::SecureDomain => "a certificate is needed (`s2s_secure_domains`)",
            Self::RequireEncryption => "encryption is needed (`s2s_require_encryption`)",
            Self::NothingNeeded => "neither encryption nor a certificate is needed",
            Self::Permitted => "the domain may be talked to",
            Self::InTheClear => "the stream is not encrypted",
            Self::Encrypted => "the stream is encrypted",
            Self::GoodCertificate => "the certificate proves the domain",
            Self::BadCertificate(flaw) => flaw.log(),
            Self::ExternalUnfit => "EXTERNAL is not possible",
            Self::StarttlsAlone => "STARTTLS is required",
            Self::StarttlsBeside => "the stream may stay unencrypted",
            Self::DialBackInTheClear => "it is called back, over a stream that is not encrypted",
            Self::Unnamed => "it has not said who it is, and is judged when it does",
            Self::CertificateProves => "the certificate proves who it is",
            Self::CertificateNotNeeded => "no certificate is needed: it is called back",
            Self::StarttlsOffered => "STARTTLS is offered and begun",
            Self::StarttlsUnoffered => "STARTTLS is needed and asked for, though it is not offered",
            Self::DialbackInTheClear => {
                "who we are is proven by dialback, over a stream that is not encrypted"
            }
            Self::External => "who we are is proven by our certificate (EXTERNAL)",
            Self::Dialback => "who we are is proven by dialback",
            Self::Refused(refusal) => refusal.log(),
        }
    }

    /// For the text of an error that the peer is told, if it is told one.
    #[must_use]
    pub const fn peer(self) -> Option<&'static str> {
        match self.refusal() {
            Some(refusal) => Some(refusal.peer()),
            None => None,
        }
    }

    /// For whoever wrote what is therefore not sent.
    #[must_use]
    pub const fn bounce(self) -> Option<&'static str> {
        match self.refusal() {
            Some(refusal) => Some(refusal.bounce()),
            None => None,
        }
    }

    /// What it refuses by, if it refuses.
    #[must_use]
    pub const fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::SecureAuth
            | Self::InsecureDomain
            | Self::SecureDomain
            | Self::RequireEncryption
            | Self::NothingNeeded
            | Self::Permitted
            | Self::InTheClear
            | Self::Encrypted
            | Self::GoodCertificate
            | Self::BadCertificate(_)
            | Self::ExternalUnfit
            | Self::StarttlsAlone
            | Self::StarttlsBeside
            | Self::DialBackInTheClear
            | Self::Unnamed
            | Self::CertificateProves
            | Self::CertificateNotNeeded
            | Self::StarttlsOffered
            | Self::StarttlsUnoffered
            | Self::DialbackInTheClear
            | Self::External
            | Self::Dialback => None,
        }
    }
}

impl Refusal {
    /// For the log.
    #[must_use]
    pub const fn log(self) -> &'static str {
        match self {
            Self::NotAllowed => "the domain is not among those that may be talked to",
            Self::Excluded => "the domain is among those that must not be talked to",
            Self::OurDomain => "the domain is served here",
            Self::Unencrypted => "encryption is needed, and the stream is not encrypted",
            Self::NoOwnCertificate => {
                "encryption is needed, and there is no certificate of ours for it"
            }
            Self::Certificate(flaw) => flaw.refused(),
            Self::StarttlsAbsent => "encryption is needed, and the server has none",
            Self::StarttlsForbidden => {
                "the server requires encryption, which is switched off here (`s2s_allow_encryption`)"
            }
            Self::StarttlsFailed => "the server offers STARTTLS and refuses it",
            Self::TlsFailed => "the TLS handshake failed",
            Self::NoMethod => "no method of authentication is left",
        }
    }

    /// For the text of an error that the peer is told.
    #[must_use]
    pub const fn peer(self) -> &'static str {
        match self {
            Self::NotAllowed | Self::Excluded => "This server does not communicate with yours",
            Self::OurDomain => "This domain is served here",
            Self::Unencrypted => "This server requires encryption",
            Self::NoOwnCertificate => {
                "This server requires encryption and has no certificate at the moment"
            }
            Self::Certificate(flaw) => flaw.peer(),
            Self::StarttlsAbsent => "This server requires encryption, which yours does not offer",
            Self::StarttlsForbidden => "This server does not use encryption",
            Self::StarttlsFailed => "Your server offers STARTTLS and refuses it",
            Self::TlsFailed => "The TLS handshake failed",
            Self::NoMethod => "No method of authentication is left",
        }
    }

    /// For whoever wrote what is therefore not sent.
    #[must_use]
    pub const fn bounce(self) -> &'static str {
        match self {
            Self::NotAllowed | Self::Excluded => {
                "This server does not communicate with the other one"
            }
            Self::OurDomain => "The address is served here now; send it again",
            Self::Unencrypted | Self::StarttlsAbsent => "The other server has no encryption",
            Self::NoOwnCertificate => "This server has no certificate at the moment",
            Self::Certificate(flaw) => flaw.bounce(),
            Self::StarttlsForbidden => "The other server requires encryption, which this one lacks",
            Self::StarttlsFailed | Self::TlsFailed => {
                "The connection to the other server could not be encrypted"
            }
            Self::NoMethod => "This server could not prove to the other one who it is",
        }
    }
}

impl Flaw {
    const fn log(self) -> &'static str {
        match self {
            Self::Missing => "there is no certificate",
            Self::Expired => "the certificate has expired, or one above it",
            Self::NotYetValid => {
                "the certificate is not valid yet, or one above it: perhaps a clock is wrong"
            }
            Self::SelfSigned => "the certificate has signed itself",
            Self::Untrusted => "no authority that is trusted vouches for the certificate",
            Self::WrongUse => "the certificate is made for another use",
            Self::Unreadable => "the certificate cannot be read",
            Self::OtherNames => "the certificate is for other domains",
            Self::Nameless => "the certificate is for no domain",
        }
    }

    const fn refused(self) -> &'static str {
        match self {
            Self::Missing => "a certificate is needed, and there is none",
            Self::Expired => {
                "a certificate is needed, and this one has expired, or one above it has"
            }
            Self::NotYetValid => {
                "a certificate is needed, and this one is not valid yet, or one above it: perhaps a clock is wrong"
            }
            Self::SelfSigned => "a certificate is needed, and this one has signed itself",
            Self::Untrusted => {
                "a certificate is needed, and no authority that is trusted vouches for this one"
            }
            Self::WrongUse => "a certificate is needed, and this one is made for another use",
            Self::Unreadable => "a certificate is needed, and this one cannot be read",
            Self::OtherNames => "a certificate is needed, and this one is for other domains",
            Self::Nameless => "a certificate is needed, and this one is for no domain",
        }
    }

    const fn peer(self) -> &'static str {
        match self {
            Self::Missing => "Your server has shown no certificate",
            Self::Expired => "Your server's certificate has expired, or one above it",
            Self::NotYetValid => "Your server's certificate is not valid yet, or one above it",
            Self::SelfSigned => "Your server's certificate has signed itself",
            Self::Untrusted => "Your server's certificate is from nobody who is trusted here",
            Self::WrongUse => "Your server's certificate is made for another use",
            Self::Unreadable => "Your server's certificate cannot be read",
            Self::OtherNames => "Your server's certificate is not for this domain",
            Self::Nameless => "Your server's certificate is for no domain",
        }
    }

    const fn bounce(self) -> &'static str {
        match self {
            Self::Missing => "The other server has no certificate",
            Self::Expired => "The certificate of the other server has expired",
            Self::NotYetValid => "The certificate of the other server is not valid yet",
            Self::SelfSigned => "The certificate of the other server has signed itself",
            Self::Untrusted => "The certificate of the other server is from nobody who is trusted",
            Self::WrongUse => "The certificate of the other server is made for another use",
            Self::Unreadable => "The certificate of the other server cannot be read",
            Self::OtherNames => "The certificate of the other server is for others",
            Self::Nameless => "The certificate of the other server is for nobody",
        }
    }
}

/// A rule, and what it saw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// What it saw.
    pub saw: Saw,
}

/// What a rule saw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Saw {
    /// In which lists the domain stands.
    Listed(Listed),
    /// Whether it may be talked to.
    Permission(Permission),
    /// Whose it is.
    Whose(Whose),
    /// What the peer says of STARTTLS.
    Starttls(StarttlsOffer),
    /// Whether we may encrypt.
    Encryption(Encryption),
    /// How the stream is encrypted.
    Tls(TlsVersion, Opening),
    /// That a handshake failed.
    FailedHandshake,
    /// The peer's certificate.
    Certificate(PeerCertificate),
    /// Whether there is one of ours.
    Own(OwnCertificate),
    /// Whether the peer offers the method.
    Method(Method),
    /// What came of trying it.
    Try(Try),
}

impl fmt::Display for Saw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listed(Listed::Neither) => "in neither list",
            Self::Listed(Listed::Secure) => "in `s2s_secure_domains`",
            Self::Listed(Listed::Insecure) => "in `s2s_insecure_domains`",
            Self::Listed(Listed::Both) => "in `s2s_secure_domains` and `s2s_insecure_domains`",
            Self::Permission(Permission::Yes) => "permitted",
            Self::Permission(Permission::NotAllowed) => "not in the list of those allowed",
            Self::Permission(Permission::Refused) => "in the list of those refused",
            Self::Whose(Whose::Others) => "not served here",
            Self::Whose(Whose::Ours) => "served here",
            Self::Starttls(StarttlsOffer::Absent) => "STARTTLS not offered",
            Self::Starttls(StarttlsOffer::Offered) => "STARTTLS offered",
            Self::Starttls(StarttlsOffer::Required) => "STARTTLS required",
            Self::Encryption(Encryption::Forbidden) => "encryption switched off",
            Self::Encryption(Encryption::Optional) => "encryption optional",
            Self::Encryption(Encryption::Required) => "encryption required",
            Self::Tls(TlsVersion::V1_2, Opening::Clear) => "TLS 1.2 by STARTTLS",
            Self::Tls(TlsVersion::V1_2, Opening::Tls) => "TLS 1.2, at once",
            Self::Tls(TlsVersion::V1_3, Opening::Clear) => "TLS 1.3 by STARTTLS",
            Self::Tls(TlsVersion::V1_3, Opening::Tls) => "TLS 1.3, at once",
            Self::FailedHandshake => "failed",
            Self::Certificate(certificate) => return certificate.fmt(f),
            Self::Own(OwnCertificate::Present) => "a certificate of ours",
            Self::Own(OwnCertificate::Absent) => "no certificate of ours",
            Self::Method(Method::Absent) => "not offered",
            Self::Method(Method::Offered) => "offered",
            Self::Try(Try::Untried) => "not tried yet",
            Self::Try(Try::Failed) => "tried, and failed",
        })
    }
}
