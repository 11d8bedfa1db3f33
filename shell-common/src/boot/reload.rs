//! Reading the configuration and the certificates again while the server runs: by SIGHUP, when a command asks for it, or because files of
//! certificates have changed.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use spondee_core::config::{Config, HostConfig};
use spondee_core::jid::Domain;
use spondee_core::sasl::Provider;

use super::certificates::{Certificates, Running};
use super::development;
use super::watch::Watch;
use crate::config::Settings;
use crate::ldap::Directories;
use crate::rounds;
use crate::tls::{Outgoing, TlsHosts};

/// Where the configuration came from, and what is in use.
#[derive(Clone, Debug)]
pub struct Reload {
    /// `None` for a development server.
    pub file: Option<PathBuf>,
    /// What the file said when it was read last, before it was known which hosts have certificates.
    wanted: Settings,
    /// What is in use. Its `config` has the server's secret, and the hosts as they are served; what must not change while running (data
    /// directory, shards, listeners) is as it was at the start.
    running: Settings,
    /// The certificates in use.
    tls: Arc<TlsHosts>,
    directories: Directories,
    outgoing: Outgoing,
    watch: Watch,
}

/// What a configuration that was read again changes.
#[derive(Debug)]
pub struct Reloaded {
    /// For the core.
    pub config: Arc<Config>,
    /// For new connections.
    pub tls: Arc<TlsHosts>,
    /// `max_connections_per_address`.
    pub connections_per_address: Option<usize>,
    /// Sentences for the log: what could not be taken over, or shuts clients out. If there are any, the reload has not succeeded,
    /// although everything else has changed.
    pub faults: Vec<String>,
}

impl Reload {
    /// Of a server that starts. `watch` began before its certificates were read.
    pub(super) fn new(
        file: Option<PathBuf>,
        wanted: Settings,
        running: Settings,
        tls: Arc<TlsHosts>,
        directories: Directories,
        outgoing: Outgoing,
        watch: Watch,
    ) -> Self {
        Self {
            file,
            wanted,
            running,
            tls,
            directories,
            outgoing,
            watch,
        }
    }

    /// What is in use, from the file or from a reload.
    #[must_use]
    pub const fn running(&self) -> &Settings {
        &self.running
    }

    /// Reads file and certificates again; a server for development makes those anew that have expired. What cannot change at run
    /// time is warned about and left; a host whose certificate has gone or cannot be used keeps the one it had.
    ///
    /// # Errors
    /// Sentences for the log; the server goes on as it was.
    pub fn again(&mut self) -> Result<Reloaded, Vec<String>> {
        let mut settings = match &self.file {
            Some(file) => Settings::load(file).map_err(|error| error.faults)?,
            None => {
                development::certificates(&self.running).map_err(|fault| vec![fault])?;
                self.wanted.clone()
            }
        };
        settings.config.shards = self.running.config.shards;
        settings.config.server_secret = self.running.config.server_secret;
        let kept = self.keep_realms(&mut settings.config);
        rounds::remember(&self.running.data_directory, &mut settings.config)
            .map_err(|error| vec![error])?;
        self.watch = Watch::begin(settings.certificates_watch, &settings.certificate_paths());
        self.wanted = settings.clone();
        let certificates = self.settle(&mut settings);
        self.warn(&settings, &kept);
        certificates.log();
        // Before the core hears of it: who asks in between is answered by the new one.
        let unasked = self.directories.replace(&settings.directories);
        let untrusted = self.trust(settings.s2s_ca_file.as_deref());
        let mut reloaded = self.take(settings, certificates);
        reloaded.faults.extend(unasked);
        reloaded.faults.extend(untrusted);
        Ok(reloaded)
    }

    /// How long nobody needs to look whether files of certificates have changed; `None` for ever.
    #[must_use]
    pub fn until_look(&self, now: Instant) -> Option<Duration> {
        self.watch.left(now)
    }

