//! TLS with other servers: what we ask with where we connect to them, and whom we trust with saying who they are.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use spondee_core::jid::Domain;
use spondee_core::port::{Opening, Protocol, TlsClient};

use super::binding::ExporterSecret;
use super::judge::{AnyCertificate, Judge};
use super::policy::all_there_is;
use super::{CertError, Pump, Roots, TlsError, TlsHosts};

/// How we ask for TLS, and whom we trust with saying who other servers are. Clones are the same.
#[derive(Clone)]
pub struct Outgoing {
    provider: Arc<CryptoProvider>,
    /// Behind STARTTLS, and for each protocol that comes first on the wire.
    plain: Arc<ClientConfig>,
    xmpp_client: Arc<ClientConfig>,
    xmpp_server: Arc<ClientConfig>,
    /// Held for as long as it takes to copy a pointer.
    roots: Arc<Mutex<Roots>>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").finish_non_exhaustive()
    }
}

impl Outgoing {
    /// Trusts the authorities that this machine trusts; nobody, if they cannot be read, which the log says. Reads a file.
    ///
    /// # Errors
    /// The library cannot be used so.
    pub fn of_system() -> Result<Self, String> {
        Self::trusting(Roots::of_system().unwrap_or_else(|error| {
            tracing::warn!("the certificate of no other server is trusted: {error}");
            Roots::none()
        }))
    }

    /// Trusts the authorities in a file alone.
    ///
    /// # Errors
    /// They cannot be read, or the library cannot be used so.
    pub fn of_file(path: &Path) -> Result<Self, String> {
        Self::trusting(Roots::read(path).map_err(|error| error.message)?)
    }

    /// Trusts these.
    ///
    /// # Errors
    /// The library cannot be used so.
    pub(crate) fn trusting(roots: Roots) -> Result<Self, String> {
        let provider = Arc::new(all_there_is());
        let plain = config(&provider, None)?;
        let of = |protocol| config(&provider, Some(protocol)).map(Arc::new);
        Ok(Self {
            plain: Arc::new(plain),
            xmpp_client: of(Protocol::XmppClient)?,
            xmpp_server: of(Protocol::XmppServer)?,
            provider,
            roots: Arc::new(Mutex::new(roots)),
        })
    }

    /// Trusts the authorities in this file, or those of this machine if none is named. Reads it.
    ///
    /// # Errors
    /// The file that is named cannot be read, or the library cannot be used so.
    pub(crate) fn by(file: Option<&Path>) -> Result<Self, String> {
        match file {
            Some(file) => Self::of_file(file).map_err(|error| format!("`s2s_ca_file`: {error}")),
            None => Self::of_system(),
        }
    }

    /// Reads again whom to trust, for all clones: those in this file, or those of this machine if none is named. Connections that there are
    /// keep what was thought of them.
    ///
    /// # Errors
    /// They cannot be read: those of before are trusted.
    pub(crate) fn read_again(&self, file: Option<&Path>) -> Result<(), CertError> {
        let roots = match file {
            Some(file) => Roots::read(file)?,
            None => Roots::of_system()?,
        };
        *self.lock() = roots;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Roots> {
        self.roots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection on which another server asks us. `fallback` and `opening` are as for `Pump::new`.
    #[must_use]
    pub fn asked(&self, hosts: Arc<TlsHosts>, fallback: Option<Domain>, opening: Opening) -> Pump {
        Pump::asked_by_server(hosts, fallback, opening, self.judge(None))
    }

    /// A connection that asks for this, with the certificate of a host if it is to be shown. It has something to say at once: see
    /// `Pump::receive`.
    ///
    /// # Errors
    /// The name cannot be asked for.
    pub fn pump(&self, client: &TlsClient, hosts: &TlsHosts) -> Result<Pump, TlsError> {
        let name = server_name(&client.name).ok_or_else(|| TlsError {
            message: format!("{} is no name that could be asked for", client.name),
        })?;
        let config = match client.protocol {
            None => &self.plain,
            Some(Protocol::XmppClient) => &self.xmpp_client,
            Some(Protocol::XmppServer) => &self.xmpp_server,
        };
        let own = client.ours.as_ref().and_then(|ours| hosts.own(ours));
        let config = match own {
            None => Arc::clone(config),
            Some(own) => {
                let mut config = ClientConfig::clone(config);
                config.client_auth_cert_resolver = Arc::new(own);
                Arc::new(config)
            }
        };
        Pump::asking(config, name.clone(), self.judge(Some(name)))
    }

    fn judge(&self, name: Option<ServerName<'static>>) -> Judge {
        Judge {
            name,
            roots: Arc::clone(&self.lock().store),
            provider: Arc::clone(&self.provider),
        }
    }
}

/// An IP literal may stand in brackets, as in an address (RFC 7622 §3.2).
fn server_name(name: &str) -> Option<ServerName<'static>> {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare.to_owned()).ok()
}

/// XEP-0368 §3 has ALPN where TLS comes first on the wire. A server that knows nothing of it is taken all the same; one that answers by another
/// protocol is not.
fn config(
    provider: &Arc<CryptoProvider>,
    protocol: Option<Protocol>,
) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(Arc::clone(provider))))
        .with_no_client_auth();
    let protocol = protocol.map(|protocol| protocol.name().as_bytes().to_vec());
    config.alpn_protocols = protocol.into_iter().collect();
    // Nothing of a connection is good for the next: links live for hours, and each has its certificate judged.
    // `Deviation:` RFC 6120 §3.3 recommends resumption.
    config.resumption = Resumption::disabled();
    config.key_log = Arc::new(ExporterSecret);
    Ok(config)
}
