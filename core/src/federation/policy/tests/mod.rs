//! One line for each row of the table, and what holds of all.

mod every;
mod properties;
mod table;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use self::table::{needs, table};
use super::*;
use crate::federation::{
    AllowEncryption, Allowed, Contradiction, Flaw, Listed, Methods, NameMatch, PolicyOptions,
    RequireEncryption, SecureAuth, Tried,
};
use crate::federation::{Chain, Opening, TlsVersion};
use crate::jid::Domain;
use crate::time::UnixTime;

const THEIRS: &str = "theirs.example";

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn domains(names: &[&str]) -> BTreeSet<Domain> {
    names.iter().map(|name| domain(name)).collect()
}

/// Encryption where it can be, and nothing else.
fn lax() -> PolicyOptions {
    PolicyOptions {
        allow_encryption: AllowEncryption::Yes,
        require_encryption: RequireEncryption::No,
        secure_auth: SecureAuth::No,
        secure_domains: BTreeSet::new(),
        insecure_domains: BTreeSet::new(),
        allowed: Allowed::All,
        refused: BTreeSet::new(),
    }
}

/// Rules under which this is needed.
fn needing(need: Need) -> Rules {
    let mut options = lax();
    match need {
        Need::Nothing => {}
        Need::Tls => options.require_encryption = RequireEncryption::Yes,
        Need::Certificate => options.secure_auth = SecureAuth::Yes,
    }
    Rules::new(options).unwrap()
}

fn without_encryption() -> Rules {
    let options = PolicyOptions {
        allow_encryption: AllowEncryption::No,
        ..lax()
    };
    Rules::new(options).unwrap()
}

/// Both methods offered, nothing tried, a certificate of ours.
fn facts(side: Side, tls: Tls) -> Facts {
    Facts {
        ours: domain("ours.example"),
        own: OwnCertificate::Present,
        side,
        whose: Whose::Others,
        tls,
        methods: Methods {
            external: Method::Offered,
            dialback: Method::Offered,
        },
        tried: Tried {
            starttls: Try::Untried,
            external: Try::Untried,
            dialback: Try::Untried,
        },
    }
}

const CLEAR: Tls = Tls::Clear(StarttlsOffer::Absent);
const CAN: Tls = Tls::Clear(StarttlsOffer::Offered);
const MUST: Tls = Tls::Clear(StarttlsOffer::Required);
const VALID: Chain = Chain::Valid {
    until: UnixTime(1_900_000_000_000),
};

const fn up(certificate: PeerCertificate) -> Tls {
    Tls::Up {
        version: TlsVersion::V1_3,
        opening: Opening::Clear,
        certificate,
    }
}

const fn shown(chain: Chain, names: NameMatch) -> PeerCertificate {
    PeerCertificate::Shown { chain, names }
}

const GOOD: PeerCertificate = shown(VALID, NameMatch::Dns);
const OTHER: PeerCertificate = shown(VALID, NameMatch::Mismatch);
const SELF_SIGNED: PeerCertificate = shown(Chain::SelfSigned, NameMatch::Dns);

const fn offer(starttls: Option<Starttls>, external: Method, dialback: Method) -> NextStep {
    NextStep::Offer(Offer {
        starttls,
        external,
        dialback,
    })
}

const fn refuse(condition: Condition) -> NextStep {
    NextStep::Refuse {
        condition: Some(condition),
        lasting: Lasting::ForGood,
    }
}

const AGAIN: NextStep = NextStep::Refuse {
    condition: None,
    lasting: Lasting::ForNow,
};

#[test]
fn each_row_of_the_table_comes_out() {
    for (row, need, facts, step, rule) in table() {
        let verdict = decide(&needing(need), &facts);
        assert_eq!(
            (verdict.step, verdict.rule),
            (step, rule),
            "{row} {facts:?}"
        );
        assert_eq!(verdict.need, need, "{row}");
        assert_eq!(every::row(&facts, &verdict), row, "{facts:?}");
    }
    let rows: BTreeSet<_> = table().iter().map(|(row, ..)| *row).collect();
    assert_eq!(rows, every::ROWS.into_iter().collect());
}

#[test]
fn who_may_not_be_talked_to_is_refused_whatever_it_shows() {
    let refusals = [
        (
            PolicyOptions {
                refused: domains(&[THEIRS]),
                ..lax()
            },
            Refusal::Excluded,
        ),
        (
            PolicyOptions {
                allowed: Allowed::Only(domains(&["other.example"])),
                ..lax()
            },
            Refusal::NotAllowed,
        ),
        (
            // Who stands in both lists is refused.
            PolicyOptions {
                allowed: Allowed::Only(domains(&[THEIRS])),
                refused: domains(&[THEIRS]),
                ..lax()
            },
            Refusal::Excluded,
        ),
    ];
    for (options, refusal) in refusals {
        let rules = Rules::new(options).unwrap();
        for side in [
            Side::In(Some(domain(THEIRS))),
            Side::Claim(domain(THEIRS)),
            Side::Further(domain(THEIRS)),
            Side::Out(domain(THEIRS)),
        ] {
            let verdict = decide(&rules, &facts(side, up(GOOD)));
            assert_eq!(verdict.step, refuse(Condition::PolicyViolation));
            assert_eq!(verdict.rule, Rule::Refused(refusal));
        }
        // Names below are others.
        let below = domain(&["x.", THEIRS].concat());
        let verdict = decide(&rules, &facts(Side::Out(below), up(GOOD)));
        let may = matches!(rules.permitted(&domain("x")), Permission::Yes);
        assert_eq!(verdict.step == NextStep::External, may, "{verdict:?}");
    }
}

