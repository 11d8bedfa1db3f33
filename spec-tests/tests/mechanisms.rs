//! Every client by every mechanism on every kind of host: a table of what happens, each row of which is tried.
//!
//! A row that comes out otherwise fails, also where a client has learnt something: then the row is changed. slixmpp, Smack and
//! go-sendxmpp run as those of interop.rs do; our own strict client always.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "`--nocapture` shows the tables as they come out"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use spec_tests::ca::Authority;
use spec_tests::client::{BindTo, Client, offered};
use spec_tests::program::{Program, installed, left_out, script};
use spec_tests::sasl::decode;
use spec_tests::server::{Scratch, Server, Setup};
use spec_tests::slapd::Slapd;
use spondee_core::sasl::{Mechanism, Plus};

/// Interpreters start slowly on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const PASSWORD: &str = "the lark and not the nightingale";
const WRONG: &str = "the nightingale and not the lark";
/// What each kind of host is told besides.
const HOSTS: [(&str, &str); 4] = [
    (
        "internal_hashed",
        "default_iteration_count = 4096\ndisable_sasl_mechanisms = []\n",
    ),
    (
        "internal_plain",
        "default_iteration_count = 4096\ndisable_sasl_mechanisms = []\n",
    ),
    ("anonymous", ""),
    // Where there is slapd.
    ("ldap", "disable_sasl_mechanisms = []\n"),
];

/// What becomes of a client and a mechanism on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Signed in; with a wrong password it is not.
    In,
    /// The host does not offer it: keys are not what DIGEST-MD5 is made of, guests have no passwords, a directory is shown them, and EXTERNAL is
    /// for who shows a certificate.
    Unoffered,
    /// The client cannot, and why.
    Unable(&'static str),
}

use Expected::{In, Unable, Unoffered};

