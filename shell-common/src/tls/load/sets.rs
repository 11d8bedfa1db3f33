//! Sets of certificate files as administrators have them, each with what is served of it, or the sentence that is said.

mod pairs;
mod tables;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::geteuid;

use super::*;
use crate::tls::hosts::Begun;
use crate::tls::made::{Authority, Certs, Made, domain, params};
use crate::tls::probe::{Roots, probe};
use tables::{CHAINS, ENCODINGS, JOINS, KEYS, LINKS, MODES};

/// What comes of a set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    /// So many certificates are sent, and nothing is said.
    Served(usize),
    /// So many are sent, and a warning has these words.
    Warned(usize, &'static str),
    /// Nothing is served, and a fault has these words.
    Refused(&'static str),
    /// There is no certificate; what there is instead has these words.
    Missing(&'static str),
}

use Outcome::{Missing, Refused, Served, Warned};

/// A set: its name, how it comes about, what comes of it.
type Set = (&'static str, fn(&Certs), Outcome);

/// A section of what OpenSSL made.
fn fixed(name: &str) -> &'static str {
    const FIXED: &str = include_str!("sets/fixed.pem");
    let begin = format!("\n== {name}\n");
    let (_, found) = FIXED.split_once(&begin).unwrap();
    let found = found.split_once("\n== ").map_or(found, |(found, _)| found);
    found.trim_end()
}

fn fixed_der(name: &str) -> Vec<u8> {
    let blocks = crate::tls::pem::blocks(fixed(name).as_bytes()).unwrap();
    blocks.first().unwrap().der.to_vec()
}

fn put(certs: &Certs, certificate: &str, key: &str) {
    certs.write("a.example.crt", certificate);
    certs.write("a.example.key", key);
}

/// A certificate and a key that OpenSSL made.
fn kind(certs: &Certs, certificate: &str, key: &str) {
    put(certs, fixed(certificate), fixed(key));
}

fn bytes(certs: &Certs, name: &str, content: &[u8]) {
    certs.write(name, "");
    fs::write(certs.path(name), content).unwrap();
}

/// A root, what it issued in between, and the certificate of the host.
struct Chain {
    root: String,
    between: String,
    own: Made,
}

fn chain() -> Chain {
    let root = Authority::root("root");
    let between = root.intermediate(Authority::params("between"));
    Chain {
        root: root.certificate,
        own: between.issue(&params(&["a.example"], 60)),
        between: between.certificate,
    }
}

/// The chain as `write` puts it together, with its key.
fn chained(certs: &Certs, write: fn(&Chain) -> String) {
    let chain = chain();
    put(certs, &write(&chain), &chain.own.key);
}

fn p12() -> Vec<u8> {
    use base64::Engine as _;
    let text = fixed("p12").replace('\n', "");
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

fn mode(certs: &Certs, name: &str, mode: u32) {
    fs::set_permissions(certs.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap();
}

/// How many certificates a client gets, behind a handshake that the key signed.
fn sent(tls: &TlsHosts) -> usize {
    let host = &tls.hosts.get(&domain("a.example")).unwrap().first;
    let (config, _) = host.preference(Begun::by_client(Opening::Tls)).of(&[], &[]);
    let config = Arc::clone(config);
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || {
        let mut tls = rustls::ServerConnection::new(config).unwrap();
        while tls.is_handshaking() && tls.complete_io(&mut theirs).is_ok() {}
    });
    let probed = probe(
        &mut ours,
        &domain("a.example"),
        Some(b"xmpp-client"),
        &Roots::none(),
        now(),
    );
    drop(ours);
    server.join().unwrap();
    let probed = probed.unwrap();
    probed.agreed.unwrap();
    1 + probed.shown.unwrap().chain.len()
}

fn outcome(certs: &Certs) -> (Loaded, String) {
    let mut loaded = TlsHosts::load(certs.root(), &[domain("a.example")], &Policies::default());
    let report = loaded.hosts.pop().unwrap();
    let mut said: Vec<_> = report
        .remarks
        .iter()
        .map(|remark| remark.text.clone())
        .collect();
    if let HostState::Missing { why } = &report.state {
        said.push(why.clone());
    }
    loaded.hosts.push(report);
    (loaded, said.join("\n"))
}

fn hold(sets: &[Set]) {
    for (name, put, expected) in sets {
        let certs = Certs::new();
        put(&certs);
        let (loaded, said) = outcome(&certs);
        let state = &loaded.hosts[0].state;
        let remarks = &loaded.hosts[0].remarks;
        let has_fault = remarks
            .iter()
            .any(|remark| remark.severity == Severity::Fault);
        match *expected {
            Served(count) => {
                assert_eq!(said, "", "{name}");
                assert_eq!(sent(&loaded.tls), count, "{name}");
            }
            Warned(count, words) => {
                assert!(!has_fault && said.contains(words), "{name}: {said}");
                assert_eq!(sent(&loaded.tls), count, "{name}: {said}");
            }
            Refused(words) => {
                assert!(matches!(state, HostState::Unusable), "{name}: {state:?}");
                assert!(has_fault && said.contains(words), "{name}: {said}");
                assert!(!loaded.tls.has(&domain("a.example")), "{name}");
            }
            Missing(words) => {
                assert!(
                    matches!(state, HostState::Missing { .. }),
                    "{name}: {state:?}"
                );
                assert!(said.contains(words), "{name}: {said}");
            }
        }
    }
}

#[test]
fn every_kind_of_key_is_served_or_named_with_what_to_make_instead() {
    hold(&KEYS);
}

#[test]
fn a_file_is_read_however_it_was_written_or_it_is_said_what_it_is() {
    hold(&ENCODINGS);
}

#[test]
fn a_chain_is_sent_as_clients_need_it_and_what_it_lacks_is_said() {
    hold(&CHAINS);
}

#[test]
fn certificate_and_key_are_found_together_or_apart() {
    hold(&JOINS);
}

#[test]
fn links_are_followed_or_it_is_said_where_they_lead() {
    hold(&LINKS);
}

#[test]
fn what_is_no_file_of_the_servers_alone_is_said() {
    hold(&MODES);
}

/// Root reads everything.
#[test]
fn a_file_that_may_not_be_read_is_named_with_what_to_do() {
    for (name, words) in [
        ("a.example.crt", "a.example.crt: permission denied"),
        ("a.example.key", "a.example.key: permission denied"),
    ] {
        let certs = Certs::new();
        kind(&certs, "ec-P-256.crt", "ec-P-256.key");
        mode(&certs, name, 0o000);
        let (loaded, said) = outcome(&certs);
        match geteuid().is_root() {
            true => assert_eq!((said.as_str(), sent(&loaded.tls)), ("", 1)),
            false => assert!(said.contains(words), "{said}"),
        }
    }
}
