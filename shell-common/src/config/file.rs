//! The TOML syntax: keys with Prosody's names, unknown ones refused with line number and suggestion.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use spondee_core::config::{ConflictResolve, HostConfig, TlsAvailable};
use spondee_core::jid::{BareJid, Domain};
use spondee_core::limits::Limits;
use spondee_core::port::{Listener, Opening};
use spondee_core::sasl::{Encryption, Mechanism, SaslPolicy};
use toml::de::DeTable;

use super::options::HOST;
use super::value::{
    Faults, Section, account, choice, interface, network, number, path, period, text, word,
};
use super::{ConfigError, Connections, Listen, LogLevel, Settings, core_config, default_threads};
use super::{foreign, rate, sections, syntax};
use crate::limits::{
    C2S_ACCOUNT_QUEUE_BYTES, C2S_CLOSE_TIMEOUT, C2S_QUEUE_BYTES, C2S_STANZA_BYTES, C2S_TIMEOUT,
    CONNECTIONS, CONNECTIONS_PER_ADDRESS, ITERATION_COUNT, SASL_FAILURE_FORGIVEN_AFTER,
    SASL_FAILURES, SASL_FAILURES_PER_STREAM, SESSIONS_PER_ACCOUNT, TCP_BACKLOG, THREADS,
};

/// Reads the text of a file. Relative paths start at `base`.
///
/// # Errors
/// All faults, with what can be read in spite of them.
pub(super) fn read(source: &str, file: &Path, base: &Path) -> Result<Settings, ConfigError> {
    let mut faults = Faults::new(source);
    let (document, errors) = DeTable::parse_recoverable(source);
    if errors.is_empty() {
        let settings = settings(document.get_ref(), base, &mut faults);
        return match faults.is_empty() {
            true => Ok(settings),
            false => {
                let rest = faults.rest(settings);
                Err(faults.into_error(file, Some(rest)))
            }
        };
    }
    if let Some(sentence) = foreign::recognise(source) {
        faults.whole(sentence);
        return Err(faults.into_error(file, None));
    }
    let Some(left) = syntax::diagnose(source, errors, &mut faults) else {
        return Err(faults.into_error(file, None));
    };
    let (document, _) = DeTable::parse_recoverable(&left.text);
    let mut more = Faults::new(&left.text);
    more.miss(left.headers);
    let settings = settings(document.get_ref(), base, &mut more);
    let rest = more.rest(settings);
    faults.merge(more);
    Err(faults.into_error(file, Some(rest)))
}

/// Everything the file says; what it says wrong is noted and at its default.
fn settings(table: &DeTable<'_>, base: &Path, faults: &mut Faults<'_>) -> Settings {
    sections::misplaced(table, faults);
    let mut section = Section { table, faults };
    let directory = |path: Option<String>, default: &str| -> PathBuf {
        base.join(path.as_deref().unwrap_or(default))
    };
    let data_directory = directory(section.get("data_directory", path), "/var/lib/spondee");
    let certificates = directory(section.get("certificates", path), "certs");
    let threads = section
        .get("threads", number(THREADS))
        .unwrap_or_else(default_threads);
    let log_level = section
        .get("log_level", word(LOG_LEVELS))
        .unwrap_or(LogLevel::Info);
    let listen = listen(&mut section);
    let connections = connections(&mut section);
    let limits = limits(&mut section);
    let common = HostOptions::read(&mut section);
    section.doubt_missing(&["data_directory", "certificates"]);

    let mut warnings = Vec::new();
    let hosts = sections::hosts(table, &common, faults, &mut warnings);
    if HOST.iter().any(|option| !faults.trusts(option)) {
        // They might be of a default that nobody chose.
        warnings.clear();
    }
    Settings {
        config: core_config(hosts, limits, threads),
        listen,
        data_directory,
        certificates,
        log_level,
        connections,
        warnings,
    }
}

const LOG_LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
];

/// The options of one kind of port.
struct Ports {
    ports: &'static str,
    interfaces: &'static str,
    default: u16,
    opening: Opening,
}

const CLEAR: Ports = Ports {
    ports: "c2s_ports",
    interfaces: "c2s_interfaces",
    default: 5222,
    opening: Opening::Clear,
};

