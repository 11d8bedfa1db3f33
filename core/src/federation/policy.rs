//! What is needed of other servers, and what is therefore done with a stream: one function, whose trail is its explanation.
//!
//! *Good* is a certificate that somebody trusted vouches for and that names the domain; all else is bad, none included. The first row that
//! fits decides:
//!
//! | row | who speaks | need | TLS | certificate | what is done |
//! |---|---|---|---|---|---|
//! | A1 | any | any | any | any | the domain is not permitted, or ours: `policy-violation` |
//! | I1 | in | certificate, TLS | none | | STARTTLS, required, alone; a claim, or no certificate of ours: `policy-violation` |
//! | I2 | in | nothing | none | | STARTTLS, if we can, beside dialback; a claim is dialled back |
//! | I3 | in, not named | any | up | | dialback; the claim is judged |
//! | I4 | in | any | up | good | EXTERNAL and dialback; a claim is proven by the certificate (XEP-0344 §2.4) |
//! | I5 | in | certificate | up | bad | `not-authorized` |
//! | I6 | in | TLS, nothing | up | bad | dialback; a claim is dialled back |
//! | F1 | further claim | any | up | good | proven by the certificate |
//! | F2 | further claim | certificate | up | bad | `not-authorized`, and the stream lives (XEP-0220 §2.5) |
//! | F2 | further claim | certificate, TLS | none | | `policy-violation`, and the stream lives |
//! | F3 | further claim | else | | | dialled back |
//! | O1 | out | any | offered, allowed | | STARTTLS |
//! | O2 | out | certificate, TLS | not offered | | STARTTLS all the same; then `policy-violation` |
//! | O3 | out | nothing | not offered, or not allowed | | dialback; if TLS is required: `policy-violation` |
//! | O4 | any | any | failed | | nothing, for now: never in the clear where there was TLS |
//! | O5 | out | certificate | up | bad | `not-authorized` |
//! | O6 | out | any | up | else | EXTERNAL, if both sides can; else, or then, dialback |
//! | O7 | out | any | | | no method is left: `unsupported-feature` |

#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use super::facts::{
    Facts, Method, OwnCertificate, PeerCertificate, Side, StarttlsOffer, Tls, Try, Whose,
};
use super::rule::{Finding, Refusal, Rule, Saw};
use super::rules::{Encryption, Need, Permission, Rules};
use crate::federation::Starttls;
use crate::limits::TRAIL_RULES;

/// What is to be done, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// What is to be done.
    pub step: NextStep,
    /// What decided: the last of the trail.
    pub rule: Rule,
    /// How much is needed: the first of the trail says why.
    pub need: Need,
    /// All that was looked at, in order, as many as `TRAIL_RULES`.
    pub trail: Vec<Finding>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NextStep {
    /// To a server: ask for STARTTLS.
    StartTls,
    /// To who connected: offer this.
    Offer(Offer),
    /// To a server: prove who we are by EXTERNAL.
    External,
    /// To a server: prove who we are by dialback.
    Dialback,
    /// What a domain claims is proven: its certificate says so.
    AcceptByCertificate,
    /// Ask the server of a domain whether the claim is its own.
    DialBack,
    /// It comes to nothing.
    Refuse {
        /// What the peer is told, if it can be told anything. Of a further claim it is the error of that alone.
        condition: Option<Condition>,
        /// For how long.
        lasting: Lasting,
    },
}

/// Stream features.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Offer {
    /// STARTTLS.
    pub starttls: Option<Starttls>,
    /// SASL EXTERNAL.
    pub external: Method,
    /// Dialback, with errors (XEP-0220 §2.4.2).
    pub dialback: Method,
}

/// Conditions that stream errors (RFC 6120 §4.9.3) and errors of dialback (XEP-0220 §2.5) have, the last only the former.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Condition {
    /// It has not proven what it must.
    NotAuthorized,
    /// It is not done here.
    PolicyViolation,
    /// It offers nothing that we could do.
    UnsupportedFeature,
}

impl Condition {
    /// The name of its element.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotAuthorized => "not-authorized",
            Self::PolicyViolation => "policy-violation",
            Self::UnsupportedFeature => "unsupported-feature",
        }
    }
}

/// For how long something is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lasting {
    /// The next place to go to may do better.
    ForNow,
    /// It will be the same until somebody changes something.
    ForGood,
}

