//! Stream management (XEP-0198) between streams and accounts: sessions that fall asleep, come back, or are over.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::Shard;
use super::inbox::Item;
use crate::account::{AccountKey, Attention, Enabled, Found, SessionKey, Woken};
use crate::due::Due;
use crate::limits::{SM_ACK_AGAIN, SM_ASLEEP_BYTES};
use crate::port::{CloseReason, ConnId, Note};
use crate::sm::{
    Acked, Enable, Location, Nonza, Outbound, Promise, Resume, enabled, failed, resumed,
};
use crate::stanza::Condition;
use crate::stream::Violation;
use crate::time::Now;

/// Sessions of this shard without a connection.
#[derive(Debug, Default)]
pub(super) struct Sleepers {
    /// In the order in which they fell asleep.
    order: BTreeMap<u64, (AccountKey, SessionKey)>,
    numbers: BTreeMap<(AccountKey, SessionKey), u64>,
    last: u64,
    /// Those whose clients may still acknowledge something, because the server stops, by their last connection.
    parting: BTreeMap<ConnId, (AccountKey, SessionKey)>,
    /// Those that are to end, and were not told so yet.
    dying: Vec<(AccountKey, SessionKey)>,
    /// The same, until they have ended.
    doomed: BTreeSet<(AccountKey, SessionKey)>,
}

/// What becomes of a session whose connection carries it no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Departure {
    /// It is over.
    Ended,
    /// Its client may come back.
    Lost,
    /// The server stops.
    Stopped,
}

impl Departure {
    /// Of a stream that ends with this error.
    pub(super) const fn of(violation: Violation) -> Self {
        match violation {
            Violation::QueueFull => Self::Lost,
            Violation::Shutdown => Self::Stopped,
            Violation::AccountGone
            | Violation::BeforeHandshake
            | Violation::BindRetries
            | Violation::ComponentUnknown
            | Violation::FromOfOthers
            | Violation::Handshake
            | Violation::HandshakeHeldUp
            | Violation::Bug
            | Violation::CertificateExpired
            | Violation::Conflict
            | Violation::Disconnected
            | Violation::DomainsChanged
            | Violation::Evicted
            | Violation::FromUnproven
            | Violation::FromUnusable
            | Violation::HandOffFull
            | Violation::HandledTooHigh(_)
            | Violation::HostGone
            | Violation::HostUnknown
            | Violation::InboxFull
            | Violation::Namespace
            | Violation::NotAStream
            | Violation::NothingOffered
            | Violation::PasswordChanged
            | Violation::Peer(_)
            | Violation::QuestionWithoutId
            | Violation::SaslFailures
            | Violation::StanzaBeforeAuthentication
            | Violation::StanzaBeforeProof
            | Violation::StanzaUnasked
            | Violation::StanzaUnaddressed
            | Violation::Store
            | Violation::StreamElement
            | Violation::Timeout
            | Violation::ToChanged
            | Violation::ToMissing
            | Violation::ToUnproven
            | Violation::UnauthenticatedBytes
            | Violation::Unsolicited
            | Violation::UnsupportedElement
            | Violation::Version
            | Violation::Xml(_) => Self::Ended,
        }
    }
}

impl Sleepers {
    fn insert(&mut self, key: AccountKey, session: SessionKey) {
        self.last = self.last.wrapping_add(1);
        self.order.insert(self.last, (key, session));
        self.numbers.insert((key, session), self.last);
    }

    fn remove(&mut self, key: AccountKey, session: SessionKey) {
        self.doomed.remove(&(key, session));
        if let Some(number) = self.numbers.remove(&(key, session)) {
            self.order.remove(&number);
        }
    }

    /// One is to end, once.
    fn doom(&mut self, key: AccountKey, session: SessionKey) {
        if self.doomed.insert((key, session)) {
            self.dying.push((key, session));
        }
    }

    /// In the order in which they fell asleep: which in this order, and of whom.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, AccountKey)> + '_ {
        self.order.iter().map(|(number, (key, _))| (*number, *key))
    }

    /// The one that fell asleep then, while it sleeps.
    pub(super) fn at(&self, number: u64) -> Option<(AccountKey, SessionKey)> {
        self.order.get(&number).copied()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty() && self.parting.is_empty() && self.doomed.is_empty()
    }

    /// How many there are.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn len(&self) -> usize {
        self.order.len() + self.parting.len() + self.doomed.len()
    }
}

