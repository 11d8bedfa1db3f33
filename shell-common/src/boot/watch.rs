//! Whether files of certificates have changed since they were read (`certificates_watch`).
//!
//! `Choice:` they are looked at from time to time, by what the file system says of them: that works on every system and across links,
//! where one that tells of changes by itself tells of a link, and not of the file that it leads to.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use spondee_core::options::Expiry;

use crate::limits::CERTIFICATE_DIRECTORY_DEPTH;

/// The files as they were, and when to look again.
#[derive(Clone, Debug)]
pub(super) enum Watch {
    /// Nobody wants it.
    Off,
    On {
        every: Duration,
        looked: Instant,
        seen: Seen,
    },
}

impl Watch {
    /// From now on. Before the certificates are read, so that what changes meanwhile is seen.
    pub(super) fn begin(every: Expiry, certificates: &[PathBuf]) -> Self {
        match every {
            Expiry::Never => Self::Off,
            Expiry::After(every) => Self::On {
                every,
                looked: Instant::now(),
                seen: Seen::below(certificates),
            },
        }
    }

    /// How long there is nothing to do; `None` for ever.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::On { every, looked, .. } => {
                Some((*looked + *every).saturating_duration_since(now))
            }
        }
    }

    /// Whether it is time to look, and something is not as it was at the last look.
    pub(super) fn has_changed(&mut self, certificates: &[PathBuf], now: Instant) -> bool {
        if self.left(now) != Some(Duration::ZERO) {
            return false;
        }
        match self {
            Self::Off => false,
            Self::On { looked, seen, .. } => {
                *looked = now;
                let there = Seen::below(certificates);
                let changed = *seen != there;
                *seen = there;
                changed
            }
        }
    }
}

/// All files where certificates are looked for. Links are followed: that is how certbot lays its files out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Seen(BTreeMap<PathBuf, Stamp>);

/// What is another when a file is.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Stamp {
    There {
        device: u64,
        inode: u64,
        bytes: u64,
        /// Seconds and nanoseconds.
        modified: (i64, i64),
        /// The same of mode and owner.
        changed: (i64, i64),
    },
    Unreadable(io::ErrorKind),
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self::There {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Seen {
    fn below(certificates: &[PathBuf]) -> Self {
        let mut seen = Self(BTreeMap::new());
        for path in certificates {
            seen.add(path, CERTIFICATE_DIRECTORY_DEPTH);
        }
        seen
    }

    fn add(&mut self, path: &Path, depth: u8) {
        let entries = match fs::metadata(path) {
            // A directory is what is in it.
            Ok(metadata) if metadata.is_dir() => fs::read_dir(path),
            Ok(metadata) => {
                self.0.insert(path.to_owned(), Stamp::of(&metadata));
                return;
            }
            Err(error) => Err(error),
        };
        match entries {
            Ok(_) if depth == 0 => {}
            Ok(entries) => {
                // One that goes while it is read is missed at the next look.
                for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
                    let name = path.file_name().unwrap_or_default();
                    // What programs write beside, before it gets its name.
                    if !name.as_encoded_bytes().starts_with(b".") {
                        self.add(&path, depth - 1);
                    }
                }
            }
            Err(error) => {
                self.0
                    .insert(path.to_owned(), Stamp::Unreadable(error.kind()));
            }
        }
    }
}
