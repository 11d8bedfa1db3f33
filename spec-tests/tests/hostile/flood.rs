//! Strangers who take every place there is, from one address, and come again as soon as they are cut: somebody from elsewhere is
//! let in at once, and nobody who has signed in pays for it.
//!
//! Without a clock: if nobody of the crowd has reached its own deadline by the time the newcomer is served, it did not wait for
//! one.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use socket2::{Domain, Socket, Type};
use spec_tests::ca::Authority;
use spec_tests::client::{BindTo, Client, PATIENCE, Trust};
use spec_tests::element::{SASL, STREAMS};
use spec_tests::server::{Server, Setup};
use spondee_core::sasl::{Hash, Mechanism, Plus};
use spondee_shell_common::limits::shell::LAST_PERMITS_PART;

use crate::crowd::{client_hello, fault, ping, served, session, wait_until};
use crate::stage::Outcome;

const USERS: [(&str, &str); 2] = [
    ("juliet@localhost", "secret"),
    ("romeo@localhost", "secret"),
];

/// More than there are places.
const FLOOD: usize = 400;

/// Where the flood comes from; everybody else is at 127.0.0.1.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn connect_from_elsewhere(address: SocketAddr) -> Result<TcpStream, String> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).map_err(fault)?;
    let source = SocketAddr::from((ELSEWHERE, 0));
    socket.bind(&source.into()).map_err(fault)?;
    let connected = socket.connect_timeout(&address.into(), PATIENCE);
    connected.map_err(fault)?;
    Ok(socket.into())
}

/// What the crowd has met with.
#[derive(Debug, Default)]
struct Seen {
    /// How many were cut, and have come again.
    renewed: AtomicUsize,
    /// Who was cut for another reason than want of places.
    otherwise: Mutex<Vec<String>>,
}

/// A crowd that renews itself until it is dropped.
struct Flood {
    seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Outcome>>,
}

/// One of it.
struct Intruder {
    socket: TcpStream,
    heard: Vec<u8>,
}

impl Flood {
    fn begin(server: &Server) -> Result<Self, String> {
        let (clear, tls) = (server.clear, server.tls);
        let hello = client_hello(server)?;
        let seen = Arc::new(Seen::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (counts, end) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let arrive = |number| Intruder::arrive(number, clear, tls, &hello);
            let mut crowd = (0..FLOOD).map(arrive).collect::<Result<Vec<_>, _>>()?;
            while !end.load(Ordering::Relaxed) {
                for (number, intruder) in crowd.iter_mut().enumerate() {
                    if intruder.is_cut()? {
                        intruder.judge(&counts);
                        *intruder = arrive(number)?;
                        counts.renewed.fetch_add(1, Ordering::Relaxed);
                    }
                }
                thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        });
        Ok(Self {
            seen,
            stop,
            thread: Some(thread),
        })
    }

    /// So many more have been cut.
    fn is_renewed(&self, times: usize) -> Outcome {
        let before = self.seen.renewed.load(Ordering::Relaxed);
        wait_until("it is cut", || {
            self.seen.renewed.load(Ordering::Relaxed) >= before + times
        })
    }

