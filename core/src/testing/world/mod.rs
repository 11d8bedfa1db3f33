//! One world in memory for tests, the simulator, fuzzers and benches: shards with pipes for sockets, a store, workers, the ways from
//! shard to shard and a virtual clock.
//!
//! It carries out every action once, as the contract has it (`actions.rs`): `Secure` only with everything before it sent, plaintext in a
//! TLS handshake fails it, nothing is read from a connection on its way to another shard. When and how answers come is its user's: by
//! default all in the next turn (`World::run`), or one step at a time in any order that the contract allows (`steps.rs`), or each when
//! it is told to (`questions.rs`). Two runs of the same calls are the same to the byte.

mod actions;
mod outgoing;
mod pipe;
mod policy;
mod questions;
mod record;
mod steps;
#[cfg(test)]
mod tests;
mod ways;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use super::store::Memory;
use crate::config::Config;
use crate::envelope::Place;
use crate::envelope::placement::Placement;
use crate::jid::BareJid;
use crate::port::{
    CertificateNames, Chain, ClientCertificate, Closed, Command, CommandId, CommandResult, ConnId,
    Input, Listener, Lookup, NameConstraints, Note, Opening, Protocol, Resolved, ServerCertificate,
    Standing, TlsVersion, Verdict,
};
use crate::sasl::{CREDENTIALS, Tombstones};
use crate::secret::Secret;
use crate::shard::Shard;
use crate::store::{Batch, Class, Expect, Op, Reply, Row, StoreError, Table};
use crate::time::{Instant, Now, UnixTime};
use crate::work::{self, Done};

use self::pipe::{Layer, Origin, Pipe, Reading, Seats, is_white_space};
use self::questions::Question;
pub use pipe::{Arrival, Ended, Peer, tls_of};
pub use policy::{
    Bounds, Closing, Directory, Door, Drain, Fate, Handshakes, Mesh, Recording, Resolver,
    StorePace, Taking, Workers,
};
pub use record::{Log, Told};
pub use steps::Step;
pub use ways::Returned;

/// Turns without end are a fault of the server, not a test that takes long.
const TURNS_MAX: usize = 2_000_000;

const CLASSES: usize = Class::Upkeep as usize + 1;

/// Shards, their connections, their store and their time.
#[derive(Debug)]
pub struct World {
    config: Arc<Config>,
    /// With a single shard there is nothing to place.
    placement: Option<Placement>,
    shards: Vec<Shard>,
    logs: Vec<Log>,
    recording: Recording,
    bounds: Option<Bounds>,
    store: Memory,
    questions: VecDeque<Question>,
    struck: Vec<(BareJid, StoreError)>,
    /// How many batches of each class were asked.
    asked: [usize; CLASSES],
    /// What is on its way to a shard.
    letters: VecDeque<(usize, Input<'static>)>,
    pipes: Vec<Pipe>,
    seats: Seats,
    now: Now,
    seed: u64,
    /// How often the server was started.
    starts: u8,
    /// How often a shard was told something.
    moment: u64,
    /// Shards that were told something since they were drained.
    undrained: BTreeSet<usize>,
    /// When actions are drained.
    pub drain: Drain,
    /// When the store answers.
    pub store_pace: StorePace,
    /// What becomes of the batches that are asked next, one after the other. Those behind them are kept.
    pub fates: VecDeque<Fate>,
    /// Whether keys are derived.
    pub workers: Workers,
    /// Whether passwords are judged.
    pub directory: Directory,
    /// What the directory knows: prepared passwords.
    pub known: BTreeMap<BareJid, Secret>,
    /// How often it was asked.
    pub judged: usize,
    /// When DNS answers.
    pub resolver: Resolver,
    /// What it says.
    records: Vec<(Lookup, Resolved)>,
    /// What is at addresses to which shards connect.
    doors: Vec<(SocketAddr, Door)>,
    /// Connections that shards wanted.
    outgoing: Vec<(SocketAddr, Peer)>,
    /// Whether connections can go from shard to shard.
    pub mesh: Mesh,
    /// When connections are closed.
    pub closing: Closing,
    /// What TLS handshakes are.
    pub handshakes: Handshakes,
    /// Which they come to.
    pub tls: TlsVersion,
    /// Which certificate clients show in them.
    pub client: Option<Box<ClientCertificate>>,
    /// Which certificate servers show in them, those to which shards connect and those that connect.
    pub server: Option<Box<ServerCertificate>>,
    /// How many envelopes wait on the way from one shard to another; one more comes back as undeliverable.
    pub lane_capacity: usize,
    returned: Vec<Returned>,
    /// Connections that are to go to another shard: shard, connection, destination.
    stuck: Vec<(usize, ConnId, Place)>,
    /// Everything noted so far.
    pub notes: Vec<Note>,
    answers: BTreeMap<CommandId, CommandResult>,
    handed_off: usize,
    taken: usize,
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
        Self::build(Arc::new(config), seed, Recording::On, None)
    }

