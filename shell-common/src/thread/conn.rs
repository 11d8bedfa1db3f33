//! One connection with its socket: carries out what its link says is due.

use std::io::{self, ErrorKind};

use spondee_core::port::{Closed, ConnId, ConnectError, Input, TlsInfo};

use super::{Coming, Core, Ready, Socket};
use crate::limits::shell::is_exhausted;
use crate::link::{Above, Buffers, Fate, Link, Told, Wrote};
use crate::note;
use crate::permits::Permit;
use crate::tls::{Step, Taken};

/// A connection with its place among the open ones.
#[derive(Debug)]
pub(super) struct Conn<T> {
    id: ConnId,
    pub(super) socket: T,
    pub(super) link: Link,
    /// Whether it stands in the thread's list of those to read.
    pub(super) to_read: Listed,
    /// Whether it stands in the thread's list of those to write.
    pub(super) to_write: Listed,
    pub(super) permit: Permit,
}

/// Membership of a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Listed {
    No,
    Yes,
}

/// The core, as far as it concerns one connection.
struct Upper<'a> {
    core: &'a mut Core,
    conn: ConnId,
}

impl Above for Upper<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        let conn = self.conn;
        self.core.input(Input::Bytes { conn, bytes });
    }

    fn connected(&mut self) {
        let conn = self.conn;
        self.core.input(Input::Connected { conn });
    }

    fn owed(&self) -> &[u8] {
        self.core.shard.outgoing(self.conn)
    }

    fn secured(&mut self, tls: TlsInfo) {
        let (conn, tls) = (self.conn, Box::new(tls));
        self.core.input(Input::Secured { conn, tls });
    }

    fn sent(&mut self, count: usize) {
        self.core.shard.sent(self.conn, count);
    }

    fn step(&mut self, step: Step) {
        self.core.steps.push((self.conn, step));
    }

    fn tell(&self, what: Told<'_>) {
        let peer = self.core.shard.peer(self.conn);
        match what {
            Told::CertificatePassedOver(why) => note::certificate_passed_over(peer, why),
            Told::TlsFailed(why) => note::tls_failed(peer, why),
        }
    }
}

impl<T: Socket> Conn<T> {
    pub(super) const fn new(id: ConnId, socket: T, link: Link, permit: Permit) -> Self {
        Self {
            id,
            socket,
            link,
            to_read: Listed::No,
            to_write: Listed::No,
            permit,
        }
    }

    /// Its name in the core.
    pub(super) const fn id(&self) -> ConnId {
        self.id
    }

    /// A new name, on a new thread.
    pub(super) const fn moved(&mut self, id: ConnId) {
        self.id = id;
        self.link.moved();
        (self.to_read, self.to_write) = (Listed::No, Listed::No);
    }

    /// Notes what the poller says. How it ended, if it could not be opened.
    pub(super) fn notice(&mut self, ready: Ready, core: &mut Core) -> Option<Closed> {
        match ready.read {
            Some(Coming::Bytes) => self.link.readable(),
            Some(Coming::End) => self.link.ending(),
            None => {}
        }
        ready.write?;
        self.link.writable();
        if !self.link.is_connecting() {
            return None;
        }
        match self.socket.opened() {
            Ok(()) => {
                let conn = self.id;
                self.link.connected(&mut Upper { core, conn });
                None
            }
            Err(error) => Some(Closed::Unconnected(why_not(&error))),
        }
    }

    /// Reads once.
    pub(super) fn read(&mut self, core: &mut Core, buffers: &mut Buffers) -> Fate {
        let fate = match self.socket.read(&mut buffers.read) {
            Ok(0) => {
                self.link.ended();
                Fate::Stays
            }
            Ok(count) => {
                core.counters.reads.add(1);
                core.counters.read_bytes.add(count);
                let conn = self.id;
                self.link
                    .received(count, &mut Upper { core, conn }, buffers)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.link.emptied();
                Fate::Stays
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Fate::Stays,
            Err(_) => Fate::Gone(Closed::Reset),
        };
        self.wait();
        self.last_words(fate)
    }

    /// Writes once, if the socket takes anything, and does what had to wait for that.
    pub(super) fn flush(&mut self, core: &mut Core, buffers: &mut Buffers) -> Fate {
        let (socket, conn) = (&mut self.socket, self.id);
        let mut wrote = None;
        let write = |bytes: &[u8]| *wrote.insert(write_once(socket, bytes));
        let fate = self.link.flush(&mut Upper { core, conn }, buffers, write);
        if let Some(Wrote::Taken(count)) = wrote {
            core.counters.writes.add(1);
            core.counters.written_bytes.add(count);
        }
        self.wait();
        match fate {
            Fate::Shuts => {
                self.socket.shut();
                Fate::Stays
            }
            Fate::Stays | Fate::Gone(_) => self.last_words(fate),
        }
    }

    /// Goes on with its handshake.
    pub(super) fn resume_handshake(
        &mut self,
        taken: Taken,
        core: &mut Core,
        buffers: &mut Buffers,
    ) -> Fate {
        let conn = self.id;
        let fate = self
            .link
            .resume_handshake(taken, &mut Upper { core, conn }, buffers);
        self.last_words(fate)
    }

    /// Before it is closed: says so in the log if that is in the middle of a TLS handshake.
    pub(super) fn tell_unfinished(&self, core: &mut Core) {
        let conn = self.id;
        self.link.tell_unfinished(&Upper { core, conn });
    }

    /// Whether a write is due and has a chance.
    pub(super) fn wants_write(&self, core: &mut Core) -> bool {
        let conn = self.id;
        self.link.wants_write(&Upper { core, conn })
    }

    /// Has the poller tell of what is not there yet.
    pub(super) fn wait(&mut self) {
        if self.link.is_dry() {
            self.note(|socket| socket.waits_to_read());
        }
        if self.link.is_blocked() {
            self.note(|socket| socket.waits_to_write());
        }
    }

    fn note(&mut self, wait: impl FnOnce(&mut T) -> Ready) {
        let Ready { read, write } = wait(&mut self.socket);
        match read {
            Some(Coming::Bytes) => self.link.readable(),
            Some(Coming::End) => self.link.ending(),
            None => {}
        }
        if write.is_some() {
            self.link.writable();
        }
    }

    /// Of a connection whose TLS failed.
    fn last_words(&mut self, fate: Fate) -> Fate {
        if fate == Fate::Gone(Closed::Tls) {
            let _ = self.socket.write(self.link.last_words());
        }
        fate
    }
}

/// One call.
fn write_once(socket: &mut impl Socket, bytes: &[u8]) -> Wrote {
    match socket.write(bytes) {
        Ok(count) => Wrote::Taken(count),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Wrote::Taken(0),
        Err(error) if error.kind() == ErrorKind::Interrupted => Wrote::Interrupted,
        Err(_) => Wrote::Broken,
    }
}

/// What the system says of a connection that could not be opened.
pub(super) fn why_not(error: &io::Error) -> ConnectError {
    use ConnectError::{Exhausted, Refused, TimedOut, Unreachable};
    let known = [
        (ErrorKind::ConnectionRefused, Refused),
        (ErrorKind::ConnectionReset, Refused),
        (ErrorKind::TimedOut, TimedOut),
    ];
    let mut known = known.into_iter();
    match known.find(|(kind, _)| *kind == error.kind()) {
        Some((_, why)) => why,
        None if is_exhausted(error) => Exhausted,
        None => Unreachable,
    }
}
