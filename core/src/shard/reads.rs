//! What accounts read beside what they have in memory: asked behind all that they have written, answered in the order of their inbox.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Shard;
use super::inbox::Item;
use super::owner::{Life, Owner, Waiting};
use crate::account::{Account, AccountKey, Read};
use crate::due::Due;
use crate::limits::OFFER_AGAIN;
use crate::port::ConnId;
use crate::store::{Batch, Class, Op, Reply, StoreError};
use crate::time::Now;
use crate::wait::Wait;

impl Shard {
    /// What the last call asks goes to the store.
    pub(super) fn ask_store(&mut self, key: AccountKey) {
        if self.spoken.reads.is_empty() {
            return;
        }
        let reads = core::mem::take(&mut self.spoken.reads);
        // What was appended before is there when it is read.
        self.flush_appends(key);
        for (class, ops, read) in reads {
            let Some(owner) = self.owners.get(key) else {
                return self.fx.bug("an account that reads is gone");
            };
            let shown_on = owner.account.shown_on(&read);
            if shown_on.is_some_and(|conn| !self.is_open(conn)) {
                // What a connection brought before it was closed is all done at once: what nobody will see is not looked for.
                continue;
            }
            let Some(owner) = self.owners.get_mut(key) else {
                return self.fx.bug("an account that reads is gone");
            };
            owner.account.asks_store(&read);
            let read = Box::new(read);
            match owner.line.offered {
                0 => self.ask_now(key, class, ops, read),
                _ => owner
                    .line
                    .make()
                    .waiting
                    .push_back(Waiting::Question(class, ops, read)),
            }
        }
    }

    /// A question goes to the store.
    pub(super) fn ask_now(&mut self, key: AccountKey, class: Class, ops: Vec<Op>, read: Box<Read>) {
        let Some(owner) = self.owners.get(key) else {
            return self.fx.bug("an account that reads is gone");
        };
        let batch = Batch {
            owner: owner.account.jid().clone(),
            tenure: owner.tenure,
            class,
            ops,
        };
        self.store(batch, Wait::Read(key, read));
    }

    /// The store has answered.
    pub(super) fn read_came(
        &mut self,
        now: Now,
        key: AccountKey,
        read: Box<Read>,
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        // Nobody waits for it who is not there any more.
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        if matches!(owner.life, Life::Leaving(_)) {
            // Nor where all of it goes: nothing may be written behind that.
        } else if owner.is_busy() {
            owner.inbox.make().push(Item::Read(read, outcome));
        } else {
            self.run_read(now, key, *read, outcome);
        }
    }

    pub(super) fn run_read(
        &mut self,
        now: Now,
        key: AccountKey,
        read: Read,
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        let asker = self.in_account(now, key, |account, cx| account.answered(cx, read, outcome));
        if let Some(conn) = asker.flatten() {
            self.settle(now);
            self.proceed(now, conn);
        }
        let reads_again = |owner: &Owner| owner.account.reads_owed_again();
        if self.owners.get(key).is_some_and(reads_again) {
            self.timers.set(Due::Owed(key), now.mono, OFFER_AGAIN);
        }
    }

    /// Time has come to ask a store again that was too busy to say what waits.
    pub(super) fn read_owed_again(&mut self, now: Now, key: AccountKey) {
        match self.owners.get(key).map(|owner| &owner.life) {
            Some(Life::Ready) => {
                self.in_account(now, key, Account::read_owed_again);
            }
            Some(Life::Committing(_) | Life::Loading(_)) => {
                self.timers.set(Due::Owed(key), now.mono, OFFER_AGAIN);
            }
            Some(Life::Leaving(_)) | None => {}
        }
    }

    /// A session has taken all that was written to it.
    pub(super) fn drained(&mut self, now: Now, conn: ConnId) {
        self.link_drained(now, conn);
        self.component_drained(conn);
        let Some(key) = self.member(conn) else {
            return;
        };
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        if owner.is_busy() {
            owner.inbox.make().push(Item::Drained(conn));
        } else if matches!(owner.life, Life::Ready) {
            self.run_drained(now, key, conn);
        }
    }

    pub(super) fn run_drained(&mut self, now: Now, key: AccountKey, conn: ConnId) {
        let owner = self.owners.get(key);
        if let Some(session) = owner.and_then(|owner| owner.account.session_on(conn)) {
            self.in_account(now, key, |account, cx| account.drained(cx, session));
        }
        // It may have waited for what was behind that.
        self.settle(now);
        self.proceed(now, conn);
    }
}
