//! PostgreSQL: one connection that writes, others that read, each with a small runtime of its own in the thread that uses it.
//!
//! A group of batches is one transaction (`group`). What it says goes out together, `COMMIT` included: it took effect only if every
//! statement succeeded, because a `COMMIT` of what has failed is answered without an error. A group that fails is run again, batch by batch.
//! Names are those of SQLite's tables; what differs is said in `shapes`.

mod connect;
mod faults;
mod fields;
mod group;
mod log_sql;
mod look;
mod mark;
mod owners;
mod reads;
mod schema;
mod shapes;
mod sql;
#[cfg(test)]
mod tests;
mod trims;
mod unseen;

use std::sync::Arc;
use std::time::Instant;

use spondee_core::store::{Batch, Catalog, Erased, Op, Reply, StoreError};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::Config;
use tracing::Level;

use self::connect::{Link, NoLink, shown};
use self::faults::{Commit, Stop};
use self::group::Group;
use self::mark::{Fate, Mark, without_answer};
use self::owners::Owners;
use self::sql::Sql;
use self::trims::Left;
use super::refuse::{Outcome, each_until_unknown, refuse};
use super::{Backend, Begun, Quiet, Tended};
use crate::limits::{POSTGRESQL_AWAY, POSTGRESQL_UPKEEP_GROUPS};
use crate::log::{Cause, Subject, may_write};

/// One connection.
#[derive(Debug)]
pub struct Postgresql {
    line: Line,
    runtime: Runtime,
    config: Config,
    /// Where its tables are.
    schema: String,
    sql: Arc<Sql>,
    role: Role,
    /// Of the writer.
    mark: Mark,
    owners: Owners,
    left: Left,
    /// How often it was tended.
    groups: u32,
}

/// The way to the server.
#[derive(Debug)]
enum Line {
    /// None is tried for a while after this.
    Away(Instant),
    /// It is to be made anew.
    Lost,
    /// A transaction is open on it, or was left open by something that panicked.
    Open(Link),
    Up(Link),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Reader,
    Writer,
}

/// Where names are looked for: where a database that is Spondee's alone has its tables.
const SCHEMA: &str = "public";

impl Postgresql {
    /// Connects, and makes or migrates the tables. It keeps what `catalog` names.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub fn open(config: Config, catalog: &Catalog) -> Result<Self, String> {
        Self::open_in(config, SCHEMA, catalog)
    }

    /// The same in a schema that is there.
    fn open_in(config: Config, schema: &str, catalog: &Catalog) -> Result<Self, String> {
        let runtime = runtime()?;
        let mut link = Link::open(&runtime, &config, schema).map_err(NoLink::into_words)?;
        schema::open(&runtime, &mut link, &config, catalog)?;
        let mark = mark::take(&runtime, &mut link);
        let mark = mark.map_err(|why| format!("cannot write to {}: {why}", shown(&config)))?;
        Ok(Self {
            line: Line::Up(link),
            runtime,
            config,
            schema: schema.to_owned(),
            sql: Arc::new(Sql::new(catalog)),
            role: Role::Writer,
            mark,
            owners: Owners::default(),
            // Of before the start.
            left: Left::Something,
            groups: 0,
        })
    }

    /// The same in a new schema.
    #[cfg(test)]
    pub(super) fn open_for_test(
        config: Config,
        schema: &str,
        catalog: &Catalog,
    ) -> Result<Self, String> {
        let runtime = runtime()?;
        let link = Link::open(&runtime, &config, schema).map_err(NoLink::into_words)?;
        let made = link.say(&runtime, &format!("CREATE SCHEMA {schema}"));
        made.map_err(|failure| failure.to_string())?;
        Self::open_in(config, schema, catalog)
    }
}

fn runtime() -> Result<Runtime, String> {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_io().enable_time().build();
    runtime.map_err(|error| format!("cannot wait for PostgreSQL: {error}"))
}

impl Backend for Postgresql {
    fn apply(&mut self, batches: &[Batch]) -> Vec<Outcome> {
        if let [batch] = batches
            && let [Op::Erase] = batch.ops[..]
        {
            return vec![self.erase(batch)];
        }
        if batches.is_empty() {
            // Whoever panicked has nothing to ask.
            self.roll_back();
            return Vec::new();
        }
        self.transact(batches)
            .unwrap_or_else(|stop| self.stopped(batches, stop))
    }

