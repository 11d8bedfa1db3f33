//! The directories that hosts ask for passwords: whether they could be asked, and, if that is wished, whether they answer.

use serde::Serialize;
use spondee_core::secret::Secret;

use crate::config::Settings;
use crate::ldap::{Directory, Verdict};

/// Whether directories are asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Asking {
    /// They are.
    Yes,
    /// They are only looked at from here.
    No,
}

/// A host and its directory.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    host: String,
    directory: String,
    /// `None` if it was not asked.
    answers: Option<bool>,
}

impl Line {
    /// For a person to read.
    pub(super) fn text(&self) -> String {
        let Self {
            host,
            directory,
            answers,
        } = self;
        match answers {
            Some(true) => format!("{host}: asks {directory}, which answers"),
            Some(false) => format!("{host}: asks {directory}, in vain"),
            None => format!("{host}: asks {directory}"),
        }
    }
}

/// What there is to say of them.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) lines: Vec<Line>,
    pub(super) faults: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// Nobody is called so; whoever reads the directory's log is told who asked.
const NOBODY: &str = "spondee.check.config";

pub(super) fn check(settings: &Settings, asking: Asking) -> Checked {
    let mut checked = Checked::default();
    for (host, settings) in &settings.directories {
        let mut line = Line {
            host: host.as_str().to_owned(),
            directory: settings.server.to_string(),
            answers: None,
        };
        let is_elsewhere = |password: &Secret| password.expose().is_empty();
        let service = settings.service.as_ref();
        let directory = Directory::new(settings.clone());
        match (directory, asking) {
            (Err(why), _) => checked.faults.push(format!(
                "host {host} has a directory that cannot be asked: {why}"
            )),
            (Ok(_), Asking::No) => {}
            (Ok(_), Asking::Yes)
                if service.is_some_and(|service| is_elsewhere(&service.password)) =>
            {
                checked.warnings.push(format!(
                    "host {host}: its directory is not asked, because `ldap_password` is the service's alone"
                ));
            }
            (Ok(directory), Asking::Yes) => {
                let verdict = directory.verify(NOBODY, &Secret::new(b"no password".to_vec()));
                let fault = match verdict {
                    Verdict::Wrong | Verdict::NoSuchUser => None,
                    Verdict::Unreachable(why) => Some(why),
                    Verdict::Right => Some(format!(
                        "{}: it calls a made-up password right, of a user who is made up, too: it must not be believed",
                        settings.server
                    )),
                };
                line.answers = Some(fault.is_none());
                let told =
                    |why| format!("host {host}: its directory does not judge passwords: {why}");
                checked.faults.extend(fault.map(told));
            }
        }
        checked.lines.push(line);
    }
    checked
}
