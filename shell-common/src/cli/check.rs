//! `spondee check config`: everything that is wrong with a configuration, its certificates and its data directory.

mod certificates;
pub(super) mod certs;
mod directories;
mod servers;
pub(super) mod tls;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Console;
use super::args::Form;
use super::failure::Failure;
use super::source::Source;
use crate::boot::{self, Look};
use crate::config::{Settings, Wanted};
use crate::control::socket_path;
use certificates::Host;

pub(super) use directories::Asking;

/// Prints what there is to say. Changes nothing.
pub(super) fn perform(
    source: &Source,
    form: Form,
    asking: Asking,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let report = Report::of(source, asking);
    match form {
        Form::Text => report.write(console.out)?,
        Form::Json => {
            let text = serde_json::to_string_pretty(&report).map_err(io::Error::from)?;
            writeln!(console.out, "{text}")?;
        }
    }
    ending(report.faults.len())
}

/// How a look for mistakes ends that found so many.
fn ending(faults: usize) -> Result<(), Failure> {
    match faults {
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
    /// Of the hosts that ask one.
    directories: Vec<directories::Line>,
    /// What there is to say of other servers, for people.
    #[serde(skip)]
    servers: Option<String>,
}

impl Report {
    fn of(source: &Source, asking: Asking) -> Self {
        let mut report = Self {
            file: None,
            faults: Vec::new(),
            warnings: Vec::new(),
            hosts: Vec::new(),
            data_directory: None,
            directories: Vec::new(),
            servers: None,
        };
        let settings = match source {
            Source::Development(directory) => Ok(Settings::development(directory)),
            Source::File(file) => {
                report.file = Some(file.clone());
                Settings::load_for(file, Wanted::Command)
            }
        };
        match settings {
            Ok(settings) => {
                report.look_at_directories(&settings, asking);
                report.look_at(settings, source, &[]);
            }
            Err(error) => {
                report.faults = error.faults;
                if let Some(rest) = error.rest {
                    report.look_at(rest.settings, source, &rest.doubtful);
                }
            }
        }
        report
    }

    /// Looks at what the settings name. Of a directory that is doubtful nobody knows where it is.
    fn look_at(&mut self, settings: Settings, source: &Source, doubtful: &[String]) {
        let is_known = |option: &str| !doubtful.iter().any(|other| other == option);
        self.warnings.extend(settings.warnings.iter().cloned());
        if is_known("certificates") {
            let checked = certificates::check(&settings, source);
            self.hosts = checked.hosts;
            self.faults.extend(checked.faults);
            self.warnings.extend(checked.warnings);
            self.servers = servers::line(&settings, &self.hosts);
        }
        if is_known("s2s_ca_file") {
            self.faults.extend(servers::authorities(&settings));
        }
        if is_known("data_directory") {
            self.look_at_data(&settings.data_directory);
            self.data_directory = Some(settings.data_directory);
        }
    }

    /// Only where nothing is wrong with the file: what is said of them may stand in a line that could not be read.
    fn look_at_directories(&mut self, settings: &Settings, asking: Asking) {
        let checked = directories::check(settings, asking);
        self.directories = checked.lines;
        self.faults.extend(checked.faults);
        self.warnings.extend(checked.warnings);
    }

    /// As `boot::DataDirectory` does, but without making or locking it.
    fn look_at_data(&mut self, path: &Path) {
        if let Err(fault) = socket_path(path) {
            self.faults.push(fault);
        }
        let Look { faults, warnings } = boot::look(path, self.file.as_deref());
        self.faults.extend(faults);
        self.warnings.extend(warnings);
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.file {
            Some(file) => writeln!(out, "configuration: {}", file.display())?,
            None => writeln!(out, "configuration: none, a server for development")?,
        }
        if let Some(directory) = &self.data_directory {
            writeln!(out, "data directory: {}", directory.display())?;
        }
        for host in &self.hosts {
            writeln!(out, "{}", host.line())?;
        }
        for line in certificates::offers(&self.hosts) {
            writeln!(out, "{line}")?;
        }
        for line in &self.directories {
            writeln!(out, "{}", line.text())?;
        }
        if let Some(line) = &self.servers {
            writeln!(out, "{line}")?;
        }
        write_wrongs(out, &self.warnings, &self.faults)?;
        if self.faults.is_empty() {
            writeln!(out, "The configuration can be used.")?;
        }
        Ok(())
    }
}

/// What is wrong, in the words of every check.
fn write_wrongs(out: &mut dyn Write, warnings: &[String], faults: &[String]) -> io::Result<()> {
    for warning in warnings {
        writeln!(out, "warning: {warning}")?;
    }
    for fault in faults {
        writeln!(out, "fault: {fault}")?;
    }
    Ok(())
}
