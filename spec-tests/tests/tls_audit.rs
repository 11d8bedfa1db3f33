//! What testssl.sh, a scanner of others, finds on both ports: nothing but what is accepted here, each with its reason.
//!
//! It needs testssl.sh, so it runs as the tests of interop.rs do. spec-tests/testssl.md has the findings of a complete run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use spec_tests::program::{Program, left_out};
use spec_tests::server::Server;

/// A scan makes some hundred handshakes by way of shell scripts.
const PATIENCE: Duration = Duration::from_secs(400);

/// Findings that stay, by testssl's names.
const ACCEPTED: &[(&str, &str)] = &[
    (
        "cert_revocation",
        "the certificate is the test authority's, which names no place for revocations; a real one brings its own",
    ),
    (
        "engine_problem",
        "about the OpenSSL that the scanner runs, which has no GOST",
    ),
];

/// What must have been looked at, so that a scan that gave up is not taken for a good one.
const SEEN: &[&str] = &[
    "SSLv2",
    "SSLv3",
    "TLS1",
    "TLS1_1",
    "TLS1_2",
    "TLS1_3",
    "cipherlist_NULL",
    "cipherlist_aNULL",
    "cipherlist_EXPORT",
    "cipherlist_LOW",
    "cipherlist_3DES_IDEA",
    "cipherlist_AVERAGE",
    "cipherlist_STRONG",
    "PFS",
    "cert_chain_of_trust",
    "cert_trust",
    "heartbleed",
    "CCS",
    "ROBOT",
    "secure_renego",
    "secure_client_renego",
    "CRIME_TLS",
    "POODLE_SSL",
    "fallback_SCSV",
    "SWEET32",
    "FREAK",
    "DROWN",
    "LOGJAM",
    "BEAST",
    "LUCKY13",
    "RC4",
];

fn scan(address: impl Fn(&Server) -> SocketAddr, options: &[&str]) {
    if left_out("testssl.sh against the server") {
        return;
    }
    let server = Server::start(&[]).unwrap();
    let report = server.scratch().join("testssl.json");
    let mut command = Command::new("testssl");
    command
        .args(["--quiet", "--color", "0", "--warnings", "batch"])
        // Protocols, kinds of suites, forward secrecy, preference, certificate, vulnerabilities.
        .args(["-p", "-s", "-f", "-P", "-S", "-U"])
        .args(["--nodns", "none", "--ip", "127.0.0.1"])
        .arg("--add-ca")
        .arg(server.authority().path())
        .arg("--jsonfile")
        .arg(&report)
        .args(options)
        .arg(format!("localhost:{}", address(&server).port()));
    let mut scanner = Program::start(command).unwrap();
    // Its exit code counts what it does not like, this test's accepted findings among it.
    scanner.wait(PATIENCE).unwrap();
    let report = fs::read_to_string(report).unwrap_or_default();
    let findings: Vec<Value> = serde_json::from_str(&report)
        .unwrap_or_else(|error| panic!("{error}: {report}\n{:#?}", scanner.seen()));
    judge(&findings);
}

fn judge(findings: &[Value]) {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let bad: Vec<String> = findings
        .iter()
        .filter(|finding| !["OK", "INFO", "DEBUG"].contains(&text(finding, "severity").as_str()))
        .filter(|finding| ACCEPTED.iter().all(|(id, _)| *id != text(finding, "id")))
        .map(|finding| {
            let [severity, id, said] = ["severity", "id", "finding"].map(|key| text(finding, key));
            format!("{severity} {id}: {said}")
        })
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let seen: BTreeSet<String> = findings.iter().map(|finding| text(finding, "id")).collect();
    let missing: Vec<_> = SEEN.iter().filter(|id| !seen.contains(**id)).collect();
    assert!(missing.is_empty(), "not looked at: {missing:?}");
}

#[test]
fn testssl_finds_nothing_new_on_the_direct_tls_port() {
    scan(|server| server.tls, &[]);
}

#[test]
fn testssl_finds_nothing_new_on_the_starttls_port() {
    scan(
        |server| server.clear,
        &["-t", "xmpp", "--xmpphost", "localhost"],
    );
}
