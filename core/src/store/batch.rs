//! Batches: what is asked, what is answered, and what no batch may be.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::table::is_text;
use super::{
    Amount, End, Entry, Kept, Loading, Log, Measured, Page, Peer, Pick, Puts, Row, Subset, Table,
};
use crate::jid::BareJid;
use crate::limits::{
    CENSUS_MAX, LIST_MAX, STORE_ALONE_BYTES, STORE_BATCH_BYTES, STORE_BATCH_OPS, STORE_LIST_ROWS,
    STORE_PAGE_ENTRIES, STORE_TRIM_ENTRIES,
};

/// Operations on what one owner keeps, applied atomically. All of them read, or all of them write.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch {
    /// An account, a room, or a host itself.
    pub owner: BareJid,
    /// Which load of its owner it belongs to: a back end that several servers share refuses those of former owners.
    pub tenure: u64,
    /// How urgent it is.
    pub class: Class,
    /// Answered one by one, in this order.
    pub ops: Vec<Op>,
}

/// How urgent a batch is, and who waits for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// Entries of logs, and what quiet tables keep (`Puts::Quiet`): nobody waits for it, so it may wait for more of its kind.
    Append,
    /// A change that somebody waits for.
    Change,
    /// What an owner needs before it can do anything.
    Load,
    /// Entries that somebody wants to see, or their number. It may take long, and later writes of its owner do not wait for it.
    Page,
    /// The credentials of who is signing in.
    SignIn,
    /// What can wait: it is done behind everything else, and takes a small part of the time in which others could be served. Whoever has
    /// one step answered may ask for the next at once.
    Upkeep,
}

/// One operation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Op {
    /// Adds entries behind all others, their keys rising. `Done`.
    Append {
        /// To this log.
        log: Log,
        /// At least one.
        entries: Vec<Entry>,
    },
    /// Takes the payload out of an entry, which stays (XEP-0313 §3). `Done`, also if it was not there.
    Blank {
        /// In this log.
        log: Log,
        /// Exactly this one.
        key: i64,
    },
    /// How many entries there are. `Count`. It looks at each: for where a number is all that is wanted.
    Count {
        /// In this log.
        log: Log,
        /// Kept for this.
        kept: Kept,
        /// With this peer.
        peer: Option<Peer>,
        /// Behind this key.
        after: Option<i64>,
        /// Before this key.
        before: Option<i64>,
        /// As in `Pick::upto`.
        upto: i64,
    },
    /// How many owners below the domain of the batch's owner have a row of a subset; `limit` if it is as many or more. `Count`. It sees what
    /// was answered before it was asked.
    CountIn {
        /// Of this one.
        subset: &'static Subset,
        /// At least 1.
        limit: u32,
    },
    /// Forgets one row. `Done`, also if it was not there.
    Delete {
        /// In this table.
        table: Table,
        /// Exactly this key.
        key: Row,
    },
    /// Forgets rows in the order of keys, at most `STORE_LIST_ROWS`. `Deleted`.
    DeletePrefix {
        /// In this table.
        table: Table,
        /// The beginning of their keys; empty for all rows.
        prefix: Row,
    },
    /// One step towards leaving nothing of owners that were purged, not even where it is free or was written before. `Erased`. Alone in
    /// its batch. The batch's owner is any.
    Erase,
    /// One row. `Row`.
    Get {
        /// In this table.
        table: Table,
        /// Exactly this key.
        key: Row,
    },
    /// Rows in the order of keys. `Rows`.
    List {
        /// In this table.
        table: Table,
        /// The beginning of their keys; empty for all rows.
        prefix: Row,
        /// The whole key behind which to start.
        after: Option<Row>,
        /// At most so many.
        limit: u32,
    },
    /// All rows of the owner in tables that are loaded, and where its logs end, as of one moment. `Loaded`.
    Load,
    /// How much there is of a log, and what of it is too much. `Measured`. It looks at each entry: for now and then.
    Measure {
        /// In this log.
        log: Log,
        /// Kept for this.
        kept: Kept,
        /// The newest of them are to be no more than this.
        most: Amount,
        /// As in `Pick::upto`.
        upto: i64,
    },
    /// Owners that have a row in a table of one row each, below the owner's domain, in order. `Owners`. The batch's owner is the
    /// domain. It sees what was answered before it was asked.
    Owners {
        /// In this table.
        table: Table,
        /// `None` to begin.
        after: Option<BareJid>,
        /// At most so many.
        limit: u32,
    },
    /// Entries of a log. `Page`, or `Missing`.
    Page {
        /// In this log.
        log: Log,
        /// Which.
        pick: Box<Pick>,
    },
    /// Everything of this owner, in every table and log. `Done`.
    Purge,
    /// Sets one row. `Done`, or the whole batch fails with `StoreError::Conflict`.
    Put {
        /// In this table.
        table: Table,
        /// Key and all.
        row: Row,
        /// What must be there before the batch.
        expect: Expect,
    },
    /// As `Trim`, for every owner below the domain of the batch's owner, itself included. `Swept`. Alone in its batch.
    ///
    /// What is kept for `Kept::Owed` and nothing else goes with a sweep of that once the log's mark has passed it, however new it is.
    ///
    /// No owner is loaded for it; one that is loaded must not believe that what it has seen in a log is there for ever. It sees what
    /// was answered before it was asked.
    Sweep {
        /// In this log.
        log: Log,
        /// Entries before this key.
        before: i64,
        /// What they are not needed for.
        kept: Kept,
        /// The owner to begin with; `None` for the first.
        from: Option<BareJid>,
        /// At most so many entries.
        limit: u32,
    },
    /// Entries are not needed for something any more, the oldest first: those that nothing else needs go. What the log's mark has passed is
    /// not needed for `Kept::Owed`. Where the last entry goes its key is put down (`Log::last`). `Trimmed`.
    Trim {
        /// In this log.
        log: Log,
        /// Entries before this key.
        before: i64,
        /// What they are not needed for.
        kept: Kept,
        /// At most so many.
        limit: u32,
    },
}

