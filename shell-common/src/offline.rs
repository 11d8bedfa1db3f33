//! Commands without a running server: the same shard of the core, driven in process.
//!
//! Everything a shell does for a command and nothing else: no sockets, no threads. The data directory's lock is held
//! meanwhile, so that no server starts.

use std::sync::Arc;

use spondee_core::config::Config;
use spondee_core::envelope::Place;
use spondee_core::port::{Action, Command, CommandError, CommandId, CommandResult, Input};
use spondee_core::shard::Shard;
use spondee_core::store::{Batch, Reply, StoreError};

use crate::boot::DataDirectory;
use crate::clock::Clock;
use crate::config::Settings;
use crate::store::{Backend, Quiet, Tended};
use crate::{note, rounds, seed};

/// One shard over an open store.
pub struct Offline {
    shard: Shard,
    clock: Clock,
    backend: Box<dyn Backend>,
    /// Held until the end: behind the back end, so that it is let go of after the back end has closed.
    data: Option<DataDirectory>,
}

impl std::fmt::Debug for Offline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offline")
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl Offline {
    /// Takes the data directory's lock and opens its store.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub fn open(settings: &Settings) -> Result<Self, String> {
        let data = DataDirectory::open(&settings.data_directory)?;
        let backend = data.store()?;
        let mut config = settings.config.clone();
        config.server_secret = data.server_secret()?;
        rounds::remember(data.path(), &mut config)?;
        let mut offline = Self::over(config, Box::new(backend))?;
        offline.data = Some(data);
        Ok(offline)
    }

    /// Over any back end.
    fn over(mut config: Config, backend: Box<dyn Backend>) -> Result<Self, String> {
        // One shard owns every account.
        config.shards = 1;
        let seed = seed::fresh()
            .map_err(|error| format!("the operating system gives no random numbers: {error}"))?;
        Ok(Self {
            shard: Shard::new(Arc::new(config), Place { node: 0, shard: 0 }, seed),
            clock: Clock::start(),
            backend,
            data: None,
        })
    }

    /// Carries a command out and returns when it is on disk.
    ///
    /// # Errors
    /// What the core says; nothing took effect.
    pub fn call(&mut self, command: Command) -> CommandResult {
        let id = CommandId(0);
        self.handle(Input::Command { id, command });
        while let Some(action) = self.shard.poll_action() {
            match action {
                Action::Answer { id: _, result } => return result,
                Action::Derive {
                    ticket,
                    password,
                    jobs,
                } => {
                    let keys = jobs.iter().map(|job| job.derive(&password)).collect();
                    let keys = Ok(keys);
                    self.handle(Input::Derived { ticket, keys });
                }
                Action::Note(what) => note::log(&what),
                Action::Store { ticket, batch } => {
                    let outcome = self.store(batch);
                    self.handle(Input::Stored { ticket, outcome });
                }
                // There is no connection and no other shard.
                Action::Close { .. }
                | Action::Connect { .. }
                | Action::Flush { .. }
                | Action::HandOff { .. }
                | Action::Judge { .. }
                | Action::Pause { .. }
                | Action::Resolve { .. }
                | Action::Resume { .. }
                | Action::Secure { .. }
                | Action::Send(_)
                | Action::Standing { .. } => {}
            }
        }
        tracing::error!("an error of this program, please report it: a command got no answer");
        Err(CommandError::Store)
    }

    fn handle(&mut self, input: Input<'_>) {
        self.shard.handle(self.clock.now(), input);
    }

    fn store(&mut self, batch: Batch) -> Result<Vec<Reply>, StoreError> {
        let writes = !batch.is_read_only();
        let outcome = self.backend.apply(&[batch]).pop();
        // An import writes for long: the log of the database must not grow with it.
        if writes && self.backend.tend(Quiet::No) == Tended::Unknown {
            return Err(StoreError::Unknown);
        }
        outcome.unwrap_or(Err(StoreError::Failed))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use spondee_core::config::{Host, HostConfig, Software};
    use spondee_core::jid::{BareJid, Domain};
    use spondee_core::limits::Limits;
    use spondee_core::port::{CommandReply, UserEntry};
    use spondee_core::sasl::{CREDENTIALS, Credentials, Form, Hash, Held, Status, Tombstones};
    use spondee_core::secret::Secret;
    use spondee_core::store::{Class, Op, Row};

    use super::*;
    use crate::store::Memory;

    #[test]
    fn an_added_account_has_keys_for_every_hash_and_is_enabled() {
        let memory = Memory::default();
        let mut offline = offline(memory.clone());
        assert_eq!(offline.call(add("juliet")), Ok(CommandReply::Done));
        let credentials = credentials(memory, "juliet");
        assert_eq!(credentials.status, Status::Enabled);
        for hash in Hash::ALL {
            assert!(credentials.keys_for(hash).is_some(), "{hash:?}");
        }
    }

    #[test]
    fn a_second_account_of_the_same_name_is_refused() {
        let mut offline = offline(Memory::default());
        assert_eq!(offline.call(add("juliet")), Ok(CommandReply::Done));
        assert_eq!(offline.call(add("juliet")), Err(CommandError::Exists));
    }

    #[test]
    fn an_account_is_disabled_enabled_and_deleted() {
        let mut offline = offline(Memory::default());
        assert_eq!(offline.call(add("juliet")), Ok(CommandReply::Done));
        let account = juliet();
        for (command, after) in [
            (
                Command::Disable { account: juliet() },
                vec![Status::Disabled],
            ),
            (Command::Enable { account: juliet() }, vec![Status::Enabled]),
            (Command::Delete { account: juliet() }, vec![]),
        ] {
            assert_eq!(offline.call(command), Ok(CommandReply::Done));
            let entries = after.into_iter().map(|status| UserEntry {
                account: account.clone(),
                status,
                password: Form::Hashed,
            });
            assert_eq!(
                offline.call(list("example.org")),
                Ok(CommandReply::Users(entries.collect()))
            );
        }
        let again = Command::Delete { account };
        assert_eq!(offline.call(again), Err(CommandError::NoSuchUser));
        // Its name is held, and nobody else's.
        let held = offline.call(add("juliet"));
        let held = matches!(held, Err(CommandError::Held(Held { until: None, .. })));
        assert!(held);
        assert_eq!(offline.call(add("romeo")), Ok(CommandReply::Done));
    }

    #[test]
    fn a_new_password_replaces_the_keys() {
        let memory = Memory::default();
        let mut offline = offline(memory.clone());
        assert_eq!(offline.call(add("juliet")), Ok(CommandReply::Done));
        let before = credentials(memory.clone(), "juliet");
        let command = Command::Passwd {
            account: juliet(),
            password: Secret::new(b"another".to_vec()),
        };
        assert_eq!(offline.call(command), Ok(CommandReply::Done));
        assert_ne!(credentials(memory, "juliet").keys(), before.keys());
    }

    #[test]
    fn a_host_that_is_not_served_is_refused() {
        let mut offline = offline(Memory::default());
        assert_eq!(
            offline.call(list("example.net")),
            Err(CommandError::NoSuchHost)
        );
    }

    fn offline(memory: Memory) -> Offline {
        let host = Host::Accounts(HostConfig {
            rounds: 4096,
            ..HostConfig::default()
        });
        let config = Config {
            hosts: BTreeMap::from([(Domain::parse("example.org").unwrap(), host)]),
            limits: Limits::default(),
            federation: spondee_core::federation::FederationOptions::isolated(),
            server_secret: [1; 32],
            shards: 4,
            software: Software {
                name: String::new(),
                version: String::new(),
            },
        };
        Offline::over(config, Box::new(memory)).unwrap()
    }

    fn juliet() -> BareJid {
        BareJid::parse("juliet@example.org").unwrap()
    }

    fn add(name: &str) -> Command {
        Command::Add {
            account: BareJid::parse(&format!("{name}@example.org")).unwrap(),
            password: Secret::new(b"secret".to_vec()),
            tombstones: Tombstones::Heed,
        }
    }

    fn list(host: &str) -> Command {
        Command::List {
            host: Domain::parse(host).unwrap(),
            after: None,
            limit: 10,
        }
    }

    fn credentials(mut memory: Memory, name: &str) -> Credentials {
        let batch = Batch {
            owner: BareJid::parse(&format!("{name}@example.org")).unwrap(),
            tenure: 0,
            class: Class::SignIn,
            ops: vec![Op::Get {
                table: &CREDENTIALS,
                key: Row::default(),
            }],
        };
        let replies = memory.apply(&[batch]).remove(0).unwrap();
        let [Reply::Row(Some(row))] = &replies[..] else {
            panic!("{replies:?}");
        };
        Credentials::from_row(row).unwrap()
    }
}
