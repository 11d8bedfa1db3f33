//! When threads measure themselves, and what.

use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use spondee_shell_common::counters::Counters;

use super::client::Tally;

/// How far a measurement is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Stage {
    /// Clients sign in.
    Gather,
    /// They do what is measured.
    Warm,
    /// It counts.
    Measure,
    /// It does not count any more.
    Over,
}

/// The stage, for all threads.
#[derive(Debug)]
pub(super) struct Course {
    stage: AtomicU8,
    /// Clients that are there.
    there: AtomicU64,
}

impl Course {
    pub(super) const fn new() -> Self {
        Self {
            stage: AtomicU8::new(Stage::Gather as u8),
            there: AtomicU64::new(0),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        let stages = [Stage::Gather, Stage::Warm, Stage::Measure];
        let stage = usize::from(self.stage.load(Ordering::Relaxed));
        stages.get(stage).copied().unwrap_or(Stage::Over)
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// So many clients are signed in and wait.
    pub(super) fn arrived(&self, more: u64) {
        if more > 0 {
            self.there.fetch_add(more, Ordering::Relaxed);
        }
    }

    pub(super) fn there(&self) -> u64 {
        self.there.load(Ordering::Relaxed)
    }
}

/// What a thread did up to a moment, or between two.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Probe {
    /// Since the process began.
    wall: Duration,
    pub(super) cpu: Duration,
    /// It could have run, and no core was free.
    pub(super) queued: Duration,
    /// It slept, because there was nothing to do.
    pub(super) slept: Duration,
    /// Of its CPU time, that of clients which sign in.
    pub(super) client: Duration,
    pub(super) done: u64,
    pub(super) sleeps: u64,
    pub(super) wakes: u64,
    pub(super) turns: u64,
    pub(super) reads: u64,
    pub(super) writes: u64,
    pub(super) parcels: u64,
    pub(super) dispatches: u64,
    pub(super) crossed: u64,
    pub(super) moved: u64,
}

impl Probe {
    /// Of this thread, up to now.
    pub(super) fn now(counters: &Counters, wakes: u64, slept: (u64, Duration)) -> Self {
        let (cpu, queued) = scheduled();
        let tally = Tally::now();
        Self {
            wall: uptime(),
            cpu,
            queued,
            slept: slept.1,
            client: Duration::from_nanos(tally.client_ns),
            done: tally.done,
            sleeps: slept.0,
            wakes,
            turns: counters.turns.get(),
            reads: counters.reads.get(),
            writes: counters.writes.get(),
            parcels: counters.parcels.get(),
            dispatches: counters.dispatches.get(),
            crossed: counters.crossed.get(),
            moved: counters.moved.get(),
        }
    }

    /// What came after `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            wall: self.wall.saturating_sub(earlier.wall),
            cpu: self.cpu.saturating_sub(earlier.cpu),
            queued: self.queued.saturating_sub(earlier.queued),
            slept: self.slept.saturating_sub(earlier.slept),
            client: self.client.saturating_sub(earlier.client),
            done: self.done - earlier.done,
            sleeps: self.sleeps - earlier.sleeps,
            wakes: self.wakes - earlier.wakes,
            turns: self.turns - earlier.turns,
            reads: self.reads - earlier.reads,
            writes: self.writes - earlier.writes,
            parcels: self.parcels - earlier.parcels,
            dispatches: self.dispatches - earlier.dispatches,
            crossed: self.crossed - earlier.crossed,
            moved: self.moved - earlier.moved,
        }
    }

    /// What both did, in the same time.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self {
            wall: self.wall.max(other.wall),
            cpu: self.cpu + other.cpu,
            queued: self.queued + other.queued,
            slept: self.slept + other.slept,
            client: self.client + other.client,
            done: self.done + other.done,
            sleeps: self.sleeps + other.sleeps,
            wakes: self.wakes + other.wakes,
            turns: self.turns + other.turns,
            reads: self.reads + other.reads,
            writes: self.writes + other.writes,
            parcels: self.parcels + other.parcels,
            dispatches: self.dispatches + other.dispatches,
            crossed: self.crossed + other.crossed,
            moved: self.moved + other.moved,
        }
    }

    /// Of wall time.
    pub(super) fn per_second(&self) -> f64 {
        self.done as f64 / self.wall.as_secs_f64()
    }

    /// Of CPU time of the server's threads, without that of clients.
    pub(super) fn per_cpu_second(&self) -> f64 {
        self.done as f64 / self.cpu.saturating_sub(self.client).as_secs_f64()
    }

    /// How many times the wall time this is.
    pub(super) fn share(&self, of: Duration) -> f64 {
        of.as_secs_f64() / self.wall.as_secs_f64()
    }

    /// How long it took.
    pub(super) const fn wall(&self) -> Duration {
        self.wall
    }
}

/// Since some moment of the past.
fn uptime() -> Duration {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    BEGUN.get_or_init(Instant::now).elapsed()
}

/// How long this thread ran, and how long it waited for a core.
fn scheduled() -> (Duration, Duration) {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let mut numbers = text.split_whitespace().map(|one| one.parse().unwrap_or(0));
    let mut next = || Duration::from_nanos(numbers.next().unwrap_or(0));
    (next(), next())
}
