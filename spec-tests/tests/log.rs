//! The log of the real server where nobody reads it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpStream;

use spec_tests::client::{BindTo, Client, PATIENCE};
use spec_tests::element::SASL;
use spec_tests::pipe::Unread;
use spec_tests::server::{Scratch, Server};
use spondee_core::sasl::{Hash, Mechanism, Plus};

const SCRAM: Mechanism = Mechanism::Scram(Hash::Sha256, Plus::No);

/// The least that is allowed: keys are not what is tested.
const QUICK: &str = "default_iteration_count = 4096\n";

/// A client below direct TLS, its stream open.
fn opened(server: &Server) -> Client {
    let trust = server.trust().unwrap();
    let mut client = Client::connect_tls(server.tls, "localhost", &trust, &[]).unwrap();
    client.open().unwrap();
    client
}

fn session(server: &Server) -> Client {
    let mut client = opened(server);
    client
        .sign_in("juliet", "secret", SCRAM, BindTo::Exporter)
        .unwrap();
    client.bind(None).unwrap();
    client
}

/// Asks for a mechanism that nobody offers, until the server has heard enough.
fn ask_for_nonsense(server: &Server) {
    let mut client = opened(server);
    for _ in 0..5 {
        client
            .send(&format!("<auth xmlns='{SASL}' mechanism='NOPE'/>"))
            .unwrap();
        let answer = client.next(PATIENCE).unwrap();
        assert_eq!(answer.condition(), Some("invalid-mechanism"));
    }
    assert_eq!(
        client.next(PATIENCE).unwrap().condition(),
        Some("policy-violation")
    );
}

/// The attack: standard error is a pipe that nobody reads, and strangers fail.
#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    let prepared = Server::prepare(Scratch::in_memory().unwrap(), QUICK).unwrap();
    prepared.add_user("juliet@localhost", "secret").unwrap();
    let mut pipe = Unread::new(prepared.scratch()).unwrap();
    let mut command = pipe.command(prepared.binary());
    // More lines, to fill what is kept for the reader.
    command.env("SPONDEE_LOG", "debug");
    let mut server = prepared.begin(command).unwrap();
    let mut early = session(&server);
    for _ in 0..160 {
        ask_for_nonsense(&server);
    }
    for _ in 0..4000 {
        drop(TcpStream::connect(server.clear).unwrap());
    }
    early
        .send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
        .unwrap();
    assert_eq!(early.next(PATIENCE).unwrap().attribute("id"), Some("p"));
    let late = session(&server);
    server.command(&["user", "list"]).unwrap();
    server.add_user("romeo@localhost", "secret").unwrap();

    // Somebody reads again, and learns how much is missing, and where.
    pipe.wait_for(&["listening on"]).unwrap();
    let gap = pipe
        .wait_for(&[" WARN ", "lines of the log are missing here"])
        .unwrap();
    let missing = gap.split(' ').find_map(|word| word.parse::<u32>().ok());
    assert!(missing.unwrap() > 100, "{gap}");
    drop((early, late));
    let after = session(&server);
    pipe.wait_for(&["signed in"]).unwrap();
    drop(after);
    server.stop().unwrap();
}

#[test]
fn the_end_does_not_wait_for_a_log_that_nobody_reads() {
    let prepared = Server::prepare(Scratch::in_memory().unwrap(), QUICK).unwrap();
    let pipe = Unread::new(prepared.scratch()).unwrap();
    let command = pipe.command(prepared.binary());
    let mut server = prepared.begin(command).unwrap();
    ask_for_nonsense(&server);
    server.stop().unwrap();
}

#[test]
fn an_error_at_the_start_is_shown_and_not_waited_for() {
    let prepared = Server::prepare(Scratch::in_memory().unwrap(), QUICK).unwrap();
    std::fs::write(prepared.data(), "no directory").unwrap();
    let error = prepared.command(&["serve"]).unwrap_err();
    assert!(
        error.contains("spondee: cannot create the data directory"),
        "{error}"
    );
    let pipe = Unread::new(prepared.scratch()).unwrap();
    let command = pipe.command(prepared.binary());
    // It ends, though nobody reads.
    let error = prepared.administer(command, &["serve"], "").unwrap_err();
    assert!(error.contains("exit status: 3"), "{error}");
}
