//! Connections: accepted, fed, handed to another shard, closed.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::endings::is_gone;
use super::inbox::Item;
use super::managed::Departure;
use super::owner::Owner;
use super::ways::Source;
use super::{Course, Shard};
use crate::account::AccountKey;
use crate::due::Due;
use crate::federation::RoundKey;
use crate::jid::{BareJid, Domain};
use crate::link::RemoteKey;
use crate::port::{Action, CloseReason, Closed, ConnId, Note, Standing};
use crate::stream::{self, Ending, Event, Expiry, Stream, Violation};
use crate::time::Now;

/// A connection of this shard.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) peer: SocketAddr,
    pub(super) reading: Reading,
    pub(super) role: Role,
    socket: Socket,
}

impl Connection {
    /// The account that it is a member of, and where its stream is.
    fn owner(&self) -> Option<AccountKey> {
        match &self.role {
            Role::Member(key) if self.stream.is_at_owner() => Some(*key),
            Role::Member(_)
            | Role::Server
            | Role::BothWays(..)
            | Role::Component(_)
            | Role::Stranger
            | Role::Leaving(_)
            | Role::Reaching(..)
            | Role::Link(..)
            | Role::Ending
            | Role::Gone => None,
        }
    }
}

/// Whether the shell reads it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reading {
    On,
    Paused,
}

/// Whether the shell still has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Socket {
    Open,
    /// The shell has said its last word. What the connection brought before still waits for its account's owner.
    Gone,
}

/// What a connection is to this shard.
#[derive(Debug)]
pub(super) enum Role {
    /// A stream under negotiation.
    Stranger,
    /// Says it is this account, which is owned elsewhere, and waits to be taken there.
    Leaving(BareJid),
    /// Signed in to this account of ours.
    Member(AccountKey),
    /// A server that has proven who it is.
    Server,
    /// The same, and its stream is the link to that remote domain from this one, too.
    BothWays(RemoteKey, Domain),
    /// A component that serves this name.
    Component(Domain),
    /// One of ours: this attempt of reaching a domain.
    Reaching(RoundKey, usize),
    /// One of ours: the link to a remote domain from this one.
    Link(RemoteKey, Domain),
    /// Its stream has ended with an error, which is noted; the peer's closing tag is awaited.
    Ending,
    /// `Action::Close` is out.
    Gone,
}

/// A connection on its way to the shard that owns the account it asks for: the stream, that account, output not yet sent, and how many
/// reloads its shard had heard of.
#[derive(Debug)]
pub struct Detached {
    stream: Stream,
    peer: SocketAddr,
    out: Vec<u8>,
    account: BareJid,
    reloads: u64,
}

impl Shard {
    /// Takes a connection out after `Action::HandOff`; its id is dead from now on. `None` if it closed meanwhile (the shell
    /// then leaves it: `Action::Close` is coming or came).
    pub fn detach(&mut self, conn: ConnId) -> Option<Detached> {
        let role = &self.connections.get(conn)?.role;
        // One that waits for its end has it here.
        if !matches!(role, Role::Leaving(_)) || self.endings.holds(conn) {
            return None;
        }
        let connection = self.connections.remove(conn)?;
        self.timers.stop(Due::Stream(conn));
        let out = self.fx.close(conn);
        match connection.role {
            Role::Leaving(account) => Some(Detached {
                stream: connection.stream,
                peer: connection.peer,
                out,
                account,
                reloads: self.reloads,
            }),
            Role::Stranger
            | Role::Member(_)
            | Role::Server
            | Role::BothWays(..)
            | Role::Component(_)
            | Role::Reaching(..)
            | Role::Link(..)
            | Role::Ending
            | Role::Gone => None, // excluded above
        }
    }

