use rustls::version::{TLS12, TLS13};

use super::*;

fn exchange(secret: &[u8], field: &'static Field) -> Exchange {
    Exchange {
        field,
        secret: Zeroizing::new(secret.to_vec()),
        public: field.power(field.group.g, secret).unwrap().to_vec(),
    }
}

fn padded(field: &Field, number: u8) -> Vec<u8> {
    let mut bytes = vec![0; field.bytes()];
    *bytes.last_mut().unwrap() = number;
    bytes
}

/// The prime, less so much.
fn below_prime(field: &Field, less: u8) -> Vec<u8> {
    let mut bytes = field.group.p.to_vec();
    *bytes.last_mut().unwrap() -= less;
    bytes
}

#[test]
fn there_are_the_groups_of_rfc_7919_and_no_others() {
    for (name, bits, least) in [
        (NamedGroup::FFDHE2048, 2048, 225),
        (NamedGroup::FFDHE3072, 3072, 275),
        (NamedGroup::FFDHE4096, 4096, 325),
        (NamedGroup::FFDHE6144, 6144, 375),
        (NamedGroup::FFDHE8192, 8192, 400),
    ] {
        for taken in [Taken::With12, Taken::Always] {
            let group = group(name, taken).unwrap();
            let parameters = group.ffdhe_group().unwrap();
            assert_eq!((parameters.p.len() * 8, parameters.g), (bits, &[2][..]));
            assert!(group.usable_for_version(ProtocolVersion::TLSv1_2));
            let is_always = group.usable_for_version(ProtocolVersion::TLSv1_3);
            assert_eq!(is_always, taken == Taken::Always);
        }
        let field = FIELDS.iter().find(|field| field.name == name).unwrap();
        assert!(field.exponent_bytes * 8 >= least);
    }
    assert!(group(NamedGroup::X25519, Taken::Always).is_none());
}

#[test]
fn both_sides_agree_in_every_group_and_never_use_a_key_again() {
    for named in &ALWAYS {
        let (one, other) = (named.begin().unwrap(), named.begin().unwrap());
        assert_ne!(one.public, other.public);
        assert_eq!(one.secret[0] & 0x80, 0x80);
        assert_eq!(one.public.len(), named.field.bytes());
        let (ours, theirs) = (one.public.clone(), other.public.clone());
        let one = Box::new(one).complete(&theirs).unwrap();
        let other = Box::new(other).complete(&ours).unwrap();
        assert_eq!(one.secret_bytes(), other.secret_bytes());
        assert_eq!(one.secret_bytes().len(), named.field.bytes());
    }
}

/// Powers that are known without computing: 2^3, and 2^bits modulo a prime that is 2^bits less something.
#[test]
fn powers_are_those_of_arithmetic() {
    for field in &FIELDS {
        assert_eq!(exchange(&[3], field).public, padded(field, 8));
        assert_eq!(exchange(&[0, 0, 7], field).public, padded(field, 128));
        let bits = u16::try_from(field.bytes() * 8).unwrap();
        let mut rest = vec![0; field.bytes()];
        let mut carry = 1;
        for (rest, prime) in rest.iter_mut().zip(field.group.p).rev() {
            let sum = u16::from(!prime) + carry;
            (*rest, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
        assert_eq!(exchange(&bits.to_be_bytes(), field).public, rest);
        // Fermat: to the power of p - 1, everything is 1.
        let all = below_prime(field, 1);
        assert_eq!(
            *field.power(&padded(field, 5), &all).unwrap(),
            padded(field, 1)
        );
    }
}

#[test]
fn a_share_out_of_range_is_refused() {
    for named in &ALWAYS {
        let field = named.field;
        let mut longer = vec![0];
        longer.extend(padded(field, 8));
        for share in [
            Vec::new(),
            padded(field, 0),
            padded(field, 1),
            below_prime(field, 1),
            below_prime(field, 0),
            vec![0xff; field.bytes()],
            longer,
        ] {
            for version in [&TLS12, &TLS13] {
                let exchange = Box::new(exchange(&[0x83, 1], field));
                let refused = exchange.complete_for_tls_version(&share, version);
                let why = refused.err().map(|error| error.to_string());
                assert!(why.is_some_and(|why| why.contains("InvalidKeyShare")));
            }
        }
        for share in [padded(field, 2), below_prime(field, 2)] {
            let exchange = Box::new(exchange(&[0x83, 1], field));
            exchange.complete_for_tls_version(&share, &TLS12).unwrap();
        }
    }
}

/// RFC 8446 §4.2.8.1; RFC 5246 §8.1.2 knows no padding.
#[test]
fn a_share_without_its_leading_zeros_does_for_tls_1_2_alone() {
    let field = &FIELDS[0];
    let complete = |version| {
        let exchange = Box::new(exchange(&[3], field));
        exchange.complete_for_tls_version(&[8], version)
    };
    let secret = complete(&TLS12).unwrap();
    // (2^3)^3.
    assert_eq!(secret.secret_bytes(), [2, 0]);
    assert!(complete(&TLS13).is_err());
}

#[test]
fn a_secret_with_leading_zeros_is_stripped_for_tls_1_2_and_padded_for_1_3() {
    let field = &FIELDS[1];
    let complete = |version| {
        let exchange = Box::new(exchange(&[2], field));
        exchange
            .complete_for_tls_version(&padded(field, 3), version)
            .unwrap()
    };
    assert_eq!(complete(&TLS12).secret_bytes(), [9]);
    assert_eq!(complete(&TLS13).secret_bytes(), padded(field, 9));
}

#[test]
fn the_suites_are_those_of_ecdhe_but_for_the_exchange() {
    for (name, counterpart) in COUNTERPARTS {
        let Some(SupportedCipherSuite::Tls12(suite)) = suite(name) else {
            panic!("no {name:?}");
        };
        assert_eq!(
            (suite.common.suite, suite.kx),
            (name, KeyExchangeAlgorithm::DHE)
        );
        let known = library::ALL_CIPHER_SUITES.iter();
        let like = known.copied().find(|known| known.suite() == counterpart);
        let Some(SupportedCipherSuite::Tls12(like)) = like else {
            panic!("no {counterpart:?}");
        };
        assert_eq!(suite.sign, like.sign);
        assert_eq!(
            suite.common.hash_provider.algorithm(),
            like.common.hash_provider.algorithm()
        );
    }
    assert!(suite(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256).is_none());
}
