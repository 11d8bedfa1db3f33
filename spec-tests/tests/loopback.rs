//! The binary over real sockets: two threads, so that connections move and stanzas cross.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::thread;

use spec_tests::ca::Authority;
use spec_tests::client::{BindTo, Client, PATIENCE, Trust};
use spec_tests::element::{Item, SASL, STREAMS};
use spec_tests::sasl::plain;
use spec_tests::server::{Server, binary};
use spondee_core::sasl::{Hash, Mechanism, Plus};

const HOST: &str = "localhost";
const PASSWORD: &str = "secret";

fn server(names: &[&str]) -> Server {
    let accounts: Vec<String> = names.iter().map(|name| format!("{name}@{HOST}")).collect();
    let users: Vec<(&str, &str)> = accounts
        .iter()
        .map(|account| (account.as_str(), PASSWORD))
        .collect();
    Server::start_program(binary().unwrap(), &users).unwrap()
}

fn session(server: &Server, name: &str) -> Client {
    let trust = server.trust().unwrap();
    let mut client = Client::session(server.clear, HOST, &trust, name, PASSWORD).unwrap();
    client.send("<presence/>").unwrap();
    // The presence comes back to its own resource (RFC 6121 §4.2.2): from now on it is routed to.
    let presence = client.next_where(PATIENCE, |element| element.is(CLIENT, "presence"));
    presence.unwrap();
    client
}

const CLIENT: &str = "jabber:client";

fn message(to: &str, body: &str) -> String {
    format!("<message to='{to}@{HOST}' type='chat'><body>{body}</body></message>")
}

