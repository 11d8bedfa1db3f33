//! What is wrong with a data directory, told without a change to it: a start refuses the same that `check config` tells.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};

use super::data::{LOCK_NAME, SECRET_NAME};
use crate::control::SOCKET_NAME;
use crate::limits::{DATA_BYTES_TO_RUN, DATA_BYTES_TO_START};
use crate::remedy::{User, explain, may_write};
use crate::rounds;
use crate::store;

/// What there is at the path of a data directory.
#[derive(Debug)]
pub(super) enum Found {
    /// A directory.
    Directory(Metadata),
    /// Nothing yet. It would be made in this directory, with all that is between them.
    Missing { above: PathBuf },
}

/// What `check config` has to say of a data directory.
#[derive(Debug, Default)]
pub struct Look {
    /// A start fails, or a server would soon.
    pub faults: Vec<String>,
    /// What is hardly meant.
    pub warnings: Vec<String>,
}

/// Looks at a data directory as the user that this process acts for, `config` being the configuration, if there is one. Changes nothing.
#[must_use]
pub fn look(path: &Path, config: Option<&Path>) -> Look {
    let mut look = Look::default();
    match find(path) {
        Err(fault) => look.faults.push(fault),
        Ok(Found::Missing { above }) => {
            match may_be_made(path, &above) {
                Ok(()) => look.warnings.extend(root_would_make(path, config)),
                Err(fault) => look.faults.push(fault),
            }
            room(&above, &mut look);
        }
        Ok(Found::Directory(metadata)) => {
            look.faults = faults(path, &metadata, User::own());
            if look.faults.is_empty() {
                room(path, &mut look);
                look.faults.extend(database(path).err());
            }
        }
    }
    look
}

fn root_would_make(path: &Path, config: Option<&Path>) -> Option<String> {
    Some(match made_by_root(path, config?)? {
        ByRoot::Refused(sentence) => sentence,
        ByRoot::Noted(_) => {
            let shown = path.display();
            format!(
                "the data directory {shown} does not exist, and a start as root makes it root's: where another user is to run the server, make \
                 it with `install -d -m 0700 -o USER {shown}`"
            )
        }
    })
}