    /// Takes over a connection another shard detached. `Resume` follows when the shell is to read it.
    pub fn attach(&mut self, now: Now, detached: Detached) -> ConnId {
        let Detached {
            stream,
            peer,
            out,
            account,
            reloads,
        } = detached;
        // Every shard hears of every reload: a host that is to come here with the next one is not gone.
        let is_gone = reloads <= self.reloads && is_gone(&self.config, stream.host());
        let conn = self.connect(now, stream, peer);
        self.fx.close(conn);
        self.fx.open(conn, out);
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.reading = Reading::Paused;
        }
        if self.is_stopping() {
            self.fail(now, conn, Violation::Shutdown);
        } else if is_gone {
            self.fail(now, conn, Violation::HostGone);
        } else {
            let stream = self.connections.get(conn).map(|c| &c.stream);
            let of_server = stream.and_then(Stream::arriving_from).cloned();
            match stream.map(|stream| (stream.arriving().cloned(), stream.registers())) {
                Some(_) if let Some(theirs) = of_server => {
                    self.bring_home(now, conn, &theirs, Stream::welcome_server);
                }
                Some((Some(name), _)) => self.component_arrived(now, conn, &name),
                Some((None, true)) => self.register(now, conn, account),
                Some((None, false)) | None => self.look_up(now, conn, account),
            }
        }
        self.settle(now);
        self.proceed_freed(now);
        conn
    }

    pub(super) fn connect(&mut self, now: Now, stream: Stream, peer: SocketAddr) -> ConnId {
        let connection = Connection {
            stream,
            peer,
            reading: Reading::On,
            role: Role::Stranger,
            socket: Socket::Open,
        };
        let conn = self.connections.insert(connection);
        self.fx.open(conn, Vec::new());
        self.look_again(now, conn);
        conn
    }

    /// Sets the timer for the deadline of the stream's present phase.
    pub(super) fn look_again(&mut self, now: Now, conn: ConnId) {
        let patience = self.with(now, conn, |stream, cx| stream.patience(cx));
        if let Some(patience) = patience {
            self.arm(now, conn, patience);
        }
    }

    /// Sets the timer, for the end of the peer's rest or of its wait for others where that comes first.
    fn arm(&mut self, now: Now, conn: ConnId, patience: Duration) {
        let rest = Some(self.rest(now, conn)).filter(|rest| !rest.is_zero());
        let slowed = self.slowed.wait(now.mono, conn);
        let first = [rest, slowed]
            .into_iter()
            .flatten()
            .fold(patience, Duration::min);
        self.timers.set(Due::Stream(conn), now.mono, first);
    }

    /// How long the peer is not to be read, having sent faster than it may.
    fn rest(&mut self, now: Now, conn: ConnId) -> Duration {
        let rest = self.with(now, conn, |stream, cx| stream.rest(cx));
        rest.unwrap_or_default()
    }

    /// Runs one call of a stream.
    pub(super) fn with<T>(
        &mut self,
        now: Now,
        conn: ConnId,
        call: impl FnOnce(&mut Stream, &mut stream::Cx<'_>) -> T,
    ) -> Option<T> {
        let connection = self.connections.get_mut(conn)?;
        let mut cx = stream::Cx {
            now,
            config: &self.config,
            entropy: &mut self.entropy,
            fx: &mut self.fx,
            conn,
            capabilities: &self.capabilities,
            tallies: &self.census.tallies,
            dialback: &self.dialback,
        };
        Some(call(&mut connection.stream, &mut cx))
    }

    pub(super) fn bytes(&mut self, now: Now, conn: ConnId, bytes: &[u8]) {
        if let Some(Some(event)) = self.with(now, conn, |s, cx| s.hear(cx, bytes)) {
            self.on_event(now, conn, event);
        }
        self.feed(now, conn, bytes);
        if !self.rest(now, conn).is_zero() {
            self.pause(conn);
            self.look_again(now, conn);
        }
    }

    /// Lets the stream take what it wants. What is left waits in the stream for an answer, and the shell is told to stop.
    fn feed(&mut self, now: Now, conn: ConnId, mut input: &[u8]) {
        let connection = self.connections.get(conn);
        if connection.is_some_and(|connection| matches!(connection.role, Role::Gone)) {
            // Its session went on without it before this was read: as if it had never come.
            return;
        }
        while !self.holds_back(conn)
            && let Some(Some(event)) = self.with(now, conn, |s, cx| s.poll(cx, &mut input))
        {
            let before = self.comes_from(Source::Connection(conn));
            self.on_event(now, conn, event);
            // An answer to this element must not be lost because the next one, in the same read, ends the session.
            self.settle(now);
            self.comes_from(before);
        }
        let Some(connection) = self.connections.get_mut(conn) else {
            return;
        };
        if input.is_empty() {
            return;
        }
        connection.stream.hold(input);
        self.pause(conn);
    }

    pub(super) fn pause(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get_mut(conn)
            && connection.reading == Reading::On
        {
            connection.reading = Reading::Paused;
            self.act(conn, Action::Pause { conn });
        }
    }

    /// An answer a stream waited for: then what it held, then the socket again.
    pub(super) fn answered(
        &mut self,
        now: Now,
        conn: ConnId,
        call: impl FnOnce(&mut Stream, &mut stream::Cx<'_>) -> Option<Event>,
    ) {
        if self.ends_instead(now, conn) {
            return;
        }
        if let Some(Some(event)) = self.with(now, conn, call) {
            self.on_event(now, conn, event);
        }
        self.proceed(now, conn);
    }

    /// Goes on with a stream that may have stopped waiting.
    pub(super) fn proceed(&mut self, now: Now, conn: ConnId) {
        if self.holds_back(conn) {
            return;
        }
        let Some(connection) = self.connections.get_mut(conn) else {
            return;
        };
        if connection.stream.waits() {
            return;
        }
        let held = connection.stream.take_held();
        if !held.is_empty() {
            self.feed(now, conn, &held);
        }
        let rests = !self.rest(now, conn).is_zero() || self.holds_back(conn);
        let Some(connection) = self.connections.get_mut(conn) else {
            return;
        };
        if connection.reading == Reading::Paused
            && !rests
            && !connection.stream.waits()
            && !connection.stream.holds()
        {
            connection.reading = Reading::On;
            self.act(conn, Action::Resume { conn });
        }
    }

    /// Whether what a client sends must wait: for somebody who reads it, for its account's owner, or for credit with the store.
    fn holds_back(&mut self, conn: ConnId) -> bool {
        if self.is_held(conn) {
            return true;
        }
        let connection = self.connections.get(conn);
        let is_open = connection.is_some_and(|connection| {
            connection.socket == Socket::Open && connection.owner().is_some()
        });
        let saves = self.credit.is_low() && is_open;
        if saves {
            self.credit.pause(conn);
        }
        saves
    }

    /// The same, but for credit.
    fn is_held(&self, conn: ConnId) -> bool {
        if self.endings.holds(conn) {
            return true;
        }
        let waits = |owner: &Owner| {
            owner.is_busy()
                || owner.keeps_much()
                || owner.account.is_asking(conn)
                || owner.account.waits_for_receipts(conn)
        };
        let connection = self.connections.get(conn);
        let key = connection.and_then(Connection::owner);
        let owner = key.and_then(|key| self.owners.get(key));
        let counts = connection.is_some_and(|connection| connection.stream.waits_for_receipts());
        self.slowed.holds(conn) || counts || owner.is_some_and(waits)
    }

    /// Whether what came of a client waits: what it has acknowledged may be behind that.
    pub(super) fn is_unheard(&self, conn: ConnId) -> bool {
        self.is_held(conn) || self.credit.is_low()
    }

    /// Tells the shell about a connection that it has.
    pub(super) fn act(&mut self, conn: ConnId, action: Action) {
        let connection = self.connections.get(conn);
        if connection.is_some_and(|connection| connection.socket == Socket::Open) {
            self.fx.act(action);
        }
    }

    pub(super) fn on_event(&mut self, now: Now, conn: ConnId, event: Event) {
        match event {
            Event::Arrived(name) => self.component_arrived(now, conn, &name),
            Event::Handshake(shown) => self.component_shows(now, conn, shown),
            Event::BothWays => self.goes_both_ways(now, conn),
            Event::ServerArrived(theirs) => {
                self.bring_home(now, conn, &theirs, Stream::welcome_server);
            }
            Event::Serves => self.component_serves(now, conn),
            // The next element waits if the owner is busy.
            Event::AtOwner => {}
            Event::Bind { resource, request } => {
                self.bind(now, conn, resource, &request);
            }
            Event::Close => self.hang_up(now, conn, CloseReason::Ended),
            Event::Claimed(claim) => self.claimed(now, conn, *claim),
            Event::Judged(judged) => self.judged_peer(now, conn, *judged),
            Event::Finished(judged) => self.finished(now, conn, judged),
            Event::Remote(stanza, number) => self.route_remote(conn, stanza, number),
            Event::RemoteRefused(error, number) => self.refuse_remote(conn, error, number),
            Event::Closing(ending) => self.closing(now, conn, ending),
            Event::CutOff(account) => {
                self.cut_off(conn, account);
                self.hang_up(now, conn, CloseReason::Ended);
            }
            Event::Derive(params, password) => self.derive(conn, params, password),
            Event::Judge(account, password) => self.judge(now, conn, account, password),
            Event::Lookup(account) => self.look_up(now, conn, account),
            Event::Newcomer(sign_in) => self.newcomer(now, conn, *sign_in),
            Event::Register(account) => self.register(now, conn, account),
            Event::Nonza(nonza) => self.nonza(now, conn, nonza),
            Event::Refused(error) => self.refused(now, conn, error),
            Event::Linked => self.linked(now, conn),
            Event::LinkNonza(nonza) => self.link_nonza(now, conn, nonza),
            Event::Ready => self.way_found(now, conn),
            Event::VerifyAnswered(answer) => self.verify_answered(now, conn, &answer),
            Event::Reached(came) => self.reached(now, conn, *came),
            Event::Weighed(weighed) => self.weighed(conn, *weighed),
            Event::Resume(resume) => self.resume(now, conn, &resume),
            Event::Proof(account) => self.proven(now, conn, &account),
            Event::Rejected(account) => self.rejected(now, conn, account.as_ref()),
            Event::NothingOffered(host, why) => {
                if let Some(peer) = self.peer(conn) {
                    self.fx.note(Note::NothingOffered { host, peer, why });
                }
                self.fail(now, conn, Violation::NothingOffered);
            }
            Event::Secure(side, behind) => {
                self.fx.act(Action::Secure { conn, side, behind });
            }
            Event::SignInFailed(account, failure) => {
                self.sign_in_failed(now, conn, account, failure);
            }
            Event::StarttlsRefused => self.hang_up(now, conn, CloseReason::StarttlsRefused),
            Event::Stanza(stanza) => self.outbound(now, conn, stanza),
            Event::Unreached(failure) => self.unreached(now, conn, failure),
            Event::Verified(sign_in) => self.verified(now, conn, &sign_in),
        }
    }

    /// Ends a stream with an error. A session's ends when all is done that came before for its account.
    pub(super) fn fail(&mut self, now: Now, conn: ConnId, violation: Violation) {
        match self.busy_owner(conn, Stream::is_established) {
            Some(owner) => owner.inbox.make().push(Item::Fail(conn, violation)),
            None => self.fail_now(now, conn, violation),
        }
    }

    /// The owner of a connection's account, if it cannot act and the stream is one that `which` says yes to.
    fn busy_owner(
        &mut self,
        conn: ConnId,
        which: impl FnOnce(&Stream) -> bool,
    ) -> Option<&mut Owner> {
        let connection = self.connections.get(conn)?;
        let (Role::Member(key), true) = (&connection.role, which(&connection.stream)) else {
            return None;
        };
        self.owners.get_mut(*key).filter(|owner| owner.is_busy())
    }

    /// As `fail`, whatever waits.
    pub(super) fn fail_now(&mut self, now: Now, conn: ConnId, violation: Violation) {
        self.endings.forget(conn);
        if let Some(event) = self.with(now, conn, |stream, cx| stream.fail(cx, violation)) {
            self.on_event(now, conn, event);
        }
        // A stream that waited for an answer waits no more: its peer's closing tag is to be read.
        self.proceed(now, conn);
    }

    /// The closing tag is out: the session is over, the peer has a few seconds for its own.
    fn closing(&mut self, now: Now, conn: ConnId, ending: Option<Ending>) {
        let departure = ending
            .as_ref()
            .map_or(Departure::Ended, |ending| Departure::of(ending.violation));
        if self.end_session(now, conn, departure).is_some() {
            let standing = Standing::Stranger;
            self.act(conn, Action::Standing { conn, standing });
        }
        self.leave_server(now, conn);
        self.leave_component(conn);
        if let Some(connection) = self.connections.get_mut(conn)
            && matches!(connection.role, Role::Leaving(_))
        {
            // It ends here: nobody is to take it to another shard any more.
            connection.role = Role::Stranger;
        }
        if let Some(Ending {
            violation,
            account,
            judged,
        }) = ending
        {
            let error = Box::new(violation.error());
            let turned_away = violation.component_change().zip(account.as_ref());
            let reason = match (violation.is_dismissal(), judged, turned_away) {
                (true, _, _) => CloseReason::Dismissed(error),
                (false, Some(judged), _) => {
                    self.note_judged(conn, *judged);
                    CloseReason::Judged(error)
                }
                (false, None, Some((change, name))) => {
                    self.note_component(conn, &name.to_domain(), change);
                    CloseReason::Judged(error)
                }
                (false, None, None) => CloseReason::Failed(error),
            };
            self.ending(now, conn, account, reason);
        }
    }

    /// The stream is over, as the log is told now; the peer has a few seconds for its closing tag.
    pub(super) fn ending(
        &mut self,
        now: Now,
        conn: ConnId,
        account: Option<BareJid>,
        reason: CloseReason,
    ) {
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.role = Role::Ending;
        }
        self.note_end(conn, account, reason);
        self.timers
            .set(Due::Stream(conn), now.mono, self.until_closed(now, conn));
    }

    /// How long a peer has for its closing tag. When the server stops the time is one for all, so that it does not stop the later the more
    /// there are.
    fn until_closed(&self, now: Now, conn: ConnId) -> Duration {
        let connection = self.connections.get(conn);
        let close = connection.map(|c| c.stream.close_timeout(&self.config));
        let close = close.unwrap_or_default();
        match self.course {
            Course::Running => close,
            Course::Stopping(since) => close.saturating_sub(now.mono.since(since)),
        }
    }

    /// One connection is over, for the log.
    fn note_end(&mut self, conn: ConnId, account: Option<BareJid>, reason: CloseReason) {
        let Some(connection) = self.connections.get(conn) else {
            return;
        };
        let reason = match connection.stream.is_unheard() {
            true => CloseReason::Unheard,
            false => reason,
        };
        self.fx.note(Note::Closed {
            conn,
            peer: connection.peer.ip(),
            account,
            reason,
        });
    }

    /// A sign-in was under way when its connection or stream ended.
    fn cut_off(&mut self, conn: ConnId, account: Option<BareJid>) {
        if let Some(peer) = self.peer(conn) {
            self.fx.note(Note::SignInCutOff {
                conn,
                peer,
                account,
            });
        }
    }

    /// Tells the shell to close the connection, once.
    pub(super) fn hang_up(&mut self, now: Now, conn: ConnId, reason: CloseReason) {
        self.hang_up_as(now, conn, reason, Departure::Ended);
    }

    /// The same; what becomes of its session is said.
    pub(super) fn hang_up_as(
        &mut self,
        now: Now,
        conn: ConnId,
        reason: CloseReason,
        departure: Departure,
    ) {
        self.endings.forget(conn);
        self.part(now, conn);
        let account = self.named(conn);
        self.proven.forget(conn);
        self.leave_component(conn);
        self.leave_theirs(now, conn);
        self.end_session(now, conn, departure);
        let Some(connection) = self.connections.get_mut(conn) else {
            return;
        };
        match core::mem::replace(&mut connection.role, Role::Gone) {
            Role::Gone => return,
            Role::Reaching(..) | Role::Link(..) | Role::Ending => {}
            Role::Stranger
            | Role::Leaving(_)
            | Role::Member(_)
            | Role::Server
            | Role::BothWays(..)
            | Role::Component(_) => {
                self.note_end(conn, account, reason);
            }
        }
        self.timers.stop(Due::Stream(conn));
        self.act(conn, Action::Close { conn });
    }

    /// Its place is needed. Choice: who has not signed in has no claim to one. RFC 6120 §4.4 has us wait for the peer's closing tag
    /// for as long as we find reasonable, which here is not at all.
    pub(super) fn evict(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.get(conn) else {
            return;
        };
        // It may have signed in since the shell made its choice. A guest has not become anybody by that.
        let account = self.member(conn).and_then(|key| self.owners.get(key));
        let is_guest = account.is_some_and(|owner| self.is_guest(owner.account.jid()));
        if connection.stream.is_signed_in() && !is_guest || connection.stream.is_proven() {
            return;
        }
        self.fail(now, conn, Violation::Evicted);
        self.hang_up(now, conn, CloseReason::Ended);
    }

    /// The shell's last word. What came before it comes first.
    pub(super) fn closed(&mut self, now: Now, conn: ConnId, how: Closed) {
        if self
            .connections
            .get(conn)
            .is_some_and(|c| c.stream.may_return())
        {
            self.finish_input(now, conn);
        }
        self.lose_link(now, conn, how);
        let attempt = self.lose_attempt(conn, how);
        self.finish_closed(now, conn);
        if let Some((key, attempt, failure)) = attempt {
            self.attempt_failed(now, key, attempt, failure);
        }
    }

    fn finish_closed(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else {
            return;
        };
        connection.socket = Socket::Gone;
        if self.endings.forget(conn) {
            // As if it had never come.
            drop(connection.stream.take_held());
        }
        if self.ends_later(conn) {
            return;
        }
        self.finish_input(now, conn);
        // That may have changed something, and the disk comes before the rest.
        if !self.ends_later(conn) {
            self.gone(now, conn);
        }
    }

    /// A connection that was closed waits for its account's owner, if that cannot act.
    fn ends_later(&mut self, conn: ConnId) -> bool {
        let Some(owner) = self.busy_owner(conn, Stream::is_signed_in) else {
            return false;
        };
        owner.inbox.make().push(Item::Closed(conn));
        self.timers.stop(Due::Stream(conn));
        // What its session is told meanwhile is for its next connection, also if it becomes one that may have another only by what waits.
        self.fx.lose_peer(conn);
        true
    }

    /// Hands a session's stream what it holds, as far as its owner can act: nobody is to wait for, its connection is gone. What it said to its
    /// own account, and waits there, is not to be overtaken by what it said behind that.
    pub(super) fn finish_input(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else {
            return;
        };
        if !connection.stream.holds() {
            return;
        }
        if connection.stream.is_proven() || connection.stream.may_return() {
            return self.finish_remote_input(now, conn);
        }
        if !connection.stream.is_signed_in() {
            return;
        }
        let held = connection.stream.take_held();
        let mut input = held.as_slice();
        let waits = self.count_waiting(conn);
        while self.member(conn).is_some_and(|key| self.can_act(key))
            && self.count_waiting(conn) == waits
            && let Some(Some(event)) = self.with(now, conn, |s, cx| s.poll(cx, &mut input))
        {
            self.on_event(now, conn, event);
            self.settle(now);
        }
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.stream.hold(input);
        }
    }

    /// How much waits for the owner of a session's account.
    pub(super) fn count_waiting(&self, conn: ConnId) -> usize {
        let owner = self.member(conn).and_then(|key| self.owners.get(key));
        owner.map_or(0, |owner| owner.inbox.len())
    }

    /// Whether a session's stream has something to say yet.
    pub(super) fn holds_input(&self, conn: ConnId) -> bool {
        let connection = self.connections.get(conn);
        connection.is_some_and(|connection| connection.stream.holds())
            && self.member(conn).is_some()
    }

    /// Whether there is still somebody to write to.
    pub(super) fn is_open(&self, conn: ConnId) -> bool {
        let connection = self.connections.get(conn);
        connection.is_some_and(|connection| connection.socket == Socket::Open)
    }

    fn can_act(&self, key: AccountKey) -> bool {
        self.owners.get(key).is_some_and(Owner::is_ready)
    }

    /// A connection is over, and nothing of it is left to be done.
    pub(super) fn gone(&mut self, now: Now, conn: ConnId) {
        self.part(now, conn);
        let account = self.named(conn);
        self.proven.forget(conn);
        self.component_gone(conn);
        self.leave_theirs(now, conn);
        self.end_session(now, conn, Departure::Lost);
        let Some(connection) = self.connections.get(conn) else {
            return;
        };
        let told = matches!(connection.role, Role::Ending | Role::Gone);
        if connection.stream.signs_in() {
            self.cut_off(conn, account.clone());
        }
        if !told {
            self.note_end(conn, account, CloseReason::Ended);
        }
        self.connections.remove(conn);
        self.timers.stop(Due::Stream(conn));
        self.fx.close(conn);
    }

    /// The account that a stream is of, or that a sign-in under way is to.
    fn named(&self, conn: ConnId) -> Option<BareJid> {
        let connection = self.connections.get(conn)?;
        match connection.role {
            Role::Member(key) => Some(self.owners.get(key)?.account.jid().clone()),
            Role::Stranger
            | Role::Leaving(_)
            | Role::Server
            | Role::BothWays(..)
            | Role::Component(_)
            | Role::Reaching(..)
            | Role::Link(..)
            | Role::Ending
            | Role::Gone => connection.stream.account(),
        }
    }

    /// The peer leaves more unread than its session's queue takes: the session ends, nobody waits for it. Before what waits for its
    /// account, which others may hear.
    pub(super) fn overflowed(&mut self, now: Now, conn: ConnId) {
        match self.member(conn).is_some_and(|key| self.can_act(key)) {
            true => self.fail_now(now, conn, Violation::QueueFull),
            false => self.fail(now, conn, Violation::QueueFull),
        }
    }

    pub(super) fn expire(&mut self, now: Now, conn: ConnId) {
        match self.with(now, conn, |stream, cx| stream.expire(cx)) {
            None => {}
            Some(Expiry::Again(wait)) => {
                self.slowed.expire(now.mono, conn);
                self.arm(now, conn, wait);
                // Its rest may be over.
                self.proceed(now, conn);
            }
            Some(Expiry::Finished) => self.link_finished(now, conn),
            Some(Expiry::Close) => self.hang_up(now, conn, CloseReason::Ended),
            Some(Expiry::Fail(violation)) => {
                let leaving = self
                    .connections
                    .get(conn)
                    .is_some_and(|connection| matches!(connection.role, Role::Leaving(_)));
                // There was no room on the way to its shard all the while: not the client's fault.
                let violation = if leaving {
                    Violation::HandOffFull
                } else {
                    violation
                };
                self.fail(now, conn, violation);
            }
            Some(Expiry::Said(event)) => {
                self.look_again(now, conn);
                if let Some(event) = event {
                    self.on_event(now, conn, event);
                }
                self.proceed(now, conn);
            }
        }
    }
}
