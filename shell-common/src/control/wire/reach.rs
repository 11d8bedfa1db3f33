//! What was done to reach a domain, and what came of it: for the control socket, and for programs that read what the command line prints.

mod words;

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use spondee_core::port::{
    self, AttemptError, AttemptOutcome, ConnectError, Lookup, LookupError, Opening, PeerError,
    Protocol, RefusedPlace, Resolved, SecuredBy, Source, Starttls, TlsVersion, Unproven,
};

/// `Protocol`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::control) enum As {
    Client,
    Server,
}

impl From<Protocol> for As {
    fn from(service: Protocol) -> Self {
        match service {
            Protocol::XmppClient => Self::Client,
            Protocol::XmppServer => Self::Server,
        }
    }
}

impl From<As> for Protocol {
    fn from(service: As) -> Self {
        match service {
            As::Client => Self::XmppClient,
            As::Server => Self::XmppServer,
        }
    }
}

/// `port::Reach`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Reach {
    pub(crate) asked: Vec<Asked>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) outcome: Outcome,
}

/// `port::Asked`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Asked {
    pub(crate) name: String,
    /// `None` if it was not waited for.
    pub(crate) answer: Option<Answer>,
}

/// `Resolved`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    Addresses { addresses: Vec<IpAddr>, source: By },
    Services(Vec<Service>),
    NoService,
    NoName,
    NoData,
    Failed(Trouble),
}

/// `Source`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum By {
    Dns,
    Hosts,
}

/// `LookupError`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Trouble {
    Busy,
    Refused,
    TimedOut,
}

/// `port::Service`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Service {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    pub(crate) target: String,
}

/// `port::Attempt`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Attempt {
    pub(crate) target: String,
    pub(crate) address: SocketAddr,
    pub(crate) opening: Begins,
    pub(crate) outcome: Became,
}

/// `Opening`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Begins {
    DirectTls,
    Starttls,
}

/// `AttemptOutcome` and `AttemptError`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Became {
    Abandoned,
    Reached,
    Overtaken,
    /// What the peer sent is wrong in this way.
    Broke(Condition),
    Ended(Awaited),
    Evicted,
    OtherHost(String),
    Plaintext,
    /// By us, for this reason.
    Policy(String),
    /// By the peer.
    Refused(Condition),
    /// Nobody else is looked for there.
    RefusedPlace(Whose),
    StarttlsRefused,
    TimedOut(Awaited),
    TlsFailed,
    Unconnected(Unconnected),
    /// The peer does not believe who we are.
    Unproven(Condition),
}

/// `RefusedPlace`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Whose {
    Own,
    Loopback,
    Private,
    Shared,
    LinkLocal,
    Unspecified,
    Multicast,
    Broadcast,
}

/// A stream error.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Condition {
    pub(crate) condition: String,
    pub(crate) text: Option<String>,
}

/// `port::Awaited`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Awaited {
    Connection,
    Tls,
    Header,
    Features,
    Proceed,
    Proof,
}

/// `ConnectError`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unconnected {
    Exhausted,
    Refused,
    TimedOut,
    Unreachable,
}

/// `port::Reached`, or why not.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Reached(Box<Reached>),
    NoAddresses,
    NoService,
    /// By us, for this reason.
    Policy(String),
    Unresolved(Trouble),
    Unsuccessful,
    Unwelcome,
    TimedOut,
    Stopped,
}

/// `port::Reached`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Reached {
    pub(crate) target: String,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Tls>,
    pub(crate) mechanisms: Vec<String>,
    pub(crate) features: Vec<Feature>,
}

/// `port::Secured`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Tls {
    pub(crate) by: Began,
    pub(crate) version: Version,
    pub(crate) suite: String,
    pub(crate) certificate: Option<Certificate>,
}

/// `SecuredBy`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Began {
    DirectTls,
    Starttls,
    RequiredStarttls,
}

/// `TlsVersion`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Version {
    #[serde(rename = "1.2")]
    V1_2,
    #[serde(rename = "1.3")]
    V1_3,
}

/// `port::ServerCertificate`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Certificate {
    pub(crate) verdict: Verdict,
    /// In hexadecimal digits.
    pub(crate) sha256: String,
}

