//! What an administrator says of other servers: how much is needed of whom, and who may be talked to.

use alloc::collections::BTreeSet;
use core::borrow::Borrow;
use core::fmt;

use super::rule::{Finding, Rule, Saw};
use crate::jid::Domain;

/// What an administrator says of other servers, as it is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyOptions {
    /// `s2s_allow_encryption`.
    pub allow_encryption: AllowEncryption,
    /// `s2s_require_encryption`.
    pub require_encryption: RequireEncryption,
    /// `s2s_secure_auth`.
    pub secure_auth: SecureAuth,
    /// `s2s_secure_domains`.
    pub secure_domains: BTreeSet<Domain>,
    /// `s2s_insecure_domains`.
    pub insecure_domains: BTreeSet<Domain>,
    /// Who may be talked to.
    pub allowed: Allowed,
    /// Who must not, whoever may.
    pub refused: BTreeSet<Domain>,
}

/// `s2s_allow_encryption`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AllowEncryption {
    /// TLS is used where it can be.
    Yes,
    /// It is not used.
    No,
}

/// `s2s_require_encryption`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequireEncryption {
    /// Nothing goes to others, or comes from them, without TLS.
    Yes,
    /// It may.
    No,
}

/// `s2s_secure_auth`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SecureAuth {
    /// Others prove themselves by certificates, all but those in `s2s_insecure_domains`. It requires encryption of them, too.
    Yes,
    /// They may do so by dialback, all but those in `s2s_secure_domains`.
    No,
}

/// Who may be talked to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Allowed {
    /// Everybody.
    All,
    /// These.
    Only(BTreeSet<Domain>),
}

/// What a configuration says that cannot be: encryption is forbidden, and needed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Contradiction {
    /// `s2s_require_encryption` requires it.
    Required,
    /// `s2s_secure_auth` wants certificates, which are shown in TLS.
    SecureAuth,
    /// `s2s_secure_domains` wants one of this domain.
    SecureDomain(Domain),
}

impl Contradiction {
    /// The option that `s2s_allow_encryption` contradicts.
    #[must_use]
    pub const fn option(&self) -> &'static str {
        match self {
            Self::Required => "s2s_require_encryption",
            Self::SecureAuth => "s2s_secure_auth",
            Self::SecureDomain(_) => "s2s_secure_domains",
        }
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`s2s_allow_encryption = false` forbids encryption, ")?;
        match self {
            Self::Required => f.write_str("and `s2s_require_encryption` requires it"),
            Self::SecureAuth => {
                f.write_str("and `s2s_secure_auth` wants certificates, which need it")
            }
            Self::SecureDomain(domain) => write!(
                f,
                "and `s2s_secure_domains` wants a certificate of {domain}, which needs it"
            ),
        }
    }
}

impl core::error::Error for Contradiction {}

/// What an administrator says of other servers, free of contradictions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rules {
    encryption: Encryption,
    secure_auth: SecureAuth,
    secure_domains: BTreeSet<Domain>,
    insecure_domains: BTreeSet<Domain>,
    allowed: Allowed,
    refused: BTreeSet<Domain>,
}

/// Whether TLS is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encryption {
    /// Never.
    Forbidden,
    /// Where the peer can.
    Optional,
    /// Always.
    Required,
}

/// Which lists a domain is in, as it is written there: names below it are others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Listed {
    /// In neither.
    Neither,
    /// In `s2s_secure_domains`.
    Secure,
    /// In `s2s_insecure_domains`.
    Insecure,
    /// In both.
    Both,
}

/// Whether a domain may be talked to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Permission {
    /// It may.
    Yes,
    /// Only others may.
    NotAllowed,
    /// It must not.
    Refused,
}

/// How much is needed of a domain. The least first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Need {
    /// Dialback over an open line is enough.
    Nothing,
    /// The line is encrypted.
    Tls,
    /// It is, and a certificate proves the domain.
    Certificate,
}

