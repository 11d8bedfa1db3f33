//! `spondee_core::fuzzing::jid`: addresses are prepared once and for all.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spondee_core::fuzzing::jid(data));
