//! From settings to what a shell needs to run: data directory, secret, certificates, store, workers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use spondee_core::config::Config;

use crate::config::{Listen, Settings};
use crate::control::Control;
use crate::store::Store;
use crate::tls::TlsHosts;
use crate::work::Workers;

/// A locked data directory: mode 0700 checked, one process at a time.
#[derive(Debug)]
pub struct DataDirectory {
    // the helper's: path and the lock's descriptor
}

impl DataDirectory {
    /// Creates the directory 0700 if missing, refuses one that others can enter, takes its lock.
    ///
    /// # Errors
    /// A sentence for the administrator: the mode and the chmod to run, or that a server is running.
    pub fn open(path: &Path) -> Result<Self, String> {
        let _ = path;
        todo!()
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        todo!()
    }

    /// `server_secret`: 32 bytes made once and stored 0600.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub fn server_secret(&self) -> Result<[u8; 32], String> {
        todo!()
    }
}

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
    /// The control socket, listening once the shell calls `Control::serve`.
    pub control: Control,
    /// Reads the configuration again on SIGHUP.
    pub reload: Reload,
    /// Held until the end.
    pub data: DataDirectory,
}

/// Where the configuration came from.
#[derive(Clone, Debug)]
pub struct Reload {
    /// `None` for a development server.
    pub file: Option<PathBuf>,
    /// What must not change while running (data directory, shards, listeners).
    pub running: Settings,
}

impl Reload {
    /// Reads file and certificates again. What cannot change at run time is warned about and left.
    ///
    /// # Errors
    /// Sentences for the log; the server goes on as it was.
    pub fn again(&self) -> Result<(Arc<Config>, Arc<TlsHosts>), Vec<String>> {
        todo!()
    }
}

/// Boots from settings.
///
/// # Errors
/// A sentence for the administrator.
pub fn boot(settings: Settings, file: Option<PathBuf>) -> Result<Booted, String> {
    let _ = (settings, file);
    todo!()
}
