//! One connection to a directory: what is said on it, and that nothing is waited for beyond a moment.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use spondee_core::secret::Secret;

use super::ber::{self, Bytes, Length};
use super::message::{self, Answer, ENTRIES, Outcome, Search, What};
use super::{Security, Server};
use crate::limits::{LDAP_ANSWERS, LDAP_MESSAGE_BYTES};

/// What stands in the way.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// The connection is of no use any more. Another one may be.
    Lost(String),
    /// The directory says no.
    Refused(String),
}

/// A connection on which nothing waits to be read.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    next: u32,
}

#[derive(Debug)]
enum Stream {
    Clear(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

/// A socket that waits until a moment and no longer, however little comes at a time.
#[derive(Debug)]
struct Timed {
    socket: Socket,
    deadline: Instant,
}

#[derive(Debug)]
enum Socket {
    Network(TcpStream),
    Local(UnixStream),
}

impl Connection {
    /// Connects, with TLS where it is wanted.
    pub(super) fn open(
        server: &Server,
        tls: &Arc<ClientConfig>,
        deadline: Instant,
    ) -> Result<Self, Failure> {
        let lost = |why: io::Error| Failure::Lost(format!("cannot connect to {server}: {why}"));
        let (name, security, socket) = match server {
            Server::Local(path) => {
                let socket = connect_here(path, deadline).map_err(lost)?;
                ("", Security::Clear, Socket::Local(socket))
            }
            Server::Network {
                name,
                port,
                security,
            } => {
                let socket = connect(name, *port, deadline).map_err(lost)?;
                // Questions are small, and each waits for an answer.
                let _ = socket.set_nodelay(true);
                (name.as_str(), *security, Socket::Network(socket))
            }
        };
        let timed = Timed { socket, deadline };
        let mut connection = Self {
            stream: Stream::Clear(timed),
            next: 1,
        };
        match security {
            Security::Clear => return Ok(connection),
            Security::StartTls => connection.start_tls()?,
            Security::Tls => {}
        }
        connection
            .secured(name, tls)
            .map_err(|why| Failure::Lost(format!("TLS with {server} failed: {why}")))
    }

    /// What is said from now on has this long.
    pub(super) const fn give(&mut self, deadline: Instant) {
        match &mut self.stream {
            Stream::Clear(timed) => timed.deadline = deadline,
            Stream::Tls(tls) => tls.sock.deadline = deadline,
        }
    }

    /// A simple bind. Anonymous if both are empty.
    pub(super) fn bind(&mut self, name: &str, password: &Secret) -> Result<Outcome, Failure> {
        let number = self.number();
        self.send(&message::bind(number, name, password.expose()))?;
        match self.receive(number)? {
            What::Bound(outcome) => Ok(outcome),
            What::Entry(_) | What::Reference | What::Found(_) | What::Extended(_) => Err(strange()),
        }
    }

    /// The names of what is found, two at most.
    pub(super) fn search(
        &mut self,
        search: &Search<'_>,
    ) -> Result<(Vec<String>, Outcome), Failure> {
        let number = self.number();
        self.send(&message::search(number, search))?;
        let mut found = Vec::new();
        for _ in 0..LDAP_ANSWERS {
            match self.receive(number)? {
                What::Entry(name) if found.len() < ENTRIES as usize => found.push(name),
                What::Entry(_) | What::Reference => {}
                What::Found(outcome) => return Ok((found, outcome)),
                What::Bound(_) | What::Extended(_) => return Err(strange()),
            }
        }
        Err(Failure::Lost("it finds without end".to_owned()))
    }

    /// Takes leave. Whether the other side hears it is all the same.
    pub(super) fn close(mut self) {
        let number = self.number();
        let _ = self.send(&message::unbind(number));
    }

    fn start_tls(&mut self) -> Result<(), Failure> {
        let number = self.number();
        self.send(&message::start_tls(number))?;
        match self.receive(number)? {
            What::Extended(outcome) if outcome.code == message::SUCCESS => Ok(()),
            What::Extended(outcome) => Err(Failure::Refused(format!(
                "the directory refuses StartTLS: {}",
                outcome.describe()
            ))),
            What::Bound(_) | What::Entry(_) | What::Reference | What::Found(_) => Err(strange()),
        }
    }

    /// RFC 4513 §3.1.3: the certificate must be the server's, by the name that we know it by.
    fn secured(self, name: &str, tls: &Arc<ClientConfig>) -> Result<Self, String> {
        let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
        let client = ClientConnection::new(Arc::clone(tls), name);
        let client = client.map_err(|error| error.to_string())?;
        let timed = match self.stream {
            Stream::Clear(timed) => timed,
            Stream::Tls(_) => return Err("it has begun already".to_owned()),
        };
        let mut stream = StreamOwned::new(client, timed);
        while stream.conn.is_handshaking() {
            let done = stream.conn.complete_io(&mut stream.sock);
            done.map_err(|error| error.to_string())?;
        }
        Ok(Self {
            stream: Stream::Tls(Box::new(stream)),
            next: self.next,
        })
    }

    /// The number of the next message.
    fn number(&mut self) -> u32 {
        let number = self.next;
        // 0 is nobody's, and more than 2^31 - 1 there are not (RFC 4511 §4.1.1.1).
        self.next = number % 0x7fff_ffff + 1;
        number
    }

    fn send(&mut self, message: &Bytes) -> Result<(), Failure> {
        let sent = match &mut self.stream {
            Stream::Clear(timed) => timed.write_all(message),
            Stream::Tls(tls) => tls.write_all(message).and_then(|()| tls.flush()),
        };
        sent.map_err(lost)
    }

    /// The next answer to this.
    fn receive(&mut self, number: u32) -> Result<What, Failure> {
        let bytes = self.message().map_err(lost)?;
        let Ok(Answer {
            number: answered,
            what,
        }) = message::read(&bytes)
        else {
            return Err(strange());
        };
        if answered == number {
            return Ok(what);
        }
        Err(match what {
            // RFC 4511 §4.4.1: it takes leave.
            What::Extended(outcome) if answered == 0 => {
                Failure::Lost(format!("it disconnects: {}", outcome.describe()))
            }
            What::Bound(_)
            | What::Entry(_)
            | What::Reference
            | What::Found(_)
            | What::Extended(_) => strange(),
        })
    }

    /// The bytes of one message, no more: behind the answer to StartTLS nothing must have been read.
    fn message(&mut self) -> io::Result<Vec<u8>> {
        let malformed = || io::Error::new(ErrorKind::InvalidData, "what comes is no LDAP");
        let mut bytes = vec![0];
        self.read_exact(&mut bytes, 0)?;
        if bytes != [ber::SEQUENCE] {
            return Err(malformed());
        }
        let (length, header) = loop {
            match ber::length(bytes.get(1..).unwrap_or_default()) {
                Length::Known(length, header) => break (length, header),
                Length::Malformed => return Err(malformed()),
                Length::Partial => {
                    let at = bytes.len();
                    bytes.push(0);
                    self.read_exact(&mut bytes, at)?;
                }
            }
        };
        if length > LDAP_MESSAGE_BYTES {
            return Err(malformed());
        }
        bytes.resize(1 + header + length, 0);
        self.read_exact(&mut bytes, 1 + header)?;
        Ok(bytes)
    }

    fn read_exact(&mut self, bytes: &mut [u8], from: usize) -> io::Result<()> {
        let room = bytes.get_mut(from..).unwrap_or_default();
        match &mut self.stream {
            Stream::Clear(timed) => timed.read_exact(room),
            Stream::Tls(tls) => tls.read_exact(room),
        }
    }
}

fn lost(error: io::Error) -> Failure {
    Failure::Lost(match error.kind() == ErrorKind::UnexpectedEof {
        true => "it closed the connection".to_owned(),
        false => error.to_string(),
    })
}

fn strange() -> Failure {
    Failure::Lost("it answers what was not asked".to_owned())
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(late()),
            false => Ok(left),
        }
    }
}

