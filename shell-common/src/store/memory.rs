//! A back end in memory, for tests.
/// Keeps everything in maps.
#[derive(Debug, Default)]
pub struct Memory {}
