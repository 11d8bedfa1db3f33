//! `spondee archive …`: through the control socket of a running server, else in process.

use std::io::{self, Write};

use serde::Serialize;
use spondee_core::jid::{BareJid, Domain};
use spondee_core::port::{ArchiveSize, ArchiveTask, Command, CommandError, CommandReply};
use spondee_core::time::to_xep0082;

use super::Console;
use super::args::{self, Form, Whose};
use super::failure::{Failure, refused};
use super::source::Source;
use super::user::{Office, confirm, of_another_kind};
use crate::clock::Clock;
use crate::config::Settings;
use crate::limits::CONTROL_PAGE;
use crate::tls::date;

pub(super) fn perform(
    task: args::ArchiveTask,
    source: &Source,
    settings: Settings,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut office = Office::new(source, settings);
    match task {
        args::ArchiveTask::Stats { whose, print } => {
            if let Some(whose) = &whose {
                office.serves(whose.host())?;
            }
            stats(&mut office, whose, print.form(), console)
        }
        args::ArchiveTask::Trim { whose, older, yes } => {
            office.serves(whose.host())?;
            let now = Clock::start().now().wall.0.saturating_mul(1000);
            let before = older.before(now);
            if !yes {
                confirm_trim(&whose, before, console)?;
            }
            trim(&mut office, whose, before, console)
        }
    }
}

impl Whose {
    fn host(&self) -> &str {
        match self {
            Self::Account(account) => account.domain(),
            Self::Host(host) => host.as_str(),
        }
    }
}

fn stats(
    office: &mut Office<'_>,
    whose: Option<Whose>,
    form: Form,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut rows = Rows::new(form);
    match whose {
        Some(Whose::Account(account)) => {
            let size = measure(office, &account)?.map_err(|error| {
                let task = ArchiveTask::Measure;
                let account = account.clone();
                refused(&Command::Archive { account, task }, error)
            })?;
            let line = Line::of(&account, &size);
            return Ok(rows.only(&line, console.out)?);
        }
        Some(Whose::Host(host)) => {
            let total = sum(office, &host, |account, size| {
                if size == ArchiveSize::default() {
                    return Ok(());
                }
                rows.row(&Line::of(account, &size), console.out)
            })?;
            rows.row(&Line::total(&host, &total), console.out)?;
        }
        None => {
            for host in office.hosts() {
                let total = sum(office, &host, |_, _| Ok(()))?;
                rows.row(&Line::total(&host, &total), console.out)?;
            }
        }
    }
    Ok(rows.end(console.out)?)
}

/// What all accounts of a host have together.
#[derive(Default)]
struct Total {
    users: u64,
    size: ArchiveSize,
    waiting: u64,
}

/// Adds up, and shows each on the way. Who was deleted meanwhile does not count.
fn sum(
    office: &mut Office<'_>,
    host: &Domain,
    mut each: impl FnMut(&BareJid, ArchiveSize) -> io::Result<()>,
) -> Result<Total, Failure> {
    let mut total = Total::default();
    for_each(office, host, |office, account| {
        let size = match measure(office, &account)? {
            Ok(size) => size,
            Err(CommandError::NoSuchUser) => return Ok(()),
            Err(error) => {
                let task = ArchiveTask::Measure;
                return Err(refused(&Command::Archive { account, task }, error));
            }
        };
        each(&account, size)?;
        let sum = &mut total.size;
        sum.messages = sum.messages.saturating_add(size.messages);
        sum.bytes = sum.bytes.saturating_add(size.bytes);
        sum.oldest = [sum.oldest, size.oldest].into_iter().flatten().min();
        sum.newest = sum.newest.max(size.newest);
        total.waiting += u64::from(size.waiting);
        total.users += u64::from(size != ArchiveSize::default());
        Ok(())
    })?;
    Ok(total)
}

/// All accounts of a host, page by page.
fn for_each(
    office: &mut Office<'_>,
    host: &Domain,
    mut each: impl FnMut(&mut Office<'_>, BareJid) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let users = office.page(host, after)?;
        let full = u32::try_from(users.len()).is_ok_and(|count| count >= CONTROL_PAGE);
        after = users.last().map(|user| user.account.clone());
        for user in users {
            each(office, user.account)?;
        }
        if !full {
            return Ok(());
        }
    }
}

fn measure(
    office: &mut Office<'_>,
    account: &BareJid,
) -> Result<Result<ArchiveSize, CommandError>, Failure> {
    let command = Command::Archive {
        account: account.clone(),
        task: ArchiveTask::Measure,
    };
    match office.call(&command)? {
        Ok(CommandReply::Archive(size)) => Ok(Ok(size)),
        Ok(
            CommandReply::Disconnected { .. }
            | CommandReply::Done
            | CommandReply::Erased(_)
            | CommandReply::Links(_)
            | CommandReply::Reached(_)
            | CommandReply::Trimmed { .. }
            | CommandReply::User(_)
            | CommandReply::Users(_),
        ) => Err(of_another_kind()),
        Err(error) => Ok(Err(error)),
    }
}

fn confirm_trim(whose: &Whose, before: i64, console: &mut Console<'_>) -> Result<(), Failure> {
    let (what, who) = match whose {
        Whose::Account(account) => (account.to_string(), account.as_str()),
        Whose::Host(host) => (format!("all users of {host}"), host.as_str()),
    };
    let moment = moment(before);
    let question = format!("Remove the archived messages of {what} from before {moment}? [y/N] ");
    let without = format!("spondee archive trim --yes {who} --before {moment}");
    confirm(&question, "removed", &without, console)
}

