//! A TLS client that takes any certificate, tells what it got, and what a strict peer would have said of it.

#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct,
    Error, ProtocolVersion, RootCertStore, SignatureScheme,
};
use serde::Serialize;
use spondee_core::jid::Domain;

use super::CertError;
use super::audit::{Remark, audit, audit_own};
use super::certs::Certificate;
use super::file::PemFile;
use super::judge::AnyCertificate;
use super::policy::{Policy, all_there_is};
use super::shown::Shown;

/// What another server shows to a client.
#[derive(Debug)]
pub(crate) struct Probed {
    /// What was agreed on, or why nothing was.
    pub(crate) agreed: Result<Agreed, String>,
    /// The certificate, if one came and can be read.
    pub(crate) shown: Option<Shown>,
    /// What a strict peer holds against it.
    pub(crate) remarks: Vec<Remark>,
}

/// What two ends agreed on.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Agreed {
    pub(crate) version: &'static str,
    pub(crate) suite: String,
    pub(crate) group: String,
}

/// The authorities that are trusted.
pub(crate) struct Roots {
    pub(super) store: Arc<RootCertStore>,
    /// Where they stand; `None` where this machine has none.
    pub(crate) file: Option<PathBuf>,
}

/// Where systems keep all authorities in one file: Debian, Fedora, openSUSE, Alpine and the BSDs.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

impl Roots {
    /// Those of this machine.
    ///
    /// # Errors
    /// Their file cannot be read.
    pub(crate) fn of_system() -> Result<Self, CertError> {
        let mut bundles = BUNDLES.iter().map(Path::new);
        match bundles.find(|path| path.exists()) {
            Some(path) => Self::read(path),
            None => Ok(Self::none()),
        }
    }

    /// Nobody is trusted.
    pub(crate) fn none() -> Self {
        Self {
            store: Arc::new(RootCertStore::empty()),
            file: None,
        }
    }

    /// What a client is set up with that trusts these alone.
    ///
    /// # Errors
    /// The library cannot be used so.
    pub(crate) fn client(&self) -> Result<ClientConfig, String> {
        let config = ClientConfig::builder_with_provider(Arc::new(all_there_is()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let config = config.with_root_certificates(Arc::clone(&self.store));
        Ok(config.with_no_client_auth())
    }

    /// Those in a file.
    ///
    /// # Errors
    /// It cannot be read, or holds none.
    pub(crate) fn read(path: &Path) -> Result<Self, CertError> {
        let file = PemFile::read(path)?;
        let mut store = RootCertStore::empty();
        let ders = file.certificates.iter().map(|(_, der)| der.clone());
        let (taken, _) = store.add_parsable_certificates(ders);
        if taken == 0 {
            return Err(CertError::new(
                path,
                "there is no certificate of an authority in this file",
            ));
        }
        Ok(Self {
            store: Arc::new(store),
            file: Some(path.to_owned()),
        })
    }
}

/// Shakes hands over a connection as a client that asks for `host`, by this protocol of ALPN. `now` is in seconds since 1970.
///
/// # Errors
/// The name cannot be asked for.
pub(crate) fn probe(
    socket: &mut (impl Read + Write),
    host: &Domain,
    alpn: Option<&[u8]>,
    roots: &Roots,
    now: i64,
) -> Result<Probed, String> {
    let name = server_name(host)?;
    let provider = Arc::new(all_there_is());
    let witness = Arc::new(Witness {
        any: AnyCertificate(Arc::clone(&provider)),
        chain: Mutex::default(),
    });
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = alpn.map(<[u8]>::to_vec).into_iter().collect();
    let agreed = shake(config, name.clone(), socket);
    let chain = witness.take();
    let Some(own) = chain.first() else {
        return Ok(Probed {
            agreed,
            shown: None,
            remarks: Vec::new(),
        });
    };
    let verdict = verdict(
        own,
        chain.get(1..).unwrap_or_default(),
        &name,
        roots,
        &provider,
        now,
    );
    let mut probed = Probed {
        agreed,
        shown: None,
        remarks: Vec::new(),
    };
    let of = format!("the certificate of {host}");
    match Certificate::sent(&of, chain.clone()) {
        Ok(certificate) => {
            probed.shown = Shown::of(&certificate, now);
            let sent = certificate.remarks.iter().cloned().map(Remark::warning);
            probed.remarks.extend(sent);
            probed.remarks.extend(match &verdict {
                Ok(()) => audit_own(&certificate, &of, host, now),
                Err(_) => audit(&certificate, &of, host, now),
            });
        }
        Err(fault) => probed.remarks.push(Remark::fault(fault)),
    }
    probed.remarks.extend(verdict.err().map(Remark::fault));
    Ok(probed)
}

/// DNS and certificates have A-labels.
fn server_name(host: &Domain) -> Result<ServerName<'static>, String> {
    let ascii = to_ascii(host);
    ServerName::try_from(ascii.trim_matches(['[', ']']).to_owned())
        .map_err(|_| format!("{host} is no name that a client could ask for"))
}

/// A domain as DNS has it.
pub(crate) fn to_ascii(host: &Domain) -> String {
    idna::domain_to_ascii(host.as_str()).unwrap_or_else(|_| host.as_str().to_owned())
}

fn shake(
    config: ClientConfig,
    name: ServerName<'static>,
    socket: &mut (impl Read + Write),
) -> Result<Agreed, String> {
    let mut tls =
        ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    while tls.is_handshaking() {
        tls.complete_io(socket)
            .map_err(|error| format!("no handshake: {}", refusal(&error)))?;
    }
    let suite = tls.negotiated_cipher_suite().map(|suite| suite.suite());
    let group = tls
        .negotiated_key_exchange_group()
        .map(|group| group.name());
    Ok(Agreed {
        version: match tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(_) | None => "TLS 1.2",
        },
        suite: suite
            .and_then(Policy::name_of_suite)
            .unwrap_or("unknown")
            .to_owned(),
        group: group
            .and_then(Policy::name_of_group)
            .unwrap_or("unknown")
            .to_owned(),
    })
}

