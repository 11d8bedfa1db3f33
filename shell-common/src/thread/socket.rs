//! What a thread needs of a shell.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;

/// The sockets of one thread, and what tells when they are ready.
pub trait Sockets: Debug + Sized + 'static {
    /// A connection. It travels between threads.
    type Socket: Socket;
    /// A listener.
    type Listener: AsFd + Debug;

    /// Takes one from a listener's queue, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if there is none, and what the system says.
    fn accept(&mut self, listener: &mut Self::Listener) -> io::Result<(Self::Socket, SocketAddr)>;

    /// A listener's queue is empty: the thread wants to be told when it is not. Says whether somebody is there already. For pollers that do
    /// not tell of each edge by themselves.
    fn waits_to_accept(&mut self, _listener: &mut Self::Listener) -> Queue {
        Queue::Empty
    }

    /// Begins to open a connection, without waiting: it is open, or has failed, once it is writable.
    ///
    /// # Errors
    /// What the system says at once.
    fn connect(&mut self, to: SocketAddr) -> io::Result<Self::Socket>;

    /// From now on the thread is told (`Thread::notice`) when this socket is ready, by its slot. What it has by now counts.
    ///
    /// # Errors
    /// What the system says.
    fn watch(&mut self, socket: &mut Self::Socket, slot: usize) -> io::Result<()>;

    /// From now on it is not; for a socket that goes to another thread. One that is dropped is not watched any more either.
    ///
    /// # Errors
    /// What the system says.
    fn unwatch(&mut self, socket: &mut Self::Socket) -> io::Result<()>;
}

/// A connection that never blocks.
pub trait Socket: AsFd + Debug + Read + Send + Write + 'static {
    /// Shuts the outgoing side. Fails only if the connection is broken already, which the next read finds out.
    fn shut(&self);

    /// Why it could not be opened, if that failed.
    ///
    /// # Errors
    /// That.
    fn opened(&self) -> io::Result<()>;

    /// What it had is read: the thread wants to be told when there is more. Says what is there already. For pollers that do not tell of
    /// each edge by themselves.
    fn waits_to_read(&mut self) -> Ready {
        Ready::default()
    }

    /// It is full: the thread wants to be told when there is room. As above.
    fn waits_to_write(&mut self) -> Ready {
        Ready::default()
    }
}

/// What a poller says of a socket.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ready {
    /// Its incoming side.
    pub read: Option<Coming>,
    /// Its outgoing side, if there is room for a write or it is known that it has failed.
    pub write: Option<Room>,
}

/// What there may be to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Coming {
    /// Something.
    Bytes,
    /// The end or an error, behind bytes perhaps. It is said once.
    End,
}

/// What is known of a listener's queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Queue {
    /// Nothing there until the poller says so.
    Empty,
    /// There may be somebody.
    Waiting,
}

/// There is room for a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room;