impl Refusal {
    /// For how long it holds.
    #[must_use]
    pub const fn lasting(self) -> Lasting {
        match self.step() {
            NextStep::Refuse { lasting, .. } => lasting,
            NextStep::StartTls
            | NextStep::Offer(_)
            | NextStep::External
            | NextStep::Dialback
            | NextStep::AcceptByCertificate
            | NextStep::DialBack => Lasting::ForNow,
        }
    }

    /// What the peer is told, if it can be told anything.
    #[must_use]
    pub const fn condition(self) -> Option<Condition> {
        match self.step() {
            NextStep::Refuse { condition, .. } => condition,
            NextStep::StartTls
            | NextStep::Offer(_)
            | NextStep::External
            | NextStep::Dialback
            | NextStep::AcceptByCertificate
            | NextStep::DialBack => None,
        }
    }

    /// The same, and for how long it holds.
    const fn step(self) -> NextStep {
        let (condition, lasting) = match self {
            Self::NotAllowed
            | Self::Excluded
            | Self::OurDomain
            | Self::Unencrypted
            | Self::NoOwnCertificate
            | Self::StarttlsAbsent
            | Self::StarttlsForbidden => (Some(Condition::PolicyViolation), Lasting::ForGood),
            // `Deviation:` RFC 6120 §6.4.5 has `policy-violation`, and other servers say this.
            Self::Certificate(_) => (Some(Condition::NotAuthorized), Lasting::ForGood),
            // RFC 6120 §5.4.2.2, §5.4.3.2: there is no stream any more on which to say anything.
            Self::StarttlsFailed | Self::TlsFailed => (None, Lasting::ForNow),
            Self::NoMethod => (Some(Condition::UnsupportedFeature), Lasting::ForGood),
        };
        NextStep::Refuse { condition, lasting }
    }
}

impl Verdict {
    /// Whether a stream of ours may ask whether a key is good, as it stands: for that it has nothing to prove of us.
    #[must_use]
    pub fn may_verify(&self) -> bool {
        match self.rule {
            Rule::DialbackInTheClear | Rule::External | Rule::Dialback => true,
            Rule::Refused(refusal) => refusal == Refusal::NoMethod,
            Rule::SecureAuth
            | Rule::InsecureDomain
            | Rule::SecureDomain
            | Rule::RequireEncryption
            | Rule::NothingNeeded
            | Rule::Permitted
            | Rule::InTheClear
            | Rule::Encrypted
            | Rule::GoodCertificate
            | Rule::BadCertificate(_)
            | Rule::ExternalUnfit
            | Rule::StarttlsAlone
            | Rule::StarttlsBeside
            | Rule::DialBackInTheClear
            | Rule::Unnamed
            | Rule::CertificateProves
            | Rule::CertificateNotNeeded
            | Rule::StarttlsOffered
            | Rule::StarttlsUnoffered => false,
        }
    }
}

/// What is to be done with a stream.
#[must_use]
pub fn decide(rules: &Rules, facts: &Facts) -> Verdict {
    let (need, because) = rules.need(facts.side.domain());
    let mut trail = Vec::with_capacity(TRAIL_RULES);
    trail.push(because);
    let deciding = Deciding {
        rules,
        facts,
        need,
        trail,
    };
    match deciding.permission() {
        Ok(deciding) => match (&facts.side, facts.tls) {
            // Row O4.
            (_, Tls::Failed) => deciding.refuse(Refusal::TlsFailed, Saw::FailedHandshake),
            (Side::In(_) | Side::Claim(_), Tls::Clear(_)) => deciding.inbound_clear(),
            (Side::In(_) | Side::Claim(_), Tls::Up { certificate, .. }) => {
                deciding.encrypted().inbound(certificate)
            }
            (Side::Further(_), Tls::Clear(_)) => deciding.claim_in_the_clear(),
            (Side::Further(_), Tls::Up { certificate, .. }) => {
                deciding.encrypted().further(certificate)
            }
            (Side::Out(_), Tls::Clear(starttls)) => deciding.outbound_clear(starttls),
            (Side::Out(_), Tls::Up { certificate, .. }) => {
                deciding.encrypted().outbound(certificate)
            }
        },
        Err(verdict) => verdict,
    }
}

/// A decision under way.
struct Deciding<'a> {
    rules: &'a Rules,
    facts: &'a Facts,
    need: Need,
    trail: Vec<Finding>,
}

