use std::fs;

use spondee_core::config::TlsAvailable;
use spondee_core::federation::Permission;
use spondee_core::port::Opening;
use spondee_core::sasl::Encryption;

use super::*;
use crate::boot::boot;
use crate::scratch::Scratch;
use crate::tls::made::{Authority, Certs, domain, params, self_made};

#[test]
fn a_reload_keeps_what_only_a_restart_can_change() {
    let scratch = Scratch::new();
    let file = scratch.path().join("spondee.toml");
    let mut running = Settings::development(scratch.path());
    running.config.shards = 3;
    running.config.server_secret = [9; 32];
    let text = "data_directory = \"elsewhere\"\nthreads = 5\ntcp_backlog = 5\nmax_connections_per_address = 7\n[host.\"x.example\"]\n";
    fs::write(&file, text).unwrap();
    let mut reload = Reload::new(
        Some(file.clone()),
        running.clone(),
        running,
        Arc::default(),
        Directories::default(),
        Outgoing::of_system().unwrap(),
        Watch::Off,
    );
    let settings = Settings::load(&file).unwrap();
    let changed = reload.needs_restart(&settings);
    assert_eq!(changed.len(), 4, "{changed:?}");
    for option in [
        "data_directory",
        "threads",
        "a listening address",
        "tcp_backlog",
    ] {
        assert!(changed.contains(&option), "{changed:?}");
    }
    fs::create_dir(scratch.path().join("certs")).unwrap();
    let Reloaded {
        config,
        connections_per_address,
        ..
    } = reload.again().unwrap();
    assert_eq!(connections_per_address, Some(7));
    assert_eq!((config.shards, config.server_secret), (3, [9; 32]));
    assert!(config.hosts.keys().any(|host| host.as_str() == "x.example"));

    fs::write(&file, "nonsense").unwrap();
    assert!(!reload.again().unwrap_err().is_empty());
}

/// Options of a host are asked for anew, and each host has its own.
#[test]
fn a_reload_brings_the_options_of_hosts() {
    let certs = Certs::new();
    let mut reload = running(&certs);
    let contacts = |config: &Config| {
        ["a.example", "b.example"].map(|host| {
            let host = config.accounts(host).unwrap();
            host.roster.max_contacts
        })
    };
    assert_eq!(contacts(&reload.running.config), [1000, 1000]);
    let text = "roster_max_contacts = 20\n[host.\"a.example\"]\n[host.\"b.example\"]\nroster_max_contacts = 30\n";
    let text = format!("data_directory = \"data\"\ncertificates = \"certs\"\n{text}");
    fs::write(certs.path("spondee.toml"), text).unwrap();
    let reloaded = reload.again().unwrap();
    assert_eq!(contacts(&reloaded.config), [20, 30]);
    assert_eq!(reloaded.faults, [""; 0]);
}

/// What is in memory of accounts would not be true of guests.
#[test]
fn a_host_has_accounts_or_guests_until_the_next_start() {
    let certs = Certs::new();
    let mut reload = running(&certs);
    let text = "data_directory = \"data\"\ncertificates = \"certs\"\n[host.\"a.example\"]\nauthentication = \"anonymous\"\nroster_max_contacts = 7\n\
                [host.\"b.example\"]\nauthentication = \"internal_plain\"\n[host.\"c.example\"]\nauthentication = \"anonymous\"\n";
    fs::write(certs.path("spondee.toml"), text).unwrap();
    for _ in 0..2 {
        let reloaded = reload.again().unwrap();
        let host = |host: &str| reloaded.config.accounts(host).unwrap();
        assert_eq!(host("a.example").provider, Provider::Hashed);
        assert_eq!(host("a.example").roster.max_contacts, 1000);
        assert_eq!(host("b.example").provider, Provider::Plain);
        assert_eq!(host("c.example").provider, Provider::Anonymous);
    }
}

/// A server for two hosts with certificates, as it runs.
fn running(certs: &Certs) -> Reload {
    let file = certs.path("spondee.toml");
    let text = "certificates_watch = 60\ndata_directory = \"data\"\ncertificates = \"certs\"\n\
                [host.\"a.example\"]\n[host.\"b.example\"]\n";
    fs::write(&file, text).unwrap();
    fs::create_dir(certs.path("data")).unwrap();
    for host in ["a.example", "b.example"] {
        certs.put(&format!("certs/{host}"), &self_made(&params(&[host], 60)));
    }
    let mut settings = Settings::load(&file).unwrap();
    let watch = Watch::begin(settings.certificates_watch, &settings.certificate_paths());
    let wanted = settings.clone();
    let certificates = Certificates::settle(&mut settings, None);
    assert_eq!(certificates.faults(), [""; 0]);
    let tls = Arc::new(certificates.tls);
    let directories = Directories::default();
    let outgoing = Outgoing::of_system().unwrap();
    Reload::new(
        Some(file),
        wanted,
        settings,
        tls,
        directories,
        outgoing,
        watch,
    )
}

