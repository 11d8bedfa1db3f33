//! The way to a remote domain: looked for by a `federation::Round`, and lost.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::envelope::{Body, Delivery, To};
use crate::federation::Round;
use crate::jid::Domain;
use crate::limits::{S2S_LIVED, S2S_OPENING};
use crate::link::{Pair, RemoteKey, Way};
use crate::port::{AttemptError, Closed, ConnId, LinkFailure, Note, Protocol, Unreached};
use crate::shard::Shard;
use crate::shard::connections::Role;
use crate::shard::reaching::{By, Reaching};
use crate::stream::Violation;
use crate::time::Now;

impl Shard {
    /// Looks for a way, when its turn comes.
    pub(super) fn open_way(&mut self, now: Now, key: RemoteKey, ours: &Domain) {
        if self.is_stopping() {
            return self.way_failed(
                now,
                key,
                ours,
                LinkFailure::Unreached(Unreached::Stopped, None),
            );
        }
        self.begin_round(now, key, ours, |pair, way| pair.way = way);
    }

    /// The same; where it stands is noted by `set`.
    pub(super) fn begin_round(
        &mut self,
        now: Now,
        key: RemoteKey,
        ours: &Domain,
        set: fn(&mut Pair, Way),
    ) {
        if self.links.opening >= S2S_OPENING {
            if let Some(pair) = self.pair(key, ours) {
                set(pair, Way::Turn);
                self.links.turns.push_back((key, ours.clone()));
            }
            return;
        }
        let Some(domain) = self.links.remotes.get(key).map(|r| r.domain.clone()) else {
            return;
        };
        let service = Protocol::XmppServer;
        let (round, steps) =
            Round::begin(now.mono, &domain, service, self.config.federation.places());
        let by = By::Link(key, ours.clone());
        let reach = self
            .reaches
            .insert(Reaching::new(by, domain, service, round));
        if let Some(pair) = self.pair(key, ours) {
            set(pair, Way::Opening(reach));
            self.links.opening = self.links.opening.saturating_add(1);
        }
        self.step(now, reach, steps);
    }

    /// Whoever looked for a way has come to an end of that: others may.
    pub(super) fn opened(&mut self, now: Now) {
        self.links.opening = self.links.opening.saturating_sub(1);
        while self.links.opening < S2S_OPENING
            && let Some((key, ours)) = self.links.turns.pop_front()
        {
            // It may have nothing to say any more, or be gone.
            if self.pair(key, &ours).is_some_and(Pair::takes_turn) {
                self.tend(now, key, &ours);
            }
        }
    }

    /// A remote domain was proven on a stream of its own: who talks to us is there.
    pub(in crate::shard) fn heard_of(&mut self, now: Now, ours: &Domain, theirs: &Domain) {
        let owner = self.placement.owner(theirs.as_str());
        if owner != self.place {
            let heard = Box::new((ours.clone(), theirs.clone()));
            return self.send(owner, Body::Heard(heard));
        }
        let Some(key) = self.links.by_domain.get(theirs).copied() else {
            return;
        };
        let pair = self.pair(key, ours);
        if pair.is_some_and(Pair::is_heard_of) {
            self.tend(now, key, ours);
        }
    }