    /// As `with_seed`, each shard with smaller bounds than a server has.
    #[must_use]
    pub fn with_bounds(config: Config, seed: u64, bounds: Bounds) -> Self {
        Self::build(Arc::new(config), seed, Recording::On, Some(bounds))
    }

    /// As `new`, but what it is told is not kept.
    #[must_use]
    pub fn unrecorded(config: Arc<Config>) -> Self {
        Self::build(config, 0, Recording::Off, None)
    }

    /// One of several worlds: as `with_seed`, but what it is told is not kept.
    #[must_use]
    pub fn one_of_many(config: Config, seed: u64) -> Self {
        Self::build(Arc::new(config), seed, Recording::Off, None)
    }

    fn build(config: Arc<Config>, seed: u64, recording: Recording, bounds: Option<Bounds>) -> Self {
        let logs = steps::logs(&config, seed, 0, recording, bounds);
        Self {
            placement: steps::placement(&config),
            shards: logs.iter().map(Log::start).collect(),
            logs,
            recording,
            bounds,
            config,
            store: Memory::default(),
            questions: VecDeque::new(),
            struck: Vec::new(),
            asked: [0; CLASSES],
            letters: VecDeque::new(),
            pipes: Vec::new(),
            seats: Seats::default(),
            now: Now {
                mono: Instant(1_000_000),
                wall: UnixTime(1_800_000_000_000),
            },
            seed,
            starts: 0,
            moment: 0,
            undrained: BTreeSet::new(),
            drain: Drain::default(),
            store_pace: StorePace::default(),
            fates: VecDeque::new(),
            workers: Workers::default(),
            directory: Directory::default(),
            known: BTreeMap::new(),
            judged: 0,
            resolver: Resolver::default(),
            records: Vec::new(),
            doors: Vec::new(),
            outgoing: Vec::new(),
            mesh: Mesh::default(),
            closing: Closing::default(),
            handshakes: Handshakes::default(),
            tls: TlsVersion::V1_3,
            client: None,
            server: Some(Box::new(ServerCertificate {
                verdict: Some(Verdict::Good),
                chain: Chain::Valid {
                    until: UnixTime(1_900_000_000_000),
                },
                names: CertificateNames {
                    each: Vec::new(),
                    constraints: NameConstraints::None,
                },
                fingerprint: [0xce; 32],
            })),
            lane_capacity: usize::MAX,
            returned: Vec::new(),
            stuck: Vec::new(),
            notes: Vec::new(),
            answers: BTreeMap::new(),
            handed_off: 0,
            taken: 0,
            told: 0,
            done: Done::default(),
        }
    }

    /// Makes an account, whatever became of an earlier one, and waits until it is kept.
    ///
    /// # Panics
    /// The server refuses.
    pub fn add_user(&mut self, account: &str, password: &str) {
        let account = BareJid::parse(account).expect("an address");
        let password = Secret::new(password.as_bytes().to_vec());
        let add = Command::Add {
            account,
            password,
            tombstones: Tombstones::Ignore,
        };
        let answer = self.command(add);
        assert!(answer.is_ok(), "{answer:?}");
    }

