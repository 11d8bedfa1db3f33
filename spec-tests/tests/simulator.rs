//! Seeds of the simulator: whole servers under every kind of trouble at once.
//!
//! `SPONDEE_SEEDS=1000` runs that many, beginning at `SPONDEE_FIRST_SEED`; `SPONDEE_SEED=7` with `one_seed` and `--nocapture`
//! shows one.

use spec_tests::simulator::{Counts, run, seeds};

/// How many seeds run when nobody asks for more: a few seconds.
const SEEDS: u64 = 80;

#[test]
fn seeds_hold() {
    // A run in which nothing happens proves nothing.
    if let Some(counts) = seeds::hold(SEEDS, run) {
        assert!(least(counts) > 0, "{counts:?}");
    }
}

/// How often that happened which happened least.
fn least(counts: Counts) -> usize {
    let all = [
        counts.sessions,
        counts.deliveries,
        counts.answers,
        counts.commands,
        counts.cuts,
        counts.crashes,
        counts.hand_offs,
        counts.returned,
        counts.store_faults,
        counts.overflows,
        counts.evictions,
        counts.partings,
        counts.roster_gets,
        counts.roster_sets,
        counts.pushes,
        counts.loads,
        counts.queries,
        counts.results,
        counts.copies,
        counts.spooled,
        counts.managed,
        counts.acks,
        counts.sleeps,
        counts.resumed,
        counts.unresumed,
        counts.resent,
        counts.lapses,
        counts.inactive,
        counts.stops,
    ];
    all.into_iter().min().unwrap_or_default()
}

/// Shows a run: `SPONDEE_SEED=7 cargo test -p spec-tests --test simulator one_seed -- --nocapture`.
#[test]
fn one_seed() {
    seeds::show(run);
}

#[test]
fn a_seed_gives_the_same_run_to_the_byte() {
    seeds::repeat(4, run);
}
