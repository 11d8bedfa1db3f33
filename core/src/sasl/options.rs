//! What an administrator can say of SASL.

use alloc::format;

use super::policy::names;
use super::{Encryption, Mechanism, Provider, SaslPolicy};
use crate::options::{Source, Unsaid, of_host};

/// `allow_unencrypted_plain_auth`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum UnencryptedPlain {
    Allowed,
    Refused,
}

impl SaslPolicy {
    /// What `from` says of it. Warns of what is hardly meant.
    pub fn read(from: &mut impl Source) -> Self {
        let encryption = from.either(
            &of_host(
                "c2s_require_encryption",
                "Clients must use TLS before they sign in.",
            )
            .elsewhere("false"),
            Encryption::Required,
            [Encryption::Required, Encryption::Optional],
        );
        let plain = from.either(
            &of_host(
                "allow_unencrypted_plain_auth",
                "Only where TLS is not required: allow the mechanism PLAIN, which shows the password, without it.",
            )
            .elsewhere("true"),
            UnencryptedPlain::Refused,
            [UnencryptedPlain::Allowed, UnencryptedPlain::Refused],
        );
        // As Prosody: allowing PLAIN without TLS empties the default list and leaves one that was written.
        let insecure: &[&str] = match plain {
            UnencryptedPlain::Allowed => &[],
            UnencryptedPlain::Refused => &["PLAIN", "LOGIN"],
        };
        let insecure = from.list(
            &of_host(
                "insecure_sasl_mechanisms",
                "Mechanisms that are not offered without TLS.",
            ),
            insecure,
        );
        let disable = from.list(
            &of_host(
                "disable_sasl_mechanisms",
                "Mechanisms that are never offered. Each name stands for itself alone: \"SCRAM-SHA-1\" leaves \"SCRAM-SHA-1-PLUS\", \
                 which binds to TLS 1.3. Some clients (poezio) bind by a way that TLS 1.3 does not have, fail with each -PLUS and end \
                 up with PLAIN: where they matter more than the binding, add \"SCRAM-SHA-1-PLUS\", \"SCRAM-SHA-256-PLUS\" and \
                 \"SCRAM-SHA-512-PLUS\", and they sign in at once, by SCRAM.",
            )
            .elsewhere("[\"DIGEST-MD5\", \"SCRAM-SHA-1\"]"),
            &["DIGEST-MD5"],
        );
        let policy = Self {
            encryption,
            disable,
            insecure,
        };
        policy.warn(plain, from);
        policy
    }

    /// Warns of a host that leaves nobody a mechanism, or offers one that is worse than nothing.
    pub(crate) fn warn_beside(&self, provider: Provider, from: &mut impl Source) {
        // Nor is anybody let in by EXTERNAL who has no certificate.
        let is_for_all = |known: &&Mechanism| provider.has(**known) && !known.is_by_certificate();
        let mut for_all = Mechanism::ALL.iter().filter(is_for_all);
        if for_all.all(|known| names(&self.disable, known.name())) {
            from.warn(match provider {
                Provider::Ldap => {
                    "nobody can sign in: `disable_sasl_mechanisms` names PLAIN, and to ask a directory takes the password".into()
                }
                Provider::Anonymous | Provider::Hashed | Provider::Plain => {
                    "nobody can sign in: `disable_sasl_mechanisms` names every mechanism there is"
                        .into()
                }
            });
        }
        let digest = Mechanism::DigestMd5;
        if provider.has(digest) && !names(&self.disable, digest.name()) {
            from.warn(
                "DIGEST-MD5 is offered, because `disable_sasl_mechanisms` does not name it: it is obsolete (RFC 6331), and whoever watches a sign-in \
                 by it can try passwords without the rounds that SCRAM has"
                    .into(),
            );
        }
    }

    /// What is not wrong, but hardly meant.
    fn warn(&self, unencrypted_plain: UnencryptedPlain, from: &mut impl Source) {
        let plain = Mechanism::Plain.name();
        if unencrypted_plain == UnencryptedPlain::Allowed {
            if self.encryption == Encryption::Required {
                from.warn(
                    "`allow_unencrypted_plain_auth` has no effect while `c2s_require_encryption` is true".into(),
                );
            } else if names(&self.insecure, plain) {
                from.warn(
                    "`allow_unencrypted_plain_auth` has no effect while `insecure_sasl_mechanisms` names PLAIN".into(),
                );
            }
        }
        if self.encryption == Encryption::Optional
            && !names(&self.insecure, plain)
            && !names(&self.disable, plain)
        {
            from.warn(
                "passwords may cross the network unencrypted: PLAIN is offered without TLS".into(),
            );
        }
        for name in self.disable.iter().chain(&self.insecure) {
            if Mechanism::from_name(name).is_none() && !OTHER_MECHANISMS.contains(&name.as_str()) {
                let known = Mechanism::ALL.map(Mechanism::name).join(", ");
                from.warn(format!(
                    "there is no SASL mechanism \"{name}\"; there are {known}"
                ));
            }
        }
    }
}

impl Default for SaslPolicy {
    fn default() -> Self {
        Self::read(&mut Unsaid)
    }
}

/// Mechanisms that other servers have: naming them is harmless.
const OTHER_MECHANISMS: &[&str] = &["CRAM-MD5", "LOGIN", "OAUTHBEARER"];
