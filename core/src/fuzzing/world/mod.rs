//! A shell for fuzzers: shards, a store, workers and clients in one thread, each turn of which the fuzzer chooses.
//!
//! It keeps the contract of `port` and checks what the core promises in return. Questions are answered, envelopes delivered and
//! connections handed over when told to, in any order that a real shell could come to.

mod actions;
mod answers;
mod setup;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::peer::{Course, Ears, Peer, Reading, Wire};
use crate::config::Config;
use crate::entropy::Entropy;
use crate::envelope::placement::Placement;
use crate::envelope::{Envelope, Place};
use crate::jid::{BareJid, Jid};
use crate::port::{
    Closed, Command, CommandId, ConnId, Input, Listener, Opening, Standing, Ticket, TlsInfo,
    TlsVersion,
};
use crate::sasl::{ChannelBindings, Credentials, Dates, DeriveParams, Status};
use crate::secret::Secret;
use crate::shard::Shard;
use crate::store::{Reply, Row, StoreError};
use crate::time::{Instant, Now, UnixTime};
use crate::work::{self, Done};

pub(super) use answers::{Answer, Way};
pub(super) use setup::{ACCOUNTS, HOSTS, PASSWORDS, account};
use setup::{SECRET, config};

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    shards: Vec<Shard>,
    pub(super) peers: Vec<Peer>,
    config: Arc<Config>,
    placement: Placement,
    now: Now,
    store: BTreeMap<BareJid, Row>,
    /// How many of the next batches fail.
    pub(super) store_failures: u8,
    questions: VecDeque<Question>,
    envelopes: VecDeque<Box<Envelope>>,
    hand_offs: VecDeque<(usize, ConnId, Place)>,
    commands: BTreeMap<CommandId, Command>,
    next_command: u64,
    /// Whose an address was, ever.
    bound: BTreeMap<Jid, BTreeSet<usize>>,
    /// Which passwords were ever good.
    passwords: BTreeSet<(BareJid, &'static str)>,
    conduct: Conduct,
    /// How many bytes the core was told, and what it did with them.
    told: usize,
    done: Done,
}

/// A question that was asked and not answered.
#[derive(Debug)]
struct Question {
    shard: usize,
    ticket: Ticket,
    about: About,
}

