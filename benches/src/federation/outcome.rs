//! What one run came to.

use std::fmt;
use std::time::Duration;

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// Messages that arrived.
    Messages,
    /// Links that were proven.
    Links,
}

impl Unit {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Links => "links",
        }
    }
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Of what there are so many.
    pub unit: Unit,
    /// How many there are.
    pub count: usize,
    /// CPU time of both servers.
    pub cpu: Duration,
    /// How long it took.
    pub wall: Duration,
}

impl Outcome {
    /// So many for each second of CPU time of both servers together.
    #[must_use]
    pub fn per_cpu_second(&self) -> f64 {
        self.count as f64 / self.cpu.as_secs_f64()
    }

    /// So many for each second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.wall.as_secs_f64()
    }

    /// Microseconds of CPU time that one takes of both servers together.
    #[must_use]
    pub fn micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.count as f64
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} {} for each CPU second of both servers, {:.0} for each second",
            self.per_cpu_second(),
            self.unit.name(),
            self.per_second()
        )
    }
}
