use super::*;
use crate::tls::pem::blocks;

/// The private keys in a file of many.
fn keys(text: &str) -> Vec<Key> {
    let blocks = blocks(text.as_bytes()).unwrap();
    let key = |block: Block| Some(Key::new(Form::of(&block.label)?, block));
    blocks.into_iter().filter_map(key).collect()
}

#[test]
fn takes_the_kinds_that_it_says_it_takes() {
    let keys = keys(include_str!("tests/taken.pem"));
    let names = [
        "P-256",
        "P-384",
        "Ed25519",
        "RSA 2048",
        "RSA 3072",
        "RSA 4096",
        "P-256 in SEC1 form",
        "RSA in PKCS#1 form",
    ];
    assert_eq!(keys.len(), names.len());
    for (key, name) in keys.iter().zip(names) {
        assert!(key.signing().is_ok(), "{name}");
    }
}

#[test]
fn names_every_other_kind_and_what_to_do_instead() {
    const ANOTHER: &str = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256";
    const WRITE_ANEW: &str = "openssl ec -in FILE -conv_form uncompressed -param_enc named_curve";
    let expected = [
        ("on the curve P-521 (secp521r1) is not supported", ANOTHER),
        ("on the curve secp256k1 is not supported", ANOTHER),
        ("on the curve brainpoolP256r1 is not supported", ANOTHER),
        ("spells out the parameters of its curve", WRITE_ANEW),
        ("spells out the parameters of its curve", WRITE_ANEW),
        ("in compressed form", WRITE_ANEW),
        ("lacks its public half", WRITE_ANEW),
        ("RSA key of 1024 bits is not safe", ANOTHER),
        ("RSA key of 8192 bits is not supported", ANOTHER),
        ("public exponent below 65537", ANOTHER),
        ("more than two primes", ANOTHER),
        ("RSASSA-PSS alone", ANOTHER),
        ("kind Ed448", ANOTHER),
        ("X25519 key cannot sign", ANOTHER),
        ("a DSA key", ANOTHER),
        ("a DSA key", ANOTHER),
        ("passphrase", "openssl pkey -in FILE"),
        ("passphrase", "openssl pkey -in FILE"),
        ("for SSH, not for TLS", ANOTHER),
    ];
    let keys = keys(include_str!("tests/refused.pem"));
    assert_eq!(keys.len(), expected.len());
    for (key, (kind, remedy)) in keys.iter().zip(expected) {
        let advice = key.signing().unwrap_err();
        assert!(advice.contains(kind), "{kind}: {advice}");
        assert!(advice.contains(remedy), "{kind}: {advice}");
    }
}

#[test]
fn a_key_that_is_cut_short_is_damaged() {
    for mut key in keys(include_str!("tests/taken.pem")) {
        let half = key.der.len() / 2;
        key.der.truncate(half);
        let advice = key.signing().unwrap_err();
        assert!(advice.contains("damaged"), "{advice}");
        key.der.clear();
        assert!(key.signing().unwrap_err().contains("damaged"));
    }
    let unknown = Key {
        form: Form::Other("TSS2 PRIVATE KEY".to_owned()),
        line: 1,
        der: Zeroizing::new(vec![1]),
    };
    let advice = unknown.signing().unwrap_err();
    assert!(
        advice.contains("a TSS2 PRIVATE KEY is not supported"),
        "{advice}"
    );
}
