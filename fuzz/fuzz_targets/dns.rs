//! `spondee_shell_common::fuzzing::dns`: name servers say anything.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spondee_shell_common::fuzzing::dns(data));
