//! Sessions between the stream that carries them and the account that rules them.

use alloc::sync::Arc;

use super::Shard;
use super::connections::Role;
use super::managed::Departure;
use crate::account::{AccountKey, Binding, SessionKey, Wish};
use crate::due::Due;
use crate::jid::Resource;
use crate::port::{ConnId, Note};
use crate::stanza::{Condition, Stanza};
use crate::stream::Violation;
use crate::time::Now;

impl Shard {
    /// A client asks for its resource (RFC 6120 §7).
    pub(super) fn bind(
        &mut self,
        now: Now,
        conn: ConnId,
        resource: Option<Resource>,
        request: &Stanza,
    ) {
        let binding = self
            .member(conn)
            .and_then(|key| self.in_account(now, key, |a, cx| a.bind(cx, conn, resource)));
        match binding {
            Some(Binding::Bound(jid, old)) => {
                if let (Some(old), Some(key)) = (old, self.member(conn)) {
                    self.end_named(now, key, old, Violation::Conflict);
                }
                self.fx.note(Note::Bound {
                    conn,
                    jid: jid.clone(),
                });
                self.with(now, conn, |stream, cx| stream.bound(cx, jid, request));
            }
            Some(Binding::Refused(condition)) => self.refuse_bind(now, conn, request, condition),
            // The account was deleted or its host taken away a moment ago: its streams are being closed.
            None => self.refuse_bind(now, conn, request, Condition::NotAllowed),
        }
    }

    fn refuse_bind(&mut self, now: Now, conn: ConnId, request: &Stanza, condition: Condition) {
        self.answered(now, conn, |stream, cx| {
            stream.bind_refused(cx, request, condition)
        });
    }

    /// A stanza from a session.
    pub(super) fn outbound(&mut self, now: Now, conn: ConnId, stanza: Arc<Stanza>) {
        if let Some((key, session)) = self.session(conn) {
            let itself = (self.place, key);
            let wish = self.in_account(now, key, |account, cx| {
                account.begin(cx, itself, session);
                account.outbound(cx, session, stanza)
            });
            match wish.flatten() {
                Some(Wish::Card) => self.await_card(now, conn),
                Some(Wish::Change(change, request, receipt)) => {
                    self.grant(now, conn, change, (request, receipt));
                }
                None => {}
            }
        }
    }

    /// The answer to what a session sent and is no stanza to be routed, if anything may answer that.
    pub(super) fn refused(&mut self, now: Now, conn: ConnId, error: Option<Stanza>) {
        if let Some((key, session)) = self.session(conn) {
            let itself = (self.place, key);
            self.in_account(now, key, |account, cx| {
                account.begin(cx, itself, session);
                if let Some(error) = error {
                    cx.answer(session, error.into());
                }
            });
        }
    }

    /// One of an account's sessions is over, with this error if it is carried by a stream.
    pub(super) fn end_named(
        &mut self,
        now: Now,
        key: AccountKey,
        session: SessionKey,
        violation: Violation,
    ) {
        let owner = self.owners.get(key);
        match owner.and_then(|owner| owner.account.carrier(session)) {
            Some(conn) => self.fail(now, conn, violation),
            None => self.die(now, key, session),
        }
    }

    pub(super) fn session(&self, conn: ConnId) -> Option<(AccountKey, SessionKey)> {
        let key = self.member(conn)?;
        Some((key, self.owners.get(key)?.account.session_on(conn)?))
    }

    /// The session on this connection is over, if there was one: of which account.
    pub(super) fn end_session(
        &mut self,
        now: Now,
        conn: ConnId,
        departure: Departure,
    ) -> Option<AccountKey> {
        // Nobody waits for it any more, nor it for anybody.
        self.fx.release(conn);
        self.timers.stop(Due::Ack(conn));
        self.timers.stop(Due::Reader(conn));
        self.slowed.forget(conn);
        self.cards.forget(conn);
        self.ways.forget(conn);
        self.credit.forget(conn);
        let key = self.member(conn)?;
        let session = self.session(conn);
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.role = Role::Stranger;
        }
        if let Some(owner) = self.owners.get_mut(key) {
            owner.account.forget(conn);
        }
        if let Some(session) = session {
            self.leave_stream(now, conn, session, departure);
        }
        self.drop_if_idle(now, key);
        Some(key)
    }

    /// This session's queue is long. If those of its account together have half of what they may, each is held to its share. If they are too
    /// long, the one with the longest is put down for closing, and the rest is looked at again when it is gone.
    pub(super) fn bound_account(&mut self, conn: ConnId) {
        let Some(owner) = self.member(conn).and_then(|key| self.owners.get(key)) else {
            return;
        };
        let mut owed_together = 0_usize;
        let mut longest = (0, conn);
        let connections = owner.account.connections();
        for conn in connections.iter().copied() {
            let unread = self.fx.outgoing(conn).len();
            let owed = unread.saturating_add(self.fx.unacknowledged(conn));
            owed_together = owed_together.saturating_add(owed);
            longest = longest.max((owed, conn));
        }
        let bound = self.config.limits.account_queue_bytes;
        if owed_together > bound {
            self.fx.overflow(longest.1);
        }
        if owed_together > bound / 2 {
            for conn in connections {
                self.fx.strain(conn);
            }
        }
    }

    pub(super) fn member(&self, conn: ConnId) -> Option<AccountKey> {
        match self.connections.get(conn)?.role {
            Role::Member(key) => Some(key),
            Role::Stranger
            | Role::Leaving(_)
            | Role::Server
            | Role::BothWays(..)
            | Role::Component(_)
            | Role::Reaching(..)
            | Role::Link(..)
            | Role::Ending
            | Role::Gone => None,
        }
    }
}
