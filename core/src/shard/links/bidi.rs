//! Streams that other servers opened and on which ours go, too (XEP-0288). Such a stream is on the shard of the domain that it is from, where
//! what is for that domain waits; it is noted here by its domains, and taken as soon as a pair has something to say and no way of its own.
//!
//! One way at a time: a pair that has one keeps it. While it goes by a stream of theirs, keys are asked about on one of ours beside it, which
//! is the next way if theirs ends.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::jid::{BareJid, Domain};
use crate::limits::S2S_BACKOFF;
use crate::link::{RemoteKey, Way};
use crate::port::{Action, ConnId, LinkFailure, Note};
use crate::shard::Shard;
use crate::shard::connections::{Reading, Role};
use crate::stream::{Cx, Event, Stream, Violation};
use crate::time::Now;

/// Those of a shard.
#[derive(Debug, Default)]
pub(super) struct Theirs {
    /// By the remote domain: for which of ours, and which connection.
    by_domain: BTreeMap<Domain, Vec<(Domain, ConnId)>>,
    domains: BTreeMap<ConnId, Domain>,
}

impl Theirs {
    fn insert(&mut self, ours: Domain, theirs: Domain, conn: ConnId) {
        if self.domains.insert(conn, theirs.clone()).is_none() {
            self.by_domain.entry(theirs).or_default().push((ours, conn));
        }
    }

    fn remove(&mut self, conn: ConnId) {
        let Some(theirs) = self.domains.remove(&conn) else {
            return;
        };
        if let Some(streams) = self.by_domain.get_mut(&theirs) {
            streams.retain(|(_, one)| *one != conn);
            if streams.is_empty() {
                self.by_domain.remove(&theirs);
            }
        }
    }

    /// None of this domain is to be taken any more.
    pub(super) fn remove_all(&mut self, theirs: &Domain) {
        for (_, conn) in self.by_domain.remove(theirs).unwrap_or_default() {
            self.domains.remove(&conn);
        }
    }

    /// How much is in memory.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn len(&self) -> usize {
        self.by_domain.len() + self.domains.len()
    }
}

impl Shard {
    /// A stream is of this name, or says so: it is brought to the shard that owns that, and welcome there.
    pub(in crate::shard) fn bring_home(
        &mut self,
        now: Now,
        conn: ConnId,
        name: &Domain,
        welcome: fn(&mut Stream, &mut Cx<'_>) -> Option<Event>,
    ) {
        let to = self.placement.owner(name.as_str());
        if to == self.place {
            return self.answered(now, conn, welcome);
        }
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.role = Role::Leaving(BareJid::of_domain(name));
            self.fx.act(Action::HandOff { conn, to });
        }
    }

    /// A server has proven a domain: it is there, and if stanzas go both ways, then by this stream.
    pub(in crate::shard) fn heard_from(
        &mut self,
        now: Now,
        conn: ConnId,
        (ours, theirs): (&Domain, &Domain),
    ) {
        let is_here = self.placement.owner(theirs.as_str()) == self.place;
        let stream = self.connections.get(conn).map(|c| &c.stream);
        if let (true, Some(stream)) = (is_here, stream) {
            if stream.is_to_go_both_ways() {
                return;
            }
            if stream.both_ways() == Some((ours, theirs)) {
                return self.goes_both_ways(now, conn);
            }
        }
        self.heard_of(now, ours, theirs);
    }

    /// Stanzas may go both ways on a stream of another server.
    pub(in crate::shard) fn goes_both_ways(&mut self, now: Now, conn: ConnId) {
        let stream = self.connections.get(conn).map(|c| &c.stream);
        let Some((ours, theirs)) = stream.and_then(Stream::both_ways) else {
            return;
        };
        // It may have proven another domain than it said that it is from.
        if self.placement.owner(theirs.as_str()) != self.place {
            return;
        }
        let (ours, theirs) = (ours.clone(), theirs.clone());
        self.links.theirs.insert(ours.clone(), theirs.clone(), conn);
        if let Some(key) = self.links.by_domain.get(&theirs).copied() {
            self.tend(now, key, &ours);
        }
    }

    /// A stream of theirs beside the way of a pair, for a fault that tests plant: none should be written to.
    pub(super) fn beside(&self, key: RemoteKey, ours: &Domain) -> Option<ConnId> {
        let remote = self.links.remotes.get(key)?;
        let mut streams = self.links.theirs.by_domain.get(&remote.domain)?.iter();
        let found = streams.find(|(of, _)| of == ours);
        found.map(|(_, conn)| *conn)
    }

    /// Takes a stream of theirs, if there is one and the pair has no way, or none on which anything was begun. Whether it did.
    pub(super) fn takes_theirs(&mut self, now: Now, key: RemoteKey, ours: &Domain) -> bool {
        if self.links.theirs.by_domain.is_empty() || self.is_stopping() {
            return false;
        }
        let Some(remote) = self.links.remotes.get(key) else {
            return false;
        };
        let Some(pair) = remote.pairs.get(ours) else {
            return false;
        };
        let is_free = match &pair.way {
            Way::Cold | Way::Turn | Way::Opening(_) => pair.queue.waits(),
            Way::Ready(own) => {
                let own = self.connections.get(*own);
                pair.queue.waits() && own.is_some_and(|own| own.stream.is_unbegun())
            }
            Way::Waiting(..) => true,
            Way::Refused(failure, _) => failure.refusal().is_none(),
            Way::Up(_) => false,
        };
        if !is_free {
            return false;
        }
        let streams = self.links.theirs.by_domain.get(&remote.domain);
        let mut streams = streams.into_iter().flatten();
        // What is to end is nobody's way.
        let found = streams.find(|(of, conn)| of == ours && !self.endings.holds(*conn));
        match found.map(|(_, conn)| *conn) {
            Some(conn) => {
                self.go_by_theirs(now, key, ours, conn);
                true
            }
            None => false,
        }
    }

