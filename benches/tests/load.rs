//! The load generator itself, on floors, which need nothing that is not here, and where there is none on the server.

use std::process::Command;

use serde_json::Value;

/// What one run of the generator said.
struct Run {
    samples: Vec<Value>,
    /// To people, for who reads why a test fails.
    said: String,
}

impl Run {
    /// # Panics
    /// It fails.
    fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the generator runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let samples = serde_json::from_slice(&output.stdout).expect("JSON");
        Self { samples, said }
    }

    /// The same, once, against the server, with these arguments.
    fn of_server(arguments: &[&str]) -> Self {
        let server = spec_tests::server::binary().expect("a server");
        let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
        command.args(arguments).arg("--binary").arg(server);
        Self::of(command.args(["--runs", "1", "--json"]))
    }

    /// A figure of a scenario.
    fn figure(&self, scenario: &str, name: &str) -> Option<f64> {
        let sample = self.samples.iter().find(|one| one["scenario"] == scenario);
        sample.and_then(|one| one["figures"][name].as_f64())
    }
}

#[test]
fn loads_every_floor_and_prints_what_they_did() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command.args([
        "signin",
        "signin-clear",
        "chat",
        "chat-clear",
        "--target",
        "floor",
        "--runs",
        "2",
        "--json",
        "--sign-ins",
        "20",
        "--accounts",
        "8",
        "--pairs",
        "2",
        "--messages",
        "200",
        "--scale",
        "2",
    ]);
    let Run { samples, said } = Run::of(&mut command);
    let did = |scenario: &str, target: &str| {
        let same = |sample: &&Value| sample["scenario"] == scenario && sample["target"] == target;
        let runs: Vec<&Value> = samples.iter().filter(same).collect();
        assert_eq!(runs.len(), 2, "{scenario} on {target}: {said}");
    };
    did("signin", "floor: bare handshake");
    did("signin ×2", "floor: same round trips");
    did("signin-clear", "floor: same round trips");
    did("chat", "floor: relay, a write each");
    did("chat-clear ×2", "floor: relay, batched");
}

#[test]
fn fills_rosters_reads_and_changes_them() {
    let run = Run::of_server(&[
        "roster",
        "roster-clear",
        "roster-set",
        "roster-set-clear",
        "--target",
        "spondee",
        "--sign-ins",
        "20",
        "--accounts",
        "4",
        "--pairs",
        "1",
        "--changes",
        "40",
    ]);
    let (said, figure) = (&run.said, |scenario: &str, name: &str| {
        run.figure(scenario, name)
    });
    for scenario in ["roster", "roster-clear"] {
        // The credentials; the account is in memory.
        assert_eq!(figure(scenario, "store reads each"), Some(1.0), "{said}");
    }
    for scenario in ["roster-set", "roster-set-clear"] {
        assert!(figure(scenario, "per commit").is_some(), "{said}");
    }
}

/// Accounts become each other's contacts, everybody hears of everything, and nobody is loaded for it but who signs in.
#[test]
fn makes_contacts_and_measures_what_they_hear_of_each_other() {
    let run = Run::of_server(&[
        "presence",
        "presence-clear",
        "signin-roster",
        "signin-roster-clear",
        "idle-roster",
        "--target",
        "spondee,floor",
        "--accounts",
        "2",
        "--parallel",
        "1",
        "--presences",
        "20",
        "--sign-ins",
        "6",
        "--rosters",
        "4",
    ]);
    let Run { samples, said } = run;
    let figure = |scenario: &str, target: &str, name: &str| {
        let same = |one: &&Value| one["scenario"] == scenario && one["target"] == target;
        let sample = samples.iter().find(same);
        sample.and_then(|one| one["figures"][name].as_f64())
    };
    for scenario in ["presence", "presence-clear"] {
        let own = |name| figure(scenario, "Spondee", name);
        assert!(
            own("cross-shard share").is_some_and(|share| share > 0.0),
            "{said}"
        );
        let floor = figure(scenario, "floor: fan-out, batched", "per CPU second");
        assert!(floor.is_some(), "{said}");
    }
    for scenario in ["signin-roster", "signin-roster-clear"] {
        let own = |name| figure(scenario, "Spondee", name);
        // The account and its credentials; then it is in memory.
        assert_eq!(own("loads of the first"), Some(1.0), "{said}");
        assert_eq!(own("reads of the first"), Some(2.0), "{said}");
        assert_eq!(own("loads each"), Some(0.0), "{said}");
        assert_eq!(own("store reads each"), Some(1.0), "{said}");
    }
    assert_eq!(
        figure("idle-roster", "Spondee", "sessions"),
        Some(4.0),
        "{said}"
    );
}