impl Deciding<'_> {
    fn note(mut self, rule: Rule, saw: Saw) -> Self {
        self.trail.push(Finding { rule, saw });
        self
    }

    fn end(self, step: NextStep, rule: Rule, saw: Saw) -> Verdict {
        let need = self.need;
        let trail = self.note(rule, saw).trail;
        Verdict {
            step,
            rule,
            need,
            trail,
        }
    }

    fn refuse(self, refusal: Refusal, saw: Saw) -> Verdict {
        self.end(refusal.step(), Rule::Refused(refusal), saw)
    }

    /// Row A1.
    fn permission(self) -> Result<Self, Verdict> {
        let whose = self.facts.whose;
        let domain = self.facts.side.domain();
        let permission = domain.map_or(Permission::Yes, |domain| self.rules.permitted(domain));
        let saw = Saw::Permission(permission);
        match (permission, whose) {
            (Permission::NotAllowed, _) => Err(self.refuse(Refusal::NotAllowed, saw)),
            (Permission::Refused, _) => Err(self.refuse(Refusal::Excluded, saw)),
            (Permission::Yes, Whose::Ours) => {
                Err(self.refuse(Refusal::OurDomain, Saw::Whose(whose)))
            }
            (Permission::Yes, Whose::Others) => Ok(self.note(Rule::Permitted, saw)),
        }
    }

    fn encrypted(self) -> Self {
        match self.facts.tls {
            Tls::Up {
                version, opening, ..
            } => self.note(Rule::Encrypted, Saw::Tls(version, opening)),
            Tls::Clear(_) | Tls::Failed => self,
        }
    }

    /// Rows I1 and I2.
    fn inbound_clear(self) -> Verdict {
        match (&self.facts.side, self.need) {
            (Side::Claim(_) | Side::Further(_) | Side::Out(_), _) => self.claim_in_the_clear(),
            (Side::In(_), Need::Certificate | Need::Tls) => {
                let saw = Saw::Own(self.facts.own);
                match self.facts.own {
                    // RFC 6120 §5.3.1: nothing beside it.
                    OwnCertificate::Present => {
                        let offer = Offer {
                            starttls: Some(Starttls::Required),
                            external: Method::Absent,
                            dialback: Method::Absent,
                        };
                        self.end(NextStep::Offer(offer), Rule::StarttlsAlone, saw)
                    }
                    OwnCertificate::Absent => self.refuse(Refusal::NoOwnCertificate, saw),
                }
            }
            (Side::In(_), Need::Nothing) => {
                let (own, encryption) = (self.facts.own, self.rules.encryption());
                let (starttls, saw) = match (encryption, own) {
                    (Encryption::Forbidden, _) => (None, Saw::Encryption(encryption)),
                    (_, OwnCertificate::Absent) => (None, Saw::Own(own)),
                    (Encryption::Optional | Encryption::Required, OwnCertificate::Present) => {
                        (Some(Starttls::Optional), Saw::Own(own))
                    }
                };
                // RFC 6120 §6.3.4: never EXTERNAL, for which there is no certificate yet.
                let offer = Offer {
                    starttls,
                    external: Method::Absent,
                    dialback: Method::Offered,
                };
                self.end(NextStep::Offer(offer), Rule::StarttlsBeside, saw)
            }
        }
    }

    /// Rows I1, I2, F2 and F3.
    fn claim_in_the_clear(self) -> Verdict {
        let saw = Saw::Encryption(self.rules.encryption());
        match self.need {
            Need::Certificate | Need::Tls => self.refuse(Refusal::Unencrypted, saw),
            Need::Nothing => self.end(NextStep::DialBack, Rule::DialBackInTheClear, saw),
        }
    }

    /// Rows I3 to I6.
    fn inbound(self, certificate: PeerCertificate) -> Verdict {
        let domain = self.facts.side.domain();
        let saw = Saw::Certificate(certificate);
        let offer = |external| {
            NextStep::Offer(Offer {
                starttls: None,
                external,
                dialback: Method::Offered,
            })
        };
        if domain.is_none() {
            return self.end(offer(Method::Absent), Rule::Unnamed, saw);
        }
        let is_claim = matches!(self.facts.side, Side::Claim(_));
        match (certificate.flaw(), self.need) {
            (None, _) => {
                let step = match is_claim {
                    true => NextStep::AcceptByCertificate,
                    // RFC 6120 §6.3.4: who has shown that it is who it says.
                    false => offer(Method::Offered),
                };
                self.end(step, Rule::CertificateProves, saw)
            }
            (Some(flaw), Need::Certificate) => self.refuse(Refusal::Certificate(flaw), saw),
            (Some(flaw), Need::Tls | Need::Nothing) => {
                let step = match is_claim {
                    true => NextStep::DialBack,
                    false => offer(Method::Absent),
                };
                self.note(Rule::BadCertificate(flaw), saw).end(
                    step,
                    Rule::CertificateNotNeeded,
                    saw,
                )
            }
        }
    }

    /// Rows F1 to F3: judged by its own need and name, whoever was proven on the stream before.
    fn further(self, certificate: PeerCertificate) -> Verdict {
        let saw = Saw::Certificate(certificate);
        match (certificate.flaw(), self.need) {
            (None, _) => self.end(NextStep::AcceptByCertificate, Rule::CertificateProves, saw),
            (Some(flaw), Need::Certificate) => self.refuse(Refusal::Certificate(flaw), saw),
            (Some(flaw), Need::Tls | Need::Nothing) => self
                .note(Rule::BadCertificate(flaw), saw)
                .end(NextStep::DialBack, Rule::CertificateNotNeeded, saw),
        }
    }

    /// Rows O1 to O4, and O7.
    fn outbound_clear(self, offered: StarttlsOffer) -> Verdict {
        let saw = Saw::Starttls(offered);
        let tried = self.facts.tried.starttls;
        match (offered, tried, self.rules.encryption()) {
            // Row O4: who cuts handshakes must not bring us to speak in the clear.
            (StarttlsOffer::Offered | StarttlsOffer::Required, Try::Failed, _) => {
                self.refuse(Refusal::StarttlsFailed, saw)
            }
            (
                StarttlsOffer::Offered | StarttlsOffer::Required,
                Try::Untried,
                Encryption::Optional | Encryption::Required,
            ) => self.end(NextStep::StartTls, Rule::StarttlsOffered, saw),
            (StarttlsOffer::Required, Try::Untried, Encryption::Forbidden) => {
                self.refuse(Refusal::StarttlsForbidden, saw)
            }
            (StarttlsOffer::Offered, Try::Untried, Encryption::Forbidden)
            | (StarttlsOffer::Absent, _, _) => match (self.need, tried) {
                (Need::Certificate | Need::Tls, Try::Untried) => {
                    self.end(NextStep::StartTls, Rule::StarttlsUnoffered, saw)
                }
                (Need::Certificate | Need::Tls, Try::Failed) => {
                    self.refuse(Refusal::StarttlsAbsent, saw)
                }
                (Need::Nothing, _) => self
                    .note(Rule::InTheClear, saw)
                    .dialback(Rule::DialbackInTheClear),
            },
        }
    }

    /// Rows O5 to O7.
    fn outbound(self, certificate: PeerCertificate) -> Verdict {
        let saw = Saw::Certificate(certificate);
        match (certificate.flaw(), self.need) {
            (None, _) => self.note(Rule::GoodCertificate, saw).external(),
            (Some(flaw), Need::Certificate) => self.refuse(Refusal::Certificate(flaw), saw),
            (Some(flaw), Need::Tls | Need::Nothing) => {
                self.note(Rule::BadCertificate(flaw), saw).external()
            }
        }
    }

    /// Row O6: XEP-0178 §3, and then dialback on the same stream.
    fn external(self) -> Verdict {
        let (facts, method) = (self.facts, self.facts.methods.external);
        let unfit = match (method, facts.own, facts.tried.external) {
            (Method::Absent, _, _) => Saw::Method(method),
            (Method::Offered, OwnCertificate::Absent, _) => Saw::Own(facts.own),
            (Method::Offered, OwnCertificate::Present, Try::Failed) => Saw::Try(Try::Failed),
            (Method::Offered, OwnCertificate::Present, Try::Untried) => {
                return self.end(NextStep::External, Rule::External, Saw::Method(method));
            }
        };
        self.note(Rule::ExternalUnfit, unfit)
            .dialback(Rule::Dialback)
    }

    /// Rows O3, O6 and O7.
    fn dialback(self, rule: Rule) -> Verdict {
        let (method, tried) = (self.facts.methods.dialback, self.facts.tried.dialback);
        match (method, tried) {
            (Method::Offered, Try::Untried) => {
                self.end(NextStep::Dialback, rule, Saw::Method(method))
            }
            (Method::Offered, Try::Failed) => self.refuse(Refusal::NoMethod, Saw::Try(tried)),
            (Method::Absent, _) => self.refuse(Refusal::NoMethod, Saw::Method(method)),
        }
    }
}
