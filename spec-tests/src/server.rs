//! The real server as a process of its own, on free ports, with a data directory that is gone afterwards.

use std::env::VarError;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use spondee_shell_common::control::SOCKET_NAME;
use spondee_shell_common::limits::log::GATHER;

use crate::ca::Authority;
use crate::cargo::cargo;
use crate::client::{PATIENCE, Trust};
use crate::strace;

/// A directory for one test, 0700, removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new one below the system's directory for such things.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> std::io::Result<Self> {
        Self::below(&std::env::temp_dir())
    }

    /// A new one in memory, where there is such a place: for what writes and syncs much and need not outlive the machine.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn in_memory() -> std::io::Result<Self> {
        let memory = Path::new("/dev/shm");
        match memory.is_dir() {
            true => Self::below(memory),
            false => Self::new(),
        }
    }

    fn below(directory: &Path) -> std::io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("spondee-test-{}-{count}", std::process::id());
        let path = directory.join(name);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// What a test wants otherwise than most.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup<'a> {
    /// Lines of configuration, for the whole server.
    pub options: &'a str,
    /// How many files the process may have open.
    pub descriptors: Option<u32>,
}

/// A running server. Killed when dropped; what it logged is shown if the test is failing.
#[derive(Debug)]
pub struct Server {
    child: Child,
    place: Stopped,
    /// For STARTTLS.
    pub clear: SocketAddr,
    /// For direct TLS.
    pub tls: SocketAddr,
}

/// A server that does not run: its directory, certificate and configuration.
#[derive(Debug)]
pub struct Stopped {
    scratch: Scratch,
    authority: Authority,
    config: PathBuf,
    binary: PathBuf,
    clear: SocketAddr,
    tls: SocketAddr,
}

impl Server {
    /// Starts a server for `localhost` with these accounts, and waits until it accepts connections.
    ///
    /// # Errors
    /// What failed, in words, with the server's log.
    pub fn start(users: &[(&str, &str)]) -> Result<Self, String> {
        Self::start_program(binary()?, users)
    }

    /// The same otherwise set up.
    ///
    /// # Errors
    /// What failed, in words, with the server's log.
    pub fn start_with(users: &[(&str, &str)], setup: Setup<'_>) -> Result<Self, String> {
        Self::launch(binary()?, users, setup)
    }

    /// The same with the program at `binary`: a shell's own tests have it from cargo.
    ///
    /// # Errors
    /// What failed, in words, with the server's log.
    pub fn start_program(binary: &Path, users: &[(&str, &str)]) -> Result<Self, String> {
        Self::launch(binary, users, Setup::default())
    }

    fn launch(binary: &Path, users: &[(&str, &str)], setup: Setup<'_>) -> Result<Self, String> {
        let scratch = Scratch::new().map_err(|e| e.to_string())?;
        let server = Self::prepare_program(scratch, binary, setup.options, "")?;
        for (account, password) in users {
            server.add_user(account, password)?;
        }
        server.begin(limited(binary, setup.descriptors))
    }

