//! The SNI table: which certificate serves which host.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, KeyExchangeAlgorithm};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CipherSuite, NamedGroup, ServerConfig, SignatureScheme, SupportedCipherSuite};
use spondee_core::jid::Domain;
use spondee_core::port::{Opening, Protocol};

use super::CertError;
use super::binding::{ExporterSecret, tls_server_end_point};
use super::certs::Facts;
use super::clients::Trust;
use super::judge::AnyCertificate;
use super::names;
use super::own::Own;
use super::policy::{ClientAuth, HostPolicy, Order, Signature, Terms, TermsOf, all_there_is};

/// An immutable snapshot of all hosts' TLS configurations; a reload makes a new one, existing connections keep theirs.
#[derive(Default)]
pub struct TlsHosts {
    pub(super) hosts: BTreeMap<Domain, Served>,
    /// What is there for direct TLS alone; hosts that are not in it are served there as everywhere.
    pub(super) direct: BTreeMap<Domain, Served>,
    /// Names among them that no client means: those of components.
    clientless: BTreeSet<Domain>,
}

/// Where a handshake begins, and with whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Begun {
    pub(super) opening: Opening,
    pub(super) protocol: Protocol,
}

impl Begun {
    /// With a client.
    #[cfg(test)]
    pub(super) const fn by_client(opening: Opening) -> Self {
        Self {
            opening,
            protocol: Protocol::XmppClient,
        }
    }
}

/// What the clients of a host are served with.
#[derive(Clone)]
pub(super) struct Served {
    pub(super) first: Arc<HostTls>,
    /// Beside it, for clients whose signatures are of the other kind.
    pub(super) second: Option<Arc<HostTls>>,
}

impl Served {
    pub(super) fn both(&self) -> impl Iterator<Item = &Arc<HostTls>> {
        [Some(&self.first), self.second.as_ref()]
            .into_iter()
            .flatten()
    }

    /// Who may say who clients are, if anybody.
    pub(super) fn trust(&self) -> Option<&Arc<Trust>> {
        self.both().find_map(|tls| tls.trust.as_ref())
    }
}

impl fmt::Debug for TlsHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.hosts.keys()).finish()
    }
}

/// One host with a certificate.
pub(super) struct HostTls {
    clients: Offers,
    servers: Offers,
    /// `tls-server-end-point` of the certificate.
    pub(super) end_point: Option<Vec<u8>>,
    pub(super) about: About,
    /// Who may say who clients are, if anybody.
    pub(super) trust: Option<Arc<Trust>>,
    certified: Arc<CertifiedKey>,
}

/// What is offered to one kind of peers, by how TLS begins.
struct Offers {
    /// After `<starttls/>`: no ALPN protocol is known, so what a peer offers is ignored.
    starttls: Preference,
    direct: Preference,
}

/// What a client offers, as far as a certificate is chosen by it.
pub(super) struct Offered<'a> {
    pub(super) begun: Begun,
    pub(super) suites: &'a [CipherSuite],
    pub(super) schemes: &'a [SignatureScheme],
}

/// What is known of a certificate when another one may take its place.
#[derive(Clone)]
pub(super) struct About {
    /// Where it was read.
    pub(super) file: PathBuf,
    /// And its key.
    pub(super) key: PathBuf,
    /// Until when and for whom it is good.
    pub(super) facts: Facts,
    /// What tells it from others, with all that is sent behind it.
    pub(super) chain_sha256: [u8; 32],
    /// As it was when it was loaded.
    pub(super) reception: Reception,
    /// What its key signs with.
    pub(super) signature: Signature,
}

/// How clients receive a certificate, for all that can be told from here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reception {
    Accepted,
    Refused,
}

/// One configuration for each answer to whose order of cipher suites counts.
pub(super) struct Preference {
    /// The client's.
    client: Arc<ServerConfig>,
    /// Ours: AES-128 first.
    server: Arc<ServerConfig>,
    /// With DHE, in our order.
    dear: Option<Dear>,
    /// What the certificate's key signs with.
    key: Signature,
}

/// For clients that cannot do without DHE.
struct Dear {
    /// They have a curve of ours, but no suite of TLS 1.2 for it.
    curve: Arc<ServerConfig>,
    /// They have none.
    no_curve: Arc<ServerConfig>,
}

