//! Certificates of one file as a chain: the host's own first, then who issued it, and so on.
//!
//! RFC 8446 §4.4.2: "The sender's certificate MUST come in the first CertificateEntry in the list. Each following certificate
//! SHOULD directly certify the one immediately preceding it." For TLS 1.2 that is a MUST.

use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::public_key::PublicKey;

/// The order in which certificates are sent.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Order {
    /// Indices, the host's own first. Those that lead nowhere come last: they may still help a client.
    pub(super) indices: Vec<usize>,
    /// How many of them, from the first on, are each issued by the next.
    pub(super) linked: usize,
}

impl Order {
    /// Finds out which of several certificates is the host's own and how the others lead on from it.
    pub(super) fn of(certificates: &[X509Certificate<'_>]) -> Self {
        let others = |index: usize| {
            let all = certificates.iter().enumerate();
            all.filter(move |(other, _)| *other != index)
                .map(|(_, other)| other)
        };
        let issued_none = |index: &usize| {
            certificates.get(*index).is_some_and(|issuer| {
                others(*index).all(|other| Link::between(other, issuer) != Link::Issued)
            })
        };
        let mut left: Vec<usize> = (0..certificates.len()).collect();
        let first = left.iter().position(issued_none).unwrap_or(0);
        let mut indices = Vec::new();
        if !left.is_empty() {
            indices.push(left.remove(first));
        }
        while let Some(last) = indices.last().and_then(|last| certificates.get(*last)) {
            if is_self_issued(last) {
                break;
            }
            let issuer = left.iter().position(|index| {
                let issuer = certificates.get(*index);
                issuer.is_some_and(|issuer| Link::between(last, issuer) == Link::Issued)
            });
            match issuer {
                Some(issuer) => indices.push(left.remove(issuer)),
                None => break,
            }
        }
        let linked = indices.len();
        indices.append(&mut left);
        Self { indices, linked }
    }
}

/// What one certificate has to do with another that may have issued it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Link {
    Issued,
    /// The name is right, but the signature is another's.
    NameOnly,
    None,
}

impl Link {
    pub(super) fn between(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Self {
        if certificate.issuer().as_raw() != issuer.subject().as_raw() {
            return Self::None;
        }
        // Too short a key to be verified with: whoever sends it has other troubles.
        if let Ok(PublicKey::RSA(key)) = issuer.public_key().parsed()
            && key.key_size() < 2048
        {
            return Self::Issued;
        }
        match certificate.verify_signature(Some(issuer.public_key())) {
            Err(X509Error::SignatureVerificationError) => Self::NameOnly,
            // Of an algorithm that we do not know the name has to do.
            Ok(()) | Err(_) => Self::Issued,
        }
    }
}

/// Whether it vouches for itself. The name alone does not tell: who makes authority and host in a hurry may name both alike.
pub(super) fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    Link::between(certificate, certificate) == Link::Issued
}
