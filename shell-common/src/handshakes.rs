//! A thread for TLS handshakes that cost milliseconds, which are those by DHE: on a shard's thread all its clients would wait for them.
//!
//! It is one, so all that strangers can have of it is one processor's time; beyond what may wait they are refused, and who has an elliptic
//! curve is not concerned. Knows nothing of sockets.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Builder;

use spondee_core::port::ConnId;

use crate::limits::HANDSHAKE_QUEUE;
use crate::mailbox::{Letter, Mailbox};
use crate::tls::Step;

/// The handle of the running thread. It ends with the last of them; what still waits then, nobody would hear of.
#[derive(Clone)]
pub struct Handshakes(SyncSender<Question>);

/// The queue is full.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Busy;

#[derive(Debug)]
struct Question {
    mailbox: Arc<dyn Mailbox>,
    conn: ConnId,
    step: Step,
}

impl Handshakes {
    /// Starts the thread.
    ///
    /// # Panics
    /// If the system has no thread to give: the server is starting and cannot.
    #[must_use]
    pub fn start() -> Self {
        let (sender, questions) = sync_channel(HANDSHAKE_QUEUE);
        Builder::new()
            .name("handshakes".to_owned())
            .spawn(move || work(&questions))
            .expect("a thread for handshakes");
        Self(sender)
    }

    /// Queues a step; what comes of it goes to `mailbox` under the connection's name.
    ///
    /// # Errors
    /// `Busy` if the queue is full: the connection can only be closed.
    pub fn take(&self, mailbox: &Arc<dyn Mailbox>, conn: ConnId, step: Step) -> Result<(), Busy> {
        let question = Question {
            mailbox: Arc::clone(mailbox),
            conn,
            step,
        };
        self.0.try_send(question).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Busy,
        })
    }
}

impl fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshakes").finish_non_exhaustive()
    }
}

fn work(questions: &Receiver<Question>) {
    for Question {
        mailbox,
        conn,
        step,
    } in questions
    {
        let taken = Box::new(step.take());
        mailbox.post(vec![Letter::Handshake(conn, taken)]);
    }
}
