//! A world that moves one step at a time, in an order of the caller's choosing: what a simulator needs beyond `run`.
//!
//! Every order offered here is one that the contract with a shell allows: what must be first in, first out stays so, and a
//! connection is read once between two drains of its shard.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use spondee_core::config::Config;
use spondee_core::envelope::placement::Placement;
use spondee_core::envelope::{Body, Delivery, Envelope, Place, To};
use spondee_core::jid::Jid;
use spondee_core::port::{Closed, Command, CommandId, CommandResult, ConnId, Ticket};
use spondee_core::stanza::Kind;
use spondee_core::store::StoreError;

use super::{Arrival, Ended, Event, Log, Peer, Turn, World};

/// About what one read brings.
const READ_BYTES: usize = 4096;

/// Something that can happen next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// This letter reaches its shard.
    Letter(usize),
    /// What this client wrote first is read.
    Read(Peer),
    /// What this shard wants done is done.
    Drain(usize),
    /// This waiting connection is brought to its shard.
    HandOff(usize),
    /// This waiting batch is committed, and its answer sent.
    Commit(usize),
}

/// A stanza that came back because the way to its shard was full.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Returned {
    /// What it is.
    pub kind: Kind,
    /// Its `id`.
    pub id: Option<String>,
    /// From whom.
    pub from: Option<Jid>,
    /// To whom.
    pub to: Option<Jid>,
}

/// Letters of one lane arrive in the order they were sent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Lane {
    /// From this shard to that one.
    Envelopes(Place, usize),
    /// From the store; which batch is committed next is chosen before.
    Store(usize),
    Commands(usize),
    Orders(usize),
    Ticks(usize),
    Returned(usize),
    /// Workers finish when they finish.
    Derived(usize, Ticket),
    Closed(usize, ConnId),
    /// Whoever needs a place does not wait for what else there is.
    Evict(usize, ConnId),
}

