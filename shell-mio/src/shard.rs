//! One shard's thread: waits for its poller, tells what is ready, takes a turn.

use std::io;
use std::sync::Arc;
use std::task::{Wake, Waker};

use mio::{Events, Poll};
use spondee_shell_common::limits::shell::EVENTS;
use spondee_shell_common::serve::Shell;
use spondee_shell_common::thread::{Seat, Thread};

use crate::socket::{Name, Polled, WAKE, ready};

/// Threads that wait for mio.
#[derive(Debug)]
pub(crate) struct Mio;

impl Shell for Mio {
    type Sockets = Polled;
    type Poller = Poll;

    fn poller() -> io::Result<(Poll, Waker)> {
        let poll = Poll::new()?;
        let waker = bell(&poll)?;
        Ok((poll, waker))
    }

    fn run(poll: Poll, seat: Seat<Polled>) -> io::Result<()> {
        let listeners = seat.listeners.len();
        let mut thread = Thread::new(seat, Polled(poll), Polled::listen)?;
        let mut events = Events::with_capacity(EVENTS);
        while !thread.is_over() {
            let timeout = thread.timeout();
            match thread.sockets().0.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
                Err(error) => return Err(error),
            }
            thread.wakes();
            for event in &events {
                match Name::of(event.token(), listeners) {
                    Name::Wake => {}
                    Name::Listener(index) => thread.somebody_waits(index),
                    Name::Slot(slot) => thread.notice(slot, ready(event)),
                }
            }
            thread.turn();
        }
        Ok(())
    }
}

/// What wakes a poller.
pub(crate) fn bell(poll: &Poll) -> io::Result<Waker> {
    let bell = mio::Waker::new(poll.registry(), WAKE)?;
    Ok(Arc::new(Bell(bell)).into())
}

struct Bell(mio::Waker);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Err(error) = self.0.wake() {
            tracing::error!("cannot wake a thread: {error}");
        }
    }
}
