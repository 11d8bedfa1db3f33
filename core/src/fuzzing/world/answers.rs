//! What the core waits for: the store, workers, other shards. And the end, at which nothing may be left.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Conduct, World};
use crate::fuzzing::peer::{Course, Ears, Peer, Side};
use crate::limits::{FLOW_PATIENCE, ROUND};
use crate::port::{Closed, Command, Input, Resolved, Source};
use crate::store::Reply;
use crate::testing::Mesh;

/// More turns than anything under way takes to come to rest.
const TURNS_MAX: usize = 10_000;

/// How the fuzzers' shell answers a question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::fuzzing) enum Answer {
    True,
    /// And once more.
    Twice,
    /// The workers are busy; what becomes of a batch was settled when it was asked.
    Busy,
    /// As if it had been another kind of question, against the contract.
    Mismatched,
}

impl World {
    /// Answers a question. Those of the store about one owner are answered in the order they were asked.
    pub(in crate::fuzzing) fn answer(&mut self, at: usize, how: Answer) {
        let Some(at) = at.checked_rem(self.world.questions()) else {
            return;
        };
        let first = self.world.first_before(at);
        let answer = match how {
            Answer::Busy => self.world.busy_answer_of(first),
            Answer::True | Answer::Twice | Answer::Mismatched => self.world.answer_of(first),
        };
        let Some((shard, input)) = answer else {
            return;
        };
        if how == Answer::Mismatched {
            self.conduct = Conduct::Bad;
            let wrong = if let Input::Stored { ticket, .. } = input {
                let keys = Ok(Vec::new());
                Some(Input::Derived { ticket, keys })
            } else if let Input::Derived { ticket, .. } = input {
                let outcome = Ok(vec![Reply::Done]);
                Some(Input::Stored { ticket, outcome })
            } else if let Input::Resolved { ticket, outcome } = &input {
                let (ticket, outcome) = (*ticket, other_kind(outcome));
                Some(Input::Resolved { ticket, outcome })
            } else {
                None
            };
            if let Some(wrong) = wrong {
                self.world.tell(shard, wrong);
            }
        }
        if how == Answer::Twice {
            self.world.tell(shard, input.clone());
        }
        self.world.tell(shard, input);
    }

    /// Delivers the oldest envelope, or hands it back.
    pub(in crate::fuzzing) fn deliver(&mut self, way: Mesh) {
        self.world.deliver(way);
    }

    /// Brings a connection to another shard.
    pub(in crate::fuzzing) fn hand_off(&mut self, at: usize) {
        let Some(at) = at.checked_rem(self.world.waiting_hand_offs()) else {
            return;
        };
        // What the shard has said of the connection must be known before its name there dies.
        self.drain();
        if let Some(line) = self.world.bring(at) {
            let stream = self.peers.get(line.index()).map(|peer| peer.stream);
            assert_eq!(stream, Some(Course::On), "handed over after the end");
        }
    }

    /// Lets everything under way come to its end.
    ///
    /// # Panics
    /// If it never does.
    pub(in crate::fuzzing) fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            self.drain();
            let shakes_hands = |peer: &Peer| self.world.shakes_hands(peer.line);
            if let Some(peer) = self.peers.iter().position(shakes_hands) {
                self.secure(peer);
            } else if self.world.questions() > 0 {
                self.answer(0, Answer::True);
            } else if self.world.waiting_hand_offs() > 0 {
                self.hand_off(0);
            } else if self.world.letters() > 0 {
                self.deliver(Mesh::Free);
            } else if !self.world.tick_at_once() {
                return;
            }
        }
        panic!("no end of questions");
    }

    /// Everybody leaves, and nothing may be left of them.
    ///
    /// # Panics
    /// If a client is not answered, or something remains in memory.
    pub(in crate::fuzzing) fn end(mut self) {
        let mut waits = 0;
        self.settle();
        if self
            .commands
            .values()
            .any(|one| matches!(one, Command::Reach { .. }))
        {
            self.wait(ROUND);
            self.settle();
        }
        // More than anybody waits for others, or can have ahead of its rate.
        let slowed = |world: &Self| world.world.residue().iter().any(|left| left[6] > 0);
        let limits = self.world.config().limits.clone();
        let rated = limits.c2s_rate.is_some();
        while slowed(&self) || rated && waits == 0 {
            self.wait(FLOW_PATIENCE);
            self.settle();
            waits += 1;
            assert!(waits < TURNS_MAX, "some wait for others without end");
        }
        // Sign-ins held up, one behind the other as they were written.
        for _ in 0..limits.sasl_failures {
            self.wait(limits.sasl_delay + Duration::from_secs(1));
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
                .filter(|peer| peer.side == Side::Client)
                .find(|peer| peer.stream == Course::On && self.world.seat(peer.line).is_some());
            assert!(stuck.is_none(), "not answered: {stuck:?}");
            assert!(self.commands.is_empty(), "{:?}", self.commands);
        }
        // Longer than any deadline, and then those of the closing handshakes.
        self.wait(Duration::from_secs(120));
        self.settle();
        self.wait(Duration::from_secs(120));
        self.settle();
        for at in 0..self.peers.len() {
            if let Some(peer) = self.peers.get(at) {
                let told = self.connection(peer.line) == Course::Over;
                assert!(told || self.conduct == Conduct::Bad, "kept: {peer:?}");
            }
            self.set_ears(at, Ears::Open);
            self.close(at, Closed::Eof);
        }
        self.settle();
        self.peers.iter().for_each(|peer| peer.check_document());
        if self.conduct == Conduct::Good {
            for residue in self.world.residue() {
                assert_eq!(residue, [0; 9], "something is left");
            }
        }
    }

    /// Whatever the client was in the middle of, this ends its stream: as the closing tag, or as an error.
    fn say_goodbye(&mut self, at: usize) {
        let Some(peer) = self.peers.get(at) else {
            return;
        };
        if peer.side == Side::Server {
            // It has had its time.
            return;
        }
        let waits = peer.stream == Course::On
            && self.world.seat(peer.line).is_some()
            && !self.world.reads(peer.line);
        assert!(!waits, "waits for nothing: {peer:?}");
        self.set_ears(at, Ears::Open);
        self.say(at, b"]]></stream:stream>");
        self.drain();
    }
}

/// What a resolver would say to another question.
fn other_kind(outcome: &Resolved) -> Resolved {
    match outcome {
        Resolved::Addresses(..) => Resolved::NoService,
        Resolved::Services(_)
        | Resolved::NoService
        | Resolved::NoName
        | Resolved::NoData
        | Resolved::Failed(_) => Resolved::Addresses(vec![[192, 0, 2, 1].into()], Source::Dns),
    }
}
