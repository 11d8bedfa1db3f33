//! What was known of a stream: as it is told, and as rules are asked about it once more, elsewhere.

use serde::{Deserialize, Serialize};
use spondee_core::federation::{
    self, Method, Methods, NameMatch, OwnCertificate, PeerCertificate, Side, StarttlsOffer, Tried,
    Try, Whose,
};
use spondee_core::jid::Domain;
use spondee_core::port::{self, Opening, TlsVersion};
use spondee_core::time::{UnixTime, parse_xep0082};

use super::super::domain;
use super::super::reach::{Begins, Version};

/// `federation::Facts` of a stream of ours.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Facts {
    pub(crate) from: String,
    /// Whether that one has a certificate.
    pub(crate) own_certificate: bool,
    /// Whether the other one is served here, too.
    pub(crate) is_ours: bool,
    pub(crate) tls: Tls,
    pub(crate) methods: Offered,
    /// What was tried in vain.
    pub(crate) failed: Offered,
    pub(crate) starttls_failed: bool,
}

/// `federation::Tls`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tls {
    /// None; and what is said of STARTTLS.
    Clear(Starttls),
    Failed,
    Up {
        version: Version,
        opening: Begins,
        certificate: Option<Certificate>,
    },
}

/// `StarttlsOffer`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Starttls {
    Absent,
    Offered,
    Required,
}

/// `PeerCertificate`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Certificate {
    pub(crate) chain: Chain,
    pub(crate) names: Names,
}

/// `port::Chain`. Times as in 2027-01-02T03:04:05Z.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Chain {
    Valid { until: String },
    Expired { on: String },
    NotYetValid { from: String },
    SelfSigned,
    Untrusted,
    WrongUse,
    Unreadable,
}

/// `NameMatch`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Names {
    XmppAddr,
    SrvName,
    DnsName,
    Mismatch,
    Nameless,
}

/// `Methods`, and which of them have failed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Offered {
    pub(crate) external: bool,
    pub(crate) dialback: bool,
}

impl From<&federation::Facts> for Facts {
    fn from(facts: &federation::Facts) -> Self {
        let is = |method| method == Method::Offered;
        let failed = |tried| tried == Try::Failed;
        Self {
            from: facts.ours.as_str().to_owned(),
            own_certificate: facts.own == OwnCertificate::Present,
            is_ours: facts.whose == Whose::Ours,
            tls: facts.tls.into(),
            methods: Offered {
                external: is(facts.methods.external),
                dialback: is(facts.methods.dialback),
            },
            failed: Offered {
                external: failed(facts.tried.external),
                dialback: failed(facts.tried.dialback),
            },
            starttls_failed: failed(facts.tried.starttls),
        }
    }
}

impl Facts {
    /// Of a stream to this domain.
    ///
    /// # Errors
    /// A sentence: something is none of what it should be.
    pub(crate) fn to(&self, theirs: &Domain) -> Result<federation::Facts, String> {
        let method = |is| match is {
            true => Method::Offered,
            false => Method::Absent,
        };
        let tried = |failed| match failed {
            true => Try::Failed,
            false => Try::Untried,
        };
        Ok(federation::Facts {
            ours: domain(&self.from)?,
            own: match self.own_certificate {
                true => OwnCertificate::Present,
                false => OwnCertificate::Absent,
            },
            side: Side::Out(theirs.clone()),
            whose: match self.is_ours {
                true => Whose::Ours,
                false => Whose::Others,
            },
            tls: self.tls.told()?,
            methods: Methods {
                external: method(self.methods.external),
                dialback: method(self.methods.dialback),
            },
            tried: Tried {
                starttls: tried(self.starttls_failed),
                external: tried(self.failed.external),
                dialback: tried(self.failed.dialback),
            },
        })
    }
}

