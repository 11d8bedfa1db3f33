//! Whether certificates lead to an authority, and for what.

use std::sync::atomic::AtomicUsize;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use spondee_core::port::{Chain, NameConstraints};
use spondee_core::time;
use webpki::{EndEntityCert, Error, KeyUsage, VerifiedPath, anchor_from_trusted_cert};

use super::budget::bounded;
use crate::limits::{
    SERVER_CERTIFICATE_SIGNATURES, SERVER_CERTIFICATES, SERVER_CERTIFICATES_BYTES,
};
use crate::tls::certs::parse;

/// What was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Path {
    /// They do, for this.
    Found(Use, Found),
    /// They do not, or they say too much: never `Chain::Valid`.
    None(Chain),
}

/// What a path is good for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Use {
    /// For servers, whatever else.
    Server,
    /// For clients, and not for servers.
    Client,
}

/// What is to be known of a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Found {
    pub(super) until: time::UnixTime,
    pub(super) constraints: NameConstraints,
}

impl Path {
    /// From the first certificate to one of the roots, by any way there is.
    ///
    /// A certificate for servers alone serves a server that connects to another, too, and one for clients alone one that is connected to:
    /// authorities ceased to make any for both. So it is asked for the use of clients where nothing is wrong but that servers' is missing.
    pub(super) fn find(
        sent: &[CertificateDer<'_>],
        roots: &RootCertStore,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
        now: UnixTime,
    ) -> Self {
        let bytes: usize = sent.iter().map(|der| der.len()).sum();
        if sent.len() > SERVER_CERTIFICATES || bytes > SERVER_CERTIFICATES_BYTES {
            return Self::None(Chain::Unreadable);
        }
        let Some((own, between)) = sent.split_first() else {
            return Self::None(Chain::Unreadable);
        };
        let entity = match EndEntityCert::try_from(own) {
            Ok(entity) => entity,
            Err(error) => return Self::None(failure(&error)),
        };
        let left = AtomicUsize::new(SERVER_CERTIFICATE_SIGNATURES);
        let bounded = bounded(algorithms, &left);
        let algorithms: Vec<_> = bounded.iter().map(|one| one as _).collect();
        let verify = |usage| {
            entity
                .verify_for_usage(&algorithms, &roots.roots, between, now, usage, None, None)
                .map(|path| found(own, &path))
        };
        let error = match verify(KeyUsage::server_auth()) {
            Ok(found) => return Self::Found(Use::Server, found),
            Err(error @ Error::RequiredEkuNotFoundContext(_)) => {
                match verify(KeyUsage::client_auth()) {
                    Ok(found) => return Self::Found(Use::Client, found),
                    Err(Error::RequiredEkuNotFoundContext(_)) => error,
                    Err(other) => other,
                }
            }
            Err(error) => error,
        };
        // Before all that is wrong with it besides: who makes them by itself gives them any form.
        Self::None(match is_own_issuer(own) && !is_root(own, roots) {
            true => Chain::SelfSigned,
            false => failure(&error),
        })
    }
}

fn found(own: &CertificateDer<'_>, path: &VerifiedPath<'_>) -> Found {
    let between = path.intermediate_certificates().map(|each| each.der());
    let mut until = i64::MAX;
    let mut constraints = match path.anchor().name_constraints {
        None => NameConstraints::None,
        Some(_) => NameConstraints::Present,
    };
    for der in between.chain([CertificateDer::from(own.as_ref())]) {
        // What one library reads and the other does not counts as what is stricter.
        let read = parse(&der);
        let read = read.as_ref().ok();
        let end = read.map_or(0, |read| read.validity().not_after.timestamp());
        until = until.min(end);
        if !read.is_some_and(|read| matches!(read.name_constraints(), Ok(None))) {
            constraints = NameConstraints::Present;
        }
    }
    Found {
        until: time::UnixTime(until.saturating_mul(1000)),
        constraints,
    }
}

/// Whether it says that it has issued itself.
fn is_own_issuer(own: &CertificateDer<'_>) -> bool {
    parse(own).is_ok_and(|read| read.issuer() == read.subject())
}

fn is_root(own: &CertificateDer<'_>, roots: &RootCertStore) -> bool {
    anchor_from_trusted_cert(own).is_ok_and(|anchor| roots.roots.contains(&anchor))
}

/// Of all ways webpki tells what stands in the most promising: that something has expired before that nobody is known.
fn failure(error: &Error) -> Chain {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the list is webpki's, and whatever else there may be is no good"
    )]
    match error {
        Error::CertExpired { not_after, .. } => Chain::Expired {
            on: moment(*not_after),
        },
        Error::CertNotValidYet { not_before, .. } => Chain::NotYetValid {
            from: moment(*not_before),
        },
        // RFC 6120 §13.7.1.1: an authority's own is none of a server's.
        Error::RequiredEkuNotFoundContext(_)
        | Error::EmptyEkuExtension
        | Error::CaUsedAsEndEntity => Chain::WrongUse,
        // Nobody who may vouch for it does.
        Error::UnknownIssuer
        | Error::InvalidSignatureForPublicKey
        | Error::CertDistrusted
        | Error::EndEntityUsedAsCa
        | Error::NameConstraintViolation
        | Error::PathLenConstraintViolated
        | Error::MaximumPathDepthExceeded => Chain::Untrusted,
        _ => Chain::Unreadable,
    }
}

fn moment(at: UnixTime) -> time::UnixTime {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    time::UnixTime(seconds.saturating_mul(1000))
}
