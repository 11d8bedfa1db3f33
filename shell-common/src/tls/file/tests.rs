use super::*;
use crate::tls::certs::{Certificate, Pair};
use crate::tls::made::{Authority, Certs, Made, params, self_made};

/// An authority in between, and a certificate of it.
fn chain() -> (String, Made) {
    let root = Authority::root("root");
    let between = root.intermediate(Authority::params("between"));
    let made = between.issue(&params(&["a.example"], 60));
    (between.certificate, made)
}

fn block(label: &str) -> String {
    format!("-----BEGIN {label}-----\nAQID\n-----END {label}-----\n")
}

/// What there is to say about a certificate file and a key file, and how many certificates are sent.
fn pair(certificate: &str, key: Option<&str>) -> Result<(usize, Vec<String>), String> {
    let certs = Certs::new();
    certs.write("x.crt", certificate);
    if let Some(key) = key {
        certs.write("x.key", key);
    }
    let (path, key) = (certs.path("x.crt"), certs.path("x.key"));
    let read = Certificate::read(&path).map_err(|error| error.message)?;
    let pair = Pair::read(&read, &path, &key).map_err(|error| error.message)?;
    let remarks = pair.remarks.into_iter().chain(read.remarks).collect();
    Ok((pair.certified.cert.len(), remarks))
}

#[track_caller]
fn is_fine(certificate: &str, key: Option<&str>) {
    assert_eq!(pair(certificate, key).unwrap(), (2, Vec::new()));
}

#[track_caller]
fn is_warned(certificate: &str, key: Option<&str>, words: &[&str]) {
    let (sent, remarks) = pair(certificate, key).unwrap();
    assert!(sent >= 1);
    let [remark] = &remarks[..] else {
        panic!("{remarks:?}");
    };
    for words in words {
        assert!(remark.contains(words), "{words}: {remark}");
    }
}

#[test]
fn certificates_that_cat_joined_are_all_sent() {
    let (between, made) = chain();
    let joined = format!("{}{between}", made.certificate.trim_end());
    assert!(joined.contains("----------"));
    is_fine(&joined, Some(&made.key));
}

#[test]
fn every_name_of_a_certificate_is_understood() {
    let (between, made) = chain();
    let both = format!("{}{between}", made.certificate);
    for label in [
        "CERTIFICATE",
        "X509 CERTIFICATE",
        "X.509 CERTIFICATE",
        "TRUSTED CERTIFICATE",
    ] {
        is_fine(
            &both.replace(" CERTIFICATE-", &format!(" {label}-")),
            Some(&made.key),
        );
    }
}

/// What OpenSSL adds to a trusted certificate is not sent to clients.
#[test]
fn what_stands_behind_a_trusted_certificate_is_cut_off() {
    let (_, made) = chain();
    let engine = &base64::engine::general_purpose::STANDARD;
    let certs = Certs::new();
    let mut der = pem::blocks(made.certificate.as_bytes())
        .unwrap()
        .remove(0)
        .der
        .to_vec();
    let length = der.len();
    der.extend([0x30, 0]);
    let data = base64::Engine::encode(engine, &der);
    for (label, is_taken) in [("TRUSTED CERTIFICATE", true), ("CERTIFICATE", false)] {
        let text = format!("-----BEGIN {label}-----\n{data}\n-----END {label}-----\n");
        certs.write("x.crt", &text);
        match Certificate::read(&certs.path("x.crt")) {
            Ok(read) => assert!(is_taken && read.chain[0].len() == length),
            Err(error) => assert!(
                !is_taken && error.message.contains("line 1 is damaged"),
                "{error}"
            ),
        }
    }
}

#[test]
fn blocks_of_no_use_are_named_and_passed_over() {
    let (between, made) = chain();
    for label in [
        "DH PARAMETERS",
        "X9.42 DH PARAMETERS",
        "DSA PARAMETERS",
        "CERTIFICATE REQUEST",
        "NEW CERTIFICATE REQUEST",
        "X509 CRL",
        "PUBLIC KEY",
        "RSA PUBLIC KEY",
    ] {
        let more = block(label);
        let words = [
            format!("the block {label} in line "),
            "can be removed".to_owned(),
        ];
        let words = words.each_ref().map(String::as_str);
        let certificates = format!("{}{between}", made.certificate);
        is_warned(&format!("{more}{certificates}"), Some(&made.key), &words);
        is_warned(&certificates, Some(&format!("{}{more}", made.key)), &words);
    }
    // OpenSSL writes these in front of a key, which says the same.
    let key = block("EC PARAMETERS") + &made.key;
    is_fine(&format!("{}{between}", made.certificate), Some(&key));
}

#[test]
fn blocks_that_may_be_meant_are_refused_by_name() {
    let (between, made) = chain();
    for (label, remedy) in [
        ("PKCS7", "openssl pkcs7 -print_certs"),
        ("CMS", "openssl pkcs7 -print_certs"),
        ("CERTIFICATE CHAIN", "openssl pkcs7 -print_certs"),
        ("ATTRIBUTE CERTIFICATE", "remove it"),
        ("CERTIFCATE", "correct its BEGIN and END lines"),
        ("certificate", "correct its BEGIN and END lines"),
    ] {
        let more = block(label);
        let certificates = format!("{}{between}", made.certificate);
        for fault in [
            pair(&format!("{certificates}{more}"), Some(&made.key)).unwrap_err(),
            pair(&certificates, Some(&format!("{}{more}", made.key))).unwrap_err(),
        ] {
            assert!(fault.contains(&format!("a block \"{label}\"")), "{fault}");
            assert!(fault.contains(remedy), "{fault}");
        }
    }
}

