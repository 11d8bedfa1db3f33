//! The mechanisms there are.

use super::Hash;

/// A SASL mechanism the server implements.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Mechanism {
    /// RFC 4505: nobody in particular.
    Anonymous,
    /// RFC 2831. Historic: RFC 6331.
    DigestMd5,
    /// RFC 4422 appendix A: by the client's certificate.
    External,
    /// RFC 4616.
    Plain,
    /// RFC 5802, RFC 7677: `SCRAM-*`, and with channel binding `SCRAM-*-PLUS`.
    Scram(Hash, Plus),
}

/// Whether a SCRAM mechanism binds to the TLS channel.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Plus {
    /// `SCRAM-*`.
    No,
    /// `SCRAM-*-PLUS`.
    Yes,
}

impl Mechanism {
    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "ANONYMOUS",
            Self::DigestMd5 => "DIGEST-MD5",
            Self::External => "EXTERNAL",
            Self::Plain => "PLAIN",
            Self::Scram(Hash::Sha1, Plus::No) => "SCRAM-SHA-1",
            Self::Scram(Hash::Sha1, Plus::Yes) => "SCRAM-SHA-1-PLUS",
            Self::Scram(Hash::Sha256, Plus::No) => "SCRAM-SHA-256",
            Self::Scram(Hash::Sha256, Plus::Yes) => "SCRAM-SHA-256-PLUS",
            Self::Scram(Hash::Sha512, Plus::No) => "SCRAM-SHA-512",
            Self::Scram(Hash::Sha512, Plus::Yes) => "SCRAM-SHA-512-PLUS",
        }
    }

    /// All of them, the strongest first: the order in which they are offered.
    pub const ALL: [Self; 10] = [
        Self::External,
        Self::Scram(Hash::Sha512, Plus::Yes),
        Self::Scram(Hash::Sha256, Plus::Yes),
        Self::Scram(Hash::Sha1, Plus::Yes),
        Self::Scram(Hash::Sha512, Plus::No),
        Self::Scram(Hash::Sha256, Plus::No),
        Self::Scram(Hash::Sha1, Plus::No),
        Self::DigestMd5,
        Self::Plain,
        Self::Anonymous,
    ];

    /// Whether it binds to the TLS channel.
    #[must_use]
    pub const fn binds(self) -> bool {
        matches!(self, Self::Scram(_, Plus::Yes))
    }

    /// Whether it is for those alone who have a certificate.
    #[must_use]
    pub const fn is_by_certificate(self) -> bool {
        matches!(self, Self::External)
    }

    /// The mechanism of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.name() == name)
    }
}
