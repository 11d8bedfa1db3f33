//! What the core waits for: the store, workers, other shards. And the end, at which nothing may be left.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::{About, Conduct, Question, World};
use crate::fuzzing::peer::{Course, Ears, Reading, Wire};
use crate::limits::FLOW_PATIENCE;
use crate::port::{Closed, DeriveError, Input};
use crate::shard::Shard;
use crate::store::{Batch, Expect, Op, Reply, StoreError};
use crate::time::Instant;

/// More turns than anything under way takes to come to rest.
const TURNS_MAX: usize = 10_000;

/// How the fuzzers' shell answers a question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::fuzzing) enum Answer {
    True,
    /// And once more.
    Twice,
    /// The workers are busy; what the store says was settled when it was asked.
    Busy,
    /// As if it had been another kind of question, against the contract.
    Mismatched,
}

/// Whether another shard takes envelopes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::fuzzing) enum Way {
    Free,
    Full,
}

impl World {
    /// Answers a question. Those of the store about one owner are answered in the order they were asked.
    pub(in crate::fuzzing) fn answer(&mut self, at: usize, how: Answer) {
        if self.questions.is_empty() {
            return;
        }
        let at = at % self.questions.len();
        let owner = |question: &Question| match &question.about {
            About::Store(owner, _) => Some(owner.clone()),
            About::Derive(..) => None,
        };
        let wanted = self.questions.get(at).and_then(owner);
        let first = match wanted {
            Some(_) => self.questions.iter().position(|q| owner(q) == wanted),
            None => Some(at),
        };
        let Some(question) = first.and_then(|first| self.questions.remove(first)) else {
            return;
        };
        let Question {
            shard,
            ticket,
            about,
        } = question;
        if how == Answer::Mismatched {
            self.conduct = Conduct::Bad;
            let wrong = match about {
                About::Store(..) => Input::Derived {
                    ticket,
                    keys: Ok(Vec::new()),
                },
                About::Derive(..) => Input::Stored {
                    ticket,
                    outcome: Ok(vec![Reply::Done]),
                },
            };
            self.tell(shard, wrong);
        }
        let input = move || match &about {
            About::Store(_, outcome) => Input::Stored {
                ticket,
                outcome: outcome.clone(),
            },
            About::Derive(..) if how == Answer::Busy => Input::Derived {
                ticket,
                keys: Err(DeriveError::Busy),
            },
            About::Derive(password, jobs) => Input::Derived {
                ticket,
                keys: Ok(jobs.iter().map(|job| job.derive(password)).collect()),
            },
        };
        self.tell(shard, input());
        if how == Answer::Twice {
            self.tell(shard, input());
        }
    }

    /// The store: what is asked takes effect at once, or not at all.
    pub(super) fn apply(&mut self, batch: Batch) -> Result<Vec<Reply>, StoreError> {
        if self.store_failures > 0 {
            self.store_failures -= 1;
            return Err(StoreError::Busy);
        }
        assert_eq!(batch.check(), Ok(()), "{batch:?}");
        let Batch { owner, ops, .. } = batch;
        let mut replies = Vec::with_capacity(ops.len());
        for op in ops {
            replies.push(match op {
                Op::Get { .. } => Reply::Row(self.store.get(&owner).cloned()),
                Op::Owners { after, limit, .. } => {
                    let below = |account: &&crate::jid::BareJid| {
                        account.domain() == owner.as_str()
                            && after.as_ref().is_none_or(|after| *account > after)
                    };
                    let owners = self.store.iter().filter(|(account, _)| below(account));
                    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                    let owners = owners.take(limit);
                    Reply::Owners(owners.map(|(a, r)| (a.clone(), r.clone())).collect())
                }
                Op::Purge => {
                    self.store.remove(&owner);
                    Reply::Done
                }
                Op::Put { row, expect, .. } => {
                    let met = match expect {
                        Expect::Absent => !self.store.contains_key(&owner),
                        Expect::Anything => true,
                        Expect::Present => self.store.contains_key(&owner),
                    };
                    if !met {
                        return Err(StoreError::Conflict);
                    }
                    self.store.insert(owner.clone(), row);
                    Reply::Done
                }
                Op::Load => Reply::Loaded(alloc::boxed::Box::default()),
                Op::Append { .. }
                | Op::Blank { .. }
                | Op::Count { .. }
                | Op::Delete { .. }
                | Op::DeletePrefix { .. }
                | Op::List { .. }
                | Op::Page { .. }
                | Op::Trim { .. } => panic!("not asked of credentials"),
            });
        }
        Ok(replies)
    }

    /// Delivers the oldest envelope, or hands it back.
    pub(in crate::fuzzing) fn deliver(&mut self, way: Way) {
        let Some(envelope) = self.envelopes.pop_front() else {
            return;
        };
        let (from, to) = (envelope.from, envelope.to);
        match way {
            Way::Free => self.tell(usize::from(to.shard), Input::Delivered(*envelope)),
            Way::Full => self.tell(usize::from(from.shard), Input::Undeliverable(*envelope)),
        }
    }