    fn page(&mut self, batch: &Batch, begun: &mut Begun) -> Option<Outcome> {
        let [Op::Measure { .. }] = &batch.ops[..] else {
            return self.apply(std::slice::from_ref(batch)).pop();
        };
        if let Err(flaw) = batch.check() {
            return Some(refuse(batch, &format!("{flaw:?}")));
        }
        match self.measure_step(batch, begun) {
            Ok(step) => step.map(|reply| Ok(vec![reply])),
            Err(stop) => self.stopped(std::slice::from_ref(batch), stop).pop(),
        }
    }

    fn reader(&self) -> Option<Box<dyn Backend>> {
        let reader = runtime().and_then(|runtime| {
            let link = Link::open(&runtime, &self.config, &self.schema);
            Ok(Self {
                line: Line::Up(link.map_err(NoLink::into_words)?),
                runtime,
                config: self.config.clone(),
                schema: self.schema.clone(),
                sql: self.sql.clone(),
                role: Role::Reader,
                mark: Mark::default(),
                owners: Owners::default(),
                left: Left::Nothing,
                groups: 0,
            })
        });
        match reader {
            Ok(reader) => Some(Box::new(reader)),
            Err(why) => {
                tracing::warn!(
                    "no second connection to the database, reads wait for writes: {why}"
                );
                None
            }
        }
    }

    fn tend(&mut self, quiet: Quiet) -> Tended {
        self.groups = self.groups.wrapping_add(1);
        let due = quiet == Quiet::Yes || self.groups.is_multiple_of(POSTGRESQL_UPKEEP_GROUPS);
        if !due || self.left == Left::Nothing {
            return Tended::Done;
        }
        match self.forget_step() {
            Ok(Left::Nothing) => Tended::Done,
            Ok(Left::Something) => Tended::More,
            // It is tried again after the next group; and it does no harm if it was done.
            Err(stop) => {
                self.stopped(&[], stop);
                Tended::Done
            }
        }
    }
}

impl Postgresql {
    /// Has a transaction use the connection, which is made anew if it was lost.
    fn with<T>(
        &mut self,
        run: impl FnOnce(&Runtime, &mut Link, &Sql, &Owners) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        self.roll_back();
        let link = match std::mem::replace(&mut self.line, Line::Lost) {
            Line::Open(link) | Line::Up(link) if !link.is_lost(&self.runtime) => link,
            Line::Away(since) if since.elapsed() < POSTGRESQL_AWAY => {
                self.line = Line::Away(since);
                let why = format!("{} was away a moment ago", shown(&self.config));
                return Err(Stop::away(why));
            }
            Line::Away(_) | Line::Lost | Line::Open(_) | Line::Up(_) => {
                let made = Link::open(&self.runtime, &self.config, &self.schema);
                made.map_err(|why| {
                    self.line = Line::Away(Instant::now());
                    Stop::away(why.into_words())
                })?
            }
        };
        self.line = Line::Open(link);
        let Line::Open(link) = &mut self.line else {
            return Err(Stop::away("no connection".to_owned()));
        };
        let done = run(&self.runtime, link, &self.sql, &self.owners);
        self.line = match (std::mem::replace(&mut self.line, Line::Lost), &done) {
            (Line::Open(link), Ok(_)) => Line::Up(link),
            (_, Err(stop)) if stop.is_lost() => Line::Lost,
            (line, _) => line,
        };
        done
    }

    /// Ends what was left open.
    fn roll_back(&mut self) {
        self.line = match std::mem::replace(&mut self.line, Line::Lost) {
            Line::Open(link) => match link.say(&self.runtime, "ROLLBACK") {
                Ok(()) => Line::Up(link),
                Err(_) => Line::Lost,
            },
            line @ (Line::Away(_) | Line::Lost | Line::Up(_)) => line,
        };
    }

