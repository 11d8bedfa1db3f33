//! What only the real server with real TLS can show: garbage for a hello, plaintext behind STARTTLS, a receiver whose socket is
//! full.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use spec_tests::client::{Client, PATIENCE};
use spec_tests::element::TLS;
use spec_tests::server::Server;
use spec_tests::talk::header;
use spondee_core::limits::Limits;

use crate::crowd::begin_tls;
use crate::stage::Outcome;
use crate::starttls::{starttls, whole_sign_in};

const USERS: [(&str, &str); 2] = [
    ("juliet@localhost", "secret"),
    ("romeo@localhost", "secret"),
];
const PING: &str = "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";

fn session(server: &Server, name: &str) -> Result<Client, String> {
    Client::session(server.clear, "localhost", &server.trust()?, name, "secret")
}

fn connect(address: std::net::SocketAddr) -> Result<TcpStream, String> {
    let socket = TcpStream::connect(address).map_err(|e| e.to_string())?;
    let set = socket.set_read_timeout(Some(PATIENCE));
    set.map_err(|e| e.to_string())?;
    Ok(socket)
}

/// Writes, and reads until the server closes. It may close before all is written.
fn answer(socket: &mut TcpStream, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut said = Vec::new();
    let written = socket.write_all(bytes);
    let read = socket.read_to_end(&mut said);
    for result in [written, read.map(|_| ())] {
        match result {
            Err(e) if ![ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&e.kind()) => {
                return Err(format!("it is not closed: {e}"));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(said)
}

#[test]
fn garbage_instead_of_a_hello_is_closed_at_once() -> Outcome {
    let server = Server::start(&USERS)?;
    let mut juliet = session(&server, "juliet")?;
    let sockets = server.sockets();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"<?xml version='1.0'?><stream:stream to='localhost'>",
        &[0; 100],
        &[0xff; 100],
        // A record of the right type and version whose content is no hello.
        &[&[22, 3, 1, 0, 100][..], &[0xff; 100]].concat(),
        // An alert, and application data.
        &[21, 3, 3, 0, 2, 2, 40],
        &[23, 3, 3, 0, 5, 1, 2, 3, 4, 5],
    ] {
        for behind_starttls in [false, true] {
            let address = if behind_starttls {
                server.clear
            } else {
                server.tls
            };
            let mut socket = connect(address)?;
            if behind_starttls {
                begin_tls(&mut socket)?;
            }
            // Nothing but an alert, if that (records of content type 21).
            let said = answer(&mut socket, garbage)?;
            assert!(
                said.is_empty() || (said[0] == 21 && said.len() < 20),
                "{said:?}"
            );
        }
    }
    juliet.send(PING)?;
    juliet.next(PATIENCE)?;
    assert!(server.sockets() <= sockets + 1, "{}", server.sockets());
    Ok(())
}

/// The real thing: real records, a real handshake behind the injected bytes. Nobody is signed in by it.
#[test]
fn a_whole_sign_in_in_clear_behind_starttls_is_never_believed() -> Outcome {
    let server = Server::start(&USERS)?;
    let mut juliet = session(&server, "juliet")?;
    juliet.send("<presence/>")?;
    juliet.next(PATIENCE)?;
    let injected = whole_sign_in();
    // In the segment of `<starttls/>`.
    let mut socket = connect(server.clear)?;
    let all = [header("localhost"), starttls(), injected.clone()].concat();
    let said = answer(&mut socket, all.as_bytes())?;
    let proceed = format!("<proceed xmlns='{TLS}'/>");
    let shown = String::from_utf8_lossy(&said).into_owned();
    let (_, behind) = shown.split_once(&proceed).ok_or_else(|| shown.clone())?;
    assert!(
        behind.is_empty() || behind.starts_with('\u{15}'),
        "{shown:?}"
    );
    // In the next, as soon as the server is ready for a handshake.
    let mut socket = connect(server.clear)?;
    begin_tls(&mut socket)?;
    let said = answer(&mut socket, injected.as_bytes())?;
    assert!(said.is_empty() || said[0] == 21, "{said:?}");
    // Put in front of a client that knows nothing of it, and goes on with its handshake.
    let mut victim = Client::connect(server.clear, "localhost", &server.trust()?)?;
    victim.open()?;
    victim.send(&format!("{}{injected}", starttls()))?;
    assert!(victim.next(PATIENCE)?.is(TLS, "proceed"));
    assert!(victim.next(PATIENCE).is_err());

    juliet.send(PING)?;
    assert_eq!(juliet.next(PATIENCE)?.attribute("id"), Some("p"));
    server.wait_for_log(&["signed in"])?;
    let log = server.log();
    let signed_in = log.lines().filter(|line| line.contains("signed in"));
    assert_eq!(signed_in.count(), 1, "{log}");
    Ok(())
}

/// Kernel buffers, TLS records and the session's queue: all of it is bounded, and the sender is served to the end.
#[test]
fn a_receiver_that_never_reads_costs_the_server_a_bounded_amount() -> Outcome {
    let server = Server::start(&USERS)?;
    let mut romeo = session(&server, "romeo")?;
    let trust = server.trust()?;
    let mut juliet = Client::connect_tls(server.tls, "localhost", &trust, &[])?;
    juliet.open()?;
    let mechanism = spondee_core::sasl::Mechanism::Plain;
    let bind_to = spec_tests::client::BindTo::Exporter;
    juliet.sign_in("juliet", "secret", mechanism, bind_to)?;
    let address = juliet.bind(Some("balcony"))?;
    let before = server.pss_kib()?;
    let body = "x".repeat(64 * 1024);
    let queue = Limits::default().session_queue_bytes;
    let (mut most, mut refused) = (0, 0);
    // Four times what the queue takes; sockets take some as well.
    for _ in 0..4 * queue / body.len() {
        romeo.send(&format!(
            "<message to='{address}'><body>{body}</body></message>{PING}"
        ))?;
        loop {
            let answer = romeo.next(PATIENCE)?;
            if answer.attribute("id") == Some("p") {
                break;
            }
            assert_eq!(answer.attribute("type"), Some("error"), "{answer}");
            refused += 1;
        }
        most = most.max(server.pss_kib()?.saturating_sub(before));
    }
    assert!(refused > 0, "the receiver's session goes on");
    // A buffer that grows is twice its content for a moment; beside it there is little.
    let bound = 4 * queue as u64 / 1024;
    assert!(most < bound, "{most} KiB");
    // Refusals come from another thread, and may come behind the answer.
    romeo.send(PING)?;
    romeo.next_where(PATIENCE, |answer| answer.attribute("id") == Some("p"))?;
    Ok(())
}
