//! Hash maps keyed from the shard's seed, so that nobody outside can choose colliding names.
//!
//! Their order is not defined and must never decide what is done first: iterate an `Arena` or a `BTreeMap` instead.

use core::fmt;
use core::hash::BuildHasher;

use siphasher::sip::SipHasher13;

/// Builds SipHash-1-3 hashers under one secret key.
#[derive(Clone)]
pub struct Keyed {
    key: [u8; 16],
}

impl Keyed {
    /// `key` should be secret.
    #[must_use]
    pub const fn new(key: [u8; 16]) -> Self {
        Self { key }
    }
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyed")
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.key)
    }
}

/// A map for names that strangers choose.
pub type Map<K, V> = hashbrown::HashMap<K, V, Keyed>;