fn serves(reloaded: &Reloaded, host: &str) -> bool {
    let host = domain(host);
    let config = reloaded.config.accounts(&host).unwrap();
    assert_eq!(config.tls == TlsAvailable::Yes, reloaded.tls.has(&host));
    reloaded.tls.has(&host)
}

/// A renewal half way shuts nobody out.
#[test]
fn certificates_that_are_away_are_kept_and_the_answer_says_so() {
    let certs = Certs::new();
    let mut reload = running(&certs);
    let away = certs.path("away");
    fs::rename(certs.path("certs"), &away).unwrap();
    for _ in 0..2 {
        let reloaded = reload.again().unwrap();
        assert!(serves(&reloaded, "a.example") && serves(&reloaded, "b.example"));
        let faults = &reloaded.faults;
        for words in [
            "a.example",
            "b.example",
            "has gone",
            "certs does not exist",
            "it keeps the certificate it had",
        ] {
            assert!(
                faults.iter().any(|fault| fault.contains(words)),
                "{words}: {faults:?}"
            );
        }
    }
    fs::rename(&away, certs.path("certs")).unwrap();
    certs.remove("certs/b.example.key");
    let reloaded = reload.again().unwrap();
    assert!(serves(&reloaded, "a.example") && serves(&reloaded, "b.example"));
    assert!(
        reloaded
            .faults
            .iter()
            .all(|fault| fault.starts_with("host b.example: ")),
        "{:?}",
        reloaded.faults
    );

    certs.put("certs/b.example", &self_made(&params(&["b.example"], 60)));
    assert_eq!(reload.again().unwrap().faults, [""; 0]);
}

/// A new host has nothing to keep; it is named, and the others are served.
#[test]
fn a_host_that_comes_without_a_certificate_makes_the_reload_fail() {
    let certs = Certs::new();
    let mut reload = running(&certs);
    let file = certs.path("spondee.toml");
    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str("[host.\"c.example\"]\n");
    fs::write(&file, text).unwrap();
    let reloaded = reload.again().unwrap();
    assert!(serves(&reloaded, "a.example") && !serves(&reloaded, "c.example"));
    assert_eq!(reloaded.faults.len(), 1);
    assert!(
        reloaded.faults[0].contains("host c.example: nobody can sign in"),
        "{:?}",
        reloaded.faults
    );
}

#[test]
fn nothing_changes_while_the_configuration_is_away_or_half_written() {
    let certs = Certs::new();
    let mut reload = running(&certs);
    let file = certs.path("spondee.toml");
    let whole = fs::read_to_string(&file).unwrap();
    for text in [
        None,
        Some(""),
        Some("data_directory = \"data\"\n"),
        Some(&whole[..whole.len() - 4]),
    ] {
        match text {
            None => fs::remove_file(&file).unwrap(),
            Some(text) => fs::write(&file, text).unwrap(),
        }
        let faults = reload.again().unwrap_err();
        assert!(faults[0].contains("spondee.toml"), "{faults:?}");
        assert_eq!(reload.running.config.hosts.len(), 2);
    }
    fs::write(&file, whole).unwrap();
    assert_eq!(reload.again().unwrap().faults, [""; 0]);
}

/// A year is over sooner than one thinks.
#[test]
fn a_development_server_whose_certificate_has_expired_makes_another() {
    let scratch = Scratch::new();
    let certs = Certs::new();
    certs.put("localhost", &self_made(&params(&["localhost"], -1)));
    let mut settings = Settings::development(scratch.path());
    settings.certificates = certs.root().to_owned();
    let mut booted = boot(settings, None).unwrap();
    let expired = fs::read(certs.path("localhost.crt")).unwrap();
    let reloaded = booted.reload.again().unwrap();
    assert_eq!(reloaded.faults, [""; 0]);
    assert_ne!(fs::read(certs.path("localhost.crt")).unwrap(), expired);
    booted.workers.stop();
    booted.store.stop();
}

/// Later than the next look.
fn later(times: u32) -> Instant {
    Instant::now() + times * Duration::from_secs(120)
}

