//! One shard: everything one thread owns, driven by inputs and drained of actions.

use alloc::sync::Arc;
use core::net::SocketAddr;

use crate::config::Config;
use crate::envelope::Place;
use crate::port::{Action, ConnId, Input, Listener};
use crate::time::{Instant, Now};

/// A shard: connections, accounts, questions under way, deadlines.
#[derive(Debug)]
pub struct Shard {}

/// A connection on its way to the shard that owns its account: the stream, what was verified, output not yet sent.
#[derive(Debug)]
pub struct Detached {}

impl Shard {
    /// `place` is its own; `seed` must be secret and different for each shard and start.
    #[must_use]
    pub fn new(config: Arc<Config>, place: Place, seed: [u8; 32], now: Now) -> Self {
        let _ = (config, place, seed, now);
        todo!()
    }

    /// Takes one input. Any number may be handled before the actions are drained.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        let _ = (now, input);
        todo!()
    }

    /// A new connection from `peer`.
    pub fn accept(&mut self, now: Now, listener: Listener, peer: SocketAddr) -> ConnId {
        let _ = (now, listener, peer);
        todo!()
    }

    /// Takes a connection out after `Action::HandOff`; its id is dead from now on. `None` if it closed meanwhile (the shell
    /// then leaves it: `Action::Close` is coming or came).
    pub fn detach(&mut self, conn: ConnId) -> Option<Detached> {
        let _ = conn;
        todo!()
    }

    /// Takes over a connection another shard detached. `Resume` follows when the shell is to read it.
    pub fn attach(&mut self, now: Now, detached: Detached) -> ConnId {
        let _ = (now, detached);
        todo!()
    }

    /// The next thing to do; drain until `None`.
    pub fn poll_action(&mut self) -> Option<Action> {
        todo!()
    }

    /// When to say `Input::Tick` at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Bytes owed to the peer. Empty for a connection that is dead.
    #[must_use]
    pub fn outgoing(&self, conn: ConnId) -> &[u8] {
        let _ = conn;
        todo!()
    }

    /// The first `count` bytes of `outgoing` are in the socket (or in TLS records bound for it).
    pub fn sent(&mut self, conn: ConnId, count: usize) {
        let _ = (conn, count);
        todo!()
    }
}
