//! What can be measured, and what a measurement is made of.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};

use super::client::{Dialogue, Security};
use super::company::acquaint;
use super::counters::Counters;
use super::floor::Kind;
use super::process::{self, Cpu};
use super::report::{Figure, Sample};
use crate::scenarios::HEADER;
use crate::scram::Account;

/// How long a server may take to start, to stop and to log a line.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take to start. ejabberd makes its tables the first time.
const START: Duration = Duration::from_secs(120);

/// A server that takes less than a twentieth of a thread for so long, three times in a row, has nothing to do.
const QUIET: Duration = Duration::from_millis(50);

/// Until a server has given back what it gives back.
pub(super) const SETTLES_IN: Duration = Duration::from_secs(3);

/// What a target is in a comparison.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// What is compared.
    Subject,
    /// What it is paired with, round by round: the same server as it was.
    Before,
    /// The same core in the other shell.
    Sibling,
    /// What it is compared with.
    Peer,
    /// The least that can be done.
    Floor,
}

/// A server that can be started again and again with the same accounts.
pub trait Target: std::fmt::Debug {
    /// As the table names it.
    fn name(&self) -> &'static str;

    /// What must be known of it to judge its figures, as a sentence without its full stop.
    fn note(&self) -> Option<String> {
        None
    }

    /// What it is compared as.
    fn role(&self) -> Role {
        Role::Peer
    }

    /// What it keeps of passwords, if it has any.
    fn provider(&self) -> Option<Provider> {
        Some(Provider::Hashed)
    }

    /// Where its database is, if that is one of this project's.
    fn data_directory(&self) -> Option<PathBuf> {
        None
    }

    /// Starts it and waits until it accepts connections.
    ///
    /// # Errors
    /// What failed, in words, with the server's log.
    fn start(&self, setting: &Setting) -> Result<Running, String>;
}

/// Where a peer keeps messages. Accounts and rosters are always where it has them by default.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Storage {
    /// Where it has them by default: Prosody in files, ejabberd in Mnesia.
    Own,
    /// In SQLite, as both recommend for more than a few.
    Sqlite,
}

impl Storage {
    /// Behind the version of a server.
    pub(super) fn words(self, own: &str) -> String {
        match self {
            Self::Own => format!("messages in {own}"),
            Self::Sqlite => "messages in SQLite".to_owned(),
        }
    }
}

/// What a server keeps of passwords, by the names that both Spondee and Prosody have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Provider {
    /// Keys for SCRAM.
    Hashed,
    /// The passwords themselves.
    Plain,
}

/// How clients sign in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum By {
    /// SCRAM-SHA-256.
    Scram,
    /// PLAIN.
    Plain,
}

/// What both Spondee and Prosody stretch passwords by: all that Prosody can where it keeps them.
pub(super) const ROUNDS: u32 = 4096;

impl Provider {
    /// As the configuration of either has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hashed => "internal_hashed",
            Self::Plain => "internal_plain",
        }
    }
}

/// What a scenario asks of a server's configuration; all else is the same in all scenarios.
#[derive(Clone, Debug)]
pub struct Setting {
    /// TLS required or not offered in earnest.
    pub security: Security,
    /// Whether messages are archived.
    pub archive: Archive,
}

impl Setting {
    /// For what is done before anything is measured.
    pub(super) const PREPARING: Self = Self {
        security: Security::Clear,
        archive: Archive::On,
    };
}

/// Whether messages are archived for those who have not said what they want. The server has an archive in either case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Archive {
    /// All of them.
    On,
    /// None.
    Off,
}

/// One thing to measure on any target.
pub trait Scenario: std::fmt::Debug {
    /// As the command line and the table name it.
    fn name(&self) -> &'static str;

    /// How clients connect.
    fn security(&self) -> Security;

    /// Whether messages are archived: as servers are meant to run, unless the scenario is about the difference.
    fn archive(&self) -> Archive {
        Archive::On
    }

    /// Whether its accounts are those behind the ordinary ones, because what is kept of them stays from run to run.
    fn is_apart(&self) -> bool {
        !self.acquainted().is_empty()
    }

