//! What was known of a stream: as it is told, and as rules are asked about it once more, elsewhere.

use serde::{Deserialize, Serialize};
use spondee_core::federation::{
    self, Method, Methods, NameMatch, OwnCertificate, PeerCertificate, Side, StarttlsOffer, Tried,
    Try,
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
    pub(crate) own_certificate: Own,
    /// Whose the other one is.
    pub(crate) whose: Whose,
    pub(crate) tls: Tls,
    /// What is offered.
    pub(crate) methods: Vec<Means>,
    /// What was tried in vain.
    pub(crate) failed: Vec<Means>,
}

/// `OwnCertificate`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Own {
    Present,
    Absent,
}

/// `federation::Whose`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Whose {
    Others,
    Ours,
}

/// What a stream can be secured or proven by.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Means {
    Starttls,
    External,
    Dialback,
}

impl Means {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Starttls => "STARTTLS",
            Self::External => "EXTERNAL",
            Self::Dialback => "dialback",
        }
    }
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

/// `port::Chain`. Times as in 2027-01-02T03:04:05.000Z.
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

impl From<&federation::Facts> for Facts {
    fn from(facts: &federation::Facts) -> Self {
        let Methods { external, dialback } = facts.methods;
        let offered = [(Means::External, external), (Means::Dialback, dialback)];
        let offered = offered.into_iter().filter(|(_, m)| *m == Method::Offered);
        let Tried {
            starttls,
            external,
            dialback,
        } = facts.tried;
        let tried = [
            (Means::Starttls, starttls),
            (Means::External, external),
            (Means::Dialback, dialback),
        ];
        let failed = tried.into_iter().filter(|(_, tried)| *tried == Try::Failed);
        Self {
            from: facts.ours.as_str().to_owned(),
            own_certificate: match facts.own {
                OwnCertificate::Present => Own::Present,
                OwnCertificate::Absent => Own::Absent,
            },
            whose: match facts.whose {
                federation::Whose::Ours => Whose::Ours,
                federation::Whose::Others => Whose::Others,
            },
            tls: facts.tls.into(),
            methods: offered.map(|(means, _)| means).collect(),
            failed: failed.map(|(means, _)| means).collect(),
        }
    }
}

impl Facts {
    /// Of a stream to this domain.
    ///
    /// # Errors
    /// A sentence: something is none of what it should be.
    pub(crate) fn to(&self, theirs: &Domain) -> Result<federation::Facts, String> {
        let method = |means| match self.methods.contains(&means) {
            true => Method::Offered,
            false => Method::Absent,
        };
        let tried = |means| match self.failed.contains(&means) {
            true => Try::Failed,
            false => Try::Untried,
        };
        Ok(federation::Facts {
            ours: domain(&self.from)?,
            own: match self.own_certificate {
                Own::Present => OwnCertificate::Present,
                Own::Absent => OwnCertificate::Absent,
            },
            side: Side::Out(theirs.clone()),
            whose: match self.whose {
                Whose::Ours => federation::Whose::Ours,
                Whose::Others => federation::Whose::Others,
            },
            tls: self.tls.told()?,
            methods: Methods {
                external: method(Means::External),
                dialback: method(Means::Dialback),
            },
            tried: Tried {
                starttls: tried(Means::Starttls),
                external: tried(Means::External),
                dialback: tried(Means::Dialback),
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
