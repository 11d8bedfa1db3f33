//! Putting a certificate and its key where the server looks for them, so that at no moment they are those of two.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;
use spondee_core::jid::Domain;
use zeroize::Zeroizing;

use super::CertError;
use super::named::Location;
use crate::limits::CERTIFICATE_FILE_BYTES;

/// The files of a host.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    owner: Owner,
}

/// Whose the files are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Owner {
    /// Who makes them.
    Maker,
    /// This user and group, whom root makes them for.
    Other(u32, u32),
}

impl Owner {
    /// Who owns the first of these that is there, where it is root that asks: the server has to read what root brings.
    pub(crate) fn of_server(paths: &[&Path]) -> Self {
        if !geteuid().is_root() {
            return Self::Maker;
        }
        let metadata = paths.iter().find_map(|path| fs::metadata(path).ok());
        metadata.map_or(Self::Maker, |metadata| {
            Self::Other(metadata.uid(), metadata.gid())
        })
    }

    /// A directory that was made just now.
    pub(super) fn take_directory(self, path: &Path) -> io::Result<()> {
        // Whoever may rename it has not made it a link to one of root's.
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::DIRECTORY).bits())
            .map_err(io::Error::other)?;
        self.take(&File::options().read(true).custom_flags(flags).open(path)?)
    }

    pub(super) fn take(self, file: &File) -> io::Result<()> {
        match self {
            Self::Maker => Ok(()),
            Self::Other(user, group) => fchown(file, Some(user), Some(group)),
        }
    }
}

impl Place {
    /// `HOST.crt` and `HOST.key` in the directory, which is made (0700) if it is not there.
    ///
    /// # Errors
    /// The directory cannot be made, or is none.
    pub(crate) fn of(directory: &Path, host: &Domain, owner: Owner) -> Result<Self, CertError> {
        if directory.is_file() {
            return Err(CertError::new(
                directory,
                "`certificates` names one file for all hosts; name a directory there, or replace that file by hand",
            ));
        }
        if !directory.is_dir() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .and_then(|()| owner.take_directory(directory))
                .map_err(|error| CertError::writing(directory, &error))?;
        }
        Ok(Self {
            directory: directory.to_owned(),
            certificate: directory.join(format!("{host}.crt")),
            key: directory.join(format!("{host}.key")),
            owner,
        })
    }

    /// The files that the configuration names for a host, if both lie in the directory itself.
    ///
    /// `Choice:` nothing is written elsewhere. What lies there may be another program's, and for root a directory below may be a link that
    /// the server's user has laid.
    pub(crate) fn named(directory: &Path, location: &Location, owner: Owner) -> Option<Self> {
        let (certificate, key) = (location.certificate.clone(), location.key());
        let is_in_it = |path: &PathBuf| path.parent() == Some(directory);
        let are_files = certificate != key && !certificate.is_dir();
        (are_files && is_in_it(&certificate) && is_in_it(&key)).then(|| Self {
            directory: directory.to_owned(),
            certificate,
            key,
            owner,
        })
    }

    /// Puts both there, in steps after each of which a server finds a certificate with the key that belongs to it.
    ///
    /// # Errors
    /// A file cannot be written. What was there is of use still, and the same again completes what was begun.
    pub(crate) fn put(&self, certificate: &str, key: &str) -> Result<(), CertError> {
        for step in self.steps(certificate, key)? {
            step.perform(self)?;
        }
        Ok(())
    }

    /// Both keys first, then the certificate, then its key alone: whichever certificate a server reads, the key of it is there.
    fn steps<'a>(&'a self, certificate: &'a str, key: &'a str) -> Result<[Step<'a>; 3], CertError> {
        let mut both = Zeroizing::new(key.as_bytes().to_vec());
        if let Some(old) =
            old_key(&self.key, self.owner).map_err(|error| CertError::io(&self.key, &error))?
        {
            both.reserve_exact(old.len());
            both.extend_from_slice(&old);
        }
        let step = |path, content| Step { path, content };
        Ok([
            step(&self.key, both),
            step(&self.certificate, Zeroizing::new(certificate.into())),
            step(&self.key, Zeroizing::new(key.into())),
        ])
    }
}

/// What is in the file of the key, unless it is none.
///
/// Where root writes for the server's user a link is not followed: that one could have root read to it what is not its own.
fn old_key(path: &Path, owner: Owner) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    // Opening a pipe would wait for somebody to write to it.
    let flags = OFlags::NONBLOCK
        | match owner {
            Owner::Maker => OFlags::empty(),
            Owner::Other(..) => OFlags::NOFOLLOW,
        };
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(_) if owner != Owner::Maker && path.is_symlink() => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    // Whatever else that is, it is no key of the certificate in use.
    if !metadata.is_file() || metadata.len() > CERTIFICATE_FILE_BYTES {
        return Ok(None);
    }
    let room = usize::try_from(metadata.len()).map_err(io::Error::other)?;
    let mut old = Zeroizing::new(Vec::with_capacity(room + 1));
    file.take(CERTIFICATE_FILE_BYTES).read_to_end(&mut old)?;
    Ok(Some(old))
}

/// A file that takes the place of another.
struct Step<'a> {
    path: &'a Path,
    content: Zeroizing<Vec<u8>>,
}

impl Step<'_> {
    fn perform(&self, place: &Place) -> Result<(), CertError> {
        replace(self.path, &self.content, 0o600, place.owner)?;
        // A name is safe once its directory is.
        File::open(&place.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| CertError::io(&place.directory, &error))
    }
}

/// Writes a file beside the one in `path` and gives it that one's name once it is on the disk.
pub(super) fn replace(
    path: &Path,
    content: &[u8],
    mode: u32,
    owner: Owner,
) -> Result<(), CertError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.new"));
    let write = || {
        match fs::remove_file(&new) {
            // One that did not come to its end left it.
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&new)?;
        owner.take(&file)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|error| {
        // What cannot be removed is in nobody's way: its name is none that is looked for.
        let _ = fs::remove_file(&new);
        CertError::writing(path, &error)
    })
}
