//! Why a command line did not end well: the exit code, and a sentence that says what to do.

use std::io;

use spondee_core::jid::Domain;
use spondee_core::limits::PASSWORD_BYTES;
use spondee_core::port::{ArchiveTask, Command, CommandError, LinkTask};
use spondee_core::sasl::Held;
use spondee_core::time::UnixTime;

use crate::tls::date;

/// What went wrong. The exit codes are in `--help` (args.rs).
#[derive(Debug)]
pub(super) enum Failure {
    /// What was asked for is not to be had.
    Refused(String),
    /// The command line contradicts itself.
    Usage(String),
    /// Configuration, data directory or server.
    Unusable(String),
    /// Nobody reads the output any more: no fault, but there is nothing left to do.
    Unread,
}

impl Failure {
    pub(super) const fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Unusable(_) => 3,
            Self::Unread => 0,
        }
    }

    pub(super) fn message(&self) -> Option<&str> {
        match self {
            Self::Refused(message) | Self::Usage(message) | Self::Unusable(message) => {
                Some(message)
            }
            Self::Unread => None,
        }
    }
}

/// Writing the output failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Unread
        } else {
            Self::Unusable(format!("the output cannot be written: {error}"))
        }
    }
}

/// A command was refused.
pub(super) fn refused(command: &Command, error: CommandError) -> Failure {
    let who = match command {
        // What is said of a host is said of ours.
        Command::Links(LinkTask::Explain { ours: name, .. })
        | Command::Links(LinkTask::Close { domain: name })
        | Command::Erase { host: name }
        | Command::List { host: name, .. }
        | Command::Reach { domain: name, .. } => name.as_str(),
        Command::Links(LinkTask::List { domain }) => {
            domain.as_ref().map_or("the links", Domain::as_str)
        }
        Command::Add { account, .. }
        | Command::Archive { account, .. }
        | Command::Delete { account }
        | Command::Disable { account }
        | Command::Disconnect { account, .. }
        | Command::Enable { account }
        | Command::Import { account, .. }
        | Command::Passwd { account, .. }
        | Command::Show { account }
        | Command::Upgrade { account } => account.as_str(),
    };
    let nothing = undone(command);
    match error {
        CommandError::Busy => Failure::Unusable(format!(
            "{nothing}: the server has too much to do at the moment; try again"
        )),
        CommandError::Directory => Failure::Refused(in_directory(command, who)),
        CommandError::Exists if matches!(command, Command::Add { .. }) => Failure::Refused(
            format!("{who} exists already; `spondee user passwd {who}` gives it another password"),
        ),
        CommandError::Exists => Failure::Refused(format!(
            "{nothing}: somebody else changed {who} at the same moment; try again"
        )),
        CommandError::Full => Failure::Unusable(format!(
            "{nothing}: there is no room left on the disk with the database; make some, then try again"
        )),
        CommandError::Guests => Failure::Refused(format!(
            "{nothing}: the host of {who} has guests and no accounts, because its `authentication` is \"anonymous\""
        )),
        CommandError::Held(held) => Failure::Refused(held_back(command, who, held)),
        // The configuration read here has it otherwise.
        CommandError::KeepsPasswords => Failure::Refused(format!(
            "{nothing}: the running server keeps passwords on the host of {who}, because its configuration was changed after it started; send \
             it SIGHUP to read it again"
        )),
        // The configuration read here has the host.
        CommandError::NoSuchHost => Failure::Refused(format!(
            "the running server does not know the host of {who}, because its configuration was changed after it \
             started; send it SIGHUP to read it again"
        )),
        CommandError::NoSuchSession => Failure::Refused(format!(
            "{who} has no session{}; `spondee user show {who}` shows which there are",
            named(command)
        )),
        CommandError::NoSuchUser => Failure::Refused(format!(
            "there is no user {who}; `spondee user list` shows which there are"
        )),
        // What this program lets pass and the core does not: they are of two versions.
        CommandError::Password => Failure::Refused(format!(
            "{nothing}: the server does not take this password for {who}; choose one of letters, digits, signs and \
             spaces, of {PASSWORD_BYTES} bytes at most"
        )),
        CommandError::Reaching => Failure::Unusable(format!(
            "{nothing}: the server reaches as many domains for others already as it may at a time; try again in a minute"
        )),
        CommandError::Store => Failure::Unusable(format!(
            "{nothing}: the database failed; the log says how (the server's, or above if none runs)"
        )),
        CommandError::Unknown => Failure::Unusable(format!(
            "nobody can tell whether {who} was changed: the database failed while it was written; the log says how (the \
             server's, or above if none runs); once it is well, look with `spondee user list`"
        )),
    }
}

