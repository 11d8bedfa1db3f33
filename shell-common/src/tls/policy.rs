//! What TLS offers the clients of a host: versions, cipher suites and groups to agree on keys in, by the names that administrators know.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::SigningKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, NamedGroup, SignatureAlgorithm, SupportedCipherSuite, SupportedProtocolVersion,
};
use spondee_core::jid::Domain;
use spondee_core::port::Opening;

use super::audit::Remark;
use super::clients::Trust;
use super::dhe::{self, Taken};
use super::named::{Location, Named};
use super::names::{self, Exchange, Group, Suite};

#[cfg(feature = "aws-lc-rs")]
pub(super) use rustls::crypto::aws_lc_rs as library;
#[cfg(not(feature = "aws-lc-rs"))]
pub(super) use rustls::crypto::ring as library;

/// What every host offers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Policies(BTreeMap<Domain, HostPolicy>);

/// What one host offers, by how TLS begins.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HostPolicy {
    /// After `<starttls/>`.
    pub starttls: Policy,
    /// Direct TLS.
    pub direct: Policy,
    /// To other servers, by both.
    pub servers: Policy,
    /// With which certificates, where the configuration names them.
    pub certificates: Named,
    /// Whether clients are asked for a certificate, by both.
    pub clients: ClientAuth,
}

/// Whether clients may show who they are by a certificate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum ClientAuth {
    /// They are asked for none.
    #[default]
    Off,
    /// By one of the authorities in this file, `c2s_ca_file`.
    File(PathBuf),
    /// The same when it has been read.
    By(Arc<Trust>),
}

/// What is offered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// Which versions.
    pub versions: Versions,
    /// The suites of TLS 1.2.
    pub tls12: Suites,
    /// Those of TLS 1.3.
    pub tls13: Suites,
    /// Where keys are agreed on. Which of them it is, the client says.
    pub groups: Vec<NamedGroup>,
    /// And where for clients that have none of these.
    pub dhe: Dhe,
}

/// Whether keys are agreed on by DHE with who has no elliptic curve of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dhe {
    /// They are not.
    Off,
    /// In this group of RFC 7919.
    In(NamedGroup),
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Versions {
    /// 1.2 alone.
    Only12,
    /// 1.2 and 1.3.
    From12,
    /// 1.3 alone.
    Only13,
}

/// Cipher suites of one version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Suites {
    /// All there are; AES-128 first, or ChaCha20 where the client prefers it.
    All,
    /// These, in this order.
    Chosen(Vec<CipherSuite>),
}

impl Default for Policy {
    /// Mozilla's "intermediate", where DHE is a thing to be asked for (`dhparam`).
    fn default() -> Self {
        Self {
            versions: Versions::From12,
            tls12: Suites::All,
            tls13: Suites::All,
            groups: names::groups().map(|group| group.group).collect(),
            dhe: Dhe::Off,
        }
    }
}

impl Versions {
    pub(crate) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Only12 => &["1.2"],
            Self::From12 => &["1.2", "1.3"],
            Self::Only13 => &["1.3"],
        }
    }

    pub(super) const fn has_12(self) -> bool {
        match self {
            Self::Only12 | Self::From12 => true,
            Self::Only13 => false,
        }
    }

    pub(super) const fn has_13(self) -> bool {
        match self {
            Self::Only12 => false,
            Self::From12 | Self::Only13 => true,
        }
    }
}

impl Policies {
    /// What a host offers; of one that nothing is said of, the default.
    #[must_use]
    pub fn of(&self, host: &Domain) -> HostPolicy {
        self.0.get(host).cloned().unwrap_or_default()
    }

    pub(crate) fn insert(&mut self, host: Domain, policy: HostPolicy) {
        self.0.insert(host, policy);
    }

    /// Where certificates and keys are that the configuration names.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &Location> {
        let named = self.0.values().map(|policy| &policy.certificates);
        named.flat_map(|named| named.all.iter().chain(&named.direct))
    }
}

/// What of two versions of a suite's list comes first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum First {
    Aes128,
    ChaCha20,
}

impl Policy {
    /// The suites in force, in the order in which AES clients get them.
    pub(super) fn suites(&self) -> Vec<Suite> {
        self.in_order(First::Aes128)
    }

