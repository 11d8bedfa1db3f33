//! XEP-0198: Stream Management, version 1.6.3: what both sides of a session count.
//!
//! Knows no streams and no accounts: who counts here tells them.

mod inbound;
mod options;

pub(crate) use inbound::{Handled, Inbound};
pub use options::{Location, SmOptions};
