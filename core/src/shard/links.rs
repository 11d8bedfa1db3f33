//! Links to other servers: what is for remote domains waits in `link::Remote`s of the shard that owns each; here a way is found for it.

mod bidi;
mod bounce;
mod confirm;
mod keep;
mod listing;
mod restart;
mod verify;
mod ways;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Shard;
use super::connections::Role;
use crate::arena::Arena;
use crate::due::Due;
use crate::envelope::{Delivery, Receipt, To};
use crate::federation::{Permission, Refusal, roll};
use crate::jid::{Domain, Jid};
use crate::limits::{S2S_AHEAD_BYTES, S2S_REMOTES, S2S_REQUEST_PATIENCE, S2S_UNCONFIRMED};
use crate::link::{
    Admitted, Kept, NamedBy, Need, Newcomers, Queued, Remote, RemoteKey, Total, Urgency, Way,
    survives,
};
use crate::map::{Keyed, Map};
use crate::planted::{Fault, is_planted};
use crate::port::{ConnId, LinkFailure, Unreached};
use crate::stanza::{Condition, Stanza};
use crate::time::Now;

/// What an author hears of a stanza that the other server does not take.
const TOO_LONG: &str = "The other server takes no stanza of this length";

/// All of a shard.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) remotes: Arena<RemoteKey, Remote>,
    pub(super) by_domain: Map<Domain, RemoteKey>,
    /// Those who look for a way.
    opening: usize,
    newcomers: Newcomers,
    /// What waits for all of them.
    total: Total,
    /// Those whose turn to do so is to come.
    turns: VecDeque<(RemoteKey, Domain)>,
    /// Streams that other servers opened, and that may be ways of ours.
    theirs: bidi::Theirs,
    /// Answers to other shards that found no way there.
    returned: verify::Returned,
    /// What was kept, and is not read yet.
    restart: restart::Restart,
}

impl Links {
    pub(super) fn new(key: Keyed) -> Self {
        Self {
            remotes: Arena::default(),
            newcomers: Newcomers::new(&key),
            total: Total::default(),
            by_domain: Map::with_hasher(key),
            opening: 0,
            turns: VecDeque::new(),
            theirs: bidi::Theirs::default(),
            returned: verify::Returned::default(),
            restart: restart::Restart::default(),
        }
    }

    /// How much is in memory.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn len(&self) -> usize {
        self.remotes.len()
            + self.by_domain.len()
            + self.opening
            + self.total.bytes()
            + self.theirs.len()
    }
}

impl Shard {
    /// Something is for a domain that is not served here. It is of this shard.
    pub(super) fn send_remote(&mut self, now: Now, delivery: Delivery) {
        let Delivery {
            stanza,
            to,
            receipt,
        } = delivery;
        let patience = self.patience_of(&stanza, receipt);
        let mut queue = |stanza, to, receipt, urgency, patience| {
            let queued = Queued {
                stanza,
                to,
                receipt,
                urgency,
                at: now.wall.0.saturating_mul(1000),
                since: now.mono,
                gives_up: now.mono + patience,
                kept: Kept::No,
            };
            self.queue(now, queued);
        };
        match to {
            To::Named => queue(stanza, None, receipt, Urgency::Directed, patience),
            To::Each(each) => {
                for to in each {
                    let (to, urgency) = (Some(to), Urgency::FanOut);
                    queue(stanza.clone(), to, None, urgency, S2S_REQUEST_PATIENCE);
                }
            }
        }
    }

    /// For how long a stanza waits for a server that cannot be reached.
    fn patience_of(&self, stanza: &Stanza, receipt: Option<Receipt>) -> core::time::Duration {
        match receipt {
            Some(Receipt::Said(_)) => self.config.federation.retry_for,
            Some(Receipt::Sent(_)) | None if survives(stanza) => self.config.federation.retry_for,
            Some(Receipt::Sent(_)) | None => S2S_REQUEST_PATIENCE,
        }
    }