    /// The suites that were named, of those that need DHE, where there is none.
    pub(crate) fn lacks_dhe_for(&self) -> Option<&'static str> {
        let (Dhe::Off, Suites::Chosen(chosen)) = (self.dhe, &self.tls12) else {
            return None;
        };
        let mut dear = names::TLS12
            .iter()
            .filter(|suite| suite.exchange == Exchange::Dhe);
        let named = dear.find(|suite| chosen.contains(&suite.suite))?;
        Some(named.name)
    }

    /// Whether nothing is left without DHE.
    pub(crate) fn has_dhe_alone(&self) -> bool {
        let suites = self.suites();
        !suites.is_empty() && suites.iter().all(|suite| suite.exchange == Exchange::Dhe)
    }

    /// Whether this offers TLS 1.2 and no suite of it that goes with such a key.
    pub(super) fn lacks_tls12_for(&self, key: Signature) -> bool {
        let fits = |suite: &Suite| suite.signature == Some(key);
        self.versions.has_12() && !self.suites().iter().any(fits)
    }

    /// For people, in one line.
    #[must_use]
    pub fn describe(&self) -> String {
        let versions = self.versions.names().join(" and ");
        let suites: Vec<_> = self.suites().iter().map(|suite| suite.name).collect();
        let groups: Vec<_> = self.group_names().collect();
        let dhe = self
            .dhe_name()
            .map(|name| format!(", or in {name} with who has none of these"));
        format!(
            "TLS {versions} with {}; keys agreed on in {}{dhe}",
            suites.join(", "),
            groups.join(", "),
            dhe = dhe.unwrap_or_default()
        )
    }

    pub(crate) fn group_names(&self) -> impl Iterator<Item = &'static str> {
        let groups = self.groups.iter();
        groups.filter_map(|group| Self::name_of_group(*group))
    }

    pub(crate) fn dhe_name(&self) -> Option<&'static str> {
        match self.dhe {
            Dhe::Off => None,
            Dhe::In(group) => Some(names::dh_name(group)),
        }
    }

    pub(crate) fn suite_names(&self) -> impl Iterator<Item = &'static str> {
        self.suites().into_iter().map(|suite| suite.name)
    }

    /// What a suite is called, if it is one that is there.
    pub(crate) fn name_of_suite(suite: CipherSuite) -> Option<&'static str> {
        let mut known = names::TLS13.iter().chain(names::TLS12);
        known
            .find(|known| known.suite == suite)
            .map(|known| known.name)
    }

    /// What a group is called, if it is one that is there.
    pub(super) fn name_of_group(group: NamedGroup) -> Option<&'static str> {
        let mut known = names::groups();
        known
            .find(|known| known.group == group)
            .map(|known| known.name)
    }

    fn in_order(&self, first: First) -> Vec<Suite> {
        let mut all = Vec::new();
        if self.versions.has_13() {
            all.extend(self.tls13.in_order(names::TLS13, first));
        }
        if self.versions.has_12() {
            let mut suites = self.tls12.in_order(names::TLS12, first);
            if self.dhe == Dhe::Off {
                suites.retain(|suite| suite.exchange == Exchange::Ecdhe);
            }
            suites.sort_by_key(|suite| suite.exchange);
            all.extend(suites);
        }
        all
    }
}

impl Suites {
    fn in_order(&self, known: &[Suite], first: First) -> Vec<Suite> {
        match self {
            Self::Chosen(chosen) => {
                let of = |suite: &CipherSuite| known.iter().find(|known| known.suite == *suite);
                chosen.iter().filter_map(of).copied().collect()
            }
            Self::All => {
                let mut all = known.to_vec();
                if first == First::ChaCha20 {
                    all.sort_by_key(|suite| !suite.name.contains("CHACHA20"));
                }
                all
            }
        }
    }
}

/// What a certificate's key signs with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Signature {
    /// Ed25519 counts as such (RFC 8422 §5.1.3).
    Ecdsa,
    Rsa,
}

impl Signature {
    pub(super) fn of(key: &dyn SigningKey) -> Self {
        match key.algorithm() == SignatureAlgorithm::RSA {
            true => Self::Rsa,
            false => Self::Ecdsa,
        }
    }

    pub(super) const fn other(self) -> Self {
        match self {
            Self::Ecdsa => Self::Rsa,
            Self::Rsa => Self::Ecdsa,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ecdsa => "ECDSA",
            Self::Rsa => "RSA",
        }
    }
}

impl HostPolicy {
    /// What clients that begin TLS so are offered, as if there were no others.
    pub(super) fn alone(&self, opening: Opening) -> Self {
        let policy = match opening {
            Opening::Clear => &self.starttls,
            Opening::Tls => &self.direct,
        };
        Self {
            starttls: policy.clone(),
            direct: policy.clone(),
            servers: self.servers.clone(),
            certificates: Named::default(),
            clients: self.clients.clone(),
        }
    }

