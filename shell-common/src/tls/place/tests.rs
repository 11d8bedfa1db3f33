use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::tls::made::{Certs, Made, domain, params, self_made};
use crate::tls::{HostState, Policies, TlsHosts};

fn made() -> Made {
    self_made(&params(&["a.example"], 60))
}

fn place(certs: &Certs) -> Place {
    Place::of(certs.root(), &domain("a.example"), Owner::Maker).unwrap()
}

/// A server that reads at any moment has a pair that belongs together, as it had before.
#[test]
fn whenever_a_server_reads_it_finds_a_certificate_with_its_key() {
    let (old, new) = (made(), made());
    let beside = |certs: &Certs| certs.put("a.example", &old);
    let inside = |certs: &Certs| {
        let both = format!("{}{}", old.certificate, old.key);
        certs.write("a.example.crt", &both);
    };
    for before in [&beside as &dyn Fn(&Certs), &inside] {
        let certs = Certs::new();
        before(&certs);
        let place = place(&certs);
        for step in place.steps(&new.certificate, &new.key).unwrap() {
            step.perform(&place).unwrap();
            let loaded = TlsHosts::load(certs.root(), &[domain("a.example")], &Policies::default());
            let report = &loaded.hosts[0];
            assert!(matches!(report.state, HostState::Found(_)), "{report:?}");
        }
        let read = |path| fs::read_to_string(path).unwrap();
        assert_eq!(read(&place.certificate), new.certificate);
        assert_eq!(read(&place.key), new.key);
    }
}

#[test]
fn what_is_put_is_its_owners_alone_and_leaves_nothing_beside() {
    let certs = Certs::new();
    let directory = certs.path("not/there");
    let place = Place::of(&directory, &domain("a.example"), Owner::Maker).unwrap();
    let made = made();
    place.put(&made.certificate, &made.key).unwrap();
    // As one that was killed leaves it.
    fs::write(directory.join(".a.example.key.new"), "half a ke").unwrap();
    place.put(&made.certificate, &made.key).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!((mode(&place.certificate), mode(&place.key)), (0o600, 0o600));
    let mut names: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a.example.crt", "a.example.key"]);
}

#[test]
fn one_file_for_all_hosts_is_not_written_over() {
    let certs = Certs::new();
    certs.write("all.pem", "");
    let fault = Place::of(&certs.path("all.pem"), &domain("a.example"), Owner::Maker);
    let fault = fault.unwrap_err().message;
    assert!(fault.contains("name a directory there"), "{fault}");
}

/// The server's user could lay such a link, and would be given what root reads.
#[test]
fn a_link_to_a_key_is_not_followed_where_root_writes_for_another() {
    let certs = Certs::new();
    certs.write("elsewhere/secret.key", &made().key);
    let key = certs.path("a.example.key");
    std::os::unix::fs::symlink(certs.path("elsewhere/secret.key"), &key).unwrap();
    assert!(old_key(&key, Owner::Maker).unwrap().is_some());
    assert!(old_key(&key, Owner::Other(1, 1)).unwrap().is_none());
    let missing = certs.path("b.example.key");
    assert!(old_key(&missing, Owner::Maker).unwrap().is_none());
}

#[test]
fn what_cannot_be_written_is_said_with_who_could() {
    let certs = Certs::new();
    let denied = CertError::writing(certs.root(), &io::ErrorKind::PermissionDenied.into());
    assert!(
        denied.message.contains("run this as root, or as the user"),
        "{denied}"
    );
    // A directory in the place of the file.
    fs::create_dir_all(certs.path("a.example.crt")).unwrap();
    let made = made();
    let fault = place(&certs).put(&made.certificate, &made.key).unwrap_err();
    assert!(
        fault.message.contains("a.example.crt: cannot be written: "),
        "{fault}"
    );
}
