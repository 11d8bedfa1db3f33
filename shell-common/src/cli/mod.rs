//! The command line: `spondee [serve]`, `spondee user …`, `spondee archive …`, `spondee passwords upgrade`, `spondee cert …`, `spondee check …`,
//! `spondee reach`, `spondee s2s …`, `spondee reload`, `spondee example-config`.
//!
//! Everything goes through `main_with`, which is given its arguments, streams and surroundings and returns the exit code: tests
//! call it as a shell's `main` does. Errors are sentences that say what to do.

mod archive;
mod args;
mod cert;
mod check;
mod failure;
mod password;
mod passwords;
mod reach;
mod reload;
mod s2s;
mod serve;
mod source;
mod terminal;
mod usage;
mod user;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal as _, Read, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;
use std::process::ExitCode;

use spondee_core::port::{Command, CommandError};

use clap::Parser as _;

use crate::boot::Booted;
use crate::config::{EXAMPLE, LogLevel};
use crate::log;
use args::{Args, CheckTask, Task};
use failure::Failure;
use source::Source;

/// Runs a shell until it is told to stop, and calls the second argument once its ports are open. Its error is a sentence for the
/// administrator.
pub type Serve = fn(Booted, &mut dyn FnMut()) -> Result<(), String>;

/// Does what the arguments of this process say; `serve` runs a shell until it is told to stop.
pub fn run(serve: Serve) -> ExitCode {
    let _written = log::UntilWritten;
    let stdin = io::stdin();
    let mut pipe = Unbuffered(stdin.as_fd());
    let console = Console {
        input: if stdin.is_terminal() {
            Input::Terminal(stdin.as_fd())
        } else {
            Input::Pipe(&mut pipe)
        },
        // Locked for each line only: threads of the server log to standard error.
        out: &mut io::stdout(),
        err: &mut log::StandardError::default(),
        surroundings: Surroundings {
            config: std::env::var_os("SPONDEE_CONFIG")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            system_config: "/etc/spondee/spondee.toml".into(),
            directory: PathBuf::new(),
            renewed: cert::renewed(|name| std::env::var_os(name)),
        },
    };
    ExitCode::from(main_with(std::env::args_os(), console, serve))
}

/// Why a command was refused, in a sentence that says what to do.
#[must_use]
pub fn refusal(command: &Command, error: CommandError) -> String {
    let refused = failure::refused(command, error);
    refused.message().unwrap_or_default().to_owned()
}

/// What a command line talks to.
pub struct Console<'a> {
    /// Standard input.
    pub input: Input<'a>,
    /// Standard output: what was asked for.
    pub out: &'a mut dyn Write,
    /// Standard error: what went wrong, and questions to a person.
    pub err: &'a mut dyn Write,
    /// The rest of the world.
    pub surroundings: Surroundings,
}

impl fmt::Debug for Console<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("input", &self.input)
            .field("surroundings", &self.surroundings)
            .finish_non_exhaustive()
    }
}

/// Standard input.
pub enum Input<'a> {
    /// A person sits there.
    Terminal(BorrowedFd<'a>),
    /// A file or a program.
    Pipe(&'a mut dyn Read),
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Terminal(terminal) => f.debug_tuple("Terminal").field(terminal).finish(),
            Self::Pipe(_) => f.debug_tuple("Pipe").finish_non_exhaustive(),
        }
    }
}

/// Where a configuration may be.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The environment variable `SPONDEE_CONFIG`.
    pub config: Option<PathBuf>,
    /// The system's configuration, if it is there.
    pub system_config: PathBuf,
    /// Where a development server keeps `spondee-data`. Empty is the working directory.
    pub directory: PathBuf,
    /// What certbot, lego or acme.sh renewed, where one of them runs this as its hook: a directory, or a certificate and its key.
    pub renewed: Vec<PathBuf>,
}

/// Does what `args` say, the program's own name first among them, and returns the exit code.
pub fn main_with<I>(args: I, mut console: Console<'_>, serve: Serve) -> u8
where
    I: IntoIterator<Item = OsString>,
{
    let args: Vec<OsString> = args.into_iter().collect();
    let program = args.first().map_or_else(
        || "spondee".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    let done = match Args::try_parse_from(&args) {
        Ok(args) => perform(&program, args, &mut console, serve),
        Err(error) => return explain(&error, &args, &mut console),
    };
    match done.and_then(|()| console.out.flush().map_err(Failure::from)) {
        Ok(()) => 0,
        Err(failure) => {
            if let Some(message) = failure.message() {
                // There is nobody left to tell.
                let _ = writeln!(console.err, "spondee: {message}");
            }
            failure.code()
        }
    }
}

/// Help, the version, or what is wrong with the arguments.
fn explain(error: &clap::Error, args: &[OsString], console: &mut Console<'_>) -> u8 {
    let text = match usage::advise(error, args, &console.surroundings) {
        Some(advice) => format!("error: {advice}\n\nFor more information, try '--help'.\n"),
        None => error.render().to_string(),
    };
    // There is nobody left to tell.
    let _ = if error.use_stderr() {
        write!(console.err, "{text}")
    } else {
        write!(console.out, "{text}").and_then(|()| console.out.flush())
    };
    u8::try_from(error.exit_code()).unwrap_or(2)
}

fn perform(
    program: &str,
    args: Args,
    console: &mut Console<'_>,
    serve: Serve,
) -> Result<(), Failure> {
    let find = |option| Source::find(option, &console.surroundings);
    match args.task {
        None | Some(Task::Serve) => match find(args.config) {
            Source::File(file) => serve::configured(file, serve),
            Source::Development(directory) => {
                serve::development(program, &directory, console, serve)
            }
        },
        Some(Task::Archive(task)) => {
            log::init(LogLevel::Warn);
            let source = find(args.config);
            let settings = source.load()?;
            archive::perform(task, &source, settings, console)
        }
        Some(Task::User(task)) => {
            log::init(LogLevel::Warn);
            let source = find(args.config);
            let settings = source.load()?;
            user::perform(task, &source, settings, console)
        }
        Some(Task::Passwords(task)) => {
            log::init(LogLevel::Warn);
            let source = find(args.config);
            let settings = source.load()?;
            passwords::perform(task, &source, settings, console)
        }
        Some(Task::Check(CheckTask::Config {
            file,
            connect,
            print,
        })) => {
            if file.is_some() && args.config.is_some() {
                return Err(Failure::Usage(
                    "name the file once, behind `check config` or with --config".into(),
                ));
            }
            let source = find(file.or(args.config));
            let asking = match connect {
                true => check::Asking::Yes,
                false => check::Asking::No,
            };
            check::perform(&source, print.form(), asking, console)
        }
        Some(Task::Check(CheckTask::Certs { hosts, print })) => {
            check::certs::perform(&find(args.config), &hosts, print.form(), console)
        }
        Some(Task::Reach(whom)) => reach::perform(&whom, &find(args.config), console),
        Some(Task::S2s(task)) => s2s::perform(task, &find(args.config), console),
        Some(Task::Reload) => reload::perform(&find(args.config), console),
        Some(Task::Cert(task)) => cert::perform(task, &find(args.config), console),
        Some(Task::Check(CheckTask::Tls {
            domain,
            toward,
            print,
        })) => check::tls::perform(&domain, &toward, print.form(), console),
        Some(Task::ExampleConfig) => Ok(console.out.write_all(EXAMPLE.as_bytes())?),
    }
}

/// Standard input without a buffer in which a password would stay behind.
struct Unbuffered<'a>(BorrowedFd<'a>);

impl Read for Unbuffered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self.0, buffer)?)
    }
}
