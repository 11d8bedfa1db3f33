use super::*;
use crate::tls::made::{Authority, Certs, Made, domain, params, self_made};

fn made(names: &[&str], days: i64) -> Made {
    self_made(&params(names, days))
}

fn stock(certs: &Certs) -> Stock {
    Stock::of(&[certs.root().to_owned()], crate::tls::load::now()).unwrap()
}

fn found(certs: &Certs, host: &str) -> Brought {
    stock(certs).find(&domain(host)).unwrap()
}

fn fault(certs: &Certs, host: &str) -> String {
    stock(certs).find(&domain(host)).map(|_| ()).unwrap_err()
}

/// The layouts, as the programs document them.
#[test]
fn what_certbot_lego_and_acme_sh_keep_is_found_with_its_key() {
    for (certificate, key) in [
        ("live/a.example/fullchain.pem", "live/a.example/privkey.pem"),
        ("certificates/a.example.crt", "certificates/a.example.key"),
        ("a.example_ecc/fullchain.cer", "a.example_ecc/a.example.key"),
        ("somewhere/cert.pem", "somewhere/secret.pem"),
    ] {
        let certs = Certs::new();
        let made = made(&["a.example", "www.a.example"], 60);
        certs.write(certificate, &made.certificate);
        certs.write(key, &made.key);
        // Others' beside it.
        certs.put(
            "certificates/other",
            &self_made(&params(&["b.example"], 60)),
        );
        let found = found(&certs, "a.example");
        assert_eq!(found.file, certs.path(certificate));
        // rcgen ends its lines otherwise.
        let plain = |text: &str| text.replace('\r', "");
        assert_eq!(plain(&found.certificate), plain(&made.certificate));
        assert_eq!(plain(&found.key), plain(&made.key));
    }
}

/// acme.sh and certbot keep the certificate alone beside the chain.
#[test]
fn the_chain_goes_before_the_certificate_alone_and_the_newest_before_all() {
    let authority = Authority::root("root").intermediate(Authority::params("between"));
    let (old, new) = (
        authority.issue(&params(&["a.example"], 20)),
        authority.issue(&params(&["a.example"], 80)),
    );
    let certs = Certs::new();
    for (name, made) in [("1", &old), ("2", &new)] {
        let chain = format!("{}{}", made.certificate, authority.certificate);
        certs.write(
            &format!("archive/a.example/cert{name}.pem"),
            &made.certificate,
        );
        certs.write(&format!("archive/a.example/fullchain{name}.pem"), &chain);
        certs.write(&format!("archive/a.example/privkey{name}.pem"), &made.key);
    }
    let found = found(&certs, "a.example");
    assert_eq!(found.file, certs.path("archive/a.example/fullchain2.pem"));
    assert_eq!(found.certificate.matches("BEGIN").count(), 2);
    assert!(found.remarks.is_empty(), "{:?}", found.remarks);
}

#[test]
fn what_clients_would_refuse_is_not_brought() {
    let certs = Certs::new();
    certs.put("a", &made(&["a.example"], -1));
    assert!(fault(&certs, "a.example").contains("it expired on"));
    let other = fault(&certs, "c.example");
    assert!(
        other.contains("no certificate is for c.example: ")
            && other.contains("has certificates for a.example"),
        "{other}"
    );
    let certs = Certs::new();
    certs.write("a.crt", &made(&["a.example"], 60).certificate);
    certs.write("a.key", &made(&["a.example"], 60).key);
    assert!(fault(&certs, "a.example").contains("does not belong"));
    certs.remove("a.key");
    let missing = fault(&certs, "a.example");
    assert!(
        missing.contains("private key of this certificate is missing"),
        "{missing}"
    );
}

#[test]
fn keys_are_written_in_the_form_they_have() {
    for (label, key) in [
        ("PRIVATE KEY", made(&["a.example"], 60).key),
        ("RSA PRIVATE KEY", block("RSA PRIVATE KEY", &[7; 100])),
    ] {
        let certs = Certs::new();
        certs.write("x.key", &key);
        let read = PemFile::read(&certs.path("x.key")).unwrap();
        let text = read.keys[0].pem();
        assert!(
            text.starts_with(&format!("-----BEGIN {label}-----\n")),
            "{label}"
        );
        assert!(text.lines().all(|line| line.len() <= 64));
        certs.write("y.key", &text);
        let again = PemFile::read(&certs.path("y.key")).unwrap();
        assert_eq!(*again.keys[0].pem(), *text);
    }
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let gone = Stock::of(&[PathBuf::from("/nonexistent/live")], 0);
    let fault = gone.map(|_| ()).unwrap_err().message;
    assert!(
        fault.starts_with("/nonexistent/live: there is no such file"),
        "{fault}"
    );
}

/// As a hook has them: two files, that need not lie together.
#[test]
fn a_certificate_and_a_key_that_are_named_themselves_are_a_pair() {
    let certs = Certs::new();
    let made = made(&["a.example"], 60);
    certs.write("public/chain.cer", &made.certificate);
    certs.write("private/a.key", &made.key);
    let from = ["public/chain.cer", "private/a.key"].map(|name| certs.path(name));
    let stock = Stock::of(&from, crate::tls::load::now()).unwrap();
    assert!(stock.names(&domain("a.example")) && !stock.names(&domain("b.example")));
    let found = stock.find(&domain("a.example")).unwrap();
    assert_eq!(found.file, certs.path("public/chain.cer"));
}
