//! What is not there takes as long as what is: where an owner has no row of a table of which that must not show (`Loading::Unseen`), the row of
//! another owner below the same host is found and decoded in its place, and thrown away.
//!
//! So a stranger who measures cannot tell accounts from names that nobody has (RFC 6120 §6.5.10 for what is said). A name that was deleted and
//! has something under it yet is told, by less than a look-up: it is an owner without a row.

use std::cell::RefCell;
use std::collections::HashMap;

use rusqlite::OptionalExtension as _;
use spondee_core::jid::BareJid;
use spondee_core::store::{Reply, Table};

use super::fields::read_row;
use super::{Answer, Sqlite};

/// Who stands in below each host: as many as there are hosts with accounts.
#[derive(Debug, Default)]
pub(super) struct StandIns(RefCell<HashMap<String, StandIn>>);

#[derive(Clone, Debug)]
struct StandIn {
    jid: BareJid,
    id: i64,
}

impl Sqlite {
    /// The only row of an owner.
    pub(super) fn get_unseen(&self, owner: &BareJid, table: Table) -> Answer {
        let stand_in = self.stand_ins.of(owner);
        let id = stand_in.as_ref().map(|stand_in| stand_in.id);
        let mut get = self
            .connection
            .prepare_cached(&self.table_sql(table)?.get_unseen)?;
        let width = table.width();
        let found = get
            .query_row((owner.as_str(), id), |row| {
                Ok((read_row(table, row, 0)?, row.get::<_, i64>(width)?))
            })
            .optional()?;
        match found {
            // The other's: who stands in is never asked for itself here.
            Some((_, of)) if Some(of) == id => Ok(Reply::Row(None)),
            Some((row, of)) => {
                self.stand_ins.learn(owner, of);
                Ok(Reply::Row(Some(row)))
            }
            None => {
                // It may be gone itself.
                self.stand_ins.forget(owner);
                Ok(Reply::Row(None))
            }
        }
    }
}

impl StandIns {
    /// Who stands in for this owner: never itself, or what is there would be thrown away, and what it had before it was deleted would be its own.
    fn of(&self, owner: &BareJid) -> Option<StandIn> {
        let known = self.0.borrow().get(owner.domain()).cloned();
        known.filter(|stand_in| stand_in.jid != *owner)
    }

    fn learn(&self, owner: &BareJid, id: i64) {
        let mut known = self.0.borrow_mut();
        if !known.contains_key(owner.domain()) {
            let jid = owner.clone();
            known.insert(owner.domain().to_owned(), StandIn { jid, id });
        }
    }

    fn forget(&self, owner: &BareJid) {
        self.0.borrow_mut().remove(owner.domain());
    }
}
