//! Which thread serves which batch, and when: queues and the order of each owner, without threads.
//!
//! The writer never reads for others. An owner's read waits until its earlier writes are answered, then a reader serves it; a write
//! waits until its owner's earlier reads are answered, but for pages of a log, which have a bound of their own (`Pick::upto`). Of an
//! owner's other reads there is one at a time. What follows a batch that waits, waits behind it. So the batches of one owner
//! take effect and are answered in the order submitted, and no owner waits for another's reads.
//!
//! One reader serves sign-ins and loads alone; the other takes those first, then everything else. Who is awake and reads rows alone takes a few
//! more of them before another is woken.
//!
//! The writer takes all that waits. Upkeep, which can wait, is behind all of that, one batch at a time, and each followed by nineteen times as
//! long without; it goes first only when its owner wants something else, or when it was passed over many times. Appends, for which nobody waits, may be left for a moment so that more of them come
//! together: each commit writes the pages that it touched, however few rows are new on them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use spondee_core::jid::BareJid;
use spondee_core::limits::StoreCredit;
use spondee_core::port::Ticket;
use spondee_core::store::{Batch, Class, Op, StoreError};

use super::Begun;
use crate::limits::{
    STORE_GATHER_OPS, STORE_GROUP_BATCHES, STORE_GROUP_BYTES, STORE_PATIENT_READS,
    STORE_UPKEEP_GROUPS, STORE_UPKEEP_PART, STORE_UPKEEP_PAUSE, STORE_URGENT_READS, STORE_WAKE_FOR,
};
use crate::mailbox::Mailbox;

/// A batch and where its answer goes.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) mailbox: Arc<dyn Mailbox>,
    pub(super) ticket: Ticket,
    pub(super) batch: Batch,
    /// Of a page.
    pub(super) begun: Begun,
}

impl Job {
    /// Whether it is served in steps: one page, or one measure.
    pub(super) fn is_page(&self) -> bool {
        matches!(self.batch.ops[..], [Op::Measure { .. } | Op::Page { .. }])
    }
}

/// A storage thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Server {
    Writer,
    Reader(usize),
}

/// All that is submitted and not yet answered.
#[derive(Debug)]
pub(super) struct Lanes {
    phase: Phase,
    /// For what the shards may send in all.
    room: StoreCredit,
    batches: usize,
    bytes: usize,
    writes: VecDeque<Job>,
    /// Of these, those that somebody waits for.
    eager: usize,
    /// Operations and entries in the others.
    gathered: usize,
    /// Writes that can wait.
    upkeep: VecDeque<Job>,
    /// How many groups went before the first of them.
    passed_over: u32,
    /// None of them is begun before this.
    upkeep_from: Option<Instant>,
    /// Batches that wait for others of their owners.
    parked: usize,
    /// Sign-ins and loads.
    urgent: VecDeque<Job>,
    /// Other reads.
    patient: VecDeque<Job>,
    owners: HashMap<BareJid, Lane>,
    writer: Sleep,
    readers: Vec<Sleep>,
    /// What each of them serves, or served last.
    serving: Vec<Serving>,
}

/// How soon a reader looks for more to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Serving {
    /// Sign-ins alone, a row each: before another thread had woken.
    Rows,
    /// What may take it as long as the longest load or page.
    More,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Running,
    Stopping,
}

/// Whether a thread must be woken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sleep {
    Asleep,
    Awake,
    /// Until somebody waits or enough has been gathered.
    Gathering,
}

/// One owner's unanswered batches, but for pages under way.
#[derive(Debug, Default)]
struct Lane {
    reads: usize,
    writes: usize,
    /// In the order submitted.
    parked: VecDeque<Job>,
}

/// What a batch waits for and holds up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Manner {
    Page,
    Read,
    Write,
}

impl Manner {
    fn of(batch: &Batch) -> Self {
        match (batch.is_read_only(), batch.class) {
            (false, _) => Self::Write,
            (true, Class::Page) => Self::Page,
            (true, Class::Append | Class::Change | Class::Load | Class::SignIn | Class::Upkeep) => {
                Self::Read
            }
        }
    }
}

