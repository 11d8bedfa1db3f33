//! What the certificates mean for the hosts: which are served, how, and what the administrator has to know. A start, a reload and
//! `check config` say the same.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use spondee_core::config::{ComponentConfig, Host, HostConfig, TlsAvailable};
use spondee_core::federation::Rules;
use spondee_core::jid::Domain;
use spondee_core::port::Opening;
use spondee_core::sasl::Encryption;

use crate::config::Settings;
use crate::tls::{
    HostReport, HostState, Loaded, Remark, ServiceReport, Severity, Source, TlsHosts,
};

/// The certificates of all hosts, and what there is to say about them.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) tls: TlsHosts,
    /// Their remarks are in `sentences`.
    pub(crate) hosts: Vec<HostReport>,
    /// Each names its hosts, its file and what to do.
    pub(crate) sentences: Vec<Remark>,
    service: Service,
}

/// Whether anybody can sign in at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Service {
    Some,
    /// Nobody until a certificate comes.
    NoneYet,
    /// Nobody until one is mended.
    None,
}

/// What is served while certificates are looked for again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running<'a> {
    pub(crate) tls: &'a TlsHosts,
    pub(crate) hosts: &'a BTreeMap<Domain, Host>,
}

impl Certificates {
    /// Loads them, and settles for each host whether there is TLS.
    pub(crate) fn settle(settings: &mut Settings, running: Option<Running<'_>>) -> Self {
        let names: Vec<Domain> = settings.config.hosts.keys().cloned().collect();
        let loaded = match running {
            None => TlsHosts::load(&settings.certificates, &names, &settings.tls),
            Some(running) => running
                .tls
                .reload(&settings.certificates, &names, &settings.tls),
        };
        let Loaded {
            mut tls,
            mut hosts,
            unread,
        } = loaded;
        let is_component = |name: &Domain| settings.config.component(name).is_some();
        let (components, realms): (Vec<Domain>, Vec<Domain>) =
            names.into_iter().partition(is_component);
        tls.without_clients(components.into_iter().collect());
        let mut sentences = Sentences::default();
        let mut service = Service::NoneYet;
        for report in &hosts {
            match settings.config.hosts.get_mut(&report.host) {
                Some(Host::Accounts(config)) => {
                    let before = running.and_then(|running| running.hosts.get(&report.host));
                    let before = before.and_then(|before| match before {
                        Host::Accounts(before) => Some(before),
                        Host::Component(_) => None,
                    });
                    service = sentences.of_accounts(report, config, before, &tls, service);
                }
                Some(Host::Component(component)) => {
                    let rules = &settings.config.federation.rules;
                    for remark in of_component(report, component, rules) {
                        sentences.say(&report.host, remark);
                    }
                }
                None => {}
            }
        }
        // It may well have none, and is served all the same.
        hosts.retain(|report| match report.state {
            HostState::Missing { .. } => settings.config.component(&report.host).is_none(),
            HostState::Found(_) | HostState::Kept(_) | HostState::Unusable => true,
        });
        let mut sentences = sentences.write();
        let is_fault = |remark: &Remark| remark.severity == Severity::Fault;
        let is_told = sentences.iter().any(is_fault);
        for text in unread {
            let text = format!("{text} (skipped in the search for certificates)");
            sentences.push(Remark {
                severity: Severity::Warning,
                text,
            });
        }
        let direct = settings
            .listen
            .iter()
            .any(|listen| listen.listener.opening == Opening::Tls);
        let is_served = |host: &Domain| tls.serves(host, Opening::Tls);
        if direct && !is_told && !realms.is_empty() && !realms.iter().any(is_served) {
            sentences.push(Remark {
                severity: Severity::Warning,
                text: "no host has a certificate: listeners for direct TLS refuse everybody"
                    .to_owned(),
            });
        }
        Self {
            tls,
            hosts,
            sentences,
            service,
        }
    }

    /// What clients are shut out by.
    pub(crate) fn faults(&self) -> Vec<String> {
        let faults = self.sentences.iter();
        let faults = faults.filter(|remark| remark.severity == Severity::Fault);
        faults.map(|remark| remark.text.clone()).collect()
    }

