//! Sockets as mio has them, and their poller: it tells of edges, by the slot of a connection or the number of a listener.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Poll, Token};
use spondee_shell_common::thread::{Coming, Ready, Room, Socket, Sockets};

/// What a token stands for. Connections are named by their slot, all else from the other end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Name {
    /// The thread's waker.
    Wake,
    /// One of its listeners.
    Listener(usize),
    /// One of its connections, or none.
    Slot(usize),
}

/// The poller's name for the thread's waker.
pub(crate) const WAKE: Token = Token(usize::MAX);

impl Name {
    /// In a thread with so many listeners.
    pub(crate) const fn of(token: Token, listeners: usize) -> Self {
        match usize::MAX - token.0 {
            0 => Self::Wake,
            number if number <= listeners => Self::Listener(number - 1),
            _ => Self::Slot(token.0),
        }
    }
}

/// The poller of a thread, as far as sockets are concerned.
#[derive(Debug)]
pub(crate) struct Polled(pub(crate) Poll);

impl Polled {
    /// Has it tell of this listener, which is the thread's n-th.
    pub(crate) fn listen(
        &mut self,
        index: usize,
        socket: std::net::TcpListener,
    ) -> io::Result<TcpListener> {
        let mut socket = TcpListener::from_std(socket);
        let token = Token(usize::MAX - 1 - index);
        self.0
            .registry()
            .register(&mut socket, token, Interest::READABLE)?;
        Ok(socket)
    }
}

impl Sockets for Polled {
    type Socket = Connection;
    type Listener = TcpListener;

    fn accept(&mut self, listener: &mut TcpListener) -> io::Result<(Connection, SocketAddr)> {
        let (socket, peer) = listener.accept()?;
        Ok((Connection(socket), peer))
    }

    fn connect(&mut self, to: SocketAddr) -> io::Result<Connection> {
        TcpStream::connect(to).map(Connection)
    }

    /// For both directions, once for its life on this thread.
    fn watch(&mut self, socket: &mut Connection, slot: usize) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.0.registry().register(&mut socket.0, Token(slot), both)
    }

    fn unwatch(&mut self, socket: &mut Connection) -> io::Result<()> {
        self.0.registry().deregister(&mut socket.0)
    }
}

/// What the poller says.
pub(crate) fn ready(event: &Event) -> Ready {
    let read = if event.is_read_closed() || event.is_error() {
        Some(Coming::End)
    } else {
        event.is_readable().then_some(Coming::Bytes)
    };
    let is_writable = event.is_writable() || event.is_write_closed() || event.is_error();
    Ready {
        read,
        write: is_writable.then_some(Room),
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection(TcpStream);

impl Socket for Connection {
    fn shut(&self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    fn opened(&self) -> io::Result<()> {
        if let Some(error) = self.0.take_error()? {
            return Err(error);
        }
        self.0.peer_addr().map(drop)
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
