//! Servers of different makes talk to each other: Prosody and ejabberd, which proves the harness, and ours with each.
//!
//! They need Prosody with lua-unbound, ejabberd with libnss-wrapper, and unbound, so they run as the tests of interop.rs do. Of a table only
//! the rows run whose names have the words of `SPONDEE_CASE` in them, if it is set.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};

use spec_tests::federation::World;
use spec_tests::federation::cases::{CASES, Case, ours_takes_part};
use spec_tests::federation::exchange::{Outcome, converse};
use spec_tests::federation::plan::{Plan, Program};
use spec_tests::program::left_out;
use spec_tests::server::Shell;

/// How many rows run at a time: there are three servers in each, which mostly wait.
const AT_A_TIME: usize = 3;

/// All rows that are for these two; says of each how it failed.
fn run(first: Program, second: Program) {
    let wanted = std::env::var("SPONDEE_CASE").unwrap_or_default();
    let cases = CASES.iter().filter(|case| case.is_for(first, second));
    let cases: Vec<&Case> = cases.filter(|case| case.name.contains(&wanted)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failures = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            failures.extend(case.run(first, second).err());
        }
        failures
    };
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers = [(); AT_A_TIME].map(|()| scope.spawn(work));
        let done = workers.into_iter().map(|worker| worker.join().unwrap());
        done.flatten().collect()
    });
    let count = failures.len();
    assert!(
        failures.is_empty(),
        "{count} failed:\n{}",
        failures.join("\n\n")
    );
}

/// Whether it has been said that others' servers are not run here, or they run beside the other shell.
fn without_others() -> bool {
    left_out("Prosody, ejabberd") || Shell::of_environment() != Ok(Shell::Mio)
}

/// The one that the tests drive; `None` where tests with it are left out.
fn ours() -> Option<Program> {
    let left_out = left_out("Prosody, ejabberd") || !ours_takes_part();
    (!left_out).then(|| Program::Spondee(Shell::of_environment().unwrap()))
}

#[test]
fn prosody_meets_ejabberd_as_the_table_has_it() {
    if !without_others() {
        run(Program::Prosody, Program::Ejabberd);
    }
}

#[test]
fn prosody_meets_another_as_the_table_has_it() {
    if !without_others() {
        run(Program::Prosody, Program::Prosody);
    }
}

#[test]
fn ours_meets_prosody_as_the_table_has_it() {
    if let Some(ours) = ours() {
        run(ours, Program::Prosody);
    }
}

#[test]
fn ours_meets_ejabberd_as_the_table_has_it() {
    if let Some(ours) = ours() {
        run(ours, Program::Ejabberd);
    }
}

#[test]
fn ours_meets_its_own_kind_on_either_shell_as_the_table_has_it() {
    if let Some(ours) = ours() {
        run(ours, Program::Spondee(Shell::Mio));
        run(ours, Program::Spondee(Shell::Smol));
    }
}

/// Ours and a peer, of which this one speaks first, and where it is known which of them has opened the one stream that there is.
fn one_stream(peer: Program, speaks: usize) {
    let ours = Program::Spondee(Shell::of_environment().unwrap());
    let plans = [
        Plan::new(ours, "first.example"),
        Plan::new(peer, "second.example").having("s2s_bidi"),
    ];
    let world = World::begin(plans).unwrap();
    let [one, other] = &world.peers;
    let outcomes = match speaks {
        0 => converse(one, "romeo", other, "juliet").unwrap(),
        _ => converse(other, "juliet", one, "romeo").unwrap(),
    };
    let logs = || format!("{}\n---\n{}", one.log(), other.log());
    assert!(
        outcomes.iter().all(Outcome::is_well),
        "{outcomes:#?}\n{}",
        logs()
    );
    let listed = one.outcome(&["s2s", "list", "--json"]).unwrap();
    let (_, said) = listed.unwrap();
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    let links = json["links"].as_array().unwrap();
    let [link] = &links[..] else {
        panic!("{said}\n{}", logs());
    };
    let opened = ["out", "in"][speaks];
    assert_eq!(link["direction"], opened, "{said}");
    assert_eq!(link["both_ways"], true, "{said}");
    assert_eq!(link["state"], "up", "{said}");
    if peer == Program::Prosody {
        let words = [
            "Requested bidirectional stream",
            "Requesting bidirectional stream",
        ];
        let log = other.log();
        assert!(log.contains(words[speaks]), "{log}");
        assert!(!log.contains(words[1 - speaks]), "{log}");
    }
}

#[test]
fn one_stream_goes_both_ways_with_prosody_whoever_opens_it() {
    if ours().is_some() {
        for speaks in 0..2 {
            one_stream(Program::Prosody, speaks);
        }
    }
}

#[test]
fn one_stream_goes_both_ways_with_its_own_kind() {
    if ours().is_some() {
        for speaks in 0..2 {
            one_stream(Program::Spondee(Shell::Mio), speaks);
        }
    }
}