#[test]
fn changed_certificates_are_taken_at_a_look_and_nothing_else_is() {
    let certs = Certs::new();
    let mut reload = running(&certs);
    assert!(reload.until_look(Instant::now()).is_some());
    assert!(reload.look(later(1)).is_none());
    let file = certs.path("spondee.toml");
    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str("[host.\"c.example\"]\n");
    fs::write(&file, text).unwrap();
    certs.put("certs/a.example", &self_made(&params(&["a.example"], 70)));
    let before = Arc::clone(&reload.tls);
    let reloaded = reload.look(later(2)).unwrap();
    assert_eq!(reloaded.faults, [""; 0]);
    assert!(
        !reloaded
            .tls
            .has_same(&before, &domain("a.example"), Opening::Clear)
    );
    assert!(
        reloaded
            .tls
            .has_same(&before, &domain("b.example"), Opening::Clear)
    );
    assert_eq!(reloaded.config.hosts.len(), 2);
    assert!(reload.look(later(3)).is_none());
    // A reload by hand has read what changed before it.
    certs.put("certs/b.example", &self_made(&params(&["b.example"], 70)));
    assert_eq!(reload.again().unwrap().config.hosts.len(), 3);
    assert!(reload.look(later(4)).is_none());
}

/// Whichever comes first, certificate or key.
#[test]
fn half_of_a_renewal_is_looked_at_and_what_was_there_stays() {
    let renewal = self_made(&params(&["a.example"], 70));
    let halves = [("crt", &renewal.certificate), ("key", &renewal.key)];
    for [first, second] in [halves, [halves[1], halves[0]]] {
        let certs = Certs::new();
        let mut reload = running(&certs);
        let before = Arc::clone(&reload.tls);
        certs.write(&format!("certs/a.example.{}", first.0), first.1);
        let half = reload.look(later(1)).unwrap();
        assert!(
            serves(&half, "a.example")
                && half
                    .tls
                    .has_same(&before, &domain("a.example"), Opening::Clear)
        );
        assert!(
            half.faults[0].contains("does not belong"),
            "{:?}",
            half.faults
        );
        // Nothing is said again while nothing changes.
        assert!(reload.look(later(2)).is_none());
        certs.write(&format!("certs/a.example.{}", second.0), second.1);
        let whole = reload.look(later(3)).unwrap();
        assert_eq!(whole.faults, [""; 0]);
        assert!(
            !whole
                .tls
                .has_same(&before, &domain("a.example"), Opening::Clear)
        );
    }
}

/// That a broken certificate takes sign-in in clear away is of the moment, not of the configuration.
#[test]
fn a_host_in_clear_is_again_once_its_broken_certificate_has_gone() {
    let certs = Certs::new();
    let mut reload = running(&certs);
    let file = certs.path("spondee.toml");
    let text = "certificates_watch = 60\nc2s_require_encryption = false\ndata_directory = \"data\"\ncertificates = \"certs\"\n\
                [host.\"a.example\"]\n[host.\"c.example\"]\n";
    certs.write("certs/c.example.crt", "no certificate");
    fs::write(&file, text).unwrap();
    let encryption = |reloaded: &Reloaded| {
        let host = reloaded.config.accounts(&domain("c.example")).unwrap();
        host.sasl.encryption
    };
    assert_eq!(encryption(&reload.again().unwrap()), Encryption::Required);
    certs.remove("certs/c.example.crt");
    assert_eq!(
        encryption(&reload.look(later(1)).unwrap()),
        Encryption::Optional
    );
}

/// Who may be talked to, and who is trusted with saying who that is, changes with a reload.
#[test]
fn what_is_said_of_other_servers_is_taken_over() {
    let certs = Certs::new();
    let mut reload = running(&certs);
    let other = domain("other.example");
    let permitted = |reloaded: &Reloaded| {
        let rules = &reloaded.config.federation.rules;
        rules.permitted(&other) == Permission::Yes
    };
    assert!(permitted(&reload.again().unwrap()));
    let file = certs.path("spondee.toml");
    let text = fs::read_to_string(&file).unwrap();
    let write = |options: &str| fs::write(&file, format!("{options}\n{text}")).unwrap();
    write("s2s_refused_domains = [\"other.example\"]\ns2s_ca_file = \"ca.pem\"");
    let reloaded = reload.again().unwrap();
    assert!(!permitted(&reloaded));
    let [fault] = &reloaded.faults[..] else {
        panic!("{:?}", reloaded.faults);
    };
    assert!(
        fault.starts_with("`s2s_ca_file`: ") && fault.contains("go on to be"),
        "{fault}"
    );
    certs.write("ca.pem", &Authority::root("root").certificate);
    assert_eq!(reload.again().unwrap().faults, [""; 0]);
    // What contradicts itself changes nothing.
    write("s2s_allow_encryption = false");
    assert!(reload.again().is_err());
}
