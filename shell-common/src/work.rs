//! PBKDF2 workers: what costs milliseconds runs here, never on a shard's thread.
//!
//! Threads over one bounded queue. Questions are taken in order; answers may overtake each other. Knows nothing of accounts.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use spondee_core::port::{DeriveError, Ticket};
use spondee_core::sasl::DeriveParams;
use spondee_core::secret::Secret;

use crate::limits::{DERIVE_BATCH, DERIVE_QUEUE};
use crate::mailbox::{Letter, Mailbox};

/// The handle of the running workers. Cloning shares them; they stop with the last handle.
#[derive(Clone, Debug)]
pub struct Workers(Arc<Pool>);

impl Workers {
    /// Starts `threads` workers, at least one, over one bounded queue.
    ///
    /// # Panics
    /// If the system has no thread to give: the server is starting and cannot.
    #[must_use]
    pub fn start(threads: usize) -> Self {
        let threads = threads.max(1);
        let queue = Arc::new(Queue::default());
        let spawn = |number| {
            let queue = Arc::clone(&queue);
            Builder::new()
                .name(format!("pbkdf2-{number}"))
                .spawn(move || work(&queue, threads))
                .expect("a thread for PBKDF2")
        };
        let threads = Mutex::new((0..threads).map(spawn).collect());
        Self(Arc::new(Pool { queue, threads }))
    }

    /// Queues the jobs of one question; the answer goes to `mailbox` under `ticket`.
    ///
    /// # Errors
    /// `Busy` if the queue is full or the workers have been stopped; nothing was queued.
    pub fn derive(
        &self,
        mailbox: &Arc<dyn Mailbox>,
        ticket: Ticket,
        password: Secret,
        jobs: Vec<DeriveParams>,
    ) -> Result<(), DeriveError> {
        self.0.queue.push(Question {
            mailbox: Arc::clone(mailbox),
            ticket,
            password,
            jobs,
        })
    }

    /// Finishes what is queued and ends the threads. Returns when they have ended; harmless when repeated.
    pub fn stop(&self) {
        self.0.stop();
    }
}

