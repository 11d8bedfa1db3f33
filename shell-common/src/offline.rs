//! Commands without a running server: the same shard in this process, on the locked data directory.
//!
//! The core decides as it would in the server; storage and PBKDF2 are done in place, one question after another.

use std::sync::Arc;

use spondee_core::envelope::Place;
use spondee_core::port::{Action, Command, CommandId, CommandResult, Input};
use spondee_core::shard::Shard;
use spondee_core::store::StoreError;

use crate::boot::DataDirectory;
use crate::clock::Clock;
use crate::config::Settings;
use crate::note;
use crate::seed;
use crate::store::{Backend as _, Sqlite, open_sqlite};

/// One shard that owns every account. As long as it lives, no server can start on this data directory.
#[derive(Debug)]
pub struct Offline {
    shard: Shard,
    store: Sqlite,
    clock: Clock,
    last_id: u64,
    /// Dropped last: the lock outlives the database.
    _data: DataDirectory,
}

impl Offline {
    /// Takes the lock of the data directory and opens its database.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub fn open(settings: &Settings) -> Result<Self, String> {
        let data = DataDirectory::open(&settings.data_directory)?;
        let mut config = settings.config.clone();
        config.server_secret = data.server_secret()?;
        config.shards = 1;
        let seed = seed::fresh().map_err(|error| format!("no randomness: {error}"))?;
        let place = Place { node: 0, shard: 0 };
        Ok(Self {
            shard: Shard::new(Arc::new(config), place, seed),
            store: open_sqlite(data.path())?,
            clock: Clock::start(),
            last_id: 0,
            _data: data,
        })
    }

    /// Carries out one command.
    ///
    /// # Errors
    /// A sentence: the shard gave no answer, which is a bug.
    pub fn carry_out(&mut self, command: Command) -> Result<CommandResult, String> {
        self.last_id += 1;
        let asked = CommandId(self.last_id);
        let mut answer = None;
        let input = Input::Command { id: asked, command };
        self.shard.handle(self.clock.now(), input);
        while let Some(action) = self.shard.poll_action() {
            match action {
                Action::Answer { id, result } if id == asked => answer = Some(result),
                Action::Derive {
                    ticket,
                    password,
                    jobs,
                } => {
                    let keys = jobs.iter().map(|job| job.derive(&password)).collect();
                    let keys = Ok(keys);
                    let input = Input::Derived { ticket, keys };
                    self.shard.handle(self.clock.now(), input);
                }
                Action::Note(event) => note::log(&event),
                Action::Store { ticket, batch } => {
                    let outcome = self.store.apply(&[batch]).pop();
                    let outcome = outcome.unwrap_or(Err(StoreError::Failed));
                    let input = Input::Stored { ticket, outcome };
                    self.shard.handle(self.clock.now(), input);
                }
                // There is one command at a time, no connection and no other shard.
                Action::Answer { .. }
                | Action::Close { .. }
                | Action::Flush { .. }
                | Action::HandOff { .. }
                | Action::Pause { .. }
                | Action::Resume { .. }
                | Action::Secure { .. }
                | Action::Send(_) => {}
            }
        }
        answer.ok_or_else(|| "the command was not answered: this is a bug in Spondee".to_owned())
    }
}