    fn transact(&mut self, batches: &[Batch]) -> Result<Vec<Outcome>, Stop> {
        if batches.iter().all(Batch::is_read_only) {
            return self.look(batches);
        }
        if self.role == Role::Reader {
            let outcome = |batch| refuse(batch, "a reader does not write");
            return Ok(batches.iter().map(outcome).collect());
        }
        self.mark.number = self.mark.number.wrapping_add(1);
        let mark = self.mark;
        let committed = self.with(|runtime, link, sql, owners| {
            Group::new(runtime, link, sql, owners, mark).run(batches)
        })?;
        self.owners.learn(committed.learnt);
        let purges = |batch: &Batch| batch.ops.contains(&Op::Purge);
        if batches.iter().any(purges) {
            self.left = Left::Something;
        }
        Ok(committed.outcomes)
    }

    fn forget_step(&mut self) -> Result<Left, Stop> {
        self.mark.number = self.mark.number.wrapping_add(1);
        let mark = self.mark;
        let left = self.with(|runtime, link, sql, owners| {
            Group::new(runtime, link, sql, owners, mark).tend()
        })?;
        self.left = left;
        Ok(left)
    }

    /// One step of what purged owners have left. It is in nobody's reach by statements then, but rows that are dead lie in their pages until a
    /// vacuum has come by; and what is in the write-ahead log of PostgreSQL, on replicas and in backups is beyond reach in any case.
    fn erase(&mut self, batch: &Batch) -> Outcome {
        if self.role == Role::Reader {
            return refuse(batch, "a reader does not write");
        }
        match self.forget_step() {
            Ok(left) => Ok(vec![Reply::Erased(match left {
                Left::Nothing => Erased::All,
                Left::Something => Erased::Some,
            })]),
            Err(stop) => {
                let mut outcomes = self.stopped(std::slice::from_ref(batch), stop);
                outcomes.pop().unwrap_or(Err(StoreError::Failed))
            }
        }
    }

    /// What becomes of batches whose transaction came to no good end.
    fn stopped(&mut self, batches: &[Batch], stop: Stop) -> Vec<Outcome> {
        self.roll_back();
        let mut meaning = stop.meaning();
        if stop.spoils_one() && batches.len() > 1 {
            // Finds the batch that spoils its group: the others take effect.
            return each_until_unknown(batches, |batch| {
                let outcome = self.apply(std::slice::from_ref(batch)).pop();
                outcome.unwrap_or(Err(StoreError::Failed))
            });
        }
        let fate = match meaning {
            StoreError::Unknown => self.resolve(),
            StoreError::Busy
            | StoreError::Conflict
            | StoreError::Failed
            | StoreError::Fenced
            | StoreError::Full => Fate::Nothing,
        };
        let (what, now) = match fate {
            Fate::Committed => ("but all of this was kept", meaning),
            Fate::Fenced => ("and another server writes now", StoreError::Fenced),
            Fate::Nothing if meaning == StoreError::Unknown => {
                ("nothing of this was kept", StoreError::Busy)
            }
            Fate::Nothing => ("nothing of this was kept", meaning),
            Fate::Unknown => ("and nobody can know what of this was kept", meaning),
        };
        meaning = now;
        // Whoever signs in makes it be read, and may do so as often as they like.
        if may_write(Level::ERROR, Cause::Server, Subject::Warning) {
            let database = shown(&self.config);
            tracing::error!(
                batches = batches.len(),
                "storage in {database} failed, {what}: {stop}"
            );
        }
        match (fate, stop.commit) {
            (Fate::Committed, Commit::Sent(decided)) => self.committed(batches, decided),
            (Fate::Committed | Fate::Fenced | Fate::Nothing | Fate::Unknown, _) => {
                batches.iter().map(|_| Err(meaning)).collect()
            }
        }
    }

    /// What is answered to batches that took effect though the answer of the database was lost.
    fn committed(&mut self, batches: &[Batch], decided: Vec<Outcome>) -> Vec<Outcome> {
        // Somebody may have been purged.
        self.owners = Owners::default();
        self.left = Left::Something;
        let outcome = |(batch, decided): (&Batch, Outcome)| match decided {
            Err(refused) => Err(refused),
            Ok(_) if batch.is_read_only() => Err(StoreError::Busy),
            Ok(_) => Ok(batch.ops.iter().map(without_answer).collect()),
        };
        batches.iter().zip(decided).map(outcome).collect()
    }
}