/// Why the other end did not shake hands.
fn refusal(error: &io::Error) -> String {
    let why = error
        .get_ref()
        .map_or_else(|| error.to_string(), ToString::to_string);
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    match (tls, error.kind()) {
        (
            Some(Error::AlertReceived(
                AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion,
            )),
            _,
        ) => format!(
            "the server takes nothing of what is offered here, TLS 1.2 and 1.3 with ECDHE, as modern clients offer it ({why})"
        ),
        (Some(Error::AlertReceived(AlertDescription::UnrecognisedName)), _) => {
            format!("the server has no certificate for this name ({why})")
        }
        (Some(Error::InvalidMessage(_)), _) => {
            format!("this is no TLS; is it the right port? ({why})")
        }
        (Some(_), _) => why,
        (None, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            "the server does not answer".to_owned()
        }
        (None, _) => why,
    }
}

/// What a peer says that takes only what an authority vouches for (RFC 6125, as webpki has it).
fn verdict(
    own: &CertificateDer<'static>,
    between: &[CertificateDer<'static>],
    name: &ServerName<'static>,
    roots: &Roots,
    provider: &Arc<CryptoProvider>,
    now: i64,
) -> Result<(), String> {
    if roots.store.is_empty() {
        return Err(
            "this machine has no list of authorities, so nobody knows whether one vouches for it; name one by --ca-file".to_owned(),
        );
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots.store), Arc::clone(provider))
            .build()
            .map_err(|error| error.to_string())?;
    let now = Duration::from_secs(u64::try_from(now).unwrap_or(0));
    let now = UnixTime::since_unix_epoch(now);
    let verified = verifier.verify_server_cert(own, between, name, &[], now);
    verified.map(drop).map_err(|error| {
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let why = if error == unknown {
            "no authority that is trusted here vouches for it: it is self-made, or the chain lacks a certificate in between"
                .to_owned()
        } else if let Error::InvalidCertificate(other) = &error {
            other.to_string()
        } else {
            error.to_string()
        };
        format!("a peer that verifies refuses it: {why}")
    })
}

/// Remembers what it was shown, and takes it.
#[derive(Debug)]
struct Witness {
    any: AnyCertificate,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl Witness {
    fn take(&self) -> Vec<CertificateDer<'static>> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *chain)
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let all = [own].into_iter().chain(between);
        let all = all.map(|der| der.clone().into_owned()).collect();
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = all;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.any.verify_tls12_signature(message, own, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.any.verify_tls13_signature(message, own, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.any.supported_verify_schemes()
    }
}
