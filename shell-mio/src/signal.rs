//! Signals as words to the main thread.

use std::io;
use std::sync::Arc;

use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::flag;
use signal_hook_mio::v1_0::Signals as Pipe;

/// From now on a write beyond the limit on a file's size (RLIMIT_FSIZE) fails, as on a full disk, and does not end the process: neither
/// that of a server nor that of a command.
pub(crate) fn outlive_file_limit() {
    // Where it cannot be done, there is nothing to be done about it.
    let _ = flag::register(SIGXFSZ, Arc::default());
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signal {
    /// SIGHUP: read configuration and certificates again.
    Reload,
    /// SIGUSR1: log the counters.
    Report,
    /// SIGTERM or SIGINT: close every stream and end.
    Stop,
}

/// The signals we answer to.
pub(crate) struct Signals(Pipe);

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signals")
    }
}

impl Signals {
    /// Catches them from now on; `token` becomes readable when one came.
    pub(crate) fn catch(registry: &Registry, token: Token) -> io::Result<Self> {
        let mut pipe = Pipe::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1])?;
        registry.register(&mut pipe, token, Interest::READABLE)?;
        Ok(Self(pipe))
    }

    /// Those that came since the last call.
    pub(crate) fn pending(&mut self) -> Vec<Signal> {
        self.0
            .pending()
            .filter_map(|number| match number {
                SIGHUP => Some(Signal::Reload),
                SIGUSR1 => Some(Signal::Report),
                SIGINT | SIGTERM => Some(Signal::Stop),
                // Nothing else is caught.
                _ => None,
            })
            .collect()
    }
}
