//! `spondee cert …`: certificates looked at, brought here, made and asked for.

mod import;
mod renewed;

use std::io;
use std::path::{Path, PathBuf};

use spondee_core::jid::Domain;

use super::Console;
use super::args::{CertTask, Form};
use super::check::certs::{Details, row};
use super::failure::Failure;
use super::reload;
use super::source::Source;
use crate::config::Settings;
use crate::tls::{HostState, Owner, Shown, TlsHosts, now};
pub(super) use renewed::renewed;

pub(super) fn perform(
    task: CertTask,
    source: &Source,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    match task {
        CertTask::Show { what, print } => show(&what, source, print.form(), console),
        CertTask::Fingerprint { what } => fingerprint(&what, source, console),
        CertTask::Import { hosts, from } => {
            let wanted = import::Wanted::of(hosts, from, &console.surroundings.renewed)?;
            import::import(&wanted, &source.load()?, console)
        }
        CertTask::Generate { host, days } => {
            let settings = source.load()?;
            let made = crate::tls::generate(&settings.certificates, &host, days, owner(&settings));
            let (certificate, key) = made.map_err(|error| Failure::Refused(error.message))?;
            writeln!(
                console.out,
                "a certificate for {host} was made: {}, with its key {}; nobody vouches for it, so clients must be told to trust it",
                certificate.display(),
                key.display()
            )?;
            reload::after(&settings, console)
        }
        CertTask::Request { host } => {
            let settings = source.load()?;
            let made = crate::tls::request(&settings.certificates, &host, owner(&settings));
            let (request, key) = made.map_err(|error| Failure::Refused(error.message))?;
            Ok(writeln!(
                console.out,
                "a request for {host} was written: {}; give it to an authority, and put what it answers, the chain included, into \
                 {} (its key is {})",
                request.display(),
                settings.certificates.join(format!("{host}.crt")).display(),
                key.display()
            )?)
        }
    }
}

/// Whose the files are that a server has to read.
fn owner(settings: &Settings) -> Owner {
    Owner::of_server(&[&settings.data_directory, &settings.certificates])
}

/// A certificate that was named: by its file, or by the host that it serves.
struct Found {
    file: PathBuf,
    key: Option<PathBuf>,
    host: Option<Domain>,
    shown: Shown,
}

/// What is a file is meant as one; `./example.org` is one, too, where there is a host of that name.
fn find(what: &Path, source: &Source, settings: &mut Option<Settings>) -> Result<Found, Failure> {
    let refused = |error: crate::tls::CertError| Failure::Refused(error.message);
    let name = what.to_str().filter(|name| !name.contains('/'));
    let host = name.and_then(|name| Domain::parse(name).ok());
    let Some(host) = host.filter(|_| !what.is_file()) else {
        let shown = Shown::of_file(what, now()).map_err(refused)?;
        return Ok(Found {
            file: what.to_owned(),
            key: None,
            host: None,
            shown,
        });
    };
    let settings = settings.insert(source.load()?);
    let loaded = TlsHosts::load(
        &settings.certificates,
        std::slice::from_ref(&host),
        &settings.tls,
    );
    let Some(report) = loaded.hosts.into_iter().next() else {
        return Err(Failure::Refused(format!("there is no host {host}")));
    };
    let source = match report.state {
        HostState::Found(source) | HostState::Kept(source) => source,
        HostState::Missing { why } => {
            return Err(Failure::Refused(format!(
                "there is no certificate for {host}: {why}; a file is named with its path, such as ./{host}"
            )));
        }
        HostState::Unusable => {
            let faults: Vec<_> = report.remarks.into_iter().map(|one| one.text).collect();
            return Err(Failure::Refused(faults.join("\n")));
        }
    };
    let shown = Shown::of_file(&source.file, now()).map_err(refused)?;
    Ok(Found {
        file: source.file,
        key: Some(source.key),
        host: Some(host),
        shown,
    })
}

fn show(
    what: &Path,
    source: &Source,
    form: Form,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut settings = None;
    let Found {
        file,
        key,
        host,
        shown,
    } = find(what, source, &mut settings)?;
    let details = Details::of(shown, key.as_deref(), host.as_ref(), settings.as_ref());
    match form {
        Form::Text => {
            writeln!(console.out, "{}", file.display())?;
            details.write(console.out)?;
        }
        Form::Json => {
            let text = serde_json::to_string_pretty(&details).map_err(io::Error::from)?;
            writeln!(console.out, "{text}")?;
        }
    }
    Ok(())
}

fn fingerprint(what: &Path, source: &Source, console: &mut Console<'_>) -> Result<(), Failure> {
    let found = find(what, source, &mut None)?;
    writeln!(console.out, "{}", found.file.display())?;
    for (word, line) in found.shown.fingerprints() {
        row(console.out, word, &line)?;
    }
    Ok(())
}