#[derive(Clone, Debug)]
enum About {
    /// The batch of this owner is applied; this is to be told.
    Store(BareJid, Result<Vec<Reply>, StoreError>),
    Derive(Secret, Vec<DeriveParams>),
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
        let config = Arc::new(config(shards, choice, queue_bytes));
        let shard = |shard| {
            let seed = [u8::try_from(shard).unwrap_or(0); 32];
            Shard::new(config.clone(), Place { node: 0, shard }, seed)
        };
        let password = Secret::new(PASSWORDS[0].into());
        let jobs = DeriveParams::for_new_password(1, &mut Entropy::new([3; 32]));
        let credentials = Credentials {
            status: Status::Enabled,
            keys: jobs.iter().map(|job| job.derive(&password)).collect(),
        };
        let row = credentials.to_row(Dates::default());
        let accounts = 0..ACCOUNTS.len() - 1;
        Self {
            shards: (0..shards).map(shard).collect(),
            peers: Vec::new(),
            placement: Placement::new(&SECRET, shards),
            now: Now {
                mono: Instant(1_000_000),
                wall: UnixTime(1_795_316_645_678),
            },
            store: accounts
                .clone()
                .map(|at| (account(at), row.clone()))
                .collect(),
            store_failures: 0,
            questions: VecDeque::new(),
            envelopes: VecDeque::new(),
            hand_offs: VecDeque::new(),
            commands: BTreeMap::new(),
            next_command: 0,
            bound: BTreeMap::new(),
            passwords: accounts.map(|at| (account(at), PASSWORDS[0])).collect(),
            conduct: Conduct::Good,
            told: 0,
            done: Done::default(),
            config,
        }
    }

    /// A client connects.
    pub(super) fn accept(&mut self, shard: usize, opening: Opening) -> usize {
        let shard = shard % self.shards.len();
        let address: SocketAddr = ([192, 0, 2, 1], 4321).into();
        let Some(there) = self.shards.get_mut(shard) else {
            return 0;
        };
        let conn = there.accept(self.now, Listener { opening }, address);
        let wire = match opening {
            Opening::Clear => Wire::Stream,
            Opening::Tls => Wire::Handshake,
        };
        self.peers.push(Peer::new((shard, conn), wire));
        self.peers.len() - 1
    }

    /// A client sends something. It is read when the core wants to be told.
    pub(super) fn say(&mut self, peer: usize, bytes: &[u8]) {
        if let Some(speaker) = self.peers.get_mut(peer) {
            speaker.backlog.extend_from_slice(bytes);
        }
        self.read(peer);
    }

    /// Hands over what a client sent, if the core wants it.
    fn read(&mut self, peer: usize) {
        let Some(speaker) = self.peers.get_mut(peer) else {
            return;
        };
        let ready = speaker.wire == Wire::Stream
            && speaker.reading == Reading::On
            && speaker.connection == Course::On;
        if !ready || speaker.backlog.is_empty() {
            return;
        }
        let bytes = core::mem::take(&mut speaker.backlog);
        if let Some((shard, conn)) = speaker.seat {
            self.tell(
                shard,
                Input::Bytes {
                    conn,
                    bytes: &bytes,
                },
            );
        }
    }

    /// The TLS handshake of a client is done.
    pub(super) fn secure(&mut self, peer: usize) {
        let Some(client) = self.peers.get_mut(peer) else {
            return;
        };
        let Some((shard, conn)) = client.seat else {
            return;
        };
        if client.wire != Wire::Handshake || client.connection == Course::Over {
            return;
        }
        // Who answered the server's part of the handshake has read all that stood before it.
        client.ears = Ears::Open;
        self.flush(peer);
        if let Some(client) = self.peers.get_mut(peer) {
            client.wire = Wire::Stream;
            client.restart();
        }
        self.tell(shard, secured(conn));
        self.read(peer);
    }

    /// The shell says so though no handshake is under way.
    pub(super) fn secure_falsely(&mut self, peer: usize) {
        self.drain();
        let peer = self.peers.get(peer);
        let peer = peer.filter(|peer| peer.wire == Wire::Stream);
        if let Some((shard, conn)) = peer.and_then(|peer| peer.seat) {
            self.conduct = Conduct::Bad;
            self.tell(shard, secured(conn));
        }
    }

    /// The connection is gone.
    pub(super) fn close(&mut self, peer: usize, how: Closed) {
        let seat = self.peers.get_mut(peer).and_then(|peer| peer.seat.take());
        if let Some((shard, conn)) = seat {
            self.tell(shard, Input::Closed { conn, how });
        }
    }

    /// Its place is needed: a stranger is told to go at once, a member notices nothing.
    ///
    /// # Panics
    /// If it is otherwise.
    pub(super) fn evict(&mut self, at: usize) {
        self.drain();
        let Some(peer) = self.peers.get(at) else {
            return;
        };
        let Some((shard, conn)) = peer.seat else {
            return;
        };
        let before = (peer.standing, peer.stream, peer.connection);
        self.tell(shard, Input::Evict { conn });
        self.drain();
        if let Some(peer) = self.peers.get(at) {
            let after = (peer.standing, peer.stream, peer.connection);
            match before.0 {
                Standing::Member => assert_eq!(after, before, "a member is evicted"),
                Standing::Stranger => assert_eq!(after.2, Course::Over, "a stranger stays"),
            }
        }
    }

    /// The command goes to the shard that owns the account.
    pub(super) fn command(&mut self, command: Command) {
        let place = command
            .account()
            .map(|account| self.placement.owner(account.as_str()));
        let id = CommandId(self.next_command);
        self.next_command += 1;
        self.commands.insert(id, command.clone());
        let shard = place.map_or(0, |place| usize::from(place.shard));
        self.tell(shard, Input::Command { id, command });
    }

    /// From now on this password may be good.
    pub(super) fn learn_password(&mut self, account: BareJid, password: &'static str) {
        self.passwords.insert((account, password));
    }

    /// Time passes, and the shards look at their deadlines.
    pub(super) fn wait(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        for shard in 0..self.shards.len() {
            self.tell(shard, Input::Tick);
            let next = self.shards.get(shard).and_then(Shard::poll_timeout);
            assert!(
                next.is_none_or(|at| at > self.now.mono),
                "a deadline is missed"
            );
        }
    }

    pub(super) fn reload(&mut self, choice: u8) {
        let shards = u16::try_from(self.shards.len()).unwrap_or(1);
        let queue_bytes = self.config.limits.session_queue_bytes;
        self.config = Arc::new(config(shards, choice, queue_bytes));
        for shard in 0..self.shards.len() {
            self.tell(shard, Input::Reload(self.config.clone()));
        }
    }

    pub(super) fn shut_down(&mut self) {
        for shard in 0..self.shards.len() {
            self.tell(shard, Input::Shutdown);
        }
    }

    fn tell(&mut self, shard: usize, input: Input<'_>) {
        if let Input::Bytes { bytes, .. } = &input {
            self.told += bytes.len();
        }
        let before = work::done();
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.handle(self.now, input);
        }
        self.done = self.done.and(work::done().since(before));
        let Self { told, done, .. } = self;
        assert!(done.is_worth(*told), "{done:?} for {told} bytes");
    }
}

fn secured(conn: ConnId) -> Input<'static> {
    let tls = TlsInfo {
        version: TlsVersion::V1_3,
        bindings: ChannelBindings {
            exporter: Some([0xee; 32]),
            end_point: Some([0xcc; 32].into()),
        },
    };
    Input::Secured { conn, tls }
}
