//! Two servers of ours: both show certificates, and each judges what the other has shown.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose};
use spondee_core::port::{CertificateName, Chain, Protocol, ServerCertificate, TlsClient, Verdict};

use super::asking::meet;
use super::clients::showing;
use super::*;
use crate::tls::made::{Authority, Certs, Made, params, self_made};
use crate::tls::policy::Versions;
use crate::tls::{HostPolicy, Location, Named, Outgoing, Policy};

const OURS: &str = "a.example";
const THEIRS: &str = "b.example";

/// One of the two, which trusts an authority.
struct Peer {
    host: Domain,
    hosts: Arc<TlsHosts>,
    outgoing: Outgoing,
    _certs: Certs,
}

impl Peer {
    fn new(host: &str, trusted: &Authority, own: Option<&Made>, policy: &HostPolicy) -> Self {
        let certs = Certs::new();
        certs.write("trusted.pem", &trusted.certificate);
        if let Some(own) = own {
            certs.put(&format!("certs/{host}"), own);
        }
        let host = domain(host);
        let mut policies = Policies::default();
        policies.insert(host.clone(), policy.clone());
        let loaded = TlsHosts::load(&certs.path("certs"), std::slice::from_ref(&host), &policies);
        Self {
            outgoing: Outgoing::of_file(&certs.path("trusted.pem")).unwrap(),
            hosts: Arc::new(loaded.tls),
            host,
            _certs: certs,
        }
    }

    /// Asks another, as this domain.
    fn asks(&self, ours: Option<&str>, opening: Opening) -> Pump {
        let client = TlsClient {
            name: THEIRS.into(),
            protocol: match opening {
                Opening::Clear => None,
                Opening::Tls => Some(Protocol::XmppServer),
            },
            ours: ours.map(domain),
        };
        self.outgoing.pump(&client, &self.hosts).unwrap()
    }

    fn asked(&self, opening: Opening) -> Pump {
        let fallback = match opening {
            Opening::Clear => Some(self.host.clone()),
            Opening::Tls => None,
        };
        let hosts = Arc::clone(&self.hosts);
        self.outgoing.asked(hosts, fallback, opening)
    }
}

fn offering(versions: Versions) -> HostPolicy {
    HostPolicy {
        servers: Policy {
            versions,
            ..Policy::default()
        },
        ..HostPolicy::default()
    }
}

/// One that is asked, with a certificate of this authority.
fn theirs(authority: &Authority, versions: Versions) -> Peer {
    let made = authority.issue(&for_servers(THEIRS));
    Peer::new(THEIRS, authority, Some(&made), &offering(versions))
}

