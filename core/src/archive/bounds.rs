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
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bounds {
    about: Amount,
    /// Of it, what the row of the spool does not say.
    unsaid: Amount,
    state: State,
}

/// What is under way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Nothing.
    Counting,
    /// The store is being asked how much there is; so much came since.
    Measuring(Amount),
    /// What is before this key goes.
    Trimming(i64),
    /// One step of that is with the store.
    Trims(i64),
}

/// What to ask the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Next {
    /// How much there is: `Class::Page`; its answer is for `Bounds::measured`.
    Measure(Op),
    /// One step less: `Class::Upkeep`; its answer is for `Bounds::trimmed`. The next step is to be asked for some time after that
    /// (`limits::upkeep_pause`).
    Trim(Op),
}

impl Bounds {
    /// From what was kept.
    #[must_use]
    pub const fn new(spool: &Spool) -> Self {
        Self {
            about: Amount {
                entries: spool.messages,
                bytes: spool.bytes,
            },
            unsaid: Amount {
                entries: 0,
                bytes: 0,
            },
            state: State::Counting,
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

    /// What to ask the store now, if anything: to be asked after appends, and when a pause is over. `upto` is the last key that was given
    /// out.
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
            State::Trimming(before) => {
                self.state = State::Trims(before);
                Some(Next::Trim(Op::Trim {
                    log: ARCHIVE,
                    before,
                    kept: Kept::Archived,
                    limit: STORE_TRIM_ENTRIES,
                }))
            }
            State::Counting | State::Measuring(_) | State::Trims(_) => None,
        }
    }

    /// How much there was.
    pub const fn measured(&mut self, measured: &Measured) {
        let State::Measuring(since) = self.state else {
            return;
        };
        // What goes is counted as gone.
        self.about = Amount {
            entries: measured.within.entries.saturating_add(since.entries),
            bytes: measured.within.bytes.saturating_add(since.bytes),
        };
        // However few came since it was said: it may be much less.
        self.unsaid = Amount {
            entries: ARCHIVE_COUNTED_MESSAGES,
            bytes: ARCHIVE_COUNTED_BYTES,
        };
        self.state = match measured.beyond {
            Some(before) => State::Trimming(before),
            None => State::Counting,
        };
    }

    /// A step is done; whether some are left.
    pub const fn trimmed(&mut self, more: bool) {
        if let State::Trims(before) = self.state {
            self.state = match more {
                true => State::Trimming(before),
                false => State::Counting,
            };
        }
    }

    /// The store did not do it. It is tried again when a sixteenth more was appended: the rest of what should have gone counts as gone until
    /// then, or until it is counted at another load.
    pub fn failed(&mut self, options: &ArchiveOptions) {
        match self.state {
            State::Measuring(_) => {
                let most = most(options);
                self.about = Amount {
                    entries: self.about.entries.min(most.entries),
                    bytes: self.about.bytes.min(most.bytes),
                };
            }
            State::Counting | State::Trimming(_) | State::Trims(_) => {}
        }
        self.state = State::Counting;
    }

    /// Whether a next step waits for its time.
    #[must_use]
    pub const fn waits(&self) -> bool {
        matches!(self.state, State::Trimming(_))
    }

    /// Whether so much was counted that the row of the spool is to say it, beside the next appends.
    #[must_use]
    pub const fn is_to_be_kept(&self) -> bool {
        self.unsaid.entries >= ARCHIVE_COUNTED_MESSAGES
            || self.unsaid.bytes >= ARCHIVE_COUNTED_BYTES
    }

    /// Whether the row of the spool says less than is known: for an owner that leaves memory.
    #[must_use]
    pub const fn is_unsaid(&self) -> bool {
        self.unsaid.entries > 0
    }

    /// The row is about to be put: it says what is known.
    pub const fn keep(&mut self, spool: &mut Spool) {
        spool.messages = self.about.entries;
        spool.bytes = self.about.bytes;
        self.unsaid = Amount {
            entries: 0,
            bytes: 0,
        };
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
    let entries = most.entries / ARCHIVE_OVER_PART;
    let bytes = most.bytes / ARCHIVE_OVER_PART;
    Amount {
        entries: most.entries.saturating_add(entries),
        bytes: most.bytes.saturating_add(bytes),
    }
}
