//! The sections of a file: one for each host, and what was written where one should be.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use spondee_core::config::{Host, HostConfig};
use spondee_core::jid::Domain;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ldap;
use super::options::{self, Section, fault_of};
use super::reader::{Asks, Reader};
use super::ssl;
use super::value::Faults;
use crate::ldap::Settings as Directory;
use crate::tls::{HostPolicy, Policies};

/// The table of the hosts' sections.
const HOSTS: &str = "host";

/// The table of the components' sections.
pub(super) const COMPONENT: &str = "component";

/// What others call it.
const OTHER_COMPONENTS: &[&str] = &["components", "service", "services", "ejabberd_service"];

/// What others call that of hosts.
const OTHER_HOSTS: &[&str] = &[
    "domain",
    "domains",
    "hosts",
    "vhost",
    "vhosts",
    "virtual_host",
    "virtual_hosts",
    "virtualhost",
    "virtualhosts",
];

const EXAMPLE: &str = "[host.\"example.org\"]";

pub(super) type Key<'a> = Spanned<Cow<'a, str>>;

/// What has no place above the hosts' sections.
pub(super) fn misplaced(table: &DeTable<'_>, faults: &mut Faults<'_>) {
    for (key, value) in table {
        if [HOSTS, COMPONENT].contains(&key.get_ref().as_ref()) {
            continue;
        }
        let name = key.get_ref();
        match value.get_ref().as_table() {
            Some(section) if !options::is_known(name) => {
                for (span, fault) in no_section(key, section) {
                    faults.at(&span, fault);
                }
                faults.miss_host();
            }
            Some(_) | None => {
                if let Some(fault) = fault_of(name, Section::Server) {
                    faults.at(&key.span(), fault);
                    faults.doubt_names();
                }
            }
        }
    }
}

/// What is wrong with a section that is not a host's.
fn no_section(key: &Key<'_>, section: &DeTable<'_>) -> Vec<(Range<usize>, String)> {
    let name = key.get_ref();
    let begins = |host: &str| format!("the section of a host begins with [{HOSTS}.\"{host}\"]");
    let lower = name.to_ascii_lowercase();
    if lower == HOSTS || OTHER_HOSTS.contains(&lower.as_str()) {
        let mut hosts = leaves("", section);
        if hosts.is_empty() {
            hosts.push((key.span(), "example.org".to_owned()));
        }
        return hosts
            .into_iter()
            .map(|(span, host)| {
                (
                    span,
                    format!("there is no section [{name}]: {}", begins(&host)),
                )
            })
            .collect();
    }
    if lower == COMPONENT || OTHER_COMPONENTS.contains(&lower.as_str()) {
        let mut names = leaves("", section);
        if names.is_empty() {
            names.push((key.span(), "irc.example.org".to_owned()));
        }
        let names = names.into_iter().map(|(span, component)| {
            let fault = format!(
                "there is no section [{name}]: the section of a component begins with [{COMPONENT}.\"{component}\"]"
            );
            (span, fault)
        });
        return names.collect();
    }
    if let Some(fault) = fault_of(name, Section::Server).filter(|_| options::is_prosodys(name)) {
        return vec![(key.span(), fault)];
    }
    let mut hosts = leaves(name, section);
    if hosts.is_empty() {
        hosts.push((key.span(), name.clone().into_owned()));
    }
    hosts
        .into_iter()
        .map(|(span, path)| {
            let fault = match path.contains('.') && Domain::parse(&path).is_ok() {
                true => begins(&path),
                false => format!(
                    "there is no section [{path}]: options of the whole server stand above the first section, and {}",
                    begins("example.org")
                ),
            };
            (span, fault)
        })
        .collect()
}

/// The tables in a table that hold no tables, by the names that dots without quotes made of one name.
pub(super) fn leaves(name: &str, table: &DeTable<'_>) -> Vec<(Range<usize>, String)> {
    let mut found = Vec::new();
    let mut left = vec![(name.to_owned(), table)];
    while let Some((above, table)) = left.pop() {
        for (key, value) in table {
            let Some(below) = value.get_ref().as_table() else {
                continue;
            };
            if !is_section((key, value)) {
                continue;
            }
            let key_name = key.get_ref();
            let path = match above.is_empty() {
                true => key_name.clone().into_owned(),
                false => format!("{above}.{key_name}"),
            };
            if below.iter().any(is_section) {
                left.push((path, below));
            } else {
                found.push((key.span(), path));
            }
        }
    }
    found
}

/// Whether this is a table that is no option.
pub(super) fn is_section((key, value): (&Key<'_>, &Spanned<DeValue<'_>>)) -> bool {
    value.get_ref().is_table() && !options::is_known(key.get_ref())
}

/// What all sections of hosts say.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    pub(super) hosts: BTreeMap<Domain, Host>,
    pub(super) tls: Policies,
    pub(super) directories: BTreeMap<Domain, Directory>,
}

