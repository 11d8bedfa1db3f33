//! The protocol of the Spondee XMPP server as a pure state machine.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod arena;
pub mod config;
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
pub mod time;
pub mod timer;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the shard asks it once it routes IQs")
)]
pub mod xep;
pub mod xml;
