//! A load generator for running servers: one light thread of clients, and an eye on the server's own CPU time and memory.
//!
//! `client` is one connection, `managed` its side of stream management, `crowd` all of them over one poller. `signin`, `roster`, `arrive`, `presence`, `chat`, `offline`, `pages`, `big`,
//! `resume` and `idle` are the scenarios, `company` those accounts that know each other; each measures any `Target`: `spondee`, `prosody`, `ejabberd` and `floor`. `many` needs no sockets. `rush` is everybody at once. `strangers` is no load: it is what a stranger learns from how long answers take, and
//! `ranks` says how surely. `process` reads /proc; `report`, `summary`
//! and `plot` tell how it went, `goals` how it should. Linux only: that is where /proc is.

mod arrive;
mod big;
mod chat;
mod client;
mod company;
mod counters;
mod crowd;
mod ejabberd;
mod floor;
mod goals;
mod heard;
mod idle;
mod managed;
mod many;
mod offline;
mod pages;
mod plot;
mod presence;
mod process;
mod prosody;
mod ranks;
mod report;
mod resume;
mod roster;
mod rush;
mod signin;
mod spondee;
mod strangers;
mod summary;
mod target;

pub use arrive::Arrivals;
pub use big::{Ask, Big};
pub use chat::Chat;
pub use client::{Client, Dialogue, Management, Security, Severed};
pub use company::Company;
pub use counters::Counters;
pub use crowd::{Crowd, Tally};
pub use ejabberd::Ejabberd;
pub use floor::{Floor, FloorArguments, Kind};
pub use goals::{Beside, Better, Goal, goal};
pub use heard::Heard;
pub use idle::{Idle, Sessions};
pub use many::{ManyArguments, measure_many};
pub use offline::{OfflineDelivered, OfflineStored};
pub use pages::{Direction, Pages};
pub use plot::svg;
pub use presence::PresenceChanges;
pub use process::{Cpu, load_average, pss_kib};
pub use prosody::Prosody;
pub use report::{Figure, Report, Row, Sample};
pub use resume::Resumptions;
pub use roster::{RosterChanges, RosterSignIns};
pub use rush::RushArguments;
pub use signin::SignIns;
pub use spondee::{Spondee, build};
pub use strangers::StrangersArguments;
pub use target::{
    Archive, By, Progress, Provider, Role, Running, Scenario, Setting, Stopwatch, Storage, Target,
};