#[test]
fn without_encryption_none_is_begun_or_offered() {
    let rules = without_encryption();
    let of = |side, tls| {
        let verdict = decide(&rules, &facts(side, tls));
        (verdict.step, verdict.rule)
    };
    let out = || Side::Out(domain(THEIRS));
    let forbidden = Rule::Refused(Refusal::StarttlsForbidden);
    let dialback = (NextStep::Dialback, Rule::DialbackInTheClear);
    assert_eq!(of(out(), CAN), dialback);
    assert_eq!(of(out(), CLEAR), dialback);
    let refused = (refuse(Condition::PolicyViolation), forbidden);
    assert_eq!(of(out(), MUST), refused);
    let offered = offer(None, Method::Absent, Method::Offered);
    let beside = (offered, Rule::StarttlsBeside);
    assert_eq!(of(Side::In(None), CLEAR), beside);
    assert_eq!(of(Side::In(Some(domain(THEIRS))), CLEAR), beside);
}

#[test]
fn what_is_needed_follows_from_options_and_lists() {
    let lists = |listed| {
        let (secure, insecure) = match listed {
            Listed::Neither => (false, false),
            Listed::Secure => (true, false),
            Listed::Insecure => (false, true),
            Listed::Both => (true, true),
        };
        let list = |is_in: bool| is_in.then(|| domain(THEIRS)).into_iter().collect();
        (list(secure), list(insecure))
    };
    for (secure_auth, require_encryption, listed, need, rule) in needs() {
        let (secure_domains, insecure_domains) = lists(listed);
        let rules = Rules::new(PolicyOptions {
            require_encryption,
            secure_auth,
            secure_domains,
            insecure_domains,
            ..lax()
        });
        let rules = rules.unwrap();
        let saw = Saw::Listed(listed);
        let found = rules.need(Some(&domain(THEIRS)));
        assert_eq!(found, (need, Finding { rule, saw }));
        // As prepared, and no name below.
        assert_eq!(rules.need(Some(&domain("THEIRS.example."))).0, need);
        let below = rules.need(Some(&domain("x.theirs.example"))).0;
        assert_eq!(below, rules.need(None).0);
    }
}

#[test]
fn encryption_that_is_forbidden_and_needed_is_a_contradiction() {
    let forbidden = PolicyOptions {
        allow_encryption: AllowEncryption::No,
        ..lax()
    };
    let domain = domain(THEIRS);
    for (options, contradiction, words) in [
        (
            PolicyOptions {
                require_encryption: RequireEncryption::Yes,
                ..forbidden.clone()
            },
            Contradiction::Required,
            "`s2s_require_encryption`",
        ),
        (
            PolicyOptions {
                secure_auth: SecureAuth::Yes,
                ..forbidden.clone()
            },
            Contradiction::SecureAuth,
            "`s2s_secure_auth`",
        ),
        (
            PolicyOptions {
                secure_domains: domains(&[THEIRS]),
                ..forbidden.clone()
            },
            Contradiction::SecureDomain(domain),
            "certificate of theirs.example",
        ),
    ] {
        let error = Rules::new(options).unwrap_err();
        assert_eq!(error, contradiction);
        let text = alloc::format!("{error}");
        assert!(text.contains("`s2s_allow_encryption = false`"), "{text}");
        assert!(
            text.contains(words) && text.contains(error.option()),
            "{text}"
        );
    }
    let insecure = PolicyOptions {
        insecure_domains: domains(&[THEIRS]),
        ..forbidden
    };
    assert!(Rules::new(insecure).is_ok());
}

#[test]
fn a_trail_says_all_that_was_looked_at_in_order() {
    let mut seen = facts(Side::Out(domain(THEIRS)), up(SELF_SIGNED));
    seen.tried.external = Try::Failed;
    let verdict = decide(&needing(Need::Tls), &seen);
    let words = verdict.trail.iter().map(|finding| {
        let Finding { rule, saw } = finding;
        alloc::format!("{}: {saw}", rule.log())
    });
    assert_eq!(
        words.collect::<Vec<_>>(),
        [
            "encryption is needed (`s2s_require_encryption`): in neither list",
            "the domain may be talked to: permitted",
            "the stream is encrypted: TLS 1.3 by STARTTLS",
            "the certificate has signed itself: signed by itself, names the domain by dNSName",
            "EXTERNAL is not possible: tried, and failed",
            "who we are is proven by dialback: offered",
        ]
    );
}

#[test]
fn a_stream_that_only_asks_about_a_key_needs_no_proof_of_ours() {
    let of = |need, facts: &Facts| decide(&needing(need), facts).may_verify();
    let out = |tls| facts(Side::Out(domain(THEIRS)), tls);
    let mut nothing = out(up(GOOD));
    nothing.methods.external = Method::Absent;
    nothing.methods.dialback = Method::Absent;
    assert!(of(Need::Certificate, &nothing));
    assert!(of(Need::Certificate, &out(up(GOOD))));
    assert!(of(Need::Tls, &out(up(OTHER))));
    assert!(of(Need::Nothing, &out(CLEAR)));
    assert!(!of(Need::Nothing, &out(CAN)));
    assert!(!of(Need::Nothing, &out(Tls::Failed)));
    assert!(!of(Need::Tls, &out(CLEAR)));
    assert!(!of(Need::Certificate, &out(up(OTHER))));
}
