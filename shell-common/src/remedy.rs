//! What an administrator can do about an error of the operating system, in a sentence.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::limits::PASSWD_BYTES;

/// The error, and what can be done about it where that is known. `path` is where it happened; it need not exist.
#[must_use]
pub fn explain(error: &io::Error, path: &Path) -> String {
    match Errno::from_io_error(error).and_then(|errno| remedy(errno, path)) {
        Some(remedy) => format!("{error}: {remedy}"),
        None => error.to_string(),
    }
}

fn remedy(errno: Errno, path: &Path) -> Option<String> {
    let shown = path.display();
    Some(match errno {
        Errno::NOSPC => format!(
            "the disk that {shown} is on is full; make room on it (`df -h` and `df -i` show what is left), then try again"
        ),
        Errno::DQUOT => format!(
            "the quota of {} on the disk that {shown} is on is used up; make room or have it raised, then try again",
            User::own()
        ),
        Errno::ROFS => format!(
            "{shown} is on a file system that is mounted read-only; mount it for writing, or name another place"
        ),
        Errno::ACCESS | Errno::PERM => forbidden(path),
        Errno::MFILE => "this process may not open more files; raise its limit (`ulimit -n`, or LimitNOFILE= of its service)".to_owned(),
        Errno::NFILE => "the system has as many files open as it allows; end other programs or raise fs.file-max".to_owned(),
        Errno::FBIG => "this process may not write longer files; raise its limit (`ulimit -f`, or LimitFSIZE= of its service)".to_owned(),
        Errno::NOTDIR => {
            let file = ancestors(path).find(|above| fs::metadata(above).is_ok_and(|it| !it.is_dir()));
            let file = file.unwrap_or_else(|| path.to_owned());
            format!("{} is not a directory; move it away, or name another place", file.display())
        }
        Errno::LOOP => format!("there are links at {shown} that lead back to themselves; remove one of them"),
        Errno::IO => format!("the disk that {shown} is on fails; look at its health (`dmesg`), and have a backup at hand"),
        Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS => format!(
            "the file system that {shown} is on cannot do this; name a place on a local disk"
        ),
        _ => return None,
    })
}

/// Who may not do what where: the first directory that keeps us out, or the path itself.
fn forbidden(path: &Path) -> String {
    let own = User::own();
    for above in ancestors(path) {
        let Ok(metadata) = fs::metadata(&above) else {
            continue;
        };
        let owner = User(metadata.uid());
        let mode = metadata.permissions().mode() & 0o7777;
        let shown = above.display();
        return format!(
            "{own} may not do this in {shown}, which belongs to {owner} (its mode is {mode:04o}); do it as {}",
            owner.or_root()
        );
    }
    format!("{own} may not do this; do it as another user")
}

/// The path and the directories it is in, from the inside out.
fn ancestors(path: &Path) -> impl Iterator<Item = PathBuf> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let all: Vec<PathBuf> = absolute.ancestors().map(Path::to_owned).collect();
    all.into_iter()
}

/// Whether this process may enter a directory and make files in it, by what the system itself says.
pub(crate) fn may_write(directory: &Path) -> io::Result<()> {
    // As open(2) would judge, not as access(2), which asks for the user who started us.
    accessat(
        CWD,
        directory,
        Access::WRITE_OK | Access::EXEC_OK,
        AtFlags::EACCESS,
    )
    .map_err(Into::into)
}

/// A user of the system, shown by name where `/etc/passwd` has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct User(pub(crate) u32);

impl User {
    /// Whom this process acts for.
    pub(crate) fn own() -> Self {
        Self(geteuid().as_raw())
    }

    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self(metadata.uid())
    }

    pub(crate) const fn is_root(self) -> bool {
        self.0 == 0
    }

    /// The user of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        find(&passwd()?, |other, number| {
            (other == name).then_some(Self(number))
        })
    }

    fn name(self) -> Option<String> {
        // Only to say more: without it there is the number.
        let is_it = |name: &str, number| (number == self.0).then(|| name.to_owned());
        find(&passwd()?, is_it)
    }

    /// As `sudo -u` has it.
    pub(crate) fn sudo(self) -> String {
        let name = self.name().unwrap_or_else(|| format!("'#{}'", self.0));
        format!("sudo -u {name}")
    }

    /// As `chown` has it.
    pub(crate) fn chown(self) -> String {
        self.name().unwrap_or_else(|| self.0.to_string())
    }

    fn or_root(self) -> String {
        match self.is_root() {
            true => "root".to_owned(),
            false => format!("{self} or root"),
        }
    }
}

fn passwd() -> Option<String> {
    let mut text = String::new();
    let file = File::open("/etc/passwd").ok()?;
    file.take(PASSWD_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The first user of a text like `/etc/passwd` for which `wanted` gives something.
fn find<T>(text: &str, wanted: impl Fn(&str, u32) -> Option<T>) -> Option<T> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        wanted(name, fields.nth(1)?.parse().ok()?)
    };
    text.lines().find_map(user)
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) if self.is_root() => f.write_str(&name),
            Some(name) => write!(f, "user {name} ({})", self.0),
            None => write!(f, "user {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn told(errno: Errno, path: &Path) -> String {
        explain(&errno.into(), path)
    }

    #[test]
    fn an_error_that_can_be_cured_says_how_and_keeps_its_own_words() {
        let path = Path::new("/nonexistent/data");
        for (errno, own, cure) in [
            (Errno::NOSPC, "No space left", "is full; make room"),
            (Errno::DQUOT, "quota", "have it raised"),
            (Errno::ROFS, "Read-only", "mount it for writing"),
            (
                Errno::ACCESS,
                "Permission denied",
                "may not do this in /, which belongs to root",
            ),
            (Errno::PERM, "not permitted", "may not do this"),
            (Errno::MFILE, "Too many open files", "ulimit -n"),
            (Errno::NFILE, "Too many open files", "fs.file-max"),
            (Errno::FBIG, "too large", "ulimit -f"),
            (Errno::LOOP, "symbolic links", "lead back to themselves"),
            (Errno::IO, "Input/output", "dmesg"),
            (Errno::NOLCK, "locks", "a local disk"),
        ] {
            let told = told(errno, path);
            assert!(told.contains(own) && told.contains(cure), "{told}");
        }
        let other = told(Errno::NOENT, path);
        assert_eq!(other, "No such file or directory (os error 2)");
    }

    #[test]
    fn a_file_in_place_of_a_directory_is_named() {
        let scratch = Scratch::new();
        let file = scratch.path().join("file");
        fs::write(&file, "").unwrap();
        let told = told(Errno::NOTDIR, &file.join("data/deeper"));
        assert!(
            told.contains(&format!("{} is not a directory", file.display())),
            "{told}"
        );
    }

    #[test]
    fn users_have_the_names_of_the_system() {
        let text = "root:x:0:0:root:/root:/bin/bash\nspondee:x:998:998::/var/lib/spondee:/bin/false\nbroken\n:x:5:5\n";
        let name = |number| find(text, |name, id| (id == number).then(|| name.to_owned()));
        assert_eq!(name(998).as_deref(), Some("spondee"));
        assert_eq!((name(5), name(7)), (None, None));
        assert_eq!(User::named("root"), Some(User(0)));
        assert_eq!(User::named("no such user"), None);
        let nobody_has_it = User(4_000_000_000);
        assert_eq!(nobody_has_it.to_string(), "user 4000000000");
        assert_eq!(nobody_has_it.sudo(), "sudo -u '#4000000000'");
        assert_eq!(User(0).to_string(), "root");
    }
}
