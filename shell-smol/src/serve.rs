//! The main thread: waits for signals, and for what the server has to tell it.

use std::future::poll_fn;
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use signal_hook::low_level::pipe;
use smol::future::FutureExt as _;
use smol::{Async, Timer};
use spondee_shell_common::boot::Booted;
use spondee_shell_common::serve::{Next, Server, cannot_start};
use spondee_shell_common::signal::Signal;

use crate::bell::Bell;
use crate::shard::Smol;

/// Runs the server until a signal ends it. Calls `ready` once it can be reached.
///
/// # Errors
/// A sentence for the administrator: why it could not start, or what broke.
pub fn serve(booted: Booted, ready: &mut dyn FnMut()) -> Result<(), String> {
    let signals = Signals::catch().map_err(|error| cannot_start(&error))?;
    let bell = Arc::new(Bell::default());
    let mut server = Server::<Smol>::start(booted, Waker::from(Arc::clone(&bell)))?;
    ready();
    let outcome = smol::block_on(watch(&mut server, &bell, &signals));
    // After a failure nothing is waited for: another thread may hang on the one that broke.
    outcome.map(|()| server.end())
}

async fn watch(server: &mut Server<Smol>, bell: &Bell, signals: &Signals) -> Result<(), String> {
    while let Next::Wait(left) = server.look()? {
        wait(bell, left).or(signals.came()).await;
        bell.silence();
        for signal in signals.pending() {
            server.obey(signal)?;
        }
    }
    Ok(())
}

/// Until the bell is rung, or for so long at most.
pub(crate) async fn wait(bell: &Bell, left: Option<Duration>) {
    let rung = poll_fn(|cx| match bell.is_rung(cx.waker()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    });
    let late = async {
        match left {
            Some(left) => drop(Timer::after(left).await),
            None => std::future::pending().await,
        }
    };
    rung.or(late).await;
}

/// The signals we answer to, each by a pipe of its own.
#[derive(Debug)]
struct Signals(Vec<(Signal, Async<UnixStream>)>);

impl Signals {
    /// Catches them from now on.
    fn catch() -> io::Result<Self> {
        let pipes = Signal::NUMBERS.into_iter().filter_map(|number| {
            let pipe = || {
                let (read, write) = UnixStream::pair()?;
                pipe::register(number, write)?;
                Async::new(read)
            };
            Some((Signal::of(number)?, pipe()))
        });
        let pipes = pipes.map(|(signal, pipe)| Ok((signal, pipe?)));
        pipes.collect::<io::Result<_>>().map(Self)
    }

    /// Until there is one, perhaps.
    async fn came(&self) {
        poll_fn(
            |cx| match self.0.iter().any(|(_, pipe)| is_ready(pipe, cx)) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            },
        )
        .await;
    }

    /// Those that came since the last call.
    fn pending(&self) -> Vec<Signal> {
        let mut came = Vec::new();
        for (signal, pipe) in &self.0 {
            let mut bytes = [0; 64];
            // However many of one kind came, it is one.
            if pipe.get_ref().read(&mut bytes).is_ok_and(|count| count > 0) {
                came.push(*signal);
            }
        }
        came
    }
}

fn is_ready(pipe: &Async<UnixStream>, cx: &mut Context<'_>) -> bool {
    pipe.poll_readable(cx).is_ready()
}
