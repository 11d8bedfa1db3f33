//! Cards of users (XEP-0054: vcard-temp, version 1.3.0), which everybody may see.
//!
//! Requests and rows as values: what is read and written, and who may ask, is the business of `account/vcard.rs` and, for others' cards,
//! of `shard/cards.rs`. None is loaded with its account.

mod request;
mod rows;
#[cfg(test)]
mod tests;

pub use request::{get, set};
pub use rows::{VCARD, read, xml};
