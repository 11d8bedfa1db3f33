//! Standard error as it is below a program that stopped reading: a pipe that is full.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::client::PATIENCE;

/// `O_NONBLOCK` of Linux.
const NONBLOCK: i32 = 0o4000;

/// A named pipe that takes nothing more until it is read.
#[derive(Debug)]
pub struct Unread {
    path: PathBuf,
    /// Both ends, so that neither has to wait for the other.
    pipe: File,
    text: String,
}

impl Unread {
    /// A full one in this directory.
    ///
    /// # Errors
    /// What failed, in words; so with all functions here.
    pub fn new(directory: &Path) -> Result<Self, String> {
        let path = directory.join("pipe");
        let made = Command::new("mkfifo").arg(&path).status();
        if !made.map_err(|e| e.to_string())?.success() {
            return Err(format!("cannot make {}", path.display()));
        }
        let pipe = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(NONBLOCK)
            .open(&path)
            .map_err(|e| e.to_string())?;
        let mut unread = Self {
            path,
            pipe,
            text: String::new(),
        };
        unread.fill()?;
        Ok(unread)
    }

    /// Makes it full, again.
    ///
    /// # Errors
    /// It cannot be written to.
    pub fn fill(&mut self) -> Result<(), String> {
        loop {
            match self.pipe.write(b"in the way\n") {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    /// A command that runs `program` with this for its standard error; its arguments are still to be added.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", "pipe=$1 && shift && exec \"$@\" 2>\"$pipe\"", "sh"])
            .arg(&self.path)
            .arg(program);
        command
    }

    /// Reads until a line holds all of `words`, and returns it.
    ///
    /// # Errors
    /// None came in time.
    pub fn wait_for(&mut self, words: &[&str]) -> Result<String, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.read()?;
            let whole = self.text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let mut lines = whole.lines();
            if let Some(line) = lines.find(|line| words.iter().all(|word| line.contains(word))) {
                return Ok(line.to_owned());
            }
            if Instant::now() > deadline {
                return Err(format!("no line with {words:?}:\n{}", self.text));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// All that was read and what there still is.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn text(&mut self) -> Result<&str, String> {
        self.read()?;
        Ok(&self.text)
    }

    fn read(&mut self) -> Result<(), String> {
        let mut bytes = Vec::new();
        match self.pipe.read_to_end(&mut bytes) {
            Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(e.to_string()),
            // What came before it is there.
            Ok(_) | Err(_) => {}
        }
        // Lines may be cut between two reads, letters are not: all of it is ASCII.
        self.text.push_str(&String::from_utf8_lossy(&bytes));
        Ok(())
    }
}