#[test]
fn a_key_may_stand_in_the_file_of_its_certificate() {
    let (between, made) = chain();
    let all = format!("{}{}{between}", made.key, made.certificate);
    is_fine(&all, None);
    is_warned(
        &all,
        Some(&made.key),
        &["x.crt: a private key in it is not used", "x.key"],
    );
}

#[test]
fn of_several_keys_the_one_that_belongs_is_used() {
    let (between, made) = chain();
    let other = self_made(&params(&["b.example"], 60));
    let certificates = format!("{}{between}", made.certificate);
    let keys = format!("{}{}", other.key, made.key);
    is_warned(
        &certificates,
        Some(&keys),
        &["of the 2 private keys", "line 6", "remove the others"],
    );
    let fault = pair(&certificates, Some(&other.key)).unwrap_err();
    assert!(
        fault.contains("x.key: this key does not belong to the certificate"),
        "{fault}"
    );
}

#[test]
fn a_chain_in_the_file_of_the_key_is_named() {
    let (between, made) = chain();
    let key = format!("{}{between}", made.key);
    is_warned(
        &made.certificate,
        Some(&key),
        &["x.key", "line 6 (CN=between)", "move it there"],
    );
    // Of what is sent anyway nothing is lost.
    let certificates = format!("{}{between}", made.certificate);
    is_fine(&certificates, Some(&key));
}

#[test]
fn certificates_are_sent_in_their_order_however_they_are_written() {
    let (between, made) = chain();
    let certs = Certs::new();
    certs.write("right.crt", &format!("{}{between}", made.certificate));
    certs.write("wrong.crt", &format!("{between}{}", made.certificate));
    certs.write(
        "twice.crt",
        &format!("{}{between}{between}", made.certificate),
    );
    let read = |name| Certificate::read(&certs.path(name)).unwrap();
    let right = read("right.crt");
    assert_eq!(right.remarks, [""; 0]);
    let second = made.certificate.lines().count() + 1;
    let again = format!("the one in line {second} again");
    for (name, words) in [("wrong.crt", "wrong order"), ("twice.crt", again.as_str())] {
        let other = read(name);
        assert_eq!(other.chain, right.chain);
        assert_eq!(
            (other.linked, other.facts.names.clone()),
            (2, vec!["a.example".to_owned()])
        );
        assert!(other.remarks[0].contains(words), "{:?}", other.remarks);
    }
}

#[test]
fn a_damaged_certificate_behind_the_first_is_no_loss_in_silence() {
    let (_, made) = chain();
    let line = made.certificate.lines().count() + 1;
    let fault = pair(&(made.certificate + &block("CERTIFICATE")), Some(&made.key)).unwrap_err();
    assert!(
        fault.contains(&format!("the certificate in line {line} is damaged")),
        "{fault}"
    );
}

#[test]
fn says_what_a_file_is_if_not_what_was_looked_for() {
    let (_, made) = chain();
    let certs = Certs::new();
    certs.write("empty", " \n");
    std::os::unix::fs::symlink(certs.path("nowhere"), certs.path("link")).unwrap();
    for (name, words) in [
        ("empty", "empty; a renewal"),
        ("link", "a link to a file that does not exist"),
        ("gone", "no such file"),
        ("", "a directory, not a file"),
    ] {
        let fault = Certificate::read(&certs.path(name)).unwrap_err().message;
        assert!(fault.contains(words), "{fault}");
    }
    let fault = Certificate::read(Path::new("/dev/null"))
        .unwrap_err()
        .message;
    assert!(fault.contains("not a file"), "{fault}");
    let request = block("CERTIFICATE REQUEST");
    assert!(
        pair(&request, None)
            .unwrap_err()
            .contains("a request for a certificate")
    );
    assert!(
        pair(&block("X509 CRL"), None)
            .unwrap_err()
            .contains("no certificate in this file")
    );
    let public = block("PUBLIC KEY");
    let fault = pair(&made.certificate, Some(&public)).unwrap_err();
    assert!(fault.contains("a public key"), "{fault}");
}

/// Advice that took the key from a group would stop a server that reads root's key by its group.
#[test]
fn a_key_that_everybody_can_read_or_replace_is_warned_of_and_one_of_a_group_is_not() {
    let (_, made) = chain();
    let certs = Certs::new();
    certs.put("x", &made);
    let path = certs.path("x.key");
    for (mode, can) in [
        (0o600, None),
        (0o640, None),
        (0o644, Some("can read this")),
        (0o602, Some("can replace this")),
        (0o666, Some("can read and replace this")),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let exposure = PemFile::read(&path).unwrap().exposure();
        assert_eq!(exposure.is_some(), can.is_some(), "{mode:o}");
        let told = exposure.unwrap_or_default();
        assert!(can.is_none_or(|can| told.contains(can)), "{told}");
        assert!(can.is_none() || told.contains("chmod o-rwx"), "{told}");
    }
}

#[test]
fn a_certificate_that_spells_out_its_curve_is_named() {
    let fault = pair(include_str!("tests/explicit.pem"), None).unwrap_err();
    assert!(fault.contains("all parameters of its curve"), "{fault}");
}