impl Lane {
    fn admits(&self, manner: Manner) -> bool {
        match manner {
            Manner::Page => self.writes == 0,
            // Two readers could answer two of them in the wrong order.
            Manner::Read => self.writes == 0 && self.reads == 0,
            Manner::Write => self.reads == 0,
        }
    }

    /// The number of batches under way that this one is counted in.
    const fn count(&mut self, manner: Manner) -> Option<&mut usize> {
        match manner {
            Manner::Page => None,
            Manner::Read => Some(&mut self.reads),
            Manner::Write => Some(&mut self.writes),
        }
    }

    const fn begin(&mut self, manner: Manner) {
        if let Some(count) = self.count(manner) {
            *count += 1;
        }
    }

    fn is_idle(&self) -> bool {
        self.reads == 0 && self.writes == 0 && self.parked.is_empty()
    }
}

impl Lanes {
    /// For one writer and so many readers, none included, and so many shards.
    pub(super) fn new(readers: usize, shards: u16) -> Self {
        Self {
            phase: Phase::Running,
            room: StoreCredit::room_for(shards),
            batches: 0,
            bytes: 0,
            writes: VecDeque::new(),
            eager: 0,
            gathered: 0,
            upkeep: VecDeque::new(),
            passed_over: 0,
            upkeep_from: None,
            parked: 0,
            urgent: VecDeque::new(),
            patient: VecDeque::new(),
            owners: HashMap::new(),
            writer: Sleep::Awake,
            readers: vec![Sleep::Awake; readers],
            serving: vec![Serving::More; readers],
        }
    }

    /// Queues a job and tells who must be woken for it.
    pub(super) fn submit(&mut self, job: Job) -> Result<Option<Server>, StoreError> {
        let bytes = job.batch.weight();
        // One batch alone is always taken: a bound must not make it impossible.
        let full = self.batches >= self.room.batches
            || (self.batches > 0 && self.bytes.saturating_add(bytes) > self.room.bytes);
        if full || self.phase == Phase::Stopping {
            return Err(StoreError::Busy);
        }
        self.batches += 1;
        self.bytes += bytes;
        self.hurry(&job.batch.owner);
        let manner = Manner::of(&job.batch);
        if let Some(lane) = self.owners.get_mut(&job.batch.owner) {
            if !lane.parked.is_empty() || !lane.admits(manner) {
                lane.parked.push_back(job);
                self.parked += 1;
                // It waits for what is being gathered, perhaps.
                return Ok(match self.writer {
                    Sleep::Gathering => self.wake(Server::Writer),
                    Sleep::Asleep | Sleep::Awake => None,
                });
            }
            lane.begin(manner);
        } else if manner != Manner::Page {
            let mut lane = Lane::default();
            lane.begin(manner);
            self.owners.insert(job.batch.owner.clone(), lane);
        }
        Ok(self.push(job, manner))
    }

    /// What waits for this thread, up to one group.
    pub(super) fn take(&mut self, server: Server) -> Vec<Job> {
        let jobs = self.pick(server);
        if let Server::Reader(number) = server
            && let Some(serving) = self.serving.get_mut(number)
        {
            let rows = |job: &Job| job.batch.class == Class::SignIn;
            *serving = match jobs.iter().all(rows) {
                true => Serving::Rows,
                false => Serving::More,
            };
        }
        jobs
    }

    fn pick(&mut self, server: Server) -> Vec<Job> {
        match server {
            Server::Writer => self.group(),
            Server::Reader(0) if self.readers.len() > 1 => {
                some(&mut self.urgent, STORE_URGENT_READS)
            }
            Server::Reader(_) if self.urgent.is_empty() => {
                let pages = self.patient.iter().position(Job::is_page);
                match pages {
                    Some(0) => some(&mut self.patient, 1),
                    Some(others) => some(&mut self.patient, others.min(STORE_PATIENT_READS)),
                    None => some(&mut self.patient, STORE_PATIENT_READS),
                }
            }
            Server::Reader(_) => some(&mut self.urgent, STORE_URGENT_READS),
        }
    }

