//! The sockets of exchanges. None of them blocks: whoever has them waits for all at once.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Socket as Bare, Type};

use super::{Exchange, Transmit};
use crate::limits::dns::{DNS_DATAGRAM_BYTES, DNS_REST, DNS_SOCKETS};

/// See the module.
pub(super) struct Exchanges {
    open: BTreeMap<Exchange, Socket>,
    datagram: Box<[u8]>,
}

enum Socket {
    Datagrams(UdpSocket),
    Stream(Stream),
}

/// What a socket had.
#[derive(Debug)]
pub(super) enum Heard {
    /// Nothing yet that could be told.
    Nothing,
    /// A message, whole.
    Message(Vec<u8>),
    /// There will be none.
    Failed,
}

impl fmt::Debug for Exchanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchanges")
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}

impl Exchanges {
    pub(super) fn new() -> Self {
        Self {
            open: BTreeMap::new(),
            datagram: vec![0; usize::from(DNS_DATAGRAM_BYTES)].into_boxed_slice(),
        }
    }

    /// Does what the resolver says.
    ///
    /// # Errors
    /// It cannot be done: the exchange has failed.
    pub(super) fn carry_out(&mut self, transmit: Transmit) -> Result<(), Exchange> {
        let has_room = self.open.len() < DNS_SOCKETS;
        let (exchange, opened) = match transmit {
            Transmit::Close(exchange) => {
                self.open.remove(&exchange);
                return Ok(());
            }
            // The resolver asks no more at a time than there is room for; a mistake of it must not take others' descriptors.
            Transmit::Datagram(exchange, ..) | Transmit::Stream(exchange, ..) if !has_room => {
                return Err(exchange);
            }
            Transmit::Datagram(exchange, server, query) => {
                (exchange, send(server, &query).map(Socket::Datagrams))
            }
            Transmit::Stream(exchange, server, query) => {
                let stream = Stream::connect(server, &query);
                (exchange, stream.map(Socket::Stream))
            }
        };
        self.open.insert(exchange, opened.map_err(|_| exchange)?);
        Ok(())
    }

    /// Sleeps until a socket has something, the bell rings, or it is time. The exchanges that have something.
    pub(super) fn wait(
        &self,
        bell: Option<BorrowedFd<'_>>,
        until: Option<Instant>,
    ) -> Vec<Exchange> {
        let mut fds: Vec<PollFd<'_>> = self.open.values().map(Socket::interest).collect();
        let count = fds.len();
        fds.extend(bell.map(|bell| PollFd::from_borrowed_fd(bell, PollFlags::IN)));
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, left.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Vec::new(),
            // The kernel has no memory for it: a moment later it may.
            Err(_) => {
                thread::sleep(DNS_REST);
                return Vec::new();
            }
        }
        let polled = self.open.keys().zip(fds.iter().take(count));
        let ready = polled.filter(|(_, fd)| !fd.revents().is_empty());
        ready.map(|(exchange, _)| *exchange).collect()
    }

    /// What the socket of this exchange has: one message, so that no server keeps the others waiting.
    pub(super) fn hear(&mut self, exchange: Exchange) -> Heard {
        match self.open.get_mut(&exchange) {
            None => Heard::Nothing,
            Some(Socket::Datagrams(socket)) => match socket.recv(&mut self.datagram) {
                Ok(count) => {
                    let message = self.datagram.get(..count).unwrap_or_default();
                    Heard::Message(message.to_vec())
                }
                Err(error) if is_early(&error) => Heard::Nothing,
                // Nobody is at that port, perhaps.
                Err(_) => Heard::Failed,
            },
            Some(Socket::Stream(stream)) => match stream.advance() {
                Ok(None) => Heard::Nothing,
                Ok(Some(message)) => Heard::Message(message),
                Err(_) => Heard::Failed,
            },
        }
    }
}

impl Socket {
    fn interest(&self) -> PollFd<'_> {
        match self {
            Self::Datagrams(socket) => PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN),
            Self::Stream(stream) => {
                let flags = match stream.progress {
                    Progress::Asking(_) => PollFlags::OUT,
                    Progress::Listening(_) => PollFlags::IN,
                };
                PollFd::from_borrowed_fd(stream.socket.as_fd(), flags)
            }
        }
    }
}

/// Sends a query from a port of the kernel's choice. Connected, so that nobody else's datagrams are taken.
fn send(server: SocketAddr, query: &[u8]) -> io::Result<UdpSocket> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(server)?;
    socket.send(query)?;
    Ok(socket)
}

/// An exchange by TCP: one message there and one back, each behind its length in two bytes (RFC 7766 §8).
struct Stream {
    socket: TcpStream,
    progress: Progress,
}

enum Progress {
    /// With what is not sent yet: all of it while the connection is not there.
    Asking(Vec<u8>),
    /// With what has come.
    Listening(Vec<u8>),
}

const LENGTH_BYTES: usize = 2;

impl Stream {
    fn connect(server: SocketAddr, query: &[u8]) -> io::Result<Self> {
        let length = u16::try_from(query.len()).map_err(io::Error::other)?;
        let socket = Bare::new(Domain::for_address(server), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&server.into()) {
            Ok(()) => {}
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        // In one write: some servers take what comes first for all of it.
        let unsent = [&length.to_be_bytes(), query].concat();
        Ok(Self {
            socket: socket.into(),
            progress: Progress::Asking(unsent),
        })
    }

    /// Goes on as far as the socket lets it. The message, when all of it is there.
    fn advance(&mut self) -> io::Result<Option<Vec<u8>>> {
        let advanced = match &mut self.progress {
            Progress::Asking(unsent) => {
                // Whether it was connected at all.
                if let Some(error) = self.socket.take_error()? {
                    return Err(error);
                }
                let sent = self.socket.write(unsent).map(|count| {
                    unsent.drain(..count);
                    unsent.is_empty()
                });
                sent.map(|is_sent| {
                    if is_sent {
                        self.progress = Progress::Listening(Vec::new());
                    }
                    None
                })
            }
            Progress::Listening(read) => listen(&mut self.socket, read),
        };
        match advanced {
            Err(error) if is_early(&error) => Ok(None),
            advanced => advanced,
        }
    }
}

/// Reads what is there, and no more than belongs to the message.
fn listen(socket: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        let whole = match read.first_chunk::<LENGTH_BYTES>() {
            None => LENGTH_BYTES,
            Some(length) => LENGTH_BYTES + usize::from(u16::from_be_bytes(*length)),
        };
        if whole > LENGTH_BYTES && read.len() >= whole {
            return Ok(Some(read.split_off(LENGTH_BYTES)));
        }
        let (before, missing) = (read.len(), whole.saturating_sub(read.len()));
        // A message of no length is none.
        if missing == 0 {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut buffer = [0; 4096];
        let room = buffer.get_mut(..missing.min(4096)).unwrap_or_default();
        let count = socket.read(room)?;
        read.extend_from_slice(room.get(..count).unwrap_or_default());
        if read.len() == before {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Whether there is nothing yet, rather than never.
fn is_early(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected
    )
}
