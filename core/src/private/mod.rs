//! What clients keep with the server for themselves (XEP-0049: Private XML Storage, version 1.2).
//!
//! Requests, rows and bounds as values: what is read and written, and who may ask, is the business of `account/private.rs`. Nothing of it is
//! loaded with its account; what there is already is counted from the rows before more is taken.

mod answer;
mod options;
mod request;
mod rows;
mod tally;
#[cfg(test)]
mod tests;

pub use answer::answer;
pub use options::PrivateOptions;
pub use request::{Key, Set, get, set};
pub use rows::PRIVATE;
pub use tally::Tally;