/// Choice: on by default, as Prosody's is not: direct TLS saves a client round trips and needs no further option.
const TLS: Ports = Ports {
    ports: "c2s_direct_tls_ports",
    interfaces: "c2s_direct_tls_interfaces",
    default: 5223,
    opening: Opening::Tls,
};

/// All listening addresses: each interface with each port.
fn listen(section: &mut Section<'_, '_, '_>) -> Vec<Listen> {
    let everywhere = section
        .list("interfaces", interface)
        .unwrap_or_else(|| vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]);
    let mut all: Vec<Listen> = Vec::new();
    let mut twice: Vec<u16> = Vec::new();
    for kind in [CLEAR, TLS] {
        let ports = section
            .list(kind.ports, number(1..=u16::MAX))
            .unwrap_or_else(|| vec![kind.default]);
        let interfaces: Vec<IpAddr> = section
            .list(kind.interfaces, interface)
            .unwrap_or_else(|| everywhere.clone());
        for port in ports {
            for address in &interfaces {
                let listen = Listen {
                    address: SocketAddr::new(*address, port),
                    listener: Listener {
                        opening: kind.opening,
                    },
                };
                match all.iter().find(|other| other.address == listen.address) {
                    None => all.push(listen),
                    Some(other) if *other == listen || twice.contains(&port) => {}
                    Some(_) => twice.push(port),
                }
            }
        }
    }
    let options = [
        CLEAR.ports,
        TLS.ports,
        "interfaces",
        CLEAR.interfaces,
        TLS.interfaces,
    ];
    if options.iter().all(|option| section.faults.trusts(option)) {
        for port in twice {
            clash(section, port);
        }
        if all.is_empty() {
            let written = options
                .into_iter()
                .find(|option| section.table.contains_key(*option));
            let span = section.span(written.unwrap_or_default());
            let fault = "there is nothing to listen on: no port or no interface is left".to_owned();
            section.faults.at(&span, fault);
        }
    }
    all
}

/// A port that would have both kinds of clients. Told at an option that the file has: the other one may be at its default.
fn clash(section: &mut Section<'_, '_, '_>, port: u16) {
    let what = |kind: &Ports| match kind.opening {
        Opening::Clear => "a stream starts in clear",
        Opening::Tls => "TLS comes first",
    };
    let has = |kind: &Ports| section.table.contains_key(kind.ports);
    let (here, other) = if has(&TLS) {
        (TLS, CLEAR)
    } else {
        (CLEAR, TLS)
    };
    let remedy = match has(&other) {
        true => format!("take it out of `{}` or of `{}`", here.ports, other.ports),
        false => format!(
            "take it out here, or set `{}`, which is [{}] where nothing is said",
            other.ports, other.default
        ),
    };
    let fault = format!(
        "`{}` names port {port}, which `{}` has already, where {}: {remedy}",
        here.ports,
        other.ports,
        what(&other)
    );
    section.faults.at(&section.span_of(here.ports, port), fault);
}

fn limits(section: &mut Section<'_, '_, '_>) -> Limits {
    let mut limits = Limits::default();
    if let Some(bytes) = section.get("c2s_stanza_size_limit", number(C2S_STANZA_BYTES)) {
        limits.c2s_stanza_bytes = bytes;
    }
    if let Some(wait) = section.get("c2s_timeout", period(C2S_TIMEOUT)) {
        limits.negotiation = wait;
        // The share that TLS has by default.
        limits.until_tls = wait / 2;
    }
    if let Some(wait) = section.get("c2s_close_timeout", period(C2S_CLOSE_TIMEOUT)) {
        limits.close = wait;
    }
    if let Some(bytes) = section.get("c2s_queue_size_limit", number(C2S_QUEUE_BYTES)) {
        limits.session_queue_bytes = bytes;
    }
    // What is longer than a queue could never be delivered.
    let stanza = usize::try_from(limits.c2s_stanza_bytes).unwrap_or(usize::MAX);
    let trusted = ["c2s_queue_size_limit", "c2s_stanza_size_limit"]
        .iter()
        .all(|option| section.faults.trusts(option));
    if trusted && limits.session_queue_bytes < stanza {
        let option = match section.table.contains_key("c2s_queue_size_limit") {
            true => "c2s_queue_size_limit",
            false => "c2s_stanza_size_limit",
        };
        let span = section.span(option);
        let fault = format!(
            "`c2s_queue_size_limit` ({}) must not be below `c2s_stanza_size_limit` ({stanza}): such a stanza could not be delivered",
            limits.session_queue_bytes
        );
        section.faults.at(&span, fault);
    }
    account_queue(section, &mut limits);
    limits.c2s_rate = rate::c2s(section);
    if let Some(count) = section.get("max_sessions_per_account", number(SESSIONS_PER_ACCOUNT)) {
        limits.sessions_per_account = count;
    }
    sign_in_limits(section, &mut limits);
    limits
}

