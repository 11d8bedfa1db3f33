//! `spondee_shell_common::link`: whatever happens to a connection, in whichever order, it hears and says what it should, and ends.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spondee_shell_common::link::trial::play(bytes));