    /// A page that is not ready: others have their turn.
    pub(super) fn put_back(&mut self, job: Job) {
        self.patient.push_back(job);
    }

    /// These batches are done, and about to be answered.
    pub(super) fn make_room(&mut self, batches: &[Batch]) {
        for batch in batches {
            self.batches = self.batches.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(batch.weight());
        }
    }

    /// These batches have been answered. Tells who has more to do now and must be woken.
    pub(super) fn answered(&mut self, batches: &[Batch]) -> Vec<Server> {
        let mut woken = Vec::new();
        for batch in batches {
            self.step(batch, &mut woken);
        }
        woken
    }

    /// A batch of upkeep took so long: others have the writer for some time now.
    pub(super) fn rests(&mut self, took: Duration) {
        let pause = took.saturating_mul(STORE_UPKEEP_PART - 1);
        self.upkeep_from = Instant::now().checked_add(pause.min(STORE_UPKEEP_PAUSE));
    }

    /// How long what can wait has to, if it does.
    pub(super) fn upkeep_pause(&self) -> Option<Duration> {
        let from = self.upkeep_from.filter(|_| self.phase == Phase::Running)?;
        let pause = from.saturating_duration_since(Instant::now());
        (!self.upkeep.is_empty() && !pause.is_zero()).then_some(pause)
    }

    /// Whether nothing but appends waits for the writer, few of them, and nobody waits for these.
    pub(super) fn may_gather(&self) -> bool {
        self.phase == Phase::Running
            && !self.writes.is_empty()
            && self.eager == 0
            && self.parked == 0
            && self.gathered < STORE_GATHER_OPS
            && self.writes.len() < STORE_GROUP_BATCHES
    }

    /// The writer leaves what waits for it for a moment.
    pub(super) const fn gathers(&mut self) {
        self.writer = Sleep::Gathering;
    }

    /// This thread has nothing to do.
    pub(super) fn sleeps(&mut self, server: Server) {
        if let Some(sleep) = self.sleep(server) {
            *sleep = Sleep::Asleep;
        }
    }

    /// This thread looks for work, whoever woke it.
    pub(super) fn wakes(&mut self, server: Server) {
        if let Some(sleep) = self.sleep(server) {
            *sleep = Sleep::Awake;
        }
    }

    /// Refuses what comes from now on.
    pub(super) const fn stop(&mut self) {
        self.phase = Phase::Stopping;
    }

    /// Whether nothing is left and nothing will come.
    pub(super) fn is_finished(&self) -> bool {
        self.phase == Phase::Stopping && self.batches == 0
    }

    /// Somebody waits for this owner: so its upkeep cannot.
    fn hurry(&mut self, owner: &BareJid) {
        if self.upkeep.is_empty() {
            return;
        }
        let of_owner = |job: &Job| job.batch.owner == *owner;
        while let Some(place) = self.upkeep.iter().position(of_owner)
            && let Some(job) = self.upkeep.remove(place)
        {
            self.eager = self.eager.saturating_add(1);
            self.writes.push_back(job);
        }
    }

    fn group(&mut self) -> Vec<Job> {
        if !self.upkeep.is_empty() && self.upkeep_pause().is_none() {
            if (self.writes.is_empty() || self.passed_over >= STORE_UPKEEP_GROUPS)
                && let Some(job) = self.upkeep.pop_front()
            {
                self.passed_over = 0;
                return vec![job];
            }
            self.passed_over += 1;
        }
        let mut bytes = 0_usize;
        let fits = |job: &&Job| {
            bytes = bytes.saturating_add(job.batch.weight());
            bytes <= STORE_GROUP_BYTES
        };
        // The first fits, however long it is.
        let count = self
            .writes
            .iter()
            .take(STORE_GROUP_BATCHES)
            .take_while(fits)
            .count();
        let group = some(&mut self.writes, count.max(1));
        for job in &group {
            let (number, of) = self.count(&job.batch);
            *number = number.saturating_sub(of);
        }
        group
    }

