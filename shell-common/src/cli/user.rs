//! `spondee user …`: through the control socket of a running server, else in process.

mod erase;
mod export;
mod import;
mod show;

pub(super) use erase::{Left, leave_nothing};

use std::io::{self, Write};

use serde::Serialize;
use spondee_core::jid::{BareJid, Domain, Resource};
use spondee_core::port::{Command, CommandError, CommandReply, CommandResult, UserEntry};
use spondee_core::sasl::{Provider, Status, Tombstones};
use spondee_core::secret::Secret;

use super::args::{Form, UserTask};
use super::failure::{Failure, refused};
use super::password::new_password;
use super::source::Source;
use super::terminal::Line;
use super::{Console, Input};
use crate::boot::{ByRoot, made_by_root};
use crate::config::Settings;
use crate::control::{CallError, call, socket_path};
use crate::limits::CONTROL_PAGE;
use crate::offline::Offline;

pub(super) fn perform(
    task: UserTask,
    source: &Source,
    settings: Settings,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut office = Office::new(source, settings);
    match task {
        UserTask::Add { account, again } => {
            let tombstones = match again {
                true => Tombstones::Ignore,
                false => Tombstones::Heed,
            };
            office.add(account, tombstones, console)
        }
        UserTask::Passwd { account } => {
            office.keeps_passwords(&Command::Passwd {
                account: account.clone(),
                password: Secret::default(),
            })?;
            let password = new_password(&account, console)?;
            let said = format!("{account} has a new password");
            office.change(Command::Passwd { account, password }, &said, console)
        }
        UserTask::Disable { account } => {
            let said = format!("{account} was disabled: nobody can sign in as it until `enable`");
            office.change(Command::Disable { account }, &said, console)
        }
        UserTask::Disconnect { account, resource } => office.disconnect(account, resource, console),
        UserTask::Enable { account } => {
            let said = format!("{account} was enabled");
            office.change(Command::Enable { account }, &said, console)
        }
        UserTask::Delete { account, yes } => {
            office.serves(account.domain())?;
            if !yes {
                let question =
                    format!("Delete {account} and everything the server keeps for it? [y/N] ");
                let without = format!("spondee user delete --yes {account}");
                confirm(&question, "deleted", &without, console)?;
            }
            let said = format!("{account} was deleted with everything the server kept for it");
            office.change(Command::Delete { account }, &said, console)
        }
        UserTask::Erase { account, yes } => {
            office.serves(account.domain())?;
            if !yes {
                erase::confirm(&account, console)?;
            }
            erase::erase(&mut office, account, console)
        }
        UserTask::List { host, print } => {
            let hosts: Vec<Domain> = match host {
                Some(host) => {
                    office.serves(host.as_str())?;
                    vec![host]
                }
                None => office.hosts(),
            };
            office.list(&hosts, Table::new(print.form()), console)
        }
        UserTask::Show { account, print } => office.show(account, print.form(), console),
        UserTask::Export { account, output } => office.export(&account, output.as_deref(), console),
        UserTask::Import { file, wishes } => office.import(&file, wishes.wish(), console),
    }
}

/// Asks a person whether it is meant. A script says so itself: what goes is gone, and nobody sees a question. `done` is what would be done,
/// `without` the command that does not ask.
pub(super) fn confirm(
    question: &str,
    done: &str,
    without: &str,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    const ANSWER_BYTES: usize = 100;
    if matches!(console.input, Input::Pipe(_)) {
        return Err(Failure::Usage(format!(
            "nothing was {done}: there is no terminal to ask on whether it is meant; `{without}` does not ask"
        )));
    }
    write!(console.err, "{question}")?;
    console.err.flush()?;
    let answer = console
        .input
        .line(ANSWER_BYTES, &[])
        .map_err(|error| Failure::Unusable(format!("cannot read the answer: {error}")))?;
    match answer {
        Line::Read(answer) if matches!(answer.trim_ascii(), b"y" | b"Y" | b"yes") => Ok(()),
        Line::Read(_) | Line::End | Line::TooLong | Line::Interrupted => {
            Err(Failure::Refused(format!("nothing was {done}")))
        }
    }
}

