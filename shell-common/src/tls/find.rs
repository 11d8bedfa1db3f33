//! Where certificates are looked for, as Prosody does: an index of the directory by the names in the certificates, then files
//! named after the host, then the parent domain's file if its wildcard covers the host.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use spondee_core::jid::Domain;

use super::CertError;
use super::certs::{Certificate, same};
use crate::limits::CERTIFICATE_DIRECTORY_DEPTH;

/// All certificates below a directory.
pub(super) struct Index {
    root: PathBuf,
    state: Root,
    /// In the order of their paths.
    found: Vec<Rc<Found>>,
    unread: Vec<Unread>,
    /// Files that may be certificates, but are not called as those that are searched.
    overlooked: Vec<PathBuf>,
}

/// What is searched but cannot be read.
struct Unread {
    path: PathBuf,
    kind: UnreadKind,
    error: CertError,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum UnreadKind {
    /// Anybody's certificate may be below it.
    Directory,
    File,
}

/// What is where certificates are looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Root {
    Directory,
    /// A file with the certificate of every host.
    File,
    Missing,
}

/// A certificate and where its key should be, if it is not in the same file.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) key: PathBuf,
    pub(super) certificate: Certificate,
}

/// What there is for one host.
#[derive(Default)]
pub(super) struct Choice {
    /// The best first.
    pub(super) candidates: Vec<Rc<Found>>,
    /// What by its name is the host's and cannot be read: files, and directories it may be in.
    pub(super) faults: Vec<(PathBuf, CertError)>,
}

/// How a certificate came to be considered for a host. The earlier the better.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Origin {
    /// It names the host.
    Name,
    /// Its file is called like the host.
    File,
    /// Its file is called like the parent domain, and it names the host.
    Parent,
}