    /// Nobody of it was cut but for want of places.
    fn end(mut self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().ok_or("ended twice")?;
        thread.join().map_err(|_| "it panicked")??;
        let otherwise = self.seen.otherwise.lock().map_err(|e| e.to_string())?;
        assert_eq!(*otherwise, [""; 0]);
        Ok(())
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Intruder {
    /// In turn silent, silent where TLS is spoken, half of a hello, and a whole one.
    fn arrive(
        number: usize,
        clear: SocketAddr,
        tls: SocketAddr,
        hello: &[u8],
    ) -> Result<Self, String> {
        let (address, said) = match number % 4 {
            0 => (clear, &[][..]),
            1 => (tls, &[][..]),
            2 => (tls, &hello[..hello.len() / 2]),
            _ => (tls, hello),
        };
        let mut socket = connect_from_elsewhere(address)?;
        // It may be cut by now.
        let _ = socket.write_all(said);
        socket.set_nonblocking(true).map_err(fault)?;
        Ok(Self {
            socket,
            heard: Vec::new(),
        })
    }

    fn is_cut(&mut self) -> Result<bool, String> {
        let mut some = [0; 4096];
        match self.socket.read(&mut some) {
            Ok(0) => Ok(true),
            Ok(count) => {
                self.heard.extend_from_slice(&some[..count]);
                Ok(false)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(true),
            Err(e) => Err(e.to_string()),
        }
    }

    fn judge(&self, seen: &Seen) {
        let text = String::from_utf8_lossy(&self.heard);
        if text.contains("<stream:error>")
            && !text.contains("<resource-constraint ")
            && let Ok(mut otherwise) = seen.otherwise.lock()
        {
            otherwise.push(text.into_owned());
        }
    }
}

/// As far as TLS, and in the middle of nothing.
fn half_signed_in(socket: TcpStream, server: &Server) -> Result<Client, String> {
    let mut client = Client::over(socket, "localhost", &server.trust()?)?;
    client.open()?;
    client.starttls()?;
    client.open()?;
    Ok(client)
}

#[test]
fn who_fills_the_server_makes_room_for_others_and_keeps_nobody_out() -> Outcome {
    let setup = Setup {
        options: "max_connections = 300",
        ..Setup::default()
    };
    let server = Server::start_with(&USERS, setup)?;
    let (mut juliet, mut romeo) = (session(&server, "juliet")?, session(&server, "romeo")?);
    // One takes its time to sign in, and is older than the whole crowd.
    let socket = TcpStream::connect(server.clear).map_err(fault)?;
    let mut slow = half_signed_in(socket, &server)?;
    // One of the crowd has begun, too.
    let mut guesser = half_signed_in(connect_from_elsewhere(server.clear)?, &server)?;
    let first = spec_tests::sasl::encode(b"n,,n=romeo,r=abcdefgh");
    guesser.send(&format!(
        "<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{first}</auth>"
    ))?;
    assert!(guesser.next(PATIENCE)?.is(SASL, "challenge"));

    let flood = Flood::begin(&server)?;
    flood.is_renewed(FLOOD)?;
    for _ in 0..5 {
        ping(&mut session(&server, "romeo")?)?;
        served(&mut juliet, &mut romeo)?;
    }
    let error = guesser.next(PATIENCE)?;
    assert!(error.is(STREAMS, "error"), "{error}");
    assert_eq!(error.condition(), Some("resource-constraint"));
    flood.is_renewed(FLOOD)?;
    let mechanism = Mechanism::Scram(Hash::Sha256, Plus::No);
    slow.sign_in("juliet", "secret", mechanism, BindTo::Exporter)?;
    slow.bind(None)?;
    ping(&mut slow)?;
    served(&mut juliet, &mut romeo)?;
    flood.end()?;

    let log = server.log();
    let told: Vec<_> = log
        .lines()
        .filter(|line| line.contains("connections run low"))
        .collect();
    // One for each minute, and it takes less than two.
    assert!((1..=3).contains(&told.len()), "{log}");
    assert!(told.iter().all(|line| line.contains("peer=127.0.0.2")));
    assert!(!log.contains("cannot accept"), "{log}");
    Ok(())
}

/// Places are taken to the last, by people and by the crowd: what is not a client's has its descriptors all the same.
#[test]
fn without_permits_the_server_is_administered_as_ever() -> Outcome {
    // Below twice the reserve, half of the descriptors are for clients.
    const PLACES: usize = 50;
    const PEOPLE: usize = PLACES - PLACES / LAST_PERMITS_PART;
    let setup = Setup {
        options: "default_iteration_count = 4096",
        descriptors: u32::try_from(2 * PLACES).ok(),
    };
    let server = Server::start_with(&USERS, setup)?;
    let mut people = Vec::new();
    while people.len() < PEOPLE / 2 {
        people.push(session(&server, "romeo")?);
    }
    let flood = Flood::begin(&server)?;
    flood.is_renewed(FLOOD)?;
    while people.len() < PEOPLE {
        people.push(session(&server, "romeo")?);
    }
    let full = TcpStream::connect(server.clear).map_err(fault)?;
    server.wait_for_log(&["cannot accept connections for now"])?;

    server.add_user("nurse@localhost", "secret")?;
    let listed = server.command(&["user", "list", "localhost"])?;
    assert!(listed.contains("nurse@localhost"), "{listed}");
    let fresh = server.scratch().join("fresh");
    std::fs::create_dir(&fresh).map_err(fault)?;
    let authority = Authority::new(&fresh).map_err(fault)?;
    let certificates = server.scratch().join("certs");
    authority.issue(&certificates, "localhost").map_err(fault)?;
    reload(&server)?;
    for one in &mut people {
        ping(one)?;
    }

    drop((full, flood));
    drop(people.pop());
    let trust = Trust::pem(authority.pem())?;
    let mut nurse = Client::session(server.clear, "localhost", &trust, "nurse", "secret")?;
    ping(&mut nurse).map(drop)
}

fn reload(server: &Server) -> Outcome {
    rustix::process::kill_process(process(server)?, rustix::process::Signal::HUP)
        .map_err(|e| e.to_string())?;
    server
        .wait_for_log(&["configuration and certificates reloaded"])
        .map(drop)
}

fn process(server: &Server) -> Result<Pid, String> {
    let pid = i32::try_from(server.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| "no process".to_owned())
}

/// The same where it is the system that refuses.
#[test]
fn when_the_system_has_no_descriptors_strangers_make_room() -> Outcome {
    let server = Server::start(&USERS)?;
    let (mut juliet, mut romeo) = (session(&server, "juliet")?, session(&server, "romeo")?);
    let before = server.sockets();
    let mut crowd = (0..20)
        .map(|_| Intruder::arrive(0, server.clear, server.tls, &[]))
        .collect::<Result<Vec<_>, _>>()?;
    wait_until("all are there", || server.sockets() >= before + crowd.len())?;
    // Not one more than there are.
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.id())).map_err(fault)?;
    let open = open.count() as u64;
    let new = Rlimit {
        current: Some(open),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    prlimit(Some(process(&server)?), Resource::Nofile, new).map_err(|e| e.to_string())?;
    for _ in 0..5 {
        ping(&mut session(&server, "romeo")?)?;
    }
    served(&mut juliet, &mut romeo)?;
    let mut gone = None;
    wait_until("one of them goes", || {
        gone = crowd.iter_mut().position(|one| one.is_cut() != Ok(false));
        gone.is_some()
    })?;
    let said = gone.map(|gone| String::from_utf8_lossy(&crowd[gone].heard).into_owned());
    let said = said.unwrap_or_default();
    assert!(said.contains("<resource-constraint "), "{said}");
    Ok(())
}
