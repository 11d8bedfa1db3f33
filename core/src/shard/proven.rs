//! Streams on which other servers have proven who they are: so many for each pair of domains, and no more.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Shard;
use crate::jid::Domain;
use crate::limits::S2S_STREAMS;
use crate::port::{ConnId, LinkProof};
use crate::stream::Violation;
use crate::time::Now;

/// A domain of ours, and one of theirs.
type Pair = (Domain, Domain);

/// Those of a shard.
#[derive(Debug, Default)]
pub(super) struct Proven {
    by_pair: BTreeMap<Pair, Vec<ConnId>>,
    by_conn: BTreeMap<ConnId, Vec<(Pair, LinkProof)>>,
}

impl Proven {
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn len(&self) -> usize {
        self.by_pair.len() + self.by_conn.len()
    }

    /// All that have proven this pair, with this one.
    fn add(&mut self, conn: ConnId, pair: Pair, proof: LinkProof) -> &[ConnId] {
        let conns = self.by_pair.entry(pair.clone()).or_default();
        if !conns.contains(&conn) {
            // Mostly there is one of each.
            conns.reserve_exact(1);
            conns.push(conn);
            let pairs = self.by_conn.entry(conn).or_default();
            pairs.reserve_exact(1);
            pairs.push((pair, proof));
        }
        conns
    }

    /// How it was proven on this stream that it speaks for their domain to ours, if it was.
    pub(super) fn proof(&self, conn: ConnId, ours: &Domain, theirs: &Domain) -> Option<LinkProof> {
        let mut pairs = self.by_conn.get(&conn)?.iter();
        let found = pairs.find(|((of_ours, of_theirs), _)| (of_ours, of_theirs) == (ours, theirs));
        found.map(|(_, proof)| *proof)
    }

    /// It is over, or about to be.
    pub(super) fn forget(&mut self, conn: ConnId) {
        for (pair, _) in self.by_conn.remove(&conn).unwrap_or_default() {
            if let Some(conns) = self.by_pair.get_mut(&pair) {
                conns.retain(|one| *one != conn);
                if conns.is_empty() {
                    self.by_pair.remove(&pair);
                }
            }
        }
    }
}

impl Shard {
    /// A stream has proven a pair. Where there are too many of those, the one that was silent for longest is closed in order.
    pub(super) fn make_room_for(&mut self, now: Now, conn: ConnId, pair: Pair, proof: LinkProof) {
        let theirs = pair.1.clone();
        let conns = self.proven.add(conn, pair, proof);
        if conns.len() <= S2S_STREAMS {
            return;
        }
        let others: Vec<ConnId> = conns.iter().copied().filter(|one| *one != conn).collect();
        let silence = |one: &ConnId| {
            let connection = self.connections.get(*one);
            connection.map(|connection| connection.stream.silence(now.mono))
        };
        let Some(idle) = others.into_iter().max_by_key(silence) else {
            return;
        };
        let event = self.with(now, idle, |s, cx| s.finish_with(cx, &theirs));
        match event {
            Some(Some(event)) => {
                self.on_event(now, idle, event);
                self.proceed(now, idle);
            }
            // It has not even said the header behind its sign-in.
            Some(None) | None => self.fail(now, idle, Violation::Evicted),
        }
    }
}