#[derive(Debug)]
struct Pool {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Pool {
    fn stop(&self) {
        self.queue.close();
        // Held while joining, so that everybody who stops the workers waits for their end.
        for thread in lock(&self.threads).drain(..) {
            // A worker that panicked has said so on standard error; there is nothing left to do about it.
            let _ = thread.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(Debug)]
struct Question {
    mailbox: Arc<dyn Mailbox>,
    ticket: Ticket,
    password: Secret,
    jobs: Vec<DeriveParams>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// Something was pushed, or the queue was closed.
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    questions: VecDeque<Question>,
    door: Door,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Door {
    #[default]
    Open,
    Closed,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = lock(&self.waiting);
        f.debug_struct("Queue")
            .field("questions", &waiting.questions.len())
            .field("door", &waiting.door)
            .finish_non_exhaustive()
    }
}

impl Queue {
    fn push(&self, question: Question) -> Result<(), DeriveError> {
        let mut waiting = lock(&self.waiting);
        if waiting.door == Door::Closed || waiting.questions.len() >= DERIVE_QUEUE {
            return Err(DeriveError::Busy);
        }
        waiting.questions.push_back(question);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for questions and takes one worker's share of them. Empty when the queue is closed and nothing is left.
    fn take(&self, workers: usize) -> Vec<Question> {
        let idle =
            |waiting: &mut Waiting| waiting.questions.is_empty() && waiting.door == Door::Open;
        let mut waiting = self
            .changed
            .wait_while(lock(&self.waiting), idle)
            .unwrap_or_else(PoisonError::into_inner);
        let len = waiting.questions.len();
        let share = (len / workers).clamp(1, DERIVE_BATCH).min(len);
        waiting.questions.drain(..share).collect()
    }

    fn close(&self) {
        lock(&self.waiting).door = Door::Closed;
        self.changed.notify_all();
    }
}

/// What is locked is consistent between any two statements, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(queue: &Queue, workers: usize) {
    loop {
        let questions = queue.take(workers);
        if questions.is_empty() {
            return;
        }
        let mut answers: Vec<(Arc<dyn Mailbox>, Vec<Letter>)> = Vec::new();
        for question in questions {
            let keys = question
                .jobs
                .iter()
                .map(|job| job.derive(&question.password))
                .collect();
            let letter = Letter::Derived(question.ticket, Ok(keys));
            // One post, hence one wake, for each shard.
            match answers
                .iter_mut()
                .find(|(mailbox, _)| Arc::ptr_eq(mailbox, &question.mailbox))
            {
                Some((_, letters)) => letters.push(letter),
                None => answers.push((question.mailbox, vec![letter])),
            }
        }
        for (mailbox, letters) in answers {
            mailbox.post(letters);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
    use std::thread;

    use spondee_core::arena::Arena;
    use spondee_core::sasl::{Hash, ScramKeys};

    use super::*;

    /// Passes letters on, each post as one.
    #[derive(Debug)]
    struct Collecting(Mutex<std::sync::mpsc::Sender<Vec<Letter>>>);

    impl Mailbox for Collecting {
        fn post(&self, letters: Vec<Letter>) {
            lock(&self.0).send(letters).unwrap();
        }
    }

    fn collecting() -> (Arc<dyn Mailbox>, Receiver<Vec<Letter>>) {
        let (sender, receiver) = channel();
        (Arc::new(Collecting(Mutex::new(sender))), receiver)
    }

    /// Holds up the worker that posts until the test lets it go.
    #[derive(Debug)]
    struct Holding {
        arrived: SyncSender<()>,
        released: Mutex<Receiver<()>>,
    }

    impl Mailbox for Holding {
        fn post(&self, _: Vec<Letter>) {
            self.arrived.send(()).unwrap();
            // Released by a message or by the end of the test.
            let _ = lock(&self.released).recv();
        }
    }

    /// One worker, held up; drop the sender to let it go.
    fn held_up() -> (Workers, SyncSender<()>) {
        let workers = Workers::start(1);
        let (arrived, arrivals) = sync_channel(0);
        let (release, released) = sync_channel(0);
        let mailbox: Arc<dyn Mailbox> = Arc::new(Holding {
            arrived,
            released: Mutex::new(released),
        });
        let [ticket] = tickets(1).try_into().unwrap();
        workers
            .derive(&mailbox, ticket, password(), vec![])
            .unwrap();
        arrivals.recv().unwrap();
        (workers, release)
    }

    fn tickets(count: usize) -> Vec<Ticket> {
        let mut arena: Arena<Ticket, ()> = Arena::default();
        (0..count).map(|_| arena.insert(())).collect()
    }

    fn password() -> Secret {
        Secret::new(b"pencil".to_vec())
    }

    fn jobs() -> Vec<DeriveParams> {
        Hash::ALL
            .into_iter()
            .map(|hash| DeriveParams {
                hash,
                salt: hash.name().into(),
                rounds: 2,
            })
            .collect()
    }

    fn read(letter: Letter) -> (Ticket, Vec<ScramKeys>) {
        match letter {
            Letter::Derived(ticket, Ok(keys)) => (ticket, keys),
            letter @ (Letter::Census
            | Letter::Command(..)
            | Letter::Derived(..)
            | Letter::Evict(_)
            | Letter::Handshake(..)
            | Letter::Judged(..)
            | Letter::Resolved(..)
            | Letter::Stored(..)) => {
                panic!("{letter:?}")
            }
        }
    }

    #[test]
    fn answers_each_question_with_keys_for_each_job_in_order() {
        let workers = Workers::start(3);
        let (mailbox, letters) = collecting();
        let asked = tickets(50);
        for ticket in &asked {
            workers
                .derive(&mailbox, *ticket, password(), jobs())
                .unwrap();
        }
        workers.stop();
        drop(mailbox);
        let expected: Vec<ScramKeys> = jobs().iter().map(|job| job.derive(&password())).collect();
        let mut answered = BTreeSet::new();
        for letter in letters.try_iter().flatten() {
            let (ticket, keys) = read(letter);
            assert_eq!(keys, expected);
            assert!(answered.insert(ticket));
        }
        assert!(answered.into_iter().eq(asked));
    }

    #[test]
    fn a_full_queue_is_busy_and_takes_nothing() {
        let (workers, release) = held_up();
        let (mailbox, letters) = collecting();
        let asked = tickets(DERIVE_QUEUE + 1);
        let (last, fitting) = asked.split_last().unwrap();
        for ticket in fitting {
            workers
                .derive(&mailbox, *ticket, password(), vec![])
                .unwrap();
        }
        let refused = workers.derive(&mailbox, *last, password(), vec![]);
        assert_eq!(refused, Err(DeriveError::Busy));
        drop(release);
        workers.stop();
        drop(mailbox);
        let answered: Vec<Ticket> = letters.try_iter().flatten().map(|l| read(l).0).collect();
        assert_eq!(answered, fitting);
    }

    #[test]
    fn the_answers_of_a_share_reach_each_mailbox_in_one_post() {
        let (workers, release) = held_up();
        let (one, ones) = collecting();
        let (other, others) = collecting();
        for (number, ticket) in tickets(DERIVE_BATCH).into_iter().enumerate() {
            let mailbox = if number % 2 == 0 { &one } else { &other };
            workers.derive(mailbox, ticket, password(), vec![]).unwrap();
        }
        drop(release);
        workers.stop();
        for posts in [ones, others] {
            let sizes: Vec<usize> = posts.try_iter().map(|letters| letters.len()).collect();
            assert_eq!(sizes, [DERIVE_BATCH / 2]);
        }
    }

    #[test]
    fn stop_finishes_what_is_queued_and_refuses_what_comes_later() {
        let (workers, release) = held_up();
        let (mailbox, letters) = collecting();
        for ticket in tickets(20) {
            workers
                .derive(&mailbox, ticket, password(), jobs())
                .unwrap();
        }
        let stopping = workers.clone();
        let stopper = thread::spawn(move || stopping.stop());
        drop(release);
        stopper.join().unwrap();
        workers.stop();
        assert_eq!(letters.try_iter().flatten().count(), 20);
        let [late] = tickets(1).try_into().unwrap();
        let refused = workers.derive(&mailbox, late, password(), jobs());
        assert_eq!(refused, Err(DeriveError::Busy));
    }

    #[test]
    fn the_last_handle_ends_the_threads() {
        let (mailbox, letters) = collecting();
        let workers = Workers::start(0);
        let [ticket] = tickets(1).try_into().unwrap();
        workers
            .derive(&mailbox, ticket, password(), jobs())
            .unwrap();
        drop(workers.clone());
        drop(workers);
        assert_eq!(letters.try_iter().flatten().count(), 1);
    }
}
