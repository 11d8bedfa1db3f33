//! What is measured, and how: scenarios of the core for criterion, and a load generator for running servers.
//!
//! # The core alone
//!
//! `cargo bench` runs [`scenarios`] under criterion (`benches/core.rs`): scanning, a whole sign-in, and a message from bytes in
//! to bytes out. They need no network, no disk and no TLS, so they tell what the protocol itself costs. [`secure`] adds TLS to
//! the sign-in: what a whole one costs but for the system calls.
//!
//! # Two threads
//!
//! `cargo run --release -p benches --bin threads` has the server's own threads work without sockets ([`threads`]): what two of them do
//! beside one, and where the rest of twice as much goes.
//!
//! # A running server
//!
//! ```text
//! cargo run --release -p benches --bin load -- chat signin idle
//! cargo run --release -p benches --bin load -- --help
//! ```
//!
//! starts a server of its own with fresh data, drives it from one thread over loopback, and divides what was done by the
//! CPU time the server's process tree used for it. That quotient depends less on how busy the machine is than the wall
//! rate next to it. Beside the server stand its peers (`--target`) and floors, servers that do the least that can be done; all take
//! turns. Progress goes to stderr, Markdown tables of medians to stdout, a plot into a file.
//!
//! # Two running servers
//!
//! `cargo run --release -p benches --bin federation` has two servers forward to each other ([`federation`]), beside two of each peer's.

pub mod federation;
pub mod load;
pub mod scenarios;
pub mod scram;
pub mod secure;
pub mod threads;
