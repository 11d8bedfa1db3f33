//! The command line from its arguments to its exit code: without a server, and beside one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod export;
mod import;
mod links;
mod passwords;
mod place;
mod reaching;

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use spondee_core::envelope::placement::Placement;
use spondee_core::jid::BareJid;
use spondee_core::limits::PASSWORD_BYTES;
use spondee_core::port::{Command, CommandError, CommandReply};
use spondee_core::roster::{ROSTER, ROSTER_VERSION};
use spondee_core::sasl::Tombstones;
use spondee_core::secret::Secret;
use spondee_core::store::{Batch, Class, Expect, Field, Op, Row};
use spondee_shell_common::boot::DataDirectory;
use spondee_shell_common::cli::{Console, Input, Surroundings, main_with};
use spondee_shell_common::config::Settings;
use spondee_shell_common::control::{Control, SOCKET_NAME, call, socket_path};
use spondee_shell_common::mailbox::{Letter, Mailbox};
use spondee_shell_common::offline::Offline;
use spondee_shell_common::store::Backend as _;

use place::Place;

#[test]
fn users_are_added_listed_disabled_enabled_and_deleted_without_a_server() {
    let place = Place::new();
    let added = place.run("spondee user add juliet@example.org", "secret\n");
    let data = place.path("data");
    let said = format!(
        "juliet@example.org was added (in {}; no server runs there)\n",
        data.display()
    );
    assert_eq!(added.is_done().out, said);
    place
        .run("spondee user add romeo@example.net", "secret")
        .is_done();

    let list = |line: &str| place.run(line, "").is_done().out.clone();
    let everybody = "romeo@example.net\njuliet@example.org\n";
    assert_eq!(list("spondee user list"), everybody);
    assert_eq!(
        list("spondee user list example.org"),
        "juliet@example.org\n"
    );

    place
        .run("spondee user disable juliet@example.org", "")
        .is_done();
    assert_eq!(
        list("spondee user list example.org"),
        "juliet@example.org disabled\n"
    );
    assert_eq!(
        list("spondee user list example.org --json"),
        "[\n{\"jid\":\"juliet@example.org\",\"status\":\"disabled\"}\n]\n"
    );
    place
        .run("spondee user passwd juliet@example.org", "another\n")
        .is_done();
    assert_eq!(
        list("spondee user list example.org"),
        "juliet@example.org disabled\n"
    );
    place
        .run("spondee user enable juliet@example.org", "")
        .is_done();
    assert_eq!(list("spondee user list"), everybody);

    place
        .run("spondee user delete --yes juliet@example.org", "")
        .is_done();
    assert_eq!(list("spondee user list"), "romeo@example.net\n");
    assert_eq!(list("spondee user list example.org --json"), "[]\n");
}

#[test]
fn an_account_is_shown_without_a_server_whether_it_may_sign_in_or_not() {
    let place = Place::new();
    place
        .run("spondee user add juliet@example.org", "secret\n")
        .is_done();
    let shown = |status: &str| {
        let data = place.path("data");
        let data = data.display();
        format!(
            "juliet@example.org is {status} and has no contacts (in {data}; no server runs there)\n\
             keys of its password are kept\n\
             no device is connected\n"
        )
    };
    let show = |form: &str| {
        let line = format!("spondee user show juliet@example.org{form}");
        place.run(&line, "").is_done().out.clone()
    };
    assert_eq!(show(""), shown("enabled"));
    place
        .run("spondee user disable juliet@example.org", "")
        .is_done();
    assert_eq!(show(""), shown("disabled"));
    keep_contact(&place, "romeo@example.net");
    let json = "{\n  \"jid\": \"juliet@example.org\",\n  \"status\": \"disabled\",\n  \"password\": \"hashed\",\n  \"contacts\": 1,\n  \"subscriptions\": {\n    \
                \"both\": 0,\n    \"to\": 0,\n    \"from\": 0,\n    \"none\": 1\n  },\n  \"requests\": 0,\n  \"blocked\": 0,\n  \
                \"last_activity\": null,\n  \"devices\": []\n}\n";
    assert_eq!(show(" --json"), json);
    // What is kept and makes no sense is told as a failure, not as nothing.
    keep_contact(&place, "");
    place
        .run("spondee user show juliet@example.org", "")
        .is_refused(3, "nothing can be shown: the database failed");
}

