//! The command line's end of the control socket.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use spondee_core::port::{Command, CommandError, CommandResult};
use zeroize::Zeroizing;

use super::wire::links::Told;
use super::wire::reach::Reach;
use super::wire::{Answer, Reloaded, Request};
use crate::limits::{CONTROL_ANSWER_BYTES, CONTROL_IDLE, CONTROL_REACH};
use crate::remedy::explain;

/// Why there is no result.
#[derive(Debug)]
pub enum CallError {
    /// No server listens at this socket. Nothing was done.
    NoServer,
    /// A server was asked and gave no result: a sentence for the administrator.
    Lost(String),
}

/// Asks the server behind `socket` to carry out one command.
///
/// # Errors
/// There is no server, or its answer did not come.
pub fn call(socket: &Path, command: &Command) -> Result<CommandResult, CallError> {
    let stream = connect(socket)?;
    let lost = |error: &dyn std::fmt::Display| {
        CallError::Lost(format!(
            "the server did not answer ({error}): look whether the command took effect"
        ))
    };
    let request = Request::try_from(command).map_err(|error| lost(&error))?;
    let answer = ask(&stream, &request).map_err(|error| lost(&error))?;
    answer.into_result().map_err(CallError::Lost)
}

/// Asks the server behind `socket` to read configuration and certificates again, and waits until it has.
///
/// # Errors
/// There is no server, or its answer did not come.
pub fn reload(socket: &Path) -> Result<Reloaded, CallError> {
    let stream = connect(socket)?;
    let answer = ask(&stream, &Request::Reload).map_err(|error| {
        CallError::Lost(format!(
            "the server did not say what came of the reload ({error}): look into its log"
        ))
    })?;
    if let Answer::Reloaded { outcome } = answer {
        return Ok(outcome);
    }
    Err(CallError::Lost(match answer.into_result() {
        Err(why) => why,
        Ok(_) => "the server cannot reload now; look into its log".to_owned(),
    }))
}

/// Asks the server behind `socket` to reach a domain, as `command` says.
///
/// # Errors
/// There is no server, or its answer did not come.
pub(crate) fn reach(
    socket: &Path,
    command: &Command,
) -> Result<Result<Box<Reach>, CommandError>, CallError> {
    told(socket, command, |answer| {
        if let Answer::Reached { reach } = answer {
            return Ok(reach);
        }
        Err(answer)
    })
}

/// Asks the server behind `socket` about links to other servers, as `command` says.
///
/// # Errors
/// There is no server, or its answer did not come.
pub(crate) fn links(
    socket: &Path,
    command: &Command,
) -> Result<Result<Told, CommandError>, CallError> {
    told(socket, command, |answer| {
        if let Answer::Links { links } = answer {
            return Ok(links);
        }
        Err(answer)
    })
}

/// What comes as it is on the wire, where `take` knows it.
fn told<T>(
    socket: &Path,
    command: &Command,
    take: impl FnOnce(Answer) -> Result<T, Answer>,
) -> Result<Result<T, CommandError>, CallError> {
    let stream = connect(socket)?;
    let lost = |error: &dyn std::fmt::Display| {
        CallError::Lost(format!("the server did not answer ({error})"))
    };
    let request = Request::try_from(command).map_err(|error| lost(&error))?;
    let answer = ask(&stream, &request).map_err(|error| lost(&error))?;
    let other = match take(answer) {
        Ok(told) => return Ok(Ok(told)),
        Err(other) => other,
    };
    match other.into_result().map_err(CallError::Lost)? {
        Ok(_) => Err(lost(&"it said something else")),
        Err(error) => Ok(Err(error)),
    }
}

fn connect(socket: &Path) -> Result<UnixStream, CallError> {
    // A socket that nobody listens to is left over from a server that was killed. Where we may not look, or cannot, the data directory
    // itself tells why.
    let nobody = [
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::NotADirectory,
        io::ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied,
    ];
    UnixStream::connect(socket).map_err(|error| {
        if nobody.contains(&error.kind()) {
            CallError::NoServer
        } else {
            let (shown, why) = (socket.display(), explain(&error, socket));
            CallError::Lost(format!("cannot reach {shown}: {why}"))
        }
    })
}

fn ask(stream: &UnixStream, request: &Request<'_>) -> io::Result<Answer> {
    // Longer than the server waits for its own answer, whatever that is to.
    stream.set_read_timeout(Some(CONTROL_REACH + CONTROL_IDLE))?;
    stream.set_write_timeout(Some(CONTROL_IDLE))?;
    let mut line = Zeroizing::new(serde_json::to_vec(request)?);
    line.push(b'\n');
    let mut writer = stream;
    // A server that is too busy answers and closes without reading: its answer is there all the same.
    let written = writer.write_all(&line);
    let mut line = Vec::new();
    BufReader::new(stream)
        .take(CONTROL_ANSWER_BYTES)
        .read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(written
            .err()
            .unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(serde_json::from_slice(&line)?)
}
