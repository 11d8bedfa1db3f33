//! The third shell: shards driven in memory, with pipes for sockets, a virtual clock and a store that may be slow.
//!
//! It carries out every action as the contract has it: one read for each connection and turn, answers in the next turn,
//! `Secure` only with everything before it sent, plaintext in a TLS handshake fails it. Two runs of the same calls are the same
//! to the byte.

mod record;
mod steps;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use spondee_core::config::{Config, Host, HostConfig, Software};
use spondee_core::envelope::Place;
use spondee_core::jid::{BareJid, Domain};
use spondee_core::limits::Limits;
use spondee_core::port::{
    Action, Closed, Command, CommandId, CommandResult, ConnId, DeriveError, Listener, Note,
    Opening, Ticket, TlsInfo, TlsVersion,
};
use spondee_core::sasl::ChannelBindings;
use spondee_core::secret::Secret;
use spondee_core::shard::Shard;
use spondee_core::store::{Batch, StoreError};
use spondee_core::testing::Memory;
use spondee_core::time::{Instant, Now, UnixTime};
use spondee_core::work::{self, Done};

pub use record::{Event, Log};
pub use steps::{Returned, Step};

/// PBKDF2 rounds of passwords in memory: what they protect is public.
const ROUNDS: u32 = 16;

/// Turns without end are a fault of the server, not a test that takes long.
const TURNS_MAX: usize = 2_000_000;

/// A configuration for tests: hosts `localhost` and `other.test`, TLS required, everything else as an administrator gets it.
///
/// # Panics
/// Never: the names are valid.
#[must_use]
pub fn config() -> Config {
    let host = |name: &str| {
        let host = HostConfig {
            rounds: ROUNDS,
            ..HostConfig::default()
        };
        (
            Domain::parse(name).expect("a valid name"),
            Host::Accounts(host),
        )
    };
    Config {
        hosts: BTreeMap::from([host("localhost"), host("other.test")]),
        limits: Limits::default(),
        server_secret: [0x5e; 32],
        shards: 1,
        software: Software {
            name: "Spondee".to_owned(),
            version: "0.0.0".to_owned(),
        },
    }
}

/// When a shard's actions are drained.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Drain {
    /// After each input.
    EachInput,
    /// Once all that came in a turn is handled (house contract 1).
    #[default]
    EachTurn,
}

/// When the store answers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum StorePace {
    /// In the next turn.
    #[default]
    Prompt,
    /// Only when nothing else can happen.
    Slow,
    /// At once, and always that it is too busy.
    Busy,
}

/// Whether connections can go from shard to shard.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mesh {
    /// At once.
    #[default]
    Free,
    /// Not now: the way is full.
    Full,
}

/// Whether there are workers to derive keys.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Workers {
    /// In the next turn.
    #[default]
    Free,
    /// All are busy: it is refused.
    Busy,
}

/// One client's end of a connection.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Peer(usize);

/// How a connection ended, as its client sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// The server closed it.
    Closed,
    /// The client closed it.
    ByPeer,
    /// The TLS handshake failed.
    TlsFailed,
}

#[derive(Debug)]
struct Pipe {
    seat: Option<(usize, ConnId)>,
    reading: Reading,
    layer: Layer,
    /// Whether it was read since its shard was drained.
    turn: Turn,
    /// What the client has written and the server not yet read.
    inbox: VecDeque<Arrival>,
    /// Whether the client takes what the server writes.
    taking: Taking,
    received: Vec<u8>,
    ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reading {
    On,
    Paused,
}

/// A connection is read once for each turn of its shard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    Fresh,
    Read,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Taking {
    All,
    Nothing,
}

/// The server's end of the security layer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Layer {
    Clear,
    Handshake,
    Tls,
}

#[derive(Debug)]
enum Arrival {
    Clear(Vec<u8>),
    Hello,
    Encrypted(Vec<u8>),
    Eof,
}

