//! The configuration file: TOML in, the core's `Config` and the shell's settings out.

mod file;
mod options;
mod rate;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;

use spondee_core::config::{Config, HostConfig, Software};
use spondee_core::jid::Domain;
use spondee_core::limits::Limits;
use spondee_core::port::{Listener, Opening};

use crate::limits::THREADS;
use crate::limits::shell::BACKLOG;

/// A file with every option, its default and what it does.
pub const EXAMPLE: &str = include_str!("example.toml");

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
    /// How many may connect.
    pub connections: Connections,
    /// What the file says that is not wrong but hardly meant: sentences for the log and for `check config`.
    pub warnings: Vec<String>,
}

/// One listening address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// What comes first on the wire there.
    pub listener: Listener,
}

/// How many may connect. For a shell: the core knows only those it was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connections {
    /// `max_connections`; `None` for as many as the limit of open files allows.
    pub max: Option<usize>,
    /// `max_connections_per_address`; `None` for any number.
    pub per_address: Option<usize>,
    /// `tcp_backlog`.
    pub backlog: i32,
}

impl Default for Connections {
    /// Choice: no limit for an address. RFC 6120 §13.12 has administrators able to set one; but whole providers stand behind
    /// one IPv4 address, and strangers are cheap and gone within a minute (`c2s_timeout`).
    fn default() -> Self {
        Self {
            max: None,
            per_address: None,
            backlog: BACKLOG,
        }
    }
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

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

impl Settings {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// All faults at once.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let one = |fault: String| ConfigError {
            faults: vec![format!("{}: {fault}", path.display())],
        };
        let bytes = fs::read(path).map_err(|error| one(format!("cannot be read: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|_| one("not UTF-8".to_owned()))?;
        let absolute = std::path::absolute(path)
            .map_err(|error| one(format!("cannot be made absolute: {error}")))?;
        let base = absolute.parent().unwrap_or_else(|| Path::new("/"));
        Self::parse(&text, path, base)
    }

    /// Checks the text of a file. Faults name it `file`; relative paths in it start at `base`.
    ///
    /// # Errors
    /// All faults at once.
    pub fn parse(text: &str, file: &Path, base: &Path) -> Result<Self, ConfigError> {
        file::read(text, file, base).map_err(|faults| ConfigError { faults })
    }

    /// What a server without a configuration uses: host `localhost`, loopback ports 5222 and 5223, data and certificates in
    /// `directory`, encryption required.
    #[must_use]
    pub fn development(directory: &Path) -> Self {
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        let hosts = Domain::parse("localhost")
            .into_iter()
            .map(|host| (host, HostConfig::default()))
            .collect();
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let listen = [(5222, Opening::Clear), (5223, Opening::Tls)]
            .into_iter()
            .flat_map(|(port, opening)| {
                loopback.map(|address| Listen {
                    address: SocketAddr::new(address, port),
                    listener: Listener { opening },
                })
            })
            .collect();
        Self {
            config: core_config(hosts, Limits::default(), default_threads()),
            listen,
            certificates: directory.join("certs"),
            data_directory: directory,
            log_level: LogLevel::Info,
            connections: Connections::default(),
            warnings: Vec::new(),
        }
    }
}

fn core_config(hosts: BTreeMap<Domain, HostConfig>, limits: Limits, threads: u16) -> Config {
    Config {
        hosts,
        limits,
        server_secret: [0; 32],
        shards: threads,
        software: Software {
            name: "Spondee".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
    }
}

/// The number of cores this process may use.
fn default_threads() -> u16 {
    thread::available_parallelism()
        .ok()
        .and_then(|cores| u16::try_from(cores.get()).ok())
        .unwrap_or(1)
        .min(*THREADS.end())
}
