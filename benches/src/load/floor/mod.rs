//! Floors: servers that do so little that no XMPP server can do less, under the same load and watched in the same way.
//!
//! One thread, one poller, no XML, nothing stored. Each runs as a process of its own, `load floor …`, so that its CPU time and
//! its memory are read as a server's are. A floor answers a sign-in with the very bytes the server answers one with, in as many
//! round trips; so the same clients drive both.

mod server;
mod tls;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Args, ValueEnum};
use spec_tests::ca::Authority;
use spec_tests::server::{Scratch, free_addresses};

use super::client::{Dialogue, Security};
use super::target::{Counting, Provider, Role, Running, Setting, Target};
use crate::scenarios::HOST;

/// What a floor does with its clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Kind {
    /// A TLS handshake, and nothing more.
    Handshake,
    /// The round trips of a sign-in, answered with the same bytes each time.
    RoundTrips,
    /// Then passes messages on from each account to its partner, each in a record and a write of its own.
    Relay,
    /// The same, but all that came for one client in a turn in one record and one write.
    BatchedRelay,
    /// Passes everything on to everybody, all that came in a turn in one record and one write for each.
    FanOut,
    /// Sends everything back, and keeps a socket and rustls' state for each client.
    Echo,
}

impl Kind {
    /// As the table names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "floor: bare handshake",
            Self::RoundTrips => "floor: same round trips",
            Self::Relay => "floor: relay, a write each",
            Self::BatchedRelay => "floor: relay, batched",
            Self::FanOut => "floor: fan-out, batched",
            Self::Echo => "floor: socket and rustls",
        }
    }
}

/// How a floor's process is started.
#[derive(Debug, Args)]
pub struct FloorArguments {
    /// What it does.
    #[arg(value_enum)]
    kind: Kind,
    /// Its port on loopback.
    #[arg(long)]
    port: u16,
    /// Where its certificate and key are; without, it stays in clear.
    #[arg(long)]
    certificates: Option<PathBuf>,
}

impl FloorArguments {
    /// Serves until it is killed.
    ///
    /// # Errors
    /// The port is taken, or the certificate is bad, or the system gives no poller.
    pub fn serve(&self) -> Result<(), String> {
        let config = match &self.certificates {
            Some(directory) => Some(tls::config(directory)?),
            None => None,
        };
        server::Server::new(self.kind, self.port, config)?.run()
    }
}

/// A floor as a target.
#[derive(Debug)]
pub struct Floor {
    kind: Kind,
    scratch: Scratch,
}

impl Floor {
    /// With a certificate of its own.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn prepare(kind: Kind) -> Result<Self, String> {
        let scratch = Scratch::new().map_err(|e| e.to_string())?;
        let issued = Authority::new(scratch.path())
            .and_then(|authority| authority.issue(scratch.path(), HOST));
        issued.map_err(|e| e.to_string())?;
        Ok(Self { kind, scratch })
    }
}

impl Target for Floor {
    fn provider(&self) -> Option<Provider> {
        None
    }

    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn role(&self) -> Role {
        Role::Floor
    }

    fn start(&self, setting: &Setting) -> Result<Running, String> {
        let fault = |e: std::io::Error| e.to_string();
        let [address] = free_addresses().map_err(fault)?;
        let log: &Path = &self.scratch.path().join("log");
        let own = std::env::current_exe().map_err(fault)?;
        let mut command = Command::new(own);
        let kind = self.kind.to_possible_value().ok_or("a floor has a name")?;
        let port = address.port().to_string();
        command.args(["floor", kind.get_name(), "--port", &port]);
        if let Security::StartTls(_) = setting.security {
            command.arg("--certificates").arg(self.scratch.path());
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(log).map_err(fault)?)
            .spawn()
            .map_err(fault)?;
        let dialogue = match self.kind {
            Kind::Handshake => Dialogue::Handshake,
            Kind::RoundTrips | Kind::Relay | Kind::BatchedRelay | Kind::FanOut | Kind::Echo => {
                Dialogue::Canned
            }
        };
        Running::wait(child, address, log.to_owned(), Counting::Not)
            .map(|running| running.speaking(dialogue))
    }
}