    fn queue(&mut self, now: Now, queued: Queued) {
        let (Some(ours), Some(theirs)) = (
            queued.stanza.from().map(domain_of),
            queued.to().map(domain_of),
        ) else {
            return self.fx.bug("a stanza for another server without addresses");
        };
        if !self.config.hosts.contains_key(&ours) {
            // Its host is gone since it was said.
            return self.done_with(queued.receipt);
        }
        if let Some(refusal) = self.may_not_talk_to(&theirs) {
            return self.bounce(
                &queued,
                &LinkFailure::Unreached(Unreached::Policy(refusal), None),
            );
        }
        let by = match queued.stanza.cause() {
            Some(cause) if cause.local().is_some() => NamedBy::Account(cause.bare()),
            Some(_) | None => NamedBy::Host,
        };
        let Some(key) = self.remote_of(now, &theirs, by) else {
            return self.refuse_queued(&queued, Condition::ResourceConstraint, None);
        };
        let most = self.config.federation.send_queue_size;
        let (tail, is_stopping) = (self.links.restart.tail_of(&ours), self.is_stopping());
        let Some(remote) = self.links.remotes.get_mut(key) else {
            return;
        };
        let Some(pair) = remote.pair(&ours, tail) else {
            return;
        };
        let refused = match &pair.way {
            // What outlives the server is found by the next start.
            _ if is_stopping => (!survives(&queued.stanza))
                .then_some(LinkFailure::Unreached(Unreached::Stopped, None)),
            Way::Refused(failure, _) => Some(failure.clone()),
            Way::Cold
            | Way::Turn
            | Way::Opening(_)
            | Way::Ready(_)
            | Way::Up(_)
            | Way::Waiting(..) => None,
        };
        if let Some(failure) = refused {
            self.bounce(&queued, &failure);
            return self.tend(now, key, &ours);
        }
        match pair.queue.push(queued, most) {
            Ok(()) => self.tend(now, key, &ours),
            Err(full) => self.refuse_queued(&full.0, Condition::ResourceConstraint, None),
        }
    }

    /// By which list a domain must not be talked to.
    pub(super) fn may_not_talk_to(&self, theirs: &Domain) -> Option<Refusal> {
        match self.config.federation.rules.permitted(theirs) {
            Permission::Yes => None,
            Permission::NotAllowed => Some(Refusal::NotAllowed),
            Permission::Refused => Some(Refusal::Excluded),
        }
    }

    /// What is known of a domain. `None`: there is no room for one more, or too many are named.
    pub(super) fn remote_of(
        &mut self,
        now: Now,
        theirs: &Domain,
        by: NamedBy<'_>,
    ) -> Option<RemoteKey> {
        if let Some(key) = self.links.by_domain.get(theirs) {
            return Some(*key);
        }
        if self.links.remotes.len() >= S2S_REMOTES
            || self.links.newcomers.admit(now.mono, by) == Admitted::No
        {
            return None;
        }
        let key = self
            .links
            .remotes
            .insert(Remote::new(theirs.clone(), self.links.total.clone()));
        self.links.by_domain.insert(theirs.clone(), key);
        Some(key)
    }

    /// Does what a pair needs, and looks when it needs something again.
    pub(super) fn tend(&mut self, now: Now, key: RemoteKey, ours: &Domain) {
        if self.takes_theirs(now, key, ours) {
            return;
        }
        let Some(remote) = self.links.remotes.get_mut(key) else {
            return;
        };
        let asks = remote.verifications.concern(ours);
        let Some(pair) = remote.pairs.get(ours) else {
            return;
        };
        let waits = pair.queue.waits();
        match pair.need() {
            Need::Open if waits || asks => self.open_way(now, key, ours),
            Need::Prove(conn) => {
                self.ask_about_all(now, key, ours, conn);
                if waits {
                    self.prove_us(now, conn);
                }
            }
            Need::Write(conn) => {
                self.ask_beside(now, key, ours, conn);
                self.write_link(now, key, ours, conn);
            }
            Need::Open | Need::Wait => {}
        }
        self.read_kept(now, key, ours);
        self.keep_queue(now, key, ours);
        self.look_at_remote(key);
    }

    fn prove_us(&mut self, now: Now, conn: ConnId) {
        if let Some(Some(event)) = self.with(now, conn, |s, cx| s.prove_us(cx)) {
            self.on_event(now, conn, event);
        }
    }

