//! Crowds before the real server: thousands that say nothing, or half of a hello, and more than there are descriptors for.
//!
//! Whether others are served is asserted; how fast is measured beside a server without a crowd, in turns, and printed
//! (`--nocapture`). It is judged only where `SPONDEE_TIMED` is set, as in
//! `SPONDEE_TIMED=1 cargo test --release -p spec-tests --test hostile crowd -- --nocapture`, on a machine that does nothing else.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use rustls::pki_types::ServerName;
use spec_tests::client::{Client, PATIENCE};
use spec_tests::element::TLS;
use spec_tests::server::{Server, Setup};
use spec_tests::talk::header;
use spondee_shell_common::limits::shell::raise_descriptors;

use crate::stage::Outcome;

const CROWD: usize = 2000;

const USERS: [(&str, &str); 2] = [
    ("juliet@localhost", "secret"),
    ("romeo@localhost", "secret"),
];

/// Half of the time is for TLS. Long enough for the crowd to gather on a busy machine.
const TIMES: &str = "c2s_timeout = 10\nc2s_close_timeout = 1";

/// How many times as long others may wait because of a crowd.
const LONGER: f64 = 2.0;

/// Memory that one of a crowd may cost: generous, and far below what a buffer kept for each would take.
const SILENT_KIB: u64 = 8;
const HALF_OPEN_KIB: u64 = 64;

pub(crate) fn fault(error: std::io::Error) -> String {
    error.to_string()
}

pub(crate) fn session(server: &Server, name: &str) -> Result<Client, String> {
    Client::session(server.clear, "localhost", &server.trust()?, name, "secret")
}

/// Asks and waits for the answer: how long it took.
pub(crate) fn ping(client: &mut Client) -> Result<Duration, String> {
    let begun = Instant::now();
    client.send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")?;
    let answer = client.next(PATIENCE)?;
    match answer.attribute("type") {
        Some("result") => Ok(begun.elapsed()),
        _ => Err(format!("answered {answer}")),
    }
}

