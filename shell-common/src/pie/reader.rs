//! One account as it is read: messages that wait and archived ones find their order, since both are entries of one log.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use spondee_core::limits::{STORE_BATCH_BYTES, STORE_BATCH_OPS};
use spondee_core::store::{Entry, Kept};
use spondee_core::time::Now;

use super::account::{Account, Owed, append, blank};
use super::import::Trouble;
use super::message::Archived;
use super::reading::{Beginning, Sink};
use super::report::Report;
use super::walk::{List, Piece};
use super::{At, EXPORT, Fault};
use crate::limits::pie::AHEAD;

/// An account on its way.
pub(super) struct Reader {
    pub(super) account: Account,
    pub(super) archive: Archive,
}

/// Its archive.
#[derive(Default)]
pub(super) struct Archive {
    course: Course,
    /// Messages that wait and have their place among the others.
    owed: VecDeque<Entry>,
    /// For each id of a message that waits whether it is archived, too.
    pub(super) both: HashSet<String>,
    /// Ids of what came, if no message that waits came before.
    ids: HashSet<u64>,
    pub(super) last: Option<i64>,
    cut: Option<i64>,
    entries: Vec<Entry>,
    weight: usize,
    pub(super) count: u64,
    pub(super) bytes: u64,
    pub(super) waiting: usize,
    pub(super) early: Option<Vec<Owed>>,
}

/// What is handed over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pour {
    /// All that there is.
    All,
    /// What fills a batch.
    Full,
}

/// Which of the two lists came.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Course {
    #[default]
    Neither,
    Offline,
    Archive,
    /// The archive first.
    Turned,
    Both,
}

impl Reader {
    pub(super) fn new(account: Account, beginning: Beginning, cut: Option<i64>) -> Self {
        let Beginning { both, early } = beginning;
        let archive = Archive {
            both,
            early,
            cut,
            ..Archive::default()
        };
        Self { account, archive }
    }

    pub(super) fn begin(&mut self, list: List, at: &At) -> Result<(), Fault> {
        let archive = &mut self.archive;
        archive.course = match (archive.course, list) {
            (Course::Neither, List::Offline) => Course::Offline,
            (Course::Neither, List::Archive) => Course::Archive,
            (Course::Offline, List::Archive) => Course::Both,
            (Course::Archive, List::Offline) => Course::Turned,
            (Course::Offline | Course::Both | Course::Turned, List::Offline)
            | (Course::Archive | Course::Both | Course::Turned, List::Archive) => {
                return Err(at.fault("a second list of this kind for one user"));
            }
        };
        match (list, archive.course) {
            (List::Archive, Course::Both) => self.line_up(),
            // Known from the first time that the file was read.
            (List::Archive, _) => {
                if let Some(early) = self.archive.early.take() {
                    self.account.spool.entries = early;
                    self.line_up();
                }
            }
            (List::Offline, _) => {}
        }
        Ok(())
    }

    /// Messages that wait are to find their places among the archived ones.
    fn line_up(&mut self) {
        let owed = std::mem::take(&mut self.account.spool.entries);
        self.archive.waiting += owed.len();
        let alone = owed.into_iter().filter(|owed| {
            let id = owed.id.as_ref();
            id.is_none_or(|id| !self.archive.both.contains(id))
        });
        self.archive.owed = alone.map(|owed| owed.entry).collect();
    }

    pub(super) fn entry(
        &mut self,
        piece: &Piece,
        now: Now,
        report: &mut Report,
    ) -> Result<(), Fault> {
        if matches!(self.archive.course, Course::Offline | Course::Turned) {
            return self.waits(piece, report);
        }
        let element = piece.element()?;
        let fault = |why: String| piece.fault(why);
        let entry = if piece.ns == EXPORT {
            blank(&element).map_err(fault)?
        } else {
            let archived = Archived::read(&element, &self.account.jid).map_err(fault)?;
            self.archived(archived, piece, report)
        };
        let ahead = now.wall.0.saturating_mul(1000).saturating_add(AHEAD);
        if entry.key > ahead {
            return Err(piece.fault(
                "it is of a day that is still to come, and all that follows it would be, too",
            ));
        }
        let behind = self.archive.last.is_some_and(|last| last >= entry.key);
        if behind {
            return Err(piece.fault("it comes before the one that stands before it"));
        }
        if self.archive.cut.is_some_and(|cut| entry.key < cut) {
            report.add(
                "archived messages older than `archive_expires_after` of the host, which go soon",
                &piece.at,
            );
        }
        self.archive.place(entry);
        Ok(())
    }

