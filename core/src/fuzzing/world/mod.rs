//! What fuzzers drive: the world in memory of the tests (`crate::testing`), each turn of which the fuzzer chooses, and clients who
//! check what the core promises in return.
//!
//! Questions are answered, envelopes delivered and connections handed over when told to, in any order that a real shell could
//! come to.

mod answers;
mod checks;
mod setup;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::peer::{Course, Ears, Peer, Side};
use crate::entropy::Entropy;
use crate::jid::{BareJid, Jid};
use crate::port::{
    Closed, Command, CommandId, ConnectError, Input, Lookup, Opening, Resolved, Standing,
};
use crate::sasl::{Credentials, Dates, DeriveParams, Status};
use crate::secret::Secret;
use crate::store::StoreError;
use crate::testing::{
    self, Closing, Door, Fate, Handshakes, Mesh, Resolver, StorePace, Taking, Workers, tls_of,
};

pub(super) use answers::Answer;
use setup::config;
pub(super) use setup::{ACCOUNTS, HOSTS, PASSWORDS, account};

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    world: testing::World,
    pub(super) peers: Vec<Peer>,
    /// How many of them are servers.
    servers: usize,
    commands: BTreeMap<CommandId, Command>,
    next_command: u64,
    /// Whose an address was, ever.
    bound: BTreeMap<Jid, BTreeSet<usize>>,
    /// Which passwords were ever good.
    passwords: BTreeSet<(BareJid, &'static str)>,
    conduct: Conduct,
}

/// Whether the shell has kept the contract so far. If not, the core need only stay alive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Conduct {
    Good,
    Bad,
}

impl World {
    /// `choice` is one of 64 configurations; `queue_bytes` is what a peer may leave unread.
    pub(super) fn new(shards: u16, choice: u8, queue_bytes: usize) -> Self {
        let mut world = testing::World::unrecorded(Arc::new(config(shards, choice, queue_bytes)));
        world.store_pace = StorePace::Slow;
        world.workers = Workers::Slow;
        world.mesh = Mesh::Full;
        world.closing = Closing::WhenTold;
        world.handshakes = Handshakes::WhenTold;
        world.resolver = Resolver::Late;
        let password = Secret::new(PASSWORDS[0].into());
        let jobs = DeriveParams::for_new_password(1, &mut Entropy::new([3; 32]));
        let keys = jobs.iter().map(|job| job.derive(&password)).collect();
        let credentials = Credentials::hashed(Status::Enabled, keys);
        let row = credentials.to_row(Dates::default());
        let accounts = 0..ACCOUNTS.len() - 1;
        for at in accounts.clone() {
            world.keep_account(account(at), row.clone());
        }
        Self {
            world,
            peers: Vec::new(),
            servers: 0,
            commands: BTreeMap::new(),
            next_command: 0,
            bound: BTreeMap::new(),
            passwords: accounts.map(|at| (account(at), PASSWORDS[0])).collect(),
            conduct: Conduct::Good,
        }
    }

    /// A client connects.
    pub(super) fn accept(&mut self, shard: usize, opening: Opening) -> usize {
        let shard = shard % self.world.shards();
        let line = self
            .world
            .connect_from([192, 0, 2, 1].into(), shard, opening);
        self.world.set_taking(line, Taking::Halves);
        self.peers.push(Peer::new(line, Side::Client));
        line.index()
    }

    /// A shard has wanted a connection, perhaps: then there is somebody at the other end.
    fn meet_servers(&mut self) {
        for at in self.servers..self.world.outgoing().len() {
            if let Some((_, line)) = self.world.outgoing().get(at).copied() {
                self.world.set_taking(line, Taking::Halves);
                self.peers.push(Peer::new(line, Side::Server));
                assert_eq!(line.index() + 1, self.peers.len());
            }
        }
        self.servers = self.world.outgoing().len();
    }

    /// From now on DNS says this.
    pub(super) fn publish(&mut self, lookup: Lookup, outcome: Resolved) {
        self.world.publish(lookup, outcome);
    }

    /// From now on this is at an address.
    pub(super) fn set_door(&mut self, at: SocketAddr, door: Door) {
        self.world.set_door(at, door);
    }

    /// Whether a connection of the core's is not open, nor ended.
    fn waits(&self, at: usize) -> Option<testing::Peer> {
        let peer = self.peers.get(at)?;
        let waits = peer.side == Side::Server
            && self.world.is_behind_door(peer.line)
            && self.world.ended(peer.line).is_none();
        waits.then_some(peer.line)
    }

    /// A connection of the core's is open.
    pub(super) fn open_door(&mut self, at: usize) {
        if let Some(line) = self.waits(at) {
            self.world.open_door(line);
        }
    }

    /// It never will be.
    pub(super) fn refuse(&mut self, at: usize, error: ConnectError) {
        if let Some(line) = self.waits(at) {
            self.world.tell_closed(line, Closed::Unconnected(error));
        }
    }

    /// The shell says that a connection is open which it is not, or is already.
    pub(super) fn connect_falsely(&mut self, at: usize) {
        self.drain();
        let Some(line) = self.peers.get(at).map(|peer| peer.line) else {
            return;
        };
        if let Some((shard, conn)) = self.world.seat(line) {
            self.conduct = Conduct::Bad;
            self.world.tell(shard, Input::Connected { conn });
        }
    }

