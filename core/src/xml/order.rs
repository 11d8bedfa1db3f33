//! Names in order, so that one of many is found without a look at all of them.

use alloc::vec::Vec;

use crate::work;

/// So many names are looked at one by one: nearly every tag and stanza has fewer, and keeps no order.
const FEW: usize = 16;

/// More than any limit lets come: those behind are looked at one by one again.
const MANY: usize = 1 << 16;

/// The numbers of the entries of a list by their names; of equal names, the later entry behind. Empty while there are few.
#[derive(Debug)]
pub(super) struct Sorted(Vec<u16>);

impl Sorted {
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
            let Ok(entry) = u16::try_from(number) else {
                return;
            };
            let own = name(number);
            let behind = self.position(own, &name);
            work::glance(self.0.len());
            self.0.insert(behind, entry);
        }
    }

    /// The last of the first `count` entries that is called `wanted`.
    pub(super) fn find<'n>(
        &self,
        count: usize,
        wanted: &[u8],
        name: impl Fn(usize) -> &'n [u8],
    ) -> Option<usize> {
        let one_by_one = if self.0.is_empty() { 0 } else { MANY };
        let found = (one_by_one..count).rev().find(|number| {
            work::glance(wanted.len());
            name(*number) == wanted
        });
        if self.0.is_empty() || found.is_some() {
            return found;
        }
        let behind = self.position(wanted, &name);
        let number = usize::from(*self.0.get(behind.checked_sub(1)?)?);
        (name(number) == wanted).then_some(number)
    }

    /// Forgets all but the first `count` entries.
    pub(super) fn truncate(&mut self, count: usize) {
        if count <= FEW {
            self.0.clear();
        } else {
            work::glance(self.0.len());
            self.0.retain(|number| usize::from(*number) < count);
        }
    }

    /// Behind all that are not behind `wanted`.
    fn position<'n>(&self, wanted: &[u8], name: impl Fn(usize) -> &'n [u8]) -> usize {
        self.0.partition_point(|number| {
            work::glance(wanted.len());
            name(usize::from(*number)) <= wanted
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However a list grows and shrinks, the last entry of a name is found.
        #[test]
        fn finds_what_a_look_at_all_of_them_finds(steps in prop::collection::vec((0..9_usize, 0..60_u8), 1..400)) {
            let (mut order, mut list) = (Sorted::new(), Vec::new());
            for (step, byte) in steps {
                if step == 0 {
                    list.truncate(usize::from(byte));
                    order.truncate(list.len());
                } else {
                    list.push([byte]);
                    order.add(list.len(), |number| &list[number][..]);
                }
                let wanted = [byte / 2 * 3];
                let found = order.find(list.len(), &wanted, |number| &list[number][..]);
                prop_assert_eq!(found, list.iter().rposition(|name| *name == wanted));
            }
        }
    }
}
