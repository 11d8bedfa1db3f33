//! What happened, readable, with a digest: two runs of a seed are the same run if it is the same.

use std::fmt;

use sha2::{Digest as _, Sha256};
use spondee_core::time::Instant;

/// The lines of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    lines: Vec<String>,
    hash: Sha256,
}

impl Trace {
    /// One thing that happened, at this virtual time.
    pub(super) fn note(&mut self, now: Instant, what: fmt::Arguments<'_>) {
        let line = format!("{:>12.6} {what}", now.0 as f64 / 1e6);
        self.mix(&line);
        self.lines.push(line);
    }

    /// Counts something for the digest that nobody wants to read.
    pub(super) fn mix(&mut self, what: &str) {
        self.hash.update(what.as_bytes());
        self.hash.update(b"\n");
    }

    pub(super) fn digest(&self) -> String {
        let hash = self.hash.clone().finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines
    }
}
