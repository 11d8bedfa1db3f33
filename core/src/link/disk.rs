//! When a queue is written to disk, and read from there: one batch at a time, and what comes meanwhile is the next.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::kept::{forget, survives};
use super::{Kept, Queue, Queued};
use crate::envelope::{Receipt, Sent};
use crate::jid::Domain;
use crate::limits::{S2S_KEPT_AFTER, S2S_KEPT_AGAIN, STORE_BATCH_BYTES, STORE_BATCH_OPS};
use crate::store::{Op, Row, StoreError};
use crate::time::{Instant, Now};

/// Whether more is on disk than in memory, as after a start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tail {
    /// There may be, and it is to be read then.
    Unread(Instant),
    /// It is being read.
    Reading,
    /// All that there is stands in memory.
    Read,
}

/// When what waits is to be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pace {
    /// Its way is up: when somebody has waited for a confirmation for long enough.
    InTime,
    /// There is none, as when the server stops.
    AtOnce,
}

/// What of a queue is on disk.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) tail: Tail,
    writing: Writing,
    /// All up to this place was written, or is not to be.
    looked: i64,
    /// The last place that was given.
    last: i64,
    /// Somebody has waited for long enough then, if the way is up.
    due: Option<Instant>,
    /// Places whose rows are to go.
    gone: Vec<i64>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Writing {
    No,
    /// One batch at a time: what comes meanwhile is the next.
    UnderWay,
    /// It failed, or there was no room: not before then.
    Again(Instant),
}

/// What goes to the store in one batch.
#[derive(Debug)]
pub(crate) struct Written {
    /// The places of those that are put.
    puts: Vec<i64>,
    /// Of those that go.
    deletes: Vec<i64>,
}

impl Written {
    /// How many were to be put.
    pub(crate) const fn len(&self) -> usize {
        self.puts.len()
    }
}

impl Disk {
    pub(super) const fn new(tail: Tail) -> Self {
        Self {
            tail,
            writing: Writing::No,
            looked: i64::MIN,
            last: i64::MIN,
            due: None,
            gone: Vec::new(),
        }
    }

    /// The place of one that comes now: places rise, whatever the clock does.
    pub(super) fn place_of(&mut self, at: i64) -> i64 {
        self.last = at.max(self.last.saturating_add(1));
        self.last
    }

    pub(super) fn comes(&mut self, queued: &Queued) {
        if self.due.is_none() && queued.is_waited_for() {
            self.due = Some(queued.since + S2S_KEPT_AFTER);
        }
    }

    pub(super) fn leaves(&mut self, queued: &Queued) {
        match queued.kept {
            Kept::No => {}
            Kept::Perhaps | Kept::Yes => self.gone.push(queued.at),
        }
    }

    /// Whether nothing is to be read or written.
    pub(super) fn is_done(&self) -> bool {
        self.tail == Tail::Read && self.writing == Writing::No && self.gone.is_empty()
    }
}

impl Queue {
    /// When the disk is to be asked for something.
    pub(super) fn next_disk(&self, pace: Pace) -> Option<Instant> {
        let read = match self.disk.tail {
            Tail::Unread(at) => Some(at),
            Tail::Reading | Tail::Read => None,
        };
        read.into_iter().chain(self.next_write(pace)).min()
    }

    /// When something is to be written next.
    pub(crate) fn next_write(&self, pace: Pace) -> Option<Instant> {
        let disk = &self.disk;
        let waits = match (disk.tail, pace) {
            (Tail::Unread(_) | Tail::Reading, _) => None,
            (Tail::Read, Pace::InTime) => disk.due,
            (Tail::Read, Pace::AtOnce) => self.has_unwritten().then_some(Instant::default()),
        };
        let goes = (!disk.gone.is_empty()).then_some(Instant::default());
        let due = waits.into_iter().chain(goes).min()?;
        match disk.writing {
            Writing::No => Some(due),
            Writing::UnderWay => None,
            Writing::Again(at) => Some(at.max(due)),
        }
    }

