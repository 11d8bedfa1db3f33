//! Several worlds and the network between them: connections that shards open lead to listeners of other worlds, and what is written on them is
//! carried in pieces, delayed, or lost.
//!
//! Each world is a server with its own configuration, shards and store; they share the clock and the certificates that they show each other. Nothing
//! happens by itself but what `run` and `advance` let happen: a simulator makes one of `moves` after the other, in any order.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::world::{Arrival, Door, Peer, Step, Taking, World};
use crate::port::{ConnectError, Lookup, Opening, Resolved, ServerCertificate};
use crate::time::Instant;

/// Rest comes long before.
const ROUNDS_MAX: usize = 1_000_000;

/// Servers and their network.
#[derive(Debug)]
pub struct Federation {
    /// The servers.
    pub worlds: Vec<World>,
    presence: Vec<Presence>,
    /// Who listens where.
    listeners: BTreeMap<SocketAddr, (usize, Opening)>,
    certificates: BTreeMap<(usize, String), Box<ServerCertificate>>,
    /// How many connections of each world were looked at.
    seen: Vec<usize>,
    dials: VecDeque<Dial>,
    wires: Vec<Wire>,
    /// Those that are not over.
    live: Vec<usize>,
    written: Vec<Carried>,
}

/// Whether a server runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// It does.
    Up,
    /// It does not: nobody answers at its addresses, and it does nothing.
    Down,
}

/// A connection that a shard wants.
#[derive(Clone, Copy, Debug)]
struct Dial {
    world: usize,
    peer: Peer,
    to: SocketAddr,
}

/// A connection between two worlds. Side 0 is who opened it, side 1 who accepted it.
#[derive(Debug)]
struct Wire {
    ends: [(usize, Peer); 2],
    /// What each side wrote, and is under way.
    flight: [VecDeque<Arrival>; 2],
    stall: Stall,
    /// What a side writes arrives, unless the network is broken.
    network: Network,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stall {
    No,
    Yes,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Network {
    Whole,
    Broken,
}

/// What can happen next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Move {
    /// Within this server.
    Within(usize, Step),
    /// Deadlines of this server are over.
    Tick(usize),
    /// The oldest connection that is wanted is open, or is refused because nobody is there.
    Dial,
    /// Something that this side of a connection wrote arrives at the other.
    Carry(usize, usize),
}

/// What was written on a connection, or arrived.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Carried {
    /// The connection.
    pub wire: usize,
    /// By whom: 0 opened it, 1 accepted it.
    pub side: usize,
    /// What.
    pub what: Arrival,
}

impl Federation {
    /// These servers, which know nothing of each other yet.
    #[must_use]
    pub fn new(worlds: Vec<World>) -> Self {
        Self {
            presence: worlds.iter().map(|_| Presence::Up).collect(),
            seen: worlds.iter().map(|_| 0).collect(),
            worlds,
            listeners: BTreeMap::new(),
            certificates: BTreeMap::new(),
            dials: VecDeque::new(),
            wires: Vec::new(),
            live: Vec::new(),
            written: Vec::new(),
        }
    }

    /// A server listens for others at this address.
    pub fn listen(&mut self, world: usize, at: SocketAddr, opening: Opening) {
        self.listeners.insert(at, (world, opening));
        for world in &mut self.worlds {
            world.set_door(at, Door::Waits);
        }
    }

    /// It does so no more.
    pub fn leave(&mut self, at: SocketAddr) {
        self.listeners.remove(&at);
    }

    /// From now on DNS says this to everybody.
    pub fn publish(&mut self, lookup: &Lookup, outcome: &Resolved) {
        for world in &mut self.worlds {
            world.publish(lookup.clone(), outcome.clone());
        }
    }

    /// From now on a server shows this to others, as this domain.
    pub fn certify(
        &mut self,
        world: usize,
        domain: &str,
        certificate: Option<Box<ServerCertificate>>,
    ) {
        let key = (world, domain.to_string());
        match certificate {
            Some(certificate) => drop(self.certificates.insert(key, certificate)),
            None => drop(self.certificates.remove(&key)),
        }
    }

    /// Whether a server runs.
    #[must_use]
    pub fn presence(&self, world: usize) -> Presence {
        self.presence[world]
    }

    /// It dies, with all that is not on its disk.
    pub fn fell(&mut self, world: usize) {
        self.worlds[world].crash();
        self.presence[world] = Presence::Down;
        self.pump(world);
    }

    /// It is started again.
    pub fn start(&mut self, world: usize) {
        self.presence[world] = Presence::Up;
    }

    /// The connections between servers that are not over.
    #[must_use]
    pub fn live(&self) -> &[usize] {
        &self.live
    }

    /// Who is at the two ends of one: first who opened it.
    #[must_use]
    pub fn ends(&self, wire: usize) -> [(usize, Peer); 2] {
        self.wires[wire].ends
    }

    /// What servers wrote to each other since this was last asked.
    pub fn take_written(&mut self) -> Vec<Carried> {
        core::mem::take(&mut self.written)
    }

