//! One round of reaching a domain: its questions, its targets one after the other, the addresses of each beside each other.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::places::Places;
use super::policy::Lasting;
use super::race::Race;
use super::targets::{addresses_of, in_turn, itself, literal, questions, targets};
use crate::federation::{
    Asked, Attempt, AttemptError, AttemptOutcome, Lookup, Protocol, Resolved, Source, Target,
    Unreached,
};
use crate::jid::Domain;
use crate::limits::{REACH_RECORDS_TOLD, ROUND, ROUND_ADDRESSES, ROUND_CONNECTS};
use crate::time::Instant;

/// See the module.
#[derive(Debug)]
pub struct Round {
    /// In A-labels.
    domain: String,
    service: Protocol,
    places: Places,
    end: Instant,
    asked: Vec<Asked>,
    attempts: Vec<Attempt>,
    /// Targets that were not tried.
    waiting: VecDeque<Target>,
    phase: Phase,
}

/// Where it stands.
#[derive(Debug)]
enum Phase {
    /// It is not known where to go.
    Services,
    /// The addresses of this target are not known.
    Addresses(Target),
    /// Nobody of these has a connection.
    Race(Target, Race),
    /// This attempt has one; its stream is under way.
    Stream(usize),
    Over,
}

/// What is to be done. Attempts are named by their place among all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Ask this; `Round::answered` follows.
    Ask(Lookup),
    /// Connect there; `Round::connected` follows, or `Round::failed`.
    Connect(usize, SocketAddr),
    /// This one is not needed any more.
    Close(usize),
    /// It is over, and the domain not reached.
    End(Unreached),
}

impl Round {
    /// Begins. Nobody is looked for but in these places.
    #[must_use]
    pub fn begin(
        now: Instant,
        domain: &Domain,
        service: Protocol,
        places: Places,
    ) -> (Self, Vec<Step>) {
        let mut round = Self {
            domain: domain.to_ascii().into_owned(),
            service,
            places,
            end: now + ROUND,
            asked: Vec::new(),
            attempts: Vec::new(),
            waiting: VecDeque::new(),
            phase: Phase::Services,
        };
        let steps = match literal(&round.domain) {
            // RFC 6120 §3.2: an address is its own place.
            Some(address) => {
                let target = itself(&round.domain, service);
                // A stranger may have named it.
                round.race(now, target, &[address], Source::Dns)
            }
            None => questions(&round.domain, service)
                .map(|lookup| round.ask(lookup))
                .into(),
        };
        (round, steps)
    }

    fn ask(&mut self, lookup: Lookup) -> Step {
        self.asked.push(Asked {
            lookup: lookup.clone(),
            outcome: None,
        });
        Step::Ask(lookup)
    }

