//! A PostgreSQL server for the tests of this process alone: begun with the first that asks, ended with the process, on a Unix socket in a
//! directory of its own.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use spondee_core::store::Catalog;

use crate::scratch::Scratch;
use crate::store::Postgresql;

/// PostgreSQL refuses to run as root: there it runs as `nobody` and `nogroup`, whom every Debian has.
const NOBODY: (u32, u32) = (65_534, 65_534);

/// It waits until its input ends, however the process that has the other end of that ends. The database's own order is that of a language,
/// so that what must be in the order of bytes shows it.
const SCRIPT: &str = "
    trap '' INT HUP
    cd \"$2\" || exit 1
    \"$1/initdb\" -D data --no-sync --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
        --locale-provider=icu --icu-locale=en-US >initdb.log 2>&1 || { cat initdb.log; exit 1; }
    \"$1/pg_ctl\" -w -D data -l server.log -o \"-k '$2' -c listen_addresses= -c fsync=off -c full_page_writes=off \
        -c max_connections=300 -c shared_buffers=32MB -c max_wal_size=256MB\" start >start.log 2>&1 ||
        { cat start.log server.log; exit 1; }
    echo ready
    cat >/dev/null
    \"$1/pg_ctl\" -D data -m immediate stop >stop.log 2>&1
    rm -rf -- \"$2\"
";

struct Cluster {
    directory: PathBuf,
    /// Its input is open as long as this process lives.
    _server: Child,
}

/// A back end with a schema of its own, or `None` where tests with PostgreSQL are left out, which is said once: as `left_out` of
/// `spec-tests/src/program.rs`.
pub(in crate::store) fn postgresql(catalog: &Catalog) -> Option<Postgresql> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    let cluster = CLUSTER.get_or_init(start).as_ref()?;
    let mut config = tokio_postgres::Config::new();
    config.host_path(&cluster.directory).user("postgres");
    let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
    let schema = format!("test_{number}");
    Some(Postgresql::open_for_test(config, &schema, catalog).unwrap())
}

fn start() -> Option<Cluster> {
    if std::env::var_os("SPONDEE_INTEROP").is_none() {
        // Past the harness, which would keep it to itself.
        let _ = writeln!(
            std::io::stderr(),
            "left out: the store in PostgreSQL; spec-tests/run runs it"
        );
        return None;
    }
    let programs = programs().expect("PostgreSQL is installed: spec-tests/run does that");
    // The script removes it: a static is never dropped.
    let scratch = std::mem::ManuallyDrop::new(Scratch::new());
    let directory = scratch.path().to_owned();
    let mut command = match rustix::process::geteuid().is_root() {
        true => {
            chown(&directory, Some(NOBODY.0), Some(NOBODY.1)).unwrap();
            let mut command = Command::new("setpriv");
            let (user, group) = NOBODY;
            command.args([
                format!("--reuid={user}"),
                format!("--regid={group}"),
                "--clear-groups".to_owned(),
                "sh".to_owned(),
            ]);
            command
        }
        false => Command::new("sh"),
    };
    let arguments: [OsString; 5] = [
        "-c".into(),
        SCRIPT.into(),
        "sh".into(),
        programs.into(),
        directory.clone().into(),
    ];
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut server = command.spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(server.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "ready" {
            let _server = server;
            return Some(Cluster { directory, _server });
        }
        said += &line;
        said.push('\n');
    }
    let _ = server.wait();
    panic!("PostgreSQL does not start: {said}");
}

/// Where Debian keeps what is not for everybody's path: the newest.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = versions.filter_map(|entry| Some(entry.ok()?.path()));
    let newest = versions
        .filter(|path| path.join("bin/initdb").exists())
        .max_by_key(|path| version(path));
    newest.map(|path| path.join("bin"))
}
