//! Configuration as plain data with secure defaults. Its syntax is the shell's business.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;
use core::time::Duration;

use crate::archive::ArchiveOptions;
use crate::blocking::BlockingOptions;
use crate::csi::CsiOptions;
use crate::entropy::keyed_hash;
use crate::federation::{DialbackKeys, FederationOptions, Permission};
use crate::jid::{BareJid, Domain};
use crate::limits::{ITERATION_COUNT, Limits, USER_TOMBSTONE_EXPIRY};
use crate::options::{Expiry, Source, Unsaid, of_component, of_host};
use crate::private::PrivateOptions;
use crate::registration::{RegistrationOptions, WhoRegisters};
use crate::roster::RosterOptions;
use crate::sasl::{Provider, SaslPolicy};
use crate::secret::Secret;
use crate::sm::SmOptions;
use crate::xep::ContactAddresses;

/// Everything the core is told about its server.
#[derive(Clone)]
pub struct Config {
    /// The hosts served here.
    pub hosts: BTreeMap<Domain, Host>,
    /// Links to other servers.
    pub federation: FederationOptions,
    /// The bounds.
    pub limits: Limits,
    /// Made once and kept: keys fake salts, placement and later dialback. Not the replay seed.
    pub server_secret: [u8; 32],
    /// How many shards this node has, at least 1. Fixed while the process runs.
    pub shards: u16,
    /// What XEP-0092 answers.
    pub software: Software,
}

impl Config {
    /// Whether what is for this domain can go anywhere: it is served here, or by another server that may be talked to.
    #[must_use]
    pub fn routes_to<Q: Ord + ?Sized>(&self, domain: &Q) -> bool
    where
        Domain: Borrow<Q>,
    {
        self.hosts.contains_key(domain)
            || self.federation.rules.permitted(domain) == Permission::Yes
    }

    /// What keys of dialback are made and checked with.
    #[must_use]
    pub fn dialback_keys(&self) -> DialbackKeys {
        match &self.federation.dialback_secret {
            Some(secret) => DialbackKeys::new(secret),
            None => {
                let own = keyed_hash(&self.server_secret, &[b"dialback"]);
                DialbackKeys::new(&Secret::new(own.to_vec()))
            }
        }
    }

    /// The host of this name, if it is one that has accounts.
    #[must_use]
    pub fn accounts<Q: Ord + ?Sized>(&self, host: &Q) -> Option<&HostConfig>
    where
        Domain: Borrow<Q>,
    {
        match self.hosts.get(host)? {
            Host::Accounts(host) => Some(host),
            Host::Component(_) => None,
        }
    }

    /// All hosts that have accounts.
    pub fn realms(&self) -> impl Iterator<Item = (&Domain, &HostConfig)> {
        self.hosts.iter().filter_map(|(name, host)| match host {
            Host::Accounts(host) => Some((name, host)),
            Host::Component(_) => None,
        })
    }

    /// The same, to change them.
    pub fn realms_mut(&mut self) -> impl Iterator<Item = (&Domain, &mut HostConfig)> {
        self.hosts.iter_mut().filter_map(|(name, host)| match host {
            Host::Accounts(host) => Some((name, host)),
            Host::Component(_) => None,
        })
    }

    /// What all hosts that have accounts are.
    pub fn accounts_mut(&mut self) -> impl Iterator<Item = &mut HostConfig> {
        self.realms_mut().map(|(_, host)| host)
    }

    /// The component of this name, if one may connect by it.
    #[must_use]
    pub fn component<Q: Ord + ?Sized>(&self, name: &Q) -> Option<&ComponentConfig>
    where
        Domain: Borrow<Q>,
    {
        match self.hosts.get(name)? {
            Host::Accounts(_) => None,
            Host::Component(component) => Some(component),
        }
    }

