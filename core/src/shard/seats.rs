//! Connections: accepted, fed, handed to another shard, closed.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::{Course, Shard};
use crate::account::AccountKey;
use crate::jid::BareJid;
use crate::port::{Action, CloseReason, ConnId, Note, Standing};
use crate::stream::{self, Event, Expiry, Stream, Violation};
use crate::time::Now;

/// A connection of this shard.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) stream: Stream,
    pub(super) peer: SocketAddr,
    pub(super) reading: Reading,
    pub(super) role: Role,
    /// By what it signed in, until that is noted.
    pub(super) mechanism: Option<crate::sasl::Mechanism>,
    /// `Shard::changes` when its credentials were asked for.
    pub(super) as_of: u64,
}

/// Whether the shell reads it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reading {
    On,
    Paused,
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
    /// Its stream has ended with an error, which is noted; the peer's closing tag is awaited.
    Ending,
    /// `Action::Close` is out.
    Gone,
}

/// A connection on its way to the shard that owns the account it asks for: the stream, that account, output not yet sent.
#[derive(Debug)]
pub struct Detached {
    stream: Stream,
    peer: SocketAddr,
    out: Vec<u8>,
    account: BareJid,
}

impl Shard {
    /// Takes a connection out after `Action::HandOff`; its id is dead from now on. `None` if it closed meanwhile (the shell
    /// then leaves it: `Action::Close` is coming or came).
    pub fn detach(&mut self, conn: ConnId) -> Option<Detached> {
        if !matches!(self.seats.get(conn)?.role, Role::Leaving(_)) {
            return None;
        }
        let seat = self.seats.remove(conn)?;
        self.timers.stop(conn);
        let out = self.fx.close(conn);
        match seat.role {
            Role::Leaving(account) => Some(Detached {
                stream: seat.stream,
                peer: seat.peer,
                out,
                account,
            }),
            Role::Stranger | Role::Member(_) | Role::Ending | Role::Gone => None, // excluded above
        }
    }

    /// Takes over a connection another shard detached. `Resume` follows when the shell is to read it.
    pub fn attach(&mut self, now: Now, detached: Detached) -> ConnId {
        let Detached {
            stream,
            peer,
            out,
            account,
        } = detached;
        let conn = self.seat(now, stream, peer);
        self.fx.close(conn);
        self.fx.open(conn, out);
        if let Some(seat) = self.seats.get_mut(conn) {
            seat.reading = Reading::Paused;
        }
        if self.course == Course::Stopping {
            self.fail(now, conn, Violation::Shutdown);
        } else {
            self.look_up(now, conn, account);
        }
        self.settle(now);
        conn
    }

    pub(super) fn seat(&mut self, now: Now, stream: Stream, peer: SocketAddr) -> ConnId {
        let seat = Seat {
            stream,
            peer,
            reading: Reading::On,
            role: Role::Stranger,
            mechanism: None,
            as_of: 0,
        };
        let conn = self.seats.insert(seat);
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
        self.timers.set(conn, now.mono, first);
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
        let seat = self.seats.get_mut(conn)?;
        let mut cx = stream::Cx {
            now,
            config: &self.config,
            entropy: &mut self.entropy,
            fx: &mut self.fx,
            conn,
        };
        Some(call(&mut seat.stream, &mut cx))
    }

    pub(super) fn bytes(&mut self, now: Now, conn: ConnId, bytes: &[u8]) {
        if let Some(Some(event)) = self.with(now, conn, |s, cx| s.hear(cx, bytes)) {
            self.on_event(now, conn, event);
        }
        self.feed(now, conn, bytes);
        if self.config.limits.c2s_rate.is_some() && !self.rest(now, conn).is_zero() {
            self.pause(conn);
            self.look_again(now, conn);
        }
    }

    /// Lets the stream take what it wants. What is left waits in the stream for an answer, and the shell is told to stop.
    fn feed(&mut self, now: Now, conn: ConnId, mut input: &[u8]) {
        while !self.slowed.holds(conn)
            && let Some(Some(event)) = self.with(now, conn, |s, cx| s.poll(cx, &mut input))
        {
            self.on_event(now, conn, event);
            // An answer to this element must not be lost because the next one, in the same read, ends the session.
            self.settle(now);
        }
        let Some(seat) = self.seats.get_mut(conn) else {
            return;
        };
        if input.is_empty() {
            return;
        }
        seat.stream.hold(input);
        self.pause(conn);
    }

    pub(super) fn pause(&mut self, conn: ConnId) {
        if let Some(seat) = self.seats.get_mut(conn)
            && seat.reading == Reading::On
        {
            seat.reading = Reading::Paused;
            self.fx.act(Action::Pause { conn });
        }
    }