impl Index {
    /// Reads `*.crt` and `*fullchain*.pem`, three levels deep. What cannot be read is remembered.
    pub(super) fn read(root: &Path) -> Self {
        let mut index = Self {
            root: root.to_owned(),
            state: Root::Directory,
            found: Vec::new(),
            unread: Vec::new(),
            overlooked: Vec::new(),
        };
        let mut paths = Vec::new();
        match index.walk(root, CERTIFICATE_DIRECTORY_DEPTH, &mut paths) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => index.state = Root::Missing,
            // Read later, for each host.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => index.state = Root::File,
            Err(error) => index.miss_directory(root, &error),
        }
        paths.sort();
        index.overlooked.sort();
        for path in paths {
            index.add(path);
        }
        index
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn walk(&mut self, directory: &Path, depth: u8, paths: &mut Vec<PathBuf>) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let Some(name) = path.file_name().map(OsStr::to_string_lossy) else {
                continue;
            };
            // Follows links: that is how certbot lays its files out.
            if path.is_dir() {
                if depth > 1 && !name.starts_with('.') {
                    // A directory below that cannot be entered hides nothing but itself.
                    if let Err(error) = self.walk(&path, depth - 1, paths) {
                        self.miss_directory(&path, &error);
                    }
                }
            } else if name.ends_with(".crt")
                || (name.contains("fullchain") && name.ends_with(".pem"))
            {
                paths.push(path);
            } else if is_overlooked(&name) {
                self.overlooked.push(path);
            }
        }
        Ok(())
    }

    fn miss_directory(&mut self, path: &Path, error: &io::Error) {
        self.unread.push(Unread {
            path: path.to_owned(),
            kind: UnreadKind::Directory,
            error: CertError::io(path, error),
        });
    }

    fn add(&mut self, path: PathBuf) {
        match Certificate::read(&path) {
            Ok(certificate) => self.found.push(Rc::new(Found {
                key: key_beside(&path),
                path,
                certificate,
            })),
            Err(error) => self.unread.push(Unread {
                path,
                kind: UnreadKind::File,
                error,
            }),
        }
    }

    /// What there is for a host, at this time in seconds since 1970, while it uses the certificates of these files.
    ///
    /// `Choice:` what clients accept comes first. Of several certificates that name the host, one without a wildcard comes before one
    /// with, then the one that is valid longest, so that a renewed certificate wins over the file it replaces.
    pub(super) fn choices(&self, host: &Domain, now: i64, in_use: &[&Path]) -> Choice {
        let unread = self.unread.iter().filter(|unread| {
            self.concerns(unread, host) || in_use.contains(&unread.path.as_path())
        });
        let mut faults: Vec<_> = unread
            .map(|unread| (unread.path.clone(), unread.error.clone()))
            .collect();
        let named = self
            .found
            .iter()
            .filter(|found| found.certificate.facts.names(host))
            .map(|found| (Origin::Name, Rc::clone(found)));
        let mut candidates: Vec<_> = named.collect();
        for path in self.probes(host.as_str()) {
            match self.probe(&path) {
                None => {}
                Some(Ok(found)) => candidates.push((Origin::File, found)),
                Some(Err(error)) => faults.push((path, error)),
            }
        }
        let parent = host.as_str().split_once('.').map(|(_, parent)| parent);
        for path in parent.map(|parent| self.probes(parent)).unwrap_or_default() {
            // What stands there was meant for the parent: not our fault to report.
            if let Some(Ok(found)) = self.probe(&path)
                && found.certificate.facts.names(host)
            {
                candidates.push((Origin::Parent, found));
            }
        }
        candidates.sort_by_key(|(origin, found)| {
            let facts = &found.certificate.facts;
            let exact = facts.names_exactly(host);
            (
                facts.standing(host, now),
                *origin,
                !exact,
                Reverse(facts.not_after),
            )
        });
        let mut choice = Choice {
            candidates: Vec::new(),
            faults,
        };
        for (_, found) in candidates {
            // A file can be met by its name and by the names in it.
            if !choice
                .candidates
                .iter()
                .any(|other| other.path == found.path)
            {
                choice.candidates.push(found);
            }
        }
        choice
    }

    /// Certificates by the name of the file.
    fn probes(&self, host: &str) -> Vec<PathBuf> {
        let root = &self.root;
        match self.state {
            Root::Missing => Vec::new(),
            Root::File => vec![root.clone()],
            Root::Directory => vec![
                root.join(format!("{host}.crt")),
                root.join(host).join("fullchain.pem"),
                // One file with both.
                root.join(format!("{host}.pem")),
            ],
        }
    }

    /// The certificate in a file, if the file is there. What the index could not read it has told already.
    fn probe(&self, path: &Path) -> Option<Result<Rc<Found>, CertError>> {
        if let Some(found) = self.found.iter().find(|found| found.path == path) {
            return Some(Ok(Rc::clone(found)));
        }
        let told = self.unread.iter().any(|unread| unread.path == *path);
        // What may not be looked at counts as there, so that reading it tells why.
        if told || !path.try_exists().unwrap_or(true) {
            return None;
        }
        Some(Certificate::read(path).map(|certificate| {
            Rc::new(Found {
                key: key_beside(path),
                path: path.to_owned(),
                certificate,
            })
        }))
    }

    /// Whether what could not be read must be taken for the certificate of this host.
    fn concerns(&self, unread: &Unread, host: &Domain) -> bool {
        unread.kind == UnreadKind::Directory || self.is_called_like(&unread.path, host)
    }

    /// As `HOST.crt`, `live/HOST/fullchain.pem` and certbot's `live/HOST-0001` are.
    fn is_called_like(&self, path: &Path, host: &Domain) -> bool {
        let Ok(below) = path.strip_prefix(&self.root) else {
            return false;
        };
        below.iter().any(|part| {
            let part = part.to_string_lossy().to_lowercase();
            let mut endings = [".pem"].iter().chain(&ENDINGS);
            let stem = endings.find_map(|ending| part.strip_suffix(ending));
            let part = stem.unwrap_or(&part);
            let lineage = part.rsplit_once('-').filter(|(_, number)| {
                number.len() == 4 && number.bytes().all(|digit| digit.is_ascii_digit())
            });
            same(part, host.as_str()) || lineage.is_some_and(|(name, _)| same(name, host.as_str()))
        })
    }

    /// What could not be read and concerns none of these hosts.
    pub(super) fn unread_beside<'a>(
        &'a self,
        hosts: &'a [Domain],
    ) -> impl Iterator<Item = &'a CertError> {
        let unread = self
            .unread
            .iter()
            .filter(|unread| !hosts.iter().any(|host| self.concerns(unread, host)));
        unread.map(|unread| &unread.error)
    }

    /// What there is instead of a certificate for a host that has none.
    pub(super) fn absence(&self, host: &Domain) -> String {
        let root = self.root.display();
        if self.state == Root::Missing {
            return format!("{root} does not exist");
        }
        let mut overlooked: Vec<_> = self.overlooked.iter().collect();
        // Those that are called like the host first.
        overlooked.sort_by_key(|path| !self.is_called_like(path, host));
        let names: Vec<_> = overlooked
            .iter()
            .take(3)
            .map(|path| path.display().to_string())
            .collect();
        match names.is_empty() {
            true => format!("none below {root} names it or is called like it"),
            false => format!(
                "none below {root} names it or is called like it; only files named *.crt and *fullchain*.pem and {host}.pem are \
                 read, {} for example is not",
                names.join(", ")
            ),
        }
    }
}

