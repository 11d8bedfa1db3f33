//! A server that takes part: whichever it is, it has a domain, accounts and a log, and is ended when dropped.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use spondee_core::sasl::{Mechanism, Plus};

use super::authority::{Authorities, Files};
use super::plan::{Plan, Program, Site, Ways};
use super::zone::Names;
use super::{ejabberd, prosody, spondee};
use crate::client::{BindTo, Client, PATIENCE, Trust, offered};
use crate::server::{Scratch, Server};

/// Of all accounts, on all servers.
pub const PASSWORD: &str = "wherefore art thou";

/// What a program is told of where it runs.
#[derive(Debug)]
pub(super) struct Place<'a> {
    /// Its own directory.
    pub(super) directory: &'a Path,
    /// Where it logs.
    pub(super) log: &'a Path,
    /// Where it listens.
    pub(super) site: Site,
    /// Whom it asks for names.
    pub(super) resolver: SocketAddr,
    /// The addresses of all, as `/etc/hosts` would have them, for who asks nobody.
    pub(super) hosts: &'a Path,
    /// Whom it trusts.
    pub(super) authority: &'a Path,
    /// What it shows.
    pub(super) files: &'a Files,
    /// Who has accounts.
    pub(super) accounts: &'a [&'a str],
}

#[derive(Debug)]
enum Process {
    Theirs { child: Child, log: PathBuf },
    Ours(Box<Server>),
}

/// See the module.
#[derive(Debug)]
pub struct Peer {
    plan: Plan,
    clients: SocketAddr,
    /// Where others listen for servers, which some do a little later than for clients.
    servers: Option<SocketAddr>,
    process: Process,
    trust: Trust,
    _scratch: Scratch,
}

impl Peer {
    /// Starts it, and waits until it takes connections.
    ///
    /// # Errors
    /// What failed, in words, with its log.
    pub fn start(
        plan: &Plan,
        site: Site,
        authorities: &Authorities,
        names: &Names,
        accounts: &[&str],
    ) -> Result<Self, String> {
        let fault = |e: std::io::Error| e.to_string();
        let scratch = Scratch::new().map_err(fault)?;
        let files = authorities
            .issue(plan.paper, &plan.domain, scratch.path())
            .map_err(fault)?;
        let log = scratch.path().join("log");
        let place = Place {
            directory: scratch.path(),
            log: &log,
            site,
            resolver: names.resolver(),
            hosts: names.hosts(),
            authority: authorities.trusted(),
            files: &files,
            accounts,
        };
        let theirs = |child| Process::Theirs {
            child,
            log: log.clone(),
        };
        let (process, clients) = match plan.program {
            Program::Prosody => (theirs(prosody::start(plan, &place)?), site.clients),
            Program::Ejabberd => (theirs(ejabberd::start(plan, &place)?), site.clients),
            Program::Spondee(shell) => {
                let server = spondee::start(shell, plan, &place, authorities)?;
                let clients = server.clear;
                (Process::Ours(Box::new(server)), clients)
            }
        };
        let pem = fs::read_to_string(authorities.trusted()).map_err(fault)?;
        let mut peer = Self {
            plan: plan.clone(),
            clients,
            servers: match (plan.program, plan.ways) {
                (Program::Spondee(_), _) => None,
                (_, Ways::StartTls | Ways::Both) => Some(site.servers),
                (_, Ways::DirectTls) => Some(site.direct),
            },
            process,
            trust: Trust::pem(&pem)?,
            _scratch: scratch,
        };
        peer.wait()?;
        Ok(peer)
    }

    /// What was wanted of it.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.plan.domain
    }

    /// Its process; ejabberd's is the first of a few.
    #[must_use]
    pub fn id(&self) -> u32 {
        match &self.process {
            Process::Theirs { child, .. } => child.id(),
            Process::Ours(server) => server.id(),
        }
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        match &self.process {
            Process::Theirs { log, .. } => {
                let bytes = fs::read(log).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Process::Ours(server) => server.log(),
        }
    }

    /// Waits for a line of its log that holds all of `words`, and returns it.
    ///
    /// # Errors
    /// None came in time.
    pub fn wait_for_log(&self, words: &[&str]) -> Result<String, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            let mut lines = log.lines();
            if let Some(line) = lines.find(|line| words.iter().all(|word| line.contains(word))) {
                return Ok(line.to_owned());
            }
            if Instant::now() > deadline {
                let program = self.plan.program;
                return Err(format!("{program:?} does not say {words:?}:\n{log}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What a command line of our own server says, if it is one, and its exit code.
    #[must_use]
    pub fn outcome(&self, arguments: &[&str]) -> Option<Result<(i32, String), String>> {
        match &self.process {
            Process::Theirs { .. } => None,
            Process::Ours(server) => Some(server.outcome(arguments)),
        }
    }

    /// Our own server, if it is one.
    #[must_use]
    pub const fn spondee(&mut self) -> Option<&mut Server> {
        match &mut self.process {
            Process::Theirs { .. } => None,
            Process::Ours(server) => Some(server),
        }
    }

    /// Signs in to an account, by SCRAM without TLS, and binds a resource. Returns its address, too.
    ///
    /// # Errors
    /// What failed.
    pub fn sign_in(&self, account: &str) -> Result<(Client, String), String> {
        let mut client = Client::connect(self.clients, self.domain(), &self.trust)?;
        let (_, features) = client.open()?;
        let mechanism = offered(&features)
            .into_iter()
            .find(|mechanism| matches!(mechanism, Mechanism::Scram(_, Plus::No)))
            .ok_or_else(|| format!("no SCRAM in {features}"))?;
        client.sign_in(account, PASSWORD, mechanism, BindTo::Exporter)?;
        let address = client.bind(Some("test"))?;
        Ok((client, address))
    }

    /// Tells it to stop, as an administrator does, and waits until it has.
    ///
    /// # Errors
    /// It does not in time.
    pub fn stop(&mut self) -> Result<(), String> {
        let child = match &mut self.process {
            Process::Theirs { child, .. } => child,
            Process::Ours(server) => return server.stop(),
        };
        let told = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status();
        told.map_err(|e| e.to_string())?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if child.try_wait().map_err(|e| e.to_string())?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!(
            "{:?} does not stop\n{}",
            self.plan.program,
            self.log()
        ))
    }

    fn wait(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let places = [Some(self.clients), self.servers];
        let mut places = places.into_iter().flatten().peekable();
        while let Some(place) = places.peek() {
            if TcpStream::connect(place).is_ok() {
                places.next();
                continue;
            }
            let ended = match &mut self.process {
                Process::Theirs { child, .. } => child.try_wait().map_err(|e| e.to_string())?,
                Process::Ours(_) => None,
            };
            if ended.is_some() || Instant::now() > deadline {
                let log = self.log();
                return Err(format!("no {:?}: {log}", self.plan.program));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Peer {
    #[expect(
        clippy::print_stderr,
        reason = "a failed test shows what each server said"
    )]
    fn drop(&mut self) {
        if let Process::Theirs { child, .. } = &mut self.process {
            // It may have ended already.
            let _ended = child.kill().and_then(|()| child.wait());
            if std::thread::panicking() {
                let (program, log) = (self.plan.program, self.log());
                eprintln!("--- the log of {program:?}\n{log}---");
            }
        }
    }
}