impl World {
    /// What can happen next. Empty if everything waits for clients or for time.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let mut lanes = BTreeSet::new();
        let letters = self
            .letters
            .iter()
            .enumerate()
            .filter(|(_, (shard, event))| lanes.insert(lane(*shard, event)))
            .map(|(index, _)| Step::Letter(index));
        let mut steps: Vec<Step> = letters.collect();
        steps.extend(self.seats.values().copied().filter_map(|peer| {
            let pipe = &self.pipes[peer.0];
            let readable = pipe.reading == super::Reading::On
                && pipe.turn == Turn::Fresh
                && !pipe.inbox.is_empty();
            readable.then_some(Step::Read(peer))
        }));
        steps.extend(self.undrained.iter().copied().map(Step::Drain));
        steps.extend((0..self.stuck.len()).map(Step::HandOff));
        steps.extend(self.commits().into_iter().map(Step::Commit));
        steps
    }

    /// Lets one of `steps` happen.
    pub fn step(&mut self, step: Step) {
        match step {
            Step::Letter(index) => {
                if let Some((shard, event)) = self.letters.remove(index) {
                    self.tell(shard, event);
                }
            }
            Step::Read(peer) => {
                self.pipes[peer.0].turn = Turn::Read;
                self.read_once(peer);
            }
            Step::Drain(shard) => self.finish_turn(shard),
            Step::HandOff(index) => {
                let (shard, conn, to) = self.stuck.remove(index);
                // What the shard has said of the connection must be known before its name there dies.
                self.finish_turn(shard);
                if let Some(peer) = self.peer(shard, conn) {
                    self.carry(shard, conn, to, peer);
                }
            }
            Step::Commit(index) => {
                if let Some((shard, ticket, batch)) = self.batches.remove(index) {
                    self.apply(shard, ticket, &batch);
                }
            }
        }
    }

    fn finish_turn(&mut self, shard: usize) {
        self.drain_shard(shard);
        for pipe in &mut self.pipes {
            if pipe.seat.is_some_and(|(at, _)| at == shard) {
                pipe.turn = Turn::Fresh;
            }
        }
    }

    /// The waiting batches that may be committed next: those of one owner come in their order.
    #[must_use]
    pub fn commits(&self) -> Vec<usize> {
        let mut owners = BTreeSet::new();
        let batches = self.batches.iter().enumerate();
        batches
            .filter(|(_, (_, _, batch))| owners.insert(&batch.owner))
            .map(|(index, _)| index)
            .collect()
    }

    /// Whether this waiting batch changes anything.
    #[must_use]
    pub fn is_change(&self, index: usize) -> bool {
        let batch = self.batches.get(index);
        batch.is_some_and(|(_, _, batch)| !batch.is_read_only())
    }

    /// What this client has written so far arrives together, to be read at once.
    pub fn coalesce(&mut self, peer: Peer) {
        let inbox = &mut self.pipes[peer.0].inbox;
        let mut together: VecDeque<Arrival> = VecDeque::with_capacity(inbox.len());
        for arrival in inbox.drain(..) {
            match (together.back_mut(), arrival) {
                (Some(Arrival::Clear(bytes)), Arrival::Clear(more))
                | (Some(Arrival::Encrypted(bytes)), Arrival::Encrypted(more))
                    if bytes.len() < READ_BYTES =>
                {
                    bytes.extend(more);
                }
                (_, arrival) => together.push_back(arrival),
            }
        }
        *inbox = together;
    }

    /// How many batches wait.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.batches.len()
    }

    /// A batch of `Step::Commit` fails instead: nothing of it takes effect. Whose it was.
    pub fn fail(&mut self, index: usize, error: StoreError) -> Option<String> {
        let (shard, ticket, batch) = self.batches.remove(index)?;
        self.letters
            .push_back((shard, Event::Stored(ticket, Err(error))));
        Some(batch.owner.to_string())
    }

    /// A batch of `Step::Commit` takes effect, and nobody can know it. Whose it was.
    pub fn lose_answer(&mut self, index: usize) -> Option<String> {
        let (_, _, batch) = self.batches.get(index)?;
        // Whether it could is what nobody hears.
        let _ = self.store.apply(batch);
        self.fail(index, StoreError::Unknown)
    }

    /// The network breaks the connection. What was written and not read is lost, both ways.
    pub fn cut(&mut self, peer: Peer) {
        self.end(peer, Ended::ByPeer, Closed::Reset);
    }

    /// A client that takes nothing by itself takes this many bytes of what is owed.
    pub fn take(&mut self, peer: Peer, count: usize) {
        if let Some((shard, conn)) = self.pipes[peer.0].seat {
            let owed = self.shards[shard].outgoing(conn);
            let count = count.min(owed.len());
            self.pipes[peer.0]
                .received
                .extend_from_slice(&owed[..count]);
            self.logs[shard].sent(&mut self.shards[shard], conn, count);
        }
    }

    /// Whether the server wrote something that the client has not looked at.
    #[must_use]
    pub fn has_received(&self, peer: Peer) -> bool {
        !self.pipes[peer.0].received.is_empty()
    }

    /// Time passes; the shards hear of it when their letters arrive.
    pub fn elapse(&mut self, wait: Duration) {
        self.move_to(self.now.mono + wait);
        for shard in 0..self.shards.len() {
            let due = self.shards[shard].poll_timeout();
            if due.is_some_and(|at| at <= self.now.mono) {
                self.letters.push_back((shard, Event::Tick));
            }
        }
    }

    /// Gives a command to the shard it is for.
    pub fn post_command(&mut self, id: CommandId, command: Command) {
        let placement = Placement::new(&self.config.server_secret, self.config.shards);
        let shard = command.account().map_or(0, |account| {
            usize::from(placement.owner(account.as_str()).shard)
        });
        self.letters.push_back((shard, Event::Command(id, command)));
    }

    /// The answers to commands that came since this was last asked.
    pub fn take_answers(&mut self) -> Vec<(CommandId, CommandResult)> {
        std::mem::take(&mut self.answers).into_iter().collect()
    }

    /// Tells every shard of a new configuration; each hears it when its letter arrives.
    pub fn post_reload(&mut self, config: Config) {
        self.config = Arc::new(config);
        for shard in 0..self.shards.len() {
            let config = self.config.clone();
            self.letters.push_back((shard, Event::Reload(config)));
        }
    }

    /// The place of this client's connection is needed; its shard hears it when its letter arrives.
    pub fn post_evict(&mut self, peer: Peer) {
        if let Some((shard, conn)) = self.pipes[peer.0].seat {
            self.letters.push_back((shard, Event::Evict(conn)));
        }
    }

    /// Tells every shard that the server is about to stop; each hears it when its letter arrives.
    pub fn post_shutdown(&mut self) {
        for shard in 0..self.shards.len() {
            self.letters.push_back((shard, Event::Shutdown));
        }
    }

    /// The whole server dies and is started again: connections are gone, and everything the store had not committed.
    pub fn crash(&mut self) {
        for peer in std::mem::take(&mut self.seats).into_values() {
            let pipe = &mut self.pipes[peer.0];
            pipe.seat = None;
            pipe.inbox.clear();
            pipe.ended.get_or_insert(Ended::Closed);
        }
        self.letters.clear();
        self.batches.clear();
        self.stuck.clear();
        self.answers.clear();
        self.undrained.clear();
        self.starts = self.starts.wrapping_add(1);
        self.logs = logs(&self.config, self.seed, self.starts);
        self.shards = self.logs.iter().map(Log::start).collect();
    }

    /// The stanzas that came back since this was last asked.
    pub fn take_returned(&mut self) -> Vec<Returned> {
        std::mem::take(&mut self.returned)
    }

    pub(super) fn send(&mut self, envelope: Envelope) {
        let (from, to) = (envelope.from, usize::from(envelope.to.shard));
        let way = Lane::Envelopes(from, to);
        let waiting = self
            .letters
            .iter()
            .filter(|(shard, event)| lane(*shard, event) == way);
        if waiting.count() < self.lane_capacity {
            self.letters.push_back((to, Event::Delivered(envelope)));
            return;
        }
        match &envelope.body {
            Body::Deliver(deliveries) => {
                self.returned.extend(deliveries.iter().flat_map(returned));
            }
            Body::Go(_) | Body::SignInFailed(_) | Body::Slow(_) => {}
        }
        let back = usize::from(from.shard);
        self.letters
            .push_back((back, Event::Undeliverable(envelope)));
    }
}

