//! What is not there takes as long as what is: where an owner has no row of a table of which that must not show (`Loading::Unseen`), the row of
//! another owner below the same host is found and decoded in its place, and thrown away.
//!
//! Rows may be full or have little in them, and so take more or less: where a host has both, as one that goes over from passwords to keys, one of
//! each is read for everybody. So a stranger who measures cannot tell accounts from names that nobody has, nor accounts of the one kind from those
//! of the other. A name that was deleted and has something under it yet is told, by less than a look-up: it is an owner without a row.

use rusqlite::OptionalExtension as _;
use spondee_core::jid::BareJid;
use spondee_core::store::{Reply, Row, Table};

use super::fields::read_row;
use super::{Answer, Fault, Sqlite};
use crate::store::unseen::Fill;

/// No owner has this address.
const NOBODY: &str = "";

impl Sqlite {
    /// The only row of an owner.
    pub(super) fn get_unseen(&self, owner: &BareJid, table: Table) -> Answer {
        let domain = owner.domain();
        let stand_in = self.stand_ins.in_place_of(owner);
        let id = stand_in.map(|(_, id)| id);
        let found = self.look_for(table, owner.as_str(), id)?;
        let read = found.as_ref().map(|(row, _)| Fill::of(row));
        let row = match found {
            // The other's: who stands in is never asked for itself here.
            Some((_, of)) if Some(of) == id => None,
            Some((row, of)) => {
                self.stand_ins.learn(owner, of, Fill::of(&row));
                Some(row)
            }
            None => None,
        };
        if let Some((fill, _)) = stand_in
            && row.is_none()
            && read != Some(fill)
        {
            // It has changed, or is gone.
            self.stand_ins.forget(domain, fill);
        }
        let other = read.unwrap_or(Fill::Full).other();
        if let Some(stand_in) = self.stand_ins.get(domain, other) {
            let beside = self.look_for(table, NOBODY, Some(stand_in))?;
            if beside.is_none_or(|(row, _)| Fill::of(&row) != other) {
                self.stand_ins.forget(domain, other);
            }
        }
        Ok(Reply::Row(row))
    }

    /// The row of this address, or if nobody has that, the one of `stand_in`; and whose it is.
    fn look_for(
        &self,
        table: Table,
        address: &str,
        stand_in: Option<i64>,
    ) -> Result<Option<(Row, i64)>, Fault> {
        let mut get = self
            .connection
            .prepare_cached(&self.table_sql(table)?.get_unseen)?;
        let width = table.width();
        let read =
            |row: &rusqlite::Row<'_>| Ok((read_row(table, row, 0)?, row.get::<_, i64>(width)?));
        Ok(get.query_row((address, stand_in), read).optional()?)
    }
}
