//! `spondee user`: one command for the core, in the running server or in this process.

use std::io::Write;

use serde::Serialize;
use spondee_core::jid::{BareJid, Domain};
use spondee_core::port::{Command, CommandError, CommandReply, CommandResult, UserEntry};
use spondee_core::sasl::Status;

use super::Failure;
use super::args::{Account, Password, UserCommand};
use super::password::{Answer, Ask, From};
use crate::config::Settings;
use crate::control::{CallError, SOCKET_NAME, call};
use crate::limits::CONTROL_PAGE;
use crate::offline::Offline;

pub(super) fn run(
    command: &UserCommand,
    settings: &Settings,
    ask: &mut dyn Ask,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut core = Core::Unknown;
    let (command, told) = match command {
        UserCommand::List { host, json } => {
            let hosts = hosts(host.as_deref(), settings)?;
            let form = if *json { Form::Json } else { Form::Text };
            return list(&mut core, settings, &hosts, form, out);
        }
        UserCommand::Add(typed) => {
            let (account, password) = (address(&typed.account)?, typed);
            // Before anybody types a password in vain.
            served(&account, settings)?;
            let password = ask.password(account.as_str(), from(password))?;
            (Command::Add { account, password }, "added")
        }
        UserCommand::Passwd(typed) => {
            let account = address(&typed.account)?;
            served(&account, settings)?;
            let password = ask.password(account.as_str(), from(typed))?;
            let command = Command::Passwd { account, password };
            (command, "has a new password")
        }
        UserCommand::Disable(account) => {
            let account = address(account)?;
            (Command::Disable { account }, "disabled")
        }
        UserCommand::Enable(account) => {
            let account = address(account)?;
            (Command::Enable { account }, "enabled")
        }
        UserCommand::Delete { account, yes } => {
            let account = address(account)?;
            let question = format!("Delete {account} and everything it keeps?");
            if !yes && ask.confirm(&question)? == Answer::No {
                return Err(Failure::Refused("nothing was deleted".to_owned()));
            }
            (Command::Delete { account }, "deleted")
        }
    };
    let subject = command.account().map(BareJid::to_string);
    let subject = subject.unwrap_or_default();
    match core.carry_out(settings, command)? {
        Ok(_) => Ok(writeln!(out, "{subject} {told}")?),
        Err(error) => Err(refusal(error, &subject, settings)),
    }
}

const fn from(password: &Password) -> From {
    if password.password_stdin {
        From::Stdin
    } else {
        From::Anywhere
    }
}

fn address(account: &Account) -> Result<BareJid, Failure> {
    let text = &account.address;
    BareJid::parse(text)
        .ok()
        .filter(|jid| jid.local().is_some())
        .ok_or_else(|| {
            Failure::Usage(format!(
                "{text:?} is not the address of an account: write it as in juliet@example.org"
            ))
        })
}

fn served(account: &BareJid, settings: &Settings) -> Result<(), Failure> {
    if settings.config.hosts.contains_key(account.domain()) {
        return Ok(());
    }
    Err(refusal(
        CommandError::NoSuchHost,
        account.as_str(),
        settings,
    ))
}

/// The host named, or all.
fn hosts(named: Option<&str>, settings: &Settings) -> Result<Vec<Domain>, Failure> {
    let Some(named) = named else {
        return Ok(settings.config.hosts.keys().cloned().collect());
    };
    Domain::parse(named)
        .map(|host| vec![host])
        .map_err(|_| Failure::Usage(format!("{named:?} is not a host name")))
}

/// What carries commands out: known after the first.
enum Core {
    Unknown,
    /// This process, on the locked data directory.
    Here(Box<Offline>),
    /// The running server.
    Server,
}

