use spondee_core::port::Opening;

use super::*;
use crate::tls::made::{Certs, Made, domain, params, self_made};
use crate::tls::{HostPolicy, HostReport, HostState, Loaded, Policies, Severity, TlsHosts};

const HOST: &str = "a.example";

fn made() -> Made {
    self_made(&params(&[HOST], 60))
}

/// A certificate that is named, with its key if that is named, too.
fn at(certs: &Certs, certificate: &str, key: Option<&str>) -> Location {
    Location {
        certificate: certs.path(certificate),
        key: key.map(|key| certs.path(key)),
    }
}

/// A directory with certificates, one of them for the host.
fn found() -> Certs {
    let certs = Certs::new();
    certs.put("certs/a.example", &made());
    certs
}

fn load(certs: &Certs, before: &TlsHosts, named: Named) -> Loaded {
    let mut policies = Policies::default();
    let policy = HostPolicy {
        certificates: named,
        ..HostPolicy::default()
    };
    policies.insert(domain(HOST), policy);
    before.reload(&certs.path("certs"), &[domain(HOST)], &policies)
}

fn all(location: Location) -> Named {
    Named {
        all: Some(location),
        direct: None,
    }
}

fn direct(location: Location) -> Named {
    Named {
        all: None,
        direct: Some(location),
    }
}

/// The file of what clients that begin so are served with.
fn served(loaded: &Loaded, certs: &Certs, opening: Opening) -> String {
    let file = |tls: &TlsHosts| {
        let served = match opening {
            Opening::Clear => None,
            Opening::Tls => tls.direct.get(&domain(HOST)),
        };
        let served = served.or_else(|| tls.hosts.get(&domain(HOST)))?;
        let file = &served.first.about.file;
        Some(file.strip_prefix(certs.root()).ok()?.display().to_string())
    };
    file(&loaded.tls).unwrap_or_default()
}

/// What is wrong, of the host and of its direct TLS.
fn faults(report: &HostReport) -> Vec<String> {
    let direct = report.direct.iter().flat_map(|direct| &direct.remarks);
    let all = report.remarks.iter().chain(direct);
    let faults = all.filter(|remark| remark.severity == Severity::Fault);
    faults.map(|remark| remark.text.clone()).collect()
}

#[test]
fn what_is_named_goes_before_what_is_found() {
    let certs = found();
    certs.put("certs/x", &made());
    certs.put("own/y", &made());
    certs.write("other/z.pem", &made().certificate);
    let key = made();
    certs.write("elsewhere/cert", &key.certificate);
    certs.write("elsewhere/its-key", &key.key);
    for (location, file) in [
        (at(&certs, "certs/x.crt", None), "certs/x.crt"),
        (at(&certs, "own/y.crt", None), "own/y.crt"),
        (at(&certs, "own", None), "own/y.crt"),
        (
            at(&certs, "elsewhere/cert", Some("elsewhere/its-key")),
            "elsewhere/cert",
        ),
    ] {
        let loaded = load(&certs, &TlsHosts::default(), all(location.clone()));
        assert_eq!(faults(&loaded.hosts[0]), [""; 0]);
        for opening in [Opening::Clear, Opening::Tls] {
            assert_eq!(served(&loaded, &certs, opening), file);
        }
        let loaded = load(&certs, &TlsHosts::default(), direct(location));
        assert_eq!(faults(&loaded.hosts[0]), [""; 0]);
        let clear = served(&loaded, &certs, Opening::Clear);
        assert_eq!(clear, "certs/a.example.crt");
        assert_eq!(served(&loaded, &certs, Opening::Tls), file);
    }
}

/// What may be wrong with a file that is named `own/x.crt`, and what is said of it.
type Wrong = (&'static str, fn(&Certs), Option<&'static str>);

const WRONGS: [Wrong; 6] = [
    ("there is no such file", |_| {}, None),
    (
        "private key of this certificate is missing",
        |certs| certs.write("own/x.crt", &made().certificate),
        None,
    ),
    (
        "does not belong",
        |certs| {
            certs.put("own/x", &made());
            certs.write("own/x.key", &made().key);
        },
        None,
    ),
    (
        "own/other.key: there is no such file",
        |certs| certs.put("own/x", &made()),
        Some("own/other.key"),
    ),
    (
        "empty; a renewal",
        |certs| certs.write("own/x.crt", ""),
        None,
    ),
    (
        "is it certs/x.crt that is meant?",
        |certs| certs.put("certs/x", &self_made(&params(&["b.example"], 60))),
        None,
    ),
];

