//! Handshakes by DHE, with a host whose key is RSA.

use rcgen::KeyPair;
use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, NamedGroup};

use super::*;
use crate::tls::dhe::{Taken as With, group, suite};
use crate::tls::made::params;
use crate::tls::{Dhe, HostPolicy, Policy};

const HOST: &str = "a.example";

/// A server whose `dhparam` is this.
fn server(dhe: Dhe) -> Server {
    let keys = include_str!("../../keys/tests/taken.pem");
    let begin = "-----BEGIN PRIVATE KEY-----";
    // The fourth is RSA with 2048 bits.
    let key = keys.split(begin).nth(4).unwrap();
    let end = key.find("-----END").unwrap();
    let key = format!("{begin}{}-----END PRIVATE KEY-----\n", &key[..end]);
    let pair = KeyPair::from_pem(&key).unwrap();
    let certificate = params(&[HOST], 90).self_signed(&pair).unwrap().pem();

    let directory = Scratch::new();
    let path = |end: &str| directory.0.join(format!("{HOST}.{end}"));
    std::fs::write(path("crt"), certificate).unwrap();
    std::fs::write(path("key"), key).unwrap();
    let policy = Policy {
        dhe,
        ..Policy::default()
    };
    let mut policies = Policies::default();
    let host = HostPolicy {
        starttls: policy.clone(),
        direct: policy,
    };
    policies.insert(domain(HOST), host);
    let hosts = Arc::new(TlsHosts::load(&directory.0, &[domain(HOST)], &policies).tls);
    Server { directory, hosts }
}

/// What a client with these suites of TLS 1.2 and groups agrees on, or why not.
fn agree(
    server: &Server,
    versions: &[&'static SupportedProtocolVersion],
    suites: &[CipherSuite],
    groups: &[NamedGroup],
) -> Result<(CipherSuite, NamedGroup), String> {
    let library = rustls::crypto::ring::default_provider();
    let known = |name: &CipherSuite| {
        let mut known = library.cipher_suites.iter().copied();
        known
            .find(|known| known.suite() == *name)
            .or_else(|| suite(*name))
    };
    let of = |name: &NamedGroup| {
        let mut known = library.kx_groups.iter().copied();
        known
            .find(|known| known.name() == *name)
            .or_else(|| group(*name, With::Always))
    };
    let provider = CryptoProvider {
        cipher_suites: suites.iter().filter_map(known).collect(),
        kx_groups: groups.iter().filter_map(of).collect(),
        ..library.clone()
    };
    let mut client = Client::new(server.client_config_with(provider, versions), HOST);
    let mut pump = server.starttls(HOST);
    for _ in 0..8 {
        let taken = give(&mut pump, &client.take(), usize::MAX);
        let taken = taken.map_err(|(error, _)| error.to_string())?;
        client.give(&taken.out).unwrap();
        if taken.secured.is_some() {
            assert!(!client.0.is_handshaking());
            let suite = client.0.negotiated_cipher_suite().unwrap().suite();
            let group = client.0.negotiated_key_exchange_group().unwrap();
            return Ok((suite, group.name()));
        }
    }
    panic!("the handshake does not end");
}

const DHE: [CipherSuite; 3] = [
    CipherSuite::TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_DHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_DHE_RSA_WITH_AES_128_GCM_SHA256,
];
const ECDHE: CipherSuite = CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384;
const AES: CipherSuite = CipherSuite::TLS13_AES_128_GCM_SHA256;

#[test]
fn who_has_nothing_else_agrees_by_dhe_with_every_suite_and_in_every_group() {
    for field in [
        NamedGroup::FFDHE2048,
        NamedGroup::FFDHE3072,
        NamedGroup::FFDHE4096,
        NamedGroup::FFDHE6144,
        NamedGroup::FFDHE8192,
    ] {
        let server = server(Dhe::In(field));
        assert_eq!(agree(&server, TLS13, &[AES], &[field]), Ok((AES, field)));
        for suite in DHE {
            let agreed = agree(&server, TLS12, &[suite], &[field]);
            assert_eq!(agreed, Ok((suite, field)));
        }
    }
}

#[test]
fn without_dhparam_there_is_none() {
    let server = server(Dhe::Off);
    let field = NamedGroup::FFDHE2048;
    for (versions, suites) in [(TLS12, &DHE[..]), (TLS13, &[AES])] {
        let refused = agree(&server, versions, suites, &[field]).unwrap_err();
        assert!(refused.contains("peer is incompatible"), "{refused}");
    }
}

#[test]
fn an_elliptic_curve_goes_before_dhe_whatever_the_client_prefers() {
    let server = server(Dhe::In(NamedGroup::FFDHE2048));
    let groups = [NamedGroup::FFDHE2048, NamedGroup::X25519];
    let agreed = agree(&server, TLS13, &[AES], &groups);
    assert_eq!(agreed, Ok((AES, NamedGroup::X25519)));
    let suites = [DHE[0], DHE[1], ECDHE];
    let agreed = agree(&server, TLS12, &suites, &groups);
    assert_eq!(agreed, Ok((ECDHE, NamedGroup::X25519)));
    // A client with curves and no suite for them.
    let agreed = agree(&server, TLS12, &DHE, &groups);
    assert_eq!(agreed, Ok((DHE[0], NamedGroup::FFDHE2048)));
}

/// RFC 7919 §4: a client that names groups gets none that it did not name.
#[test]
fn a_group_that_the_client_does_not_have_is_not_used() {
    let server = server(Dhe::In(NamedGroup::FFDHE3072));
    for (versions, suites) in [(TLS12, &DHE[..]), (TLS13, &[AES])] {
        let refused = agree(&server, versions, suites, &[NamedGroup::FFDHE2048]).unwrap_err();
        assert!(refused.contains("peer is incompatible"), "{refused}");
    }
}
