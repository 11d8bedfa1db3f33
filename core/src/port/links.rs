//! What an administrator asks of links to other servers, and what is told.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::{
    AttemptError, AttemptOutcome, LinkFailure, Reach, ServerCertificate, TlsVersion, Unreached,
};
use crate::federation::{Conclusion, Verdict, Weighed};
use crate::jid::Domain;

/// What is to be done. All but `Explain` is for every shard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LinkTask {
    /// Ends the links to a domain and the streams from it, in order, and forgets why there was none.
    Close {
        /// This domain.
        domain: Domain,
    },
    /// Finds out what would come of a link, without making one.
    Explain {
        /// To this domain.
        domain: Domain,
        /// From this one of ours.
        ours: Domain,
    },
    /// Tells which there are.
    List {
        /// With this domain alone, and then with what is thought of each.
        domain: Option<Domain>,
    },
}

impl LinkTask {
    /// The domain it is about, if it is about one.
    #[must_use]
    pub const fn domain(&self) -> Option<&Domain> {
        match self {
            Self::Close { domain } | Self::Explain { domain, .. } => Some(domain),
            Self::List { domain } => domain.as_ref(),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LinkReply {
    /// On this shard.
    Closed(LinksClosed),
    /// What would come of a link.
    Explained(Box<Explained>),
    /// Those of this shard, and whether there are more than `LINKS_SHOWN`.
    Listed(Vec<LinkShown>, bool),
}

/// How many were ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LinksClosed {
    /// Links of ours.
    pub links: usize,
    /// Streams that the other server had opened.
    pub streams: usize,
    /// Links that were not to be tried for some time, and may be now.
    pub cleared: usize,
}

/// What would come of a link.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Explained {
    /// From this domain of ours.
    pub ours: Domain,
    /// What was asked and tried.
    pub reach: Reach,
    /// What was known, and when, by the number of the attempt.
    pub known: Vec<(usize, Weighed)>,
    /// What comes of it.
    pub conclusion: Conclusion,
}

impl Explained {
    /// Why there would be no link, as a link itself would fail.
    #[must_use]
    pub fn failure(&self) -> Option<LinkFailure> {
        let policy = |refusal| Some(LinkFailure::Unreached(Unreached::Policy(refusal), None));
        match &self.conclusion {
            Conclusion::Link(..) => None,
            Conclusion::Barred(refusal) => policy(*refusal),
            Conclusion::Refused(verdict) => match (&self.reach.outcome, verdict.rule.refusal()) {
                (Ok(_), Some(refusal)) => policy(refusal),
                (Ok(_) | Err(_), _) => self.unreached(),
            },
            Conclusion::Unknown => self.unreached(),
        }
    }

    fn unreached(&self) -> Option<LinkFailure> {
        let why = self.reach.outcome.as_ref().err()?;
        let last = last_error(&self.reach.attempts);
        Some(LinkFailure::Unreached(*why, last.map(Box::new)))
    }
}

/// What became of the last attempt that came to nothing by itself.
pub(crate) fn last_error(attempts: &[super::Attempt]) -> Option<AttemptError> {
    attempts.iter().rev().find_map(|a| match &a.outcome {
        AttemptOutcome::Failed(error) => Some(error.clone()),
        AttemptOutcome::Abandoned | AttemptOutcome::Overtaken | AttemptOutcome::Reached => None,
    })
}

/// A link, a stream of another server as far as it is about one pair of domains, or why there is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LinkShown {
    /// Who opened it.
    pub direction: Direction,
    /// The domain of ours.
    pub ours: Domain,
    /// The other one.
    pub theirs: Domain,
    /// How it stands.
    pub state: LinkState,
    /// For how long it has: a link is proven for as long, a stream of another server open. `None` where nobody keeps that.
    pub since: Option<Duration>,
    /// Where the other side is.
    pub peer: Option<SocketAddr>,
    /// How the one who opened it has proven who it is.
    pub proof: Option<LinkProof>,
    /// What protects it.
    pub tls: Option<LinkTls>,
    /// What waits for it.
    pub queue: QueueShown,
    /// Why there was none at last.
    pub failure: Option<LinkFailure>,
    /// What the rules say of it now, if that was asked for.
    pub verdict: Option<Box<Verdict>>,
}

/// Who opened a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// We did; what is for the other server goes there on it.
    Out,
    /// The other server did; what comes from it comes on it.
    In,
}

/// How a link stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LinkState {
    /// There is none, and nothing needs one.
    Cold,
    /// A way is looked for.
    Opening,
    /// There is a stream, on which it is not proven who opened it.
    Unproven,
    /// Stanzas go by it.
    Up,
    /// There is none, and it is looked for again after this time.
    Waiting(Duration),
    /// There is none, and it is not looked for until this time has passed: what is for it is returned.
    Refused(Duration),
}

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

/// What protects a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LinkTls {
    /// Its version.
    pub version: TlsVersion,
    /// What its cipher suite is called.
    pub suite: &'static str,
    /// What the other side has shown.
    pub certificate: Option<Box<ServerCertificate>>,
}

/// What waits for a link.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QueueShown {
    /// Stanzas, with those that are written and not confirmed.
    pub stanzas: usize,
    /// In memory.
    pub bytes: usize,
    /// Those that are written and not confirmed.
    pub unconfirmed: usize,
}
