//! Who stands in for owners that have no row of a table of which that must not show (`Loading::Unseen`): whose row is read in the place of one
//! that is not there.

use std::cell::RefCell;
use std::collections::HashMap;

use spondee_core::jid::BareJid;
use spondee_core::store::{Field, Row};

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
pub(super) enum Fill {
    Full,
    /// More than half of its fields are empty.
    Sparse,
}

impl Fill {
    pub(super) fn of(row: &Row) -> Self {
        let empty = row.0.iter().filter(|field| **field == Field::Absent);
        match empty.count() * 2 > row.0.len() {
            true => Self::Sparse,
            false => Self::Full,
        }
    }

    pub(super) const fn other(self) -> Self {
        match self {
            Self::Full => Self::Sparse,
            Self::Sparse => Self::Full,
        }
    }
}

impl StandIns {
    /// Who stands in for this owner: never itself, or what is there would be thrown away, and what it had before it was deleted would be its own.
    pub(super) fn in_place_of(&self, owner: &BareJid) -> Option<(Fill, i64)> {
        let fills = [Fill::Full, Fill::Sparse].into_iter();
        let mut known = fills.filter_map(|fill| Some((fill, self.known(owner.domain(), fill)?)));
        let found = known.find(|(_, stand_in)| stand_in.jid != *owner);
        found.map(|(fill, stand_in)| (fill, stand_in.id))
    }

    pub(super) fn get(&self, domain: &str, fill: Fill) -> Option<i64> {
        Some(self.known(domain, fill)?.id)
    }

    fn known(&self, domain: &str, fill: Fill) -> Option<StandIn> {
        let known = self.0.borrow();
        known.get(domain)?.of(fill).clone()
    }

    pub(super) fn learn(&self, owner: &BareJid, id: i64, fill: Fill) {
        if self.get(owner.domain(), fill).is_none() {
            let mut known = self.0.borrow_mut();
            let both = known.entry(owner.domain().to_owned()).or_default();
            let jid = owner.clone();
            *both.of_mut(fill) = Some(StandIn { jid, id });
        }
    }

    pub(super) fn forget(&self, domain: &str, fill: Fill) {
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
