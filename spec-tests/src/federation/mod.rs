//! Servers of different makes that talk to each other on loopback, under names of their own.
//!
//! A [`World`] has a name server that knows its domains, an authority, and the servers that run in it. All names lie below `example.`: the
//! libraries that Prosody and ejabberd resolve by would answer for `test.` themselves. Nothing of the machine is changed, not even
//! `/etc/hosts`: Prosody is told of the name server by libunbound's options, ours by `name_server`; for ejabberd see its module.
//!
//! A test says by [`Plan`]s what each server is like, and asks with [`World::converse`] how what they say to each other ends.

pub mod authority;
pub mod cases;
mod ejabberd;
pub mod exchange;
mod explained;
pub mod peer;
pub mod plan;
mod prosody;
mod spondee;
pub mod zone;

use crate::server::Scratch;
use authority::Authorities;
use exchange::Outcome;
use peer::Peer;
use plan::{Plan, Site};
use zone::Names;

/// Who has accounts on every server, one for each conversation that may be held.
pub const ACCOUNTS: [&str; 4] = ["romeo", "juliet", "mercutio", "nurse"];

/// See the module. All in it is ended when it is dropped.
#[derive(Debug)]
pub struct World<const COUNT: usize> {
    /// Its servers, as they were planned.
    pub peers: [Peer; COUNT],
    /// Who knows where they are.
    pub names: Names,
    /// Who issued the certificates.
    pub authorities: Authorities,
    _scratch: Scratch,
}

impl<const COUNT: usize> World<COUNT> {
    /// Starts a name server and these servers, one after the other.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn begin(plans: [Plan; COUNT]) -> Result<Self, String> {
        Self::begin_with(plans, &ACCOUNTS)
    }

    /// The same, with these accounts on every server.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn begin_with(plans: [Plan; COUNT], accounts: &[&str]) -> Result<Self, String> {
        let fault = |e: std::io::Error| e.to_string();
        let scratch = Scratch::new().map_err(fault)?;
        let authorities = Authorities::new(scratch.path()).map_err(fault)?;
        let sites = plans.iter().map(|plan| Site::free(plan.family));
        let sites: Vec<Site> = sites.collect::<std::io::Result<_>>().map_err(fault)?;
        let names = Names::begin(&plans, &sites, scratch.path())?;
        let peers = plans.iter().zip(sites);
        let peers =
            peers.map(|(plan, site)| Peer::start(plan, site, &authorities, &names, accounts));
        let peers: Vec<Peer> = peers.collect::<Result<_, String>>()?;
        let peers = peers.try_into();
        Ok(Self {
            peers: peers.map_err(|_| "as many as were planned".to_owned())?,
            names,
            authorities,
            _scratch: scratch,
        })
    }
}

impl World<2> {
    /// What the first says to the second, then what the second says to the first.
    ///
    /// # Errors
    /// What failed that is not the servers' between themselves.
    pub fn converse(&self) -> Result<[Outcome; 2], String> {
        let [first, second] = &self.peers;
        exchange::converse(first, "romeo", second, "juliet")
    }
}