impl Shard {
    /// What a client says beside stanzas.
    pub(super) fn nonza(&mut self, now: Now, conn: ConnId, nonza: Nonza) {
        let Some((key, session)) = self.session(conn) else {
            return self.acked_at_parting(now, conn, &nonza);
        };
        match nonza {
            Nonza::Enable(Ok(enable)) => self.enable(now, conn, (key, session), &enable),
            Nonza::Enable(Err(condition)) => self.fail_nonza(now, conn, condition),
            Nonza::Request => {
                let owner = self.owners.get_mut(key);
                match owner.and_then(|owner| owner.account.asked(session)) {
                    Some(h) => self.fx.acknowledge(conn, h),
                    None => self.fail_nonza(now, conn, Condition::UnexpectedRequest),
                }
            }
            Nonza::Ack(h) => {
                if !self.fx.is_managed(conn) {
                    return self.fail_nonza(now, conn, Condition::UnexpectedRequest);
                }
                // §4: "MUST possess an 'h' attribute".
                match h.map(|h| self.fx.acked(conn, h)) {
                    None => self.fail(now, conn, Violation::StreamElement),
                    Some(Err(high)) => self.fail(now, conn, Violation::HandledTooHigh(high)),
                    Some(Ok(acked)) => self.acked(now, (key, session), acked),
                }
            }
            // A session has one stream, and this is it.
            Nonza::Resume(_) => self.fail_nonza(now, conn, Condition::UnexpectedRequest),
            Nonza::Active => self.attend(now, conn, (key, session), Attention::Active),
            Nonza::Inactive => self.attend(now, conn, (key, session), Attention::Inactive),
        }
    }

    fn fail_nonza(&mut self, now: Now, conn: ConnId, condition: Condition) {
        self.with(now, conn, |_, cx| {
            cx.fx.answer(cx.conn, |out| failed(out, condition, None));
        });
    }

    fn enable(
        &mut self,
        now: Now,
        conn: ConnId,
        (key, session): (AccountKey, SessionKey),
        enable: &Enable,
    ) {
        let enabling = self.in_account(now, key, |account, cx| {
            let enabled = account.enable(cx, session, enable.resumption);
            let sm = &cx.host.sm;
            let ask_over = account.asks_over(sm, session);
            let outbound = Outbound::new(sm.max_queue, ask_over);
            (enabled, Box::new(outbound), sm.location.clone())
        });
        let Some((outcome, outbound, location)) = enabling else {
            return;
        };
        let promise = match &outcome {
            // `Deviation:` XEP-0198 §3 would have this end the stream, and answers it by `<failed/>` in its example.
            Enabled::Again => {
                return self.fail_nonza(now, conn, Condition::UnexpectedRequest);
            }
            Enabled::Counted => None,
            Enabled::Resumable(id, max) => Some(Promise {
                id,
                max: *max,
                location: location.as_ref().map(Location::as_str),
            }),
        };
        self.fx.out(conn, |out| enabled(out, promise));
        self.fx.manage(conn, outbound);
    }

    pub(super) fn acked(
        &mut self,
        now: Now,
        (key, session): (AccountKey, SessionKey),
        acked: Acked,
    ) {
        if acked != Acked::default() {
            self.in_account(now, key, |account, cx| account.acked(cx, session, acked));
        }
    }