    /// Whether something is to be written that was not yet looked at.
    fn has_unwritten(&self) -> bool {
        let looked = self.disk.looked;
        let is_last_new = |queue: &VecDeque<Queued>| queue.back().is_some_and(|q| q.at > looked);
        is_last_new(&self.waiting) || is_last_new(&self.sent)
    }

    /// What is to be written, `next_write` having come, for this domain. It is to be told of the answer, `written`.
    pub(crate) fn take_writes(
        &mut self,
        now: Now,
        pace: Pace,
        remote: &Domain,
    ) -> Option<(Vec<Op>, Written)> {
        let most = self.disk.gone.len().min(STORE_BATCH_OPS / 2);
        let deletes: Vec<i64> = self.disk.gone.drain(..most).collect();
        let mut ops = forget(remote, &deletes);
        let puts = match self.is_time_to_put(now.mono, pace) {
            true => self.put_into(now, remote, &mut ops),
            false => Vec::new(),
        };
        if ops.is_empty() {
            return None;
        }
        self.disk.writing = Writing::UnderWay;
        Some((ops, Written { puts, deletes }))
    }

    fn is_time_to_put(&mut self, now: Instant, pace: Pace) -> bool {
        match (self.disk.tail, pace) {
            (Tail::Unread(_) | Tail::Reading, _) => false,
            (Tail::Read, Pace::AtOnce) => true,
            (Tail::Read, Pace::InTime) => {
                // Who waited longest may have heard meanwhile.
                let first = self.unwritten().find(|queued| queued.is_waited_for());
                self.disk.due = first.map(|queued| queued.since + S2S_KEPT_AFTER);
                self.disk.due.is_some_and(|due| due <= now)
            }
        }
    }

    fn unwritten(&self) -> impl Iterator<Item = &Queued> {
        let looked = self.disk.looked;
        let behind = |queue: &VecDeque<Queued>| queue.partition_point(|q| q.at <= looked);
        let sent = self.sent.range(behind(&self.sent)..);
        sent.chain(self.waiting.range(behind(&self.waiting)..))
    }

    /// As many as a batch has room for, in their order.
    fn put_into(&mut self, now: Now, remote: &Domain, ops: &mut Vec<Op>) -> Vec<i64> {
        let mut puts = Vec::new();
        let mut weight: usize = ops.iter().map(Op::weight).sum();
        let looked = self.disk.looked;
        self.disk.due = None;
        for queue in [&mut self.sent, &mut self.waiting] {
            let behind = queue.partition_point(|queued| queued.at <= looked);
            for queued in queue.range_mut(behind..) {
                if queued.is_to_be_kept() {
                    let op = queued.put(now, remote);
                    weight = weight.saturating_add(op.weight());
                    let is_full = ops.len() >= STORE_BATCH_OPS || weight > STORE_BATCH_BYTES;
                    // One alone may be longer.
                    if is_full && !ops.is_empty() {
                        self.disk.due = Some(now.mono);
                        return puts;
                    }
                    ops.push(op);
                    puts.push(queued.at);
                    queued.kept = Kept::Perhaps;
                }
                self.disk.looked = queued.at;
            }
        }
        puts
    }

