//! The numbers of owners: what the writer remembers of committed transactions.

use std::collections::HashMap;

use spondee_core::jid::BareJid;

use crate::limits::POSTGRESQL_OWNERS;

/// A number is never given twice, so what a purge has left behind belongs to nobody.
#[derive(Debug, Default)]
pub(super) struct Owners(HashMap<BareJid, i64>);

impl Owners {
    pub(super) fn get(&self, owner: &BareJid) -> Option<i64> {
        self.0.get(owner).copied()
    }

    /// What a transaction that was committed has learnt; `None` was purged.
    pub(super) fn learn(&mut self, learnt: Vec<(BareJid, Option<i64>)>) {
        if self.0.len() + learnt.len() > POSTGRESQL_OWNERS {
            self.0.clear();
        }
        for (owner, id) in learnt {
            match id {
                Some(id) => self.0.insert(owner, id),
                None => self.0.remove(&owner),
            };
        }
    }
}
