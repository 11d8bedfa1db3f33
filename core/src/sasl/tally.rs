//! What the accounts of a host lack to sign in by every hash: what not all of them can use is not offered, so that nobody is offered what must
//! fail. Keys under some hashes alone come from elsewhere, with accounts that are imported.

use alloc::collections::BTreeMap;

use super::{CREDENTIALS, Credentials, Hash, Mechanism, Offer, Verifier};
use crate::jid::Domain;
use crate::store::Subset;

/// How many accounts of a host there are of which something is to be known; counted up to a bound.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Accounts that have keys, but none for the hash, in the order of `Hash::ALL`.
    pub lacking: [u64; Hash::ALL.len()],
    /// Accounts of which the password itself is kept.
    pub kept: u64,
}

/// What is known of the accounts of each host.
#[derive(Clone, Debug, Default)]
pub struct Tallies(pub(crate) BTreeMap<Domain, Tally>);

impl Tallies {
    /// What is known of this one; nothing lacks where nothing is known.
    #[must_use]
    pub fn of(&self, host: &Domain) -> Tally {
        self.0.get(host).copied().unwrap_or_default()
    }
}

/// Some of the hashes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Hashes([bool; Hash::ALL.len()]);

/// Whom a tally counts, in its order: first what `lacking` does, then `kept`.
pub static TALLIED: [Subset; Hash::ALL.len() + 1] = [
    Subset {
        name: "without_sha1",
        table: &CREDENTIALS,
        empty: &["sha1_stored", "password"],
        filled: &["sha256_stored", "sha512_stored"],
    },
    Subset {
        name: "without_sha256",
        table: &CREDENTIALS,
        empty: &["sha256_stored", "password"],
        filled: &["sha1_stored", "sha512_stored"],
    },
    Subset {
        name: "without_sha512",
        table: &CREDENTIALS,
        empty: &["sha512_stored", "password"],
        filled: &["sha1_stored", "sha256_stored"],
    },
    Subset {
        name: "with_password",
        table: &CREDENTIALS,
        empty: &[],
        filled: &["password"],
    },
];

impl Tally {
    /// Of counts in the order of `TALLIED`.
    pub(crate) fn of(counts: [u64; TALLIED.len()]) -> Self {
        let [sha1, sha256, sha512, kept] = counts;
        Self {
            lacking: [sha1, sha256, sha512],
            kept,
        }
    }

    /// Whether every account that has keys has some for this one.
    #[must_use]
    pub fn has_all(&self, hash: Hash) -> bool {
        let mut counts = Hash::ALL.into_iter().zip(self.lacking);
        counts.all(|(other, lacking)| other != hash || lacking == 0)
    }

    /// There is an account at least that lacks these.
    pub(crate) fn lacks(&mut self, hashes: Hashes) {
        for (count, lacks) in self.lacking.iter_mut().zip(hashes.0) {
            *count = (*count).max(u64::from(lacks));
        }
    }

    /// Whatever either of them knows of.
    pub(crate) fn joined(mut self, other: Self) -> Self {
        for (count, more) in self.lacking.iter_mut().zip(other.lacking) {
            *count = (*count).max(more);
        }
        self.kept = self.kept.max(other.kept);
        self
    }
}

impl Hashes {
    /// Those that an account cannot sign in by which can by others.
    pub(crate) fn lacked_by(credentials: &Credentials) -> Self {
        let lacks = match &credentials.verifier {
            Verifier::Password(_) => false,
            Verifier::Keys(keys) => !keys.is_empty(),
        };
        Self(Hash::ALL.map(|hash| lacks && credentials.keys_for(hash).is_none()))
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl Offer {
    /// Without what some account of the host cannot use, unless nothing would be left.
    #[must_use]
    pub fn for_all(mut self, tally: &Tally) -> Self {
        let can_all = |mechanism: &Mechanism| match mechanism {
            Mechanism::Scram(hash, _) => tally.has_all(*hash),
            Mechanism::Anonymous
            | Mechanism::DigestMd5
            | Mechanism::External
            | Mechanism::Plain => true,
        };
        // Who has no certificate is offered something, too.
        let is_for_all = |known: &Mechanism| can_all(known) && !known.is_by_certificate();
        if self.mechanisms.iter().any(is_for_all) {
            self.mechanisms.retain(can_all);
        }
        if !self.mechanisms.iter().any(|mechanism| mechanism.binds()) {
            self.bindings.clear();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::entropy::Entropy;
    use crate::sasl::{Dates, DeriveParams, Plus, Status};
    use crate::secret::Secret;

    fn keys(of: &[Hash]) -> Credentials {
        let password = Secret::new(b"pencil".to_vec());
        let jobs = DeriveParams::for_new_password(1, &mut Entropy::new([1; 32]));
        let keys = jobs.iter().filter(|job| of.contains(&job.hash));
        Credentials::hashed(
            Status::Enabled,
            keys.map(|job| job.derive(&password)).collect(),
        )
    }

    #[test]
    fn accounts_are_counted_where_they_lack_keys_and_have_others() {
        let kept = Credentials {
            status: Status::Enabled,
            verifier: Verifier::Password(Secret::new(b"pencil".to_vec())),
        };
        for (credentials, counted) in [
            (keys(&Hash::ALL), [false, false, false, false]),
            (keys(&[]), [false, false, false, false]),
            (keys(&[Hash::Sha1]), [false, true, true, false]),
            (keys(&[Hash::Sha256]), [true, false, true, false]),
            (
                keys(&[Hash::Sha1, Hash::Sha512]),
                [false, true, false, false],
            ),
            (kept, [false, false, false, true]),
        ] {
            let row = credentials.to_row(Dates::default());
            assert_eq!(TALLIED.map(|subset| subset.has(&row)), counted);
            assert_eq!(Hashes::lacked_by(&credentials).0[..], counted[..3]);
        }
    }

    #[test]
    fn what_not_all_can_use_is_not_offered_unless_nothing_else_is() {
        let scram = |hash| {
            [
                Mechanism::Scram(hash, Plus::Yes),
                Mechanism::Scram(hash, Plus::No),
            ]
        };
        let offer = |plain: bool| Offer {
            mechanisms: scram(Hash::Sha512)
                .into_iter()
                .chain(scram(Hash::Sha1))
                .chain(plain.then_some(Mechanism::Plain))
                .collect(),
            bindings: vec!["tls-exporter"],
        };
        let mut tally = Tally::default();
        assert_eq!(offer(true).for_all(&tally), offer(true));
        tally.lacks(Hashes::lacked_by(&keys(&[Hash::Sha1])));
        let some = offer(true).for_all(&tally);
        let expected: Vec<_> = scram(Hash::Sha1)
            .into_iter()
            .chain([Mechanism::Plain])
            .collect();
        assert_eq!(
            (some.mechanisms, some.bindings),
            (expected, vec!["tls-exporter"])
        );
        // One has these, another one those.
        tally.lacks(Hashes::lacked_by(&keys(&[Hash::Sha512])));
        let plain = offer(true).for_all(&tally);
        assert_eq!(
            (plain.mechanisms, plain.bindings),
            (vec![Mechanism::Plain], vec![])
        );
        assert_eq!(offer(false).for_all(&tally), offer(false));
    }
}
