//! Finding the certificate and the key of a host where other programs keep them, whatever they call their files: certbot
//! (`live/HOST/fullchain.pem`, `privkey.pem`), lego (`HOST.crt`, `HOST.key`), acme.sh (`HOST_ecc/fullchain.cer`, `HOST.key`).

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use spondee_core::jid::Domain;
use zeroize::Zeroizing;

use super::CertError;
use super::audit::{Remark, Severity, audit};
use super::certs::{Certificate, Pair, Standing};
use super::file::{PemFile, shown};
use super::find::key_beside;
use crate::limits::{IMPORT_DEPTH, IMPORT_FILES};

/// A certificate with its key, as it is to be written.
pub(crate) struct Brought {
    /// Where it was found.
    pub(crate) file: PathBuf,
    /// The chain in PEM.
    pub(crate) certificate: String,
    /// The key in PEM.
    pub(crate) key: Zeroizing<String>,
    /// What is to be warned of.
    pub(crate) remarks: Vec<String>,
}

/// All certificates below some paths.
pub(crate) struct Stock {
    from: Vec<PathBuf>,
    certificates: Vec<(PathBuf, Certificate)>,
    /// Files that may hold keys.
    files: Vec<PathBuf>,
    /// What could not be read.
    unread: Vec<CertError>,
    now: i64,
}

impl Stock {
    /// Looks through files and directories. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// A path is not there, or there is more below it than any of those programs keeps.
    pub(crate) fn of(from: &[PathBuf], now: i64) -> Result<Self, CertError> {
        let mut stock = Self {
            from: from.to_vec(),
            certificates: Vec::new(),
            files: Vec::new(),
            unread: Vec::new(),
            now,
        };
        for path in from {
            fs::metadata(path).map_err(|error| CertError::io(path, &error))?;
            stock.look(path, IMPORT_DEPTH)?;
        }
        stock.files.sort();
        for path in stock.files.clone() {
            if !may_be_certificate(&path) {
                continue;
            }
            match Certificate::read(&path) {
                Ok(certificate) => stock.certificates.push((path, certificate)),
                Err(error) => stock.unread.push(error),
            }
        }
        Ok(stock)
    }

    fn look(&mut self, path: &Path, depth: u8) -> Result<(), CertError> {
        if !path.is_dir() {
            if self.files.len() >= IMPORT_FILES {
                return Err(CertError::new(
                    path,
                    "there is too much here to look through; name the directory of the certificates, such as /etc/letsencrypt/live",
                ));
            }
            self.files.push(path.to_owned());
            return Ok(());
        }
        if depth == 0 {
            return Ok(());
        }
        let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        match entries {
            Ok(entries) => entries
                .iter()
                .try_for_each(|entry| self.look(&entry.path(), depth - 1)),
            Err(error) => {
                self.unread.push(CertError::io(path, &error));
                Ok(())
            }
        }
    }

    /// The best certificate there is for a host, with its key.
    ///
    /// # Errors
    /// There is none that clients would accept, or not its key.
    pub(crate) fn find(&self, host: &Domain) -> Result<Brought, String> {
        let named = self.certificates.iter();
        let mut named: Vec<_> = named
            .filter(|(_, certificate)| certificate.facts.names(host))
            .collect();
        // What is in time, then what names the host itself, then what lasts longest, then what has its chain, then certbot's link.
        named.sort_by_key(|(path, certificate)| {
            let facts = &certificate.facts;
            (
                facts.standing(host, self.now) != Standing::Good,
                !facts.names_exactly(host),
                Reverse(facts.not_after),
                Reverse(certificate.linked),
                !path.is_symlink(),
            )
        });
        if named.is_empty() {
            return Err(format!("no certificate is for {host}: {}", self.contents()));
        }
        let mut faults = Vec::new();
        for (path, certificate) in named {
            match self.brought(host, path, certificate) {
                Ok(brought) => return Ok(brought),
                Err(fault) => faults.push(fault),
            }
        }
        // What is wrong with the best of them is what counts.
        Err(faults.swap_remove(0))
    }