/// Where a directory has the passwords.
pub(super) fn in_directory(command: &Command, who: &str) -> String {
    let how = match command {
        Command::Add { .. } => {
            "add the user there, where `ldap_filter` finds it: the account is made when its user first signs in"
        }
        Command::Upgrade { .. } => "what was kept of one before stays as it is",
        Command::Archive { .. }
        | Command::Delete { .. }
        | Command::Disable { .. }
        | Command::Disconnect { .. }
        | Command::Enable { .. }
        | Command::Erase { .. }
        | Command::Import { .. }
        | Command::Links(_)
        | Command::List { .. }
        | Command::Passwd { .. }
        | Command::Reach { .. }
        | Command::Show { .. } => {
            "set it there, and it is good at once; `spondee user disconnect` ends sessions that began with the one before"
        }
    };
    format!(
        "{}: the password of {who} is a directory's, because `authentication` of its host is \"ldap\"; {how}",
        undone(command)
    )
}

/// What has not happened.
const fn undone(command: &Command) -> &'static str {
    match command {
        Command::Archive {
            task: ArchiveTask::Measure,
            ..
        }
        | Command::List { .. }
        | Command::Show { .. } => "nothing can be shown",
        Command::Archive {
            task: ArchiveTask::Trim(_),
            ..
        }
        | Command::Erase { .. } => "not all was removed",
        Command::Disconnect { .. } => "no session was ended",
        Command::Reach { .. } | Command::Links(LinkTask::Explain { .. }) => {
            "no connection was tried"
        }
        Command::Links(LinkTask::List { .. }) => "nothing can be shown",
        Command::Links(LinkTask::Close { .. }) => "no link was closed",
        Command::Add { .. }
        | Command::Delete { .. }
        | Command::Disable { .. }
        | Command::Enable { .. }
        | Command::Import { .. }
        | Command::Passwd { .. }
        | Command::Upgrade { .. } => "nothing was changed",
    }
}

/// The session that a command is about, in quotes and behind a space.
fn named(command: &Command) -> String {
    match command {
        Command::Disconnect {
            resource: Some(resource),
            ..
        } => format!(" {:?}", resource.as_str()),
        Command::Add { .. }
        | Command::Archive { .. }
        | Command::Delete { .. }
        | Command::Disable { .. }
        | Command::Disconnect { resource: None, .. }
        | Command::Enable { .. }
        | Command::Erase { .. }
        | Command::Import { .. }
        | Command::Links(_)
        | Command::List { .. }
        | Command::Passwd { .. }
        | Command::Reach { .. }
        | Command::Show { .. }
        | Command::Upgrade { .. } => String::new(),
    }
}

/// Nobody can have this name.
fn held_back(command: &Command, who: &str, Held { deleted, until }: Held) -> String {
    let again = match command {
        Command::Import { .. } => "`spondee user import --again` takes such names".to_owned(),
        Command::Add { .. }
        | Command::Archive { .. }
        | Command::Delete { .. }
        | Command::Disable { .. }
        | Command::Disconnect { .. }
        | Command::Enable { .. }
        | Command::Erase { .. }
        | Command::Links(_)
        | Command::List { .. }
        | Command::Passwd { .. }
        | Command::Reach { .. }
        | Command::Show { .. }
        | Command::Upgrade { .. } => format!("`spondee user add --again {who}` takes it"),
    };
    let day = |time: UnixTime| date(time.0.div_euclid(1000));
    let until = match until {
        Some(until) => format!("until {}", day(until)),
        None => "any more".to_owned(),
    };
    format!(
        "nothing was changed: {who} was deleted on {}, and nobody can have the name {until}, because contacts, rooms and other \
         servers may still take it for who had it; {again} all the same, and \
         `user_tombstone_expiry` says for how long names are held",
        day(deleted)
    )
}

#[cfg(test)]
mod tests {
    use spondee_core::jid::{BareJid, Resource};
    use spondee_core::sasl::Tombstones;
    use spondee_core::secret::Secret;

    use super::*;

    fn juliet() -> BareJid {
        BareJid::parse("juliet@example.org").unwrap()
    }