/// # Errors
/// What is there is no directory, or cannot be looked at: a sentence for the administrator.
pub(super) fn find(path: &Path) -> Result<Found, String> {
    let shown = path.display();
    let mut above = path;
    loop {
        match fs::metadata(above) {
            Ok(metadata) if metadata.is_dir() => {
                return Ok(match above == path {
                    true => Found::Directory(metadata),
                    false => Found::Missing {
                        above: above.to_owned(),
                    },
                });
            }
            Ok(_) if above == path => {
                return Err(format!(
                    "the data directory {shown} is not a directory; move it away or set another data_directory"
                ));
            }
            Ok(_) => {
                return Err(format!(
                    "the data directory {shown} cannot be made: {} is not a directory; move it away or set another data_directory",
                    above.display()
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => dangling(path, above)?,
            // There is a file above it, or nobody knows what.
            Err(error) => {
                return Err(format!(
                    "the data directory {shown} cannot be looked at: {}",
                    explain(&error, above)
                ));
            }
        }
        above = match above.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return Err(format!("there is no place for the data directory {shown}")),
        };
    }
}

/// Refuses a link to nothing: where it leads, nothing would be made.
fn dangling(path: &Path, link: &Path) -> Result<(), String> {
    let Ok(target) = fs::read_link(link) else {
        return Ok(());
    };
    let above = link.parent().unwrap_or(link);
    let target = above.join(target);
    let (shown, link_shown, target) = (path.display(), link.display(), target.display());
    Err(match path == link {
        true => format!(
            "the data directory {shown} is a link to {target}, which does not exist: make that with `mkdir -m 0700 {target}` (or mount \
             what it is on), or remove the link"
        ),
        false => format!(
            "the data directory {shown} cannot be made: {link_shown} is a link to {target}, which does not exist: make that (or mount what \
             it is on), or remove the link"
        ),
    })
}

/// Whether this process may make the directory.
///
/// # Errors
/// A sentence for the administrator.
pub(super) fn may_be_made(path: &Path, above: &Path) -> Result<(), String> {
    let own = User::own();
    let shown = path.display();
    may_write(above).map_err(|error| match error.kind() == io::ErrorKind::PermissionDenied {
        true => format!(
            "the data directory {shown} does not exist, and {own} may not make it in {}: make it as root with `install -d -m 0700 -o {} \
             {shown}`, or set another data_directory",
            above.display(),
            own.chown()
        ),
        false => format!(
            "the data directory {shown} does not exist and cannot be made: {}",
            explain(&error, above)
        ),
    })
}

/// What is to be said of a data directory that root would make: it would be root's, and of no use to another user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ByRoot {
    /// Another user is to run the server, it seems.
    Refused(String),
    /// Nobody knows who is to run it.
    Noted(String),
}

/// `None` where the directory is there, this is not root, or nobody but root could enter it anyway. `config` is the configuration.
#[must_use]
pub fn made_by_root(path: &Path, config: &Path) -> Option<ByRoot> {
    match find(path) {
        Ok(Found::Missing { above }) if User::own().is_root() => {
            by_root(path, &above, config, User::named(SERVICE_USER))
        }
        Ok(Found::Missing { .. } | Found::Directory(_)) | Err(_) => None,
    }
}

/// The user that packages make.
const SERVICE_USER: &str = "spondee";

fn by_root(path: &Path, above: &Path, config: &Path, service: Option<User>) -> Option<ByRoot> {
    let shown = path.display();
    let other = |path: &Path| {
        let owner = fs::metadata(path).map(|metadata| User::of(&metadata));
        owner.ok().filter(|owner| !owner.is_root())
    };
    let private = |metadata: Metadata| metadata.permissions().mode() & 0o011 == 0;
    let (user, why) = if let Some(user) = other(above) {
        (user, format!("{} belongs to", above.display()))
    } else if fs::metadata(above).is_ok_and(private) {
        return None;
    } else if let Some(user) = other(config) {
        (user, format!("{} belongs to", config.display()))
    } else if let Some(user) = service {
        (user, "there is".to_owned())
    } else {
        return Some(ByRoot::Noted(format!(
            "the data directory {shown} is new and belongs to root: where another user is to run the server, give it to that user with \
             `chown -R USER {shown}`"
        )));
    };
    Some(ByRoot::Refused(format!(
        "the data directory {shown} does not exist, and made by root it would be of no use to the user that is to run the server ({why} \
         {user}): make it with `install -d -m 0700 -o {} {shown}`, then run this with `{}`; where root is to run the server, make it with \
         `install -d -m 0700 {shown}`",
        user.chown(),
        user.sudo()
    )))
}

/// What is wrong with a directory that is there. The first is what most stands in the way.
pub(super) fn faults(path: &Path, metadata: &Metadata, own: User) -> Vec<String> {
    let shown = path.display();
    let owner = User::of(metadata);
    let mode = metadata.permissions().mode() & 0o777;
    let mut faults = Vec::new();
    // Root could use it, but would leave files in it that its owner cannot read.
    if owner != own {
        faults.push(match owner.is_root() {
            true => format!(
                "the data directory {shown} belongs to root and this process to {own}: if that is the user that is to run the server, give \
                 it to it as root with `chown -R {} {shown}`",
                own.chown()
            ),
            false => format!(
                "the data directory {shown} belongs to {owner} and this process to {own}: run the server and its commands as that user, as \
                 with `{}`",
                owner.sudo()
            ),
        });
    }
    if mode & 0o077 != 0 {
        let remedy = match is_ours(path) {
            true => format!("run `chmod 0700 {shown}`"),
            // Their owners would be shut out.
            false => format!(
                "there are other files in it, so name a directory of its own, such as {}; or run `chmod 0700 {shown}`, if nobody else \
                 needs them",
                path.join("spondee").display()
            ),
        };
        faults.push(format!(
            "others can enter the data directory {shown} (its mode is {mode:04o}): {remedy}"
        ));
    } else if mode & 0o700 != 0o700 {
        faults.push(format!(
            "its owner cannot use the data directory {shown} (its mode is {mode:04o}): run `chmod 0700 {shown}`"
        ));
    }
    if faults.is_empty() {
        faults.extend(foreign_file(path, own));
        faults.extend(read_only(path));
    }
    faults
}

/// The names of what is kept in a data directory.
fn names() -> impl Iterator<Item = String> {
    let plain = [LOCK_NAME, SECRET_NAME, SOCKET_NAME, rounds::NAME];
    let database = ["", "-journal", "-shm", "-wal"].map(|end| format!("{}{end}", store::FILE_NAME));
    plain.map(str::to_owned).into_iter().chain(database)
}

/// Whether what is in a directory is ours, or nothing is in it.
fn is_ours(path: &Path) -> bool {
    let is_empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    names().any(|name| path.join(name).exists()) || is_empty()
}

/// A file that somebody else's command left there, as root's `sqlite3` does.
fn foreign_file(path: &Path, own: User) -> Option<String> {
    if own.is_root() {
        return None;
    }
    names().find_map(|name| {
        let file = path.join(name);
        let owner = User::of(&fs::symlink_metadata(&file).ok()?);
        (owner != own).then(|| {
            format!(
                "{} belongs to {owner} and this process to {own}: give it back as root with `chown -R {} {}`",
                file.display(),
                own.chown(),
                path.display()
            )
        })
    })
}

fn read_only(path: &Path) -> Option<String> {
    let system = statvfs(path).ok()?;
    system.f_flag.contains(StatVfsMountFlags::RDONLY).then(|| {
        format!(
            "the data directory {} is on a file system that is mounted read-only: mount it for writing or set another data_directory",
            path.display()
        )
    })
}

/// How much can still be written.
fn room(path: &Path, look: &mut Look) {
    if let Ok(system) = statvfs(path) {
        judge_room(path, &system, look);
    }
}

fn judge_room(path: &Path, system: &StatVfs, look: &mut Look) {
    let shown = path.display();
    let advice = "make room on it (`df -h` and `df -i` show what is left)";
    let bytes = free_bytes(system);
    if bytes.is_some_and(|bytes| bytes < DATA_BYTES_TO_START) || free_files(system) == Some(0) {
        look.faults.push(format!(
            "the disk that {shown} is on is full, the server cannot start: {advice}"
        ));
    } else if let Some(bytes) = bytes.filter(|bytes| *bytes < DATA_BYTES_TO_RUN) {
        look.warnings.push(format!(
            "the disk that {shown} is on is nearly full, {} MiB are left: {advice}",
            bytes >> 20
        ));
    }
}

/// `None` where the file system does not count.
fn free_bytes(system: &StatVfs) -> Option<u64> {
    let blocks = match User::own().is_root() {
        true => system.f_bfree,
        false => system.f_bavail,
    };
    (system.f_blocks > 0).then(|| blocks.saturating_mul(system.f_frsize))
}

fn free_files(system: &StatVfs) -> Option<u64> {
    (system.f_files > 0).then_some(system.f_favail)
}

/// Whether the database is whole. Beside a running server, which may be writing it, nothing is said.
fn database(path: &Path) -> Result<(), String> {
    let socket = path.join(SOCKET_NAME);
    if std::os::unix::net::UnixStream::connect(socket).is_ok() {
        return Ok(());
    }
    store::examine(path, super::data::history(&path.join(SECRET_NAME)))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::boot::DataDirectory;
    use crate::scratch::Scratch;
    use crate::store::FILE_NAME;

    /// What a start refuses is what `check config` tells, and neither leaves anything behind.
    #[track_caller]
    fn refused(path: &Path, words: &[&str]) {
        let before = entries(path);
        let faults = look(path, None).faults;
        assert!(!faults.is_empty());
        for words in words {
            assert!(faults[0].contains(words), "{words}: {faults:?}");
        }
        let refusal = DataDirectory::open(path).unwrap_err();
        assert_eq!(refusal, faults[0]);
        assert_eq!(entries(path), before);
    }

    /// What is in a directory and beside it.
    fn entries(path: &Path) -> Vec<PathBuf> {
        let list = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
        let both = list(path).chain(list(path.parent().unwrap()));
        let mut paths: Vec<PathBuf> = both.map(|entry| entry.path()).collect();
        paths.sort();
        paths
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_no_directory_or_cannot_be_one_is_told() {
        let scratch = Scratch::new();
        let (data, file) = (scratch.path().join("data"), scratch.path().join("file"));
        fs::write(&file, "").unwrap();
        refused(&file, &["is not a directory", "another data_directory"]);
        refused(
            &file.join("data"),
            &["Not a directory", "file is not a directory"],
        );
        symlink("elsewhere", &data).unwrap();
        let target = scratch.path().join("elsewhere");
        let make = format!("mkdir -m 0700 {}", target.display());
        refused(&data, &["is a link to", &make]);
        refused(&data.join("deeper"), &["cannot be made", "is a link to"]);
        fs::remove_file(&data).unwrap();
        symlink(&data, &data).unwrap();
        refused(&data, &["links", "lead back to themselves"]);
        fs::remove_file(&data).unwrap();
        // A link to a directory is a directory.
        fs::create_dir(&target).unwrap();
        set_mode(&target, 0o700);
        symlink(&target, &data).unwrap();
        assert!(look(&data, None).faults.is_empty());
        DataDirectory::open(&data).unwrap();
    }

    #[test]
    fn a_directory_that_is_not_there_is_made_by_a_start_only() {
        let scratch = Scratch::new();
        let data = scratch.path().join("deep/data");
        assert!(look(&data, None).faults.is_empty());
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        DataDirectory::open(&data).unwrap();
        assert!(look(&data, None).faults.is_empty());
    }

    #[test]
    fn a_mode_is_told_with_what_to_run() {
        let scratch = Scratch::new();
        let data = scratch.path().join("data");
        fs::create_dir(&data).unwrap();
        let run = format!("run `chmod 0700 {}`", data.display());
        for mode in [0o755, 0o750, 0o701] {
            set_mode(&data, mode);
            refused(&data, &["others can enter", &run]);
        }
        for mode in [0o500, 0o600, 0o000] {
            set_mode(&data, mode);
            refused(&data, &["its owner cannot use", &run]);
        }
        // Whoever follows the advice must not shut others out of what is theirs.
        set_mode(&data, 0o755);
        fs::write(data.join("theirs"), "").unwrap();
        refused(&data, &["name a directory of its own", "data/spondee"]);
        fs::write(data.join(LOCK_NAME), "").unwrap();
        let faults = look(&data, None).faults;
        assert!(faults[0].ends_with(&run), "{faults:?}");
        set_mode(&data, 0o700);
    }

    #[test]
    fn another_owner_is_told_with_who_should_do_what() {
        let scratch = Scratch::new();
        let metadata = fs::metadata(scratch.path()).unwrap();
        let told = |own| faults(scratch.path(), &metadata, own);
        assert_eq!(told(User::own()), [""; 0]);
        let other = User(4_000_000_000);
        let advice = match User::own().is_root() {
            true => format!(
                "as root with `chown -R 4000000000 {}`",
                scratch.path().display()
            ),
            false => format!("as with `{}`", User::own().sudo()),
        };
        assert!(told(other)[0].contains(&advice), "{:?}", told(other));
        // Never to run the server as root.
        assert!(!told(other)[0].contains("sudo -u root"));
        // In good order but for a file that root's tools left there.
        fs::write(scratch.path().join(format!("{FILE_NAME}-wal")), "").unwrap();
        let told = foreign_file(scratch.path(), other).unwrap();
        assert!(
            told.contains("-wal belongs to") && told.contains("chown -R"),
            "{told}"
        );
        assert_eq!(foreign_file(scratch.path(), User::own()), None);
    }

    /// Where signs say that another user is to run the server, root does not begin its directory.
    #[test]
    fn root_makes_no_directory_for_another_user() {
        let scratch = Scratch::new();
        let data = scratch.path().join("data");
        let config = scratch.path().join("spondee.toml");
        fs::write(&config, "").unwrap();
        if User::own().is_root() {
            let by_root = |service| by_root(&data, scratch.path(), &config, service);
            // Nobody else could enter it.
            assert_eq!(by_root(Some(User(998))), None);
            set_mode(scratch.path(), 0o755);
            let Some(ByRoot::Noted(note)) = by_root(None) else {
                panic!("{:?}", by_root(None));
            };
            assert!(note.contains("`chown -R USER"), "{note}");
            let refused = |service| match by_root(service) {
                Some(ByRoot::Refused(why)) => why,
                other => panic!("{other:?}"),
            };
            let why = refused(Some(User(4_000_000_000)));
            assert!(why.contains("install -d -m 0700 -o 4000000000"), "{why}");
            std::os::unix::fs::chown(&config, Some(4_000_000_001), None).unwrap();
            let why = refused(Some(User(4_000_000_000)));
            assert!(why.contains("sudo -u '#4000000001'"), "{why}");
            std::os::unix::fs::chown(scratch.path(), Some(4_000_000_002), None).unwrap();
            let why = refused(None);
            assert!(why.contains("sudo -u '#4000000002'"), "{why}");
            assert!(look(&data, Some(&config)).warnings[0].contains("made by root"));
        }
        fs::create_dir(&data).unwrap();
        assert_eq!(made_by_root(&data, &config), None);
    }

    #[test]
    fn a_disk_without_room_is_told() {
        let free = |bytes, files| {
            let scratch = Scratch::new();
            let mut system = statvfs(scratch.path()).unwrap();
            system.f_frsize = 1024;
            system.f_blocks = 1 << 30;
            system.f_bfree = bytes / 1024;
            system.f_bavail = bytes / 1024;
            system.f_files = 100;
            system.f_favail = files;
            let mut look = Look::default();
            judge_room(scratch.path(), &system, &mut look);
            (look.faults.join(""), look.warnings.join(""))
        };
        assert_eq!(free(DATA_BYTES_TO_RUN, 1), (String::new(), String::new()));
        for (bytes, files) in [(0, 1), (DATA_BYTES_TO_START - 1024, 1), (1 << 40, 0)] {
            assert!(free(bytes, files).0.contains("is full"), "{bytes} {files}");
        }
        let (fault, warning) = free(DATA_BYTES_TO_START, 1);
        assert!(
            fault.is_empty() && warning.contains("nearly full"),
            "{warning}"
        );
    }

    #[test]
    fn a_lost_database_is_told_before_a_start() {
        let scratch = Scratch::new();
        let data = DataDirectory::open(scratch.path()).unwrap();
        drop(data.store().unwrap());
        data.server_secret().unwrap();
        drop(data);
        assert!(look(scratch.path(), None).faults.is_empty());
        let database = scratch.path().join(FILE_NAME);
        fs::write(&database, "").unwrap();
        let told = |words: &str| {
            let faults = look(scratch.path(), None).faults;
            assert!(faults.len() == 1 && faults[0].contains(words), "{faults:?}");
            let data = DataDirectory::open(scratch.path()).unwrap();
            assert_eq!(data.store().unwrap_err(), faults[0]);
        };
        told("is empty");
        fs::remove_file(&database).unwrap();
        told("is gone");
        // To begin anew on purpose.
        fs::remove_file(scratch.path().join(SECRET_NAME)).unwrap();
        assert!(look(scratch.path(), None).faults.is_empty());
        let data = DataDirectory::open(scratch.path()).unwrap();
        data.store().unwrap();
    }
}