/// Juliet has this contact.
fn keep_contact(place: &Place, contact: &str) {
    let data = DataDirectory::open(&place.path("data")).unwrap();
    let mut row = Row(vec![Field::Absent; ROSTER.width()]);
    for (field, text) in row.0.iter_mut().zip([contact, "Romeo", "none"]) {
        *field = Field::text(text);
    }
    let batch = Batch {
        owner: BareJid::parse("juliet@example.org").unwrap(),
        tenure: 0,
        class: Class::Change,
        ops: vec![
            Op::Put {
                table: &ROSTER,
                row,
                expect: Expect::Absent,
            },
            Op::Put {
                table: &ROSTER_VERSION,
                row: Row(vec![Field::Int(1)]),
                expect: Expect::Anything,
            },
        ],
    };
    let outcomes = data.store().unwrap().apply(&[batch]);
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
}

#[test]
fn what_cannot_be_done_is_refused_with_code_1() {
    let place = Place::new();
    place
        .run("spondee user add juliet@example.org", "secret\n")
        .is_done();
    for (line, input, advice) in [
        (
            "user add juliet@example.org",
            "secret",
            "spondee user passwd juliet@example.org",
        ),
        (
            "user add romeo@example.org",
            "",
            "no password on standard input",
        ),
        ("user add romeo@example.org", "\n", "the password is empty"),
        ("user add romeo@example.org", "a\tb\n", "control character"),
        (
            "user add romeo@example.com",
            "secret",
            "example.net, example.org",
        ),
        (
            "user passwd romeo@example.org",
            "secret",
            "no user romeo@example.org",
        ),
        (
            "user disable romeo@example.org",
            "",
            "no user romeo@example.org",
        ),
        (
            "user enable romeo@example.org",
            "",
            "no user romeo@example.org",
        ),
        (
            "user delete --yes romeo@example.org",
            "",
            "no user romeo@example.org",
        ),
        (
            "user show romeo@example.org",
            "",
            "no user romeo@example.org; `spondee user list`",
        ),
        ("user delete romeo@example.com", "", "is not served"),
        ("user show romeo@example.com", "", "is not served; those of"),
        ("user list example.com", "", "is not served"),
    ] {
        place
            .run(&format!("spondee {line}"), input)
            .is_refused(1, advice);
    }
    let list = place.run("spondee user list", "");
    assert_eq!(list.is_done().out, "juliet@example.org\n");
}

#[test]
fn a_wrong_command_line_is_code_2() {
    let place = Place::new();
    place
        .run("spondee user ad juliet@example.org", "")
        .is_refused(2, "add");
    place
        .run("spondee user add juliet", "")
        .is_refused(2, "USER@HOST");
    place
        .run("spondee check config a.toml --config b.toml", "")
        .is_refused(2, "once");
}

#[test]
fn what_cannot_be_used_is_code_3_with_what_to_do() {
    let place = Place::new();
    let list = "spondee user list";
    place.run(list, "").is_refused(3, "there are no users yet");
    assert!(!place.path("data").exists());

    place
        .run("spondee user add juliet@example.org", "secret")
        .is_done();
    fs::set_permissions(place.path("data"), Permissions::from_mode(0o755)).unwrap();
    place.run(list, "").is_refused(3, "chmod 0700");
    fs::set_permissions(place.path("data"), Permissions::from_mode(0o700)).unwrap();

    let lock = DataDirectory::open(&place.path("data")).unwrap();
    place.run(list, "").is_refused(3, "is in use");
    drop(lock);
    place.run(list, "").is_done();

    place.configure("c2s_prots = [5222]\n");
    place.run(list, "").is_refused(3, "spondee.toml:1");
    place
        .run("spondee --config no-such-file user list", "")
        .is_refused(3, "no-such-file");
}

#[test]
fn without_a_configuration_it_works_beside_the_development_server_only() {
    let place = Place::new();
    place
        .run_bare("spondee user list", "")
        .is_refused(3, "where the server was started");
    place
        .run_bare("spondee user add juliet@localhost", "secret")
        .is_done();
    place
        .run_bare("spondee user add juliet@example.org", "secret")
        .is_refused(1, "only localhost");
    let list = place.run_bare("spondee user list", "");
    assert_eq!(list.is_done().out, "juliet@localhost\n");
    assert!(place.path("spondee-data").exists());
}

