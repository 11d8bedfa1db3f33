//! Real clients against the real server: each verifies the certificate, signs in by SCRAM and chats both ways.
//!
//! They run where `SPONDEE_INTEROP` is set, as `spec-tests/run` does after it has installed them: there a missing client is a
//! failure. Where it is not set, the tests say that they were left out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use spec_tests::client::Client;
use spec_tests::program::{self, Program, script};
use spec_tests::server::Server;

/// Interpreters start slowly on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const USERS: &[(&str, &str)] = &[
    ("juliet@localhost", "the lark, not the nightingale"),
    ("romeo@localhost", "pàsswörd of Rômeo"),
];

/// Where `spec-tests/run` installs what these tests need.
fn installed() -> Option<PathBuf> {
    program::installed("slixmpp, @xmpp/client and go-sendxmpp against the server")
}

/// Our own strict client, signed in as romeo: the partner of each client.
fn romeo(server: &Server) -> Client {
    let (romeo, password) = USERS[1];
    let user = romeo.split('@').next().unwrap();
    let trust = server.trust().unwrap();
    let mut client = Client::session(server.clear, "localhost", &trust, user, password).unwrap();
    client.send("<presence/>").unwrap();
    // Its echo says that the server knows: from now on messages to the bare address arrive.
    client
        .next_where(PATIENCE, |element| element.name == "presence")
        .unwrap();
    client
}

/// Waits for one line of JSON that has `key`.
fn event(program: &mut Program, key: &str) -> Value {
    program
        .wait_for(PATIENCE, |line| {
            let value: Value = serde_json::from_str(line).ok()?;
            assert!(value.get("failed").is_none(), "{line}");
            value.get(key).is_some().then_some(value)
        })
        .unwrap()
}

/// A client that is driven by JSON lines: signs in, then talks with romeo in both directions.
fn chats(server: &Server, mut program: Program) {
    program.say(USERS[0].1).unwrap();
    let signed_in = event(&mut program, "signed_in");
    let mechanism = signed_in["mechanism"].as_str().unwrap();
    assert!(mechanism.starts_with("SCRAM-SHA-"), "{signed_in}");
    server
        .wait_for_log(&["signed in", "juliet@localhost", mechanism])
        .unwrap();
    let juliet = signed_in["signed_in"].as_str().unwrap().to_owned();
    assert!(juliet.starts_with("juliet@localhost/"), "{juliet}");

    let mut romeo = romeo(server);
    let body = "Wherefore art thou & <Romeo>? \u{1f339}";
    let order = json!({"to": "romeo@localhost", "body": body});
    program.say(&order.to_string()).unwrap();
    let got = romeo.next_body(PATIENCE).unwrap();
    assert_eq!(got, (juliet.clone(), body.to_owned()));

    for to in ["juliet@localhost", juliet.as_str()] {
        romeo
            .send(&format!(
                "<message to='{to}' type='chat'><body>I t\u{e4}ke thee &amp; thy word</body></message>"
            ))
            .unwrap();
        let got = event(&mut program, "body");
        assert_eq!(got["body"], "I t\u{e4}ke thee & thy word");
        assert!(
            got["from"]
                .as_str()
                .unwrap()
                .starts_with("romeo@localhost/")
        );
    }
    program.end_input();
    let status = program.wait(PATIENCE).unwrap();
    assert!(status.success(), "{status}: {:#?}", program.seen());
    romeo.close().unwrap();
}

fn slixmpp(installed: &Path, server: &Server, how: &str) -> Command {
    let address = if how == "direct" {
        server.tls
    } else {
        server.clear
    };
    let mut command = Command::new(installed.join("venv/bin/python"));
    command
        .arg(script("slixmpp_client.py"))
        .args([how, &address.port().to_string(), USERS[0].0])
        .arg(server.authority().path());
    command
}

#[test]
fn slixmpp_chats_over_starttls() {
    let Some(installed) = installed() else {
        return;
    };
    let server = Server::start(USERS).unwrap();
    let program = Program::start(slixmpp(&installed, &server, "starttls")).unwrap();
    chats(&server, program);
}

#[test]
fn slixmpp_chats_over_direct_tls() {
    let Some(installed) = installed() else {
        return;
    };
    let server = Server::start(USERS).unwrap();
    let program = Program::start(slixmpp(&installed, &server, "direct")).unwrap();
    chats(&server, program);
}

/// That verification is on is worth a test of its own: with another authority nobody signs in.
#[test]
fn slixmpp_refuses_a_certificate_of_an_unknown_authority() {
    let Some(installed) = installed() else {
        return;
    };
    let server = Server::start(USERS).unwrap();
    let other = Server::start(&[]).unwrap();
    let mut command = Command::new(installed.join("venv/bin/python"));
    command
        .arg(script("slixmpp_client.py"))
        .args(["starttls", &server.clear.port().to_string(), USERS[0].0])
        .arg(other.authority().path());
    let mut program = Program::start(command).unwrap();
    program.say(USERS[0].1).unwrap();
    let why = program
        .wait_for(PATIENCE, |line| {
            line.contains("failed").then(|| line.to_owned())
        })
        .unwrap();
    assert!(why.contains("certificate verify failed"), "{why}");
}

