//! The main thread: waits for signals, and for what the server has to tell it.

use std::io;

use mio::{Events, Interest, Poll, Token};
use signal_hook_mio::v1_0::Signals;
use spondee_shell_common::boot::Booted;
use spondee_shell_common::serve::{Next, Server, cannot_start};
use spondee_shell_common::signal::Signal;

use crate::shard::{Mio, bell};

const SIGNAL: Token = Token(0);

/// Runs the server until a signal ends it. Calls `ready` once it can be reached.
///
/// # Errors
/// A sentence for the administrator: why it could not start, or what broke.
pub(crate) fn serve(booted: Booted, ready: &mut dyn FnMut()) -> Result<(), String> {
    let started = |error: io::Error| cannot_start(&error);
    let mut poll = Poll::new().map_err(started)?;
    let mut signals = Signals::new(Signal::NUMBERS).map_err(started)?;
    poll.registry()
        .register(&mut signals, SIGNAL, Interest::READABLE)
        .map_err(started)?;
    let waker = bell(&poll).map_err(started)?;
    let mut server = Server::<Mio>::start(booted, waker)?;
    ready();
    let mut events = Events::with_capacity(8);
    while let Next::Wait(left) = server.look()? {
        match poll.poll(&mut events, left) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("cannot wait for signals: {error}")),
        }
        for signal in signals.pending().filter_map(Signal::of) {
            server.obey(signal)?;
        }
    }
    server.end();
    Ok(())
}