/// What files of certificates are called, here and elsewhere, beside `.pem`, which may be anything.
const ENDINGS: [&str; 7] = [".crt", ".cer", ".cert", ".der", ".p12", ".pfx", ".p7b"];

/// Whether a file that is not read looks as if it were meant to be.
fn is_overlooked(name: &str) -> bool {
    let name = name.to_lowercase();
    let is_key = name.contains("key");
    !is_key && (ENDINGS.iter().any(|ending| name.ends_with(ending)) || name == "cert.pem")
}

/// `.crt` becomes `.key`, `fullchain` becomes `privkey`, any other `.pem` becomes `.key`.
pub(super) fn key_beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(OsStr::to_string_lossy);
    match name {
        Some(name) if name.contains("fullchain") && !name.ends_with(".crt") => {
            path.with_file_name(name.replace("fullchain", "privkey"))
        }
        Some(_) | None => path.with_extension("key"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::made::{Certs, domain, params, self_made};

    /// `/etc/letsencrypt/live` is closed to everybody but root on many machines.
    #[test]
    fn a_directory_that_cannot_be_entered_may_hold_what_any_host_lacks() {
        let certs = Certs::new();
        certs.put("a.example", &self_made(&params(&["a.example"], 60)));
        let mut index = Index::read(certs.root());
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        index.miss_directory(&certs.path("live"), &error);
        for host in ["a.example", "b.example"].map(domain) {
            let choice = index.choices(&host, 0, &[]);
            let [(path, fault)] = &choice.faults[..] else {
                panic!("{:?}", choice.faults);
            };
            assert_eq!(*path, certs.path("live"));
            assert!(fault.message.contains("permission denied"), "{fault}");
        }
        assert_eq!(index.unread_beside(&[domain("b.example")]).count(), 0);
    }

    #[test]
    fn keys_are_looked_for_beside_their_certificates() {
        for (path, key) in [
            ("x/a.crt", "x/a.key"),
            ("x/fullchain.pem", "x/privkey.pem"),
            ("x/fullchain1.pem", "x/privkey1.pem"),
            ("x/fullchain.crt", "x/fullchain.key"),
            ("x/a.example.pem", "x/a.example.key"),
        ] {
            assert_eq!(key_beside(Path::new(path)), Path::new(key));
        }
    }
}
