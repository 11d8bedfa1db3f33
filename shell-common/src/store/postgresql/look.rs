//! Groups of batches that read, and the steps of a measure.

use spondee_core::store::{Batch, Measured, Op, Reply};

use super::Postgresql;
use super::connect::Ask;
use super::faults::{Fault, Stop, cannot_read};
use super::fields::Param;
use super::reads;
use super::sql;
use crate::limits::POSTGRESQL_MEASURE_ENTRIES;
use crate::store::page::{Begun, Measuring};
use crate::store::refuse::{Outcome, refuse};

const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

impl Postgresql {
    /// Batches that read, as of one moment.
    pub(super) fn look(&mut self, batches: &[Batch]) -> Result<Vec<Outcome>, Stop> {
        self.with(|runtime, link, sql, owners| {
            let mut asks = vec![Ask::new(BEGIN_READING, Vec::new())];
            let mut counts = Vec::new();
            for batch in batches {
                let asked = batch
                    .check()
                    .map_err(|flaw| refuse(batch, &format!("{flaw:?}")))
                    .and_then(|()| {
                        let ask = |op| reads::ask(sql, owners, &batch.owner, op);
                        let asked: Result<Vec<_>, Fault> = batch.ops.iter().map(ask).collect();
                        asked.map_err(|fault| Err(cannot_read(batch, fault)))
                    });
                counts.push(asked.map(|asked| {
                    let before = asks.len();
                    asks.extend(asked.into_iter().flatten());
                    asks.len() - before
                }));
            }
            asks.push(Ask::new("COMMIT", Vec::new()));
            // One statement is a transaction of its own.
            if let [_, _, _] = &asks[..] {
                asks = asks.drain(1..2).collect();
            }
            let alone = asks.len() == 1;
            let answers = link.ask(runtime, &asks).map_err(Stop::failed)?;
            let mut answers = answers.into_iter();
            if !alone {
                answers.next();
            }
            let outcome = |(batch, count): (&Batch, Result<usize, Outcome>)| {
                let count = match count {
                    Ok(count) => count,
                    Err(outcome) => return outcome,
                };
                let own: Vec<_> = answers.by_ref().take(count).collect();
                let mut own = own.into_iter();
                let read = |op| reads::answer(sql, owners, &batch.owner, op, &mut own);
                let replies: Result<_, Fault> = batch.ops.iter().map(read).collect();
                replies.map_err(|fault| cannot_read(batch, fault))
            };
            Ok(batches.iter().zip(counts).map(outcome).collect())
        })
    }

    /// So many entries more of a log that is being measured. `None` if those were not all.
    pub(super) fn measure_step(
        &mut self,
        batch: &Batch,
        begun: &mut Begun,
    ) -> Result<Option<Reply>, Stop> {
        let [
            Op::Measure {
                log,
                kept,
                most,
                upto,
            },
        ] = &batch.ops[..]
        else {
            return Ok(None);
        };
        let limit = POSTGRESQL_MEASURE_ENTRIES;
        self.with(|runtime, link, sql, _| {
            // An owner that is not there has no number, and nothing that could be measured.
            let new = || Measuring::new(0, *upto);
            let measuring = begun.measure(new);
            let jid = vec![Param::text(batch.owner.as_str())];
            let mut asks = vec![Ask::new(sql::OWNER, jid)];
            let before = measuring.before;
            let sizes = reads::measure(sql, &batch.owner, *log, *kept, before, Some(limit));
            asks.extend(sizes.map_err(Stop::fault)?);
            let answers = link.ask(runtime, &asks).map_err(Stop::failed)?;
            let mut answers = answers.into_iter();
            let mut read = || {
                let found = reads::next(&mut answers)?;
                let owner: i64 = match found.first() {
                    Some(row) => row.try_get(0)?,
                    None => 0,
                };
                let sizes = reads::read_sizes(&reads::next(&mut answers)?)?;
                let owed = reads::read_owed(&reads::next(&mut answers)?)?;
                Ok((owner, sizes, owed))
            };
            let (owner, sizes, owed) = read().map_err(Stop::fault)?;
            if measuring.owner == 0 {
                measuring.owner = owner;
            }
            // Purged meanwhile, and somebody else has its name.
            if measuring.owner != owner {
                let nothing = Measured::default();
                return Ok(Some(Reply::Measured(nothing)));
            }
            for (key, bytes) in &sizes {
                measuring.measured.count(*key, *bytes, *most);
                measuring.before = *key;
            }
            if u32::try_from(sizes.len()).is_ok_and(|found| found == limit) {
                return Ok(None);
            }
            let mut measured = measuring.measured;
            measured.owed = owed;
            Ok(Some(Reply::Measured(measured)))
        })
    }
}
