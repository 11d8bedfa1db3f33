//! The archive of an account: messages of both directions, and those that are owed to who was away (XEP-0313: Message Archive Management,
//! XEP-0160: Best Practices for Handling Offline Messages).

mod rows;
#[cfg(test)]
mod tests;

pub use rows::{ARCHIVE, ARCHIVE_PREFS, ARCHIVE_RULE, SPOOL, Spool};