/// What a `Put` insists on, judged before the first write of its batch.
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
    /// So many.
    Count(u64),
    /// So many rows went.
    Deleted {
        /// This many.
        rows: u32,
        /// Whether some are left.
        more: bool,
    },
    /// It took effect and is on disk.
    Done,
    /// How far that has come.
    Erased(Erased),
    /// An owner's data.
    Loaded(Box<Loaded>),
    /// So much.
    Measured(Measured),
    /// Not all of `Pick::ids` are there.
    Missing,
    /// Owners, each with its row.
    Owners(Vec<(BareJid, Row)>),
    /// Entries.
    Page(Page),
    /// The row, if there is one.
    Row(Option<Row>),
    /// Rows.
    Rows {
        /// In the order of keys; one at least, if there is any.
        rows: Vec<Row>,
        /// Whether there are more behind them.
        more: bool,
    },
    /// So many entries went or lost a bit.
    Swept {
        /// This many.
        entries: u32,
        /// The owner to begin with next; `None` once all have been looked at.
        next: Option<BareJid>,
    },
    /// So many entries went or lost a bit.
    Trimmed {
        /// This many.
        entries: u32,
        /// Whether some are left.
        more: bool,
    },
}

/// How far erasing has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Erased {
    /// Nothing is left.
    All,
    /// Another program reads from where the rest is, so that it cannot be written over.
    Held,
    /// A step was done, and more are to be.
    Some,
}

/// What an owner needs from the store.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Loaded {
    /// Each table that is loaded and has rows of this owner, in the order of their names; rows in the order of keys.
    pub tables: Vec<(Table, Vec<Row>)>,
    /// Each log that has entries of this owner.
    pub ends: Vec<End>,
}

/// What no batch may be. The core makes none such: one that is found is a fault of the core.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flaw {
    /// Something that its class does not allow.
    Class,
    /// More, or longer, than an answer may be.
    Limit,
    /// It reads and writes.
    Mixed,
    /// Keys of entries that do not rise.
    Order,
    /// A row or key that is none of its table, or text that is none.
    Shape,
    /// More than a batch may hold.
    Size,
}