    /// A server below `scratch` that does not run yet; `options` are lines of configuration for its host.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn prepare(scratch: Scratch, options: &str) -> Result<Stopped, String> {
        Self::prepare_program(scratch, binary()?, "", options)
    }

    /// The same of this shell, whichever the tests drive.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn prepare_shell(scratch: Scratch, shell: Shell, options: &str) -> Result<Stopped, String> {
        Self::prepare_program(scratch, binary_of(shell)?, "", options)
    }

    /// The same of this program.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn prepare_binary(
        scratch: Scratch,
        binary: &Path,
        options: &str,
    ) -> Result<Stopped, String> {
        Self::prepare_program(scratch, binary, "", options)
    }

    /// `options` are lines of configuration for the whole server, `host_options` for its host.
    fn prepare_program(
        scratch: Scratch,
        binary: &Path,
        options: &str,
        host_options: &str,
    ) -> Result<Stopped, String> {
        let fault = |e: std::io::Error| e.to_string();
        let certificates = scratch.path.join("certs");
        fs::create_dir(&certificates).map_err(fault)?;
        let authority = Authority::new(&scratch.path).map_err(fault)?;
        authority.issue(&certificates, "localhost").map_err(fault)?;
        let [clear, tls] = free_addresses().map_err(fault)?;
        let config = scratch.path.join("spondee.toml");
        let text = config_text(&scratch.path, &certificates, clear, tls);
        // More than one, so that accounts are on different shards wherever it runs.
        let threads = match options.contains("threads") {
            true => "",
            false => "threads = 2",
        };
        // It talks to no other server unless it is told so: none shall be looked for, and there is one port 5269.
        let isolated: String = ["s2s_ports", "s2s_allowed_domains"]
            .into_iter()
            .filter(|option| !options.contains(option))
            .map(|option| format!("{option} = []\n"))
            .collect();
        fs::write(
            &config,
            format!("{threads}\n{isolated}{options}\n{text}{host_options}"),
        )
        .map_err(fault)?;
        Ok(Stopped {
            scratch,
            authority,
            config,
            binary: binary.to_owned(),
            clear,
            tls,
        })
    }

    /// Kills it (SIGKILL): it gets no chance to end anything.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill(&mut self) -> Result<(), String> {
        self.child.kill().map_err(|e| e.to_string())?;
        self.child.wait().map(drop).map_err(|e| e.to_string())
    }

    /// Starts it again after it ended, with the same data and certificates on the same ports.
    ///
    /// # Errors
    /// What failed, in words, with the server's log.
    pub fn start_again(&mut self) -> Result<(), String> {
        let command = Command::new(&self.place.binary);
        self.child = self.place.spawn(command)?;
        self.wait()
    }

    /// Waits until it has ended by itself. Its exit status.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn wait_for_end(&mut self) -> Result<ExitStatus, String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().map_err(|e| e.to_string())? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("it does not end\n{}", self.log()))
    }

    /// Adds an account while the server runs.
    ///
    /// # Errors
    /// What the command said.
    pub fn add_user(&self, account: &str, password: &str) -> Result<(), String> {
        self.place.add_user(account, password)
    }

    /// Runs a command of the administrator's beside the server; returns what it printed.
    ///
    /// # Errors
    /// What the command said.
    pub fn command(&self, arguments: &[&str]) -> Result<String, String> {
        self.place.command(arguments)
    }

    /// The same by `command`, as `Stopped::begin` has it, with something on its standard input.
    ///
    /// # Errors
    /// What the command said.
    pub fn administer(
        &self,
        command: Command,
        arguments: &[&str],
        input: &str,
    ) -> Result<String, String> {
        self.place.administer(command, arguments, input)
    }

    /// The same however it ends: its exit code, and all that it printed.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn outcome(&self, arguments: &[&str]) -> Result<(i32, String), String> {
        self.place.outcome(arguments)
    }

    /// Where it keeps its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.place.data()
    }

    /// The authority that issued its certificate.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.place.authority
    }

    /// Trust in that authority and nothing else.
    ///
    /// # Errors
    /// The certificate cannot be a root.
    pub fn trust(&self) -> Result<Trust, String> {
        Trust::pem(self.place.authority.pem())
    }

    /// A directory for what belongs to the test.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.place.scratch.path
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Bounds how long a file of its may become, as a quota does, until it is told "unlimited".
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn limit_files(&self, bytes: &str) -> Result<(), String> {
        let limited = Command::new("prlimit")
            .args(["--pid", &self.id().to_string()])
            .arg(format!("--fsize={bytes}:"))
            .status()
            .map_err(|e| e.to_string())?;
        match limited.success() {
            true => Ok(()),
            false => Err(format!("prlimit: {limited}")),
        }
    }

    /// How many sockets it has open, listeners included.
    #[must_use]
    pub fn sockets(&self) -> usize {
        let list = fs::read_dir(format!("/proc/{}/fd", self.id()));
        let links = list.into_iter().flatten().flatten();
        links
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// Waits until it has so many, and no more.
    ///
    /// # Errors
    /// It did not in time.
    pub fn wait_for_sockets(&self, count: usize) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.sockets() {
                open if open == count => return Ok(()),
                open if Instant::now() > deadline => {
                    return Err(format!("{open} sockets are open, not {count}"));
                }
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Its proportional set size in KiB.
    ///
    /// # Errors
    /// It is gone.
    pub fn pss_kib(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/smaps_rollup", self.id());
        let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        text.lines()
            .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB"))
            .and_then(|kib| kib.trim().parse().ok())
            .ok_or_else(|| format!("{path}: no Pss"))
    }

    /// What it has logged, with the lines that it gathered when this was called.
    #[must_use]
    pub fn log(&self) -> String {
        std::thread::sleep(2 * GATHER);
        self.place.log()
    }

    /// Waits for a line of the log that holds all of `words`, and returns it.
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
                return Err(format!("no line with {words:?} in the log:\n{log}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Tells it to stop, as an administrator does, and waits for its exit code.
    ///
    /// # Errors
    /// It does not stop in time, or not well.
    pub fn stop(&mut self) -> Result<(), String> {
        let killed = Command::new("kill")
            .args(["-TERM", &self.id().to_string()])
            .status();
        killed.map_err(|e| e.to_string())?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.child.try_wait().map_err(|e| e.to_string())? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("{status}\n{}", self.log())),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        Err(format!("it does not stop\n{}", self.log()))
    }

    fn wait(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        for address in [self.clear, self.tls] {
            while TcpStream::connect(address).is_err() {
                let ended = self.child.try_wait().map_err(|e| e.to_string())?;
                if ended.is_some() || Instant::now() > deadline {
                    return Err(format!("no server at {address}\n{}", self.log()));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        // What administrators speak to it opens behind what clients do. Where it cannot, that is not a fault of its start.
        let socket = self.place.data().join(SOCKET_NAME);
        let soon = Instant::now() + Duration::from_secs(5);
        while !socket.exists() && Instant::now() < soon {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Stopped {
    /// Starts it under strace. Gives back where its system calls are written, too: in its scratch directory.
    ///
    /// # Errors
    /// What failed, in words, with the server's log.
    pub fn begin_traced(self) -> Result<(Server, PathBuf), String> {
        let trace = self.scratch().join("trace");
        let mut command = strace::tracing(&trace);
        command.arg(self.binary());
        Ok((self.begin(command)?, trace))
    }

    /// Starts it by `command`, which is its program, or another one that runs it and is given the server's command line.
    ///
    /// # Errors
    /// What failed, in words, with the server's log.
    pub fn begin(self, command: Command) -> Result<Server, String> {
        let mut server = Server {
            child: self.spawn(command)?,
            clear: self.clear,
            tls: self.tls,
            place: self,
        };
        server.wait()?;
        Ok(server)
    }

    /// The server's program.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Where it will listen for streams that begin in clear, and for those that begin with TLS.
    #[must_use]
    pub const fn addresses(&self) -> [SocketAddr; 2] {
        [self.clear, self.tls]
    }

    /// Where it keeps its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.scratch.path.join("data")
    }

    /// Who issued its certificate.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A directory for what belongs to the test; the data directory is in it.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.scratch.path
    }

    /// Adds an account.
    ///
    /// # Errors
    /// What the command said.
    pub fn add_user(&self, account: &str, password: &str) -> Result<(), String> {
        let command = Command::new(&self.binary);
        self.administer(command, &["user", "add", account], &format!("{password}\n"))
            .map(drop)
    }

    /// Runs a command of the administrator's; returns what it printed.
    ///
    /// # Errors
    /// What the command said.
    pub fn command(&self, arguments: &[&str]) -> Result<String, String> {
        self.administer(Command::new(&self.binary), arguments, "")
    }

    /// The same however it ends: its exit code, and all that it printed.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn outcome(&self, arguments: &[&str]) -> Result<(i32, String), String> {
        let output = Command::new(&self.binary)
            .arg("--config")
            .arg(&self.config)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("{arguments:?}: {e}"))?;
        let code = output.status.code();
        let code = code.ok_or_else(|| format!("{arguments:?}: {}", output.status))?;
        let text = [output.stdout, output.stderr].concat();
        Ok((code, String::from_utf8_lossy(&text).into_owned()))
    }

    /// The same as `command` by another one, as `begin` has it, with something on its standard input.
    ///
    /// # Errors
    /// What the command said.
    pub fn administer(
        &self,
        mut command: Command,
        arguments: &[&str],
        input: &str,
    ) -> Result<String, String> {
        let fault = |e: std::io::Error| format!("{arguments:?}: {e}");
        let mut child = command
            .arg("--config")
            .arg(&self.config)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(fault)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that reads nothing may be gone already.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(fault)?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{arguments:?}: {}: {said}", output.status))
        }
    }

    fn spawn(&self, mut command: Command) -> Result<Child, String> {
        let fault = |e: std::io::Error| format!("{:?}: {e}", command.get_program());
        let path = self.scratch.path.join("log");
        let log = OpenOptions::new().create(true).append(true).open(path);
        let log = log.map_err(fault)?;
        let errors = log.try_clone().map_err(fault)?;
        command
            .arg("--config")
            .arg(&self.config)
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("{:?}: {e}", command.get_program()))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.scratch.path.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    #[expect(
        clippy::print_stderr,
        reason = "a failed test shows what the server said"
    )]
    fn drop(&mut self) {
        // It may have stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}---", self.log());
        }
    }
}

