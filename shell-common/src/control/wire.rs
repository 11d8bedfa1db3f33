//! Requests and answers of the control socket as JSON. Both ends use these types, so that they cannot differ.

mod archive;
mod details;
mod import;
pub(crate) mod links;
pub(crate) mod reach;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use spondee_core::jid::{BareJid, Domain, Resource};
use spondee_core::port::{Command, CommandError, CommandReply, CommandResult, UserEntry};
use spondee_core::sasl::{Form, Held, Status, Tombstones};
use spondee_core::secret::Secret;
use spondee_core::time::UnixTime;

use crate::limits::CONTROL_PAGE;

pub(crate) use details::Details;

/// One line to the server. Borrows the line, so that a password is not copied more often than needed.
#[derive(Deserialize, Serialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Request<'a> {
    Add {
        #[serde(borrow)]
        account: Cow<'a, str>,
        #[serde(borrow)]
        password: Cow<'a, str>,
        #[serde(default)]
        tombstones: Tombstones,
    },
    Archive {
        #[serde(borrow)]
        account: Cow<'a, str>,
        task: archive::Task,
    },
    Delete {
        #[serde(borrow)]
        account: Cow<'a, str>,
    },
    Disable {
        #[serde(borrow)]
        account: Cow<'a, str>,
    },
    Disconnect {
        #[serde(borrow)]
        account: Cow<'a, str>,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        resource: Option<Cow<'a, str>>,
    },
    Enable {
        #[serde(borrow)]
        account: Cow<'a, str>,
    },
    Erase {
        #[serde(borrow)]
        host: Cow<'a, str>,
    },
    Import {
        #[serde(borrow)]
        account: Cow<'a, str>,
        step: import::Step,
    },
    Links {
        task: links::Task,
    },
    List {
        #[serde(borrow)]
        host: Cow<'a, str>,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        after: Option<Cow<'a, str>>,
        limit: u32,
    },
    Passwd {
        #[serde(borrow)]
        account: Cow<'a, str>,
        #[serde(borrow)]
        password: Cow<'a, str>,
    },
    Reach {
        #[serde(borrow)]
        domain: Cow<'a, str>,
        service: reach::As,
    },
    /// Read configuration and certificates again.
    Reload,
    Show {
        #[serde(borrow)]
        account: Cow<'a, str>,
    },
    Upgrade {
        #[serde(borrow)]
        account: Cow<'a, str>,
    },
}

/// What a request asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// Of the owner's shard.
    Command(Command),
    /// Of the whole server.
    Reload,
}

/// One line from the server.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub(super) enum Answer {
    /// How much an account has archived.
    Archive { size: archive::Size },
    /// So many were ended.
    Disconnected { sessions: usize },
    /// On disk.
    Done,
    /// A step of erasing is done.
    Erased { left: archive::Left },
    /// Nothing took effect, save after `Refusal::Timeout`.
    Error {
        error: Refusal,
        /// A sentence, where there is more to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// `CommandError::Held`, in milliseconds since 1970-01-01T00:00:00Z.
    Held {
        deleted: i64,
        /// `None` is never.
        until: Option<i64>,
    },
    /// Links to other servers, and what was done with them.
    Links { links: links::Told },
    /// What was done to reach a domain, and whether it was.
    Reached { reach: Box<reach::Reach> },
    /// What came of a reload.
    Reloaded { outcome: Reloaded },
    /// A step of a trim is done.
    Trimmed { messages: u32, more: bool },
    /// What there is to know of an account.
    User { user: Details },
    /// In order; fewer than the limit means there are no more.
    Users { users: Vec<User> },
}

/// What came of a reload.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "took", rename_all = "kebab-case")]
pub enum Reloaded {
    /// Everything has been taken over.
    Whole,
    /// But for what these sentences say.
    InPart {
        /// What is to be mended.
        faults: Vec<String>,
    },
    /// Nothing has, for these reasons.
    Not {
        /// What is to be mended.
        faults: Vec<String>,
    },
}

