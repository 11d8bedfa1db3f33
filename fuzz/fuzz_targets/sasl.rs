//! `spondee_core::fuzzing::sasl`: nobody signs in without the right password.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spondee_core::fuzzing::sasl(data));