/// Waits until it holds, as long as one is ready to wait for anything.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > deadline {
            return Err(format!("{what}: not in time"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Two servers, alike but for the crowd before one of them, and a session at each.
struct Pair {
    /// One crowd at a time: they would be each other's load.
    _alone: MutexGuard<'static, ()>,
    crowded: Server,
    juliet: Client,
    calm: Server,
    nurse: Client,
}

/// How long the crowded and the calm server took to answer, in pairs.
#[derive(Default)]
struct Latencies(Vec<Duration>, Vec<Duration>);

impl Pair {
    fn new() -> Result<Self, String> {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let files = raise_descriptors();
        if files < CROWD + 500 {
            return Err(format!(
                "a crowd needs more than {files} open files: ulimit -Hn"
            ));
        }
        let setup = Setup {
            options: TIMES,
            ..Setup::default()
        };
        let crowded = Server::start_with(&USERS, setup)?;
        let calm = Server::start_with(&USERS, setup)?;
        let (juliet, nurse) = (session(&crowded, "juliet")?, session(&calm, "juliet")?);
        Ok(Self {
            _alone: alone,
            crowded,
            juliet,
            calm,
            nurse,
        })
    }

    fn ask_both(&mut self, latencies: &mut Latencies) -> Outcome {
        latencies.0.push(ping(&mut self.juliet)?);
        latencies.1.push(ping(&mut self.nurse)?);
        Ok(())
    }

    /// Lets `gather` bring the crowd, and asks both servers meanwhile and while it is there. Returns it.
    fn with_crowd(
        &mut self,
        gather: impl FnOnce(SocketAddr, SocketAddr) -> Result<Vec<TcpStream>, String> + Send + 'static,
    ) -> Result<Vec<TcpStream>, String> {
        let (sockets, memory) = (self.crowded.sockets(), self.crowded.pss_kib()?);
        let (clear, tls) = (self.crowded.clear, self.crowded.tls);
        let judged = std::env::var_os("SPONDEE_TIMED").is_some();
        let crowd = thread::spawn(move || gather(clear, tls));
        let mut coming = Latencies::default();
        while !crowd.is_finished() {
            self.ask_both(&mut coming)?;
        }
        let crowd = crowd.join().map_err(|_| "it panicked")??;
        assert_eq!(crowd.len(), CROWD);
        let mut standing = Latencies::default();
        for _ in 0..if judged { 2000 } else { 100 } {
            self.ask_both(&mut standing)?;
        }
        let there = self.crowded.sockets().saturating_sub(sockets);
        let held = self.crowded.pss_kib()?.saturating_sub(memory);
        // One more is let in all the same.
        let mut romeo = session(&self.crowded, "romeo")?;
        ping(&mut romeo)?;
        report(format_args!(
            "{there} of {CROWD} there, {held} KiB; while they came: {coming}; while they stood: {standing}"
        ));
        romeo.close()?;
        let ratio = standing.ratio();
        assert!(!judged || ratio <= LONGER, "{ratio:.2} times as long");
        Ok(crowd)
    }

    /// The crowd is gone: its descriptors are free, and those who were served still are.
    fn is_as_before(&mut self, sockets: usize) -> Outcome {
        wait_until("all are closed", || self.crowded.sockets() <= sockets)?;
        ping(&mut self.juliet)?;
        ping(&mut self.nurse)?;
        let calm = self.calm.pss_kib()?;
        report(format_args!(
            "afterwards {} KiB, and {calm} KiB where nobody came",
            self.crowded.pss_kib()?
        ));
        Ok(())
    }
}

impl Latencies {
    fn medians(&self) -> [Duration; 2] {
        [&self.0, &self.1].map(|list| {
            let mut sorted = list.clone();
            sorted.sort();
            sorted.get(sorted.len() / 2).copied().unwrap_or_default()
        })
    }

    /// How many times as long the crowded server took.
    fn ratio(&self) -> f64 {
        let [crowded, calm] = self.medians();
        crowded.as_secs_f64() / calm.as_secs_f64().max(1e-9)
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [crowded, calm] = self.medians();
        let (count, ratio) = (self.0.len(), self.ratio());
        write!(
            f,
            "{count} answers, median {crowded:.0?} against {calm:.0?}, {ratio:.2} times"
        )
    }
}

#[expect(clippy::print_stdout, reason = "the figures are shown by --nocapture")]
fn report(what: std::fmt::Arguments<'_>) {
    println!("{what}");
}

fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let socket = TcpStream::connect_timeout(&address, PATIENCE).map_err(fault)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(fault)?;
    socket.set_nodelay(true).map_err(fault)?;
    Ok(socket)
}

/// What the server says until it closes the connection.
fn until_end(socket: &mut TcpStream) -> Result<Vec<u8>, String> {
    let mut said = Vec::new();
    match socket.read_to_end(&mut said) {
        Ok(_) => Ok(said),
        Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(said),
        Err(e) => Err(format!("it is not closed in time: {e}")),
    }
}

fn silent(clear: SocketAddr, _: SocketAddr) -> Result<Vec<TcpStream>, String> {
    (0..CROWD).map(|_| connect(clear)).collect()
}

#[test]
fn two_thousand_silent_connections_are_reaped_in_time_and_others_are_served_meanwhile() -> Outcome {
    let mut pair = Pair::new()?;
    let (sockets, memory) = (pair.crowded.sockets(), pair.crowded.pss_kib()?);
    let mut crowd = pair.with_crowd(silent)?;
    let held = pair.crowded.pss_kib()?.saturating_sub(memory);
    assert!(
        held < SILENT_KIB * CROWD as u64,
        "{held} KiB for a silent crowd"
    );
    for socket in &mut crowd {
        let said = String::from_utf8_lossy(&until_end(socket)?).into_owned();
        assert!(said.contains("<connection-timeout "), "{said}");
        assert!(said.ends_with("</stream:stream>"), "{said}");
    }
    drop(crowd);
    pair.is_as_before(sockets)
}

/// The first flight of a client, to the last byte.
pub(crate) fn client_hello(server: &Server) -> Result<Vec<u8>, String> {
    let config = server.trust()?.client_config()?;
    let name = ServerName::try_from("localhost").map_err(|e| e.to_string())?;
    let mut client = rustls::ClientConnection::new(config, name).map_err(|e| e.to_string())?;
    let mut hello = Vec::new();
    client.write_tls(&mut hello).map_err(fault)?;
    Ok(hello)
}

/// Half-open in turn: nothing at all, half of a hello, a whole hello and then silence, and half of one behind STARTTLS.
fn half_open(clear: SocketAddr, tls: SocketAddr, hello: &[u8]) -> Result<Vec<TcpStream>, String> {
    let half = &hello[..hello.len() / 2];
    (0..CROWD)
        .map(|number| {
            let (address, said) = match number % 4 {
                0 => (tls, &[][..]),
                1 => (tls, half),
                2 => (tls, hello),
                _ => (clear, half),
            };
            let mut socket = connect(address)?;
            if address == clear {
                begin_tls(&mut socket)?;
            }
            socket.write_all(said).map_err(fault)?;
            Ok(socket)
        })
        .collect()
}

/// STARTTLS up to `<proceed/>`.
pub(crate) fn begin_tls(socket: &mut TcpStream) -> Outcome {
    let request = format!("{}<starttls xmlns='{TLS}'/>", header("localhost"));
    socket.write_all(request.as_bytes()).map_err(fault)?;
    let mut said = Vec::new();
    while !said.ends_with(format!("<proceed xmlns='{TLS}'/>").as_bytes()) {
        let mut some = [0; 4096];
        match socket.read(&mut some).map_err(fault)? {
            0 => return Err(String::from_utf8_lossy(&said).into_owned()),
            count => said.extend_from_slice(&some[..count]),
        }
    }
    Ok(())
}

#[test]
fn two_thousand_half_open_handshakes_are_reaped_in_time_and_others_are_served_meanwhile() -> Outcome
{
    let mut pair = Pair::new()?;
    let (sockets, memory) = (pair.crowded.sockets(), pair.crowded.pss_kib()?);
    let hello = client_hello(&pair.crowded)?;
    let mut crowd = pair.with_crowd(move |clear, tls| half_open(clear, tls, &hello))?;
    let held = pair.crowded.pss_kib()?.saturating_sub(memory);
    assert!(
        held < HALF_OPEN_KIB * CROWD as u64,
        "{held} KiB for half-open handshakes"
    );
    for (number, socket) in crowd.iter_mut().enumerate() {
        let said = until_end(socket)?;
        // In a handshake there are no words. Whoever said hello was answered it.
        assert_eq!(said.is_empty(), number % 4 != 2, "{number}: {said:?}");
    }
    drop(crowd);
    pair.is_as_before(sockets)
}

/// There is no place for more, and all are taken by people who have signed in: they are served, who comes waits in the listen
/// queue, the log says so, and it is served as soon as one of them goes.
#[test]
fn without_permits_those_who_are_there_are_served_and_others_wait() -> Outcome {
    const PLACES: usize = 6;
    let setup = Setup {
        options: "max_connections = 6",
        ..Setup::default()
    };
    let server = Server::start_with(&USERS, setup)?;
    let (mut juliet, mut romeo) = (session(&server, "juliet")?, session(&server, "romeo")?);
    let mut others = Vec::new();
    while others.len() < PLACES - 2 {
        others.push(session(&server, "romeo")?);
    }
    // Who comes now is connected by the kernel, and hears nothing until there is a place.
    let mut late = connect(server.clear)?;
    late.write_all(header("localhost").as_bytes())
        .map_err(fault)?;
    server.wait_for_log(&["cannot accept connections for now"])?;
    served(&mut juliet, &mut romeo)?;
    for other in &mut others {
        ping(other)?;
    }
    drop(others.pop());
    let mut first = [0; 5];
    late.read_exact(&mut first).map_err(fault)?;
    assert_eq!(&first, b"<?xml");
    drop(late);
    ping(&mut session(&server, "juliet")?)?;
    Ok(())
}

/// The same where it is the system that refuses: the limit is lowered while the server runs, and raised again.
#[test]
fn when_the_system_has_no_descriptors_the_server_goes_on_and_recovers() -> Outcome {
    let server = Server::start(&USERS)?;
    let (mut juliet, mut romeo) = (session(&server, "juliet")?, session(&server, "romeo")?);
    let pid = i32::try_from(server.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or("no process")?;
    let set = |new: Rlimit| prlimit(Some(pid), Resource::Nofile, new).map_err(|e| e.to_string());
    // It has inherited the hard limit of this process.
    let old = set(Rlimit {
        current: Some(3),
        maximum: getrlimit(Resource::Nofile).maximum,
    })?;
    let mut late = connect(server.clear)?;
    late.write_all(header("localhost").as_bytes())
        .map_err(fault)?;
    server.wait_for_log(&["cannot accept connections for now"])?;
    served(&mut juliet, &mut romeo)?;
    set(old)?;
    let mut first = [0; 5];
    late.read_exact(&mut first).map_err(fault)?;
    assert_eq!(&first, b"<?xml");
    ping(&mut session(&server, "juliet")?)?;
    Ok(())
}

/// Each is answered, and what one says the other hears.
pub(crate) fn served(juliet: &mut Client, romeo: &mut Client) -> Outcome {
    ping(juliet)?;
    ping(romeo)?;
    juliet.send("<presence/>")?;
    juliet.next(PATIENCE)?;
    romeo.send("<message to='juliet@localhost'><body>here</body></message>")?;
    let (from, body) = juliet.next_body(PATIENCE)?;
    if from.starts_with("romeo@localhost/") && body == "here" {
        Ok(())
    } else {
        Err(format!("{from} said {body}"))
    }
}
