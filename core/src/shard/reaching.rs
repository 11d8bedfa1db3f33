//! Reaching a domain: what `federation::Round` wants is asked of DNS and done with connections, and what becomes of those is told to it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::connections::Role;
use super::explain::Explaining;
use super::{OTHER_QUESTION, Shard};
use crate::due::Due;
use crate::federation::{Places, Round, RoundKey, Step, Weighed, roll};
use crate::jid::Domain;
use crate::limits::REACHES;
use crate::link::RemoteKey;
use crate::port::{
    Action, AttemptError, Awaited, CloseReason, Closed, CommandError, CommandReply, ConnId,
    Features, Lookup, LookupError, Protocol, Reach, Reached, Resolved, Secured, Ticket, Unreached,
    last_error,
};
use crate::stream::{Purpose, Sought, Stream, Violation};
use crate::time::Now;
use crate::wait::{Question, Requester, Wait};

/// For whom a domain is being reached.
#[derive(Debug)]
pub(super) enum By {
    /// Somebody who wants to know whether and how it can be.
    Requester(Requester),
    /// Somebody who wants to know what would come of a link.
    Explainer(Box<Explaining>),
    /// The link from this domain of ours.
    Link(RemoteKey, Domain),
}

/// A domain that is being reached.
#[derive(Debug)]
pub(super) struct Reaching {
    pub(super) by: By,
    domain: Domain,
    service: Protocol,
    round: Round,
    /// Questions that are not answered.
    tickets: Vec<Ticket>,
    /// Connections that are under way.
    connections: Vec<(usize, ConnId)>,
}

impl Reaching {
    pub(super) const fn new(by: By, domain: Domain, service: Protocol, round: Round) -> Self {
        Self {
            by,
            domain,
            service,
            round,
            tickets: Vec::new(),
            connections: Vec::new(),
        }
    }
}

impl Shard {
    pub(super) fn reach(&mut self, now: Now, by: Requester, domain: Domain, service: Protocol) {
        if self.is_stopping() {
            let reach = Reach {
                asked: Vec::new(),
                attempts: Vec::new(),
                outcome: Err(Unreached::Stopped),
            };
            return self.reply(now, by, Ok(CommandReply::Reached(Box::new(reach))));
        }
        if self.is_reaching_enough() {
            return self.reply(now, by, Err(CommandError::Reaching));
        }
        let places = match service {
            Protocol::XmppClient => Places::Any,
            Protocol::XmppServer => self.config.federation.places(),
        };
        let (round, steps) = Round::begin(now.mono, &domain, service, places);
        let reaching = Reaching::new(By::Requester(by), domain, service, round);
        let key = self.reaches.insert(reaching);
        self.step(now, key, steps);
    }

    /// Whether there is no room for another administrator's wish.
    pub(super) fn is_reaching_enough(&self) -> bool {
        let wishes = self
            .reaches
            .iter()
            .filter(|(_, reaching)| match reaching.by {
                By::Requester(_) | By::Explainer(_) => true,
                By::Link(..) => false,
            });
        wishes.count() >= REACHES
    }