/// One account of a list.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct User {
    account: String,
    status: Word,
    password: Form,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Disabled,
    Enabled,
}

/// Why there is no better answer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Refusal {
    /// `CommandError::Busy`, or too many connections to this socket.
    Busy,
    /// `CommandError::Directory`.
    Directory,
    /// `CommandError::Exists`.
    Exists,
    /// `CommandError::Full`.
    Full,
    /// `CommandError::Guests`.
    Guests,
    /// `CommandError::KeepsPasswords`.
    KeepsPasswords,
    /// Not a request; `detail` says why.
    Malformed,
    /// `CommandError::NoSuchHost`.
    NoSuchHost,
    /// `CommandError::NoSuchSession`.
    NoSuchSession,
    /// `CommandError::NoSuchUser`.
    NoSuchUser,
    /// `CommandError::Password`.
    Password,
    /// `CommandError::Reaching`.
    Reaching,
    /// `CommandError::Store`.
    Store,
    /// No answer in time: whether it takes effect is not known.
    Timeout,
    /// `CommandError::Unknown`.
    Unknown,
}

impl<'a> Request<'a> {
    /// Reads one line.
    ///
    /// # Errors
    /// A sentence: what is wrong with it.
    pub(super) fn parse(line: &'a [u8]) -> Result<Asked, String> {
        let request: Self = serde_json::from_slice(line).map_err(|error| {
            // The text itself might be a password: only its kind and place are told.
            let place = format!("line {} column {}", error.line(), error.column());
            match error.classify() {
                serde_json::error::Category::Data => format!("not a request: {place}"),
                serde_json::error::Category::Eof
                | serde_json::error::Category::Io
                | serde_json::error::Category::Syntax => format!("not JSON: {place}"),
            }
        })?;
        request.into_asked()
    }

    fn into_asked(self) -> Result<Asked, String> {
        Ok(Asked::Command(match self {
            Self::Reload => return Ok(Asked::Reload),
            Self::Add {
                account,
                password,
                tombstones,
            } => Command::Add {
                account: address(&account)?,
                password: secret(password),
                tombstones,
            },
            Self::Archive { account, task } => Command::Archive {
                account: address(&account)?,
                task: task.into(),
            },
            Self::Delete { account } => Command::Delete {
                account: address(&account)?,
            },
            Self::Disable { account } => Command::Disable {
                account: address(&account)?,
            },
            Self::Disconnect { account, resource } => Command::Disconnect {
                account: address(&account)?,
                resource: resource.as_deref().map(prepared).transpose()?,
            },
            Self::Enable { account } => Command::Enable {
                account: address(&account)?,
            },
            Self::Erase { host } => Command::Erase {
                host: domain(&host)?,
            },
            Self::Import { account, step } => Command::Import {
                account: address(&account)?,
                step: Box::new(step.into_step()?),
            },
            Self::Links { task } => Command::Links(task.into_task()?),
            Self::List { host, after, limit } => Command::List {
                host: domain(&host)?,
                after: after.as_deref().map(address).transpose()?,
                limit: match limit {
                    1..=CONTROL_PAGE => limit,
                    _ => return Err(format!("limit must be from 1 to {CONTROL_PAGE}")),
                },
            },
            Self::Passwd { account, password } => Command::Passwd {
                account: address(&account)?,
                password: secret(password),
            },
            Self::Reach {
                domain: of,
                service,
            } => Command::Reach {
                domain: domain(&of)?,
                service: service.into(),
            },
            Self::Show { account } => Command::Show {
                account: address(&account)?,
            },
            Self::Upgrade { account } => Command::Upgrade {
                account: address(&account)?,
            },
        }))
    }
}