    fn go_by_theirs(&mut self, now: Now, key: RemoteKey, ours: &Domain, conn: ConnId) {
        let Some(remote) = self.links.remotes.get_mut(key) else {
            return;
        };
        let asks = remote.verifications.concern(ours);
        let Some(connection) = self.connections.get_mut(conn) else {
            return;
        };
        connection.role = Role::BothWays(key, ours.clone());
        self.fx.note(Note::LinkTaken {
            ours: ours.clone(),
            theirs: remote.domain.clone(),
            peer: connection.peer.ip(),
        });
        let (counts, max_bytes) = connection.stream.link_terms();
        let Some(pair) = remote.pairs.get_mut(ours) else {
            return;
        };
        let before = core::mem::replace(&mut pair.way, Way::Up(conn));
        pair.came_up(now.mono, counts, max_bytes);
        match before {
            Way::Ready(_) => pair.aside = before,
            Way::Turn | Way::Opening(_) if asks => pair.aside = before,
            Way::Opening(round) => {
                self.forget_reach(now, round, Violation::Timeout);
                self.opened(now);
            }
            Way::Turn | Way::Cold | Way::Up(_) | Way::Waiting(..) | Way::Refused(..) => {}
        }
        self.tend(now, key, ours);
    }

    /// Asks about keys, on a stream of ours: on the way if it is one, else on another beside it. XEP-0288 §2.2: never "on the same connection
    /// where the corresponding request was issued"; and on no other that the server opened, since nobody need answer there (XEP-0220 §2.1.2).
    pub(super) fn ask_beside(&mut self, now: Now, key: RemoteKey, ours: &Domain, way: ConnId) {
        if !self.is_theirs(way) {
            return self.ask_about_all(now, key, ours, way);
        }
        let Some(remote) = self.links.remotes.get_mut(key) else {
            return;
        };
        let asks = remote.verifications.concern(ours);
        let Some(pair) = remote.pairs.get_mut(ours).filter(|_| asks) else {
            return;
        };
        match &pair.aside {
            Way::Ready(own) => {
                let own = *own;
                self.ask_about_all(now, key, ours, own);
            }
            Way::Waiting(_, until) | Way::Refused(_, until) if *until > now.mono => {}
            Way::Cold | Way::Waiting(..) | Way::Refused(..) => {
                self.begin_round(now, key, ours, |pair, way| pair.aside = way);
            }
            Way::Turn | Way::Opening(_) | Way::Up(_) => {}
        }
    }

    /// No stream of ours was found to ask about keys on, or it is lost.
    pub(super) fn lose_aside(
        &mut self,
        now: Now,
        key: RemoteKey,
        ours: &Domain,
        failure: LinkFailure,
    ) {
        let Some(remote) = self.links.remotes.get_mut(key) else {
            return;
        };
        let asked = remote.verifications.concern(ours);
        if let Some(pair) = remote.pairs.get_mut(ours) {
            pair.aside = match asked {
                true => Way::Waiting(failure.clone(), now.mono + S2S_BACKOFF),
                false => Way::Cold,
            };
        }
        self.unverified(now, key, ours, &failure);
        self.look_at_remote(key);
    }

    /// A stream of another server is over, or is to be: ours that went by it find another way. What is not confirmed stands at the head again.
    ///
    /// `Choice:` that is no failure of ours, so nothing is waited behind it, however short it lived.
    pub(in crate::shard) fn leave_theirs(&mut self, now: Now, conn: ConnId) {
        self.links.theirs.remove(conn);
        let Some(connection) = self.connections.get_mut(conn) else {
            return;
        };
        let Role::BothWays(key, ours) = &connection.role else {
            return;
        };
        let (key, ours) = (*key, ours.clone());
        connection.role = Role::Server;
        let Some(pair) = self.pair(key, &ours) else {
            return;
        };
        if pair.way == Way::Up(conn) {
            pair.queue.lose();
            pair.way = match core::mem::take(&mut pair.aside) {
                own @ (Way::Cold | Way::Turn | Way::Opening(_) | Way::Ready(_)) => own,
                Way::Up(_) | Way::Waiting(..) | Way::Refused(..) => Way::Cold,
            };
            self.tend(now, key, &ours);
        }
    }

    /// Whether what the peer says on a stream waits to be read: stanzas that came on it must be settled first, or others have to read them.
    pub(super) fn is_behind(&self, conn: ConnId) -> bool {
        let connection = self.connections.get(conn);
        connection.is_some_and(|connection| connection.reading == Reading::Paused)
    }

    /// Whether another server opened the stream of a link.
    pub(super) fn is_theirs(&self, conn: ConnId) -> bool {
        let connection = self.connections.get(conn);
        connection.is_some_and(|connection| matches!(connection.role, Role::BothWays(..)))
    }
}