fn trim(
    office: &mut Office<'_>,
    whose: Whose,
    before: i64,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut removed = 0;
    let what = match whose {
        Whose::Account(account) => {
            let command = of_trim(account.clone(), before);
            removed += trim_one(office, account.clone(), before)?
                .map_err(|error| refused(&command, error))?;
            account.to_string()
        }
        Whose::Host(host) => {
            for_each(office, &host, |office, account| {
                match trim_one(office, account.clone(), before)? {
                    Ok(count) => removed += count,
                    Err(CommandError::NoSuchUser) => {}
                    Err(error) => return Err(refused(&of_trim(account, before), error)),
                }
                Ok(())
            })?;
            format!("users of {host}")
        }
    };
    let (moment, aside) = (moment(before), office.aside());
    let messages = counted(removed, "message", "messages");
    writeln!(
        console.out,
        "{messages} of {what} from before {moment} removed{aside}"
    )?;
    Ok(())
}

const fn of_trim(account: BareJid, before: i64) -> Command {
    let task = ArchiveTask::Trim(before);
    Command::Archive { account, task }
}

/// Step by step; how many went.
fn trim_one(
    office: &mut Office<'_>,
    account: BareJid,
    before: i64,
) -> Result<Result<u64, CommandError>, Failure> {
    let command = of_trim(account, before);
    let mut removed = 0;
    loop {
        match office.call(&command)? {
            Ok(CommandReply::Trimmed { messages, more }) => {
                removed += u64::from(messages);
                if !more {
                    return Ok(Ok(removed));
                }
            }
            Ok(
                CommandReply::Archive(_)
                | CommandReply::Disconnected { .. }
                | CommandReply::Done
                | CommandReply::Erased(_)
                | CommandReply::Links(_)
                | CommandReply::Reached(_)
                | CommandReply::User(_)
                | CommandReply::Users(_),
            ) => return Err(of_another_kind()),
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// In UTC, to the second, or to the day where it is the beginning of one.
fn moment(us: i64) -> String {
    let text = to_xep0082(us);
    let seconds = text.split_once('.').map_or(&*text, |(seconds, _)| seconds);
    match seconds.strip_suffix("T00:00:00") {
        Some(day) => day.to_owned(),
        None => format!("{seconds}Z"),
    }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}

/// One line of what there is.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    whose: Name<'a>,
    messages: u64,
    bytes: u64,
    oldest: Option<String>,
    newest: Option<String>,
    waiting: u64,
    #[serde(skip)]
    span: Option<(i64, i64)>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Name<'a> {
    Account { jid: &'a str },
    Host { host: &'a str, users: u64 },
}

impl<'a> Line<'a> {
    fn new(whose: Name<'a>, size: &ArchiveSize, waiting: u64) -> Self {
        Self {
            whose,
            messages: size.messages,
            bytes: size.bytes,
            oldest: size.oldest.map(to_xep0082),
            newest: size.newest.map(to_xep0082),
            waiting,
            span: size.oldest.zip(size.newest),
        }
    }

    fn of(account: &'a BareJid, size: &ArchiveSize) -> Self {
        let jid = account.as_str();
        Self::new(Name::Account { jid }, size, size.waiting.into())
    }

    fn total(host: &'a Domain, total: &Total) -> Self {
        let name = Name::Host {
            host: host.as_str(),
            users: total.users,
        };
        Self::new(name, &total.size, total.waiting)
    }

    fn in_words(&self) -> String {
        let mut words = match self.whose {
            Name::Account { jid } => format!("{jid}: "),
            Name::Host { host, users } => {
                format!("{host}: {}, ", counted(users, "user", "users"))
            }
        };
        words += &counted(self.messages, "message", "messages");
        words += &format!(", {}", counted(self.bytes, "byte", "bytes"));
        if let Some((oldest, newest)) = self.span {
            let day = |us: i64| date(us.div_euclid(1_000_000));
            words += &format!(", from {} to {}", day(oldest), day(newest));
        }
        if self.waiting > 0 {
            words += &format!("; {} to be delivered", self.waiting);
        }
        words
    }
}

/// Lines as they are printed.
enum Rows {
    /// A line for each.
    Text,
    /// An array of objects, which begins with this.
    Json(&'static str),
}

impl Rows {
    const fn new(form: Form) -> Self {
        match form {
            Form::Text => Self::Text,
            Form::Json => Self::Json("[\n"),
        }
    }

    fn row(&mut self, line: &Line<'_>, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Text => writeln!(out, "{}", line.in_words()),
            Self::Json(before) => {
                write!(out, "{before}{}", serde_json::to_string(line)?)?;
                *before = ",\n";
                Ok(())
            }
        }
    }

    /// There is one line, and no list.
    fn only(&self, line: &Line<'_>, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Text => writeln!(out, "{}", line.in_words()),
            Self::Json(_) => writeln!(out, "{}", serde_json::to_string_pretty(line)?),
        }
    }

    fn end(self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Text => Ok(()),
            Self::Json("[\n") => writeln!(out, "[]"),
            Self::Json(_) => writeln!(out, "\n]"),
        }
    }
}
