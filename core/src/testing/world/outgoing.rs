//! Connections that shards open, and the names they ask for: to whom each address leads, and what DNS says.
//!
//! A connection of a shard is a pipe as that of a client is, with the other side at the user's end of it (`write`, `secure`, `take_received`), or one
//! end of two, of which the other is a listener's.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::net::{IpAddr, SocketAddr};

use super::World;
use super::pipe::{Arrival, Ended, Layer, Origin, Peer, Pipe, Reading};
use super::policy::Door;
use crate::port::{
    Closed, ConnId, ConnectError, Input, Listener, Lookup, Opening, Resolved, ServerCertificate,
    TlsClient,
};

impl World {
    /// From now on DNS says this.
    pub fn publish(&mut self, lookup: Lookup, outcome: Resolved) {
        self.records.retain(|(asked, _)| *asked != lookup);
        self.records.push((lookup, outcome));
    }

    /// What it says.
    pub(super) fn look_up(&self, lookup: &Lookup) -> Resolved {
        let known = self.records.iter().find(|(asked, _)| asked == lookup);
        known.map_or(Resolved::NoName, |(_, outcome)| outcome.clone())
    }

    /// From now on this is at an address; where nothing is said, nobody listens.
    pub fn set_door(&mut self, at: SocketAddr, door: Door) {
        self.doors.retain(|(of, _)| *of != at);
        self.doors.push((at, door));
    }

    /// The connections that shards wanted so far, where to and who is at the other end.
    #[must_use]
    pub fn outgoing(&self) -> &[(SocketAddr, Peer)] {
        &self.outgoing
    }

    /// A shard wants a connection.
    pub(super) fn open(&mut self, shard: usize, conn: ConnId, to: SocketAddr) {
        let peer = self.add_pipe(shard, conn, Opening::Clear);
        self.pipes[peer.0].reading = Reading::Paused;
        self.pipes[peer.0].origin = Origin::Opened(None);
        self.outgoing.push((to, peer));
        let door = self.doors.iter().find(|(at, _)| *at == to);
        match door.map_or(Door::Refuses(ConnectError::Refused), |(_, door)| *door) {
            Door::Opens => self.open_door(peer),
            Door::Waits => {}
            Door::Refuses(error) => self.refuse(peer, error),
            Door::Listens(listener, opening) => {
                let from = SocketAddr::new(to.ip(), 49_152);
                let now = self.now;
                let accepted = self.logs[listener].accept(
                    &mut self.shards[listener],
                    now,
                    Listener::of_clients(opening),
                    from,
                );
                let other = self.add_pipe(listener, accepted, opening);
                self.undrained.insert(listener);
                self.pipes[peer.0].link = Some(other);
                self.pipes[other.0].link = Some(peer);
                self.open_door(peer);
            }
        }
    }

    fn add_pipe(&mut self, shard: usize, conn: ConnId, opening: Opening) -> Peer {
        let peer = Peer(self.pipes.len());
        self.pipes.push(Pipe::new((shard, conn), opening));
        self.seats.insert(shard, conn, peer);
        peer
    }

    /// A connection of a shard, to somebody who is at home, is open.
    pub fn open_door(&mut self, peer: Peer) {
        let pipe = &mut self.pipes[peer.0];
        if let Some((shard, conn)) = pipe.seat {
            pipe.reading = Reading::On;
            self.letters.push_back((shard, Input::Connected { conn }));
        }
    }

    /// Whether a connection of a shard is not open yet.
    #[must_use]
    pub fn is_behind_door(&self, peer: Peer) -> bool {
        let pipe = &self.pipes[peer.0];
        matches!(pipe.origin, Origin::Opened(None)) && pipe.reading == Reading::Paused
    }

    /// A connection of a shard will never be open.
    pub fn refuse(&mut self, peer: Peer, error: ConnectError) {
        self.end(peer, Ended::ByPeer, Closed::Unconnected(error));
    }

    /// A shard begins TLS on a connection of its own. The user says when the other side has done its part; a listener does it by itself, if it
    /// is ready for that.
    pub(super) fn say_hello(&mut self, peer: Peer, asked: TlsClient) {
        let pipe = &mut self.pipes[peer.0];
        pipe.origin = Origin::Opened(Some(asked));
        pipe.tell_outside(Arrival::Hello);
        let Some(link) = pipe.link else {
            return;
        };
        if self.pipes[link.0].layer == Layer::Handshake {
            self.pipes[peer.0].inbox.push_back(Arrival::Hello);
        }
        self.pipes[link.0].inbox.push_back(Arrival::Hello);
    }

    /// With whom a shard wanted TLS on a connection of its own, if it did.
    #[must_use]
    pub fn asked_of(&self, peer: Peer) -> Option<&TlsClient> {
        match &self.pipes[peer.0].origin {
            Origin::Opened(asked) => asked.as_ref(),
            Origin::Accepted(_) => None,
        }
    }

    /// What is written on this connection is for another world from now on (`take_written`), and what comes, too (`arrive`).
    pub fn lead_outside(&mut self, peer: Peer) {
        self.pipes[peer.0].outside.get_or_insert_default();
    }

    /// A server of another world connects.
    pub fn accept_outside(&mut self, from: IpAddr, opening: Opening) -> Peer {
        let shard = self.pipes.len() % self.shards.len();
        let peer = self.connect_at(from, shard, Listener::of_servers(opening));
        self.lead_outside(peer);
        peer
    }

    /// What is for another world, since this was last asked.
    pub fn take_written(&mut self, peer: Peer) -> VecDeque<Arrival> {
        let outside = self.pipes[peer.0].outside.as_mut();
        outside.map(core::mem::take).unwrap_or_default()
    }

    /// This comes from one.
    pub fn arrive(&mut self, peer: Peer, arrival: Arrival) {
        let pipe = &mut self.pipes[peer.0];
        if pipe.seat.is_some() {
            pipe.inbox.push_back(arrival);
        }
    }

    /// The certificate that the server at the other end of this connection shows, if it does.
    pub fn show(&mut self, peer: Peer, certificate: Option<Box<ServerCertificate>>) {
        self.pipes[peer.0].shown = Some(certificate);
    }

    /// Whether a connection ended before its shard had read all that had come.
    #[must_use]
    pub fn has_dropped(&self, peer: Peer) -> bool {
        self.pipes[peer.0].dropped
    }

    /// Whether TLS is up.
    #[must_use]
    pub fn is_encrypted(&self, peer: Peer) -> bool {
        self.pipes[peer.0].layer == Layer::Tls
    }

    /// The socket takes all that is owed to another world: who closes lingers, and who begins TLS waits for that.
    pub(super) fn flush_outside(&mut self, peer: Peer) {
        if self.pipes[peer.0].outside.is_some() {
            self.take(peer, usize::MAX);
        }
    }
}
