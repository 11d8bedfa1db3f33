//! Logs: entries that an owner appends, pages of them in both directions, trims from the oldest.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::{Field, Row, Table};
use crate::limits::{STORE_OWED_BYTES, STORE_OWED_ENTRIES};

/// A log, known by its name in the database.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Log {
    /// Its name.
    pub name: &'static str,
    /// Where it stands up to which key nothing is owed any more. Without it, all that is kept for it is owed.
    pub done: Option<Mark>,
    /// Where its last key stands once no entry has it: who takes away the last entry puts it there, so that no key is used again.
    pub last: Option<Mark>,
}

impl Log {
    /// A log of which nothing is ever done with but by a trim, and which keeps no key of what is gone.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            done: None,
            last: None,
        }
    }
}

/// A key of a log that stands in a column of an owner's only row of a table. The table is loaded.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Mark {
    /// Without a key of its own.
    pub table: Table,
    /// Of `Kind::Time`.
    pub column: &'static str,
}

impl Mark {
    /// The key that stands in these rows of its table.
    #[must_use]
    pub fn read(&self, rows: &[Row]) -> Option<i64> {
        let place = self.table.all().position(|c| c.name == self.column)?;
        match rows.first()?.0.get(place)? {
            Field::Time(key) => Some(*key),
            Field::Absent | Field::Bytes(_) | Field::Int(_) | Field::Text(_) | Field::Xml(_) => {
                None
            }
        }
    }
}

/// What an owner needs to know of a log before it may append to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct End {
    /// Which log.
    pub log: Log,
    /// The key of its last entry.
    pub last: i64,
    /// What is owed.
    pub owed: Owed,
}

/// Entries kept for `Kept::Owed` behind the log's mark. Counted up to the first that goes beyond `STORE_OWED_ENTRIES` or
/// `STORE_OWED_BYTES`: beyond either nothing more is taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Owed {
    /// So many.
    pub entries: u32,
    /// Bytes of their payloads.
    pub bytes: usize,
}

impl Owed {
    /// Counts one more; whether to go on.
    pub const fn count(&mut self, payload: usize) -> bool {
        self.entries = self.entries.saturating_add(1);
        self.bytes = self.bytes.saturating_add(payload);
        self.entries <= STORE_OWED_ENTRIES && self.bytes <= STORE_OWED_BYTES
    }
}

/// So much of a log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Amount {
    /// Entries.
    pub entries: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

impl Amount {
    /// With one entry more.
    #[must_use]
    pub fn and(self, payload: usize) -> Self {
        let payload = u64::try_from(payload).unwrap_or(u64::MAX);
        Self {
            entries: self.entries.saturating_add(1),
            bytes: self.bytes.saturating_add(payload),
        }
    }

    /// Whether it is more than this, in either.
    #[must_use]
    pub const fn exceeds(self, most: Self) -> bool {
        self.entries > most.entries || self.bytes > most.bytes
    }
}

/// How much there is of a log, from its end to its beginning.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Measured {
    /// Of all.
    pub whole: Amount,
    /// Of the newest, as many as may stay: what is before `beyond` does not count.
    pub within: Amount,
    /// If some may not stay, the key before which they all are.
    pub beyond: Option<i64>,
    /// The first key.
    pub oldest: Option<i64>,
    /// The last key.
    pub newest: Option<i64>,
    /// What is owed, whatever was to be measured.
    pub owed: Owed,
}

impl Measured {
    /// One more entry, older than all before.
    pub fn count(&mut self, key: i64, payload: usize, most: Amount) {
        self.whole = self.whole.and(payload);
        self.newest.get_or_insert(key);
        if self.beyond.is_none() {
            let within = self.within.and(payload);
            if within.exceeds(most) {
                // Behind the newest where not even that may stay.
                self.beyond = Some(self.oldest.unwrap_or_else(|| key.saturating_add(1)));
            } else {
                self.within = within;
            }
        }
        self.oldest = Some(key);
    }
}

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

    /// What is left of it without the bits of `other`; and without `Owed` of an entry of this key, if `done` has passed it.
    #[must_use]
    pub const fn left(self, other: Self, key: i64, done: Option<i64>) -> Option<Self> {
        match (self.without(other), done) {
            (Some(left), Some(done)) if key <= done => left.without(Self::Owed),
            (left, _) => left,
        }
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