    /// There is a stream that has come to its features.
    pub(in crate::shard) fn link_ready(
        &mut self,
        now: Now,
        conn: ConnId,
        (key, ours): (RemoteKey, Domain),
    ) {
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.role = Role::Link(key, ours.clone());
        }
        if let Some(pair) = self.pair(key, &ours) {
            pair.is_ready(conn);
        }
        self.opened(now);
        self.look_again(now, conn);
        self.tend(now, key, &ours);
    }

    /// It is proven who we are.
    pub(in crate::shard) fn linked(&mut self, now: Now, conn: ConnId) {
        let Some((key, ours)) = self.link_on(conn) else {
            return self.fx.bug("a proven stream that is no link");
        };
        let terms = self.connections.get(conn).map(|c| c.stream.link_terms());
        if let (Some(pair), Some((counts, max_bytes))) = (self.pair(key, &ours), terms) {
            pair.way = Way::Up(conn);
            pair.came_up(now.mono, counts, max_bytes);
        }
        self.note_proven(conn, key, &ours);
        self.look_again(now, conn);
        self.tend(now, key, &ours);
    }

    /// No way was found.
    pub(in crate::shard) fn link_unreached(
        &mut self,
        now: Now,
        (key, ours): (RemoteKey, Domain),
        (why, last): (Unreached, Option<AttemptError>),
    ) {
        self.opened(now);
        let failure = LinkFailure::Unreached(why, last.map(Box::new));
        let pair = self.pair(key, &ours);
        match pair.is_some_and(|pair| matches!(pair.way, Way::Up(_))) {
            true => self.lose_aside(now, key, &ours, failure),
            false => {
                self.way_failed(now, key, &ours, failure);
                self.takes_theirs(now, key, &ours);
            }
        }
    }

    fn note_proven(&mut self, conn: ConnId, key: RemoteKey, ours: &Domain) {
        let theirs = self.links.remotes.get(key).map(|r| r.domain.clone());
        let connection = self.connections.get(conn);
        let proof = connection.and_then(|connection| connection.stream.link_proof());
        if let (Some(theirs), Some((by, tls)), Some(peer)) = (theirs, proof, self.peer(conn)) {
            self.fx.note(Note::LinkProven {
                ours: ours.clone(),
                theirs,
                peer,
                by,
                tls,
            });
        }
    }

    fn way_failed(&mut self, now: Now, key: RemoteKey, ours: &Domain, failure: LinkFailure) {
        let share = self.draw_share();
        let is_stopping = self.is_stopping();
        if let Some(remote) = self.links.remotes.get(key).filter(|_| !is_stopping) {
            self.fx.note(Note::LinkFailed {
                ours: ours.clone(),
                theirs: remote.domain.clone(),
                why: failure.clone(),
            });
        }
        let Some(pair) = self.pair(key, ours) else {
            return;
        };
        pair.failed(now.mono, failure.clone(), share);
        let bounced = match (&pair.way, is_stopping) {
            (_, true) => pair.queue.take_mortal(),
            (Way::Refused(..), false) => pair.queue.take_for_good(),
            (
                Way::Cold
                | Way::Turn
                | Way::Opening(_)
                | Way::Ready(_)
                | Way::Up(_)
                | Way::Waiting(..),
                false,
            ) => Vec::new(),
        };
        for queued in bounced {
            self.bounce(&queued, &failure);
        }
        self.unverified(now, key, ours, &failure);
        self.keep_queue(now, key, ours);
        self.look_at_remote(key);
    }

    /// The stream of a link is over, or its last tag is out.
    pub(in crate::shard) fn link_over(&mut self, now: Now, conn: ConnId, failure: AttemptError) {
        let Some((key, ours)) = self.link_on(conn) else {
            return;
        };
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.role = Role::Ending;
        }
        self.leave(now, conn);
        self.lose_way(now, conn, (key, ours), failure);
    }

    /// The shell has said its last word about a connection.
    pub(in crate::shard) fn lose_link(&mut self, now: Now, conn: ConnId, how: Closed) {
        if self.is_theirs(conn) {
            // What it had sent before is heard first.
            return;
        }
        let Some((key, ours)) = self.link_on(conn) else {
            return;
        };
        let awaited = self.connections.get(conn).and_then(|c| c.stream.awaited());
        let failure = match (how, awaited) {
            (Closed::Unconnected(error), _) => AttemptError::Unconnected(error),
            (Closed::Eof | Closed::Reset, Some(awaited)) => AttemptError::Ended(awaited),
            (Closed::Tls, _) | (Closed::Eof | Closed::Reset, None) => AttemptError::Tls,
        };
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.role = Role::Ending;
        }
        self.lose_way(now, conn, (key, ours), failure);
    }

    fn lose_way(
        &mut self,
        now: Now,
        conn: ConnId,
        (key, ours): (RemoteKey, Domain),
        failure: AttemptError,
    ) {
        if let Some(remote) = self.links.remotes.get_mut(key) {
            remote.verifications.lose(conn);
        }
        let Some(pair) = self.pair(key, &ours) else {
            return;
        };
        if pair.aside == Way::Ready(conn) {
            return self.lose_aside(now, key, &ours, LinkFailure::Broke(Box::new(failure)));
        }
        match pair.way {
            Way::Up(of) if of == conn => {
                pair.queue.lose();
                // What lived for a while may end as it likes; who ends every stream at once is not asked again and again.
                // `Deviation:` RFC 6120 §3.3 has a wait before every attempt; here somebody has just written, and the next one waits.
                if pair.lived(now.mono) >= S2S_LIVED || !pair.queue.waits() {
                    pair.is_well();
                    pair.way = Way::Cold;
                    return self.tend(now, key, &ours);
                }
                self.way_failed(now, key, &ours, LinkFailure::Broke(Box::new(failure)));
                self.takes_theirs(now, key, &ours);
            }
            Way::Ready(of) if of == conn => {
                self.way_failed(now, key, &ours, LinkFailure::Broke(Box::new(failure)));
                self.takes_theirs(now, key, &ours);
            }
            Way::Cold
            | Way::Turn
            | Way::Opening(_)
            | Way::Ready(_)
            | Way::Up(_)
            | Way::Waiting(..)
            | Way::Refused(..) => {}
        }
    }

    /// A link was closed in order, because nothing was said for long.
    pub(in crate::shard) fn link_finished(&mut self, now: Now, conn: ConnId) {
        let link = self.link_on(conn);
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.role = Role::Ending;
        }
        self.leave(now, conn);
        let Some((key, ours)) = link else {
            return;
        };
        if let Some(remote) = self.links.remotes.get_mut(key) {
            remote.verifications.lose(conn);
        }
        if let Some(pair) = self.pair(key, &ours)
            && matches!(pair.way, Way::Ready(of) | Way::Up(of) if of == conn)
        {
            pair.queue.lose();
            pair.way = Way::Cold;
        }
        if let Some(pair) = self.pair(key, &ours)
            && pair.aside == Way::Ready(conn)
        {
            pair.aside = Way::Cold;
        }
        self.tend(now, key, &ours);
    }

    /// What an administrator says has changed: what is known of others is asked again by it, and so are the links that there are.
    pub(in crate::shard) fn reload_links(&mut self, now: Now) {
        for key in self.links.remotes.keys() {
            let Some(remote) = self.links.remotes.get(key) else {
                continue;
            };
            let is_ours_now = self.config.hosts.contains_key(&remote.domain);
            let pairs: Vec<Domain> = remote.pairs.keys().cloned().collect();
            for ours in pairs {
                match is_ours_now || !self.config.hosts.contains_key(&ours) {
                    true => self.end_pair(now, key, &ours),
                    false => self.judge_again(now, key, &ours),
                }
            }
            self.look_at_remote(key);
        }
    }

    /// One of its two domains is not where it was: what waits is routed anew, as far as anybody is there who wrote it.
    pub(super) fn end_pair(&mut self, now: Now, key: RemoteKey, ours: &Domain) {
        let Some(pair) = self.pair(key, ours) else {
            return;
        };
        let ways = [&mut pair.way, &mut pair.aside].map(core::mem::take);
        let queue = pair.queue.take();
        let places = pair.queue.take_gone();
        if let Some(remote) = self.links.remotes.get(key).filter(|_| !places.is_empty()) {
            let theirs = remote.domain.clone();
            self.forget_kept(&theirs, ours, &places);
        }
        for queued in queue {
            self.fx.route(Delivery {
                to: match queued.to {
                    None => To::Named,
                    Some(to) => To::Each([to].into()),
                },
                stanza: queued.stanza,
                receipt: queued.receipt,
            });
        }
        let failure = LinkFailure::Unreached(Unreached::Stopped, None);
        self.unverified(now, key, ours, &failure);
        for way in ways {
            match way {
                Way::Opening(reach) => {
                    self.forget_reach(now, reach, Violation::HostGone);
                    self.opened(now);
                }
                Way::Ready(conn) | Way::Up(conn) => self.fail_now(now, conn, Violation::HostGone),
                Way::Cold | Way::Turn | Way::Waiting(..) | Way::Refused(..) => {}
            }
        }
        if let Some(remote) = self.links.remotes.get_mut(key) {
            remote.pairs.remove(ours);
        }
    }

    fn judge_again(&mut self, now: Now, key: RemoteKey, ours: &Domain) {
        let Some(pair) = self.pair(key, ours) else {
            return;
        };
        match pair.way {
            Way::Waiting(..) | Way::Refused(..) => pair.way = Way::Cold,
            Way::Ready(conn) | Way::Up(conn) => {
                if self.endings.holds(conn) {
                    // A stream of theirs, which was judged with all others of other servers.
                    return self.leave_theirs(now, conn);
                }
                let refusal = self
                    .with(now, conn, |s, cx| s.link_refused_now(cx))
                    .flatten();
                if let Some(refusal) = refusal {
                    return self.fail_now(now, conn, Violation::Peer(refusal));
                }
            }
            Way::Cold | Way::Turn | Way::Opening(_) => {}
        }
        self.tend(now, key, ours);
    }

    /// The server stops: of what waits for others messages are kept for the next start, all else is returned, and all links end.
    pub(in crate::shard) fn end_all_links(&mut self, now: Now) {
        let links = self.connections.iter().filter_map(|(conn, connection)| {
            matches!(connection.role, Role::Link(..)).then_some(conn)
        });
        for conn in links.collect::<Vec<_>>() {
            self.fail_now(now, conn, Violation::Shutdown);
        }
        let failure = LinkFailure::Unreached(Unreached::Stopped, None);
        for key in self.links.remotes.keys() {
            let remote = self.links.remotes.get(key);
            let pairs = remote.into_iter().flat_map(|remote| remote.pairs.keys());
            for ours in pairs.cloned().collect::<Vec<_>>() {
                self.way_failed(now, key, &ours, failure.clone());
            }
        }
    }
}
