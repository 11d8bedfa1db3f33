//! The protocol of the Spondee XMPP server as a pure state machine.
//!
//! Bytes and answers go in, actions come out. There is no clock, socket, thread, file or source of randomness here: time, a seed
//! and every answer from outside are inputs, so a run is a list of inputs and replays byte for byte.
//!
//! # Driving a shard
//!
//! ```
//! use std::sync::Arc;
//! use spondee_core::{
//!     Action, Closed, Config, Host, HostConfig, Input, Limits, Listener, Opening, Place, Shard, Software,
//! };
//! use spondee_core::federation::FederationOptions;
//! use spondee_core::jid::Domain;
//! use spondee_core::time::Now;
//!
//! let host = Domain::parse("localhost").unwrap();
//! let config = Config {
//!     hosts: [(host, Host::Accounts(HostConfig::default()))].into(),
//!     federation: FederationOptions::isolated(), // no other servers
//!     limits: Limits::default(),
//!     server_secret: [0; 32], // in earnest: made once and kept
//!     shards: 1,
//!     software: Software { name: "Spondee".into(), version: "0".into() },
//! };
//! let seed = [0; 32]; // in earnest: from the operating system
//! let mut shard = Shard::new(Arc::new(config), Place { node: 0, shard: 0 }, seed);
//!
//! // 1. Hand over what happened, as much as there is.
//! let now = Now::default();
//! let conn = shard.accept(now, Listener::of_clients(Opening::Clear), "127.0.0.1:4321".parse().unwrap());
//! let hello = b"<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
//!               xmlns:stream='http://etherx.jabber.org/streams'>";
//! shard.handle(now, Input::Bytes { conn, bytes: hello });
//! // 2. Do what is to be done, until there is nothing left.
//! let mut written = String::new();
//! while let Some(action) = shard.poll_action() {
//!     if let Action::Flush { conn } = action {
//!         written.push_str(std::str::from_utf8(shard.outgoing(conn)).unwrap());
//!         shard.sent(conn, shard.outgoing(conn).len());
//!     }
//! }
//! // 3. Sleep until `shard.poll_timeout()` or the next thing that happens.
//! assert!(written.contains("<starttls"));
//! shard.handle(now, Input::Closed { conn, how: Closed::Eof });
//! ```
//!
//! # Where things are
//!
//! [`port`] is all that a shell sees: [`Input`] and [`Action`], each variant with its contract. [`config`] and [`limits`] are what an
//! administrator can set. `xml`, `jid`, `stanza` and `sasl` are the languages spoken; streams, accounts and routing stay inside.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![warn(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

extern crate alloc;
#[cfg(any(test, feature = "counting"))]
extern crate std;

mod account;
pub mod archive;
pub mod arena;
pub mod blocking;
pub mod catalog;
pub mod config;
pub mod csi;
mod due;
mod effects;
pub mod entropy;
pub mod envelope;
pub mod federation;
#[cfg(any(test, feature = "testing"))]
#[expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a fuzzer finds by panicking"
)]
pub mod fuzzing;
pub mod jid;
pub mod limits;
mod link;
pub mod map;
pub mod options;
pub mod planted;
pub mod port;
pub mod private;
mod rare;
pub mod rate;
pub mod registration;
pub mod roster;
pub mod sasl;
pub mod secret;
pub mod shard;
pub mod sm;
pub mod stanza;
pub mod store;
mod stream;
#[cfg(any(test, feature = "testing"))]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]
pub mod testing;
pub mod time;
pub mod timer;
pub mod vcard;
mod wait;
pub mod work;
pub mod xep;
pub mod xml;

pub use account::check_loaded;
pub use config::{Config, ConflictResolve, Host, HostConfig, Software, TlsAvailable};
pub use envelope::placement::Placement;
pub use envelope::{Envelope, Place};
pub use limits::Limits;
pub use port::{
    AccountChange, Action, CloseReason, Closed, Command, CommandError, CommandId, CommandReply,
    CommandResult, ConnId, DeriveError, Input, Listener, Note, Opening, StreamError, Ticket,
    TlsInfo, TlsVersion, UserEntry,
};
pub use shard::{Detached, Shard};
