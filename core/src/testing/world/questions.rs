//! What the core waits for: the store, the workers, a directory and DNS, and what becomes of each question.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::World;
use super::policy::{Directory, Fate, Resolver, StorePace, Workers};
use crate::jid::BareJid;
use crate::port::{DeriveError, Input, Lookup, LookupError, Resolved, Ticket};
use crate::sasl::{DeriveParams, Judgement};
use crate::secret::Secret;
use crate::store::{Batch, Class, StoreError};

/// A question that was asked and not answered.
#[derive(Debug)]
pub(super) struct Question {
    shard: usize,
    ticket: Ticket,
    about: About,
    /// It is not answered before this moment.
    due: u64,
}

#[derive(Debug)]
enum About {
    Store(Batch, Fate),
    Derive(Secret, Vec<DeriveParams>),
    Judge(BareJid, Secret),
    Resolve(Lookup),
}

impl Question {
    fn batch(&self) -> Option<&Batch> {
        match &self.about {
            About::Store(batch, _) => Some(batch),
            About::Derive(..) | About::Judge(..) | About::Resolve(_) => None,
        }
    }

    fn owner(&self) -> Option<&BareJid> {
        self.batch().map(|batch| &batch.owner)
    }
}

impl World {
    /// # Panics
    /// The batch is none that the core may make.
    pub(super) fn ask_store(&mut self, shard: usize, ticket: Ticket, batch: Batch) {
        assert_eq!(batch.check(), Ok(()), "{batch:?}");
        self.asked[batch.class as usize] += 1;
        let fate = match self.store_pace {
            StorePace::Busy => Fate::Failed(StoreError::Busy),
            StorePace::Prompt | StorePace::Slow => self.fates.pop_front().unwrap_or_default(),
        };
        let late = match fate {
            Fate::Delayed(things) => u64::from(things),
            Fate::Kept | Fate::Failed(_) | Fate::Lost => 0,
        };
        let question = Question {
            shard,
            ticket,
            about: About::Store(batch, fate),
            due: self.moment + late,
        };
        if self.store_pace == StorePace::Slow || late > 0 {
            self.questions.push_back(question);
        } else {
            self.answer(question);
        }
    }

    pub(super) fn ask_workers(
        &mut self,
        shard: usize,
        ticket: Ticket,
        password: Secret,
        jobs: Vec<DeriveParams>,
    ) {
        let question = Question {
            shard,
            ticket,
            about: About::Derive(password, jobs),
            due: 0,
        };
        match self.workers {
            Workers::Free => self.answer(question),
            Workers::Slow => self.questions.push_back(question),
            Workers::Busy => {
                let keys = Err(DeriveError::Busy);
                self.letters
                    .push_back((shard, Input::Derived { ticket, keys }));
            }
        }
    }

    pub(super) fn ask_directory(
        &mut self,
        shard: usize,
        ticket: Ticket,
        account: BareJid,
        password: Secret,
    ) {
        self.judged += 1;
        let question = Question {
            shard,
            ticket,
            about: About::Judge(account, password),
            due: 0,
        };
        match self.directory {
            Directory::Prompt => self.answer(question),
            Directory::Late => self.questions.push_back(question),
            Directory::Unreachable => {
                let judgement = Judgement::None;
                self.letters
                    .push_back((shard, Input::Judged { ticket, judgement }));
            }
            Directory::Silent => {}
        }
    }

    pub(super) fn ask_dns(&mut self, shard: usize, ticket: Ticket, lookup: Lookup) {
        let question = Question {
            shard,
            ticket,
            about: About::Resolve(lookup),
            due: 0,
        };
        match self.resolver {
            Resolver::Prompt => self.answer(question),
            Resolver::Late => self.questions.push_back(question),
            Resolver::Silent => {}
        }
    }

    /// The answer is on its way.
    fn answer(&mut self, question: Question) {
        let letter = self.decide(question);
        self.letters.push_back(letter);
    }

    /// What was asked takes effect, if it does, and this is to be told to whom.
    fn decide(&mut self, question: Question) -> (usize, Input<'static>) {
        let Question {
            shard,
            ticket,
            about,
            ..
        } = question;
        let input = match about {
            About::Store(batch, fate) => {
                let outcome = match fate {
                    Fate::Kept | Fate::Delayed(_) => self.store.apply(&batch),
                    Fate::Failed(error) => Err(self.strike(batch.owner, error)),
                    // Whether it could is what nobody hears.
                    Fate::Lost => self
                        .store
                        .apply(&batch)
                        .and(Err(self.strike(batch.owner, StoreError::Unknown))),
                };
                Input::Stored { ticket, outcome }
            }
            About::Derive(password, jobs) => Input::Derived {
                ticket,
                keys: Ok(jobs.iter().map(|job| job.derive(&password)).collect()),
            },
            About::Judge(account, password) => Input::Judged {
                ticket,
                judgement: match self.known.get(&account) == Some(&password) {
                    true => Judgement::Right,
                    false => Judgement::Wrong,
                },
            },
            About::Resolve(lookup) => Input::Resolved {
                ticket,
                outcome: self.look_up(&lookup),
            },
        };
        (shard, input)
    }

