//! Seeds of the simulator of several servers.
//!
//! `SPONDEE_SEEDS=1000` runs that many, beginning at `SPONDEE_FIRST_SEED`; `SPONDEE_SEED=7` with `one_seed` and `--nocapture` shows one.

#![expect(clippy::print_stdout, reason = "a trace is there to be read")]

use spec_tests::simulator::federation::{Counts, Size, run, run_sized};
use spec_tests::simulator::seeds::{self, Failure, Report, number};
use spondee_core::planted::{Fault, plant};

/// How many seeds run when nobody asks for more: some seconds.
const SEEDS: u64 = 60;

#[test]
fn seeds_hold() {
    // A run in which nothing happens proves nothing.
    if let Some(counts) = seeds::hold(SEEDS, run) {
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
            met,
            agreed,
            said_again,
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
            met,
            agreed,
            said_again,
        ];
        assert!(all.into_iter().all(|count| count > 0), "{counts:?}");
    }
}

/// Shows a run: `SPONDEE_SEED=7 cargo test -p spec-tests --test federation_sim one_seed -- --nocapture`.
#[test]
fn one_seed() {
    seeds::show(run);
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
const FAULTS: [(Fault, u64, &str); 7] = [
    (Fault::ResentBehind, 158, "comes behind"),
    (Fault::NotResent, 4, "is lost"),
    (Fault::ConfirmedUnasked, 5, "is lost"),
    (Fault::AnsweredAnywhere, 102, "believes"),
    (Fault::FromUnchecked, 0, "believes"),
    (Fault::TwoWays, 0, "comes behind"),
    (Fault::ForgottenEarly, 176, "is lost"),
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
    seeds::repeat(3, run);
}
