//! The data directory: one process at a time, for its owner only, with a secret made once.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::look::{self, Found};
use crate::remedy::{User, explain};
use crate::seed;
use crate::store::{History, Sqlite, open_sqlite, open_sqlite_reader};

pub(super) const LOCK_NAME: &str = "lock";
pub(super) const SECRET_NAME: &str = "server_secret";
/// What the secret is called until it is whole.
const NEW_SECRET_NAME: &str = "server_secret.new";

/// A locked data directory: mode 0700 checked, one process at a time.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// Locked as long as it is open: the system frees it however the process ends.
    _lock: File,
}

impl DataDirectory {
    /// Creates the directory 0700 if missing, refuses one that others can enter, takes its lock.
    ///
    /// # Errors
    /// A sentence for the administrator: the mode and the chmod to run, or that a server is running.
    pub fn open(path: &Path) -> Result<Self, String> {
        let metadata = match look::find(path)? {
            Found::Directory(metadata) => metadata,
            Found::Missing { above } => {
                look::may_be_made(path, &above)?;
                let made = create_private(path).and_then(|()| fs::metadata(path));
                made.map_err(|error| {
                    let (shown, why) = (path.display(), explain(&error, path));
                    format!("cannot make the data directory {shown}: {why}")
                })?
            }
        };
        if let Some(fault) = look::faults(path, &metadata, User::own())
            .into_iter()
            .next()
        {
            return Err(fault);
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock(path)?,
        })
    }

    /// As `open`; where a server or another command has the lock, what it may be read by.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub fn access(path: &Path) -> Result<Access, String> {
        match look::find(path)? {
            Found::Directory(metadata) => {
                if let Some(fault) = look::faults(path, &metadata, User::own())
                    .into_iter()
                    .next()
                {
                    return Err(fault);
                }
                match try_lock(path)? {
                    Lock::Taken(_) => Ok(Access::Beside(Beside {
                        path: path.to_owned(),
                    })),
                    Lock::Ours(lock) => Ok(Access::Locked(Self {
                        path: path.to_owned(),
                        _lock: lock,
                    })),
                }
            }
            Found::Missing { .. } => Self::open(path).map(Access::Locked),
        }
    }

    /// Opens the database in it.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub fn store(&self) -> Result<Sqlite, String> {
        let secret = self.path.join(SECRET_NAME);
        open_sqlite(&self.path, history(&secret))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `server_secret`: 32 bytes made once and stored 0600. To be asked for after the store: a secret without a database tells that the
    /// database is lost.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub fn server_secret(&self) -> Result<[u8; 32], String> {
        let path = self.path.join(SECRET_NAME);
        let say = |what: &str, error: &io::Error| {
            format!(
                "cannot {what} {}: {}",
                path.display(),
                explain(error, &path)
            )
        };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.make_secret(&path).map_err(|error| say("make", &error));
            }
            Err(error) => return Err(say("read", &error)),
        };
        fs::set_permissions(&path, Permissions::from_mode(0o600))
            .map_err(|error| say("protect", &error))?;
        <[u8; 32]>::try_from(bytes).map_err(|bytes| {
            format!(
                "{} is damaged, it has {} bytes instead of 32: restore it from a backup; without one remove it, and a new one \
                 is made (no account is lost)",
                path.display(),
                bytes.len()
            )
        })
    }

    /// Whole or not at all, also after a power cut.
    fn make_secret(&self, path: &Path) -> io::Result<[u8; 32]> {
        let secret = seed::fresh().map_err(io::Error::other)?;
        let new = self.path.join(NEW_SECRET_NAME);
        // Left over from a start that was cut off.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&secret)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(&self.path)?.sync_all()?;
        Ok(secret)
    }
}

/// A data directory, whoever has its lock.
#[derive(Debug)]
pub enum Access {
    /// A server or another command has it.
    Beside(Beside),
    /// This process.
    Locked(DataDirectory),
}

/// A data directory that is in use: it can be read, and nothing else.
#[derive(Debug)]
pub struct Beside {
    path: PathBuf,
}