    /// The least that a server must do for it, where that can be measured.
    fn floors(&self) -> &'static [Kind] {
        &[]
    }

    /// What the server must keep of passwords.
    fn provider(&self) -> Provider {
        Provider::Hashed
    }

    /// Whether it can be measured there at all.
    fn is_for(&self, target: &dyn Target) -> bool {
        target.provider().is_none_or(|kept| kept == self.provider())
    }

    /// What must be done before the server is started.
    ///
    /// # Errors
    /// What cannot.
    fn prepare(
        &self,
        _target: &dyn Target,
        _accounts: &[Account],
        _progress: &Progress,
    ) -> Result<(), String> {
        Ok(())
    }

    /// Pairs of accounts that must be each other's contacts.
    fn acquainted(&self) -> Vec<(usize, usize)> {
        Vec::new()
    }

    /// Does it once on a fresh server.
    ///
    /// # Errors
    /// What the server did not do.
    fn measure(
        &self,
        running: &Running,
        accounts: &mut [Account],
        progress: &Progress,
    ) -> Result<Vec<Figure>, String>;

    /// Starts the target, does it once, stops the target.
    ///
    /// # Errors
    /// What went wrong, with the server's log.
    fn run(
        &self,
        target: &dyn Target,
        accounts: &mut [Account],
        progress: &Progress,
    ) -> Result<Sample, String> {
        let pairs = self.acquainted();
        if !pairs.is_empty() && target.role() != Role::Floor {
            // It keeps them; nothing of what made them is in its memory when it is measured.
            let running = target.start(&Setting::PREPARING)?;
            let acquainted = acquaint(&running, accounts, &pairs, progress);
            acquainted.map_err(|fault| running.explain(&fault))?;
        }
        self.prepare(target, accounts, progress)?;
        let running = target.start(&Setting {
            security: self.security(),
            archive: self.archive(),
        })?;
        let figures = self.measure(&running, accounts, progress);
        let mut figures = figures.map_err(|fault| running.explain(&fault))?;
        figures.push(Figure::new("load average", process::load_average()));
        Ok(Sample {
            scenario: self.name().to_owned(),
            target: target.name(),
            role: target.role(),
            figures,
        })
    }
}

/// A server's process. Stopped when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
    counting: Counting,
    dialogue: Dialogue,
    settles_in: Duration,
}

/// Whether a server tells what it did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Counting {
    /// In its log, on SIGUSR1.
    OnSignal,
    Not,
}