/// As authorities make them today: for servers alone.
fn for_servers(host: &str) -> CertificateParams {
    let mut params = params(&[host], 60);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// What is thought of who asks with this, by both versions of TLS.
fn judged(authority: &Authority, shows: Option<&Made>) -> Option<Box<ServerCertificate>> {
    let ours = Peer::new(OURS, authority, shows, &HostPolicy::default());
    let [of_12, of_13] = [Versions::Only12, Versions::Only13].map(|versions| {
        let theirs = theirs(authority, versions);
        let clear = Opening::Clear;
        let mut asking = ours.asks(Some(OURS), clear);
        let [_, asked] = meet(&mut asking, &mut theirs.asked(clear), usize::MAX).unwrap();
        asked.server
    });
    assert_eq!(of_12, of_13);
    of_13
}

#[test]
fn two_servers_see_whom_the_other_s_certificate_names() {
    let authority = Authority::root("root");
    let shown = authority.issue(&for_servers(OURS));
    let ours = Peer::new(OURS, &authority, Some(&shown), &HostPolicy::default());
    for (versions, version) in [
        (Versions::Only12, TlsVersion::V1_2),
        (Versions::From12, TlsVersion::V1_3),
    ] {
        let theirs = theirs(&authority, versions);
        for opening in [Opening::Clear, Opening::Tls] {
            for piece in [1, usize::MAX] {
                let (mut asking, mut asked) =
                    (ours.asks(Some(OURS), opening), theirs.asked(opening));
                let [asking, asked] = meet(&mut asking, &mut asked, piece).unwrap();
                assert_eq!(asking.version, version);
                assert_eq!(asking.bindings, asked.bindings);
                assert!(asked.bindings.end_point.is_some());
                let (of_theirs, of_ours) = (asking.server.unwrap(), asked.server.unwrap());
                for (of, name) in [(&of_theirs, THEIRS), (&of_ours, OURS)] {
                    assert!(matches!(of.chain, Chain::Valid { .. }), "{of:?}");
                    assert_eq!(of.names.each, [CertificateName::Dns(name.into())]);
                }
                // Who is asked has asked for no name.
                assert_eq!(of_theirs.verdict, Some(Verdict::Good));
                assert_eq!(of_ours.verdict, None);
                assert!(asked.client.is_none());
            }
        }
    }
}

#[test]
fn a_server_that_shows_anything_is_let_in_and_judged() {
    use ExtendedKeyUsagePurpose::{ClientAuth, CodeSigning, ServerAuth};
    let (authority, stranger) = (Authority::root("root"), Authority::root("stranger"));
    let chain = |made: &Made| judged(&authority, Some(made)).unwrap().chain;
    let for_use = |uses: &[ExtendedKeyUsagePurpose]| {
        let mut params = params(&[OURS], 60);
        params.extended_key_usages = uses.to_vec();
        chain(&authority.issue(&params))
    };
    for uses in [
        &[][..],
        &[ServerAuth],
        &[ClientAuth],
        &[ServerAuth, ClientAuth],
    ] {
        let chain = for_use(uses);
        assert!(matches!(chain, Chain::Valid { .. }), "{uses:?}: {chain:?}");
    }
    assert_eq!(for_use(&[CodeSigning]), Chain::WrongUse);
    let good = params(&[OURS], 60);
    assert_eq!(chain(&self_made(&good)), Chain::SelfSigned);
    assert_eq!(chain(&stranger.issue(&good)), Chain::Untrusted);
    let expired = chain(&authority.issue(&params(&[OURS], -2)));
    assert!(matches!(expired, Chain::Expired { .. }), "{expired:?}");
}

#[test]
fn the_whole_path_is_shown() {
    let root = Authority::root("root");
    let between = root.intermediate(Authority::params("between"));
    let made = between.issue(&for_servers(OURS));
    assert_eq!(judged(&root, Some(&made)).unwrap().chain, Chain::Untrusted);
    let with = Made {
        certificate: made.certificate.clone() + &between.certificate,
        ..made
    };
    let chain = judged(&root, Some(&with)).unwrap().chain;
    assert!(matches!(chain, Chain::Valid { .. }), "{chain:?}");
}

#[test]
fn nobody_shows_a_certificate_that_is_not_of_the_domain_it_speaks_for() {
    let authority = Authority::root("root");
    assert!(judged(&authority, None).is_none());
    let made = authority.issue(&for_servers(OURS));
    let ours = Peer::new(OURS, &authority, Some(&made), &HostPolicy::default());
    for (speaks_for, shows) in [
        (None, false),
        (Some("chat.a.example"), false),
        (Some(OURS), true),
    ] {
        for opening in [Opening::Clear, Opening::Tls] {
            let theirs = theirs(&authority, Versions::From12);
            let (mut asking, mut asked) = (ours.asks(speaks_for, opening), theirs.asked(opening));
            let [asking, asked] = meet(&mut asking, &mut asked, usize::MAX).unwrap();
            assert_eq!(asked.server.is_some(), shows, "{speaks_for:?}");
            assert!(asking.server.is_some());
        }
    }
}

#[test]
fn where_clients_are_expected_a_server_is_asked_for_nothing() {
    let authority = Authority::root("root");
    let made = authority.issue(&for_servers(OURS));
    let ours = Peer::new(OURS, &authority, Some(&made), &HostPolicy::default());
    let theirs = theirs(&authority, Versions::From12);
    let clear = Opening::Clear;
    let mut asked = Pump::new(Arc::clone(&theirs.hosts), Some(domain(THEIRS)), clear);
    let mut asking = ours.asks(Some(OURS), clear);
    let [_, asked] = meet(&mut asking, &mut asked, usize::MAX).unwrap();
    assert!(asked.server.is_none() && asked.client.is_none());
}

/// What a client of rustls hears at a port of servers where TLS comes first.
fn heard(theirs: &Peer, config: ClientConfig) -> Result<Option<Box<ServerCertificate>>, String> {
    let mut client = Client::new(config, THEIRS);
    let mut pump = theirs.asked(Opening::Tls);
    for _ in 0..8 {
        let taken = give(&mut pump, &client.take(), usize::MAX);
        let taken = taken.map_err(|(error, _)| error.to_string())?;
        client.give(&taken.out).map_err(|error| error.to_string())?;
        if let Some(secured) = taken.secured {
            return Ok(secured.server);
        }
    }
    panic!("the handshake does not end");
}

fn config(authority: &Authority, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.certificate.as_bytes());
    roots.add(root.unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[test]
fn a_port_of_servers_speaks_the_protocol_of_servers_and_lets_in_who_names_none() {
    let authority = Authority::root("root");
    let theirs = theirs(&authority, Versions::From12);
    for (names, is_let_in) in [
        (&[][..], true),
        (&["xmpp-server"], true),
        (&["xmpp-client", "xmpp-server"], true),
        (&["xmpp-client"], false),
    ] {
        let mut config = config(&authority, TLS13);
        config.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        assert_eq!(heard(&theirs, config).is_ok(), is_let_in, "{names:?}");
    }
}

#[test]
fn a_certificate_without_its_key_is_no_certificate() {
    let authority = Authority::root("root");
    let theirs = theirs(&authority, Versions::From12);
    let (own, other) = (for_servers(OURS), for_servers("c.example"));
    let (own, other) = (authority.issue(&own), authority.issue(&other));
    for versions in [TLS12, TLS13] {
        for (shows, signs, is_let_in) in [(&own, &own, true), (&own, &other, false)] {
            let mut config = config(&authority, versions);
            config.client_auth_cert_resolver = showing(shows, signs);
            assert_eq!(heard(&theirs, config).is_ok(), is_let_in, "{versions:?}");
        }
    }
}

#[test]
fn other_servers_see_the_certificate_of_the_host_and_not_that_of_its_direct_tls() {
    let authority = Authority::root("root");
    let (certs, host) = (Certs::new(), domain(THEIRS));
    certs.put("certs/b.example", &authority.issue(&for_servers(THEIRS)));
    certs.put("direct", &authority.issue(&for_servers(THEIRS)));
    let policy = HostPolicy {
        certificates: Named {
            all: None,
            direct: Some(Location {
                certificate: certs.path("direct.crt"),
                key: None,
            }),
        },
        ..HostPolicy::default()
    };
    let mut policies = Policies::default();
    policies.insert(host.clone(), policy);
    let loaded = TlsHosts::load(&certs.path("certs"), std::slice::from_ref(&host), &policies);
    let ours = Peer::new(OURS, &authority, None, &HostPolicy::default());
    let theirs = Peer {
        hosts: Arc::new(loaded.tls),
        ..Peer::new(THEIRS, &authority, None, &HostPolicy::default())
    };
    let of = |name: &str| {
        let der = CertificateDer::from_pem_file(certs.path(name)).unwrap();
        <[u8; 32]>::from(Sha256::digest(&der))
    };
    for opening in [Opening::Clear, Opening::Tls] {
        let (mut asking, mut asked) = (ours.asks(None, opening), theirs.asked(opening));
        let [asking, _] = meet(&mut asking, &mut asked, usize::MAX).unwrap();
        let seen = asking.server.unwrap().fingerprint;
        assert_eq!(seen, of("certs/b.example.crt"));
        assert_ne!(seen, of("direct.crt"));
    }
}
