//! What can happen, and how often: the place where a new feature adds its action.
//!
//! Every run has a climate of its own, in which some things never happen: faults hide each other, and a run without crashes
//! lets everything else live longer.

use super::random::Random;

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
    /// A session tells of its presence.
    Presence,
    /// A session says good-bye.
    Leave,
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
    /// A batch fails, or the store or the workers become busy, or well again.
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
const CLIMATE: [(Action, usize); 17] = [
    (Action::Step, 5500),
    (Action::Listen, 1900),
    (Action::Connect, 450),
    (Action::Speak, 1300),
    (Action::Presence, 150),
    (Action::Leave, 40),
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
        }
    }

    /// Another day: more of this, less of that.
    pub(super) fn turn(&mut self, random: &mut Random) {
        self.today = self.climate;
        for weight in &mut self.today {
            *weight = random.pick(&[*weight / 2, *weight, *weight, *weight * 2]);
        }
    }

    pub(super) fn choose(&self, random: &mut Random) -> Action {
        CLIMATE[random.weighted(self.today.iter().copied())].0
    }
}
