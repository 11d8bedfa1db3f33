//! Why there is a link to a domain or none, told before there is one: the facts that a stream of ours came to, and what would be done by them.
//! It is `decide` that says so, and no other text: who asks what another configuration would do has the same facts judged by other rules.

use super::facts::{Facts, Flaw, Side, Tls, Tried, Try, Whose};
use super::policy::{NextStep, Verdict, decide};
use super::rule::{Refusal, Rule};
use super::rules::{Permission, Rules};
use crate::jid::Domain;

/// What was known of a stream at one time, and what would be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Weighed {
    /// This is known.
    pub facts: Facts,
    /// By the rules that the server has.
    pub verdict: Verdict,
}

/// What comes of all that is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Conclusion {
    /// It would be proven like this who we are; and what would be done if that was not believed.
    Link(Verdict, Option<Verdict>),
    /// There would be no link, by this.
    Refused(Verdict),
    /// There would be none, whatever another server shows: it would not be looked for.
    Barred(Refusal),
    /// It is not known: nothing was heard that it could be said by.
    Unknown,
}

impl Weighed {
    /// By these rules.
    #[must_use]
    pub fn by(rules: &Rules, facts: Facts) -> Self {
        let verdict = decide(rules, &facts);
        Self { facts, verdict }
    }

    /// What is known once STARTTLS was refused.
    #[must_use]
    pub fn without_starttls(&self, rules: &Rules) -> Self {
        let tried = Tried {
            starttls: Try::Failed,
            ..self.facts.tried
        };
        let facts = self.facts.clone();
        Self::by(rules, Facts { tried, ..facts })
    }

    /// What is known once the handshake has failed.
    #[must_use]
    pub fn without_handshake(&self, rules: &Rules) -> Self {
        let tls = Tls::Failed;
        let facts = self.facts.clone();
        Self::by(rules, Facts { tls, ..facts })
    }
}

/// What comes of it by these rules: of what was known of one stream to this domain, one after the other, the first that says more than that TLS is
/// to begin.
#[must_use]
pub fn conclude<'a>(
    rules: &Rules,
    (domain, whose): (&Domain, Whose),
    known: impl IntoIterator<Item = &'a Facts>,
) -> Conclusion {
    match (rules.permitted(domain), whose) {
        (Permission::NotAllowed, _) => return Conclusion::Barred(Refusal::NotAllowed),
        (Permission::Refused, _) => return Conclusion::Barred(Refusal::Excluded),
        (Permission::Yes, Whose::Ours) => return Conclusion::Barred(Refusal::OurDomain),
        (Permission::Yes, Whose::Others) => {}
    }
    for facts in known {
        debug_assert!(matches!(facts.side, Side::Out(_)));
        let verdict = decide(rules, facts);
        match verdict.step {
            NextStep::StartTls => {}
            NextStep::External => {
                let tried = Tried {
                    external: Try::Failed,
                    ..facts.tried
                };
                let facts = facts.clone();
                let then = decide(rules, &Facts { tried, ..facts });
                return Conclusion::Link(verdict, Some(then));
            }
            NextStep::Dialback => return Conclusion::Link(verdict, None),
            // Such steps are not for streams of ours.
            NextStep::Offer(_)
            | NextStep::AcceptByCertificate
            | NextStep::DialBack
            | NextStep::Refuse { .. } => return Conclusion::Refused(verdict),
        }
    }
    Conclusion::Unknown
}

impl Rule {
    /// For programs: it stays the same.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SecureAuth => "secure-auth",
            Self::InsecureDomain => "insecure-domain",
            Self::SecureDomain => "secure-domain",
            Self::RequireEncryption => "require-encryption",
            Self::NothingNeeded => "nothing-needed",
            Self::Permitted => "permitted",
            Self::InTheClear => "in-the-clear",
            Self::Encrypted => "encrypted",
            Self::GoodCertificate => "good-certificate",
            Self::BadCertificate(flaw) => flaw.name(),
            Self::ExternalUnfit => "external-unfit",
            Self::StarttlsAlone => "starttls-alone",
            Self::StarttlsBeside => "starttls-beside",
            Self::DialBackInTheClear => "dial-back-in-the-clear",
            Self::Unnamed => "unnamed",
            Self::CertificateProves => "certificate-proves",
            Self::CertificateNotNeeded => "certificate-not-needed",
            Self::StarttlsOffered => "starttls-offered",
            Self::StarttlsUnoffered => "starttls-unoffered",
            Self::DialbackInTheClear => "dialback-in-the-clear",
            Self::External => "external",
            Self::Dialback => "dialback",
            Self::Refused(refusal) => refusal.name(),
        }
    }
}

impl Refusal {
    /// For programs: it stays the same.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotAllowed => "not-allowed",
            Self::Excluded => "excluded",
            Self::OurDomain => "our-domain",
            Self::Unencrypted => "unencrypted",
            Self::NoOwnCertificate => "no-own-certificate",
            Self::Certificate(flaw) => flaw.name(),
            Self::StarttlsAbsent => "starttls-absent",
            Self::StarttlsForbidden => "starttls-forbidden",
            Self::StarttlsFailed => "starttls-failed",
            Self::TlsFailed => "tls-failed",
            Self::NoMethod => "no-method",
        }
    }
}

impl Flaw {
    const fn name(self) -> &'static str {
        match self {
            Self::Missing => "certificate-missing",
            Self::Expired => "certificate-expired",
            Self::NotYetValid => "certificate-not-yet-valid",
            Self::SelfSigned => "certificate-self-signed",
            Self::Untrusted => "certificate-untrusted",
            Self::WrongUse => "certificate-of-wrong-use",
            Self::Unreadable => "certificate-unreadable",
            Self::OtherNames => "certificate-of-other-names",
            Self::Nameless => "certificate-nameless",
        }
    }
}