/// It is said, and what is found is used, for all or for direct TLS.
#[test]
fn where_what_is_named_cannot_be_used_it_is_told_and_what_is_found_is_used() {
    for (words, harm, key) in WRONGS {
        let certs = found();
        harm(&certs);
        let location = at(&certs, "own/x.crt", key);
        for named in [all(location.clone()), direct(location.clone())] {
            let loaded = load(&certs, &TlsHosts::default(), named);
            let faults = faults(&loaded.hosts[0]).join("\n");
            let faults = faults.replace(&format!("{}/", certs.root().display()), "");
            assert!(faults.contains(words), "{words}: {faults}");
            for opening in [Opening::Clear, Opening::Tls] {
                assert_eq!(served(&loaded, &certs, opening), "certs/a.example.crt");
            }
        }
        // A host that has nothing else was given one all the same.
        certs.remove("certs/a.example.crt");
        let loaded = load(&certs, &TlsHosts::default(), all(location));
        assert!(matches!(loaded.hosts[0].state, HostState::Unusable));
    }
}

/// Half of a renewal, of what is named as of what is found.
#[test]
fn a_reload_keeps_what_was_named_until_the_renewal_is_whole() {
    for name in [all, direct] {
        let certs = found();
        certs.put("own/x", &made());
        let named = || name(at(&certs, "own/x.crt", None));
        let before = load(&certs, &TlsHosts::default(), named()).tls;
        let hash = |tls: &TlsHosts| {
            let own = tls.direct.get(&domain(HOST));
            let served = own.or_else(|| tls.hosts.get(&domain(HOST))).unwrap();
            served.first.about.chain_sha256
        };
        let renewal = made();
        certs.write("own/x.crt", &renewal.certificate);
        let half = load(&certs, &before, named());
        let said = faults(&half.hosts[0]).join("\n");
        assert!(said.contains("does not belong"), "{said}");
        assert!(said.contains("it keeps the certificate it had ("), "{said}");
        assert_eq!(hash(&half.tls), hash(&before));
        certs.remove("own/x.crt");
        let gone = load(&certs, &half.tls, named());
        assert_eq!(hash(&gone.tls), hash(&before));
        certs.put("own/x", &renewal);
        let whole = load(&certs, &gone.tls, named());
        assert_eq!(faults(&whole.hosts[0]), [""; 0]);
        assert_ne!(hash(&whole.tls), hash(&before));
        // Named no more, it is none that went away.
        let without = load(&certs, &whole.tls, Named::default());
        assert_eq!(faults(&without.hosts[0]), [""; 0]);
        assert_eq!(
            served(&without, &certs, Opening::Tls),
            "certs/a.example.crt"
        );
    }
}

/// Who has what clients accept is not given what they refuse, and follows the renewals of what it has.
#[test]
fn a_reload_that_names_what_clients_refuse_changes_nothing() {
    let certs = found();
    certs.put("own/x", &self_made(&params(&[HOST], -2)));
    let before = load(&certs, &TlsHosts::default(), Named::default()).tls;
    for name in [all, direct] {
        let named = || name(at(&certs, "own/x.crt", None));
        let mut loaded = load(&certs, &before, named());
        for _ in 0..2 {
            let said = faults(&loaded.hosts[0]).join("\n");
            assert!(said.contains("it expired on"), "{said}");
            for opening in [Opening::Clear, Opening::Tls] {
                assert_eq!(served(&loaded, &certs, opening), "certs/a.example.crt");
            }
            certs.put("certs/a.example", &made());
            loaded = load(&certs, &loaded.tls, named());
        }
        // A start has nothing better to keep, and does what it is told.
        let start = load(&certs, &TlsHosts::default(), named());
        assert_eq!(served(&start, &certs, Opening::Tls), "own/x.crt");
        assert!(!faults(&start.hosts[0]).is_empty());
    }
}

#[test]
fn a_directory_that_is_named_and_has_none_or_a_key_for_it_is_told() {
    let certs = found();
    certs.put("own/x", &self_made(&params(&["b.example"], 60)));
    let loaded = load(&certs, &TlsHosts::default(), all(at(&certs, "own", None)));
    let said = faults(&loaded.hosts[0]).join("\n");
    assert!(said.contains("names it or is called like it"), "{said}");
    assert!(said.contains("a.example.crt is used instead"), "{said}");
    certs.put("own/y", &made());
    let loaded = load(
        &certs,
        &TlsHosts::default(),
        all(at(&certs, "own", Some("own/y.key"))),
    );
    assert_eq!(served(&loaded, &certs, Opening::Clear), "own/y.crt");
    let remarks = &loaded.hosts[0].remarks;
    assert!(
        remarks[0].text.contains("this key is not used"),
        "{remarks:?}"
    );
}

/// Where it was found is not where it would be served.
#[test]
fn direct_tls_may_have_the_only_certificate() {
    let certs = Certs::new();
    certs.put("own/x", &made());
    let loaded = load(
        &certs,
        &TlsHosts::default(),
        direct(at(&certs, "own/x.crt", None)),
    );
    let host = domain(HOST);
    assert!(!loaded.tls.has(&host));
    assert!(loaded.tls.serves(&host, Opening::Tls) && !loaded.tls.serves(&host, Opening::Clear));
}
