//! How much there is of a log, found out in steps: each entry is looked at.

use spondee_core::store::{Measured, Op, Reply};

use super::{Answer, Fault, Sqlite};
use crate::store::page::{Begun, Measuring};

impl Sqlite {
    /// In one go.
    pub(super) fn whole_measure(&self, owner: Option<i64>, op: &Op) -> Answer {
        let mut begun = Begun::default();
        let measured = self.measure_step(owner, op, &mut begun, u32::MAX)?;
        measured.ok_or(Fault::Bug("a measure that has no end"))
    }

    /// So many entries more, from the newest to the oldest. `None` if those were not all.
    pub(super) fn measure_step(
        &self,
        owner: Option<i64>,
        op: &Op,
        begun: &mut Begun,
        entries: u32,
    ) -> Result<Option<Reply>, Fault> {
        let Op::Measure {
            log,
            kept,
            most,
            upto,
        } = op
        else {
            return Err(Fault::Bug("what is no measure"));
        };
        let sql = self.log_sql(*log)?;
        let nothing = || Ok(Some(Reply::Measured(Measured::default())));
        let Some(owner) = owner else {
            return nothing();
        };
        let measuring = begun.measure(|| Measuring::new(owner, *upto));
        // Purged meanwhile, and somebody else has its name.
        if measuring.owner != owner {
            return nothing();
        }
        let limit = i64::from(entries);
        let mut sizes = self.connection.prepare_cached(&sql.kept(*kept).sizes)?;
        let mut sizes = sizes.query([owner, measuring.before, limit])?;
        let mut found = 0;
        while let Some(row) = sizes.next()? {
            let (key, bytes): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
            let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
            let bytes = bytes.unwrap_or(0);
            measuring.measured.count(key, bytes, *most);
            measuring.before = key;
            found += 1;
        }
        if found == limit {
            return Ok(None);
        }
        let mut measured = measuring.measured;
        let done = self.done(owner, sql)?;
        if let Some(end) = self.end(owner, *log, done)? {
            measured.owed = end.owed;
        }
        Ok(Some(Reply::Measured(measured)))
    }
}
