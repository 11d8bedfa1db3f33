//! What of a log takes more than one step to read.

use spondee_core::limits::STORE_PAGE_BYTES;
use spondee_core::store::{Cut, Entry, Measured, Pick};

/// How far it has come; nothing before its first step.
#[derive(Debug, Default)]
pub struct Begun {
    page: Option<Box<Filling>>,
    measure: Option<Box<Measuring>>,
}

impl Begun {
    /// The page that was begun, or a new one.
    pub(super) fn page(&mut self, new: impl FnOnce() -> Filling) -> &mut Filling {
        self.page.get_or_insert_with(|| Box::new(new()))
    }

    /// The measure that was begun, or a new one.
    pub(super) fn measure(&mut self, new: impl FnOnce() -> Measuring) -> &mut Measuring {
        self.measure.get_or_insert_with(|| Box::new(new()))
    }
}

/// A log that is being measured.
#[derive(Debug)]
pub(super) struct Measuring {
    /// Whose it is, by a number that is never given again.
    pub(super) owner: i64,
    /// What is left to look at: keys before this.
    pub(super) before: i64,
    pub(super) measured: Measured,
}

impl Measuring {
    pub(super) fn new(owner: i64, upto: i64) -> Self {
        Self {
            owner,
            before: upto.saturating_add(1),
            measured: Measured::default(),
        }
    }
}

/// A page that is being filled.
#[derive(Debug)]
pub(super) struct Filling {
    /// Whose entries they are, by a number that is never given again.
    pub(super) owner: i64,
    /// What is left to look at: keys behind this,
    pub(super) behind: i64,
    /// and before this.
    pub(super) before: i64,
    /// The most that is looked at in one go, in microseconds.
    pub(super) span: i64,
    /// In the order in which they were found.
    pub(super) entries: Vec<Entry>,
    pub(super) more: bool,
    cut: Cut,
}

impl Filling {
    pub(super) fn new(owner: i64, pick: &Pick, span: i64) -> Self {
        let upto = pick.upto.saturating_add(1);
        Self {
            owner,
            behind: pick.after.unwrap_or(i64::MIN),
            before: pick.before.unwrap_or(i64::MAX).min(upto),
            span,
            entries: Vec::new(),
            more: false,
            cut: Cut::new(pick.limit, STORE_PAGE_BYTES),
        }
    }

    /// Takes one more; whether there was room.
    pub(super) fn take(&mut self, entry: Entry) -> bool {
        self.more = !self.cut.takes(entry.weight());
        if !self.more {
            self.entries.push(entry);
        }
        !self.more
    }
}
