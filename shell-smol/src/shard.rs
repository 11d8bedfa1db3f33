//! One shard's thread: an executor with one task, which waits for its bell, tells what is ready, and takes a turn.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use smol::Timer;
use smol::future::{Future as _, yield_now};
use spondee_shell_common::serve::Shell;
use spondee_shell_common::thread::{Coming, Ready, Room, Seat, Thread};

use crate::bell::Bell;
use crate::socket::{Name, Watched};

/// Threads that wait on smol.
#[derive(Debug)]
pub(crate) struct Smol;

impl Shell for Smol {
    type Sockets = Watched;
    type Poller = Arc<Bell>;

    fn poller() -> io::Result<(Arc<Bell>, Waker)> {
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        Ok((bell, waker))
    }

    fn run(bell: Arc<Bell>, seat: Seat<Watched>) -> io::Result<()> {
        smol::block_on(turns(bell, seat))
    }
}

async fn turns(bell: Arc<Bell>, seat: Seat<Watched>) -> io::Result<()> {
    let listeners = seat.listeners.len();
    let mut thread = Thread::new(seat, Watched(Arc::clone(&bell)), Watched::listen)?;
    let (mut alarm, mut ready) = (Alarm::default(), Vec::new());
    while !thread.is_over() {
        match thread.timeout() {
            // The reactor is looked at all the same.
            Some(Duration::ZERO) => yield_now().await,
            within => alarm.wait(&bell, within).await,
        }
        bell.silence();
        thread.wakes();
        bell.take(&mut ready);
        for number in ready.drain(..) {
            match Name::of(number, listeners) {
                Name::Listener(index) => thread.somebody_waits(index),
                Name::Slot(slot) => thread.notice(slot, EITHER),
            }
        }
        thread.turn();
    }
    Ok(())
}

/// Which side it is of a socket that was waited for at both is not said, and costs one call to find out.
const EITHER: Ready = Ready {
    read: Some(Coming::Bytes),
    write: Some(Room),
};

/// A timer that is set no oftener than it must be, since that wakes the reactor: it may go off too soon.
#[derive(Debug)]
struct Alarm {
    timer: Timer,
    at: Option<Instant>,
}

impl Default for Alarm {
    fn default() -> Self {
        Self {
            timer: Timer::never(),
            at: None,
        }
    }
}

impl Alarm {
    /// Until the bell is rung, or for so long at most.
    async fn wait(&mut self, bell: &Bell, within: Option<Duration>) {
        if let Some(within) = within {
            let at = Instant::now() + within;
            if self.at.is_none_or(|set| at < set) {
                self.timer.set_at(at);
                self.at = Some(at);
            }
        }
        poll_fn(|cx| {
            if bell.is_rung(cx.waker()) {
                return Poll::Ready(());
            }
            if self.at.is_some() && Pin::new(&mut self.timer).poll(cx).is_ready() {
                self.at = None;
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }
}
