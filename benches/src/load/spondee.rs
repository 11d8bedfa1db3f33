//! The server of this project as a target.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use spec_tests::ca::Authority;
use spec_tests::cargo::cargo;
use spec_tests::server::{Scratch, Shell, free_addresses};

use super::client::Security;
use super::target::{Archive, Counting, Provider, ROUNDS, Role, Running, Setting, Target};
use crate::scenarios::HOST;
use crate::scram::Account;

/// Commands at a time: half of what the control socket serves, for one that ended may not be forgotten yet.
const COMMANDS: usize = 4;

/// See the module.
#[derive(Debug)]
pub struct Spondee {
    binary: PathBuf,
    threads: usize,
    scratch: Scratch,
    role: Role,
    shell: Shell,
    provider: Provider,
    /// Lines of configuration for the whole server.
    options: &'static str,
}

impl Spondee {
    /// Whether `prepare` can find or build what it measures, before anything is built.
    ///
    /// # Errors
    /// The program that is named does not exist.
    pub fn check(binary: Option<&Path>) -> Result<(), String> {
        match binary {
            Some(path) if !path.is_file() => Err(format!("{}: no such program", path.display())),
            Some(_) | None => Ok(()),
        }
    }

    /// With a data directory of its own in which these accounts exist. `binary` is the program; without one it is built now,
    /// with optimisation, as it is installed.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn prepare(
        binary: Option<PathBuf>,
        threads: usize,
        provider: Provider,
        accounts: &[Account],
    ) -> Result<Self, String> {
        let target = Self::empty(binary, threads)?.keeping(provider);
        target.add(accounts)?;
        Ok(target)
    }

    /// The same in the other shell.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn prepare_smol(
        binary: Option<PathBuf>,
        threads: usize,
        provider: Provider,
        accounts: &[Account],
    ) -> Result<Self, String> {
        let target = Self::of(Shell::Smol, binary, threads)?.keeping(provider);
        target.add(accounts)?;
        Ok(target)
    }

    /// The same without accounts, and with keys to be kept of passwords, until it is told otherwise.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn empty(binary: Option<PathBuf>, threads: usize) -> Result<Self, String> {
        Self::of(Shell::Mio, binary, threads)
    }

    /// The same in this shell.
    fn of(shell: Shell, binary: Option<PathBuf>, threads: usize) -> Result<Self, String> {
        let binary = match binary {
            Some(binary) => binary,
            None => build(shell)?,
        };
        let scratch = Scratch::new().map_err(|e| e.to_string())?;
        let certificates = scratch.path().join("certs");
        fs::create_dir(&certificates)
            .and_then(|()| Authority::new(scratch.path())?.issue(&certificates, HOST))
            .map_err(|e| e.to_string())?;
        Ok(Self {
            binary,
            threads,
            scratch,
            role: match shell {
                Shell::Mio => Role::Subject,
                Shell::Smol => Role::Sibling,
            },
            shell,
            provider: Provider::Hashed,
            options: "",
        })
    }

    /// As one that keeps this of passwords from its next start on.
    #[must_use]
    pub const fn keeping(mut self, provider: Provider) -> Self {
        self.provider = provider;
        self
    }

    /// As one that has these lines in its configuration.
    #[must_use]
    pub const fn configured(mut self, options: &'static str) -> Self {
        self.options = options;
        self
    }

    /// As what the other one is paired with.
    #[must_use]
    pub const fn before(mut self) -> Self {
        self.role = Role::Before;
        self
    }

    /// Adds all accounts while the server runs: it groups their commits.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn add(&self, accounts: &[Account]) -> Result<(), String> {
        let _running = self.start(&Setting::PREPARING)?;
        let size = accounts.len().div_ceil(COMMANDS).max(1);
        std::thread::scope(|scope| {
            let add = |some: &[Account]| some.iter().try_for_each(|account| self.add_one(account));
            let parts = accounts.chunks(size);
            let adding: Vec<_> = parts.map(|some| scope.spawn(move || add(some))).collect();
            adding.into_iter().try_for_each(|adding| {
                let added = adding.join();
                added.map_err(|_| "adding accounts failed".to_owned())?
            })
        })
    }

    fn add_one(&self, account: &Account) -> Result<(), String> {
        let name = format!("{}@{HOST}", account.name());
        let mut child = Command::new(&self.binary)
            .arg("--config")
            .arg(self.config_path())
            .args(["user", "add", &name])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        if let Some(mut stdin) = child.stdin.take() {
            writeln!(stdin, "{}", account.password()).map_err(|e| e.to_string())?;
        }
        let output = child.wait_with_output().map_err(|e| e.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("user add {name}: {}: {said}", output.status))
    }

    fn config_path(&self) -> PathBuf {
        self.scratch.path().join("spondee.toml")
    }
}

