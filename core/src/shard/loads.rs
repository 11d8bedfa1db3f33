//! How owners come into memory, and how they leave it.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::ToString as _;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use super::Shard;
use super::inbox::Item;
use super::owner::{Life, Owner, Vanishing};
use super::signin::{first_record, get_credentials};
use crate::account::{Account, AccountKey, Kept, Manner};
use crate::due::Due;
use crate::envelope::Receipt;
use crate::jid::{BareJid, Jid};
use crate::limits::{ACCOUNT_IDLE, ACCOUNTS_IDLE_MAX, IDLE_LOOK, LOAD_AGAIN, LOAD_TRIES};
use crate::port::{CommandError, Note};
use crate::sasl::{Credentials, Status};
use crate::stanza::{Condition, Kind, Stanza};
use crate::store::{BadRow, Batch, Class, Op, Reply, StoreError};
use crate::stream::{Violation, record_hash};
use crate::time::{Instant, Now};
use crate::wait::{Pretence, Wait};

/// Accounts in memory that nobody is signed in to, those first that have been idle for longest.
#[derive(Debug)]
pub(super) struct Idle {
    count: u64,
    accounts: BTreeMap<u64, (Instant, AccountKey)>,
    /// As many stay.
    most: usize,
}

impl Default for Idle {
    fn default() -> Self {
        Self {
            count: 0,
            accounts: BTreeMap::new(),
            most: ACCOUNTS_IDLE_MAX,
        }
    }
}

impl Idle {
    /// Another bound than `ACCOUNTS_IDLE_MAX`, so that it is reached.
    #[cfg(any(test, feature = "testing"))]
    pub(super) const fn narrow(&mut self, most: usize) {
        self.most = most;
    }

    /// One more; returns its number.
    fn insert(&mut self, now: Instant, key: AccountKey) -> u64 {
        self.count = self.count.wrapping_add(1);
        self.accounts.insert(self.count, (now, key));
        self.count
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.accounts.remove(&number);
    }

    /// When the next one has been idle for long enough.
    fn next(&self) -> Option<Instant> {
        let (_, (since, _)) = self.accounts.first_key_value()?;
        Some(*since + ACCOUNT_IDLE)
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }
}

impl Shard {
    /// Brings an account into memory. `record` is the hash of its credentials, if it is known already.
    pub(super) fn bring_in(&mut self, jid: BareJid, record: Option<[u8; 32]>) -> AccountKey {
        let owner = Owner::new(Account::new(jid.clone(), record));
        let key = self.owners.insert(owner);
        self.by_name.insert(jid, key);
        self.load(key);
        key
    }

