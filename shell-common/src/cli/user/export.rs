//! `spondee user export`: read from the database by this process, whether a server has it open or not.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use spondee_core::jid::BareJid;

use super::super::Console;
use super::super::failure::Failure;
use super::Office;
use crate::boot::{Access, DataDirectory};
use crate::limits::pie::WRITTEN;
use crate::pie::{ExportError, Exported, export};
use crate::remedy::explain;
use crate::store::{Backend, Sqlite};

impl Office<'_> {
    pub(super) fn export(
        &self,
        account: &BareJid,
        output: Option<&Path>,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        self.serves(account.domain())?;
        self.has_data()?;
        let access = DataDirectory::access(&self.settings.data_directory);
        let (mut store, secret) =
            opened(&access.map_err(Failure::Unusable)?).map_err(Failure::Unusable)?;
        match output {
            None => {
                let mut out = BufWriter::with_capacity(WRITTEN, &mut *console.out);
                let written = export(&mut store, account, &secret, &mut out);
                written.map(drop).map_err(|error| failure(account, error))
            }
            Some(path) => {
                let exported = into_file(&mut store, account, &secret, path)?;
                let Exported { archived, waiting } = exported;
                let shown = path.display();
                Ok(writeln!(
                    console.out,
                    "{account} was written to {shown}: {archived} archived messages, {waiting} that wait"
                )?)
            }
        }
    }
}

/// Without the lock nothing is written, and a server that runs goes on as if nobody read.
fn opened(access: &Access) -> Result<(Sqlite, [u8; 32]), String> {
    Ok(match access {
        Access::Locked(data) => {
            let store = data.store()?;
            (store, data.server_secret()?)
        }
        Access::Beside(data) => (data.store()?, data.server_secret()?),
    })
}

fn into_file(
    store: &mut dyn Backend,
    account: &BareJid,
    secret: &[u8; 32],
    path: &Path,
) -> Result<Exported, Failure> {
    let say = |error: io::Error| {
        let (shown, why) = (path.display(), explain(&error, path));
        Failure::Unusable(format!("cannot write {shown}: {why}"))
    };
    let mut draft = Draft::beside(path).map_err(say)?;
    let mut out = BufWriter::with_capacity(WRITTEN, &mut draft.file);
    let exported = match export(store, account, secret, &mut out) {
        Ok(exported) => exported,
        Err(ExportError::Io(error)) => return Err(say(error)),
        Err(error) => return Err(failure(account, error)),
    };
    drop(out);
    draft.finish(path).map_err(say)?;
    Ok(exported)
}

/// A file that does not have its name yet. Dropped, it is gone.
struct Draft {
    file: File,
    path: PathBuf,
}

impl Draft {
    fn beside(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(io::Error::other(
                "what is there is no file; name another place",
            ));
        }
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::other("this is no name of a file"))?;
        let mut draft = name.to_owned();
        // Of this process alone: two exports to one name do not write into one file.
        draft.push(format!(".{}.part", std::process::id()));
        let draft = path.with_file_name(draft);
        // Left over from another process of this number.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        Ok(Self { file, path: draft })
    }

    /// On disk, and then under its name: never half of it.
    fn finish(self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        let above = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) | None => Path::new("."),
        };
        File::open(above)?.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It is not there any more once it has its name.
        let _ = fs::remove_file(&self.path);
    }
}

fn failure(account: &BareJid, error: ExportError) -> Failure {
    match error {
        ExportError::NoSuchUser => Failure::Refused(format!(
            "there is no user {account}; `spondee user list` shows which there are"
        )),
        ExportError::Gone => Failure::Refused(format!(
            "{account} was deleted while it was written: nothing was exported"
        )),
        ExportError::Bad(what) => Failure::Unusable(format!(
            "{account} cannot be exported: what the database has of it makes no sense ({what}); restore it from a backup"
        )),
        ExportError::Store => Failure::Unusable(format!(
            "{account} was not exported: the database failed; the log above says how"
        )),
        ExportError::Io(error) => error.into(),
    }
}
