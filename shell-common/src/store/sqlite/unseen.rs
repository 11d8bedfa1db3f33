//! What is not there takes as long as what is: where an owner has no row of a table of which that must not show (`Loading::Unseen`), the row of
//! another owner below the same host is found and decoded in its place, and thrown away.
//!
//! Rows may be full or have little in them, and so take more or less: where a host has both, as one that goes over from passwords to keys, one of
//! each is read for everybody. So a stranger who measures cannot tell accounts from names that nobody has, nor accounts of the one kind from those
//! of the other. A name that was deleted and has something under it yet is told, by less than a look-up: it is an owner without a row.

use std::cell::RefCell;
use std::collections::HashMap;

use rusqlite::OptionalExtension as _;
use spondee_core::jid::BareJid;
use spondee_core::store::{Field, Reply, Row, Table};

use super::fields::read_row;
use super::{Answer, Fault, Sqlite};

/// Who stands in below each host: as many as there are hosts with accounts.
#[derive(Debug, Default)]
pub(super) struct StandIns(RefCell<HashMap<String, Both>>);

#[derive(Debug, Default)]
struct Both {
    full: Option<StandIn>,
    sparse: Option<StandIn>,
}

#[derive(Clone, Debug)]
struct StandIn {
    jid: BareJid,
    id: i64,
}

/// How much is in a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fill {
    Full,
    /// More than half of its fields are empty.
    Sparse,
}

impl Fill {
    fn of(row: &Row) -> Self {
        let empty = row.0.iter().filter(|field| **field == Field::Absent);
        match empty.count() * 2 > row.0.len() {
            true => Self::Sparse,
            false => Self::Full,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Full => Self::Sparse,
            Self::Sparse => Self::Full,
        }
    }
}

/// No owner has this address.
const NOBODY: &str = "";

impl Sqlite {
    /// The only row of an owner.
    pub(super) fn get_unseen(&self, owner: &BareJid, table: Table) -> Answer {
        let domain = owner.domain();
        let stand_in = self.stand_ins.in_place_of(owner);
        let id = stand_in.as_ref().map(|(_, stand_in)| stand_in.id);
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
            let beside = self.look_for(table, NOBODY, Some(stand_in.id))?;
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

impl StandIns {
    /// Who stands in for this owner: never itself, or what is there would be thrown away, and what it had before it was deleted would be its own.
    fn in_place_of(&self, owner: &BareJid) -> Option<(Fill, StandIn)> {
        let fills = [Fill::Full, Fill::Sparse].into_iter();
        let mut known = fills.filter_map(|fill| Some((fill, self.get(owner.domain(), fill)?)));
        known.find(|(_, stand_in)| stand_in.jid != *owner)
    }

    fn get(&self, domain: &str, fill: Fill) -> Option<StandIn> {
        let known = self.0.borrow();
        known.get(domain)?.of(fill).clone()
    }

    fn learn(&self, owner: &BareJid, id: i64, fill: Fill) {
        if self.get(owner.domain(), fill).is_none() {
            let mut known = self.0.borrow_mut();
            let both = known.entry(owner.domain().to_owned()).or_default();
            let jid = owner.clone();
            *both.of_mut(fill) = Some(StandIn { jid, id });
        }
    }

    fn forget(&self, domain: &str, fill: Fill) {
        if let Some(both) = self.0.borrow_mut().get_mut(domain) {
            *both.of_mut(fill) = None;
        }
    }
}

impl Both {
    const fn of(&self, fill: Fill) -> &Option<StandIn> {
        match fill {
            Fill::Full => &self.full,
            Fill::Sparse => &self.sparse,
        }
    }

    const fn of_mut(&mut self, fill: Fill) -> &mut Option<StandIn> {
        match fill {
            Fill::Full => &mut self.full,
            Fill::Sparse => &mut self.sparse,
        }
    }
}
