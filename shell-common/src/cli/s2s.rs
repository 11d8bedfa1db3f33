//! `spondee s2s …`: the server that runs tells of its links to others, and why there are none.

mod explain;
mod list;
mod tree;

use std::io;

use spondee_core::jid::Domain;
use spondee_core::port::{Command, LinkTask};

use super::Console;
use super::args::{Form, S2sTask};
use super::failure::{Failure, refused};
use super::source::Source;
use crate::config::Settings;
use crate::control::linking::{Closed, Link, Told};
use crate::control::{self, CallError, socket_path};

const OTHERWISE: &str = "the server answered something else than was asked";

pub(super) fn perform(
    task: S2sTask,
    source: &Source,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let settings = source.load()?;
    match task {
        S2sTask::Explain {
            domain,
            from,
            what_if,
            print,
        } => {
            let from = match from {
                Some(from) => from,
                None => first_host(&settings)?,
            };
            let other = what_if.map(explain::Other::load).transpose()?;
            explain::perform((&domain, &from), other, print.form(), &settings, console)
        }
        S2sTask::List { domain, print } => {
            let (links, more) = listed(&settings, domain)?;
            let listed = list::Listed {
                links: &links,
                more,
            };
            match print.form() {
                Form::Text => list::write(&listed, console.out)?,
                Form::Json => {
                    let text = serde_json::to_string_pretty(&listed).map_err(io::Error::from)?;
                    writeln!(console.out, "{text}")?;
                }
            }
            Ok(())
        }
        S2sTask::Close { domain } => {
            let closed = match call(&settings, LinkTask::Close { domain })? {
                Told::Closed(closed) => closed,
                Told::Explained(_) | Told::Listed { .. } => {
                    return Err(Failure::Unusable(OTHERWISE.to_owned()));
                }
            };
            Ok(writeln!(console.out, "{}", closed_words(closed))?)
        }
    }
}

/// The host that says who we are where nobody names one.
fn first_host(settings: &Settings) -> Result<Domain, Failure> {
    let mut hosts = settings.config.hosts.keys();
    let first = hosts.find(|host| settings.config.accounts(*host).is_some());
    first.cloned().ok_or_else(|| {
        Failure::Refused("no host of this configuration has users: name one by --from HOST".into())
    })
}

/// Links and streams, and whether there are more.
fn listed(settings: &Settings, domain: Option<Domain>) -> Result<(Vec<Link>, bool), Failure> {
    match call(settings, LinkTask::List { domain })? {
        Told::Listed { links, more } => Ok((links, more)),
        Told::Closed(_) | Told::Explained(_) => Err(Failure::Unusable(OTHERWISE.to_owned())),
    }
}

fn call(settings: &Settings, task: LinkTask) -> Result<Told, Failure> {
    let socket = socket_path(&settings.data_directory).map_err(Failure::Unusable)?;
    let command = Command::Links(task);
    match control::links(&socket, &command) {
        Ok(Ok(told)) => Ok(told),
        Ok(Err(error)) => Err(refused(&command, error)),
        Err(CallError::NoServer) => Err(Failure::Unusable(
            "no server runs with this configuration that this user may speak to, and it is the server that has links: start it, or name its \
             configuration by --config FILE"
                .to_owned(),
        )),
        Err(CallError::Lost(why)) => Err(Failure::Unusable(why)),
    }
}

fn closed_words(closed: Closed) -> String {
    let Closed {
        links,
        streams,
        cleared,
    } = closed;
    let count = |count: usize, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    };
    let mut parts = Vec::new();
    if links > 0 {
        parts.push(count(links, "link closed", "links closed"));
    }
    if streams > 0 {
        let (one, many) = (
            "stream of the other server closed",
            "streams of the other server closed",
        );
        parts.push(count(streams, one, many));
    }
    if cleared > 0 {
        let (one, many) = (
            "link may be tried again at once",
            "links may be tried again at once",
        );
        parts.push(count(cleared, one, many));
    }
    match parts.is_empty() {
        true => "there was nothing to close".to_owned(),
        false => parts.join(", "),
    }
}

#[cfg(test)]
mod tests;