    /// Does what a round wants.
    pub(super) fn step(&mut self, now: Now, key: RoundKey, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Ask(lookup) => self.ask_dns(key, lookup),
                Step::Connect(attempt, _) => self.open(now, key, attempt),
                Step::Close(attempt) => self.abandon(now, key, attempt, Violation::Timeout),
                Step::End(why) => return self.end_reach(now, key, Err(why)),
            }
        }
        if let Some(reaching) = self.reaches.get(key) {
            let next = reaching.round.next();
            self.timers.set_exactly(Due::Reach(key), next);
        }
    }

    fn ask_dns(&mut self, key: RoundKey, lookup: Lookup) {
        let ticket = self.waits.insert(Question {
            wait: Wait::Reach(key, lookup.clone()),
            credit: None,
        });
        if let Some(reaching) = self.reaches.get_mut(key) {
            reaching.tickets.push(ticket);
        }
        self.fx.act(Action::Resolve { ticket, lookup });
    }

    pub(super) fn resolved(&mut self, now: Now, ticket: Ticket, outcome: Resolved) {
        let (key, lookup) = match self.waits.remove(ticket).map(|question| question.wait) {
            Some(Wait::Reach(key, lookup)) => (key, lookup),
            Some(
                Wait::Card(_)
                | Wait::Append(_)
                | Wait::Census(_)
                | Wait::Command(_)
                | Wait::Commit(_)
                | Wait::Credentials(..)
                | Wait::Derive(_)
                | Wait::Judge(_)
                | Wait::LinkKept(_)
                | Wait::LinkRows(..)
                | Wait::LinkScan
                | Wait::Load(_)
                | Wait::Newcomer(_)
                | Wait::Pretence(_)
                | Wait::Quiet
                | Wait::Read(..)
                | Wait::Retention,
            ) => return self.fx.bug(OTHER_QUESTION),
            // It was answered before, or nobody wants to know any more.
            None => return,
        };
        let outcome = match (&lookup, outcome) {
            (Lookup::Addresses(_), Resolved::Services(_) | Resolved::NoService)
            | (Lookup::Services(_), Resolved::Addresses(..)) => {
                self.fx.bug(OTHER_QUESTION);
                Resolved::Failed(LookupError::Refused)
            }
            (Lookup::Addresses(_) | Lookup::Services(_), outcome) => outcome,
        };
        let Some(reaching) = self.reaches.get_mut(key) else {
            return;
        };
        reaching.tickets.retain(|one| *one != ticket);
        let draw = &mut |most| roll(&mut self.entropy, most);
        let steps = reaching.round.answered(now.mono, &lookup, outcome, draw);
        self.step(now, key, steps);
    }

    /// Opens a connection.
    fn open(&mut self, now: Now, key: RoundKey, attempt: usize) {
        let Some(reaching) = self.reaches.get_mut(key) else {
            return;
        };
        let Some(begun) = reaching.round.attempt(attempt) else {
            return self.fx.bug("an attempt that was not begun");
        };
        let (to, opening) = (begun.to, begun.target.opening);
        let sought = Sought {
            domain: reaching.domain.clone(),
            service: reaching.service,
            opening,
            purpose: match &reaching.by {
                By::Requester(_) => Purpose::Look,
                By::Explainer(explaining) => Purpose::Explain(explaining.ours.clone()),
                By::Link(_, ours) => Purpose::Link(ours.clone()),
            },
        };
        let stream = Stream::outgoing(sought, now, &self.config);
        let conn = self.connect(now, stream, to);
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.role = Role::Reaching(key, attempt);
        }
        if let Some(reaching) = self.reaches.get_mut(key) {
            reaching.connections.push((attempt, conn));
        }
        self.fx.act(Action::Connect { conn, to });
    }

    /// A connection of ours is open.
    pub(super) fn connected(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.get(conn) else {
            return;
        };
        let (key, attempt) = match connection.role {
            Role::Reaching(key, attempt) => (key, attempt),
            // It was given up meanwhile.
            Role::Ending | Role::Gone => return,
            Role::Stranger
            | Role::Leaving(_)
            | Role::Member(_)
            | Role::Server
            | Role::BothWays(..)
            | Role::Component(_)
            | Role::Link(..) => {
                return self
                    .fx
                    .bug("somebody else's connection is said to be one of ours");
            }
        };
        if connection.stream.awaited() != Some(Awaited::Connection) {
            return self.fx.bug("a connection is said to be open once more");
        }
        if let Some(reaching) = self.reaches.get_mut(key) {
            let losers = reaching.round.connected(attempt);
            self.step(now, key, losers);
        }
        if let Some(Some(event)) = self.with(now, conn, Stream::connected) {
            self.on_event(now, conn, event);
        }
        if self.is_attempt(conn) {
            self.look_again(now, conn);
        }
    }

    fn is_attempt(&self, conn: ConnId) -> bool {
        let connection = self.connections.get(conn);
        connection.is_some_and(|connection| matches!(connection.role, Role::Reaching(..)))
    }

    /// The attempt that a connection is, which from here on is none any more.
    fn take_attempt(&mut self, conn: ConnId) -> Option<(RoundKey, usize)> {
        let connection = self.connections.get_mut(conn)?;
        let Role::Reaching(key, attempt) = connection.role else {
            return None;
        };
        connection.role = Role::Ending;
        if let Some(reaching) = self.reaches.get_mut(key) {
            reaching.connections.retain(|(_, one)| *one != conn);
        }
        Some((key, attempt))
    }

    /// The shell has said its last word about a connection: which attempt that was, and what became of it.
    pub(super) fn lose_attempt(
        &mut self,
        conn: ConnId,
        how: Closed,
    ) -> Option<(RoundKey, usize, AttemptError)> {
        let awaited = self.connections.get(conn)?.stream.awaited();
        let (key, attempt) = self.take_attempt(conn)?;
        let failure = match (how, awaited) {
            (Closed::Unconnected(error), _) => AttemptError::Unconnected(error),
            (Closed::Eof | Closed::Reset, Some(awaited)) => AttemptError::Ended(awaited),
            (Closed::Tls, _) | (Closed::Eof | Closed::Reset, None) => AttemptError::Tls,
        };
        Some((key, attempt, failure))
    }

    /// A stream of ours came to nothing. Its last tag is out, or it is over.
    pub(super) fn unreached(&mut self, now: Now, conn: ConnId, failure: AttemptError) {
        if self.link_on(conn).is_some() {
            return self.link_over(now, conn, failure);
        }
        let attempt = self.take_attempt(conn);
        self.leave(now, conn);
        if let Some((key, attempt)) = attempt {
            self.attempt_failed(now, key, attempt, failure);
        }
    }

    /// The peer has a few seconds for its closing tag, if one is owed.
    pub(super) fn leave(&mut self, now: Now, conn: ConnId) {
        let connection = self.connections.get(conn);
        match connection.is_some_and(|connection| connection.stream.is_over()) {
            true => self.hang_up(now, conn, CloseReason::Ended),
            false => {
                let close = connection.map(|c| c.stream.close_timeout(&self.config));
                let close = close.unwrap_or_default();
                self.timers.set(Due::Stream(conn), now.mono, close);
            }
        }
    }

    pub(super) fn attempt_failed(
        &mut self,
        now: Now,
        key: RoundKey,
        attempt: usize,
        failure: AttemptError,
    ) {
        self.weigh_failure(key, attempt, &failure);
        if let Some(reaching) = self.reaches.get_mut(key) {
            let steps = reaching.round.failed(now.mono, attempt, failure);
            self.step(now, key, steps);
        }
    }

    /// A stream of ours has come to what its domain offers.
    pub(super) fn reached(
        &mut self,
        now: Now,
        conn: ConnId,
        (tls, features, weighed): (Option<Secured>, Features, Option<Weighed>),
    ) {
        let attempt = self.take_attempt(conn);
        self.leave(now, conn);
        let Some((key, attempt)) = attempt else {
            return;
        };
        if let Some(weighed) = weighed {
            self.keep_weighed(key, attempt, weighed);
        }
        let Some(reaching) = self.reaches.get_mut(key) else {
            return;
        };
        reaching.round.reached(attempt);
        let Some(begun) = reaching.round.attempt(attempt) else {
            return self.fx.bug("an attempt that was not begun");
        };
        let reached = Reached {
            target: begun.target.clone(),
            at: begun.to,
            tls,
            features,
        };
        self.end_reach(now, key, Ok(Box::new(reached)));
    }

    /// A stream of ours for a link has come so far that the round is over.
    pub(super) fn way_found(&mut self, now: Now, conn: ConnId) {
        let Some((key, attempt)) = self.take_attempt(conn) else {
            return;
        };
        let Some(reaching) = self.reaches.get_mut(key) else {
            return self.leave(now, conn);
        };
        reaching.round.reached(attempt);
        match self.forget_reach(now, key, Violation::Timeout) {
            Some(Reaching {
                by: By::Link(remote, ours),
                ..
            }) => self.link_ready(now, conn, (remote, ours)),
            Some(_) | None => self.fx.bug("a stream to look that became a link"),
        }
    }

    /// Time has passed for a round.
    pub(super) fn reach_on(&mut self, now: Now, key: RoundKey) {
        if let Some(reaching) = self.reaches.get_mut(key) {
            let steps = reaching.round.expire(now.mono);
            self.step(now, key, steps);
        }
    }

    /// One attempt is given up, as far as it is under way.
    fn abandon(&mut self, now: Now, key: RoundKey, attempt: usize, violation: Violation) {
        let connections = self.reaches.get(key).map(|reaching| &reaching.connections);
        let mut of_it = connections.into_iter().flatten();
        let found = of_it.find(|(one, _)| *one == attempt);
        if let Some((_, conn)) = found.copied() {
            self.take_attempt(conn);
            self.fail_now(now, conn, violation);
        }
    }

    /// Answers, and leaves nothing that is under way.
    fn end_reach(&mut self, now: Now, key: RoundKey, outcome: Result<Box<Reached>, Unreached>) {
        let violation = match outcome {
            Err(Unreached::Stopped) => Violation::Shutdown,
            Ok(_) | Err(_) => Violation::Timeout,
        };
        let Some(reaching) = self.forget_reach(now, key, violation) else {
            return;
        };
        let (asked, attempts) = reaching.round.into_told();
        match (reaching.by, outcome) {
            (By::Requester(by), outcome) => {
                let reach = Reach {
                    asked,
                    attempts,
                    outcome,
                };
                let reply = CommandReply::Reached(Box::new(reach));
                self.reply(now, by, Ok(reply));
            }
            (By::Explainer(explaining), outcome) => {
                let reach = Reach {
                    asked,
                    attempts,
                    outcome,
                };
                self.explained(now, *explaining, &reaching.domain, reach);
            }
            (By::Link(remote, ours), Err(why)) => {
                let last = last_error(&attempts);
                self.link_unreached(now, (remote, ours), (why, last));
            }
            (By::Link(..), Ok(_)) => self.fx.bug("a link that was to look"),
        }
    }

    /// Leaves nothing of it that is under way.
    pub(super) fn forget_reach(
        &mut self,
        now: Now,
        key: RoundKey,
        violation: Violation,
    ) -> Option<Reaching> {
        let connections = self.reaches.get(key).map(|reaching| &reaching.connections);
        for (attempt, _) in connections.cloned().unwrap_or_default() {
            self.abandon(now, key, attempt, violation);
        }
        let reaching = self.reaches.remove(key)?;
        self.timers.stop(Due::Reach(key));
        for ticket in &reaching.tickets {
            self.waits.remove(*ticket);
        }
        Some(reaching)
    }

    /// The server stops: whoever waits is told so.
    pub(super) fn end_all_reaches(&mut self, now: Now) {
        for key in self.reaches.keys() {
            self.end_reach(now, key, Err(Unreached::Stopped));
        }
    }
}
