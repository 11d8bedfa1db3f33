//! What of a queue is on disk: a row for each stanza whose sender was told that it is in good hands, or that would be lost with this server.
//!
//! Over a link that is well nothing is written: what is confirmed within two seconds needs no disk. What is not, and all that waits while there
//! is no way, is kept in the order of the queue. Its receipt is settled then, and its row goes when it is there or was returned.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{Queue, Queued, Urgency};
use crate::envelope::{Receipt, Sent};
use crate::jid::Domain;
use crate::limits::{
    S2S_KEPT_AFTER, S2S_KEPT_AGAIN, S2S_REQUEST_PATIENCE, STORE_BATCH_BYTES, STORE_BATCH_OPS,
};
use crate::stanza::{Kind, MessageType, PresenceType, Stanza};
use crate::store::{
    Column, Expect, Field, Kind as Holds, Loading, Op, Puts, Row, Shape, StoreError, Table,
};
use crate::time::{Instant, Now};

/// What waits for other servers. Its owner is the domain of ours that it is from.
pub(crate) static LINK_QUEUE: Shape = Shape {
    name: "link_queue",
    key: &[
        Column::new("remote", Holds::Text),
        Column::new("at", Holds::Time),
    ],
    columns: &[
        Column::new("gives_up", Holds::Time),
        Column::new("stanza", Holds::Xml),
    ],
    loading: Loading::Alone,
    puts: Puts::Awaited,
};

const TABLE: Table = &LINK_QUEUE;

/// Whether a stanza is on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kept {
    No,
    /// It is being written, or nobody knows what became of that.
    Perhaps,
    Yes,
}

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
    /// There is none, or the server stops.
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

/// Whether a stanza outlives this server: its author thinks it said (RFC 6121 §8.5.2.2.1: messages are kept for who is away).
pub(crate) const fn survives(stanza: &Stanza) -> bool {
    match stanza.kind() {
        Kind::Message(MessageType::Chat | MessageType::Groupchat | MessageType::Normal)
        | Kind::Presence(
            PresenceType::Subscribe
            | PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed,
        ) => true,
        Kind::Iq(_)
        | Kind::Message(MessageType::Error | MessageType::Headline)
        | Kind::Presence(
            PresenceType::Available
            | PresenceType::Unavailable
            | PresenceType::Error
            | PresenceType::Probe,
        ) => false,
    }
}

impl Queued {
    fn is_to_be_kept(&self) -> bool {
        self.kept == Kept::No && survives(&self.stanza)
    }

    /// Whether its sender is to hear soon that it is in good hands.
    fn is_waited_for(&self) -> bool {
        matches!(self.receipt, Some(Receipt::Sent(_))) && self.is_to_be_kept()
    }

    /// Its row, for this domain.
    fn row(&self, now: Now, remote: &Domain) -> Row {
        let patience = self.gives_up.since(now.mono).as_micros();
        let patience = i64::try_from(patience).unwrap_or(i64::MAX);
        let mut xml = Vec::with_capacity(self.stanza.size().saturating_add(128));
        self.write(&mut xml);
        let gives_up = now.wall.0.saturating_mul(1000).saturating_add(patience);
        let [remote, at] = key(remote, self.at);
        Row([remote, at, Field::Time(gives_up), Field::Xml(xml.into())].into())
    }

    /// What a row says, if it makes sense. It has half a minute at least: the server may have been away for longer than its patience, and
    /// nobody has tried yet.
    fn of_row(now: Now, row: &Row, retry_for: core::time::Duration) -> Option<Self> {
        let [
            _,
            Field::Time(at),
            Field::Time(gives_up),
            Field::Xml(stanza),
        ] = &row.0[..]
        else {
            return None;
        };
        let left = gives_up.saturating_sub(now.wall.0.saturating_mul(1000));
        let left = core::time::Duration::from_micros(u64::try_from(left).unwrap_or(0));
        let patience = left.min(retry_for).max(S2S_REQUEST_PATIENCE);
        Some(Self {
            stanza: Stanza::from_whole_xml(stanza)?.into(),
            to: None,
            receipt: None,
            urgency: Urgency::Directed,
            at: *at,
            since: now.mono,
            gives_up: now.mono + patience,
            kept: Kept::Yes,
        })
    }
}

fn key(remote: &Domain, at: i64) -> [Field; 2] {
    [Field::text(remote.as_str()), Field::Time(at)]
}

/// Rows of one remote domain behind this place, so many.
pub(crate) fn page(remote: &Domain, behind: Option<i64>, limit: u32) -> Op {
    Op::List {
        table: TABLE,
        prefix: Row([Field::text(remote.as_str())].into()),
        after: behind.map(|at| Row(key(remote, at).into())),
        limit,
    }
}

/// The first row behind all of the remote domain that this one is for, or of all.
pub(crate) fn next_remote(behind: Option<&Row>) -> Op {
    let last = |row: &Row| {
        let remote = row.0.first().cloned().unwrap_or_else(|| Field::text(""));
        Row([remote, Field::Time(i64::MAX)].into())
    };
    Op::List {
        table: TABLE,
        prefix: Row::default(),
        after: behind.map(last),
        limit: 1,
    }
}

/// Which remote domain a row is for.
pub(crate) fn remote_of(row: &Row) -> Option<Domain> {
    let Some(Field::Text(remote)) = row.0.first() else {
        return None;
    };
    Domain::parse(core::str::from_utf8(remote).ok()?).ok()
}

/// The place of a row.
pub(crate) fn place_of(row: &Row) -> Option<i64> {
    match row.0.get(1) {
        Some(Field::Time(at)) => Some(*at),
        Some(Field::Absent | Field::Bytes(_) | Field::Int(_) | Field::Text(_) | Field::Xml(_))
        | None => None,
    }
}

/// Forgets these rows.
pub(crate) fn forget(remote: &Domain, places: &[i64]) -> Vec<Op> {
    let delete = |at: &i64| Op::Delete {
        table: TABLE,
        key: Row(key(remote, *at).into()),
    };
    places.iter().map(delete).collect()
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

    /// What is to be written now, for this domain. It is to be told of the answer, `written`.
    pub(crate) fn take_writes(
        &mut self,
        now: Now,
        pace: Pace,
        remote: &Domain,
    ) -> Option<(Vec<Op>, Written)> {
        if self.next_write(pace)? > now.mono {
            return None;
        }
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
                    let op = Op::Put {
                        table: TABLE,
                        row: queued.row(now, remote),
                        expect: Expect::Anything,
                    };
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
    pub(crate) fn read(
        &mut self,
        now: Now,
        rows: &[Row],
        retry_for: core::time::Duration,
    ) -> usize {
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

    /// What is on disk is needed here no more: the server stops.
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

    /// Those that a stopping server has nowhere to put: all that does not outlive it.
    pub(crate) fn take_mortal(&mut self) -> Vec<Queued> {
        self.lose();
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
