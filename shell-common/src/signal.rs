//! Signals as words to the main thread. How they are caught is the shell's business.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::flag;

/// From now on a write beyond the limit on a file's size (RLIMIT_FSIZE) fails, as on a full disk, and does not end the process: neither
/// that of a server nor that of a command.
pub fn outlive_file_limit() {
    // Where it cannot be done, there is nothing to be done about it.
    let _ = flag::register(SIGXFSZ, std::sync::Arc::default());
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// SIGHUP: read configuration and certificates again.
    Reload,
    /// SIGUSR1: log the counters.
    Report,
    /// SIGTERM or SIGINT: close every stream and end.
    Stop,
}

impl Signal {
    /// Those a server answers to, as the system numbers them.
    pub const NUMBERS: [i32; 4] = [SIGHUP, SIGINT, SIGTERM, SIGUSR1];

    /// `None` for numbers that are not among them.
    #[must_use]
    pub const fn of(number: i32) -> Option<Self> {
        match number {
            SIGHUP => Some(Self::Reload),
            SIGUSR1 => Some(Self::Report),
            SIGINT | SIGTERM => Some(Self::Stop),
            _ => None,
        }
    }
}
