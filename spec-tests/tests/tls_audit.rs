//! What testssl.sh, a scanner of others, finds on all ports by each profile, and where there is DHE: nothing but what is accepted here,
//! each with its reason.
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
use spec_tests::server::{Scratch, Server, free_addresses};

/// A scan makes some hundred handshakes by way of shell scripts.
const PATIENCE: Duration = Duration::from_secs(400);

/// How a server is set up, and what is found then.
struct Profile {
    /// Lines above the sections of its configuration.
    options: &'static str,
    key: Key,
    /// Findings that must be there beside `SEEN`, with what they must say.
    says: &'static [(&'static str, &'static str)],
    /// What the scanner does not look at, of `SEEN`, and why.
    unseen: &'static [(&'static str, &'static str)],
}

enum Key {
    Ecdsa,
    Rsa,
}

const INTERMEDIATE: Profile = Profile {
    options: "",
    key: Key::Ecdsa,
    says: &[("TLS1_2", "offered"), ("TLS1_3", "offered")],
    unseen: &[],
};

const MODERN: Profile = Profile {
    options: "tls_profile = \"modern\"",
    key: Key::Ecdsa,
    says: &[("TLS1_2", "not offered"), ("TLS1_3", "offered")],
    unseen: &[(
        "SWEET32",
        "it is about ciphers with blocks of 64 bits, which TLS 1.3 does not have",
    )],
};

/// DHE in TLS 1.2 goes with RSA keys.
const DHE: Profile = Profile {
    options: "ssl = { dhparam = \"ffdhe2048\" }",
    key: Key::Rsa,
    says: &[
        ("PFS_ciphers", " DHE-RSA-AES256-GCM-SHA384"),
        ("DH_groups", "ffdhe2048"),
        ("LOGJAM-common_primes", "ffdhe2048"),
    ],
    unseen: &[],
};

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

enum Port {
    Direct,
    Starttls,
    /// Of other servers. The scanner can speak STARTTLS as a client alone; what follows that is the same.
    Servers,
}

/// The server, and where others find it by direct TLS.
fn begin(profile: &Profile) -> (Server, SocketAddr) {
    let stopped = Server::prepare(Scratch::new().unwrap(), "").unwrap();
    match profile.key {
        Key::Ecdsa => {}
        Key::Rsa => {
            let certs = stopped.scratch().join("certs");
            let authority = stopped.authority();
            authority.issue_rsa(&certs, "localhost").unwrap();
        }
    }
    let config = stopped.scratch().join("spondee.toml");
    let text = fs::read_to_string(&config).unwrap();
    // Other servers may connect.
    let alone = |line: &&str| line.starts_with("s2s_");
    let text: String = text
        .lines()
        .filter(|l| !alone(l))
        .flat_map(|l| [l, "\n"])
        .collect();
    let [servers] = free_addresses().unwrap();
    let options = format!(
        "s2s_ports = []\ns2s_direct_tls_interfaces = [\"127.0.0.1\"]\ns2s_direct_tls_ports = [{}]\n",
        servers.port()
    );
    fs::write(&config, format!("{}\n{options}{text}", profile.options)).unwrap();
    let command = Command::new(stopped.binary());
    (stopped.begin(command).unwrap(), servers)
}

fn scan(profile: &Profile, port: &Port) {
    if left_out("testssl.sh against the server") {
        return;
    }
    let (server, servers) = begin(profile);
    let (address, options): (SocketAddr, &[&str]) = match port {
        Port::Direct => (server.tls, &[]),
        Port::Starttls => (server.clear, &["-t", "xmpp", "--xmpphost", "localhost"]),
        Port::Servers => (servers, &[]),
    };
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
        .arg(format!("localhost:{}", address.port()));
    let mut scanner = Program::start(command).unwrap();
    // Its exit code counts what it does not like, this test's accepted findings among it.
    scanner.wait(PATIENCE).unwrap();
    let report = fs::read_to_string(report).unwrap_or_default();
    let findings: Vec<Value> = serde_json::from_str(&report)
        .unwrap_or_else(|error| panic!("{error}: {report}\n{:#?}", scanner.seen()));
    judge(profile, &findings);
}

fn judge(profile: &Profile, findings: &[Value]) {
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
    let missing: Vec<_> = SEEN
        .iter()
        .filter(|id| !seen.contains(**id) && profile.unseen.iter().all(|(other, _)| other != *id))
        .collect();
    assert!(missing.is_empty(), "not looked at: {missing:?}");
    let wants_dhe = profile.says.iter().any(|(id, _)| *id == "DH_groups");
    assert_eq!(seen.contains("DH_groups"), wants_dhe);
    for (id, words) in profile.says {
        let said = findings.iter().find(|finding| text(finding, "id") == *id);
        let said = said.map(|finding| text(finding, "finding"));
        assert!(
            said.as_ref().is_some_and(|said| said.contains(words)),
            "{id}: {said:?}"
        );
    }
}

#[test]
fn testssl_finds_nothing_new_on_the_direct_tls_port() {
    scan(&INTERMEDIATE, &Port::Direct);
}

#[test]
fn testssl_finds_nothing_new_on_the_starttls_port() {
    scan(&INTERMEDIATE, &Port::Starttls);
}

#[test]
fn testssl_finds_nothing_new_where_there_is_tls_1_3_alone() {
    scan(&MODERN, &Port::Direct);
    scan(&MODERN, &Port::Starttls);
}

#[test]
fn testssl_finds_nothing_new_where_there_is_dhe() {
    scan(&DHE, &Port::Direct);
    scan(&DHE, &Port::Starttls);
}

#[test]
fn testssl_finds_nothing_new_on_the_direct_tls_port_of_servers() {
    scan(&INTERMEDIATE, &Port::Servers);
}