    /// Asks for what an account keeps, and for its credentials if nobody knows which are good.
    pub(super) fn load(&mut self, key: AccountKey) {
        self.send_all(key);
        self.tenures = self.tenures.wrapping_add(1);
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug("an account that is to be loaded is gone");
        };
        owner.tenure = self.tenures;
        let mut ops = Vec::with_capacity(2);
        if owner.account.asks() {
            ops.push(get_credentials());
        }
        ops.push(Op::Load);
        let batch = Batch {
            owner: owner.account.jid().clone(),
            tenure: owner.tenure,
            class: Class::Load,
            ops,
        };
        self.store(batch, Wait::Load(key));
    }

    /// Reads an account that is in memory as if it was not, before a stranger's request is refused.
    ///
    /// It is read for that where it is not in memory, and where there is no such account: an answer that comes sooner than there would
    /// tell who exists, and who was there a moment ago.
    pub(super) fn pretend_to_load(
        &mut self,
        stanza: &Arc<Stanza>,
        to: &Jid,
        receipt: Option<Receipt>,
    ) {
        let batch = Batch {
            owner: to.to_bare(),
            tenure: 0,
            class: Class::Load,
            ops: vec![get_credentials(), Op::Load],
        };
        let pretence = Pretence {
            stanza: Arc::clone(stanza),
            to: to.clone(),
            receipt,
        };
        self.store(batch, Wait::Pretence(Box::new(pretence)));
    }

    /// Whether an account that is in memory is to be read for this all the same.
    pub(super) fn hides_from(&self, key: AccountKey, stanza: &Stanza) -> bool {
        self.owners
            .get(key)
            .is_some_and(|owner| match stanza.kind() {
                Kind::Iq(_) => owner.account.is_stranger(stanza),
                Kind::Message(_) => owner.account.is_nobody_to(stanza),
                Kind::Presence(_) => false,
            })
    }

    /// The store has answered: the rest is as where there is no such account.
    pub(super) fn pretended(
        &mut self,
        now: Now,
        pretence: &Pretence,
        outcome: &Result<Vec<Reply>, StoreError>,
    ) {
        let Pretence {
            stanza,
            to,
            receipt,
        } = pretence;
        match outcome {
            Ok(_) => self.reach_nobody(now, stanza, to, Manner::Directed),
            Err(_) => self.refuse(stanza, Condition::InternalServerError),
        }
        self.done_with(*receipt);
    }

    /// What an account keeps came, or did not.
    pub(super) fn loaded(
        &mut self,
        now: Now,
        key: AccountKey,
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug("an account that was loading is gone");
        };
        let Life::Loading(failed) = owner.life else {
            return self.fx.bug("loaded, and nobody asked");
        };
        let asked = owner.account.asks();
        let read = match outcome {
            Ok(replies) => read(replies),
            Err(_) => Err(None),
        };
        match read {
            Ok((_, None)) if asked => self.vanish(now, key, Vanishing::Nobody),
            Ok((kept, record)) => {
                owner.account.keep(kept);
                owner.life = Life::Ready;
                // Nobody is there to want it, and one that leaves memory at once would say it for ever.
                let is_silent = owner.account.is_shut() || record.as_ref().is_some_and(is_disabled);
                if !is_silent {
                    // Before somebody comes in, who may have written a change already.
                    self.in_account(now, key, Account::say_again);
                }
                self.open_gate(now, key, record);
                self.drain(now, key);
                self.go_on_leaving(now, key);
            }
            Err(bad) => {
                if let Some(bad) = bad {
                    let account = owner.account.jid().clone();
                    let why = bad.to_string().into();
                    self.fx.note(Note::Unreadable { account, why });
                }
                self.load_failed(now, key, failed.saturating_add(1));
            }
        }
    }

    /// Everybody who waited to hear which credentials are good is decided on.
    fn open_gate(&mut self, now: Now, key: AccountKey, record: Option<Bytes>) {
        let good = record.filter(|record| !is_disabled(record));
        let good = good.map(|record| record_hash(&self.config.server_secret, &record));
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug("an account whose gate opens is gone");
        };
        for (conn, sign_in) in owner.account.opened(good) {
            if self.owners.get(key).is_some() {
                self.admit(now, conn, key, &sign_in);
            } else {
                // Whoever was decided on before it left again at once, and the account with it.
                self.seek_admission(now, conn, &sign_in);
            }
        }
    }

    /// What cannot be read is never written over: nobody can do anything until it is read.
    fn load_failed(&mut self, now: Now, key: AccountKey, failed: u8) {
        if let Some(owner) = self.owners.get_mut(key) {
            owner.life = Life::Loading(failed);
        }
        // Who is not in yet need not wait for another attempt.
        self.open_gate(now, key, None);
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        if owner.account.is_deserted() || failed >= LOAD_TRIES {
            return self.vanish(now, key, Vanishing::Unreadable);
        }
        self.timers.set(Due::Account(key), now.mono, LOAD_AGAIN);
    }

    /// An owner goes although something may wait for it: all of that is answered, and its streams end.
    fn vanish(&mut self, now: Now, key: AccountKey, why: Vanishing) {
        self.open_gate(now, key, None);
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        owner.life = Life::Leaving(why);
        self.turn_away(now, key, why);
        self.end_all(now, key, Violation::Store);
        self.drop_if_idle(now, key);
    }

    /// Answers what waits for an account that is not there any more.
    fn turn_away(&mut self, now: Now, key: AccountKey, why: Vanishing) {
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug("an account that turns everybody away is gone");
        };
        owner.account.shut();
        let account = owner.account.jid().clone();
        let leave = owner.leave.take();
        let mut inbox = owner.inbox.make().take_all();
        self.let_feeders_go_on(key);
        if let Some(leave) = leave {
            self.finish(now, leave.by, &account, Err(CommandError::Store));
        }
        while let Some(item) = inbox.pop() {
            match (item, why) {
                (Item::Closed(conn), _) => self.gone(now, conn),
                (Item::Fail(conn, violation), _) => self.fail_now(now, conn, violation),
                (Item::Command(by, _), Vanishing::Nobody) => {
                    self.finish(now, by, &account, Err(CommandError::NoSuchUser));
                }
                (Item::Command(by, _), Vanishing::Unreadable) => {
                    self.finish(now, by, &account, Err(CommandError::Store));
                }
                (Item::Die(session), _) => self.run_die(now, key, session),
                (Item::Lose(conn), _) => self.run_lose(now, conn),
                (Item::Over(session), _) => self.run_over(now, key, session),
                (Item::Acked(..) | Item::Drained(_) | Item::Read(..) | Item::Settled(..), _) => {}
                (Item::Stanza(post), Vanishing::Unreadable) if post.manner == Manner::Directed => {
                    let condition = Condition::InternalServerError;
                    self.refuse_unless_said(&post.stanza, condition, post.receipt);
                }
                (Item::Stanza(post), _) => {
                    self.reach_nobody(now, &post.stanza, &post.to, post.manner);
                    self.settle_unheard(&post.stanza, post.receipt);
                }
            }
        }
    }

    /// The account is being deleted: what waits for it is answered as if it was gone.
    pub(super) fn depart(&mut self, now: Now, key: AccountKey) {
        // What it kept a moment ago goes with all else.
        self.send_all(key);
        if let Some(owner) = self.owners.get_mut(key) {
            owner.life = Life::Leaving(Vanishing::Nobody);
            self.give_up_appends(now, key);
            self.turn_away(now, key, Vanishing::Nobody);
        }
    }

    /// Ends every stream of an account that can act, or leaves.
    pub(super) fn end_all(&mut self, now: Now, key: AccountKey, violation: Violation) {
        let Some(owner) = self.owners.get(key) else {
            return;
        };
        for conn in owner.account.connections() {
            self.fail_now(now, conn, violation);
        }
        self.end_sleepers(now, key);
    }

    /// An account that nobody is signed in to stays for a while, or leaves memory.
    pub(super) fn drop_if_idle(&mut self, now: Now, key: AccountKey) {
        let Some(owner) = self.owners.get(key) else {
            return;
        };
        let is_guest = self.is_guest(owner.account.jid());
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        // A command that is changing it has the last word.
        if !owner.account.is_deserted()
            || !owner.inbox.is_empty()
            || owner.idle.is_some()
            || self.commands.contains_key(owner.account.jid().as_str())
        {
            return;
        }
        match owner.life {
            Life::Ready if !owner.account.is_shut() && !is_guest => {
                owner.idle = Some(self.idle.insert(now.mono, key));
                self.bound_idle();
            }
            Life::Ready if !is_guest => {
                self.put_last(key);
                self.let_go(key);
            }
            Life::Ready | Life::Leaving(_) => self.let_go(key),
            // The store has the last word.
            Life::Committing(_) | Life::Loading(_) => {}
        }
    }

    /// Somebody needs it again.
    pub(super) fn stay(&mut self, key: AccountKey) {
        if let Some(owner) = self.owners.get_mut(key)
            && let Some(number) = owner.idle.take()
        {
            self.idle.remove(number);
        }
    }

    pub(super) fn let_go(&mut self, key: AccountKey) {
        self.send_all(key);
        self.let_feeders_go_on(key);
        if let Some(owner) = self.owners.remove(key) {
            self.by_name.remove(owner.account.jid().as_str());
            if let Some(number) = owner.idle {
                self.idle.remove(number);
            }
            if !owner.inbox.is_empty() {
                self.fx
                    .bug("an account leaves although something waits for it");
            }
        }
    }

    /// One account more than may be idle: the one that has been so for longest leaves memory. One that waits for others to settle something
    /// stays for its minute.
    fn bound_idle(&mut self) {
        if self.idle.accounts.len() <= self.idle.most {
            return;
        }
        let mut longest = self.idle.accounts.iter().take(IDLE_LOOK);
        let free = longest.find(|(_, (_, key))| !self.is_waited_for(*key));
        if let Some((number, key)) = free.map(|(number, (_, key))| (*number, *key)) {
            self.idle.remove(number);
            self.let_idle_one_go(key);
        }
    }

    /// Accounts that have been idle for long leave memory.
    pub(super) fn let_idle_go(&mut self, now: Now) {
        while self.next_idle().is_some_and(|at| at <= now.mono)
            && let Some((_, (_, key))) = self.idle.accounts.pop_first()
        {
            self.let_idle_one_go(key);
        }
    }

    fn let_idle_one_go(&mut self, key: AccountKey) {
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug("an account that was idle is gone");
        };
        owner.idle = None;
        // What it is busy with has the last word. Whoever loaded it before its messages are on disk would not know of them.
        if owner.is_busy() || owner.line.offered > 0 || !owner.appends.entries.is_empty() {
            return;
        }
        self.put_last(key);
        self.let_go(key);
    }

    /// What quiet tables are to keep of an account that is about to leave memory goes to the disk.
    pub(super) fn put_last(&mut self, key: AccountKey) {
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug("an account that leaves memory is gone");
        };
        let ops = owner.account.last_puts();
        if !ops.is_empty() {
            self.put_quietly(key, ops);
        }
    }

    /// The server stops, and nobody comes back: one account that is idle leaves memory. Whether there was one. One that waits for others to
    /// settle something stays for that, and is idle no more.
    pub(super) fn let_one_idle_go(&mut self) -> bool {
        let first = self.idle.accounts.pop_first();
        if let Some((_, (_, key))) = first {
            match self.is_waited_for(key) {
                true => self.put_last_of_idle(key),
                false => self.let_idle_one_go(key),
            }
        }
        first.is_some()
    }

    fn put_last_of_idle(&mut self, key: AccountKey) {
        if let Some(owner) = self.owners.get_mut(key) {
            owner.idle = None;
        }
        self.put_last(key);
    }

    /// Whether an account has something to settle with others: it would have to come back to say it again, and two such would fetch each
    /// other for ever.
    fn is_waited_for(&self, key: AccountKey) -> bool {
        let owner = self.owners.get(key);
        owner.is_some_and(|owner| owner.account.has_unsaid() || owner.account.has_unsettled())
    }

    /// Whether accounts are idle, and there is room in the store for what may have to be put of one. Otherwise it answers first.
    pub(super) fn lets_idle_go(&self) -> bool {
        !self.idle.accounts.is_empty() && !self.credit.is_spent()
    }

    /// When the next one leaves memory.
    pub(super) fn next_idle(&self) -> Option<Instant> {
        self.idle.next().filter(|_| !self.credit.is_spent())
    }
}

/// Whether nobody may sign in by these credentials: they say so, or cannot be read.
fn is_disabled(record: &Bytes) -> bool {
    Credentials::from_record(record).is_none_or(|c| c.status == Status::Disabled)
}

/// What an account keeps, and its credentials if they were asked for; or the row that makes no sense.
fn read(mut replies: Vec<Reply>) -> Result<(Kept, Option<Bytes>), Option<BadRow>> {
    let Some(Reply::Loaded(loaded)) = replies.pop() else {
        return Err(None);
    };
    let kept = Kept::from_loaded(&loaded)?;
    Ok((kept, first_record(replies)))
}
