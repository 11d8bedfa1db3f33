//! The writer thread with adaptive group commit, and the readers beside it.
//!
//! A thread takes everything that waits for it, up to one group, applies it as one transaction and answers it: an idle store
//! commits at once, a busy one commits ever larger groups. Only what nobody waits for is left until nothing else is to do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use spondee_core::port::Ticket;
use spondee_core::store::{Batch, Class, Reply, StoreError};
use tracing::Level;

use super::lanes::{Job, Lanes, Server};
use super::{Backend, Begun, Quiet, StoreCounters, Tended};
use crate::limits::{STORE_GATHER_AFTER, STORE_GATHER_FOR, STORE_QUIET, STORE_READERS};
use crate::log::{Cause, Subject, may_write};
use crate::mailbox::{Letter, Mailbox};

/// The running threads. Dropping stops them.
#[derive(Debug)]
pub(super) struct Threads {
    shared: Arc<Shared>,
    running: Mutex<Running>,
}

#[derive(Debug)]
struct Shared {
    /// What to do once nobody can know what is on the disk.
    give_up: fn(),
    state: Mutex<State>,
    writer: Condvar,
    readers: Vec<Condvar>,
}

#[derive(Debug)]
struct State {
    lanes: Lanes,
    counters: StoreCounters,
}

/// A thread hands its back end over at its end, so that `stop` chooses the order in which they are closed.
type Thread = JoinHandle<Box<dyn Backend>>;

#[derive(Debug, Default)]
struct Running {
    writer: Option<Thread>,
    readers: Vec<Thread>,
}

impl Threads {
    pub(super) fn start(backend: Box<dyn Backend>, shards: u16, give_up: fn()) -> Self {
        let readers: Vec<_> = (0..STORE_READERS).map_while(|_| backend.reader()).collect();
        let shared = Arc::new(Shared {
            give_up,
            state: Mutex::new(State {
                lanes: Lanes::new(readers.len(), shards),
                counters: StoreCounters::default(),
            }),
            writer: Condvar::new(),
            readers: readers.iter().map(|_| Condvar::new()).collect(),
        });
        let running = Running {
            writer: Some(spawn(&shared, Server::Writer, backend)),
            readers: readers
                .into_iter()
                .enumerate()
                .map(|(number, backend)| spawn(&shared, Server::Reader(number), backend))
                .collect(),
        };
        Self {
            shared,
            running: Mutex::new(running),
        }
    }

    pub(super) fn submit(
        &self,
        mailbox: &Arc<dyn Mailbox>,
        ticket: Ticket,
        batch: Batch,
    ) -> Result<(), StoreError> {
        let job = Job {
            mailbox: mailbox.clone(),
            ticket,
            batch,
            begun: Begun::default(),
        };
        let woken = lock(&self.shared.state).lanes.submit(job)?;
        if let Some(server) = woken {
            self.shared.ring(server);
        }
        Ok(())
    }

    pub(super) fn counters(&self) -> StoreCounters {
        lock(&self.shared.state).counters
    }

