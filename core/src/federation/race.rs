//! Several addresses of one target, tried beside each other (RFC 8305 §5): the first that there is a connection to wins.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::limits::{RACE_DELAY, RACE_RUNNERS};
use crate::time::Instant;

/// Who runs is named by a number of the caller's.
#[derive(Debug)]
pub(super) struct Race {
    waiting: VecDeque<SocketAddr>,
    running: Vec<usize>,
    /// When the next may begin.
    due: Instant,
}

impl Race {
    /// To these, in this order.
    pub(super) fn new(now: Instant, addresses: impl Iterator<Item = SocketAddr>) -> Self {
        Self {
            waiting: addresses.collect(),
            running: Vec::new(),
            due: now,
        }
    }

    /// The next address, if it is to be tried now; `begin` follows, or `give_up`.
    pub(super) fn due(&self, now: Instant) -> Option<SocketAddr> {
        let first = self.waiting.front().copied();
        first.filter(|_| self.running.len() < RACE_RUNNERS && self.due <= now)
    }

    /// It is tried, as this one.
    pub(super) fn begin(&mut self, now: Instant, runner: usize) {
        self.waiting.pop_front();
        self.running.push(runner);
        self.due = now + RACE_DELAY;
    }

    /// No more of them are tried.
    pub(super) fn give_up(&mut self) {
        self.waiting.clear();
    }

    /// One has failed: the next need not wait. Whether it was there.
    pub(super) fn fail(&mut self, now: Instant, runner: usize) -> bool {
        let before = self.running.len();
        self.running.retain(|one| *one != runner);
        let was_there = self.running.len() < before;
        if was_there {
            self.due = now;
        }
        was_there
    }

    /// One has won, if it was there: the others.
    pub(super) fn win(&self, runner: usize) -> Option<Vec<usize>> {
        let others = self.running.iter().copied().filter(|one| *one != runner);
        self.running.contains(&runner).then(|| others.collect())
    }

    /// When another is to be tried unless something happens before.
    pub(super) fn next(&self) -> Option<Instant> {
        let may = !self.waiting.is_empty() && self.running.len() < RACE_RUNNERS;
        may.then_some(self.due)
    }

    /// Whether nobody runs, and nobody will.
    pub(super) fn is_lost(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }
}