impl Rules {
    /// Nobody may be talked to.
    #[must_use]
    pub const fn isolated() -> Self {
        Self {
            encryption: Encryption::Required,
            secure_auth: SecureAuth::Yes,
            secure_domains: BTreeSet::new(),
            insecure_domains: BTreeSet::new(),
            allowed: Allowed::Only(BTreeSet::new()),
            refused: BTreeSet::new(),
        }
    }

    /// # Errors
    /// They contradict each other.
    pub fn new(options: PolicyOptions) -> Result<Self, Contradiction> {
        let encryption = match options.allow_encryption {
            AllowEncryption::No => {
                if options.require_encryption == RequireEncryption::Yes {
                    return Err(Contradiction::Required);
                }
                if options.secure_auth == SecureAuth::Yes {
                    return Err(Contradiction::SecureAuth);
                }
                if let Some(domain) = options.secure_domains.first() {
                    return Err(Contradiction::SecureDomain(domain.clone()));
                }
                Encryption::Forbidden
            }
            AllowEncryption::Yes => match (options.require_encryption, options.secure_auth) {
                (RequireEncryption::No, SecureAuth::No) => Encryption::Optional,
                (RequireEncryption::Yes, _) | (_, SecureAuth::Yes) => Encryption::Required,
            },
        };
        Ok(Self {
            encryption,
            secure_auth: options.secure_auth,
            secure_domains: options.secure_domains,
            insecure_domains: options.insecure_domains,
            allowed: options.allowed,
            refused: options.refused,
        })
    }

    /// Whether nobody may be talked to.
    #[must_use]
    pub fn are_isolated(&self) -> bool {
        match &self.allowed {
            Allowed::Only(those) => those.is_subset(&self.refused),
            Allowed::All => false,
        }
    }

    /// Whether TLS is used.
    #[must_use]
    pub const fn encryption(&self) -> Encryption {
        self.encryption
    }

    /// Which lists the domain is in.
    #[must_use]
    pub fn listed(&self, domain: &Domain) -> Listed {
        let secure = self.secure_domains.contains(domain);
        match (secure, self.insecure_domains.contains(domain)) {
            (false, false) => Listed::Neither,
            (true, false) => Listed::Secure,
            (false, true) => Listed::Insecure,
            (true, true) => Listed::Both,
        }
    }

    /// Whether the domain may be talked to.
    #[must_use]
    pub fn permitted<Q: Ord + ?Sized>(&self, domain: &Q) -> Permission
    where
        Domain: Borrow<Q>,
    {
        if self.refused.contains(domain) {
            return Permission::Refused;
        }
        match &self.allowed {
            Allowed::Only(those) if !those.contains(domain) => Permission::NotAllowed,
            Allowed::All | Allowed::Only(_) => Permission::Yes,
        }
    }

    /// How much is needed of a domain; of one that is not known yet, as of one that nothing is said of.
    #[must_use]
    pub fn need(&self, domain: Option<&Domain>) -> (Need, Finding) {
        let listed = domain.map_or(Listed::Neither, |domain| self.listed(domain));
        let (need, rule) = match (self.secure_auth, listed, self.encryption) {
            (SecureAuth::Yes, Listed::Neither | Listed::Secure, _) => {
                (Need::Certificate, Rule::SecureAuth)
            }
            (SecureAuth::Yes, Listed::Insecure | Listed::Both, _) => {
                (Need::Tls, Rule::InsecureDomain)
            }
            (SecureAuth::No, Listed::Secure | Listed::Both, _) => {
                (Need::Certificate, Rule::SecureDomain)
            }
            (SecureAuth::No, Listed::Neither | Listed::Insecure, Encryption::Required) => {
                (Need::Tls, Rule::RequireEncryption)
            }
            (
                SecureAuth::No,
                Listed::Neither | Listed::Insecure,
                Encryption::Optional | Encryption::Forbidden,
            ) => (Need::Nothing, Rule::NothingNeeded),
        };
        let saw = Saw::Listed(listed);
        (need, Finding { rule, saw })
    }
}