/// The program, with so many open files. Only a shell can set that for another process without unsafe code.
fn limited(binary: &Path, descriptors: Option<u32>) -> Command {
    let Some(count) = descriptors else {
        return Command::new(binary);
    };
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n \"$1\" && shift && exec \"$@\"", "sh"])
        .arg(count.to_string())
        .arg(binary);
    command
}

fn config_text(data: &Path, certificates: &Path, clear: SocketAddr, tls: SocketAddr) -> String {
    format!(
        "data_directory = {:?}\n\
         certificates = {:?}\n\
         interfaces = [\"127.0.0.1\"]\n\
         c2s_ports = [{}]\n\
         c2s_direct_tls_ports = [{}]\n\
         \n\
         [host.\"localhost\"]\n",
        data.join("data"),
        certificates,
        clear.port(),
        tls.port(),
    )
}

/// Addresses on which nobody listens, no two of them the same: all are held until all are found.
///
/// # Errors
/// The system has no more.
///
/// # Panics
/// Never: as many are found as are asked for.
pub fn free_addresses<const COUNT: usize>() -> std::io::Result<[SocketAddr; COUNT]> {
    let listeners: Vec<TcpListener> = (0..COUNT)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<std::io::Result<_>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr);
    let addresses: Vec<SocketAddr> = addresses.collect::<std::io::Result<_>>()?;
    Ok(addresses.try_into().expect("as many as were asked for"))
}

