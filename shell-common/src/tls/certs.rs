//! Certificates: PEM files found, read and judged; a self-made one for development.

use std::path::Path;

use spondee_core::jid::Domain;

/// Why a certificate cannot be used, with advice.
#[derive(Debug)]
pub struct CertError {
    /// A sentence that names the file and says what to do.
    pub message: String,
}

/// Writes a self-signed certificate `HOST.crt` and its key `HOST.key` (0600) into `directory`, for hosts used in development.
///
/// # Errors
/// The directory cannot be written.
pub fn generate_development_certificate(directory: &Path, host: &Domain) -> Result<(), CertError> {
    let _ = (directory, host);
    todo!()
}
