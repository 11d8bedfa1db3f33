//! SQLite: one file, WAL, synchronous=FULL.
/// One connection.
#[derive(Debug)]
pub struct Sqlite {}
