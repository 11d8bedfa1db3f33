//! What can be written behind `spondee`, and what `--help` says of it.

mod certs;
mod reach;
mod s2s;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use spondee_core::jid::{BareJid, Domain, JidError, Resource};
use spondee_core::sasl::Tombstones;
use spondee_core::time::parse_xep0082;

use crate::config::{AMBIGUOUS, is_ambiguous, seconds};

pub(super) use certs::{CertTask, CheckTask, Toward};
pub(super) use reach::Whom;
pub(super) use s2s::S2sTask;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused: no such user or session, the user exists or was deleted, the host is not served, not a password
  2  the command line is wrong
  3  the configuration, the data directory or the server cannot be used";

const FILES: &str = "\
Which configuration counts: --config FILE, else the environment variable SPONDEE_CONFIG, else
/etc/spondee/spondee.toml if it is there. With none of them `spondee` is a server for development: host
localhost, on loopback only, with its data in ./spondee-data.

SPONDEE_LOG overrides how much is logged, for example SPONDEE_LOG=debug.";

const EXAMPLES: &str = "\
Examples:
  spondee                                 try it: a server for localhost, no configuration needed
  spondee user add juliet@localhost       add a user, in the same directory, while it runs or not
  spondee example-config > spondee.toml   begin a configuration
  spondee check config spondee.toml       is it right?
  spondee --config spondee.toml           run a server with it";