    /// Refuses certificates with which nobody could sign in to any host. A server without any may start: they can come with a
    /// reload. One that was given some which cannot be used is told at once.
    pub(crate) fn must_be_of_use(&self) -> Result<(), String> {
        match self.service {
            Service::Some | Service::NoneYet => Ok(()),
            Service::None => Err(self.faults().join("\n")),
        }
    }

    /// Says which hosts have another certificate than before.
    pub(crate) fn log_changes(&self, before: &TlsHosts) {
        let is_new = |host, opening| !self.tls.has_same(before, host, opening);
        for report in &self.hosts {
            let host = &report.host;
            if let HostState::Found(source) = &report.state
                && is_new(host, Opening::Clear)
            {
                let (file, until) = (source.file.display(), &source.valid_until);
                tracing::info!("certificate of {host} has changed: {file}, valid until {until}");
                log_second(host, source);
            }
            if let Some(source) = own_of_direct(report)
                && is_new(host, Opening::Tls)
            {
                let (file, until) = (source.file.display(), &source.valid_until);
                tracing::info!(
                    "certificate of {host} for direct TLS has changed: {file}, valid until {until}"
                );
                log_second(host, source);
            }
        }
    }

    /// Says which certificates are in use and what there is to warn of. Faults are for the caller to say.
    pub(crate) fn log(&self) {
        for report in &self.hosts {
            let host = &report.host;
            match &report.state {
                HostState::Found(source) => {
                    let (file, until) = (source.file.display(), &source.valid_until);
                    tracing::info!("certificate of {host}: {file}, valid until {until}");
                    log_second(host, source);
                    for spare in &source.spare {
                        tracing::info!("not needed for {host}: {}", spare.display());
                    }
                }
                HostState::Kept(_) | HostState::Missing { .. } | HostState::Unusable => {}
            }
            if let Some(source) = own_of_direct(report) {
                let (file, until) = (source.file.display(), &source.valid_until);
                tracing::info!("certificate of {host} for direct TLS: {file}, valid until {until}");
                log_second(host, source);
            }
        }
        for remark in &self.sentences {
            match remark.severity {
                Severity::Fault => {}
                Severity::Warning => tracing::warn!("{}", remark.text),
            }
        }
    }
}

/// What was found for direct TLS alone.
const fn own_of_direct(report: &HostReport) -> Option<&Source> {
    match &report.direct {
        Some(ServiceReport {
            state: HostState::Found(source),
            ..
        }) => Some(source),
        Some(_) | None => None,
    }
}

/// What there is to say of the certificate that direct TLS was given for itself.
fn of_direct(report: &HostReport, served: TlsAvailable) -> Vec<Remark> {
    let Some(direct) = &report.direct else {
        return Vec::new();
    };
    let mut remarks = direct.remarks.clone();
    let ending = match (&direct.state, served) {
        (HostState::Found(_) | HostState::Kept(_), _) => "",
        (HostState::Missing { .. } | HostState::Unusable, TlsAvailable::Yes) => {
            "; direct TLS is served with the certificate of the host instead"
        }
        (HostState::Missing { .. } | HostState::Unusable, TlsAvailable::No) => {
            "; until this is mended nobody can sign in by direct TLS"
        }
    };
    for remark in &mut remarks {
        remark.text.insert_str(0, "direct TLS: ");
    }
    if let Some(last) = remarks.last_mut() {
        last.text.push_str(ending);
    }
    remarks
}

/// The one that is used beside another.
fn log_second(host: &Domain, source: &Source) {
    if let Some(second) = &source.second {
        let (file, until) = (second.file.display(), &second.valid_until);
        tracing::info!(
            "and for clients that do not take that one of {host}: {file}, valid until {until}"
        );
    }
}

