//! The protocol of the Spondee XMPP server as a pure state machine.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod account;
pub mod arena;
pub mod config;
mod effects;
pub mod entropy;
pub mod envelope;
pub mod jid;
pub mod limits;
pub mod map;
pub mod port;
pub mod sasl;
pub mod secret;
pub mod shard;
pub mod stanza;
pub mod store;
mod stream;
pub mod time;
pub mod timer;
mod wait;
pub mod xep;
pub mod xml;