/// The default is four times what one client has, so that who raises the one option need not know of the other.
fn account_queue(section: &mut Section<'_, '_, '_>, limits: &mut Limits) {
    const OPTION: &str = "c2s_account_queue_size_limit";
    limits.account_queue_bytes = limits.session_queue_bytes.saturating_mul(4);
    let Some(bytes) = section.get(OPTION, number(C2S_ACCOUNT_QUEUE_BYTES)) else {
        return;
    };
    limits.account_queue_bytes = bytes;
    if section.faults.trusts("c2s_queue_size_limit") && bytes < limits.session_queue_bytes {
        let fault = format!(
            "`{OPTION}` ({bytes}) must not be below `c2s_queue_size_limit` ({}): that of one client would never be reached",
            limits.session_queue_bytes
        );
        section.faults.at(&section.span(OPTION), fault);
    }
}

fn sign_in_limits(section: &mut Section<'_, '_, '_>, limits: &mut Limits) {
    if let Some(count) = section.get("sasl_failures_per_stream", number(SASL_FAILURES_PER_STREAM)) {
        limits.sasl_failures = count;
    }
    if let Some(count) = section.get("sasl_failures_per_address", number(SASL_FAILURES)) {
        limits.sasl_failures_per_address = count;
    }
    if let Some(count) = section.get("sasl_failures_per_account", number(SASL_FAILURES)) {
        limits.sasl_failures_per_account = count;
    }
    let forgiven = period(SASL_FAILURE_FORGIVEN_AFTER);
    if let Some(wait) = section.get("sasl_failure_forgiven_after", forgiven) {
        limits.sasl_failure_forgiven_after = wait;
    }
    if let Some(networks) = section.list("unlimited_addresses", network) {
        limits.unlimited_addresses = networks;
    }
}

fn connections(section: &mut Section<'_, '_, '_>) -> Connections {
    let default = Connections::default();
    let per_address = section.get(
        "max_connections_per_address",
        number(CONNECTIONS_PER_ADDRESS),
    );
    Connections {
        max: section.get("max_connections", number(CONNECTIONS)),
        per_address: per_address.filter(|count| *count > 0),
        backlog: section
            .get("tcp_backlog", number(TCP_BACKLOG))
            .unwrap_or(default.backlog),
    }
}

/// What a section says of the options each host can have for itself.
#[derive(Clone, Debug, Default)]
pub(super) struct HostOptions {
    encryption: Option<Encryption>,
    unencrypted_plain: Option<UnencryptedPlain>,
    insecure: Option<Vec<String>>,
    disable: Option<Vec<String>>,
    conflict: Option<ConflictResolve>,
    rounds: Option<u32>,
    unlimited: Option<Vec<BareJid>>,
}

/// `allow_unencrypted_plain_auth`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum UnencryptedPlain {
    Allowed,
    Refused,
}

const CONFLICTS: &[(&str, ConflictResolve)] = &[
    ("kick_old", ConflictResolve::KickOld),
    ("kick_new", ConflictResolve::KickNew),
    ("random", ConflictResolve::Random),
    ("increment", ConflictResolve::Increment),
];

