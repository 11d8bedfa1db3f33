//! `spondee cert …`: certificates looked at, brought here, made and asked for.

mod import;
mod renewed;

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use spondee_core::jid::Domain;

use super::Console;
use super::args::{CertTask, Form};
use super::check::certs::{Details, Direct, ports, row};
use super::failure::Failure;
use super::reload;
use super::source::Source;
use crate::config::Settings;
use crate::tls::{HostState, Owner, Shown, Source as Certified, TlsHosts, now};
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
            if let Some(other) = import::used_instead(&host, &certificate, &settings) {
                writeln!(
                    console.err,
                    "warning: {host}: {} goes before it; remove that if it is not meant to",
                    other.display()
                )?;
            }
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
    details: Details,
    shown: Shown,
    /// The same of direct TLS, where the host has another one for that.
    direct: Option<Box<Self>>,
}

/// What is a file is meant as one; `./example.org` is one, too, where there is a host of that name.
fn find(what: &Path, source: &Source) -> Result<Found, Failure> {
    let refused = |error: crate::tls::CertError| Failure::Refused(error.message);
    let name = what.to_str().filter(|name| !name.contains('/'));
    let host = name.and_then(|name| Domain::parse(name).ok());
    let Some(host) = host.filter(|_| !what.is_file()) else {
        let shown = Shown::of_file(what, now()).map_err(refused)?;
        return Ok(Found {
            file: what.to_owned(),
            details: Details::of(shown.clone(), None, None),
            shown,
            direct: None,
        });
    };
    let settings = source.load()?;
    let loaded = TlsHosts::load(
        &settings.certificates,
        std::slice::from_ref(&host),
        &settings.tls,
    );
    let Some(report) = loaded.hosts.into_iter().next() else {
        return Err(Failure::Refused(format!("there is no host {host}")));
    };
    let of_direct = report.direct.map(|direct| direct.state);
    let direct = of_direct.and_then(|state| match state {
        HostState::Found(source) | HostState::Kept(source) => Some(source),
        HostState::Missing { .. } | HostState::Unusable => None,
    });
    let source = match report.state {
        HostState::Found(source) | HostState::Kept(source) => source,
        HostState::Missing { why } => {
            let but = direct.map(|own| format!(" but {} for direct TLS", own.file.display()));
            return Err(Failure::Refused(format!(
                "there is no certificate for {host}{}: {why}; a file is named with its path, such as ./{host}",
                but.unwrap_or_default()
            )));
        }
        HostState::Unusable => {
            let faults: Vec<_> = report.remarks.into_iter().map(|one| one.text).collect();
            return Err(Failure::Refused(faults.join("\n")));
        }
    };
    let [ports, direct_ports] = ports(
        &settings,
        match direct {
            None => Direct::AsHost,
            Some(_) => Direct::Own,
        },
    );
    let found = |source: Certified, ports: &[u16], direct| {
        let shown = Shown::of_file(&source.file, now()).map_err(refused)?;
        Ok(Found {
            details: Details::of(shown.clone(), Some(&source.key), Some((&host, ports))),
            file: source.file,
            shown,
            direct,
        })
    };
    let direct = direct.map(|source| found(source, &direct_ports, None).map(Box::new));
    found(source, &ports, direct.transpose()?)
}

impl Found {
    /// All of them, the file of each with what it is for.
    fn all(&self) -> impl Iterator<Item = (String, &Self)> {
        let direct = self.direct.as_deref();
        let direct = direct.map(|own| (format!("{} (for direct TLS)", own.file.display()), own));
        [(self.file.display().to_string(), self)]
            .into_iter()
            .chain(direct)
    }
}

fn show(
    what: &Path,
    source: &Source,
    form: Form,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let found = find(what, source)?;
    match form {
        Form::Text => {
            for (title, found) in found.all() {
                writeln!(console.out, "{title}")?;
                found.details.write(console.out)?;
            }
        }
        Form::Json => {
            let text = serde_json::to_string_pretty(&Printed {
                details: &found.details,
                direct: found.direct.as_deref().map(|own| &own.details),
            });
            writeln!(console.out, "{}", text.map_err(io::Error::from)?)?;
        }
    }
    Ok(())
}

/// A certificate as programs read it.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    details: &'a Details,
    /// That of direct TLS, where it has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    direct: Option<&'a Details>,
}

fn fingerprint(what: &Path, source: &Source, console: &mut Console<'_>) -> Result<(), Failure> {
    for (title, found) in find(what, source)?.all() {
        writeln!(console.out, "{title}")?;
        for (word, line) in found.shown.fingerprints() {
            row(console.out, word, &line)?;
        }
    }
    Ok(())
}