    /// The components whose names are below that of a host, and of none between.
    pub(crate) fn components_below<'a>(
        &'a self,
        host: &'a str,
    ) -> impl Iterator<Item = &'a Domain> {
        self.hosts
            .iter()
            .filter(move |(name, served)| match served {
                Host::Accounts(_) => false,
                Host::Component(_) => self.above(name.as_str()).is_some_and(|above| above == host),
            })
            .map(|(name, _)| name)
    }

    /// The host with accounts that a name is below of; the nearest.
    fn above<'a>(&self, mut name: &'a str) -> Option<&'a str> {
        while let Some((_, above)) = name.split_once('.') {
            if self.accounts(above).is_some() {
                return Some(above);
            }
            name = above;
        }
        None
    }

    /// Whether a name is served as before, and is something else: a component's that had accounts, or the other way round.
    #[must_use]
    pub(crate) fn has_become_other<Q: Ord + ?Sized>(&self, before: &Self, host: &Q) -> bool
    where
        Domain: Borrow<Q>,
    {
        match (before.hosts.get(host), self.hosts.get(host)) {
            (Some(Host::Accounts(_)), Some(Host::Component(_)))
            | (Some(Host::Component(_)), Some(Host::Accounts(_))) => true,
            (Some(Host::Accounts(_)) | None, Some(Host::Accounts(_)))
            | (Some(Host::Component(_)) | None, Some(Host::Component(_)))
            | (_, None) => false,
        }
    }

    /// Whether a name of ours has a certificate.
    #[must_use]
    pub fn tls_of<Q: Ord + ?Sized>(&self, host: &Q) -> TlsAvailable
    where
        Domain: Borrow<Q>,
    {
        match self.hosts.get(host) {
            Some(Host::Accounts(host)) => host.tls,
            Some(Host::Component(component)) => component.tls,
            None => TlsAvailable::No,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("hosts", &self.hosts)
            .field("limits", &self.limits)
            .field("shards", &self.shards)
            .field("software", &self.software)
            .finish_non_exhaustive()
    }
}

/// What a host is. Rooms take their place here: the compiler then names everything that must tell them apart.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "hosts are few, and most of them have accounts"
)]
pub enum Host {
    /// A realm of accounts.
    Accounts(HostConfig),
    /// Another program's, which connects to serve it (XEP-0114).
    Component(ComponentConfig),
}

/// A name that a component serves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ComponentConfig {
    /// `component_secret`: by which it proves that it is the one. An empty one lets nobody in.
    pub secret: Secret,
    /// Whether there is a certificate for it, which other servers are shown. The component itself connects without TLS.
    pub tls: TlsAvailable,
}

impl ComponentConfig {
    /// What `from` says of one.
    pub fn read(from: &mut impl Source) -> Option<Self> {
        let secret = from.secret(&of_component(
            "component_secret",
            "By which the component proves who it is: what its own configuration has as secret or password.",
        )
        .shown_as("{ file = \"/etc/spondee/component_secret\" }"));
        // Settled when the certificates have been looked for.
        let tls = TlsAvailable::No;
        secret.map(|secret| Self { secret, tls })
    }
}

/// One host that has accounts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostConfig {
    /// `c2s_require_encryption`, `disable_sasl_mechanisms`, `insecure_sasl_mechanisms`, `allow_unencrypted_plain_auth`.
    pub sasl: SaslPolicy,
    /// `authentication`: what is kept of new passwords, or who is asked in its place.
    pub provider: Provider,
    /// Whether STARTTLS can be offered.
    pub tls: TlsAvailable,
    /// `conflict_resolve`.
    pub conflict: ConflictResolve,
    /// `default_iteration_count`: PBKDF2 rounds of new passwords.
    pub rounds: u32,
    /// What that was before: accounts of which the password is older still show it, and so do some unknown ones.
    pub former_rounds: Vec<u32>,
    /// `unlimited_jids`: accounts of this host whose clients may send as fast as they can, whatever `Limits::c2s_rate` says.
    pub unlimited_jids: Vec<BareJid>,
    /// What rosters may be.
    pub roster: RosterOptions,
    /// `user_tombstone_expiry`: how long the name of an account that was deleted is not given to anybody else.
    pub tombstone_expiry: Expiry,
    /// What blocklists may be.
    pub blocking: BlockingOptions,
    /// What is archived, and what waits for who is away.
    pub archive: ArchiveOptions,
    /// How long sessions outlive their connections, and what of them is kept meanwhile.
    pub sm: SmOptions,
    /// How much waits for clients that nobody looks at.
    pub csi: CsiOptions,
    /// What private XML may be.
    pub private: PrivateOptions,
    /// Who makes accounts.
    pub registration: RegistrationOptions,
    /// `contact_info`: whom to turn to.
    pub contacts: ContactAddresses,
}

impl HostConfig {
    /// Prosody's `default_iteration_count`. RFC 7677 §4 asks for at least 4096.
    pub const DEFAULT_ROUNDS: u32 = 10_000;