impl Batch {
    /// Whether it changes nothing, so that a reader may serve it.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.ops.iter().all(Op::is_read)
    }

    /// About how many bytes it holds. What a shard's credit is counted in.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.ops.iter().map(Op::weight).sum()
    }

    /// Its operations, of appends each entry. At most `STORE_BATCH_OPS`.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ops.iter().map(Op::count).sum()
    }

    /// Whether every back end can take it as it is. A back end refuses what is flawed, so that nothing but the disk and the
    /// database is left to fail.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), Flaw> {
        let reads = self.ops.iter().filter(|op| op.is_read()).count();
        if reads != 0 && reads != self.ops.len() {
            return Err(Flaw::Mixed);
        }
        // One operation alone may be longer: a stanza is.
        let most = match self.ops.len() {
            1 => STORE_ALONE_BYTES,
            _ => STORE_BATCH_BYTES,
        };
        if self.count() > STORE_BATCH_OPS || self.weight() > most {
            return Err(Flaw::Size);
        }
        let alone = |op: &Op| matches!(op, Op::Erase | Op::Sweep { .. });
        if self.ops.len() > 1 && self.ops.iter().any(alone) {
            return Err(Flaw::Mixed);
        }
        if !self.ops.iter().all(|op| op.may_be(self.class)) {
            return Err(Flaw::Class);
        }
        self.ops.iter().try_for_each(Op::check)
    }
}

impl Op {
    /// The row that it puts, where, and what must be there; `None` for every other operation.
    #[must_use]
    pub const fn put(&self) -> Option<(Table, &Row, Expect)> {
        match self {
            Self::Put { table, row, expect } => Some((*table, row, *expect)),
            Self::Append { .. }
            | Self::Blank { .. }
            | Self::Count { .. }
            | Self::CountIn { .. }
            | Self::Delete { .. }
            | Self::DeletePrefix { .. }
            | Self::Erase
            | Self::Get { .. }
            | Self::List { .. }
            | Self::Load
            | Self::Measure { .. }
            | Self::Owners { .. }
            | Self::Page { .. }
            | Self::Purge
            | Self::Sweep { .. }
            | Self::Trim { .. } => None,
        }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        match self {
            Self::Count { .. }
            | Self::CountIn { .. }
            | Self::Get { .. }
            | Self::List { .. }
            | Self::Load
            | Self::Measure { .. }
            | Self::Owners { .. }
            | Self::Page { .. } => true,
            Self::Append { .. }
            | Self::Blank { .. }
            | Self::Delete { .. }
            | Self::DeletePrefix { .. }
            | Self::Erase
            | Self::Purge
            | Self::Put { .. }
            | Self::Sweep { .. }
            | Self::Trim { .. } => false,
        }
    }

    /// What it counts towards `STORE_BATCH_OPS`.
    const fn count(&self) -> usize {
        match self {
            Self::Append { entries, .. } => entries.len(),
            Self::Blank { .. }
            | Self::Count { .. }
            | Self::CountIn { .. }
            | Self::Delete { .. }
            | Self::DeletePrefix { .. }
            | Self::Erase
            | Self::Get { .. }
            | Self::List { .. }
            | Self::Load
            | Self::Measure { .. }
            | Self::Owners { .. }
            | Self::Page { .. }
            | Self::Purge
            | Self::Put { .. }
            | Self::Sweep { .. }
            | Self::Trim { .. } => 1,
        }
    }

    /// Whether a class allows it: the order of batches rests on it.
    fn may_be(&self, class: Class) -> bool {
        match class {
            Class::Append => match self {
                Self::Append { .. } => true,
                Self::Put { table, expect, .. } => {
                    table.puts == Puts::Quiet && *expect == Expect::Anything
                }
                Self::Delete { table, .. } => table.puts == Puts::Quiet,
                Self::Blank { .. }
                | Self::Count { .. }
                | Self::CountIn { .. }
                | Self::DeletePrefix { .. }
                | Self::Erase
                | Self::Get { .. }
                | Self::List { .. }
                | Self::Load
                | Self::Measure { .. }
                | Self::Owners { .. }
                | Self::Page { .. }
                | Self::Purge
                | Self::Sweep { .. }
                | Self::Trim { .. } => false,
            },
            Class::Page => matches!(
                self,
                Self::Count { .. } | Self::Measure { .. } | Self::Page { .. }
            ),
            Class::Change | Class::Load | Class::SignIn | Class::Upkeep => true,
        }
    }