impl From<federation::Tls> for Tls {
    fn from(tls: federation::Tls) -> Self {
        match tls {
            federation::Tls::Clear(StarttlsOffer::Absent) => Self::Clear(Starttls::Absent),
            federation::Tls::Clear(StarttlsOffer::Offered) => Self::Clear(Starttls::Offered),
            federation::Tls::Clear(StarttlsOffer::Required) => Self::Clear(Starttls::Required),
            federation::Tls::Failed => Self::Failed,
            federation::Tls::Up {
                version,
                opening,
                certificate,
            } => Self::Up {
                version: match version {
                    TlsVersion::V1_2 => Version::V1_2,
                    TlsVersion::V1_3 => Version::V1_3,
                },
                opening: match opening {
                    Opening::Clear => Begins::Starttls,
                    Opening::Tls => Begins::DirectTls,
                },
                certificate: match certificate {
                    PeerCertificate::None => None,
                    PeerCertificate::Shown { chain, names } => Some(Certificate {
                        chain: chain.into(),
                        names: names.into(),
                    }),
                },
            },
        }
    }
}

impl Tls {
    fn told(&self) -> Result<federation::Tls, String> {
        Ok(match self {
            Self::Clear(Starttls::Absent) => federation::Tls::Clear(StarttlsOffer::Absent),
            Self::Clear(Starttls::Offered) => federation::Tls::Clear(StarttlsOffer::Offered),
            Self::Clear(Starttls::Required) => federation::Tls::Clear(StarttlsOffer::Required),
            Self::Failed => federation::Tls::Failed,
            Self::Up {
                version,
                opening,
                certificate,
            } => federation::Tls::Up {
                version: match version {
                    Version::V1_2 => TlsVersion::V1_2,
                    Version::V1_3 => TlsVersion::V1_3,
                },
                opening: match opening {
                    Begins::Starttls => Opening::Clear,
                    Begins::DirectTls => Opening::Tls,
                },
                certificate: match certificate {
                    None => PeerCertificate::None,
                    Some(shown) => PeerCertificate::Shown {
                        chain: shown.chain.told()?,
                        names: shown.names.into(),
                    },
                },
            },
        })
    }
}

impl From<port::Chain> for Chain {
    fn from(chain: port::Chain) -> Self {
        match chain {
            port::Chain::Valid { until } => Self::Valid {
                until: until.to_xep0082(),
            },
            port::Chain::Expired { on } => Self::Expired {
                on: on.to_xep0082(),
            },
            port::Chain::NotYetValid { from } => Self::NotYetValid {
                from: from.to_xep0082(),
            },
            port::Chain::SelfSigned => Self::SelfSigned,
            port::Chain::Untrusted => Self::Untrusted,
            port::Chain::WrongUse => Self::WrongUse,
            port::Chain::Unreadable => Self::Unreadable,
        }
    }
}

impl Chain {
    fn told(&self) -> Result<port::Chain, String> {
        let time = |text: &str| {
            let time = parse_xep0082(text).map(|us| UnixTime(us.div_euclid(1000)));
            time.ok_or_else(|| format!("{text:?} is no time"))
        };
        Ok(match self {
            Self::Valid { until } => port::Chain::Valid {
                until: time(until)?,
            },
            Self::Expired { on } => port::Chain::Expired { on: time(on)? },
            Self::NotYetValid { from } => port::Chain::NotYetValid { from: time(from)? },
            Self::SelfSigned => port::Chain::SelfSigned,
            Self::Untrusted => port::Chain::Untrusted,
            Self::WrongUse => port::Chain::WrongUse,
            Self::Unreadable => port::Chain::Unreadable,
        })
    }
}

impl From<NameMatch> for Names {
    fn from(names: NameMatch) -> Self {
        match names {
            NameMatch::Xmpp => Self::XmppAddr,
            NameMatch::Srv => Self::SrvName,
            NameMatch::Dns => Self::DnsName,
            NameMatch::Mismatch => Self::Mismatch,
            NameMatch::Nameless => Self::Nameless,
        }
    }
}

impl From<Names> for NameMatch {
    fn from(names: Names) -> Self {
        match names {
            Names::XmppAddr => Self::Xmpp,
            Names::SrvName => Self::Srv,
            Names::DnsName => Self::Dns,
            Names::Mismatch => Self::Mismatch,
            Names::Nameless => Self::Nameless,
        }
    }
}
