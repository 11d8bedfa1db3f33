//! Secrets that options hold: written in the configuration itself, or where they stand, which is a file, a variable of the environment or a
//! credential of the service (systemd.exec(5), `LoadCredential=`).
//!
//! What others can read is no secret, and is refused. No sentence here holds a secret, or what was written in place of one.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use spondee_core::secret::Secret;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::reader::Wrongs;
use super::value::{not, text};
use crate::limits::SECRET_BYTES;
use crate::remedy::{User, explain};

/// The directory of a service's credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// What is known of the places where secrets may stand.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Where relative paths start.
    pub(super) base: PathBuf,
    /// Whether the configuration may hold secrets.
    pub(super) configuration: Kept,
    /// The environment.
    pub(super) variable: fn(&str) -> Option<OsString>,
    pub(super) wanted: Wanted,
}

/// Whether a configuration is its owner's alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Kept {
    /// It is, or it is no file.
    Private,
    /// Others can read it. This is what to do.
    Open(String),
}

/// What secrets are wanted for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// To serve: what is missing is a fault.
    Serving,
    /// For a command, which has not the environment of the service: what only the service is given is warned of when it is not there.
    Command,
}

/// A secret that was asked for.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Found {
    Here(Secret),
    /// It is the service's to have. Why it is not here.
    Elsewhere(String),
}

impl Places {
    /// Those of the configuration in this file, which was opened.
    pub(super) fn of(base: &Path, path: &Path, metadata: &Metadata, wanted: Wanted) -> Self {
        let configuration = match open_to_others(metadata, path) {
            Some(remedy) => Kept::Open(remedy),
            None => Kept::Private,
        };
        Self {
            configuration,
            wanted,
            ..Self::without_file(base)
        }
    }

    /// Those of a text that is in no file.
    pub(super) fn without_file(base: &Path) -> Self {
        Self {
            base: base.to_owned(),
            configuration: Kept::Private,
            variable: |name| std::env::var_os(name),
            wanted: Wanted::Serving,
        }
    }
}

/// What an option says. Notes what is wrong with it.
pub(super) fn read(
    option: &str,
    value: &Spanned<DeValue<'_>>,
    places: &Places,
    wrongs: &mut Wrongs,
) -> Option<Found> {
    let example = format!("{option} = {{ file = \"/etc/spondee/{option}\" }}");
    let said = value.get_ref();
    let found = if let Some(secret) = said.as_str() {
        literal(secret, places, &example)
    } else if let Some(table) = said.as_table() {
        elsewhere(table, places, &example)
    } else {
        let wrong = not("a secret in quotes, or say where it is", said);
        Err(format!("{wrong}: {example}"))
    };
    match found {
        Ok(found) => Some(found),
        Err(wrong) => {
            wrongs.push((value.span(), format!("`{option}` {wrong}")));
            None
        }
    }
}

fn elsewhere(table: &DeTable<'_>, places: &Places, example: &str) -> Result<Found, String> {
    let mut entries = table.iter();
    let (Some((place, value)), None) = (entries.next(), entries.next()) else {
        return Err(format!(
            "must say one place, as file, env or credential: {example}"
        ));
    };
    let place = place.get_ref().as_ref();
    let name = text(value.get_ref()).map_err(|wrong| format!("names no {place}: it {wrong}"))?;
    match place {
        "file" => file(&places.base.join(name)).map(Found::Here),
        "env" => variable(&name, places),
        "credential" => credential(&name, places),
        other => Err(format!(
            "cannot come from `{other}`: write where it is as file, env or credential, such as {example}"
        )),
    }
}

fn literal(secret: &str, places: &Places, example: &str) -> Result<Found, String> {
    if let Kept::Open(remedy) = &places.configuration {
        return Err(format!(
            "holds a secret in a configuration that others can read: {remedy}, or write it into a file of its own, {example}"
        ));
    }
    bounded(secret.as_bytes())
        .map(Found::Here)
        .map_err(|wrong| format!("holds a secret that {wrong}"))
}

