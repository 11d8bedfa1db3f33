//! The table, one line a case.

use super::*;

/// A row, the need, who speaks in which circumstances, and what is done by which rule.
pub(super) type Line = (&'static str, Need, Facts, NextStep, Rule);

#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn table() -> Vec<Line> {
    use Condition::{NotAuthorized, PolicyViolation, UnsupportedFeature};
    use Method::{Absent, Offered};
    use Need::{Certificate, Nothing, Tls as Encryption};
    let named = || Side::In(Some(domain(THEIRS)));
    let nameless = || Side::In(None);
    let claim = || Side::Claim(domain(THEIRS));
    let further = || Side::Further(domain(THEIRS));
    let out = || Side::Out(domain(THEIRS));
    let refused = Rule::Refused;
    let certificate = |flaw| Rule::Refused(Refusal::Certificate(flaw));
    let alone = offer(Some(Starttls::Required), Absent, Absent);
    let beside = offer(Some(Starttls::Optional), Absent, Offered);
    let dialback = offer(None, Absent, Offered);
    let no_own = |side, tls| Facts {
        own: OwnCertificate::Absent,
        ..facts(side, tls)
    };
    let local = |side, tls| Facts {
        whose: Whose::Ours,
        ..facts(side, tls)
    };
    let with = |side, tls, external, dialback| Facts {
        methods: Methods { external, dialback },
        ..facts(side, tls)
    };
    let tried = |tls, starttls, external, dialback| Facts {
        tried: Tried {
            starttls,
            external,
            dialback,
        },
        ..facts(out(), tls)
    };
    let (untried, failed) = (Try::Untried, Try::Failed);
    Vec::from([
        ("A1", Nothing, local(named(), up(GOOD)), refuse(PolicyViolation), refused(Refusal::OurDomain)),
        ("A1", Nothing, local(claim(), CLEAR), refuse(PolicyViolation), refused(Refusal::OurDomain)),
        ("A1", Certificate, local(further(), up(GOOD)), refuse(PolicyViolation), refused(Refusal::OurDomain)),
        ("A1", Certificate, local(out(), up(GOOD)), refuse(PolicyViolation), refused(Refusal::OurDomain)),
        ("I1", Certificate, facts(named(), CLEAR), alone, Rule::StarttlsAlone),
        ("I1", Encryption, facts(named(), CLEAR), alone, Rule::StarttlsAlone),
        ("I1", Encryption, facts(nameless(), CLEAR), alone, Rule::StarttlsAlone),
        ("I1", Encryption, facts(claim(), CLEAR), refuse(PolicyViolation), refused(Refusal::Unencrypted)),
        ("I1", Certificate, facts(claim(), CLEAR), refuse(PolicyViolation), refused(Refusal::Unencrypted)),
        ("I1", Encryption, no_own(named(), CLEAR), refuse(PolicyViolation), refused(Refusal::NoOwnCertificate)),
        ("I2", Nothing, facts(named(), CLEAR), beside, Rule::StarttlsBeside),
        ("I2", Nothing, facts(nameless(), CLEAR), beside, Rule::StarttlsBeside),
        ("I2", Nothing, no_own(named(), CLEAR), dialback, Rule::StarttlsBeside),
        ("I2", Nothing, facts(claim(), CLEAR), NextStep::DialBack, Rule::DialBackInTheClear),
        ("I3", Certificate, facts(nameless(), up(OTHER)), dialback, Rule::Unnamed),
        ("I3", Nothing, facts(nameless(), up(GOOD)), dialback, Rule::Unnamed),
        ("I4", Certificate, facts(named(), up(GOOD)), offer(None, Offered, Offered), Rule::CertificateProves),
        ("I4", Nothing, facts(named(), up(GOOD)), offer(None, Offered, Offered), Rule::CertificateProves),
        ("I4", Certificate, facts(claim(), up(GOOD)), NextStep::AcceptByCertificate, Rule::CertificateProves),
        ("I4", Encryption, facts(claim(), up(GOOD)), NextStep::AcceptByCertificate, Rule::CertificateProves),
        ("I5", Certificate, facts(named(), up(OTHER)), refuse(NotAuthorized), certificate(Flaw::OtherNames)),
        ("I5", Certificate, facts(named(), up(SELF_SIGNED)), refuse(NotAuthorized), certificate(Flaw::SelfSigned)),
        ("I5", Certificate, facts(named(), up(PeerCertificate::None)), refuse(NotAuthorized), certificate(Flaw::Missing)),
        ("I5", Certificate, facts(claim(), up(OTHER)), refuse(NotAuthorized), certificate(Flaw::OtherNames)),
        ("I6", Encryption, facts(named(), up(OTHER)), dialback, Rule::CertificateNotNeeded),
        ("I6", Nothing, facts(named(), up(PeerCertificate::None)), dialback, Rule::CertificateNotNeeded),
        ("I6", Encryption, facts(claim(), up(OTHER)), NextStep::DialBack, Rule::CertificateNotNeeded),
        ("F1", Certificate, facts(further(), up(GOOD)), NextStep::AcceptByCertificate, Rule::CertificateProves),
        ("F1", Nothing, facts(further(), up(GOOD)), NextStep::AcceptByCertificate, Rule::CertificateProves),
        ("F2", Certificate, facts(further(), up(OTHER)), refuse(NotAuthorized), certificate(Flaw::OtherNames)),
        ("F2", Certificate, facts(further(), CLEAR), refuse(PolicyViolation), refused(Refusal::Unencrypted)),
        ("F2", Encryption, facts(further(), CLEAR), refuse(PolicyViolation), refused(Refusal::Unencrypted)),
        ("F3", Encryption, facts(further(), up(OTHER)), NextStep::DialBack, Rule::CertificateNotNeeded),
        ("F3", Nothing, facts(further(), CLEAR), NextStep::DialBack, Rule::DialBackInTheClear),
        ("O1", Certificate, facts(out(), CAN), NextStep::StartTls, Rule::StarttlsOffered),
        ("O1", Nothing, facts(out(), CAN), NextStep::StartTls, Rule::StarttlsOffered),
        ("O1", Nothing, facts(out(), MUST), NextStep::StartTls, Rule::StarttlsOffered),
        ("O2", Encryption, facts(out(), CLEAR), NextStep::StartTls, Rule::StarttlsUnoffered),
        ("O2", Certificate, tried(CLEAR, failed, untried, untried), refuse(PolicyViolation), refused(Refusal::StarttlsAbsent)),
        ("O3", Nothing, facts(out(), CLEAR), NextStep::Dialback, Rule::DialbackInTheClear),
        ("O4", Nothing, facts(out(), Tls::Failed), AGAIN, refused(Refusal::TlsFailed)),
        ("O4", Nothing, facts(named(), Tls::Failed), AGAIN, refused(Refusal::TlsFailed)),
        ("O4", Nothing, tried(CAN, failed, untried, untried), AGAIN, refused(Refusal::StarttlsFailed)),
        ("O4", Certificate, tried(MUST, failed, untried, untried), AGAIN, refused(Refusal::StarttlsFailed)),
        ("O5", Certificate, facts(out(), up(SELF_SIGNED)), refuse(NotAuthorized), certificate(Flaw::SelfSigned)),
        ("O6", Certificate, facts(out(), up(GOOD)), NextStep::External, Rule::External),
        ("O6", Encryption, facts(out(), up(OTHER)), NextStep::External, Rule::External),
        ("O6", Certificate, no_own(out(), up(GOOD)), NextStep::Dialback, Rule::Dialback),
        ("O6", Encryption, with(out(), up(OTHER), Absent, Offered), NextStep::Dialback, Rule::Dialback),
        ("O6", Certificate, tried(up(GOOD), untried, failed, untried), NextStep::Dialback, Rule::Dialback),
        ("O7", Certificate, tried(up(GOOD), untried, failed, failed), refuse(UnsupportedFeature), refused(Refusal::NoMethod)),
        ("O7", Encryption, with(out(), up(OTHER), Absent, Absent), refuse(UnsupportedFeature), refused(Refusal::NoMethod)),
        ("O7", Nothing, with(out(), CLEAR, Offered, Absent), refuse(UnsupportedFeature), refused(Refusal::NoMethod)),
        ("O7", Nothing, tried(CLEAR, untried, untried, failed), refuse(UnsupportedFeature), refused(Refusal::NoMethod)),
    ])
}

