//! What tests, fuzzers and benches drive the core with; nothing of a server.

mod store;

pub use store::Memory;
