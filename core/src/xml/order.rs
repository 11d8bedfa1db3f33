//! Names in order, so that one of many is found without a look at all of them.

use alloc::vec::Vec;

use crate::work;

/// So many names are looked at one by one: nearly every tag and stanza has fewer, and keeps no order.
const FEW: usize = 16;

/// The numbers of the entries of a list by their names; of equal names, the later entry behind. Empty while there are few.
#[derive(Debug)]
pub(super) struct Order(Vec<u32>);

impl Order {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// The entry `count - 1` is new; `name` gives the name of each.
    pub(super) fn add<'n>(&mut self, count: usize, name: impl Fn(usize) -> &'n [u8]) {
        if count <= FEW {
            return;
        }
        let first = if self.0.is_empty() { 0 } else { count - 1 };
        for number in first..count {
            let own = name(number);
            let behind = self.position(own, &name);
            work::glance(self.0.len());
            self.0
                .insert(behind, u32::try_from(number).unwrap_or(u32::MAX));
        }
    }

    /// The last of the first `count` entries that is called `wanted`.
    pub(super) fn find<'n>(
        &self,
        count: usize,
        wanted: &[u8],
        name: impl Fn(usize) -> &'n [u8],
    ) -> Option<usize> {
        if self.0.is_empty() {
            let found = |number: &usize| {
                work::glance(wanted.len());
                name(*number) == wanted
            };
            return (0..count).rev().find(found);
        }
        let behind = self.position(wanted, &name);
        let number = *self.0.get(behind.checked_sub(1)?)? as usize;
        (name(number) == wanted).then_some(number)
    }

    /// Forgets all but the first `count` entries.
    pub(super) fn truncate(&mut self, count: usize) {
        if count <= FEW {
            self.0.clear();
        } else {
            work::glance(self.0.len());
            self.0.retain(|number| (*number as usize) < count);
        }
    }

    /// Behind all that are not behind `wanted`.
    fn position<'n>(&self, wanted: &[u8], name: impl Fn(usize) -> &'n [u8]) -> usize {
        self.0.partition_point(|number| {
            work::glance(wanted.len());
            name(*number as usize) <= wanted
        })
    }
}
