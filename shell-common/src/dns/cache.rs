//! What was answered lately, for as long as whoever answered says, within bounds.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::Name;
use super::message::{Kind, Records};
use crate::limits::dns::{DNS_CACHED, DNS_NEGATIVE, DNS_POSITIVE};

/// What there is of a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Said {
    Records(Records),
    NoName,
    NoData,
}

#[derive(Debug)]
pub(super) struct Cache(HashMap<(Name, Kind), Entry>);

#[derive(Debug)]
struct Entry {
    said: Said,
    until: Instant,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    pub(super) fn find(&self, now: Instant, name: &Name, kind: Kind) -> Option<Said> {
        let entry = self.0.get(&(name.clone(), kind))?;
        (entry.until > now).then(|| entry.said.clone())
    }

    pub(super) fn keep(
        &mut self,
        now: Instant,
        (name, kind): (Name, Kind),
        said: Said,
        ttl: Duration,
    ) {
        if self.0.len() >= DNS_CACHED {
            self.0.retain(|_, entry| entry.until > now);
        }
        if self.0.len() >= DNS_CACHED {
            let soonest = self.0.iter().min_by_key(|(_, entry)| entry.until);
            if let Some(key) = soonest.map(|(key, _)| key.clone()) {
                self.0.remove(&key);
            }
        }
        let bounds = match said {
            Said::Records(_) => DNS_POSITIVE,
            Said::NoName | Said::NoData => DNS_NEGATIVE,
        };
        let until = now + within(ttl, &bounds);
        self.0.insert((name, kind), Entry { said, until });
    }
}

fn within(ttl: Duration, bounds: &RangeInclusive<Duration>) -> Duration {
    ttl.clamp(*bounds.start(), *bounds.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> (Name, Kind) {
        (Name::parse(&format!("n{number}.example")).unwrap(), Kind::A)
    }

    #[test]
    fn an_answer_is_known_for_its_time_within_bounds() {
        let (mut cache, now) = (Cache::new(), Instant::now());
        let seconds = Duration::from_secs;
        let records = || Said::Records(Records::Addresses(Vec::new()));
        for (said, ttl, kept) in [
            (records(), 100, 100),
            (records(), 0, 30),
            (records(), 1_000_000, 3600),
            (Said::NoName, 0, 10),
            (Said::NoData, 1_000_000, 300),
        ] {
            let (name, kind) = name(1);
            cache.keep(now, (name.clone(), kind), said.clone(), seconds(ttl));
            let at = |after| cache.find(now + seconds(after), &name, kind);
            assert_eq!(at(kept - 1), Some(said));
            assert_eq!(at(kept), None);
            assert_eq!(cache.find(now, &name, Kind::Aaaa), None);
        }
    }

    #[test]
    fn it_holds_so_many_and_those_go_first_that_are_over_soonest() {
        let (mut cache, now) = (Cache::new(), Instant::now());
        for number in 0..DNS_CACHED + 10 {
            let ttl = Duration::from_secs(60 + u64::try_from(number).unwrap());
            cache.keep(now, name(number), Said::NoName, ttl);
        }
        assert_eq!(cache.0.len(), DNS_CACHED);
        let (last, kind) = name(DNS_CACHED + 9);
        assert!(cache.find(now, &last, kind).is_some());
        let (first, kind) = name(0);
        assert!(cache.find(now, &first, kind).is_none());
    }
}