impl Core {
    fn carry_out(
        &mut self,
        settings: &Settings,
        command: Command,
    ) -> Result<CommandResult, Failure> {
        let socket = settings.data_directory.join(SOCKET_NAME);
        if !matches!(self, Self::Here(_)) {
            match (call(&socket, &command), &self) {
                (Ok(result), _) => {
                    *self = Self::Server;
                    return Ok(result);
                }
                (Err(CallError::Lost(sentence)), _) => return Err(Failure::Unavailable(sentence)),
                (Err(CallError::NoServer), Self::Server) => {
                    return Err(Failure::Unavailable("the server has stopped".to_owned()));
                }
                (Err(CallError::NoServer), Self::Unknown | Self::Here(_)) => {}
            }
        }
        if let Self::Unknown | Self::Server = self {
            let offline = Offline::open(settings).map_err(Failure::Unavailable)?;
            *self = Self::Here(Box::new(offline));
        }
        match self {
            Self::Here(offline) => offline.carry_out(command).map_err(Failure::Refused),
            Self::Unknown | Self::Server => Err(Failure::Unavailable("no server".to_owned())),
        }
    }
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Json,
    Text,
}

#[derive(Serialize)]
struct Line<'a> {
    account: &'a str,
    status: &'a str,
}

/// Page by page, so that any number of accounts takes the memory of one page.
fn list(
    core: &mut Core,
    settings: &Settings,
    hosts: &[Domain],
    form: Form,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    // Even an empty list is an array.
    let mut separator = "[\n";
    for host in hosts {
        let mut after = None;
        loop {
            let page = page(core, settings, host, after)?;
            for user in &page {
                let account = user.account.as_str();
                let status = match user.status {
                    Status::Disabled => "disabled",
                    Status::Enabled => "enabled",
                };
                match form {
                    Form::Text => writeln!(out, "{account} {status}")?,
                    Form::Json => {
                        let line = serde_json::to_string(&Line { account, status })
                            .map_err(|error| Failure::Refused(error.to_string()))?;
                        write!(out, "{separator}  {line}")?;
                        separator = ",\n";
                    }
                }
            }
            let full = page.len() >= usize::try_from(CONTROL_PAGE).unwrap_or(usize::MAX);
            after = page.into_iter().next_back().map(|user| user.account);
            if !full {
                break;
            }
        }
    }
    if form == Form::Json {
        let begin = if separator == ",\n" { "" } else { "[" };
        writeln!(out, "{begin}\n]")?;
    }
    Ok(())
}

fn page(
    core: &mut Core,
    settings: &Settings,
    host: &Domain,
    after: Option<BareJid>,
) -> Result<Vec<UserEntry>, Failure> {
    let command = Command::List {
        host: host.clone(),
        after,
        limit: CONTROL_PAGE,
    };
    match core.carry_out(settings, command)? {
        Ok(CommandReply::Users(users)) => Ok(users),
        Ok(CommandReply::Done) => Err(Failure::Refused("the answer is no list".to_owned())),
        Err(error) => Err(refusal(error, host.as_str(), settings)),
    }
}

fn refusal(error: CommandError, subject: &str, settings: &Settings) -> Failure {
    match error {
        CommandError::Busy => {
            Failure::Unavailable("the server is too busy: try again later".to_owned())
        }
        CommandError::Exists => Failure::Refused(format!(
            "{subject} exists already; `spondee user passwd {subject}` sets a new password"
        )),
        CommandError::NoSuchHost => {
            let hosts: Vec<_> = settings.config.hosts.keys().map(Domain::as_str).collect();
            let host = subject.rsplit('@').next().unwrap_or(subject);
            let hosts = hosts.join(", ");
            Failure::Refused(format!(
                "the host {host} is not served here; hosts in the configuration: {hosts}"
            ))
        }
        CommandError::NoSuchUser => Failure::Refused(format!("there is no account {subject}")),
        CommandError::Password => Failure::Refused(
            "this password cannot be used: it is empty or holds a control or other prohibited character"
                .to_owned(),
        ),
        CommandError::Store => {
            Failure::Unavailable("the storage failed; the server's log says how".to_owned())
        }
    }
}
