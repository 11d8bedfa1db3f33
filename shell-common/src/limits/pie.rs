//! Bounds of what is exported and imported (XEP-0227). What an account may have is bounded by the core and by options of its host.

use spondee_core::limits::STORE_ALONE_BYTES;

/// Bytes of one element of a file that is imported: a message, a vCard, a whole roster. Nothing that one operation of the store cannot hold
/// could be kept.
pub const ELEMENT_BYTES: usize = STORE_ALONE_BYTES;

/// Elements open at a time in such a file. The deepest stanza that may be kept has half of them.
pub const DEPTH: usize = 128;

/// Attributes of an element around those: hosts, users and lists have two.
pub const OUTER_ATTRIBUTES: usize = 64;

/// Bytes of an imported file that are read at a time.
pub const PIECE: usize = 64 * 1024;

/// Files in which files are that include each other. One for the server, one for each host and one for each user are three (XEP-0227,
/// "File and Directory Layout").
pub const FILES_DEEP: usize = 8;

/// Kinds of things that a report names one by one.
pub const REPORT_KINDS: usize = 100;

/// Microseconds that the time of a message may lie ahead. Clocks differ; but whatever comes behind it in an archive comes later.
pub const AHEAD: i64 = 24 * 60 * 60 * 1_000_000;

/// Bytes of messages that wait, of all users whose archives come before them in a file: these are kept in memory from the first reading to the
/// second.
pub const EARLY_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of an export that are gathered before they are written.
pub const WRITTEN: usize = 256 * 1024;
