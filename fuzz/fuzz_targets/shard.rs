//! `spondee_core::fuzzing::shard`: several clients, two shards, a shell that takes its time.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spondee_core::fuzzing::shard(data));
