//! What the fuzzers do with their bytes: one function for each target.
//!
//! Each takes any bytes, drives the core with them and panics where a promise does not hold. `fuzz/` hands them what libFuzzer
//! makes up; the tests here replay `fuzz/corpus` and, on demand, bytes of their own making. Structure is read from the bytes by
//! a small cursor, so that every input means something and a small change of it means something near.

mod cursor;
mod jid;
mod peer;
mod phrase;
mod reaching;
#[cfg(test)]
mod replay;
mod sasl;
mod scan;
mod shard;
mod stream;
mod world;

pub use jid::jid;
pub use sasl::sasl;
pub use scan::scan;
pub use shard::shard;
pub use stream::stream;
