//! What a server and its commands make is their owner's alone, whatever the umask: nothing is left to chance for a moment, either.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use spec_tests::client::{Client, PATIENCE};
use spec_tests::program::{Program, left_out};
use spec_tests::server::{Scratch, Server, Stopped};
use spec_tests::strace;

/// Passwords first, keys later; and nobody waits for either.
const PLAIN: &str = "authentication = \"internal_plain\"\ndefault_iteration_count = 4096\n";

/// Runs the program by a shell that takes the umask away.
fn open_handed(mut shell: Command, program: &Path) -> Command {
    shell.args(["-c", "umask 000 && exec \"$@\"", "sh"]);
    shell.arg(program);
    shell
}

/// Everything below a directory, by its path in it; nobody but the owner may do anything with any of it.
fn walk(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let (kind, mode) = (metadata.file_type(), metadata.permissions().mode() & 0o7777);
        let shown = path.display();
        if kind.is_dir() {
            assert_eq!(mode, 0o700, "{shown} has mode {mode:04o}");
            left.extend(entries(&path));
        } else if is_public(&path) {
            assert_eq!(mode & 0o7022, 0, "{shown} has mode {mode:04o}");
        } else {
            assert!(kind.is_file() || kind.is_socket(), "{shown}: {kind:?}");
            assert_eq!(mode & 0o7177, 0, "{shown} has mode {mode:04o}");
        }
        let name = path.strip_prefix(root).unwrap();
        found.insert(name.display().to_string());
    }
    found
}

/// What is there for everybody: a certificate is shown to whoever connects, and a request for one to who issues it.
fn is_public(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    // As it is called until it is whole.
    let name = name.strip_suffix(".new").unwrap_or(name);
    [".crt", ".csr"].iter().any(|end| name.ends_with(end))
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn contains(found: &BTreeSet<String>, names: &[&str]) {
    for name in names {
        assert!(found.contains(*name), "no {name}: {found:?}");
    }
}

/// Each command of the administrator's that makes anything, by `command`, with no server.
fn administer(stopped: &Stopped, exports: &Path, command: &mut dyn FnMut() -> Command) {
    let export = exports.join("juliet.xml").display().to_string();
    let config = stopped.scratch().join("spondee.toml");
    let mut run = |arguments: &[&str], input: &str| {
        let done = stopped.administer(command(), arguments, input);
        done.unwrap();
    };
    let (juliet, romeo) = ("juliet@localhost", "romeo@localhost");
    run(&["check", "config"], "");
    run(&["user", "add", juliet], "secret\n");
    run(&["user", "add", romeo], "secret\n");
    run(&["user", "passwd", juliet], "another\n");
    run(&["user", "export", juliet, "--output", &export], "");
    // Over one that was there, which others could read.
    fs::set_permissions(&export, fs::Permissions::from_mode(0o644)).unwrap();
    run(&["user", "export", juliet, "--output", &export], "");
    run(&["user", "erase", "--yes", juliet], "");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("user_tombstone_expiry = 0\n{text}")).unwrap();
    run(&["user", "import", &export], "");
    fs::write(&config, text.replace("internal_plain", "internal_hashed")).unwrap();
    run(&["passwords", "upgrade"], "");
    run(&["user", "list"], "");
    run(&["archive", "stats"], "");
    run(
        &[
            "archive",
            "trim",
            "--yes",
            "localhost",
            "--older-than",
            "1y",
        ],
        "",
    );
    let certs = stopped.scratch().join("certs");
    let from = certs.display().to_string();
    for (name, commands) in [
        (
            "made",
            &[
                &["cert", "generate", "localhost"][..],
                &["cert", "request", "localhost"],
            ][..],
        ),
        (
            "brought",
            &[&["cert", "import", "--from", &from], &["check", "certs"]],
        ),
    ] {
        let place = stopped.scratch().join(name);
        let said = format!("certificates = {certs:?}");
        assert!(text.contains(&said), "{text}");
        let here = text.replace(&said, &format!("certificates = {place:?}"));
        fs::write(&config, here).unwrap();
        for arguments in commands {
            run(arguments, "");
        }
        let names = ["localhost.crt", "localhost.key"];
        contains(&walk(&place), &names);
    }
    fs::write(&config, text).unwrap();
}

fn prepared() -> (Stopped, PathBuf) {
    let stopped = Server::prepare(Scratch::new().unwrap(), PLAIN).unwrap();
    let exports = stopped.scratch().join("exports");
    DirBuilder::new().mode(0o700).create(&exports).unwrap();
    (stopped, exports)
}

