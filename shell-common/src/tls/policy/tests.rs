use super::*;
use crate::tls::audit::Severity;
use crate::tls::names::{group, suite_of_12, suite_of_13};

fn chosen(names: &[&str]) -> Suites {
    Suites::Chosen(
        names
            .iter()
            .map(|name| suite_of_12(name).unwrap())
            .collect(),
    )
}

#[test]
fn the_default_has_both_versions_and_everything_that_is_good_today() {
    let text = Policy::default().describe();
    let suites = "TLS 1.2 and 1.3 with TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, \
                  ECDHE-ECDSA-AES128-GCM-SHA256, ECDHE-ECDSA-AES256-GCM-SHA384, ECDHE-ECDSA-CHACHA20-POLY1305, \
                  ECDHE-RSA-AES128-GCM-SHA256, ECDHE-RSA-AES256-GCM-SHA384, ECDHE-RSA-CHACHA20-POLY1305; ";
    assert!(text.starts_with(suites), "{text}");
    assert!(text.ends_with("X25519, P-256, P-384"), "{text}");
}

/// The library has all that we name: what it did not know would be left out in silence.
#[test]
fn the_library_knows_every_suite_and_group() {
    let policy = Policy {
        dhe: Dhe::In(NamedGroup::FFDHE2048),
        ..Policy::default()
    };
    let provider = provider(&policy, First::Aes128, Taken::Always);
    assert_eq!(
        provider.cipher_suites.len(),
        names::TLS12.len() + names::TLS13.len()
    );
    assert_eq!(provider.kx_groups.len(), names::groups().count() + 1);
    let library = library::default_provider();
    for suite in library.cipher_suites {
        let known = names::TLS12.iter().chain(names::TLS13);
        assert!(
            known.clone().any(|known| known.suite == suite.suite()),
            "{suite:?}"
        );
    }
}

#[test]
fn suites_are_known_by_both_their_names() {
    for name in [
        "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ecdhe-rsa-aes128-gcm-sha256",
    ] {
        let suite = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
        assert_eq!(suite_of_12(name), Ok(suite));
    }
    assert_eq!(
        suite_of_13("TLS_AES_256_GCM_SHA384"),
        Ok(CipherSuite::TLS13_AES_256_GCM_SHA384)
    );
    for name in ["prime256v1", "secp256r1", "P-256"] {
        assert_eq!(group(name), Ok(NamedGroup::secp256r1));
    }
}

#[test]
fn names_of_what_is_not_there_are_told_with_what_is() {
    for (said, words) in [
        (
            suite_of_12("DHE-RSA-AES128-SHA256").map(drop),
            "all have forward secrecy",
        ),
        (suite_of_12("HIGH").map(drop), "pattern of OpenSSL's"),
        (
            suite_of_12("!aNULL").map(drop),
            "one by one; there are ECDHE-ECDSA-AES128",
        ),
        (
            suite_of_12("AES128-SHA").map(drop),
            "all have forward secrecy",
        ),
        (
            suite_of_12("TLS_AES_128_GCM_SHA256").map(drop),
            "name it in `ciphersuites`",
        ),
        (
            suite_of_13("ECDHE-RSA-AES128-GCM-SHA256").map(drop),
            "name it in `ciphers`",
        ),
        (
            suite_of_13("TLS_AES_128_CCM_SHA256").map(drop),
            "there are TLS_AES_128_GCM",
        ),
        (group("P-521").map(drop), "no client needs it"),
        (
            group("secp521r1").map(drop),
            "there are X25519, P-256, P-384",
        ),
        (group("ffdhe2048").map(drop), "name it in `dhparam`"),
        (group("X448").map(drop), "is not offered; there are"),
    ] {
        let why = said.unwrap_err();
        if cfg!(not(feature = "aws-lc-rs")) || !words.contains("there are X25519") {
            assert!(why.contains(words), "{why}");
        }
    }
}

#[cfg(not(feature = "aws-lc-rs"))]
#[test]
fn a_group_that_this_server_was_built_without_is_named_as_such() {
    let why = group("X25519MLKEM768").unwrap_err();
    assert!(why.contains("built with the feature aws-lc-rs"), "{why}");
}

#[cfg(feature = "aws-lc-rs")]
#[test]
fn the_group_against_quantum_computers_comes_first() {
    let policy = Policy::default();
    assert_eq!(policy.groups[0], NamedGroup::X25519MLKEM768);
    let alone = Policy {
        groups: vec![NamedGroup::X25519MLKEM768],
        ..policy
    };
    assert!(lacks_group_for_12(&alone));
}