    fn brought(
        &self,
        host: &Domain,
        path: &Path,
        certificate: &Certificate,
    ) -> Result<Brought, String> {
        let file = path.display().to_string();
        let remarks = audit(certificate, &file, host, self.now);
        if let Some(fault) = remarks.iter().find(|one| one.severity == Severity::Fault) {
            return Err(fault.text.clone());
        }
        let (key_file, line) = self.key(path, certificate).map_err(|error| error.message)?;
        let keys = PemFile::read(&key_file)
            .map_err(|error| error.message)?
            .keys;
        let key = keys.iter().find(|key| key.line == line);
        let key =
            key.ok_or_else(|| format!("{}: it has just changed; try again", key_file.display()))?;
        Ok(Brought {
            file: path.to_owned(),
            certificate: certificate.chain.iter().map(pem).collect(),
            key: key.pem(),
            remarks: remarks
                .into_iter()
                .map(|Remark { text, .. }| text)
                .collect(),
        })
    }

    /// The file and line of the key that belongs to a certificate: where it should be, anywhere beside it, or named itself.
    fn key(&self, path: &Path, certificate: &Certificate) -> Result<(PathBuf, usize), CertError> {
        let first = key_beside(path);
        let is_near =
            |other: &&PathBuf| other.parent() == path.parent() || self.from.contains(*other);
        let others = self.files.iter().filter(is_near);
        let beside = others.filter(|other| may_be_key(other) && **other != first);
        let mut fault = None;
        for key in [&first].into_iter().chain(beside) {
            match Pair::read(certificate, path, key) {
                Ok(pair) => return Ok(pair.key),
                Err(error) => {
                    fault.get_or_insert(error);
                }
            }
        }
        Err(fault.unwrap_or_else(|| {
            CertError::new(path, "the private key of this certificate is missing")
        }))
    }

    /// Whether a certificate is for this host, whatever else there is to say of it.
    pub(crate) fn names(&self, host: &Domain) -> bool {
        let mut certificates = self.certificates.iter();
        certificates.any(|(_, certificate)| certificate.facts.names(host))
    }

    /// Whether there is no certificate that could be read.
    pub(crate) const fn is_unreadable(&self) -> bool {
        self.certificates.is_empty()
    }

    /// In words: where it is, for whom, and what could not be read.
    pub(crate) fn contents(&self) -> String {
        let from: Vec<_> = self
            .from
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let from = from.join(", ");
        let names: BTreeSet<&str> = self
            .certificates
            .iter()
            .flat_map(|(_, certificate)| certificate.facts.names.iter().map(String::as_str))
            .collect();
        let mut text = match names.is_empty() {
            true => format!("{from} has no certificate that can be used"),
            false => {
                let some: Vec<_> = names.iter().take(5).copied().collect();
                format!("{from} has certificates for {}", shown(&some.join(", ")))
            }
        };
        if let Some(unread) = self.unread.first() {
            text.push_str(&format!("; not everything could be read: {unread}"));
        }
        text
    }
}

fn extension(path: &Path) -> String {
    let extension = path.extension().unwrap_or_default();
    extension.to_string_lossy().to_ascii_lowercase()
}

fn may_be_certificate(path: &Path) -> bool {
    let is_key = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().contains("privkey"));
    !is_key && ["cer", "crt", "cert", "pem"].contains(&extension(path).as_str())
}

fn may_be_key(path: &Path) -> bool {
    ["key", "pem"].contains(&extension(path).as_str())
}

/// A certificate as OpenSSL writes it.
fn pem(der: &CertificateDer<'static>) -> String {
    block("CERTIFICATE", der)
}

/// A block of PEM (RFC 7468 §3).
pub(super) fn block(label: &str, der: &[u8]) -> String {
    let data = Zeroizing::new(STANDARD.encode(der));
    // With room for all of it: a text that grows leaves copies behind, and this may be a key.
    let mut text = String::with_capacity(data.len() + data.len() / 64 + 2 * label.len() + 64);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = data.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