impl Running {
    /// Waits until the child answers.
    pub(super) fn wait(
        child: Child,
        address: SocketAddr,
        log: PathBuf,
        counting: Counting,
    ) -> Result<Self, String> {
        let mut running = Self {
            child,
            address,
            log,
            counting,
            dialogue: Dialogue::Xmpp,
            settles_in: SETTLES_IN,
        };
        let deadline = Instant::now() + START;
        while !answers(address) {
            let ended = running.child.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() || Instant::now() > deadline {
                return Err(running.explain("it does not start"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }

    /// One that speaks something else than XMPP.
    pub(super) fn speaking(mut self, dialogue: Dialogue) -> Self {
        self.dialogue = dialogue;
        self
    }

    /// One that collects its garbage late.
    pub(super) const fn settling_in(mut self, time: Duration) -> Self {
        self.settles_in = time;
        self
    }

    /// How long after its work its memory is what it stays.
    #[must_use]
    pub const fn settles_in(&self) -> Duration {
        self.settles_in
    }

    /// What it makes of its clients.
    #[must_use]
    pub const fn dialogue(&self) -> Dialogue {
        self.dialogue
    }

    /// Where clients connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root of its process tree.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it counted so far; empty if it does not count.
    ///
    /// # Errors
    /// It does not say.
    pub fn counters(&self) -> Result<Counters, String> {
        if self.counting == Counting::Not {
            return Ok(Counters::default());
        }
        let (before, _) = Counters::last(&self.log());
        self.signal(Signal::USR1);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match Counters::last(&self.log()) {
                (count, Some(last)) if count > before => return Ok(last),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Err("it does not log its counters on SIGUSR1".to_owned())
    }

    /// Waits until it has done what it still had to do: its store may be behind its answers.
    pub(super) fn settle(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut before = Cpu::of(self.id());
        let mut quiet = 0;
        while quiet < 3 && Instant::now() < deadline {
            std::thread::sleep(QUIET);
            let now = Cpu::of(self.id());
            let is_quiet = now.since(&before) < QUIET / 20;
            quiet = if is_quiet { quiet + 1 } else { 0 };
            before = now;
        }
    }

    /// Whether it is gone.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may be gone already.
            let _ = kill_process(pid, signal);
        }
    }

    pub(super) fn explain(&self, fault: &str) -> String {
        let log = self.log();
        let tail = log.len().saturating_sub(2000);
        let tail = log.get(tail..).unwrap_or(&log);
        format!("{fault}\n--- the end of the server's log\n{tail}")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // Nothing better can be done about one that does not listen.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether something comes back to a stream header, if only the end: some servers listen long before they serve.
fn answers(address: SocketAddr) -> bool {
    let ask = || {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        socket.write_all(HEADER)?;
        socket.read(&mut [0; 256])
    };
    ask().is_ok()
}

/// CPU time and wall time from one moment to another.
#[derive(Debug)]
pub struct Stopwatch {
    id: u32,
    server: Cpu,
    client: Cpu,
    at: Instant,
}

impl Stopwatch {
    /// From now on.
    #[must_use]
    pub fn start(running: &Running) -> Self {
        Self {
            id: running.id(),
            server: Cpu::of(running.id()),
            client: Cpu::of_process(std::process::id()),
            at: Instant::now(),
        }
    }

    /// Until now, for so many units of work.
    #[must_use]
    pub fn stop(&self, units: usize) -> Vec<Figure> {
        self.figures(units, self.lap())
    }

    /// So many units of work for each second of the server's CPU time until now.
    #[must_use]
    pub fn rate(&self, units: usize) -> f64 {
        units as f64 / Cpu::of(self.id).since(&self.server).as_secs_f64()
    }

    /// As `stop`, but the server's CPU time until it has settled.
    #[must_use]
    pub fn stop_settled(&self, running: &Running, units: usize) -> Vec<Figure> {
        let lap = self.lap();
        running.settle();
        self.figures(units, lap)
    }

    /// Wall time and the client's CPU time until now.
    fn lap(&self) -> (f64, f64) {
        let wall = self.at.elapsed().as_secs_f64();
        let client = Cpu::of_process(std::process::id()).since(&self.client);
        (wall, client.as_secs_f64())
    }

    fn figures(&self, units: usize, (wall, client): (f64, f64)) -> Vec<Figure> {
        let server = Cpu::of(self.id).since(&self.server).as_secs_f64();
        let units = units as f64;
        vec![
            Figure::new("per CPU second", units / server),
            Figure::new("per second", units / wall),
            Figure::new("server us each", server / units * 1e6),
            Figure::new("client us each", client / units * 1e6),
            Figure::new("CPU seconds", server),
        ]
    }
}

/// Work done for each of what the server counted: how well it batches.
pub(super) fn batching(units: usize, counted: &Counters) -> Vec<Figure> {
    let names = [
        ("per turn", "turns"),
        ("per read", "reads"),
        ("per write", "writes"),
        ("per wake", "wakes"),
        ("per commit", "commits"),
    ];
    names
        .into_iter()
        .filter_map(|(name, counter)| {
            // Of what never happened nothing can be said.
            let count = counted.get(counter).filter(|count| *count > 0)?;
            Some(Figure::new(name, units as f64 / count as f64))
        })
        .collect()
}

/// How much of the work crosses from one thread to another, and how it is gathered for that.
pub(super) fn crossing(units: usize, counted: &Counters) -> Vec<Figure> {
    let (Some(crossed), Some(parcels)) = (counted.get("crossed"), counted.get("parcels")) else {
        return Vec::new();
    };
    let share = Figure::new("cross-shard share", crossed as f64 / units as f64);
    let gathered =
        (parcels > 0).then(|| Figure::new("per envelope", crossed as f64 / parcels as f64));
    gathered.into_iter().chain([share]).collect()
}

/// Whether a program of this name is on the path.
pub(super) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| directory.join(program).exists())
    })
}

/// The version of an installed package of Debian, with its name.
pub(super) fn debian_version(package: &str) -> String {
    let asked = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${Version}", package])
        .output();
    match asked {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
        Ok(_) | Err(_) => format!("{package}, not from Debian"),
    }
}

/// Tells whoever waits how far it is.
#[derive(Debug)]
pub struct Progress {
    label: String,
}

impl Progress {
    /// `label` begins each line.
    #[must_use]
    pub const fn new(label: String) -> Self {
        Self { label }
    }

    /// One line to stderr.
    pub fn say(&self, what: &str) {
        // Nobody may be listening.
        let _ = writeln!(std::io::stderr(), "{}: {what}", self.label);
    }
}