#[test]
fn without_a_umask_all_that_a_run_makes_is_its_owners_alone() {
    let (stopped, exports) = prepared();
    let (data, program) = (stopped.data(), stopped.binary().to_owned());
    let mut command = || open_handed(Command::new("sh"), stopped.binary());
    administer(&stopped, &exports, &mut command);
    contains(&walk(&exports), &["juliet.xml"]);
    walk(&data);

    let command = open_handed(Command::new("sh"), stopped.binary());
    let mut server = stopped.begin(command).unwrap();
    server.add_user("nurse@localhost", "secret").unwrap();
    let trust = server.trust().unwrap();
    let mut romeo = Client::session(server.clear, "localhost", &trust, "romeo", "secret").unwrap();
    romeo
        .send("<message to='nurse@localhost' type='chat' id='m'><body>Peace!</body></message>")
        .unwrap();
    server
        .command(&["user", "show", "romeo@localhost"])
        .unwrap();
    let export = exports.join("romeo.xml").display().to_string();
    let command = open_handed(Command::new("sh"), &program);
    server
        .administer(
            command,
            &["user", "export", "romeo@localhost", "-o", &export],
            "",
        )
        .unwrap();
    let running = walk(&data);
    contains(
        &running,
        &[
            "lock",
            "server_secret",
            "control.sock",
            "spondee.sqlite",
            "spondee.sqlite-wal",
            "spondee.sqlite-shm",
        ],
    );
    contains(&walk(&exports), &["juliet.xml", "romeo.xml"]);
    server.kill().unwrap();
    walk(&data);
}

/// A file that is there for a moment only, too, and one that is given its mode a moment later, is nobody else's to open.
#[test]
fn without_a_umask_nothing_is_open_to_others_for_a_moment() {
    if left_out("with which modes files are made, which needs strace") {
        return;
    }
    let (stopped, exports) = prepared();
    let mut traces = Vec::new();
    let mut command = || {
        let trace = stopped.scratch().join(format!("trace-{}", traces.len()));
        let mut shell = strace::tracing(&trace);
        shell.arg("sh");
        traces.push(trace);
        open_handed(shell, stopped.binary())
    };
    administer(&stopped, &exports, &mut command);
    let serve = command();
    let mut made = Made::default();
    let mut server = stopped.begin(serve).unwrap();
    server.add_user("nurse@localhost", "secret").unwrap();
    server.stop().unwrap();
    for trace in traces {
        strace::wait_for_end(&trace).unwrap();
        made.look_through(&trace);
    }
    for name in [
        "lock",
        "server_secret.new",
        "spondee.sqlite",
        ".part",
        "data",
    ] {
        let is_it = |path: &String| path.ends_with(name);
        assert!(made.0.iter().any(is_it), "no {name}: {:?}", made.0);
    }
}

/// What was made, by its path.
#[derive(Default)]
struct Made(BTreeSet<String>);

impl Made {
    fn look_through(&mut self, trace: &Path) {
        let lines = BufReader::new(File::open(trace).unwrap());
        strace::read(lines, |moment| {
            let (path, mode) = match moment.call {
                "open" if moment.argument(1)?.contains("O_CREAT") => (0, 2),
                "openat" if moment.argument(2)?.contains("O_CREAT") => (1, 3),
                "mkdir" | "creat" | "mknod" => (0, 1),
                "mkdirat" | "mknodat" => (1, 2),
                _ => return Ok(()),
            };
            let (path, mode) = (moment.text(path)?, moment.argument(mode)?);
            let bits = u32::from_str_radix(mode, 8).map_err(|e| format!("{mode}: {e}"))?;
            assert!(
                bits & 0o077 == 0 || is_public(Path::new(&path)),
                "{path} is made with {mode}"
            );
            self.0.insert(path);
            Ok(())
        })
        .unwrap();
    }
}

/// A server without a configuration, in a network of its own, so that its ports are nobody else's.
#[test]
fn without_a_umask_a_development_servers_certificate_and_data_are_its_owners_alone() {
    let stopped = Server::prepare(Scratch::new().unwrap(), "").unwrap();
    let home = stopped.scratch().join("home");
    DirBuilder::new().mode(0o700).create(&home).unwrap();
    let spaces = [&["--net"][..], &["--net", "--user", "--map-root-user"]];
    let allowed = spaces.into_iter().find(|space| {
        let mut trial = Command::new("unshare");
        let trial = trial.args(*space).arg("true").stderr(Stdio::null());
        trial.status().is_ok_and(|status| status.success())
    });
    let Some(space) = allowed else {
        // If standard error is closed, nobody wants to know.
        let _ = writeln!(
            std::io::stderr(),
            "left out: a server without a configuration, which may not have a network of its own here"
        );
        return;
    };
    let mut unshare = Command::new("unshare");
    unshare.args(space).arg("sh");
    let mut server = open_handed(unshare, stopped.binary());
    server.current_dir(&home).env_remove("SPONDEE_CONFIG");
    let mut server = Program::start(server).unwrap();
    let ready = |line: &str| line.contains("listening on").then_some(());
    server.wait_for(PATIENCE, ready).unwrap();
    let names = [
        "spondee-data/server_secret",
        "spondee-data/certs/localhost.key",
        "spondee-data/certs/localhost.crt",
    ];
    contains(&walk(&home), &names);
}
