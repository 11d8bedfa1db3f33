//! The database file: made 0600, checked to be ours, brought to the newest schema.
//!
//! `PRAGMA user_version` counts schemas, `PRAGMA application_id` says whose file it is. A change of the schema is one more
//! entry of `MIGRATIONS`; entries that were released never change. An entry changes what is there: a table that is not there yet
//! is made from its shape in the catalog behind the last entry, so a new table, or what is counted of one, is an entry that says nothing.

mod fifth;
mod first;
mod fourth;
mod second;
mod shapes;
#[cfg(test)]
mod tests;
mod third;

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, ffi};
use spondee_core::store::Catalog;

use super::{History, whole};
use crate::limits::{SQLITE_BUSY_MS, SQLITE_CHECKED_BYTES, SQLITE_STATEMENTS, SQLITE_WAL_BYTES};
use crate::remedy;

/// `Spnd` in ASCII.
const APPLICATION_ID: i32 = 0x5370_6e64;

/// Bytes of a page, which is what a frame of the write-ahead log holds.
pub(super) const PAGE_BYTES: i64 = 4096;

/// What brings the database from version n to n + 1.
enum Step {
    /// By words alone.
    Say(&'static str),
    /// By more than words.
    Convert(fn(&Transaction<'_>) -> rusqlite::Result<()>),
}

/// Beginning with the empty database.
const MIGRATIONS: [Step; 7] = [
    Step::Say(first::SCHEMA),
    Step::Convert(second::convert),
    Step::Convert(third::convert),
    Step::Say(fourth::SCHEMA),
    Step::Say(fifth::SCHEMA),
    // The indexes by which is found who lacks keys, and whose password is kept.
    Step::Say(""),
    // What waits for other servers.
    Step::Say(""),
];

/// Opens the database for reading and writing, creating or migrating it.
pub(super) fn open(
    path: &Path,
    catalog: &Catalog,
    history: History<'_>,
) -> Result<Connection, String> {
    whole::examine(path, history)?;
    create_private(path).map_err(|error| {
        format!(
            "cannot use {}: {}",
            path.display(),
            remedy::explain(&error, path)
        )
    })?;
    let say = |error| explain(path, &error);
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(say)?;
    // Closed after a fault it must not write the log back into a damaged file.
    let keep_log =
        |keep| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep);
    keep_log(true).map_err(say)?;
    let version = examine(path, &connection)?;
    if let (0, History::Used(sign)) = (version, history) {
        let directory = path.parent().unwrap_or(path);
        return Err(whole::lost(
            &path.display().to_string(),
            directory,
            sign,
            "is empty",
        ));
    }
    check(path, &connection)?;
    keep_log(false).map_err(say)?;
    configure(&connection).map_err(say)?;
    // Before any question about what is kept: if a server ended because it could not sync its log, nothing may be built on what
    // the system only remembers of it.
    if version > 0 {
        fold(&connection).map_err(say)?;
    }
    if version < MIGRATIONS.len() {
        bring_up(path, &mut connection, version, catalog)?;
    }
    match shapes::missing(&connection, catalog).map_err(say)? {
        None => Ok(connection),
        Some(name) => Err(damaged(path, &format!("the table {name} is gone"))),
    }
}

/// Has SQLite look through a database that is small enough for that.
fn check(path: &Path, connection: &Connection) -> Result<(), String> {
    let say = |error| explain(path, &error);
    let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let size: i64 = connection
        .query_row(size, [], |row| row.get(0))
        .map_err(say)?;
    if size > SQLITE_CHECKED_BYTES {
        return Ok(());
    }
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(say)?;
    match found.as_str() {
        "ok" => Ok(()),
        found => Err(damaged(path, found)),
    }
}

/// Opens a database that `open` made, for reading only.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Opens a database that another process has open, for reading only.
pub(super) fn open_beside(path: &Path) -> Result<Connection, String> {
    let connection = open_reader(path).map_err(|error| explain(path, &error))?;
    match examine(path, &connection)? {
        version if version == MIGRATIONS.len() => Ok(connection),
        _ => Err(format!(
            "{} is in use by an older version of Spondee, or is being brought to the schema of this one: start the server anew, or try again",
            path.display()
        )),
    }
}

/// Makes the file before SQLite does, because SQLite would make it readable by all. The write-ahead log and the shared
/// memory file take their mode from this one.
fn create_private(path: &Path) -> io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(file) => {
            file.sync_all()?;
            // The name is on disk only when the directory is.
            path.parent()
                .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::set_permissions(path, Permissions::from_mode(0o600))
        }
        Err(error) => Err(error),
    }
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    // Without SQLITE_OPEN_URI: a path is a path. Without a mutex: a connection belongs to one thread at a time.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_millis(SQLITE_BUSY_MS))?;
    connection.set_prepared_statement_cache_capacity(SQLITE_STATEMENTS);
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// The schema's version, if the file is empty or ours. Changes nothing.
fn examine(path: &Path, connection: &Connection) -> Result<usize, String> {
    let say = |error| explain(path, &error);
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let version = number("user_version").map_err(say)?;
    let application = number("application_id").map_err(say)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(say)?;
    if application != APPLICATION_ID && (tables > 0 || version != 0 || application != 0) {
        return Err(format!(
            "{} is a database of another program: move it away, or set another data_directory",
            path.display()
        ));
    }
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > MIGRATIONS.len() {
        return Err(format!(
            "{} was written by a newer version of Spondee (schema {version}; this one knows schemas up to {}): install that \
             version again, or restore a backup made before it",
            path.display(),
            MIGRATIONS.len(),
        ));
    }
    Ok(version)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        tracing::warn!(
            mode,
            "the file system cannot do write-ahead logging: storage will be slow"
        );
    }
    // What was answered is on disk, also after a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", SQLITE_WAL_BYTES)?;
    // A damaged page is better found when read than when written over.
    connection.pragma_update(None, "cell_size_check", true)?;
    // The writer does it, after it has answered.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // What was deleted is wiped: neither keys nor messages of deleted accounts should linger.
    connection.pragma_update(None, "secure_delete", true)
}

