//! `spondee check config`: everything that is wrong with a configuration, its certificates and its data directory.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use spondee_core::config::HostConfig;
use spondee_core::jid::Domain;
use spondee_core::sasl::Encryption;
use tracing::level_filters::LevelFilter;

use super::Console;
use super::args::Form;
use super::failure::Failure;
use super::source::Source;
use crate::config::Settings;
use crate::control::socket_path;
use crate::log;
use crate::tls::TlsHosts;

/// Prints what there is to say. Changes nothing.
pub(super) fn perform(
    source: &Source,
    form: Form,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let report = Report::of(source);
    match form {
        Form::Text => report.write(console.out)?,
        Form::Json => {
            let text = serde_json::to_string_pretty(&report).map_err(io::Error::from)?;
            writeln!(console.out, "{text}")?;
        }
    }
    match report.faults.len() {
        0 => Ok(()),
        count => Err(Failure::Unusable(format!(
            "{count} {} to be mended",
            if count == 1 { "fault is" } else { "faults are" }
        ))),
    }
}

#[derive(Debug, Serialize)]
struct Report {
    /// `None` without a configuration.
    file: Option<PathBuf>,
    faults: Vec<String>,
    warnings: Vec<String>,
    /// Empty if the file cannot be read.
    hosts: Vec<Host>,
    data_directory: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Host {
    host: String,
    certificate: Certificate,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Certificate {
    /// It can be used.
    Found,
    Missing,
    /// It is there and cannot be used.
    Unusable,
}

impl Report {
    fn of(source: &Source) -> Self {
        let mut report = Self {
            file: None,
            faults: Vec::new(),
            warnings: Vec::new(),
            hosts: Vec::new(),
            data_directory: None,
        };
        let settings = match source {
            Source::Development(directory) => Ok(Settings::development(directory)),
            Source::File(file) => {
                report.file = Some(file.clone());
                Settings::load(file)
            }
        };
        match settings {
            Ok(settings) => report.look_at(settings, source),
            Err(error) => report.faults = error.faults,
        }
        report
    }

    fn look_at(&mut self, settings: Settings, source: &Source) {
        self.warnings = settings.warnings;
        for (host, config) in &settings.config.hosts {
            self.look_for_certificate(&settings.certificates, host, config, source);
        }
        self.look_at_data(&settings.data_directory);
        self.data_directory = Some(settings.data_directory);
    }

    fn look_for_certificate(
        &mut self,
        certificates: &Path,
        host: &Domain,
        config: &HostConfig,
        source: &Source,
    ) {
        // Each host by itself: the search for several stops at the first fault. What it warns of goes to the log.
        let (loaded, warnings) = log::capture(LevelFilter::WARN, || {
            TlsHosts::load(certificates, std::slice::from_ref(host))
        });
        for warning in warnings {
            // A file that helps no host is met once for each.
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        let certificate = match loaded {
            Ok(tls) if tls.has(host) => Certificate::Found,
            Ok(_) => {
                self.miss_certificate(certificates, host, config, source);
                Certificate::Missing
            }
            Err(error) => {
                if !self.faults.contains(&error.message) {
                    self.faults.push(error.message);
                }
                Certificate::Unusable
            }
        };
        self.hosts.push(Host {
            host: host.as_str().to_owned(),
            certificate,
        });
    }

    fn miss_certificate(
        &mut self,
        certificates: &Path,
        host: &Domain,
        config: &HostConfig,
        source: &Source,
    ) {
        let directory = certificates.display();
        match (source, config.sasl.encryption) {
            (Source::Development(_), _) => self.warnings.push(format!(
                "host {host}: no certificate yet; the first start makes one in {directory}"
            )),
            (Source::File(_), Encryption::Required) => self.faults.push(format!(
                "host {host}: nobody can sign in, because TLS is required and there is no certificate; put {host}.crt and \
                 {host}.key into {directory}"
            )),
            (Source::File(_), Encryption::Optional) => self.warnings.push(format!(
                "host {host}: no certificate, all passes in clear; put {host}.crt and {host}.key into {directory}"
            )),
        }
    }

    /// As `boot::DataDirectory` does, but without making or locking it.
    fn look_at_data(&mut self, path: &Path) {
        if let Err(fault) = socket_path(path) {
            self.faults.push(fault);
        }
        let shown = path.display();
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_dir() => self.faults.push(format!(
                "the data directory {shown} is not a directory; move it away or set another data_directory"
            )),
            Ok(metadata) => {
                let mode = metadata.permissions().mode() & 0o777;
                if mode & 0o077 != 0 {
                    self.faults.push(format!(
                        "others can enter the data directory {shown} (its mode is {mode:04o}): run `chmod 0700 {shown}`"
                    ));
                }
            }
            // The first start makes it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.warnings.push(format!(
                "the data directory {shown} was not looked at ({error}); run this as the user that runs the server"
            )),
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.file {
            Some(file) => writeln!(out, "configuration: {}", file.display())?,
            None => writeln!(out, "configuration: none, a server for development")?,
        }
        if let Some(directory) = &self.data_directory {
            writeln!(out, "data directory: {}", directory.display())?;
        }
        for Host { host, certificate } in &self.hosts {
            let certificate = match certificate {
                Certificate::Found => "has a certificate",
                Certificate::Missing => "has no certificate",
                Certificate::Unusable => "has a certificate that cannot be used",
            };
            writeln!(out, "host {host}: {certificate}")?;
        }
        for warning in &self.warnings {
            writeln!(out, "warning: {warning}")?;
        }
        for fault in &self.faults {
            writeln!(out, "fault: {fault}")?;
        }
        if self.faults.is_empty() {
            writeln!(out, "The configuration can be used.")?;
        }
        Ok(())
    }
}
