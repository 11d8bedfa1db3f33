//! Why there is a link to a domain, or none: found out by a stream that is like a link's and stops before any proof, so that nothing comes of it but
//! what is told.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Shard;
use super::connections::Role;
use super::reaching::{By, Reaching};
use crate::federation::{Conclusion, Places, Refusal, Round, RoundKey, Weighed, Whose, conclude};
use crate::jid::Domain;
use crate::port::{
    AttemptError, CommandError, CommandReply, ConnId, Explained, LinkReply, Protocol, Reach,
    Unreached,
};
use crate::time::Now;
use crate::wait::Requester;

/// What somebody wants to have explained.
#[derive(Debug)]
pub(super) struct Explaining {
    by: Requester,
    pub(super) ours: Domain,
    /// What was known of streams, by the number of their attempt.
    known: Vec<(usize, Weighed)>,
}

impl Shard {
    /// Whoever is not talked to is looked at all the same: what another configuration would do with it shall be known.
    pub(super) fn explain(&mut self, now: Now, by: Requester, domain: Domain, ours: Domain) {
        if self.config.accounts(&ours).is_none() {
            return self.reply(now, by, Err(CommandError::NoSuchHost));
        }
        let service = Protocol::XmppServer;
        let places: Places = self.config.federation.places();
        let explaining = Explaining {
            by,
            ours,
            known: Vec::new(),
        };
        if self.is_stopping() || self.config.hosts.contains_key(&domain) {
            let why = match self.is_stopping() {
                true => Unreached::Stopped,
                // It is nobody else's, so nobody is looked for.
                false => Unreached::Policy(Refusal::OurDomain),
            };
            let reach = Reach {
                asked: Vec::new(),
                attempts: Vec::new(),
                outcome: Err(why),
            };
            return self.explained(now, explaining, &domain, reach);
        }
        if self.is_reaching_enough() {
            return self.reply(now, by, Err(CommandError::Reaching));
        }
        let (round, steps) = Round::begin(now.mono, &domain, service, places);
        let by = By::Explainer(Box::new(explaining));
        let key = self
            .reaches
            .insert(Reaching::new(by, domain, service, round));
        self.step(now, key, steps);
    }

    /// A stream that is to explain knows this so far.
    pub(super) fn weighed(&mut self, conn: ConnId, weighed: Weighed) {
        let role = self
            .connections
            .get(conn)
            .map(|connection| &connection.role);
        if let Some(Role::Reaching(key, attempt)) = role {
            let (key, attempt) = (*key, *attempt);
            self.keep_weighed(key, attempt, weighed);
        }
    }

    /// The same of an attempt.
    pub(super) fn keep_weighed(&mut self, key: RoundKey, attempt: usize, weighed: Weighed) {
        if let Some(By::Explainer(explaining)) = self.reaches.get_mut(key).map(|r| &mut r.by) {
            explaining.known.push((attempt, weighed));
        }
    }

    /// An attempt has failed, which may be something to be weighed as well.
    pub(super) fn weigh_failure(&mut self, key: RoundKey, attempt: usize, error: &AttemptError) {
        let Some(By::Explainer(explaining)) = self.reaches.get(key).map(|reaching| &reaching.by)
        else {
            return;
        };
        let last = explaining.known.last();
        let Some((_, weighed)) = last.filter(|(of, _)| *of == attempt) else {
            return;
        };
        let rules = &self.config.federation.rules;
        let weighed = match error {
            AttemptError::StarttlsRefused
            | AttemptError::Policy(Refusal::StarttlsAbsent | Refusal::StarttlsFailed) => {
                weighed.without_starttls(rules)
            }
            AttemptError::Tls | AttemptError::Plaintext => weighed.without_handshake(rules),
            AttemptError::Broke(_)
            | AttemptError::Ended(_)
            | AttemptError::Evicted
            | AttemptError::OtherHost(_)
            | AttemptError::Policy(_)
            | AttemptError::Refused(_)
            | AttemptError::RefusedPlace(_)
            | AttemptError::TimedOut(_)
            | AttemptError::Unconnected(_)
            | AttemptError::Unproven(_) => return,
        };
        self.keep_weighed(key, attempt, weighed);
    }

    /// All that can be known is.
    pub(super) fn explained(
        &mut self,
        now: Now,
        explaining: Explaining,
        domain: &Domain,
        reach: Reach,
    ) {
        let Explaining { by, ours, known } = explaining;
        let whose = match self.config.hosts.contains_key(domain) {
            true => Whose::Ours,
            false => Whose::Others,
        };
        let last = known.last().map(|(attempt, _)| *attempt);
        let of_last = known
            .iter()
            .filter(|(attempt, _)| Some(*attempt) == last)
            .map(|(_, weighed)| &weighed.facts);
        let rules = &self.config.federation.rules;
        let conclusion = match conclude(rules, (domain, whose), of_last) {
            // It came to nothing behind that.
            Conclusion::Link(..) if reach.outcome.is_err() => Conclusion::Unknown,
            conclusion @ (Conclusion::Link(..)
            | Conclusion::Refused(_)
            | Conclusion::Barred(_)
            | Conclusion::Unknown) => conclusion,
        };
        let explained = Box::new(Explained {
            ours,
            reach,
            known,
            conclusion,
        });
        let reply = CommandReply::Links(LinkReply::Explained(explained));
        self.reply(now, by, Ok(reply));
    }
}
