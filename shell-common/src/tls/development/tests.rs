use super::*;
use crate::tls::load::now;
use crate::tls::made::{Authority, Certs, domain, params, self_made};
use crate::tls::shown::Shown;

const LOCALHOST: &str = "localhost";

/// A year and two days from now.
fn next_year() -> i64 {
    now() + 367 * 24 * 60 * 60
}

#[test]
fn an_expired_one_that_was_made_here_is_made_anew_with_the_same_key() {
    let certs = Certs::new();
    let host = domain(LOCALHOST);
    assert_eq!(renew(certs.root(), &host, now()).unwrap(), Renewal::Made);
    let key = fs::read(certs.path("localhost.key")).unwrap();
    let before = fs::read(certs.path("localhost.crt")).unwrap();
    assert_eq!(renew(certs.root(), &host, now()).unwrap(), Renewal::Left);
    assert_eq!(
        renew(certs.root(), &host, next_year()).unwrap(),
        Renewal::Renewed
    );
    assert_eq!(fs::read(certs.path("localhost.key")).unwrap(), key);
    assert_ne!(fs::read(certs.path("localhost.crt")).unwrap(), before);
}

#[test]
fn one_that_an_authority_issued_or_that_cannot_be_read_is_left_alone() {
    let certs = Certs::new();
    let host = domain(LOCALHOST);
    certs.put(
        LOCALHOST,
        &Authority::root("root").issue(&params(&[LOCALHOST], 60)),
    );
    assert_eq!(
        renew(certs.root(), &host, next_year()).unwrap(),
        Renewal::Left
    );
    certs.write("localhost.crt", "no certificate");
    assert_eq!(
        renew(certs.root(), &host, next_year()).unwrap(),
        Renewal::Left
    );
    // Without its key nothing can be made of one.
    let certs = Certs::new();
    certs.put(LOCALHOST, &self_made(&params(&[LOCALHOST], 60)));
    certs.write("localhost.key", "no key");
    let fault = renew(certs.root(), &host, next_year()).unwrap_err();
    assert!(fault.message.contains("localhost.key"), "{fault}");
}

#[test]
fn one_that_is_made_lasts_as_long_as_was_asked_for_and_replaces_none() {
    let certs = Certs::new();
    let host = domain("a.example");
    let (certificate, key) = generate(certs.root(), &host, 30, Owner::Maker).unwrap();
    assert_eq!(
        (&certificate, &key),
        (&certs.path("a.example.crt"), &certs.path("a.example.key"))
    );
    let shown = Shown::of_file(&certificate, now()).unwrap();
    assert!((29..=30).contains(&shown.days_left), "{shown:?}");
    assert_eq!(shown.names, ["a.example"]);
    let again = generate(certs.root(), &host, 30, Owner::Maker).unwrap_err();
    assert!(again.message.contains("is there already"), "{again}");
}

#[test]
fn a_request_is_for_the_key_beside_it() {
    let certs = Certs::new();
    let host = domain("a.example");
    let (request_path, key_path) = request(certs.root(), &host, Owner::Maker).unwrap();
    let key = fs::read(&key_path).unwrap();
    let text = fs::read_to_string(&request_path).unwrap();
    assert!(
        text.starts_with("-----BEGIN CERTIFICATE REQUEST-----"),
        "{text}"
    );
    request(certs.root(), &host, Owner::Maker).unwrap();
    assert_eq!(fs::read(&key_path).unwrap(), key);
    let (_, public) = (
        text,
        KeyPair::from_pem(&String::from_utf8(key).unwrap()).unwrap(),
    );
    assert!(public.is_compatible(&PKCS_ECDSA_P256_SHA256));
}
