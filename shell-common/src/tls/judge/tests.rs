use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa};
use rustls::pki_types::pem::PemObject as _;

use super::*;
use crate::tls::made::{Authority, Made, lasts, params, self_made};
use crate::tls::policy::all_there_is;

const HOST: &str = "a.example";

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// What is thought of a certificate with these behind it, where these are trusted.
fn verdict_of(made: &Made, between: &[&str], roots: &[&str]) -> Verdict {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(der(root)).unwrap();
    }
    let judge = Judge {
        name: ServerName::try_from(HOST).unwrap(),
        roots: Arc::new(store),
        provider: Arc::new(all_there_is()),
    };
    let mut sent = vec![der(&made.certificate)];
    sent.extend(between.iter().map(|pem| der(pem)));
    judge.judge(&sent, UnixTime::now()).unwrap().verdict
}

#[test]
fn a_chain_counts_whatever_else_comes_with_it() {
    let (root, stranger) = (Authority::root("root"), Authority::root("stranger"));
    let between = root.intermediate(Authority::params("between"));
    let made = between.issue(&params(&[HOST], 60));
    let (root, between, stranger) = (
        &*root.certificate,
        &*between.certificate,
        &*stranger.certificate,
    );
    assert_eq!(verdict_of(&made, &[between], &[root]), Verdict::Good);
    assert_eq!(
        verdict_of(&made, &[stranger, root, between], &[root]),
        Verdict::Good
    );
    assert_eq!(verdict_of(&made, &[], &[root]), Verdict::Untrusted);
    assert_eq!(verdict_of(&made, &[between], &[]), Verdict::Untrusted);
    assert_eq!(
        verdict_of(&made, &[between, root], &[stranger]),
        Verdict::Untrusted
    );
    let many = vec![between; SERVER_CERTIFICATES];
    assert_eq!(verdict_of(&made, &many, &[root]), Verdict::Unreadable);
    assert_eq!(verdict_of(&made, &many[1..], &[root]), Verdict::Good);
}

#[test]
fn time_and_use_are_looked_at() {
    let root = Authority::root("root");
    let judged = |params| verdict_of(&root.issue(&params), &[], &[&root.certificate]);
    assert_eq!(judged(params(&[HOST], 60)), Verdict::Good);
    assert_eq!(judged(params(&[HOST], -1)), Verdict::Expired);
    let mut early = params(&[HOST], 60);
    early.not_before = (SystemTime::now() + Duration::from_secs(3600)).into();
    assert_eq!(judged(early), Verdict::NotYetValid);
    let mut client = params(&[HOST], 60);
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert_eq!(judged(client), Verdict::OtherUse);
    let mut both = params(&[HOST], 60);
    both.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    assert_eq!(judged(both), Verdict::Good);
    let mut old = Authority::params("old");
    lasts(&mut old, -1);
    let old = root.intermediate(old);
    let made = old.issue(&params(&[HOST], 60));
    let judged = verdict_of(&made, &[&old.certificate], &[&root.certificate]);
    assert_eq!(judged, Verdict::Expired);
}

#[test]
fn who_vouches_for_itself_is_told_as_that_in_any_form() {
    let root = Authority::root("root");
    let mut authority = params(&[HOST], 60);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for params in [
        params(&[HOST], 60),
        params(&[HOST], -1),
        params(&["b.example"], 60),
        authority,
    ] {
        let judged = verdict_of(&self_made(&params), &[], &[&root.certificate]);
        assert_eq!(judged, Verdict::SelfSigned);
    }
    // Somebody who is trusted has named it.
    for (params, expected) in [
        (params(&[HOST], 60), Verdict::Good),
        (params(&[HOST], -1), Verdict::Expired),
        (params(&["b.example"], 60), Verdict::OtherName),
    ] {
        let made = self_made(&params);
        assert_eq!(verdict_of(&made, &[], &[&made.certificate]), expected);
    }
}

#[test]
fn what_is_no_certificate_is_unreadable_and_nothing_is_nothing() {
    let judge = Judge {
        name: ServerName::try_from(HOST).unwrap(),
        roots: Arc::new(RootCertStore::empty()),
        provider: Arc::new(all_there_is()),
    };
    assert_eq!(judge.judge(&[], UnixTime::now()), None);
    let nonsense = CertificateDer::from(b"nonsense".to_vec());
    let judged = judge.judge(&[nonsense], UnixTime::now()).unwrap();
    assert_eq!(judged.verdict, Verdict::Unreadable);
    assert_eq!(judged.fingerprint[..], Sha256::digest(b"nonsense")[..]);
}