    fn archived(&mut self, archived: Archived, piece: &Piece, report: &mut Report) -> Entry {
        let Archived {
            id,
            stamp,
            message,
            mark,
        } = archived;
        let waits = id
            .as_ref()
            .is_some_and(|id| self.archive.both.contains(id) || self.is_owed(id));
        if let Some(id) = id {
            if self.archive.course == Course::Archive && mark.is_none() {
                self.archive.ids.insert(print(&id));
            }
            if waits {
                self.archive.both.insert(id);
            }
        }
        if let Some(mark) = mark {
            return message.entry(mark.key, mark.kept, Some(mark));
        }
        // Those that wait and come before it have theirs.
        let least = self.archive.last.map_or(0, |last| last.saturating_add(1));
        // Several of one second are nothing strange.
        if stamp.saturating_add(1_000_000) < least {
            report.add(
                "the time of a message: the one before it in the archive came later",
                &piece.at,
            );
        }
        let kept = if waits { Kept::Both } else { Kept::Archived };
        message.entry(stamp.max(least), kept, None)
    }

    /// Whether a message that waits has this id in the archive.
    fn is_owed(&self, id: &str) -> bool {
        let mut owed = self.account.spool.entries.iter();
        owed.any(|owed| owed.id.as_deref() == Some(id))
    }

    fn waits(&mut self, piece: &Piece, report: &mut Report) -> Result<(), Fault> {
        let before = self.account.spool.entries.len();
        self.account.wait(piece, report)?;
        if self.account.spool.entries.len() > before
            && let Some(id) = self
                .account
                .spool
                .entries
                .last()
                .and_then(|owed| owed.id.as_ref())
            && self.archive.ids.contains(&print(id))
        {
            self.archive.both.insert(id.clone());
        }
        Ok(())
    }

    /// What waits behind all that is archived.
    pub(super) fn settle(&mut self) {
        match self.archive.course {
            Course::Neither | Course::Archive | Course::Both => {}
            Course::Offline => self.line_up(),
            // They had their places from the beginning, or will have them when the file is read again.
            Course::Turned => {
                let owed = std::mem::take(&mut self.account.spool.entries);
                self.archive.waiting = owed.len();
                self.archive.early = Some(owed);
            }
        }
        while let Some(owed) = self.archive.owed.pop_front() {
            self.archive.push_owed(owed);
        }
    }

    /// Hands over what has come together, or all of it.
    pub(super) fn pour<S: Sink>(
        &mut self,
        sink: &mut S,
        pour: Pour,
    ) -> Result<(), Trouble<S::Error>> {
        let archive = &mut self.archive;
        // A little less than a batch holds: a row of the core's goes with it.
        let full =
            archive.entries.len() >= STORE_BATCH_OPS / 2 || archive.weight > STORE_BATCH_BYTES / 4;
        if archive.entries.is_empty() || (!full && pour == Pour::Full) {
            return Ok(());
        }
        archive.weight = 0;
        let mut entries = std::mem::take(&mut archive.entries);
        // One that is as long as a batch goes alone.
        while !entries.is_empty() {
            let mut weight = 0;
            let fits = entries.iter().take_while(|entry| {
                weight += entry.weight() + 64;
                weight <= STORE_BATCH_BYTES / 2
            });
            let count = fits
                .count()
                .clamp(1, STORE_BATCH_OPS / 2)
                .min(entries.len());
            let rest = entries.split_off(count);
            sink.keep(&self.account.jid, vec![append(entries)])?;
            entries = rest;
        }
        Ok(())
    }
}

impl Archive {
    /// Behind those that wait and came before it.
    fn place(&mut self, mut entry: Entry) {
        while let Some(owed) = self.owed.pop_front_if(|owed| owed.key < entry.key) {
            self.push_owed(owed);
        }
        if self
            .owed
            .pop_front_if(|owed| owed.key == entry.key)
            .is_some()
        {
            entry.kept = Kept::Both;
        }
        if let Some(last) = self.last {
            entry.key = entry.key.max(last.saturating_add(1));
        }
        if entry.kept.meets(Kept::Archived) {
            self.count += 1;
            self.bytes += u64::try_from(entry.payload.len()).unwrap_or(u64::MAX);
        }
        self.push(entry);
    }

    /// One that is not in the archive, or not any more.
    fn push_owed(&mut self, mut owed: Entry) {
        owed.kept = Kept::Owed;
        if let Some(last) = self.last {
            owed.key = owed.key.max(last.saturating_add(1));
        }
        self.push(owed);
    }

    fn push(&mut self, entry: Entry) {
        self.last = Some(entry.key);
        self.weight += entry.weight();
        self.entries.push(entry);
    }
}

fn print(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
