//! A disk that takes no more: nothing is reported done, the administrator is told, sign-ins go on, and when the disk is well again
//! so is the server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;

use spec_tests::changes::{Kept, Outcome, Passwords, Teller};
use spec_tests::client::Client;
use spec_tests::program::left_out;
use spec_tests::server::{Scratch, Server};
use spec_tests::strace;

const QUICK: &str = "default_iteration_count = 4096\n";

fn signs_in(server: &Server, password: &str) -> Result<(), String> {
    let trust = server.trust()?;
    Client::session(server.clear, "localhost", &trust, "juliet", password)?.close()
}

/// What the administrator reads in the log and by the command line.
fn tells_what_to_do(server: &Server, refusal: &str) {
    assert!(refusal.contains("exit status: 3"), "{refusal}");
    assert!(refusal.contains("nothing was changed"), "{refusal}");
    assert!(refusal.contains("the log says how"), "{refusal}");
    server
        .wait_for_log(&["ERROR", "storage failed", "spondee.sqlite", "try again"])
        .unwrap();
}

/// A limit on the size of files, as a quota is: writes fail from one moment on, until it is lifted.
#[test]
fn a_disk_that_takes_no_more_is_told_and_survived() {
    let prepared = Server::prepare(Scratch::in_memory().unwrap(), QUICK).unwrap();
    prepared.add_user("juliet@localhost", "secret").unwrap();
    let program = Command::new(prepared.binary());
    let mut server = prepared.begin(program).unwrap();
    // So that SQLite's log is longer than what the server says meanwhile in its own.
    for word in ["disable", "enable", "disable", "enable"] {
        server.command(&["user", word, "juliet@localhost"]).unwrap();
    }
    let wal = server.data().join("spondee.sqlite-wal");
    let length = fs::metadata(wal).unwrap().len().to_string();
    server.limit_files(&length).unwrap();
    for command in [
        &["user", "disable", "juliet@localhost"][..],
        &["user", "delete", "--yes", "juliet@localhost"],
    ] {
        let refusal = server.command(command).unwrap_err();
        tells_what_to_do(&server, &refusal);
        let list = server.command(&["user", "list"]).unwrap();
        assert_eq!(list, "juliet@localhost\n");
    }
    let refusal = server.add_user("romeo@localhost", "secret").unwrap_err();
    tells_what_to_do(&server, &refusal);
    signs_in(&server, "secret").unwrap();

    server.limit_files("unlimited").unwrap();
    server.add_user("romeo@localhost", "secret").unwrap();
    server
        .command(&["user", "disable", "romeo@localhost"])
        .unwrap();
    server.kill().unwrap();
    server.start_again().unwrap();
    Teller::connect(&server.data()).unwrap();
    let list = server.command(&["user", "list"]).unwrap();
    assert_eq!(list, "juliet@localhost\nromeo@localhost disabled\n");
    signs_in(&server, "secret").unwrap();
}

/// Errors of a disk that come and go. The calls of each thread are counted, so they hit the thread that stores, from some
/// change on.
#[test]
fn errors_of_a_disk_that_pass_leave_nothing_half_done() {
    if left_out("errors of a disk, which need strace") {
        return;
    }
    for (fault, reason) in [
        ("pwrite64:error=ENOSPC:when=60..80", "full"),
        ("pwrite64:error=EROFS:when=61..90+3", "store"),
    ] {
        let prepared = Server::prepare(Scratch::in_memory().unwrap(), QUICK).unwrap();
        prepared.add_user("juliet@localhost", "secret").unwrap();
        let mut command = strace::failing(fault);
        command.arg(prepared.binary());
        let mut server = prepared.begin(command).unwrap();
        let mut teller = Teller::new("a", 5);
        let mut control = Teller::connect(&server.data()).unwrap();
        let (mut before, mut refused, mut after) = (0, 0, 0);
        while after < 30 {
            match teller.step(&mut control).unwrap() {
                Outcome::Done if refused == 0 => before += 1,
                Outcome::Done => after += 1,
                Outcome::Refused(error) => {
                    assert_eq!(error, reason, "{fault}");
                    if refused == 0 {
                        signs_in(&server, "secret").unwrap();
                    }
                    refused += 1;
                }
            }
        }
        let counts = format!("{fault}: {before} done, {refused} refused, {after} done");
        assert!(before > 3 && refused > 1, "{counts}");
        server.kill().unwrap();
        let kept = Kept::read(&server.data()).unwrap();
        let faults = teller.ledger.faults(&kept, &mut Passwords::default());
        // Juliet is not in the teller's books.
        assert_eq!(faults.len(), 1, "{counts}: {faults:#?}");
        assert!(faults[0].starts_with("juliet@localhost "), "{faults:#?}");
    }
}

/// A sync that fails says nothing about what is on the disk, and one that is tried again would prove nothing (the system has
/// forgotten what it could not write). So the server ends, and the next start judges by what it finds.
#[test]
fn a_sync_that_fails_ends_the_server_and_the_next_start_goes_on_with_what_was_kept() {
    if left_out("a sync that fails, which needs strace") {
        return;
    }
    let prepared = Server::prepare(Scratch::in_memory().unwrap(), QUICK).unwrap();
    prepared.add_user("juliet@localhost", "secret").unwrap();
    let mut command = strace::failing("fsync,fdatasync:error=EIO:when=12..20");
    command.arg(prepared.binary());
    let mut server = prepared.begin(command).unwrap();
    let mut teller = Teller::new("a", 5);
    let mut control = Teller::connect(&server.data()).unwrap();
    let mut done = 0;
    // The server may end before its last answer is out.
    while let Ok(outcome) = teller.step(&mut control) {
        match outcome {
            Outcome::Done => done += 1,
            Outcome::Refused(error) => {
                assert_eq!(error, "unknown");
                break;
            }
        }
    }
    assert!(done > 3, "{done} done");
    let status = server.wait_for_end().unwrap();
    assert_eq!(status.code(), Some(3), "{status}");
    server
        .wait_for_log(&["ERROR", "nobody can know what is there", "start it again"])
        .unwrap();

    server.start_again().unwrap();
    let mut passwords = Passwords::default();
    server
        .command(&["user", "delete", "--yes", "juliet@localhost"])
        .unwrap();
    server.kill().unwrap();
    let kept = Kept::read(&server.data()).unwrap();
    let faults = teller.ledger.faults(&kept, &mut passwords);
    assert!(faults.is_empty(), "{done} done: {faults:#?}");
    teller.ledger.settle(&kept, &mut passwords);
    server.start_again().unwrap();
    let mut control = Teller::connect(&server.data()).unwrap();
    for _ in 0..30 {
        assert_eq!(teller.step(&mut control).unwrap(), Outcome::Done);
    }
}
