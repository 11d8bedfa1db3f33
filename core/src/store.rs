//! Storage as the core asks for it: batches of operations on maps, no XEP in sight.
//!
//! A batch belongs to one owner and takes effect whole or not at all. Batches of one owner take effect and are answered in the
//! order submitted, and a read sees every earlier batch of its owner. The second shape, the log, comes with its first user.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::jid::BareJid;

/// Operations on what one owner keeps, applied atomically.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch {
    /// An account, a room, or a host itself.
    pub owner: BareJid,
    /// Answered one by one, in this order.
    pub ops: Vec<Op>,
}

impl Batch {
    /// Whether it changes nothing, so that a reader may serve it.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.ops
            .iter()
            .all(|op| matches!(op, Op::Get { .. } | Op::List { .. } | Op::Owners { .. }))
    }
}

/// One operation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Op {
    /// Forgets one key. `Done`, also if it was not there.
    Delete {
        /// In this map.
        map: Table,
        /// Exactly this key.
        key: Bytes,
    },
    /// One value. `Value`.
    Get {
        /// In this map.
        map: Table,
        /// Exactly this key.
        key: Bytes,
    },
    /// Keys and values in key order, starting behind `after`. `List`.
    List {
        /// In this map.
        map: Table,
        /// Empty to begin.
        after: Bytes,
        /// At most this many.
        limit: u32,
    },
    /// Owners that have something in `map`, below the owner's domain, in order, starting behind `after`. `Owners`.
    /// The batch's owner is the domain.
    Owners {
        /// In this map.
        map: Table,
        /// `None` to begin.
        after: Option<BareJid>,
        /// At most this many.
        limit: u32,
    },
    /// Everything of this owner in every table. `Done`.
    Purge,
    /// Sets one value. `Done`, or the whole batch fails with `StoreError::Conflict`.
    Put {
        /// In this map.
        map: Table,
        /// Exactly this key.
        key: Bytes,
        /// Readable with the database's own tools: UTF-8 JSON or XML.
        value: Bytes,
        /// What must be there before.
        expect: Expect,
    },
}

/// What a `Put` insists on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expect {
    /// Nothing may be there.
    Absent,
    /// Whatever is there.
    Anything,
    /// Something must be there.
    Present,
}

/// What one operation found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// It took effect and is on disk.
    Done,
    /// Keys and values.
    List(Vec<(Bytes, Bytes)>),
    /// Owners, with the value each has under the map's first key.
    Owners(Vec<(BareJid, Bytes)>),
    /// The value, if there is one.
    Value(Option<Bytes>),
}

/// Why a batch did not take effect. Nothing of it did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoreError {
    /// The queue to the store is full, or the store is shutting down: try again later.
    Busy,
    /// An `Expect` did not hold.
    Conflict,
    /// The disk or the database failed; the log of the shell says how.
    Failed,
}

/// The maps there are.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Table {
    /// `sasl::Credentials`, one record under the key `scram`.
    Credentials,
}

impl Table {
    /// The name it is kept under.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
        }
    }
}
