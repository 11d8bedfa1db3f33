mod components;
mod federation;
mod ldap;
mod mistakes;
mod options;

use std::fs;
use std::time::Duration;

use spondee_core::config::ConflictResolve;
use spondee_core::rate::Rate;
use spondee_core::sasl::{ChannelBindings, Encryption, Mechanism, Provider, Transport, offer};

use super::*;

fn read(text: &str) -> Result<Settings, Vec<String>> {
    Settings::parse(text, Path::new("spondee.toml"), Path::new("/etc/spondee"))
        .map_err(|error| error.faults)
}

fn faults(text: &str) -> Vec<String> {
    read(text).unwrap_err()
}

/// The one fault of a text whose host's section is added.
fn fault(text: &str) -> String {
    let mut faults = faults(&format!("{text}\n[host.\"a.example\"]\n"));
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

fn host<'a>(settings: &'a Settings, name: &str) -> &'a HostConfig {
    settings
        .config
        .accounts(&Domain::parse(name).unwrap())
        .unwrap()
}

#[test]
fn a_host_alone_is_a_configuration() {
    let settings = read("[host.\"example.org\"]\n").unwrap();
    assert_eq!(*host(&settings, "example.org"), HostConfig::default());
    assert_eq!(settings.config.limits, Limits::default());
    assert_eq!(settings.config.server_secret, [0; 32]);
    assert!(settings.config.shards >= 1);
    assert_eq!(settings.data_directory, Path::new("/var/lib/spondee"));
    assert_eq!(settings.certificates, Path::new("/etc/spondee/certs"));
    let listen: Vec<_> = settings
        .listen
        .iter()
        .map(|listen| (listen.address.to_string(), listen.listener))
        .collect();
    let expected = [
        ("0.0.0.0:5222", Listener::of_clients(Opening::Clear)),
        ("[::]:5222", Listener::of_clients(Opening::Clear)),
        ("0.0.0.0:5223", Listener::of_clients(Opening::Tls)),
        ("[::]:5223", Listener::of_clients(Opening::Tls)),
        ("0.0.0.0:5269", Listener::of_servers(Opening::Clear)),
        ("[::]:5269", Listener::of_servers(Opening::Clear)),
    ];
    assert_eq!(
        listen,
        expected.map(|(address, listener)| (address.to_owned(), listener))
    );
    assert!(settings.warnings.is_empty());
}

#[test]
fn the_example_gives_the_defaults() {
    let example = read(&EXAMPLE).unwrap();
    let shortest = read("[host.\"example.org\"]\n").unwrap();
    assert_eq!(format!("{example:?}"), format!("{shortest:?}"));
}

#[test]
fn the_example_names_every_option_and_its_other_values_are_valid() {
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            Some(_) | None => format!("{line}\n"),
        })
        .collect();
    // The only values that are not values but places, where there is nothing.
    let mut text = uncommented.clone();
    for secret in ["ldap_password", "dialback_secret", "component_secret"] {
        let place = format!("{{ file = \"/etc/spondee/{secret}\" }}");
        assert!(text.contains(&place));
        text = text.replace(&place, "\"secret\"");
    }
    let settings = read(&text).unwrap();
    let other = host(&settings, "example.net");
    assert_eq!(other.sasl.encryption, Encryption::Optional);
    assert_eq!(other.conflict, ConflictResolve::Increment);
    assert_eq!(other.rounds, 20_000);
    for asked in super::options::ASKED.iter() {
        let option = asked.option.name;
        let named = uncommented
            .lines()
            .any(|line| line.starts_with(&format!("{option} = ")));
        assert!(named, "{option} is missing");
    }
}

#[test]
fn a_host_overrides_what_stands_above() {
    let settings = read(
        "c2s_require_encryption = false\n\
         disable_sasl_mechanisms = [\"PLAIN\"]\n\
         conflict_resolve = \"random\"\n\
         default_iteration_count = 5000\n\
         [host.\"a.example\"]\n\
         [host.\"b.example\"]\n\
         c2s_require_encryption = true\n\
         disable_sasl_mechanisms = []\n\
         conflict_resolve = \"kick_new\"\n",
    )
    .unwrap();
    let (a, b) = (host(&settings, "a.example"), host(&settings, "b.example"));
    assert_eq!(a.sasl.encryption, Encryption::Optional);
    assert_eq!(a.sasl.disable, ["PLAIN"]);
    assert_eq!(a.conflict, ConflictResolve::Random);
    assert_eq!(b.sasl.encryption, Encryption::Required);
    assert!(b.sasl.disable.is_empty());
    assert_eq!(b.conflict, ConflictResolve::KickNew);
    assert_eq!((a.rounds, b.rounds), (5000, 5000));
}

