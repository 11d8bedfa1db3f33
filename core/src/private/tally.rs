//! What an account keeps already, counted before it may keep more.
//!
//! `Choice:` counted from the rows each time, which are some kilobytes, and kept nowhere: a sum beside the rows would have to be mended whenever
//! the two disagree. Two clients that set something at once may each be let have the last place.

use super::{Key, Set, rows};
use crate::limits::PRIVATE_BYTES;
use crate::stanza::Condition;
use crate::store::{Op, Reply};

/// See the module.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    before: Sum,
    /// Of what the request leaves alone.
    others: Sum,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Sum {
    items: usize,
    bytes: usize,
}

impl Sum {
    const fn add(&mut self, bytes: usize) {
        self.items = self.items.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Tally {
    /// Reads the first rows.
    #[must_use]
    pub fn begin() -> Op {
        rows::page(None)
    }

    /// Counts the rows of an answer; what to read next, if there are more.
    ///
    /// # Errors
    /// It is no answer to what was read.
    pub fn count(&mut self, set: &Set, reply: &Reply) -> Result<Option<Op>, Condition> {
        let Reply::Rows { rows, more } = reply else {
            return Err(Condition::InternalServerError);
        };
        for row in rows {
            self.before.add(row.weight());
            let key = Key::of_row(row);
            let is_replaced = |key: &Key| {
                let elements = &set.elements;
                elements
                    .binary_search_by(|(other, _)| other.cmp(key))
                    .is_ok()
            };
            if !key.as_ref().is_some_and(is_replaced) {
                self.others.add(row.weight());
            }
        }
        let last = rows.last().filter(|_| *more);
        Ok(last.map(|last| rows::page(Some(last))))
    }

    /// Whether all that was counted leaves room for the request. Who has too much, since a bound was lowered, may still have less.
    ///
    /// # Errors
    /// `policy-violation`: another request would do ("modify"), and waiting does not help.
    pub fn judge(&self, set: &Set, max_items: usize) -> Result<(), Condition> {
        let mut after = self.others;
        for (key, content) in &set.elements {
            if content.weight() > 0 {
                after.add(key.weight() + content.weight());
            }
        }
        let fits = (after.items <= max_items || after.items <= self.before.items)
            && (after.bytes <= PRIVATE_BYTES || after.bytes <= self.before.bytes);
        match fits {
            true => Ok(()),
            false => Err(Condition::PolicyViolation),
        }
    }
}
