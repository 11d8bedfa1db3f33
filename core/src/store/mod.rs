//! Storage as the core asks for it: batches of operations on tables and logs, no XEP in sight.
//!
//! A table is described by a `Shape`: its columns are the format in which the database keeps it, so a person can read it. A log
//! is a list of entries in the order of their keys. A feature owns the shape of its table and what a row of it means; a back
//! end makes its statements from shapes and knows no feature.
//!
//! A batch belongs to one owner and takes effect whole or not at all. Batches of one owner take effect in the order submitted, and
//! a read sees every earlier batch of its owner. Answers come in that order, too, but for `Op::Page`: later writes do not wait
//! for a page, because `Pick::upto` bounds what it may show.

mod batch;
mod cut;
mod log;
mod subset;
mod table;
#[cfg(test)]
pub(crate) mod tests;

pub use batch::{Batch, Class, Erased, Expect, Flaw, Loaded, Op, Reply};
pub use cut::Cut;
pub use log::{
    Amount, End, Entry, Kept, Log, Mark, Measured, Order, Owed, Page, Payload, Peer, Pick,
};
pub use subset::Subset;
pub use table::{BadRow, Column, Field, Kind, Loading, Need, Puts, Row, Shape, Table};

/// All that there is to keep. Back ends are made for it.
#[derive(Clone, Copy, Debug)]
pub struct Catalog {
    /// The tables.
    pub tables: &'static [Table],
    /// The logs.
    pub logs: &'static [Log],
    /// What is counted of the tables.
    pub subsets: &'static [Subset],
}

/// Why a batch was not answered with replies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoreError {
    /// The queue to the store is full, it is shutting down, or another program holds the database. Nothing took effect: offer
    /// the batch again later.
    Busy,
    /// An `Expect` did not hold. Nothing took effect: what the core believed of its owner is not so, and is to be read again.
    Conflict,
    /// The disk or the database failed. Nothing took effect; the log of the shell says how. Who asked is answered with an error,
    /// and nothing may be written on the ground of what could not be read.
    Failed,
    /// Another server owns this now. Nothing took effect, nor will anything again: every session ends.
    Fenced,
    /// There is no room. Nothing took effect: what would add something is refused to who asked, what deletes is tried as before.
    Full,
    /// It took effect or not, and nobody can know which: what is in memory of the owner is dropped, and its sessions end, because
    /// what was held back for them until the answer cannot be said.
    Unknown,
}
