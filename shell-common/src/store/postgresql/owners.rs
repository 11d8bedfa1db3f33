//! What a connection remembers of owners: of committed transactions alone.

use std::collections::HashMap;

use spondee_core::jid::BareJid;

use crate::limits::POSTGRESQL_OWNERS;
use crate::store::unseen::StandIns;

/// Their numbers, on the one that writes. A number is never given twice, so what a purge has left behind belongs to nobody.
#[derive(Debug, Default)]
pub(super) struct Owners {
    numbers: HashMap<BareJid, i64>,
    pub(super) stand_ins: StandIns,
}

impl Owners {
    pub(super) fn get(&self, owner: &BareJid) -> Option<i64> {
        self.numbers.get(owner).copied()
    }

    /// What a transaction that was committed has learnt; `None` was purged.
    pub(super) fn learn(&mut self, learnt: Vec<(BareJid, Option<i64>)>) {
        if self.numbers.len() + learnt.len() > POSTGRESQL_OWNERS {
            self.numbers.clear();
        }
        for (owner, id) in learnt {
            match id {
                Some(id) => self.numbers.insert(owner, id),
                None => self.numbers.remove(&owner),
            };
        }
    }
}
