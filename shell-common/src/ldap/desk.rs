//! Threads that ask directories, one queue for each host: a directory that is slow holds up who asks it, and neither a shard nor another host.
//!
//! One thread is always there. It takes on others while questions wait, as many as there may be connections, and they go when nothing is asked
//! for a while.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Instant;

use spondee_core::jid::{BareJid, Domain};
use spondee_core::port::Ticket;
use spondee_core::sasl::Judgement;
use spondee_core::secret::Secret;

use super::{Directory, Settings, Verdict};
use crate::limits::{LDAP_CONNECTIONS, LDAP_IDLE, LDAP_PATIENCE, LDAP_QUEUE};
use crate::mailbox::{Letter, Mailbox};
use crate::note;

/// The directories of all hosts that have one. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Directories(Arc<Mutex<BTreeMap<Domain, Arc<Desk>>>>);

/// Nobody asks: the host has no directory that could be, or too many questions wait for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unasked;

impl Directories {
    /// From now on these are asked, and no others; what waits for those of before is still answered by them. A host of which that cannot be
    /// done keeps what it had. Why, in sentences.
    #[must_use]
    pub fn replace(&self, directories: &BTreeMap<Domain, Settings>) -> Vec<String> {
        let mut faults = Vec::new();
        let mut desks = BTreeMap::new();
        for (host, settings) in directories {
            match Desk::open(host, settings) {
                Ok(desk) => {
                    desks.insert(host.clone(), Arc::new(desk));
                }
                Err(why) => {
                    let before = lock(&self.0).get(host).cloned();
                    let meanwhile = match &before {
                        Some(_) => "it goes on to ask as before",
                        None => "nobody can sign in there",
                    };
                    faults.push(format!(
                        "host {host} has a directory that cannot be asked, so {meanwhile}: {why}"
                    ));
                    desks.extend(before.map(|desk| (host.clone(), desk)));
                }
            }
        }
        let before = std::mem::replace(&mut *lock(&self.0), desks);
        drop(before);
        faults
    }

    /// Queues a question; the answer goes to `mailbox` under `ticket`. Waits for nobody.
    ///
    /// # Errors
    /// Nothing was queued.
    pub fn judge(
        &self,
        mailbox: &Arc<dyn Mailbox>,
        ticket: Ticket,
        account: &BareJid,
        password: Secret,
    ) -> Result<(), Unasked> {
        let desk = lock(&self.0).get(account.domain()).cloned();
        let user = account.local().ok_or(Unasked)?.to_owned();
        desk.ok_or(Unasked)?.counter.push(Question {
            mailbox: Arc::clone(mailbox),
            ticket,
            user,
            password,
            asked: Instant::now(),
        })
    }
}

/// Where the questions about one host are taken. Closed when dropped.
#[derive(Debug)]
struct Desk {
    counter: Arc<Counter>,
}

impl Desk {
    fn open(host: &Domain, settings: &Settings) -> Result<Self, String> {
        let directory = Directory::new(settings.clone())?;
        let counter = Arc::new(Counter {
            host: host.clone(),
            directory,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        hire(&counter, Post::Standing)
            .map_err(|error| format!("the system has no thread to give: {error}"))?;
        Ok(Self { counter })
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        lock(&self.counter.state).door = Door::Closed;
        self.counter.changed.notify_all();
    }
}

struct Question {
    mailbox: Arc<dyn Mailbox>,
    ticket: Ticket,
    user: String,
    password: Secret,
    asked: Instant,
}

struct Counter {
    host: Domain,
    directory: Directory,
    state: Mutex<State>,
    /// Something was pushed, or it was closed.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    questions: VecDeque<Question>,
    door: Door,
    /// Threads that are there, and those of them that wait for a question.
    threads: usize,
    idle: usize,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Door {
    #[default]
    Open,
    Closed,
}

/// For how long a thread is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Post {
    /// Until the desk is closed.
    Standing,
    /// Until nothing was asked for `LDAP_IDLE`.
    Helping,
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("Counter")
            .field("host", &self.host)
            .field("directory", &self.directory)
            .field("questions", &state.questions.len())
            .field("threads", &state.threads)
            .finish_non_exhaustive()
    }
}

impl Counter {
    fn push(&self, question: Question) -> Result<(), Unasked> {
        let mut state = lock(&self.state);
        if state.door == Door::Closed || state.questions.len() >= LDAP_QUEUE {
            return Err(Unasked);
        }
        state.questions.push_back(question);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// The next question, and whether somebody should be hired for those behind it. `None` for a thread that is to go.
    fn take(&self, post: Post) -> Option<(Question, bool)> {
        let mut state = lock(&self.state);
        let since = Instant::now();
        loop {
            if let Some(question) = state.questions.pop_front() {
                let is_short = !state.questions.is_empty()
                    && state.idle == 0
                    && state.threads < LDAP_CONNECTIONS;
                return Some((question, is_short));
            }
            let left = LDAP_IDLE.saturating_sub(since.elapsed());
            if state.door == Door::Closed || post == Post::Helping && left.is_zero() {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            state = match post {
                Post::Standing => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Post::Helping => {
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.idle -= 1;
        }
    }

    fn answer(&self, question: &Question) -> Judgement {
        if question.asked.elapsed() >= LDAP_PATIENCE {
            note::directory_silent(&self.host, "too many wait for it, so it is too slow");
            return Judgement::None;
        }
        match self.directory.verify(&question.user, &question.password) {
            Verdict::Right => Judgement::Right,
            Verdict::Wrong | Verdict::NoSuchUser => Judgement::Wrong,
            Verdict::Unreachable(why) => {
                note::directory_silent(&self.host, &why);
                Judgement::None
            }
        }
    }
}

fn hire(counter: &Arc<Counter>, post: Post) -> std::io::Result<()> {
    lock(&counter.state).threads += 1;
    let own = Arc::clone(counter);
    let hired = Builder::new()
        .name("ldap".to_owned())
        .spawn(move || work(&own, post));
    if hired.is_err() {
        lock(&counter.state).threads -= 1;
    }
    hired.map(drop)
}

fn work(counter: &Arc<Counter>, post: Post) {
    while let Some((question, is_short)) = counter.take(post) {
        if is_short {
            // Without one more thread it takes longer.
            let _ = hire(counter, Post::Helping);
        }
        let judgement = counter.answer(&question);
        let Question {
            mailbox, ticket, ..
        } = question;
        mailbox.post(vec![Letter::Judged(ticket, judgement)]);
    }
}

/// What is locked is consistent between any two statements, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