impl<'a> TryFrom<&'a Command> for Request<'a> {
    /// The password is not UTF-8.
    type Error = std::str::Utf8Error;

    fn try_from(command: &'a Command) -> Result<Self, Self::Error> {
        let text = |jid: &'a BareJid| Cow::Borrowed(jid.as_str());
        let typed = |secret: &'a Secret| std::str::from_utf8(secret.expose()).map(Cow::Borrowed);
        Ok(match command {
            Command::Add {
                account,
                password,
                tombstones,
            } => Self::Add {
                account: text(account),
                password: typed(password)?,
                tombstones: *tombstones,
            },
            Command::Archive { account, task } => Self::Archive {
                account: text(account),
                task: (*task).into(),
            },
            Command::Delete { account } => Self::Delete {
                account: text(account),
            },
            Command::Disable { account } => Self::Disable {
                account: text(account),
            },
            Command::Disconnect { account, resource } => Self::Disconnect {
                account: text(account),
                resource: resource.as_ref().map(|name| name.as_str().into()),
            },
            Command::Enable { account } => Self::Enable {
                account: text(account),
            },
            Command::Erase { host } => Self::Erase {
                host: Cow::Borrowed(host.as_str()),
            },
            Command::Import { account, step } => Self::Import {
                account: text(account),
                step: import::Step::of(step),
            },
            Command::Links(task) => Self::Links {
                task: links::Task::of(task),
            },
            Command::List { host, after, limit } => Self::List {
                host: Cow::Borrowed(host.as_str()),
                after: after.as_ref().map(text),
                limit: *limit,
            },
            Command::Passwd { account, password } => Self::Passwd {
                account: text(account),
                password: typed(password)?,
            },
            Command::Reach { domain, service } => Self::Reach {
                domain: Cow::Borrowed(domain.as_str()),
                service: (*service).into(),
            },
            Command::Show { account } => Self::Show {
                account: text(account),
            },
            Command::Upgrade { account } => Self::Upgrade {
                account: text(account),
            },
        })
    }
}

impl Answer {
    pub(super) fn malformed(detail: String) -> Self {
        Self::Error {
            error: Refusal::Malformed,
            detail: Some(detail),
        }
    }

    pub(super) const fn refused(error: Refusal) -> Self {
        Self::Error {
            error,
            detail: None,
        }
    }

    /// The result it stands for.
    ///
    /// # Errors
    /// A sentence, where the server gave no result.
    pub(super) fn into_result(self) -> Result<CommandResult, String> {
        Ok(match self {
            Self::Archive { size } => Ok(size.into()),
            Self::Disconnected { sessions } => Ok(CommandReply::Disconnected { sessions }),
            Self::Done => Ok(CommandReply::Done),
            Self::Erased { left } => Ok(left.into()),
            // Who asks for that takes it as it is: see `client::links`, `client::reach` and `client::reload`.
            Self::Links { .. } | Self::Reached { .. } | Self::Reloaded { .. } => {
                return Err("the server answered something else than was asked".to_owned());
            }
            Self::Trimmed { messages, more } => Ok(CommandReply::Trimmed { messages, more }),
            Self::Held { deleted, until } => Err(CommandError::Held(Held {
                deleted: UnixTime(deleted),
                until: until.map(UnixTime),
            })),
            Self::User { user } => Ok(CommandReply::User(Box::new(user.into()))),
            Self::Users { users } => {
                let entries: Result<_, _> = users.into_iter().map(User::into_entry).collect();
                Ok(CommandReply::Users(entries?))
            }
            Self::Error { error, detail } => Err(match error {
                Refusal::Busy => CommandError::Busy,
                Refusal::Directory => CommandError::Directory,
                Refusal::Exists => CommandError::Exists,
                Refusal::Full => CommandError::Full,
                Refusal::Guests => CommandError::Guests,
                Refusal::KeepsPasswords => CommandError::KeepsPasswords,
                Refusal::NoSuchHost => CommandError::NoSuchHost,
                Refusal::NoSuchSession => CommandError::NoSuchSession,
                Refusal::NoSuchUser => CommandError::NoSuchUser,
                Refusal::Password => CommandError::Password,
                Refusal::Reaching => CommandError::Reaching,
                Refusal::Store => CommandError::Store,
                Refusal::Unknown => CommandError::Unknown,
                Refusal::Malformed => {
                    let detail = detail.unwrap_or_default();
                    return Err(format!(
                        "the server did not understand the request: {detail}"
                    ));
                }
                Refusal::Timeout => {
                    return Err(
                        "the server took the request and did not answer in time: look whether it took effect"
                            .to_owned(),
                    );
                }
            }),
        })
    }
}