/// What is kept is counted: as many entries as messages for each side, and everything that was stored once and in order.
#[test]
fn archives_stores_delivers_and_reads_in_pages() {
    let run = Run::of_server(&[
        // Before all that is kept: a session that ends leaves its time behind, which nobody waits for and a slow disk takes later.
        "chat-clear",
        "chat-archived",
        "chat-archived-clear",
        "offline-stored",
        "offline-stored-archived-clear",
        "offline-delivered",
        "archive-back",
        "archive-forward-clear",
        "--target",
        "spondee",
        "--accounts",
        "4",
        "--pairs",
        "2",
        "--messages",
        "60",
        "--stored",
        "40",
        "--pages",
        "6",
        "--archived",
        "100",
        "--readers",
        "2",
    ]);
    let (said, figure) = (&run.said, |scenario: &str, name: &str| {
        run.figure(scenario, name)
    });
    for scenario in [
        "chat-archived",
        "chat-archived-clear",
        "offline-stored",
        "offline-stored-archived-clear",
    ] {
        assert!(figure(scenario, "per commit").is_some(), "{said}");
    }
    // Where nothing is archived, nothing is written.
    assert_eq!(figure("chat-clear", "per commit"), None, "{said}");
    for scenario in ["archive-back", "archive-forward-clear"] {
        // A look each.
        assert_eq!(figure(scenario, "per store read"), Some(50.0), "{said}");
    }
}

/// Both sides count right, and a session that lost its connection has what was sent meanwhile, once: or the generator fails.
#[test]
fn manages_streams_and_resumes_sessions() {
    let run = Run::of_server(&[
        "chat-sm",
        "chat-archived-sm-clear",
        "resume",
        "resume-clear",
        "idle-roster-sm",
        "--target",
        "spondee",
        "--accounts",
        "4",
        "--pairs",
        "2",
        "--window",
        "3",
        "--messages",
        "120",
        "--sessions",
        "12",
        "--parallel",
        "3",
        "--rosters",
        "4",
    ]);
    let (said, figure) = (&run.said, |scenario: &str, name: &str| {
        run.figure(scenario, name)
    });
    for scenario in ["chat-sm", "chat-archived-sm-clear"] {
        assert!(figure(scenario, "per request").is_some(), "{said}");
    }
    for scenario in ["resume", "resume-clear"] {
        let sign_ins = figure(scenario, "sign-ins per CPU second");
        assert!(sign_ins.is_some(), "{said}");
    }
    assert_eq!(figure("idle-roster-sm", "sessions"), Some(4.0), "{said}");
}

/// A database that was filled by itself is served, and every page of it holds what it should.
#[test]
fn fills_a_large_archive_and_reads_from_its_middle() {
    let run = Run::of_server(&[
        "big-signin",
        "big-middle",
        "big-time",
        "big-contact",
        "big-stranger",
        "--target",
        "spondee,floor",
        "--accounts",
        "1",
        "--big-messages",
        "12000",
        "--big-contacts",
        "600",
        "--big-count",
        "5",
    ]);
    let Run { samples, said } = run;
    assert_eq!(samples.len(), 5, "{said}");
    assert_eq!(samples[0]["figures"]["loads of the first"], 1.0, "{said}");
    assert_eq!(samples[0]["figures"]["reads of the first"], 2.0, "{said}");
    for sample in &samples[1..] {
        assert_eq!(sample["figures"]["store reads each"], 1.0, "{said}");
    }
}