impl HostOptions {
    pub(super) fn read(section: &mut Section<'_, '_, '_>) -> Self {
        Self {
            encryption: section.get(
                "c2s_require_encryption",
                choice(Encryption::Required, Encryption::Optional),
            ),
            unencrypted_plain: section.get(
                "allow_unencrypted_plain_auth",
                choice(UnencryptedPlain::Allowed, UnencryptedPlain::Refused),
            ),
            insecure: section.list("insecure_sasl_mechanisms", text),
            disable: section.list("disable_sasl_mechanisms", text),
            conflict: section.get("conflict_resolve", word(CONFLICTS)),
            rounds: section.get("default_iteration_count", number(ITERATION_COUNT)),
            unlimited: section.list("unlimited_jids", account),
        }
    }

    /// What this says, and what `common` says where this says nothing.
    pub(super) fn or(self, common: &Self) -> Self {
        Self {
            encryption: self.encryption.or(common.encryption),
            unencrypted_plain: self.unencrypted_plain.or(common.unencrypted_plain),
            insecure: self.insecure.or_else(|| common.insecure.clone()),
            disable: self.disable.or_else(|| common.disable.clone()),
            conflict: self.conflict.or(common.conflict),
            rounds: self.rounds.or(common.rounds),
            unlimited: self.unlimited.or_else(|| common.unlimited.clone()),
        }
    }

    pub(super) fn host_config(&self) -> HostConfig {
        let default = HostConfig::default();
        let allowed = self.unencrypted_plain == Some(UnencryptedPlain::Allowed);
        // As Prosody: allowing PLAIN without TLS empties the default list and leaves one that was written.
        let insecure = match &self.insecure {
            Some(written) => written.clone(),
            None if allowed => Vec::new(),
            None => default.sasl.insecure,
        };
        HostConfig {
            sasl: SaslPolicy {
                encryption: self.encryption.unwrap_or(default.sasl.encryption),
                disable: self.disable.clone().unwrap_or(default.sasl.disable),
                insecure,
            },
            // Settled when the certificates have been looked for.
            tls: TlsAvailable::Yes,
            conflict: self.conflict.unwrap_or(default.conflict),
            rounds: self.rounds.unwrap_or(default.rounds),
            // Known from the data directory.
            former_rounds: default.former_rounds,
            unlimited_jids: self.unlimited.clone().unwrap_or_default(),
        }
    }

    /// What is not wrong, but hardly meant.
    pub(super) fn warn(&self, host: &Domain, warnings: &mut Vec<String>) {
        let config = self.host_config();
        let mut warn = |text: &str| warnings.push(format!("host {host}: {text}"));
        let has = |list: &[String], name: &str| list.iter().any(|other| other == name);
        let plain = Mechanism::Plain.name();

        if self.unencrypted_plain == Some(UnencryptedPlain::Allowed) {
            if config.sasl.encryption == Encryption::Required {
                warn(
                    "`allow_unencrypted_plain_auth` has no effect while `c2s_require_encryption` is true",
                );
            } else if has(&config.sasl.insecure, plain) {
                warn(
                    "`allow_unencrypted_plain_auth` has no effect while `insecure_sasl_mechanisms` names PLAIN",
                );
            }
        }
        if config.sasl.encryption == Encryption::Optional
            && !has(&config.sasl.insecure, plain)
            && !has(&config.sasl.disable, plain)
        {
            warn("passwords may cross the network unencrypted: PLAIN is offered without TLS");
        }
        let all = Mechanism::ALL;
        if all
            .iter()
            .all(|known| has(&config.sasl.disable, known.name()))
        {
            warn("nobody can sign in: `disable_sasl_mechanisms` names every mechanism there is");
        }
        for name in config.sasl.disable.iter().chain(&config.sasl.insecure) {
            if Mechanism::from_name(name).is_none() && !OTHER_MECHANISMS.contains(&name.as_str()) {
                warn(&format!(
                    "there is no SASL mechanism \"{name}\"; {}",
                    mechanisms()
                ));
            }
        }
    }
}

/// Mechanisms that other servers have: naming them is harmless.
const OTHER_MECHANISMS: &[&str] = &[
    "ANONYMOUS",
    "CRAM-MD5",
    "DIGEST-MD5",
    "EXTERNAL",
    "LOGIN",
    "OAUTHBEARER",
];

fn mechanisms() -> String {
    let names: Vec<_> = Mechanism::ALL.iter().map(|known| known.name()).collect();
    format!("there are {}", names.join(", "))
}
