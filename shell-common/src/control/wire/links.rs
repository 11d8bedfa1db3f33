//! Links to other servers, for the control socket, and for programs that read what the command line prints.

pub(crate) mod facts;
mod failure;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use spondee_core::federation::{self, Condition, Need, NextStep};
use spondee_core::jid::Domain;
use spondee_core::port::{
    self, CertificateName, Direction, LinkFailure, LinkProof, LinkReply, LinkState, LinkTask,
    LinksClosed, QueueShown, ServerCertificate, TlsVersion,
};

pub(crate) use facts::{Chain, Facts};
pub(crate) use failure::{Failure, decided};

use super::domain;
use super::reach::{Reach, Version, hex};

/// Names of a certificate that are told, and bytes of each: enough to see whose it is.
const NAMES_TOLD: usize = 8;

/// `LinkTask`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(in crate::control) enum Task {
    Close {
        domain: String,
    },
    Explain {
        domain: String,
        from: String,
    },
    List {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        domain: Option<String>,
    },
}

impl Task {
    pub(in crate::control) fn of(task: &LinkTask) -> Self {
        let text = |domain: &Domain| domain.as_str().to_owned();
        match task {
            LinkTask::Close { domain } => Self::Close {
                domain: text(domain),
            },
            LinkTask::Explain { domain, ours } => Self::Explain {
                domain: text(domain),
                from: text(ours),
            },
            LinkTask::List { domain } => Self::List {
                domain: domain.as_ref().map(text),
            },
        }
    }

    pub(in crate::control) fn into_task(self) -> Result<LinkTask, String> {
        Ok(match self {
            Self::Close { domain: of } => LinkTask::Close {
                domain: domain(&of)?,
            },
            Self::Explain { domain: of, from } => LinkTask::Explain {
                domain: domain(&of)?,
                ours: domain(&from)?,
            },
            Self::List { domain: of } => LinkTask::List {
                domain: of.as_deref().map(domain).transpose()?,
            },
        })
    }
}

/// `LinkReply`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Told {
    Closed(Closed),
    Explained(Box<Explained>),
    Listed { links: Vec<Link>, more: bool },
}

/// `LinksClosed`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Closed {
    pub(crate) links: usize,
    pub(crate) streams: usize,
    pub(crate) cleared: usize,
}

/// `port::Explained`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Explained {
    /// The domain of ours.
    pub(crate) from: String,
    pub(crate) reach: Reach,
    pub(crate) known: Vec<Known>,
    pub(crate) conclusion: Conclusion,
    /// Why there would be no link, and what authors would be told.
    pub(crate) failure: Option<Failure>,
}

/// `federation::Weighed`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Known {
    /// Of the attempt of this number, counted from 0.
    pub(crate) attempt: usize,
    pub(crate) facts: Facts,
    pub(crate) verdict: Verdict,
}

/// `federation::Conclusion`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Conclusion {
    Link {
        verdict: Verdict,
        /// What is done if that is not believed.
        then: Option<Verdict>,
    },
    Refused(Verdict),
    Barred(Reason),
    Unknown,
}

/// `federation::Verdict`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) step: Step,
    pub(crate) rule: String,
    /// The rule, in words.
    pub(crate) why: String,
    pub(crate) need: Needed,
    /// The stream error that the other server is told by, if it is refused.
    pub(crate) condition: Option<String>,
    pub(crate) trail: Vec<Finding>,
}

/// `federation::NextStep`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    Starttls,
    Offer,
    External,
    Dialback,
    AcceptByCertificate,
    DialBack,
    Refuse,
}

/// `federation::Need`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Needed {
    Nothing,
    Tls,
    Certificate,
}

/// `federation::Finding`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Finding {
    pub(crate) rule: String,
    pub(crate) why: String,
    pub(crate) saw: String,
}

/// `federation::Refusal`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Reason {
    pub(crate) rule: String,
    pub(crate) why: String,
}

/// `port::LinkShown`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Link {
    pub(crate) direction: Way,
    pub(crate) ours: String,
    pub(crate) theirs: String,
    pub(crate) state: State,
    /// For how long it has been up, or its stream open.
    pub(crate) seconds: Option<u64>,
    /// Until it is tried again.
    pub(crate) seconds_left: Option<u64>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) method: Option<Method>,
    pub(crate) tls: Option<Tls>,
    pub(crate) queue: Queue,
    pub(crate) failure: Option<Failure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) verdict: Option<Verdict>,
}

/// `Direction`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    Out,
    In,
}

/// `LinkState`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Cold,
    Opening,
    Unproven,
    Up,
    Waiting,
    Refused,
}

/// How it is proven who opened a stream.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// By a certificate, in SASL.
    External,
    /// By a certificate, as dialback without dialling back.
    Certificate,
    Dialback,
}

/// `LinkTls`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Tls {
    pub(crate) version: Version,
    pub(crate) suite: String,
    pub(crate) certificate: Option<Certificate>,
}

/// `ServerCertificate`, as it counts between servers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Certificate {
    pub(crate) chain: Chain,
    /// As many as are told.
    pub(crate) names: Vec<String>,
    /// In hexadecimal digits.
    pub(crate) sha256: String,
}

/// `QueueShown`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Queue {
    pub(crate) stanzas: usize,
    pub(crate) bytes: usize,
    pub(crate) unconfirmed: usize,
}

