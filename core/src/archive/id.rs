//! Ids of an archive's entries on the wire (XEP-0313 §3, XEP-0359 §3).
//!
//! Within the server an entry is its key, a time that rises. A client must not be able to guess one, nor to see in one when anything else
//! was kept or how much there is. So what it gets is the key and a check, both mixed by a keyed permutation of 128 bits that each
//! account has for itself: nothing need be stored, and an id that was never given out does not decode.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::hash::Hasher as _;
use siphasher::sip::SipHasher13;

use crate::entropy::keyed_hash;
use crate::jid::BareJid;

/// Characters of an id.
const ID_CHARS: usize = 22;

/// The ids of one account's archive.
#[derive(Clone)]
pub(crate) struct Ids {
    key: [u8; 16],
    check: u64,
}

impl core::fmt::Debug for Ids {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Ids")
    }
}

/// Rounds of the permutation. Four of a Feistel network with a pseudo-random function make it one that cannot be told from a random
/// permutation, also by who may ask in both directions (Luby and Rackoff).
const ROUNDS: [u8; 4] = [0, 1, 2, 3];

impl Ids {
    /// Those of this account; `secret` is the server's.
    pub(crate) fn new(secret: &[u8; 32], account: &BareJid) -> Self {
        let hash = keyed_hash(secret, &[b"archive id", account.as_str().as_bytes()]);
        let (key, rest) = hash.split_at(16);
        let mut ids = Self {
            key: [0; 16],
            check: 0,
        };
        ids.key.copy_from_slice(key);
        let mut check = [0; 8];
        check.copy_from_slice(rest.split_at(8).0);
        ids.check = u64::from_be_bytes(check);
        ids
    }

    /// What clients call the entry of this key.
    pub(crate) fn text(&self, key: i64) -> Id {
        let (mut left, mut right) = (key.cast_unsigned(), self.check);
        for round in ROUNDS {
            (left, right) = (right, left ^ self.mix(round, right));
        }
        let mut block = [0; 16];
        let (first, second) = block.split_at_mut(8);
        first.copy_from_slice(&left.to_be_bytes());
        second.copy_from_slice(&right.to_be_bytes());
        let mut id = Id([b'A'; ID_CHARS]);
        // Sixteen bytes are always as many characters.
        let _ = URL_SAFE_NO_PAD.encode_slice(block, &mut id.0);
        id
    }

    /// The key of what a client calls so; `None` for what was never given out.
    pub(crate) fn key(&self, text: &str) -> Option<i64> {
        if text.len() != ID_CHARS {
            return None;
        }
        let mut block = [0; 16];
        // The same block in another spelling was not given out: the engine refuses bits that are left over.
        let len = URL_SAFE_NO_PAD.decode_slice(text, &mut block).ok()?;
        if len != block.len() {
            return None;
        }
        let (first, second) = block.split_at(8);
        let mut left = u64::from_be_bytes(first.try_into().ok()?);
        let mut right = u64::from_be_bytes(second.try_into().ok()?);
        for round in ROUNDS.into_iter().rev() {
            (left, right) = (right ^ self.mix(round, left), left);
        }
        (right == self.check).then_some(left.cast_signed())
    }

    /// A hash of texts by which nobody outside can choose collisions.
    pub(crate) fn print(&self, texts: &[&[u8]]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        for text in texts {
            hasher.write_usize(text.len());
            hasher.write(text);
        }
        hasher.finish()
    }

    fn mix(&self, round: u8, half: u64) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write_u8(round);
        hasher.write_u64(half);
        hasher.finish()
    }
}

/// An id as it is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Id([u8; ID_CHARS]);

impl Id {
    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(account: &str) -> Ids {
        Ids::new(&[7; 32], &BareJid::parse(account).unwrap())
    }

    #[test]
    fn an_id_decodes_to_the_key_that_it_was_made_of() {
        let ids = ids("juliet@localhost");
        for key in [
            0,
            1,
            -1,
            i64::MIN,
            i64::MAX,
            1_795_316_645_678_000,
            1_795_316_645_678_001,
        ] {
            let id = ids.text(key);
            assert_eq!(ids.key(id.as_str()), Some(key), "{id:?}");
        }
    }

    #[test]
    fn what_was_never_given_out_does_not_decode() {
        let ids = ids("juliet@localhost");
        let id = ids.text(1_795_316_645_678_000);
        let id = id.as_str();
        assert_eq!(ids_of_romeo().key(id), None);
        assert_eq!(ids.key(""), None);
        assert_eq!(ids.key(&id[1..]), None);
        assert_eq!(ids.key(&alloc::format!("{id}=")), None);
        for at in 0..ID_CHARS {
            let other = if id.as_bytes()[at] == b'B' { "C" } else { "B" };
            let mut changed = alloc::string::String::from(id);
            changed.replace_range(at..=at, other);
            assert_eq!(ids.key(&changed), None, "{changed}");
        }
    }

    fn ids_of_romeo() -> Ids {
        ids("romeo@localhost")
    }

    #[test]
    fn ids_that_follow_each_other_have_nothing_in_common() {
        let ids = ids("juliet@localhost");
        for key in 0..100 {
            let (one, next) = (ids.text(key), ids.text(key + 1));
            let same = one.0.iter().zip(&next.0).filter(|(a, b)| a == b);
            assert!(same.count() < ID_CHARS / 2, "{one:?} {next:?}");
        }
    }
}
