use std::time::Duration;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType};
use rustls::pki_types::pem::PemObject as _;

use super::*;
use crate::tls::audit::Severity;
use crate::tls::made::{Authority, Certs, Made, domain, params, self_made};
use crate::tls::now;

const HOST: &str = "a.example";

/// A certificate that names these.
fn naming(addresses: &[&str], days: i64) -> CertificateParams {
    let mut params = params(&[], days);
    let name =
        |address: &&str| SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 5], (*address).into()));
    params.subject_alt_names = addresses.iter().map(name).collect();
    params
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// `HOST` trusting what is in a file.
fn trust(bundle: &str) -> Trust {
    let certs = Certs::new();
    certs.write("ca.pem", bundle);
    let (authorities, remarks) = Authorities::read(&certs.path("ca.pem"), now()).unwrap();
    assert_eq!(remarks, Vec::<String>::new());
    Trust::new(domain(HOST), Arc::new(authorities))
}

/// Whom `trust` takes who shows these for, or why it does not.
fn vouched(trust: &Trust, shown: &[&str]) -> Result<Vec<String>, String> {
    let shown: Vec<_> = shown.iter().map(|pem| der(pem)).collect();
    let client = trust.client(&shown, UnixTime::now())?;
    Ok(client
        .names
        .iter()
        .map(|name| name.as_str().to_owned())
        .collect())
}

#[test]
fn a_certificate_counts_for_the_accounts_of_the_host_that_it_names() {
    let authority = Authority::root("clients");
    let trust = trust(&authority.certificate);
    let named = |addresses: &[&str]| {
        let made = authority.issue(&naming(addresses, 30));
        vouched(&trust, &[&made.certificate])
    };
    let juliet = Ok(vec!["juliet@a.example".to_owned()]);
    let nobody = Err("it names no account of a.example (id-on-xmppAddr)".to_owned());
    for (addresses, outcome) in [
        (&["juliet@a.example"][..], &juliet),
        (&["Juliet@A.example"], &juliet),
        (&["juliet@a.example", "JULIET@a.example"], &juliet),
        (&["juliet@b.example", "juliet@a.example"], &juliet),
        (&["juliet@b.example"], &nobody),
        (&["juliet@sub.a.example"], &nobody),
        (&["juliet@a.example/balcony"], &nobody),
        (&["a.example"], &nobody),
        (
            &["@a.example", "ju liet@a.example", "juliet@a.example\0"],
            &nobody,
        ),
        (&[], &nobody),
        (
            &["juliet@a.example", "romeo@a.example"],
            &Ok(vec![
                "juliet@a.example".to_owned(),
                "romeo@a.example".to_owned(),
            ]),
        ),
    ] {
        assert_eq!(named(addresses), *outcome, "{addresses:?}");
    }
}

#[test]
fn names_of_other_kinds_name_nobody() {
    let authority = Authority::root("clients");
    let trust = trust(&authority.certificate);
    let mut made = params(&["a.example"], 30);
    let mail = "juliet@a.example".try_into().unwrap();
    made.subject_alt_names.push(SanType::Rfc822Name(mail));
    let other = (vec![1, 3, 6, 1, 5, 5, 7, 8, 7], "juliet@a.example".into());
    made.subject_alt_names.push(SanType::OtherName(other));
    let made = authority.issue(&made);
    assert!(vouched(&trust, &[&made.certificate]).is_err());
}

