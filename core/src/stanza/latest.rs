//! Stanzas that wait for somebody: in the order in which they came, but of the presence of each sender only the last.
//!
//! `Choice:` a later presence takes its own place and that of the earlier one is given up. In the place of the earlier one it would
//! overtake what its sender said between the two (RFC 6120 §10.1), and it might say that somebody left before telling what that one said last.

use alloc::collections::BTreeMap;

use crate::jid::Jid;

/// See the module; each stanza with what whoever keeps it has to know of it.
#[derive(Debug)]
pub(crate) struct Latest<T> {
    values: BTreeMap<u64, T>,
    /// Where the presence of each sender is.
    presence: BTreeMap<Jid, u64>,
    /// The place of the next.
    next: u64,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self {
            values: BTreeMap::new(),
            presence: BTreeMap::new(),
            next: 0,
        }
    }
}

impl<T> Latest<T> {
    /// One more, which `announces` this sender, if any (`Stanza::announces`). Gives back what that one announced before.
    pub(crate) fn push(&mut self, value: T, announces: Option<Jid>) -> Option<T> {
        let place = self.next;
        self.next = self.next.saturating_add(1);
        let earlier = announces.and_then(|from| self.presence.insert(from, place));
        let replaced = earlier.and_then(|earlier| self.values.remove(&earlier));
        self.values.insert(place, value);
        replaced
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// In order.
    #[cfg(test)]
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.values.values()
    }

    /// All of them, in order.
    pub(crate) fn into_values(self) -> impl Iterator<Item = T> + use<T> {
        self.values.into_values()
    }
}
