//! `spondee_core::fuzzing::stream`: one client says anything.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spondee_core::fuzzing::stream(data));