/// A mechanism, and what becomes of it where keys are kept, where passwords are, where guests are let in, and where a directory is asked.
type Row = (&'static str, [Expected; 4]);

const OURS: [Row; 10] = [
    ("SCRAM-SHA-512-PLUS", [In, In, Unoffered, Unoffered]),
    ("SCRAM-SHA-256-PLUS", [In, In, Unoffered, Unoffered]),
    ("SCRAM-SHA-1-PLUS", [In, In, Unoffered, Unoffered]),
    ("SCRAM-SHA-512", [In, In, Unoffered, Unoffered]),
    ("SCRAM-SHA-256", [In, In, Unoffered, Unoffered]),
    ("SCRAM-SHA-1", [In, In, Unoffered, Unoffered]),
    ("DIGEST-MD5", [Unoffered, In, Unoffered, Unoffered]),
    ("PLAIN", [In, In, Unoffered, In]),
    ("ANONYMOUS", [Unoffered, Unoffered, In, Unoffered]),
    ("EXTERNAL", [Unoffered, Unoffered, Unoffered, Unoffered]),
];

/// Python's ssl has had `tls-unique` alone, which TLS 1.3 does not have.
const NO_EXPORTER: Expected =
    Unable("Python ssl only supports tls-unique which is unavailable on TLS 1.3");
const SLIXMPP: [Row; 10] = [
    (
        "SCRAM-SHA-512-PLUS",
        [NO_EXPORTER, NO_EXPORTER, Unoffered, Unoffered],
    ),
    (
        "SCRAM-SHA-256-PLUS",
        [NO_EXPORTER, NO_EXPORTER, Unoffered, Unoffered],
    ),
    (
        "SCRAM-SHA-1-PLUS",
        [NO_EXPORTER, NO_EXPORTER, Unoffered, Unoffered],
    ),
    ("SCRAM-SHA-512", [In, In, Unoffered, Unoffered]),
    ("SCRAM-SHA-256", [In, In, Unoffered, Unoffered]),
    ("SCRAM-SHA-1", [In, In, Unoffered, Unoffered]),
    ("DIGEST-MD5", [Unoffered, In, Unoffered, Unoffered]),
    ("PLAIN", [In, In, Unoffered, In]),
    ("ANONYMOUS", [Unoffered, Unoffered, In, Unoffered]),
    ("EXTERNAL", [Unoffered, Unoffered, Unoffered, Unoffered]),
];

/// It has SHA-1 and no other hash.
const NO_SUCH: Expected = Unable("Smack has no such mechanism");
/// It binds to `tls-server-end-point`, looks for a hash that has the name of the key's algorithm, and has it switched off.
const NO_HASH: Expected = Unable("EC MessageDigest not available");
const SMACK: [Row; 10] = [
    ("SCRAM-SHA-512-PLUS", [NO_SUCH, NO_SUCH, NO_SUCH, NO_SUCH]),
    ("SCRAM-SHA-256-PLUS", [NO_SUCH, NO_SUCH, NO_SUCH, NO_SUCH]),
    ("SCRAM-SHA-1-PLUS", [NO_HASH, NO_HASH, Unoffered, Unoffered]),
    ("SCRAM-SHA-512", [NO_SUCH, NO_SUCH, NO_SUCH, NO_SUCH]),
    ("SCRAM-SHA-256", [NO_SUCH, NO_SUCH, NO_SUCH, NO_SUCH]),
    ("SCRAM-SHA-1", [In, In, Unoffered, Unoffered]),
    ("DIGEST-MD5", [Unoffered, In, Unoffered, Unoffered]),
    ("PLAIN", [In, In, Unoffered, In]),
    ("ANONYMOUS", [Unoffered, Unoffered, In, Unoffered]),
    ("EXTERNAL", [Unoffered, Unoffered, Unoffered, Unoffered]),
];

/// It binds to TLS 1.3 by `tls-exporter`. The table has what it can be told to do.
const GO_SENDXMPP: [Row; 7] = [
    ("SCRAM-SHA-512-PLUS", [In, In, Unoffered, Unoffered]),
    ("SCRAM-SHA-256-PLUS", [In, In, Unoffered, Unoffered]),
    ("SCRAM-SHA-1-PLUS", [In, In, Unoffered, Unoffered]),
    ("SCRAM-SHA-512", [In, In, Unoffered, Unoffered]),
    ("SCRAM-SHA-256", [In, In, Unoffered, Unoffered]),
    ("SCRAM-SHA-1", [In, In, Unoffered, Unoffered]),
    ("ANONYMOUS", [Unoffered, Unoffered, In, Unoffered]),
];

/// A host, and the directory that it asks.
struct Place {
    server: Server,
    _directory: Option<Slapd>,
}

/// A host of each kind, with juliet where there are accounts. One that asks a directory only where there is one.
fn hosts() -> Vec<Place> {
    let is_there =
        |(kind, _): &&(&str, &str)| *kind != "ldap" || !left_out("a host that asks slapd");
    let kinds = HOSTS.iter().filter(is_there);
    kinds.map(|(kind, more)| host(kind, more)).collect()
}

fn host(kind: &str, more: &str) -> Place {
    let directory = (kind == "ldap").then(|| Slapd::start("").unwrap());
    let authentication = match &directory {
        Some(slapd) => {
            slapd.set_password("juliet", PASSWORD).unwrap();
            slapd.options()
        }
        None => format!("authentication = \"{kind}\"\n"),
    };
    let options = format!(
        "{authentication}{more}\
         sasl_failures_per_address = 0\nsasl_failures_per_account = 0\n"
    );
    let juliet = [("juliet@localhost", PASSWORD)];
    let accounts: &[_] = match kind {
        "anonymous" | "ldap" => &[],
        _ => &juliet,
    };
    let setup = Setup {
        options: &options,
        ..Setup::default()
    };
    Place {
        server: Server::start_with(accounts, setup).unwrap(),
        _directory: directory,
    }
}

/// What came of one try.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    In(String),
    Refused(String),
    Unoffered,
    Unable(String),
    Failed(String),
}

/// How often somebody signed in by this, as the server has it.
fn signed_in(server: &Server, mechanism: &str) -> usize {
    let said = format!(" mechanism={mechanism} ");
    let log = server.log();
    let lines = log.lines().filter(|line| line.contains("signed in"));
    lines.filter(|line| line.contains(&said)).count()
}

