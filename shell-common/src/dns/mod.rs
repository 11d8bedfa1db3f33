//! How names become addresses: a stub resolver without a socket. Questions and datagrams go in, datagrams and answers come out; who drives it
//! brings sockets and time.
//!
//! The shells drive it beside their other sockets; commands wait for it (`wait.rs`). It asks the name servers of `/etc/resolv.conf`, which do the
//! looking; `/etc/hosts` goes before them. Names are absolute: what stands behind the @ of an address is never completed by a search list.

mod cache;
mod hosts;
mod message;
mod names;
mod question;
mod resolv_conf;
mod srv;
mod stub;
#[cfg(test)]
mod tests;
mod wait;

pub use self::hosts::Hosts;
pub use self::message::Name;
pub use self::names::{Busy, Names};
pub use self::question::{Answer, Failure, Found, Outcome, Question, Source};
pub use self::resolv_conf::{NameServer, ResolvConf};
pub use self::srv::{Service, order};
pub use self::stub::{Exchange, Stub, Transmit};
pub use self::wait::{look_up, roll};
