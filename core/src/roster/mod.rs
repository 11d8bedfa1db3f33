//! The roster of an account (RFC 6121 §2): its contacts.

mod options;

pub use options::RosterOptions;
