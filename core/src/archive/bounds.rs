//! How much an account may have archived: when to count, and what goes then.
//!
//! The owner tells of appends, and asks what to ask the store next. What is archived is known about, from what was counted last and what
//! came since: ages are looked after behind the owner's back, so it may be less. Only when there would be a sixteenth too much is all of
//! it measured; then the oldest go, in steps, until the newest are left that may stay.

use super::ArchiveOptions;
use super::rows::{ARCHIVE, Spool};
use crate::limits::{
    ARCHIVE_COUNTED_BYTES, ARCHIVE_COUNTED_MESSAGES, ARCHIVE_OVER_PART, STORE_TRIM_ENTRIES,
};
use crate::store::{Amount, Kept, Measured, Op};

/// How much is archived of one account, about.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bounds {
    about: Amount,
    /// Of it, what the row of the spool does not say.
    unsaid: Amount,
    state: State,
}

/// What is under way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// Nothing.
    #[default]
    Counting,
    /// The store is being asked how much there is; so much came since.
    Measuring(Amount),
    /// What is too much goes.
    Trimming(Excess),
    /// A step of that is with the store.
    Trims(Excess),
}

/// What is too much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Excess {
    /// All that is before this key.
    before: i64,
    /// So much, when it was measured.
    amount: Amount,
}

/// What to ask the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Next {
    /// How much there is: `Class::Page`; its answer is for `Bounds::measured`.
    Measure(Op),
    /// One step less: `Class::Upkeep`; its answer is for `Bounds::trimmed`.
    Trim(Op),
}

impl Bounds {
    /// From what was kept.
    #[must_use]
    pub fn new(spool: &Spool) -> Self {
        Self {
            about: Amount {
                entries: spool.messages,
                bytes: spool.bytes,
            },
            ..Self::default()
        }
    }

    /// One more message was archived, with so many bytes.
    pub fn appended(&mut self, payload: usize) {
        self.about = self.about.and(payload);
        self.unsaid = self.unsaid.and(payload);
        if let State::Measuring(since) = &mut self.state {
            *since = since.and(payload);
        }
    }

    /// What to ask the store now, if anything: to be asked after appends, and after answers. `upto` is the last key that was given out.
    pub fn next(&mut self, options: &ArchiveOptions, upto: i64) -> Option<Next> {
        let most = most(options);
        match self.state {
            State::Counting if self.about.exceeds(above(most)) => {
                self.state = State::Measuring(Amount::default());
                Some(Next::Measure(Op::Measure {
                    log: ARCHIVE,
                    kept: Kept::Archived,
                    most,
                    upto,
                }))
            }
            State::Trimming(excess) => {
                self.state = State::Trims(excess);
                Some(Next::Trim(Op::Trim {
                    log: ARCHIVE,
                    before: excess.before,
                    kept: Kept::Archived,
                    limit: STORE_TRIM_ENTRIES,
                }))
            }
            State::Counting | State::Measuring(_) | State::Trims(_) => None,
        }
    }

    /// How much there was.
    pub fn measured(&mut self, measured: &Measured) {
        let State::Measuring(since) = self.state else {
            return;
        };
        self.about = plus(measured.whole, since);
        // However little came since it was said: it may be much less.
        self.unsaid = Amount {
            entries: ARCHIVE_COUNTED_MESSAGES,
            bytes: ARCHIVE_COUNTED_BYTES,
        };
        self.state = match measured.beyond {
            Some(before) => {
                let amount = minus(measured.whole, measured.within);
                State::Trimming(Excess { before, amount })
            }
            None => State::Counting,
        };
    }

    /// A step is done: so many messages are gone.
    pub fn trimmed(&mut self, entries: u32) {
        let State::Trims(mut excess) = self.state else {
            return;
        };
        // A step that was not full was the last.
        if entries >= STORE_TRIM_ENTRIES {
            excess.amount.entries = excess.amount.entries.saturating_sub(entries.into());
            self.about.entries = self.about.entries.saturating_sub(entries.into());
            self.state = State::Trimming(excess);
        } else {
            self.about = minus(self.about, excess.amount);
            self.unsaid = Amount {
                entries: ARCHIVE_COUNTED_MESSAGES,
                bytes: ARCHIVE_COUNTED_BYTES,
            };
            self.state = State::Counting;
        }
    }

    /// The store did not do it. It is tried again when a sixteenth more was appended: what should have gone counts as gone until then.
    pub fn failed(&mut self, options: &ArchiveOptions) {
        let most = most(options);
        self.about = Amount {
            entries: self.about.entries.min(most.entries),
            bytes: self.about.bytes.min(most.bytes),
        };
        self.state = State::Counting;
    }

    /// Whether so much was counted that the row of the spool is to say it.
    #[must_use]
    pub const fn is_to_be_kept(&self) -> bool {
        self.unsaid.entries >= ARCHIVE_COUNTED_MESSAGES
            || self.unsaid.bytes >= ARCHIVE_COUNTED_BYTES
    }

    /// Whether the row of the spool does not say all that is known: for an owner that leaves memory.
    #[must_use]
    pub const fn is_unsaid(&self) -> bool {
        self.unsaid.entries > 0
    }

    /// The row is about to be put: it says what is known.
    pub fn keep(&mut self, spool: &mut Spool) {
        spool.messages = self.about.entries;
        spool.bytes = self.about.bytes;
        self.unsaid = Amount::default();
    }
}

const fn most(options: &ArchiveOptions) -> Amount {
    Amount {
        entries: options.max_messages,
        bytes: options.max_bytes,
    }
}

/// As much as there may be before it is measured.
const fn above(most: Amount) -> Amount {
    plus(
        most,
        Amount {
            entries: most.entries / ARCHIVE_OVER_PART,
            bytes: most.bytes / ARCHIVE_OVER_PART,
        },
    )
}

const fn plus(one: Amount, other: Amount) -> Amount {
    Amount {
        entries: one.entries.saturating_add(other.entries),
        bytes: one.bytes.saturating_add(other.bytes),
    }
}

const fn minus(one: Amount, other: Amount) -> Amount {
    Amount {
        entries: one.entries.saturating_sub(other.entries),
        bytes: one.bytes.saturating_sub(other.bytes),
    }
}
