//! What is to be thought of the certificate of a server that we connected to. Whoever shook hands has its key; whether it is the right one's is
//! another question, and for the core: a server may prove itself by other means.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};
use spondee_core::port::{ServerCertificate, Verdict};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::limits::SERVER_CERTIFICATES;

/// Judges for one connection.
#[derive(Clone)]
pub(super) struct Judge {
    pub(super) name: ServerName<'static>,
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
        let (own, between) = sent.split_first()?;
        Some(ServerCertificate {
            verdict: self.verdict(own, between, now),
            fingerprint: Sha256::digest(own).into(),
        })
    }

    fn verdict(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Verdict {
        if between.len() >= SERVER_CERTIFICATES {
            return Verdict::Unreadable;
        }
        let Err(error) = self.verify(own, between, now) else {
            return Verdict::Good;
        };
        // Before all that is wrong with it besides: who makes them by itself gives them any form.
        match is_own_issuer(own) && !self.is_root(own) {
            true => Verdict::SelfSigned,
            false => verdict(error),
        }
    }

    /// RFC 6120 §13.7.2: its path, its time, that it is for servers, and for this one.
    fn verify(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(own)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, between, now, algorithms)?;
        verify_server_name(&parsed, &self.name)
    }

    fn is_root(&self, own: &CertificateDer<'_>) -> bool {
        let mut alone = RootCertStore::empty();
        alone.add(own.clone().into_owned()).is_ok()
            && alone.roots.iter().all(|it| self.roots.roots.contains(it))
    }
}

/// Whether it says that it has issued itself.
fn is_own_issuer(own: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(own).is_ok_and(|(_, read)| read.issuer() == read.subject())
}

fn verdict(error: Error) -> Verdict {
    let Error::InvalidCertificate(error) = error else {
        return Verdict::Unreadable;
    };
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the list is rustls', and whatever else there may be is no good"
    )]
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Verdict::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Verdict::NotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Verdict::OtherName
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Verdict::OtherUse
        }
        CertificateError::UnknownIssuer => Verdict::Untrusted,
        _ => Verdict::Unreadable,
    }
}

/// Takes any certificate, and no handshake that was not signed with its key.
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
