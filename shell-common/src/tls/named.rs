//! Certificates that the configuration names for a host, or for its direct TLS alone. They go before what is found in the directory.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use spondee_core::jid::Domain;

use super::CertError;
use super::audit::Remark;
use super::certs::Certificate;
use super::find::{Choice, Found, Index, key_beside};

/// Where the certificates of a host are, as far as its options say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Named {
    /// For all its clients: `certificate`, or that of `ssl` or `c2s_ssl`.
    pub all: Option<Location>,
    /// For direct TLS, if that is another one: `c2s_direct_tls_certificate`, or that of `c2s_direct_tls_ssl`.
    pub direct: Option<Location>,
}

/// Where a certificate is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Location {
    /// Its file, or a directory that is searched as `certificates` is.
    pub certificate: PathBuf,
    /// The file of its key, unless that is beside it or in its file.
    pub key: Option<PathBuf>,
}

impl Location {
    /// The file of the key.
    pub(crate) fn key(&self) -> PathBuf {
        let key = self.key.clone();
        key.unwrap_or_else(|| key_beside(&self.certificate))
    }

    /// A key for a whole directory is none.
    pub(super) fn remark(&self) -> Option<Remark> {
        let key = self.key.as_ref()?;
        let directory = &self.certificate;
        directory.is_dir().then(|| {
            Remark::warning(format!(
                "{}: this key is not used, because {} is a directory, where keys are found beside their certificates; leave `key` out, or \
                 name the file of the certificate",
                key.display(),
                directory.display()
            ))
        })
    }

    /// Whether this file was found here.
    pub(super) fn has(&self, file: &Path) -> bool {
        file.starts_with(&self.certificate)
    }
}

/// Everywhere that certificates are looked for, each directory read once.
pub(super) struct Indices {
    /// `certificates`.
    pub(super) common: Index,
    /// Directories that hosts name.
    own: RefCell<BTreeMap<PathBuf, Rc<Index>>>,
}

impl Indices {
    pub(super) fn read(certificates: &Path) -> Self {
        Self {
            common: Index::read(certificates),
            own: RefCell::default(),
        }
    }

    /// What is in a place that the configuration names for this host. Where there is no candidate, a fault says why.
    pub(super) fn choices(
        &self,
        location: &Location,
        host: &Domain,
        now: i64,
        in_use: &[&Path],
    ) -> Choice {
        let path = &location.certificate;
        if !path.is_dir() {
            return self.file(location);
        }
        let index = self.index(path);
        let mut choice = index.choices(host, now, in_use);
        if choice.candidates.is_empty() && choice.faults.is_empty() {
            let error = CertError {
                message: format!("there is no certificate: {}", index.absence(host)),
            };
            choice.faults.push((path.clone(), error));
        }
        choice
    }

    fn index(&self, path: &Path) -> Rc<Index> {
        let mut own = self.own.borrow_mut();
        let read = || Rc::new(Index::read(path));
        Rc::clone(own.entry(path.to_owned()).or_insert_with(read))
    }

    fn file(&self, location: &Location) -> Choice {
        let path = &location.certificate;
        let read = || {
            if let Some(key) = &location.key {
                // One that is named is not looked for elsewhere.
                key.metadata().map_err(|error| CertError::io(key, &error))?;
            }
            Certificate::read(path)
        };
        let mut choice = Choice::default();
        match read() {
            Ok(certificate) => choice.candidates.push(Rc::new(Found {
                path: path.clone(),
                key: location.key(),
                certificate,
            })),
            Err(mut error) => {
                error.message.push_str(&self.elsewhere(path));
                choice.faults.push((path.clone(), error));
            }
        }
        choice
    }

    /// Paths start at the directory of the configuration, and may have been meant to start at that of the certificates.
    fn elsewhere(&self, path: &Path) -> String {
        let name = path.file_name().unwrap_or_default();
        let meant = self.common.root().join(name);
        match !path.exists() && meant.is_file() {
            true => format!("; is it {} that is meant?", meant.display()),
            false => String::new(),
        }
    }

    /// What could not be read anywhere and concerns none of these hosts.
    pub(super) fn unread_beside(&self, hosts: &[Domain]) -> Vec<String> {
        let own = self.own.borrow();
        let own = own.values().map(Rc::as_ref);
        let all = [&self.common].into_iter().chain(own);
        let mut texts: Vec<String> = Vec::new();
        for error in all.flat_map(|index| index.unread_beside(hosts)) {
            // A directory that is named may lie in the other.
            if !texts.contains(&error.message) {
                texts.push(error.message.clone());
            }
        }
        texts
    }
}
