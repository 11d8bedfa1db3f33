//! The thread that asks DNS for all shards: what says whom to ask are files, which no shard's thread reads, and what was answered to one is known
//! to all.
//!
//! It is one thread with sockets that do not block, so a name server that is silent holds up nobody else's questions.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::mem;
use std::os::fd::{AsFd as _, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};
use spondee_core::port::{Lookup, LookupError, Resolved, Ticket};

use super::files::{Changed, Files};
use super::resolver::Resolver;
use super::{NameServer, Stub, number};
use crate::limits::dns::{DNS_PATIENCE, DNS_QUESTIONS, DNS_QUEUE};
use crate::mailbox::{Letter, Mailbox};

/// What shards ask for names. Clones are the same; the thread ends with the last of them.
#[derive(Clone, Debug)]
pub struct Names(Arc<Handle>);

/// So much is being asked that this was not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Busy;

impl Names {
    /// Starts the thread. It asks this server, or, if none is named, those of `/etc/resolv.conf`.
    ///
    /// # Panics
    /// If the system has no thread to give: the server is starting and cannot.
    #[must_use]
    pub fn start(server: Option<NameServer>) -> Self {
        Self::start_with(Files::of_system(server), number)
    }

    fn start_with(files: Files, dice: fn() -> u16) -> Self {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            bell: eventfd(0, flags).expect("a bell for names"),
        });
        let own = Arc::clone(&queue);
        Builder::new()
            .name("names".to_owned())
            .spawn(move || work(own, files, dice))
            .expect("a thread for names");
        Self(Arc::new(Handle(queue)))
    }

    /// Asks; `mailbox` has the answer under this ticket. Waits for nobody.
    ///
    /// # Errors
    /// The queue is full.
    pub fn resolve(
        &self,
        mailbox: &Arc<dyn Mailbox>,
        ticket: Ticket,
        lookup: Lookup,
    ) -> Result<(), Busy> {
        let asker = Asker(Arc::clone(mailbox), ticket);
        self.0.0.push(lookup, asker)
    }
}

/// Closes the queue when dropped.
#[derive(Debug)]
struct Handle(Arc<Queue>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().door = Door::Closed;
        self.0.ring();
    }
}

/// Who is to have an answer.
#[derive(Debug)]
struct Asker(Arc<dyn Mailbox>, Ticket);

#[derive(Debug)]
struct Question {
    lookup: Lookup,
    asker: Asker,
    asked: Instant,
}

struct Queue {
    waiting: Mutex<Waiting>,
    /// Rung when there is something in a queue that was empty, and when it is closed.
    bell: OwnedFd,
}

