//! From which addresses an account usually signs in. In memory only, and known by hashes: see `throttle`.

use crate::limits::{SASL_REGULAR_ADDRESSES, SASL_REGULAR_FOR, SASL_REGULARS_MAX};
use crate::map::{Keyed, Map};
use crate::time::Instant;

/// Half of an address's hash; zero is nobody's. One guess in four thousand million hits, and nobody learns that it did.
type Tag = u32;

/// The last ones first.
type Tags = [Tag; SASL_REGULAR_ADDRESSES];

/// Accounts and their last addresses, in two generations: who signs in is in the younger. When that is full or its time is up,
/// it becomes the older, and what was in that is forgotten. So nothing is sorted and no time is kept for each.
#[derive(Debug)]
pub(super) struct Regulars {
    young: Map<u64, Tags>,
    old: Map<u64, Tags>,
    /// When the younger generation began.
    since: Instant,
}

impl Regulars {
    pub(super) fn new(key: &Keyed) -> Self {
        Self {
            young: Map::with_hasher(key.clone()),
            old: Map::with_hasher(key.clone()),
            since: Instant::default(),
        }
    }

    /// How many accounts are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub(super) fn know(&self, account: u64, address: u64) -> bool {
        let tag = tag(address);
        let among = |generation: &Map<u64, Tags>| {
            let tags = generation.get(&account);
            tags.is_some_and(|tags| tags.contains(&tag))
        };
        among(&self.young) || among(&self.old)
    }

    pub(super) fn welcome(&mut self, now: Instant, account: u64, address: u64) {
        let tag = tag(address);
        if self.young.len() >= SASL_REGULARS_MAX / 2 || now.since(self.since) >= SASL_REGULAR_FOR {
            let empty = Map::with_hasher(self.old.hasher().clone());
            self.old = core::mem::replace(&mut self.young, empty);
            self.since = now;
        }
        if let Some(tags) = self.young.get_mut(&account) {
            return put_first(tags, tag);
        }
        let mut tags = self.old.remove(&account).unwrap_or_default();
        put_first(&mut tags, tag);
        self.young.insert(account, tags);
    }
}

/// Takes the place of the one that was there before, or of the last.
fn put_first(tags: &mut Tags, tag: Tag) {
    let known = tags.iter().position(|other| *other == tag);
    let last = tags.len().saturating_sub(1);
    if let Some(moved) = tags.get_mut(..=known.unwrap_or(last)) {
        moved.rotate_right(1);
    }
    if let Some(first) = tags.first_mut() {
        *first = tag;
    }
}

fn tag(address: u64) -> Tag {
    let half = u32::try_from(address >> 32).unwrap_or(u32::MAX);
    half.max(1)
}