    /// The number in which this write is counted while it waits, and by how much.
    fn count(&mut self, batch: &Batch) -> (&mut usize, usize) {
        match batch.class {
            Class::Append => (&mut self.gathered, batch.count()),
            Class::Change | Class::Load | Class::Page | Class::SignIn | Class::Upkeep => {
                (&mut self.eager, 1)
            }
        }
    }

    fn push(&mut self, job: Job, manner: Manner) -> Option<Server> {
        // Without readers the writer does everything.
        if manner == Manner::Write || self.readers.is_empty() {
            let lane = self.owners.get(&job.batch.owner);
            // It must not overtake an earlier write of its owner.
            let is_first = lane.is_some_and(|lane| lane.writes == 1);
            if manner == Manner::Write && job.batch.class == Class::Upkeep && is_first {
                self.upkeep.push_back(job);
                return match self.writer {
                    Sleep::Gathering => None,
                    Sleep::Asleep | Sleep::Awake => self.wake(Server::Writer),
                };
            }
            let (number, of) = self.count(&job.batch);
            *number = number.saturating_add(of);
            self.writes.push_back(job);
            if self.writer == Sleep::Gathering && self.may_gather() {
                return None;
            }
            return self.wake(Server::Writer);
        }
        let last = self.readers.len() - 1;
        match job.batch.class {
            Class::Load | Class::SignIn => {
                self.urgent.push_back(job);
                if self.is_little() && self.is_soon_free() {
                    return None;
                }
                let mut readers = (0..=last).map(Server::Reader);
                readers.find_map(|reader| self.wake(reader))
            }
            Class::Append | Class::Change | Class::Page | Class::Upkeep => {
                self.patient.push_back(job);
                self.wake(Server::Reader(last))
            }
        }
    }

    /// One batch of this owner less; what waited for it goes on.
    fn step(&mut self, batch: &Batch, woken: &mut Vec<Server>) {
        let Some(lane) = self.owners.get_mut(&batch.owner) else {
            return;
        };
        if let Some(count) = lane.count(Manner::of(batch)) {
            *count = count.saturating_sub(1);
        }
        let mut free = Vec::new();
        while let Some(next) = lane.parked.front()
            && lane.admits(Manner::of(&next.batch))
            && let Some(job) = lane.parked.pop_front()
        {
            let manner = Manner::of(&job.batch);
            lane.begin(manner);
            free.push((job, manner));
        }
        if lane.is_idle() {
            self.owners.remove(&batch.owner);
        }
        self.parked = self.parked.saturating_sub(free.len());
        for (job, manner) in free {
            woken.extend(self.push(job, manner));
        }
    }

    /// Whether what is urgent is a few rows.
    fn is_little(&self) -> bool {
        let rows = |job: &Job| job.batch.class == Class::SignIn;
        self.urgent.len() <= STORE_WAKE_FOR && self.urgent.iter().all(rows)
    }

    /// Whether a reader that is awake takes what is urgent sooner than another would be.
    fn is_soon_free(&self) -> bool {
        let mut readers = self.readers.iter().zip(&self.serving);
        readers.any(|(sleep, serving)| *sleep == Sleep::Awake && *serving == Serving::Rows)
    }

    fn sleep(&mut self, server: Server) -> Option<&mut Sleep> {
        match server {
            Server::Writer => Some(&mut self.writer),
            Server::Reader(reader) => self.readers.get_mut(reader),
        }
    }

    /// Names this thread if somebody must wake it: once.
    fn wake(&mut self, server: Server) -> Option<Server> {
        let sleep = self.sleep(server)?;
        (std::mem::replace(sleep, Sleep::Awake) != Sleep::Awake).then_some(server)
    }
}

/// The first of a queue. Room that a crowd needed is given back.
fn some(queue: &mut VecDeque<Job>, count: usize) -> Vec<Job> {
    let count = queue.len().min(count);
    let jobs = queue.drain(..count).collect();
    if queue.is_empty() {
        queue.shrink_to(STORE_GROUP_BATCHES);
    }
    jobs
}