    pub(super) fn stop(&self) {
        lock(&self.shared.state).lanes.stop();
        self.shared.ring_all();
        // Held while joining: a second caller returns when everything has ended, too.
        let mut running = lock(&self.running);
        // The connection that writes is closed last: it then folds the write-ahead log into the database.
        let readers = std::mem::take(&mut running.readers);
        for thread in readers.into_iter().chain(running.writer.take()) {
            if thread.join().is_err() {
                tracing::error!("a storage thread had panicked");
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(shared: &Arc<Shared>, server: Server, mut backend: Box<dyn Backend>) -> Thread {
    let name = match server {
        Server::Writer => "store-writer".to_owned(),
        Server::Reader(number) => format!("store-reader-{number}"),
    };
    let shared = shared.clone();
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let mut leisure = Leisure::Due;
        let mut answered = None;
        loop {
            match shared.next(server, leisure, answered) {
                Work::Serve(jobs) => {
                    shared.serve(&mut *backend, jobs);
                    if server == Server::Writer {
                        answered = Some(Instant::now());
                        shared.tend(&mut *backend, Quiet::No);
                        leisure = Leisure::Due;
                    }
                }
                Work::Page(job) => shared.page(&mut *backend, job),
                Work::Tend => leisure = shared.tend(&mut *backend, Quiet::Yes),
                Work::End => return backend,
            }
        }
    });
    thread.expect("the operating system gives the store its threads")
}

/// What a thread is to do next.
enum Work {
    End,
    /// One step of it.
    Page(Job),
    Serve(Vec<Job>),
    Tend,
}

/// What the writer does when nothing comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Leisure {
    /// It tends the database after a while.
    Due,
    /// It goes on with that, unless somebody waits.
    More,
    /// It sleeps.
    Used,
}

impl Shared {
    /// Waits for work; `answered` is when the last was done.
    fn next(&self, server: Server, leisure: Leisure, answered: Option<Instant>) -> Work {
        let mut state = lock(&self.state);
        let mut deadline = None;
        let mut gathering = None;
        loop {
            state.lanes.wakes(server);
            if server == Server::Writer
                && state.lanes.may_gather()
                && answered
                    .is_some_and(|at| at.elapsed() < STORE_GATHER_AFTER || gathering.is_some())
            {
                let now = Instant::now();
                let end = *gathering.get_or_insert(now + STORE_GATHER_FOR);
                if now < end {
                    state.lanes.gathers();
                    state = sleep(state, &self.writer, Some(end - now));
                    continue;
                }
            }
            let mut jobs = state.lanes.take(server);
            if jobs.len() == 1
                && server != Server::Writer
                && let Some(page) = jobs.pop_if(|job| job.is_page())
            {
                return Work::Page(page);
            }
            if !jobs.is_empty() {
                return Work::Serve(jobs);
            }
            if state.lanes.is_finished() {
                return Work::End;
            }
            let Some(bell) = self.bell(server) else {
                return Work::End;
            };
            let patience = match (server, leisure) {
                (Server::Writer, Leisure::More) => return Work::Tend,
                (Server::Writer, Leisure::Due) => {
                    let now = Instant::now();
                    let end = *deadline.get_or_insert(now + STORE_QUIET);
                    if now >= end {
                        return Work::Tend;
                    }
                    Some(end - now)
                }
                (Server::Writer, Leisure::Used) | (Server::Reader(_), _) => None,
            };
            // What can wait is due before that, perhaps.
            let upkeep = match server {
                Server::Writer => state.lanes.upkeep_pause(),
                Server::Reader(_) => None,
            };
            let patience = [patience, upkeep].into_iter().flatten().min();
            state.lanes.sleeps(server);
            state = sleep(state, bell, patience);
        }
    }

    /// One transaction, its answers, and only then the next batches of these owners.
    fn serve(&self, backend: &mut dyn Backend, jobs: Vec<Job>) {
        let (returns, batches): (Vec<_>, Vec<_>) = jobs
            .into_iter()
            .map(|job| ((job.mailbox, job.ticket), job.batch))
            .unzip();
        let is_upkeep = matches!(
            batches[..],
            [Batch {
                class: Class::Upkeep,
                ..
            }]
        );
        let began = Instant::now();
        let outcomes = apply(backend, &batches);
        if is_upkeep {
            lock(&self.state).lanes.rests(began.elapsed());
        }
        self.answer(&batches, returns, outcomes);
    }

    /// One step of a page: answered, or put back behind the others.
    fn page(&self, backend: &mut dyn Backend, mut job: Job) {
        let step = catch_unwind(AssertUnwindSafe(|| {
            backend.page(&job.batch, &mut job.begun)
        }));
        let outcome = match step {
            Ok(Some(outcome)) => outcome,
            Ok(None) => return lock(&self.state).lanes.put_back(job),
            Err(_) => has_panicked(backend, 1),
        };
        let returns = vec![(job.mailbox, job.ticket)];
        self.answer(&[job.batch], returns, vec![outcome]);
    }

    fn answer(
        &self,
        batches: &[Batch],
        returns: Vec<(Arc<dyn Mailbox>, Ticket)>,
        outcomes: Vec<Outcome>,
    ) {
        let counted = count(batches, &outcomes);
        let unknown = outcomes.contains(&Err(StoreError::Unknown));
        // Before the answers: whoever has one may ask again at once, and finds room.
        lock(&self.state).lanes.make_room(batches);
        post(returns, outcomes);
        if unknown {
            // Nothing may be built on what is perhaps not on the disk, not even a read. The next start looks at what is there.
            (self.give_up)();
        }
        let mut state = lock(&self.state);
        let total = &mut state.counters;
        total.commits += counted.commits;
        total.batches += counted.batches;
        total.reads += counted.reads;
        total.loads += counted.loads;
        let woken = state.lanes.answered(batches);
        let finished = state.lanes.is_finished();
        drop(state);
        for server in woken {
            self.ring(server);
        }
        if finished {
            self.ring_all();
        }
    }