impl From<LinkReply> for Told {
    fn from(reply: LinkReply) -> Self {
        match reply {
            LinkReply::Closed(LinksClosed {
                links,
                streams,
                cleared,
            }) => Self::Closed(Closed {
                links,
                streams,
                cleared,
            }),
            LinkReply::Explained(explained) => Self::Explained(Box::new((*explained).into())),
            LinkReply::Listed(links, more) => Self::Listed {
                links: links.into_iter().map(Link::from).collect(),
                more,
            },
        }
    }
}

impl From<port::Explained> for Explained {
    fn from(explained: port::Explained) -> Self {
        let failure = explained.failure();
        let known = explained.known.into_iter().map(|(attempt, weighed)| Known {
            attempt,
            facts: Facts::from(&weighed.facts),
            verdict: weighed.verdict.into(),
        });
        Self {
            from: explained.ours.as_str().to_owned(),
            known: known.collect(),
            reach: explained.reach.into(),
            conclusion: explained.conclusion.into(),
            failure: failure.as_ref().map(Failure::from),
        }
    }
}

impl From<federation::Conclusion> for Conclusion {
    fn from(conclusion: federation::Conclusion) -> Self {
        match conclusion {
            federation::Conclusion::Link(verdict, then) => Self::Link {
                verdict: verdict.into(),
                then: then.map(Verdict::from),
            },
            federation::Conclusion::Refused(verdict) => Self::Refused(verdict.into()),
            federation::Conclusion::Barred(refusal) => Self::Barred(Reason {
                rule: refusal.name().to_owned(),
                why: refusal.log().to_owned(),
            }),
            federation::Conclusion::Unknown => Self::Unknown,
        }
    }
}

impl From<federation::Verdict> for Verdict {
    fn from(verdict: federation::Verdict) -> Self {
        let (step, condition) = match verdict.step {
            NextStep::StartTls => (Step::Starttls, None),
            NextStep::Offer(_) => (Step::Offer, None),
            NextStep::External => (Step::External, None),
            NextStep::Dialback => (Step::Dialback, None),
            NextStep::AcceptByCertificate => (Step::AcceptByCertificate, None),
            NextStep::DialBack => (Step::DialBack, None),
            NextStep::Refuse { condition, .. } => (Step::Refuse, condition),
        };
        let trail = verdict.trail.into_iter().map(|finding| Finding {
            rule: finding.rule.name().to_owned(),
            why: finding.rule.log().to_owned(),
            saw: finding.saw.to_string(),
        });
        Self {
            step,
            rule: verdict.rule.name().to_owned(),
            why: verdict.rule.log().to_owned(),
            need: match verdict.need {
                Need::Nothing => Needed::Nothing,
                Need::Tls => Needed::Tls,
                Need::Certificate => Needed::Certificate,
            },
            condition: condition.map(Condition::name).map(str::to_owned),
            trail: trail.collect(),
        }
    }
}

impl From<port::LinkShown> for Link {
    fn from(link: port::LinkShown) -> Self {
        let (state, left) = match link.state {
            LinkState::Cold => (State::Cold, None),
            LinkState::Opening => (State::Opening, None),
            LinkState::Unproven => (State::Unproven, None),
            LinkState::Up => (State::Up, None),
            LinkState::Waiting(left) => (State::Waiting, Some(left.as_secs())),
            LinkState::Refused(left) => (State::Refused, Some(left.as_secs())),
        };
        let QueueShown {
            stanzas,
            bytes,
            unconfirmed,
        } = link.queue;
        Self {
            direction: match link.direction {
                Direction::Out => Way::Out,
                Direction::In => Way::In,
            },
            method: link.proof.map(|proof| match proof {
                LinkProof::External => Method::External,
                LinkProof::Certificate => Method::Certificate,
                LinkProof::Dialback => Method::Dialback,
            }),
            ours: link.ours.as_str().to_owned(),
            theirs: link.theirs.as_str().to_owned(),
            state,
            seconds: link.since.map(|since| since.as_secs()),
            seconds_left: left,
            peer: link.peer,
            tls: link.tls.map(Tls::from),
            queue: Queue {
                stanzas,
                bytes,
                unconfirmed,
            },
            failure: link.failure.as_ref().map(Failure::from),
            verdict: link.verdict.map(|verdict| (*verdict).into()),
        }
    }
}

impl From<port::LinkTls> for Tls {
    fn from(tls: port::LinkTls) -> Self {
        Self {
            version: match tls.version {
                TlsVersion::V1_2 => Version::V1_2,
                TlsVersion::V1_3 => Version::V1_3,
            },
            suite: tls.suite.to_owned(),
            certificate: tls.certificate.map(|certificate| (*certificate).into()),
        }
    }
}

impl From<ServerCertificate> for Certificate {
    fn from(certificate: ServerCertificate) -> Self {
        let names = certificate.names.each.iter().take(NAMES_TOLD);
        Self {
            chain: certificate.chain.into(),
            names: names.map(name).collect(),
            sha256: hex(&certificate.fingerprint),
        }
    }
}

/// As much of a name as is told, and of which kind it is where that is not plain.
fn name(name: &CertificateName) -> String {
    let (kind, name) = match name {
        CertificateName::XmppAddr(name) => ("xmppAddr:", name),
        CertificateName::Srv(name) => ("SRVName:", name),
        CertificateName::Dns(name) => ("", name),
    };
    let short: String = name.chars().take(255).collect();
    format!("{kind}{short}")
}

impl From<&LinkFailure> for Failure {
    fn from(failure: &LinkFailure) -> Self {
        Self::of(failure)
    }
}