    /// How many connections are wanted and not decided on.
    #[must_use]
    pub fn dials(&self) -> usize {
        self.dials.len()
    }

    /// What can happen next. Empty if all wait for users or for time.
    #[must_use]
    pub fn moves(&self) -> Vec<Move> {
        let mut moves = self.moves_between();
        for world in 0..self.worlds.len() {
            moves.extend(self.moves_within(world));
        }
        moves
    }

    /// Those of one server.
    #[must_use]
    pub fn moves_within(&self, index: usize) -> Vec<Move> {
        if self.presence[index] == Presence::Down {
            return Vec::new();
        }
        let world = &self.worlds[index];
        let steps = world.steps().into_iter();
        let mut moves: Vec<Move> = steps.map(|step| Move::Within(index, step)).collect();
        if world
            .next_timeout()
            .is_some_and(|at| at <= world.now().mono)
        {
            moves.push(Move::Tick(index));
        }
        moves
    }

    /// Those of the network.
    #[must_use]
    pub fn moves_between(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        if !self.dials.is_empty() {
            moves.push(Move::Dial);
        }
        for index in &self.live {
            let wire = &self.wires[*index];
            let flows = wire.stall == Stall::No && wire.network == Network::Whole;
            let sides = (0..2).filter(|side| flows && !wire.flight[*side].is_empty());
            moves.extend(sides.map(|side| Move::Carry(*index, side)));
        }
        moves
    }

    fn up(&self) -> impl Iterator<Item = (usize, &World)> {
        let worlds = self.worlds.iter().enumerate();
        worlds.filter(|(index, _)| self.presence[*index] == Presence::Up)
    }

    /// Lets one of `moves` happen; of what is carried, at most so many bytes, which are returned.
    pub fn make(&mut self, next: Move, most: usize) -> Option<Carried> {
        match next {
            Move::Within(world, step) => {
                self.worlds[world].step(step);
                self.pump(world);
                None
            }
            Move::Tick(world) => {
                self.worlds[world].tick_due();
                self.pump(world);
                None
            }
            Move::Dial => {
                self.answer_dial(None);
                None
            }
            Move::Carry(wire, side) => self.carry(wire, side, most),
        }
    }

    /// The oldest connection that is wanted is open, unless it fails by this or because nobody is there.
    pub fn answer_dial(&mut self, error: Option<ConnectError>) {
        let Some(Dial { world, peer, to }) = self.dials.pop_front() else {
            return;
        };
        if !self.worlds[world].is_behind_door(peer) || self.worlds[world].seat(peer).is_none() {
            return;
        }
        let there = self.listeners.get(&to).copied();
        let there = there.filter(|(there, _)| self.presence[*there] == Presence::Up);
        let (Some((there, opening)), None) = (there, error) else {
            let error = error.unwrap_or(ConnectError::Refused);
            return self.worlds[world].refuse(peer, error);
        };
        self.worlds[world].lead_outside(peer);
        let from = core::net::Ipv4Addr::new(203, 0, 113, u8::try_from(world).unwrap_or(0));
        let other = self.worlds[there].accept_outside(from.into(), opening);
        self.worlds[world].open_door(peer);
        self.live.push(self.wires.len());
        self.wires.push(Wire {
            ends: [(world, peer), (there, other)],
            flight: [VecDeque::new(), VecDeque::new()],
            stall: Stall::No,
            network: Network::Whole,
        });
    }

    /// What a server has written is under way, and what it wants of the network is known: due where it was told something past this.
    pub fn pump(&mut self, world: usize) {
        let outgoing = self.worlds[world].outgoing();
        for (to, peer) in &outgoing[self.seen[world]..] {
            if self.worlds[world].is_behind_door(*peer) {
                self.dials.push_back(Dial {
                    world,
                    peer: *peer,
                    to: *to,
                });
            }
        }
        self.seen[world] = outgoing.len();
        for at in 0..self.live.len() {
            let index = self.live[at];
            for side in 0..2 {
                let (of, peer) = self.wires[index].ends[side];
                if of == world {
                    self.pull(index, side, peer);
                }
            }
        }
        let (worlds, wires) = (&self.worlds, &self.wires);
        self.live.retain(|index| {
            let wire = &wires[*index];
            let gone = wire.ends.iter().all(|(w, p)| worlds[*w].seat(*p).is_none());
            !gone
        });
    }

    fn pull(&mut self, index: usize, side: usize, peer: Peer) {
        let wire = &mut self.wires[index];
        for what in self.worlds[wire.ends[side].0].take_written(peer) {
            self.written.push(Carried {
                wire: index,
                side,
                what: what.clone(),
            });
            if wire.network == Network::Whole {
                wire.flight[side].push_back(what);
            }
        }
    }

