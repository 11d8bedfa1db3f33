use std::fs;

use clap::CommandFactory as _;
use spondee_core::secret::Secret;

use super::args::UserCommand;
use super::password::{Answer, Ask, From, first_line};
use super::*;
use crate::scratch::Scratch;

/// Somebody who types this.
struct Typist {
    password: &'static str,
    answer: Answer,
    asked: Vec<String>,
}

impl Typist {
    const fn new(password: &'static str) -> Self {
        Self {
            password,
            answer: Answer::Yes,
            asked: Vec::new(),
        }
    }
}

impl Ask for Typist {
    fn password(&mut self, account: &str, _: From) -> Result<Secret, Failure> {
        self.asked.push(account.to_owned());
        Ok(Secret::new(self.password.as_bytes().to_vec()))
    }

    fn confirm(&mut self, question: &str) -> Result<Answer, Failure> {
        self.asked.push(question.to_owned());
        Ok(self.answer)
    }
}

/// `spondee user` with these words, without a server, in this directory: what it printed, or its exit code and sentence.
fn user(directory: &Scratch, typist: &mut Typist, words: &[&str]) -> Result<String, (u8, String)> {
    let settings = Settings::development(directory.path());
    let arguments = ["spondee", "user"].iter().chain(words);
    let arguments = Arguments::try_parse_from(arguments).unwrap();
    let Some(Command::User(command)) = arguments.command else {
        panic!("{arguments:?}");
    };
    let mut out = Vec::new();
    user::run(&command, &settings, typist, &mut out)
        .map(|()| String::from_utf8(out).unwrap())
        .map_err(|failure| (failure.code(), failure.sentence().unwrap_or("").to_owned()))
}

#[test]
fn the_arguments_are_consistent_and_every_command_has_examples() {
    fn walk(command: &mut clap::Command, path: &str) {
        let help = command.render_long_help().to_string();
        if command.get_subcommands().next().is_none() {
            assert!(help.contains("Example"), "{path}: {help}");
        }
        // clap's own `help` is no command of ours.
        let ours = |sub: &&mut clap::Command| sub.get_name() != "help";
        for sub in command.get_subcommands_mut().filter(ours) {
            let path = format!("{path} {}", sub.get_name());
            walk(sub, &path);
        }
    }
    let mut command = Arguments::command();
    command.clone().debug_assert();
    let help = command.render_long_help().to_string();
    assert!(help.contains("Exit codes: 0"), "{help}");
    walk(&mut command, "spondee");
}

#[test]
fn a_password_is_never_an_argument() {
    for words in [
        ["add", "a@localhost", "secret"],
        ["passwd", "a@localhost", "secret"],
    ] {
        let arguments = ["spondee", "user"].into_iter().chain(words);
        assert!(Arguments::try_parse_from(arguments).is_err());
    }
}

#[test]
fn without_a_command_the_server_runs() {
    let arguments = Arguments::try_parse_from(["spondee", "--config", "x.toml"]).unwrap();
    assert!(arguments.command.is_none());
    assert_eq!(arguments.config, Some(PathBuf::from("x.toml")));
}

