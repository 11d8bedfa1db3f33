//! What is to be thought of the certificate of another server, whoever connected to whom. Whoever shook hands has its key; whether it is the right one's is
//! another question, and for the core: a server may prove itself by other means.

mod budget;
mod names;
mod path;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};
use spondee_core::port::{CertificateNames, Chain, NameConstraints, ServerCertificate, Verdict};
use webpki::EndEntityCert;

use self::names::{TooMany, names};
use self::path::{Found, Path, Use};

/// Judges for one connection.
#[derive(Clone)]
pub(super) struct Judge {
    /// Whom we asked for; `None` where we are asked.
    pub(super) name: Option<ServerName<'static>>,
    pub(super) roots: Arc<RootCertStore>,
    pub(super) provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("name", &self.name).finish()
    }
}

impl Judge {
    /// Of what was sent, the server's own certificate first. `None` if there is none.
    pub(super) fn judge(
        &self,
        sent: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Option<ServerCertificate> {
        let own = sent.first()?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let (path, each) = match names(own) {
            Ok(each) => (Path::find(sent, &self.roots, algorithms, now), each),
            Err(TooMany) => (Path::None(Chain::Unreadable), Vec::new()),
        };
        let (chain, constraints) = match path {
            Path::Found(_, Found { until, constraints }) => (Chain::Valid { until }, constraints),
            Path::None(chain) => (chain, NameConstraints::None),
        };
        Some(ServerCertificate {
            verdict: self.name.as_ref().map(|name| verdict(own, path, name)),
            chain,
            names: CertificateNames { each, constraints },
            fingerprint: Sha256::digest(own).into(),
        })
    }
}

/// RFC 6120 §13.7.2: its path, its time, that it is for servers, and for this one.
fn verdict(own: &CertificateDer<'_>, path: Path, name: &ServerName<'_>) -> Verdict {
    match path {
        Path::Found(Use::Server, _) => {
            let entity = EndEntityCert::try_from(own);
            let named = entity.and_then(|it| it.verify_is_valid_for_subject_name(name));
            match named {
                Ok(()) => Verdict::Good,
                Err(webpki::Error::CertNotValidForName(_)) => Verdict::OtherName,
                Err(_) => Verdict::Unreadable,
            }
        }
        Path::Found(Use::Client, _) | Path::None(Chain::WrongUse) => Verdict::OtherUse,
        Path::None(Chain::Expired { .. }) => Verdict::Expired,
        Path::None(Chain::NotYetValid { .. }) => Verdict::NotYetValid,
        Path::None(Chain::SelfSigned) => Verdict::SelfSigned,
        Path::None(Chain::Untrusted) => Verdict::Untrusted,
        Path::None(Chain::Unreadable | Chain::Valid { .. }) => Verdict::Unreadable,
    }
}

/// Takes any certificate, and no handshake that was not signed with its key.
///
/// Of servers that connect to us, too: what their certificates may be used for is not looked at here, since authorities make them for servers
/// alone.
#[derive(Debug)]
pub(crate) struct AnyCertificate(pub(crate) Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, own, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, own, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Where we are asked by a server, it is asked for a certificate, and may have none.
impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// `Choice:` none are named (RFC 8446 §4.2.4, RFC 5246 §7.4.4): those of this system would be thousands of bytes, and a server with a certificate
    /// by another is let in by dialback where that is allowed.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, own, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, own, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}
