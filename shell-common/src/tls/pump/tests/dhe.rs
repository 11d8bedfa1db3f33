//! Handshakes by DHE, with a host whose key is RSA.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

use rcgen::KeyPair;
use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, NamedGroup};

use spondee_core::arena::Arena;
use spondee_core::port::ConnId;

use super::clients::{issue, showing};
use super::*;
use crate::handshakes::{Busy, Handshakes};
use crate::limits::HANDSHAKE_QUEUE;
use crate::mailbox::{Letter, Mailbox};
use crate::tls::dhe::{Taken as With, group, suite};
use crate::tls::made::{Authority, params};
use crate::tls::{ClientAuth, Dhe, HostPolicy, Policy};

const HOST: &str = "a.example";

/// A server whose `dhparam` is this.
fn server(dhe: Dhe) -> Server {
    asking(dhe, ClientAuth::Off)
}

/// The same that may ask clients for a certificate.
fn asking(dhe: Dhe, clients: ClientAuth) -> Server {
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
        clients,
        ..HostPolicy::default()
    };
    policies.insert(domain(HOST), host);
    let hosts = Arc::new(TlsHosts::load(&directory.0, &[domain(HOST)], &policies).tls);
    Server { directory, hosts }
}

/// Where the steps of a handshake are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Steps {
    Here,
    Elsewhere,
}

