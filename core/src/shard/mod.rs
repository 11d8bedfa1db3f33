//! One shard: everything one thread owns, driven by inputs and drained of actions.

mod appends;
mod archives;
mod cards;
mod census;
mod commands;
mod components;
mod connections;
mod credit;
mod disconnect;
mod endings;
mod explain;
mod flow;
mod guests;
mod imports;
mod inbox;
mod judging;
mod links;
mod loads;
mod managed;
mod owner;
mod owners;
mod proven;
mod reaching;
mod reads;
mod receipts;
mod registration;
mod renewals;
mod retention;
mod route;
mod servers;
mod sessions;
mod show;
mod signin;
#[cfg(test)]
mod tests;
mod ways;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use crate::account::{AccountKey, Spoken};
use crate::arena::Arena;
use crate::config::Config;
use crate::due::Due;
use crate::effects::{Effects, Routed};
use crate::entropy::Entropy;
use crate::envelope::placement::Placement;
use crate::envelope::{Awaited, Body, Delivery, Envelope, Feeding, Place};
use crate::federation::{DialbackKeys, RoundKey, Unverified, Verified};
use crate::jid::BareJid;
#[cfg(any(test, feature = "testing"))]
use crate::limits::StoreCredit;
use crate::limits::{Limits, TICK_MAX};
use crate::map::{Keyed, Map};
use crate::port::{Action, ConnId, DeriveError, Input, Listener, Ticket};
use crate::registration::Registrations;
use crate::sasl::{DeriveParams, ScramKeys, Throttle};
use crate::secret::Secret;
use crate::store::{Batch, Reply, StoreError};
use crate::stream::{Stream, Violation};
use crate::time::{Instant, Now};
use crate::timer::Timers;
use crate::wait::{Petition, PetitionKey, Question, Wait};
use crate::xep::Capabilities;

use self::cards::Cards;
use self::census::Census;
use self::commands::Tasks;
use self::components::Components;
use self::credit::Credit;
use self::endings::{Endings, is_gone};
use self::flow::Slowed;
use self::guests::Guests;
use self::links::Links;
use self::loads::Idle;
use self::managed::Sleepers;
use self::owner::Owner;
use self::proven::Proven;
use self::reaching::Reaching;
use self::receipts::Receipts;
use self::retention::Retention;
use self::signin::first_record;
use self::ways::{Source, Ways};
use connections::Connection;
pub use connections::Detached;

/// A shard: connections, accounts, questions under way, deadlines.
#[derive(Debug)]
pub struct Shard {
    config: Arc<Config>,
    /// How many came after the first.
    reloads: u64,
    /// Of its hosts.
    capabilities: Capabilities,
    place: Place,
    placement: Placement,
    entropy: Entropy,
    fx: Effects,
    connections: Arena<ConnId, Connection>,
    owners: Arena<AccountKey, Owner>,
    by_name: Map<BareJid, AccountKey>,
    waits: Arena<Ticket, Question>,
    throttle: Throttle,
    timers: Timers<Due>,
    slowed: Slowed,
    /// Connections that were slowed and need not wait any more; empty between inputs.
    freed: VecDeque<ConnId>,
    /// Where that comes from which is handled.
    source: Source,
    ways: Ways,
    /// What the account that is called says and changes; empty between calls.
    spoken: Spoken,
    /// Accounts that append something in this turn.
    appending: Vec<AccountKey>,
    /// How many loads there were.
    tenures: u64,
    credit: Credit,
    idle: Idle,
    /// Owners of which the inbox was too long for one turn.
    unfinished: Vec<AccountKey>,
    /// How many changes of credentials were sent to the store: what was read before the last of them may be out of date.
    changes: u64,
    /// Who wants what is done about each account of which something is, and what is to be done next.
    commands: BTreeMap<BareJid, Tasks>,
    /// Those among them that are no administrator's.
    petitions: Arena<PetitionKey, Petition>,
    registrations: Registrations,
    cards: Cards,
    census: Census,
    course: Course,
    endings: Endings,
    retention: Retention,
    sleepers: Sleepers,
    receipts: Receipts,
    guests: Guests,
    reaches: Arena<RoundKey, Reaching>,
    dialback: DialbackKeys,
    links: Links,
    components: Components,
    proven: Proven,
}

/// A fault of the shell: such an answer falls on the floor.
const OTHER_QUESTION: &str = "an answer of another kind than the question";

/// A name stands for an account in memory, from when that comes until it goes.
const NAMELESS: &str = "a name of an account that is not there";

