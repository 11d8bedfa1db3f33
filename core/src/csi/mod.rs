//! XEP-0352: Client State Indication, version 1.0.0: what a client that nobody looks at is told at once, and what is kept until then.
//!
//! A stanza of one of four kinds waits for something that wakes the client, for the client to say that it is active, or for too much of it
//! to wait: presence, of which of each sender the last is told, and messages that show nothing. Nothing is lost by that, and nothing
//! overtakes anything: what wakes a client comes behind all that waited. Knows no streams and no accounts.

mod held;
mod options;
mod wakes;

pub use held::{Held, Room};
pub use options::CsiOptions;
pub use wakes::Urgency;
