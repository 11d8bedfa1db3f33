//! A server and its commands where they cannot work: each time the administrator is told what stands in the way and what to do.
//!
//! Disks are made by mounting a small one over the data directory, in a mount namespace of the command alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use spec_tests::server::{Scratch, Server, Stopped};

const QUICK: &str = "default_iteration_count = 4096\n";

/// The user that nothing belongs to.
const NOBODY: u32 = 65534;

fn prepared() -> Stopped {
    Server::prepare(Scratch::new().unwrap(), QUICK).unwrap()
}

/// Runs the program by a shell that does something first.
fn behind(first: &str, program: &Path) -> Command {
    let mut command = Command::new("sh");
    let script = format!("{first} && exec \"$@\"");
    command.args(["-c", &script, "sh"]).arg(program);
    command
}

/// Runs the program where something is mounted over its data directory; `None` where this may not be done.
fn mounted(options: &str, then: &str, prepared: &Stopped) -> Option<Command> {
    for space in [&["--mount"][..], &["--mount", "--user", "--map-root-user"]] {
        let mut trial = Command::new("unshare");
        let trial = trial
            .args(space)
            .args(["mount", "-t", "tmpfs", "none", "/mnt"]);
        let allowed = trial.stderr(Stdio::null()).status();
        if allowed.is_ok_and(|status| status.success()) {
            let data = prepared.data();
            let data = data.display();
            let first = format!(
                "mkdir -m 0700 -p '{data}' && mount -t tmpfs -o mode=0700,{options} none '{data}' && cd '{data}' && {then}"
            );
            let script = format!("{first} && exec \"$@\"");
            let mut command = Command::new("unshare");
            command.args(space).args(["sh", "-c", &script, "sh"]);
            command.arg(prepared.binary());
            return Some(command);
        }
    }
    // If standard error is closed, nobody wants to know.
    let _ = writeln!(
        std::io::stderr(),
        "left out: disks, which may not be mounted here"
    );
    None
}

const STARTS: [(&[&str], &str); 3] = [
    (&["serve"], ""),
    (&["user", "add", "juliet@localhost"], "secret\n"),
    (&["check", "config"], ""),
];

#[test]
fn a_full_disk_is_told_with_where_it_is_and_what_to_do() {
    let prepared = prepared();
    for size in ["64k", "128k"] {
        let fill = "! cat /dev/zero > full 2> /dev/null";
        for (arguments, input) in STARTS {
            let Some(command) = mounted(&format!("size={size}"), fill, &prepared) else {
                return;
            };
            let told = prepared.administer(command, arguments, input).unwrap_err();
            assert!(told.contains("exit status: 3"), "{told}");
            if arguments[0] != "check" {
                let disk = format!("the disk that {}", prepared.data().display());
                for words in [disk.as_str(), "is full", "make room"] {
                    assert!(told.contains(words), "{arguments:?}: {told}");
                }
            }
        }
    }
}

#[test]
fn a_disk_that_cannot_be_written_is_told() {
    let prepared = prepared();
    for (arguments, input) in STARTS {
        let Some(command) = mounted("ro", "true", &prepared) else {
            return;
        };
        let told = prepared.administer(command, arguments, input).unwrap_err();
        assert!(told.contains("exit status: 3"), "{told}");
        if arguments[0] != "check" {
            assert!(
                told.contains("mounted read-only: mount it for writing"),
                "{told}"
            );
        }
    }
}

/// A limit on files ends neither a start nor a command by its signal.
#[test]
fn limits_of_the_process_are_told_with_how_to_raise_them() {
    let prepared = prepared();
    for (limit, words) in [
        ("ulimit -n 5", "`ulimit -n`, or LimitNOFILE="),
        ("ulimit -n 7", "`ulimit -n`, or LimitNOFILE="),
        ("ulimit -n 16", "`ulimit -n`, or LimitNOFILE="),
        ("ulimit -f 8", "`ulimit -f`, or LimitFSIZE="),
    ] {
        let command = behind(limit, prepared.binary());
        let told = prepared.administer(command, &["serve"], "").unwrap_err();
        assert!(told.contains("exit status: 3"), "{limit}: {told}");
        assert!(told.contains(words), "{limit}: {told}");
    }
}