    /// An answer a stream waited for: then what it held, then the socket again.
    pub(super) fn answered(
        &mut self,
        now: Now,
        conn: ConnId,
        call: impl FnOnce(&mut Stream, &mut stream::Cx<'_>) -> Option<Event>,
    ) {
        if let Some(Some(event)) = self.with(now, conn, call) {
            self.on_event(now, conn, event);
        }
        self.proceed(now, conn);
    }

    /// Goes on with a stream that may have stopped waiting.
    pub(super) fn proceed(&mut self, now: Now, conn: ConnId) {
        let Some(seat) = self.seats.get_mut(conn) else {
            return;
        };
        if seat.stream.waits() || self.slowed.holds(conn) {
            return;
        }
        let held = seat.stream.take_held();
        if !held.is_empty() {
            self.feed(now, conn, &held);
        }
        let rests = !self.rest(now, conn).is_zero();
        let Some(seat) = self.seats.get_mut(conn) else {
            return;
        };
        let rests = rests || self.slowed.holds(conn);
        if seat.reading == Reading::Paused && !rests && !seat.stream.waits() && !seat.stream.holds()
        {
            seat.reading = Reading::On;
            self.fx.act(Action::Resume { conn });
        }
    }

    fn on_event(&mut self, now: Now, conn: ConnId, event: Event) {
        match event {
            Event::Bind { resource, request } => {
                self.bind(now, conn, resource, &request);
            }
            Event::Close => self.hang_up(now, conn, CloseReason::Ended),
            Event::Closing(violation) => self.closing(now, conn, violation),
            Event::Derive(params, password) => self.derive(conn, params, password),
            Event::Lookup(account) => self.look_up(now, conn, account),
            Event::Rejected(account) => self.rejected(now, conn, account.as_ref()),
            Event::NothingOffered(host, why) => {
                self.fx.note(Note::NothingOffered { host, why });
                self.fail(now, conn, Violation::NothingOffered);
            }
            Event::Secure(host, behind) => self.fx.act(Action::Secure { conn, host, behind }),
            Event::SignInFailed(failure) => self.sign_in_failed(now, conn, failure),
            Event::Stanza(stanza) => self.outbound(now, conn, stanza),
            Event::Verified {
                account,
                mechanism,
                record,
            } => self.verified(now, conn, account, mechanism, record),
        }
    }

    /// Ends a stream with an error.
    pub(super) fn fail(&mut self, now: Now, conn: ConnId, violation: Violation) {
        if let Some(event) = self.with(now, conn, |stream, cx| stream.fail(cx, violation)) {
            self.on_event(now, conn, event);
        }
        // A stream that waited for an answer waits no more: its peer's closing tag is to be read.
        self.proceed(now, conn);
    }

    /// Ends every stream whose host, as far as it has one, `which` says yes to.
    pub(super) fn fail_all(
        &mut self,
        now: Now,
        violation: Violation,
        which: impl Fn(Option<&str>) -> bool,
    ) {
        for conn in self.seats.keys() {
            if self
                .seats
                .get(conn)
                .is_some_and(|seat| which(seat.stream.host()))
            {
                self.fail(now, conn, violation);
            }
        }
    }

    /// The closing tag is out: the session is over, the peer has a few seconds for its own.
    fn closing(&mut self, now: Now, conn: ConnId, violation: Option<Violation>) {
        if self.end_session(now, conn).is_some() {
            let standing = Standing::Stranger;
            self.fx.act(Action::Standing { conn, standing });
        }
        if let Some(seat) = self.seats.get_mut(conn)
            && matches!(seat.role, Role::Leaving(_))
        {
            // It ends here: nobody is to take it to another shard any more.
            seat.role = Role::Stranger;
        }
        if let Some(violation) = violation {
            if let Some(seat) = self.seats.get_mut(conn) {
                seat.role = Role::Ending;
            }
            let reason = CloseReason::Error(violation.condition());
            self.fx.note(Note::Closed { conn, reason });
            self.timers.set(conn, now.mono, self.config.limits.close);
        }
    }

    /// Tells the shell to close the connection, once.
    pub(super) fn hang_up(&mut self, now: Now, conn: ConnId, reason: CloseReason) {
        self.end_session(now, conn);
        let Some(seat) = self.seats.get_mut(conn) else {
            return;
        };
        match core::mem::replace(&mut seat.role, Role::Gone) {
            Role::Gone => return,
            Role::Ending => {}
            Role::Stranger | Role::Leaving(_) | Role::Member(_) => {
                self.fx.note(Note::Closed { conn, reason });
            }
        }
        self.timers.stop(conn);
        self.fx.act(Action::Close { conn });
    }

    /// Its place is needed. Choice: who has not signed in has no claim to one. RFC 6120 §4.4 has us wait for the peer's closing tag
    /// for as long as we find reasonable, which here is not at all.
    pub(super) fn evict(&mut self, now: Now, conn: ConnId) {
        // It may have signed in since the shell made its choice.
        if self
            .seats
            .get(conn)
            .is_none_or(|seat| seat.stream.is_signed_in())
        {
            return;
        }
        self.fail(now, conn, Violation::Evicted);
        self.hang_up(now, conn, CloseReason::Ended);
    }

    /// The shell's last word.
    pub(super) fn closed(&mut self, now: Now, conn: ConnId) {
        self.end_session(now, conn);
        let Some(seat) = self.seats.remove(conn) else {
            return;
        };
        self.timers.stop(conn);
        self.fx.close(conn);
        if !matches!(seat.role, Role::Ending | Role::Gone) {
            self.fx.note(Note::Closed {
                conn,
                reason: CloseReason::Ended,
            });
        }
    }

    /// The peer leaves more unread than its session's queue takes: the session ends, nobody waits for it.
    pub(super) fn overflowed(&mut self, now: Now, conn: ConnId) {
        self.fail(now, conn, Violation::QueueFull);
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
            Some(Expiry::Close) => self.hang_up(now, conn, CloseReason::Ended),
            Some(Expiry::Fail(violation)) => {
                let leaving = self
                    .seats
                    .get(conn)
                    .is_some_and(|seat| matches!(seat.role, Role::Leaving(_)));
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
