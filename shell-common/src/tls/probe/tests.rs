use std::os::unix::net::UnixStream;
use std::thread;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::version::TLS12;

use super::*;
use crate::tls::audit::Severity;
use crate::tls::load::now;
use crate::tls::made::{Authority, Certs, Made, domain, params, self_made};

/// A server with this certificate and these behind it, asked for `a.example`.
fn probed(made: &Made, behind: &str, roots: &Roots) -> Probed {
    probed_by(made, behind, roots, rustls::DEFAULT_VERSIONS)
}

fn probed_by(
    made: &Made,
    behind: &str,
    roots: &Roots,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Probed {
    let chain = format!("{}{behind}", made.certificate);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(all_there_is()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.unwrap(), key)
        .unwrap();
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || {
        let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        while tls.is_handshaking() && tls.complete_io(&mut theirs).is_ok() {}
    });
    let probed = probe(&mut ours, &domain("a.example"), None, roots, now()).unwrap();
    drop(ours);
    server.join().unwrap();
    probed
}

fn roots(pem: &str) -> Roots {
    let certs = Certs::new();
    certs.write("ca.pem", pem);
    Roots::read(&certs.path("ca.pem")).unwrap()
}

fn faults(probed: &Probed) -> Vec<&str> {
    let remarks = probed.remarks.iter();
    let faults = remarks.filter(|remark| remark.severity == Severity::Fault);
    faults.map(|remark| remark.text.as_str()).collect()
}

#[test]
fn a_certificate_that_an_authority_vouches_for_has_nothing_against_it() {
    let root = Authority::root("root");
    let between = root.intermediate(Authority::params("between"));
    let made = between.issue(&params(&["a.example"], 60));
    let probed = probed(&made, &between.certificate, &roots(&root.certificate));
    assert!(probed.remarks.is_empty(), "{:?}", probed.remarks);
    let agreed = probed.agreed.unwrap();
    assert_eq!(
        (agreed.version, agreed.suite.as_str()),
        ("TLS 1.3", "TLS_AES_256_GCM_SHA384")
    );
    let shown = probed.shown.unwrap();
    assert_eq!(shown.names, ["a.example"]);
    assert_eq!(shown.chain.len(), 1);
}

/// Shown all the same.
#[test]
fn what_a_strict_peer_refuses_is_shown_with_the_reason() {
    let root = Authority::root("root");
    let trusted = roots(&root.certificate);
    let between = root.intermediate(Authority::params("between"));
    for (made, words) in [
        (
            self_made(&params(&["a.example"], 60)),
            "it is self-made, or the chain lacks",
        ),
        (
            between.issue(&params(&["a.example"], 60)),
            "lacks a certificate in between",
        ),
        (root.issue(&params(&["a.example"], -2)), "it expired on"),
        (
            root.issue(&params(&["b.example"], 60)),
            "it is for b.example, not for a.example",
        ),
    ] {
        let probed = probed(&made, "", &trusted);
        let told = faults(&probed).join("\n");
        assert!(told.contains(words), "{words}: {told}");
        assert!(told.contains("a peer that verifies refuses it"), "{told}");
        assert!(
            probed.shown.is_some() && probed.agreed.is_ok(),
            "{probed:?}"
        );
    }
}

#[test]
fn an_old_server_is_told_by_what_was_agreed_on() {
    let root = Authority::root("root");
    let made = root.issue(&params(&["a.example"], 60));
    let probed = probed_by(&made, "", &roots(&root.certificate), &[&TLS12]);
    assert_eq!(probed.agreed.unwrap().version, "TLS 1.2");
}

#[test]
fn what_is_no_server_of_tls_is_told() {
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(b"<stream:error/>").unwrap();
    drop(theirs);
    let root = Authority::root("root");
    let probed = probe(
        &mut ours,
        &domain("a.example"),
        None,
        &roots(&root.certificate),
        now(),
    )
    .unwrap();
    assert!(probed.agreed.unwrap_err().starts_with("no handshake: "));
    assert!(probed.shown.is_none());
}

#[test]
fn a_chain_in_a_wrong_order_is_told() {
    let root = Authority::root("root");
    let (first, second) = (
        root.intermediate(Authority::params("first")),
        root.intermediate(Authority::params("second")),
    );
    let made = first.issue(&params(&["a.example"], 60));
    let behind = format!("{}{}", second.certificate, first.certificate);
    let probed = probed(&made, &behind, &roots(&root.certificate));
    let told: Vec<_> = probed.remarks.iter().map(|remark| &remark.text).collect();
    assert!(
        told.iter().any(|text| text.contains("wrong order")),
        "{told:?}"
    );
}

#[test]
fn a_file_without_authorities_is_refused() {
    let certs = Certs::new();
    certs.write("ca.pem", &self_made(&params(&["a.example"], 60)).key);
    let fault = Roots::read(&certs.path("ca.pem")).map(|_| ()).unwrap_err();
    assert!(
        fault.message.contains("no certificate of an authority"),
        "{fault}"
    );
}
