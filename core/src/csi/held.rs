//! What an inactive client was not told yet.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use crate::jid::Jid;
use crate::limits::CSI_QUEUE_BYTES;
use crate::stanza::{Kind, PresenceType, Stanza};

/// Stanzas for a client that nobody looks at, in the order in which they came, each with what whoever keeps them has to know of it. Of the
/// presence of each full address only the last (XEP-0352 §3.2: "push the latest presence from each contact").
///
/// `Choice:` a later presence takes its own place and that of the earlier one is given up. In the place of the earlier one it would
/// overtake what its sender said between the two (RFC 6120 §10.1), and it might say that somebody left before telling what that one said last.
#[derive(Debug)]
pub struct Held<T> {
    stanzas: BTreeMap<u64, (Arc<Stanza>, T)>,
    /// Where the presence of each sender is.
    presence: BTreeMap<Jid, u64>,
    /// The place of the next.
    next: u64,
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
            stanzas: BTreeMap::new(),
            presence: BTreeMap::new(),
            next: 0,
            bytes: 0,
        }
    }
}

impl<T> Held<T> {
    /// One stanza more, with what stands `beside` it. Whatever the answer is, it is held. There is room for `most` stanzas, and for
    /// `CSI_QUEUE_BYTES` of them.
    #[must_use]
    pub fn hold(&mut self, stanza: Arc<Stanza>, beside: T, most: usize) -> Room {
        let place = self.next;
        self.next = self.next.saturating_add(1);
        if let Some(from) = announced(&stanza)
            && let Some(earlier) = self.presence.insert(from.clone(), place)
            && let Some((gone, _)) = self.stanzas.remove(&earlier)
        {
            self.bytes = self.bytes.saturating_sub(gone.size());
        }
        self.bytes = self.bytes.saturating_add(stanza.size());
        self.stanzas.insert(place, (stanza, beside));
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
        self.stanzas.is_empty()
    }

    /// How many bytes they have.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Whose availability it tells, so that a later one of the same sender makes it needless.
const fn announced(stanza: &Stanza) -> Option<&Jid> {
    match stanza.kind() {
        Kind::Presence(PresenceType::Available | PresenceType::Unavailable) => stanza.from(),
        Kind::Presence(
            PresenceType::Error
            | PresenceType::Probe
            | PresenceType::Subscribe
            | PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed,
        )
        | Kind::Iq(_)
        | Kind::Message(_) => None,
    }
}

#[cfg(test)]
mod tests;