/// Hosts that are named when another one was meant.
const HOSTS_SHOWN: usize = 20;

/// Where commands go.
pub(super) struct Office<'a> {
    source: &'a Source,
    settings: Settings,
    way: Way,
}

enum Way {
    /// To the server, unless it turns out that there is none.
    Server,
    /// There is no server.
    Offline(Box<Offline>),
}

impl<'a> Office<'a> {
    pub(super) const fn new(source: &'a Source, settings: Settings) -> Self {
        Self {
            source,
            settings,
            way: Way::Server,
        }
    }

    /// All hosts of the configuration.
    pub(super) fn hosts(&self) -> Vec<Domain> {
        let realms = self.settings.config.realms();
        realms.map(|(host, _)| host.clone()).collect()
    }

    /// Whether the configuration has this host.
    pub(super) fn serves(&self, host: &str) -> Result<(), Failure> {
        if self.settings.config.accounts(host).is_some() {
            return Ok(());
        }
        if self.settings.config.component(host).is_some() {
            return Err(Failure::Refused(format!(
                "{host} is served by a component, which has its own users: there are no accounts of it here"
            )));
        }
        let hosts = self.hosts();
        let served: Vec<_> = hosts.iter().map(Domain::as_str).take(HOSTS_SHOWN).collect();
        let more = match hosts.len().saturating_sub(HOSTS_SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let served = served.join(", ") + &more;
        Err(Failure::Refused(match self.source {
            Source::File(file) => format!(
                "the host {host} is not served; those of {} are: {served}",
                file.display()
            ),
            Source::Development(_) => format!(
                "the host {host} is not served; without a configuration (see --help) only {served} is"
            ),
        }))
    }

    /// Whether the configuration has the host of this command's account, and passwords are set there. Asked before anybody types one.
    fn keeps_passwords(&self, command: &Command) -> Result<(), Failure> {
        let Some(account) = command.account() else {
            return Ok(());
        };
        self.serves(account.domain())?;
        let host = self.settings.config.accounts(account.domain());
        match host.map(|host| host.provider) {
            Some(Provider::Ldap) => Err(refused(command, CommandError::Directory)),
            Some(Provider::Anonymous | Provider::Hashed | Provider::Plain) | None => Ok(()),
        }
    }

    fn add(
        &mut self,
        account: BareJid,
        tombstones: Tombstones,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        self.keeps_passwords(&Command::Add {
            account: account.clone(),
            password: Secret::default(),
            tombstones,
        })?;
        let note = self.begins()?;
        let password = new_password(&account, console)?;
        let said = format!("{account} was added");
        let add = Command::Add {
            account,
            password,
            tombstones,
        };
        self.change(add, &said, console)?;
        match note {
            Some(note) => Ok(writeln!(console.err, "spondee: {note}")?),
            None => Ok(()),
        }
    }

    /// Only the first account may begin a data directory: whoever asks for another is in the wrong place.
    fn has_data(&self) -> Result<(), Failure> {
        let directory = &self.settings.data_directory;
        // What may not be looked at is left to the lock, which tells why.
        if directory.try_exists().unwrap_or(true) {
            return Ok(());
        }
        let shown = directory.display();
        Err(Failure::Unusable(match self.source {
            Source::File(file) => format!(
                "there are no users yet: the data directory {shown} of {} does not exist",
                file.display()
            ),
            Source::Development(_) => format!(
                "there is no {shown}: run this where the server was started, or name its configuration with --config"
            ),
        }))
    }

    /// Whether root may begin a data directory here, and what is to be said if so.
    fn begins(&self) -> Result<Option<String>, Failure> {
        match self.source {
            Source::File(file) => match made_by_root(&self.settings.data_directory, file) {
                Some(ByRoot::Refused(why)) => Err(Failure::Unusable(why)),
                Some(ByRoot::Noted(note)) => Ok(Some(note)),
                None => Ok(None),
            },
            Source::Development(_) => Ok(None),
        }
    }

    /// Changes an account and says so.
    fn change(
        &mut self,
        command: Command,
        said: &str,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        if let Some(account) = command.account() {
            self.serves(account.domain())?;
        }
        self.call(&command)?
            .map_err(|error| refused(&command, error))?;
        Ok(writeln!(console.out, "{said}{}", self.aside())?)
    }

    /// Ends sessions of an account and says how many.
    fn disconnect(
        &mut self,
        account: BareJid,
        resource: Option<Resource>,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        self.serves(account.domain())?;
        let which = match &resource {
            Some(resource) => format!("session {:?}", resource.as_str()),
            None => "session".to_owned(),
        };
        let command = Command::Disconnect {
            account: account.clone(),
            resource,
        };
        match self.call(&command)? {
            Ok(CommandReply::Disconnected { sessions }) => {
                let said = match sessions {
                    0 => format!("{account} has no session"),
                    1 => format!("1 {which} of {account} was ended"),
                    many => format!("{many} sessions of {account} were ended"),
                };
                Ok(writeln!(console.out, "{said}{}", self.aside())?)
            }
            Ok(
                CommandReply::Archive(_)
                | CommandReply::Done
                | CommandReply::Erased(_)
                | CommandReply::Links(_)
                | CommandReply::Reached(_)
                | CommandReply::Trimmed { .. }
                | CommandReply::User(_)
                | CommandReply::Users(_),
            ) => Err(of_another_kind()),
            Err(error) => Err(refused(&command, error)),
        }
    }

    /// What follows a sentence about an account: where, if no server was asked.
    pub(super) fn aside(&self) -> String {
        match &self.way {
            Way::Server => String::new(),
            Way::Offline(_) => {
                let directory = self.settings.data_directory.display();
                format!(" (in {directory}; no server runs there)")
            }
        }
    }

    /// Writes what there is to know of an account.
    fn show(
        &mut self,
        account: BareJid,
        form: Form,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        self.serves(account.domain())?;
        let command = Command::Show {
            account: account.clone(),
        };
        match self.call(&command)? {
            Ok(CommandReply::User(details)) => {
                let aside = self.aside();
                Ok(show::write(&account, *details, &aside, form, console.out)?)
            }
            Ok(
                CommandReply::Archive(_)
                | CommandReply::Disconnected { .. }
                | CommandReply::Done
                | CommandReply::Erased(_)
                | CommandReply::Links(_)
                | CommandReply::Reached(_)
                | CommandReply::Trimmed { .. }
                | CommandReply::Users(_),
            ) => Err(of_another_kind()),
            Err(error) => Err(refused(&command, error)),
        }
    }

    /// Writes all accounts of these hosts, page by page.
    fn list(
        &mut self,
        hosts: &[Domain],
        mut table: Table,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        for host in hosts {
            let mut after = None;
            loop {
                let users = self.page(host, after)?;
                for user in &users {
                    table.row(user, console.out)?;
                }
                let full = u32::try_from(users.len()).is_ok_and(|count| count >= CONTROL_PAGE);
                after = users.into_iter().next_back().map(|user| user.account);
                if !full {
                    break;
                }
            }
        }
        Ok(table.end(console.out)?)
    }

    /// Accounts of a host in order, behind this one.
    pub(super) fn page(
        &mut self,
        host: &Domain,
        after: Option<BareJid>,
    ) -> Result<Vec<UserEntry>, Failure> {
        let command = Command::List {
            host: host.clone(),
            after,
            limit: CONTROL_PAGE,
        };
        match self.call(&command)? {
            Ok(CommandReply::Users(users)) => Ok(users),
            Ok(
                CommandReply::Archive(_)
                | CommandReply::Disconnected { .. }
                | CommandReply::Done
                | CommandReply::Erased(_)
                | CommandReply::Links(_)
                | CommandReply::Reached(_)
                | CommandReply::Trimmed { .. }
                | CommandReply::User(_),
            ) => Err(of_another_kind()),
            Err(error) => Err(refused(&command, error)),
        }
    }

    pub(super) fn call(&mut self, command: &Command) -> Result<CommandResult, Failure> {
        if let Way::Server = self.way {
            let directory = &self.settings.data_directory;
            let socket = socket_path(directory).map_err(Failure::Unusable)?;
            match call(&socket, command) {
                Ok(result) => return Ok(result),
                Err(CallError::Lost(message)) => return Err(Failure::Unusable(message)),
                Err(CallError::NoServer) => {}
            }
            if !matches!(command, Command::Add { .. } | Command::Import { .. }) {
                self.has_data()?;
            }
            let offline = Offline::open(&self.settings).map_err(Failure::Unusable)?;
            self.way = Way::Offline(Box::new(offline));
        }
        let Way::Offline(offline) = &mut self.way else {
            return Err(Failure::Unusable("there is no server".into()));
        };
        Ok(offline.call(command.clone()))
    }
}

/// The answer is not one to the question.
pub(super) fn of_another_kind() -> Failure {
    Failure::Unusable(
        "the server's answer is none to what was asked: it is of another version than this program; start it anew".into(),
    )
}

/// Users as they are printed.
enum Table {
    /// A line for each: the address, and `disabled` where that is so.
    Text,
    /// An array of objects.
    Json(Rows),
}

/// Whether the array has begun.
enum Rows {
    None,
    Some,
}

#[derive(Serialize)]
struct Row<'a> {
    jid: &'a str,
    status: Status,
}