/// What a handshake costs us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cost {
    /// A few tenths of a millisecond at most.
    Cheap,
    /// Milliseconds: there may be DHE in it.
    Dear,
}

impl Preference {
    /// The configuration for a client that offers these suites, in its order, and these groups.
    ///
    /// DHE costs many times as much as a curve, and rustls takes the client's first group: so it is in configurations for those alone who
    /// cannot do without, and the others are as if there were none.
    ///
    /// Choice: to a client that would rather have AES than ChaCha20, AES-128 is as good as AES-256: both are beyond reach, and
    /// a handshake with SHA-256 instead of SHA-384 costs a tenth less where the processor knows SHA-256. Who prefers ChaCha20
    /// has a slow AES and gets what it prefers.
    pub(super) fn of(
        &self,
        suites: &[CipherSuite],
        groups: &[NamedGroup],
    ) -> (&Arc<ServerConfig>, Cost) {
        if let Some(dear) = &self.dear {
            let has_curve = self.has_curve_of(groups);
            let has_suite = suites.iter().any(|suite| self.fits(*suite));
            if !(has_curve && has_suite) && dear.has_any_of(suites, groups) {
                let config = match has_curve {
                    true => &dear.curve,
                    false => &dear.no_curve,
                };
                return (config, Cost::Dear);
            }
        }
        let best = suites.iter().find(|suite| {
            let known = &self.client.crypto_provider().cipher_suites;
            known.iter().any(|known| known.suite() == **suite)
        });
        let config = match best {
            Some(
                CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            ) => &self.client,
            _ => &self.server,
        };
        (config, Cost::Cheap)
    }

    /// Whether one of these suites can be agreed on with the certificate's key.
    fn has_suite_for(&self, suites: &[CipherSuite]) -> bool {
        let by_dhe = |suite: CipherSuite| {
            self.dear.as_ref().is_some_and(|dear| {
                let known = &dear.no_curve.crypto_provider().cipher_suites;
                known.iter().any(|known| known.suite() == suite)
                    && names::goes_with(suite, self.key)
            })
        };
        let mut suites = suites.iter().copied();
        suites.any(|suite| self.fits(suite) || by_dhe(suite))
    }

    /// Whether this suite is offered without DHE, and goes with the certificate.
    fn fits(&self, suite: CipherSuite) -> bool {
        let known = &self.server.crypto_provider().cipher_suites;
        known.iter().any(|known| known.suite() == suite) && names::goes_with(suite, self.key)
    }

    /// Whether one of these groups is a curve that is offered.
    fn has_curve_of(&self, groups: &[NamedGroup]) -> bool {
        let curves = &self.server.crypto_provider().kx_groups;
        curves.iter().any(|curve| groups.contains(&curve.name()))
    }
}

impl Dear {
    /// Whether somebody who offers this could agree on keys by DHE.
    fn has_any_of(&self, suites: &[CipherSuite], groups: &[NamedGroup]) -> bool {
        let provider = self.no_curve.crypto_provider();
        let is_dhe = |suite: &&SupportedCipherSuite| match suite {
            SupportedCipherSuite::Tls12(suite) => suite.kx == KeyExchangeAlgorithm::DHE,
            SupportedCipherSuite::Tls13(_) => false,
        };
        let mut dear = provider.cipher_suites.iter().filter(is_dhe);
        let mut fields = provider
            .kx_groups
            .iter()
            .filter(|group| group.ffdhe_group().is_some());
        dear.any(|suite| suites.contains(&suite.suite()))
            || fields.any(|field| groups.contains(&field.name()))
    }
}

impl TlsHosts {
    /// Whether there is a certificate for this host, whatever clients begin with.
    #[must_use]
    pub fn has(&self, host: &Domain) -> bool {
        self.hosts.contains_key(host)
    }

    /// No client means these, and who names no host does not, either.
    pub(crate) fn without_clients(&mut self, names: BTreeSet<Domain>) {
        self.clientless = names;
    }

    /// How many hosts ask clients for a certificate.
    #[cfg(test)]
    pub(crate) fn asking(&self) -> usize {
        let hosts = self.hosts.values();
        hosts.filter(|served| served.trust().is_some()).count()
    }