    fn add() -> Command {
        Command::Add {
            account: juliet(),
            password: Secret::default(),
            tombstones: Tombstones::Heed,
        }
    }

    #[test]
    fn who_adds_a_name_that_was_deleted_hears_when_until_when_and_what_to_do() {
        let deleted = UnixTime(1_795_316_645_678);
        for (until, words) in [
            (Some(UnixTime(1_826_852_645_678)), "until 2027-11-22"),
            (None, "any more"),
        ] {
            let failure = refused(&add(), CommandError::Held(Held { deleted, until }));
            assert_eq!(failure.code(), 1);
            let message = failure.message().unwrap();
            for words in [
                "juliet@example.org was deleted on 2026-11-22",
                words,
                "`spondee user add --again juliet@example.org`",
                "`user_tombstone_expiry`",
            ] {
                assert!(message.contains(words), "{message}");
            }
        }
    }

    #[test]
    fn every_refusal_names_whom_it_is_about_or_says_what_to_do() {
        let disable = Command::Disable { account: juliet() };
        for (error, code, words) in [
            (CommandError::Busy, 3, "try again"),
            (
                CommandError::Directory,
                1,
                "juliet@example.org is a directory's",
            ),
            (CommandError::Exists, 1, "juliet@example.org"),
            (CommandError::Full, 3, "no room"),
            (CommandError::Guests, 1, "juliet@example.org has guests"),
            (CommandError::KeepsPasswords, 1, "SIGHUP"),
            (CommandError::NoSuchHost, 1, "SIGHUP"),
            (
                CommandError::NoSuchSession,
                1,
                "`spondee user show juliet@example.org`",
            ),
            (CommandError::NoSuchUser, 1, "no user juliet@example.org"),
            (CommandError::Password, 1, "signs and spaces"),
            (CommandError::Store, 3, "log"),
            (CommandError::Unknown, 3, "juliet@example.org"),
        ] {
            let failure = refused(&disable, error);
            assert_eq!(failure.code(), code, "{error:?}");
            assert!(failure.message().unwrap().contains(words), "{failure:?}");
        }
    }

    #[test]
    fn where_a_directory_has_the_passwords_it_is_said_what_to_do_there() {
        let passwd = Command::Passwd {
            account: juliet(),
            password: Secret::default(),
        };
        for (command, words) in [
            (add(), "when its user first signs in"),
            (passwd, "set it there"),
        ] {
            let failure = refused(&command, CommandError::Directory);
            assert_eq!(failure.code(), 1);
            let message = failure.message().unwrap();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn a_session_that_is_not_there_is_named() {
        let disconnect = Command::Disconnect {
            account: juliet(),
            resource: Some(Resource::parse("the \"phone\"").unwrap()),
        };
        let failure = refused(&disconnect, CommandError::NoSuchSession);
        assert_eq!(failure.code(), 1);
        assert_eq!(
            failure.message().unwrap(),
            "juliet@example.org has no session \"the \\\"phone\\\"\"; `spondee user show juliet@example.org` shows which there are"
        );
    }

    #[test]
    fn where_no_session_could_be_ended_that_is_said() {
        let disconnect = Command::Disconnect {
            account: juliet(),
            resource: None,
        };
        for error in [CommandError::Busy, CommandError::Store] {
            let failure = refused(&disconnect, error);
            let message = failure.message().unwrap();
            assert!(message.starts_with("no session was ended: "), "{message}");
        }
    }

    #[test]
    fn what_was_only_to_be_shown_is_not_said_to_be_unchanged() {
        let show = Command::Show { account: juliet() };
        for error in [CommandError::Busy, CommandError::Store] {
            let failure = refused(&show, error);
            let message = failure.message().unwrap();
            assert!(message.starts_with("nothing can be shown: "), "{message}");
        }
        let unknown = refused(&show, CommandError::NoSuchUser);
        assert!(unknown.message().unwrap().contains("`spondee user list`"));
    }

    #[test]
    fn who_adds_an_account_twice_is_shown_how_to_change_its_password() {
        let add = add();
        let failure = refused(&add, CommandError::Exists);
        assert!(
            failure
                .message()
                .unwrap()
                .contains("user passwd juliet@example.org")
        );
    }

    #[test]
    fn output_that_nobody_reads_is_no_fault() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.code(), failure.message()), (0, None));
        let failure = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(failure.code(), 3);
    }
}
