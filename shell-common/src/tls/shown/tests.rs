use super::*;
use crate::tls::made::{Authority, Certs, domain, params, self_made};

fn now() -> i64 {
    crate::tls::load::now()
}

#[test]
fn the_term_of_a_certificate_is_said_by_the_day_the_week_and_the_month() {
    for (days, term, words) in [
        (-3, Term::Expired, "it has expired"),
        (1, Term::Day, "less than a day is left"),
        (6, Term::Week, "less than a week is left"),
        (30, Term::Month, "less than a month is left"),
        (60, Term::Longer, "days left"),
    ] {
        let certs = Certs::new();
        certs.put("a", &self_made(&params(&["a.example"], days)));
        let shown = Shown::of_file(&certs.path("a.crt"), now()).unwrap();
        assert_eq!(shown.term, term);
        let line = shown.lines().into_iter().find(|(word, _)| *word == "valid");
        assert!(line.unwrap().1.contains(words), "{shown:?}");
    }
    let certs = Certs::new();
    certs.put("a", &self_made(&params(&["a.example"], 60)));
    let early = Shown::of_file(&certs.path("a.crt"), 0).unwrap();
    assert_eq!(early.term, Term::NotYetValid);
}

/// Against what OpenSSL prints of a certificate that never changes: `openssl x509 -fingerprint`, and `openssl x509 -pubkey | openssl
/// pkey -pubin -outform DER | sha256sum`.
#[test]
fn fingerprints_and_records_are_those_that_others_compute() {
    const PEM: &str = include_str!("fixed.pem");
    let certs = Certs::new();
    certs.write("fixed.crt", PEM);
    let shown = Shown::of_file(&certs.path("fixed.crt"), now()).unwrap();
    let sha256 = "10:FA:B3:B5:40:2F:19:30:63:34:56:3D:18:9D:25:CE:67:C4:8C:5F:B2:2D:3F:EC:71:D0:F1:2E:5B:CB:6C:CD";
    let sha1 = "35:F9:99:29:1F:1C:31:41:CC:C7:5C:E8:67:E4:31:AF:63:14:DB:1F";
    let forms = |hash: &str| {
        let lower = hash.to_lowercase();
        [hash.to_owned(), lower.clone(), lower.replace(':', "")]
    };
    let shown_forms: Vec<_> = shown
        .fingerprints()
        .into_iter()
        .map(|(_, form)| form)
        .collect();
    assert_eq!(shown_forms, [forms(sha256), forms(sha1)].concat());
    assert_eq!(
        shown.public_key_sha256,
        "a914b3034311866241ec6a12b9a69be8cd4a99538769e17a13c49701f9fe4efe"
    );
    let records = shown.tlsa(&domain("bücher.example"), &[5222, 5223]);
    assert_eq!(records.len(), 4);
    let first = format!(
        "_5222._tcp.xn--bcher-kva.example. IN TLSA 3 1 1 {}",
        shown.public_key_sha256
    );
    assert_eq!(records[0], first);
    let last = format!(
        "_5223._tcp.xn--bcher-kva.example. IN TLSA 3 0 1 {}",
        shown.sha256
    );
    assert_eq!(records[3], last);
    assert_eq!(shown.key, "ECDSA, P-256");
}

#[test]
fn what_is_sent_behind_a_certificate_is_told_with_what_it_is_there_for() {
    let root = Authority::root("root");
    let between = root.intermediate(Authority::params("between"));
    let own = between.issue(&params(&["a.example"], 60));
    let stranger = self_made(&params(&["b.example"], 60));
    let certs = Certs::new();
    let chain = format!(
        "{}{}{}",
        own.certificate, between.certificate, stranger.certificate
    );
    certs.write("a.crt", &chain);
    let shown = Shown::of_file(&certs.path("a.crt"), now()).unwrap();
    let places: Vec<_> = shown.chain.iter().map(|sent| sent.place).collect();
    assert_eq!(places, [Place::Issuer, Place::Stranger]);
    assert!(shown.chain[0].subject.contains("between"), "{shown:?}");
}
