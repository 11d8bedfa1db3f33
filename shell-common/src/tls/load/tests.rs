use std::fs;

use super::*;
use crate::tls::hosts::Begun;
use crate::tls::made::{Certs, Made, domain, lasts, params, self_made};

fn made(names: &[&str], days: i64) -> Made {
    self_made(&params(names, days))
}

/// What is said of a host: its state, and its remarks by severity.
#[derive(Debug)]
struct Said {
    state: String,
    faults: Vec<String>,
    warnings: Vec<String>,
}

fn said(loaded: &Loaded, host: &str) -> Said {
    let host = domain(host);
    let mut reports = loaded.hosts.iter();
    let report = reports.find(|report| report.host == host).unwrap();
    let texts = |severity| -> Vec<String> {
        let remarks = report.remarks.iter();
        let remarks = remarks.filter(|remark| remark.severity == severity);
        remarks.map(|remark| remark.text.clone()).collect()
    };
    let file = |source: &Source| source.file.file_name().unwrap().display().to_string();
    Said {
        state: match &report.state {
            HostState::Found(source) => format!("found {}", file(source)),
            HostState::Kept(source) => format!("kept {}", file(source)),
            HostState::Missing { .. } => "missing".to_owned(),
            HostState::Unusable => "unusable".to_owned(),
        },
        faults: texts(Severity::Fault),
        warnings: texts(Severity::Warning),
    }
}

const HOSTS: [&str; 2] = ["a.example", "b.example"];

fn hosts() -> [Domain; 2] {
    HOSTS.map(domain)
}

/// Two hosts, each with a certificate of its own.
fn two() -> (Certs, TlsHosts) {
    let certs = Certs::new();
    for host in HOSTS {
        certs.put(host, &made(&[host], 60));
    }
    let loaded = TlsHosts::load(certs.root(), &hosts(), &Policies::default());
    for host in HOSTS {
        let said = said(&loaded, host);
        assert_eq!(said.state, format!("found {host}.crt"));
        assert!(
            said.faults.is_empty() && said.warnings.is_empty(),
            "{said:?}"
        );
    }
    (certs, loaded.tls)
}

fn end_point(tls: &TlsHosts, host: &str) -> Option<Vec<u8>> {
    tls.hosts.get(&domain(host))?.first.end_point.clone()
}