    /// The directory knows somebody by this password from now on.
    ///
    /// # Panics
    /// That is no account.
    pub fn know(&mut self, account: &str, password: &str) {
        let account = BareJid::parse(account).expect("an address");
        let password = Secret::new(password.as_bytes().to_vec());
        self.known.insert(account, password);
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
        let first: u64 = self.logs.iter().map(Log::calls).sum();
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
        self.connect_at(address, shard, Listener::of_clients(opening))
    }

    /// A server connects to one of the shards. It shows `server` in its handshake.
    pub fn connect_server(&mut self, opening: Opening) -> Peer {
        let shard = self.pipes.len() % self.shards.len();
        self.connect_server_to(shard, opening)
    }

    /// The same, to this shard.
    pub fn connect_server_to(&mut self, shard: usize, opening: Opening) -> Peer {
        let octet = u8::try_from(self.pipes.len() % 250).unwrap_or(0);
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, octet));
        self.connect_at(address, shard, Listener::of_servers(opening))
    }

    /// A component connects to this shard.
    pub fn connect_component_to(&mut self, shard: usize) -> Peer {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.connect_at(address, shard, Listener::of_components())
    }

    fn connect_at(&mut self, address: IpAddr, shard: usize, listener: Listener) -> Peer {
        let peer = Peer(self.pipes.len());
        let address = SocketAddr::new(address, 40_000);
        let conn = self.logs[shard].accept(&mut self.shards[shard], self.now, listener, address);
        let mut pipe = Pipe::new((shard, conn), listener.opening);
        // A component never comes to TLS.
        let protocol = listener.expected.protocol();
        pipe.origin = Origin::Accepted(protocol.unwrap_or(Protocol::XmppServer));
        self.pipes.push(pipe);
        self.seats.insert(shard, conn, peer);
        self.undrained.insert(shard);
        peer
    }

    /// The client writes, below TLS if it has said hello. Nothing happens until `run`.
    pub fn write(&mut self, peer: Peer, bytes: &[u8]) {
        self.pipes[peer.0].write(bytes);
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
        self.set_taking(peer, Taking::All);
    }

    /// How the client reads from now on; what it takes of what is owed by now.
    pub fn set_taking(&mut self, peer: Peer, taking: Taking) {
        self.pipes[peer.0].taking = taking;
        if let Some((shard, conn)) = self.pipes[peer.0].seat {
            self.flush(shard, conn);
        }
    }

    /// What the server wrote to this client since it was last asked.
    pub fn take_received(&mut self, peer: Peer) -> Vec<u8> {
        core::mem::take(&mut self.pipes[peer.0].received)
    }

    /// How many bytes all clients took so far.
    #[must_use]
    pub const fn taken(&self) -> usize {
        self.taken
    }

    /// How the connection ended, if it did.
    #[must_use]
    pub fn ended(&self, peer: Peer) -> Option<Ended> {
        self.pipes[peer.0].ended
    }

    /// Where the server has this client's connection, until its end is known.
    #[must_use]
    pub fn seat(&self, peer: Peer) -> Option<(usize, ConnId)> {
        self.pipes[peer.0].seat
    }

    /// Who is behind a connection.
    #[must_use]
    pub fn peer(&self, shard: usize, conn: ConnId) -> Option<Peer> {
        self.seats.get(shard, conn)
    }

    /// What the server says of whose this connection is.
    #[must_use]
    pub fn standing(&self, peer: Peer) -> Standing {
        self.pipes[peer.0].standing
    }

    /// Whether the server would read what this client writes: not while it was told to wait, nor in a handshake.
    #[must_use]
    pub fn reads(&self, peer: Peer) -> bool {
        let pipe = &self.pipes[peer.0];
        pipe.reading == Reading::On && pipe.layer != Layer::Handshake && pipe.ended.is_none()
    }

    /// Whether this client's TLS handshake is under way.
    #[must_use]
    pub fn shakes_hands(&self, peer: Peer) -> bool {
        let pipe = &self.pipes[peer.0];
        pipe.layer == Layer::Handshake && pipe.ended.is_none() && pipe.seat.is_some()
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

    /// The configuration in force, or on its way.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many shards there are.
    #[must_use]
    pub const fn shards(&self) -> usize {
        self.shards.len()
    }

    /// An account is there from the beginning.
    ///
    /// # Panics
    /// It is there already.
    pub fn keep_account(&mut self, account: BareJid, record: Row) {
        self.keep(account, &CREDENTIALS, record, Expect::Absent);
    }

    /// Somebody writes a row past the server.
    ///
    /// # Panics
    /// The store does not take it.
    pub fn keep(&mut self, owner: BareJid, table: Table, row: Row, expect: Expect) {
        let outcome = self.store.apply(&Batch {
            owner,
            tenure: 0,
            class: Class::Change,
            ops: vec![Op::Put { table, row, expect }],
        });
        assert_eq!(outcome, Ok(vec![Reply::Done]));
    }

    /// How many bytes the shards were told.
    #[must_use]
    pub const fn told(&self) -> usize {
        self.told
    }

    /// Bytes the server keeps for this client until it takes them.
    #[must_use]
    pub fn owed(&self, peer: Peer) -> usize {
        let seat = self.pipes[peer.0].seat;
        seat.map_or(0, |(shard, conn)| self.shards[shard].outgoing(conn).len())
    }

    /// One of them, for tests that look into it.
    #[cfg(test)]
    pub(crate) fn shard(&mut self, shard: usize) -> &mut Shard {
        &mut self.shards[shard]
    }

    /// What is on the disk.
    #[cfg(test)]
    pub(crate) const fn disk(&mut self) -> &mut Memory {
        &mut self.store
    }

    /// Whether nothing happened so far that the server holds impossible.
    ///
    /// # Errors
    /// What did.
    pub fn is_sound(&self) -> Result<(), String> {
        let bug = |note: &&Note| matches!(note, Note::Bug(_));
        match self.notes.iter().find(bug) {
            Some(bug) => Err(format!("{bug:?}")),
            None => Ok(()),
        }
    }

    /// Whether the server could end now.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.shards.iter().all(Shard::is_at_rest)
    }

    /// How much each shard has in memory: see `Shard::residue`.
    #[must_use]
    pub fn residue(&self) -> Vec<[usize; 9]> {
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

    /// Lets everything happen but what clients have written and not yet been heard of, without turns: what is told first is done
    /// first.
    pub fn settle(&mut self) {
        loop {
            while let Some((shard, input)) = self.letters.pop_front() {
                self.tell(shard, input);
            }
            let Some(shard) = self.undrained.first().copied() else {
                return;
            };
            self.drain_shard(shard);
        }
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
            self.letters.push_back((shard, Input::Tick));
        }
        self.run();
    }

    /// One turn of a shell: letters, then one read for each connection, then the drain. Whether anything happened.
    fn turn(&mut self) -> bool {
        let mut busy = false;
        for _ in 0..self.letters.len() {
            if let Some((shard, input)) = self.letters.pop_front() {
                self.tell(shard, input);
                busy = true;
            }
        }
        if self.mesh == Mesh::Free {
            for (shard, conn, to) in core::mem::take(&mut self.stuck) {
                self.hand_off(shard, conn, to);
                busy = true;
            }
        }
        for index in 0..self.pipes.len() {
            busy |= self.read_once(Peer(index));
        }
        busy |= self.drain_all();
        busy || self.tick_at_once() || self.answer_next()
    }

    /// Shards whose deadlines are over hear so. Whether there were any.
    pub fn tick_due(&mut self) -> bool {
        let now = self.now.mono;
        let mut busy = false;
        for shard in 0..self.shards.len() {
            if self.shards[shard]
                .poll_timeout()
                .is_some_and(|at| at <= now)
            {
                self.tell(shard, Input::Tick);
                busy = true;
            }
        }
        busy
    }

    /// Lets those go on who waited for what was sent. Whether there were any.
    pub fn tick_at_once(&mut self) -> bool {
        let mut busy = false;
        for shard in 0..self.shards.len() {
            if self.shards[shard].poll_timeout() == Some(Instant::default()) {
                self.tell(shard, Input::Tick);
                busy = true;
            }
        }
        busy
    }

    /// A shard is told something, at once.
    ///
    /// # Panics
    /// It takes longer than what the shards were told is worth.
    pub fn tell(&mut self, shard: usize, input: Input<'static>) {
        self.weigh(0, |world| {
            world.logs[shard].handle(&mut world.shards[shard], world.now, input);
        });
        self.told_to(shard);
    }

    /// This client's bytes are read at once, whatever it wrote before.
    ///
    /// # Panics
    /// As `tell`.
    pub fn tell_bytes(&mut self, peer: Peer, bytes: &[u8]) {
        if let Some((shard, conn)) = self.pipes[peer.0].seat {
            self.weigh(bytes.len(), |world| {
                world.logs[shard].bytes(&mut world.shards[shard], world.now, conn, bytes);
            });
            self.told_to(shard);
        }
    }

    /// What is done for so many bytes more.
    fn weigh(&mut self, bytes: usize, work: impl FnOnce(&mut Self)) {
        self.told += bytes;
        let before = work::done();
        work(self);
        self.done = self.done.and(work::done().since(before));
        let Self { told, done, .. } = self;
        assert!(done.is_worth(*told), "{done:?} for {told} bytes");
    }

    fn told_to(&mut self, shard: usize) {
        self.moment += 1;
        self.undrained.insert(shard);
        if self.drain == Drain::EachInput {
            self.drain_all();
        }
    }

    fn read_once(&mut self, peer: Peer) -> bool {
        let pipe = &mut self.pipes[peer.0];
        if pipe.seat.is_none() || pipe.reading == Reading::Paused {
            return false;
        }
        let Some(arrival) = pipe.inbox.pop_front() else {
            return false;
        };
        match (pipe.layer, arrival) {
            (_, Arrival::Eof) => self.end(peer, Ended::ByPeer, Closed::Eof),
            (Layer::Clear, Arrival::Clear(bytes)) | (Layer::Tls, Arrival::Encrypted(bytes)) => {
                self.tell_bytes(peer, &bytes);
            }
            (Layer::Handshake, Arrival::Hello) => self.shake_hands(peer),
            // As the pump of the shells: some clients end `<starttls/>` with a line.
            (Layer::Handshake, Arrival::Clear(bytes)) if is_white_space(&bytes) => {}
            // Plaintext where a handshake belongs, or a handshake where none was agreed on.
            (Layer::Handshake | Layer::Tls, Arrival::Clear(_) | Arrival::Hello)
            | (Layer::Handshake, Arrival::Encrypted(_)) => {
                self.end(peer, Ended::TlsFailed, Closed::Tls);
            }
            (Layer::Clear, Arrival::Hello | Arrival::Encrypted(_)) => {
                self.tell_bytes(peer, b"\x16\x03\x01");
            }
        }
        true
    }

    /// The TLS handshake of this client is done.
    pub fn shake_hands(&mut self, peer: Peer) {
        let mut tls = tls_of(peer);
        if self.tls == TlsVersion::V1_2 {
            tls.version = TlsVersion::V1_2;
            tls.bindings.exporter = None;
        }
        let pipe = &mut self.pipes[peer.0];
        match &pipe.origin {
            Origin::Accepted(Protocol::XmppClient) => tls.client.clone_from(&self.client),
            Origin::Accepted(Protocol::XmppServer) | Origin::Opened(_) => {
                tls.server
                    .clone_from(pipe.shown.as_ref().unwrap_or(&self.server));
            }
        }
        if matches!(pipe.origin, Origin::Accepted(_)) {
            pipe.tell_outside(Arrival::Hello);
        }
        if let Some((shard, conn)) = pipe.seat {
            pipe.layer = Layer::Tls;
            let tls = tls.into();
            self.tell(shard, Input::Secured { conn, tls });
        }
    }
}