impl Table {
    const fn new(form: Form) -> Self {
        match form {
            Form::Text => Self::Text,
            Form::Json => Self::Json(Rows::None),
        }
    }

    fn row(&mut self, user: &UserEntry, out: &mut dyn Write) -> Result<(), Failure> {
        let jid = user.account.as_str();
        match (&*self, user.status) {
            (Self::Text, Status::Enabled) => writeln!(out, "{jid}")?,
            (Self::Text, Status::Disabled) => writeln!(out, "{jid} disabled")?,
            (Self::Json(rows), status) => {
                let row = serde_json::to_string(&Row { jid, status }).map_err(io::Error::from)?;
                let before = match rows {
                    Rows::None => "[\n",
                    Rows::Some => ",\n",
                };
                write!(out, "{before}{row}")?;
                *self = Self::Json(Rows::Some);
            }
        }
        Ok(())
    }

    fn end(self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Text => Ok(()),
            Self::Json(Rows::None) => writeln!(out, "[]"),
            Self::Json(Rows::Some) => writeln!(out, "\n]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(form: Form, users: &[(&str, Status)]) -> String {
        let mut out = Vec::new();
        let mut table = Table::new(form);
        for (jid, status) in users {
            let user = UserEntry {
                account: BareJid::parse(jid).unwrap(),
                status: *status,
                password: spondee_core::sasl::Form::Hashed,
            };
            table.row(&user, &mut out).unwrap();
        }
        table.end(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_list_is_one_address_a_line() {
        let users = [
            ("juliet@example.org", Status::Enabled),
            ("romeo@example.org", Status::Disabled),
        ];
        let text = "juliet@example.org\nromeo@example.org disabled\n";
        assert_eq!(printed(Form::Text, &users), text);
        assert_eq!(printed(Form::Text, &[]), "");
    }

    #[test]
    fn a_list_is_one_json_document_however_long() {
        let users = [
            ("juliet@example.org", Status::Enabled),
            ("romeo@example.org", Status::Disabled),
        ];
        for count in 0..=2 {
            let text = printed(Form::Json, &users[..count]);
            let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
            assert_eq!(rows.len(), count);
            if let Some(row) = rows.get(1) {
                assert_eq!(row["jid"], "romeo@example.org");
                assert_eq!(row["status"], "disabled");
            }
        }
    }
}
