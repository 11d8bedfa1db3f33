use std::fs;
use std::path::Path;

use super::*;
use crate::tls::made::{Authority, Certs, Made, domain, params, self_made};

fn made(host: &str, days: i64) -> Made {
    self_made(&params(&[host], days))
}

/// Hosts with their sections, and certificates in this directory.
fn settings(certs: &Certs, text: &str) -> Settings {
    let text = format!("certificates = {:?}\n{text}", certs.root());
    Settings::parse(&text, Path::new("spondee.toml"), Path::new("/")).unwrap()
}

const A_AND_B: &str = "[host.\"a.example\"]\n[host.\"b.example\"]\n";
const IN_CLEAR: &str = "c2s_require_encryption = false\n";

fn settle(settings: &mut Settings) -> Certificates {
    Certificates::settle(settings, None)
}

fn again(
    settings: &mut Settings,
    before: &Certificates,
    hosts: &BTreeMap<Domain, Host>,
) -> Certificates {
    let tls = &before.tls;
    Certificates::settle(settings, Some(Running { tls, hosts }))
}

fn how(settings: &Settings, host: &str) -> (TlsAvailable, Encryption) {
    let host = settings.config.accounts(&domain(host)).unwrap();
    (host.tls, host.sasl.encryption)
}

fn warnings(certificates: &Certificates) -> Vec<&str> {
    let sentences = certificates.sentences.iter();
    let warnings = sentences.filter(|remark| remark.severity == Severity::Warning);
    warnings.map(|remark| remark.text.as_str()).collect()
}

#[test]
fn a_host_with_a_wrong_key_is_named_and_the_other_is_served() {
    let certs = Certs::new();
    certs.put("a.example", &made("a.example", 60));
    certs.put("b.example", &made("b.example", 60));
    fs::copy(certs.path("a.example.key"), certs.path("b.example.key")).unwrap();
    let mut settings = settings(&certs, A_AND_B);
    let certificates = settle(&mut settings);
    certificates.must_be_of_use().unwrap();
    assert_eq!(how(&settings, "a.example").0, TlsAvailable::Yes);
    assert_eq!(
        how(&settings, "b.example"),
        (TlsAvailable::No, Encryption::Required)
    );
    let faults = certificates.faults();
    assert_eq!(faults.len(), 1, "{faults:?}");
    let path = certs.path("b.example.key");
    assert!(
        faults[0].starts_with(&format!("host b.example: {}: ", path.display())),
        "{faults:?}"
    );
    assert!(
        faults[0].ends_with("; until this is mended nobody can sign in"),
        "{faults:?}"
    );
}

#[test]
fn a_server_that_is_of_use_to_nobody_does_not_start_if_that_can_be_mended() {
    let certs = Certs::new();
    certs.put("a.example", &made("a.example", 60));
    certs.remove("a.example.key");
    let mut only = settings(&certs, "[host.\"a.example\"]\n");
    let refusal = settle(&mut only).must_be_of_use().unwrap_err();
    assert!(refusal.contains("a.example.key"), "{refusal}");
    let mut both = settings(&certs, A_AND_B);
    let refusal = settle(&mut both).must_be_of_use().unwrap_err();
    assert_eq!(refusal.lines().count(), 2, "{refusal}");
    // A certificate can still come, and one that clients refuse is one.
    certs.remove("a.example.crt");
    let certificates = settle(&mut both);
    certificates.must_be_of_use().unwrap();
    assert_eq!(certificates.faults().len(), 2);
    certs.put("a.example", &made("a.example", -1));
    settle(&mut both).must_be_of_use().unwrap();
}

/// Who gave a host a certificate does not get passwords in clear because it is broken.
#[test]
fn a_broken_certificate_is_no_leave_to_serve_in_clear() {
    let certs = Certs::new();
    let mut settings = settings(&certs, &format!("{IN_CLEAR}{A_AND_B}"));
    let certificates = settle(&mut settings);
    assert_eq!(certificates.faults(), [""; 0]);
    let warnings = warnings(&certificates);
    assert!(
        warnings[0].contains("host a.example: no certificate, all passes in clear"),
        "{warnings:?}"
    );
    assert!(
        warnings[2].contains("direct TLS refuse everybody"),
        "{warnings:?}"
    );
    assert_eq!(
        how(&settings, "a.example"),
        (TlsAvailable::No, Encryption::Optional)
    );

    certs.put("a.example", &made("a.example", 60));
    certs.write("a.example.key", "");
    let broken = settle(&mut settings);
    assert_eq!(
        how(&settings, "a.example"),
        (TlsAvailable::No, Encryption::Required)
    );
    assert_eq!(
        how(&settings, "b.example"),
        (TlsAvailable::No, Encryption::Optional)
    );
    assert!(
        broken.faults()[0].ends_with("is not served in clear"),
        "{broken:?}"
    );
}

