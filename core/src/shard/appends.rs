//! Messages on their way to the disk. They silence nobody: who is there gets them at once. What an account appends in a turn is one
//! batch, which goes before all that the account reads afterwards: also where the store was too busy for it, and it is offered again.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::Shard;
use super::owner::{Life, Line, Owner, Pending, Vanishing, Waiting};
use crate::account::{AccountKey, Append};
use crate::archive::ARCHIVE;
use crate::due::Due;
use crate::limits::{OFFER_AGAIN, OFFERS, STORE_BATCH_BYTES, STORE_BATCH_OPS};
use crate::port::{Note, Ticket};
use crate::stanza::Condition;
use crate::store::{Batch, Class, Op, StoreError};
use crate::time::Now;
use crate::wait::{Appended, Question, Wait};

impl Shard {
    /// Keeps what the last call appended for the end of the turn.
    pub(super) fn keep_appends(&mut self, key: AccountKey) {
        if self.spoken.appends.is_empty() {
            return;
        }
        let appends = core::mem::take(&mut self.spoken.appends);
        for append in appends {
            self.keep_append(key, append);
        }
    }

    fn keep_append(&mut self, key: AccountKey, append: Append) {
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug("an account that keeps messages is gone");
        };
        let pending = owner.appends.make();
        if pending.entries.is_empty() {
            self.appending.push(key);
        }
        pending.bytes = pending.bytes.saturating_add(append.entry.weight());
        if let Some(refused) = append.refused {
            pending.owed.count(append.entry.payload.len());
            pending.refused.push(refused);
        }
        pending.receipts.extend(append.receipt);
        pending.entries.push(append.entry);
        let is_full =
            pending.entries.len() >= STORE_BATCH_OPS / 2 || pending.bytes >= STORE_BATCH_BYTES / 2;
        if is_full {
            self.flush_appends(key);
        }
    }

    /// What accounts appended in this turn goes to the store. Whether there was anything.
    pub(super) fn flush_all_appends(&mut self) -> bool {
        let any = !self.appending.is_empty();
        for key in core::mem::take(&mut self.appending) {
            self.flush_appends(key);
        }
        any
    }

    /// What this account appended goes to the store.
    pub(super) fn flush_appends(&mut self, key: AccountKey) {
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        if owner.appends.entries.is_empty() {
            return;
        }
        let Pending {
            entries,
            refused,
            owed,
            bytes,
            receipts,
        } = owner.appends.take();
        let log = ARCHIVE;
        let batch = Batch {
            owner: owner.account.jid().clone(),
            tenure: owner.tenure,
            class: Class::Append,
            ops: vec![Op::Append { log, entries }],
        };
        let appended = Appended {
            account: key,
            batch: batch.clone(),
            offered: 1,
            refused,
            owed,
            bytes,
            receipts,
        };
        let appended = Box::new(appended);
        match owner.line.offered {
            0 => self.offer(batch, appended),
            _ => {
                self.credit.put_by(bytes);
                owner.line.make().push(appended);
            }
        }
    }

    /// Messages are the store's.
    fn offer(&mut self, batch: Batch, appended: Box<Appended>) {
        if let Some(owner) = self.owners.get_mut(appended.account) {
            let line = owner.line.make();
            line.offered = line.offered.saturating_add(1);
        }
        self.store(batch, Wait::Append(appended));
    }

    /// The store has messages, or never will: what waits behind them goes on, up to the next messages.
    fn advance(&mut self, now: Now, key: AccountKey) {
        let much = self.owners.get(key).is_some_and(Owner::keeps_much);
        if let Some(owner) = self.owners.get_mut(key) {
            let answered = |line: &mut Line| line.offered = line.offered.saturating_sub(1);
            owner.line.change(answered);
        }
        while let Some(owner) = self.owners.get_mut(key)
            && owner.line.offered == 0
            && let Some(next) = owner.line.change(Line::pop).flatten()
        {
            self.send_waiting(key, next);
        }
        if much {
            self.keeps_less(key);
        }
        let has_all = |owner: &Owner| owner.line.offered == 0;
        if self.owners.get(key).is_some_and(has_all) {
            // It stayed for that, if nobody is signed in to it.
            self.drop_if_idle(now, key);
        }
    }

    /// Who waited because an account had so much to keep goes on, if it has less.
    fn keeps_less(&mut self, key: AccountKey) {
        let goes_on = |owner: &Owner| owner.is_ready() && !owner.keeps_much();
        if self.owners.get(key).is_some_and(goes_on) {
            self.unfinished.push(key);
        }
    }

    fn send_waiting(&mut self, key: AccountKey, waiting: Waiting) {
        match waiting {
            Waiting::Messages(appended) => {
                self.credit.take_up(appended.bytes);
                self.offer(appended.batch.clone(), appended);
            }
            Waiting::Question(class, ops, read) => self.ask_now(key, class, ops, read),
        }
    }

    /// All that an account keeps goes to the store at once: it is to be read anew, or leaves.
    pub(super) fn send_all(&mut self, key: AccountKey) {
        self.flush_appends(key);
        let much = self.owners.get(key).is_some_and(Owner::keeps_much);
        while let Some(owner) = self.owners.get_mut(key)
            && let Some(next) = owner.line.change(Line::pop).flatten()
        {
            self.send_waiting(key, next);
        }
        if much {
            self.keeps_less(key);
        }
    }

    /// The store has answered.
    pub(super) fn appended(
        &mut self,
        now: Now,
        mut appended: Box<Appended>,
        failed: Option<StoreError>,
    ) {
        let condition = match failed {
            None => {
                self.all_handled(appended.receipts);
                return self.advance(now, appended.account);
            }
            Some(StoreError::Busy)
                if appended.offered < OFFERS && !self.goes_for_good(appended.account) =>
            {
                appended.offered = appended.offered.saturating_add(1);
                return self.append_later(now, appended);
            }
            Some(StoreError::Busy | StoreError::Full) => Condition::ResourceConstraint,
            Some(StoreError::Conflict | StoreError::Failed | StoreError::Fenced) => {
                Condition::InternalServerError
            }
            // It may be there: to say that it is not would have it sent twice. Nor is it settled, now or later: a server that cannot know what
            // is on its disk stops, and who sent it finds out at the next sign-in.
            Some(StoreError::Unknown) => {
                self.note_unkept(&appended);
                return self.advance(now, appended.account);
            }
        };
        self.not_appended(now, appended, condition);
    }

    /// Messages are not on disk, and will not be.
    fn not_appended(&mut self, now: Now, appended: Box<Appended>, condition: Condition) {
        self.note_unkept(&appended);
        let Appended {
            account,
            refused,
            owed,
            receipts,
            ..
        } = *appended;
        if let Some(owner) = self.owners.get_mut(account) {
            owner.account.append_failed(owed);
        }
        for stanza in refused {
            self.refuse(&stanza, condition);
        }
        self.all_handled(receipts);
        self.advance(now, account);
    }

    /// The account is being deleted with all that it keeps: nothing may be written of it behind that.
    pub(super) fn give_up_appends(&mut self, now: Now, key: AccountKey) {
        let is_to_wait = |question: &Question| {
            let of_it = matches!(&question.wait, Wait::Append(appended) if appended.account == key);
            of_it && question.credit.is_none()
        };
        let waits = self.waits.iter().filter(|(_, wait)| is_to_wait(wait));
        let tickets: Vec<Ticket> = waits.map(|(ticket, _)| ticket).collect();
        for ticket in tickets {
            self.timers.stop(Due::Appends(ticket));
            if let Some(Question {
                wait: Wait::Append(appended),
                ..
            }) = self.waits.remove(ticket)
            {
                self.not_appended(now, appended, Condition::ResourceConstraint);
            }
        }
    }

    fn goes_for_good(&self, key: AccountKey) -> bool {
        let owner = self.owners.get(key);
        owner.is_some_and(|owner| matches!(owner.life, Life::Leaving(Vanishing::Nobody)))
    }

    fn note_unkept(&mut self, appended: &Appended) {
        self.fx.note(Note::Unkept {
            account: appended.batch.owner.clone(),
            messages: appended.batch.count(),
        });
    }

    fn append_later(&mut self, now: Now, appended: Box<Appended>) {
        let wait = Wait::Append(appended);
        let credit = None;
        let ticket = self.waits.insert(Question { wait, credit });
        self.timers.set(Due::Appends(ticket), now.mono, OFFER_AGAIN);
    }

    /// Time has come to offer messages again that a busy store did not take.
    pub(super) fn append_again(&mut self, ticket: Ticket) {
        let Some(question) = self.waits.remove(ticket) else {
            return;
        };
        if let Wait::Append(appended) = question.wait {
            let batch = appended.batch.clone();
            self.store(batch, Wait::Append(appended));
        }
    }
}
