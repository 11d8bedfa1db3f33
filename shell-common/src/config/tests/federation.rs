//! What is said of other servers.

use spondee_core::federation::{Bidi, Encryption, Listed, Need, Permission};
use spondee_core::limits::{S2S_RETRY_FOR, S2S_STANZA_BYTES, S2S_TIMEOUT};

use spondee_core::port::Expected;

use super::*;
use crate::tls::Versions;

const HOST: &str = "[host.\"a.example\"]\n";

fn settings(text: &str) -> Settings {
    read(&format!("{text}\n{HOST}")).unwrap()
}

fn federation(text: &str) -> FederationOptions {
    settings(text).config.federation
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

/// The only warning.
fn warning(text: &str) -> String {
    let mut warnings = settings(text).warnings;
    assert_eq!(warnings.len(), 1, "{text}: {warnings:?}");
    warnings.remove(0)
}

fn of_servers(settings: &Settings) -> Vec<String> {
    let listen = settings.listen.iter();
    let is_it = |listen: &&Listen| listen.listener.expected == Expected::Servers;
    let each = listen.filter(is_it);
    each.map(|listen| listen.address.to_string()).collect()
}

#[test]
fn a_server_talks_to_everybody_who_has_a_certificate() {
    let options = federation("");
    let rules = &options.rules;
    assert_eq!(rules.encryption(), Encryption::Required);
    assert_eq!(rules.permitted(&domain("b.example")), Permission::Yes);
    let (need, _) = rules.need(Some(&domain("b.example")));
    assert_eq!(need, Need::Certificate);
    assert_eq!(options.timeout, S2S_TIMEOUT);
    assert_eq!(options.retry_for, S2S_RETRY_FOR);
    assert_eq!(options.stanza_bytes, S2S_STANZA_BYTES);
    assert!(options.dialback_secret.is_none());
    assert!(options.private_networks.is_empty());
    assert_eq!(settings("").warnings, [""; 0]);
    assert_eq!(of_servers(&settings("")), ["0.0.0.0:5269", "[::]:5269"]);
    for line in [
        "s2s_secure_auth = true",
        "s2s_require_encryption = true",
        "s2s_allow_encryption = true",
        "s2s_allowed_domains = [\"*\"]",
        "s2s_retry_for = \"10 minutes\"",
        "s2s_ports = [5269]",
        "s2s_direct_tls_ports = []",
        "s2s_send_queue_size = 32768",
        "s2s_stanza_size_limit = 524288",
    ] {
        assert!(EXAMPLE.contains(&format!("\n{line}\n")), "{line}");
    }
}

#[test]
fn every_option_of_links_is_taken_over() {
    let options = federation(
        "s2s_secure_auth = false\n\
         s2s_require_encryption = false\n\
         s2s_secure_domains = [\"Bank.example\", \"b.example\"]\n\
         s2s_allowed_domains = [\"b.example\", \"bank.example\", \"c.example\"]\n\
         s2s_refused_domains = \"spam.example\"\n\
         s2s_timeout = 30\n\
         s2s_close_timeout = 1\n\
         s2s_retry_for = \"1 hour\"\n\
         s2s_send_queue_size = 10\n\
         s2s_stanza_size_limit = 20000\n\
         s2s_bidi = false\n\
         s2s_private_networks = [\"127.0.0.0/8\", \"fd00::7\"]\n\
         dialback_secret = \"shared\"",
    );
    let rules = &options.rules;
    assert_eq!(rules.encryption(), Encryption::Optional);
    assert_eq!(rules.listed(&domain("bank.example")), Listed::Secure);
    let permitted = |name| rules.permitted(&domain(name));
    assert_eq!(permitted("c.example"), Permission::Yes);
    assert_eq!(permitted("x.c.example"), Permission::NotAllowed);
    assert_eq!(permitted("spam.example"), Permission::Refused);
    assert_eq!(options.timeout, Duration::from_secs(30));
    assert_eq!(options.close_timeout, Duration::from_secs(1));
    assert_eq!(options.retry_for, Duration::from_secs(3600));
    assert_eq!(options.send_queue_size, 10);
    assert_eq!(options.stanza_bytes, 20_000);
    assert_eq!(options.bidi, Bidi::No);
    assert_eq!(options.private_networks.len(), 2);
    assert!(options.dialback_secret.is_some());
}

#[test]
fn who_talks_to_nobody_has_no_port_for_servers() {
    let alone = settings("s2s_allowed_domains = []");
    assert!(alone.config.federation.rules.are_isolated());
    assert_eq!(of_servers(&alone), [""; 0]);
    // Nor does it matter that the port would be another's.
    let same = settings("s2s_allowed_domains = []\nc2s_ports = [5269]");
    assert_eq!(of_servers(&same), [""; 0]);
    let development = Settings::development(Path::new("/nowhere"));
    assert!(development.config.federation.rules.are_isolated());
    assert_eq!(of_servers(&development), [""; 0]);
}

#[test]
fn options_that_cannot_be_together_are_told_at_the_one_the_file_has() {
    for (text, words) in [
        (
            "\ns2s_allow_encryption = false",
            "spondee.toml:2: `s2s_allow_encryption = false` forbids encryption, and `s2s_require_encryption` requires it; remove \
             `s2s_allow_encryption`, or write `s2s_require_encryption = false` and `s2s_secure_auth = false`, too",
        ),
        (
            "s2s_require_encryption = false\ns2s_allow_encryption = false",
            "spondee.toml:2: `s2s_allow_encryption = false` forbids encryption, and `s2s_secure_auth` wants certificates, which need it; \
             remove `s2s_allow_encryption`, or write `s2s_secure_auth = false`, too",
        ),
        (
            "s2s_allow_encryption = false\ns2s_secure_auth = false\ns2s_require_encryption = false\ns2s_secure_domains = \"b.example\"",
            "spondee.toml:1: `s2s_allow_encryption = false` forbids encryption, and `s2s_secure_domains` wants a certificate of b.example, \
             which needs it; remove `s2s_allow_encryption`, or write `s2s_secure_domains = []`, too",
        ),
    ] {
        assert_eq!(fault(text), words);
    }
    let clear = federation(
        "s2s_allow_encryption = false\ns2s_secure_auth = false\ns2s_require_encryption = false",
    );
    assert_eq!(clear.rules.encryption(), Encryption::Forbidden);
    // What is wrong by itself is told alone.
    fault("s2s_allow_encryption = false\ns2s_secure_auth = \"no\"\ns2s_require_encryption = false");
}

#[test]
fn what_does_nothing_or_less_than_it_seems_is_warned_of() {
    let (secure, insecure) = (
        "s2s_secure_domains = [\"b.example\"]",
        "s2s_insecure_domains = [\"b.example\"]",
    );
    assert_eq!(
        warning(secure),
        "`s2s_secure_domains` has no effect while `s2s_secure_auth` is true"
    );
    assert_eq!(
        warning(&format!("s2s_secure_auth = false\n{insecure}")),
        "`s2s_insecure_domains` has no effect while `s2s_secure_auth` is false"
    );
    let of_both = |auth: &str| settings(&format!("{auth}\n{secure}\n{insecure}")).warnings;
    let strict = of_both("s2s_secure_auth = true");
    assert_eq!(strict.len(), 2, "{strict:?}");
    assert!(strict[0].contains("it needs no certificate"), "{strict:?}");
    let lax = of_both("s2s_secure_auth = false");
    assert!(lax[0].ends_with("it needs a certificate"), "{lax:?}");
    let one = settings("s2s_refused_domains = \"b.example\"").warnings;
    assert_eq!(one, [""; 0]);
    let both = "s2s_allowed_domains = [\"b.example\"]\ns2s_refused_domains = \"b.example\"";
    assert!(warning(both).ends_with("it is refused"));
}

#[test]
fn a_domain_that_is_none_is_told() {
    for text in [
        "s2s_allowed_domains = [\"*.example\"]",
        "s2s_secure_domains = [\"b..example\"]",
        "s2s_insecure_domains = [\"romeo@b.example\"]",
        "s2s_refused_domains = [\"\"]",
    ] {
        let fault = fault(text);
        assert!(fault.contains("stands for itself alone"), "{fault}");
    }
    let network = fault("s2s_private_networks = [\"private\"]");
    assert!(network.contains("such as \"192.0.2.0/24\""), "{network}");
}

#[test]
fn a_port_for_clients_and_for_servers_is_told_where_the_file_names_it() {
    for (text, words) in [
        (
            "c2s_ports = [\n 5222,\n 5269\n]",
            "spondee.toml:3: `c2s_ports` names port 5269, which `s2s_ports` has already, where other servers connect: take it out here, or set \
             `s2s_ports`, which is [5269] where nothing is said",
        ),
        (
            "\ns2s_ports = 5222",
            "spondee.toml:2: `s2s_ports` names port 5222, which `c2s_ports` has already, where a stream starts in clear: take it out here, or set \
             `c2s_ports`, which is [5222] where nothing is said",
        ),
        (
            "s2s_direct_tls_ports = [5270, 5223]",
            "spondee.toml:1: `s2s_direct_tls_ports` names port 5223, which `c2s_direct_tls_ports` has already, where TLS comes first: take it \
             out here, or set `c2s_direct_tls_ports`, which is [5223] where nothing is said",
        ),
        (
            "s2s_ports = [5270]\ns2s_direct_tls_ports = [5270]",
            "spondee.toml:2: `s2s_direct_tls_ports` names port 5270, which `s2s_ports` has already, where other servers connect: take it out of \
             `s2s_direct_tls_ports` or of `s2s_ports`",
        ),
    ] {
        assert_eq!(fault(text), words);
    }
    settings("s2s_interfaces = \"127.0.0.2\"\nc2s_interfaces = \"127.0.0.1\"\ns2s_ports = 5222");
}

#[test]
fn clients_need_a_port_whatever_servers_have() {
    let told = fault("c2s_ports = []\nc2s_direct_tls_ports = []");
    assert!(told.contains("nothing to listen on for clients"), "{told}");
    let none = settings("s2s_ports = []");
    assert_eq!(of_servers(&none), [""; 0]);
    assert!(!none.config.federation.rules.are_isolated());
}

#[test]
fn nobody_else_is_looked_for_at_an_address_of_ours() {
    let own =
        federation("s2s_interfaces = [\"127.0.0.1\", \"*\"]\ns2s_direct_tls_ports = [5270]").own;
    assert_eq!(own, ["127.0.0.1:5269".parse().unwrap()]);
}

#[test]
fn other_servers_have_tls_of_their_own() {
    let settings = settings(
        "ssl = { protocol = \"tlsv1_2+\" }\nc2s_ssl = { protocol = \"tlsv1_3\" }\ns2s_ssl = { curveslist = [\"P-384\"] }",
    );
    let policy = settings.tls.of(&domain("a.example"));
    assert_eq!(policy.servers.versions, Versions::From12);
    assert_eq!(policy.servers.groups.len(), 1);
    assert_eq!(policy.starttls.versions, Versions::Only13);
    assert!(policy.starttls.groups.len() > 1);
    let told = fault("s2s_ssl = { certificate = \"x.crt\" }");
    assert!(told.contains("use `certificate`"), "{told}");
    assert_eq!(settings.s2s_ca_file, None);
    let file = self::settings("s2s_ca_file = \"ca.pem\"").s2s_ca_file;
    assert_eq!(file.as_deref(), Some(Path::new("/etc/spondee/ca.pem")));
}
