//! What is wrong with a command line, told by what was probably meant, where the parser of arguments can only say what it expected.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Surroundings;
use super::source::Source;
use crate::config::{Settings, Wanted};

/// Hosts that are proposed.
const HOSTS_SHOWN: usize = 3;

/// What to say in place of the parser's words; `None` if they are as good.
pub(super) fn advise(
    error: &clap::Error,
    args: &[OsString],
    surroundings: &Surroundings,
) -> Option<String> {
    let line = CommandLine::of(args);
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let kind = error.kind();
    if kind == ErrorKind::UnknownArgument {
        return unknown(text(ContextKind::InvalidArg)?, &line);
    }
    if kind == ErrorKind::InvalidSubcommand {
        let word = text(ContextKind::InvalidSubcommand)?;
        return match line.word(0) {
            "archive" => archive(word),
            "passwords" => passwords(word),
            "user" => user(word),
            "cert" => cert(word),
            "check" => Some(check(word)),
            "s2s" => s2s(word),
            _ => command(word, &line),
        };
    }
    if kind == ErrorKind::ValueValidation && text(ContextKind::InvalidArg) == Some("<JID>") {
        return host_missing(text(ContextKind::InvalidValue)?, line.config, surroundings);
    }
    None
}

/// Arguments as the parser would see them.
struct CommandLine {
    /// Neither options nor what belongs to them.
    words: Vec<String>,
    /// `--config`.
    config: Option<PathBuf>,
}

impl CommandLine {
    fn of(args: &[OsString]) -> Self {
        let mut line = Self {
            words: Vec::new(),
            config: None,
        };
        let mut args = args.iter().skip(1);
        while let Some(arg) = args.next() {
            let text = arg.to_string_lossy();
            if text == "--config" {
                line.config = args.next().map(PathBuf::from);
            } else if let Some(file) = text.strip_prefix("--config=") {
                line.config = Some(PathBuf::from(file));
            } else if !text.starts_with('-') {
                line.words.push(text.into_owned());
            }
        }
        line
    }

    fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }
}

/// An option or a word too many.
fn unknown(arg: &str, line: &CommandLine) -> Option<String> {
    let is_config = ["-c", "--conf", "--cfg", "--file", "-f"].contains(&arg);
    if is_config {
        return Some("the configuration is named with --config FILE".to_owned());
    }
    let sets_password = line.word(0) == "user" && matches!(line.word(1), "add" | "passwd");
    let is_password = !arg.starts_with('-') || arg == "-p" || arg.starts_with("--p");
    if !sets_password || !is_password {
        return None;
    }
    let (task, account) = (line.word(1), line.word(2));
    let account = match account.contains('@') {
        true => account,
        false => "USER@HOST",
    };
    // What is shown does not hold it: it would be on the screen once more.
    let several = match arg.contains('@') {
        true => "only one account is named at a time, and ",
        false => "",
    };
    Some(format!(
        "{several}a password is never an argument, because every user of this machine can see those, and the shell remembers them. It is \
         asked for, or it is the first line of standard input:\n\n  spondee user {task} {account}\n  spondee user {task} {account} < \
         password.txt\n\nNothing was changed. If it was a password, use another one."
    ))
}