    /// Something arrives at the other side.
    fn carry(&mut self, index: usize, side: usize, most: usize) -> Option<Carried> {
        let wire = &mut self.wires[index];
        let what = match wire.flight[side].pop_front()? {
            Arrival::Clear(bytes) => {
                let (now, later) = split(bytes, most);
                if let Some(later) = later {
                    wire.flight[side].push_front(Arrival::Clear(later));
                }
                Arrival::Clear(now)
            }
            Arrival::Encrypted(bytes) => {
                let (now, later) = split(bytes, most);
                if let Some(later) = later {
                    wire.flight[side].push_front(Arrival::Encrypted(later));
                }
                Arrival::Encrypted(now)
            }
            whole @ (Arrival::Hello | Arrival::Eof) => whole,
        };
        let (world, peer) = wire.ends[1 - side];
        if what == Arrival::Hello {
            let certificate = self.certificate(index, side);
            self.worlds[world].show(peer, certificate);
        }
        self.worlds[world].seat(peer)?;
        self.worlds[world].arrive(peer, what.clone());
        Some(Carried {
            wire: index,
            side,
            what,
        })
    }

    /// What this side of a connection shows the other: who opened it that of its own domain, the other that of the domain it is asked for.
    #[must_use]
    pub fn certificate(&self, wire: usize, side: usize) -> Option<Box<ServerCertificate>> {
        let [(opener, peer), _] = self.wires[wire].ends;
        let (world, _) = self.wires[wire].ends[side];
        let asked = self.worlds[opener].asked_of(peer)?;
        let name = match side {
            0 => asked.ours.as_ref()?.as_str(),
            _ => &asked.name,
        };
        self.certificates.get(&(world, name.to_string())).cloned()
    }

    /// The network breaks a connection, and both ends hear of it. What was under way is lost.
    pub fn cut(&mut self, wire: usize) {
        self.break_off(wire);
        for (world, peer) in self.wires[wire].ends {
            self.worlds[world].cut(peer);
        }
        for (world, _) in self.wires[wire].ends {
            self.pump(world);
        }
    }

    /// The same, but only this side hears of it now.
    pub fn cut_side(&mut self, wire: usize, side: usize) {
        self.break_off(wire);
        let (world, peer) = self.wires[wire].ends[side];
        self.worlds[world].cut(peer);
        self.pump(world);
    }

    fn break_off(&mut self, wire: usize) {
        let wire = &mut self.wires[wire];
        wire.network = Network::Broken;
        wire.flight = [VecDeque::new(), VecDeque::new()];
    }

    /// Nothing arrives on a connection for a while, and the sockets at both its ends are full.
    pub fn stall(&mut self, wire: usize) {
        self.set_stall(wire, Stall::Yes, Taking::Nothing);
    }

    /// That while is over.
    pub fn go_on(&mut self, wire: usize) {
        self.set_stall(wire, Stall::No, Taking::All);
    }

    fn set_stall(&mut self, index: usize, stall: Stall, taking: Taking) {
        let wire = &mut self.wires[index];
        wire.stall = stall;
        for (world, peer) in wire.ends {
            self.worlds[world].set_taking(peer, taking);
        }
        for (world, _) in self.wires[index].ends {
            self.pump(world);
        }
    }

    /// All that is broken or stalled is told, or goes on.
    pub fn heal(&mut self) {
        for wire in self.live.clone() {
            match self.wires[wire].network {
                Network::Whole => self.go_on(wire),
                Network::Broken => self.cut(wire),
            }
        }
    }

    /// Time passes, for all.
    pub fn pass(&mut self, wait: Duration) {
        for world in &mut self.worlds {
            world.pass(wait);
        }
    }

    /// The earliest deadline of all who run.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.up()
            .filter_map(|(_, world)| world.next_timeout())
            .min()
    }

    /// Lets everything happen that can happen without time passing.
    ///
    /// # Panics
    /// It does not come to rest.
    pub fn run(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut busy = false;
            for world in 0..self.worlds.len() {
                if self.presence[world] == Presence::Up {
                    busy |= self.worlds[world].tick_due();
                    self.worlds[world].run();
                }
                self.pump(world);
            }
            while !self.dials.is_empty() {
                self.answer_dial(None);
                busy = true;
            }
            for wire in self.live.clone() {
                let flows = self.wires[wire].stall == Stall::No;
                for side in 0..2 {
                    while flows && self.carry(wire, side, usize::MAX).is_some() {
                        busy = true;
                    }
                }
            }
            if !busy {
                return;
            }
        }
        panic!("the servers do not come to rest");
    }

    /// Lets time pass, with every deadline on the way kept.
    ///
    /// # Panics
    /// As `run`.
    pub fn advance(&mut self, wait: Duration) {
        self.run();
        let Some(now) = self.worlds.first().map(|world| world.now().mono) else {
            return;
        };
        let end = now + wait;
        let mut now = now;
        while let Some(at) = self.next_timeout().filter(|at| *at <= end) {
            self.pass(at.since(now));
            now = at.max(now);
            self.run();
        }
        self.pass(end.since(now));
        self.run();
    }
}

/// The first so many bytes, and the others, if there are any.
fn split(mut bytes: Vec<u8>, most: usize) -> (Vec<u8>, Option<Vec<u8>>) {
    let later = bytes.split_off(most.clamp(1, bytes.len().max(1)).min(bytes.len()));
    (bytes, Some(later).filter(|later| !later.is_empty()))
}