    /// A client sends something. It is read when the core wants to be told.
    pub(super) fn say(&mut self, at: usize, bytes: &[u8]) {
        if let Some(speaker) = self.peers.get_mut(at) {
            speaker.backlog.extend_from_slice(bytes);
        }
        self.read(at);
    }

    /// Hands over what a client sent, if the core wants it.
    fn read(&mut self, at: usize) {
        if let Some(speaker) = self.peers.get_mut(at)
            && self.world.reads(speaker.line)
            && !speaker.backlog.is_empty()
        {
            let bytes = core::mem::take(&mut speaker.backlog);
            self.world.tell_bytes(speaker.line, &bytes);
        }
    }

    /// The TLS handshake of a client is done.
    pub(super) fn secure(&mut self, at: usize) {
        let Some(client) = self.peers.get_mut(at) else {
            return;
        };
        if !self.world.shakes_hands(client.line) {
            return;
        }
        // Who answered the server's part of the handshake has read all that stood before it.
        self.set_ears(at, Ears::Open);
        if let Some(client) = self.peers.get_mut(at) {
            client.restart();
            self.world.shake_hands(client.line);
        }
        self.read(at);
    }

    /// The shell says so though no handshake is under way.
    pub(super) fn secure_falsely(&mut self, at: usize) {
        self.drain();
        let Some(line) = self.peers.get(at).map(|peer| peer.line) else {
            return;
        };
        if let Some((shard, conn)) = self.world.seat(line)
            && !self.world.shakes_hands(line)
        {
            self.conduct = Conduct::Bad;
            let tls = tls_of(line).into();
            self.world.tell(shard, Input::Secured { conn, tls });
        }
    }

    /// The connection is gone.
    pub(super) fn close(&mut self, at: usize, how: Closed) {
        if let Some(peer) = self.peers.get(at) {
            self.world.tell_closed(peer.line, how);
        }
    }

    /// A client begins to read, or reads no more.
    pub(super) fn set_ears(&mut self, at: usize, ears: Ears) {
        if let Some(peer) = self.peers.get_mut(at) {
            peer.ears = ears;
            let taking = match ears {
                // A socket rarely takes all at once.
                Ears::Open => Taking::Halves,
                Ears::Shut => Taking::Nothing,
            };
            self.world.set_taking(peer.line, taking);
        }
        self.hear(at);
    }

    /// Its place is needed: a stranger is told to go at once, a member notices nothing.
    ///
    /// # Panics
    /// If it is otherwise.
    pub(super) fn evict(&mut self, at: usize) {
        self.drain();
        let Some(line) = self.peers.get(at).map(|peer| peer.line) else {
            return;
        };
        let Some((shard, conn)) = self.world.seat(line) else {
            return;
        };
        let state = |world: &Self| {
            let stream = world.peers.get(at).map(|peer| peer.stream);
            (world.world.standing(line), stream, world.connection(line))
        };
        let before = state(self);
        self.world.tell(shard, Input::Evict { conn });
        self.drain();
        let after = state(self);
        match before.0 {
            Standing::Member => assert_eq!(after, before, "a member is evicted"),
            Standing::Stranger => assert_eq!(after.2, Course::Over, "a stranger stays"),
        }
    }

    /// Whether a connection goes on, as far as the core is concerned.
    fn connection(&self, line: testing::Peer) -> Course {
        match self.world.ended(line) {
            None => Course::On,
            Some(_) => Course::Over,
        }
    }

    /// The command goes to the shard that owns the account.
    pub(super) fn command(&mut self, command: Command) {
        let id = CommandId(self.next_command);
        self.next_command += 1;
        self.commands.insert(id, command.clone());
        let shard = self.world.owner_of(&command);
        self.world.tell(shard, Input::Command { id, command });
    }

    /// From now on this password may be good.
    pub(super) fn learn_password(&mut self, account: BareJid, password: &'static str) {
        self.passwords.insert((account, password));
    }

    /// What becomes of the next batches: one or two, or none, meet a fate out of a few.
    pub(super) fn doom_batches(&mut self, choice: u8) {
        let fate = match choice / 3 % 5 {
            0 => Fate::Failed(StoreError::Busy),
            1 => Fate::Failed(StoreError::Failed),
            2 => Fate::Failed(StoreError::Full),
            3 => Fate::Failed(StoreError::Unknown),
            _ => Fate::Lost,
        };
        self.world.fates = (0..choice % 3).map(|_| fate).collect();
    }

    /// Time passes, and the shards look at their deadlines.
    pub(super) fn wait(&mut self, time: Duration) {
        self.world.pass(time);
        for shard in 0..self.world.shards() {
            self.world.tell(shard, Input::Tick);
        }
        let now = self.world.now().mono;
        let next = self.world.next_timeout();
        assert!(next.is_none_or(|at| at > now), "a deadline is missed");
    }

    pub(super) fn reload(&mut self, choice: u8) {
        let shards = u16::try_from(self.world.shards()).unwrap_or(1);
        let queue_bytes = self.world.config().limits.session_queue_bytes;
        let config = self.world.configure(config(shards, choice, queue_bytes));
        for shard in 0..self.world.shards() {
            self.world.tell(shard, Input::Reload(config.clone()));
        }
    }

    pub(super) fn shut_down(&mut self) {
        for shard in 0..self.world.shards() {
            self.world.tell(shard, Input::Shutdown);
        }
    }
}