    /// What `from` says of one. Each feature reads what is its own.
    pub fn read(from: &mut impl Source) -> Self {
        from.part(
            "Options that each host can have for itself, in its section below; here for all that say nothing",
        );
        let host = Self {
            sasl: SaslPolicy::read(from),
            provider: Provider::read(from),
            // Settled when the certificates have been looked for.
            tls: TlsAvailable::Yes,
            conflict: from.word(
                &of_host(
                    "conflict_resolve",
                    "What happens when a second client asks for a resource that is in use: \"kick_old\" closes the older session, \
                     \"kick_new\" refuses the newer one, \"random\" and \"increment\" give the newer one another resource.",
                )
                .elsewhere("\"increment\""),
                ConflictResolve::KickOld,
                CONFLICTS,
            ),
            rounds: from.number(
                &of_host(
                    "default_iteration_count",
                    "Rounds of PBKDF2 for new passwords. At least 4096; more make a stolen database more expensive to try passwords \
                     on, and signing in slower for the client.",
                )
                .elsewhere("20000"),
                Self::DEFAULT_ROUNDS,
                ITERATION_COUNT,
            ),
            // Known from what the server remembers of itself.
            former_rounds: Vec::new(),
            unlimited_jids: from.list(
                &of_host(
                    "unlimited_jids",
                    "Accounts for which `limits` does not count, such as [\"bot@example.org\"].",
                ),
                &[],
            ),
            roster: RosterOptions::read(from),
            // As in Prosody; ejabberd has 365 days. Nobody knows when contacts, rooms and other servers have forgotten who had it.
            tombstone_expiry: from.expiry(
                &of_host(
                    "user_tombstone_expiry",
                    "How long nobody can have the name of a user that was deleted, since others may take the new one for the old: \
                     a number of seconds, or text such as \"365 days\", or \"never\", which is for ever. 0 gives it to the next at \
                     once. An administrator can give it sooner, with `spondee user add --again`.",
                )
                .elsewhere("\"365 days\""),
                Expiry::Never,
                USER_TOMBSTONE_EXPIRY,
            ),
            blocking: BlockingOptions::read(from),
            archive: ArchiveOptions::read(from),
            sm: SmOptions::read(from),
            csi: CsiOptions::read(from),
            private: PrivateOptions::read(from),
            registration: RegistrationOptions::read(from),
            contacts: ContactAddresses::read(from),
        };
        host.sasl.warn_beside(host.provider, from);
        match host.provider {
            Provider::Hashed | Provider::Plain => host,
            Provider::Ldap => host.of_directory(from),
            Provider::Anonymous => host.of_guests(),
        }
    }

    /// Nobody makes accounts here whom the directory does not know.
    fn of_directory(mut self, from: &mut impl Source) -> Self {
        if self.registration.by == WhoRegisters::Anybody {
            from.warn(
                "`allow_registration` has no effect while `authentication` is \"ldap\": who is in the directory has an account"
                    .into(),
            );
            self.registration.by = WhoRegisters::Administrators;
        }
        self
    }

    /// Nothing is kept of guests: no messages, no sessions without connections, which strangers could make by the thousand.
    pub(crate) fn of_guests(self) -> Self {
        Self {
            provider: Provider::Anonymous,
            archive: ArchiveOptions::nothing(),
            sm: SmOptions {
                hibernation: Duration::ZERO,
                ..self.sm
            },
            registration: RegistrationOptions {
                by: WhoRegisters::Administrators,
                ..self.registration
            },
            ..self
        }
    }
}

impl Default for HostConfig {
    fn default() -> Self {
        Self::read(&mut Unsaid)
    }
}

const CONFLICTS: &[(&str, ConflictResolve)] = &[
    ("kick_old", ConflictResolve::KickOld),
    ("kick_new", ConflictResolve::KickNew),
    ("random", ConflictResolve::Random),
    ("increment", ConflictResolve::Increment),
];

/// Whether a host has a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsAvailable {
    /// It has one.
    Yes,
    /// It has none: no STARTTLS.
    No,
}

/// What happens when a resource is taken (RFC 6120 §7.7.2.2). Prosody's names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConflictResolve {
    /// `kick_old`: the older session is closed with `conflict`.
    KickOld,
    /// `kick_new`: the newer is refused with `conflict`.
    KickNew,
    /// `random`: the newer gets a random resource.
    Random,
    /// `increment`: the newer gets the name with a number behind it.
    Increment,
}

/// Name and version of the program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Software {
    /// `Spondee`.
    pub name: String,
    /// As in Cargo.toml.
    pub version: String,
}

/// One host, `localhost`, with every default: for unit tests.
#[cfg(test)]
pub(crate) fn of_localhost() -> Config {
    let host = Domain::parse("localhost").unwrap();
    Config {
        hosts: [(host, Host::Accounts(HostConfig::default()))].into(),
        federation: FederationOptions::isolated(),
        limits: Limits::default(),
        server_secret: [0; 32],
        shards: 1,
        software: Software {
            name: String::new(),
            version: String::new(),
        },
    }
}
