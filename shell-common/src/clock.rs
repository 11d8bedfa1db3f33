//! The system's clocks as the core's times.

use std::time::{Instant as StdInstant, SystemTime, UNIX_EPOCH};

use spondee_core::time::{Instant, Now, UnixTime};

/// Counts from the moment it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: StdInstant,
}

impl Clock {
    /// Starts at zero.
    #[must_use]
    pub fn start() -> Self {
        Self {
            epoch: StdInstant::now(),
        }
    }

    /// Both clocks now.
    #[must_use]
    pub fn now(&self) -> Now {
        let mono = u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let wall = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
        Now {
            mono: Instant(mono),
            wall: UnixTime(wall),
        }
    }
}