    /// Writes as much as the socket and the peer may have ahead.
    fn write_link(&mut self, now: Now, key: RemoteKey, ours: &Domain, conn: ConnId) {
        let beside = match is_planted(Fault::TwoWays) {
            true => self.beside(key, ours),
            false => None,
        };
        let Some(pair) = self
            .links
            .remotes
            .get_mut(key)
            .and_then(|remote| remote.pairs.get_mut(ours))
        else {
            return;
        };
        let mut wrote = 0_usize;
        let mut too_long = Vec::new();
        while pair.queue.unconfirmed() < S2S_UNCONFIRMED
            && self.fx.outgoing(conn).len() < S2S_AHEAD_BYTES
            && let Some(queued) = pair.queue.next_sent()
        {
            // XEP-0478 §4: it would cost the stream, and be sent again on the next.
            if pair.max_bytes.is_some_and(|max| queued.is_over(max)) {
                too_long.extend(pair.queue.take_back());
                continue;
            }
            let way = beside.filter(|_| wrote % 2 == 1).unwrap_or(conn);
            self.fx.out(way, |out| queued.send(now, out));
            wrote = wrote.saturating_add(1);
        }
        for queued in too_long {
            self.refuse_queued(&queued, Condition::PolicyViolation, Some(TOO_LONG));
        }
        if wrote > 0 {
            self.fx.watch(conn);
            self.with(now, conn, |s, cx| s.used(cx));
        }
        if is_planted(Fault::ConfirmedUnasked) {
            self.confirm(key, ours, wrote);
        }
        self.ask_what_is_there(now, key, ours, conn);
    }

    /// A stream has taken all that was written to it: there is room for more.
    pub(super) fn link_drained(&mut self, now: Now, conn: ConnId) {
        if let Some((key, ours)) = self.link_on(conn) {
            self.taken_by_socket(key, &ours, conn);
            self.tend(now, key, &ours);
        }
    }

    pub(super) fn pair(&mut self, key: RemoteKey, ours: &Domain) -> Option<&mut crate::link::Pair> {
        self.links.remotes.get_mut(key)?.pairs.get_mut(ours)
    }

    /// Which link a connection is.
    pub(super) fn link_on(&self, conn: ConnId) -> Option<(RemoteKey, Domain)> {
        match &self.connections.get(conn)?.role {
            Role::Link(key, ours) | Role::BothWays(key, ours) => Some((*key, ours.clone())),
            Role::Stranger
            | Role::Leaving(_)
            | Role::Member(_)
            | Role::Server
            | Role::Component(_)
            | Role::Reaching(..)
            | Role::Ending
            | Role::Gone => None,
        }
    }

    /// Sets the timer for what is known of a domain, or forgets it.
    pub(super) fn look_at_remote(&mut self, key: RemoteKey) {
        let Some(remote) = self.links.remotes.get(key) else {
            return;
        };
        if remote.is_idle() {
            self.timers.stop(Due::Remote(key));
            if let Some(remote) = self.links.remotes.remove(key) {
                self.links.by_domain.remove(&remote.domain);
            }
            return;
        }
        match remote.next() {
            Some(next) => self.timers.set_exactly(Due::Remote(key), next),
            None => self.timers.stop(Due::Remote(key)),
        }
    }

    /// Time has passed for a domain.
    pub(super) fn remote_on(&mut self, now: Now, key: RemoteKey) {
        self.verifications_expired(now, key);
        let pairs = self.links.remotes.get(key).map(|remote| &remote.pairs);
        let pairs: Vec<Domain> = pairs.into_iter().flat_map(|p| p.keys().cloned()).collect();
        for ours in pairs {
            self.hear_silence(now, key, &ours);
            let Some(pair) = self.pair(key, &ours) else {
                continue;
            };
            let failure = match &pair.way {
                Way::Waiting(failure, until) | Way::Refused(failure, until) => {
                    let (failure, is_over) = (failure.clone(), *until <= now.mono);
                    if is_over {
                        pair.way = Way::Cold;
                    }
                    failure
                }
                Way::Cold | Way::Turn | Way::Opening(_) | Way::Ready(_) | Way::Up(_) => {
                    LinkFailure::Unreached(Unreached::TimedOut, None)
                }
            };
            let expired = match pair.way {
                Way::Up(_) => Vec::new(),
                Way::Cold
                | Way::Turn
                | Way::Opening(_)
                | Way::Ready(_)
                | Way::Waiting(..)
                | Way::Refused(..) => pair.queue.expired(now.mono),
            };
            for queued in expired {
                self.bounce(&queued, &failure);
            }
            self.tend(now, key, &ours);
        }
        self.look_at_remote(key);
    }

    /// A part of 1,000, for waits that are not to end together.
    fn draw_share(&mut self) -> u32 {
        roll(&mut self.entropy, 1_000)
    }
}

/// The domain of an address.
pub(super) fn domain_of(jid: &Jid) -> Domain {
    jid.to_bare().to_domain()
}
