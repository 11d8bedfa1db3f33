//! A real client as a child process that a test talks to by lines, each wait with a deadline.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Whether tests that need programs of others are left out here: they run where `SPONDEE_INTEROP` is set, as `spec-tests/run` does
/// after it has installed them. There a missing program is a failure; elsewhere this says on standard error what is left out.
#[must_use]
pub fn left_out(what: &str) -> bool {
    let left_out = std::env::var_os("SPONDEE_INTEROP").is_none();
    if left_out {
        // Past the harness, which would keep it to itself. If standard error is closed, nobody wants to know.
        let _ = writeln!(
            std::io::stderr(),
            "left out: {what}; spec-tests/run runs it"
        );
    }
    left_out
}

/// Where `spec-tests/run` installs clients, `None` where tests with them are left out, which is said once.
#[must_use]
pub fn installed(what: &str) -> Option<PathBuf> {
    static LEFT_OUT: OnceLock<bool> = OnceLock::new();
    match *LEFT_OUT.get_or_init(|| left_out(what)) {
        true => None,
        false => Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/interop")),
    }
}

/// A script of ours that drives a client.
#[must_use]
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("interop")
        .join(name)
}

/// How long the outputs of a program that has ended are waited for: they end at once, unless a child of it has them, too.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A running program. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    /// Starts it with pipes; its two outputs are read as one list of lines.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(mut command: Command) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{name}: {e}"))?;
        let (sender, lines) = channel();
        let out = child
            .stdout
            .take()
            .map(|out| Box::new(out) as Box<dyn std::io::Read + Send>);
        let err = child
            .stderr
            .take()
            .map(|err| Box::new(err) as Box<dyn std::io::Read + Send>);
        for pipe in [out, err].into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self {
            name,
            stdin: child.stdin.take(),
            child,
            lines,
            seen: Vec::new(),
        })
    }

    /// Writes one line to its standard input.
    ///
    /// # Errors
    /// It is gone.
    pub fn say(&mut self, line: &str) -> Result<(), String> {
        let stdin = self.stdin.as_mut().ok_or("its input is closed")?;
        writeln!(stdin, "{line}")
            .and_then(|()| stdin.flush())
            .map_err(|e| format!("{}: {e}: {:#?}", self.name, self.seen))
    }

    /// Ends its standard input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Everything it wrote so far, as far as it was waited for.
    #[must_use]
    pub fn seen(&self) -> &[String] {
        &self.seen
    }

    /// Waits for a line for which `wanted` gives something.
    ///
    /// # Errors
    /// None came in time, or the program ended: what it wrote.
    pub fn wait_for<T>(
        &mut self,
        patience: Duration,
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> Result<T, String> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let found = wanted(&line);
                    self.seen.push(line);
                    if let Some(found) = found {
                        return Ok(found);
                    }
                }
                Err(why) => {
                    let why = match why {
                        RecvTimeoutError::Timeout => "said nothing of the kind in time",
                        RecvTimeoutError::Disconnected => "ended",
                    };
                    return Err(format!("{} {why}: {:#?}", self.name, self.seen));
                }
            }
        }
    }

    /// Waits for a line for so long, `None` if there is none.
    ///
    /// # Errors
    /// The program ended.
    pub fn try_line(&mut self, patience: Duration) -> Result<Option<String>, String> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => {
                self.seen.push(line.clone());
                Ok(Some(line))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(format!("{} ended", self.name)),
        }
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It does not in time.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus, String> {
        self.end_input();
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().map_err(|e| e.to_string())? {
                // What it wrote last may still be on its way here.
                while let Ok(line) = self.lines.recv_timeout(LAST_LINES) {
                    self.seen.push(line);
                }
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(format!("{} does not end: {:#?}", self.name, self.seen));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
