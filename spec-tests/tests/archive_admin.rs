//! What an administrator does with archives and users while the server runs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use spec_tests::client::{Client, PATIENCE, Trust};
use spec_tests::server::{Server, Setup};

const JULIET: (&str, &str) = ("juliet@localhost", "secret");
const ROMEO: (&str, &str) = ("romeo@localhost", "secret");
/// In every message.
const MARKER: &str = "QUEEN-MAB";
const MESSAGES: usize = 1200;

/// How often it stands in the files of the data directory.
fn found(server: &Server) -> usize {
    let files = fs::read_dir(server.data()).unwrap();
    let files = files.map(|file| fs::read(file.unwrap().path()).unwrap_or_default());
    let count = |bytes: Vec<u8>| {
        let parts = bytes.windows(MARKER.len());
        parts.filter(|part| *part == MARKER.as_bytes()).count()
    };
    files.map(count).sum()
}

fn json(server: &Server, whose: &str) -> serde_json::Value {
    let stats = server.command(&["archive", "stats", "--json", whose]);
    serde_json::from_str(&stats.unwrap()).unwrap()
}

/// Romeo is away.
fn write_to_romeo(server: &Server, trust: &Trust) {
    let mut juliet = Client::session(server.clear, "localhost", trust, "juliet", "secret").unwrap();
    for number in 0..MESSAGES {
        let body = format!("<body>{MARKER} {number}</body>");
        let message = format!("<message to='romeo@localhost' type='chat'>{body}</message>");
        juliet.send(&message).unwrap();
        if number % 100 == 99 {
            // All of it is with the server.
            let ping = "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";
            juliet.send(ping).unwrap();
            let is_pong = |pong: &spec_tests::element::Element| pong.attribute("id") == Some("p");
            juliet.next_where(PATIENCE, is_pong).unwrap();
        }
    }
    juliet.close().unwrap();
}

#[test]
fn archives_are_counted_trimmed_and_erased_while_the_server_runs() {
    let setup = Setup {
        options: "threads = 2\n",
        ..Setup::default()
    };
    let server = Server::start_with(&[JULIET, ROMEO], setup).unwrap();
    let trust = server.trust().unwrap();
    write_to_romeo(&server, &trust);
    let romeo = json(&server, "romeo@localhost");
    assert_eq!(
        (&romeo["messages"], &romeo["waiting"]),
        (&MESSAGES.into(), &MESSAGES.into())
    );
    assert_eq!(json(&server, "juliet@localhost")["waiting"], 0);
    let all = server.command(&["archive", "stats"]).unwrap();
    assert!(
        all.starts_with(&format!("localhost: 2 users, {} messages, ", 2 * MESSAGES)),
        "{all}"
    );
    // What waits for Romeo stays until he is there; nothing of it is in his archive.
    let trim = [
        "archive",
        "trim",
        "--yes",
        "localhost",
        "--before",
        "2100-01-01",
    ];
    let said = server.command(&trim).unwrap();
    assert_eq!(
        said,
        "2400 messages of users of localhost from before 2100-01-01 removed\n"
    );
    let romeo = json(&server, "romeo@localhost");
    assert_eq!(
        (&romeo["messages"], &romeo["waiting"]),
        (&0.into(), &MESSAGES.into())
    );
    assert!(found(&server) >= MESSAGES);
    // His client signs in and is there when he is erased.
    let mut client = Client::session(server.clear, "localhost", &trust, "romeo", "secret").unwrap();
    let said = server.command(&["user", "erase", "--yes", "romeo@localhost"]);
    assert_eq!(
        said.unwrap(),
        "romeo@localhost was erased: nothing that the server kept for it is left in the database\n"
    );
    assert_eq!(found(&server), 0);
    let error = client.next(PATIENCE).unwrap();
    assert_eq!(error.condition(), Some("not-authorized"), "{error}");
    assert!(Client::session(server.clear, "localhost", &trust, "romeo", "secret").is_err());
    let again = server.command(&["user", "erase", "--yes", "romeo@localhost"]);
    assert!(
        again
            .unwrap_err()
            .contains("there is no user romeo@localhost")
    );
}
