//! Links as an administrator sees and ends them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::jid::Domain;
use crate::limits::LINKS_SHOWN;
use crate::link::{Pair, RemoteKey, Way};
use crate::port::{
    CommandReply, ConnId, Direction, LinkProof, LinkReply, LinkShown, LinkState, LinkTask,
    LinksClosed, ProvenBy, QueueShown,
};
use crate::shard::Shard;
use crate::time::Now;
use crate::wait::Requester;

impl Shard {
    pub(in crate::shard) fn link_task(&mut self, now: Now, by: Requester, task: LinkTask) {
        let reply = match task {
            LinkTask::Explain { domain, ours } => return self.explain(now, by, domain, ours),
            LinkTask::List { domain } => self.list_links(now, domain.as_ref()),
            LinkTask::Close { domain } => LinkReply::Closed(self.close_links(now, &domain)),
        };
        self.reply(now, by, Ok(CommandReply::Links(reply)));
    }

    fn list_links(&mut self, now: Now, domain: Option<&Domain>) -> LinkReply {
        let mut shown = Vec::new();
        for key in self.links.remotes.keys() {
            let Some(remote) = self.links.remotes.get(key) else {
                continue;
            };
            if domain.is_some_and(|domain| *domain != remote.domain) {
                continue;
            }
            let theirs = remote.domain.clone();
            let ours: Vec<Domain> = remote.pairs.keys().cloned().collect();
            let each = ours.iter().filter_map(|ours| {
                let pair = self.links.remotes.get(key)?.pairs.get(ours)?;
                Some(pair_shown(now, (ours, &theirs), pair))
            });
            let each: Vec<_> = each.collect();
            for (mut one, conn) in each {
                if let Some(conn) = conn {
                    self.show_stream(now, conn, &mut one);
                }
                shown.push(one);
            }
        }
        self.list_streams(now, domain, &mut shown);
        let more = shown.len() > LINKS_SHOWN;
        shown.truncate(LINKS_SHOWN);
        if domain.is_none() {
            for one in &mut shown {
                one.verdict = None;
            }
        }
        LinkReply::Listed(shown, more)
    }

    /// What is known of the stream of a link.
    fn show_stream(&mut self, now: Now, conn: ConnId, one: &mut LinkShown) {
        one.peer = self.connections.get(conn).map(|c| c.peer);
        let shown = self.with(now, conn, |s, cx| (s.link_shown(cx), s.link_proof()));
        let Some((Some((tls, verdict)), proof)) = shown else {
            return;
        };
        one.tls = tls;
        one.verdict = Some(Box::new(verdict));
        one.proof = proof.map(|(by, _)| match by {
            ProvenBy::External => LinkProof::External,
            ProvenBy::Dialback => LinkProof::Dialback,
        });
    }

    /// Those that other servers opened.
    fn list_streams(&self, now: Now, domain: Option<&Domain>, shown: &mut Vec<LinkShown>) {
        for (conn, connection) in self.connections.iter() {
            if shown.len() > LINKS_SHOWN {
                return;
            }
            let Some((pairs, tls)) = connection.stream.pairs_shown(&self.config) else {
                continue;
            };
            let pairs = pairs
                .into_iter()
                .filter(|pair| domain.is_none_or(|domain| *domain == pair.theirs));
            let pairs = pairs.map(|pair| {
                let proof = self.proven.proof(conn, &pair.ours, &pair.theirs);
                (proof, pair)
            });
            shown.extend(pairs.map(|(proof, pair)| LinkShown {
                direction: Direction::In,
                ours: pair.ours,
                theirs: pair.theirs,
                state: match proof {
                    Some(_) => LinkState::Up,
                    None => LinkState::Unproven,
                },
                since: Some(now.mono.since(connection.stream.accepted())),
                peer: Some(connection.peer),
                proof,
                tls: tls.clone(),
                queue: QueueShown::default(),
                failure: None,
                verdict: Some(Box::new(pair.verdict)),
            }));
        }
    }

    fn close_links(&mut self, now: Now, domain: &Domain) -> LinksClosed {
        let mut closed = LinksClosed::default();
        for conn in self.connections.keys() {
            let event = self.with(now, conn, |s, cx| s.finish_with(cx, domain));
            if let Some(Some(event)) = event {
                closed.streams = closed.streams.saturating_add(1);
                self.on_event(now, conn, event);
                self.proceed(now, conn);
            }
        }
        if let Some(key) = self.links.by_domain.get(domain).copied() {
            self.close_ways(now, key, &mut closed);
        }
        closed
    }

    fn close_ways(&mut self, now: Now, key: RemoteKey, closed: &mut LinksClosed) {
        let pairs = self.links.remotes.get(key).map(|remote| &remote.pairs);
        let pairs: Vec<Domain> = pairs.into_iter().flat_map(|p| p.keys().cloned()).collect();
        for ours in pairs {
            let Some(pair) = self.pair(key, &ours) else {
                continue;
            };
            pair.is_well();
            match pair.way {
                Way::Ready(conn) | Way::Up(conn) => {
                    closed.links = closed.links.saturating_add(1);
                    self.with(now, conn, |s, cx| s.finish_link(cx));
                    // What was written and not confirmed goes out once more, with what waits, on the next one.
                    self.link_finished(now, conn);
                    self.proceed(now, conn);
                }
                Way::Waiting(..) | Way::Refused(..) => {
                    closed.cleared = closed.cleared.saturating_add(1);
                    pair.way = Way::Cold;
                    self.tend(now, key, &ours);
                }
                Way::Cold | Way::Turn | Way::Opening(_) => {}
            }
        }
        self.look_at_remote(key);
    }
}

/// What is known of a pair, and the stream that has it.
fn pair_shown(
    now: Now,
    (ours, theirs): (&Domain, &Domain),
    pair: &Pair,
) -> (LinkShown, Option<ConnId>) {
    let until = |until: crate::time::Instant| until.since(now.mono);
    let (state, conn) = match &pair.way {
        Way::Cold => (LinkState::Cold, None),
        Way::Turn | Way::Opening(_) => (LinkState::Opening, None),
        Way::Ready(conn) => (LinkState::Unproven, Some(*conn)),
        Way::Up(conn) => (LinkState::Up, Some(*conn)),
        Way::Waiting(_, then) => (LinkState::Waiting(until(*then)), None),
        Way::Refused(_, then) => (LinkState::Refused(until(*then)), None),
    };
    let shown = LinkShown {
        direction: Direction::Out,
        ours: ours.clone(),
        theirs: theirs.clone(),
        since: (state == LinkState::Up).then(|| pair.lived(now.mono)),
        state,
        peer: None,
        proof: None,
        tls: None,
        queue: QueueShown {
            stanzas: pair.queue.len(),
            bytes: pair.queue.bytes(),
            unconfirmed: pair.queue.unconfirmed(),
        },
        failure: pair.last_failure().cloned(),
        verdict: None,
    };
    (shown, conn)
}
