//! `spondee check config`: the file and the certificates it needs, without touching the data directory.

use std::io::Write;

use serde::Serialize;
use spondee_core::jid::Domain;
use spondee_core::sasl::Encryption;

use super::args::CheckConfig;
use super::{CONFIG_FILE, CONFIG_VARIABLE, Failure, Source};
use crate::config::{EXAMPLE, Settings};
use crate::tls::TlsHosts;

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    file: String,
    faults: Vec<String>,
    warnings: Vec<String>,
    hosts: Vec<String>,
}

pub(super) fn config(
    check: &CheckConfig,
    source: &Source,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if check.form.example {
        return Ok(out.write_all(EXAMPLE.as_bytes())?);
    }
    let Source::File(file) = source else {
        return Err(Failure::Refused(format!(
            "there is no configuration: no FILE, no --config, no {CONFIG_VARIABLE} and no {CONFIG_FILE}. Without one a \
             development server starts; `spondee check config --example` prints a file to begin with"
        )));
    };
    let mut report = Report {
        file: file.display().to_string(),
        ..Report::default()
    };
    match Settings::load(file) {
        Ok(settings) => examine(&settings, &mut report),
        Err(error) => report.faults = error.faults,
    }
    if check.form.json {
        let json = serde_json::to_string_pretty(&report)
            .map_err(|error| Failure::Refused(error.to_string()))?;
        writeln!(out, "{json}")?;
    } else {
        for fault in &report.faults {
            writeln!(out, "fault: {fault}")?;
        }
        for warning in &report.warnings {
            writeln!(out, "warning: {warning}")?;
        }
    }
    match report.faults.len() {
        0 if check.form.json => Ok(()),
        0 => Ok(writeln!(out, "{}: no faults", report.file)?),
        1 => Err(Failure::Refused(format!("{} has a fault", report.file))),
        faults => Err(Failure::Refused(format!(
            "{} has {faults} faults",
            report.file
        ))),
    }
}

/// What the file leads to.
fn examine(settings: &Settings, report: &mut Report) {
    let hosts: Vec<Domain> = settings.config.hosts.keys().cloned().collect();
    report.hosts = hosts.iter().map(Domain::to_string).collect();
    report.warnings.clone_from(&settings.warnings);
    let tls = match TlsHosts::load(&settings.certificates, &hosts) {
        Ok(tls) => tls,
        Err(error) => return report.faults.push(error.message),
    };
    for (host, config) in &settings.config.hosts {
        if !tls.has(host) {
            let outcome = match config.sasl.encryption {
                Encryption::Required => "nobody can sign in there",
                Encryption::Optional => "clients sign in there without encryption",
            };
            let directory = settings.certificates.display();
            report.warnings.push(format!(
                "no certificate for {host} below {directory}: {outcome}"
            ));
        }
    }
}