impl Target for Spondee {
    fn name(&self) -> &'static str {
        match (self.role, self.shell) {
            (Role::Before, _) => "Spondee before",
            (Role::Subject | Role::Sibling | Role::Peer | Role::Floor, Shell::Mio) => "Spondee",
            (Role::Subject | Role::Sibling | Role::Peer | Role::Floor, Shell::Smol) => {
                "Spondee smol"
            }
        }
    }

    fn note(&self) -> Option<String> {
        Some(format!("{} with {} threads", self.name(), self.threads))
    }

    fn role(&self) -> Role {
        self.role
    }

    fn provider(&self) -> Option<Provider> {
        Some(self.provider)
    }

    fn data_directory(&self) -> Option<PathBuf> {
        Some(self.scratch.path().join("data"))
    }

    fn start(&self, setting: &Setting) -> Result<Running, String> {
        let fault = |e: std::io::Error| e.to_string();
        let [address] = free_addresses().map_err(fault)?;
        let encryption = match setting.security {
            Security::Clear => "false",
            Security::StartTls(_) => "true",
        };
        let policy = match setting.archive {
            Archive::On => "always",
            Archive::Off => "never",
        };
        let provider = match self.provider {
            // The default, and an older program has nothing else.
            Provider::Hashed => String::new(),
            Provider::Plain => format!("authentication = {:?}\n", self.provider.name()),
        };
        let directory = self.scratch.path();
        let config = format!(
            "data_directory = {:?}\n\
             certificates = {:?}\n\
             interfaces = [\"127.0.0.1\"]\n\
             c2s_ports = [{}]\n\
             c2s_direct_tls_ports = []\n\
             s2s_ports = []\n\
             s2s_allowed_domains = []\n\
             c2s_require_encryption = {encryption}\n\
             threads = {}\n\
             # ejabberd's default, and all that Prosody does where it keeps passwords.\n\
             default_iteration_count = {ROUNDS}\n\
             {}{provider}\n\
             [host.\"{HOST}\"]\n\
             default_archive_policy = {policy:?}\n\
             # An archive of a year is read.\n\
             archive_expires_after = \"never\"\n",
            directory.join("data"),
            directory.join("certs"),
            address.port(),
            self.threads,
            self.options,
        );
        fs::write(self.config_path(), config).map_err(fault)?;
        let path = directory.join("log");
        let log = File::create(&path).map_err(fault)?;
        let child = Command::new(&self.binary)
            .arg("--config")
            .arg(self.config_path())
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(fault)?)
            .stderr(log)
            .spawn()
            .map_err(|e| format!("{}: {e}", self.binary.display()))?;
        Running::wait(child, address, path, Counting::OnSignal)
    }
}

/// Builds the program of this shell, with optimisation, and says where it is.
///
/// # Errors
/// It cannot be built.
pub fn build(shell: Shell) -> Result<PathBuf, String> {
    let built = cargo()
        .args(["build", "--release", "--quiet", "-p", shell.package()])
        .status()
        .map_err(|e| e.to_string())?;
    if !built.success() {
        return Err(format!(
            "cargo build --release -p {}: {built}",
            shell.package()
        ));
    }
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    // target/PROFILE/load
    let target = own.ancestors().nth(2).map(Path::to_owned);
    let target = target.ok_or("the generator lies in target/release")?;
    Ok(target.join("release").join(shell.program()))
}
