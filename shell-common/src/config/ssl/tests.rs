use std::path::Path;

use spondee_core::jid::Domain;

use super::*;
use crate::config::Settings;

fn read(text: &str) -> Result<Settings, Vec<String>> {
    Settings::parse(text, Path::new("spondee.toml"), Path::new("/")).map_err(|error| error.faults)
}

fn of(settings: &Settings, host: &str) -> HostPolicy {
    settings.tls.of(&Domain::parse(host).unwrap())
}

/// The one fault of these lines above a host's section.
fn fault(text: &str) -> String {
    let mut faults = read(&format!("{text}\n[host.\"a.example\"]\n")).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

#[test]
fn without_a_word_a_host_offers_the_default() {
    let settings = read("[host.\"a.example\"]\n").unwrap();
    assert_eq!(of(&settings, "a.example"), HostPolicy::default());
    let same = read("tls_profile = \"intermediate\"\n[host.\"a.example\"]\n").unwrap();
    assert_eq!(of(&same, "a.example"), HostPolicy::default());
}

#[test]
fn a_profile_is_for_all_hosts_or_for_one() {
    let settings = read(
        "tls_profile = \"modern\"\n[host.\"a.example\"]\n[host.\"b.example\"]\ntls_profile = \"intermediate\"\n",
    )
    .unwrap();
    let versions = |host| of(&settings, host).starttls.versions;
    assert_eq!(versions("a.example"), Versions::Only13);
    assert_eq!(versions("b.example"), Versions::From12);
}

#[test]
fn tables_complete_each_other_name_by_name() {
    let settings = read(
        "ssl = { protocol = \"tlsv1_2\", curveslist = \"P-256:X25519\" }\n\
         c2s_ssl = { ciphers = [\"ECDHE-RSA-AES256-GCM-SHA384\"] }\n\
         c2s_direct_tls_ssl = { protocol = \"tlsv1_3+\" }\n\
         [host.\"a.example\"]\n\
         [host.\"b.example\"]\n\
         ssl = { protocol = \"tlsv1_2+\", curve = \"secp384r1\" }\n",
    )
    .unwrap();
    let (a, b) = (of(&settings, "a.example"), of(&settings, "b.example"));
    let chosen = Suites::Chosen(vec![CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]);
    assert_eq!(a.starttls.versions, Versions::Only12);
    assert_eq!(a.direct.versions, Versions::Only13);
    assert_eq!(
        a.starttls.groups,
        [NamedGroup::secp256r1, NamedGroup::X25519]
    );
    assert_eq!(b.starttls.versions, Versions::From12);
    // What the host says goes before what is said for all, of whatever service.
    assert_eq!(b.direct.versions, Versions::From12);
    assert_eq!(b.starttls.groups, [NamedGroup::secp384r1]);
    for policy in [a.starttls, a.direct, b.starttls, b.direct] {
        assert_eq!((&policy.tls12, &policy.tls13), (&chosen, &Suites::All));
    }
}

#[test]
fn authorities_of_clients_are_those_of_the_host_or_of_all() {
    let settings = read(
        "c2s_ca_file = \"ca.pem\"\n[host.\"a.example\"]\n[host.\"b.example\"]\nc2s_ca_file = \"/etc/b.pem\"\n",
    )
    .unwrap();
    let file = |path: &str| ClientAuth::File(path.into());
    assert_eq!(of(&settings, "a.example").clients, file("/ca.pem"));
    assert_eq!(of(&settings, "b.example").clients, file("/etc/b.pem"));
    assert_eq!(HostPolicy::default().clients, ClientAuth::Off);
    for (text, words) in [
        ("c2s_ca_file = \"\"", "c2s_ca_file"),
        ("c2s_ca_file = true", "c2s_ca_file"),
        (
            "ssl = { cafile = \"ca.pem\" }",
            "`c2s_ca_file` names the authorities",
        ),
        (
            "ssl = { verify = \"peer\" }",
            "`c2s_ca_file` names the authorities",
        ),
    ] {
        assert!(fault(text).contains(words), "{text}: {}", fault(text));
    }
}

#[test]
fn dhparam_names_a_group_for_all_hosts_or_one_and_is_off_without_a_word() {
    let settings = read(
        "ssl = { dhparam = \"ffdhe2048\" }\nc2s_ssl = { ciphers = \"TLS_DHE_RSA_WITH_AES_128_GCM_SHA256\" }\n\
         [host.\"a.example\"]\n\
         [host.\"b.example\"]\nc2s_ssl = { dhparam = \"FFDHE4096\" }\n\
         [host.\"c.example\"]\nssl = { dhparam = \"none\", ciphers = \"ECDHE-RSA-AES256-GCM-SHA384\" }\n",
    )
    .unwrap();
    let dhe = |host| {
        (
            of(&settings, host).starttls.dhe,
            of(&settings, host).direct.dhe,
        )
    };
    let both = |group| (Dhe::In(group), Dhe::In(group));
    assert_eq!(dhe("a.example"), both(NamedGroup::FFDHE2048));
    assert_eq!(dhe("b.example"), both(NamedGroup::FFDHE4096));
    assert_eq!(dhe("c.example"), (Dhe::Off, Dhe::Off));
    assert_eq!(HostPolicy::default().direct.dhe, Dhe::Off);
}

#[test]
fn a_table_may_be_a_section_of_its_own() {
    let settings = read(
        "[ssl]\nprotocol = \"tlsv1_3\"\noptions = [\"no_ticket\", \"single_dh_use\"]\n[host.\"a.example\"]\n\
         [host.\"b.example\".ssl]\nprotocol = \"tlsv1_2+\"\n",
    )
    .unwrap();
    assert_eq!(of(&settings, "a.example").direct.versions, Versions::Only13);
    assert_eq!(of(&settings, "b.example").direct.versions, Versions::From12);
    assert_eq!(settings.warnings, [""; 0]);
}

#[test]
fn what_is_broken_or_not_there_is_refused_with_what_to_do() {
    for (text, words) in [
        ("tls_profile = \"old\"", "TLS 1.0 and 1.1"),
        ("tls_profile = \"legacy\"", "take \"intermediate\""),
        (
            "tls_profile = \"paranoid\"",
            "must be one of \"intermediate\", \"modern\"",
        ),
        ("tls_profile = 3", "must be text in quotes"),
        ("ssl = \"tlsv1_2\"", "`ssl` must be a table"),
        ("ssl = { protocol = \"tlsv1\" }", "take \"tlsv1_2+\""),
        ("ssl = { protocol = \"sslv3+\" }", "RFC 7568"),
        ("ssl = { protocol = \"1.3\" }", "must be one of \"tlsv1_2\""),
        ("ssl = { ciphers = [] }", "`ssl.ciphers` names nothing"),
        (
            "c2s_ssl = { ciphersuites = \"\" }",
            "`c2s_ssl.ciphersuites` names nothing",
        ),
        (
            "ssl = { curveslist = [] }",
            "`ssl.curveslist` names nothing",
        ),
        (
            "ssl = { ciphers = [\"RC4-SHA\"] }",
            "\"RC4-SHA\", which is no suite",
        ),
        (
            "ssl = { ciphers = \"ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES256-GCM-SHA384\" }",
            "names DHE-RSA-AES256-GCM-SHA384, which is for DHE, and DHE is off: add `dhparam",
        ),
        ("ssl = { ciphersuites = [7] }", "must be text in quotes"),
        (
            "ssl = { curveslist = [\"X25519\", \"P-521\"] }",
            "\"P-521\", which is not offered",
        ),
        (
            "ssl = { key = \"a.key\" }",
            "`ssl.key` names the key of no certificate",
        ),
        ("ssl = { certificate = \"\" }", "must not be empty"),
        ("certificate = [\"a.crt\"]", "must be text in quotes"),
        (
            "c2s_direct_tls_certificate = { 5223 = \"a.crt\" }",
            "must be text in quotes",
        ),
        ("ssl = { verify = \"none\" }", "asked for no certificate"),
        (
            "ssl = { protocol = \"tlsv1_2\", dhparam = \"ffdhe2048\", ciphers = \"DHE-RSA-AES128-GCM-SHA256\" }",
            "`ciphers` leaves nothing but DHE",
        ),
        (
            "ssl = { options = \"no_tlsv1_2\" }",
            "is said by `protocol`",
        ),
        ("ssl = { options = [\"cookie_exchange\"] }", "can go"),
        (
            "ssl = { cipher = \"x\" }",
            "there is no `ssl.cipher`; there are certificate, ciphers",
        ),
    ] {
        let fault = fault(text);
        assert!(fault.starts_with("spondee.toml:1: "), "{fault}");
        assert!(fault.contains(words), "{text}: {fault}");
    }
    let own = read("[host.\"a.example\"]\nssl = { protocol = \"tlsv1\" }\n").unwrap_err();
    assert!(own[0].starts_with("spondee.toml:2: "), "{own:?}");
}

/// For all clients and for direct TLS: certificate and key.
fn named(settings: &Settings, host: &str) -> [Option<[String; 2]>; 2] {
    let Named { all, direct } = of(settings, host).certificates;
    let text = |path: PathBuf| path.display().to_string();
    [all, direct].map(|location| {
        location.map(|location| [text(location.certificate.clone()), text(location.key())])
    })
}

#[test]
fn certificates_are_named_for_all_hosts_or_one_and_for_direct_tls() {
    let settings = read(
        "certificate = \"certs/all.pem\"\nc2s_direct_tls_certificate = \"/d/fullchain.pem\"\n\
         [host.\"a.example\"]\n\
         [host.\"b.example\"]\ncertificate = \"b.crt\"\n\
         [host.\"c.example\"]\ncertificate = \"b.crt\"\nssl = { certificate = \"c.crt\", key = \"keys/c\" }\n\
         c2s_direct_tls_ssl = { certificate = \"d.crt\" }\n\
         [host.\"d.example\"]\nc2s_direct_tls_certificate = \"certs/all.pem\"\n\
         [host.\"e.example\"]\nc2s_ssl = { certificate = \"e.crt\" }\nc2s_direct_tls_certificate = \"e2.crt\"\n",
    )
    .unwrap();
    let pair = |certificate: &str, key: &str| Some([certificate, key].map(str::to_owned));
    let all = pair("/certs/all.pem", "/certs/all.key");
    let direct = pair("/d/fullchain.pem", "/d/privkey.pem");
    assert_eq!(named(&settings, "a.example"), [all.clone(), direct]);
    // What the host says goes before what is said for all, of whatever service.
    assert_eq!(
        named(&settings, "b.example"),
        [pair("/b.crt", "/b.key"), None]
    );
    assert_eq!(
        named(&settings, "c.example"),
        [pair("/c.crt", "/keys/c"), pair("/d.crt", "/d.key")]
    );
    assert_eq!(named(&settings, "d.example"), [all, None]);
    assert_eq!(
        named(&settings, "e.example"),
        [pair("/e.crt", "/e.key"), pair("/e2.crt", "/e2.key")]
    );
    let paths = settings.certificate_paths();
    for path in ["/certs", "/b.crt", "/keys/c", "/e2.key"] {
        assert!(paths.contains(&PathBuf::from(path)), "{path}: {paths:?}");
    }
}

#[test]
fn dhparam_takes_nothing_but_groups_that_clients_know() {
    for (text, words) in [
        (
            "ssl = { dhparam = \"/etc/dh.pem\" }",
            "`ssl.dhparam` names a file (\"/etc/dh.pem\")",
        ),
        (
            "ssl = { dhparam = \"/etc/dh.pem\" }",
            "name a group of RFC 7919, which",
        ),
        (
            "c2s_ssl = { dhparam = \"-----BEGIN DH PARAMETERS-----\" }",
            "`c2s_ssl.dhparam` holds parameters",
        ),
        ("ssl = { dhparam = \"auto\" }", "cannot be \"auto\""),
        (
            "ssl = { dhparam = \"ffdhe1024\" }",
            "\"ffdhe2048\", \"ffdhe3072\"",
        ),
        (
            "ssl = { dhparam = 2048 }",
            "must be text in quotes, not an integer; name a group of RFC 7919",
        ),
    ] {
        let fault = fault(text);
        assert!(fault.contains(words), "{text}: {fault}");
    }
}

#[test]
fn a_list_for_a_version_that_is_not_offered_is_warned_of() {
    for (text, words) in [
        (
            "tls_profile = \"modern\"\nssl = { ciphers = \"ECDHE-RSA-AES256-GCM-SHA384\" }",
            "`ciphers` has no effect",
        ),
        (
            "ssl = { protocol = \"tlsv1_2\", ciphersuites = \"TLS_AES_256_GCM_SHA384\" }",
            "`ciphersuites` has no effect",
        ),
    ] {
        let settings = read(&format!("{text}\n[host.\"a.example\"]\n")).unwrap();
        assert_eq!(settings.warnings.len(), 1, "{:?}", settings.warnings);
        assert!(
            settings.warnings[0].contains(words),
            "{:?}",
            settings.warnings
        );
    }
}

#[cfg(feature = "aws-lc-rs")]
#[test]
fn a_group_of_tls_1_3_alone_does_not_do_for_1_2() {
    let fault = fault("ssl = { curveslist = \"X25519MLKEM768\" }");
    assert!(fault.contains("leaves no group for TLS 1.2"), "{fault}");
    read("tls_profile = \"modern\"\nssl = { curveslist = \"X25519MLKEM768\" }\n[host.a]\n")
        .unwrap();
}