/// Tries every row by `attempt`, which is told host, mechanism, account and password.
fn tried(client: &str, rows: &[Row], mut attempt: impl FnMut(&Server, &str, &str) -> Outcome) {
    let mut places = hosts();
    let mut wrong = Vec::new();
    for (n, Place { server, .. }) in places.iter().enumerate() {
        let (kind, _) = HOSTS[n];
        let is_for_guests = kind == "anonymous";
        for (mechanism, expected) in rows {
            let expected = expected[n];
            let outcome = attempt(server, mechanism, PASSWORD);
            println!("{client:12} {kind:16} {mechanism:20} {outcome:?}");
            let is_right = match (&expected, &outcome) {
                (In, Outcome::In(jid)) => is_for_guests || jid.starts_with("juliet@localhost/"),
                (Unoffered, Outcome::Unoffered) => true,
                (Unable(why), Outcome::Unable(told)) => told.contains(why),
                _ => false,
            };
            if !is_right {
                wrong.push(format!(
                    "{client} on {kind} by {mechanism}: {expected:?}, but {outcome:?}"
                ));
            }
            if expected == In && !is_for_guests {
                let outcome = attempt(server, mechanism, WRONG);
                if outcome != Outcome::Refused("not-authorized".to_owned()) {
                    wrong.push(format!(
                        "{client} on {kind} by {mechanism} with a wrong password: {outcome:?}"
                    ));
                }
            }
        }
    }
    // What was tried is in its log to the last line.
    for (n, Place { server, .. }) in places.iter_mut().enumerate() {
        server.stop().unwrap();
        for (mechanism, expected) in rows {
            let times = signed_in(server, mechanism);
            if times != usize::from(expected[n] == In) {
                let (kind, _) = HOSTS[n];
                wrong.push(format!(
                    "{client} on {kind} by {mechanism}: the server has {times} sign-ins"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A client that tries what it is told by lines.
fn driven(client: &str, rows: &[Row], program: &mut Program) {
    tried(client, rows, |server, mechanism, password| {
        told(program, server, mechanism, password, None)
    });
}

/// Has it try one. `shows` are files: a certificate and its key.
fn told(
    program: &mut Program,
    server: &Server,
    mechanism: &str,
    password: &str,
    shows: Option<&[PathBuf; 2]>,
) -> Outcome {
    let jid = match mechanism {
        "ANONYMOUS" => "localhost",
        _ => "juliet@localhost",
    };
    let port = server.clear.port().to_string();
    let mut order = json!({
        "port": port,
        "ca": server.authority().path(),
        "jid": jid,
        "password": password,
        "mechanism": mechanism,
    });
    if let Some([certificate, key]) = shows {
        order["certificate"] = json!(certificate);
        order["key"] = json!(key);
    }
    program.say(&order.to_string()).unwrap();
    let object = |line: &str| {
        let line: Option<Value> = serde_json::from_str(line).ok();
        line.filter(Value::is_object)
    };
    let answer = program.wait_for(PATIENCE, object).unwrap();
    let text = |key: &str| Some(answer.get(key)?.as_str()?.to_owned());
    if let Some(jid) = text("signed_in") {
        let how = (text("mechanism").unwrap(), text("tls").unwrap());
        assert_eq!(how, (mechanism.to_owned(), "TLSv1.3".to_owned()));
        return Outcome::In(jid);
    }
    if text("unoffered").is_some() {
        return Outcome::Unoffered;
    }
    let refused = text("refused").map(Outcome::Refused);
    let unable = || text("unable").map(Outcome::Unable);
    let failed = || Outcome::Failed(answer.to_string());
    refused.or_else(unable).unwrap_or_else(failed)
}

/// A client that shows certificates to a host that trusts an authority with that.
fn by_certificate(client: &str, program: &mut Program) {
    let place = Scratch::new().unwrap();
    let directory = |name: &str| {
        let path = place.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    let shown = |name: &str, authority: &Authority| {
        let made = authority.issue_client(&["juliet@localhost"], 30).unwrap();
        let files = ["crt", "key"].map(|end| place.path().join(format!("{name}.{end}")));
        for (file, pem) in files.iter().zip(made) {
            fs::write(file, pem).unwrap();
        }
        files
    };
    let ours = Authority::new(&directory("ours")).unwrap();
    let strangers = Authority::new(&directory("strangers")).unwrap();
    let options = format!("c2s_ca_file = {:?}\n", ours.path());
    let Place { server, .. } = &host("internal_hashed", &options);
    let [juliet, stranger] = [shown("juliet", &ours), shown("stranger", &strangers)];
    for (shows, mechanism, is_in) in [
        (Some(&juliet), "EXTERNAL", true),
        (Some(&stranger), "EXTERNAL", false),
        (None, "EXTERNAL", false),
        (Some(&juliet), "SCRAM-SHA-1", true),
        (Some(&stranger), "SCRAM-SHA-1", true),
        (None, "SCRAM-SHA-1", true),
    ] {
        let outcome = told(program, server, mechanism, PASSWORD, shows);
        println!("{client:12} {mechanism:20} {shows:?} {outcome:?}");
        let is_juliet =
            matches!(&outcome, Outcome::In(jid) if jid.starts_with("juliet@localhost/"));
        let is_right = if is_in {
            is_juliet
        } else {
            outcome == Outcome::Unoffered
        };
        assert!(
            is_right,
            "{client} by {mechanism} showing {shows:?}: {outcome:?}"
        );
    }
}

fn ours(server: &Server, name: &str, password: &str, bind_to: BindTo) -> Outcome {
    let mechanism = Mechanism::from_name(name).unwrap();
    let trust = server.trust().unwrap();
    let mut client = Client::connect(server.clear, "localhost", &trust).unwrap();
    client.open().unwrap();
    client.starttls().unwrap();
    let (_, features) = client.open().unwrap();
    if !offered(&features).contains(&mechanism) {
        return Outcome::Unoffered;
    }
    match client.sign_in("juliet", password, mechanism, bind_to) {
        Ok(_) => Outcome::In(client.bind(None).unwrap()),
        Err(why) => match why.strip_prefix("failure: ") {
            Some(condition) => Outcome::Refused(condition.to_owned()),
            None => Outcome::Failed(why),
        },
    }
}

#[test]
fn the_tables_have_every_mechanism_there_is() {
    for rows in [OURS, SLIXMPP, SMACK] {
        let mut listed: Vec<_> = rows.iter().map(|(name, _)| *name).collect();
        let mut known = Mechanism::ALL.map(Mechanism::name).to_vec();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }
}

#[test]
fn our_own_client_signs_in_by_everything_that_is_offered() {
    tried("ours", &OURS, |server, mechanism, password| {
        ours(server, mechanism, password, BindTo::Exporter)
    });
}

#[test]
fn our_own_client_binds_to_the_certificate_as_well() {
    let is_plus = |(name, _): &Row| {
        matches!(
            Mechanism::from_name(name),
            Some(Mechanism::Scram(_, Plus::Yes))
        )
    };
    let rows: Vec<Row> = OURS.into_iter().filter(is_plus).collect();
    tried("ours", &rows, |server, mechanism, password| {
        ours(server, mechanism, password, BindTo::EndPoint)
    });
}

const BY_EVERY_MECHANISM: &str = "slixmpp, Smack and go-sendxmpp by every mechanism";

#[test]
fn slixmpp_signs_in_by_all_that_it_has() {
    let Some(installed) = installed(BY_EVERY_MECHANISM) else {
        return;
    };
    let mut command = Command::new(installed.join("venv/bin/python"));
    command.arg(script("slixmpp_mechanism.py"));
    let mut program = Program::start(command).unwrap();
    driven("slixmpp", &SLIXMPP, &mut program);
    by_certificate("slixmpp", &mut program);
}

#[test]
fn smack_signs_in_by_all_that_it_has() {
    let Some(installed) = installed(BY_EVERY_MECHANISM) else {
        return;
    };
    let home = Scratch::new().unwrap();
    let smack = installed.join("smack");
    let mut command = Command::new("java");
    command
        // Smack reads settings from the home and working directories.
        .arg(format!("-Duser.home={}", home.path().display()))
        .current_dir(home.path())
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(format!("{0}/classes:{0}/lib/*", smack.display()))
        .arg("interop.Mechanism");
    let mut program = Program::start(command).unwrap();
    driven("Smack", &SMACK, &mut program);
    by_certificate("Smack", &mut program);
}

#[test]
fn go_sendxmpp_signs_in_by_what_it_is_told() {
    let Some(installed) = installed(BY_EVERY_MECHANISM) else {
        return;
    };
    let home = Scratch::new().unwrap();
    tried(
        "go-sendxmpp",
        &GO_SENDXMPP,
        |server, mechanism, password| {
            let mut command = Command::new(installed.join("go-sendxmpp/usr/bin/go-sendxmpp"));
            command
                .env("HOME", home.path())
                .env("SSL_CERT_FILE", server.authority().path())
                .args(["--debug", "--suppress-root-warning", "--tls-version=13"])
                .arg(format!("--jserver=localhost:{}", server.clear.port()));
            match mechanism {
                "ANONYMOUS" => command.args(["--anonymous", "--username=localhost"]),
                _ => command
                    .arg("--username=juliet@localhost")
                    .arg(format!("--password={password}"))
                    .arg(format!("--scram-mech-pinning={mechanism}")),
            };
            command.arg("juliet@localhost");
            let mut program = Program::start(command).unwrap();
            program.say("hello").unwrap();
            program.end_input();
            // All that it says, up to its end.
            let end = program.wait_for(PATIENCE, |_| None::<()>);
            assert!(end.is_err_and(|why| why.contains(" ended")));
            said_by_go(&program.seen().join("\n"), mechanism)
        },
    );
}

/// What it shows of what went over the wire, and of why it ended.
fn said_by_go(said: &str, mechanism: &str) -> Outcome {
    let between = |from: &str, to: &str| Some(said.split_once(from)?.1.split_once(to)?.0);
    if mechanism.ends_with("-PLUS")
        && let Some(first) = between(&format!("mechanism='{mechanism}'>"), "<")
    {
        let first = decode(first).unwrap();
        assert!(first.starts_with("p=tls-exporter,,"), "{first}");
    }
    if let Some(jid) = between("<jid>", "</jid>") {
        Outcome::In(jid.to_owned())
    } else if said.contains("<not-authorized") {
        Outcome::Refused("not-authorized".to_owned())
    } else if said.contains("no viable authentication method available")
        || said.contains("ANONYMOUS authentication is not an option")
    {
        Outcome::Unoffered
    } else {
        Outcome::Failed(said.to_owned())
    }
}