    /// Whether there is one for clients that begin so.
    pub(crate) fn serves(&self, host: &Domain, opening: Opening) -> bool {
        self.of(host, opening).is_some()
    }

    /// Whether clients of a host that begin so get the same certificate by both.
    pub(crate) fn has_same(&self, other: &Self, host: &Domain, opening: Opening) -> bool {
        let of = |hosts: &Self| {
            let served = hosts.of(host, opening)?;
            let hashes = served.both().map(|tls| tls.about.chain_sha256);
            Some(hashes.collect::<Vec<_>>())
        };
        of(self) == of(other)
    }

    fn of(&self, host: &Domain, opening: Opening) -> Option<&Served> {
        let own = match opening {
            Opening::Clear => None,
            Opening::Tls => self.direct.get(host),
        };
        own.or_else(|| self.hosts.get(host))
    }

    /// What we show of a host to servers that we connect to and that ask; `None` if it has no certificate.
    pub(super) fn own(&self, host: &Domain) -> Option<Own> {
        let mut both: Vec<_> = self.hosts.get(host)?.both().collect();
        // The cheaper one first, as where we are asked.
        both.sort_by_key(|tls| tls.about.signature == Signature::Rsa);
        let each = both.into_iter().map(|tls| Arc::clone(&tls.certified));
        Some(Own(each.collect()))
    }

    /// The host that is served with TLS that begins so, if there is only one.
    fn only(&self, opening: Opening) -> Option<&Served> {
        let direct = match opening {
            Opening::Clear => None,
            Opening::Tls => Some(self.direct.keys()),
        };
        let others = direct.into_iter().flatten();
        let others = others.filter(|host| !self.hosts.contains_key(*host));
        let all = self.hosts.keys().chain(others);
        let mut all = all.filter(|host| !self.clientless.contains(*host));
        match (all.next(), all.next()) {
            (Some(only), None) => self.of(only, opening),
            (Some(_), Some(_)) | (None, _) => None,
        }
    }

    /// The host that serves a client: the one it names, else the fallback.
    ///
    /// Choice: a client that names no host we have a certificate for gets the only one there is, if there is only one. So direct
    /// TLS works for clients that send no name, or the SRV target's against XEP-0368 §3. With several, a wrong guess would
    /// only fail later and less clearly, so `None`: the connection is refused.
    pub(super) fn choose(
        &self,
        name: Option<&str>,
        fallback: Option<&Domain>,
        offered: &Offered<'_>,
    ) -> Option<&HostTls> {
        let opening = match offered.begun.protocol {
            Protocol::XmppClient => offered.begun.opening,
            // What is named for clients of direct TLS is for those.
            Protocol::XmppServer => Opening::Clear,
        };
        let Served { first, second } = name
            .and_then(|name| Domain::parse(name).ok())
            .and_then(|name| self.of(&name, opening))
            .or_else(|| self.of(fallback?, opening))
            .or_else(|| self.only(opening))?;
        Some(match second {
            None => first,
            Some(second) => first.or(second, offered),
        })
    }
}

impl HostTls {
    pub(super) fn new(
        certified: CertifiedKey,
        about: About,
        policy: &HostPolicy,
        terms: &TermsOf,
    ) -> Result<Self, CertError> {
        let end_point = certified
            .cert
            .first()
            .and_then(|first| tls_server_end_point(first));
        Self::offering(Arc::new(certified), end_point, about, policy, terms)
    }

