//! That a server speaks for a domain: claimed by a key, asked of that domain's own servers, judged (XEP-0220 §2).

use alloc::boxed::Box;

use super::policy::{NextStep, Verdict};
use crate::jid::Domain;

/// How it is proven who opened a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LinkProof {
    /// By a certificate, in SASL (XEP-0178).
    External,
    /// By a certificate, as dialback without dialling back (XEP-0344 §2.4).
    Certificate,
    /// By a key (XEP-0220).
    Dialback,
}

/// What a server claims by a key on a stream that it opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    /// The domain of ours to which it wants to speak.
    pub receiving: Domain,
    /// The domain for which it wants to speak.
    pub originating: Domain,
    /// The id that we gave the stream.
    pub id: Box<str>,
    /// The key.
    pub key: Box<str>,
}

impl Claim {
    /// About how many bytes it keeps alive.
    #[must_use]
    pub fn size(&self) -> usize {
        let names = self.receiving.as_str().len() + self.originating.as_str().len();
        names + self.id.len() + self.key.len()
    }
}

/// What is known of a key once it was asked about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verified {
    /// The domain's own server says that it is its own.
    Valid,
    /// It says that it is not.
    Invalid,
    /// Nobody could be asked.
    Unknown(Unverified),
}

/// Why nobody could be asked, as XEP-0220 §2.5 has words for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unverified {
    /// DNS knows no server of the domain.
    NotFound,
    /// There is one, and no connection to it.
    Unconnected,
    /// It does not answer in time.
    TimedOut,
    /// It says that the domain of ours, or its own, is none it knows, or has another reason not to say.
    Refused,
    /// What it has shown of itself is not enough, or it must not be asked.
    Unfit,
    /// There is no room for more questions.
    Busy,
}

/// What has become of a pair of domains on a stream that another server opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Judged {
    /// The domain of ours.
    pub ours: Domain,
    /// The domain for which the server speaks, or wanted to.
    pub theirs: Domain,
    /// What was decided, and why.
    pub verdict: Verdict,
    /// What it has come to.
    pub outcome: Outcome,
}

/// What a claim has come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It is proven by a certificate, in SASL or as dialback without dialling back (XEP-0344 §2.4).
    Certificate,
    /// It is proven by a key.
    Dialback,
    /// It is not: by the verdict.
    Refused,
    /// It is not: by what came of asking.
    Unproven(Verified),
    /// It is not: signing in by EXTERNAL has failed with this condition (RFC 6120 §6.5), which the stream outlives.
    NotSignedIn(&'static str),
    /// Claims or pairs are too many already.
    Crowded,
}

impl Outcome {
    /// Whether the pair is proven.
    #[must_use]
    pub const fn is_proven(self) -> bool {
        match self {
            Self::Certificate | Self::Dialback => true,
            Self::Refused | Self::Unproven(_) | Self::NotSignedIn(_) | Self::Crowded => false,
        }
    }
}

impl Judged {
    /// How it is proven, if it is. Of who signs in it is decided what is offered, and of who claims a domain that it is taken at its certificate.
    #[must_use]
    pub const fn proof(&self) -> Option<LinkProof> {
        match (self.outcome, &self.verdict.step) {
            (Outcome::Certificate, NextStep::Offer(_)) => Some(LinkProof::External),
            (
                Outcome::Certificate,
                NextStep::StartTls
                | NextStep::External
                | NextStep::Dialback
                | NextStep::AcceptByCertificate
                | NextStep::DialBack
                | NextStep::Refuse { .. },
            ) => Some(LinkProof::Certificate),
            (Outcome::Dialback, _) => Some(LinkProof::Dialback),
            (
                Outcome::Refused
                | Outcome::Unproven(_)
                | Outcome::NotSignedIn(_)
                | Outcome::Crowded,
                _,
            ) => None,
        }
    }

    /// For the log: who has decided what, and why.
    #[must_use]
    pub const fn standing(&self) -> PeerStanding {
        let rule = self.verdict.rule.log();
        match self.outcome {
            Outcome::Certificate => PeerStanding::Proven(PeerProof::Certificate, rule),
            Outcome::Dialback => PeerStanding::Proven(PeerProof::Dialback, rule),
            Outcome::Refused => PeerStanding::Unproven(Decider::Here, rule),
            Outcome::NotSignedIn(failure) => PeerStanding::Unproven(Decider::Here, failure),
            Outcome::Crowded => PeerStanding::Unproven(Decider::Here, "it claims too many domains"),
            Outcome::Unproven(verified) => {
                PeerStanding::Unproven(verified.decider(), verified.log())
            }
        }
    }
}

impl Verified {
    /// Whose word it is.
    const fn decider(self) -> Decider {
        match self {
            Self::Valid | Self::Invalid | Self::Unknown(Unverified::Refused) => {
                Decider::TheirDomain
            }
            Self::Unknown(
                Unverified::NotFound
                | Unverified::Unconnected
                | Unverified::TimedOut
                | Unverified::Unfit
                | Unverified::Busy,
            ) => Decider::Here,
        }
    }

    /// For the log.
    #[must_use]
    pub const fn log(self) -> &'static str {
        match self {
            Self::Valid => "the key is its own",
            Self::Invalid => "the key is not its own",
            Self::Unknown(why) => why.log(),
        }
    }
}

impl Unverified {
    /// For the log.
    #[must_use]
    pub const fn log(self) -> &'static str {
        match self {
            Self::NotFound => "DNS knows no server of the domain that could be asked",
            Self::Unconnected => "no server of the domain can be reached to be asked",
            Self::TimedOut => {
                "the domain's server does not answer in time whether the key is its own"
            }
            Self::Refused => "it does not say whether the key is its own",
            Self::Unfit => "the domain's server has not shown enough of itself to be asked",
            Self::Busy => "there is no room for more questions",
        }
    }
}

/// Who has decided that a server does not speak for a domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decider {
    /// This server.
    Here,
    /// The servers of that domain.
    TheirDomain,
}

/// How a server has proven for whom it speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerProof {
    /// By its certificate.
    Certificate,
    /// By a key that the domain's own server knows.
    Dialback,
}

/// Whether a server speaks for a domain, and in which words the rule says so that has decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerStanding {
    /// It does.
    Proven(PeerProof, &'static str),
    /// It has not proven that it does.
    Unproven(Decider, &'static str),
}

/// What a server says to `<db:verify/>`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifyAnswer {
    /// For this domain of ours.
    pub receiving: Domain,
    /// As this domain.
    pub originating: Domain,
    /// Of the stream with this id.
    pub id: Box<str>,
    /// What it says.
    pub verified: Verified,
}
