//! That more caution is never less.

use proptest::prelude::*;

use super::every::{OPTIONS, World, options};
use super::*;

/// All by which somebody may come to speak for a domain after this verdict.
fn grants(verdict: &Verdict) -> Vec<&'static str> {
    let mut grants = Vec::new();
    match verdict.step {
        NextStep::StartTls | NextStep::Refuse { .. } => {}
        NextStep::Offer(offer) => {
            if offer.external == Method::Offered {
                grants.push("offers EXTERNAL");
            }
            if offer.dialback == Method::Offered {
                grants.push("offers dialback");
            }
        }
        NextStep::External => grants.push("external"),
        NextStep::Dialback => grants.push("dialback"),
        NextStep::AcceptByCertificate => grants.push("certificate"),
        NextStep::DialBack => grants.push("dial back"),
    }
    grants
}

/// Whether nothing is possible by the one that is not by the other.
fn is_as_strict(strict: &PolicyOptions, lax: &PolicyOptions, facts: &Facts) -> bool {
    let (Ok(strict), Ok(lax)) = (Rules::new(strict.clone()), Rules::new(lax.clone())) else {
        // What contradicts itself lets nobody in.
        return true;
    };
    let (strict, lax) = (decide(&strict, facts), decide(&lax, facts));
    let had = grants(&lax);
    strict.need >= lax.need && grants(&strict).iter().all(|grant| had.contains(grant))
}

/// Domains beside the one that it is about: lists of one say nothing of another.
fn others() -> impl Strategy<Value = BTreeSet<Domain>> {
    let names = ["a.example", "x.theirs.example", "example", THEIRS];
    proptest::collection::btree_set(proptest::sample::select(names.to_vec()), 0..4)
        .prop_map(|names| names.into_iter().map(domain).collect())
}

fn cases() -> impl Strategy<Value = (PolicyOptions, Facts)> {
    let world = World::new();
    let facts = (0..world.len()).prop_map(move |number| world.facts(number));
    (0..OPTIONS, others(), others(), facts).prop_map(|(number, secure, insecure, facts)| {
        let mut options = options(number);
        options.secure_domains.extend(secure);
        options.insecure_domains.extend(insecure);
        (options, facts)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_domain_more_among_the_secure_is_never_laxer(
        (options, facts) in cases(),
        added in others(),
    ) {
        let mut strict = options.clone();
        strict.secure_domains.extend(added);
        prop_assert!(is_as_strict(&strict, &options, &facts));
    }

    #[test]
    fn a_domain_more_among_the_insecure_is_never_stricter(
        (options, facts) in cases(),
        added in others(),
    ) {
        let mut lax = options.clone();
        lax.insecure_domains.extend(added);
        prop_assert!(is_as_strict(&options, &lax, &facts));
    }

    #[test]
    fn a_domain_more_among_the_refused_is_never_laxer(
        (options, facts) in cases(),
        added in others(),
    ) {
        let mut strict = options.clone();
        strict.refused.extend(added.clone());
        prop_assert!(is_as_strict(&strict, &options, &facts));
        let mut fewer = options.clone();
        fewer.allowed = Allowed::Only(added);
        let everybody = PolicyOptions { allowed: Allowed::All, ..options };
        prop_assert!(is_as_strict(&fewer, &everybody, &facts));
    }

    #[test]
    fn to_require_encryption_is_never_laxer((options, facts) in cases()) {
        let with = |require_encryption| PolicyOptions { require_encryption, ..options.clone() };
        let (strict, lax) = (with(RequireEncryption::Yes), with(RequireEncryption::No));
        prop_assert!(is_as_strict(&strict, &lax, &facts));
    }

    #[test]
    fn to_want_certificates_of_all_is_laxer_only_for_who_is_in_both_lists((options, facts) in cases()) {
        let with = |secure_auth| PolicyOptions { secure_auth, ..options.clone() };
        let (strict, lax) = (with(SecureAuth::Yes), with(SecureAuth::No));
        let in_both = facts.side.domain().is_some_and(|domain| {
            options.secure_domains.contains(domain) && options.insecure_domains.contains(domain)
        });
        prop_assert!(in_both || is_as_strict(&strict, &lax, &facts));
    }
}
