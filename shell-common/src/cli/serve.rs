//! `spondee serve`: boots from the configuration, or as a development server that says what it did.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use spondee_core::jid::Domain;

use super::{Failure, Source};
use crate::boot::{Booted, DataDirectory, boot};
use crate::config::Settings;
use crate::tls::generate_development_certificate;

pub(super) fn serve(
    source: Source,
    settings: Settings,
    shell: fn(Booted) -> Result<(), String>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if geteuid().is_root() {
        // Choice: Prosody refuses, unless told `run_as_root`. In a container root is often the only user there is.
        tracing::warn!("running as root: better give the server a user of its own");
    }
    let made = match source {
        Source::Development => Some(make_certificates(&settings).map_err(Failure::Refused)?),
        Source::File(_) => None,
    };
    let data = settings.data_directory.clone();
    let booted = boot(settings, source.into_file()).map_err(Failure::Refused)?;
    if let Some(certificates) = made {
        // With standard output closed there is nobody to tell; the server runs all the same.
        let _ = introduce(&data, &certificates, out);
    }
    shell(booted).map_err(Failure::Refused)
}

/// Makes the certificates that are missing. The files of all hosts.
fn make_certificates(settings: &Settings) -> Result<Vec<PathBuf>, String> {
    // First of all the data directory, so that a wrong mode or a running server is told before anything is written.
    drop(DataDirectory::open(&settings.data_directory)?);
    let file = |host: &Domain| settings.certificates.join(format!("{host}.crt"));
    for host in settings.config.hosts.keys() {
        if !file(host).exists() {
            generate_development_certificate(&settings.certificates, host)
                .map_err(|error| error.message)?;
        }
    }
    Ok(settings.config.hosts.keys().map(file).collect())
}

/// Five lines: what was done and what to do next.
fn introduce(data: &Path, certificates: &[PathBuf], out: &mut dyn Write) -> io::Result<()> {
    // As it was called, so that the line can be copied.
    let program = std::env::args().next().unwrap_or_default();
    let certificates: Vec<_> = certificates
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    writeln!(
        out,
        "There is no configuration: this is a development server for the host localhost, for this machine only."
    )?;
    writeln!(out, "Its data is in {}.", data.display())?;
    writeln!(
        out,
        "Add a user from this directory, in another terminal: {program} user add juliet@localhost"
    )?;
    writeln!(
        out,
        "Then connect a client to localhost, port 5222 (STARTTLS) or 5223 (direct TLS), as juliet@localhost."
    )?;
    writeln!(
        out,
        "The certificate was made here; for verification let the client trust {}",
        certificates.join(", ")
    )?;
    out.flush()
}
