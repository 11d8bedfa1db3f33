//! The control socket: JSON lines over a Unix socket in the data directory (0600). Commands go to the owner's shard.

use std::path::PathBuf;
use std::sync::Arc;

use spondee_core::envelope::placement::Placement;
use spondee_core::port::{CommandId, CommandResult};

use crate::mailbox::Mailbox;

/// The server's end.
#[derive(Clone, Debug)]
pub struct Control {
    // the helper's: path, pending commands
}

impl Control {
    /// For the socket at `path`; nothing listens yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let _ = path;
        todo!()
    }

    /// Listens and serves on a thread of its own; mailboxes are in order of shards.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn serve(
        &self,
        mailboxes: Vec<Arc<dyn Mailbox>>,
        placement: Placement,
    ) -> std::io::Result<()> {
        let _ = (mailboxes, placement);
        todo!()
    }

    /// Passes a result to whoever asked.
    pub fn answer(&self, id: CommandId, result: CommandResult) {
        let _ = (id, result);
        todo!()
    }

    /// Removes the socket; open connections are closed.
    pub fn stop(&self) {
        todo!()
    }
}