    /// Brings a connection to another shard.
    pub(in crate::fuzzing) fn hand_off(&mut self, at: usize) {
        if self.hand_offs.is_empty() {
            return;
        }
        let at = at % self.hand_offs.len();
        let Some((shard, conn, to)) = self.hand_offs.remove(at) else {
            return;
        };
        // What the shard has said of the connection must be known before its name there dies.
        self.drain();
        let Some(detached) = self.shards.get_mut(shard).and_then(|s| s.detach(conn)) else {
            return;
        };
        let new = usize::from(to.shard);
        let now = self.now;
        let attached = self
            .shards
            .get_mut(new)
            .map(|s| s.attach(now, detached))
            .map(|conn| (new, conn));
        let seat = Some((shard, conn));
        let peer = self.peers.iter_mut().find(|peer| peer.seat == seat);
        let peer = peer.expect("a connection that was never closed");
        assert_eq!(peer.stream, Course::On, "handed over after the end");
        peer.seat = attached;
        peer.reading = Reading::Paused;
    }

    /// Lets everything under way come to its end.
    ///
    /// # Panics
    /// If it never does.
    pub(in crate::fuzzing) fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            self.drain();
            let handshake = self.peers.iter().position(|peer| {
                peer.wire == Wire::Handshake && peer.connection == Course::On && peer.seat.is_some()
            });
            if let Some(peer) = handshake {
                self.secure(peer);
            } else if !self.questions.is_empty() {
                self.answer(0, Answer::True);
            } else if !self.hand_offs.is_empty() {
                self.hand_off(0);
            } else if !self.envelopes.is_empty() {
                self.deliver(Way::Free);
            } else if !self.tick_at_once() {
                return;
            }
        }
        panic!("no end of questions");
    }

    /// Lets those go on who waited for what was sent. Whether there were any.
    fn tick_at_once(&mut self) -> bool {
        let now = self.now;
        let mut any = false;
        for shard in &mut self.shards {
            if shard.poll_timeout() == Some(Instant::default()) {
                shard.handle(now, Input::Tick);
                any = true;
            }
        }
        any
    }

    /// Everybody leaves, and nothing may be left of them.
    ///
    /// # Panics
    /// If a client is not answered, or something remains in memory.
    pub(in crate::fuzzing) fn end(mut self) {
        let mut waits = 0;
        self.settle();
        // More than anybody waits for others, or can have ahead of its rate.
        let slowed = |world: &Self| world.shards.iter().any(|shard| shard.residue()[6] > 0);
        let rated = self.config.limits.c2s_rate.is_some();
        while slowed(&self) || rated && waits == 0 {
            self.wait(FLOW_PATIENCE);
            self.settle();
            waits += 1;
            assert!(waits < TURNS_MAX, "some wait for others without end");
        }
        // Sign-ins held up, one behind the other as they were written.
        for _ in 0..self.config.limits.sasl_failures {
            self.wait(self.config.limits.sasl_delay + Duration::from_secs(1));
            self.settle();
        }
        if self.conduct == Conduct::Good {
            for at in 0..self.peers.len() {
                self.say_goodbye(at);
            }
            self.settle();
            let stuck = self
                .peers
                .iter()
                .find(|peer| peer.stream == Course::On && peer.seat.is_some());
            assert!(stuck.is_none(), "not answered: {stuck:?}");
            assert!(self.commands.is_empty(), "{:?}", self.commands);
        }
        // Longer than any deadline, and then those of the closing handshakes.
        self.wait(Duration::from_secs(120));
        self.settle();
        self.wait(Duration::from_secs(120));
        self.settle();
        for at in 0..self.peers.len() {
            if let Some(peer) = self.peers.get_mut(at) {
                let told = peer.connection == Course::Over || peer.seat.is_none();
                assert!(told || self.conduct == Conduct::Bad, "kept: {peer:?}");
                peer.ears = Ears::Open;
            }
            self.flush(at);
            self.close(at, Closed::Eof);
        }
        self.settle();
        self.peers.iter().for_each(|peer| peer.check_document());
        if self.conduct == Conduct::Good {
            for residue in self.shards.iter().map(Shard::residue) {
                assert_eq!(residue, [0; 8], "something is left");
            }
        }
    }

    /// Whatever the client was in the middle of, this ends its stream: as the closing tag, or as an error.
    fn say_goodbye(&mut self, at: usize) {
        let Some(peer) = self.peers.get_mut(at) else {
            return;
        };
        peer.ears = Ears::Open;
        let waits = peer.stream == Course::On
            && peer.seat.is_some()
            && (peer.reading == Reading::Paused || peer.wire == Wire::Handshake);
        assert!(!waits, "waits for nothing: {peer:?}");
        self.flush(at);
        self.say(at, b"]]></stream:stream>");
        self.drain();
    }
}