/// The commands of other servers' tools, and what comes to mind.
fn command(word: &str, line: &CommandLine) -> Option<String> {
    let jid = match line.word(1).contains('@') {
        true => line.word(1),
        false => "USER@HOST",
    };
    let of_user = |task: &str| format!("accounts are changed with `spondee user {task} {jid}`");
    Some(match word {
        "add" | "adduser" | "register" | "useradd" => of_user("add"),
        "change_password" | "passwd" | "password" => of_user("passwd"),
        "del" | "delete" | "deluser" | "remove" | "unregister" | "userdel" => of_user("delete"),
        "disable" | "enable" => of_user(word),
        "disconnect" | "kick" | "kick_session" | "kick_user" => {
            format!("sessions are ended with `spondee user disconnect {jid}`")
        }
        "info" | "show" => format!("an account is shown with `spondee user show {jid}`"),
        "list" | "registered_users" | "users" => {
            "accounts are listed with `spondee user list`".to_owned()
        }
        "daemon" | "foreground" | "run" | "server" | "start" => {
            "the server is started with `spondee serve`; it stays in the foreground".to_owned()
        }
        "explain" | "federation" | "outgoing_s2s" | "servers" => {
            "links to other servers are looked at with `spondee s2s explain DOMAIN` and `spondee s2s list`".to_owned()
        }
        "rehash" => "a running server reads configuration and certificates again by `spondee reload`, or on SIGHUP".to_owned(),
        "restart" | "status" | "stop" => {
            "the server stays in the foreground, so whatever started it stops it and tells of it: Ctrl-C, SIGTERM (`kill`), or its \
             service manager"
                .to_owned()
        }
        "config" | "generate" | "init" => {
            "`spondee example-config > spondee.toml` begins a configuration, `spondee check config spondee.toml` checks one".to_owned()
        }
        file if is_file(file) => format!("a configuration is named with `spondee --config {file}`"),
        jid if jid.contains('@') => format!("accounts are added with `spondee user add {jid}`"),
        _ => return None,
    })
}

fn is_file(word: &str) -> bool {
    word.contains('/') || word.ends_with(".toml") || word.ends_with(".lua")
}

/// The same behind `user`.
fn user(word: &str) -> Option<String> {
    let task = match word {
        "adduser" | "create" | "new" | "register" => "add",
        "change" | "password" | "reset" | "set-password" => "passwd",
        "del" | "remove" | "rm" | "unregister" => "delete",
        "forget" | "purge" | "wipe" => "erase",
        "ban" | "block" | "lock" | "suspend" => "disable",
        "close" | "end" | "kick" | "logout" => "disconnect",
        "unban" | "unblock" | "unlock" => "enable",
        "ls" => "list",
        "devices" | "info" | "resources" | "sessions" | "status" => "show",
        jid if jid.contains('@') => {
            return Some(format!(
                "what is to be done with {jid}? For example `spondee user add {jid}`; `spondee user --help` shows what there is"
            ));
        }
        _ => return None,
    };
    Some(format!("this is called `spondee user {task}`"))
}

/// The same behind `cert`.
fn cert(word: &str) -> Option<String> {
    let task = match word {
        "info" | "list" | "view" => "show",
        "copy" | "install" => "import",
        "create" | "make" | "new" | "self-signed" => "generate",
        "csr" => "request",
        "hash" | "sha256" => "fingerprint",
        "check" | "verify" => return Some("this is called `spondee check certs`".to_owned()),
        "renew" => {
            return Some(
                "what renews certificates is certbot, lego or acme.sh; `spondee cert import` brings what they renewed".to_owned(),
            );
        }
        _ => return None,
    };
    Some(format!("this is called `spondee cert {task}`"))
}

/// The same behind `s2s`.
fn s2s(word: &str) -> Option<String> {
    let task = match word {
        "check" | "test" | "why" => "explain",
        "connections" | "ls" | "show" | "status" => "list",
        "disconnect" | "drop" | "kick" | "reset" | "stop" => "close",
        "reach" => return Some("this is called `spondee reach DOMAIN --server`".to_owned()),
        _ => return None,
    };
    Some(format!("this is called `spondee s2s {task}`"))
}

/// The same behind `check`.
fn check(word: &str) -> String {
    match word {
        "cert" | "certificate" | "certificates" => {
            "this is called `spondee check certs`".to_owned()
        }
        _ => format!(
            "`spondee check config` looks at a configuration: `spondee check config {word}`"
        ),
    }
}

/// The same behind `archive`.
fn archive(word: &str) -> Option<String> {
    let task = match word {
        "count" | "info" | "list" | "show" | "size" | "status" => "stats",
        "clean" | "cleanup" | "delete" | "expire" | "prune" | "purge" | "remove" => "trim",
        _ => return None,
    };
    Some(format!("this is called `spondee archive {task}`"))
}

