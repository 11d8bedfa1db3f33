//! What tells whether a transaction was committed when its answer was lost, and keeps two servers from writing to one database.
//!
//! Each group puts its number into the only row of `writer`, which it may as long as the session there is its own. Who has lost a connection
//! begins a session on another: that waits for the transaction under way, tells whether it took effect, and shuts out what of it still lies
//! unread. So does another server when it opens the database: then `holder` is another, and who wrote before does no more.

use std::time::Instant;

use spondee_core::store::{Erased, Op, Reply};
use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;

use super::Postgresql;
use super::connect::{Ask, Link};
use super::faults::{Fault, Stop};
use super::fields::Param;
use crate::limits::{POSTGRESQL_ASK_AGAIN, POSTGRESQL_RESOLVE};

/// Made with the first schema.
pub(super) const TABLE: &str = "
    CREATE TABLE writer (
        id      int PRIMARY KEY,
        holder  bigint NOT NULL,
        session bigint NOT NULL,
        number  bigint NOT NULL
    ) WITH (fillfactor = 10);
    INSERT INTO writer (id, holder, session, number) VALUES (1, 0, 0, 0);
";

/// Number and session. What divides by zero is told by its code from all other errors.
pub(super) const PUT: &str = "WITH put AS (
        UPDATE writer SET number = $1 WHERE id = 1 AND session = $2 RETURNING 1
    ) SELECT 1 / (SELECT count(*) FROM put)";
/// Holder. Whoever writes now is shut out.
const TAKE: &str = "UPDATE writer SET session = session + 1, holder = $1 WHERE id = 1
    RETURNING session, number";
/// The same, unless another has taken it. By the holder: an answer to this may be lost, too.
const TAKE_BACK: &str = "UPDATE writer SET session = session + 1 WHERE id = 1 AND holder = $1
    RETURNING session, number";

/// Whether a server may write, and as whom.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Mark {
    /// By chance: of this process alone.
    holder: i64,
    pub(super) session: i64,
    /// Of the last group, whatever became of it.
    pub(super) number: i64,
}

/// What became of a group whose answer was lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Committed,
    /// Another server writes now.
    Fenced,
    /// Nothing of it took effect, nor will anything.
    Nothing,
    Unknown,
}

/// Begins to write.
pub(super) fn take(runtime: &Runtime, link: &mut Link) -> Result<Mark, String> {
    let mut holder = [0; 8];
    getrandom::fill(&mut holder).map_err(|error| error.to_string())?;
    let holder = i64::from_le_bytes(holder);
    let take = Ask::new(TAKE, vec![Param::Number(holder)]);
    let found = link.ask(runtime, &[take]);
    let found = found.map_err(|failure| failure.to_string())?;
    let row = found.iter().flatten().next();
    let row = row.ok_or_else(|| "the table writer is empty".to_owned())?;
    read(row, holder).map_err(|fault| fault.to_string())
}

fn read(row: &tokio_postgres::Row, holder: i64) -> Result<Mark, Fault> {
    Ok(Mark {
        holder,
        session: row.try_get(0)?,
        number: row.try_get(1)?,
    })
}

impl Postgresql {
    /// Asks on a new connection what became of the last group, as long as that is worth waiting for.
    pub(super) fn resolve(&mut self) -> Fate {
        let began = Instant::now();
        loop {
            match self.ask_for_fate() {
                Ok(fate) => return fate,
                Err(stop) if began.elapsed() >= POSTGRESQL_RESOLVE => {
                    tracing::error!("nobody can say whether the last group was kept: {stop}");
                    return Fate::Unknown;
                }
                Err(_) => std::thread::sleep(POSTGRESQL_ASK_AGAIN),
            }
        }
    }

    fn ask_for_fate(&mut self) -> Result<Fate, Stop> {
        let Mark { holder, number, .. } = self.mark;
        let taken = self.with(|runtime, link, _, _| {
            let take = Ask::new(TAKE_BACK, vec![Param::Number(holder)]);
            let found = link.ask(runtime, &[take]).map_err(Stop::failed)?;
            let row = found.iter().flatten().next().map(|row| read(row, holder));
            row.transpose().map_err(Stop::fault)
        })?;
        let Some(taken) = taken else {
            return Ok(Fate::Fenced);
        };
        self.mark = taken;
        // It is one more in any case.
        self.mark.number = number;
        Ok(match taken.number == number {
            true => Fate::Committed,
            false => Fate::Nothing,
        })
    }
}

/// Whether a server's error is that of a mark that could not be put.
pub(super) fn is_fenced(code: &SqlState) -> bool {
    *code == SqlState::DIVISION_BY_ZERO
}

/// What was answered, as far as it can be known without the answer: where something was counted, that there may be more.
pub(super) fn without_answer(op: &Op) -> Reply {
    match op {
        Op::DeletePrefix { .. } => Reply::Deleted {
            rows: 0,
            more: true,
        },
        Op::Erase => Reply::Erased(Erased::Some),
        Op::Sweep { from, .. } => Reply::Swept {
            entries: 0,
            next: from.clone(),
        },
        Op::Trim { .. } => Reply::Trimmed {
            entries: 0,
            more: true,
        },
        Op::Append { .. }
        | Op::Blank { .. }
        | Op::Count { .. }
        | Op::CountIn { .. }
        | Op::Delete { .. }
        | Op::Get { .. }
        | Op::List { .. }
        | Op::Load
        | Op::Measure { .. }
        | Op::Owners { .. }
        | Op::Page { .. }
        | Op::Purge
        | Op::Put { .. } => Reply::Done,
    }
}