    /// Which of two certificates a client is served with.
    ///
    /// `Choice:` ECDSA before RSA, where a client takes both: to sign with RSA costs the server many times as much.
    fn or<'a>(&'a self, other: &'a Self, offered: &Offered<'_>) -> &'a Self {
        let [better, worse] = match self.about.signature {
            Signature::Ecdsa => [self, other],
            Signature::Rsa => [other, self],
        };
        match (better.serves(offered), worse.serves(offered)) {
            (true, _) => better,
            (false, true) => worse,
            // It fails either way.
            (false, false) => self,
        }
    }

    /// Whether such a client could agree with the key of this certificate.
    fn serves(&self, offered: &Offered<'_>) -> bool {
        let preference = self.preference(offered.begun);
        self.certified.key.choose_scheme(offered.schemes).is_some()
            && preference.has_suite_for(offered.suites)
    }

    /// What it offers on such a port.
    pub(super) const fn preference(&self, begun: Begun) -> &Preference {
        let offers = match begun.protocol {
            Protocol::XmppClient => &self.clients,
            Protocol::XmppServer => &self.servers,
        };
        match begun.opening {
            Opening::Clear => &offers.starttls,
            Opening::Tls => &offers.direct,
        }
    }

    /// The same certificate by another policy.
    pub(super) fn with_policy(
        &self,
        policy: &HostPolicy,
        terms: &TermsOf,
    ) -> Result<Self, CertError> {
        let certified = Arc::clone(&self.certified);
        let (end_point, about) = (self.end_point.clone(), self.about.clone());
        Self::offering(certified, end_point, about, policy, terms)
    }

    fn offering(
        certified: Arc<CertifiedKey>,
        end_point: Option<Vec<u8>>,
        about: About,
        policy: &HostPolicy,
        terms: &TermsOf,
    ) -> Result<Self, CertError> {
        let trust = match &policy.clients {
            ClientAuth::By(trust) => Some(Arc::clone(trust)),
            ClientAuth::Off | ClientAuth::File(_) => None,
        };
        // Coercions that the type of `clone` would be in the way of.
        let resolver: Arc<dyn ResolvesServerCert> =
            Arc::new(SingleCertAndKey::from(Arc::clone(&certified)));
        let of_clients = trust.as_ref().map(|trust| {
            let asks: Arc<dyn ClientCertVerifier> = trust.authorities().clone();
            asks
        });
        let of_servers: Arc<dyn ClientCertVerifier> =
            Arc::new(AnyCertificate(Arc::new(all_there_is())));
        let offers = |[starttls, direct]: [_; 2], asks: Option<&Arc<_>>, protocol: Protocol| {
            let preference = |policy, alpn| {
                Preference::new(&resolver, about.signature, &terms.get(policy), asks, alpn)
                    .map_err(|error| CertError::new(&about.file, &error.to_string()))
            };
            Ok(Offers {
                starttls: preference(starttls, Vec::new())?,
                // XEP-0368 §3: when ALPN is used, the protocol is this one. rustls refuses a client that offers only others.
                direct: preference(direct, vec![protocol.name().as_bytes().to_vec()])?,
            })
        };
        let clients = offers(
            [&policy.starttls, &policy.direct],
            of_clients.as_ref(),
            Protocol::XmppClient,
        )?;
        let servers = offers(
            [&policy.servers, &policy.servers],
            Some(&of_servers),
            Protocol::XmppServer,
        )?;
        Ok(Self {
            clients,
            servers,
            end_point,
            about,
            trust,
            certified,
        })
    }
}

impl Preference {
    fn new(
        certified: &Arc<dyn ResolvesServerCert>,
        key: Signature,
        terms: &Terms,
        asks: Option<&Arc<dyn ClientCertVerifier>>,
        alpn: Vec<Vec<u8>>,
    ) -> Result<Self, rustls::Error> {
        let config = |provider: &Arc<CryptoProvider>, order| {
            // All suites there are use (EC)DHE: forward secrecy is not an option.
            let config = ServerConfig::builder_with_provider(Arc::clone(provider))
                .with_protocol_versions(&terms.versions)?;
            let config = match asks {
                Some(asks) => config.with_client_cert_verifier(Arc::clone(asks)),
                None => config.with_no_client_auth(),
            };
            let mut config = config.with_cert_resolver(Arc::clone(certified));
            // Choice: no resumption, by tickets or by stored sessions. It would save little (a full handshake costs about 140 us)
            // and a key of tickets is one more secret that can undo forward secrecy.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config.key_log = Arc::new(ExporterSecret);
            config.alpn_protocols.clone_from(&alpn);
            config.ignore_client_order = order == Order::Server;
            Ok::<_, rustls::Error>(Arc::new(config))
        };
        Ok(Self {
            client: config(&terms.client, terms.order)?,
            server: config(&terms.server, Order::Server)?,
            dear: match &terms.dear {
                Some([curve, no_curve]) => Some(Dear {
                    curve: config(curve, Order::Server)?,
                    no_curve: config(no_curve, Order::Server)?,
                }),
                None => None,
            },
            key,
        })
    }
}
