//! `spondee cert import`: certificates from where others keep them, put where the server looks, and the server told.

use std::fs;
use std::path::{Path, PathBuf};

use spondee_core::jid::Domain;

use super::super::Console;
use super::super::failure::Failure;
use super::super::reload;
use super::owner;
use crate::config::Settings;
use crate::tls::{Brought, HostState, Place, Source, Stock, TlsHosts, now};

/// What is to be brought, and from where.
pub(super) struct Wanted {
    hosts: Vec<Domain>,
    from: Vec<PathBuf>,
    why: Why,
}

/// Who wants it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Why {
    /// A person, or a script of one.
    Asked,
    /// A program that has renewed a certificate, whosever it is.
    Renewed,
}

impl Wanted {
    /// What is said, else what a program renewed that runs this as its hook.
    pub(super) fn of(
        hosts: Vec<Domain>,
        from: Vec<PathBuf>,
        renewed: &[PathBuf],
    ) -> Result<Self, Failure> {
        match (from.is_empty(), renewed.is_empty()) {
            (false, _) => Ok(Self {
                hosts,
                from,
                why: Why::Asked,
            }),
            (true, false) => Ok(Self {
                hosts,
                from: renewed.to_vec(),
                why: Why::Renewed,
            }),
            (true, true) => Err(Failure::Usage(
                "say where the certificates are, such as --from /etc/letsencrypt/live; only as a hook of certbot, lego or acme.sh it is \
                 known what was renewed"
                    .to_owned(),
            )),
        }
    }
}

/// Brings the certificates of the hosts that are named, or of all that are served.
pub(super) fn import(
    wanted: &Wanted,
    settings: &Settings,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let Wanted { hosts, from, why } = wanted;
    let served = &settings.config.hosts;
    if let Some(stranger) = hosts.iter().find(|host| !served.contains_key(*host)) {
        return Err(Failure::Refused(format!(
            "nothing was imported: the host {stranger} is not served, the configuration has no section [host.\"{stranger}\"]"
        )));
    }
    let stock = Stock::of(from, now()).map_err(|error| Failure::Refused(error.message))?;
    let hosts: Vec<&Domain> = match (hosts.is_empty(), why) {
        (false, _) => hosts.iter().collect(),
        (true, Why::Asked) => served
            .keys()
            .filter(|host| settings.config.accounts(*host).is_some() || stock.names(host))
            .collect(),
        (true, Why::Renewed) => served.keys().filter(|host| stock.names(host)).collect(),
    };
    if hosts.is_empty() && *why == Why::Renewed && !stock.is_unreadable() {
        // Such programs renew certificates of web servers, too, and run the same hook for each.
        return Ok(writeln!(
            console.out,
            "nothing to import: what was renewed is for no host that is served ({})",
            stock.contents()
        )?);
    }
    if hosts.is_empty() {
        return Err(Failure::Refused(format!(
            "nothing was imported: {}",
            stock.contents()
        )));
    }
    let mut faults = Vec::new();
    let mut changed = Changed::Nothing;
    for host in hosts {
        match bring(host, &stock, settings, console)? {
            Ok(Changed::Something) => changed = Changed::Something,
            Ok(Changed::Nothing) => {}
            Err(fault) => faults.push(format!("{host}: {fault}")),
        }
    }
    let reloaded = match changed {
        Changed::Nothing => Ok(()),
        Changed::Something => reload::after(settings, console),
    };
    if faults.is_empty() {
        return reloaded;
    }
    let mut text = format!("not imported: {}", faults.join("\nnot imported: "));
    // Both count: what was not brought, and what the server says of what was.
    if let Err(failure) = &reloaded
        && let Some(message) = failure.message()
    {
        text.push('\n');
        text.push_str(message);
    }
    Err(Failure::Refused(text))
}

/// Whether there is anything to reload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Changed {
    Nothing,
    Something,
}

/// The outer error ends the command, the inner one is this host's.
fn bring(
    host: &Domain,
    stock: &Stock,
    settings: &Settings,
    console: &mut Console<'_>,
) -> Result<Result<Changed, String>, Failure> {
    let Brought {
        file,
        certificate,
        key,
        remarks,
    } = match stock.find(host) {
        Ok(brought) => brought,
        Err(fault) => return Ok(Err(fault)),
    };
    for remark in remarks {
        writeln!(console.err, "warning: {remark}")?;
    }
    let place = match place(host, &file, settings) {
        Ok(Goal::Place(place)) => place,
        Ok(Goal::There) => {
            writeln!(
                console.out,
                "{host}: {} is what the configuration names, and is read where it is",
                file.display()
            )?;
            return Ok(Ok(Changed::Something));
        }
        Err(fault) => return Ok(Err(fault)),
    };
    let is_there =
        |path: &Path, content: &str| fs::read(path).is_ok_and(|there| there == content.as_bytes());
    if is_there(&place.certificate, &certificate) && is_there(&place.key, &key) {
        writeln!(
            console.out,
            "{host}: {} is {} already",
            place.certificate.display(),
            file.display()
        )?;
        return Ok(Ok(Changed::Nothing));
    }
    if let Err(error) = place.put(&certificate, &key) {
        return Ok(Err(error.message));
    }
    writeln!(
        console.out,
        "{host}: {} was copied to {}, its key to {}",
        file.display(),
        place.certificate.display(),
        place.key.display()
    )?;
    if let Some(other) = used_instead(host, &place.certificate, settings) {
        writeln!(
            console.err,
            "warning: {host}: {} goes before it; remove that if it is not meant to",
            other.display()
        )?;
    }
    Ok(Ok(Changed::Something))
}

/// Where a certificate goes.
enum Goal {
    Place(Place),
    /// It is there.
    There,
}

/// Where the server looks for the certificate of a host, which was found in `file`.
fn place(host: &Domain, file: &Path, settings: &Settings) -> Result<Goal, String> {
    let directory = &settings.certificates;
    let Some(location) = settings.tls.of(host).certificates.all else {
        let place = Place::of(directory, host, owner(settings));
        return place.map(Goal::Place).map_err(|error| error.message);
    };
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if real(file).starts_with(real(&location.certificate)) {
        return Ok(Goal::There);
    }
    let place = Place::named(directory, &location, owner(settings));
    place.map(Goal::Place).ok_or_else(|| {
        format!(
            "the configuration names {} for it, and nothing is written outside {}: put {} there yourself and run `spondee reload`, or remove \
             that option",
            location.certificate.display(),
            directory.display(),
            file.display()
        )
    })
}

/// Another file that a server takes for the host.
pub(super) fn used_instead(
    host: &Domain,
    certificate: &Path,
    settings: &Settings,
) -> Option<PathBuf> {
    let hosts = std::slice::from_ref(host);
    let loaded = TlsHosts::load(&settings.certificates, hosts, &settings.tls);
    match &loaded.hosts.first()?.state {
        HostState::Found(source) | HostState::Kept(source) => {
            let second = source.second.as_deref();
            let is_it = |source: &Source| source.file == certificate;
            let is_used = is_it(source) || second.is_some_and(is_it);
            (!is_used).then(|| source.file.clone())
        }
        HostState::Missing { .. } | HostState::Unusable => None,
    }
}