#[test]
fn a_certificate_names_as_many_accounts_as_may_be() {
    let authority = Authority::root("clients");
    let trust = trust(&authority.certificate);
    let named = |count: usize| {
        let names: Vec<_> = (0..count).map(|n| format!("a{n}@a.example")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let made = authority.issue(&naming(&names, 30));
        vouched(&trust, &[&made.certificate]).map(|names| names.len())
    };
    assert_eq!(
        named(CLIENT_CERTIFICATE_NAMES),
        Ok(CLIENT_CERTIFICATE_NAMES)
    );
    assert!(named(CLIENT_CERTIFICATE_NAMES + 1).is_err());
}

#[test]
fn the_path_to_an_authority_of_the_host_must_hold() {
    let (ours, others) = (Authority::root("ours"), Authority::root("others"));
    let below = ours.intermediate(Authority::params("below"));
    let trust = trust(&ours.certificate);
    let juliet = |days| naming(&["juliet@a.example"], days);
    let for_use = |usage| {
        let mut params = juliet(30);
        params.extended_key_usages = vec![usage];
        ours.issue(&params)
    };
    let of = |made: &Made| made.certificate.clone();
    let early = {
        let mut params = juliet(30);
        params.not_before = (std::time::SystemTime::now() + Duration::from_secs(3600)).into();
        ours.issue(&params)
    };
    let (by_ours, by_below) = (of(&ours.issue(&juliet(30))), of(&below.issue(&juliet(30))));
    let by_others = of(&others.issue(&juliet(30)));
    let filler = of(&others.issue(&juliet(1)));
    let rows: Vec<(&str, Vec<&str>, bool)> = vec![
        ("ours", vec![&by_ours], true),
        ("with the root", vec![&by_ours, &ours.certificate], true),
        ("below", vec![&by_below, &below.certificate], true),
        (
            "below, in disorder",
            vec![&by_below, &filler, &below.certificate],
            true,
        ),
        ("what is between is missing", vec![&by_below], false),
        ("of others", vec![&by_others], false),
        (
            "with their root",
            vec![&by_others, &others.certificate],
            false,
        ),
        ("with our root", vec![&by_others, &ours.certificate], false),
        ("an authority", vec![&below.certificate], false),
        ("nothing", vec![], false),
    ];
    for (what, shown, holds) in rows {
        let outcome = vouched(&trust, &shown);
        assert_eq!(outcome.is_ok(), holds, "{what}: {outcome:?}");
    }
    for (what, made, holds) in [
        ("expired", ours.issue(&juliet(-1)), false),
        ("not yet valid", early, false),
        (
            "for clients",
            for_use(ExtendedKeyUsagePurpose::ClientAuth),
            true,
        ),
        (
            "for servers",
            for_use(ExtendedKeyUsagePurpose::ServerAuth),
            false,
        ),
        ("self-made", self_made(&juliet(30)), false),
    ] {
        let outcome = vouched(&trust, &[&made.certificate]);
        assert_eq!(outcome.is_ok(), holds, "{what}: {outcome:?}");
    }
    let mut crowd = vec![by_ours.as_str()];
    crowd.resize(CLIENT_CERTIFICATES, &filler);
    assert!(vouched(&trust, &crowd).is_ok());
    crowd.push(&filler);
    assert!(vouched(&trust, &crowd).is_err());
}

#[test]
fn what_is_no_certificate_comes_to_nothing() {
    let trust = trust(&Authority::root("clients").certificate);
    for bytes in [&b""[..], b"\x30", b"\x30\x03\x02\x01\x00", &[0xff; 300]] {
        let shown = [CertificateDer::from(bytes.to_vec())];
        assert!(trust.client(&shown, UnixTime::now()).is_err());
    }
}

#[test]
fn more_bytes_than_may_stay_in_memory_end_the_handshake() {
    let trust = trust(&Authority::root("clients").certificate);
    let of = |bytes: usize| CertificateDer::from(vec![0x30; bytes]);
    let takes = |own: usize, other: usize| {
        let (own, other) = (of(own), [of(other)]);
        let verified = trust
            .authorities
            .verify_client_cert(&own, &other, UnixTime::now());
        verified.is_ok()
    };
    assert!(takes(1000, CLIENT_CERTIFICATE_BYTES - 1000));
    assert!(!takes(1001, CLIENT_CERTIFICATE_BYTES - 1000));
}

#[test]
fn a_file_without_authorities_is_refused_with_advice() {
    let certs = Certs::new();
    let authority = Authority::root("clients");
    let leaf = authority.issue(&naming(&["juliet@a.example"], 30));
    certs.write("empty.pem", "");
    certs.write("text.pem", "This is no certificate.\n");
    certs.write("key.pem", &leaf.key);
    certs.write("leaf.pem", &leaf.certificate);
    for (name, advice) in [
        ("missing.pem", "there is no such file"),
        ("empty.pem", "this file is empty"),
        ("text.pem", "there is no certificate in this file"),
        ("key.pem", "this is a private key, not a certificate"),
        (
            "leaf.pem",
            "none of the certificates in this file is an authority's",
        ),
    ] {
        let error = Authorities::read(&certs.path(name), now()).unwrap_err();
        assert!(error.message.contains(advice), "{name}: {error}");
        assert!(error.message.contains(name), "{name}: {error}");
    }
}

#[test]
fn of_a_file_what_is_an_authority_s_is_taken_and_the_rest_is_told() {
    let certs = Certs::new();
    let (one, other) = (Authority::root("one"), Authority::root("other"));
    let leaf = one.issue(&naming(&["juliet@a.example"], 30));
    let mut ended = Authority::params("ended");
    crate::tls::made::lasts(&mut ended, -1);
    let ended = one.intermediate(ended);
    let all = [
        one.certificate.as_str(),
        &leaf.certificate,
        &other.certificate,
        &ended.certificate,
    ];
    certs.write("ca.pem", &all.concat());
    let (authorities, remarks) = Authorities::read(&certs.path("ca.pem"), now()).unwrap();
    assert_eq!(authorities.certificates.len(), 3);
    assert_eq!(authorities.names.len(), 3);
    assert_eq!(remarks.len(), 2, "{remarks:?}");
    assert!(
        remarks[0].contains("is passed over: it is no authority's"),
        "{remarks:?}"
    );
    assert!(
        remarks[1].contains("stands an authority that ended on"),
        "{remarks:?}"
    );
}

#[test]
fn of_many_authorities_clients_are_told_no_names() {
    let certs = Certs::new();
    let all: String = (0..40)
        .map(|n| Authority::root(&format!("{n:0>100}")).certificate)
        .collect();
    certs.write("ca.pem", &all);
    let (authorities, _) = Authorities::read(&certs.path("ca.pem"), now()).unwrap();
    assert_eq!(authorities.certificates.len(), 40);
    assert!(authorities.names.is_empty());
}

#[test]
fn a_file_that_turns_bad_leaves_a_host_what_it_had() {
    let certs = Certs::new();
    let file = certs.path("ca.pem");
    certs.write("ca.pem", &Authority::root("one").certificate);
    let get = |before: Option<&Arc<Trust>>| {
        let (authorities, remarks) = Bundles::default().get(&file, before, now());
        let faults: Vec<_> = remarks
            .into_iter()
            .filter(|remark| remark.severity == Severity::Fault)
            .map(|remark| remark.text)
            .collect();
        (authorities, faults)
    };
    let (first, faults) = get(None);
    assert_eq!(faults, Vec::<String>::new());
    let before = Arc::new(Trust::new(domain(HOST), first.clone().unwrap()));

    certs.write("ca.pem", "");
    let (kept, faults) = get(Some(&before));
    assert_eq!(kept, first);
    assert!(
        faults[0].contains("it keeps the authorities it had"),
        "{faults:?}"
    );
    let (none, faults) = get(None);
    assert_eq!(none, None);
    assert!(
        faults[0].contains("nobody can sign in by certificate"),
        "{faults:?}"
    );

    certs.write("ca.pem", &Authority::root("another").certificate);
    let (other, faults) = get(Some(&before));
    assert_eq!(faults, Vec::<String>::new());
    assert!(other.is_some() && other != first);
}

/// However many have the right name, each name leads on once.
#[test]
fn there_is_one_way_from_a_certificate_to_an_authority() {
    let root = Authority::root("root");
    let trust = trust(&root.certificate);
    let [one, two] = ["one", "two"].map(Authority::params);
    let first = root.intermediate(one.clone());
    let second = first.intermediate(two.clone());
    let other = Authority::root("two");
    let (circle_one, circle_two) = (other.intermediate(one), other.intermediate(two));
    let juliet = |authority: &Authority| {
        authority
            .issue(&naming(&["juliet@a.example"], 30))
            .certificate
    };
    let (by_root, by_first, by_second) = (juliet(&root), juliet(&first), juliet(&second));
    let [root, first, second] = [&root, &first, &second].map(|made| &*made.certificate);
    let [own, one, two] = [&other, &circle_one, &circle_two].map(|made| &*made.certificate);
    for (shown, between) in [
        (&[&*by_root, root][..], 0),
        (&[&*by_root, first, second], 0),
        (&[&*by_first, first, root], 1),
        (&[&*by_second, root, second, first], 2),
        (&[&*by_second, own, one, two], 1),
        (&[&*by_second, one, two, own], 1),
        (&[&*by_second], 0),
    ] {
        let shown: Vec<_> = shown.iter().map(|pem| der(pem)).collect();
        let (own, others) = shown.split_first().unwrap();
        assert_eq!(trust.authorities.way(own, others).len(), between);
    }
    assert!(vouched(&trust, &[&by_second, second, first]).is_ok());
}