#[test]
fn accounts_are_managed_without_a_server() {
    let directory = Scratch::new();
    let mut typist = Typist::new("secret");
    let added = user(&directory, &mut typist, &["add", "Juliet@localhost"]);
    assert_eq!(added.unwrap(), "juliet@localhost added\n");
    let again = user(&directory, &mut typist, &["add", "juliet@localhost"]).unwrap_err();
    assert_eq!(again.0, 1);
    assert!(again.1.contains("exists already"), "{}", again.1);
    user(&directory, &mut typist, &["add", "romeo@localhost"]).unwrap();
    user(&directory, &mut typist, &["disable", "romeo@localhost"]).unwrap();
    let text = user(&directory, &mut typist, &["list"]).unwrap();
    assert_eq!(text, "juliet@localhost enabled\nromeo@localhost disabled\n");
    let json = user(&directory, &mut typist, &["list", "localhost", "--json"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[1]["account"], "romeo@localhost");
    assert_eq!(json[1]["status"], "disabled");
    user(&directory, &mut typist, &["enable", "romeo@localhost"]).unwrap();
    user(&directory, &mut typist, &["passwd", "romeo@localhost"]).unwrap();
    let unknown = user(&directory, &mut typist, &["passwd", "nobody@localhost"]).unwrap_err();
    assert_eq!(
        unknown,
        (1, "there is no account nobody@localhost".to_owned())
    );
}

#[test]
fn an_empty_list_is_an_empty_array() {
    let json = user(&Scratch::new(), &mut Typist::new(""), &["list", "--json"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json, serde_json::json!([]));
}

#[test]
fn deleting_asks_first_unless_told_not_to() {
    let directory = Scratch::new();
    let mut typist = Typist::new("secret");
    user(&directory, &mut typist, &["add", "a@localhost"]).unwrap();
    typist.answer = Answer::No;
    let kept = user(&directory, &mut typist, &["delete", "a@localhost"]).unwrap_err();
    assert_eq!(kept, (1, "nothing was deleted".to_owned()));
    assert!(typist.asked.last().unwrap().contains("a@localhost"));
    let asked = typist.asked.len();
    let gone = user(&directory, &mut typist, &["delete", "a@localhost", "--yes"]);
    assert_eq!(gone.unwrap(), "a@localhost deleted\n");
    assert_eq!(typist.asked.len(), asked);
    assert_eq!(user(&directory, &mut typist, &["list"]).unwrap(), "");
}

#[test]
fn a_host_that_is_not_served_is_answered_with_those_that_are() {
    let mut typist = Typist::new("secret");
    let words = ["add", "a@elsewhere.example"];
    let (code, sentence) = user(&Scratch::new(), &mut typist, &words).unwrap_err();
    assert_eq!(code, 1);
    assert!(
        sentence.contains("elsewhere.example is not served"),
        "{sentence}"
    );
    assert!(sentence.ends_with("localhost"), "{sentence}");
    assert!(typist.asked.is_empty(), "nobody types a password in vain");
}

#[test]
fn an_address_that_is_none_is_wrong_usage() {
    for address in ["localhost", "a@", "a@localhost/phone", "a b@localhost"] {
        let words = ["disable", address];
        let (code, _) = user(&Scratch::new(), &mut Typist::new(""), &words).unwrap_err();
        assert_eq!(code, 2, "{address}");
    }
}

#[test]
fn a_data_directory_in_use_without_a_server_says_try_again() {
    let directory = Scratch::new();
    let _held = crate::boot::DataDirectory::open(directory.path()).unwrap();
    let (code, sentence) = user(&directory, &mut Typist::new(""), &["list"]).unwrap_err();
    assert_eq!(code, 3);
    assert!(sentence.contains("in use"), "{sentence}");
}

#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let directory = Scratch::new();
    user(
        &directory,
        &mut Typist::new("secret"),
        &["add", "a@localhost"],
    )
    .unwrap();
    let settings = Settings::development(directory.path());
    let list = UserCommand::List {
        host: None,
        json: false,
    };
    let failure = user::run(&list, &settings, &mut Typist::new(""), &mut Closed).unwrap_err();
    assert_eq!((failure.code(), failure.sentence()), (0, None));
}

#[test]
fn a_password_is_the_first_line_without_its_end() {
    let read = |input: &[u8]| first_line(&mut &*input).map(|secret| secret.expose().to_vec());
    for input in [
        "pass word",
        "pass word\n",
        "pass word\r\n",
        "pass word\nmore",
    ] {
        assert_eq!(read(input.as_bytes()).unwrap(), b"pass word", "{input:?}");
    }
    assert!(read(b"").is_err());
    assert!(read(b"\nsecret").is_err());
    assert!(read(b"\xff\n").is_err());
    assert!(read(&[b'x'; 5000]).is_err());
}

#[test]
fn checking_tells_every_fault_and_warns_of_missing_certificates() {
    let directory = Scratch::new();
    let file = directory.path().join("spondee.toml");
    let check = |text: &str, json: &str| {
        fs::write(&file, text).unwrap();
        let words = ["spondee", "check", "config", json];
        let words = words.into_iter().filter(|word| !word.is_empty());
        let arguments = Arguments::try_parse_from(words).unwrap();
        let Some(Command::Check(CheckCommand::Config(check))) = arguments.command else {
            panic!("{arguments:?}");
        };
        let mut out = Vec::new();
        let outcome = check::config(&check, &Source::File(file.clone()), &mut out);
        let code = outcome.map_or_else(|failure| failure.code(), |()| 0);
        (code, String::from_utf8(out).unwrap())
    };
    let (code, out) = check("wrong = 1\nalso_wrong = 2\n[host.\"x.example\"]\n", "");
    assert_eq!((code, out.matches("fault: ").count()), (1, 2), "{out}");

    fs::create_dir(directory.path().join("certs")).unwrap();
    let (code, out) = check("[host.\"x.example\"]\n", "");
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("warning: no certificate for x.example"),
        "{out}"
    );

    let (code, out) = check("[host.\"x.example\"]\n", "--json");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["hosts"][0]), (0, &"x.example".into()));

    let (code, out) = check("", "--example");
    assert_eq!((code, &*out), (0, crate::config::EXAMPLE));
}

#[test]
fn a_development_server_makes_its_certificate_and_says_so_in_five_lines() {
    let directory = Scratch::new();
    for _ in 0..2 {
        let settings = Settings::development(directory.path());
        let certificate = settings.certificates.join("localhost.crt");
        let mut out = Vec::new();
        let shell = |booted: Booted| {
            let host = spondee_core::jid::Domain::parse("localhost").unwrap();
            assert!(booted.tls.has(&host));
            Ok(())
        };
        serve::serve(Source::Development, settings, shell, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains(&certificate.display().to_string()), "{text}");
    }
}
