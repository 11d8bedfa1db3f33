//! Logs: entries that an owner appends, pages of them in both directions, trims from the oldest.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

/// A log, known by its name in the database.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Log(pub &'static str);

/// One entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Microseconds since 1970-01-01T00:00:00Z, or one more than the last where that is no more. Only its owner makes them, so
    /// they rise, and the order of keys is the order of appends.
    pub key: i64,
    /// With whom: a bare address.
    pub peer: Bytes,
    /// The resource of the full address, if there was one.
    pub resource: Option<Bytes>,
    /// What for.
    pub kept: Kept,
    /// What it says; nothing, once it was blanked.
    pub payload: Payload,
}

impl Entry {
    /// About how many bytes it takes. The same in every back end, because pages are cut by it.
    #[must_use]
    pub fn weight(&self) -> usize {
        let resource = self.resource.as_ref().map_or(0, Bytes::len);
        self.peer.len() + resource + self.payload.len() + 2 * size_of::<i64>()
    }
}

/// Text in parts, which the back end joins as it binds them: what several entries share is not copied in the core. An answer
/// brings one part, or none for an entry that was blanked.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Payload(pub Vec<Bytes>);

impl Payload {
    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In one piece.
    #[must_use]
    pub fn joined(&self) -> Bytes {
        match &self.0[..] {
            [] => Bytes::new(),
            [one] => one.clone(),
            parts => Bytes::from(parts.concat()),
        }
    }
}

/// Messages are not for logs of the server.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// What an entry is kept for. Each is a bit, so that an entry stays until nothing needs it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kept {
    /// The archive.
    Archived = 1,
    /// Somebody who was away must still get it.
    Owed = 2,
    /// Both.
    Both = 3,
}

impl Kept {
    /// The number it is kept as.
    #[must_use]
    pub const fn bits(self) -> i64 {
        match self {
            Self::Archived => 1,
            Self::Owed => 2,
            Self::Both => 3,
        }
    }

    /// What a number stands for.
    #[must_use]
    pub const fn from_bits(bits: i64) -> Option<Self> {
        match bits {
            1 => Some(Self::Archived),
            2 => Some(Self::Owed),
            3 => Some(Self::Both),
            _ => None,
        }
    }

    /// Whether it shares a bit with `other`.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.bits() & other.bits() != 0
    }

    /// What is left without the bits of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Option<Self> {
        Self::from_bits(self.bits() & !other.bits())
    }
}

/// Which entries of a log are wanted, and how many.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pick {
    /// Only those kept for this.
    pub kept: Kept,
    /// Only those with this peer.
    pub peer: Option<Peer>,
    /// Only those with exactly these keys, all of which must be there. Not empty: at most as many as a page has. Bounds and order
    /// do not count then.
    pub ids: Option<Vec<i64>>,
    /// Only those behind this key.
    pub after: Option<i64>,
    /// Only those before this key.
    pub before: Option<i64>,
    /// The last key that was given out when this was asked: what is appended later never shows.
    pub upto: i64,
    /// From which end the page is filled. It is in the order of keys in any case.
    pub order: Order,
    /// At most so many.
    pub limit: u32,
}

/// Somebody in a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// The bare address.
    pub bare: Bytes,
    /// With this resource only.
    pub resource: Option<Bytes>,
}

/// From which end a page is filled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// The newest of what is picked.
    Backward,
    /// The oldest.
    Forward,
}

/// Entries of a log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Page {
    /// In the order of their keys.
    pub entries: Vec<Entry>,
    /// The oldest key that the log still has, whoever it is with.
    pub oldest: Option<i64>,
    /// Whether more were to be had on the side towards which the page was filled.
    pub more: bool,
}