#[test]
fn a_development_server_starts_from_nothing_and_says_what_to_do() {
    let place = Place::new();
    for _ in 0..2 {
        let started = place.run_bare("./spondee", "");
        assert_eq!(started.is_done().out.lines().count(), 5, "{started:?}");
        assert!(started.out.contains("./spondee user add juliet@localhost"));
        let certificate = place.path("spondee-data/certs/localhost.crt");
        assert!(started.out.contains(&certificate.display().to_string()));
        assert!(certificate.exists());
    }
    let check = place.run_bare("spondee check config", "");
    assert!(
        check
            .is_done()
            .out
            .contains("host localhost: has a certificate")
    );
}

/// What it says is true only once its ports are open.
#[test]
fn a_development_server_that_cannot_listen_does_not_greet() {
    let place = Place::new();
    let failed = place.run_with("./spondee", "", None, |_, _| {
        Err("cannot listen on 127.0.0.1:5222".into())
    });
    failed.is_refused(3, "cannot listen on 127.0.0.1:5222");
    assert_eq!(failed.out, "");
}

#[test]
fn a_configured_server_gets_its_settings_and_says_nothing() {
    let place = Place::new();
    let file = place.path("spondee.toml");
    let started = place.run_with("spondee serve", "", Some(file), |booted, _| {
        assert_eq!(booted.config.hosts.len(), 2);
        assert!(booted.reload.file.is_some());
        Ok(())
    });
    assert_eq!(started.is_done().out, "");
}

#[test]
fn a_server_that_fails_is_code_3() {
    let place = Place::new();
    let file = place.path("spondee.toml");
    let failed = place.run_with("spondee", "", Some(file), |_, _| {
        Err("the port is taken".into())
    });
    failed.is_refused(3, "the port is taken");
}

/// Answers every command with success and remembers it.
#[derive(Debug)]
struct Obliging {
    control: Control,
    seen: Mutex<Vec<Command>>,
}

impl Mailbox for Obliging {
    fn post(&self, letters: Vec<Letter>) {
        for letter in letters {
            let Letter::Command(id, command) = letter else {
                continue;
            };
            self.seen.lock().unwrap().push(command);
            self.control.answer(id, Ok(CommandReply::Done));
        }
    }
}

#[test]
fn beside_a_running_server_commands_go_through_its_socket() {
    let place = Place::new();
    let data = DataDirectory::open(&place.path("data")).unwrap();
    let control = Control::new(data.path().join(SOCKET_NAME));
    let shard = Arc::new(Obliging {
        control: control.clone(),
        seen: Mutex::default(),
    });
    let mailbox: Arc<dyn Mailbox> = Arc::clone(&shard) as _;
    control
        .serve(vec![mailbox], Placement::new(&[0; 32], 1))
        .unwrap();

    let done = place.run("spondee user passwd juliet@example.org", "secret\n");
    assert_eq!(
        done.is_done().out,
        "juliet@example.org has a new password\n"
    );
    let seen = shard.seen.lock().unwrap().clone();
    let [Command::Passwd { account, password }] = &seen[..] else {
        panic!("{seen:?}");
    };
    assert_eq!(account.as_str(), "juliet@example.org");
    assert_eq!(password.expose(), b"secret");
    // A server that knows less than this program does.
    place
        .run("spondee user show juliet@example.org", "")
        .is_refused(3, "of another version");
    control.stop();
}

/// A server in all that commands see of one.
struct Serving(Mutex<Offline>, Control);

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Serving")
    }
}

impl Mailbox for Serving {
    fn post(&self, letters: Vec<Letter>) {
        for letter in letters {
            if let Letter::Command(id, command) = letter {
                let result = self.0.lock().unwrap().call(command);
                self.1.answer(id, result);
            }
        }
    }
}

/// Serves a place while this lives.
struct Server(Control);

