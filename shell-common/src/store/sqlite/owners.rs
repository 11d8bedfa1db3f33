//! The numbers of owners, and which days of a log were seen: what the writer remembers of committed transactions.
//!
//! A number is never given twice (`AUTOINCREMENT`), so what a purge has left behind belongs to nobody.

use std::collections::{HashMap, HashSet};

use spondee_core::jid::BareJid;
use spondee_core::store::Log;

use crate::limits::{SQLITE_DAYS, SQLITE_OWNERS};

/// A day on which an owner's log has entries with somebody.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Day {
    pub(super) log: Log,
    pub(super) owner: i64,
    pub(super) tag: i64,
    pub(super) day: i64,
}

/// What is remembered. What the open transaction added counts only once it is committed.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    owners: HashMap<BareJid, i64>,
    new_owners: HashMap<BareJid, i64>,
    days: HashSet<Day>,
    new_days: HashSet<Day>,
}

impl Remembered {
    pub(super) fn owner(&self, owner: &BareJid) -> Option<i64> {
        let known = self
            .new_owners
            .get(owner)
            .or_else(|| self.owners.get(owner));
        known.copied()
    }

    pub(super) fn learn_owner(&mut self, owner: &BareJid, id: i64) {
        self.new_owners.insert(owner.clone(), id);
    }

    /// It was purged. Should the purge be rolled back, it is looked up again.
    pub(super) fn forget_owner(&mut self, owner: &BareJid) {
        self.new_owners.remove(owner);
        self.owners.remove(owner);
    }

    pub(super) fn knows_day(&self, day: &Day) -> bool {
        self.new_days.contains(day) || self.days.contains(day)
    }

    pub(super) fn learn_day(&mut self, day: Day) {
        self.new_days.insert(day);
    }

    /// Days were removed: what stands here may not be there any more.
    pub(super) fn forget_days(&mut self) {
        self.days.clear();
        self.new_days.clear();
    }

    pub(super) fn committed(&mut self) {
        if self.owners.len() + self.new_owners.len() > SQLITE_OWNERS {
            self.owners.clear();
        }
        if self.days.len() + self.new_days.len() > SQLITE_DAYS {
            self.days.clear();
        }
        self.owners.extend(self.new_owners.drain());
        self.days.extend(self.new_days.drain());
    }

    pub(super) fn rolled_back(&mut self) {
        self.new_owners.clear();
        self.new_days.clear();
    }
}
