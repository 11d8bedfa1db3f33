//! Sockets that are clients. What one of them is written to it answers at once, so there is nothing to wait for but other threads.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, OnceLock};

use spondee_shell_common::thread::{Coming, Ready, Room, Socket, Sockets};

use super::client::{Client, Errand, Found};
use crate::scram::Account;

thread_local! {
    /// Connections that ended on this thread.
    static LEFT: Cell<usize> = const { Cell::new(0) };
}

/// Whoever connects to a thread.
#[derive(Debug)]
pub(super) struct Clients {
    /// Who comes next. Who has come is the last to come again, if anybody does.
    pub(super) queue: VecDeque<(Arc<Mutex<Account>>, Errand)>,
    pub(super) again: Again,
    /// How many more may come, beside those in whose place somebody else comes.
    pub(super) places: usize,
    /// All slots of connections on this thread are below.
    pub(super) slots: usize,
}

/// Whether in the place of one that leaves another one comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Again {
    No,
    Yes,
}

impl Clients {
    /// Whether somebody waits at the listener.
    pub(super) fn somebody_waits(&mut self) -> bool {
        if self.again == Again::Yes {
            self.places += LEFT.take();
        }
        self.places > 0 && !self.queue.is_empty()
    }
}

impl Sockets for Clients {
    type Socket = Connection;
    type Listener = TcpListener;

    fn accept(&mut self, _: &mut TcpListener) -> io::Result<(Connection, SocketAddr)> {
        if !self.somebody_waits() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let (account, errand) = self.queue.pop_front().ok_or(ErrorKind::WouldBlock)?;
        self.places -= 1;
        if self.again == Again::Yes {
            self.queue.push_back((Arc::clone(&account), errand.clone()));
        }
        let client = Box::new(Client::new(account, errand));
        Ok((Connection(client), (Ipv4Addr::LOCALHOST, 1).into()))
    }

    fn connect(&mut self, _: SocketAddr) -> io::Result<Connection> {
        Err(ErrorKind::ConnectionRefused.into())
    }

    fn watch(&mut self, _: &mut Connection, slot: usize) -> io::Result<()> {
        self.slots = self.slots.max(slot + 1);
        Ok(())
    }

    fn unwatch(&mut self, _: &mut Connection) -> io::Result<()> {
        Ok(())
    }
}

/// A connection with the client at its other end.
#[derive(Debug)]
pub(super) struct Connection(Box<Client>);

impl Connection {
    /// What a thread is told of a client that has made up its mind.
    pub(super) const SAYS: Ready = Ready {
        read: Some(Coming::Bytes),
        write: None,
    };
}

impl Socket for Connection {
    fn shut(&self) {}

    fn opened(&self) -> io::Result<()> {
        Ok(())
    }

    fn waits_to_read(&mut self) -> Ready {
        Ready {
            read: self.0.has_said().then_some(Coming::Bytes),
            write: None,
        }
    }

    fn waits_to_write(&mut self) -> Ready {
        Ready {
            read: None,
            write: Some(Room),
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Found::Bytes(count) => Ok(count),
            Found::End => Ok(0),
            Found::Nothing => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.hear(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Connection {
    /// Of nothing: what is asked of a socket's own descriptor concerns the kernel alone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        static NOTHING: OnceLock<File> = OnceLock::new();
        let nothing = || File::open("/dev/null").expect("there is nothing");
        NOTHING.get_or_init(nothing).as_fd()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        LEFT.set(LEFT.get() + 1);
    }
}