#[test]
fn a_host_in_clear_stays_in_clear_while_its_first_certificate_is_half_there() {
    let certs = Certs::new();
    let text = format!("{IN_CLEAR}{A_AND_B}");
    let mut first = settings(&certs, &text);
    let before = settle(&mut first);
    certs.put("a.example", &made("a.example", 60));
    certs.remove("a.example.key");
    let mut second = settings(&certs, &text);
    let after = again(&mut second, &before, &first.config.hosts);
    assert_eq!(
        how(&second, "a.example"),
        (TlsAvailable::No, Encryption::Optional)
    );
    assert!(
        after.faults()[0].ends_with("; all passes in clear, as before"),
        "{after:?}"
    );

    // A host that was closed stays closed.
    let mut first = settings(&certs, &text);
    let before = settle(&mut first);
    let mut second = settings(&certs, &text);
    again(&mut second, &before, &first.config.hosts);
    assert_eq!(
        how(&second, "a.example"),
        (TlsAvailable::No, Encryption::Required)
    );
}

#[test]
fn what_is_said_of_one_certificate_is_said_once_for_all_its_hosts() {
    let certs = Certs::new();
    let names: Vec<_> = (0..7).map(|number| format!("{number}.example")).collect();
    certs.put("all", &self_made(&params(&["*.example"], 5)));
    let sections: String = names
        .iter()
        .map(|name| format!("[host.\"{name}\"]\n"))
        .collect();
    let mut settings = settings(&certs, &sections);
    let certificates = settle(&mut settings);
    let warnings = warnings(&certificates);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let hosts = "hosts 0.example, 1.example, 2.example, 3.example, 4.example and 2 more: ";
    assert!(warnings[0].starts_with(hosts), "{warnings:?}");
}

#[test]
fn a_file_that_is_nobodys_is_a_warning() {
    let certs = Certs::new();
    certs.put("a.example", &made("a.example", 60));
    certs.write("web.crt", "");
    let mut settings = settings(&certs, "[host.\"a.example\"]\n");
    let certificates = settle(&mut settings);
    assert_eq!(certificates.faults(), [""; 0]);
    let warnings = warnings(&certificates);
    assert!(
        warnings[0].contains("web.crt") && warnings[0].contains("skipped"),
        "{warnings:?}"
    );
}

#[test]
fn authorities_that_cannot_be_read_are_told_of_all_hosts_and_shut_out_nobody() {
    let certs = Certs::new();
    certs.put("a.example", &made("a.example", 60));
    certs.put("b.example", &made("b.example", 60));
    let text = format!("c2s_ca_file = {:?}\n{A_AND_B}", certs.path("clients"));
    let mut settings = settings(&certs, &text);
    let certificates = settle(&mut settings);
    certificates.must_be_of_use().unwrap();
    for host in ["a.example", "b.example"] {
        assert_eq!(how(&settings, host).0, TlsAvailable::Yes);
    }
    let faults = certificates.faults();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].starts_with("hosts a.example, b.example: `c2s_ca_file`: "),
        "{faults:?}"
    );
    assert!(faults[0].contains("there is no such file"), "{faults:?}");
}

#[test]
fn a_host_keeps_its_authorities_as_long_as_their_file_cannot_be_used() {
    let certs = Certs::new();
    certs.put("a.example", &made("a.example", 60));
    certs.write("clients", &Authority::root("clients").certificate);
    let with = format!("c2s_ca_file = {:?}\n{A_AND_B}", certs.path("clients"));
    let mut first = settings(&certs, &with);
    let before = settle(&mut first);
    let count = |certificates: &Certificates| certificates.tls.asking();
    assert_eq!(count(&before), 1);

    certs.write("clients", "");
    let kept = again(&mut settings(&certs, &with), &before, &first.config.hosts);
    assert_eq!(count(&kept), 1);
    let faults = kept.faults();
    let is_told = |fault: &String| fault.contains("it keeps the authorities it had");
    assert!(faults.iter().any(is_told), "{faults:?}");

    let without = again(&mut settings(&certs, A_AND_B), &kept, &first.config.hosts);
    assert_eq!(count(&without), 0);
}
