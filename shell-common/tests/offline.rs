//! Accounts are kept without a server, and what one run wrote the next one reads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use spondee_core::jid::{BareJid, Domain};
use spondee_core::port::{Command, CommandError, CommandReply, CommandResult, UserEntry};
use spondee_core::sasl::Status;
use spondee_core::secret::Secret;
use spondee_shell_common::config::Settings;
use spondee_shell_common::offline::Offline;

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("spondee-offline-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// Opens, asks, closes: each command is a process of its own.
    fn ask(&self, command: Command) -> CommandResult {
        let mut offline = Offline::open(&Settings::development(&self.0)).unwrap();
        offline.carry_out(command).unwrap()
    }

    fn list(&self, after: Option<&str>, limit: u32) -> Vec<(String, Status)> {
        let list = Command::List {
            host: Domain::parse("localhost").unwrap(),
            after: after.map(jid),
            limit,
        };
        let Ok(CommandReply::Users(users)) = self.ask(list) else {
            panic!("no list");
        };
        let entry = |user: UserEntry| (user.account.as_str().to_owned(), user.status);
        users.into_iter().map(entry).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn jid(text: &str) -> BareJid {
    BareJid::parse(text).unwrap()
}

fn add(account: &str, password: &str) -> Command {
    Command::Add {
        account: jid(account),
        password: Secret::new(password.as_bytes().to_vec()),
    }
}

#[test]
fn an_account_lives_from_add_to_delete() {
    let directory = Directory::new("life");
    let account = || jid("juliet@localhost");
    let done = Ok(CommandReply::Done);
    assert_eq!(directory.ask(add("juliet@localhost", "secret")), done);
    let again = directory.ask(add("juliet@localhost", "other"));
    assert_eq!(again, Err(CommandError::Exists));
    let passwd = Command::Passwd {
        account: account(),
        password: Secret::new("p\u{e4}ss".as_bytes().to_vec()),
    };
    assert_eq!(directory.ask(passwd), done);
    let disable = Command::Disable { account: account() };
    assert_eq!(directory.ask(disable), done);
    let listed = [("juliet@localhost".to_owned(), Status::Disabled)];
    assert_eq!(directory.list(None, 10), listed);
    let enable = Command::Enable { account: account() };
    assert_eq!(directory.ask(enable), done);
    let delete = || Command::Delete { account: account() };
    assert_eq!(directory.ask(delete()), done);
    assert_eq!(directory.ask(delete()), Err(CommandError::NoSuchUser));
    assert_eq!(directory.list(None, 10), []);
}

#[test]
fn refuses_what_the_server_would_refuse() {
    let directory = Directory::new("refusals");
    let refused = directory.ask(add("juliet@elsewhere.example", "secret"));
    assert_eq!(refused, Err(CommandError::NoSuchHost));
    let refused = directory.ask(add("juliet@localhost", ""));
    assert_eq!(refused, Err(CommandError::Password));
    let refused = directory.ask(add("juliet@localhost", "bell\u{7}"));
    assert_eq!(refused, Err(CommandError::Password));
}

#[test]
fn lists_accounts_in_pages() {
    let directory = Directory::new("pages");
    for name in ["c", "a", "b"] {
        let account = format!("{name}@localhost");
        directory.ask(add(&account, "secret")).unwrap();
    }
    let names = |page: Vec<(String, Status)>| -> Vec<String> {
        page.into_iter().map(|(account, _)| account).collect()
    };
    assert_eq!(
        names(directory.list(None, 2)),
        ["a@localhost", "b@localhost"]
    );
    assert_eq!(
        names(directory.list(Some("b@localhost"), 2)),
        ["c@localhost"]
    );
}

#[test]
fn keeps_a_server_and_other_commands_out_while_it_lives() {
    let directory = Directory::new("lock");
    let settings = Settings::development(&directory.0);
    let _held = Offline::open(&settings).unwrap();
    let refusal = Offline::open(&settings).unwrap_err();
    assert!(refusal.contains("in use"), "{refusal}");
}
