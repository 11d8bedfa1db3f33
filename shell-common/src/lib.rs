//! What every shell of Spondee needs and no shell should write twice: configuration, certificates and the TLS pump, storage and
//! its threads, PBKDF2 workers, the control socket and the command line. Nothing here knows how a shell waits.

pub mod boot;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod counters;
pub mod dns;
#[cfg(any(test, feature = "testing"))]
pub mod fuzzing;
pub mod handshakes;
pub mod ldap;
pub mod limits;
pub mod link;
pub mod listen;
pub mod log;
pub mod mailbox;
pub mod mesh;
pub mod note;
pub mod offline;
pub mod permits;
pub mod pie;
pub mod remedy;
pub mod rest;
pub mod rounds;
#[cfg(test)]
mod scratch;
pub mod seed;
pub mod serve;
pub mod signal;
pub mod store;
pub mod thread;
pub mod tls;
mod visible;
pub mod work;