    /// About how many bytes it holds.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Append { entries, .. } => entries.iter().map(Entry::weight).sum(),
                Self::Delete { key: row, .. }
                | Self::DeletePrefix { prefix: row, .. }
                | Self::Get { key: row, .. }
                | Self::Put { row, .. } => row.weight(),
                Self::List { prefix, after, .. } => {
                    prefix.weight() + after.as_ref().map_or(0, Row::weight)
                }
                Self::Page { pick, .. } => pick.ids.as_ref().map_or(0, Vec::len) * size_of::<i64>(),
                Self::Blank { .. }
                | Self::Count { .. }
                | Self::CountIn { .. }
                | Self::Erase
                | Self::Load
                | Self::Measure { .. }
                | Self::Owners { .. }
                | Self::Purge
                | Self::Sweep { .. }
                | Self::Trim { .. } => 0,
            }
    }

    fn check(&self) -> Result<(), Flaw> {
        let within = |limit: u32, most: u32| match (1..=most).contains(&limit) {
            true => Ok(()),
            false => Err(Flaw::Limit),
        };
        let shaped = |good: bool| if good { Ok(()) } else { Err(Flaw::Shape) };
        match self {
            Self::Append { entries, .. } => check_entries(entries),
            Self::Count { peer, .. } => shaped(peer.as_ref().is_none_or(is_peer)),
            Self::CountIn { subset, limit } => {
                within(*limit, CENSUS_MAX)?;
                shaped(subset.table.key.is_empty())
            }
            Self::Delete { table, key } | Self::Get { table, key } => shaped(key.is_key(table)),
            Self::DeletePrefix { table, prefix } => shaped(prefix.is_prefix(table)),
            Self::List {
                table,
                prefix,
                after,
                limit,
            } => {
                within(*limit, STORE_LIST_ROWS)?;
                let behind = |key: &Row| key.is_key(table) && key.0.starts_with(&prefix.0);
                shaped(prefix.is_prefix(table) && after.as_ref().is_none_or(behind))
            }
            Self::Owners { table, limit, .. } => {
                within(*limit, LIST_MAX)?;
                shaped(table.key.is_empty())
            }
            Self::Page { pick, .. } => {
                within(pick.limit, STORE_PAGE_ENTRIES)?;
                let most = usize::try_from(STORE_PAGE_ENTRIES).unwrap_or(usize::MAX);
                if let Some(ids) = &pick.ids
                    && !(1..=most).contains(&ids.len())
                {
                    return Err(Flaw::Limit);
                }
                shaped(pick.peer.as_ref().is_none_or(is_peer))
            }
            Self::Put { table, row, .. } => shaped(row.fits(table)),
            Self::Sweep { limit, .. } | Self::Trim { limit, .. } => {
                within(*limit, STORE_TRIM_ENTRIES)
            }
            Self::Blank { .. } | Self::Erase | Self::Load | Self::Measure { .. } | Self::Purge => {
                Ok(())
            }
        }
    }
}

impl Loaded {
    /// Where a log ends, if it has entries.
    #[must_use]
    pub fn end(&self, log: Log) -> Option<&End> {
        self.ends.iter().find(|end| end.log == log)
    }

    /// The rows of a table.
    #[must_use]
    pub fn rows(&self, table: Table) -> &[Row] {
        debug_assert!(table.loading == Loading::Loaded, "{table:?} is not loaded");
        let found = self.tables.iter().find(|(name, _)| *name == table);
        found.map_or(&[], |(_, rows)| rows)
    }
}

fn check_entries(entries: &[Entry]) -> Result<(), Flaw> {
    if entries.is_empty() || !entries.is_sorted_by(|a, b| a.key < b.key) {
        return Err(Flaw::Order);
    }
    let is_good = |entry: &Entry| {
        let resource = entry.resource.as_deref();
        // A part may end within a character.
        let text = entry.payload.joined();
        is_text(&entry.peer) && resource.is_none_or(is_text) && is_text(&text)
    };
    match entries.iter().all(is_good) {
        true => Ok(()),
        false => Err(Flaw::Shape),
    }
}

fn is_peer(peer: &Peer) -> bool {
    is_text(&peer.bare)
        && peer
            .resource
            .as_ref()
            .is_none_or(|text: &Bytes| is_text(text))
}
