//! Unguessable bytes from a seed the shell drew once.
//!
//! HMAC-SHA-256 in counter mode under the seed. The core never asks the system for randomness, so the same seed and inputs
//! give the same run.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Expands a 32-byte seed into labelled pseudo-random blocks.
pub struct Entropy {
    key: [u8; 32],
    counter: u64,
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entropy")
            .field("counter", &self.counter)
            .finish_non_exhaustive()
    }
}

impl Entropy {
    /// `seed` must be secret and different for each shard and each start of the server.
    #[must_use]
    pub const fn new(seed: [u8; 32]) -> Self {
        Self {
            key: seed,
            counter: 0,
        }
    }

    /// The next 32 bytes. `label` keeps the uses apart in a trace; blocks never repeat whatever it is.
    pub fn block(&mut self, label: &str) -> [u8; 32] {
        self.counter = self.counter.wrapping_add(1);
        keyed_hash(
            &self.key,
            &[label.as_bytes(), b"|", &self.counter.to_be_bytes()],
        )
    }

    /// 128 bits as 22 characters of the URL-safe base64 alphabet: fits ids, nonces and resources.
    pub fn id(&mut self, label: &str) -> String {
        use base64::Engine as _;
        let block = self.block(label);
        let (half, _) = block.split_at(16);
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(half)
    }

    /// `len` bytes, for salts.
    pub fn bytes(&mut self, label: &str, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let block = self.block(label);
            bytes.extend(block.iter().take(len - bytes.len()));
        }
        bytes
    }
}

/// HMAC-SHA-256 over the parts, in order. What is steady rather than random (a fake salt) comes from here directly.
#[must_use]
pub fn keyed_hash(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // A key shorter than the hash's block is padded with zeros (RFC 2104 §2), which leaves nothing that could fail.
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_bytes_and_no_block_twice() {
        let (mut a, mut b) = (Entropy::new([7; 32]), Entropy::new([7; 32]));
        let first = a.block("x");
        assert_eq!(first, b.block("x"));
        assert_ne!(first, a.block("x"));
        assert_eq!(a.id("id").len(), 22);
        assert_eq!(a.bytes("salt", 45).len(), 45);
    }
}
