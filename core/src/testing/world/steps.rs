//! A world that moves one step at a time, in an order of the caller's choosing: what a simulator needs beyond `run`.
//!
//! Every order offered here is one that the contract with a shell allows: what must be first in, first out stays so, and a
//! connection is read once between two drains of its shard.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::pipe::{Arrival, Ended, Peer, Turn};
use super::policy::{Bounds, Recording};
use super::{Log, World};
use crate::config::Config;
use crate::envelope::Place;
use crate::envelope::placement::Placement;
use crate::port::{Closed, Command, CommandId, CommandResult, ConnId, Input, Ticket};
use crate::time::UnixTime;

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
    /// This waiting batch is committed, or meets another fate, and its answer sent.
    Commit(usize),
    /// These keys are derived, or this password judged, and that is sent.
    Derive(usize),
}

/// Letters of one lane arrive in the order they were sent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Lane {
    /// From this shard to that one.
    Envelopes(Place, usize),
    /// From the store; which batch is committed next is chosen before.
    Store(usize),
    Commands(usize),
    Orders(usize),
    Ticks(usize),
    Returned(usize),
    /// Workers finish when they finish, and so do directories.
    Derived(usize, Ticket),
    Conn(usize, ConnId),
    /// Whoever needs a place does not wait for what else there is.
    Evict(usize, ConnId),
}