/// The same behind `passwords`.
fn passwords(word: &str) -> Option<String> {
    match word {
        "convert" | "encrypt" | "hash" | "migrate" | "update" => {
            Some("this is called `spondee passwords upgrade`".to_owned())
        }
        _ => None,
    }
}

/// An account without its host: those that are served come to mind.
fn host_missing(
    name: &str,
    config: Option<PathBuf>,
    surroundings: &Surroundings,
) -> Option<String> {
    if name.contains(['@', '/']) {
        return None;
    }
    let settings = match Source::find(config, surroundings) {
        Source::File(file) => {
            Settings::load_for(&file, Wanted::Command).or_else(|error| match error.rest {
                Some(rest) => Ok(rest.settings),
                None => Err(()),
            })
        }
        Source::Development(directory) => Ok(Settings::development(&directory)),
    };
    let settings = settings.ok()?;
    let hosts: Vec<&str> = settings
        .config
        .realms()
        .map(|(host, _)| host.as_str())
        .collect();
    if hosts.contains(&name) {
        return Some(format!(
            "{name} is a host; an account of it is written USER@{name}, such as juliet@{name}"
        ));
    }
    let accounts: Vec<String> = hosts
        .iter()
        .take(HOSTS_SHOWN)
        .map(|host| format!("{name}@{host}"))
        .collect();
    let which = match hosts.len() {
        0 => return None,
        1 => accounts.concat(),
        2..=HOSTS_SHOWN => format!("one of {}", accounts.join(", ")),
        more => format!(
            "{}, or at another of the {more} hosts that are served",
            accounts.join(", ")
        ),
    };
    Some(format!("an account is written USER@HOST: {which}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::Args;
    use crate::scratch::Scratch;

    /// What is said of a line, beside a configuration with these hosts.
    fn told(line: &str, hosts: &[&str]) -> Option<String> {
        let scratch = Scratch::new();
        let config = scratch.path().join("spondee.toml");
        let sections: String = hosts
            .iter()
            .map(|host| format!("[host.\"{host}\"]\n"))
            .collect();
        std::fs::write(&config, sections).unwrap();
        let surroundings = Surroundings {
            config: (!hosts.is_empty()).then_some(config),
            system_config: scratch.path().join("none"),
            directory: scratch.path().to_owned(),
            renewed: Vec::new(),
        };
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let error = Args::try_parse_from(&args).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        advise(&error, &args, &surroundings)
    }

    #[test]
    fn a_password_as_an_argument_is_told_where_it_belongs_and_not_shown() {
        for line in [
            "spondee user add juliet@localhost secret",
            "spondee user passwd juliet@localhost secret",
            "spondee user add juliet@localhost --password secret",
            "spondee user add --password=secret juliet@localhost",
            "spondee user passwd juliet@localhost -p secret",
            "spondee --config=x.toml user add juliet@localhost secret",
            "spondee user add --config x.toml juliet@localhost secret",
        ] {
            let told = told(line, &[]).unwrap();
            for words in [
                "a password is never an argument",
                "first line of standard input",
                "juliet@localhost < password.txt",
            ] {
                assert!(told.contains(words), "{line}: {told}");
            }
            assert!(!told.contains("secret"), "{line}: {told}");
        }
        let two = told("spondee user add juliet@localhost romeo@localhost", &[]).unwrap();
        assert!(two.contains("one account is named at a time"), "{two}");
        // Misspelt options are left to the parser, which knows what is like them.
        assert_eq!(told("spondee user list --jsn", &[]), None);
        assert_eq!(told("spondee user add juliet@localhost --yes", &[]), None);
    }

    #[test]
    fn an_account_without_a_host_is_proposed_at_those_that_are_served() {
        let one = told("spondee user add juliet", &["a.example"]).unwrap();
        assert_eq!(one, "an account is written USER@HOST: juliet@a.example");
        let two = told("spondee user passwd juliet", &["a.example", "b.example"]).unwrap();
        assert!(
            two.ends_with("one of juliet@a.example, juliet@b.example"),
            "{two}"
        );
        let hosts = ["a.example", "b.example", "c.example", "d.example"];
        let many = told("spondee user delete juliet", &hosts).unwrap();
        assert!(
            many.ends_with("or at another of the 4 hosts that are served"),
            "{many}"
        );
        let host = told("spondee user disable a.example", &["a.example"]).unwrap();
        assert!(host.contains("a.example is a host"), "{host}");
        let development = told("spondee user add juliet", &[]).unwrap();
        assert!(development.ends_with("juliet@localhost"), "{development}");
        assert_eq!(told("spondee --config nowhere user add juliet", &[]), None);
    }

    #[test]
    fn the_words_of_other_tools_are_understood() {
        for (line, words) in [
            (
                "spondee adduser juliet@localhost",
                "`spondee user add juliet@localhost`",
            ),
            (
                "spondee passwd juliet@localhost",
                "`spondee user passwd juliet@localhost`",
            ),
            (
                "spondee deluser juliet@localhost",
                "`spondee user delete juliet@localhost`",
            ),
            (
                "spondee register juliet localhost secret",
                "`spondee user add USER@HOST`",
            ),
            (
                "spondee juliet@localhost",
                "`spondee user add juliet@localhost`",
            ),
            (
                "spondee user juliet@localhost",
                "`spondee user add juliet@localhost`",
            ),
            (
                "spondee user remove juliet@localhost",
                "`spondee user delete`",
            ),
            (
                "spondee user block juliet@localhost",
                "`spondee user disable`",
            ),
            (
                "spondee kick_user juliet@localhost",
                "`spondee user disconnect juliet@localhost`",
            ),
            (
                "spondee user kick juliet@localhost",
                "`spondee user disconnect`",
            ),
            ("spondee users", "`spondee user list`"),
            (
                "spondee show juliet@localhost",
                "`spondee user show juliet@localhost`",
            ),
            ("spondee user info juliet@localhost", "`spondee user show`"),
            (
                "spondee archive purge juliet@localhost",
                "`spondee archive trim`",
            ),
            ("spondee archive size", "`spondee archive stats`"),
            ("spondee start", "`spondee serve`"),
            ("spondee stop", "SIGTERM"),
            ("spondee rehash", "`spondee reload`"),
            ("spondee init", "`spondee example-config"),
            ("spondee spondee.toml", "`spondee --config spondee.toml`"),
            (
                "spondee check spondee.toml",
                "`spondee check config spondee.toml`",
            ),
            ("spondee check certificates", "`spondee check certs`"),
            ("spondee -c spondee.toml", "--config FILE"),
        ] {
            let told = told(line, &[]).unwrap();
            assert!(told.contains(words), "{line}: {told}");
        }
        assert_eq!(told("spondee frobnicate", &[]), None);
        assert_eq!(told("spondee user frobnicate", &[]), None);
        assert_eq!(told("spondee archive frobnicate", &[]), None);
    }
    #[test]
    fn other_words_for_what_is_done_with_certificates_are_understood() {
        for (line, words) in [
            ("spondee cert csr a.example", "`spondee cert request`"),
            ("spondee cert info a.example", "`spondee cert show`"),
            ("spondee cert install", "`spondee cert import`"),
            ("spondee cert new a.example", "`spondee cert generate`"),
            ("spondee cert verify", "`spondee check certs`"),
            ("spondee cert renew", "`spondee cert import` brings"),
            ("spondee s2s show", "`spondee s2s list`"),
            ("spondee s2s kick b.example", "`spondee s2s close`"),
            ("spondee s2s why b.example", "`spondee s2s explain`"),
            (
                "spondee s2s reach b.example",
                "`spondee reach DOMAIN --server`",
            ),
            ("spondee explain b.example", "`spondee s2s explain DOMAIN`"),
        ] {
            let told = told(line, &[]).unwrap();
            assert!(told.contains(words), "{line}: {told}");
        }
        assert_eq!(told("spondee cert frobnicate", &[]), None);
    }
}
