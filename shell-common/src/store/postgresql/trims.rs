//! What goes in steps: sweeps over all owners of a domain, and what purged owners have left.

use spondee_core::jid::BareJid;
use spondee_core::limits::STORE_SWEEP_OWNERS;
use spondee_core::store::{Kept, Op, Reply};

use super::connect::Ask;
use super::faults::{Fault, Stop};
use super::fields::{Param, address, amount, is_so};
use super::group::{Group, Step};
use super::reads::{Found, log_sql};
use super::sql;
use crate::limits::POSTGRESQL_UPKEEP_ENTRIES;

/// An owner at whom a sweep looks, and what there is to do.
struct Looked {
    id: i64,
    owner: BareJid,
    due: Vec<Due>,
}

#[derive(Clone, Copy)]
enum Due {
    /// What was kept for delivery only, and was delivered.
    Delivered,
    /// What is old enough.
    Old,
}

/// Whether purged owners had left anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Left {
    Nothing,
    /// It is less by one step.
    Something,
}

impl<'a> Group<'a> {
    /// Owner after owner, as far as the limits go.
    pub(super) fn sweep(&mut self, owner: &'a BareJid, op: &'a Op) -> Step<Reply> {
        let Op::Sweep {
            log,
            before,
            kept,
            from,
            limit,
        } = op
        else {
            return Err(Stop::fault(Fault::Bug("what is no sweep")));
        };
        let sql = log_sql(self.sql(), *log).map_err(Stop::fault)?;
        // No address is empty.
        let from = from.as_ref().map_or("", BareJid::as_str);
        let params = vec![
            Param::text(owner.domain()),
            Param::text(from),
            Param::Number(*before),
            Param::Number(i64::from(STORE_SWEEP_OWNERS) + 1),
        ];
        let found = self.ask_now(vec![Ask::new(&sql.sweep, params)])?;
        let mut looked = look(&found, *kept).map_err(Stop::fault)?;
        let most = usize::try_from(STORE_SWEEP_OWNERS).unwrap_or(usize::MAX);
        let behind = looked.drain(most.min(looked.len())..).next();
        let mut entries = 0;
        for Looked { id, owner, due } in looked {
            for due in due {
                let left = i64::from(limit.saturating_sub(entries));
                let (words, params) = match due {
                    Due::Delivered => (&sql.delivered, vec![id, left]),
                    Due::Old => (&sql.kept(*kept).trim, vec![id, *before, left]),
                };
                if left > 0 {
                    entries += self.take(words, params)?;
                }
            }
            if entries >= *limit {
                let next = Some(owner);
                return Ok(Reply::Swept { entries, next });
            }
        }
        let next = behind.map(|looked| looked.owner);
        Ok(Reply::Swept { entries, next })
    }

    /// How many entries went or lost a bit.
    fn take(&mut self, words: &'a str, numbers: Vec<i64>) -> Step<u32> {
        let params = numbers.into_iter().map(Param::Number).collect();
        let found = self.ask_now(vec![Ask::new(words, params)])?;
        let count = found.iter().flatten().next().map(|row| amount(row, 0));
        let count = count.transpose().map_err(Stop::fault)?;
        Ok(u32::try_from(count.unwrap_or(0)).unwrap_or(u32::MAX))
    }

    /// One step towards emptying what purged owners have left.
    pub(super) fn forget_some(&mut self) -> Step<Left> {
        let found = self.ask_now(vec![Ask::new(sql::LEFT, Vec::new())])?;
        let owner = found.iter().flatten().next().map(|row| row.try_get(0));
        let owner: Option<i64> = owner
            .transpose()
            .map_err(|error| Stop::fault(Fault::from(error)))?;
        let Some(owner) = owner else {
            return Ok(Left::Nothing);
        };
        for (_, sql) in self.sql().logs() {
            let limit = i64::from(POSTGRESQL_UPKEEP_ENTRIES);
            if self.take(&sql.forget, vec![owner, limit])? > 0 {
                return Ok(Left::Something);
            }
        }
        let params = vec![Param::Number(owner)];
        self.ask_now(vec![Ask::new(sql::FORGET_OWNER, params)])?;
        Ok(Left::Something)
    }
}

fn look(found: &[Found], kept: Kept) -> Result<Vec<Looked>, Fault> {
    let read = |row| {
        let mut due = Vec::new();
        if is_so(row, 2)? {
            due.push(Due::Old);
        }
        if kept.meets(Kept::Owed) && is_so(row, 3)? {
            due.push(Due::Delivered);
        }
        Ok(Looked {
            id: row.try_get(0)?,
            owner: address(row, 1)?,
            due,
        })
    };
    found.iter().flatten().map(read).collect()
}
