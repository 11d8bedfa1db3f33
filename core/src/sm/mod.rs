//! XEP-0198: Stream Management, version 1.6.3: its elements, and what both sides of a session count.
//!
//! Knows no streams and no accounts: who counts here tells them.

mod element;
mod inbound;
mod old;
mod options;
mod outbound;

pub(crate) use element::{
    Counts, Enable, LinkNonza, Nonza, Promise, Resume, Wish, enabled, failed, resumed, write_ack,
    write_request,
};
pub(crate) use inbound::{Handled, Inbound};
pub use old::SM_OLD;
pub(crate) use old::{Old, OldSessions};
pub use options::{Location, SmOptions};
pub(crate) use outbound::{Acked, Due, Fate, Outbound, Piece, TooHigh, Written};
