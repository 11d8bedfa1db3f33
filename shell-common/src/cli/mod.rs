//! The command line: `spondee [serve]`, `spondee user …`, `spondee check config`.
//!
//! `user` works through the control socket while a server runs and in this process while none does; either way the core
//! decides. Everything printed goes through one writer, so that a closed pipe ends the command quietly.

mod args;
mod check;
mod password;
mod serve;
#[cfg(test)]
mod tests;
mod user;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;

use crate::boot::Booted;
use crate::config::{ConfigError, LogLevel, Settings};
use crate::note;

use args::{Arguments, CheckCommand, Command};
use password::Terminal;

/// The variable that names the configuration file where `--config` does not.
const CONFIG_VARIABLE: &str = "SPONDEE_CONFIG";
/// Read if it is there and nothing else is named.
const CONFIG_FILE: &str = "/etc/spondee/spondee.toml";
/// Data of a server without a configuration.
const DEVELOPMENT_DIRECTORY: &str = "spondee-data";

/// Parses the arguments and does what they say; `serve` runs a shell until it is told to stop.
pub fn run(serve: fn(Booted) -> Result<(), String>) -> ExitCode {
    // Prints help and usage errors itself, and ends the process with 0 or 2.
    let arguments = Arguments::parse();
    let mut out = io::stdout().lock();
    let outcome = execute(arguments, serve, &mut out)
        // What is buffered and cannot be written is a failure, too.
        .and_then(|()| out.flush().map_err(Failure::from));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(sentence) = failure.sentence() {
                // With standard error closed there is nobody to tell.
                let _ = writeln!(io::stderr().lock(), "spondee: {sentence}");
            }
            ExitCode::from(failure.code())
        }
    }
}

fn execute(
    arguments: Arguments,
    serve: fn(Booted) -> Result<(), String>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let named = arguments.config.as_deref();
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => {
            let source = Source::find(named);
            let settings = source.load()?;
            note::start(settings.log_level).map_err(Failure::Refused)?;
            serve::serve(source, settings, serve, out)
        }
        Command::User(command) => {
            // What goes wrong in storage is told on standard error.
            note::start(LogLevel::Warn).map_err(Failure::Refused)?;
            let settings = Source::find(named).load()?;
            user::run(&command, &settings, &mut Terminal, out)
        }
        Command::Check(CheckCommand::Config(check)) => {
            let named = check.file.as_deref().or(named).map(Path::to_owned);
            check::config(&check, &Source::find(named.as_deref()), out)
        }
    }
}

/// Where the configuration is.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Source {
    /// Nowhere: a development server in this directory.
    Development,
    /// This file.
    File(PathBuf),
}

impl Source {
    /// The argument, else the variable, else the usual file if it is there.
    fn find(named: Option<&Path>) -> Self {
        let variable = std::env::var_os(CONFIG_VARIABLE).filter(|value| !value.is_empty());
        let usual = Path::new(CONFIG_FILE);
        // A file that is there and cannot be read must not start a development server instead.
        let there = usual.try_exists().unwrap_or(true);
        named
            .map(Path::to_owned)
            .or_else(|| variable.map(PathBuf::from))
            .or_else(|| there.then(|| usual.to_owned()))
            .map_or(Self::Development, Self::File)
    }

    fn load(&self) -> Result<Settings, Failure> {
        match self {
            Self::Development => Ok(Settings::development(Path::new(DEVELOPMENT_DIRECTORY))),
            Self::File(file) => Settings::load(file).map_err(Failure::from),
        }
    }

    /// For `Reload`.
    fn into_file(self) -> Option<PathBuf> {
        match self {
            Self::Development => None,
            Self::File(file) => Some(file),
        }
    }
}

/// Why a command did not do what it was asked. Each has its exit code, documented in `--help`.
#[derive(Debug)]
enum Failure {
    /// Whoever read our output has seen enough.
    Pipe,
    /// Refused or failed, and it will again.
    Refused(String),
    /// The server or its storage cannot be reached or is busy: it may work later.
    Unavailable(String),
    /// The arguments make no sense.
    Usage(String),
}

impl Failure {
    const fn code(&self) -> u8 {
        match self {
            Self::Pipe => 0,
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Unavailable(_) => 3,
        }
    }

    fn sentence(&self) -> Option<&str> {
        match self {
            Self::Pipe => None,
            Self::Refused(sentence) | Self::Unavailable(sentence) | Self::Usage(sentence) => {
                Some(sentence)
            }
        }
    }
}

/// From writing to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Pipe
        } else {
            Self::Refused(format!("cannot write: {error}"))
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Refused(error.to_string())
    }
}