fn xmppjs(installed: &Path, server: &Server) -> Program {
    // Node finds packages next to the script, so the script runs from where they are installed.
    let copy = installed.join("node/xmppjs_client.mjs");
    let mut command = Command::new(installed.join("node/bin/node"));
    command
        .arg(copy)
        .args([&server.clear.port().to_string(), USERS[0].0])
        .env("NODE_EXTRA_CA_CERTS", server.authority().path());
    Program::start(command).unwrap()
}

#[test]
fn xmppjs_chats_over_starttls() {
    let Some(installed) = installed() else {
        return;
    };
    let server = Server::start(USERS).unwrap();
    chats(&server, xmppjs(&installed, &server));
}

/// XEP-0280 and XEP-0313 as somebody writes them who has no library for them.
#[test]
fn xmppjs_has_carbons_and_pages_its_archive() {
    let Some(installed) = installed() else {
        return;
    };
    let server = Server::start(USERS).unwrap();
    let mut program = xmppjs(&installed, &server);
    program.say(USERS[0].1).unwrap();
    event(&mut program, "signed_in");
    program.say(&json!({"carbons": true}).to_string()).unwrap();
    event(&mut program, "carbons");

    let mut romeo = romeo(&server);
    let trust = server.trust().unwrap();
    let mut other =
        Client::session(server.clear, "localhost", &trust, "juliet", USERS[0].1).unwrap();
    let mut expected = Vec::new();
    for number in 0..60 {
        // Each way in turn, and each behind the other.
        let (sent, received) = (format!("question {number}"), format!("answer {number}"));
        other
            .send(&format!(
                "<message to='romeo@localhost' type='chat'><body>{sent}</body></message>"
            ))
            .unwrap();
        let (from, _) = romeo.next_body(PATIENCE).unwrap();
        romeo
            .send(&format!(
                "<message to='{from}' type='chat'><body>{received}</body></message>"
            ))
            .unwrap();
        for (way, body) in [("sent", sent), ("received", received)] {
            let copy = event(&mut program, way);
            assert_eq!(copy["body"], body);
            assert!(copy["id"].is_string(), "{copy}");
            expected.push(json!([copy["id"], copy[way], copy["body"]]));
        }
    }
    for max in [50, 7] {
        program.say(&json!({"archive": max}).to_string()).unwrap();
        assert_eq!(event(&mut program, "archive")["archive"], json!(expected));
    }
    let status = program.wait(PATIENCE).unwrap();
    assert!(status.success(), "{status}: {:#?}", program.seen());
}

/// Signs in once for each message it sends, and once more to listen.
fn go_sendxmpp(installed: &Path, server: &Server, ca: &Path) -> Command {
    let mut command = Command::new(installed.join("go-sendxmpp/usr/bin/go-sendxmpp"));
    command
        .args(["--debug", "--suppress-root-warning", "--timeout", "30"])
        .args(["--username", USERS[0].0, "--password", USERS[0].1])
        .args(["--jserver", &format!("localhost:{}", server.clear.port())])
        .env("SSL_CERT_FILE", ca)
        .env("SSL_CERT_DIR", server.scratch().join("none"))
        .env("HOME", server.scratch());
    command
}

#[test]
fn go_sendxmpp_sends_and_listens_over_starttls() {
    let Some(installed) = installed() else {
        return;
    };
    let server = Server::start(USERS).unwrap();
    let mut romeo = romeo(&server);
    let ca = server.authority().path();

    let mut command = go_sendxmpp(&installed, &server, ca);
    command.arg("romeo@localhost");
    let mut sender = Program::start(command).unwrap();
    sender
        .say("It is the \u{eb}ast, & Juliet is the <sun>")
        .unwrap();
    let status = sender.wait(PATIENCE).unwrap();
    assert!(status.success(), "{status}: {:#?}", sender.seen());
    let (from, body) = romeo.next_body(PATIENCE).unwrap();
    assert!(from.starts_with("juliet@localhost/"), "{from}");
    assert_eq!(
        body.trim_end(),
        "It is the \u{eb}ast, & Juliet is the <sun>"
    );
    server
        .wait_for_log(&["signed in", "juliet@localhost", "SCRAM-SHA-"])
        .unwrap();

    let mut command = go_sendxmpp(&installed, &server, ca);
    command.arg("--listen");
    let mut listener = Program::start(command).unwrap();
    // The server has its presence when it sends it back.
    listener
        .wait_for(PATIENCE, |line| {
            line.contains("RECV: <presence").then_some(())
        })
        .unwrap();
    let message =
        "<message to='juliet@localhost' type='chat'><body>Call me but love</body></message>";
    romeo.send(message).unwrap();
    listener
        .wait_for(PATIENCE, |line| {
            line.ends_with("romeo@localhost: Call me but love")
                .then_some(())
        })
        .unwrap();
}

#[test]
fn go_sendxmpp_refuses_a_certificate_of_an_unknown_authority() {
    let Some(installed) = installed() else {
        return;
    };
    let server = Server::start(USERS).unwrap();
    let other = Server::start(&[]).unwrap();
    let mut command = go_sendxmpp(&installed, &server, other.authority().path());
    command.arg("romeo@localhost");
    let mut sender = Program::start(command).unwrap();
    sender.say("hello").unwrap();
    let status = sender.wait(PATIENCE).unwrap();
    let said = sender.seen().join("\n");
    assert!(!status.success() && said.contains("certificate"), "{said}");
}