    /// What clients of TLS 1.2 meet that this offers with such a key.
    pub(super) fn remark(&self, key: Signature) -> Option<Remark> {
        let mut both = [&self.starttls, &self.direct].into_iter();
        let Some(lacking) = both
            .clone()
            .chain([&self.servers])
            .find(|policy| policy.lacks_tls12_for(key))
        else {
            let is_idle = |policy: &Policy| policy.dhe != Dhe::Off && policy.versions.has_12();
            return (key == Signature::Ecdsa && both.any(is_idle)).then(|| {
                Remark::warning(
                    "`dhparam` does nothing for clients of TLS 1.2, because the key of its certificate signs with ECDSA: the suites of DHE want \
                     an RSA key"
                        .to_owned(),
                )
            });
        };
        let text = format!(
            "none of the `ciphers` goes with its certificate, whose key signs with {key}, so nobody can use TLS 1.2: add a suite with \
             {key} in its name",
            key = key.name()
        );
        Some(match lacking.versions {
            Versions::Only12 => Remark::fault(text),
            Versions::From12 | Versions::Only13 => Remark::warning(text),
        })
    }
}

/// What a policy comes to for rustls. Made once for all hosts that have it.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    /// For clients that prefer ChaCha20.
    pub(super) client: Arc<CryptoProvider>,
    /// For all others.
    pub(super) server: Arc<CryptoProvider>,
    /// Whose order counts for those who prefer ChaCha20.
    pub(super) order: Order,
    /// With DHE, where there is any: for clients that have one of the curves, and for those that have none.
    pub(super) dear: Option<[Arc<CryptoProvider>; 2]>,
}

/// Whose order of suites counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    Client,
    Server,
}

impl Terms {
    pub(super) fn of(policy: &Policy) -> Self {
        let mut versions = Vec::new();
        if policy.versions.has_13() {
            versions.push(&TLS13);
        }
        if policy.versions.has_12() {
            versions.push(&TLS12);
        }
        let without = Policy {
            dhe: Dhe::Off,
            ..policy.clone()
        };
        let without = |first| Arc::new(provider(&without, first, Taken::With12));
        let with = |taken| Arc::new(provider(policy, First::Aes128, taken));
        let dear = match policy.dhe {
            Dhe::Off => None,
            Dhe::In(_) => Some([Taken::With12, Taken::Always].map(with)),
        };
        let server = without(First::Aes128);
        match (&policy.tls12, &policy.tls13) {
            (Suites::All, Suites::All) => Self {
                versions,
                client: Arc::clone(&server),
                server,
                order: Order::Client,
                dear,
            },
            // An order that was given counts for everybody.
            (Suites::Chosen(_), _) | (_, Suites::Chosen(_)) => Self {
                versions,
                client: without(First::ChaCha20),
                server,
                order: Order::Server,
                dear,
            },
        }
    }
}

/// The terms of several policies, each made once.
#[derive(Debug, Default)]
pub(super) struct TermsOf(RefCell<Vec<(Policy, Terms)>>);

impl TermsOf {
    pub(super) fn get(&self, policy: &Policy) -> Terms {
        let mut made = self.0.borrow_mut();
        if let Some((_, terms)) = made.iter().find(|(known, _)| known == policy) {
            return terms.clone();
        }
        let terms = Terms::of(policy);
        made.push((policy.clone(), terms.clone()));
        terms
    }
}

/// All that the library has, for a client that asks what another server takes.
pub(super) fn all_there_is() -> CryptoProvider {
    library::default_provider()
}

/// What the library, or for DHE our own, knows of a policy's suites and groups.
fn provider(policy: &Policy, first: First, taken: Taken) -> CryptoProvider {
    let library = library::default_provider();
    let suite = |wanted: &Suite| -> Option<SupportedCipherSuite> {
        let mut known = library.cipher_suites.iter();
        let known = known.find(|known| known.suite() == wanted.suite).copied();
        known.or_else(|| dhe::suite(wanted.suite))
    };
    let group = |wanted: &NamedGroup| {
        let mut known = library::ALL_KX_GROUPS.iter();
        known.find(|known| known.name() == *wanted).copied()
    };
    let curves = policy.groups.iter().filter_map(group);
    let field = match policy.dhe {
        Dhe::Off => None,
        Dhe::In(group) => dhe::group(group, taken),
    };
    CryptoProvider {
        cipher_suites: policy.in_order(first).iter().filter_map(suite).collect(),
        kx_groups: curves.chain(field).collect(),
        ..library
    }
}

/// Whether no client of TLS 1.2 could agree on a key: none of the groups is older than TLS 1.3.
pub(crate) fn lacks_group_for_12(policy: &Policy) -> bool {
    let is_older = |group: &Group| !group.only_13;
    let mut groups = names::groups().filter(|known| policy.groups.contains(&known.group));
    policy.versions.has_12() && policy.dhe == Dhe::Off && !groups.any(is_older)
}