fn weight_of(deliveries: &[Delivery]) -> usize {
    deliveries.iter().map(Delivery::weight).sum()
}

/// Whether the server goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Course {
    Running,
    /// Since then.
    Stopping(Instant),
}

impl Shard {
    /// `place` is its own; `seed` must be secret and different for each shard and start.
    #[must_use]
    pub fn new(config: Arc<Config>, place: Place, seed: [u8; 32]) -> Self {
        let mut entropy = Entropy::new(seed);
        let mut key = [0; 16];
        key.copy_from_slice(entropy.block("map").split_at(16).0);
        let key = Keyed::new(key);
        let mut shard = Self {
            links: Links::new(key.clone()),
            throttle: Throttle::new(&config.server_secret, &key),
            registrations: Registrations::new(&key),
            placement: Placement::new(&config.server_secret, config.shards),
            place,
            entropy,
            fx: Effects::new(place, &config.limits),
            connections: Arena::default(),
            owners: Arena::default(),
            by_name: Map::with_hasher(key),
            waits: Arena::default(),
            timers: Timers::default(),
            slowed: Slowed::default(),
            freed: VecDeque::new(),
            source: Source::Other,
            ways: Ways::default(),
            spoken: Spoken::default(),
            appending: Vec::new(),
            tenures: 0,
            credit: Credit::new(config.shards),
            idle: Idle::default(),
            unfinished: Vec::new(),
            changes: 0,
            commands: BTreeMap::new(),
            petitions: Arena::default(),
            cards: Cards::default(),
            census: Census::default(),
            course: Course::Running,
            endings: Endings::default(),
            retention: Retention::default(),
            sleepers: Sleepers::default(),
            receipts: Receipts::default(),
            guests: Guests::of(&config),
            reaches: Arena::default(),
            dialback: config.dialback_keys(),
            components: Components::default(),
            proven: Proven::default(),
            capabilities: Capabilities::of(&config),
            config,
            reloads: 0,
        };
        shard.begin_links();
        shard.begin_retention();
        shard.begin_census();
        shard
    }

