//! The servers of a run: their policies, certificates, and where DNS says they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use spondee_core::config::{Host, TlsAvailable};
use spondee_core::federation::{
    AllowEncryption, Allowed, Bidi, PolicyOptions, RequireEncryption, Rules, SecureAuth,
};
use spondee_core::jid::Domain;
use spondee_core::port::{
    CertificateName, CertificateNames, Chain, Lookup, LookupError, NameConstraints, Opening,
    Resolved, ServerCertificate, Service, Source, Verdict,
};
use spondee_core::testing::{Federation, Resolver};
use spondee_core::time::Instant;
use spondee_core::time::UnixTime;

use super::super::random::Random;
use super::{Moment, Simulation};
use crate::memory::{World, config};

/// How servers prove themselves in a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Plan {
    /// All have good certificates, and some want them.
    Certificates,
    /// Some have; nobody wants one.
    Dialback,
    /// Some have no TLS at all, and nobody wants it.
    Clear,
    /// As it comes: some cannot talk to each other.
    Mixed,
}

/// What a server shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shown {
    Good,
    SelfSigned,
    WrongName,
    /// It has none, and so no TLS.
    None,
}

/// What it wants of others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wants {
    Certificate,
    Tls,
    Nothing,
}

/// Whether it runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Up,
    /// It was told to stop.
    Stopping,
    Down,
}

/// What DNS says of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dns {
    Fine,
    /// Name servers do not answer.
    Silent,
    /// They say that there is no such name.
    NoName,
}

/// One server.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) domain: String,
    pub(super) shown: Shown,
    pub(super) wants: Wants,
    pub(super) shards: u16,
    /// Whether stanzas may go both ways on one stream.
    pub(super) bidi: Bidi,
    /// Whether it is offered by direct TLS, too.
    direct: bool,
    /// Which of its addresses is in use.
    at: usize,
    number: usize,
    pub(super) state: State,
    pub(super) dns: Dns,
    /// When its sessions and its memory were last lost: it stopped, or fell.
    pub(super) ended: Option<Moment>,
    /// When it last fell.
    pub(super) fell: Option<Moment>,
    /// When it was started last, by the clock of all.
    pub(super) started: Instant,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            domain,
            shown,
            wants,
            shards,
            bidi,
            direct,
            ..
        } = self;
        write!(
            f,
            "{domain}: shows {shown:?}, wants {wants:?}, {shards} shards, direct TLS: {direct}, both ways: {bidi:?}"
        )
    }
}

impl Plan {
    pub(super) fn draw(random: &mut Random) -> Self {
        random.pick(&[
            Self::Certificates,
            Self::Certificates,
            Self::Dialback,
            Self::Dialback,
            Self::Clear,
            Self::Mixed,
        ])
    }

    /// Whether everybody can talk to everybody.
    pub(super) const fn is_sociable(self) -> bool {
        match self {
            Self::Certificates | Self::Dialback | Self::Clear => true,
            Self::Mixed => false,
        }
    }

    fn site(self, random: &mut Random) -> (Shown, Wants) {
        let bad = [Shown::Good, Shown::SelfSigned, Shown::WrongName];
        match self {
            Self::Certificates => (
                Shown::Good,
                random.pick(&[Wants::Certificate, Wants::Certificate, Wants::Tls]),
            ),
            Self::Dialback => (
                random.pick(&bad),
                random.pick(&[Wants::Tls, Wants::Tls, Wants::Nothing]),
            ),
            Self::Clear => (
                random.pick(&[Shown::None, Shown::None, Shown::Good, Shown::SelfSigned]),
                Wants::Nothing,
            ),
            Self::Mixed => (
                random.pick(&[
                    Shown::Good,
                    Shown::Good,
                    Shown::SelfSigned,
                    Shown::WrongName,
                    Shown::None,
                ]),
                random.pick(&[Wants::Certificate, Wants::Tls, Wants::Nothing]),
            ),
        }
    }
}

impl Site {
    fn ip(&self, at: usize) -> Ipv4Addr {
        let last = u8::try_from(self.number * 4 + at).unwrap_or(255);
        Ipv4Addr::new(198, 51, 100, last)
    }

    fn target(&self) -> String {
        format!("x.{}", self.domain)
    }

    /// Where it listens for others now.
    fn listeners(&self) -> Vec<(SocketAddr, Opening)> {
        let ip = IpAddr::V4(self.ip(self.at));
        let mut all = vec![(SocketAddr::new(ip, 5269), Opening::Clear)];
        if self.direct {
            all.push((SocketAddr::new(ip, 5270), Opening::Tls));
        }
        all
    }

