//! The log of the real server: what leaves a line and what does not, in which words, and what happens where nobody reads it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use spec_tests::ca::Authority;
use spec_tests::client::{BindTo, Client, PATIENCE, Trust};
use spec_tests::element::{Item, SASL, TLS};
use spec_tests::pipe::Unread;
use spec_tests::sasl::{Binding, Scram};
use spec_tests::server::{Scratch, Server};
use spec_tests::talk::header;
use spondee_core::limits::SASL_NEGOTIATIONS_MAX;
use spondee_core::sasl::{Hash, Mechanism, Plus};

const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";
const JULIET: (&str, &str) = ("juliet@localhost", "secret");
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

/// Writes, and reads until the server ends the connection.
fn say(address: SocketAddr, bytes: &[u8]) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(bytes).unwrap();
    // A server that closes while there is more to read resets the connection.
    let _ = socket.read_to_end(&mut Vec::new());
}

/// Asks for a mechanism that nobody offers, until the server has heard enough.
fn ask_for_nonsense(server: &Server) {
    let mut client = opened(server);
    for _ in 0..SASL_NEGOTIATIONS_MAX {
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

/// The lines of a log behind time and level, without those of the start.
fn lines(log: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| {
        let (_, words) = line
            .split_once("  INFO ")
            .or_else(|| line.split_once("  WARN "))?;
        Some(words.to_owned())
    });
    lines
        .skip_while(|line| !line.starts_with("listening"))
        .filter(|line| !line.starts_with("listening"))
        .collect()
}

#[test]
fn what_fails_leaves_one_line_with_address_account_and_reason() {
    let server = Server::start(&[JULIET]).unwrap();
    let without_version = header("localhost").replace("' version='1.0'", "'");
    let closing = "</stream:stream>";
    say(
        server.clear,
        format!("{without_version}{closing}").as_bytes(),
    );
    server.wait_for_log(&["unsupported-version"]).unwrap();
    say(server.tls, b"GET / HTTP/1.1\r\n\r\n");
    server.wait_for_log(&["TLS failed: ", "peer="]).unwrap();

    // Who distrusts the certificate says so.
    let scratch = Scratch::new().unwrap();
    let stranger = Authority::new(scratch.path()).unwrap();
    let trust = Trust::pem(stranger.pem()).unwrap();
    assert!(Client::connect_tls(server.tls, "localhost", &trust, &[]).is_err());
    server.wait_for_log(&["TLS failed: ", "alert"]).unwrap();
    // The beginning of a record with a hello, and nothing behind it.
    let mut socket = TcpStream::connect(server.tls).unwrap();
    socket.write_all(&[22, 3, 1, 1, 0, 1, 0, 0, 252]).unwrap();
    drop(socket);
    server.wait_for_log(&["not completed"]).unwrap();

    let mut client = opened(&server);
    let wrong = client.sign_in("juliet", "wrong", SCRAM, BindTo::Exporter);
    assert_eq!(wrong.unwrap_err(), "failure: not-authorized");
    client
        .send(&format!("<auth xmlns='{SASL}' mechanism='NOPE'/>"))
        .unwrap();
    assert!(client.next(PATIENCE).unwrap().is(SASL, "failure"));
    // A challenge that stays without an answer.
    let first = Scram::new(SCRAM, "juliet", "secret", NONCE, Binding::Unsupported);
    let first = first.unwrap().first();
    client
        .send(&format!(
            "<auth xmlns='{SASL}' mechanism='{}'>{first}</auth>",
            SCRAM.name()
        ))
        .unwrap();
    assert!(client.next(PATIENCE).unwrap().is(SASL, "challenge"));
    drop(client);
    server.wait_for_log(&["cut off"]).unwrap();

    let mut client = session(&server);
    client.send("<message></presence>").unwrap();
    assert!(client.next(PATIENCE).is_ok());
    server.wait_for_log(&["not-well-formed"]).unwrap();

    let log = server.log();
    let mut lines = lines(&log);
    for line in &mut lines {
        // The reasons that rustls gives are its own.
        if line.starts_with("TLS failed: ") && !line.contains("not completed") {
            *line = format!("TLS failed: … peer={}", line.split_once("peer=").unwrap().1);
        }
    }
    assert_eq!(
        lines,
        [
            "stream failed: unsupported-version peer=127.0.0.1",
            "TLS failed: … peer=127.0.0.1",
            "TLS failed: … peer=127.0.0.1",
            "TLS failed: the handshake was not completed peer=127.0.0.1",
            "sign-in failed: not-authorized peer=127.0.0.1 account=juliet@localhost",
            "sign-in not possible: invalid-mechanism peer=127.0.0.1",
            "sign-in cut off: the connection ended peer=127.0.0.1 account=juliet@localhost",
            "signed in account=juliet@localhost mechanism=SCRAM-SHA-256 peer=127.0.0.1",
            "stream failed: not-well-formed peer=127.0.0.1 account=juliet@localhost",
        ]
    );
}

#[test]
fn who_fails_at_nothing_leaves_no_line() {
    let mut server = Server::start(&[JULIET]).unwrap();
    for _ in 0..10 {
        drop(TcpStream::connect(server.clear).unwrap());
        drop(TcpStream::connect(server.tls).unwrap());
    }
    // A look at the features, with and without a farewell, in clear and below TLS.
    say(
        server.clear,
        format!("{}</stream:stream>", header("localhost")).as_bytes(),
    );
    let mut client = opened(&server);
    client.send("</stream:stream>").unwrap();
    assert!(matches!(client.next_item(PATIENCE), Ok(Item::Close)));
    drop(opened(&server));
    session(&server).close().unwrap();
    // The network cuts a session.
    drop(session(&server));
    drop(session(&server));
    server.stop().unwrap();
    let log = server.log();
    let lines = lines(&log);
    let signed_in = lines.iter().filter(|line| line.starts_with("signed in "));
    assert_eq!(signed_in.count(), 3, "{lines:#?}");
    assert_eq!(lines[3..], ["stopping", "stopped"]);
}

#[test]
fn starttls_where_there_is_none_leaves_a_line() {
    let server = Server::start(&[JULIET]).unwrap();
    let mut client = opened(&server);
    client.send(&format!("<starttls xmlns='{TLS}'/>")).unwrap();
    assert!(client.next(PATIENCE).unwrap().is(TLS, "failure"));
    server
        .wait_for_log(&["TLS failed: it was asked for", "peer=127.0.0.1"])
        .unwrap();
}

#[test]
fn what_an_administrator_does_is_told_and_the_end_is_the_last_line() {
    let prepared = Server::prepare(Scratch::in_memory().unwrap(), QUICK).unwrap();
    let program = Command::new(prepared.binary());
    let mut server = prepared.begin(program).unwrap();
    let who = "romeo@localhost";
    server.add_user(who, "secret").unwrap();
    for word in ["disable", "enable", "delete"] {
        server
            .command(&["user", word, who, "--yes"][..3 + usize::from(word == "delete")])
            .unwrap();
    }
    assert!(server.command(&["user", "disable", who]).is_err());
    server.stop().unwrap();
    let log = server.log();
    assert_eq!(
        lines(&log),
        [
            "account added account=romeo@localhost",
            "account disabled account=romeo@localhost",
            "account enabled account=romeo@localhost",
            "account deleted account=romeo@localhost",
            "stopping",
            "stopped",
        ]
    );
}

/// Strangers whose failures tell nothing of a password: each of them costs a line, and none of them hides one that does.
#[test]
fn a_flood_of_failures_is_summed_up() {
    let mut server = Server::start(&[JULIET]).unwrap();
    for _ in 0..20 {
        ask_for_nonsense(&server);
    }
    let wrong = opened(&server).sign_in("juliet", "wrong", SCRAM, BindTo::Exporter);
    assert_eq!(wrong.unwrap_err(), "failure: not-authorized");
    let banned = [
        "sign-in failed: not-authorized",
        "peer=127.0.0.1",
        "juliet@localhost",
    ];
    server.wait_for_log(&banned).unwrap();
    // Within the minute: its summary comes with the end at the latest.
    server.stop().unwrap();
    let log = server.log();
    let told = log.matches(" not possible: ").count() + log.matches(" stream failed: ").count();
    let summed = log.lines().filter_map(|line| {
        let (_, rest) = line.split_once("left out within a minute: ")?;
        let (count, _) = rest.split_once(" more other failures peer=127.0.0.1")?;
        count.parse::<usize>().ok()
    });
    let summed: usize = summed.sum();
    // So many sign-ins and a stream each.
    let each = usize::from(SASL_NEGOTIATIONS_MAX) + 1;
    assert_eq!(told + summed, 20 * each, "{log}");
    assert!((20..=40).contains(&told), "{log}");
    assert!(summed >= 60, "{log}");
    assert_eq!(log.matches("sign-in failed: ").count(), 1, "{log}");
}

/// The attack: standard error is a pipe that nobody reads, and strangers fail.
#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    let prepared = Server::prepare(Scratch::in_memory().unwrap(), QUICK).unwrap();
    prepared.add_user("juliet@localhost", "secret").unwrap();
    let mut pipe = Unread::new(prepared.scratch()).unwrap();
    let mut command = pipe.command(prepared.binary());
    // Lines that no address is limited in, to fill what is kept for the reader.
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
    let text = pipe.text().unwrap();
    assert!(text.trim_end().ends_with(" stopped"), "{text}");
    let told = text
        .matches("sign-in not possible: invalid-mechanism")
        .count();
    assert!((1..=20).contains(&told), "{told}");
    let sum = "more other failures peer=127.0.0.1";
    assert!(text.contains(sum), "{text}");
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
    assert!(error.contains("spondee: the data directory "), "{error}");
    let pipe = Unread::new(prepared.scratch()).unwrap();
    let command = pipe.command(prepared.binary());
    // It ends, though nobody reads.
    let error = prepared.administer(command, &["serve"], "").unwrap_err();
    assert!(error.contains("exit status: 3"), "{error}");
}
