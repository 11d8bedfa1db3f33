//! What hosts offer depends on what their accounts have (`sasl::Tally`). Each shard has that counted, at the start, when the hosts may have
//! changed, and every hour; and it is told by the shard that admits an account that lacks something.
//!
//! What is told while the store counts is counted or comes on top of it, so no order of the two can hide an account.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Shard;
use crate::config::Config;
use crate::due::Due;
use crate::envelope::{Body, Place};
use crate::jid::{BareJid, Domain};
use crate::limits::{CENSUS_AGAIN, CENSUS_EVERY, CENSUS_MAX};
use crate::port::Note;
use crate::sasl::{Hashes, Provider, TALLIED, Tallies, Tally};
use crate::store::{Batch, Class, Op, Reply, StoreError};
use crate::time::{Instant, Now};
use crate::wait::Wait;

/// Where counting stands.
#[derive(Debug, Default)]
pub(super) struct Census {
    pub(super) tallies: Tallies,
    /// Hosts that are still to be counted, the one first that the store is asked about; and what was told of that since.
    left: VecDeque<Domain>,
    meanwhile: Tally,
    /// Which shards could not be told of what.
    untold: Vec<(Place, Domain, Hashes)>,
}

impl Census {
    /// An account was admitted, here or elsewhere, that cannot sign in by these.
    pub(super) fn lacks(&mut self, host: &Domain, hashes: Hashes) {
        if self.left.front() == Some(host) {
            self.meanwhile.lacks(hashes);
        }
        let tallies = &mut self.tallies.0;
        tallies.entry(host.clone()).or_default().lacks(hashes);
    }
}

impl Shard {
    /// At the start.
    pub(super) fn begin_census(&mut self) {
        let start = Instant::default();
        self.timers.set(Due::Census, start, Default::default());
    }

    /// Hosts may have come, and what they keep of passwords may be another thing.
    pub(super) fn count_anew(&mut self, now: Now, before: &Config) {
        for (host, options) in before.realms() {
            if options.provider == Provider::Plain {
                // Until it is known better.
                let tally = self.census.tallies.0.entry(host.clone()).or_default();
                tally.kept = tally.kept.max(1);
            }
        }
        self.take_census(now);
    }

    /// It is time to count, or to tell what could not be told.
    pub(super) fn take_census(&mut self, now: Now) {
        if self.is_stopping() {
            return;
        }
        for (to, host, hashes) in core::mem::take(&mut self.census.untold) {
            self.send(to, Body::Lacking(host, hashes));
        }
        let is_under_way = !self.census.left.is_empty();
        self.census.left = self.config.realms().map(|(host, _)| host.clone()).collect();
        let tallies = &mut self.census.tallies.0;
        tallies.retain(|host, _| self.config.accounts(host).is_some());
        if !is_under_way {
            self.count_next(now);
        }
    }

    fn count_next(&mut self, now: Now) {
        let Some(host) = self.census.left.front() else {
            return self.timers.set(Due::Census, now.mono, CENSUS_EVERY);
        };
        let count = |subset| Op::CountIn {
            subset,
            limit: CENSUS_MAX,
        };
        let batch = Batch {
            owner: BareJid::of_domain(host),
            tenure: 0,
            class: Class::Change,
            ops: TALLIED.iter().map(count).collect(),
        };
        let host = host.clone();
        self.census.meanwhile = Tally::default();
        self.store(batch, Wait::Census(host));
    }

    /// The store has counted.
    pub(super) fn counted(
        &mut self,
        now: Now,
        host: &Domain,
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        let replies = outcome.unwrap_or_default();
        let counts: Vec<u64> = replies.into_iter().filter_map(number).collect();
        let Ok(counts) = <[u64; TALLIED.len()]>::try_from(counts) else {
            // What is known stays.
            self.census.left.clear();
            return self.timers.set(Due::Census, now.mono, CENSUS_AGAIN);
        };
        // Hosts may have come and gone: then all are counted again.
        if self.census.left.front() == Some(host) {
            self.census.left.pop_front();
            let tally = Tally::of(counts).joined(self.census.meanwhile);
            let before = self.census.tallies.0.insert(host.clone(), tally);
            if self.place.shard == 0
                && before.unwrap_or_default().lacking != tally.lacking
                && self.offers_by_keys(host)
            {
                let host = host.clone();
                self.fx.note(Note::KeysMissing { host, tally });
            }
        }
        self.count_next(now);
    }

    /// Whether anybody at this host signs in by what an account can lack.
    fn offers_by_keys(&self, host: &Domain) -> bool {
        let host = self.config.accounts(host);
        host.is_some_and(|host| match host.provider {
            Provider::Hashed | Provider::Plain => true,
            Provider::Anonymous | Provider::Ldap => false,
        })
    }

    /// An account of this shard was admitted that cannot sign in by these: nobody is to be offered them.
    pub(super) fn lacks_keys(&mut self, account: &BareJid, hashes: Hashes) {
        let Some((host, _)) = self.config.hosts.get_key_value(account.domain()) else {
            return;
        };
        let host = host.clone();
        if !hashes.is_empty() {
            self.census.lacks(&host, hashes);
            // Also if it is no news here: they may have counted since.
            self.tell_others(&Body::Lacking(host, hashes));
        }
    }

    /// The way there is full.
    pub(super) fn lacking_came_back(&mut self, now: Now, to: Place, host: Domain, hashes: Hashes) {
        let untold = (to, host, hashes);
        if !self.census.untold.contains(&untold) {
            self.census.untold.push(untold);
        }
        self.timers.set(Due::Census, now.mono, CENSUS_AGAIN);
    }
}

fn number(reply: Reply) -> Option<u64> {
    match reply {
        Reply::Count(count) => Some(count),
        Reply::Deleted { .. }
        | Reply::Done
        | Reply::Erased(_)
        | Reply::Loaded(_)
        | Reply::Measured(_)
        | Reply::Missing
        | Reply::Owners(_)
        | Reply::Page(_)
        | Reply::Row(_)
        | Reply::Rows { .. }
        | Reply::Swept { .. }
        | Reply::Trimmed { .. } => None,
    }
}
