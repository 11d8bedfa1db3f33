//! The load generator itself, on floors, which need nothing that is not here, and where there is none on the server.

use std::process::Command;

use serde_json::Value;

#[test]
fn loads_every_floor_and_prints_what_they_did() {
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["signin", "signin-clear", "chat", "chat-clear"])
        .args(["--target", "floor", "--runs", "2", "--json"])
        .args(["--sign-ins", "20", "--accounts", "8", "--pairs", "2"])
        .args(["--messages", "200", "--scale", "2"])
        .output()
        .expect("the generator runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let samples: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
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
    let server = spec_tests::server::binary().expect("a server");
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["roster", "roster-clear", "roster-set", "roster-set-clear"])
        .args(["--target", "spondee", "--runs", "1", "--json"])
        .args(["--sign-ins", "20", "--accounts", "4", "--pairs", "1"])
        .args(["--changes", "40"])
        .arg("--binary")
        .arg(server)
        .output()
        .expect("the generator runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let samples: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let figure = |scenario: &str, name: &str| {
        let sample = samples.iter().find(|one| one["scenario"] == scenario);
        sample.and_then(|one| one["figures"][name].as_f64())
    };
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
    let server = spec_tests::server::binary().expect("a server");
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args([
            "presence",
            "presence-clear",
            "signin-roster",
            "signin-roster-clear",
        ])
        .args([
            "idle-roster",
            "--target",
            "spondee,floor",
            "--runs",
            "1",
            "--json",
        ])
        .args(["--accounts", "2", "--parallel", "1", "--presences", "20"])
        .args(["--sign-ins", "6", "--rosters", "4"])
        .arg("--binary")
        .arg(server)
        .output()
        .expect("the generator runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let samples: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
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
    let server = spec_tests::server::binary().expect("a server");
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["chat-archived", "chat-archived-clear", "chat-clear"])
        .args(["offline-stored", "offline-stored-archived-clear"])
        .args(["offline-delivered", "archive-back", "archive-forward-clear"])
        .args(["--target", "spondee", "--runs", "1", "--json"])
        .args(["--accounts", "4", "--pairs", "2", "--messages", "60"])
        .args(["--stored", "40", "--pages", "6", "--archived", "100"])
        .args(["--readers", "2"])
        .arg("--binary")
        .arg(server)
        .output()
        .expect("the generator runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let samples: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let figure = |scenario: &str, name: &str| {
        let sample = samples.iter().find(|one| one["scenario"] == scenario);
        sample.and_then(|one| one["figures"][name].as_f64())
    };
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
    let server = spec_tests::server::binary().expect("a server");
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args([
            "chat-sm",
            "chat-archived-sm-clear",
            "resume",
            "resume-clear",
        ])
        .args(["idle-roster-sm", "--target", "spondee", "--runs", "1"])
        .args(["--json", "--accounts", "4", "--pairs", "2", "--window", "3"])
        .args(["--messages", "120", "--sessions", "12", "--parallel", "3"])
        .args(["--rosters", "4"])
        .arg("--binary")
        .arg(server)
        .output()
        .expect("the generator runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let samples: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let figure = |scenario: &str, name: &str| {
        let sample = samples.iter().find(|one| one["scenario"] == scenario);
        sample.and_then(|one| one["figures"][name].as_f64())
    };
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
    let server = spec_tests::server::binary().expect("a server");
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["big-signin", "big-middle", "big-time", "big-contact"])
        .args(["big-stranger", "--target", "spondee,floor"])
        .args(["--runs", "1", "--json", "--accounts", "1"])
        .args(["--big-messages", "12000", "--big-contacts", "600"])
        .args(["--big-count", "5"])
        .arg("--binary")
        .arg(server)
        .output()
        .expect("the generator runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let samples: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
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
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["idle-in-process", "--sessions-in-process", "40"])
        .args(["--target", "floor", "--runs", "1", "--json"])
        .args(["--accounts", "1"])
        .output()
        .expect("the generator runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let samples: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let figure = |name: &str| samples[0]["figures"][name].as_f64();
    assert_eq!(figure("sessions"), Some(40.0), "{said}");
    assert!(figure("KiB after") >= figure("KiB before"), "{said}");
}

/// What cannot work is refused at once: to build a server first would take minutes. Cargo is none that builds here.
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