/// As the example says for clients that bind by what there is not.
#[test]
fn channel_binding_is_switched_off_by_the_names_that_the_example_gives() {
    let names = Mechanism::ALL
        .into_iter()
        .filter(|known| known.binds())
        .map(|known| format!("\"{}\"", known.name()));
    let names: Vec<String> = names.collect();
    assert!(names.iter().all(|name| EXAMPLE.contains(name)), "{names:?}");
    let text = format!("disable_sasl_mechanisms = [{}]\n", names.join(", "));
    let settings = read(&format!("{text}[host.\"a.example\"]\n")).unwrap();
    assert_eq!(settings.warnings, [""; 0]);
    let tls = Transport::Tls(ChannelBindings {
        exporter: Some([1; 32]),
        end_point: Some(vec![2; 32]),
    });
    let offer = offer(&host(&settings, "a.example").sasl, Provider::Hashed, &tls).unwrap();
    let left = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"];
    assert!(offer.mechanisms.iter().map(|m| m.name()).eq(left));
    assert_eq!(offer.bindings, [""; 0]);
}

/// prosody: `allow_unencrypted_plain_auth` empties the default of `insecure_sasl_mechanisms`, not a written one.
#[test]
fn allowing_plain_without_tls_empties_the_default_list_only() {
    let settings = read(
        "c2s_require_encryption = false\n\
         allow_unencrypted_plain_auth = true\n\
         [host.\"a.example\"]\n\
         [host.\"b.example\"]\n\
         insecure_sasl_mechanisms = [\"PLAIN\"]\n\
         [host.\"c.example\"]\n\
         allow_unencrypted_plain_auth = false\n",
    )
    .unwrap();
    let insecure = |name| host(&settings, name).sasl.insecure.clone();
    assert!(insecure("a.example").is_empty());
    assert_eq!(insecure("b.example"), ["PLAIN"]);
    assert_eq!(insecure("c.example"), ["PLAIN", "LOGIN"]);
}

#[test]
fn reads_limits_threads_and_directories() {
    let settings = read(
        "data_directory = \"data\"\ncertificates = \"/etc/certs\"\nthreads = 3\nlog_level = \"debug\"\n\
         c2s_timeout = \"5 minutes\"\nc2s_close_timeout = 7\nc2s_stanza_size_limit = 10_000\n\
         [host.localhost]\n",
    )
    .unwrap();
    assert_eq!(settings.data_directory, Path::new("/etc/spondee/data"));
    assert_eq!(settings.certificates, Path::new("/etc/certs"));
    assert_eq!(settings.config.shards, 3);
    assert_eq!(settings.log_level, LogLevel::Debug);
    let limits = &settings.config.limits;
    assert_eq!(limits.negotiation, Duration::from_secs(300));
    assert_eq!(limits.until_tls, Duration::from_secs(150));
    assert_eq!(limits.sasl_delay, Duration::from_secs(5));
    assert_eq!(limits.close, Duration::from_secs(7));
    assert_eq!(limits.c2s_stanza_bytes, 10_000);
}

/// However short it is, a sign-in that is held up can be answered before its stream ends.
#[test]
fn a_short_timeout_makes_late_answers_come_sooner() {
    let settings = read("c2s_timeout = 6\n[host.localhost]\n").unwrap();
    let limits = &settings.config.limits;
    assert_eq!(limits.sasl_delay, Duration::from_millis(500));
    assert!(limits.sasl_delay * u32::from(limits.sasl_failures) < limits.negotiation / 2);
}

