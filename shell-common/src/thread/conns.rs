//! The connections of a thread: their slots, the lists they stand on, and their end.

use spondee_core::arena::ArenaKey as _;
use spondee_core::port::{Closed, ConnId, Input, Standing};

use super::conn::{Conn, Listed};
use super::{Socket, Sockets, Thread};
use crate::handshakes::Busy;
use crate::limits::shell::LINGER;
use crate::link::{Fate, Finish};
use crate::note;
use crate::tls::Taken;

impl<S: Sockets> Thread<S> {
    /// Gives a connection its slot and has it watched.
    pub(super) fn admit(&mut self, mut conn: Conn<S::Socket>) {
        let id = conn.id();
        let index = id.key().index();
        let watched = self.sockets.watch(&mut conn.socket, index);
        if watched.is_ok() {
            conn.wait();
        }
        if self.conns.len() <= index {
            self.conns.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.conns.get_mut(index) {
            *slot = Some(conn);
        }
        match watched {
            Ok(()) => self.list(id),
            Err(error) => {
                if self.shared.permits.may_complain(self.core.now.mono) {
                    tracing::warn!("cannot watch a connection: {error}");
                }
                self.drop_conn(id, Closed::Reset);
            }
        }
    }

    /// Looks at the deadlines: the core's and those of connections being closed.
    pub(super) fn expire(&mut self) {
        let now = self.core.now.mono;
        if self.core.shard.poll_timeout().is_some_and(|at| at <= now) {
            self.core.input(Input::Tick);
        }
        while let Some((at, id)) = self.closing.front().copied()
            && at <= now
        {
            self.closing.pop_front();
            self.drop_conn(id, Closed::Eof);
        }
    }

    pub(super) fn close(&mut self, id: ConnId) {
        let Some(conn) = find(&mut self.conns, id) else {
            return;
        };
        match conn.link.finish() {
            Finish::InOrder => {
                self.closing.push_back((self.core.now.mono + LINGER, id));
                self.list_write(id);
                self.stand(id, Standing::Stranger);
            }
            Finish::AtOnce => self.drop_conn(id, Closed::Eof),
            Finish::UnderWay => {}
        }
    }

    /// Permits have become scarce: now it matters who holds them.
    pub(super) fn take_census(&mut self) {
        for conn in self.conns.iter_mut().flatten() {
            let id = conn.id();
            // Who was chosen before was told then.
            let _ = conn.permit.settle(&self.mailbox, id);
        }
    }

    pub(super) fn stand(&mut self, id: ConnId, standing: Standing) {
        if let Some(conn) = find(&mut self.conns, id) {
            conn.permit.stand(standing, &self.mailbox, id);
        }
    }

    /// A connection is to make room: the core says what is still to be said to it.
    pub(super) fn evict(&mut self, conn: ConnId) {
        self.core.input(Input::Evict { conn });
        self.evicted.push(conn);
    }

    /// What its socket took at once is all that an evicted connection hears. One that has signed in meanwhile was not told to close,
    /// and stays.
    ///
    /// Deviation: RFC 6120 §4.4 has us wait for its close_notify, but somebody waits for its place.
    pub(super) fn drop_evicted(&mut self) {
        for id in std::mem::take(&mut self.evicted) {
            if find(&mut self.conns, id).is_some_and(|conn| conn.link.is_closing()) {
                self.drop_conn(id, Closed::Eof);
                // There is a place, with the next turn.
                self.accept_at = None;
            }
        }
    }

    pub(super) fn pause(&mut self, id: ConnId) {
        if let Some(conn) = find(&mut self.conns, id) {
            conn.link.pause();
        }
    }

    pub(super) fn resume(&mut self, id: ConnId) {
        let Some(conn) = find(&mut self.conns, id) else {
            return;
        };
        conn.link.resume();
        let ended = conn.link.has_ended();
        self.list(id);
        if ended {
            self.list_write(id);
        }
    }

    /// Gives away what of handshakes would take too long here.
    pub(super) fn give_steps(&mut self) {
        for (id, step) in std::mem::take(&mut self.core.steps) {
            if find(&mut self.conns, id).is_none() {
                continue;
            }
            if let Err(Busy) = self.shared.handshakes.take(&self.mailbox, id, step) {
                let peer = self.core.shard.peer(id);
                note::tls_failed(peer, "too many handshakes by DHE wait already");
                self.drop_conn(id, Closed::Tls);
            }
        }
    }

    pub(super) fn resume_handshake(&mut self, id: ConnId, taken: Taken) {
        let Some(conn) = find(&mut self.conns, id) else {
            return;
        };
        let fate = conn.resume_handshake(taken, &mut self.core, &mut self.buffers);
        self.settle(id, fate);
        self.list_write(id);
    }

    pub(super) fn settle(&mut self, id: ConnId, fate: Fate) {
        match fate {
            Fate::Stays | Fate::Shuts => self.list(id),
            Fate::Gone(how) => self.drop_conn(id, how),
        }
    }

    /// Drops a connection; the core hears of it exactly once, since its slot is empty from then on.
    pub(super) fn drop_conn(&mut self, id: ConnId, how: Closed) {
        if let Some(conn) = self.take(id) {
            // A poller forgets a socket that is closed.
            conn.tell_unfinished(&mut self.core);
            drop(conn);
            self.core.input(Input::Closed { conn: id, how });
        }
    }

    pub(super) fn take(&mut self, id: ConnId) -> Option<Conn<S::Socket>> {
        self.conns
            .get_mut(id.key().index())?
            .take_if(|conn| conn.id() == id)
    }

    /// Puts a connection on the lists it belongs to.
    pub(super) fn list(&mut self, id: ConnId) {
        let Some(conn) = find(&mut self.conns, id) else {
            return;
        };
        if conn.link.wants_read() && conn.to_read == Listed::No {
            conn.to_read = Listed::Yes;
            self.to_read.push_back(id);
        }
        if conn.wants_write(&mut self.core) {
            self.list_write(id);
        }
    }

    pub(super) fn list_write(&mut self, id: ConnId) {
        if let Some(conn) = find(&mut self.conns, id)
            && conn.to_write == Listed::No
        {
            conn.to_write = Listed::Yes;
            self.to_write.push(id);
        }
    }
}

/// The connection that `id` names, unless its slot has a new tenant.
pub(super) fn find<T: Socket>(conns: &mut [Option<Conn<T>>], id: ConnId) -> Option<&mut Conn<T>> {
    conns
        .get_mut(id.key().index())?
        .as_mut()
        .filter(|conn| conn.id() == id)
}
