//! A certificate for RSA and one for ECDSA of one host, each for the clients that take it.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
    SupportedProtocolVersion,
};
use spondee_core::port::Opening;

use super::*;
use crate::tls::{Location, Named, Pump, Received};

static TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
static TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// A client that knows these schemes alone, and takes any certificate.
#[derive(Debug)]
struct Knows(Vec<SignatureScheme>);

impl ServerCertVerifier for Knows {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

const RSA: [SignatureScheme; 2] = [
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA256,
];
const ECDSA: [SignatureScheme; 2] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
];

/// The certificate that such a client is shown, and what the server binds sign-ins to.
fn shown(
    tls: &Arc<TlsHosts>,
    versions: &[&'static SupportedProtocolVersion],
    schemes: &[SignatureScheme],
) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Knows(schemes.to_vec())))
        .with_no_client_auth();
    let name = "a.example".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut pump = Pump::new(Arc::clone(tls), None, Opening::Tls);
    let mut end_point = None;
    for _ in 0..4 {
        let mut sent = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut sent).unwrap();
        }
        let (mut plain, mut out) = (Vec::new(), Vec::new());
        let Received { secured, .. } = pump.receive(&mut sent, &mut plain, &mut out).ok()?;
        if let Some(secured) = secured {
            end_point = secured.bindings.end_point;
        }
        let mut unread = out.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets().ok()?;
        }
    }
    let own = client.peer_certificates()?.first()?.to_vec();
    Some((own, end_point))
}

/// Both kinds are there.
fn both() -> Certs {
    let certs = Certs::new();
    kind(&certs, "ec-P-256.crt", "ec-P-256.key");
    certs.write("a.example.rsa.crt", fixed("rsa-2048.crt"));
    certs.write("a.example.rsa.key", fixed("rsa-2048.key"));
    certs
}

fn load(certs: &Certs, before: &TlsHosts) -> (Arc<TlsHosts>, HostReport) {
    let hosts = [domain("a.example")];
    let mut loaded = before.reload(certs.root(), &hosts, &Policies::default());
    (Arc::new(loaded.tls), loaded.hosts.remove(0))
}

fn second(report: &HostReport) -> Option<&Source> {
    match &report.state {
        HostState::Found(source) | HostState::Kept(source) => source.second.as_deref(),
        HostState::Missing { .. } | HostState::Unusable => None,
    }
}

/// Channel binding is to the one that was shown.
#[test]
fn each_client_is_shown_the_certificate_whose_signature_it_takes() {
    let (tls, report) = load(&both(), &TlsHosts::default());
    assert!(report.remarks.is_empty(), "{report:?}");
    assert!(second(&report).is_some(), "{report:?}");
    let all = [ECDSA, RSA].concat();
    let cases: [(&[SignatureScheme], &str); 3] = [
        (&all, "ec-P-256.crt"),
        (&ECDSA, "ec-P-256.crt"),
        (&RSA, "rsa-2048.crt"),
    ];
    for versions in [TLS12, TLS13] {
        for (schemes, certificate) in cases {
            let (own, end_point) = shown(&tls, versions, schemes).unwrap();
            assert!(own == fixed_der(certificate), "{certificate}");
            assert_eq!(end_point, crate::tls::binding::tls_server_end_point(&own));
        }
    }
    // With one alone the others are refused.
    let certs = Certs::new();
    kind(&certs, "ec-P-256.crt", "ec-P-256.key");
    let (tls, report) = load(&certs, &TlsHosts::default());
    assert!(second(&report).is_none() && shown(&tls, TLS13, &RSA).is_none());
}

/// A file that is named is one of a kind, whatever else lies in the directory of all.
#[test]
fn a_directory_that_is_named_may_hold_both_and_a_file_is_one() {
    let certs = both();
    let host = domain("a.example");
    for (name, has_rsa) in [("", true), ("a.example.crt", false)] {
        let mut policies = Policies::default();
        let location = Location {
            certificate: certs.path(name),
            key: None,
        };
        let policy = HostPolicy {
            certificates: Named {
                all: Some(location),
                direct: None,
            },
            ..HostPolicy::default()
        };
        policies.insert(host.clone(), policy);
        let loaded = TlsHosts::load(certs.root(), std::slice::from_ref(&host), &policies);
        assert_eq!(second(&loaded.hosts[0]).is_some(), has_rsa, "{loaded:?}");
        let tls = Arc::new(loaded.tls);
        assert_eq!(shown(&tls, TLS13, &RSA).is_some(), has_rsa);
        assert!(shown(&tls, TLS13, &ECDSA).is_some());
    }
}

/// As the first does.
#[test]
fn the_second_is_kept_while_it_cannot_be_used_and_goes_when_it_has_gone() {
    let certs = both();
    let (before, _) = load(&certs, &TlsHosts::default());
    certs.write("a.example.rsa.key", "half a ke");
    let (kept, report) = load(&certs, &before);
    let said: Vec<_> = report.remarks.iter().map(|remark| &remark.text).collect();
    assert!(
        said.iter()
            .any(|text| text.contains("it keeps the certificate it had for RSA")),
        "{said:?}"
    );
    assert!(shown(&kept, TLS13, &RSA).is_some() && second(&report).is_some());
    certs.remove("a.example.rsa.crt");
    let (gone, report) = load(&certs, &kept);
    let said: Vec<_> = report.remarks.iter().map(|remark| &remark.text).collect();
    assert!(
        said.iter()
            .any(|text| text.contains("its certificate for RSA")),
        "{said:?}"
    );
    assert!(shown(&gone, TLS13, &RSA).is_none() && shown(&gone, TLS13, &ECDSA).is_some());
}

/// Two of one kind are not both used.
#[test]
fn one_of_the_same_kind_is_not_needed() {
    let certs = Certs::new();
    kind(&certs, "ec-P-256.crt", "ec-P-256.key");
    certs.write("other.crt", fixed("ec-P-384.crt"));
    certs.write("other.key", fixed("ec-P-384.key"));
    let (_, report) = load(&certs, &TlsHosts::default());
    let HostState::Found(source) = &report.state else {
        panic!("{report:?}");
    };
    assert!(source.second.is_none());
    assert_eq!(source.spare.len(), 1);
}