    fn records(&self) -> [(Lookup, Resolved); 3] {
        let service = |port| Service {
            priority: 1,
            weight: 1,
            port,
            target: self.target().into(),
        };
        let answer = |good: Resolved| match self.dns {
            Dns::Fine => good,
            Dns::Silent => Resolved::Failed(LookupError::TimedOut),
            Dns::NoName => Resolved::NoName,
        };
        let direct = match self.direct {
            true => Resolved::Services(vec![service(5270)]),
            false => Resolved::NoData,
        };
        let name = |service: &str| Lookup::Services(format!("{service}.{}", self.domain).into());
        [
            (
                name("_xmpp-server._tcp"),
                answer(Resolved::Services(vec![service(5269)])),
            ),
            (name("_xmpps-server._tcp"), answer(direct)),
            (
                Lookup::Addresses(self.target().into()),
                answer(Resolved::Addresses(
                    vec![IpAddr::V4(self.ip(self.at))],
                    Source::Dns,
                )),
            ),
        ]
    }
}

/// What somebody shows who is called this.
pub(super) fn certificate(shown: Shown, domain: &str) -> Option<Box<ServerCertificate>> {
    let chain = match shown {
        Shown::Good | Shown::WrongName => Chain::Valid {
            until: UnixTime(i64::MAX),
        },
        Shown::SelfSigned => Chain::SelfSigned,
        Shown::None => return None,
    };
    let name = match shown {
        Shown::WrongName => "elsewhere.example",
        Shown::Good | Shown::SelfSigned | Shown::None => domain,
    };
    Some(Box::new(ServerCertificate {
        verdict: Some(Verdict::Good),
        chain,
        names: CertificateNames {
            each: vec![CertificateName::Dns(name.into())],
            constraints: NameConstraints::None,
        },
        fingerprint: [0x5e; 32],
    }))
}

/// All servers, not in DNS yet.
pub(super) fn build(
    random: &mut Random,
    plan: Plan,
    count: usize,
    seed: u64,
) -> (Federation, Vec<Site>) {
    let mut sites = Vec::new();
    let mut worlds = Vec::new();
    for number in 0..count {
        let (shown, wants) = plan.site(random);
        let site = Site {
            domain: format!("s{number}.example"),
            shown,
            wants,
            shards: random.pick(&[1, 2, 3]),
            bidi: random.pick(&[Bidi::Yes, Bidi::Yes, Bidi::No]),
            direct: shown != Shown::None && random.percent(30),
            at: 0,
            number,
            state: State::Up,
            dns: Dns::Fine,
            ended: None,
            fell: None,
            started: Instant::default(),
        };
        worlds.push(world(random, &site, seed));
        sites.push(site);
    }
    let mut net = Federation::new(worlds);
    for (index, site) in sites.iter().enumerate() {
        net.certify(index, &site.domain, certificate(site.shown, &site.domain));
    }
    (net, sites)
}

fn world(random: &mut Random, site: &Site, seed: u64) -> World {
    let mut config = config();
    let Some(Host::Accounts(mut host)) = config.hosts.into_values().next() else {
        unreachable!("the configuration has hosts");
    };
    host.rounds = 1;
    if site.shown == Shown::None {
        host.tls = TlsAvailable::No;
    }
    let name = Domain::parse(&site.domain).expect("a domain");
    config.hosts = BTreeMap::from([(name, Host::Accounts(host))]);
    config.shards = site.shards;
    config.server_secret = [0; 32];
    config.server_secret[..8].copy_from_slice(&random.next().to_le_bytes());
    config.federation.rules = rules(site.wants);
    config.federation.bidi = site.bidi;
    let number = u64::try_from(site.number).unwrap_or(0);
    let mut world = World::one_of_many(config, seed.wrapping_mul(64).wrapping_add(number));
    world.resolver = Resolver::Late;
    world
}

fn rules(wants: Wants) -> Rules {
    let rules = Rules::new(PolicyOptions {
        allow_encryption: AllowEncryption::Yes,
        require_encryption: match wants {
            Wants::Certificate | Wants::Tls => RequireEncryption::Yes,
            Wants::Nothing => RequireEncryption::No,
        },
        secure_auth: match wants {
            Wants::Certificate => SecureAuth::Yes,
            Wants::Tls | Wants::Nothing => SecureAuth::No,
        },
        secure_domains: BTreeSet::new(),
        insecure_domains: BTreeSet::new(),
        allowed: Allowed::All,
        refused: BTreeSet::new(),
    });
    rules.expect("rules without contradictions")
}

impl Simulation {
    /// DNS says of a server what there is to say.
    pub(super) fn publish(&mut self, site: usize) {
        for (at, opening) in self.sites[site].listeners() {
            self.net.listen(site, at, opening);
        }
        for (lookup, outcome) in self.sites[site].records() {
            self.net.publish(&lookup, &outcome);
        }
    }

    /// A server has another address from now on.
    pub(super) fn relocate(&mut self, site: usize) {
        for (at, _) in self.sites[site].listeners() {
            self.net.leave(at);
        }
        self.sites[site].at = (self.sites[site].at + 1) % 3;
        self.publish(site);
    }
}