/// Shards, their connections, their store and their time.
#[derive(Debug)]
pub struct World {
    config: Arc<Config>,
    shards: Vec<Shard>,
    logs: Vec<Log>,
    store: Memory,
    batches: VecDeque<(usize, Ticket, Batch)>,
    letters: VecDeque<(usize, Event)>,
    pipes: Vec<Pipe>,
    seats: BTreeMap<(usize, ConnId), Peer>,
    now: Now,
    seed: u64,
    /// How often the server was started.
    starts: u8,
    /// Shards that were told something since they were drained.
    undrained: BTreeSet<usize>,
    /// When actions are drained.
    pub drain: Drain,
    /// When the store answers.
    pub store_pace: StorePace,
    /// Whether keys are derived.
    pub workers: Workers,
    /// Whether connections can go from shard to shard.
    pub mesh: Mesh,
    /// Which TLS handshakes come to.
    pub tls: TlsVersion,
    /// How many envelopes wait on the way from one shard to another; one more comes back as undeliverable.
    pub lane_capacity: usize,
    returned: Vec<Returned>,
    /// Connections that could not: shard, connection, destination.
    stuck: Vec<(usize, ConnId, Place)>,
    /// Everything noted so far.
    pub notes: Vec<Note>,
    answers: BTreeMap<CommandId, CommandResult>,
    handed_off: usize,
    /// How many bytes the shards were told, and what they did with them: held to a bound, if steps are counted.
    told: usize,
    done: Done,
}

