//! Finding the other side of a domain, purely: which questions are asked of DNS, in which order the answers are tried, and what is done when one of
//! them fails. Who drives it asks, connects, and says what became of it.
//!
//! It is the same for streams of clients and of servers (`port::Protocol` says which), and for an administrator who wants to know.

mod key;
mod names;
mod race;
mod round;
mod targets;
#[cfg(test)]
mod tests;

use crate::arena::arena_key;

pub use key::DialbackKeys;
pub use names::{NameMatch, match_names};
pub use round::{Round, Step};
pub use targets::{order, questions, roll, targets};

arena_key! {
    /// A round under way, with whoever drives it.
    pub RoundKey;
}
