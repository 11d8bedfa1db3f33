//! A load generator for running servers: one light thread of clients, and an eye on the server's own CPU time and memory.
//!
//! `client` is one connection, `crowd` all of them over one poller. `signin`, `chat` and `idle` are the scenarios; each measures
//! any `Target`. `process` reads /proc, `report` makes the table. Linux only: that is where /proc is.

mod chat;
mod client;
mod counters;
mod crowd;
mod ejabberd;
mod floor;
mod idle;
mod process;
mod prosody;
mod report;
mod signin;
mod spondee;
mod target;

pub use chat::Chat;
pub use client::{Client, Dialogue, Security};
pub use counters::Counters;
pub use crowd::{Crowd, Tally};
pub use ejabberd::Ejabberd;
pub use floor::{Floor, FloorArguments, Kind};
pub use idle::Idle;
pub use process::{Cpu, load_average, pss_kib};
pub use prosody::Prosody;
pub use report::{Figure, Report, Sample};
pub use signin::SignIns;
pub use spondee::Spondee;
pub use target::{Progress, Role, Running, Scenario, Stopwatch, Target};