/// `port::Verdict`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Good,
    Expired,
    NotYetValid,
    OtherName,
    OtherUse,
    SelfSigned,
    Untrusted,
    Unreadable,
}

/// `port::Feature`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Feature {
    pub(crate) name: String,
    pub(crate) namespace: String,
}

impl From<port::Reach> for Reach {
    fn from(reach: port::Reach) -> Self {
        Self {
            asked: reach.asked.into_iter().map(Asked::from).collect(),
            attempts: reach.attempts.into_iter().map(Attempt::from).collect(),
            outcome: match reach.outcome {
                Ok(reached) => Outcome::Reached(Box::new((*reached).into())),
                Err(why) => why.into(),
            },
        }
    }
}

impl From<port::Unreached> for Outcome {
    fn from(why: port::Unreached) -> Self {
        match why {
            port::Unreached::NoAddresses => Self::NoAddresses,
            port::Unreached::NoService => Self::NoService,
            port::Unreached::Policy(refusal) => Self::Policy(refusal.log().to_owned()),
            port::Unreached::Unresolved(error) => Self::Unresolved(error.into()),
            port::Unreached::Unsuccessful => Self::Unsuccessful,
            port::Unreached::Unwelcome => Self::Unwelcome,
            port::Unreached::TimedOut => Self::TimedOut,
            port::Unreached::Stopped => Self::Stopped,
        }
    }
}

impl From<port::Asked> for Asked {
    fn from(asked: port::Asked) -> Self {
        let name = match asked.lookup {
            Lookup::Addresses(name) | Lookup::Services(name) => name,
        };
        Self {
            name: name.into(),
            answer: asked.outcome.map(Answer::from),
        }
    }
}

impl From<Resolved> for Answer {
    fn from(resolved: Resolved) -> Self {
        match resolved {
            Resolved::Addresses(addresses, source) => Self::Addresses {
                addresses,
                source: match source {
                    Source::Dns => By::Dns,
                    Source::Hosts => By::Hosts,
                },
            },
            Resolved::Services(services) => {
                Self::Services(services.into_iter().map(Service::from).collect())
            }
            Resolved::NoService => Self::NoService,
            Resolved::NoName => Self::NoName,
            Resolved::NoData => Self::NoData,
            Resolved::Failed(error) => Self::Failed(error.into()),
        }
    }
}

impl From<port::Service> for Service {
    fn from(service: port::Service) -> Self {
        Self {
            priority: service.priority,
            weight: service.weight,
            port: service.port,
            target: service.target.into(),
        }
    }
}

impl From<LookupError> for Trouble {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Busy => Self::Busy,
            LookupError::Refused => Self::Refused,
            LookupError::TimedOut => Self::TimedOut,
        }
    }
}

impl From<port::Attempt> for Attempt {
    fn from(attempt: port::Attempt) -> Self {
        Self {
            target: attempt.target.name.into(),
            address: attempt.to,
            opening: match attempt.target.opening {
                Opening::Clear => Begins::Starttls,
                Opening::Tls => Begins::DirectTls,
            },
            outcome: match attempt.outcome {
                AttemptOutcome::Abandoned => Became::Abandoned,
                AttemptOutcome::Overtaken => Became::Overtaken,
                AttemptOutcome::Reached => Became::Reached,
                AttemptOutcome::Failed(error) => error.into(),
            },
        }
    }
}

impl From<AttemptError> for Became {
    fn from(error: AttemptError) -> Self {
        match error {
            AttemptError::Broke(error) => Self::Broke(Condition {
                condition: error.condition.to_owned(),
                text: error.text.map(str::to_owned),
            }),
            AttemptError::Ended(awaited) => Self::Ended(awaited.into()),
            AttemptError::Evicted => Self::Evicted,
            AttemptError::OtherHost(host) => Self::OtherHost(host.into()),
            AttemptError::Plaintext => Self::Plaintext,
            AttemptError::Policy(refusal) => Self::Policy(refusal.log().to_owned()),
            AttemptError::Refused(error) => Self::Refused(error.into()),
            AttemptError::Unproven(Unproven::Invalid) => Self::Unproven(Condition {
                condition: "invalid".to_owned(),
                text: None,
            }),
            AttemptError::Unproven(Unproven::Error(error)) => Self::Unproven(error.into()),
            AttemptError::RefusedPlace(whose) => Self::RefusedPlace(whose.into()),
            AttemptError::StarttlsRefused => Self::StarttlsRefused,
            AttemptError::TimedOut(awaited) => Self::TimedOut(awaited.into()),
            AttemptError::Tls => Self::TlsFailed,
            AttemptError::Unconnected(error) => Self::Unconnected(match error {
                ConnectError::Exhausted => Unconnected::Exhausted,
                ConnectError::Refused => Unconnected::Refused,
                ConnectError::TimedOut => Unconnected::TimedOut,
                ConnectError::Unreachable => Unconnected::Unreachable,
            }),
        }
    }
}