#[test]
fn reads_how_fast_clients_may_send_and_who_may_send_faster() {
    let settings = read(
        "unlimited_jids = [\"bot@localhost\"]\n[limits.c2s]\nrate = \"10kb/s\"\nburst = \"3s\"\n\
         [host.localhost]\n[host.\"x.example\"]\nunlimited_jids = \"Fast@X.example\"\n",
    )
    .unwrap();
    let rate = |burst| {
        Some(Rate {
            bytes_per_second: 10_000,
            burst: Duration::from_secs(burst),
        })
    };
    assert_eq!(settings.config.limits.c2s_rate, rate(3));
    let jids: Vec<_> = settings
        .config
        .realms()
        .map(|(_, host)| &host.unlimited_jids)
        .collect();
    assert_eq!(jids[0][0].as_str(), "bot@localhost");
    assert_eq!(jids[1][0].as_str(), "fast@x.example");
    let short = read("limits = { c2s = { rate = \"10kb/s\" } }\n[host.localhost]\n").unwrap();
    assert_eq!(short.config.limits.c2s_rate, rate(2));
    assert_eq!(short.config.limits.s2s_rate, None);
    let servers = read(
        "limits = { c2s = { rate = \"10kb/s\" }, s2sin = { rate = \"30kb/s\", burst = \"4s\" } }\n[host.localhost]\n",
    );
    let limits = servers.unwrap().config.limits;
    assert_eq!(limits.c2s_rate, rate(2));
    assert_eq!(
        limits.s2s_rate,
        Some(Rate {
            bytes_per_second: 30_000,
            burst: Duration::from_secs(4),
        })
    );
    let limits = read("[host.localhost]\n").unwrap().config.limits;
    assert_eq!((limits.c2s_rate, limits.s2s_rate), (None, None));
}

#[test]
fn reads_the_limits_of_connections_sessions_and_sign_ins() {
    let settings = read(
        "max_connections = 500\nmax_connections_per_address = 20\ntcp_backlog = 64\n\
         c2s_queue_size_limit = 300_000\nc2s_account_queue_size_limit = 500_000\nmax_sessions_per_account = 3\n\
         sasl_failures_per_stream = 2\nsasl_failures_per_address = 0\nsasl_failures_per_account = 7\n\
         sasl_failure_forgiven_after = \"2 minutes\"\n\
         unlimited_addresses = [\"192.0.2.0/24\", \"::1\"]\n[host.localhost]\n",
    )
    .unwrap();
    let connections = Connections {
        max: Some(500),
        per_address: Some(20),
        backlog: 64,
    };
    assert_eq!(settings.connections, connections);
    let limits = &settings.config.limits;
    assert_eq!(limits.session_queue_bytes, 300_000);
    assert_eq!(limits.account_queue_bytes, 500_000);
    assert_eq!(limits.sessions_per_account, 3);
    assert_eq!(limits.sasl_failures, 2);
    assert_eq!(limits.sasl_failures_per_address, 0);
    assert_eq!(limits.sasl_failures_per_account, 7);
    let forgiven = Duration::from_secs(120);
    assert_eq!(limits.sasl_failure_forgiven_after, forgiven);
    let loopback = limits.unlimited_addresses[1];
    assert!(loopback.contains(Ipv6Addr::LOCALHOST.into()));
    let none = read("max_connections_per_address = 0\n[host.localhost]\n").unwrap();
    assert_eq!(none.connections.per_address, None);
}

#[test]
fn listens_where_it_is_told() {
    let settings = read(
        "interfaces = \"127.0.0.1\"\nc2s_direct_tls_interfaces = [\"::1\"]\nc2s_ports = 15222\n\
         c2s_direct_tls_ports = [443, 5223]\ns2s_interfaces = \"::1\"\ns2s_direct_tls_ports = 5270\n\
         s2s_direct_tls_interfaces = []\n[host.localhost]\n",
    )
    .unwrap();
    let addresses: Vec<_> = settings
        .listen
        .iter()
        .map(|listen| listen.address.to_string())
        .collect();
    assert_eq!(
        addresses,
        ["127.0.0.1:15222", "[::1]:443", "[::1]:5223", "[::1]:5269"]
    );
}

