//! The configuration file: TOML in, the core's `Config` and the shell's settings out.

mod components;
mod example;
mod file;
mod foreign;
mod ldap;
mod listen;
mod options;
mod rate;
mod reader;
mod secret;
mod sections;
mod server;
mod ssl;
mod statements;
mod syntax;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;

use spondee_core::config::{Config, Host, HostConfig, Software};
use spondee_core::federation::FederationOptions;
use spondee_core::jid::Domain;
use spondee_core::limits::Limits;
use spondee_core::options::Expiry;
use spondee_core::port::{Listener, Opening};
use zeroize::Zeroizing;

use secret::Places;

use crate::dns::NameServer;
use crate::limits::shell::BACKLOG;
use crate::limits::{CONFIG_FILE_BYTES, THREADS};
use crate::remedy::explain;
use crate::tls::Policies;

pub use example::EXAMPLE;
pub(crate) use listen::Ports;
pub use secret::Wanted;
pub(crate) use value::{AMBIGUOUS, is_ambiguous, seconds};

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
    /// `certificates_watch`: how often files are looked at, if they are.
    pub certificates_watch: Expiry,
    /// What TLS offers: `tls_profile`, `ssl`, `c2s_ssl`, `c2s_direct_tls_ssl`, `s2s_ssl`.
    pub tls: Policies,
    /// Of the hosts that ask a directory: the options that begin with `ldap_`.
    pub directories: BTreeMap<Domain, crate::ldap::Settings>,
    /// `name_server`; `None` for those of `/etc/resolv.conf`.
    pub name_server: Option<NameServer>,
    /// `s2s_ca_file`, absolute; `None` for what this machine trusts.
    pub s2s_ca_file: Option<PathBuf>,
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
    /// What can be read in spite of them, to look for more.
    pub rest: Option<Box<Rest>>,
}

/// What a file with faults says besides. No server runs with it.
#[derive(Debug)]
pub struct Rest {
    /// Everything that was read, and the defaults of what could not be.
    pub settings: Settings,
    /// The options whose value is not known: those that hold something wrong, and of the directories those that a line may be meant for
    /// which could not be read.
    pub doubtful: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

impl Settings {
    /// Reads and checks a file, with the secrets that it names, to serve by it.
    ///
    /// # Errors
    /// All faults at once.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_for(path, Wanted::Serving)
    }

    /// The same for a command, which may lack secrets that only the service is given.
    ///
    /// # Errors
    /// All faults at once.
    pub fn load_for(path: &Path, wanted: Wanted) -> Result<Self, ConfigError> {
        let one = |fault: String| ConfigError {
            faults: vec![format!("{}: {fault}", path.display())],
            rest: None,
        };
        let (text, metadata) = text(path).map_err(one)?;
        let absolute = std::path::absolute(path)
            .map_err(|error| one(format!("cannot be made absolute: {error}")))?;
        let base = absolute.parent().unwrap_or_else(|| Path::new("/"));
        file::read(&text, path, &Places::of(base, path, &metadata, wanted))
    }

    /// Checks the text of a file. Faults name it `file`; relative paths in it start at `base`.
    ///
    /// # Errors
    /// All faults at once.
    pub fn parse(text: &str, file: &Path, base: &Path) -> Result<Self, ConfigError> {
        file::read(text, file, &Places::without_file(base))
    }

    /// Everywhere that certificates and keys are looked for.
    pub(crate) fn certificate_paths(&self) -> Vec<PathBuf> {
        let named = self.tls.locations();
        let named = named.flat_map(|location| [location.certificate.clone(), location.key()]);
        [self.certificates.clone()]
            .into_iter()
            .chain(named)
            .collect()
    }

    /// What a server without a configuration uses: host `localhost`, loopback ports 5222 and 5223, data and certificates in
    /// `directory`, encryption required. It talks to no other server.
    #[must_use]
    pub fn development(directory: &Path) -> Self {
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        let hosts = Domain::parse("localhost")
            .into_iter()
            .map(|host| (host, Host::Accounts(HostConfig::default())))
            .collect();
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let listen = [(5222, Opening::Clear), (5223, Opening::Tls)]
            .into_iter()
            .flat_map(|(port, opening)| {
                loopback.map(|address| Listen {
                    address: SocketAddr::new(address, port),
                    listener: Listener::of_clients(opening),
                })
            })
            .collect();
        Self {
            config: core_config(
                hosts,
                Limits::default(),
                FederationOptions::isolated(),
                default_threads(),
            ),
            listen,
            certificates: directory.join("certs"),
            data_directory: directory,
            certificates_watch: Expiry::Never,
            tls: Policies::default(),
            directories: BTreeMap::new(),
            name_server: None,
            s2s_ca_file: None,
            log_level: LogLevel::Info,
            connections: Connections::default(),
            warnings: Vec::new(),
        }
    }
}

/// The text of a file, which may have secrets in it, and what the system says of it.
fn text(path: &Path) -> Result<(Zeroizing<String>, Metadata), String> {
    let read = || {
        let mut bytes = Vec::new();
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        // One more than allowed tells that there is more.
        file.take(CONFIG_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok((bytes, metadata))
    };
    let (bytes, metadata) = read().map_err(|error: io::Error| {
        let why = if error.kind() == io::ErrorKind::NotFound {
            let shown = path.display();
            format!("there is no such file; `spondee example-config > {shown}` begins one")
        } else if error.kind() == io::ErrorKind::IsADirectory {
            "it is a directory; name the file in it".to_owned()
        } else {
            explain(&error, path)
        };
        format!("cannot be read: {why}")
    })?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > CONFIG_FILE_BYTES) {
        return Err(format!(
            "this is no configuration: it is longer than {CONFIG_FILE_BYTES} bytes"
        ));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("this is UTF-16; save it as UTF-8".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8; save the file as UTF-8")
    })?;
    Ok((Zeroizing::new(text), metadata))
}

fn core_config(
    hosts: BTreeMap<Domain, Host>,
    limits: Limits,
    federation: FederationOptions,
    threads: u16,
) -> Config {
    Config {
        hosts,
        limits,
        federation,
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