/// A client with these suites and groups.
fn client(
    server: &Server,
    versions: &[&'static SupportedProtocolVersion],
    suites: &[CipherSuite],
    groups: &[NamedGroup],
) -> Client {
    Client::new(config(server, versions, suites, groups), HOST)
}

fn config(
    server: &Server,
    versions: &[&'static SupportedProtocolVersion],
    suites: &[CipherSuite],
    groups: &[NamedGroup],
) -> ClientConfig {
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
    server.client_config_with(provider, versions)
}

/// What a client with these suites of TLS 1.2 and groups agrees on, or why not.
fn agree(
    server: &Server,
    versions: &[&'static SupportedProtocolVersion],
    suites: &[CipherSuite],
    groups: &[NamedGroup],
    steps: Steps,
) -> Result<(CipherSuite, NamedGroup), String> {
    let mut client = client(server, versions, suites, groups);
    let mut pump = server.starttls(HOST);
    for _ in 0..8 {
        let taken = give(&mut pump, &client.take(), usize::MAX);
        let mut taken = taken.map_err(|(error, _)| error.to_string())?;
        let step = pump.take_step();
        assert_eq!(step.is_some(), steps == Steps::Elsewhere);
        if let Some(step) = step {
            assert!(taken.out.is_empty() && pump.is_away() && pump.has_begun());
            let result = std::thread::spawn(|| step.take()).join().unwrap();
            let resumed = pump.resume(result, &mut taken.plain, &mut taken.out);
            taken.secured = resumed.map_err(|error| error.to_string())?.secured;
        }
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
fn who_agrees_by_dhe_may_show_a_certificate_as_well() {
    let authority = Authority::root("clients");
    let place = Scratch::new();
    let file = place.0.join("clients");
    std::fs::write(&file, &authority.certificate).unwrap();
    let server = asking(Dhe::In(NamedGroup::FFDHE2048), ClientAuth::File(file));
    let juliet = issue(&authority, "juliet@a.example");
    for (versions, suite) in [(TLS12, DHE[0]), (TLS13, AES)] {
        let mut config = config(&server, versions, &[suite], &[NamedGroup::FFDHE2048]);
        config.client_auth_cert_resolver = showing(&juliet, &juliet);
        let mut client = Client::new(config, HOST);
        let mut pump = server.starttls(HOST);
        let secured = (0..8).find_map(|_| {
            let mut taken = give(&mut pump, &client.take(), usize::MAX).unwrap();
            let step = pump.take_step().unwrap().take();
            let resumed = pump.resume(step, &mut taken.plain, &mut taken.out);
            client.give(&taken.out).unwrap();
            resumed.unwrap().secured
        });
        let names = secured.unwrap().client.map(|client| client.names);
        let juliet = BareJid::parse("juliet@a.example").unwrap();
        assert_eq!(names, Some(vec![juliet]), "{suite:?}");
    }
}

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
        let agreed = agree(&server, TLS13, &[AES], &[field], Steps::Elsewhere);
        assert_eq!(agreed, Ok((AES, field)));
        for suite in DHE {
            let agreed = agree(&server, TLS12, &[suite], &[field], Steps::Elsewhere);
            assert_eq!(agreed, Ok((suite, field)));
        }
    }
}

#[test]
fn without_dhparam_there_is_none() {
    let server = server(Dhe::Off);
    let field = NamedGroup::FFDHE2048;
    for (versions, suites) in [(TLS12, &DHE[..]), (TLS13, &[AES])] {
        let refused = agree(&server, versions, suites, &[field], Steps::Here).unwrap_err();
        assert!(refused.contains("peer is incompatible"), "{refused}");
    }
}

/// And is served where everybody is, as if there were no DHE.
#[test]
fn who_has_a_curve_gets_it_whatever_is_preferred() {
    let server = server(Dhe::In(NamedGroup::FFDHE2048));
    let groups = [NamedGroup::FFDHE2048, NamedGroup::X25519];
    let agreed = agree(&server, TLS13, &[AES], &groups, Steps::Here);
    assert_eq!(agreed, Ok((AES, NamedGroup::X25519)));
    let suites = [DHE[0], DHE[1], ECDHE];
    let agreed = agree(&server, TLS12, &suites, &groups, Steps::Here);
    assert_eq!(agreed, Ok((ECDHE, NamedGroup::X25519)));
}

#[test]
fn a_curve_without_a_suite_for_it_does_not_do() {
    let server = server(Dhe::In(NamedGroup::FFDHE2048));
    let groups = [NamedGroup::FFDHE2048, NamedGroup::X25519];
    let expected = Ok((DHE[2], NamedGroup::FFDHE2048));
    let agreed = agree(&server, TLS12, &DHE, &groups, Steps::Elsewhere);
    assert_eq!(agreed, expected);
    // A suite for a key of another kind is none.
    let mut suites = vec![CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256];
    suites.extend(DHE);
    let agreed = agree(&server, TLS12, &suites, &groups, Steps::Elsewhere);
    assert_eq!(agreed, expected);
}

/// RFC 7919 §4: a client that names groups gets none that it did not name.
#[test]
fn a_group_that_the_client_does_not_have_is_not_used() {
    let server = server(Dhe::In(NamedGroup::FFDHE3072));
    let field = [NamedGroup::FFDHE2048];
    for (versions, suites, steps) in [
        (TLS12, &DHE[..], Steps::Elsewhere),
        (TLS13, &[AES], Steps::Here),
    ] {
        let refused = agree(&server, versions, suites, &field, steps).unwrap_err();
        assert!(refused.contains("peer is incompatible"), "{refused}");
    }
}

/// A connection that was closed while its step was away.
#[test]
fn what_comes_of_a_step_too_late_is_forgotten() {
    let field = NamedGroup::FFDHE2048;
    let server = server(Dhe::In(field));
    let mut pump = server.starttls(HOST);
    let hello = client(&server, TLS13, &[AES], &[field]).take();
    give(&mut pump, &hello, usize::MAX).unwrap();
    assert!(pump.held() > 0 && give(&mut pump, b"more", 4).is_err());

    let mut pump = server.starttls(HOST);
    give(&mut pump, &hello, 7).unwrap();
    let step = pump.take_step().unwrap();
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    pump.close(&mut out);
    let received = pump.resume(step.take(), &mut plain, &mut out).unwrap();
    assert!(received.secured.is_none() && out.is_empty());
    assert!(pump.take_step().is_none() && !pump.is_away());
}

/// Keeps the thread that posts until the test lets it go.
#[derive(Debug)]
struct Holding {
    arrived: SyncSender<Letter>,
    released: Mutex<Receiver<()>>,
}

impl Mailbox for Holding {
    fn post(&self, letters: Vec<Letter>) {
        for letter in letters {
            self.arrived.send(letter).unwrap();
        }
        // Released by a message, or by the end of the test.
        let _ = self.released.lock().unwrap().recv();
    }
}

#[test]
fn the_thread_for_handshakes_takes_steps_in_order_and_no_more_than_may_wait() {
    let field = NamedGroup::FFDHE2048;
    let server = server(Dhe::In(field));
    let hello = client(&server, TLS13, &[AES], &[field]).take();
    let step = || {
        let mut pump = server.starttls(HOST);
        give(&mut pump, &hello, usize::MAX).unwrap();
        (pump.take_step().unwrap(), pump)
    };
    let mut names: Arena<ConnId, ()> = Arena::default();
    let (arrived, letters) = sync_channel(HANDSHAKE_QUEUE + 2);
    let (release, released) = channel();
    let mailbox: Arc<dyn Mailbox> = Arc::new(Holding {
        arrived,
        released: Mutex::new(released),
    });
    let handshakes = Handshakes::start();
    let taken = |names: &mut Arena<ConnId, ()>| {
        let (step, pump) = step();
        let conn = names.insert(());
        (conn, handshakes.take(&mailbox, conn, step), pump)
    };
    // The first is taken, and the thread held up behind it; the others fill the queue.
    let (first, result, mut pump) = taken(&mut names);
    assert_eq!(result, Ok(()));
    let Letter::Handshake(conn, done) = letters.recv().unwrap() else {
        panic!("another letter");
    };
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    pump.resume(*done, &mut plain, &mut out).unwrap();
    assert!(conn == first && out.len() > 256);
    let waiting: Vec<ConnId> = (0..HANDSHAKE_QUEUE)
        .map(|_| {
            let (conn, result, _) = taken(&mut names);
            assert_eq!(result, Ok(()));
            conn
        })
        .collect();
    assert_eq!(taken(&mut names).1, Err(Busy));
    drop(release);
    for expected in waiting {
        let letter = letters.recv().unwrap();
        assert!(matches!(letter, Letter::Handshake(conn, _) if conn == expected));
    }
}
