//! What only a process of its own can show of the log: a thread that panics in a server.

use std::process::{Command, Stdio};

use spondee_shell_common::config::LogLevel;
use spondee_shell_common::log;

/// Set in the process that is to panic.
const DOOMED: &str = "SPONDEE_TEST_DOOMED";

/// The process below, if it is that; nothing among the other tests.
#[test]
fn doomed() {
    if std::env::var_os(DOOMED).is_none() {
        return;
    }
    log::start(LogLevel::Error).unwrap();
    let thread = std::thread::Builder::new().name("some-thread".to_owned());
    let ended = thread.spawn(|| panic!("of a test")).unwrap().join();
    assert!(ended.is_err());
}

#[test]
fn a_thread_that_panics_says_so_in_the_log() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["doomed", "--exact", "--nocapture"])
        .env(DOOMED, "")
        .env("RUST_BACKTRACE", "1")
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8(output.stderr).unwrap();
    let (line, trace) = log.split_once('\n').unwrap();
    for words in [
        " ERROR an error of this program, please report it: thread some-thread panicked at ",
        "log.rs:",
        ": of a test",
    ] {
        assert!(line.contains(words), "{log}");
    }
    assert!(trace.contains("doomed"), "{log}");
}