    /// Reads certificates again, if it is time to look at their files and these have changed, and says in the log what came of it: a line
    /// for each host that has another one, and one line if not all can be used. The configuration is the one that was read last.
    pub fn look(&mut self, now: Instant) -> Option<Reloaded> {
        if !self
            .watch
            .has_changed(&self.wanted.certificate_paths(), now)
        {
            return None;
        }
        let mut settings = self.wanted.clone();
        let certificates = self.settle(&mut settings);
        certificates.log_changes(&self.tls);
        let reloaded = self.take(settings, certificates);
        if let Some((first, others)) = reloaded.faults.split_first() {
            let more = match others.len() {
                0 => String::new(),
                count => format!(" ({count} more: `spondee check certs` tells)"),
            };
            tracing::warn!(
                "certificates were changed, and not all can be used as they are: {first}{more}; they are looked at again when they change"
            );
        }
        Some(reloaded)
    }

    /// Reads again who is trusted with saying who other servers are. Gives back why those of before go on to be.
    fn trust(&self, file: Option<&Path>) -> Option<String> {
        let error = self.outgoing.read_again(file).err()?;
        Some(match file {
            Some(_) => format!(
                "`s2s_ca_file`: {error}; those that were trusted before with saying who other servers are go on to be"
            ),
            None => format!("whom this machine trusts could not be read again: {error}"),
        })
    }

    fn settle(&self, settings: &mut Settings) -> Certificates {
        let running = Running {
            tls: &self.tls,
            hosts: &self.running.config.hosts,
        };
        Certificates::settle(settings, Some(running))
    }

    fn take(&mut self, settings: Settings, certificates: Certificates) -> Reloaded {
        let faults = certificates.faults();
        self.tls = Arc::new(certificates.tls);
        self.running.config.hosts.clone_from(&settings.config.hosts);
        Reloaded {
            connections_per_address: settings.connections.per_address,
            config: Arc::new(settings.config),
            tls: Arc::clone(&self.tls),
            faults,
        }
    }

    /// A host goes on to have accounts, or guests: what is in memory of one would not be true of the other. Gives back those that were to change.
    fn keep_realms(&self, config: &mut Config) -> Vec<Domain> {
        let mut kept = Vec::new();
        for (host, new) in config.realms_mut() {
            let Some(running) = self.running.config.accounts(host) else {
                continue;
            };
            let has_guests = |host: &HostConfig| host.provider == Provider::Anonymous;
            if has_guests(running) != has_guests(new) {
                new.clone_from(running);
                kept.push(host.clone());
            }
        }
        kept
    }

    /// Says what is odd in the file, what a reload does not change, and whom it puts out.
    fn warn(&self, settings: &Settings, kept: &[Domain]) {
        for host in kept {
            tracing::warn!(
                "`authentication` of {host} becomes \"anonymous\", or ceases to be, only with a restart: the host stays as it is"
            );
        }
        for warning in &settings.warnings {
            tracing::warn!("{warning}");
        }
        for key in self.needs_restart(settings) {
            tracing::warn!("{key} changes only with a restart: it stays as it is");
        }
        for host in self.running.config.hosts.keys() {
            if !settings.config.hosts.contains_key(host) {
                tracing::warn!("{host} is not served any more: the configuration does not name it");
            }
        }
    }

    /// The options that differ from what runs and are fixed at the start.
    fn needs_restart(&self, settings: &Settings) -> Vec<&'static str> {
        let running = &self.running;
        let changed = [
            (
                "data_directory",
                settings.data_directory != running.data_directory,
            ),
            ("threads", settings.config.shards != running.config.shards),
            ("log_level", settings.log_level != running.log_level),
            ("name_server", settings.name_server != running.name_server),
            ("a listening address", settings.listen != running.listen),
            (
                "max_connections",
                settings.connections.max != running.connections.max,
            ),
            (
                "tcp_backlog",
                settings.connections.backlog != running.connections.backlog,
            ),
        ];
        let changed = changed.into_iter().filter(|(_, changed)| *changed);
        changed.map(|(key, _)| key).collect()
    }
}
