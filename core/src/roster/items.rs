//! The contacts of a roster in as few bytes as may be: tens of thousands of rosters are in memory at a time.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::Item;
use super::item::{Standing, first};

/// In the order of their addresses, each once. Two allocations for all of them: a contact takes seven bytes beside its address, its name and
/// its groups.
#[derive(Clone, Default, Eq, PartialEq)]
pub(super) struct Items {
    /// Of each the letter of its standing, then its texts.
    text: String,
    /// Where each begins in there. A roster is far smaller than what these can tell (`STORE_LOAD_BYTES`).
    starts: Vec<u32>,
}

impl Items {
    /// Of contacts that are in order. No more room than they take.
    pub(super) fn new(items: &[Item<'_>]) -> Self {
        let bytes = items.iter().map(|item| 1 + item.texts.len()).sum();
        let mut packed = Self {
            text: String::with_capacity(bytes),
            starts: Vec::with_capacity(items.len()),
        };
        for item in items {
            packed.starts.push(offset(packed.text.len()));
            packed.text.push(item.standing.letter());
            packed.text.push_str(&item.texts);
        }
        packed
    }

    pub(super) const fn len(&self) -> usize {
        self.starts.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Item<'_>> + Clone {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    pub(super) fn get(&self, at: usize) -> Option<Item<'_>> {
        self.starts.get(at)?;
        let text = self.text.get(self.start(at)..self.start(at + 1))?;
        Some(Item {
            standing: Standing::of_letter(*text.as_bytes().first()?),
            texts: Cow::Borrowed(text.get(1..)?),
        })
    }

    /// Where a contact is, or where it belongs.
    pub(super) fn find(&self, contact: &str) -> Result<usize, usize> {
        let contact_at = |start: u32| {
            let text = self.text.get(start as usize + 1..);
            text.map_or("", first)
        };
        self.starts
            .binary_search_by(|start| contact_at(*start).cmp(contact))
    }

    /// A contact comes to where it belongs.
    pub(super) fn insert(&mut self, at: usize, item: &Item<'_>) {
        let start = self.start(at);
        // Not twice as much, as `Vec` would have it: a roster grows seldom and stays in memory for long.
        if self.starts.len() == self.starts.capacity() {
            self.starts.reserve_exact(self.starts.len() / 8 + 1);
        }
        self.starts.insert(at.min(self.starts.len()), offset(start));
        self.write(at, start..start, item);
    }

    /// A contact becomes another.
    pub(super) fn replace(&mut self, at: usize, item: &Item<'_>) {
        self.write(at, self.start(at)..self.start(at + 1), item);
    }

    /// A contact goes.
    pub(super) fn remove(&mut self, at: usize) {
        let (start, end) = (self.start(at), self.start(at + 1));
        if at < self.starts.len() {
            self.text.replace_range(start..end, "");
            self.starts.remove(at);
            self.shift(at, end, start);
        }
    }

    /// Where a contact begins; behind the last one the end of all.
    fn start(&self, at: usize) -> usize {
        let start = self.starts.get(at);
        start.map_or(self.text.len(), |start| *start as usize)
    }

    fn write(&mut self, at: usize, old: core::ops::Range<usize>, item: &Item<'_>) {
        let mut new = String::with_capacity(1 + item.texts.len());
        new.push(item.standing.letter());
        new.push_str(&item.texts);
        let more = new.len().saturating_sub(old.len());
        if self.text.capacity() - self.text.len() < more {
            self.text.reserve_exact(more + self.text.len() / 8);
        }
        let (start, end) = (old.start, old.end);
        self.text.replace_range(old, &new);
        self.shift(at + 1, end, start + new.len());
    }

    /// What ended there ends here: those from `at` on are moved.
    fn shift(&mut self, at: usize, there: usize, here: usize) {
        for start in self.starts.iter_mut().skip(at) {
            *start = offset(*start as usize - there + here);
        }
    }
}

impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::string::ToString as _;

    use proptest::prelude::*;

    use super::*;
    use crate::jid::BareJid;

    fn item(contact: &str, name: &str, group: &str, letter: u8) -> Item<'static> {
        let groups = Some(group).filter(|group| !group.is_empty());
        let contact = BareJid::parse(contact).unwrap();
        let standing = Standing::of_letter(letter);
        Item::new(&contact, standing, name, groups.into_iter())
    }

    proptest! {
        /// Whatever comes, changes and goes: they are what a map of them would be, in its order.
        #[test]
        fn they_are_as_a_map_of_them(
            steps in prop::collection::vec((0u8..12, "[a-z\u{e9}]{0,9}", "[a-z]{0,3}", 0u8..16, any::<bool>()), 0..60)
        ) {
            let mut items = Items::default();
            let mut map = BTreeMap::new();
            for (number, name, group, letter, stays) in steps {
                let contact = alloc::format!("c{number}@x");
                let new = item(&contact, &name, &group, letter);
                match (items.find(&contact), stays) {
                    (Ok(at), true) => items.replace(at, &new),
                    (Err(at), true) => items.insert(at, &new),
                    (Ok(at), false) => items.remove(at),
                    (Err(_), false) => {}
                }
                match stays {
                    true => drop(map.insert(contact, new)),
                    false => drop(map.remove(&contact)),
                }
                let all: Vec<Item<'_>> = items.iter().collect();
                prop_assert!(all.iter().eq(map.values()), "{items:?}");
                prop_assert_eq!(&Items::new(&all), &items);
            }
            for (at, contact) in map.keys().enumerate() {
                prop_assert_eq!(items.find(contact), Ok(at));
                prop_assert_eq!(items.get(at).map(|item| item.contact().to_string()), Some(contact.clone()));
            }
            prop_assert_eq!(items.get(map.len()), None);
        }
    }
}