/// Which server it is that the tests drive: `SPONDEE_SHELL` says so, and all that start one ask here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shell {
    /// `mio`, and where nothing is said.
    Mio,
    /// `smol`.
    Smol,
}

impl Shell {
    /// The one that is asked for.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn of_environment() -> Result<Self, String> {
        match std::env::var("SPONDEE_SHELL").as_deref() {
            Err(VarError::NotPresent) | Ok("mio") => Ok(Self::Mio),
            Ok("smol") => Ok(Self::Smol),
            Ok(other) => Err(format!("SPONDEE_SHELL={other}: there are `mio` and `smol`")),
            Err(VarError::NotUnicode(_)) => Err("SPONDEE_SHELL is no text".to_owned()),
        }
    }

    /// As cargo knows it.
    #[must_use]
    pub const fn package(self) -> &'static str {
        match self {
            Self::Mio => "spondee-mio",
            Self::Smol => "spondee-smol",
        }
    }

    /// The file that it is.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Mio => "spondee",
            Self::Smol => "spondee-smol",
        }
    }
}

/// The server's program of the profile these tests are built with, built now if cargo has not.
///
/// # Errors
/// It cannot be built.
pub fn binary() -> Result<&'static Path, String> {
    binary_of(Shell::of_environment()?)
}

/// The same of this shell.
///
/// # Errors
/// It cannot be built.
pub fn binary_of(shell: Shell) -> Result<&'static Path, String> {
    static BINARIES: [OnceLock<Result<PathBuf, String>>; 2] = [OnceLock::new(), OnceLock::new()];
    let binary = match shell {
        Shell::Mio => &BINARIES[0],
        Shell::Smol => &BINARIES[1],
    };
    let found = binary.get_or_init(|| {
        // target/PROFILE/deps/TEST
        let test = std::env::current_exe().map_err(|e| e.to_string())?;
        let profile = test
            .ancestors()
            .nth(2)
            .ok_or("tests lie below target/PROFILE/deps")?;
        let mut build = cargo();
        build.args(["build", "--quiet", "-p", shell.package()]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let built = build.status().map_err(|e| e.to_string())?;
        if !built.success() {
            return Err(format!("cargo build -p {}: {built}", shell.package()));
        }
        Ok(profile.join(shell.program()))
    });
    found.as_deref().map_err(Clone::clone)
}
