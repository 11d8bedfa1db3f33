//! XEP-0474: SASL SCRAM Downgrade Protection, version 0.5.0.
//!
//! The server's first message says a hash of what was offered. A client compares it with what it saw; whoever changes what it sees, and the hash
//! with it, breaks the proof, which is made over that message. So the server looks at nothing: to it a hash that was changed is a wrong
//! password.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Hash, Mechanism, Offer};
use crate::secret::Secret;

/// The value of `h`: XEP-0474 §6.1. There is none where nothing was offered.
pub(super) fn hash(offer: &Offer, hash: Hash) -> Option<String> {
    if offer.mechanisms.is_empty() {
        return None;
    }
    let mechanisms = offer.mechanisms.iter().copied().map(Mechanism::name);
    let mut all = sorted(mechanisms.collect());
    if !offer.bindings.is_empty() {
        all.push('\u{1f}');
        all.push_str(&sorted(offer.bindings.clone()));
    }
    let digest = hash.digest(&Secret::new(all.into_bytes()));
    Some(STANDARD.encode(digest.expose()))
}

/// XEP-0474 §6.1: "All sorting operations MUST be performed using "i;octet" collation", which is how texts are compared here.
fn sorted(mut names: Vec<&str>) -> String {
    names.sort_unstable();
    names.join("\u{1e}")
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::sasl::Plus;

    #[test]
    fn the_example_of_the_xep_comes_out() {
        // XEP-0474 §6.3.
        let offer = Offer {
            mechanisms: vec![
                Mechanism::Scram(Hash::Sha1, Plus::Yes),
                Mechanism::Scram(Hash::Sha1, Plus::No),
            ],
            bindings: vec!["tls-server-end-point", "tls-exporter"],
        };
        let expected = Some("G6k/rBLDqgOhRRaCuuatSDFkJ08=".into());
        assert_eq!(hash(&offer, Hash::Sha1), expected);
        assert_eq!(hash(&Offer::default(), Hash::Sha1), None);
    }

    #[test]
    fn without_binding_types_nothing_stands_behind_the_mechanisms() {
        let mut offer = Offer {
            mechanisms: vec![
                Mechanism::Scram(Hash::Sha512, Plus::No),
                Mechanism::Scram(Hash::Sha256, Plus::No),
                Mechanism::Scram(Hash::Sha1, Plus::No),
                Mechanism::Plain,
            ],
            bindings: Vec::new(),
        };
        let of_all = Some("ujUIheeDniyREoOqPQKcpjkxnvYpJ3onwESOHqpFE7g=".into());
        assert_eq!(hash(&offer, Hash::Sha256), of_all);
        offer.mechanisms.reverse();
        assert_eq!(hash(&offer, Hash::Sha256), of_all, "in whatever order");
        offer.mechanisms.pop();
        assert_ne!(hash(&offer, Hash::Sha256), of_all);
    }
}
