use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;
use crate::tls::made::{Certs, domain};
use crate::tls::{HostState, Loaded, Policies, generate_development_certificate};

/// PEM of a certificate for `names`, valid to a year, and of its key.
fn pair(names: &[&str], until: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_after = date_time_ymd(until, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

impl Certs {
    fn add(&self, certificate: &str, key: &str, names: &[&str]) -> Vec<u8> {
        self.add_until(certificate, key, names, 2099)
    }

    /// Writes a pair; its end point, to tell it from others.
    fn add_until(&self, certificate: &str, key: &str, names: &[&str], until: i32) -> Vec<u8> {
        let (certificate_pem, key_pem) = pair(names, until);
        self.write(certificate, &certificate_pem);
        self.write(key, &key_pem);
        end_point(&certificate_pem)
    }

    fn load(&self, host: &str) -> Loaded {
        TlsHosts::load(self.root(), &[domain(host)], &Policies::default())
    }

    fn found(&self, host: &str) -> Option<Vec<u8>> {
        let hosts = self.load(host).tls;
        let host = &hosts.hosts.get(&domain(host))?.first;
        host.end_point.clone()
    }

    /// What keeps the host from having a certificate.
    fn fault(&self, host: &str) -> String {
        let loaded = self.load(host);
        let report = &loaded.hosts[0];
        assert!(matches!(report.state, HostState::Unusable), "{report:?}");
        report.remarks[0].text.clone()
    }
}

fn end_point(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    let der = rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    tls_server_end_point(&der).unwrap()
}

#[test]
fn finds_by_name_whatever_the_file_is_called() {
    let certs = Certs::new();
    let a = certs.add("whatever.crt", "whatever.key", &["a.example", "c.example"]);
    let b = certs.add("live/b/fullchain.pem", "live/b/privkey.pem", &["b.example"]);
    assert_eq!(certs.found("a.example"), Some(a.clone()));
    assert_eq!(certs.found("c.example"), Some(a));
    assert_eq!(certs.found("b.example"), Some(b));
    assert_eq!(certs.found("d.example"), None);
}

#[test]
fn looks_three_levels_deep_and_not_into_hidden_directories() {
    let certs = Certs::new();
    let third = certs.add("1/2/x.crt", "1/2/x.key", &["a.example"]);
    certs.add("1/2/3/x.crt", "1/2/3/x.key", &["b.example"]);
    certs.add(".old/x.crt", ".old/x.key", &["c.example"]);
    assert_eq!(certs.found("a.example"), Some(third));
    assert_eq!(certs.found("b.example"), None);
    assert_eq!(certs.found("c.example"), None);
}

#[test]
fn a_wildcard_covers_one_label() {
    let certs = Certs::new();
    let wildcard = certs.add("w.crt", "w.key", &["*.example.org"]);
    assert_eq!(certs.found("chat.example.org"), Some(wildcard));
    assert_eq!(certs.found("example.org"), None);
    assert_eq!(certs.found("a.chat.example.org"), None);
}

#[test]
fn prefers_the_exact_name_then_the_longest_validity_and_skips_the_expired() {
    let certs = Certs::new();
    certs.add_until("1.crt", "1.key", &["chat.example.org"], 2001);
    let wildcard = certs.add_until("2.crt", "2.key", &["*.example.org"], 2099);
    assert_eq!(certs.found("chat.example.org"), Some(wildcard));
    certs.add_until("3.crt", "3.key", &["chat.example.org"], 2090);
    let longest = certs.add_until("4.crt", "4.key", &["chat.example.org"], 2095);
    assert_eq!(certs.found("chat.example.org"), Some(longest));
}

#[test]
fn compares_names_as_domains() {
    let certs = Certs::new();
    let found = certs.add("x.crt", "x.key", &["XN--BCHER-KVA.example"]);
    assert_eq!(certs.found("bücher.example"), Some(found));
}

#[test]
fn finds_by_the_name_of_the_file_what_names_no_host() {
    let certs = Certs::new();
    let crt = certs.add("a.example.crt", "a.example.key", &[]);
    let chain = certs.add("b.example/fullchain.pem", "b.example/privkey.pem", &[]);
    let (certificate, key) = pair(&["c.example"], 2099);
    certs.write("c.example.pem", &format!("{certificate}{key}"));
    assert_eq!(certs.found("a.example"), Some(crt));
    assert_eq!(certs.found("b.example"), Some(chain));
    assert_eq!(certs.found("c.example"), Some(end_point(&certificate)));
}

#[test]
fn takes_the_parents_file_only_for_its_wildcard() {
    let certs = Certs::new();
    let (certificate, key) = pair(&["example.org", "*.example.org"], 2099);
    certs.write("example.org.pem", &format!("{certificate}{key}"));
    assert_eq!(
        certs.found("chat.example.org"),
        Some(end_point(&certificate))
    );
    let (certificate, key) = pair(&["example.net"], 2099);
    certs.write("example.net.pem", &format!("{certificate}{key}"));
    assert_eq!(certs.found("chat.example.net"), None);
}

#[test]
fn a_missing_directory_is_an_empty_one() {
    let loaded = TlsHosts::load(
        Path::new("/nonexistent/certs"),
        &[domain("a.example")],
        &Policies::default(),
    );
    assert!(!loaded.tls.has(&domain("a.example")));
    let HostState::Missing { why } = &loaded.hosts[0].state else {
        panic!("{loaded:?}");
    };
    assert_eq!(why, "/nonexistent/certs does not exist");
}

#[test]
fn says_what_is_wrong_with_a_pair() {
    let (certificate, key) = pair(&["a.example"], 2099);
    let (_, other_key) = pair(&["a.example"], 2099);
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (content, advice) in [
        (None, "should be"),
        (Some(other_key.as_str()), "does not belong"),
        (Some(certificate.as_str()), "is a certificate"),
        (Some(encrypted), "passphrase"),
        (Some("hello"), "no private key"),
    ] {
        let certs = Certs::new();
        certs.write("x.crt", &certificate);
        if let Some(content) = content {
            certs.write("x.key", content);
        }
        let fault = certs.fault("a.example");
        assert!(fault.contains("x.key") && fault.contains(advice), "{fault}");
        let body = other_key.lines().nth(1).unwrap();
        assert!(!fault.contains(body), "{fault}");
    }
    for (content, advice) in [
        (key.as_str(), "private key"),
        ("hello", "no certificate"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "not an X.509",
        ),
        ("-----BEGIN CERTIFICATE-----\nAA", "damaged"),
        ("0\u{1}", "DER"),
    ] {
        let certs = Certs::new();
        certs.write("a.example.crt", content);
        certs.write("a.example.key", &key);
        let fault = certs.fault("a.example");
        assert!(
            fault.contains("a.example.crt") && fault.contains(advice),
            "{fault}"
        );
    }
}

#[test]
fn takes_keys_in_sec1_form() {
    // rcgen writes PKCS#8, in which a SEC1 key is wrapped: the inner one is cut out.
    use rustls::pki_types::pem::PemObject as _;
    let (certificate, key) = pair(&["a.example"], 2099);
    let pkcs8 = rustls::pki_types::PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let pkcs8 = pkcs8.secret_pkcs8_der();
    let inner = pkcs8
        .windows(5)
        .position(|window| window == [2, 1, 1, 4, 32])
        .unwrap()
        - 2;
    let length = usize::from(pkcs8[inner + 1]) + 2;
    let sec1 = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        &pkcs8[inner..inner + length],
    );
    let certs = Certs::new();
    certs.write("x.crt", &certificate);
    certs.write(
        "x.key",
        &format!("-----BEGIN EC PRIVATE KEY-----\n{sec1}\n-----END EC PRIVATE KEY-----\n"),
    );
    assert!(certs.found("a.example").is_some());
}

#[test]
fn makes_a_development_certificate_once() {
    let certs = Certs::new();
    let localhost = domain("localhost");
    let directory = certs.path("made/here");
    generate_development_certificate(&directory, &localhost).unwrap();
    let mode = |name: &str| {
        let metadata = fs::metadata(directory.join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("localhost.key"), 0o600);
    assert_eq!(mode(""), 0o700);
    let hosts = TlsHosts::load(
        &directory,
        std::slice::from_ref(&localhost),
        &Policies::default(),
    )
    .tls;
    assert!(hosts.has(&localhost));

    let again = generate_development_certificate(&directory, &localhost).unwrap_err();
    assert!(again.message.contains("localhost.crt"), "{again}");
    // An interrupted run left the key alone: it is taken.
    let key = fs::read(directory.join("localhost.key")).unwrap();
    fs::remove_file(directory.join("localhost.crt")).unwrap();
    generate_development_certificate(&directory, &localhost).unwrap();
    assert_eq!(fs::read(directory.join("localhost.key")).unwrap(), key);
}

#[test]
fn a_development_certificate_for_localhost_names_the_loopback_addresses() {
    let certs = Certs::new();
    generate_development_certificate(certs.root(), &domain("localhost")).unwrap();
    let read = crate::tls::certs::Certificate::read(&certs.path("localhost.crt")).unwrap();
    assert_eq!(read.facts.names, ["localhost", "127.0.0.1", "[::1]"]);
}

#[test]
fn a_host_that_is_not_ascii_gets_no_development_certificate() {
    let certs = Certs::new();
    let fault = generate_development_certificate(certs.root(), &domain("bücher.example"))
        .unwrap_err()
        .message;
    assert!(fault.contains("bücher.example"), "{fault}");
}

#[test]
fn debug_output_holds_names_only() {
    let certs = Certs::new();
    certs.add("x.crt", "x.key", &["a.example"]);
    let text = format!("{:?}", certs.load("a.example").tls);
    assert_eq!(text, "{\"a.example\"}");
}
