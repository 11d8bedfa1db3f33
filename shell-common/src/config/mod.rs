//! The configuration file: TOML in, the core's `Config` and the shell's settings out.

mod file;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use spondee_core::config::Config;
use spondee_core::port::Listener;

/// Everything the file says, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For the core. `server_secret` is zero until boot fills it from the data directory; `shards` is the number of threads.
    pub config: Config,
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// `data_directory`, absolute.
    pub data_directory: PathBuf,
    /// `certificates`, absolute.
    pub certificates: PathBuf,
    /// `log_level`.
    pub log_level: LogLevel,
}

/// One listening address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// What comes first on the wire there.
    pub listener: Listener,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogLevel {
    /// What breaks service.
    Error,
    /// What an administrator should look at.
    Warn,
    /// Starts, stops, sign-ins.
    Info,
    /// Everything.
    Debug,
}

/// What is wrong with the file: every fault found, each with its line and advice.
#[derive(Debug)]
pub struct ConfigError {
    /// One sentence each, `FILE:LINE: …`, with a suggestion for an unknown key.
    pub faults: Vec<String>,
}

impl Settings {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// All faults at once.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let _ = path;
        todo!()
    }

    /// What a server without a configuration uses: host `localhost`, loopback ports 5222 and 5223, data and certificates in
    /// `directory`, encryption required.
    #[must_use]
    pub fn development(directory: &Path) -> Self {
        let _ = directory;
        todo!()
    }
}
