//! Questions to whoever typed the command: passwords without echo, yes or no.

use std::io::{self, BufRead, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use spondee_core::secret::Secret;
use zeroize::Zeroizing;

use super::Failure;

/// Bytes of a password, its end of line included. SCRAM has no bound; nobody types more.
const PASSWORD_BYTES: u64 = 4096;

/// Where a password comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum From {
    /// Asked for on a terminal, else the first line of standard input.
    Anywhere,
    /// The first line of standard input.
    Stdin,
}

/// Somebody to ask.
pub(super) trait Ask {
    /// A password for `account`.
    fn password(&mut self, account: &str, from: From) -> Result<Secret, Failure>;

    /// Whether to go on. Where nobody can be asked, the command itself is the answer.
    fn confirm(&mut self, question: &str) -> Result<Answer, Failure>;
}

/// To a question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    No,
    Yes,
}

/// Standard input, and questions on standard error, so that standard output holds results only.
#[derive(Debug)]
pub(super) struct Terminal;

impl Ask for Terminal {
    fn password(&mut self, account: &str, from: From) -> Result<Secret, Failure> {
        if from == From::Stdin || !io::stdin().is_terminal() {
            return first_line(&mut io::stdin().lock());
        }
        let first = prompt(&format!("Password for {account}: "))?;
        let second = prompt("The same again: ")?;
        if first != second {
            return Err(Failure::Refused("the two passwords differ".to_owned()));
        }
        Ok(first)
    }

    fn confirm(&mut self, question: &str) -> Result<Answer, Failure> {
        if !io::stdin().is_terminal() {
            return Ok(Answer::Yes);
        }
        ask(&format!("{question} [y/N] "))?;
        let mut line = String::new();
        let cut = |error: io::Error| Failure::Refused(format!("no answer: {error}"));
        io::stdin().lock().read_line(&mut line).map_err(cut)?;
        Ok(match line.trim() {
            "y" | "Y" | "yes" => Answer::Yes,
            _ => Answer::No,
        })
    }
}

fn prompt(text: &str) -> Result<Secret, Failure> {
    ask(text)?;
    let _silence = Silence::begin()
        .map_err(|error| Failure::Refused(format!("cannot hide what is typed: {error}")))?;
    first_line(&mut io::stdin().lock())
}

fn ask(text: &str) -> Result<(), Failure> {
    let mut terminal = io::stderr().lock();
    let written = terminal
        .write_all(text.as_bytes())
        .and_then(|()| terminal.flush());
    written.map_err(|error| Failure::Refused(format!("cannot ask: {error}")))
}

/// As long as it lives, the terminal does not show what is typed, only that Enter was.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// The first line without its end. The rest of the input is left alone.
pub(super) fn first_line(input: &mut dyn BufRead) -> Result<Secret, Failure> {
    // Its room is made at once: growing would leave copies behind.
    let capacity = usize::try_from(PASSWORD_BYTES).unwrap_or_default();
    let mut line = Zeroizing::new(Vec::with_capacity(capacity));
    input
        .take(PASSWORD_BYTES)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::Refused(format!("cannot read the password: {error}")))?;
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    } else if line.len() == capacity {
        return Err(Failure::Refused("the password is too long".to_owned()));
    }
    if line.is_empty() {
        return Err(Failure::Refused("the password is empty".to_owned()));
    }
    if std::str::from_utf8(&line).is_err() {
        return Err(Failure::Refused("the password is not UTF-8".to_owned()));
    }
    Ok(Secret::new(line.to_vec()))
}
