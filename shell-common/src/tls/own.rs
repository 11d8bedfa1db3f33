//! A certificate of ours where we connect to other servers: shown to those that ask for one.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

/// The certificates of one host, the one that it has for those that take its signature first. At least one.
///
/// `Choice:` whatever authorities the other server names: it may trust more, and with ours it knows at least what we would show.
#[derive(Debug)]
pub(super) struct Own(pub(super) Vec<Arc<CertifiedKey>>);

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let fits = |own: &&Arc<CertifiedKey>| own.key.choose_scheme(schemes).is_some();
        self.0.iter().find(fits).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}
