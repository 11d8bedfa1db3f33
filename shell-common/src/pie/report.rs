//! What was not brought along, or not as it was: said at the end, so that nothing is lost without a word.

use std::collections::BTreeMap;
use std::fmt;

use super::At;
use crate::limits::pie::REPORT_KINDS;

/// Kinds of things, how many there were of each, and where the first was.
#[derive(Debug, Default)]
pub struct Report {
    kinds: BTreeMap<String, (u64, At)>,
    /// Those of further kinds.
    others: u64,
}

impl Report {
    /// One more.
    pub(super) fn add(&mut self, what: impl Into<String>, at: &At) {
        let what = what.into();
        if let Some((count, _)) = self.kinds.get_mut(&what) {
            *count += 1;
        } else if self.kinds.len() < REPORT_KINDS {
            self.kinds.insert(what, (1, at.clone()));
        } else {
            self.others += 1;
        }
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }
}

/// A line for each kind.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, (count, at)) in &self.kinds {
            match count {
                1 => writeln!(f, "  {what} ({at})")?,
                count => writeln!(f, "  {what} ({count} times, first in {at})")?,
            }
        }
        match self.others {
            0 => Ok(()),
            others => writeln!(f, "  and {others} things of other kinds"),
        }
    }
}