/// What one user began, another one is not told to be root for.
#[test]
fn whose_data_it_is_is_told_to_another_user() {
    if !rustix::process::geteuid().is_root() {
        // What is root's is refused to this user; the rest takes root to be tried.
        let prepared = prepared();
        for arguments in [&["user", "add", "juliet@localhost"][..], &["serve"]] {
            let told = over(&prepared, Path::new("/"), arguments).unwrap_err();
            assert!(told.contains("belongs to root"), "{told}");
            assert!(told.contains("chown -R"), "{told}");
        }
        return;
    }
    let prepared = prepared();
    let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    open(prepared.scratch(), 0o755);
    // The one that was built may lie where nobody else may look.
    let program = prepared.scratch().join("spondee");
    fs::copy(prepared.binary(), &program).unwrap();
    let as_nobody = || {
        let mut command = Command::new("setpriv");
        let id = NOBODY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
        command.arg(&program);
        command
    };
    let (add, secret) = (["user", "add", "juliet@localhost"], "secret\n");
    let refused = |words: &[&str]| {
        for arguments in [&add[..], &["serve"]] {
            let told = prepared
                .administer(as_nobody(), arguments, secret)
                .unwrap_err();
            assert!(told.contains("exit status: 3"), "{told}");
            for words in words {
                assert!(told.contains(words), "{words}: {told}");
            }
            assert!(!told.contains("sudo -u root"), "{told}");
        }
        let told = prepared.administer(as_nobody(), &["check", "config"], "");
        assert!(told.is_err());
    };
    let data = prepared.data();
    refused(&["may not make it in", "install -d -m 0700 -o"]);
    assert!(!data.exists());

    prepared.add_user("juliet@localhost", "secret").unwrap();
    refused(&["belongs to root", "chown -R"]);
    chown(&data, Some(NOBODY), None).unwrap();
    refused(&["data/lock belongs to root", "chown -R"]);

    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    open(&data, 0o700);
    chown(&data, Some(NOBODY), None).unwrap();
    prepared.administer(as_nobody(), &add, secret).unwrap();
    let told = prepared.add_user("romeo@localhost", "secret").unwrap_err();
    assert!(told.contains("as with `sudo -u"), "{told}");
}

/// Runs a command over another data directory.
fn over(prepared: &Stopped, data: &Path, arguments: &[&str]) -> Result<String, String> {
    let config = prepared.scratch().join("spondee.toml");
    let text = fs::read_to_string(&config).unwrap();
    let other = format!("data_directory = {data:?}");
    let own = format!("data_directory = {:?}", prepared.data());
    assert!(text.contains(&own), "{text}");
    fs::write(&config, text.replace(&own, &other)).unwrap();
    let command = Command::new(prepared.binary());
    let done = prepared.administer(command, arguments, "secret\n");
    fs::write(&config, text).unwrap();
    done
}

/// Root may do everything, and would leave files that their owner cannot read: no command of root's touches another's data, not even to
/// read, because SQLite makes files to do that.
#[test]
fn root_is_told_to_be_the_owner_of_the_data() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else may enter such a directory at all; whose it is can be asked of what everybody may enter.
        let prepared = prepared();
        let told = over(&prepared, Path::new("/tmp"), &["user", "list"]).unwrap_err();
        assert!(told.contains("belongs to root"), "{told}");
        return;
    }
    let prepared = prepared();
    prepared.add_user("juliet@localhost", "secret").unwrap();
    let data = prepared.data();
    let files = || {
        let entries = fs::read_dir(&data).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    for file in files() {
        chown(data.join(file), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    let before = files();
    let export = prepared.scratch().join("juliet.xml").display().to_string();
    let commands: [&[&str]; 10] = [
        &["serve"],
        &["user", "add", "romeo@localhost"],
        &["user", "list"],
        &["user", "show", "juliet@localhost"],
        &["user", "passwd", "juliet@localhost"],
        &["user", "export", "juliet@localhost", "-o", &export],
        &["user", "erase", "--yes", "juliet@localhost"],
        &["passwords", "upgrade"],
        &["archive", "stats"],
        &["check", "config"],
    ];
    for arguments in commands {
        let command = Command::new(prepared.binary());
        let told = prepared.administer(command, arguments, "secret\n");
        // `check config` tells on standard output.
        let Err(told) = told else {
            panic!("{arguments:?} was done");
        };
        if arguments[0] != "check" {
            assert!(told.contains("exit status: 3"), "{told}");
            for words in ["belongs to user", "as with `sudo -u"] {
                assert!(told.contains(words), "{words}: {told}");
            }
        }
        assert_eq!(files(), before, "{arguments:?}");
    }
    assert!(!Path::new(&export).exists());
}
