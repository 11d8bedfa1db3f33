//! Seeds of the simulator of several servers.
//!
//! `SPONDEE_SEEDS=1000` runs that many, beginning at `SPONDEE_FIRST_SEED`; `SPONDEE_SEED=7` with `one_seed` and `--nocapture` shows one.

#![expect(clippy::print_stdout, reason = "a trace is there to be read")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use spec_tests::simulator::federation::{Counts, Failure, Report, Size, run, run_sized};
use spondee_core::planted::{Fault, plant};

/// How many seeds run when nobody asks for more: some seconds.
const SEEDS: u64 = 60;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// Runs seeds on every processor; each run is a federation of its own.
fn run_all(first: u64, count: u64) -> (Counts, Vec<Failure>) {
    let next = AtomicU64::new(first);
    let work = || {
        let mut counts = Counts::default();
        let mut failures = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return (counts, failures);
            }
            match run(seed) {
                Ok(report) => counts += report.counts,
                Err(failure) => {
                    println!("{failure}");
                    failures.push(*failure);
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut all = (Counts::default(), Vec::new());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            let (counts, failures) = thread.join().expect("a run that ends");
            all.0 += counts;
            all.1.extend(failures);
        }
    });
    all.1.sort_by_key(|failure| failure.seed);
    all
}

#[test]
fn seeds_hold() {
    let first = number("SPONDEE_FIRST_SEED").unwrap_or(0);
    let count = number("SPONDEE_SEEDS").unwrap_or(SEEDS);
    let (counts, failures) = run_all(first, count);
    println!("{count} seeds: {counts:?}");
    if let Some(failure) = failures.first() {
        let failed = failures.len();
        panic!("{failed} of {count} seeds failed; the first: {failure}");
    }
    // A run in which nothing happens proves nothing.
    if count >= SEEDS {
        let Counts {
            delivered,
            bounced,
            acknowledged,
            answers,
            cuts,
            half_cuts,
            stops,
            crashes,
            twice,
            liar_proven,
            both_ways,
            ..
        } = counts;
        let all = [
            delivered,
            bounced,
            acknowledged,
            answers,
            cuts,
            half_cuts,
            stops,
            crashes,
            twice,
            liar_proven,
            both_ways,
        ];
        assert!(all.into_iter().all(|count| count > 0), "{counts:?}");
    }
}

/// Shows a run: `SPONDEE_SEED=7 cargo test -p spec-tests --test federation_sim one_seed -- --nocapture`.
#[test]
fn one_seed() {
    let asked = number("SPONDEE_SEED");
    let outcome = run(asked.unwrap_or(0));
    if asked.is_some() {
        let trace = match &outcome {
            Ok(report) => &report.trace,
            Err(failure) => &failure.trace,
        };
        trace.iter().for_each(|line| println!("{line}"));
    }
    match outcome {
        Ok(Report { digest, counts, .. }) => println!("it holds: {digest} {counts:?}"),
        Err(failure) => panic!("{failure}"),
    }
}

/// Each is done wrong in every server of a run, and seen from outside. `SPONDEE_FAULT=ResentBehind SPONDEE_SEEDS=100` looks for seeds that see it.
#[test]
fn faults_that_are_planted_are_found() {
    let wanted = std::env::var("SPONDEE_FAULT").ok();
    for (fault, seed, seen) in FAULTS {
        if wanted
            .as_ref()
            .is_some_and(|name| *name == format!("{fault:?}"))
        {
            let first = number("SPONDEE_FIRST_SEED").unwrap_or(0);
            let seeds = first..first + number("SPONDEE_SEEDS").unwrap_or(SEEDS);
            for failure in seeds.filter_map(|seed| found(fault, seed)) {
                println!("{fault:?}: {failure}");
            }
        } else if wanted.is_some() {
            continue;
        }
        // Seeds mean something else once the simulator grows.
        let sees = |seed| found(fault, seed).filter(|failure| failure.fault.contains(seen));
        let failure = std::iter::once(seed).chain(0..SEARCHED).find_map(sees);
        let failure = failure.unwrap_or_else(|| panic!("{fault:?} is not found"));
        if failure.seed != seed {
            println!("{fault:?}: no longer found by {seed}, but by {failure}");
        }
        assert!(
            run(failure.seed).is_ok(),
            "{fault:?} is not what is found: {failure}"
        );
    }
}

/// What a run says of a fault.
fn found(fault: Fault, seed: u64) -> Option<Box<Failure>> {
    plant(Some(fault));
    let outcome = run(seed);
    plant(None);
    outcome.err()
}

/// How many seeds are tried where the one that is named sees nothing any more.
const SEARCHED: u64 = 400;

/// What is planted, a seed that finds it, and what that says.
const FAULTS: [(Fault, u64, &str); 5] = [
    (Fault::ResentBehind, 287, "comes behind"),
    (Fault::NotResent, 1, "is lost"),
    (Fault::ConfirmedUnasked, 1, "is lost"),
    (Fault::AnsweredAnywhere, 174, "believes"),
    (Fault::FromUnchecked, 0, "believes"),
];

/// Ten servers, thirty users each, one seed: `cargo test -p spec-tests --test federation_sim ten_servers -- --nocapture`.
#[test]
fn ten_servers_with_three_hundred_users() {
    let seed = number("SPONDEE_SEED").unwrap_or(10);
    let size = Size {
        sites: 10,
        users: 30,
        epochs: 3,
        acts: 1200,
        moves: 200,
    };
    match run_sized(seed, size) {
        Ok(Report { digest, counts, .. }) => println!("{digest}\n{counts:#?}"),
        Err(failure) => {
            failure.trace.iter().for_each(|line| println!("{line}"));
            panic!("{failure}");
        }
    }
}

#[test]
fn a_seed_gives_the_same_run_to_the_byte() {
    let digest = |seed| match run(seed) {
        Ok(report) => report.digest,
        Err(failure) => panic!("{failure}"),
    };
    for seed in 0..3 {
        assert_eq!(digest(seed), digest(seed), "seed {seed}");
    }
    assert_ne!(digest(0), digest(1));
}