    fn strike(&mut self, owner: BareJid, error: StoreError) -> StoreError {
        self.struck.push((owner, error));
        error
    }

    /// The batches that were not kept since this was last asked: whose, and what was said of each.
    pub fn take_struck(&mut self) -> Vec<(BareJid, StoreError)> {
        core::mem::take(&mut self.struck)
    }

    /// How many batches of this class the shards have asked so far.
    #[must_use]
    pub const fn asked(&self, class: Class) -> usize {
        self.asked[class as usize]
    }

    /// In whole turns, what nobody else answers. Whether there was any.
    pub(super) fn answer_next(&mut self) -> bool {
        let next = self.answerable().into_iter().next();
        // Nothing else happens for which it could be too early.
        let next = next.or_else(|| (!self.questions.is_empty()).then_some(0));
        let question = next.and_then(|next| self.questions.remove(next));
        let any = question.is_some();
        if let Some(question) = question {
            self.answer(question);
        }
        any
    }

    /// The questions that may be answered next: batches of one owner in their order, nothing before it is due.
    pub(super) fn answerable(&self) -> Vec<usize> {
        let mut owners = BTreeSet::new();
        let questions = self.questions.iter().enumerate();
        let first = questions
            .filter(|(_, question)| question.owner().is_none_or(|owner| owners.insert(owner)));
        first
            .filter(|(_, question)| question.due <= self.moment)
            .map(|(index, _)| index)
            .collect()
    }

    /// The waiting batches that may be committed next.
    #[must_use]
    pub fn commits(&self) -> Vec<usize> {
        let mut answerable = self.answerable();
        answerable.retain(|index| self.batch(*index).is_some());
        answerable
    }

    /// How many questions wait.
    #[must_use]
    pub fn questions(&self) -> usize {
        self.questions.len()
    }

    /// How many batches among them.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.questions.iter().filter_map(Question::batch).count()
    }

    /// What a waiting question asks of the store, if it does.
    #[must_use]
    pub fn batch(&self, index: usize) -> Option<&Batch> {
        self.questions.get(index)?.batch()
    }

    /// Whether this waiting batch changes anything.
    #[must_use]
    pub fn is_change(&self, index: usize) -> bool {
        self.batch(index).is_some_and(|batch| !batch.is_read_only())
    }

    /// The question that must be answered before this one can be, which may be itself.
    #[must_use]
    pub fn first_before(&self, index: usize) -> usize {
        let owner = self.questions.get(index).and_then(Question::owner);
        let first = self.questions.iter().position(|q| q.owner() == owner);
        owner.and(first).unwrap_or(index)
    }

    /// A question is answered, and the user tells it whom it is for.
    pub fn answer_of(&mut self, index: usize) -> Option<(usize, Input<'static>)> {
        let question = self.questions.remove(index)?;
        Some(self.decide(question))
    }

    /// The same, but all workers are busy, and neither the directory nor a name server can be reached. What becomes of a batch does not depend on them.
    pub fn busy_answer_of(&mut self, index: usize) -> Option<(usize, Input<'static>)> {
        let (shard, mut input) = self.answer_of(index)?;
        if let Input::Derived { keys, .. } = &mut input {
            *keys = Err(DeriveError::Busy);
        }
        if let Input::Judged { judgement, .. } = &mut input {
            *judgement = Judgement::None;
        }
        if let Input::Resolved { outcome, .. } = &mut input {
            *outcome = Resolved::Failed(LookupError::Busy);
        }
        Some((shard, input))
    }

    /// Another fate for a waiting batch.
    pub fn doom(&mut self, index: usize, fate: Fate) {
        if let Some(question) = self.questions.get_mut(index)
            && let About::Store(_, fated) = &mut question.about
        {
            *fated = fate;
        }
    }

    /// A waiting question is answered: the answer is on its way.
    pub(super) fn answer_at(&mut self, index: usize) {
        if let Some(question) = self.questions.remove(index) {
            self.answer(question);
        }
    }

    /// One of `commits` fails instead: nothing of it takes effect. Whose it was.
    pub fn fail(&mut self, index: usize, error: StoreError) -> Option<String> {
        self.end_as(index, Fate::Failed(error))
    }

    /// One of `commits` takes effect, and nobody can know it. Whose it was.
    pub fn lose_answer(&mut self, index: usize) -> Option<String> {
        self.end_as(index, Fate::Lost)
    }

    fn end_as(&mut self, index: usize, fate: Fate) -> Option<String> {
        let owner = self.batch(index)?.owner.to_string();
        self.doom(index, fate);
        self.answer_at(index);
        Some(owner)
    }
}
