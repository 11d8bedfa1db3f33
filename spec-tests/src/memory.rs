//! The world in memory of the core (`spondee_core::testing`), as tests of whole servers want it.

use std::collections::BTreeMap;

use spondee_core::archive::{ArchiveOptions, Policy};
use spondee_core::config::{Config, Host, HostConfig, Software};
use spondee_core::jid::Domain;
use spondee_core::limits::Limits;

pub use spondee_core::testing::{
    Bounds, Directory, Door, Drain, Ended, Fate, Log, Mesh, Peer, Returned, Step, StorePace,
    Taking, Workers, World, tls_of,
};

/// PBKDF2 rounds of passwords in memory: what they protect is public.
const ROUNDS: u32 = 16;

/// A configuration for tests: hosts `localhost` and `other.test`, TLS required, nothing archived, so that messages come as they were sent;
/// everything else as an administrator gets it.
///
/// # Panics
/// Never: the names are valid.
#[must_use]
pub fn config() -> Config {
    let host = |name: &str| {
        let host = HostConfig {
            rounds: ROUNDS,
            archive: ArchiveOptions {
                policy: Policy::Never,
                ..ArchiveOptions::default()
            },
            ..HostConfig::default()
        };
        (
            Domain::parse(name).expect("a valid name"),
            Host::Accounts(host),
        )
    };
    Config {
        hosts: BTreeMap::from([host("localhost"), host("other.test")]),
        limits: Limits::default(),
        federation: spondee_core::federation::FederationOptions::isolated(),
        server_secret: [0x5e; 32],
        shards: 1,
        software: Software {
            name: "Spondee".to_owned(),
            version: "0.0.0".to_owned(),
        },
    }
}

/// The same, with archives as an administrator gets them, but for what `change` says.
#[must_use]
pub fn archiving(change: impl Fn(&mut ArchiveOptions)) -> Config {
    let mut config = config();
    for host in config.accounts_mut() {
        host.archive = ArchiveOptions::default();
        change(&mut host.archive);
    }
    config
}
