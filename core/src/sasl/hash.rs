//! The hash functions of SCRAM and what RFC 5802 §2.2 builds on them: H, HMAC and Hi. Knows nothing of messages or records.

use alloc::vec::Vec;

use hmac::digest::{Digest as _, Key};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use crate::secret::Secret;

/// A hash function of SCRAM. The weakest first, so that the strongest is the greatest.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Hash {
    /// RFC 5802.
    Sha1,
    /// RFC 7677.
    Sha256,
    /// draft-melnikov-scram-sha-512.
    Sha512,
}

impl Hash {
    /// All of them. A host offers all three, so whoever writes the credentials of an account writes keys for each
    /// (`DeriveParams::for_new_password`): an account without keys for a hash cannot sign in by it.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// The name in the registry of hash function textual names, as in the names of mechanisms and in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
        }
    }

    /// The hash of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.name() == name)
    }

    /// Bytes of its output, hence of every key and proof.
    #[must_use]
    pub const fn output_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// H(data).
    pub(super) fn digest(self, data: &Secret) -> Secret {
        let data = data.expose();
        Secret::new(match self {
            Self::Sha1 => Sha1::digest(data).to_vec(),
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        })
    }

    /// HMAC(key, data). `key` is an output of this hash.
    pub(super) fn hmac(self, key: &Secret, data: &[u8]) -> Secret {
        let key = key.expose();
        Secret::new(match self {
            Self::Sha1 => hmac::<Hmac<Sha1>>(key, data),
            Self::Sha256 => hmac::<Hmac<Sha256>>(key, data),
            Self::Sha512 => hmac::<Hmac<Sha512>>(key, data),
        })
    }

    /// Hi(password, salt, rounds), the SaltedPassword: PBKDF2 with one block of output. Slow by design.
    pub(super) fn salted_password(self, password: &Secret, salt: &[u8], rounds: u32) -> Secret {
        let mut output = alloc::vec![0; self.output_bytes()];
        let password = password.expose();
        match self {
            Self::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, rounds, &mut output),
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, &mut output),
            Self::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, rounds, &mut output),
        }
        Secret::new(output)
    }
}

/// A key shorter than the hash's block is padded with zeros (RFC 2104 §2), and every key here is: it is an output. Padding by
/// hand leaves nothing that could fail.
fn hmac<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut block = Key::<M>::default();
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let mut mac = <M as KeyInit>::new(&block);
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}
