//! What an inactive client was not told yet.

use alloc::sync::Arc;

use crate::limits::CSI_QUEUE_BYTES;
use crate::stanza::{Latest, Stanza};

/// Stanzas for a client that nobody looks at, in the order in which they came, each with what whoever keeps them has to know of it. Of the
/// presence of each full address only the last (XEP-0352 §3.2: "push the latest presence from each contact").
#[derive(Debug)]
pub struct Held<T> {
    stanzas: Latest<(Arc<Stanza>, T)>,
    bytes: usize,
}

/// Whether more may be held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Room {
    /// It may.
    Some,
    /// All that is held is to be told now.
    None,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self {
            stanzas: Latest::default(),
            bytes: 0,
        }
    }
}

impl<T> Held<T> {
    /// One stanza more, with what stands `beside` it. Whatever the answer is, it is held. There is room for `most` stanzas, and for
    /// `CSI_QUEUE_BYTES` of them.
    #[must_use]
    pub fn hold(&mut self, stanza: Arc<Stanza>, beside: T, most: usize) -> Room {
        self.bytes = self.bytes.saturating_add(stanza.size());
        let announces = stanza.announces().cloned();
        if let Some((gone, _)) = self.stanzas.push((stanza, beside), announces) {
            self.bytes = self.bytes.saturating_sub(gone.size());
        }
        match self.len() > most || self.bytes > CSI_QUEUE_BYTES {
            true => Room::None,
            false => Room::Some,
        }
    }

    /// All of it, in order: nothing is held any more.
    pub fn take_all(&mut self) -> impl Iterator<Item = (Arc<Stanza>, T)> + use<T> {
        core::mem::take(self).stanzas.into_values()
    }

    /// How many stanzas are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stanzas.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes they have.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests;
