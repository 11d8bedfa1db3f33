//! Clients that show certificates.

use rcgen::SanType;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use spondee_core::port::ClientCertificate;

use super::*;
use crate::tls::made::{Authority, Made, params};
use crate::tls::{ClientAuth, HostPolicy};

const HOST: &str = "a.example";
const OTHER: &str = "b.example";

/// A server of two hosts, of which the first has authorities.
fn server(authority: &Authority) -> Server {
    let mut server = Server::with_hosts(&[HOST, OTHER]);
    let file = server.directory.0.join("clients-ca");
    std::fs::write(&file, &authority.certificate).unwrap();
    let policy = HostPolicy {
        clients: ClientAuth::File(file),
        ..HostPolicy::default()
    };
    let mut policies = Policies::default();
    policies.insert(domain(HOST), policy);
    let hosts = [domain(HOST), domain(OTHER)];
    server.hosts = Arc::new(TlsHosts::load(&server.directory.0, &hosts, &policies).tls);
    server
}

/// A certificate that names this.
pub(super) fn issue(authority: &Authority, address: &str) -> Made {
    let mut params = params(&[], 30);
    let name = (vec![1, 3, 6, 1, 5, 5, 7, 8, 5], address.into());
    params.subject_alt_names = vec![SanType::OtherName(name)];
    authority.issue(&params)
}

/// What a client shows, and with whose key it signs.
pub(super) fn showing(certificate: &Made, key: &Made) -> Arc<SingleCertAndKey> {
    let chain = vec![CertificateDer::from_pem_slice(certificate.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.key.as_bytes()).unwrap();
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)))
}

/// Whom the server takes a client for that asks for `host`, or why there is no connection.
fn shown(
    server: &Server,
    host: &str,
    versions: &[&'static SupportedProtocolVersion],
    shows: Option<&Arc<SingleCertAndKey>>,
    mut pump: Pump,
) -> Result<Option<Box<ClientCertificate>>, String> {
    let mut config = server.client_config(versions);
    if let Some(shows) = shows {
        config.client_auth_cert_resolver = shows.clone();
    }
    let mut client = Client::new(config, host);
    for _ in 0..8 {
        let taken = give(&mut pump, &client.take(), usize::MAX);
        let taken = taken.map_err(|(error, _)| error.to_string())?;
        client.give(&taken.out).map_err(|error| error.to_string())?;
        if let Some(secured) = taken.secured {
            return Ok(secured.client);
        }
    }
    panic!("the handshake does not end");
}

#[test]
fn whoever_shows_a_certificate_of_the_host_s_authority_is_whom_it_names() {
    let (ours, others) = (Authority::root("ours"), Authority::root("others"));
    let server = server(&ours);
    let juliet = issue(&ours, "juliet@a.example");
    let juliet = showing(&juliet, &juliet);
    let stranger = issue(&others, "juliet@a.example");
    let stranger = showing(&stranger, &stranger);
    let named = |names: &[&str]| {
        let names = names.iter().map(|name| BareJid::parse(name).unwrap());
        let names: Vec<_> = names.collect();
        (!names.is_empty()).then(|| Box::new(ClientCertificate { names }))
    };
    let nobody: &[&str] = &[];
    for versions in [TLS12, TLS13] {
        for (host, shows, names) in [
            (HOST, Some(&juliet), &["juliet@a.example"][..]),
            // As good as none.
            (HOST, Some(&stranger), nobody),
            (HOST, None, nobody),
            // It trusts nobody with that, and asks for none.
            (OTHER, Some(&juliet), nobody),
        ] {
            for pump in [server.starttls(host), server.direct()] {
                let client = shown(&server, host, versions, shows, pump);
                assert_eq!(client, Ok(named(names)), "{host} {versions:?}");
            }
        }
    }
}

#[test]
fn a_certificate_without_its_key_ends_the_handshake() {
    let ours = Authority::root("ours");
    let server = server(&ours);
    let juliet = issue(&ours, "juliet@a.example");
    let romeo = issue(&ours, "romeo@a.example");
    let stolen = showing(&juliet, &romeo);
    for versions in [TLS12, TLS13] {
        let client = shown(
            &server,
            HOST,
            versions,
            Some(&stolen),
            server.starttls(HOST),
        );
        assert!(client.is_err(), "{versions:?}: {client:?}");
    }
}

#[test]
fn hosts_without_authorities_ask_for_no_certificate() {
    let ours = Authority::root("ours");
    let server = server(&ours);
    for (host, is_asked) in [(HOST, true), (OTHER, false)] {
        let host = server.hosts.hosts.get(&domain(host)).unwrap();
        assert_eq!(host.trust().is_some(), is_asked);
    }
}

#[test]
fn what_is_known_of_a_client_goes_when_the_handshake_ends() {
    let ours = Authority::root("ours");
    let server = server(&ours);
    let juliet = issue(&ours, "juliet@a.example");
    let mut config = server.client_config(TLS13);
    config.client_auth_cert_resolver = showing(&juliet, &juliet);
    let mut client = Client::new(config, HOST);
    let mut pump = server.starttls(HOST);
    assert!(shake_hands(&mut client, &mut pump, 1).client.is_some());
    let State::Running(session) = &pump.state else {
        panic!("{pump:?}");
    };
    assert!(matches!(session.regard, session::Regard::Nothing));
}
