//! Where the log goes: to standard error, by a thread of its own where there is a server.
//!
//! No thread of a server writes there itself, because whoever reads may have stopped to: a pipe that is full takes nothing more, and
//! who writes to it waits for ever. Lines are handed to a bounded queue (`queue`), what strangers cause is limited by address
//! (`budget`). So are the last words of threads that panic, and of the program.
//!
//! Choice: the queue is ours and not the crate `tracing-appender`'s. That one is bounded by lines of any length, says nothing in the
//! log of what it dropped, and tells a failure at its end on standard output, which may be as full as standard error.

mod budget;
#[cfg(test)]
mod capture;
mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal as _, Write};
use std::panic::PanicHookInfo;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogLevel;
use crate::limits::log::FLUSH;

use budget::{Budget, Verdict};
pub(crate) use budget::{Cause, Subject};
#[cfg(test)]
pub(crate) use capture::capture;
use queue::{Queue, Unlocked, Writer, line};

/// The environment variable that overrides the level: one such as `debug`, or several with the modules they are for, such as
/// `info,spondee_shell_common::tls=debug`.
pub const FILTER: &str = "SPONDEE_LOG";

/// The log of this process, if it is a server's.
static RUNNING: OnceLock<Arc<Running>> = OnceLock::new();

/// Sends the log to standard error, from `level` on: for a command, which may wait there. The first call of this or of `start`
/// counts.
pub fn init(level: LogLevel) {
    subscribe(level, io::stderr);
}

/// The same for a server: from here on nobody waits for standard error, and threads that panic say so in the log.
///
/// # Errors
/// There is no thread to be had.
pub fn start(level: LogLevel) -> io::Result<()> {
    if RUNNING.get().is_some() {
        return Ok(());
    }
    let running = Arc::new(Running::default());
    let writing = Arc::clone(&running);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || writing.write(Writer::new(Unlocked)))?;
    // Only now: without the thread, the words of this failure would not be written either.
    let running = RUNNING.get_or_init(|| running);
    std::panic::set_hook(Box::new(|info| running.panicked(info)));
    subscribe(level, || Lines(&running.queue));
    Ok(())
}

fn subscribe<W>(level: LogLevel, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let default = || Targets::new().with_default(level);
    let (filter, fault) = match std::env::var(FILTER) {
        Ok(text) if !text.is_empty() => match text.parse::<Targets>() {
            Ok(filter) => (filter, None),
            Err(error) => (default(), Some(error)),
        },
        Ok(_) | Err(_) => (default(), None),
    };
    // The convention of https://no-color.org.
    let colourless = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(io::stderr().is_terminal() && !colourless)
        .with_target(false)
        // It would be told to standard error, which is what failed.
        .log_internal_errors(false);
    let started = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
    if let (Ok(()), Some(error)) = (started, fault) {
        tracing::warn!(
            "{FILTER} is not understood, the level of the configuration counts: {error}"
        );
    }
}

/// Whether to write a line that somebody may cause as often as they like. If not, it is counted.
pub(crate) fn may_write(level: Level, cause: Cause, subject: Subject) -> bool {
    // A line that would not be shown is not counted either.
    level <= LevelFilter::current()
        && RUNNING
            .get()
            .is_none_or(|running| running.weigh(cause, subject))
}

/// Says what was left out so far, for a server that is about to say its last words.
pub fn tell_left_out() {
    if let Some(running) = RUNNING.get() {
        let left_out = running.budget().close();
        tell(&left_out);
    }
}

/// Until it is dropped, lines may come. Then those that are queued are written, as far as that goes within `limits::log::FLUSH`.
#[derive(Debug)]
pub(crate) struct UntilWritten;

impl Drop for UntilWritten {
    fn drop(&mut self) {
        tell_left_out();
        if let Some(running) = RUNNING.get() {
            running.queue.flush(FLUSH);
        }
    }
}

/// A server's log.
#[derive(Debug, Default)]
struct Running {
    queue: Queue,
    budget: Mutex<Budget>,
}

impl Running {
    /// What the thread does.
    fn write(&self, mut writer: Writer<impl Write>) {
        loop {
            let due = self.budget().ends();
            self.queue.serve(&mut writer, due);
            let left_out = self.budget().settle(Instant::now());
            tell(&left_out);
        }
    }

    fn weigh(&self, cause: Cause, subject: Subject) -> bool {
        let verdict = self.budget().weigh(cause, subject, Instant::now());
        match verdict {
            Verdict::Write => true,
            Verdict::WriteFirst => {
                self.queue.nudge();
                true
            }
            Verdict::LeaveOut => false,
        }
    }

    /// The words of a thread that panics, which would else wait for standard error, and nobody would hear that it ended.
    fn panicked(&self, info: &PanicHookInfo<'_>) {
        // Those of storage threads are survived, and may come again with each sign-in.
        if !self.weigh(Cause::Server, Subject::Failure) {
            return;
        }
        let thread = thread::current();
        let name = thread.name().unwrap_or("without a name");
        let what = info.payload_as_str().unwrap_or("without words");
        let place = info.location().map(ToString::to_string);
        let place = place.as_deref().unwrap_or("an unknown place");
        let mut text = line(
            Level::ERROR,
            format_args!(
                "an error of this program, please report it: thread {name} panicked at {place}: {what}"
            ),
        );
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            text.push_str(&trace.to_string());
            text.push('\n');
        }
        self.queue.push(text.as_bytes());
        // What follows may be the end of the process.
        self.queue.flush(FLUSH);
    }

    /// Held for as long as it takes to count. Nothing panics meanwhile.
    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(left_out: &[budget::LeftOut]) {
    for one in left_out {
        tracing::info!("{one}");
    }
}

/// Takes the lines of `tracing-subscriber`, each whole.
struct Lines(&'static Queue);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard error for the command line: its lines stand among those of the log, and nobody waits for them, once a server's log has
/// begun.
#[derive(Debug, Default)]
pub(crate) struct StandardError {
    /// The beginning of a line.
    begun: Vec<u8>,
}

impl Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(running) = RUNNING.get() else {
            return io::stderr().write(bytes);
        };
        self.begun.extend_from_slice(bytes);
        if let Some(end) = self.begun.iter().rposition(|byte| *byte == b'\n') {
            let lines: Vec<u8> = self.begun.drain(..=end).collect();
            running.queue.push(&lines);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(running) = RUNNING.get() else {
            return io::stderr().flush();
        };
        running.queue.push(&std::mem::take(&mut self.begun));
        running.queue.flush(FLUSH);
        Ok(())
    }
}