/// `s2s_secure_auth`, `s2s_require_encryption`, the lists, and what is needed by which rule.
#[rustfmt::skip]
pub(super) fn needs() -> [(SecureAuth, RequireEncryption, Listed, Need, Rule); 11] {
    use SecureAuth::{No, Yes};
    let (must, may) = (RequireEncryption::Yes, RequireEncryption::No);
    [
        (Yes, may, Listed::Neither, Need::Certificate, Rule::SecureAuth),
        (Yes, may, Listed::Secure, Need::Certificate, Rule::SecureAuth),
        (Yes, may, Listed::Insecure, Need::Tls, Rule::InsecureDomain),
        (Yes, may, Listed::Both, Need::Tls, Rule::InsecureDomain),
        (No, may, Listed::Secure, Need::Certificate, Rule::SecureDomain),
        (No, may, Listed::Both, Need::Certificate, Rule::SecureDomain),
        (No, must, Listed::Secure, Need::Certificate, Rule::SecureDomain),
        (No, must, Listed::Neither, Need::Tls, Rule::RequireEncryption),
        (No, must, Listed::Insecure, Need::Tls, Rule::RequireEncryption),
        (No, may, Listed::Neither, Need::Nothing, Rule::NothingNeeded),
        (No, may, Listed::Insecure, Need::Nothing, Rule::NothingNeeded),
    ]
}
