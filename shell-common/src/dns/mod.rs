//! How names become addresses: a stub resolver without a socket. Questions and datagrams go in, datagrams and answers come out; who drives it
//! brings sockets and time.
//!
//! A thread drives it for all shards (`names.rs`), with sockets of its own (`resolver.rs`, `exchanges.rs`); commands wait for it (`wait.rs`). It asks the name servers of `/etc/resolv.conf`, which do the
//! looking; `/etc/hosts` goes before them. Names are absolute: what stands behind the @ of an address is never completed by a search list.

mod cache;
mod exchanges;
mod files;
mod hosts;
mod message;
mod names;
mod question;
mod resolv_conf;
mod resolver;
mod srv;
mod stub;
#[cfg(test)]
mod tests;
mod wait;

pub use self::hosts::Hosts;
pub use self::message::Name;
pub use self::names::{Busy, Names};
pub use self::question::{Answer, Failure};
pub use self::resolv_conf::{NameServer, ResolvConf};
pub use self::srv::order;
pub use self::stub::{Exchange, Stub, Transmit};
pub use self::wait::{look_up, roll};

/// A number that nobody can guess: of a query. Without randomness its port is what is left to guess.
fn number() -> u16 {
    let [a, b, ..] = crate::seed::fresh().unwrap_or_default();
    u16::from_ne_bytes([a, b])
}
