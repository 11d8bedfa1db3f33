//! Where certificates are looked for, as Prosody does: an index of the directory by the names in the certificates, then files
//! named after the host, then the parent domain's file if its wildcard covers the host.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use spondee_core::jid::Domain;

use super::CertError;
use super::certs::Certificate;
use crate::limits::CERTIFICATE_DIRECTORY_DEPTH;

/// All certificates below a directory.
#[derive(Debug)]
pub(super) struct Index {
    root: PathBuf,
    /// In the order of their paths.
    found: Vec<Found>,
}

/// A certificate and where its key should be.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) key: PathBuf,
    pub(super) certificate: Certificate,
}

impl Index {
    /// Reads `*.crt` and `*fullchain*.pem`, three levels deep. A directory that is not there is an empty one.
    ///
    /// # Errors
    /// The directory itself cannot be read.
    pub(super) fn read(root: &Path) -> Result<Self, CertError> {
        let mut paths = Vec::new();
        match walk(root, CERTIFICATE_DIRECTORY_DEPTH, &mut paths) {
            Ok(()) => {}
            // A single file is probed later by its name.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) => {}
            Err(error) => return Err(CertError::io(root, &error)),
        }
        paths.sort();
        let found = paths.into_iter().filter_map(read_indexed).collect();
        Ok(Self {
            root: root.to_owned(),
            found,
        })
    }

    /// The certificate for a host, if there is one.
    ///
    /// # Errors
    /// There is one, but it cannot be read or its key is missing.
    pub(super) fn find(&self, host: &Domain) -> Result<Option<Found>, CertError> {
        if let Some(found) = self.by_name(host)? {
            return Ok(Some(found));
        }
        for (path, key) in self.probes(host.as_str()) {
            if exists(&path) {
                let found = read_pair(&path, &key)?;
                warn_about(&found, host);
                return Ok(Some(found));
            }
        }
        let Some((_, parent)) = host.as_str().split_once('.') else {
            return Ok(None);
        };
        for (path, key) in self.probes(parent) {
            // What stands there was meant for the parent: not our fault to report.
            if exists(&path)
                && let Ok(found) = read_pair(&path, &key)
                && found.certificate.names(host)
            {
                warn_about(&found, host);
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Choice: of several certificates that name the host, one without a wildcard before one with, then the one that is valid
    /// longest, so that a renewed certificate wins over the file it replaces.
    fn by_name(&self, host: &Domain) -> Result<Option<Found>, CertError> {
        let now = now();
        let mut candidates = Vec::new();
        for found in &self.found {
            if !found.certificate.names(host) {
                continue;
            }
            if found.certificate.not_after < now {
                tracing::warn!(certificate = %found.path.display(), %host, "skipped: this certificate has expired");
                continue;
            }
            candidates.push(found);
        }
        candidates.sort_by_key(|found| {
            let exact = found.certificate.names_exactly(host);
            (!exact, std::cmp::Reverse(found.certificate.not_after))
        });
        let Some(first) = candidates.first() else {
            return Ok(None);
        };
        let best = candidates
            .iter()
            .find(|found| exists(&found.key))
            .ok_or_else(|| missing_key(&first.path, &first.key))?;
        read_pair(&best.path, &best.key).map(Some)
    }

    /// Certificates by the name of the file, each with its key.
    fn probes(&self, host: &str) -> Vec<(PathBuf, PathBuf)> {
        let root = &self.root;
        if root.is_file() {
            return vec![(root.clone(), root.clone())];
        }
        vec![
            (
                root.join(format!("{host}.crt")),
                root.join(format!("{host}.key")),
            ),
            (
                root.join(host).join("fullchain.pem"),
                root.join(host).join("privkey.pem"),
            ),
            // One file with both.
            (
                root.join(format!("{host}.pem")),
                root.join(format!("{host}.pem")),
            ),
        ]
    }
}

fn walk(directory: &Path, depth: u8, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        // Follows links: that is how certbot lays its files out.
        if path.is_dir() {
            if depth > 1 && !name.starts_with('.') {
                // A directory below that cannot be entered hides nothing but itself.
                if let Err(error) = walk(&path, depth - 1, paths) {
                    tracing::warn!(directory = %path.display(), %error, "skipped in the search for certificates");
                }
            }
        } else if name.ends_with(".crt") || (name.contains("fullchain") && name.ends_with(".pem")) {
            paths.push(path);
        }
    }
    Ok(())
}

fn read_indexed(path: PathBuf) -> Option<Found> {
    let key = key_beside(&path)?;
    match Certificate::read(&path) {
        Ok(certificate) => Some(Found {
            path,
            key,
            certificate,
        }),
        Err(error) => {
            tracing::warn!(%error, "skipped in the search for certificates");
            None
        }
    }
}

/// `.crt` becomes `.key`, `fullchain` becomes `privkey`.
fn key_beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    Some(match name.strip_suffix(".crt") {
        Some(stem) => path.with_file_name(format!("{stem}.key")),
        None => path.with_file_name(name.replace("fullchain", "privkey")),
    })
}

fn read_pair(path: &Path, key: &Path) -> Result<Found, CertError> {
    let certificate = Certificate::read(path)?;
    if !exists(key) {
        return Err(missing_key(path, key));
    }
    Ok(Found {
        path: path.to_owned(),
        key: key.to_owned(),
        certificate,
    })
}

fn missing_key(path: &Path, key: &Path) -> CertError {
    CertError::new(
        path,
        &format!(
            "the private key of this certificate is missing; it should be {}",
            key.display()
        ),
    )
}

/// What may not be looked at counts as there, so that reading it tells why.
fn exists(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

/// A certificate found by the name of its file is used even so: the administrator put it there.
fn warn_about(found: &Found, host: &Domain) {
    let certificate = found.path.display();
    if !found.certificate.names(host) {
        tracing::warn!(%certificate, %host, "this certificate does not name the host; clients will refuse it");
    }
    if found.certificate.not_after < now() {
        tracing::warn!(%certificate, %host, "this certificate has expired; clients will refuse it");
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or(0)
}