fn signal(server: &Server, name: &str) {
    let status = Command::new("kill")
        .args([name, &server.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// With twelve accounts on two shards, practically always some connections move and some messages cross.
#[test]
fn everybody_reaches_everybody_whichever_thread_they_are_on() {
    let names: Vec<String> = (0..12).map(|n| format!("user{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = server(&names);
    let mut clients: Vec<Client> = names.iter().map(|name| session(&server, name)).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        for n in 0..5 {
            let to = names[(index + 1) % names.len()];
            client.send(&message(to, &format!("{n}"))).unwrap();
        }
    }
    for (index, client) in clients.iter_mut().enumerate() {
        let before = names[(index + names.len() - 1) % names.len()];
        for n in 0..5 {
            let (from, body) = client.next_body(PATIENCE).unwrap();
            assert!(from.starts_with(&format!("{before}@{HOST}/")), "{from}");
            assert_eq!(body, format!("{n}"));
        }
    }
    for client in clients {
        client.close().unwrap();
    }
    signal(&server, "-USR1");
    let line = server.wait_for_log(&["counters:"]).unwrap();
    assert!(line.contains(" accepted=") && line.contains(" commits="));
}

#[test]
fn signs_in_over_direct_tls_with_channel_binding() {
    let server = server(&["juliet"]);
    let trust = server.trust().unwrap();
    let mut client = Client::connect_tls(server.tls, HOST, &trust, &["xmpp-client"]).unwrap();
    client.open().unwrap();
    let mechanism = Mechanism::Scram(Hash::Sha256, Plus::Yes);
    client
        .sign_in("juliet", PASSWORD, mechanism, BindTo::Exporter)
        .unwrap();
    client.bind(Some("balcony")).unwrap();
    client.close().unwrap();
}

#[test]
fn takes_sign_in_bind_and_a_hundred_stanzas_in_one_write() {
    let server = server(&["juliet", "romeo"]);
    let mut romeo = session(&server, "romeo");
    let trust = server.trust().unwrap();
    let mut juliet = Client::connect_tls(server.tls, HOST, &trust, &[]).unwrap();
    juliet.open().unwrap();
    let mut all = format!(
        "<auth xmlns='{SASL}' mechanism='PLAIN'>{}</auth>\
         <stream:stream to='{HOST}' version='1.0' xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>\
         <iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        plain("juliet", PASSWORD)
    );
    for n in 0..100 {
        all.push_str(&message("romeo", &n.to_string()));
    }
    juliet.send(&all).unwrap();
    for n in 0..100 {
        let (from, body) = romeo.next_body(PATIENCE).unwrap();
        assert!(from.starts_with("juliet@"), "{from}");
        assert_eq!(body, n.to_string());
    }
}

#[test]
fn what_a_peer_leaves_unread_arrives_whole_and_in_order() {
    let server = server(&["juliet", "romeo"]);
    let mut juliet = session(&server, "juliet");
    let mut romeo = session(&server, "romeo");
    let filler = "x".repeat(8 * 1024);
    // More than sockets hold, less than half of a session's queue: whoever leaves more than that for ten seconds does not read.
    let count = 220;
    for n in 0..count {
        romeo
            .send(&message("juliet", &format!("{n} {filler}")))
            .unwrap();
    }
    // An answer behind them: all of them were taken and none was read yet.
    romeo
        .send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
        .unwrap();
    romeo
        .next_where(PATIENCE, |element| element.attribute("id") == Some("p"))
        .unwrap();
    for n in 0..count {
        let (_, body) = juliet.next_body(PATIENCE).unwrap();
        assert_eq!(body.split(' ').next(), Some(n.to_string().as_str()));
    }
}

/// RFC 6120 §4.4: the closing tag is answered even by a peer that has shut its side.
#[test]
fn bytes_before_the_end_of_a_connection_count() {
    let server = server(&[]);
    let mut socket = TcpStream::connect(server.clear).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let stream = format!(
        "<stream:stream to='{HOST}' version='1.0' xmlns='{CLIENT}' xmlns:stream='{STREAMS}'></stream:stream>"
    );
    socket.write_all(stream.as_bytes()).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("<stream:features"), "{answer}");
    assert!(answer.ends_with("</stream:stream>"), "{answer}");
}

#[test]
fn what_is_no_handshake_is_answered_with_an_alert_and_the_end() {
    let server = server(&[]);
    let mut socket = TcpStream::connect(server.tls).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    // Records of content type 21 are alerts.
    assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
}

#[test]
fn a_signal_to_stop_closes_every_stream_with_system_shutdown() {
    let mut server = server(&["juliet", "romeo"]);
    let clients = [session(&server, "juliet"), session(&server, "romeo")];
    let ends = clients.map(|mut client| {
        thread::spawn(move || {
            let error = client.next_where(PATIENCE, |element| element.is(STREAMS, "error"))?;
            if error.condition() != Some("system-shutdown") {
                return Err(format!("expected system-shutdown, not {error}"));
            }
            match client.next_item(PATIENCE)? {
                Item::Close => {}
                other @ (Item::Open(_) | Item::Element(_)) => {
                    return Err(format!("expected the end, not {other}"));
                }
            }
            client.send("</stream:stream>")?;
            client.expect_end()
        })
    });
    server.stop().unwrap();
    for end in ends {
        end.join().unwrap().unwrap();
    }
}

#[test]
fn a_signal_to_reload_brings_new_certificates_to_new_connections() {
    let server = server(&["juliet", "romeo"]);
    let mut juliet = session(&server, "juliet");
    let fresh = server.scratch().join("fresh");
    std::fs::create_dir(&fresh).unwrap();
    let authority = Authority::new(&fresh).unwrap();
    let certificates = server.scratch().join("certs");
    authority.issue(&certificates, HOST).unwrap();
    signal(&server, "-HUP");
    server.wait_for_log(&["reloaded"]).unwrap();

    let trust = Trust::pem(authority.pem()).unwrap();
    let mut romeo = Client::session(server.clear, HOST, &trust, "romeo", PASSWORD).unwrap();
    romeo.send(&message("juliet", "hello")).unwrap();
    assert_eq!(juliet.next_body(PATIENCE).unwrap().1, "hello");
}

/// RFC 6120 §13.12, set while the server runs.
#[test]
fn an_address_has_no_more_connections_than_it_may() {
    let server = server(&[]);
    let path = server.scratch().join("spondee.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let limited = format!("max_connections_per_address = 2\n{config}");
    std::fs::write(&path, limited).unwrap();
    signal(&server, "-HUP");
    server.wait_for_log(&["reloaded"]).unwrap();

    let mut first = TcpStream::connect(server.clear).unwrap();
    assert!(is_answered(&mut first));
    // Answered, too: which of two listeners is looked at first says nothing about who connected first.
    let trust = server.trust().unwrap();
    let second = Client::connect_tls(server.tls, HOST, &trust, &["xmpp-client"]).unwrap();
    let mut third = TcpStream::connect(server.clear).unwrap();
    assert!(!is_answered(&mut third));
    server.wait_for_log(&["turned away", "127.0.0.1"]).unwrap();
    drop((first, second));
    // As soon as the server has noticed.
    let again = || is_answered(&mut TcpStream::connect(server.clear).unwrap());
    assert!((0..10_000).any(|_| again()));
}

/// Whether the server answers a header. Whoever is turned away may find the connection broken already.
fn is_answered(socket: &mut TcpStream) -> bool {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let written = socket.write_all(spec_tests::talk::header(HOST).as_bytes());
    written.is_ok() && matches!(socket.read(&mut [0; 1024]), Ok(1..))
}
