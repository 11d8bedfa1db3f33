//! The project's own reader of the specifications: clients, drivers and transcripts that hold the server to them.
//!
//! Everything here is for tests and benches. It reads what the server writes with rxml, the reference parser, and brings its
//! own client side of SASL, so that no fault of the server can hide behind shared code.

pub mod ca;
pub mod cargo;
pub mod changes;
pub mod client;
pub mod dice;
pub mod disk;
pub mod element;
pub mod memory;
pub mod pipe;
pub mod program;
pub mod sasl;
pub mod script;
pub mod server;
pub mod simulator;
pub mod strace;
pub mod talk;
