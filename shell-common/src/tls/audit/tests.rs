use rcgen::{
    CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, OtherNameValue,
    SanType,
};
use rustls::pki_types::CertificateDer;

use super::*;
use crate::tls::made::{Authority, Certs, domain, lasts, params, self_made};

/// What is said of a chain in PEM at the host `a.example`, as `fault: …` and `warning: …`, without the name of the file.
fn said(pem: &str) -> Vec<String> {
    let certs = Certs::new();
    certs.write("x.crt", pem);
    let certificate = Certificate::read(&certs.path("x.crt")).unwrap();
    // An hour on, so that a day which began when the certificate was made is never quite whole.
    let now = ASN1Time::now().timestamp() + 60 * 60;
    let remarks = audit(&certificate, "FILE", &domain("a.example"), now);
    let remarks = remarks.into_iter().map(|Remark { severity, text }| {
        let severity = match severity {
            Severity::Fault => "fault",
            Severity::Warning => "warning",
        };
        format!("{severity}: {}", text.strip_prefix("FILE: ").unwrap())
    });
    remarks.collect()
}

#[track_caller]
fn says(pem: &str, severity: &str, words: &[&str]) {
    let said = said(pem);
    let [sentence] = &said[..] else {
        panic!("{said:?}");
    };
    assert!(sentence.starts_with(severity), "{sentence}");
    for words in words {
        assert!(sentence.contains(words), "{words}: {sentence}");
    }
}

/// A chain whose first certificate is changed.
fn chain(change: impl FnOnce(&mut rcgen::CertificateParams)) -> String {
    let between = Authority::root("root").intermediate(Authority::params("between"));
    let mut params = params(&["a.example"], 60);
    change(&mut params);
    between.issue(&params).certificate + &between.certificate
}

#[test]
fn nothing_is_said_of_a_certificate_as_authorities_give_them() {
    assert_eq!(said(&chain(|_| {})), [""; 0]);
    let usual = chain(|params| {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.is_ca = IsCa::ExplicitNoCa;
    });
    assert_eq!(said(&usual), [""; 0]);
    let self_made = self_made(&params(&["*.example", "a.example"], 60));
    assert_eq!(said(&self_made.certificate), [""; 0]);
}

#[test]
fn a_certificate_of_others_is_a_fault_that_names_them() {
    let names = |names: &[&str]| chain(|own| *own = params(names, 60));
    says(
        &names(&["b.example", "*.b.example"]),
        "fault",
        &["it is for b.example, *.b.example, not for a.example"],
    );
    says(&names(&[]), "fault", &["names no host", "DNS:a.example"]);
    let common = chain(|own| {
        *own = params(&[], 60);
        own.distinguished_name.push(DnType::CommonName, "a.example");
    });
    says(
        &common,
        "fault",
        &["as its common name only", "DNS:a.example"],
    );
}

/// RFC 6120 §13.7.1.2.1.
#[test]
fn names_that_only_clients_of_xmpp_read_are_warned_of() {
    let service = (vec![1, 3, 6, 1, 5, 5, 7, 8, 7], "_xmpp-client.a.example");
    let address = (vec![1, 3, 6, 1, 5, 5, 7, 8, 5], "a.example");
    for (kind, name) in [service, address] {
        let name = SanType::OtherName((kind.clone(), OtherNameValue::Utf8String(name.to_owned())));
        let only = chain(|own| own.subject_alt_names = vec![name.clone()]);
        says(
            &only,
            "warning",
            &["only in a form made for XMPP", "DNS name a.example"],
        );
        let too = chain(|own| own.subject_alt_names.push(name.clone()));
        assert_eq!(said(&too), [""; 0]);
    }
    let other = SanType::OtherName((
        vec![1, 3, 6, 1, 5, 5, 7, 8, 7],
        OtherNameValue::Utf8String("_xmpp-server.a.example".to_owned()),
    ));
    let server = chain(|own| own.subject_alt_names = vec![other]);
    says(&server, "fault", &["names no host"]);
}

#[test]
fn time_is_a_fault_when_it_is_over_and_a_warning_when_it_runs_out() {
    let days = |days| chain(|own| lasts(own, days));
    says(
        &days(-1),
        "fault",
        &["expired on ", "clients refuse it", "renew it"],
    );
    says(&days(0), "fault", &["expired on "]);
    says(&days(1), "warning", &["in less than a day", "renew it"]);
    says(&days(13), "warning", &["in 12 days"]);
    assert_eq!(said(&days(15)), [""; 0]);
    let later = chain(|own| own.not_before = own.not_after);
    says(
        &later,
        "fault",
        &["not valid before ", "clock of this machine"],
    );
}

/// Who renews every few days is not warned each time; but a certificate that lasts only days and was made by hand is.
#[test]
fn a_short_life_is_warned_of_in_its_second_half() {
    // They began yesterday.
    assert_eq!(said(&chain(|own| lasts(own, 6))), [""; 0]);
    says(&chain(|own| lasts(own, 3)), "warning", &["in 2 days"]);
    says(&chain(|own| lasts(own, 2)), "warning", &["in a day"]);
    let by_hand = self_made(&params(&["a.example"], 6)).certificate;
    says(&by_hand, "warning", &["in 5 days", "make another"]);
}