/// Brings all of the log into the database and begins it anew, which nobody may be reading from.
fn fold(connection: &Connection) -> rusqlite::Result<()> {
    let fold = "PRAGMA wal_checkpoint(TRUNCATE)";
    let busy: bool = connection.query_row(fold, [], |row| row.get(0))?;
    match busy {
        true => Err(rusqlite::Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_BUSY),
            None,
        )),
        false => Ok(()),
    }
}

/// Migrates, and says so: a large database takes a while.
fn bring_up(
    path: &Path,
    connection: &mut Connection,
    version: usize,
    catalog: &Catalog,
) -> Result<(), String> {
    let file = path.display();
    let newest = MIGRATIONS.len();
    if version > 0 {
        tracing::info!(%file, "the database is brought from schema {version} to schema {newest}");
    }
    migrate(connection, version, catalog).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) if version > 0 => format!(
            "no room to bring {file} from schema {version} to schema {newest}: it takes about twice the file's size more for a \
             while; nothing was changed, make room and try again"
        ),
        _ => explain(path, &error),
    })?;
    if version > 0 {
        // Now, not when somebody waits for the writer: all that was moved is in the log.
        fold(connection).map_err(|error| explain(path, &error))?;
        tracing::info!(%file, "the database has schema {newest}");
    }
    Ok(())
}

/// All steps in one transaction: where one fails, nothing was changed.
fn migrate(connection: &mut Connection, version: usize, catalog: &Catalog) -> rusqlite::Result<()> {
    let whole = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    shapes::drop_views(&whole)?;
    for how in MIGRATIONS.iter().skip(version) {
        match how {
            Step::Say(sql) => whole.execute_batch(sql)?,
            Step::Convert(convert) => convert(&whole)?,
        }
    }
    shapes::make(&whole, catalog)?;
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(0);
    whole.pragma_update(None, "application_id", APPLICATION_ID)?;
    whole.pragma_update(None, "user_version", newest)?;
    whole.commit()
}

/// A sentence for the administrator.
fn explain(path: &Path, error: &rusqlite::Error) -> String {
    let shown = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => format!(
            "{shown} is not an SQLite database, or its beginning is damaged: restore it from a backup, or move it away to start \
             with an empty one"
        ),
        Some(ErrorCode::DatabaseCorrupt) => damaged(path, &error.to_string()),
        Some(ErrorCode::DiskFull) => {
            format!("no room for {shown}: the disk is full, make room on it and try again")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("{shown} is locked by another program: end it and try again")
        }
        _ => match refusal(path) {
            Some(reason) => format!("cannot open {shown}: {reason}"),
            None => format!(
                "cannot open {shown}: {error}; look at the disk (its health, free space, quotas and limits)"
            ),
        },
    }
}

fn damaged(path: &Path, how: &str) -> String {
    let path = path.display();
    format!("{path} is damaged ({how}): restore it from a backup, or try `sqlite3 {path} .recover`")
}

/// Why SQLite cannot write: it keeps the system's reason to itself, so the same is tried beside its file.
pub(super) fn refusal(path: &Path) -> Option<String> {
    let directory = path.parent()?;
    let beside = directory.join(TRIAL_NAME);
    let trial = || {
        OpenOptions::new().write(true).open(path)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        // As much as the first transaction writes, and the memory that connections share.
        file.write_all(&vec![0x55; TRIAL_BYTES])?;
        file.sync_all()
    };
    let outcome = trial();
    // There may be nothing to remove.
    let _ = std::fs::remove_file(&beside);
    outcome
        .err()
        .map(|error| remedy::explain(&error, directory))
}

/// A file that is there for a moment, after something failed.
const TRIAL_NAME: &str = "write_trial";
const TRIAL_BYTES: usize = 128 * 1024;
