//! The SNI table: which certificate serves which host.

use std::path::Path;

use spondee_core::jid::Domain;

use super::CertError;

/// An immutable snapshot of all hosts' TLS configurations; a reload makes a new one, existing connections keep theirs.
#[derive(Debug)]
pub struct TlsHosts {
    // the helper's
}

impl TlsHosts {
    /// Finds and loads a certificate and key for each host below `certificates` (see reference/prosody-semantics.md §1.6 for
    /// where Prosody looks).
    ///
    /// # Errors
    /// The first certificate that is there but cannot be used. A host without one is not an error: `has` says no.
    pub fn load(certificates: &Path, hosts: &[Domain]) -> Result<Self, CertError> {
        let _ = (certificates, hosts);
        todo!()
    }

    /// Whether there is a certificate for this host.
    #[must_use]
    pub fn has(&self, host: &Domain) -> bool {
        let _ = host;
        todo!()
    }
}
