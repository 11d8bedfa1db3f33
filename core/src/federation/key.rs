//! Keys of Server Dialback (XEP-0220), as XEP-0185 §2 recommends them.
//!
//! No key is remembered: it is good for one receiving server and one stream id, and who is asked about it computes it again.

use alloc::string::String;
use core::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::jid::Domain;
use crate::secret::Secret;

/// What keys are made and checked with: SHA-256 of the secret, in hexadecimal digits.
#[derive(Clone, Debug)]
pub struct DialbackKeys(Secret);

impl DialbackKeys {
    /// All servers of a domain have one secret: each may be asked about another's key.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        // XEP-0185 §2: hashed, since it may be shorter than an HMAC's key should be.
        Self(Secret::new(
            hex(&Sha256::digest(secret.expose())).into_bytes(),
        ))
    }

    /// The key by which a domain of ours, `originating`, is known on a stream that `receiving` gave this id.
    #[must_use]
    pub fn key(&self, receiving: &Domain, originating: &Domain, id: &str) -> String {
        // The digits fill the block of the hash, which leaves nothing that could fail.
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(self.0.expose()) {
            *to = *from;
        }
        let mut mac = Hmac::<Sha256>::new(&block.into());
        // XEP-0185 §2: with spaces between, or two pairs of names could be one text.
        for part in [receiving.as_str(), " ", originating.as_str(), " ", id] {
            mac.update(part.as_bytes());
        }
        hex(&mac.finalize().into_bytes())
    }

    /// Whether `shown` is that key. Takes as long whatever is shown.
    #[must_use]
    pub fn is_key(&self, receiving: &Domain, originating: &Domain, id: &str, shown: &str) -> bool {
        let key = Secret::new(self.key(receiving, originating, id).into_bytes());
        key.expose().ct_eq(shown.as_bytes()).into()
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &str) -> DialbackKeys {
        DialbackKeys::new(&Secret::new(secret.as_bytes().to_vec()))
    }

    fn domain(name: &str) -> Domain {
        Domain::parse(name).unwrap()
    }

    /// XEP-0185 §3, XEP-0220 §2.1.1 and §2.2.2: secret, receiving server, originating server, id, key.
    const EXAMPLES: [[&str; 5]; 3] = [
        [
            "s3cr3tf0rd14lb4ck",
            "xmpp.example.com",
            "example.org",
            "D60000229F",
            "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643",
        ],
        [
            "s3cr3tf0rd14lb4ck",
            "montague.example",
            "capulet.example",
            "D60000229F",
            "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3",
        ],
        [
            "d14lb4ck43v3r",
            "capulet.example",
            "montague.example",
            "417GAF25",
            "225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d",
        ],
    ];

    #[test]
    fn the_examples_come_out() {
        for [secret, receiving, originating, id, key] in EXAMPLES {
            let keys = keys(secret);
            let (receiving, originating) = (domain(receiving), domain(originating));
            assert_eq!(keys.key(&receiving, &originating, id), key);
            assert!(keys.is_key(&receiving, &originating, id, key));
        }
    }

    #[test]
    fn a_key_is_good_for_one_pair_one_stream_and_one_secret() {
        let [secret, receiving, originating, id, key] = EXAMPLES[0];
        let (receiving, originating) = (domain(receiving), domain(originating));
        let good = keys(secret);
        assert!(!good.is_key(&originating, &receiving, id, key));
        assert!(!good.is_key(&domain("other.example"), &originating, id, key));
        assert!(!good.is_key(&receiving, &originating, "D60000229E", key));
        assert!(!keys("another").is_key(&receiving, &originating, id, key));
        for shown in ["", &key[1..], &key.to_uppercase(), &[key, " "].concat()] {
            assert!(!good.is_key(&receiving, &originating, id, shown), "{shown}");
        }
    }

    #[test]
    fn names_that_could_be_cut_elsewhere_have_other_keys() {
        // XEP-0185 §2 has this one.
        let keys = keys("secret");
        let one = keys.key(&domain("example.info"), &domain("rm.example.org"), "1");
        let two = keys.key(&domain("example.in"), &domain("form.example.org"), "1");
        assert_ne!(one, two);
    }

    #[test]
    fn names_are_prepared_before_they_are_hashed() {
        let keys = keys("secret");
        let key = keys.key(&domain("b\u{fc}cher.example"), &domain("a.example"), "1");
        for spelt in ["xn--bcher-kva.example", "B\u{dc}CHER.example."] {
            assert!(keys.is_key(&domain(spelt), &domain("A.EXAMPLE"), "1", &key));
        }
    }

    #[test]
    fn what_they_are_made_with_is_not_printed() {
        assert_eq!(
            alloc::format!("{:?}", keys("secret")),
            "DialbackKeys(Secret(..))"
        );
    }
}