/// In a process of its own, of whose memory nothing else takes or gives back any.
#[test]
fn sessions_without_sockets_come_about() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command.args([
        "idle-in-process",
        "--sessions-in-process",
        "40",
        "--target",
        "floor",
        "--runs",
        "1",
        "--json",
        "--accounts",
        "1",
    ]);
    let Run { samples, said } = Run::of(&mut command);
    let figure = |name: &str| samples[0]["figures"][name].as_f64();
    assert_eq!(figure("sessions"), Some(40.0), "{said}");
    assert!(figure("KiB after") >= figure("KiB before"), "{said}");
}

/// What cannot work is refused at once: to build a server first would take minutes. Cargo is none that builds here.
#[test]
fn signs_in_by_each_mechanism_where_each_is_kept() {
    let run = Run::of_server(&[
        "signin",
        "signin-clear",
        "--target",
        "spondee",
        "--provider",
        "hashed,plain",
        "--mechanism",
        "scram,plain",
        "--sign-ins",
        "20",
        "--accounts",
        "4",
        "--parallel",
        "2",
    ]);
    for scenario in [
        "signin",
        "signin by PLAIN",
        "signin, passwords kept",
        "signin by PLAIN, passwords kept",
        "signin-clear",
        "signin-clear, passwords kept",
    ] {
        let rate = run.figure(scenario, "per CPU second");
        let cost = run.figure(scenario, "CPU seconds per 1000");
        assert!(rate.is_some() && cost.is_some(), "{scenario}: {}", run.said);
    }
    assert_eq!(run.samples.len(), 6, "without TLS nobody shows a password");
}

#[test]
fn who_comes_at_once_is_let_in_or_sent_away_for_a_while() {
    let server = spec_tests::server::binary().expect("a server");
    for mechanism in ["scram", "plain"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
        command.args(["rush", "--sign-ins", "40", "--accounts", "4"]);
        command.args(["--mechanism", mechanism, "--binary"]);
        let output = command.arg(server).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(
            told.contains("\n| 40 |") && told.contains("\nPSS: "),
            "{told}"
        );
    }
}

#[test]
fn strangers_try_every_step_of_every_kind_of_name() {
    let server = spec_tests::server::binary().expect("a server");
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command.args(["strangers", "--tries", "2", "--names", "1", "--binary"]);
    let output = command.arg(server).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let told = String::from_utf8_lossy(&output.stdout);
    let has = |what: &str| told.matches(what).count();
    let steps = [has("internal_plain: "), has("internal_hashed: ")];
    assert_eq!(steps, [4, 3], "keys are not what DIGEST-MD5 is made of");
    for kind in [
        "\n| keys |",
        "\n| password kept |",
        "\n| nobody |",
        "\n| nobody, others |",
    ] {
        assert_eq!(has(kind), 7, "{told}");
    }
}

#[test]
fn refuses_arguments_before_it_builds_anything() {
    for (arguments, reason) in [
        (&["singin"][..], "invalid value 'singin'"),
        (&["signin", "--target", "spondee,jabberd"], "jabberd"),
        (
            &["signin", "--binary", "no/such/spondee"],
            "no/such/spondee",
        ),
        (&["signin", "--before", "no/such/one"], "no/such/one"),
        (&["chat", "--accounts", "99"], "50 pairs"),
        (
            &["idle", "--sessions", "51", "--accounts", "1"],
            "51 sessions",
        ),
        (
            &["resume", "--sessions", "11", "--accounts", "1"],
            "11 sessions",
        ),
        (&["idle-roster-sm", "--rosters", "10000000"], "files"),
        (&["signin", "--plot", "no/such/place.svg"], "no/such"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_load"))
            .args(arguments)
            .env("CARGO", "false")
            .output()
            .expect("the generator runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
        assert!(!said.contains("cargo build"), "{arguments:?}: {said}");
    }
}