    /// Takes one input. Any number may be handled before the actions are drained.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        self.fx.at(now);
        if self.fx.has_relieved() {
            // What was kept for them comes before anything else.
            self.settle(now);
        }
        match input {
            Input::Bytes { conn, bytes } => self.bytes(now, conn, bytes),
            Input::Closed { conn, how } => self.closed(now, conn, how),
            Input::Command { id, command } => self.command(now, id, command),
            Input::Delivered(envelope) => self.delivered(now, envelope),
            Input::Connected { conn } => self.connected(now, conn),
            Input::Derived { ticket, keys } => self.derived(now, ticket, keys),
            Input::Evict { conn } => self.evict(now, conn),
            Input::Judged { ticket, judgement } => self.judged(now, ticket, judgement),
            Input::Reload(config) => self.reload(now, config),
            Input::Resolved { ticket, outcome } => self.resolved(now, ticket, outcome),
            Input::Secured { conn, tls } => self.answered(now, conn, |s, cx| s.secured(cx, *tls)),
            Input::Shutdown => {
                self.course = Course::Stopping(now.mono);
                self.end_all_reaches(now);
                self.end_all_links(now);
                self.end_all_of(Violation::Shutdown, |_| true);
            }
            Input::Stored { ticket, outcome } => self.stored(now, ticket, outcome),
            Input::Tick => self.tick(now),
            Input::Undeliverable(envelope) => self.undelivered(now, envelope),
        }
        self.settle(now);
        self.answer_guests(now);
        self.proceed_freed(now);
    }

    /// What another shard says.
    fn delivered(&mut self, now: Now, envelope: Envelope) {
        match envelope.body {
            Body::Deliver(deliveries) => {
                self.took(envelope.from, weight_of(&deliveries));
                let before = self.comes_from(Source::Sender);
                for delivery in deliveries {
                    self.deliver(now, &delivery);
                    // A session that overflows ends before the next one is chosen.
                    self.settle(now);
                }
                self.comes_from(before);
            }
            Body::SignInFailed(address) => {
                self.throttle.told(now.mono, &self.config.limits, address);
            }
            Body::Registration(address) => {
                self.registrations
                    .count(now.mono, &self.config.limits, address);
            }
            Body::Lacking(host, hashes) => self.census.lacks(&host, hashes),
            Body::Slow(feeding) => self.slow(now, envelope.from, &feeding),
            Body::Go(feeding) => self.go(envelope.from, &feeding),
            Body::Settled(settled) => self.settled(now, *settled),
            Body::Handled(receipts) => receipts
                .into_iter()
                .for_each(|sent| self.handled(now, sent)),
            Body::Taken(bytes) => self.taken(envelope.from, bytes),
            Body::Heard(heard) => self.heard_of(now, &heard.0, &heard.1),
            Body::Pong(pong) => self.ponged(now, &pong),
            Body::Verify(asked) => {
                let (asker, claim, address) = *asked;
                self.verify_here(now, asker, claim, address);
            }
            Body::Verified(told) => {
                let (asker, claim, verified) = *told;
                self.tell_asker(now, asker, claim, verified);
            }
        }
    }

    /// What was to be said to another shard, and found its way full.
    fn undelivered(&mut self, now: Now, envelope: Envelope) {
        match envelope.body {
            Body::Deliver(deliveries) => {
                self.came_back(envelope.to, weight_of(&deliveries));
                self.undeliverable(&deliveries);
            }
            Body::Taken(bytes) => self.took_in_vain(envelope.to, bytes),
            // It counts here all the same; and nobody waits for ever.
            Body::Heard(_)
            | Body::Pong(_)
            | Body::Registration(_)
            | Body::SignInFailed(_)
            | Body::Slow(_)
            | Body::Go(_) => {}
            Body::Lacking(host, hashes) => {
                self.lacking_came_back(now, envelope.to, host, hashes);
            }
            // It is said again, and settled then.
            Body::Settled(_) => {}
            Body::Verify(asked) => {
                let (asker, claim, _) = *asked;
                let busy = Verified::Unknown(Unverified::Busy);
                self.tell_asker(now, asker, claim, busy);
            }
            Body::Verified(told) => self.verified_came_back(now, *told),
            Body::Handled(receipts) => self.receipts_came_back(now, envelope.to, receipts),
        }
    }

    /// Whether nothing is under way here: the server may end. What is on its way from other shards the shell knows.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.connections.is_empty()
            && self
                .waits
                .iter()
                .all(|(_, question)| question.is_nobodys_any_more())
            && self.credit.used() == 0
            && self.appending.is_empty()
            && self.unfinished.is_empty()
            && !self.has_endings()
            && self.sleepers.is_empty()
            && self.owners.iter().all(|(_, owner)| owner.is_at_rest())
    }

    /// A new connection from `peer`.
    pub fn accept(&mut self, now: Now, listener: Listener, peer: SocketAddr) -> ConnId {
        let stream = Stream::new(listener, now, &self.config);
        let conn = self.connect(now, stream, peer);
        if self.is_stopping() {
            self.fail(now, conn, Violation::Shutdown);
        }
        conn
    }

    /// The next thing to do; drain until `None`.
    pub fn poll_action(&mut self) -> Option<Action> {
        // First, so that it goes out with what is written all the same.
        self.acknowledge_all();
        self.watch_asked();
        if let Some(action) = self.fx.poll_action() {
            return Some(action);
        }
        // Last, so that a turn appends once for each account.
        self.flush_all_appends().then(|| self.fx.poll_action())?
    }

    /// When to say `Input::Tick` at the latest; a moment that is past means at once. To be asked again after `sent`: who waited for what
    /// was sent goes on with a `Tick`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let goes_on = !self.unfinished.is_empty() || self.has_endings();
        if goes_on || self.fx.has_relieved() || self.guests.wait() {
            return Some(Instant::default());
        }
        let due = self.timers.next().map(|(at, _)| at);
        [due, self.next_idle()].into_iter().flatten().min()
    }

    /// Bytes owed to the peer. Empty for a connection that is dead.
    #[must_use]
    pub fn outgoing(&self, conn: ConnId) -> &[u8] {
        self.fx.outgoing(conn)
    }

    /// The first `count` bytes of `outgoing` are in the socket (or in TLS records bound for it).
    pub fn sent(&mut self, conn: ConnId, count: usize) {
        self.fx.sent(conn, count);
    }

    /// Where the peer of a connection is. `None` for a connection that is dead.
    #[must_use]
    pub fn peer(&self, conn: ConnId) -> Option<IpAddr> {
        Some(self.connections.get(conn)?.peer.ip())
    }

    /// How many connections live here.
    #[must_use]
    pub const fn connections(&self) -> usize {
        self.connections.len()
    }

    /// How much is in memory: connections, accounts that are not merely idle, their names, questions, deadlines, accounts with commands and
    /// domains that are being reached,
    /// who waits for others, batches with the store, sessions without a connection.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn residue(&self) -> [usize; 9] {
        let upkeep = [Due::Census, Due::Kept, Due::Retention];
        [
            self.connections.len(),
            self.owners.len().saturating_sub(self.idle.len()),
            self.by_name.len().saturating_sub(self.idle.len()),
            self.waits.len(),
            // That what is kept is looked after is no deadline of anybody's.
            self.timers
                .len()
                .saturating_sub(
                    upkeep
                        .into_iter()
                        .filter(|due| self.timers.is_set(*due))
                        .count(),
                )
                .min(1),
            self.commands.len()
                + self.reaches.len()
                + self.links.len()
                + self.components.len()
                + self.proven.len(),
            self.slowed.len(),
            self.credit.used(),
            self.sleepers.len(),
        ]
    }

    /// Smaller bounds than a server has, so that they are reached: credit with the store, accounts that stay although nobody is
    /// signed in to them, and streams that end in one turn.
    #[cfg(any(test, feature = "testing"))]
    pub const fn narrow(&mut self, credit: StoreCredit, idle: usize, endings: usize) {
        self.credit.narrow(credit);
        self.idle.narrow(idle);
        self.endings.narrow(endings);
    }

    fn derived(&mut self, now: Now, ticket: Ticket, keys: Result<Vec<ScramKeys>, DeriveError>) {
        match self.waits.remove(ticket).map(|question| question.wait) {
            Some(Wait::Derive(conn)) => self.answered(now, conn, |s, cx| s.derived(cx, keys)),
            Some(Wait::Command(wait)) => self.command_derived(now, *wait, keys),
            Some(
                Wait::Card(_)
                | Wait::Append(_)
                | Wait::Census(_)
                | Wait::Commit(_)
                | Wait::Credentials(..)
                | Wait::Judge(_)
                | Wait::LinkKept(_)
                | Wait::LinkRows(..)
                | Wait::LinkScan
                | Wait::Load(_)
                | Wait::Newcomer(_)
                | Wait::Pretence(_)
                | Wait::Quiet
                | Wait::Reach(..)
                | Wait::Read(..)
                | Wait::Retention,
            ) => {
                self.fx.bug(OTHER_QUESTION);
            }
            // It was answered before.
            None => {}
        }
    }

    fn stored(&mut self, now: Now, ticket: Ticket, outcome: Result<Vec<Reply>, StoreError>) {
        let Some(Question { wait, credit }) = self.waits.remove(ticket) else {
            return; // it was answered before
        };
        if let Some(bytes) = credit {
            self.credit.give_back(bytes);
        }
        match wait {
            Wait::Append(appended) => self.appended(now, appended, outcome.err()),
            Wait::Read(account, read) => self.read_came(now, account, read, outcome),
            Wait::Commit(account) => self.committed(now, account, outcome),
            Wait::Credentials(conn, as_of) => {
                let record = outcome.map(first_record);
                self.answered(now, conn, |stream, cx| {
                    stream.credentials(cx, record, as_of)
                });
            }
            Wait::LinkKept(kept) => self.link_kept(now, &kept, outcome.map(drop)),
            Wait::LinkRows(key, ours) => self.link_rows(now, key, &ours, outcome),
            Wait::LinkScan => self.link_found(now, outcome),
            Wait::Load(account) => self.loaded(now, account, outcome),
            Wait::Pretence(asked) => self.pretended(now, &asked, &outcome),
            Wait::Card(asked) => self.card_came(&asked, outcome),
            Wait::Command(wait) => self.command_stored(now, *wait, outcome),
            // The next of its kind stands for it, and until then memory does.
            Wait::Quiet => {}
            Wait::Census(host) => self.counted(now, &host, outcome),
            Wait::Retention => self.retained(now, outcome),
            Wait::Newcomer(newcomer) => self.newcomer_kept(now, *newcomer, outcome.err()),
            Wait::Derive(_) | Wait::Judge(_) | Wait::Reach(..) => self.fx.bug(OTHER_QUESTION),
        }
        self.spend(now);
    }

    /// Asks the store; `then` says who wants the answer.
    fn store(&mut self, batch: Batch, then: Wait) {
        let credit = Some(self.credit.take(&batch));
        let ticket = self.waits.insert(Question { wait: then, credit });
        match self.is_guest(&batch.owner) {
            true => self.guests.ask(ticket, &batch),
            false => self.fx.act(Action::Store { ticket, batch }),
        }
    }

    /// Has keys derived; `then` says who wants them.
    fn derive_keys(&mut self, password: Secret, jobs: Vec<DeriveParams>, then: Wait) {
        let credit = None;
        let ticket = self.waits.insert(Question { wait: then, credit });
        self.fx.act(Action::Derive {
            ticket,
            password,
            jobs,
        });
    }

    /// What an input set off is finished before the next one: stanzas under way, sessions whose queue is full.
    fn settle(&mut self, now: Now) {
        loop {
            if let Some(routed) = self.fx.next_route() {
                match routed {
                    Routed::Stanza(delivery) => self.route(now, delivery),
                    Routed::Settled(settled) => self.route_settled(now, settled),
                }
            } else if let Some(sent) = self.fx.next_handled() {
                self.handled(now, sent);
            } else if let Some(conn) = self.fx.next_overflowed() {
                self.overflowed(now, conn);
            } else if let Some((key, session)) = self.next_dying() {
                self.die(now, key, session);
            } else if let Some(conn) = self.fx.next_swollen() {
                self.bound_account(conn);
            } else if let Some(reader) = self.fx.next_pressed() {
                self.look_at_reader(now, reader);
            } else if let Some((feeder, reader)) = self.fx.next_feeding() {
                self.press(now, feeder, reader);
            } else if let Some(relief) = self.fx.next_relieved() {
                self.relieved(relief);
            } else if let Some(conn) = self.fx.next_drained() {
                self.drained(now, conn);
            } else if let Some(feeder) = self.fx.next_debtor() {
                let awaited = Awaited::Queues;
                self.tell_slow(now, Feeding { feeder, awaited });
            } else if let Some(feeder) = self.fx.next_cleared() {
                let awaited = Awaited::Queues;
                self.tell_go(Feeding { feeder, awaited });
            } else {
                return;
            }
        }
    }

    fn tick(&mut self, now: Now) {
        for _ in 0..TICK_MAX {
            match self.timers.expired(now.mono) {
                Some(Due::Account(key)) => self.ask_again(key),
                Some(Due::Ack(conn)) => self.judge_asked(now, conn),
                Some(Due::Appends(ticket)) => self.append_again(ticket),
                Some(Due::Census) => self.take_census(now),
                Some(Due::Kept) => self.look_for_kept(now),
                Some(Due::Leave(key)) => self.leave_again(now, key),
                Some(Due::Owed(key)) => self.read_owed_again(now, key),
                Some(Due::Reach(key)) => self.reach_on(now, key),
                Some(Due::Remote(key)) => self.remote_on(now, key),
                Some(Due::Verified(place)) => self.say_verified_again(now, place),
                Some(Due::Reader(conn)) => self.judge_reader(now, conn),
                Some(Due::Resume(key, session)) => self.oversleep(now, key, session),
                Some(Due::Receipts(to)) => self.say_receipts_again(to),
                Some(Due::Retention) => self.retain(now),
                Some(Due::Stream(conn)) => self.expire(now, conn),
                None => break,
            }
        }
        self.let_idle_go(now);
        self.drain_unfinished(now);
        self.end_some(now);
    }

    fn reload(&mut self, now: Now, config: Arc<Config>) {
        let forgiven_after = self.config.limits.sasl_failure_forgiven_after;
        if config.limits.sasl_failure_forgiven_after != forgiven_after {
            self.throttle.forgive_all();
        }
        let worth = |limits: &Limits| {
            let Limits {
                registrations_per_address,
                registrations,
                registration_period,
                ..
            } = *limits;
            (
                registrations_per_address,
                registrations,
                registration_period,
            )
        };
        if worth(&config.limits) != worth(&self.config.limits) {
            self.registrations.forgive_all();
        }
        self.fx.limit_queues(&config.limits);
        self.dialback = config.dialback_keys();
        self.capabilities = Capabilities::of(&config);
        self.guests.are_of(&config);
        let before = core::mem::replace(&mut self.config, config);
        self.reloads = self.reloads.wrapping_add(1);
        self.count_anew(now, &before);
        let config = Arc::clone(&self.config);
        self.end_all_of(Violation::HostGone, |host| {
            is_gone(&config, host)
                || host.is_some_and(|host| config.has_become_other(&before, host))
        });
        let new = config
            .hosts
            .keys()
            .filter(|host| !before.hosts.contains_key(*host));
        self.look_for_kept_of(now, new.cloned().collect());
        self.judge_servers_again();
        self.reload_links(now);
    }
}