impl Beside {
    /// Opens the database in it for reading.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub fn store(&self) -> Result<Sqlite, String> {
        open_sqlite_reader(&self.path)
    }

    /// `server_secret`, which whoever uses the directory has made.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub fn server_secret(&self) -> Result<[u8; 32], String> {
        let path = self.path.join(SECRET_NAME);
        let bytes = fs::read(&path).map_err(|error| {
            let (shown, why) = (path.display(), explain(&error, &path));
            format!("cannot read {shown}: {why}")
        })?;
        <[u8; 32]>::try_from(bytes).map_err(|_| format!("{} is damaged", path.display()))
    }
}

/// What this file, made behind the database, tells of it.
pub(super) fn history(secret: &Path) -> History<'_> {
    match secret.exists() {
        true => History::Used(secret),
        false => History::Unknown,
    }
}

/// Creates a directory 0700, and those it is in, where they are missing. Each name is on disk only when the directory it is in is
/// synced: else a power cut could take the directory with every account that was ever reported done.
fn create_private(path: &Path) -> io::Result<()> {
    let above = match path.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        // There is always a root.
        None => return Ok(()),
    };
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => File::open(above)?.sync_all(),
        Err(_) if path.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_private(above)?;
            DirBuilder::new().mode(0o700).create(path)?;
            File::open(above)?.sync_all()
        }
        Err(error) => Err(error),
    }
}

fn lock(directory: &Path) -> Result<File, String> {
    match try_lock(directory)? {
        Lock::Ours(file) => Ok(file),
        Lock::Taken(process) => Err(format!(
            "the data directory {} is in use: a Spondee server or command is running (process {process})",
            directory.display(),
        )),
    }
}

/// What came of the wish to have a lock.
enum Lock {
    Ours(File),
    /// This process has it.
    Taken(String),
}

fn try_lock(directory: &Path) -> Result<Lock, String> {
    let path = directory.join(LOCK_NAME);
    let say =
        |error: io::Error| format!("cannot lock {}: {}", path.display(), explain(&error, &path));
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(say)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut process = String::new();
            // Only to say more: the number may be missing at the very beginning.
            let _ = file.take(20).read_to_string(&mut process);
            return Ok(Lock::Taken(process.trim().to_owned()));
        }
        Err(error) => return Err(say(error.into())),
    }
    // For people; only the lock itself counts.
    file.set_len(0).map_err(say)?;
    writeln!(file, "{}", std::process::id()).map_err(say)?;
    Ok(Lock::Ours(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn makes_a_directory_for_its_owner_only() {
        let scratch = Scratch::new();
        let path = scratch.path().join("var/spondee");
        let data = DataDirectory::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join(LOCK_NAME)), 0o600);
        assert_eq!(data.path(), path);
    }

    #[test]
    fn refuses_a_directory_that_others_can_enter_and_says_what_to_run() {
        let scratch = Scratch::new();
        for open in [0o755, 0o750, 0o701] {
            fs::set_permissions(scratch.path(), Permissions::from_mode(open)).unwrap();
            let refusal = DataDirectory::open(scratch.path()).unwrap_err();
            let advice = format!("chmod 0700 {}", scratch.path().display());
            assert!(refusal.contains(&advice), "{refusal}");
        }
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o700)).unwrap();
        DataDirectory::open(scratch.path()).unwrap();
    }

    #[test]
    fn refuses_a_second_process_and_names_the_first() {
        let scratch = Scratch::new();
        let first = DataDirectory::open(scratch.path()).unwrap();
        let refusal = DataDirectory::open(scratch.path()).unwrap_err();
        let process = format!("process {}", std::process::id());
        assert!(refusal.contains(&process), "{refusal}");
        drop(first);
        DataDirectory::open(scratch.path()).unwrap();
    }

    #[test]
    fn makes_the_secret_once_and_keeps_it_private() {
        let scratch = Scratch::new();
        let data = DataDirectory::open(scratch.path()).unwrap();
        fs::write(scratch.path().join(NEW_SECRET_NAME), "half").unwrap();
        let secret = data.server_secret().unwrap();
        assert_ne!(secret, [0; 32]);
        assert_eq!(data.server_secret().unwrap(), secret);
        let path = scratch.path().join(SECRET_NAME);
        assert_eq!(mode(&path), 0o600);
        assert!(!scratch.path().join(NEW_SECRET_NAME).exists());
        fs::write(&path, "short").unwrap();
        let refusal = data.server_secret().unwrap_err();
        assert!(refusal.contains("5 bytes instead of 32"), "{refusal}");
    }
}