#[test]
fn tells_all_faults_at_once_in_the_order_of_lines() {
    let faults = faults(
        "c2s_prots = [5222]\n\
         threads = 0\n\
         c2s_require_encryption = \"yes\"\n\
         c2s_ports = [\n  5222,\n  \"5223\",\n  70000,\n]\n\
         s2s_tcp_keepalives = true\n\
         [host.\"a.example\"]\n\
         conflict_resolve = \"kick\"\n\
         c2s_timeout = 5\n\
         [host.\"b..example\"]\n",
    );
    let expected = [
        "spondee.toml:1: there is no option `c2s_prots`; did you mean `c2s_ports`?",
        "spondee.toml:2: `threads` must be a whole number from 1 to 256, not 0",
        "spondee.toml:3: `c2s_require_encryption` must be true or false, not a string; write true, without quotes",
        "spondee.toml:6: `c2s_ports` must be a whole number from 1 to 65535, not a string; write 5223, without quotes",
        "spondee.toml:7: `c2s_ports` must be a whole number from 1 to 65535, not 70000",
        "spondee.toml:9: `s2s_tcp_keepalives` is an option of Prosody that is not supported yet; remove it",
        "spondee.toml:11: `conflict_resolve` must be one of \"kick_old\", \"kick_new\", \"random\", \"increment\", not \"kick\"",
        "spondee.toml:12: `c2s_timeout` is an option of the whole server; put it above the first [host] section",
        "spondee.toml:13: \"b..example\" is not the name of a host",
    ];
    assert_eq!(faults, expected);
}

#[test]
fn refuses_contact_addresses_that_nobody_could_use() {
    for (text, words) in [
        ("contact_info = []", "must be a table of lists"),
        (
            "contact_info = { abuse = [\"abuse@example.org\"] }",
            "`contact_info.abuse` holds \"abuse@example.org\", which is no URI",
        ),
        (
            "contact_info = { abuse = 5 }",
            "`contact_info.abuse` must be a list of URIs",
        ),
        (
            "contact_info = { abus = [] }",
            "there is no `contact_info.abus`; there are abuse, admin",
        ),
    ] {
        let fault = fault(text);
        assert!(fault.contains(words), "{text}: {fault}");
    }
}

#[test]
fn refuses_values_out_of_bounds_and_of_the_wrong_type() {
    for (text, words) in [
        ("c2s_stanza_size_limit = 9999", "from 10000 to"),
        ("c2s_stanza_size_limit = 99999999999999999999999", "10000"),
        ("default_iteration_count = 4095", "from 4096 to"),
        ("c2s_timeout = \"never\"", "number of seconds"),
        ("c2s_timeout = 0", "from 2 to 3600 seconds"),
        ("c2s_timeout = 1.5", "not a float"),
        ("log_level = 3", "not an integer"),
        ("sasl_failures_per_stream = 6", "from 2 to 5"),
        ("sasl_failure_forgiven_after = 0", "from 1 to 86400 seconds"),
        (
            "unlimited_addresses = [\"192.0.2.0/33\"]",
            "neither an IP address",
        ),
        ("max_connections = 0", "from 1 to"),
        ("tcp_backlog = 0", "from 1 to"),
        ("c2s_queue_size_limit = 262143", "could not be delivered"),
        (
            "c2s_account_queue_size_limit = 262144",
            "must not be below `c2s_queue_size_limit`",
        ),
        ("limits = 5", "must name a kind of connection"),
        ("limits = { c2s = 5 }", "`limits.c2s` must be {"),
        ("limits = { c2s = {} }", "has no `rate`"),
        (
            "limits = { c2s = { rate = \"fast\" } }",
            "`limits.c2s.rate` must be a number of bytes per second",
        ),
        (
            "limits = { c2s = { rate = \"1b/s\" } }",
            "must be from 100 to",
        ),
        (
            "limits = { c2s = { rate = \"1kb/s\", burst = \"long\" } }",
            "`limits.c2s.burst` must be a number of seconds",
        ),
        (
            "limits = { c2s = { rate = \"1kb/s\", rust = 2 } }",
            "there is no option `limits.c2s.rust`",
        ),
        (
            "limits = { s2sout = { rate = \"1kb/s\" } }",
            "there is no limit on such connections; there are `c2s` (clients) and `s2sin` (",
        ),
        (
            "limits = { s2sin = { rate = \"slow\" } }",
            "`limits.s2sin.rate` must be a number of bytes per second",
        ),
        ("unlimited_jids = [\"localhost\"]", "no account's address"),
        (
            "c2s_queue_size_limit = 262144\nc2s_stanza_size_limit = 262145",
            "could not be delivered",
        ),
        ("interfaces = [\"localhost\"]", "no IP address"),
        ("interfaces = 5", "addresses"),
        ("data_directory = \"\"", "empty"),
        ("certificates = [\"a\"]", "not an array"),
        ("disable_sasl_mechanisms = [1]", "not an integer"),
        ("c2s_direct_tls_ports = [5222]", "already"),
        (
            "c2s_ports = []\nc2s_direct_tls_ports = []",
            "nothing to listen on",
        ),
    ] {
        let fault = fault(text);
        assert!(fault.contains(words), "{text}: {fault}");
    }
}

