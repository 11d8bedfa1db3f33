//! Owners at work: called, committed, drained, let go. See `owner.rs` for their life, `loads.rs` for how they come into memory.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::commands::store_error;
use super::inbox::{Errand, Inbox, Item, Placed, Post};
use super::owner::{Call, Commit, Life, Otherwise, Owner, Vanishing};
use super::ways::Source;
use super::{NAMELESS, Shard};
use crate::account::{
    self, Account, AccountKey, Manner, Saying, StoreRoom, Watch, asks_for_card, brings_in, nobody,
};
use crate::archive::ArchiveOptions;
use crate::arena::ArenaKey as _;
use crate::config::HostConfig;
use crate::due::Due;
use crate::envelope::{Awaited, Delivery, Feeding, Receipt, Settled, Told};
use crate::jid::{BareJid, Jid};
use crate::limits::{
    CALL_BYTES, CALL_OPS, INBOX_TURN, INBOX_TURN_BYTES, OFFER_AGAIN, OFFERS, STORE_BATCH_BYTES,
    STORE_BATCH_OPS,
};
use crate::port::ConnId;
use crate::roster::Act;
use crate::stanza::{Condition, Kind, Stanza};
use crate::store::{Batch, Class, Op, Reply, StoreError};
use crate::stream::Violation;
use crate::time::Now;
use crate::wait::{Requester, Wait};

/// What calls leave for the disk.
#[derive(Debug, Default)]
struct Gathered {
    calls: Vec<Call>,
    changes: Vec<Op>,
    /// Of these.
    bytes: usize,
}

impl Gathered {
    /// Whether one more call might make more than a batch may hold.
    fn is_full(&self) -> bool {
        self.changes.len() + CALL_OPS > STORE_BATCH_OPS
            || self.bytes + CALL_BYTES > STORE_BATCH_BYTES
    }
}

impl Shard {
    /// Runs one call of an account that can act, and sees to what it said and changed; `None` if the account is gone.
    pub(super) fn in_account<T>(
        &mut self,
        now: Now,
        key: AccountKey,
        call: impl FnOnce(&mut Account, &mut account::Cx<'_>) -> T,
    ) -> Option<T> {
        let outcome = self.call(now, key, call)?;
        self.keep_appends(key);
        self.keep_quietly(key);
        self.ask_store(key);
        if self.spoken.changes.is_empty() {
            self.say(key);
        } else {
            let mut gathered = Gathered::default();
            self.gather(&mut gathered, None);
            self.commit(key, gathered);
        }
        Some(outcome)
    }

    /// Runs one call of an account. What it leaves is in `spoken`.
    fn call<T>(
        &mut self,
        now: Now,
        key: AccountKey,
        call: impl FnOnce(&mut Account, &mut account::Cx<'_>) -> T,
    ) -> Option<T> {
        let owner = self.owners.get_mut(key)?;
        match owner.life {
            Life::Ready | Life::Leaving(_) => {}
            Life::Committing(_) | Life::Loading(_) => {
                self.fx.bug("a call of an account that cannot act");
                return None;
            }
        }
        let account = &mut owner.account;
        // A host that went away with a reload: its streams are being closed. Made only then, this runs for every stanza.
        let fallback;
        let host = match self.config.accounts(account.jid().domain()) {
            Some(host) => host,
            None => {
                fallback = HostConfig {
                    archive: ArchiveOptions::nothing(),
                    ..HostConfig::default()
                };
                &fallback
            }
        };
        let store = match self.credit.is_spent() {
            true => StoreRoom::Spent,
            false => StoreRoom::Room,
        };
        let mut cx = account::Cx {
            now,
            config: &self.config,
            host,
            entropy: &mut self.entropy,
            spoken: &mut self.spoken,
            store,
        };
        let outcome = call(account, &mut cx);
        // Last of all that it says, so that it waits for the disk where that does.
        match core::mem::take(&mut self.spoken.watch) {
            Watch::Nobody => {}
            Watch::Out(sent, parts) => {
                if let Some((_, inbound)) = account.inbound_of(sent) {
                    inbound.expect(sent.number, parts);
                }
                self.spoken.said.push(Saying::Handled(sent));
            }
            Watch::In(sent) => self.spoken.said.push(Saying::Handled(sent)),
        }
        Some(outcome)
    }

    /// Says what the last call said.
    fn say(&mut self, key: AccountKey) {
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug("an account that has something to say is gone");
        };
        for saying in self.spoken.said.drain(..) {
            if let Some(routed) = owner.account.say(&mut self.fx, saying) {
                self.fx.say(routed);
            }
        }
        if self.fx.has_grown() {
            self.look_at_sleepers(key);
        }
    }

    /// Brings what the last call keeps quietly to the disk: with its changes, if it has any, otherwise by itself.
    fn keep_quietly(&mut self, key: AccountKey) {
        if self.spoken.quiet.is_empty() {
            return;
        }
        let ops = core::mem::take(&mut self.spoken.quiet);
        if !self.spoken.changes.is_empty() {
            self.spoken.changes.extend(ops);
            return;
        }
        self.put_quietly(key, ops);
    }

    /// What quiet tables keep goes to the disk, and nobody waits for it.
    pub(super) fn put_quietly(&mut self, key: AccountKey, ops: Vec<Op>) {
        let Some(owner) = self.owners.get(key) else {
            return self.fx.bug("an account that keeps something is gone");
        };
        let batch = Batch {
            owner: owner.account.jid().clone(),
            tenure: owner.tenure,
            class: Class::Append,
            ops,
        };
        self.store(batch, Wait::Quiet);
    }

    /// Keeps what the last call said and changed. `again` is what it was called with.
    fn gather(&mut self, gathered: &mut Gathered, again: Option<Post>) {
        let spoken = core::mem::take(&mut self.spoken);
        let otherwise = match (spoken.changes.is_empty(), again, spoken.asked) {
            (true, Some(post), _) => Otherwise::Again(post),
            (_, _, Some(asked)) => Otherwise::Refuse(asked),
            (_, _, None) => Otherwise::Silent,
        };
        gathered.bytes += spoken.changes.iter().map(Op::weight).sum::<usize>();
        gathered.changes.extend(spoken.changes);
        gathered.calls.push(Call {
            held: spoken.said,
            appends: spoken.appends,
            otherwise,
        });
    }

    /// Brings changes to the disk. Until they are there nobody hears of anything.
    fn commit(&mut self, key: AccountKey, gathered: Gathered) {
        self.flush_appends(key);
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug("an account that changed is gone");
        };
        if !owner.is_ready() {
            return self.fx.bug("a change of an account that cannot act");
        }
        let batch = Batch {
            owner: owner.account.jid().clone(),
            tenure: owner.tenure,
            class: Class::Change,
            ops: gathered.changes,
        };
        owner.life = Life::Committing(Box::new(Commit {
            calls: gathered.calls,
            batch: batch.clone(),
            offered: 1,
        }));
        self.store(batch, Wait::Commit(key));
    }