#[derive(Debug, Default)]
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
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl Queue {
    fn push(&self, lookup: Lookup, asker: Asker) -> Result<(), Busy> {
        let mut waiting = self.lock();
        if waiting.door == Door::Closed || waiting.questions.len() >= DNS_QUEUE {
            return Err(Busy);
        }
        let was_empty = waiting.questions.is_empty();
        waiting.questions.push_back(Question {
            lookup,
            asker,
            asked: Instant::now(),
        });
        drop(waiting);
        // Otherwise it was rung already, or the thread looks when it has room again.
        if was_empty {
            self.ring();
        }
        Ok(())
    }

    fn take(&self) -> Option<Question> {
        self.lock().questions.pop_front()
    }

    fn door(&self) -> Door {
        self.lock().door
    }

    /// Takes no more. What is still in it.
    fn close(&self) -> VecDeque<Question> {
        let mut waiting = self.lock();
        waiting.door = Door::Closed;
        mem::take(&mut waiting.questions)
    }

    fn ring(&self) {
        // Fails if it has been rung very often and nobody came: it rings, then.
        let _rings = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn hush(&self) {
        // Fails if it does not ring.
        let _rang = rustix::io::read(&self.bell, &mut [0; 8]);
    }

    /// What is locked is consistent between any two statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(queue: Arc<Queue>, files: Files, dice: fn() -> u16) {
    let mut desk = Desk::open(queue, files, dice);
    loop {
        match catch_unwind(AssertUnwindSafe(|| desk.turn())) {
            Ok(Door::Open) => {}
            Ok(Door::Closed) => return,
            Err(_) => desk.begin_anew(),
        }
    }
}

/// What the thread has.
struct Desk {
    queue: Arc<Queue>,
    files: Files,
    dice: fn() -> u16,
    resolver: Resolver,
    /// By the resolver's ticket.
    under_way: BTreeMap<u64, UnderWay>,
    last: u64,
    /// Answers, for the end of the turn.
    letters: Vec<(Arc<dyn Mailbox>, Vec<Letter>)>,
}

/// A question of one or more: a name server is not asked the same twice at a time, which would double the chance to guess an answer.
struct UnderWay {
    lookup: Lookup,
    askers: Vec<Asker>,
}

impl Desk {
    fn open(queue: Arc<Queue>, mut files: Files, dice: fn() -> u16) -> Self {
        let resolver = resolver(&mut files, dice);
        Self {
            queue,
            files,
            dice,
            resolver,
            under_way: BTreeMap::new(),
            last: 0,
            letters: Vec::new(),
        }
    }

    /// Takes questions, gives answers, and sleeps until there is more to do.
    fn turn(&mut self) -> Door {
        self.queue.hush();
        if self.queue.door() == Door::Closed {
            return Door::Closed;
        }
        loop {
            self.take_answers();
            if !self.has_room() {
                break;
            }
            let Some(question) = self.queue.take() else {
                break;
            };
            self.ask(question);
        }
        self.post();
        self.resolver.wait(Some(self.queue.bell.as_fd()));
        Door::Open
    }

    fn has_room(&self) -> bool {
        let askers = self.under_way.values().map(|one| one.askers.len());
        self.under_way.len() < DNS_QUESTIONS && askers.sum::<usize>() < DNS_QUEUE
    }

    fn ask(&mut self, question: Question) {
        let Question {
            lookup,
            asker,
            asked,
        } = question;
        if asked.elapsed() >= DNS_PATIENCE {
            return self.answer(asker, Resolved::Failed(LookupError::Busy));
        }
        self.look_at_files();
        let mut under_way = self.under_way.values_mut();
        if let Some(same) = under_way.find(|one| one.lookup == lookup) {
            return same.askers.push(asker);
        }
        self.last += 1;
        let askers = vec![asker];
        // Before it is asked: whatever happens there, it is answered.
        let under_way = self.under_way.entry(self.last);
        let one = under_way.or_insert(UnderWay { lookup, askers });
        self.resolver.ask(self.last, &one.lookup);
    }

    fn look_at_files(&mut self) {
        let Changed { hosts, servers } = self.files.look();
        if let Some(hosts) = hosts {
            self.resolver.stub.replace_hosts(hosts);
        }
        if let Some(servers) = servers {
            self.resolver.stub.replace_servers(Instant::now(), servers);
        }
    }

    fn take_answers(&mut self) {
        while let Some(answer) = self.resolver.poll_answer() {
            if let Some(failure) = answer.failure {
                tracing::debug!("a name was asked for in vain: {failure}");
            }
            let asked = self.under_way.remove(&answer.ticket);
            for asker in asked.into_iter().flat_map(|one| one.askers) {
                self.answer(asker, answer.resolved.clone());
            }
        }
    }

    /// One post, hence one wake, for each shard.
    fn answer(&mut self, Asker(mailbox, ticket): Asker, resolved: Resolved) {
        let letter = Letter::Resolved(ticket, resolved);
        let mut letters = self.letters.iter_mut();
        match letters.find(|(other, _)| Arc::ptr_eq(other, &mailbox)) {
            Some((_, letters)) => letters.push(letter),
            None => self.letters.push((mailbox, vec![letter])),
        }
    }

    fn post(&mut self) {
        for (mailbox, letters) in self.letters.drain(..) {
            mailbox.post(letters);
        }
    }

    /// Behind a panic: what was under way is answered, and what waits is asked by another resolver.
    fn begin_anew(&mut self) {
        tracing::error!("the thread for names had panicked; it begins anew");
        self.give_up();
        self.resolver = resolver(&mut self.files, self.dice);
    }

    /// Nobody could say.
    fn give_up(&mut self) {
        for asker in mem::take(&mut self.under_way)
            .into_values()
            .flat_map(|one| one.askers)
        {
            self.answer(asker, Resolved::Failed(LookupError::Refused));
        }
        self.post();
    }
}

/// However it ends, nobody waits for an answer any more.
impl Drop for Desk {
    fn drop(&mut self) {
        for Question { asker, .. } in self.queue.close() {
            self.answer(asker, Resolved::Failed(LookupError::Refused));
        }
        self.give_up();
    }
}

fn resolver(files: &mut Files, dice: fn() -> u16) -> Resolver {
    let (servers, hosts) = files.read();
    Resolver::new(Stub::new(servers, hosts, Box::new(dice)))
}
