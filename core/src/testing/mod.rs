//! What tests, fuzzers and benches drive the core with; nothing of a server.

mod federation;
mod store;
mod world;

pub use federation::{Carried, Federation, Move, Presence};
pub use store::Memory;
pub use world::{
    Arrival, Bounds, Closing, Directory, Door, Drain, Ended, Fate, Handshakes, Log, Mesh, Peer,
    Recording, Resolver, Returned, Step, StorePace, Taking, Told, Workers, World, tls_of,
};
