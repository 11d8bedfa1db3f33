//! Sockets as async-io has them. It tells once of what it is asked to tell, so each is asked about again when it has nothing more.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustix::net::{SocketFlags, acceptfrom_with};
use smol::Async;
use socket2::{Domain, Protocol, Socket as Unconnected, Type};
use spondee_shell_common::thread::{Coming, Queue, Ready, Room, Socket, Sockets};

use crate::bell::{Bell, Watch};

/// A name in a thread's bell: connections by their slot, listeners from the other end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Name {
    Listener(usize),
    Slot(usize),
}

impl Name {
    /// In a thread with so many listeners.
    pub(crate) const fn of(number: usize, listeners: usize) -> Self {
        match usize::MAX - number {
            index if index < listeners => Self::Listener(index),
            _ => Self::Slot(number),
        }
    }

    const fn number(self) -> usize {
        match self {
            Self::Listener(index) => usize::MAX - index,
            Self::Slot(slot) => slot,
        }
    }
}

/// The sockets of a thread, by its bell.
#[derive(Debug)]
pub(crate) struct Watched(pub(crate) Arc<Bell>);

impl Watched {
    /// The thread's n-th listener.
    pub(crate) fn listen(&mut self, index: usize, socket: TcpListener) -> io::Result<Listener> {
        let socket = Async::new_nonblocking(socket)?;
        let watch = Watch::new();
        watch.by(&self.0, Name::Listener(index).number());
        let waker = Waker::from(watch);
        Ok(Listener { socket, waker })
    }
}

impl Sockets for Watched {
    type Socket = Connection;
    type Listener = Listener;

    fn accept(&mut self, listener: &mut Listener) -> io::Result<(Connection, SocketAddr)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (socket, peer) = acceptfrom_with(&listener.socket, flags)?;
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        // A connection that broke before it was accepted.
        let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
        Ok((Connection::new(socket.into())?, peer))
    }

    fn waits_to_accept(&mut self, listener: &mut Listener) -> Queue {
        let mut cx = Context::from_waker(&listener.waker);
        match listener.socket.poll_readable(&mut cx) {
            Poll::Pending => Queue::Empty,
            Poll::Ready(_) => Queue::Waiting,
        }
    }

    fn connect(&mut self, to: SocketAddr) -> io::Result<Connection> {
        let socket = Unconnected::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&to.into()) {
            Err(error) if !is_under_way(&error) => Err(error),
            Ok(()) | Err(_) => Connection::new(socket.into()),
        }
    }

    fn watch(&mut self, socket: &mut Connection, slot: usize) -> io::Result<()> {
        socket.watch.by(&self.0, Name::Slot(slot).number());
        Ok(())
    }

    fn unwatch(&mut self, socket: &mut Connection) -> io::Result<()> {
        socket.watch.by_nobody();
        Ok(())
    }
}

fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

/// A listener, and who is told when somebody comes.
pub(crate) struct Listener {
    socket: Async<TcpListener>,
    waker: Waker,
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

/// A connection, and who is told when it is ready.
pub(crate) struct Connection {
    socket: Async<TcpStream>,
    watch: Arc<Watch>,
    waker: Waker,
}

impl Connection {
    /// `socket` does not block.
    fn new(socket: TcpStream) -> io::Result<Self> {
        let watch = Watch::new();
        Ok(Self {
            socket: Async::new_nonblocking(socket)?,
            waker: Waker::from(Arc::clone(&watch)),
            watch,
        })
    }
}

impl Socket for Connection {
    fn shut(&self) {
        let _ = self.socket.get_ref().shutdown(Shutdown::Write);
    }

    fn opened(&self) -> io::Result<()> {
        if let Some(error) = self.socket.get_ref().take_error()? {
            return Err(error);
        }
        self.socket.get_ref().peer_addr().map(drop)
    }

    fn waits_to_read(&mut self) -> Ready {
        let mut cx = Context::from_waker(&self.waker);
        Ready {
            read: match self.socket.poll_readable(&mut cx) {
                Poll::Pending => None,
                // What it is, the next read says.
                Poll::Ready(_) => Some(Coming::Bytes),
            },
            write: None,
        }
    }

    fn waits_to_write(&mut self) -> Ready {
        let mut cx = Context::from_waker(&self.waker);
        Ready {
            read: None,
            write: match self.socket.poll_writable(&mut cx) {
                Poll::Pending => None,
                Poll::Ready(_) => Some(Room),
            },
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.get_ref().read(buffer)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.get_ref().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}
