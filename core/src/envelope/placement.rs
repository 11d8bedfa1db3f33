//! Who owns an account: one function, the same on every shard.

use core::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::Place;

/// Maps bare addresses to shards, evenly, by a keyed hash: nobody outside can crowd one shard with chosen names.
#[derive(Clone)]
pub struct Placement {
    hasher: SipHasher13,
    shards: u16,
}

impl core::fmt::Debug for Placement {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Placement")
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}

impl Placement {
    /// `secret` is the server's, so that every shard agrees; `shards` counts from 1.
    #[must_use]
    pub fn new(secret: &[u8; 32], shards: u16) -> Self {
        let block = crate::entropy::keyed_hash(secret, &[b"placement"]);
        let mut key = [0; 16];
        key.copy_from_slice(block.split_at(16).0);
        Self {
            hasher: SipHasher13::new_with_key(&key),
            shards: shards.max(1),
        }
    }

    /// The shard that owns the account, room or domain with this bare address.
    #[must_use]
    pub fn owner(&self, bare: &str) -> Place {
        if self.shards == 1 {
            return Place { node: 0, shard: 0 };
        }
        let mut hasher = self.hasher;
        hasher.write(bare.as_bytes());
        let shard = hasher.finish() % u64::from(self.shards);
        Place {
            node: 0,
            shard: u16::try_from(shard).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn spreads_accounts_evenly_and_steadily() {
        let placement = Placement::new(&[3; 32], 4);
        let mut counts = [0u32; 4];
        for n in 0..4000 {
            let place = placement.owner(&format!("user{n}@example.org"));
            assert_eq!(place, placement.owner(&format!("user{n}@example.org")));
            counts[usize::from(place.shard)] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
    }
}