/// An XMPP server.
#[derive(Debug, Parser)]
#[command(
    name = "spondee",
    version,
    after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"),
    after_long_help = format!("{EXAMPLES}\n\n{FILES}\n\n{EXIT_CODES}"),
    disable_help_subcommand = true,
    subcommand_value_name = "COMMAND",
)]
pub(super) struct Args {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) task: Option<Task>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Task {
    /// Run the server until SIGTERM or Ctrl-C; SIGHUP reads configuration and certificates again (the default)
    #[command(after_help = SERVE_EXAMPLES)]
    Serve,
    /// Add, change, list, show and delete users, whether the server runs or not
    #[command(subcommand, after_help = USER_EXAMPLES)]
    User(UserTask),
    /// Tell how much is archived, and remove what is old, whether the server runs or not
    #[command(subcommand, after_help = ARCHIVE_EXAMPLES)]
    Archive(ArchiveTask),
    /// Keep keys in place of passwords, whether the server runs or not
    #[command(subcommand, after_help = PASSWORDS_EXAMPLES)]
    Passwords(PasswordsTask),
    /// Show certificates, bring them here from certbot, lego or acme.sh, make them, or ask an authority for one
    #[command(subcommand, after_help = certs::EXAMPLES)]
    Cert(CertTask),
    /// Have the server that runs read its configuration and certificates again, and say what came of it
    #[command(after_help = "\
Example:
  spondee reload

As by SIGHUP, but whoever asks is told: the exit code is 0 if everything was taken over, and 3 if something was not, with what is to be mended.
What cannot be used is not taken over: a host keeps the certificate it had. What only a restart changes is named in the log.")]
    Reload,
    /// Look for mistakes
    #[command(subcommand)]
    Check(CheckTask),
    /// Have the server that runs find out whether and how a domain can be reached
    #[command(after_help = reach::EXAMPLES)]
    Reach(Whom),
    /// Tell of links to other servers, why there is one or none, and close them
    #[command(name = "s2s", subcommand, after_help = s2s::EXAMPLES)]
    S2s(S2sTask),
    /// Print a configuration with every option, its default and what it does
    #[command(after_help = "Example:\n  spondee example-config > spondee.toml")]
    ExampleConfig,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  spondee serve
  spondee serve --config /etc/spondee/spondee.toml
  SPONDEE_LOG=debug spondee serve";

const ARCHIVE_EXAMPLES: &str = "\
Examples:
  spondee archive stats
  spondee archive stats juliet@example.org --json
  spondee archive trim example.org --older-than \"90 days\"";

const PASSWORDS_EXAMPLES: &str = "\
Examples:
  spondee passwords upgrade
  spondee passwords upgrade --host example.org";

const USER_EXAMPLES: &str = "\
Examples:
  spondee user add juliet@example.org
  spondee user passwd juliet@example.org < password.txt
  spondee user list example.org --json
  spondee user show juliet@example.org
  spondee user disconnect juliet@example.org phone

A password is asked for on a terminal; else it is the first line of standard input. It is never an argument,
because every user of a machine can see those.

While the server runs it is asked to do this. Otherwise the data directory is changed by the command itself, which must
then be run as the user that the directory belongs to: `sudo -u spondee spondee user list`. The first account makes the
directory, for whoever runs the command: where that is root and another user is to run the server, make it first, with
`install -d -m 0700 -o spondee /var/lib/spondee`, or start the server first.";

#[derive(Debug, Subcommand)]
pub(super) enum UserTask {
    /// Add a user
    #[command(after_help = "\
Examples:
  spondee user add juliet@example.org
  spondee user add juliet@example.org < password.txt
  spondee user add --again juliet@example.org

The name of a user that was deleted is held for as long as `user_tombstone_expiry` says: contacts, rooms and other servers may
not know that somebody else has it now, and send what was for the old user to the new one. --again takes it all the same, as for
somebody who comes back.")]
    Add {
        /// The new address, such as juliet@example.org
        #[arg(value_name = "JID", value_parser = account)]
        account: BareJid,
        /// Also if a user of this name was deleted
        #[arg(long)]
        again: bool,
    },
    /// Set a new password; sessions that signed in with the old one are closed
    #[command(after_help = "\
Examples:
  spondee user passwd juliet@example.org
  spondee user passwd juliet@example.org < password.txt")]
    Passwd {
        /// The address, such as juliet@example.org
        #[arg(value_name = "JID", value_parser = account)]
        account: BareJid,
    },
    /// List the users of one host or of all, and whether they may sign in
    #[command(after_help = "\
Examples:
  spondee user list
  spondee user list example.org
  spondee user list --json    prints [{\"jid\":\"juliet@example.org\",\"status\":\"enabled\"}]")]
    List {
        /// Only this host
        #[arg(value_name = "HOST", value_parser = host)]
        host: Option<Domain>,
        #[command(flatten)]
        print: Print,
    },
    /// Show a user: whether it may sign in, its contacts, its devices, connected or asleep, or when the last one left
    #[command(after_help = "\
Examples:
  spondee user show juliet@example.org
  spondee user show juliet@example.org --json

Contacts are counted by who sees whose presence: `both`; `to`, the user theirs; `from`, they the user's; `none`, nobody. A device whose
`presence` is `null` in JSON has not said that it is available. One that is asleep has lost its connection; to others it is there as
before, and what comes for it waits until it is back or the time is over that `smacks_hibernation_time` gives it. `last_activity` is that of
a user of whom no device is connected or asleep. While no server runs, none is.")]
    Show {
        /// The address, such as juliet@example.org
        #[arg(value_name = "JID", value_parser = account)]
        account: BareJid,
        #[command(flatten)]
        print: Print,
    },
    /// Let nobody sign in as this user; its sessions are closed
    #[command(after_help = "Example:\n  spondee user disable juliet@example.org")]
    Disable {
        /// The address, such as juliet@example.org
        #[arg(value_name = "JID", value_parser = account)]
        account: BareJid,
    },
    /// End the sessions of a user, or one of them, connected or asleep; it may sign in again at once
    #[command(after_help = "\
Examples:
  spondee user disconnect juliet@example.org
  spondee user disconnect juliet@example.org phone

`spondee user show` tells the names of devices. One that is ended while it is asleep is not waited for any more: what waited for it goes to
the other devices, or waits until one is there. Most clients connect again by themselves; `spondee user disable` keeps them out, and
`spondee user passwd` all that do not know the new password.")]
    Disconnect {
        /// The address, such as juliet@example.org
        #[arg(value_name = "JID", value_parser = account_alone)]
        account: BareJid,
        /// Only the session of this device
        #[arg(value_name = "RESOURCE", value_parser = resource)]
        resource: Option<Resource>,
    },
    /// Undo `disable`
    #[command(after_help = "Example:\n  spondee user enable juliet@example.org")]
    Enable {
        /// The address, such as juliet@example.org
        #[arg(value_name = "JID", value_parser = account)]
        account: BareJid,
    },
    /// Delete a user and everything the server keeps for it; its sessions are closed
    #[command(after_help = "\
Examples:
  spondee user delete juliet@example.org
  spondee user delete --yes juliet@example.org    does not ask

Where standard input is no terminal to ask on, --yes is needed. Afterwards nobody can have the name for as long as
`user_tombstone_expiry` says: see `spondee user add --help`.")]
    Delete {
        /// The address, such as juliet@example.org
        #[arg(value_name = "JID", value_parser = account)]
        account: BareJid,
        /// Do not ask whether this is meant
        #[arg(long)]
        yes: bool,
    },
    /// Delete a user, and leave nothing readable of it in the files of the database
    #[command(after_help = "\
Examples:
  spondee user erase juliet@example.org
  spondee user erase --yes juliet@example.org    does not ask

`delete` takes everything away as well, and what was deleted is written over some time later; `erase` ends when that is done. A user that
was deleted before can be named, too. What other users have of it stays theirs: messages in their archives, and what they call it.
The name itself is remembered for as long as `user_tombstone_expiry` says. Backups of the database are not reached.")]
    Erase {
        /// The address, such as juliet@example.org
        #[arg(value_name = "JID", value_parser = account)]
        account: BareJid,
        /// Do not ask whether this is meant
        #[arg(long)]
        yes: bool,
    },
    /// Write everything the server keeps for a user into a file (XEP-0227)
    #[command(after_help = "\
Examples:
  spondee user export juliet@example.org --output juliet.xml
  spondee user export juliet@example.org | age -r age1… > juliet.xml.age

The file has the keys of the user's password, contacts, requests, blocked addresses, private XML, card, archive and the messages that wait.
Whoever reads it can read all that was said, try passwords, and sign in elsewhere where the same keys are in use: the file is for its
owner only (0600), keep it as carefully as the database. It has its name once it is whole; what goes to standard output is whole if the exit
code is 0.

It is read while the server runs, or not, by the user that the data directory belongs to: contacts and lists as of one moment, and the
archive up to then. `spondee user import` brings it back; other servers understand all but what stands in a namespace of ours.")]
    Export {
        /// The address, such as juliet@example.org
        #[arg(value_name = "JID", value_parser = account)]
        account: BareJid,
        /// The file; without it standard output
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Bring users here from a file that this or another server has written (XEP-0227)
    #[command(after_help = "\
Examples:
  spondee user import juliet.xml
  spondee user import --dry-run ejabberd-export/20261126-101500.xml
  spondee user import --skip-existing everybody.xml     go on with one that did not end

All of the file is looked at first: hosts must be served here, names free, and nothing larger than an account can have. Then users come one
after another, each with its password last: who is said to have been imported is there whole, and nobody can sign in to another. An
import that ended half way is run again, with --skip-existing for those who came through. What is there already is never changed or
mixed with what is in a file.

It goes through the server while that runs. Files of other servers may include others in the same directory; passwords in them are
turned into keys. What has no place here is named at the end.")]
    Import {
        /// The file, or the one that includes all others
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        wishes: Wishes,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum PasswordsTask {
    /// Keep keys in place of the passwords that are kept, and leave no password in the files of the database
    #[command(after_help = "\
Examples:
  spondee passwords upgrade
  spondee passwords upgrade --host example.org

A host whose `authentication` was \"internal_plain\" and is \"internal_hashed\" has passwords of before: each becomes keys when its user signs
in, and all of them do by this. Nobody's session ends, and everybody signs in as before. When it is done, no password is in the files of
the database any more, its log included; backups are not reached. If it is interrupted, run it again. Each takes some milliseconds.")]
    Upgrade {
        /// Only this host
        #[arg(long, value_name = "HOST", value_parser = host)]
        host: Option<Domain>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ArchiveTask {
    /// Tell how many messages are archived, their bytes, the oldest and the newest, and how many wait to be delivered
    #[command(after_help = "\
Examples:
  spondee archive stats                       each host
  spondee archive stats example.org           each user of one host that has anything, and all together
  spondee archive stats juliet@example.org
  spondee archive stats --json example.org

All messages are looked at, which takes about a second for a million.")]
    Stats {
        /// A user, such as juliet@example.org, or a host; by default all hosts
        #[arg(value_name = "JID|HOST", value_parser = whose)]
        whose: Option<Whose>,
        #[command(flatten)]
        print: Print,
    },
    /// Remove the archived messages of a user, or of all users of a host, that are older than a date or an age
    #[command(after_help = "\
Examples:
  spondee archive trim juliet@example.org --before 2026-11-22
  spondee archive trim example.org --older-than \"90 days\"
  spondee archive trim --yes example.org --older-than 1y      does not ask

A date is the beginning of that day in UTC; a time can follow it, 2026-11-22T18:30:00Z. An age is a number with s, min, h, d, w, month
or y. What waits to be delivered stays until it is. Where standard input is no terminal to ask on, --yes is needed.

What all archives keep, and for how long, is set by `archive_expires_after`, `archive_max_messages` and `archive_max_bytes`.")]
    Trim {
        /// A user, such as juliet@example.org, or a host
        #[arg(value_name = "JID|HOST", value_parser = whose)]
        whose: Whose,
        #[command(flatten)]
        older: Older,
        /// Do not ask whether this is meant
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Clone, Copy, Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Older {
    /// Than this date
    #[arg(long, value_name = "DATE", value_parser = moment)]
    before: Option<i64>,
    /// Than this age
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,
}

impl Older {
    /// The moment before which it is, in microseconds since 1970, when it is now.
    pub(super) fn before(self, now: i64) -> i64 {
        let age = self.older_than.unwrap_or_default();
        let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        self.before.unwrap_or_else(|| now.saturating_sub(age))
    }
}

/// An account, or a host with all its accounts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Whose {
    Account(BareJid),
    Host(Domain),
}

/// Prints data.
#[derive(Debug, clap::Args)]
pub(super) struct Print {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Print {
    pub(super) const fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }
}

#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a flag is one, and becomes what it means at once"
)]
pub(super) struct Wishes {
    /// Leave users that exist already as they are, and bring the others
    #[arg(long)]
    skip_existing: bool,
    /// Also if users of these names were deleted
    #[arg(long)]
    again: bool,
    /// Look at the file and at the names in it, say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Wishes {
    pub(super) const fn wish(&self) -> Wish {
        Wish {
            existing: match self.skip_existing {
                true => Existing::Skip,
                false => Existing::Refuse,
            },
            tombstones: match self.again {
                true => Tombstones::Ignore,
                false => Tombstones::Heed,
            },
            mode: match self.dry_run {
                true => Mode::Look,
                false => Mode::Bring,
            },
        }
    }
}

/// What an administrator wants of an import.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) existing: Existing,
    pub(super) tombstones: Tombstones,
    pub(super) mode: Mode,
}

/// What is done if there is such a user already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Existing {
    /// Nothing at all.
    Refuse,
    /// It stays, and the others come.
    Skip,
}

/// Whether anything is done at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    /// Users are brought here.
    Bring,
    /// It is said what would be done.
    Look,
}

/// How data is printed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// For people.
    Text,
    /// For programs: one document.
    Json,
}

/// The address of an account.
fn account(text: &str) -> Result<BareJid, String> {
    let account = BareJid::parse(text).map_err(|error| match error {
        JidError::Resource => {
            "an account's address has nothing behind its host: leave out the / and what follows"
                .to_owned()
        }
        JidError::Domain | JidError::Local => error.to_string(),
    })?;
    if account.local().is_none() {
        return Err("an account is written USER@HOST, such as juliet@example.org".to_owned());
    }
    Ok(account)
}

/// The same where the name of a device may follow.
fn account_alone(text: &str) -> Result<BareJid, String> {
    match text.split_once('/') {
        Some((bare, resource)) => Err(format!(
            "the name of a device stands behind the address, with a space between them: {bare} {resource}"
        )),
        None => account(text),
    }
}

/// The name of a device.
fn resource(text: &str) -> Result<Resource, String> {
    Resource::parse(text).map_err(|_| {
        "no device has such a name; `spondee user show` shows which there are".to_owned()
    })
}

fn whose(text: &str) -> Result<Whose, String> {
    match text.contains('@') {
        true => account(text).map(Whose::Account),
        false => host(text).map(Whose::Host),
    }
}

/// In microseconds since 1970.
fn moment(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let whole = match text.contains('T') {
        true => text.to_owned(),
        false => format!("{text}T00:00:00Z"),
    };
    parse_xep0082(&whole).ok_or_else(|| {
        "a date is written 2026-11-22, or 2026-11-22T18:30:00Z with a time and its offset from UTC"
            .to_owned()
    })
}

fn age(text: &str) -> Result<Duration, String> {
    if is_ambiguous(text) {
        return Err(AMBIGUOUS.to_owned());
    }
    let age = seconds(text).map(Duration::from_secs);
    age.ok_or_else(|| {
        "an age is a number and a unit, such as \"90 days\", 12h, 2w, \"6 months\" or 1y".to_owned()
    })
}

fn host(text: &str) -> Result<Domain, String> {
    if text.contains('@') {
        return Err("this is the address of an account; a host is what stands behind the @".into());
    }
    Domain::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        assert!(parse("spondee").unwrap().task.is_none());
        let args = parse("spondee serve").unwrap();
        assert!(matches!(args.task, Some(Task::Serve)));
    }

