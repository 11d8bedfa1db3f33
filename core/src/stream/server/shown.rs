//! What an administrator is told of a stream that another server opened, and its end at that one's word.

use alloc::vec::Vec;

use super::{Pair, Protection, Server};
use crate::config::Config;
use crate::federation::{Side, Verdict};
use crate::jid::Domain;
use crate::port::LinkTls;
use crate::stream::{Cx, Event, Stream};
use crate::time::Instant;

/// One pair of domains on it.
#[derive(Debug)]
pub(crate) struct PairShown {
    pub(crate) ours: Domain,
    pub(crate) theirs: Domain,
    /// What the rules say now of who claims that domain on it.
    pub(crate) verdict: Verdict,
}

impl Stream {
    /// The pairs on a stream of another server, proven or said in its header, and what protects it.
    pub(crate) fn pairs_shown(&self, config: &Config) -> Option<(Vec<PairShown>, Option<LinkTls>)> {
        let server = self.server()?;
        let (protection, names) = match server {
            Server::Secure(..) => return None,
            Server::Header(protection, _) => (protection, None),
            Server::Open(talk) => (&talk.protection, Some(&talk.names)),
        };
        let mut shown: Vec<_> = server
            .pairs()
            .iter()
            .map(|pair| {
                let verdict = pair.verdict(protection, config);
                pair.shown(verdict)
            })
            .collect();
        if let (true, Some(names)) = (shown.is_empty(), names)
            && let Some(theirs) = names.from.clone()
        {
            let ours = names.ours.clone();
            let pair = Pair { ours, theirs };
            shown.push(pair.shown(pair.verdict(protection, config)));
        }
        Some((shown, protection.shown()))
    }

    /// Since when there is a connection.
    pub(crate) const fn accepted(&self) -> Instant {
        self.accepted
    }

    /// Closes a stream in order on which this domain is proven, whichever others are.
    pub(crate) fn finish_with(&mut self, cx: &mut Cx<'_>, domain: &Domain) -> Option<Event> {
        let mut pairs = self.server()?.pairs().iter();
        let is_it = pairs.any(|pair| pair.theirs == *domain);
        is_it.then(|| self.finish(cx, None))
    }
}

impl Server {
    /// What is proven on it.
    fn pairs(&self) -> &[Pair] {
        match self {
            Self::Open(talk) => &talk.pairs,
            // A new header is awaited from who has just signed in: it is shown, and ended, once that is here.
            Self::Secure(..) | Self::Header(..) => &[],
        }
    }
}

impl Pair {
    fn verdict(&self, protection: &Protection, config: &Config) -> Verdict {
        let side = Side::Further(self.theirs.clone());
        protection.decide(config, &self.ours, side)
    }

    fn shown(&self, verdict: Verdict) -> PairShown {
        PairShown {
            ours: self.ours.clone(),
            theirs: self.theirs.clone(),
            verdict,
        }
    }
}

impl Protection {
    fn shown(&self) -> Option<LinkTls> {
        match self {
            Self::Clear => None,
            Self::Tls {
                version,
                suite,
                opening: _,
                certificate,
            } => Some(LinkTls {
                version: *version,
                suite,
                certificate: certificate.clone(),
            }),
        }
    }
}