impl Lane {
    pub(super) const fn of(shard: usize, input: &Input<'_>) -> Self {
        match input {
            Input::Bytes { conn, .. }
            | Input::Closed { conn, .. }
            | Input::Connected { conn }
            | Input::Secured { conn, .. } => Self::Conn(shard, *conn),
            Input::Command { .. } => Self::Commands(shard),
            Input::Delivered(envelope) => Self::Envelopes(envelope.from, shard),
            Input::Derived { ticket, .. }
            | Input::Judged { ticket, .. }
            | Input::Resolved { ticket, .. } => Self::Derived(shard, *ticket),
            Input::Evict { conn } => Self::Evict(shard, *conn),
            Input::Reload(_) | Input::Shutdown => Self::Orders(shard),
            Input::Stored { .. } => Self::Store(shard),
            Input::Tick => Self::Ticks(shard),
            Input::Undeliverable(_) => Self::Returned(shard),
        }
    }
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
            .filter(|(_, (shard, input))| lanes.insert(Lane::of(*shard, input)))
            .map(|(index, _)| Step::Letter(index));
        let mut steps: Vec<Step> = letters.collect();
        let readable = |peer: &Peer| self.pipes[peer.0].is_readable();
        steps.extend(self.seats.iter().filter(readable).map(Step::Read));
        steps.extend(self.undrained.iter().copied().map(Step::Drain));
        steps.extend((0..self.stuck.len()).map(Step::HandOff));
        let answer = |index| match self.batch(index) {
            Some(_) => Step::Commit(index),
            None => Step::Derive(index),
        };
        steps.extend(self.answerable().into_iter().map(answer));
        steps
    }

    /// Lets everything happen but what the store does, and what a `Tick` would bring.
    pub fn step_all_but_commits(&mut self) {
        let is_other = |step: &Step| !matches!(step, Step::Commit(_));
        while let Some(step) = self.steps().into_iter().find(is_other) {
            self.step(step);
        }
    }

    /// Lets one of `steps` happen.
    pub fn step(&mut self, step: Step) {
        match step {
            Step::Letter(index) => {
                if let Some((shard, input)) = self.letters.remove(index) {
                    self.tell(shard, input);
                }
            }
            Step::Read(peer) => {
                self.pipes[peer.0].turn = Turn::Read;
                self.read_once(peer);
            }
            Step::Drain(shard) => self.finish_turn(shard),
            Step::HandOff(index) => {
                if let Some((shard, ..)) = self.stuck.get(index).copied() {
                    self.finish_turn(shard);
                    self.bring(index);
                }
            }
            Step::Commit(index) | Step::Derive(index) => self.answer_at(index),
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

    /// What this client has written so far arrives together, to be read at once.
    pub fn coalesce(&mut self, peer: Peer) {
        self.pipes[peer.0].coalesce();
    }

    /// The network breaks the connection. What was written and not read is lost, both ways.
    pub fn cut(&mut self, peer: Peer) {
        self.end(peer, Ended::ByPeer, Closed::Reset);
    }

    /// Whether the server wrote something that the client has not looked at.
    #[must_use]
    pub fn has_received(&self, peer: Peer) -> bool {
        !self.pipes[peer.0].received.is_empty()
    }

    /// Time passes, and nobody has heard of it yet.
    pub fn pass(&mut self, wait: Duration) {
        self.move_to(self.now.mono + wait);
    }

    /// Somebody sets the clock back. Intervals go on.
    pub fn set_back(&mut self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(0);
        self.now.wall = UnixTime(self.now.wall.0.saturating_sub(ms));
    }

    /// Time passes; the shards hear of it when their letters arrive.
    pub fn elapse(&mut self, wait: Duration) {
        self.pass(wait);
        for shard in 0..self.shards.len() {
            let due = self.shards[shard].poll_timeout();
            if due.is_some_and(|at| at <= self.now.mono) {
                self.letters.push_back((shard, Input::Tick));
            }
        }
    }

    /// The shard that owns an account.
    #[must_use]
    pub fn owner(&self, account: &str) -> usize {
        let placement = self.placement.as_ref();
        placement.map_or(0, |placement| usize::from(placement.owner(account).shard))
    }

    /// The shard that a command is for.
    #[must_use]
    pub fn owner_of(&self, command: &Command) -> usize {
        let account = command.account();
        account.map_or(0, |account| self.owner(account.as_str()))
    }

    /// Gives a command to the shard it is for.
    pub fn post_command(&mut self, id: CommandId, command: Command) {
        let shard = self.owner_of(&command);
        self.letters
            .push_back((shard, Input::Command { id, command }));
    }

    /// The answers to commands that came since this was last asked.
    pub fn take_answers(&mut self) -> Vec<(CommandId, CommandResult)> {
        core::mem::take(&mut self.answers).into_iter().collect()
    }

    /// Another configuration is in force, which no shard has heard of yet.
    pub fn configure(&mut self, config: Config) -> Arc<Config> {
        self.placement = placement(&config);
        self.config = Arc::new(config);
        self.config.clone()
    }

    /// Tells every shard of a new configuration; each hears it when its letter arrives.
    pub fn post_reload(&mut self, config: Config) {
        let config = self.configure(config);
        for shard in 0..self.shards.len() {
            self.letters
                .push_back((shard, Input::Reload(config.clone())));
        }
    }

    /// The place of this client's connection is needed; its shard hears it when its letter arrives.
    pub fn post_evict(&mut self, peer: Peer) {
        if let Some((shard, conn)) = self.pipes[peer.0].seat {
            self.letters.push_back((shard, Input::Evict { conn }));
        }
    }

    /// Tells every shard that the server is about to stop; each hears it when its letter arrives.
    pub fn post_shutdown(&mut self) {
        for shard in 0..self.shards.len() {
            self.letters.push_back((shard, Input::Shutdown));
        }
    }

    /// The connection of a client is gone, and its shard hears that at once.
    pub fn tell_closed(&mut self, peer: Peer, how: Closed) {
        let pipe = &mut self.pipes[peer.0];
        pipe.ended.get_or_insert(Ended::ByPeer);
        pipe.inbox.clear();
        if let Some((shard, conn)) = pipe.seat.take() {
            self.seats.remove(shard, conn);
            self.tell(shard, Input::Closed { conn, how });
        }
    }

    /// The whole server dies and is started again: connections are gone, and everything the store had not committed.
    pub fn crash(&mut self) {
        for pipe in &mut self.pipes {
            if pipe.seat.take().is_some() {
                pipe.tell_outside(Arrival::Eof);
                pipe.inbox.clear();
                pipe.ended.get_or_insert(Ended::Closed);
            }
        }
        self.seats = super::Seats::default();
        self.letters.clear();
        self.questions.clear();
        self.stuck.clear();
        self.answers.clear();
        self.undrained.clear();
        self.starts = self.starts.wrapping_add(1);
        self.logs = logs(
            &self.config,
            self.seed,
            self.starts,
            self.recording,
            self.bounds,
        );
        self.shards = self.logs.iter().map(Log::start).collect();
    }
}

/// Where accounts are.
pub(super) fn placement(config: &Config) -> Option<Placement> {
    (config.shards > 1).then(|| Placement::new(&config.server_secret, config.shards))
}

/// The logs of shards that start. Their seeds differ for each shard, start and `seed`.
pub(super) fn logs(
    config: &Arc<Config>,
    seed: u64,
    start: u8,
    recording: Recording,
    bounds: Option<Bounds>,
) -> Vec<Log> {
    (0..config.shards)
        .map(|shard| {
            let mut own = [shard.to_le_bytes()[0].wrapping_add(1); 32];
            for (byte, more) in own.iter_mut().zip(seed.to_le_bytes()) {
                *byte ^= more;
            }
            own[8] ^= start;
            Log::new(config.clone(), Place { node: 0, shard }, own, recording).with_bounds(bounds)
        })
        .collect()
}
