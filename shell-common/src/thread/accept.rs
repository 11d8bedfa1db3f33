//! Listeners: who is let in, who must wait, and who makes room.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use spondee_core::jid::Domain;
use spondee_core::port::{Listener, Opening, Protocol};

use super::conn::Conn;
use super::{Actions, Queue, Sockets, Thread};
use crate::limits::shell::{ACCEPT_REST, ACCEPTS_PER_TURN, ROOM_REST, is_exhausted};
use crate::link::Link;
use crate::listen;
use crate::permits::Room;
use crate::tls::Pump;

/// One of the thread's listeners.
#[derive(Debug)]
pub(super) struct Listening<L> {
    socket: L,
    listener: Listener,
    queue: Queue,
}

impl<L: AsFd> Listening<L> {
    pub(super) const fn new(socket: L, listener: Listener) -> Self {
        Self {
            socket,
            listener,
            queue: Queue::Waiting,
        }
    }

    pub(super) const fn somebody_waits(&mut self) {
        self.queue = Queue::Waiting;
    }

    /// Whether there may be somebody.
    pub(super) fn is_waited_at(&self) -> bool {
        self.queue == Queue::Waiting
    }
}

impl<S: Sockets> Thread<S> {
    pub(super) fn accept(&mut self) {
        if self.accept_at.is_some_and(|at| at > self.core.now.mono) {
            return;
        }
        self.accept_at = None;
        for index in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                if !self.accept_one(index) {
                    break;
                }
            }
        }
    }

    /// Whether to go on with this listener in this turn.
    fn accept_one(&mut self, index: usize) -> bool {
        let Some(listening) = self.listeners.get_mut(index) else {
            return false;
        };
        if listening.queue == Queue::Empty || self.accept_at.is_some() {
            return false;
        }
        let Some(mut permit) = self.shared.permits.take() else {
            self.make_room(index, "there are as many connections as max_connections and the limit of open files allow");
            return false;
        };
        match self.sockets.accept(&mut listening.socket) {
            Ok((socket, peer)) => {
                let listener = listening.listener;
                if permit.assign(self.core.now.mono, peer.ip()).is_err() {
                    self.turn_away(peer);
                    return true;
                }
                if let Err(error) = listen::prepare_accepted(&socket) {
                    // The peer is gone already.
                    tracing::debug!("cannot set up a connection: {error}");
                    return true;
                }
                let id = self.core.shard.accept(self.core.now, listener, peer);
                self.core.actions = Actions::Due;
                self.core.counters.accepted.add(1);
                let link = match (listener.opening, listener.expected.protocol()) {
                    (Opening::Tls, Some(protocol)) => {
                        Link::accepted_tls(self.pump(None, Opening::Tls, protocol))
                    }
                    (Opening::Clear, _) | (Opening::Tls, None) => Link::accepted(),
                };
                permit.enter(self.core.now.mono, &self.mailbox, id);
                self.admit(Conn::new(id, socket, link, permit));
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                listening.queue = self.sockets.waits_to_accept(&mut listening.socket);
                false
            }
            Err(error) if is_exhausted(&error) => {
                drop(permit);
                self.make_room(index, &error.to_string());
                false
            }
            // A connection that broke before it was accepted.
            Err(_) => true,
        }
    }

    pub(super) fn pump(
        &self,
        fallback: Option<Domain>,
        opening: Opening,
        protocol: Protocol,
    ) -> Pump {
        let tls = Arc::clone(&self.shared.tls);
        match protocol {
            Protocol::XmppClient => Pump::new(tls, fallback, opening),
            Protocol::XmppServer => self.shared.outgoing.asked(tls, fallback, opening),
        }
    }

    /// RFC 6120 §13.12: beyond the limit for its address a connection goes no further.
    fn turn_away(&self, peer: SocketAddr) {
        if self.shared.permits.may_complain(self.core.now.mono) {
            let peer = peer.ip().to_canonical();
            tracing::warn!(%peer, "turned away: as many connections as max_connections_per_address allows");
        }
    }

    /// There is no permit or no descriptor to accept with. If somebody waits for one, a stranger makes room.
    fn make_room(&mut self, index: usize, why: &str) {
        let Some(listening) = self.listeners.get_mut(index) else {
            return;
        };
        if !listen::is_waited_at(&listening.socket) {
            listening.queue = self.sockets.waits_to_accept(&mut listening.socket);
            return;
        }
        let now = self.core.now.mono;
        match self.shared.permits.make_room(now) {
            Room::Coming => self.accept_at = Some(now + ROOM_REST),
            Room::None => self.rest(why),
        }
    }

    /// Choice: without descriptors clients wait in the listen queue for a while and then find a place or time out. To take
    /// each one only to close it would make them all come back at once.
    fn rest(&mut self, why: &str) {
        if self.shared.permits.may_complain(self.core.now.mono) {
            tracing::warn!("cannot accept connections for now: {why}");
        }
        self.accept_at = Some(self.core.now.mono + ACCEPT_REST);
    }
}