#[test]
fn an_order_that_was_given_counts_for_everybody_and_only_for_its_version() {
    let policy = Policy {
        tls12: chosen(&["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"]),
        ..Policy::default()
    };
    let terms = Terms::of(&policy);
    assert_eq!(terms.order, Order::Server);
    let names = |provider: &CryptoProvider| -> Vec<CipherSuite> {
        let suites = provider.cipher_suites.iter();
        suites.map(SupportedCipherSuite::suite).collect()
    };
    let given = [
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ];
    let (client, server) = (names(&terms.client), names(&terms.server));
    assert_eq!((&client[3..], &server[3..]), (&given[..], &given[..]));
    assert_eq!(client[0], CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
    assert_eq!(server[0], CipherSuite::TLS13_AES_128_GCM_SHA256);
    assert_eq!(Terms::of(&Policy::default()).order, Order::Client);
}

#[test]
fn dhe_is_for_clients_without_a_curve_and_comes_last_in_any_order() {
    let default = Terms::of(&Policy::default());
    assert!(default.dear.is_none() && !Policy::default().describe().contains(" DHE-"));
    let policy = Policy {
        tls12: chosen(&["DHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"]),
        dhe: Dhe::In(NamedGroup::FFDHE4096),
        ..Policy::default()
    };
    let terms = Terms::of(&policy);
    for provider in [&terms.client, &terms.server] {
        let is_field =
            |group: &&dyn rustls::crypto::SupportedKxGroup| group.ffdhe_group().is_some();
        assert!(!provider.kx_groups.iter().any(is_field));
        assert_eq!(provider.cipher_suites.len(), 4);
    }
    let dear = terms.dear.unwrap();
    for (provider, taken_with_13) in dear.iter().zip([false, true]) {
        let suites: Vec<_> = provider.cipher_suites[3..]
            .iter()
            .map(SupportedCipherSuite::suite)
            .collect();
        let expected = [
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            CipherSuite::TLS_DHE_RSA_WITH_AES_256_GCM_SHA384,
        ];
        assert_eq!(suites, expected);
        let last = provider.kx_groups.last().unwrap();
        assert_eq!(last.name(), NamedGroup::FFDHE4096);
        assert_eq!(
            last.usable_for_version(rustls::ProtocolVersion::TLSv1_3),
            taken_with_13
        );
    }
    let text = policy.describe();
    assert!(
        text.ends_with("P-384, or in ffdhe4096 with who has none of these"),
        "{text}"
    );
}

#[test]
fn dhparam_without_an_rsa_key_is_told() {
    let policy = Policy {
        dhe: Dhe::In(NamedGroup::FFDHE2048),
        ..Policy::default()
    };
    let host = HostPolicy {
        starttls: policy.clone(),
        direct: policy,
        ..HostPolicy::default()
    };
    let remark = host.remark(Signature::Ecdsa).unwrap();
    assert_eq!(remark.severity, Severity::Warning);
    assert!(remark.text.contains("want an RSA key"), "{remark:?}");
    assert_eq!(host.remark(Signature::Rsa), None);
}

#[test]
fn hosts_of_one_policy_share_what_it_comes_to() {
    let terms = TermsOf::default();
    let (one, other) = (terms.get(&Policy::default()), terms.get(&Policy::default()));
    assert!(Arc::ptr_eq(&one.server, &other.server));
}

#[test]
fn suites_that_go_with_no_key_of_the_host_are_told() {
    let policy = |versions| HostPolicy {
        starttls: Policy {
            versions,
            tls12: chosen(&["ECDHE-RSA-AES256-GCM-SHA384"]),
            ..Policy::default()
        },
        direct: Policy::default(),
        ..HostPolicy::default()
    };
    let remark = policy(Versions::From12).remark(Signature::Ecdsa).unwrap();
    assert_eq!(remark.severity, Severity::Warning);
    assert!(remark.text.contains("add a suite with ECDSA"), "{remark:?}");
    let remark = policy(Versions::Only12).remark(Signature::Ecdsa).unwrap();
    assert_eq!(remark.severity, Severity::Fault);
    assert_eq!(policy(Versions::From12).remark(Signature::Rsa), None);
    assert_eq!(policy(Versions::Only13).remark(Signature::Ecdsa), None);
}
