//! PBKDF2 workers: what costs milliseconds runs here, never on a shard's thread.

use std::sync::Arc;

use spondee_core::port::{DeriveError, Ticket};
use spondee_core::sasl::DeriveParams;
use spondee_core::secret::Secret;

use crate::mailbox::Mailbox;

/// The handle of the running workers. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Workers {
    // the helper's
}

impl Workers {
    /// Starts `threads` workers over one bounded queue.
    #[must_use]
    pub fn start(threads: usize) -> Self {
        let _ = threads;
        todo!()
    }

    /// Queues the jobs of one question; the answer goes to `mailbox` under `ticket`.
    ///
    /// # Errors
    /// `Busy` if the queue is full; nothing was queued.
    pub fn derive(
        &self,
        mailbox: &Arc<dyn Mailbox>,
        ticket: Ticket,
        password: Secret,
        jobs: Vec<DeriveParams>,
    ) -> Result<(), DeriveError> {
        let _ = (mailbox, ticket, password, jobs);
        todo!()
    }

    /// Finishes what is queued and ends the threads.
    pub fn stop(&self) {
        todo!()
    }
}