fn late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "it does not answer in time")
}

/// What a socket says whose time is up.
fn in_time<T>(result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| match error.kind() == ErrorKind::WouldBlock {
        true => late(),
        false => error,
    })
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = Some(self.left()?);
        in_time(match &mut self.socket {
            Socket::Network(socket) => {
                socket.set_read_timeout(left)?;
                socket.read(buffer)
            }
            Socket::Local(socket) => {
                socket.set_read_timeout(left)?;
                socket.read(buffer)
            }
        })
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = Some(self.left()?);
        in_time(match &mut self.socket {
            Socket::Network(socket) => {
                socket.set_write_timeout(left)?;
                socket.write(bytes)
            }
            Socket::Local(socket) => {
                socket.set_write_timeout(left)?;
                socket.write(bytes)
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn connect_here(path: &Path, deadline: Instant) -> io::Result<UnixStream> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    let left = deadline.saturating_duration_since(Instant::now());
    socket.connect_timeout(&socket2::SockAddr::unix(path)?, left)?;
    Ok(OwnedFd::from(socket).into())
}

/// Tries each address of a name, each with its share of the time.
fn connect(name: &str, port: u16, deadline: Instant) -> io::Result<TcpStream> {
    let addresses = addresses(name, port, deadline)?;
    let mut last = io::Error::new(ErrorKind::NotFound, "its name has no address");
    let mut shares = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / shares.max(1);
        shares = shares.saturating_sub(1);
        if share.is_zero() {
            return Err(late());
        }
        match TcpStream::connect_timeout(&address, share) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The system looks names up for as long as it likes: so on a thread that nobody waits for beyond the deadline.
fn addresses(name: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = name.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = channel();
    let asked = name.to_owned();
    Builder::new().name("ldap-name".to_owned()).spawn(move || {
        let found = (asked.as_str(), port).to_socket_addrs();
        // Nobody may wait for it any more.
        let _ = sender.send(found.map(Iterator::collect));
    })?;
    let left = deadline.saturating_duration_since(Instant::now());
    receiver.recv_timeout(left).unwrap_or_else(|error| {
        Err(match error {
            RecvTimeoutError::Timeout => io::Error::new(
                ErrorKind::TimedOut,
                "its name is not looked up in time; see to the name servers of this machine",
            ),
            RecvTimeoutError::Disconnected => ErrorKind::Other.into(),
        })
    })
}