/// What is said then, and what may become of the files of `a.example`.
type Harm = (&'static str, fn(&Certs));

const HARMS: [Harm; 12] = [
    ("has gone: none below", |certs| {
        certs.remove("a.example.crt")
    }),
    ("private key of this certificate is missing", |certs| {
        certs.remove("a.example.key")
    }),
    ("empty; a renewal", |certs| certs.write("a.example.crt", "")),
    ("empty; a renewal", |certs| certs.write("a.example.key", "")),
    ("cut off", |certs| {
        let whole = fs::read_to_string(certs.path("a.example.crt")).unwrap();
        certs.write("a.example.crt", &whole[..whole.len() / 2]);
    }),
    ("does not belong", |certs| {
        certs.write("a.example.key", &made(&["a.example"], 60).key);
    }),
    ("does not belong", |certs| {
        certs.write("a.example.crt", &made(&["a.example"], 60).certificate);
    }),
    ("P-521", |certs| {
        let keys = include_str!("../keys/tests/refused.pem");
        let end = keys.find("k1").unwrap();
        certs.write("a.example.key", &keys[..end]);
    }),
    ("a link to a file that does not exist", |certs| {
        certs.remove("a.example.crt");
        std::os::unix::fs::symlink("nowhere", certs.path("a.example.crt")).unwrap();
    }),
    ("expired on", |certs| {
        certs.put("a.example", &made(&["a.example"], -1))
    }),
    ("not valid before", |certs| {
        let mut later = params(&["a.example"], 60);
        later.not_before = later.not_after;
        certs.put("a.example", &self_made(&later));
    }),
    ("not for a.example", |certs| {
        certs.put("a.example", &made(&["c.example"], 60))
    }),
];

/// Whatever becomes of one host's files, it keeps what it had, the other gets what is new, and it is said.
#[test]
fn a_host_whose_files_went_bad_keeps_what_it_had_and_the_others_get_theirs() {
    for (words, harm) in HARMS {
        let (certs, before) = two();
        harm(&certs);
        certs.put("b.example", &made(&["b.example"], 90));
        let after = before.reload(certs.root(), &hosts(), &Policies::default());
        let a = said(&after, "a.example");
        assert_eq!(a.state, "kept a.example.crt", "{words}");
        assert!(a.faults[0].contains(words), "{words}: {a:?}");
        let last = a.faults.last().unwrap();
        assert!(
            last.contains("it keeps the certificate it had ("),
            "{words}: {a:?}"
        );
        assert_eq!(
            end_point(&after.tls, "a.example"),
            end_point(&before, "a.example")
        );
        let b = said(&after, "b.example");
        assert_eq!(b.state, "found b.example.crt", "{words}");
        assert!(b.faults.is_empty(), "{b:?}");
        assert_ne!(
            end_point(&after.tls, "b.example"),
            end_point(&before, "b.example")
        );

        // As long as it lasts, and not a moment longer.
        let again = after
            .tls
            .reload(certs.root(), &hosts(), &Policies::default());
        assert_eq!(said(&again, "a.example").state, "kept a.example.crt");
        certs.put("a.example", &made(&["a.example"], 90));
        let mended = again
            .tls
            .reload(certs.root(), &hosts(), &Policies::default());
        let a = said(&mended, "a.example");
        assert_eq!(a.state, "found a.example.crt", "{words}: {a:?}");
        assert!(a.faults.is_empty(), "{a:?}");
        assert_ne!(
            end_point(&mended.tls, "a.example"),
            end_point(&before, "a.example")
        );
    }
}

#[test]
fn all_hosts_keep_what_they_had_while_the_directory_is_away() {
    for harm in [fs::remove_dir_all, |path: PathBuf| {
        fs::remove_dir_all(&path)?;
        fs::write(path, "")
    }] {
        let (certs, before) = two();
        harm(certs.root().to_owned()).unwrap();
        let after = before.reload(certs.root(), &hosts(), &Policies::default());
        for host in HOSTS {
            let said = said(&after, host);
            assert_eq!(said.state, format!("kept {host}.crt"));
            assert!(!said.faults.is_empty());
            assert_eq!(end_point(&after.tls, host), end_point(&before, host));
        }
        // The scratch directory wants to be there at the end.
        let _ = fs::remove_file(certs.root());
        fs::create_dir_all(certs.root()).unwrap();
    }
}

#[test]
fn one_host_without_a_usable_certificate_leaves_the_others_alone_at_the_start() {
    let (certs, _) = two();
    certs.write("b.example.key", &made(&["b.example"], 60).key);
    let loaded = TlsHosts::load(certs.root(), &hosts(), &Policies::default());
    assert_eq!(said(&loaded, "a.example").state, "found a.example.crt");
    let b = said(&loaded, "b.example");
    assert_eq!((b.state.as_str(), b.faults.len()), ("unusable", 1));
    assert!(loaded.tls.has(&domain("a.example")) && !loaded.tls.has(&domain("b.example")));
    // There is nothing to keep.
    let again = loaded
        .tls
        .reload(certs.root(), &hosts(), &Policies::default());
    assert_eq!(said(&again, "b.example").state, "unusable");
}

/// Better than none: some clients are set to take it, and the others are told why they do not.
#[test]
fn the_only_certificate_is_used_even_if_clients_refuse_it() {
    for (made, words) in [
        (made(&["a.example"], -1), "expired on"),
        (made(&["c.example"], 60), "not for a.example"),
    ] {
        let certs = Certs::new();
        certs.put("a.example", &made);
        let loaded = TlsHosts::load(certs.root(), &hosts(), &Policies::default());
        let a = said(&loaded, "a.example");
        assert_eq!(a.state, "found a.example.crt");
        assert!(a.faults[0].contains(words), "{a:?}");
        // Nothing better was there before, so the next one of its kind takes its place.
        certs.put("a.example", &made);
        let again = loaded
            .tls
            .reload(certs.root(), &hosts(), &Policies::default());
        assert_eq!(said(&again, "a.example").state, "found a.example.crt");
    }
    // Also when only the names in it tell whose it is.
    let certs = Certs::new();
    certs.put("whatever", &made(&["a.example"], -1));
    let loaded = TlsHosts::load(certs.root(), &hosts(), &Policies::default());
    assert_eq!(said(&loaded, "a.example").state, "found whatever.crt");
}

#[test]
fn what_has_expired_is_replaced_by_whatever_comes() {
    let certs = Certs::new();
    certs.put("a.example", &made(&["a.example"], -1));
    let before = TlsHosts::load(certs.root(), &hosts(), &Policies::default()).tls;
    certs.put("a.example", &made(&["c.example"], 60));
    let after = before.reload(certs.root(), &hosts(), &Policies::default());
    assert_ne!(
        end_point(&after.tls, "a.example"),
        end_point(&before, "a.example")
    );
    // But it is kept if there is nothing.
    certs.remove("a.example.crt");
    let gone = after
        .tls
        .reload(certs.root(), &hosts(), &Policies::default());
    assert_eq!(said(&gone, "a.example").state, "kept a.example.crt");
}

/// The next best is used, unless the host has the best already.
#[test]
fn a_candidate_that_cannot_be_used_makes_room_for_the_next() {
    let certs = Certs::new();
    certs.put("new", &made(&["a.example"], 90));
    certs.put("old", &made(&["a.example"], 60));
    let best = TlsHosts::load(certs.root(), &hosts(), &Policies::default());
    assert_eq!(said(&best, "a.example").state, "found new.crt");
    let HostState::Found(source) = &best.hosts[0].state else {
        panic!("{best:?}");
    };
    assert_eq!(source.spare, [certs.path("old.crt")]);

    certs.remove("new.key");
    let loaded = TlsHosts::load(certs.root(), &hosts(), &Policies::default());
    let a = said(&loaded, "a.example");
    assert_eq!(a.state, "found old.crt");
    assert!(a.faults.is_empty() && a.warnings.len() == 2, "{a:?}");
    assert!(
        a.warnings[0].contains("private key of this certificate is missing"),
        "{a:?}"
    );
    assert!(a.warnings[1].contains("old.crt is used instead"), "{a:?}");

    let after = best
        .tls
        .reload(certs.root(), &hosts(), &Policies::default());
    let a = said(&after, "a.example");
    assert_eq!(a.state, "kept new.crt");
    assert!(
        a.faults[0].contains("private key of this certificate is missing"),
        "{a:?}"
    );
    // A file that was never in use holds nothing up.
    certs.put("old", &made(&["a.example"], 70));
    let renewed = loaded
        .tls
        .reload(certs.root(), &hosts(), &Policies::default());
    assert_eq!(said(&renewed, "a.example").state, "found old.crt");
    assert_ne!(
        end_point(&renewed.tls, "a.example"),
        end_point(&loaded.tls, "a.example")
    );
}

#[test]
fn a_copy_of_the_certificate_in_use_is_no_spare() {
    let certs = Certs::new();
    let made = made(&["a.example"], 60);
    certs.put("a.example", &made);
    certs.put("copy", &made);
    let loaded = TlsHosts::load(certs.root(), &hosts(), &Policies::default());
    let HostState::Found(source) = &loaded.hosts[0].state else {
        panic!("{loaded:?}");
    };
    assert_eq!(source.spare, [""; 0].map(PathBuf::from));
}

#[test]
fn one_that_is_not_valid_yet_does_not_win_for_lasting_longest() {
    let certs = Certs::new();
    let mut later = params(&["a.example"], 60);
    lasts(&mut later, 900);
    later.not_before = later.not_after;
    certs.put("later", &self_made(&later));
    certs.put("now", &made(&["a.example"], 60));
    let loaded = TlsHosts::load(certs.root(), &hosts(), &Policies::default());
    assert_eq!(said(&loaded, "a.example").state, "found now.crt");
}

/// A file that cannot be read might be anybody's, unless its path says whose.
#[test]
fn what_cannot_be_read_is_the_fault_of_whom_it_is_called_after() {
    for (name, whose) in [
        ("a.example.crt", Some("a.example")),
        ("live/a.example/fullchain.pem", Some("a.example")),
        ("live/a.example-0001/fullchain.pem", Some("a.example")),
        ("live/a.example-x/fullchain.pem", None),
        ("web.crt", None),
    ] {
        let certs = Certs::new();
        certs.write(name, "");
        let loaded = TlsHosts::load(certs.root(), &hosts(), &Policies::default());
        let state = |host| said(&loaded, host).state;
        let expected = if whose.is_some() {
            "unusable"
        } else {
            "missing"
        };
        assert_eq!(
            (state("a.example").as_str(), state("b.example").as_str()),
            (expected, "missing"),
            "{name}"
        );
        assert_eq!(loaded.unread.is_empty(), whose.is_some(), "{name}");
    }
}

#[test]
fn who_has_none_is_told_what_was_overlooked() {
    let certs = Certs::new();
    for name in [
        "a.example.cer",
        "b.example.CRT",
        "x/cert.pem",
        "x.p12",
        "a.example.key",
        "notes.txt",
    ] {
        certs.write(name, "x");
    }
    let loaded = TlsHosts::load(certs.root(), &hosts(), &Policies::default());
    for (report, own) in loaded.hosts.iter().zip(["a.example.cer", "b.example.CRT"]) {
        let HostState::Missing { why } = &report.state else {
            panic!("{report:?}");
        };
        assert!(why.contains("none below"), "{why}");
        assert!(
            why.contains(&format!("read, {}", certs.path(own).display())),
            "{why}"
        );
        assert!(
            !why.contains("a.example.key") && !why.contains("notes.txt"),
            "{why}"
        );
    }
}

/// What TLS offers is the administrator's word, whatever has become of the certificate.
#[test]
fn a_host_that_keeps_its_certificate_takes_over_what_is_said_of_its_tls() {
    use crate::tls::{Policy, Versions};
    let (certs, before) = two();
    let clear = Begun::by_client(Opening::Clear);
    let versions = |tls: &TlsHosts, host: &str| {
        let tls = &tls.hosts.get(&domain(host)).unwrap().first;
        let suites = &tls
            .preference(clear)
            .of(&[], &[])
            .0
            .crypto_provider()
            .cipher_suites;
        suites
            .iter()
            .map(|suite| suite.version().version)
            .collect::<Vec<_>>()
    };
    assert!(versions(&before, "a.example").contains(&rustls::ProtocolVersion::TLSv1_2));
    certs.remove("a.example.crt");
    let mut policies = Policies::default();
    let modern = Policy {
        versions: Versions::Only13,
        ..Policy::default()
    };
    let policy = HostPolicy {
        starttls: modern.clone(),
        direct: modern,
        ..HostPolicy::default()
    };
    policies.insert(domain("a.example"), policy);
    let after = before.reload(certs.root(), &hosts(), &policies);
    assert_eq!(said(&after, "a.example").state, "kept a.example.crt");
    assert_eq!(
        end_point(&after.tls, "a.example"),
        end_point(&before, "a.example")
    );
    let only = [rustls::ProtocolVersion::TLSv1_3; 3];
    assert_eq!(versions(&after.tls, "a.example"), only);
    assert!(versions(&after.tls, "b.example").len() > 3);
}
