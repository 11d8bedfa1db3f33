//! `spondee_core::fuzzing::scan`: XML is scanned as rxml reads it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spondee_core::fuzzing::scan(data));
