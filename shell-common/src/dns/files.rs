//! `/etc/hosts` and `/etc/resolv.conf` while a server runs: read again when they have changed, which is looked at when somebody asks.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::wait::{HOSTS, RESOLV_CONF};
use super::{Hosts, NameServer, ResolvConf};
use crate::limits::dns::{DNS_FILE_BYTES, DNS_FILES_LOOK};

/// What the resolver goes by, and where it stands.
#[derive(Debug)]
pub(super) struct Files {
    hosts: Watched,
    servers: Servers,
    looked: Option<Instant>,
    every: Duration,
}

/// Who says which name servers are asked.
#[derive(Debug)]
enum Servers {
    /// The configuration: `name_server`.
    Told(NameServer),
    /// The file.
    Of(Watched),
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// As it was when it was read last.
    seen: Option<Stamp>,
}

/// What is another when a file is. `None` in the place of one: there is no such file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

/// What has to be taken over.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) hosts: Option<Hosts>,
    pub(super) servers: Option<ResolvConf>,
}

impl Files {
    /// Those of this machine; the server in place of `/etc/resolv.conf`, if one is named.
    pub(super) fn of_system(server: Option<NameServer>) -> Self {
        let servers = server.map_or_else(|| Servers::Of(Watched::new(RESOLV_CONF)), Servers::Told);
        Self {
            hosts: Watched::new(HOSTS),
            servers,
            looked: None,
            every: DNS_FILES_LOOK,
        }
    }

    /// Others, looked at each time.
    #[cfg(test)]
    pub(super) fn at(hosts: &Path, resolv_conf: &Path) -> Self {
        Self {
            hosts: Watched::new(hosts),
            servers: Servers::Of(Watched::new(resolv_conf)),
            looked: None,
            every: Duration::ZERO,
        }
    }

    /// All of it.
    pub(super) fn read(&mut self) -> (ResolvConf, Hosts) {
        self.looked = Some(Instant::now());
        let servers = match &mut self.servers {
            Servers::Told(server) => ResolvConf::of(*server),
            Servers::Of(file) => ResolvConf::parse(&file.read()),
        };
        (servers, Hosts::parse(&self.hosts.read()))
    }

    /// What has changed since it was read, where that was not looked at a moment ago.
    pub(super) fn look(&mut self) -> Changed {
        if self.looked.is_some_and(|at| at.elapsed() < self.every) {
            return Changed::default();
        }
        self.looked = Some(Instant::now());
        let servers = match &mut self.servers {
            Servers::Told(_) => None,
            Servers::Of(file) => file.read_if_changed(),
        };
        Changed {
            hosts: self.hosts.read_if_changed().map(|text| Hosts::parse(&text)),
            servers: servers.map(|text| ResolvConf::parse(&text)),
        }
    }
}

impl Watched {
    fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            seen: None,
        }
    }

    /// Stamped before it is read: what changes meanwhile is seen the next time.
    fn read(&mut self) -> String {
        self.seen = stamp(&self.path);
        text(&self.path)
    }

    fn read_if_changed(&mut self) -> Option<String> {
        (stamp(&self.path) != self.seen).then(|| self.read())
    }
}

/// Links are followed: `/etc/resolv.conf` is one, on many systems.
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        length: metadata.len(),
        changed: (metadata.mtime(), metadata.mtime_nsec()),
    })
}

/// A file that may be missing, or too long.
pub(super) fn text(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // What cannot be read is as good as empty: other programs on this machine find no more in it.
        let _read = file.take(DNS_FILE_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