impl From<RefusedPlace> for Whose {
    fn from(place: RefusedPlace) -> Self {
        match place {
            RefusedPlace::Own => Self::Own,
            RefusedPlace::Loopback => Self::Loopback,
            RefusedPlace::Private => Self::Private,
            RefusedPlace::Shared => Self::Shared,
            RefusedPlace::LinkLocal => Self::LinkLocal,
            RefusedPlace::Unspecified => Self::Unspecified,
            RefusedPlace::Multicast => Self::Multicast,
            RefusedPlace::Broadcast => Self::Broadcast,
        }
    }
}

impl From<Whose> for RefusedPlace {
    fn from(whose: Whose) -> Self {
        match whose {
            Whose::Own => Self::Own,
            Whose::Loopback => Self::Loopback,
            Whose::Private => Self::Private,
            Whose::Shared => Self::Shared,
            Whose::LinkLocal => Self::LinkLocal,
            Whose::Unspecified => Self::Unspecified,
            Whose::Multicast => Self::Multicast,
            Whose::Broadcast => Self::Broadcast,
        }
    }
}

impl From<PeerError> for Condition {
    fn from(error: PeerError) -> Self {
        Self {
            condition: error.condition.into(),
            text: error.text.map(String::from),
        }
    }
}

impl From<port::Awaited> for Awaited {
    fn from(awaited: port::Awaited) -> Self {
        match awaited {
            port::Awaited::Connection => Self::Connection,
            port::Awaited::Tls => Self::Tls,
            port::Awaited::Header => Self::Header,
            port::Awaited::Features => Self::Features,
            port::Awaited::Proceed => Self::Proceed,
            port::Awaited::Proof => Self::Proof,
        }
    }
}

impl From<port::Reached> for Reached {
    fn from(reached: port::Reached) -> Self {
        let features = reached.features;
        Self {
            target: reached.target.name.into(),
            address: reached.at,
            tls: reached.tls.map(Tls::from),
            mechanisms: features.mechanisms.into_iter().map(String::from).collect(),
            features: features
                .all
                .into_iter()
                .map(|feature| Feature {
                    name: feature.name.into(),
                    namespace: feature.namespace.into(),
                })
                .collect(),
        }
    }
}

impl From<port::Secured> for Tls {
    fn from(secured: port::Secured) -> Self {
        Self {
            by: match secured.by {
                SecuredBy::DirectTls => Began::DirectTls,
                SecuredBy::Starttls(Starttls::Optional) => Began::Starttls,
                SecuredBy::Starttls(Starttls::Required) => Began::RequiredStarttls,
            },
            version: match secured.version {
                TlsVersion::V1_2 => Version::V1_2,
                TlsVersion::V1_3 => Version::V1_3,
            },
            suite: secured.suite.to_owned(),
            certificate: secured.certificate.map(|certificate| Certificate {
                // Who reaches asks for a name, so there is always one.
                verdict: certificate
                    .verdict
                    .map_or(Verdict::Unreadable, Verdict::from),
                sha256: hex(&certificate.fingerprint),
            }),
        }
    }
}

impl From<port::Verdict> for Verdict {
    fn from(verdict: port::Verdict) -> Self {
        match verdict {
            port::Verdict::Good => Self::Good,
            port::Verdict::Expired => Self::Expired,
            port::Verdict::NotYetValid => Self::NotYetValid,
            port::Verdict::OtherName => Self::OtherName,
            port::Verdict::OtherUse => Self::OtherUse,
            port::Verdict::SelfSigned => Self::SelfSigned,
            port::Verdict::Untrusted => Self::Untrusted,
            port::Verdict::Unreadable => Self::Unreadable,
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
