//! Smack's own integration tests against the server: those of `interop/smack/tests.txt` that must pass do.
//!
//! The list names every test there is, so none is left out silently: one that is not in it fails this, as does one that waits for an
//! extension which the server has by now. They run as those of interop.rs do; where `SPONDEE_LONG` is set, what waits for an
//! extension is tried, too, and must not pass unnoticed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use spec_tests::program::{Program, installed, script};
use spec_tests::server::Server;
use spondee_core::xep::INDEX;

/// How many must pass: who takes one off the list changes this, too.
const PASSES: usize = 36;
/// What each test waits for an answer at most. None of those that pass waits for something not to come.
const REPLY_TIMEOUT_MS: &str = "30000";
/// The same for what is expected to fail.
const SHORT_TIMEOUT_MS: &str = "3000";
/// A test that gets no answer again and again.
const PATIENCE: Duration = Duration::from_secs(240);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Passes,
    Needs(u16),
    Unsteady,
}

/// What the list says of each test.
fn list() -> BTreeMap<String, Expected> {
    let text = std::fs::read_to_string(script("smack/tests.txt")).unwrap();
    let lines = text.lines().map(str::trim);
    let mut list = BTreeMap::new();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let (name, expected) = match words[..] {
            ["passes", name] => (name, Expected::Passes),
            ["unsteady", name] => (name, Expected::Unsteady),
            ["needs", xep, name] => {
                let number = xep.strip_prefix("XEP-").and_then(|text| text.parse().ok());
                (name, Expected::Needs(number.unwrap()))
            }
            _ => panic!("tests.txt: {line}"),
        };
        let twice = list.insert(name.to_owned(), expected);
        assert_eq!(twice, None, "{name} is listed twice");
    }
    list
}

fn with(list: &BTreeMap<String, Expected>, wanted: impl Fn(Expected) -> bool) -> Vec<&str> {
    let found = list.iter().filter(|(_, expected)| wanted(**expected));
    found.map(|(name, _)| name.as_str()).collect()
}

/// Smack's framework with the list's tests, waiting for the name of one.
struct Smack {
    program: Program,
    tests: BTreeSet<String>,
}

impl Smack {
    fn start(installed: &Path, server: &Server, timeout_ms: &str) -> Self {
        let smack = installed.join("smack");
        let classes = format!("{0}/classes:{0}/lib/*", smack.display());
        let mut command = Command::new("java");
        command
            // Smack reads settings from the home and working directories.
            .arg(format!("-Duser.home={}", server.scratch().display()))
            .current_dir(server.scratch())
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args(["-cp", &classes, "interop.Main", "127.0.0.1"])
            .args([&server.clear.port().to_string(), "localhost"])
            .arg(server.authority().path())
            .arg(timeout_ms);
        let mut smack = Self {
            program: Program::start(command).unwrap(),
            tests: BTreeSet::new(),
        };
        loop {
            let line = smack.line();
            match text(&line, "test") {
                Some(name) => smack.tests.insert(name),
                None => break,
            };
        }
        smack
    }

    fn line(&mut self) -> Value {
        // Smack logs a good deal, but no objects.
        let object = |line: &str| serde_json::from_str(line).ok().filter(Value::is_object);
        self.program.wait_for(PATIENCE, object).unwrap()
    }

    /// Runs one test; what is wrong, `None` if nothing is.
    fn run(&mut self, server: &Server, name: &str) -> Option<String> {
        self.program.say(name).unwrap();
        loop {
            let line = self.line();
            if let Some(account) = text(&line, "account") {
                let password = text(&line, "password").unwrap();
                let account = format!("{account}@localhost");
                server.add_user(&account, &password).unwrap();
                self.program.say("it is there").unwrap();
                continue;
            }
            let result = text(&line, "result").unwrap();
            let why = text(&line, "why").unwrap_or_default();
            let trace = text(&line, "trace").unwrap_or_default();
            return match result.as_str() {
                "passed" => None,
                _ => Some(format!("{name} {result}: {why}\n{trace}\n")),
            };
        }
    }
}

fn text(line: &Value, key: &str) -> Option<String> {
    Some(line.get(key)?.as_str()?.to_owned())
}

#[test]
fn the_list_waits_for_nothing_that_is_there() {
    let list = list();
    for (name, expected) in &list {
        if let Expected::Needs(number) = expected {
            let there = INDEX.iter().any(|xep| xep.number == *number);
            assert!(!there, "{name} waits for XEP-{number:04}, which is there");
        }
    }
    let passes = with(&list, |expected| expected == Expected::Passes);
    assert_eq!(passes.len(), PASSES, "{passes:#?}");
}

#[test]
fn smacks_tests_pass() {
    let Some(installed) = installed("Smack's integration tests") else {
        return;
    };
    let server = Server::start(&[]).unwrap();
    let mut smack = Smack::start(&installed, &server, REPLY_TIMEOUT_MS);
    let list = list();
    let listed: BTreeSet<String> = list.keys().cloned().collect();
    assert_eq!(smack.tests, listed, "tests.txt names each test there is");

    let passes = with(&list, |expected| expected == Expected::Passes);
    let wrong: Vec<String> = passes
        .iter()
        .filter_map(|name| smack.run(&server, name))
        .collect();
    let (count, all) = (wrong.len(), passes.len());
    assert!(wrong.is_empty(), "{count} of {all}:\n{}", wrong.join("\n"));

    if std::env::var_os("SPONDEE_LONG").is_some() {
        let mut smack = Smack::start(&installed, &server, SHORT_TIMEOUT_MS);
        let waiting = with(&list, |expected| matches!(expected, Expected::Needs(_)));
        let passed: Vec<&str> = waiting
            .into_iter()
            .filter(|name| smack.run(&server, name).is_none())
            .collect();
        assert_eq!(passed, [""; 0], "they pass by now: say so in tests.txt");
    }
}
