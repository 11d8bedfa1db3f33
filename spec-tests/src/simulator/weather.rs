//! What can happen, and how often: the place where a new feature adds its action.
//!
//! Every run has a climate of its own, in which some things never happen: faults hide each other, and a run without crashes
//! lets everything else live longer.

use spondee_core::store::StoreError;

use super::random::Random;
use crate::memory::Fate;

/// One thing that happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    /// A letter arrives, a connection is read, a shard drained, a batch committed.
    Step,
    /// A client reads what arrived.
    Listen,
    /// A client connects.
    Connect,
    /// A session sends a stanza.
    Speak,
    /// A session asks for its roster, or changes it.
    Contacts,
    /// A session asks for a subscription, grants or ends one.
    Befriend,
    /// A session asks for its blocklist, or changes it.
    Block,
    /// A session asks for copies of what others of its account get, or for no more of them.
    Copies,
    /// A session asks its archive, or says what is to go there.
    Consult,
    /// A session that was away reads what it missed.
    CatchUp,
    /// A session asks what of its stanzas was handled, or says what it got, or whether anybody looks at it.
    Manage,
    /// A session loses its connection, in the middle of something.
    Lose,
    /// One that has lost it comes back.
    Return,
    /// A session asks how available somebody is.
    Probe,
    /// A session tells of its presence.
    Presence,
    /// A session says good-bye.
    Leave,
    /// It has something to say first, all in one breath.
    Part,
    /// A client who does not mean well does what it came for.
    Misbehave,
    /// A client becomes slow, or reads a bit.
    Slow,
    /// The network breaks a connection.
    Cut,
    /// A connection's place is needed for another.
    Evict,
    /// An administrator gives a command.
    Command,
    /// The disk stalls, the store or the workers become busy, or all are well again. What becomes of each batch by itself is
    /// `Weather::fate`.
    StoreFault,
    /// The ways between shards become narrow, or wide again.
    Narrow,
    /// Time passes.
    Elapse,
    /// Another configuration.
    Reload,
    /// The server says good-bye, then starts again.
    Shutdown,
    /// The server dies and starts again.
    Crash,
}

/// How likely each is, in one in ten thousand or so.
const CLIMATE: [(Action, usize); 28] = [
    (Action::Step, 5500),
    (Action::Listen, 1900),
    (Action::Connect, 450),
    (Action::Speak, 1300),
    (Action::Contacts, 400),
    (Action::Befriend, 350),
    (Action::Block, 150),
    (Action::Copies, 120),
    (Action::Consult, 150),
    (Action::CatchUp, 120),
    (Action::Manage, 400),
    (Action::Lose, 90),
    (Action::Return, 120),
    (Action::Probe, 60),
    (Action::Presence, 250),
    (Action::Leave, 40),
    (Action::Part, 90),
    (Action::Misbehave, 60),
    (Action::Slow, 100),
    (Action::Cut, 60),
    (Action::Evict, 40),
    (Action::Command, 120),
    (Action::StoreFault, 60),
    (Action::Narrow, 60),
    (Action::Elapse, 60),
    (Action::Reload, 20),
    (Action::Shutdown, 4),
    (Action::Crash, 8),
];

/// The climate of a run and today's weather.
#[derive(Debug)]
pub(super) struct Weather {
    climate: [usize; CLIMATE.len()],
    today: [usize; CLIMATE.len()],
    /// How many batches in a hundred are not kept at once, in this run and today.
    ill_fated: usize,
    ill_fated_today: usize,
}

impl Weather {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut climate = CLIMATE.map(|(_, weight)| weight);
        for (weight, (action, _)) in climate.iter_mut().zip(CLIMATE) {
            // Without these nothing happens at all.
            if !matches!(
                action,
                Action::Step | Action::Listen | Action::Connect | Action::Speak
            ) {
                *weight = random.pick(&[0, *weight, *weight, *weight * 3]);
            }
        }
        Self {
            climate,
            today: climate,
            ill_fated: random.pick(&[0, 0, 5, 15, 40]),
            ill_fated_today: 0,
        }
    }

    /// Another day: more of this, less of that.
    pub(super) fn turn(&mut self, random: &mut Random) {
        self.today = self.climate;
        for weight in &mut self.today {
            *weight = random.pick(&[*weight / 2, *weight, *weight, *weight * 2]);
        }
        self.ill_fated_today = random.pick(&[0, self.ill_fated, self.ill_fated]);
    }

    /// What becomes of one batch.
    pub(super) fn fate(&self, random: &mut Random) -> Fate {
        if !random.percent(self.ill_fated_today) {
            return Fate::Kept;
        }
        match random.below(8) {
            0..=2 => Fate::Delayed(random.pick(&[1, 10, 50, 200])),
            3 => Fate::Failed(StoreError::Busy),
            4 => Fate::Failed(StoreError::Failed),
            5 => Fate::Failed(StoreError::Full),
            6 => Fate::Failed(StoreError::Unknown),
            _ => Fate::Lost,
        }
    }

    pub(super) fn choose(&self, random: &mut Random) -> Action {
        CLIMATE[random.weighted(self.today.iter().copied())].0
    }
}