/// The hosts, each with what stands above where its section says nothing.
pub(super) fn hosts<'a, 't>(
    table: &'a DeTable<'t>,
    reader: &mut Reader<'a, 't, '_>,
    warnings: &mut Vec<String>,
) -> Hosts {
    let mut all = Hosts::default();
    let Some(written) = table.get(HOSTS) else {
        no_host(reader.faults);
        return all;
    };
    let Some(sections) = written.get_ref().as_table() else {
        let name = named(written.get_ref());
        let fault =
            format!("`{HOSTS}` is not an option but begins a section: [{HOSTS}.\"{name}\"]");
        reader.faults.at(&written.span(), fault);
        return all;
    };
    for (name, value) in sections {
        let Some((host, config, policy, directory)) = host(name, value, reader) else {
            continue;
        };
        let warned = reader.take_warnings();
        warnings.extend(warned.iter().map(|text| format!("host {host}: {text}")));
        all.tls.insert(host.clone(), policy);
        if let Some(directory) = directory {
            all.directories.insert(host.clone(), directory);
        }
        if all.hosts.insert(host.clone(), config).is_some() {
            let fault = format!("the host {host} has two sections");
            reader.faults.at(&name.span(), fault);
        }
    }
    if sections.is_empty() {
        no_host(reader.faults);
    }
    all
}

/// Said only where nothing else was: what was found before may be the host.
fn no_host(faults: &mut Faults<'_>) {
    if faults.has_all_sections() {
        faults.whole(format!(
            "no host is served; add a section such as {EXAMPLE}"
        ));
    }
}

/// The first name of what was written in place of sections.
fn named(value: &DeValue<'_>) -> String {
    let first = |value: &DeValue<'_>| value.as_str().map(str::to_owned);
    let name = first(value).or_else(|| {
        let item = value.as_array()?.iter().next()?;
        let table = item.get_ref().as_table();
        first(item.get_ref()).or_else(|| first(table?.get("name")?.get_ref()))
    });
    name.filter(|name| Domain::parse(name).is_ok())
        .unwrap_or_else(|| "example.org".to_owned())
}

fn host<'a, 't>(
    name: &Key<'_>,
    value: &'a Spanned<DeValue<'t>>,
    reader: &mut Reader<'a, 't, '_>,
) -> Option<(Domain, Host, HostPolicy, Option<Directory>)> {
    let span: Range<usize> = name.span();
    let name = name.get_ref();
    let Some(table) = value.get_ref().as_table() else {
        let fault = match options::is_known(name) {
            true => format!(
                "`{name}` stands above the first [{HOSTS}] section, or in that of a host: {EXAMPLE}"
            ),
            false => format!(
                "`{HOSTS}.{name}` is not an option but begins a section: [{HOSTS}.\"{name}\"]"
            ),
        };
        reader.faults.at(&span, fault);
        return None;
    };
    // Without quotes each dot begins a table inside the table.
    if table.iter().any(is_section) {
        for (span, host) in leaves(name, table) {
            let fault = format!("the name of a host stands in quotes: [{HOSTS}.\"{host}\"]");
            reader.faults.at(&span, fault);
        }
        return None;
    }
    for (key, _) in table {
        if let Some(fault) = fault_of(key.get_ref(), Section::Host) {
            reader.faults.at(&key.span(), fault);
        }
    }
    reader.on_behalf_of(Asks::Host(table));
    let policy = ssl::read(reader);
    let config = HostConfig::read(reader);
    let parsed = Domain::parse(name);
    let directory = ldap::read(
        reader,
        Some(ldap::Host {
            name: parsed.as_ref().map_or(name, Domain::as_str),
            provider: config.provider,
        }),
    );
    match parsed {
        Ok(host) => Some((host, Host::Accounts(config), policy, directory)),
        Err(_) => {
            reader.take_warnings();
            let fault = format!("\"{name}\" is not the name of a host{}", why(name));
            reader.faults.at(&span, fault);
            None
        }
    }
}

/// What was probably meant.
pub(super) fn why(name: &str) -> String {
    let rest = |at: usize| name.get(at..).unwrap_or_default();
    if let Some(at) = name.find("://") {
        let host = rest(at + "://".len()).trim_end_matches('/');
        return format!(": it is a URL; write {host} alone");
    }
    if let Some((_, host)) = name.split_once('@') {
        return format!(": it is an account's address; write {host} alone");
    }
    if name.contains('*') {
        return ": there are no wildcards; each host has a section of its own".to_owned();
    }
    let port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match name.rsplit_once(':') {
        Some((host, number)) if port(number) => {
            format!(": write {host} alone; ports are set by `c2s_ports`")
        }
        Some(_) | None => String::new(),
    }
}