fn variable(name: &str, places: &Places) -> Result<Found, String> {
    if name.is_empty() || name.contains(['=', '\0', '$']) {
        return Err(
            "must name a variable of the environment, without $: { env = \"NAME\" }".to_owned(),
        );
    }
    let Some(secret) = (places.variable)(name) else {
        return absent(
            format!(
                "is in the variable {name} of the environment, which is not set: set it for the server (Environment= or EnvironmentFile= of \
                 its service), or name a file, {{ file = \"PATH\" }}"
            ),
            places,
        );
    };
    bounded(line(secret.as_bytes()))
        .map(Found::Here)
        .map_err(|wrong| format!("is in the variable {name} of the environment, and {wrong}"))
}

fn credential(name: &str, places: &Places) -> Result<Found, String> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(
            "must name a credential by its name alone, as LoadCredential=NAME:PATH of the service has it"
                .to_owned(),
        );
    }
    let add = format!(
        "add LoadCredential={name}:PATH to the service (systemd.exec(5)), with the path of a file that holds it"
    );
    let Some(directory) = (places.variable)(CREDENTIALS) else {
        let why = format!(
            "is the credential {name}, and this process was given none (${CREDENTIALS} is not set): {add}"
        );
        return absent(why, places);
    };
    let path = Path::new(&directory).join(name);
    let secret = contents(&path, |_| None).map_err(|fault| match fault {
        Fault::Missing => format!(
            "is the credential {name}, which is not among those that the service was given: {add}"
        ),
        Fault::Other(why) => format!("is the credential {name}, and {why}"),
    })?;
    Ok(Found::Here(secret))
}

/// A place that only the service has.
fn absent(why: String, places: &Places) -> Result<Found, String> {
    match places.wanted {
        Wanted::Serving => Err(why),
        Wanted::Command => Ok(Found::Elsewhere(why)),
    }
}

fn file(path: &Path) -> Result<Secret, String> {
    let shown = path.display();
    contents(path, |metadata| open_to_others(metadata, path)).map_err(|fault| match fault {
        Fault::Missing => format!(
            "is in {shown}, and there is no such file: make it with nothing in it but the secret, for the user of the server alone \
             (mode 0600)"
        ),
        Fault::Other(why) => format!("is in {shown}, and {why}"),
    })
}

enum Fault {
    Missing,
    /// Completes "is in FILE, and …".
    Other(String),
}

/// What a file holds, unless `open` says that others can read it, and what to do.
fn contents(path: &Path, open: impl Fn(&Metadata) -> Option<String>) -> Result<Secret, Fault> {
    let told = |error: io::Error| match error.kind() == io::ErrorKind::NotFound {
        true => Fault::Missing,
        false => Fault::Other(format!("that cannot be read: {}", explain(&error, path))),
    };
    // What is no file must not be waited for.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0))
        .open(path);
    let file: File = opened.map_err(told)?;
    let metadata = file.metadata().map_err(told)?;
    if !metadata.is_file() {
        return Err(Fault::Other(
            "that is no file: name one that holds the secret".to_owned(),
        ));
    }
    if let Some(remedy) = open(&metadata) {
        return Err(Fault::Other(format!("others can read it: {remedy}")));
    }
    let room = usize::try_from(SECRET_BYTES + 3).unwrap_or(0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    // The end of a line, and one more than allowed.
    let read = file.take(SECRET_BYTES + 3).read_to_end(&mut bytes);
    read.map_err(told)?;
    bounded(line(&bytes)).map_err(Fault::Other)
}

/// What others can do about a file that is not its owner's alone.
fn open_to_others(metadata: &Metadata, path: &Path) -> Option<String> {
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return None;
    }
    let (owner, own) = (User::of(metadata), User::own());
    let shown = path.display();
    // One that is root's and whose group is the service's would be lost to it.
    let chown = match owner == own || own.is_root() {
        true => String::new(),
        false => format!("chown {} {shown} && ", own.chown()),
    };
    Some(format!(
        "`{chown}chmod 0600 {shown}` (its mode is {mode:04o})"
    ))
}

/// Without the end of the line, which every editor puts behind it.
fn line(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// Completes "a secret that …".
fn bounded(bytes: &[u8]) -> Result<Secret, String> {
    if bytes.is_empty() {
        return Err("is empty".to_owned());
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length > SECRET_BYTES) {
        return Err(format!(
            "is longer than {SECRET_BYTES} bytes, which no secret is"
        ));
    }
    Ok(Secret::new(bytes.to_vec()))
}