/// What a delivery that comes back says.
fn returned(delivery: &Delivery) -> Vec<Returned> {
    let stanza = &delivery.stanza;
    let to = match &delivery.to {
        To::Named => vec![stanza.to().cloned()],
        To::Each(each) => each.iter().cloned().map(Some).collect(),
    };
    to.into_iter()
        .map(|to| Returned {
            kind: stanza.kind(),
            id: stanza.id().map(|id| id.into_owned()),
            from: stanza.from().cloned(),
            to,
        })
        .collect()
}

/// The logs of shards that start. Their seeds differ for each shard, start and `seed`.
pub(super) fn logs(config: &Arc<Config>, seed: u64, start: u8) -> Vec<Log> {
    (0..config.shards)
        .map(|shard| {
            let mut bytes = [shard.to_le_bytes()[0].wrapping_add(1); 32];
            for (byte, more) in bytes.iter_mut().zip(seed.to_le_bytes()) {
                *byte ^= more;
            }
            bytes[8] ^= start;
            Log::new(config.clone(), Place { node: 0, shard }, bytes)
        })
        .collect()
}

fn lane(shard: usize, event: &Event) -> Lane {
    match event {
        Event::Bytes(conn, _) | Event::Closed(conn, _) | Event::Secured(conn, _) => {
            Lane::Closed(shard, *conn)
        }
        Event::Command(..) => Lane::Commands(shard),
        Event::Delivered(envelope) => Lane::Envelopes(envelope.from, shard),
        Event::Derived(ticket, _) => Lane::Derived(shard, *ticket),
        Event::Evict(conn) => Lane::Evict(shard, *conn),
        Event::Reload(_) | Event::Shutdown => Lane::Orders(shard),
        Event::Stored(..) => Lane::Store(shard),
        Event::Tick => Lane::Ticks(shard),
        Event::Undeliverable(_) => Lane::Returned(shard),
    }
}