impl World {
    /// As many shards as the configuration says. Seeds are fixed, and different for each.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with_seed(config, 0)
    }

    /// As `new`; the seeds of the shards come from `seed`.
    #[must_use]
    pub fn with_seed(config: Config, seed: u64) -> Self {
        let config = Arc::new(config);
        let now = Now {
            mono: Instant(1_000_000),
            wall: UnixTime(1_800_000_000_000),
        };
        let logs = steps::logs(&config, seed, 0);
        Self {
            shards: logs.iter().map(Log::start).collect(),
            logs,
            config,
            store: Memory::default(),
            batches: VecDeque::new(),
            letters: VecDeque::new(),
            pipes: Vec::new(),
            seats: BTreeMap::new(),
            now,
            seed,
            starts: 0,
            undrained: BTreeSet::new(),
            drain: Drain::default(),
            store_pace: StorePace::default(),
            workers: Workers::default(),
            mesh: Mesh::default(),
            tls: TlsVersion::V1_3,
            lane_capacity: usize::MAX,
            returned: Vec::new(),
            stuck: Vec::new(),
            notes: Vec::new(),
            answers: BTreeMap::new(),
            handed_off: 0,
            told: 0,
            done: Done::default(),
        }
    }

    /// Makes an account, and waits until it is kept.
    ///
    /// # Panics
    /// The server refuses.
    pub fn add_user(&mut self, account: &str, password: &str) {
        let account = BareJid::parse(account).expect("an address");
        let password = Secret::new(password.as_bytes().to_vec());
        let answer = self.command(Command::Add { account, password });
        assert!(answer.is_ok(), "{answer:?}");
    }

    /// Gives a command to the shard it is for, and waits for its answer.
    ///
    /// # Panics
    /// No answer came.
    pub fn command(&mut self, command: Command) -> CommandResult {
        self.commands(vec![command]).remove(0)
    }

    /// Gives commands to the shards they are for, all in one turn, and waits for their answers.
    ///
    /// # Panics
    /// No answer came to one of them.
    pub fn commands(&mut self, commands: Vec<Command>) -> Vec<CommandResult> {
        let first: u64 = self.logs.iter().map(|log| log.len() as u64).sum();
        let ids: Vec<_> = (first..).map(CommandId).take(commands.len()).collect();
        for (id, command) in ids.iter().zip(commands) {
            self.post_command(*id, command);
        }
        self.run();
        ids.iter()
            .map(|id| self.answers.remove(id).expect("an answer to the command"))
            .collect()
    }

    /// Tells every shard that the server is about to stop.
    pub fn shut_down(&mut self) {
        self.post_shutdown();
        self.run();
    }

    /// The place of this client's connection is needed.
    pub fn evict(&mut self, peer: Peer) {
        self.post_evict(peer);
        self.run();
    }

    /// Gives every shard a new configuration.
    pub fn reload(&mut self, config: Config) {
        self.post_reload(config);
        self.run();
    }

    /// A client connects to one of the shards, as the kernel would choose.
    pub fn connect(&mut self, opening: Opening) -> Peer {
        let shard = self.pipes.len() % self.shards.len();
        self.connect_to(shard, opening)
    }

    /// A client connects to this shard. On a TLS port, `secure` is its first word.
    pub fn connect_to(&mut self, shard: usize, opening: Opening) -> Peer {
        let octet = u8::try_from(self.pipes.len() % 250).unwrap_or(0);
        self.connect_from(IpAddr::V4(Ipv4Addr::new(127, 0, 0, octet)), shard, opening)
    }

    /// A client at this address connects to this shard.
    pub fn connect_from(&mut self, address: IpAddr, shard: usize, opening: Opening) -> Peer {
        let peer = Peer(self.pipes.len());
        let address = SocketAddr::new(address, 40_000);
        let conn = self.logs[shard].accept(
            &mut self.shards[shard],
            self.now,
            Listener { opening },
            address,
        );
        self.pipes.push(Pipe {
            seat: Some((shard, conn)),
            reading: Reading::On,
            turn: Turn::Fresh,
            layer: match opening {
                Opening::Clear => Layer::Clear,
                Opening::Tls => Layer::Handshake,
            },
            inbox: VecDeque::new(),
            taking: Taking::All,
            received: Vec::new(),
            ended: None,
        });
        self.seats.insert((shard, conn), peer);
        self.undrained.insert(shard);
        peer
    }

    /// The client writes, below TLS if it has said hello. Nothing happens until `run`.
    pub fn write(&mut self, peer: Peer, bytes: &[u8]) {
        let pipe = &mut self.pipes[peer.0];
        let secured = pipe.layer == Layer::Tls
            || pipe
                .inbox
                .iter()
                .any(|arrival| matches!(arrival, Arrival::Hello));
        pipe.inbox.push_back(if secured {
            Arrival::Encrypted(bytes.to_vec())
        } else {
            Arrival::Clear(bytes.to_vec())
        });
    }

    /// The client begins a TLS handshake; everything it writes from here on is encrypted.
    pub fn secure(&mut self, peer: Peer) {
        self.pipes[peer.0].inbox.push_back(Arrival::Hello);
    }

    /// The client ends the connection.
    pub fn hang_up(&mut self, peer: Peer) {
        self.pipes[peer.0].inbox.push_back(Arrival::Eof);
    }

    /// The client reads no more: what the server owes it piles up.
    pub fn stop_taking(&mut self, peer: Peer) {
        self.pipes[peer.0].taking = Taking::Nothing;
    }

    /// The client reads again, from what is owed by now.
    pub fn take_again(&mut self, peer: Peer) {
        self.pipes[peer.0].taking = Taking::All;
        if let Some((shard, conn)) = self.pipes[peer.0].seat {
            self.flush(shard, conn);
        }
    }

    /// What the server wrote to this client since it was last asked.
    pub fn take_received(&mut self, peer: Peer) -> Vec<u8> {
        std::mem::take(&mut self.pipes[peer.0].received)
    }

    /// How the connection ended, if it did.
    #[must_use]
    pub fn ended(&self, peer: Peer) -> Option<Ended> {
        self.pipes[peer.0].ended
    }

    /// How many connections went from shard to shard.
    #[must_use]
    pub const fn handed_off(&self) -> usize {
        self.handed_off
    }

    /// What the server's clock says.
    #[must_use]
    pub const fn now(&self) -> Now {
        self.now
    }

    /// Bytes the server keeps for this client until it takes them.
    #[must_use]
    pub fn owed(&self, peer: Peer) -> usize {
        let seat = self.pipes[peer.0].seat;
        seat.map_or(0, |(shard, conn)| self.shards[shard].outgoing(conn).len())
    }

    /// How much each shard has in memory: see `Shard::residue`.
    #[must_use]
    pub fn residue(&self) -> Vec<[usize; 7]> {
        self.shards.iter().map(Shard::residue).collect()
    }

    /// Everything each shard was told, to be replayed.
    #[must_use]
    pub fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// Lets everything happen that can happen without time passing.
    ///
    /// # Panics
    /// It does not come to rest.
    pub fn run(&mut self) {
        for _ in 0..TURNS_MAX {
            if !self.turn() {
                return;
            }
        }
        panic!("the server does not come to rest");
    }

    /// Lets at most this many turns happen, to leave the server in the middle of something.
    pub fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.turn();
        }
    }

    /// Lets time pass, with every deadline on the way kept to the microsecond.
    pub fn advance(&mut self, wait: Duration) {
        self.run();
        let end = self.now.mono + wait;
        while let Some(at) = self.next_timeout().filter(|at| *at <= end) {
            self.move_to(at.max(self.now.mono));
            self.tick();
        }
        self.move_to(end);
        self.tick();
    }

    /// The earliest deadline of all shards.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.shards.iter().filter_map(Shard::poll_timeout).min()
    }

    fn move_to(&mut self, at: Instant) {
        let passed = at.since(self.now.mono);
        let ms = i64::try_from(passed.as_millis()).unwrap_or(0);
        self.now = Now {
            mono: at,
            wall: UnixTime(self.now.wall.0 + ms),
        };
    }

    fn tick(&mut self) {
        for shard in 0..self.shards.len() {
            self.letters.push_back((shard, Event::Tick));
        }
        self.run();
    }

    /// One turn of a shell: letters, then one read for each connection, then the drain. Whether anything happened.
    fn turn(&mut self) -> bool {
        let mut busy = false;
        for _ in 0..self.letters.len() {
            if let Some((shard, event)) = self.letters.pop_front() {
                self.tell(shard, event);
                busy = true;
            }
        }
        if self.mesh == Mesh::Free {
            for (shard, conn, to) in std::mem::take(&mut self.stuck) {
                self.hand_off(shard, conn, to);
                busy = true;
            }
        }
        for index in 0..self.pipes.len() {
            busy |= self.read_once(Peer(index));
        }
        busy |= self.drain_all();
        if !busy {
            // Who waited for what was sent.
            for shard in 0..self.shards.len() {
                if self.shards[shard].poll_timeout() == Some(Instant::default()) {
                    self.tell(shard, Event::Tick);
                    busy = true;
                }
            }
        }
        if !busy && let Some((shard, ticket, batch)) = self.batches.pop_front() {
            self.apply(shard, ticket, &batch);
            busy = true;
        }
        busy
    }

    fn tell(&mut self, shard: usize, event: Event) {
        if let Event::Bytes(_, bytes) = &event {
            self.told += bytes.len();
        }
        let before = work::done();
        self.logs[shard].handle(&mut self.shards[shard], self.now, event);
        self.done = self.done.and(work::done().since(before));
        let Self { told, done, .. } = self;
        assert!(done.is_worth(*told), "{done:?} for {told} bytes");
        self.undrained.insert(shard);
        if self.drain == Drain::EachInput {
            self.drain_all();
        }
    }

    fn read_once(&mut self, peer: Peer) -> bool {
        let pipe = &mut self.pipes[peer.0];
        let (Some((shard, conn)), Reading::On) = (pipe.seat, pipe.reading) else {
            return false;
        };
        let Some(arrival) = pipe.inbox.pop_front() else {
            return false;
        };
        match (pipe.layer, arrival) {
            (_, Arrival::Eof) => self.end(peer, Ended::ByPeer, Closed::Eof),
            (Layer::Clear, Arrival::Clear(bytes)) | (Layer::Tls, Arrival::Encrypted(bytes)) => {
                self.tell(shard, Event::Bytes(conn, bytes));
            }
            (Layer::Handshake, Arrival::Hello) => {
                pipe.layer = Layer::Tls;
                let mut tls = tls_of(peer);
                if self.tls == TlsVersion::V1_2 {
                    tls.version = TlsVersion::V1_2;
                    tls.bindings.exporter = None;
                }
                self.tell(shard, Event::Secured(conn, tls));
            }
            // As the pump of the shells: some clients end `<starttls/>` with a line.
            (Layer::Handshake, Arrival::Clear(bytes)) if is_white_space(&bytes) => {}
            // Plaintext where a handshake belongs, or a handshake where none was agreed on.
            (Layer::Handshake | Layer::Tls, Arrival::Clear(_) | Arrival::Hello)
            | (Layer::Handshake, Arrival::Encrypted(_)) => {
                self.end(peer, Ended::TlsFailed, Closed::Tls);
            }
            (Layer::Clear, Arrival::Hello | Arrival::Encrypted(_)) => {
                self.tell(shard, Event::Bytes(conn, b"\x16\x03\x01".to_vec()));
            }
        }
        true
    }

    fn drain_all(&mut self) -> bool {
        let mut busy = false;
        loop {
            let mut quiet = true;
            for shard in 0..self.shards.len() {
                quiet &= !self.drain_shard(shard);
            }
            if quiet {
                return busy;
            }
            busy = true;
        }
    }

    fn drain_shard(&mut self, shard: usize) -> bool {
        let mut busy = false;
        while let Some(action) = self.logs[shard].poll(&mut self.shards[shard]) {
            busy = true;
            self.act(shard, action);
        }
        self.undrained.remove(&shard);
        busy
    }

    fn act(&mut self, shard: usize, action: Action) {
        match action {
            Action::Answer { id, result } => {
                self.answers.insert(id, result);
            }
            Action::Close { conn } => {
                self.flush(shard, conn);
                if let Some(peer) = self.peer(shard, conn) {
                    self.end(peer, Ended::Closed, Closed::Eof);
                }
            }
            Action::Derive {
                ticket,
                password,
                jobs,
            } => {
                let keys = match self.workers {
                    Workers::Free => Ok(jobs.iter().map(|job| job.derive(&password)).collect()),
                    Workers::Busy => Err(DeriveError::Busy),
                };
                self.letters
                    .push_back((shard, Event::Derived(ticket, keys)));
            }
            Action::Flush { conn } => self.flush(shard, conn),
            Action::HandOff { conn, to } => self.hand_off(shard, conn, to),
            Action::Note(note) => self.notes.push(note),
            Action::Pause { conn } => self.set_reading(shard, conn, Reading::Paused),
            Action::Resume { conn } => self.set_reading(shard, conn, Reading::On),
            Action::Secure { conn, behind, .. } => self.begin_tls(shard, conn, &behind),
            Action::Send(envelope) => self.send(*envelope),
            // Places never run out here: a test says who goes.
            Action::Standing { .. } => {}
            Action::Store { ticket, batch } => match self.store_pace {
                StorePace::Prompt => self.apply(shard, ticket, &batch),
                StorePace::Slow => self.batches.push_back((shard, ticket, batch)),
                StorePace::Busy => self
                    .letters
                    .push_back((shard, Event::Stored(ticket, Err(StoreError::Busy)))),
            },
        }
    }

    fn apply(&mut self, shard: usize, ticket: Ticket, batch: &Batch) {
        let outcome = self.store.apply(batch);
        self.letters
            .push_back((shard, Event::Stored(ticket, outcome)));
    }

    fn flush(&mut self, shard: usize, conn: ConnId) {
        let Some(peer) = self.peer(shard, conn) else {
            return;
        };
        let pipe = &mut self.pipes[peer.0];
        if pipe.taking == Taking::All {
            let bytes = self.shards[shard].outgoing(conn);
            pipe.received.extend_from_slice(bytes);
            let count = bytes.len();
            self.logs[shard].sent(&mut self.shards[shard], conn, count);
        }
    }

    /// Takes a connection to its owner's shard; nothing is read from it until the owner says `Resume`.
    fn hand_off(&mut self, shard: usize, conn: ConnId, to: Place) {
        let Some(peer) = self.peer(shard, conn) else {
            return;
        };
        self.pipes[peer.0].reading = Reading::Paused;
        if self.mesh == Mesh::Full {
            self.stuck.push((shard, conn, to));
            return;
        }
        self.carry(shard, conn, to, peer);
    }

    fn carry(&mut self, shard: usize, old: ConnId, to: Place, peer: Peer) {
        let to = usize::from(to.shard);
        let Some(detached) = self.logs[shard].detach(&mut self.shards[shard], old) else {
            return;
        };
        self.handed_off += 1;
        self.seats.remove(&(shard, old));
        let conn = self.logs[to].attach(&mut self.shards[to], self.now, detached);
        self.seats.insert((to, conn), peer);
        // Whose place is needed on the way hears of it on arrival.
        for letter in &mut self.letters {
            if let (at, Event::Evict(of)) = letter
                && (*at, *of) == (shard, old)
            {
                (*at, *of) = (to, conn);
            }
        }
        self.pipes[peer.0].seat = Some((to, conn));
        self.undrained.insert(to);
    }

    fn begin_tls(&mut self, shard: usize, conn: ConnId, behind: &[u8]) {
        // House contract 3: only when every byte queued before it is in the socket.
        self.flush(shard, conn);
        let Some(peer) = self.peer(shard, conn) else {
            return;
        };
        self.pipes[peer.0].layer = Layer::Handshake;
        if !is_white_space(behind) {
            self.end(peer, Ended::TlsFailed, Closed::Tls);
        }
    }

    fn set_reading(&mut self, shard: usize, conn: ConnId, reading: Reading) {
        if let Some(peer) = self.peer(shard, conn) {
            self.pipes[peer.0].reading = reading;
        }
    }

    fn end(&mut self, peer: Peer, ended: Ended, how: Closed) {
        let pipe = &mut self.pipes[peer.0];
        pipe.ended.get_or_insert(ended);
        pipe.inbox.clear();
        if let Some((shard, conn)) = pipe.seat.take() {
            self.seats.remove(&(shard, conn));
            self.letters.push_back((shard, Event::Closed(conn, how)));
        }
    }

    fn peer(&self, shard: usize, conn: ConnId) -> Option<Peer> {
        self.seats.get(&(shard, conn)).copied()
    }
}

fn is_white_space(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| b" \t\r\n".contains(byte))
}

/// What a connection's TLS 1.3 can be bound to: different for each, known to the test.
#[must_use]
pub fn tls_of(peer: Peer) -> TlsInfo {
    let octet = u8::try_from(peer.0 % 256).unwrap_or(0);
    TlsInfo {
        version: TlsVersion::V1_3,
        bindings: ChannelBindings {
            exporter: Some([octet; 32]),
            end_point: Some(vec![0xce; 32]),
        },
    }
}