    /// What is left to do then when nobody waits.
    fn tend(&self, backend: &mut dyn Backend, quiet: Quiet) -> Leisure {
        let tended = catch_unwind(AssertUnwindSafe(|| backend.tend(quiet))).unwrap_or_else(|_| {
            tracing::error!("the storage back end panicked when nobody waited");
            Tended::Done
        });
        match tended {
            Tended::Done => Leisure::Used,
            Tended::More => Leisure::More,
            Tended::Unknown => {
                (self.give_up)();
                Leisure::Used
            }
        }
    }

    fn bell(&self, server: Server) -> Option<&Condvar> {
        match server {
            Server::Writer => Some(&self.writer),
            Server::Reader(number) => self.readers.get(number),
        }
    }

    fn ring(&self, server: Server) {
        if let Some(bell) = self.bell(server) {
            bell.notify_one();
        }
    }

    fn ring_all(&self) {
        self.writer.notify_one();
        self.readers.iter().for_each(Condvar::notify_one);
    }
}

type Outcome = Result<Vec<Reply>, StoreError>;

/// A back end that panics fails this group and is asked again for the next: the server says so and goes on.
fn apply(backend: &mut dyn Backend, batches: &[Batch]) -> Vec<Outcome> {
    let outcomes = catch_unwind(AssertUnwindSafe(|| backend.apply(batches)));
    let mut outcomes = outcomes.unwrap_or_else(|_| vec![has_panicked(backend, batches.len())]);
    outcomes.resize(batches.len(), Err(StoreError::Failed));
    outcomes
}

fn has_panicked(backend: &mut dyn Backend, batches: usize) -> Outcome {
    if may_write(Level::ERROR, Cause::Server, Subject::Warning) {
        tracing::error!(batches, "the storage back end panicked");
    }
    // What it left open is rolled back now, not with its next work: it would hold the log.
    let _ = catch_unwind(AssertUnwindSafe(|| backend.apply(&[])));
    Err(StoreError::Failed)
}

fn count(batches: &[Batch], outcomes: &[Outcome]) -> StoreCounters {
    let mut counted = StoreCounters::default();
    for (batch, outcome) in batches.iter().zip(outcomes) {
        if batch.is_read_only() {
            counted.reads += 1;
            counted.loads += u64::from(batch.class == Class::Load);
        } else if outcome.is_ok() {
            counted.batches += 1;
        }
    }
    counted.commits = counted.batches.min(1);
    counted
}

/// One `post` for each mailbox, in the order of the batches.
fn post(returns: Vec<(Arc<dyn Mailbox>, Ticket)>, outcomes: Vec<Outcome>) {
    // There are as many mailboxes as shards: a search is quicker than a map.
    let mut mail: Vec<(Arc<dyn Mailbox>, Vec<Letter>)> = Vec::new();
    for ((mailbox, ticket), outcome) in returns.into_iter().zip(outcomes) {
        let letter = Letter::Stored(ticket, outcome);
        match mail.iter_mut().find(|(to, _)| Arc::ptr_eq(to, &mailbox)) {
            Some((_, letters)) => letters.push(letter),
            None => mail.push((mailbox, vec![letter])),
        }
    }
    for (mailbox, letters) in mail {
        // A shard that is gone must not take the others' storage with it.
        if catch_unwind(AssertUnwindSafe(|| mailbox.post(letters))).is_err() {
            tracing::error!("a shard's mailbox panicked: its answers are lost");
        }
    }
}

/// Until somebody rings, or for so long.
fn sleep<'a>(
    state: MutexGuard<'a, State>,
    bell: &Condvar,
    patience: Option<Duration>,
) -> MutexGuard<'a, State> {
    match patience {
        Some(patience) => {
            let woken = bell.wait_timeout(state, patience);
            woken.unwrap_or_else(PoisonError::into_inner).0
        }
        None => bell.wait(state).unwrap_or_else(PoisonError::into_inner),
    }
}

/// Nothing panics while it holds a lock here, so a poisoned one still guards a whole state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