    /// The store has answered.
    pub(super) fn committed(
        &mut self,
        now: Now,
        key: AccountKey,
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug("an account that was committing is gone");
        };
        let Life::Committing(commit) = &mut owner.life else {
            return self.fx.bug("committed, and nothing was to be");
        };
        let failed = outcome.as_ref().err().copied();
        match outcome {
            Ok(_) => {
                let calls = core::mem::take(&mut commit.calls);
                owner.life = Life::Ready;
                owner.account.settle_kept();
                for call in calls {
                    self.spoken.said = call.held;
                    self.spoken.appends = call.appends;
                    self.keep_appends(key);
                    self.say(key);
                }
                self.settle(now);
                self.drain(now, key);
                self.go_on_leaving(now, key);
            }
            // Nothing is lost by it.
            Err(StoreError::Busy) if commit.offered < OFFERS => {
                self.timers.set(Due::Account(key), now.mono, OFFER_AGAIN);
            }
            Err(StoreError::Busy | StoreError::Full) => {
                self.undone(key, Some(Condition::ResourceConstraint));
            }
            Err(StoreError::Conflict | StoreError::Failed | StoreError::Fenced) => {
                self.undone(key, Some(Condition::InternalServerError));
            }
            Err(StoreError::Unknown) => {
                // What was held cannot be said, and nobody may believe what it was told before, or hear more of it: who missed one change and
                // hears of the next would take its version for what it has.
                self.undone(key, None);
                self.end_first(key, Violation::Store);
            }
        }
        let busy = self
            .owners
            .get(key)
            .is_some_and(|owner| owner.is_committing());
        if let Some(error) = failed.filter(|_| !busy) {
            self.leave_failed(now, key, store_error(error));
        }
    }

    /// The changes took no effect, or perhaps none: what is in memory is wrong. Who asked hears this; nothing, if they may have been
    /// done.
    fn undone(&mut self, key: AccountKey, condition: Option<Condition>) {
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug("an account whose changes are void is gone");
        };
        let Life::Committing(commit) = core::mem::replace(&mut owner.life, Life::Loading(0)) else {
            return self.fx.bug("changes are void, and there were none");
        };
        owner.account.forget_kept();
        let mut receipts = Vec::new();
        for call in commit.calls.into_iter().rev() {
            match &call.otherwise {
                // It comes to its end then.
                Otherwise::Again(_) => {}
                Otherwise::Refuse(_) | Otherwise::Silent => receipts.extend(call.receipts()),
            }
            match call.otherwise {
                Otherwise::Again(post) => owner.inbox.make().put_back(Item::Stanza(post)),
                Otherwise::Refuse(asked) => {
                    let refusal = condition.and_then(|condition| asked.refusal(condition));
                    self.spoken.said.extend(refusal);
                }
                Otherwise::Silent => {}
            }
        }
        self.spoken.said.reverse();
        self.say(key);
        // Where nobody can know, it is not settled, now or later.
        if condition.is_some() {
            self.all_handled(receipts);
        }
        self.load(key);
    }

    /// Time has come to ask the store again.
    pub(super) fn ask_again(&mut self, key: AccountKey) {
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        match &mut owner.life {
            Life::Committing(commit) => {
                commit.offered = commit.offered.saturating_add(1);
                let batch = commit.batch.clone();
                self.store(batch, Wait::Commit(key));
            }
            Life::Loading(_) => self.load(key),
            Life::Ready | Life::Leaving(_) => {}
        }
    }

    /// A stanza for an account of this shard: now, or when its owner can act.
    pub(super) fn deliver_at(
        &mut self,
        now: Now,
        stanza: &Arc<Stanza>,
        to: &Jid,
        manner: Manner,
        receipt: Option<Receipt>,
    ) {
        if let Kind::Presence(kind) = stanza.kind()
            && Act::of(kind).is_some()
            && self.is_to_guest(to)
        {
            // XEP-0175 §3: what a guest agreed to would have to be cancelled when it leaves.
            self.reach_nobody(now, stanza, to, manner);
            return self.settle_unheard(stanza, receipt);
        }
        if asks_for_card(stanza, to) {
            return self.ask_for_card(stanza, to);
        }
        self.note_card(stanza, to);
        let present = self.by_name.get(to.bare()).copied();
        // Most are for accounts in memory, whatever they are worth.
        let brings_in = || brings_in(stanza, to, manner);
        let key = match present {
            Some(key) if !(self.hides_from(key, stanza) && brings_in()) => key,
            None if !brings_in() => {
                self.reach_nobody(now, stanza, to, manner);
                return self.done_with(receipt);
            }
            // Who signs in comes first.
            Some(_) | None if self.comes_late(stanza) => {
                return self.refuse_unless_said(stanza, Condition::ResourceConstraint, receipt);
            }
            Some(_) => return self.pretend_to_load(stanza, to, receipt),
            None => self.bring_in(to.to_bare(), None),
        };
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug(NAMELESS);
        };
        if owner.is_busy() {
            if owner.account.is_nobody_to(stanza) {
                self.reach_nobody(now, stanza, to, manner);
                return self.done_with(receipt);
            }
            let post = Post {
                stanza: Arc::clone(stanza),
                to: to.clone(),
                manner,
                receipt,
            };
            match owner.inbox.make().post(post) {
                // Its receipt waits with it.
                Placed::Waits => return self.hold_up_feeder(now, key, stanza, manner),
                Placed::Dropped => {}
                Placed::Refuse => self.refuse(stanza, Condition::ResourceConstraint),
                // Nobody asked for it.
                Placed::Lost if !owner.account.misses(stanza.kind(), to) => {}
                Placed::Lost => self.end_later(key, Violation::InboxFull),
            }
            self.done_with(receipt);
        } else if let Life::Leaving(why) = owner.life {
            self.reach_nobody(now, stanza, to, manner);
            match why {
                Vanishing::Nobody => self.settle_unheard(stanza, receipt),
                // What cannot be read is still there.
                Vanishing::Unreadable => self.done_with(receipt),
            }
        } else {
            self.in_account(now, key, |account, cx| {
                account.deliver(cx, stanza, to, manner, receipt);
            });
            if self.owners.get(key).is_some_and(Owner::keeps_much) {
                self.hold_up_feeder(now, key, stanza, manner);
            }
        }
    }

    /// Who sends much to somebody who waits for the disk waits, too: what there is no room for would be refused.
    fn hold_up_feeder(&mut self, now: Now, key: AccountKey, stanza: &Stanza, manner: Manner) {
        let feeder = stanza.cause().filter(|from| from.resource().is_some());
        let (Some(feeder), Manner::Directed) = (feeder, manner) else {
            return;
        };
        let holds_up = |owner: &mut Owner| match owner.keeps_much() {
            true => owner.inbox.make().put_off(feeder),
            false => owner.inbox.make().holds_up(feeder),
        };
        if self.owners.get_mut(key).is_some_and(holds_up) {
            let feeding = Feeding {
                feeder: feeder.clone(),
                awaited: Awaited::Inbox(key.key()),
            };
            self.tell_slow(now, feeding);
        }
    }

    /// Who waited for an account that has nothing to do any more goes on.
    pub(super) fn let_feeders_go_on(&mut self, key: AccountKey) {
        let feeders = self
            .owners
            .get_mut(key)
            .and_then(|owner| owner.inbox.change(Inbox::let_go_on));
        for feeder in feeders.into_iter().flatten() {
            let awaited = Awaited::Inbox(key.key());
            self.tell_go(Feeding { feeder, awaited });
        }
    }

    /// Whether the store has too much to do for an account to come into memory for this. Messages are taken as long as anything is: whose
    /// clients send them is read no further before that.
    fn comes_late(&self, stanza: &Stanza) -> bool {
        match stanza.kind() {
            Kind::Message(_) => self.credit.is_spent(),
            Kind::Iq(_) | Kind::Presence(_) => self.credit.is_low(),
        }
    }

    /// A contact has on disk what an account of this shard told it. One that is not in memory any more says it again when it comes back.
    pub(super) fn settled(&mut self, now: Now, settled: Settled) {
        let Settled {
            account,
            contact,
            receipt,
        } = settled;
        let Some(key) = self.by_name.get(account.as_str()).copied() else {
            return;
        };
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug(NAMELESS);
        };
        if owner.is_busy() {
            owner.inbox.make().push(Item::Settled(contact, receipt));
        } else if owner.is_ready() {
            self.run_settled(now, key, &contact, receipt);
        }
    }

    fn run_settled(&mut self, now: Now, key: AccountKey, contact: &BareJid, receipt: Told) {
        self.in_account(now, key, |account, cx| {
            account.settled(cx, contact, receipt);
        });
        self.go_on_leaving(now, key);
    }

    pub(super) fn reach_nobody(&mut self, now: Now, stanza: &Stanza, to: &Jid, manner: Manner) {
        if let Some(reply) = nobody(now, &self.config, stanza, to, manner) {
            self.fx.route(Delivery::named(reply));
        }
    }

    /// Everything that an owner's streams could believe is void: they end when all that came before is done.
    fn end_later(&mut self, key: AccountKey, violation: Violation) {
        if let Some(owner) = self.owners.get_mut(key) {
            for conn in owner.account.connections() {
                owner.inbox.make().push(Item::Fail(conn, violation));
            }
            for session in owner.account.sleepers() {
                owner.inbox.make().push(Item::Die(session));
            }
        }
    }

    /// The same, before anything else is done.
    fn end_first(&mut self, key: AccountKey, violation: Violation) {
        if let Some(owner) = self.owners.get_mut(key) {
            for session in owner.account.sleepers() {
                owner.inbox.make().put_back(Item::Die(session));
            }
            for conn in owner.account.connections() {
                owner.inbox.make().fail_first(conn, violation);
            }
        }
    }

    /// Runs what waits for an owner that can act, then what its own streams hold.
    pub(super) fn drain(&mut self, now: Now, key: AccountKey) {
        let mut gathered = Gathered::default();
        let mut bytes = INBOX_TURN_BYTES.min(self.config.limits.session_queue_bytes / 2);
        for _ in 0..INBOX_TURN {
            let Some(owner) = self.owners.get_mut(key) else {
                return;
            };
            // What is no stanza changes more than what is kept, and is done only once: not before the disk has the rest.
            let stop = match owner.inbox.front() {
                Some(Item::Stanza(_)) => gathered.is_full(),
                Some(
                    Item::Acked(..)
                    | Item::Closed(_)
                    | Item::Command(..)
                    | Item::Die(_)
                    | Item::Drained(_)
                    | Item::Fail(..)
                    | Item::Lose(_)
                    | Item::Over(_)
                    | Item::Read(..)
                    | Item::Settled(..),
                ) => !gathered.changes.is_empty(),
                None => true,
            };
            if stop || bytes == 0 || !owner.is_ready() {
                break;
            }
            match owner.inbox.change(Inbox::pop).flatten() {
                Some(Item::Stanza(post)) => {
                    bytes = bytes.saturating_sub(post.stanza.size());
                    let before = self.comes_from(Source::Sender);
                    self.run_post(now, key, post, &mut gathered);
                    if gathered.changes.is_empty() {
                        // A session that overflows ends before the next one is chosen.
                        self.settle(now);
                    }
                    self.comes_from(before);
                }
                Some(Item::Closed(conn)) => self.run_closed(now, key, conn),
                Some(Item::Fail(conn, violation)) => self.fail_now(now, conn, violation),
                Some(Item::Acked(session, acked)) => self.acked(now, (key, session), acked),
                Some(Item::Die(session)) => self.run_die(now, key, session),
                Some(Item::Lose(conn)) => self.run_lose(now, conn),
                Some(Item::Over(session)) => self.run_over(now, key, session),
                Some(Item::Drained(conn)) => self.run_drained(now, key, conn),
                Some(Item::Read(read, outcome)) => self.run_read(now, key, *read, outcome),
                Some(Item::Command(by, errand)) => self.run_errand(now, key, by, errand),
                Some(Item::Settled(contact, receipt)) => {
                    self.run_settled(now, key, &contact, receipt);
                }
                None => {}
            }
        }
        if !gathered.changes.is_empty() {
            return self.commit(key, gathered);
        }
        self.let_feeders_go_on(key);
        let Some(owner) = self.owners.get(key) else {
            return;
        };
        match owner.is_busy() {
            true if owner.is_ready() => self.unfinished.push(key),
            true => {}
            false => self.resume_streams(now, key),
        }
    }

    /// One stanza of the inbox. As long as nothing was changed it is said at once what comes of it.
    fn run_post(&mut self, now: Now, key: AccountKey, post: Post, gathered: &mut Gathered) {
        let ran = self.call(now, key, |account, cx| {
            account.deliver(cx, &post.stanza, &post.to, post.manner, post.receipt);
        });
        if ran.is_none() {
            return;
        }
        let waits = !gathered.changes.is_empty() || !self.spoken.changes.is_empty();
        if !waits {
            self.keep_appends(key);
        }
        self.keep_quietly(key);
        self.ask_store(key);
        match waits {
            // If it is to be made again, it is to keep its messages then.
            true => self.gather(gathered, Some(post)),
            false => self.say(key),
        }
    }

    /// A connection was closed: what it brought before comes first.
    fn run_closed(&mut self, now: Now, key: AccountKey, conn: ConnId) {
        let waited = self.count_waiting(conn);
        self.finish_input(now, conn);
        let waits = self.count_waiting(conn) > waited && self.holds_input(conn);
        match self.owners.get_mut(key) {
            // Behind what it said to itself.
            Some(owner) if waits => owner.inbox.make().push(Item::Closed(conn)),
            Some(owner) if !owner.is_ready() && self.connections.get(conn).is_some() => {
                owner.inbox.make().put_back(Item::Closed(conn));
            }
            Some(_) | None => self.gone(now, conn),
        }
    }

    fn run_errand(&mut self, now: Now, key: AccountKey, by: Requester, errand: Errand) {
        match errand {
            Errand::Delete => self.delete_owner(now, key, by),
            Errand::Disconnect(resource) => self.disconnect_owner(now, key, by, resource),
            Errand::Show(status, form) => self.show_owner(now, key, by, (status, form)),
        }
    }

    /// The streams of an owner that can act go on where they stopped, each time beginning with another.
    fn resume_streams(&mut self, now: Now, key: AccountKey) {
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug("an account that goes on is gone");
        };
        let mut connections = owner.account.connections();
        if !connections.is_empty() {
            owner.turn = owner.turn.wrapping_add(1) % connections.len();
            connections.rotate_left(owner.turn);
        }
        for conn in connections {
            if self.owners.get(key).is_none_or(|owner| !owner.is_ready()) {
                return;
            }
            self.proceed(now, conn);
        }
        self.drop_if_idle(now, key);
    }

    /// Goes on with owners whose inbox was too long for one turn.
    pub(super) fn drain_unfinished(&mut self, now: Now) {
        for key in core::mem::take(&mut self.unfinished) {
            self.drain(now, key);
        }
    }
}