#[test]
fn a_certificate_for_other_purposes_is_named() {
    let client = chain(|own| own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    says(&client, "fault", &["not for servers", "serverAuth"]);
    let any = chain(|own| own.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]);
    assert_eq!(said(&any), [""; 0]);
    let agreement = chain(|own| own.key_usages = vec![KeyUsagePurpose::KeyAgreement]);
    says(&agreement, "fault", &["digitalSignature"]);
    let authority = self_made(&{
        let mut params = Authority::params("a host");
        params.subject_alt_names = vec![SanType::DnsName("a.example".try_into().unwrap())];
        params
    });
    says(&authority.certificate, "warning", &["CA:TRUE", "CA:FALSE"]);
    let staple = chain(|own| {
        let features = vec![0x30, 3, 2, 1, 5];
        let extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], features);
        own.custom_extensions = vec![extension];
    });
    says(&staple, "warning", &["must staple"]);
}

/// Made by OpenSSL, valid to 2126: an ECDSA signature with SHA-1, an RSA signature with MD5 and one with SHA-1.
#[test]
fn old_signatures_are_named() {
    for (pem, severity, words) in [
        (include_str!("tests/ecdsa-sha1.pem"), "warning", "SHA-1"),
        (include_str!("tests/rsa-sha1.pem"), "warning", "SHA-1"),
        (include_str!("tests/rsa-md5.pem"), "fault", "MD5"),
    ] {
        let said = said(pem);
        let found = said.iter().find(|sentence| sentence.contains(words));
        assert!(
            found.is_some_and(|sentence| sentence.starts_with(severity)),
            "{said:?}"
        );
    }
}

#[test]
fn a_chain_without_its_middle_is_warned_of() {
    let root = Authority::root("root");
    let between = root.intermediate(Authority::params("between"));
    let own = between.issue(&params(&["a.example"], 60)).certificate;
    let alone = own.clone() + &root.certificate;
    let words = ["issuer (CN=between) is not in the file", "fullchain"];
    says(&own, "warning", &words);
    assert_eq!(said(&alone).len(), 2, "{:?}", said(&alone));
    // The root alone is issuer enough, and may be left out or not.
    let direct = root.issue(&params(&["a.example"], 60)).certificate;
    assert_eq!(said(&(direct + &root.certificate)), [""; 0]);
    let whole = own + &between.certificate + &root.certificate;
    assert_eq!(said(&whole), [""; 0]);
}

#[test]
fn a_namesake_of_the_issuer_is_not_taken_for_it() {
    let root = Authority::root("root");
    let between = root.intermediate(Authority::params("between"));
    let other = root.intermediate(Authority::params("between"));
    let own = between.issue(&params(&["a.example"], 60)).certificate;
    says(
        &(own.clone() + &other.certificate),
        "warning",
        &["(CN=between)", "did not sign this one"],
    );
    // Both, in whichever order: an authority that changes its key.
    let both = own + &other.certificate + &between.certificate;
    says(&both, "warning", &["what else is in the file (between)"]);
}

#[test]
fn strangers_in_the_file_are_named() {
    let strangers = |count: u8| -> String {
        let names =
            (0..count).map(|number| Authority::root(&format!("stranger {number}")).certificate);
        chain(|_| {}) + &names.collect::<String>()
    };
    says(&strangers(1), "warning", &["(stranger 0) did not issue it"]);
    says(&strangers(5), "warning", &["stranger 2 and 2 more"]);
}

#[test]
fn an_issuer_that_clients_refuse_is_warned_of() {
    let root = Authority::root("root");
    let issued_by = |params: rcgen::CertificateParams| {
        let between = root.intermediate(params);
        let own = between.issue(&crate::tls::made::params(&["a.example"], 60));
        own.certificate + &between.certificate
    };
    let mut expired = Authority::params("between");
    lasts(&mut expired, -2);
    says(
        &issued_by(expired),
        "warning",
        &["its issuer (between) expired on "],
    );
    let mut no_authority = Authority::params("between");
    no_authority.is_ca = IsCa::ExplicitNoCa;
    says(
        &issued_by(no_authority),
        "warning",
        &["(between) is no authority"],
    );
}

/// A subject is whatever an issuer wrote, and ends up on a terminal.
#[test]
fn what_a_certificate_says_does_not_steer_the_terminal() {
    let evil = Authority::root("\u{1b}[2J").certificate;
    let said = said(&(chain(|_| {}) + &evil));
    assert!(
        said[0].contains("[2J") && !said[0].contains('\u{1b}'),
        "{said:?}"
    );
}

#[test]
fn what_is_no_chain_at_all_is_left_alone() {
    let certificate = Certificate {
        chain: vec![CertificateDer::from(vec![1, 2, 3])],
        linked: 1,
        facts: Facts {
            names: Vec::new(),
            service_names: Vec::new(),
            not_before: 0,
            not_after: 0,
        },
        remarks: Vec::new(),
    };
    assert_eq!(audit(&certificate, "FILE", &domain("a.example"), 0), []);
    assert_eq!(date(0), "1970-01-01");
    assert_eq!(date(i64::MAX), "a day beyond all calendars");
}