    #[test]
    fn the_configuration_is_named_before_or_behind_the_command() {
        for line in [
            "spondee --config a.toml",
            "spondee --config a.toml serve",
            "spondee serve --config a.toml",
            "spondee --config=a.toml user add juliet@localhost",
            "spondee user list --config a.toml",
        ] {
            let args = parse(line).unwrap();
            assert_eq!(args.config, Some(PathBuf::from("a.toml")), "{line}");
        }
    }

    #[test]
    fn addresses_are_prepared() {
        let args = parse("spondee user add Juliet@LOCALHOST").unwrap();
        let Some(Task::User(UserTask::Add { account, again })) = args.task else {
            panic!("{args:?}");
        };
        assert_eq!((account.as_str(), again), ("juliet@localhost", false));
    }

    #[test]
    fn what_is_no_account_is_a_wrong_command_line_with_advice() {
        for (line, advice) in [
            ("spondee user add juliet", "USER@HOST"),
            (
                "spondee user add juliet@localhost/garden",
                "leave out the /",
            ),
            (
                "spondee user disconnect juliet@localhost/garden",
                "juliet@localhost garden",
            ),
            ("spondee user add ju<liet@localhost", "before @"),
            ("spondee user list juliet@localhost", "behind the @"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(advice), "{error}");
        }
    }