impl Server {
    fn over(place: &Place) -> Self {
        let settings = Settings::load(&place.path("spondee.toml")).unwrap();
        let control = Control::new(socket_path(&settings.data_directory).unwrap());
        let offline = Offline::open(&settings).unwrap();
        let serving = Serving(Mutex::new(offline), control.clone());
        control
            .serve(vec![Arc::new(serving)], Placement::new(&[0; 32], 1))
            .unwrap();
        Self(control)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Bounds and words are the same, so that nothing works one day and not the next.
#[test]
fn commands_are_taken_and_refused_alike_with_a_server_and_without() {
    let (alone, served) = (Place::new(), Place::new());
    let server = Server::over(&served);
    let longest = "x".repeat(PASSWORD_BYTES);
    let too_long = format!("{longest}x");
    let twenty = "x".repeat(20_000);
    for (line, input) in [
        ("user add juliet@example.org", "secret\n"),
        ("user add juliet@example.org", "secret\n"),
        ("user add romeo@example.net", longest.as_str()),
        ("user add viola@example.net", too_long.as_str()),
        ("user add viola@example.net", twenty.as_str()),
        ("user add viola@example.net", ""),
        ("user add viola@example.net", "\u{7}"),
        ("user add viola@example.com", "secret"),
        ("user passwd juliet@example.org", too_long.as_str()),
        ("user passwd juliet@example.org", longest.as_str()),
        ("user passwd nobody@example.org", "secret"),
        ("user disable juliet@example.org", ""),
        ("user disable juliet@example.org", ""),
        ("user disable nobody@example.org", ""),
        ("user show juliet@example.org", ""),
        ("user show romeo@example.net --json", ""),
        ("user show nobody@example.org", ""),
        ("user show nobody@example.com", ""),
        ("user list", ""),
        ("user list --json", ""),
        ("user list example.com", ""),
        ("user enable juliet@example.org", ""),
        ("user enable nobody@example.com", ""),
        ("user delete juliet@example.org", ""),
        ("user delete --yes juliet@example.org", ""),
        ("user delete --yes juliet@example.org", ""),
        ("user list", ""),
    ] {
        let line = format!("spondee {line}");
        let mut outcomes = [&alone, &served].map(|place| place.run(&line, input));
        for (outcome, place) in outcomes.iter_mut().zip([&alone, &served]) {
            let data = place.path("data");
            let aside = format!(" (in {}; no server runs there)", data.display());
            outcome.out = outcome.out.replace(&aside, "");
            let own = place.0.display().to_string();
            outcome.err = outcome.err.replace(&own, "PLACE");
        }
        assert_eq!(outcomes[0], outcomes[1], "{line}");
    }
    drop(server);
}

/// The command looks at a password first, but whoever asks the socket otherwise is held to the same.
#[test]
fn the_control_socket_takes_no_longer_password_than_the_command() {
    let place = Place::new();
    let server = Server::over(&place);
    let ask = |bytes: usize| {
        let settings = Settings::load(&place.path("spondee.toml")).unwrap();
        let command = Command::Add {
            account: BareJid::parse("juliet@example.org").unwrap(),
            password: Secret::new(vec![b'x'; bytes]),
            tombstones: Tombstones::Heed,
        };
        call(&socket_path(&settings.data_directory).unwrap(), &command).unwrap()
    };
    for bytes in [PASSWORD_BYTES + 1, 20_000] {
        assert_eq!(ask(bytes), Err(CommandError::Password), "{bytes}");
    }
    assert_eq!(ask(PASSWORD_BYTES), Ok(CommandReply::Done));
    drop(server);
}

#[test]
fn check_config_tells_all_faults_and_ends_with_their_code() {
    let place = Place::new();
    let good = place.run("spondee check config", "");
    let out = &good.is_done().out;
    assert!(
        out.contains("warning: host example.net: no certificate"),
        "{out}"
    );
    assert!(out.ends_with("The configuration can be used.\n"), "{out}");
    assert!(!place.path("data").exists());

    place.configure("data_directory = \"data\"\n[host.\"example.org\"]\n");
    fs::create_dir(place.path("data")).unwrap();
    fs::set_permissions(place.path("data"), Permissions::from_mode(0o755)).unwrap();
    let bad = place.run("spondee check config", "");
    bad.is_refused(3, "2 faults");
    assert!(
        bad.out
            .contains("fault: host example.org: nobody can sign in"),
        "{bad:?}"
    );
    assert!(bad.out.contains("chmod 0700"), "{bad:?}");

    place.configure("colour = 1\nc2s_prots = [5222]\n[host.\"example.org\"]\n");
    let bad = place.run("spondee check config --json", "");
    assert_eq!(bad.code, 3);
    let report: serde_json::Value = serde_json::from_str(&bad.out).unwrap();
    let faults = report["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 2, "{report}");
    assert!(
        faults[1].as_str().unwrap().contains("c2s_ports"),
        "{report}"
    );
}

/// Options, syntax, certificates and the data directory: one answer tells of all of them.
#[test]
fn a_fault_in_an_option_hides_none_of_another_kind() {
    let place = Place::new();
    fs::create_dir(place.path("data")).unwrap();
    fs::set_permissions(place.path("data"), Permissions::from_mode(0o755)).unwrap();
    for (first, words) in [
        ("threads = 0", "`threads` must be a whole number"),
        ("log_level = info", "log_level = \"info\""),
    ] {
        place.configure(&format!(
            "{first}\ndata_directory = \"data\"\ncertificates = \"certs\"\n[host.\"example.org\"]\n[host.\"b..example\"]\n"
        ));
        let bad = place.run("spondee check config", "");
        bad.is_refused(3, "4 faults");
        for words in [words, "\"b..example\"", "example.org", "chmod 0700"] {
            let mut faults = bad.out.lines().filter(|line| line.starts_with("fault: "));
            assert!(faults.any(|line| line.contains(words)), "{words}: {bad:?}");
        }
    }
    // Nothing is said of where the directory is not.
    place.configure("data_directory = data\n[host.\"example.org\"]\n");
    let bad = place.run("spondee check config", "");
    bad.is_refused(3, "1 fault");
    assert!(!bad.out.contains("/var/lib/spondee"), "{bad:?}");
}

#[test]
fn a_deletion_that_nobody_can_be_asked_about_needs_yes() {
    let place = Place::new();
    place
        .run("spondee user add juliet@example.org", "secret")
        .is_done();
    for input in ["", "y\n", "yes\n"] {
        place
            .run("spondee user delete juliet@example.org", input)
            .is_refused(2, "`spondee user delete --yes juliet@example.org`");
    }
    let list = place.run("spondee user list", "");
    assert_eq!(list.is_done().out, "juliet@example.org\n");
    place
        .run("spondee user delete juliet@example.org --yes", "")
        .is_done();
}

/// Who is told by a socket that it may not enter is told by the directory whom to be.
#[test]
fn what_is_in_place_of_the_data_directory_is_told_by_every_command() {
    let place = Place::new();
    fs::write(place.path("data"), "").unwrap();
    for (line, input) in [
        ("spondee serve", ""),
        ("spondee user list", ""),
        ("spondee user add juliet@example.org", "secret"),
    ] {
        let refused = place.run(line, input);
        refused.is_refused(3, "is not a directory; move it away");
    }
    let check = place.run("spondee check config", "");
    assert!(check.out.contains("is not a directory; move it away"));
}

#[test]
fn the_example_is_a_configuration() {
    let place = Place::new();
    let example = place.run("spondee example-config", "");
    // Whether this user may make a directory in /var/lib is a matter of the machine.
    place.configure(&example.is_done().out.replace("/var/lib/spondee", "data"));
    let check = place.run("spondee check config --json", "");
    let report: serde_json::Value = serde_json::from_str(&check.out).unwrap();
    // Only the certificate is missing.
    let faults = report["faults"].as_array().unwrap();
    assert!(
        faults
            .iter()
            .all(|fault| fault.as_str().unwrap().contains("certificate")),
        "{report}"
    );
}

/// Takes nothing.
struct Full(io::ErrorKind);

impl io::Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn output_that_nobody_reads_ends_quietly_and_a_full_disk_does_not() {
    let place = Place::new();
    for (kind, code) in [
        (io::ErrorKind::BrokenPipe, 0),
        (io::ErrorKind::StorageFull, 3),
    ] {
        let mut err = Vec::new();
        let console = Console {
            input: Input::Pipe(&mut io::empty()),
            out: &mut Full(kind),
            err: &mut err,
            surroundings: Surroundings {
                config: None,
                system_config: Path::new("no-such-file").to_owned(),
                directory: place.0.clone(),
                renewed: Vec::new(),
            },
        };
        let args = ["spondee", "example-config"].map(OsString::from);
        assert_eq!(main_with(args, console, |_, _| Ok(())), code);
        assert_eq!(err.is_empty(), code == 0);
    }
}