    /// What DNS says to a question.
    pub fn answered(
        &mut self,
        now: Instant,
        lookup: &Lookup,
        outcome: Resolved,
        draw: &mut dyn FnMut(u32) -> u32,
    ) -> Vec<Step> {
        let asked = self.asked.iter_mut();
        let mut asked = asked.filter(|asked| asked.lookup == *lookup && asked.outcome.is_none());
        let Some(asked) = asked.next() else {
            return Vec::new();
        };
        asked.outcome = Some(first_of(outcome));
        match core::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Services => {
                self.phase = Phase::Services;
                let outcomes: Vec<_> = self.asked.iter().flat_map(|a| &a.outcome).collect();
                let [direct, starttls] = outcomes[..] else {
                    return Vec::new();
                };
                match targets(&self.domain, self.service, direct, starttls, draw) {
                    Ok(targets) => {
                        self.waiting = targets.into();
                        self.next_target(now)
                    }
                    Err(why) => self.end(why),
                }
            }
            Phase::Addresses(target) => self.race_to(now, target),
            phase @ (Phase::Race(..) | Phase::Stream(_) | Phase::Over) => {
                self.phase = phase;
                Vec::new()
            }
        }
    }

    /// Goes on with the next target, or ends.
    fn next_target(&mut self, now: Instant) -> Vec<Step> {
        let target = self.waiting.pop_front();
        let Some(target) = target.filter(|_| self.attempts.len() < ROUND_CONNECTS) else {
            let why = self.why_not();
            return self.end(why);
        };
        let lookup = addresses_of(&target);
        // Direct TLS and STARTTLS are mostly at one name.
        if self.asked.iter().any(|asked| asked.lookup == lookup) {
            return self.race_to(now, target);
        }
        self.phase = Phase::Addresses(target);
        vec![self.ask(lookup)]
    }

    /// Why nothing was reached, where nothing is left to be tried.
    fn why_not(&self) -> Unreached {
        // Where nobody said which services there are, that the domain itself has no addresses says nothing.
        let mut unanswered = self.asked.iter().filter_map(|asked| match asked.outcome {
            Some(Resolved::Failed(error)) => Some(error),
            Some(
                Resolved::Addresses(..)
                | Resolved::Services(_)
                | Resolved::NoService
                | Resolved::NoName
                | Resolved::NoData,
            )
            | None => None,
        });
        match (self.attempts.is_empty(), unanswered.next()) {
            (true, Some(error)) => Unreached::Unresolved(error),
            (true, None) => Unreached::NoAddresses,
            (false, _) => Unreached::Unsuccessful,
        }
    }

    /// Tries the addresses of a target, of which DNS was asked.
    fn race_to(&mut self, now: Instant, target: Target) -> Vec<Step> {
        let lookup = addresses_of(&target);
        let known = self.asked.iter().find(|asked| asked.lookup == lookup);
        let (addresses, source) = match known.and_then(|asked| asked.outcome.as_ref()) {
            Some(Resolved::Addresses(addresses, source)) => (addresses.clone(), *source),
            Some(
                Resolved::Services(_)
                | Resolved::NoService
                | Resolved::NoName
                | Resolved::NoData
                | Resolved::Failed(_),
            )
            | None => (Vec::new(), Source::Dns),
        };
        self.race(now, target, &addresses, source)
    }

    fn race(
        &mut self,
        now: Instant,
        target: Target,
        addresses: &[IpAddr],
        source: Source,
    ) -> Vec<Step> {
        let mut places = Vec::new();
        for address in in_turn(addresses).into_iter().take(ROUND_ADDRESSES) {
            let to = SocketAddr::new(address, target.port);
            match self.places.refusal(to, source) {
                None => places.push(to),
                Some(why) => self.attempts.push(Attempt {
                    target: target.clone(),
                    to,
                    outcome: AttemptOutcome::Failed(AttemptError::RefusedPlace(why)),
                }),
            }
        }
        self.phase = Phase::Race(target, Race::new(now, places.into_iter()));
        self.run(now)
    }

    /// Begins what is due of a race.
    fn run(&mut self, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        let Phase::Race(target, race) = &mut self.phase else {
            return steps;
        };
        while let Some(to) = race.due(now) {
            let number = self.attempts.len();
            if number >= ROUND_CONNECTS {
                race.give_up();
                break;
            }
            race.begin(now, number);
            self.attempts.push(Attempt {
                target: target.clone(),
                to,
                outcome: AttemptOutcome::Abandoned,
            });
            steps.push(Step::Connect(number, to));
        }
        if race.is_lost() {
            steps.extend(self.next_target(now));
        }
        steps
    }

    /// An attempt has a connection.
    pub fn connected(&mut self, attempt: usize) -> Vec<Step> {
        let losers = match &self.phase {
            Phase::Race(_, race) => race.win(attempt),
            // It is known.
            Phase::Stream(of) if *of == attempt => return Vec::new(),
            Phase::Services | Phase::Addresses(_) | Phase::Stream(_) | Phase::Over => None,
        };
        let Some(losers) = losers else {
            return vec![Step::Close(attempt)];
        };
        for loser in &losers {
            self.came_to(*loser, AttemptOutcome::Overtaken);
        }
        self.phase = Phase::Stream(attempt);
        losers.into_iter().map(Step::Close).collect()
    }

    /// An attempt came to nothing: there is no connection, or no good came of it.
    pub fn failed(&mut self, now: Instant, attempt: usize, failure: AttemptError) -> Vec<Step> {
        let was_under_way = match &mut self.phase {
            Phase::Race(_, race) => race.fail(now, attempt),
            Phase::Stream(of) => *of == attempt,
            Phase::Services | Phase::Addresses(_) | Phase::Over => false,
        };
        if !was_under_way {
            return Vec::new();
        }
        let end = ends(&failure);
        self.came_to(attempt, AttemptOutcome::Failed(failure));
        match (end, &self.phase) {
            (Some(why), _) => self.end(why),
            (None, Phase::Race(..)) => self.run(now),
            (None, Phase::Services | Phase::Addresses(_) | Phase::Stream(_) | Phase::Over) => {
                self.next_target(now)
            }
        }
    }

    /// Time has passed.
    pub fn expire(&mut self, now: Instant) -> Vec<Step> {
        match self.end <= now {
            true => self.end(Unreached::TimedOut),
            false => self.run(now),
        }
    }

    /// When to say `expire`.
    #[must_use]
    pub fn next(&self) -> Instant {
        let race = match &self.phase {
            Phase::Race(_, race) => race.next(),
            Phase::Services | Phase::Addresses(_) | Phase::Stream(_) | Phase::Over => None,
        };
        race.map_or(self.end, |next| next.min(self.end))
    }

    /// An attempt has led to the domain: it is over.
    pub fn reached(&mut self, attempt: usize) {
        self.came_to(attempt, AttemptOutcome::Reached);
        self.phase = Phase::Over;
    }

    fn end(&mut self, why: Unreached) -> Vec<Step> {
        self.phase = Phase::Over;
        vec![Step::End(why)]
    }

    fn came_to(&mut self, attempt: usize, outcome: AttemptOutcome) {
        if let Some(attempt) = self.attempts.get_mut(attempt) {
            attempt.outcome = outcome;
        }
    }

    /// One of them.
    #[must_use]
    pub fn attempt(&self, attempt: usize) -> Option<&Attempt> {
        self.attempts.get(attempt)
    }

    /// What was asked and tried.
    #[must_use]
    pub fn into_told(self) -> (Vec<Asked>, Vec<Attempt>) {
        (self.asked, self.attempts)
    }
}

