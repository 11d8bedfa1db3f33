//! Seeds, run on every processor, and what came of them: for all simulators alike.
//!
//! `SPONDEE_SEEDS=1000` runs that many, beginning at `SPONDEE_FIRST_SEED`; `SPONDEE_SEED=7` with `one_seed` and `--nocapture` shows one.

#![expect(clippy::print_stdout, reason = "a trace is there to be read")]

use std::fmt::{self, Debug};
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// A run that held.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report<C> {
    /// Of everything that happened: the same for every run of the seed.
    pub digest: String,
    /// What happened.
    pub trace: Vec<String>,
    /// How much of what there was, to see that the run was worth it.
    pub counts: C,
}

/// A run in which an oracle was offended.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The test that runs such seeds.
    pub test: &'static str,
    /// The seed of the run.
    pub seed: u64,
    /// What is wrong.
    pub fault: String,
    /// What happened until then.
    pub trace: Vec<String>,
}

/// What comes of a seed.
pub type Outcome<C> = Result<Report<C>, Box<Failure>>;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            test, seed, fault, ..
        } = self;
        writeln!(f, "seed {seed}: {fault}")?;
        write!(
            f,
            "to see the run: SPONDEE_SEED={seed} cargo test -p spec-tests --test {test} one_seed -- --nocapture"
        )
    }
}

/// What somebody wants to be otherwise for this time.
///
/// # Panics
/// It is no number.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// Runs as many seeds as are wanted, so many where nobody says; each run is a world of its own. All that happened in them, if there were
/// as many as nobody need ask for: fewer prove nothing by what did not happen.
///
/// # Panics
/// One does not hold.
pub fn hold<C: AddAssign + Debug + Default + Send>(
    usual: u64,
    run: impl Fn(u64) -> Outcome<C> + Sync,
) -> Option<C> {
    let first = number("SPONDEE_FIRST_SEED").unwrap_or(0);
    let count = number("SPONDEE_SEEDS").unwrap_or(usual);
    let (counts, failures) = run_all(first, count, &run);
    println!("{count} seeds: {counts:?}");
    if let Some(failure) = failures.first() {
        let failed = failures.len();
        panic!("{failed} of {count} seeds failed; the first: {failure}");
    }
    (count >= usual).then_some(counts)
}

/// On every processor.
fn run_all<C: AddAssign + Default + Send>(
    first: u64,
    count: u64,
    run: &(impl Fn(u64) -> Outcome<C> + Sync),
) -> (C, Vec<Failure>) {
    let next = AtomicU64::new(first);
    let work = || {
        let mut counts = C::default();
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
    let mut all = (C::default(), Vec::new());
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

/// Shows the run that is asked for, or that the first one holds.
///
/// # Panics
/// It does not.
pub fn show<C: Debug>(run: impl Fn(u64) -> Outcome<C>) {
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

/// A seed gives the same run to the byte, and another seed another one.
///
/// # Panics
/// One does not.
pub fn repeat<C>(seeds: u64, run: impl Fn(u64) -> Outcome<C>) {
    let digest = |seed| match run(seed) {
        Ok(report) => report.digest,
        Err(failure) => panic!("{failure}"),
    };
    for seed in 0..seeds {
        assert_eq!(digest(seed), digest(seed), "seed {seed}");
    }
    assert_ne!(digest(0), digest(1));
}