    /// What a client has handled counts also behind our closing tag, if the server stops.
    fn acked_at_parting(&mut self, now: Now, conn: ConnId, nonza: &Nonza) {
        let Some((key, session)) = self.sleepers.parting.get(&conn).copied() else {
            return;
        };
        let Nonza::Ack(Some(h)) = nonza else {
            return;
        };
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug("a session parts whose account is gone");
        };
        let Ok(acked) = owner.account.acked_asleep(&mut self.fx, session, *h) else {
            // Its stream has its error already.
            return;
        };
        match owner.is_busy() {
            true => owner.inbox.make().push(Item::Acked(session, acked)),
            false => self.acked(now, (key, session), acked),
        }
    }

    /// A client says whether anybody looks at it (XEP-0352).
    fn attend(
        &mut self,
        now: Now,
        conn: ConnId,
        (key, session): (AccountKey, SessionKey),
        attention: Attention,
    ) {
        if attention == Attention::Active
            && let Some(owner) = self.owners.get_mut(key)
        {
            owner.account.flush(&mut self.fx, session);
        }
        let unacked = self.in_account(now, key, |account, cx| {
            account.set_state(cx, session, attention)
        });
        if let Some(unacked) = unacked.flatten() {
            self.fx.set_ask_over(conn, unacked);
        }
    }

    /// A client comes back for a session (§5).
    pub(super) fn resume(&mut self, now: Now, conn: ConnId, resume: &Resume) {
        let Some(key) = self.member(conn) else {
            return self.not_resumed(now, conn, Condition::ItemNotFound, None);
        };
        let Some(owner) = self.owners.get_mut(key) else {
            return self.not_resumed(now, conn, Condition::ItemNotFound, None);
        };
        let host = self.config.accounts(owner.account.jid().domain());
        if host.is_none_or(|host| host.sm.hibernation.is_zero()) {
            // §5: "If the server does not support session resumption".
            return self.not_resumed(now, conn, Condition::FeatureNotImplemented, None);
        }
        let (session, carrier) = match owner.account.find_resumable(&resume.previd) {
            Found::There(session, carrier) => (session, carrier),
            over @ (Found::Over(_) | Found::Ending(_) | Found::Nobody) => {
                return self.answer_over(now, key, conn, &over);
            }
        };
        let acked = match carrier {
            Some(old) => self.fx.acked(old, resume.h),
            None => owner.account.acked_asleep(&mut self.fx, session, resume.h),
        };
        let acked = match acked {
            Ok(acked) => acked,
            Err(high) => return self.fail_now(now, conn, Violation::HandledTooHigh(high)),
        };
        self.acked(now, (key, session), acked);
        if let Some(old) = carrier {
            self.cut(now, (key, session), old, conn);
        }
        let earlier = self.owners.get_mut(key);
        if let Some(earlier) = earlier.and_then(|owner| owner.account.call_back(session, conn)) {
            self.fail_now(now, earlier, Violation::Conflict);
        }
        self.wake(now, key, session);
    }

    /// There is no such session any more.
    fn answer_over(&mut self, now: Now, key: AccountKey, conn: ConnId, found: &Found) {
        let h = match found {
            Found::Over(h) => Some(*h),
            Found::Nobody | Found::There(..) => None,
            // It is answered then.
            Found::Ending(session) => {
                let owner = self.owners.get_mut(key);
                let earlier = owner.and_then(|owner| owner.account.await_end(*session, conn));
                if let Some(earlier) = earlier {
                    self.fail_now(now, earlier, Violation::Conflict);
                }
                return;
            }
        };
        self.not_resumed(now, conn, Condition::ItemNotFound, h);
    }

    /// All is settled that the client of a session sent, which may be over.
    pub(super) fn settle_end(&mut self, now: Now, key: AccountKey, session: SessionKey) {
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        if !owner.account.has_ended(session) {
            return;
        }
        match owner.is_busy() {
            true => owner.inbox.make().push(Item::Over(session)),
            false => self.run_over(now, key, session),
        }
    }

    pub(super) fn run_over(&mut self, now: Now, key: AccountKey, session: SessionKey) {
        let heard = self.in_account(now, key, |account, cx| account.settle_end(cx, session));
        if let Some((conn, h)) = heard.flatten() {
            self.not_resumed(now, conn, Condition::ItemNotFound, Some(h));
        }
    }

    fn not_resumed(&mut self, now: Now, conn: ConnId, condition: Condition, h: Option<u32>) {
        self.answered(now, conn, |stream, cx| {
            stream.not_resumed(cx, condition, h);
            None
        });
    }

    /// Its client is elsewhere: the connection that still carries a session is cut off, and nothing counts that comes on it any more.
    fn cut(
        &mut self,
        now: Now,
        (key, session): (AccountKey, SessionKey),
        old: ConnId,
        new: ConnId,
    ) {
        let peer = self.connections.get(new).map(|connection| connection.peer);
        if let Some(peer) = peer {
            self.fall_asleep(now, (key, session), old, peer, None);
        }
        // §5: "the server SHOULD send a 'conflict' stream error and close that stream".
        self.fail_now(now, old, Violation::Conflict);
    }

    /// A session loses its connection, and waits.
    fn fall_asleep(
        &mut self,
        now: Now,
        (key, session): (AccountKey, SessionKey),
        conn: ConnId,
        peer: SocketAddr,
        parting: Option<ConnId>,
    ) {
        let (Some(outbound), Some(owner)) = (self.fx.unmanage(conn), self.owners.get_mut(key))
        else {
            return self.fx.bug("a session falls asleep that is not counted");
        };
        let (fx, carried) = (&mut self.fx, (outbound, peer));
        owner
            .account
            .fall_asleep(fx, session, now.mono, carried, parting);
        match parting {
            Some(conn) => {
                self.sleepers.parting.insert(conn, (key, session));
            }
            None => {
                self.sleepers.insert(key, session);
                let longest = owner.account.longest_sleep(session);
                self.timers
                    .set(Due::Resume(key, session), now.mono, longest);
            }
        }
    }

    /// A session goes on, if all is settled that its client sent before.
    pub(super) fn wake(&mut self, now: Now, key: AccountKey, session: SessionKey) {
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        let Some(woken) = owner.account.wake(&mut self.fx, session) else {
            return;
        };
        // Its client is looked at again.
        let host = self.config.accounts(woken.jid.domain());
        let ask_over = host.map_or(0, |host| owner.account.asks_over(&host.sm, session));
        self.sleepers.remove(key, session);
        self.timers.stop(Due::Resume(key, session));
        let Woken {
            conn,
            jid,
            id,
            h,
            outbound,
        } = woken;
        self.fx.note(Note::Resumed {
            conn,
            jid: jid.clone(),
        });
        self.fx.out(conn, |out| resumed(out, &id, h));
        let has_owed = outbound.has_owed();
        self.fx.manage(conn, outbound);
        self.fx.set_ask_over(conn, ask_over);
        if !has_owed {
            // What it was told of that on its last connection, it has: more may wait.
            self.fx.has_taken(conn);
        }
        self.answered(now, conn, |stream, _| {
            stream.resumed(jid);
            None
        });
    }

    /// A session's connection carries it no more, of whatever account that is.
    pub(super) fn leave_stream(
        &mut self,
        now: Now,
        conn: ConnId,
        (key, session): (AccountKey, SessionKey),
        departure: Departure,
    ) {
        let Some(owner) = self.owners.get(key) else {
            return;
        };
        let stays = match departure {
            Departure::Ended => false,
            Departure::Lost => {
                let served = self.config.accounts(owner.account.jid().domain());
                owner.account.is_resumable(session)
                    && !owner.account.is_shut()
                    && owner.is_ready()
                    && served.is_some()
                    && !self.is_stopping()
            }
            Departure::Stopped => owner.account.is_managed(session) && owner.is_ready(),
        };
        let peer = self.connections.get(conn).map(|connection| connection.peer);
        match (stays, peer) {
            (true, Some(peer)) => {
                let parting = (departure == Departure::Stopped).then_some(conn);
                self.fall_asleep(now, (key, session), conn, peer, parting);
                self.look_at_sleepers(key);
            }
            _ => {
                let outbound = self.fx.unmanage(conn);
                self.in_account(now, key, |account, cx| account.end(cx, session, outbound));
            }
        }
    }

    /// The server stops, and the last word of a session's connection is said.
    pub(super) fn part(&mut self, now: Now, conn: ConnId) {
        if let Some((key, session)) = self.sleepers.parting.remove(&conn) {
            self.die(now, key, session);
        }
    }

    /// Whether too much waits for those that are asleep.
    pub(super) fn look_at_sleepers(&mut self, key: AccountKey) {
        let Some(owner) = self.owners.get(key) else {
            return;
        };
        let mut dying = owner.account.overfull();
        let host = self.config.accounts(owner.account.jid().domain());
        let most = host.map_or(0, |host| host.sm.max_hibernated);
        let mut asleep = owner.account.sleepers();
        asleep.retain(|session| owner.account.waits_for_client(*session));
        let surplus = asleep.len().saturating_sub(most);
        dying.extend(asleep.into_iter().take(surplus));
        for session in dying {
            self.sleepers.doom(key, session);
        }
        if self.fx.asleep() > SM_ASLEEP_BYTES {
            self.bound_sleepers();
        }
    }

    /// Too much waits for all that are asleep: those who have slept longest go, as many as that takes.
    fn bound_sleepers(&mut self) {
        let mut surplus = self.fx.asleep().saturating_sub(SM_ASLEEP_BYTES);
        let mut longest = Vec::new();
        for (key, session) in self.sleepers.order.values() {
            if surplus == 0 {
                break;
            }
            let owner = self.owners.get(*key);
            let bytes = owner.map_or(0, |owner| owner.account.waiting_bytes(*session));
            surplus = surplus.saturating_sub(bytes);
            longest.push((*key, *session));
        }
        for (key, session) in longest {
            self.sleepers.doom(key, session);
        }
    }

    /// The next session that is to end.
    pub(super) fn next_dying(&mut self) -> Option<(AccountKey, SessionKey)> {
        self.sleepers.dying.pop()
    }

    /// A session that is asleep is over. If its account waits for the disk, when that is done.
    pub(super) fn die(&mut self, now: Now, key: AccountKey, session: SessionKey) {
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        match owner.is_busy() {
            true => owner.inbox.make().push(Item::Die(session)),
            false => self.run_die(now, key, session),
        }
    }

    pub(super) fn run_die(&mut self, now: Now, key: AccountKey, session: SessionKey) {
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        if !owner.account.is_asleep(session) {
            // Its client came back meanwhile.
            return;
        }
        if let Some(conn) = owner.account.parts_on(session) {
            self.sleepers.parting.remove(&conn);
        }
        self.sleepers.remove(key, session);
        self.timers.stop(Due::Resume(key, session));
        let waiting = owner.account.waiting_bytes(session);
        self.fx.sleeping(waiting, 0);
        let waker = owner.account.waker(session);
        let name = owner.account.name_of(session);
        self.in_account(now, key, |account, cx| account.end(cx, session, None));
        if let Some(conn) = waker {
            let owner = self.owners.get(key);
            let found = owner
                .zip(name)
                .map(|(owner, name)| owner.account.find_resumable(&name));
            self.answer_over(now, key, conn, &found.unwrap_or(Found::Nobody));
        }
        self.drop_if_idle(now, key);
    }

    /// The sessions of an account that are asleep are over.
    pub(super) fn end_sleepers(&mut self, now: Now, key: AccountKey) {
        let Some(owner) = self.owners.get(key) else {
            return;
        };
        for session in owner.account.sleepers() {
            self.run_die(now, key, session);
        }
    }

    /// A session has been asleep for as long as it may be.
    pub(super) fn oversleep(&mut self, now: Now, key: AccountKey, session: SessionKey) {
        let owner = self.owners.get(key);
        if owner.is_some_and(|owner| owner.account.waker(session).is_some()) {
            // Its client is back, and hears so as soon as all is settled; or is gone again by then.
            let again = self.config.limits.close;
            return self.timers.set(Due::Resume(key, session), now.mono, again);
        }
        self.die(now, key, session);
    }

    /// Clients that were asked in this turn are to answer in time.
    pub(super) fn watch_asked(&mut self) {
        while let Some(conn) = self.fx.next_asked() {
            // Its session may be over since.
            let is_asked = self.fx.asked_since(conn).is_some();
            if is_asked && !self.timers.is_set(Due::Ack(conn)) {
                let delay = self.ack_delay(conn);
                self.timers.set(Due::Ack(conn), self.fx.now(), delay);
            }
        }
    }

    fn ack_delay(&self, conn: ConnId) -> core::time::Duration {
        let connection = self.connections.get(conn);
        let host = connection.and_then(|connection| connection.stream.host());
        let host = host.and_then(|host| self.config.accounts(host));
        host.map_or(self.config.limits.idle, |host| host.sm.max_ack_delay)
    }

    /// A client was asked a while ago.
    pub(super) fn judge_asked(&mut self, now: Now, conn: ConnId) {
        let Some(since) = self.fx.asked_since(conn) else {
            return;
        };
        if self.is_unheard(conn) {
            // It may have answered.
            return self.timers.set(Due::Ack(conn), now.mono, SM_ACK_AGAIN);
        }
        let delay = self.ack_delay(conn);
        let connection = self.connections.get(conn);
        let silent = connection.map(|c| c.stream.silence(now.mono));
        let silent = silent.unwrap_or_default().min(now.mono.since(since));
        let left = delay.saturating_sub(silent);
        match left.is_zero() {
            // Nobody is there who could read why.
            true => self.lose(now, conn),
            // It has said something since, or was asked later.
            false => self.timers.set(Due::Ack(conn), now.mono, left),
        }
    }

    /// A connection at whose other end nobody is.
    fn lose(&mut self, now: Now, conn: ConnId) {
        let Some((key, _)) = self.session(conn) else {
            return;
        };
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        match owner.is_busy() {
            true => owner.inbox.make().push(Item::Lose(conn)),
            false => self.run_lose(now, conn),
        }
    }

    pub(super) fn run_lose(&mut self, now: Now, conn: ConnId) {
        if self.session(conn).is_some() {
            self.hang_up_as(now, conn, CloseReason::Unresponsive, Departure::Lost);
        }
    }
}