#[test]
fn explains_hosts_that_are_written_wrong() {
    for (text, words) in [
        ("", "no host is served"),
        ("[host]\n", "no host is served"),
        ("host = \"example.org\"\n", "begins a section"),
        ("host.localhost = true\n", "begins a section"),
        ("[host.example.org]\n", "in quotes: [host.\"example.org"),
        ("[[host]]\nname = \"example.org\"\n", "begins a section"),
        (
            "[host.\"Example.org\"]\n[host.\"example.org\"]\n",
            "two sections",
        ),
        ("VirtualHost = \"example.org\"\n[host.localhost]", "[host."),
    ] {
        let faults = faults(text);
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        assert!(faults[0].contains(words), "{text}: {faults:?}");
    }
}

#[test]
fn tells_where_the_syntax_is_broken() {
    let faults =
        faults("threads = 2\nc2s_ports = [5222\nlog_level = \"info\"\n[host.\"a.example\"]\n");
    let expected = "spondee.toml:2: not TOML: the list that begins here does not end: put ] behind its last value";
    assert_eq!(faults, [expected]);
    let twice = fault("threads = 2\nthreads = 3\n");
    assert!(twice.starts_with("spondee.toml:2: not TOML"), "{twice}");
}

#[test]
fn warns_of_what_is_hardly_meant() {
    let everything = Mechanism::ALL.map(|known| format!("\"{}\"", known.name()));
    let all_disabled = format!("disable_sasl_mechanisms = [{}]", everything.join(","));
    // EXTERNAL lets nobody in who has a password alone.
    let but_external = all_disabled.replace("\"EXTERNAL\",", "");
    assert_ne!(but_external, all_disabled);
    for (text, words) in [
        (
            "allow_unencrypted_plain_auth = true",
            "has no effect while `c2s_require",
        ),
        (
            "c2s_require_encryption = false\nallow_unencrypted_plain_auth = true\n\
             insecure_sasl_mechanisms = [\"PLAIN\"]",
            "has no effect while `insecure_sasl",
        ),
        (
            "c2s_require_encryption = false\nallow_unencrypted_plain_auth = true",
            "unencrypted",
        ),
        (all_disabled.as_str(), "nobody can sign in"),
        (but_external.as_str(), "nobody can sign in"),
        (
            "disable_sasl_mechanisms = [\"SCRAM-SHA1\"]",
            "no SASL mechanism \"SCRAM-SHA1\"",
        ),
    ] {
        let settings = read(&format!("{text}\n[host.\"a.example\"]\n")).unwrap();
        assert_eq!(settings.warnings.len(), 1, "{:?}", settings.warnings);
        let warning = &settings.warnings[0];
        assert!(warning.starts_with("host a.example: "), "{warning}");
        assert!(warning.contains(words), "{warning}");
    }
}

#[test]
fn a_development_server_keeps_to_the_loopback() {
    let settings = Settings::development(Path::new("/tmp/dev"));
    assert!(
        settings
            .listen
            .iter()
            .all(|listen| listen.address.ip().is_loopback())
    );
    assert_eq!(settings.listen.len(), 4);
    assert_eq!(*host(&settings, "localhost"), HostConfig::default());
    assert_eq!(settings.data_directory, Path::new("/tmp/dev"));
    assert_eq!(settings.certificates, Path::new("/tmp/dev/certs"));
}

#[test]
fn a_file_that_is_missing_is_one_fault() {
    let error = Settings::load(Path::new("/nonexistent/spondee.toml")).unwrap_err();
    assert_eq!(error.faults.len(), 1);
    assert!(
        error
            .to_string()
            .starts_with("/nonexistent/spondee.toml: cannot be read"),
        "{error}"
    );
}

/// What `fuzz/fuzz_targets/config.rs` asserts, for every input it has found worth keeping.
#[test]
fn any_text_is_settings_or_faults_that_name_the_file() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/config");
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        if let Err(error) = Settings::parse(&text, Path::new("f"), Path::new("/d")) {
            let named = error.faults.iter().all(|fault| fault.starts_with("f:"));
            assert!(named && !error.faults.is_empty(), "{}", path.display());
        }
    }
}