    /// The store has answered. Returns who is to hear that what it sent is in good hands.
    pub(crate) fn written(
        &mut self,
        now: Instant,
        written: &Written,
        outcome: Result<(), StoreError>,
    ) -> Vec<Sent> {
        let (kept, again) = match outcome {
            Ok(()) => (Kept::Yes, Writing::No),
            // What may be there is to go once it is not needed, and nobody is told that it is there.
            Err(StoreError::Unknown) => (Kept::Perhaps, Writing::Again(now + S2S_KEPT_AGAIN)),
            Err(
                StoreError::Busy
                | StoreError::Conflict
                | StoreError::Failed
                | StoreError::Fenced
                | StoreError::Full,
            ) => (Kept::No, Writing::Again(now + S2S_KEPT_AGAIN)),
        };
        self.disk.writing = again;
        if outcome.is_err() {
            self.disk.gone.extend_from_slice(&written.deletes);
        }
        if kept == Kept::No
            && let Some(first) = written.puts.first()
        {
            self.disk.looked = self.disk.looked.min(first.saturating_sub(1));
            self.disk.due = Some(now + S2S_KEPT_AGAIN);
        }
        let mut heard = Vec::new();
        for at in &written.puts {
            let Some(queued) = self.at_place(*at) else {
                continue;
            };
            queued.kept = kept;
            if kept == Kept::Yes
                && let Some(Receipt::Sent(sent)) = queued.receipt
            {
                queued.receipt = None;
                heard.push(sent);
            }
        }
        heard
    }

    fn at_place(&mut self, at: i64) -> Option<&mut Queued> {
        for queue in [&mut self.sent, &mut self.waiting] {
            if let Ok(place) = queue.binary_search_by_key(&at, |queued| queued.at) {
                return queue.get_mut(place);
            }
        }
        None
    }

    /// The store has no room: not now.
    pub(crate) fn writes_later(&mut self, now: Instant) {
        self.disk.writing = Writing::Again(now + S2S_KEPT_AGAIN);
    }

    /// Whether what was kept is to be read now. It is being read then.
    pub(crate) fn is_to_be_read(&mut self, now: Instant) -> bool {
        let is_time = matches!(self.disk.tail, Tail::Unread(at) if at <= now);
        if is_time {
            self.disk.tail = Tail::Reading;
        }
        is_time
    }

    /// It could not be read.
    pub(crate) fn reads_later(&mut self, now: Instant) {
        if self.disk.tail == Tail::Reading {
            self.disk.tail = Tail::Unread(now + S2S_KEPT_AGAIN);
        }
    }

    /// Whether it is being read.
    pub(crate) fn is_read_now(&self) -> bool {
        self.disk.tail == Tail::Reading
    }

    /// Rows that were kept, behind those that were read before. Those that make no sense are left where they are; says how many.
    pub(crate) fn read(&mut self, now: Now, rows: &[Row], retry_for: Duration) -> usize {
        let mut bad = 0_usize;
        for row in rows {
            match Queued::of_row(now, row, retry_for) {
                Some(queued) => self.put_back(queued),
                None => bad = bad.saturating_add(1),
            }
        }
        bad
    }

    /// All that was kept is read. What came meanwhile is behind it, by its place as well.
    pub(crate) fn has_read(&mut self) {
        self.disk.tail = Tail::Read;
        let mut last = i64::MIN;
        for queued in &mut self.waiting {
            queued.at = queued.at.max(last.saturating_add(1));
            last = queued.at;
        }
        self.disk.last = self.disk.last.max(last);
    }

    /// What is on disk is not needed here any more: the server stops.
    pub(crate) fn forget_kept(&mut self) {
        for queued in core::mem::take(&mut self.sent)
            .into_iter()
            .chain(core::mem::take(&mut self.waiting))
        {
            match queued.kept {
                Kept::Yes => self.forget(&queued),
                Kept::No | Kept::Perhaps => self.waiting.push_back(queued),
            }
        }
    }

    /// Those that a stopping server has nowhere to put: all that does not outlive it. What is on disk is not needed here any more.
    pub(crate) fn take_mortal(&mut self) -> Vec<Queued> {
        self.lose();
        self.has_read();
        self.forget_kept();
        let (mortal, kept): (VecDeque<_>, VecDeque<_>) = core::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|queued| !survives(&queued.stanza));
        self.waiting = kept;
        for queued in &mortal {
            self.forget(queued);
        }
        mortal.into()
    }

    /// Places of all rows that it knows of, which nobody needs any more.
    pub(crate) fn take_gone(&mut self) -> Vec<i64> {
        core::mem::take(&mut self.disk.gone)
    }
}
