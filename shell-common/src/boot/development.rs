//! The certificates of a server for development: made by itself, and made anew once they have expired.

use std::path::PathBuf;

use crate::config::Settings;
use crate::tls::{Renewal, now, renew};

/// Sees to it that each host has one. Their files.
///
/// # Errors
/// A sentence: one cannot be written.
pub(crate) fn certificates(settings: &Settings) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for host in settings.config.hosts.keys() {
        let file = settings.certificates.join(format!("{host}.crt"));
        match renew(&settings.certificates, host, now()).map_err(|error| error.message)? {
            Renewal::Made | Renewal::Left => {}
            Renewal::Renewed => tracing::warn!(
                "host {host}: its certificate had expired, {} is another one; clients must be told to trust it",
                file.display()
            ),
        }
        files.push(file);
    }
    Ok(files)
}
