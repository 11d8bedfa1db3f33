//! The archive of an account: messages of both directions, and those that are owed to who was away (XEP-0313: Message Archive Management,
//! XEP-0160: Best Practices for Handling Offline Messages).

mod bounds;
mod id;
mod options;
mod outward;
mod prefs;
mod query;
mod rows;
#[cfg(test)]
mod tests;
mod worth;
mod write;

pub use bounds::{Bounds, Next};
pub(crate) use id::Ids;
pub use options::ArchiveOptions;
pub use outward::Outward;
pub use prefs::Policy;
pub(crate) use prefs::{Party, Prefs};
pub(crate) use query::{Flipped, Query, Scope, Wanted};
pub use rows::{ARCHIVE, ARCHIVE_PREFS, ARCHIVE_RULE, SPOOL, Spool};
pub(crate) use worth::{Copying, Storing, Worth, tells_of_server};
pub(crate) use write::{Rest, Results, fin, form, metadata, stanza_id};
