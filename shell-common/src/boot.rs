//! From settings to what a shell needs to run: data directory, secret, certificates, store, workers.

pub(crate) mod certificates;
mod data;
pub(crate) mod development;
mod look;
mod reload;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use spondee_core::config::Config;

use crate::config::{Listen, Settings};
use crate::control::{Control, socket_path};
use crate::dns::Names;
use crate::handshakes::Handshakes;
use crate::ldap::Directories;
use crate::rounds;
use crate::store::Store;
use crate::tls::{Outgoing, TlsHosts};
use crate::work::Workers;
use certificates::Certificates;
use watch::Watch;

pub use data::{Access, Beside, DataDirectory};
pub use look::{ByRoot, Look, look, made_by_root};
pub use reload::{Reload, Reloaded};

/// Everything a shell is started with.
#[derive(Debug)]
pub struct Booted {
    /// Complete, `server_secret` included.
    pub config: Arc<Config>,
    /// Certificates.
    pub tls: Arc<TlsHosts>,
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// Running.
    pub store: Store,
    /// Running.
    pub workers: Workers,
    /// Running.
    pub handshakes: Handshakes,
    /// Running.
    pub directories: Directories,
    /// Running.
    pub names: Names,
    /// For connections that we open.
    pub outgoing: Outgoing,
    /// The control socket, listening once the shell calls `Control::serve`.
    pub control: Control,
    /// Reads the configuration again on SIGHUP.
    pub reload: Reload,
    /// Held until the end.
    pub data: DataDirectory,
}

/// Boots from settings.
///
/// # Errors
/// A sentence for the administrator.
pub fn boot(mut settings: Settings, file: Option<PathBuf>) -> Result<Booted, String> {
    let socket = socket_path(&settings.data_directory)?;
    let data = DataDirectory::open(&settings.data_directory)?;
    let store = data.store()?;
    settings.config.server_secret = data.server_secret()?;
    rounds::remember(data.path(), &mut settings.config)?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let watch = Watch::begin(settings.certificates_watch, &settings.certificate_paths());
    let wanted = settings.clone();
    let certificates = Certificates::settle(&mut settings, None);
    certificates.log();
    certificates.must_be_of_use()?;
    for fault in certificates.faults() {
        tracing::error!("{fault}");
    }
    let directories = Directories::default();
    for fault in directories.replace(&settings.directories) {
        tracing::error!("{fault}");
    }
    let tls = Arc::new(certificates.tls);
    let outgoing = Outgoing::by(settings.s2s_ca_file.as_deref())?;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Booted {
        config: Arc::new(settings.config.clone()),
        tls: Arc::clone(&tls),
        listen: settings.listen.clone(),
        store: Store::start(Box::new(store), settings.config.shards),
        workers: Workers::start(workers),
        handshakes: Handshakes::start(),
        directories: directories.clone(),
        names: Names::start(settings.name_server),
        outgoing: outgoing.clone(),
        control: Control::new(socket),
        reload: Reload::new(file, wanted, settings, tls, directories, outgoing, watch),
        data,
    })
}

#[cfg(test)]
mod tests {
    use spondee_core::config::TlsAvailable;
    use spondee_core::jid::Domain;

    use super::*;
    use crate::scratch::Scratch;
    use crate::tls::generate_development_certificate;

    #[test]
    fn boots_a_development_server_and_reloads_it() {
        let scratch = Scratch::new();
        let settings = Settings::development(scratch.path());
        let host = Domain::parse("localhost").unwrap();
        let certificates = settings.certificates.clone();
        let mut booted = boot(settings, None).unwrap();
        assert_ne!(booted.config.server_secret, [0; 32]);
        assert_eq!(booted.config.accounts(&host).unwrap().tls, TlsAvailable::No);
        assert!(!booted.tls.has(&host));

        generate_development_certificate(&certificates, &host).unwrap();
        let Reloaded { config, tls, .. } = booted.reload.again().unwrap();
        assert!(tls.has(&host));
        assert_eq!(config.accounts(&host).unwrap().tls, TlsAvailable::Yes);
        assert_eq!(config.server_secret, booted.config.server_secret);
        assert_eq!(config.shards, booted.config.shards);
        booted.workers.stop();
        booted.store.stop();
    }
}