/// Whether a failure is one of all, whatever else there may be to try.
fn ends(failure: &AttemptError) -> Option<Unreached> {
    match failure {
        // The peer's policy is that of the domain; its next server has no other (RFC 6120 §4.9.3.12, §4.9.3.14).
        AttemptError::Refused(error)
            if matches!(&*error.condition, "not-authorized" | "policy-violation") =>
        {
            Some(Unreached::Unwelcome)
        }
        // There is no place for another either.
        AttemptError::Evicted => Some(Unreached::Unsuccessful),
        AttemptError::Policy(refusal) => match refusal.lasting() {
            Lasting::ForGood => Some(Unreached::Policy(*refusal)),
            Lasting::ForNow => None,
        },
        AttemptError::Broke(_)
        | AttemptError::Unproven(_)
        | AttemptError::Ended(_)
        | AttemptError::OtherHost(_)
        | AttemptError::Plaintext
        | AttemptError::Refused(_)
        | AttemptError::RefusedPlace(_)
        | AttemptError::StarttlsRefused
        | AttemptError::TimedOut(_)
        | AttemptError::Tls
        | AttemptError::Unconnected(_) => None,
    }
}

/// As much of an answer as is kept: of services those that would be tried first.
fn first_of(mut outcome: Resolved) -> Resolved {
    match &mut outcome {
        Resolved::Addresses(addresses, _) => addresses.truncate(REACH_RECORDS_TOLD),
        Resolved::Services(services) => {
            services.sort_by_key(|service| service.priority);
            services.truncate(REACH_RECORDS_TOLD);
        }
        Resolved::NoService | Resolved::NoName | Resolved::NoData | Resolved::Failed(_) => {}
    }
    outcome
}