    #[test]
    fn the_name_of_a_device_follows_the_address() {
        for (line, name) in [
            ("spondee user disconnect juliet@localhost", None),
            (
                "spondee user disconnect juliet@localhost phone",
                Some("phone"),
            ),
        ] {
            let args = parse(line).unwrap();
            let Some(Task::User(UserTask::Disconnect { account, resource })) = args.task else {
                panic!("{args:?}");
            };
            assert_eq!(account.as_str(), "juliet@localhost");
            assert_eq!(resource.as_ref().map(Resource::as_str), name);
        }
    }

    #[test]
    fn a_password_is_no_argument() {
        let error = parse("spondee user add juliet@localhost secret").unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn every_command_explains_itself_with_an_example() {
        for line in [
            "spondee",
            "spondee serve",
            "spondee user",
            "spondee user add",
            "spondee user passwd",
            "spondee user list",
            "spondee user show",
            "spondee user disable",
            "spondee user disconnect",
            "spondee user enable",
            "spondee user delete",
            "spondee user erase",
            "spondee user export",
            "spondee user import",
            "spondee archive",
            "spondee archive stats",
            "spondee archive trim",
            "spondee passwords",
            "spondee passwords upgrade",
            "spondee reload",
            "spondee s2s",
            "spondee s2s explain",
            "spondee s2s list",
            "spondee s2s close",
            "spondee cert",
            "spondee cert show",
            "spondee cert fingerprint",
            "spondee cert import",
            "spondee cert generate",
            "spondee cert request",
            "spondee check config",
            "spondee check certs",
            "spondee check tls",
            "spondee example-config",
        ] {
            let help = parse(&format!("{line} --help")).unwrap_err();
            assert_eq!(help.exit_code(), 0, "{line}");
            assert!(help.to_string().contains("Example"), "{help}");
        }
    }
}
