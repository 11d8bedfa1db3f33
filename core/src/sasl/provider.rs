//! What a host keeps of passwords, and when what is kept is made anew. The names are Prosody's.

use super::{Credentials, Hash, Mechanism, Verified, Verifier};
use crate::options::{Source, of_host};

/// `authentication`: what is kept of a new password. What was kept before stays what it is, until the password is set anew or, from a
/// password to keys, until it is known to be right.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Provider {
    /// `internal_hashed`: keys of it under every hash, from which it cannot be read.
    #[default]
    Hashed,
    /// `internal_plain`: the password.
    Plain,
    /// `ldap`: nothing. A directory is asked.
    Ldap,
    /// `anonymous`: there are none. Whoever comes is a guest, of whom nothing is kept.
    Anonymous,
}

impl Provider {
    /// What `from` says of it. Warns of what the second one costs.
    pub fn read(from: &mut impl Source) -> Self {
        let provider = from.word_but(
            &of_host(
                "authentication",
                "What is kept of passwords: \"internal_hashed\" keeps keys, by which clients sign in and from which no password can be \
                 read; \"internal_plain\" keeps the passwords themselves, so that whoever reads the disk, a backup or an exported file has \
                 them all. It counts for passwords that are set from then on. Where it is \"internal_hashed\" again, each password that was \
                 kept becomes keys when its user signs in, and all of them do by `spondee passwords upgrade`. \"ldap\" keeps nothing and asks a \
                 directory, by the options that begin with ldap_. \"anonymous\" has no accounts: \
                 whoever connects is a guest under a name of the server's making, and nothing is kept of guests. A change from or to it \
                 needs a restart.",
            )
            .elsewhere("\"anonymous\""),
            Self::Hashed,
            WORDS,
            OTHERS,
        );
        if provider == Self::Anonymous {
            from.warn(
                "`authentication` is \"anonymous\": anybody who can connect signs in, without an account, and can write to everybody here; accounts \
                 that the host had before are out of reach"
                    .into(),
            );
        }
        if provider == Self::Plain {
            from.warn(
                "`authentication` is \"internal_plain\": whoever reads the disk, a backup or an exported file has the passwords; encrypt the disk, \
                 or leave them to \"internal_hashed\", which clients sign in to by the same mechanisms"
                    .into(),
            );
        }
        provider
    }

    /// Whether somebody who was verified has shown what is asked for here: it may have changed since the sign-in began.
    #[must_use]
    pub fn takes(self, verified: &Verified) -> bool {
        let is_right = match verified.mechanism() {
            // Nobody is asked.
            Mechanism::Anonymous | Mechanism::External => true,
            Mechanism::DigestMd5 | Mechanism::Plain | Mechanism::Scram(..) => {
                verified.is_by_directory() == (self == Self::Ldap)
            }
        };
        is_right && self.has(verified.mechanism())
    }

    /// Whether this mechanism can prove anything where this is kept.
    #[must_use]
    pub const fn has(self, mechanism: Mechanism) -> bool {
        match mechanism {
            Mechanism::Anonymous => matches!(self, Self::Anonymous),
            // It is made of the password itself.
            Mechanism::DigestMd5 => matches!(self, Self::Plain),
            Mechanism::External | Mechanism::Plain => !matches!(self, Self::Anonymous),
            // A directory is shown the password, and gives none.
            Mechanism::Scram(..) => matches!(self, Self::Hashed | Self::Plain),
        }
    }
}

const WORDS: &[(&str, Provider)] = &[
    ("internal_hashed", Provider::Hashed),
    ("internal_plain", Provider::Plain),
    ("ldap", Provider::Ldap),
    ("anonymous", Provider::Anonymous),
];

/// Providers of Prosody, and why they are none here.
const OTHERS: &[(&str, &str)] = &[(
    "insecure",
    "with a name that is somebody's nobody signs in without the right password; there are \"internal_hashed\", \"internal_plain\", \"ldap\" and \"anonymous\"",
)];

impl Credentials {
    /// Whether what is kept is not what this host would keep of the same password now: keys are missing or too cheap to try passwords
    /// on, or it is the password where there should be keys. Keys never become a password again by themselves.
    #[must_use]
    pub fn is_outdated(&self, provider: Provider, rounds: u32) -> bool {
        match &self.verifier {
            // It is another's to know which password is right.
            Verifier::Keys(_) | Verifier::Password(_) if provider == Provider::Ldap => false,
            Verifier::Password(_) => provider == Provider::Hashed,
            Verifier::Keys(_) => Hash::ALL.into_iter().any(|hash| {
                let keys = self.keys_for(hash);
                keys.is_none_or(|keys| keys.rounds < rounds)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::entropy::Entropy;
    use crate::sasl::{DeriveParams, Status};
    use crate::secret::Secret;

    #[test]
    fn a_password_is_outdated_where_keys_are_kept_and_keys_where_they_are_too_few_or_cheap() {
        let password = Secret::new(b"pencil".to_vec());
        let mut keys: Vec<_> = DeriveParams::for_new_password(7, &mut Entropy::new([1; 32]))
            .iter()
            .map(|job| job.derive(&password))
            .collect();
        let plain = Credentials {
            status: Status::Enabled,
            verifier: Verifier::Password(password),
        };
        assert!(plain.is_outdated(Provider::Hashed, 7));
        assert!(!plain.is_outdated(Provider::Plain, 7));
        for provider in [Provider::Hashed, Provider::Plain] {
            let hashed = Credentials::hashed(Status::Enabled, keys.clone());
            assert!(!hashed.is_outdated(provider, 6));
            assert!(!hashed.is_outdated(provider, 7));
            assert!(hashed.is_outdated(provider, 8));
        }
        keys.pop();
        let partly = Credentials::hashed(Status::Enabled, keys);
        assert!(partly.is_outdated(Provider::Hashed, 7));
    }
}
