//! Hostile input, item by item: what a peer must not be able to do, each in a test whose name says so.
//!
//! What needs no sockets plays in memory, with the real core and a virtual clock, before two accounts that talk to each other;
//! `crowd`, `flood`, `overload` and `sockets` use the real server. After each attack the stream has ended with the right error and its connection is
//! closed, nothing has reached anybody, nothing is left in memory, and the others are served.

mod amplification;
mod before_sign_in;
mod crowd;
mod eviction;
mod flood;
mod flow;
mod handshake;
mod harvest;
mod limits;
mod overload;
mod routing;
mod sasl;
mod scene;
mod sockets;
mod starttls;
mod stream;
mod torrent;
mod xml;

#[path = "../stage/mod.rs"]
mod stage;