/// Settles whether a host has TLS, and says what that means for who wants to sign in.
fn remarks(
    report: &HostReport,
    config: &mut HostConfig,
    before: Option<&HostConfig>,
) -> Vec<Remark> {
    let host = &report.host;
    let mut remarks = report.remarks.clone();
    config.tls = match report.state {
        HostState::Found(_) | HostState::Kept(_) => TlsAvailable::Yes,
        HostState::Missing { .. } | HostState::Unusable => TlsAvailable::No,
    };
    let ending = match (&report.state, config.sasl.encryption) {
        (HostState::Found(_) | HostState::Kept(_), _) => "",
        (HostState::Missing { why }, Encryption::Required) => {
            remarks.push(Remark {
                severity: Severity::Fault,
                text: format!(
                    "nobody can sign in, because TLS is required and there is no certificate ({why}); put {host}.crt and {host}.key \
                     there"
                ),
            });
            ""
        }
        (HostState::Missing { why }, Encryption::Optional) => {
            remarks.push(Remark {
                severity: Severity::Warning,
                text: format!(
                    "no certificate, all passes in clear ({why}); put {host}.crt and {host}.key there"
                ),
            });
            ""
        }
        (HostState::Unusable, Encryption::Required) => "; until this is mended nobody can sign in",
        (HostState::Unusable, Encryption::Optional) if before.is_some_and(is_in_clear) => {
            "; all passes in clear, as before"
        }
        (HostState::Unusable, Encryption::Optional) => {
            // `Choice:` who gives a host a certificate does not want passwords in clear because that is broken.
            config.sasl.encryption = Encryption::Required;
            "; until this is mended nobody can sign in, because a host that was given a certificate is not served in clear"
        }
    };
    if let Some(last) = remarks.last_mut() {
        last.text.push_str(ending);
    }
    remarks
}

/// Settles whether a component has TLS, which it needs for other servers alone.
fn of_component(
    report: &HostReport,
    component: &mut ComponentConfig,
    rules: &Rules,
) -> Vec<Remark> {
    let warning = |text| Remark {
        severity: Severity::Warning,
        text,
    };
    let remarks = report.remarks.iter();
    let mut remarks: Vec<_> = remarks.map(|remark| warning(remark.text.clone())).collect();
    component.tls = match &report.state {
        HostState::Found(_) | HostState::Kept(_) => TlsAvailable::Yes,
        HostState::Missing { .. } | HostState::Unusable => TlsAvailable::No,
    };
    if let HostState::Missing { why } = &report.state
        && !rules.are_isolated()
    {
        remarks.push(warning(format!(
            "there is no certificate for the component ({why}): other servers that want one do not talk to it; its clients here do"
        )));
    }
    remarks
}

fn is_in_clear(config: &HostConfig) -> bool {
    config.tls == TlsAvailable::No && config.sasl.encryption == Encryption::Optional
}

/// Remarks, each once with all its hosts: one certificate may serve hundreds.
#[derive(Debug, Default)]
struct Sentences(Vec<(Vec<Domain>, Remark)>);

/// As many names as a line of a log bears.
const NAMED_HOSTS: usize = 5;

impl Sentences {
    /// What there is to say of a host that has accounts. Whether anybody can sign in, with what is so of those before.
    fn of_accounts(
        &mut self,
        report: &HostReport,
        config: &mut HostConfig,
        before: Option<&HostConfig>,
        tls: &TlsHosts,
        service: Service,
    ) -> Service {
        let host = &report.host;
        for remark in remarks(report, config, before) {
            self.say(host, remark);
        }
        for remark in &report.authorities {
            self.say(host, remark.clone());
        }
        let direct = match tls.serves(host, Opening::Tls) {
            true => TlsAvailable::Yes,
            false => TlsAvailable::No,
        };
        for remark in of_direct(report, direct) {
            self.say(host, remark);
        }
        let open = direct == TlsAvailable::Yes
            || config.tls == TlsAvailable::Yes
            || config.sasl.encryption == Encryption::Optional;
        match (&report.state, open) {
            (_, true) => Service::Some,
            (HostState::Unusable, false) if service == Service::NoneYet => Service::None,
            (_, false) => service,
        }
    }

    fn say(&mut self, host: &Domain, remark: Remark) {
        let mut said = self.0.iter_mut();
        match said.find(|(_, other)| *other == remark) {
            Some((hosts, _)) if hosts.contains(host) => {}
            Some((hosts, _)) => hosts.push(host.clone()),
            None => self.0.push((vec![host.clone()], remark)),
        }
    }

    fn write(self) -> Vec<Remark> {
        let write = |(hosts, remark): (Vec<Domain>, Remark)| {
            let names: Vec<_> = hosts
                .iter()
                .take(NAMED_HOSTS)
                .map(|host| host.as_str())
                .collect();
            let more = match hosts.len() - names.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let word = if hosts.len() == 1 { "host" } else { "hosts" };
            Remark {
                severity: remark.severity,
                text: format!("{word} {}{more}: {}", names.join(", "), remark.text),
            }
        };
        self.0.into_iter().map(write).collect()
    }
}