impl From<CommandResult> for Answer {
    fn from(result: CommandResult) -> Self {
        match result {
            Ok(CommandReply::Archive(size)) => Self::Archive { size: size.into() },
            Ok(CommandReply::Disconnected { sessions }) => Self::Disconnected { sessions },
            Ok(CommandReply::Done) => Self::Done,
            Ok(CommandReply::Erased(erased)) => Self::Erased {
                left: erased.into(),
            },
            Ok(CommandReply::Links(reply)) => Self::Links {
                links: reply.into(),
            },
            Ok(CommandReply::Reached(reach)) => Self::Reached {
                reach: Box::new((*reach).into()),
            },
            Ok(CommandReply::Trimmed { messages, more }) => Self::Trimmed { messages, more },
            Ok(CommandReply::User(user)) => Self::User {
                user: (*user).into(),
            },
            Ok(CommandReply::Users(users)) => Self::Users {
                users: users.into_iter().map(User::from).collect(),
            },
            Err(CommandError::Held(Held { deleted, until })) => Self::Held {
                deleted: deleted.0,
                until: until.map(|until| until.0),
            },
            Err(CommandError::Busy) => Self::refused(Refusal::Busy),
            Err(CommandError::Directory) => Self::refused(Refusal::Directory),
            Err(CommandError::Exists) => Self::refused(Refusal::Exists),
            Err(CommandError::Full) => Self::refused(Refusal::Full),
            Err(CommandError::Guests) => Self::refused(Refusal::Guests),
            Err(CommandError::KeepsPasswords) => Self::refused(Refusal::KeepsPasswords),
            Err(CommandError::NoSuchHost) => Self::refused(Refusal::NoSuchHost),
            Err(CommandError::NoSuchSession) => Self::refused(Refusal::NoSuchSession),
            Err(CommandError::NoSuchUser) => Self::refused(Refusal::NoSuchUser),
            Err(CommandError::Password) => Self::refused(Refusal::Password),
            Err(CommandError::Reaching) => Self::refused(Refusal::Reaching),
            Err(CommandError::Store) => Self::refused(Refusal::Store),
            Err(CommandError::Unknown) => Self::refused(Refusal::Unknown),
        }
    }
}

impl User {
    fn into_entry(self) -> Result<UserEntry, String> {
        Ok(UserEntry {
            account: address(&self.account)?,
            status: match self.status {
                Word::Disabled => Status::Disabled,
                Word::Enabled => Status::Enabled,
            },
            password: self.password,
        })
    }
}

impl From<UserEntry> for User {
    fn from(entry: UserEntry) -> Self {
        Self {
            account: entry.account.as_str().to_owned(),
            status: match entry.status {
                Status::Disabled => Word::Disabled,
                Status::Enabled => Word::Enabled,
            },
            password: entry.password,
        }
    }
}

fn address(text: &str) -> Result<BareJid, String> {
    BareJid::parse(text)
        .ok()
        .filter(|jid| jid.local().is_some())
        .ok_or_else(|| format!("{text:?} is not the address of an account"))
}

fn prepared(text: &str) -> Result<Resource, String> {
    Resource::parse(text).map_err(|_| format!("{text:?} is not a resource"))
}

fn domain(text: &str) -> Result<Domain, String> {
    Domain::parse(text).map_err(|_| format!("{text:?} is not a host name"))
}

fn secret(password: Cow<'_, str>) -> Secret {
    Secret::new(password.into_owned().into_bytes())
}
