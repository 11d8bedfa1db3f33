//! Sessions between the stream that carries them and the account that rules them.

use super::Shard;
use super::connections::Role;
use crate::account::{self, Account, AccountKey, Binding, Saying, SessionKey};
use crate::config::HostConfig;
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
                if let Some(old) = old {
                    self.fail(now, old, Violation::Conflict);
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
    pub(super) fn outbound(&mut self, now: Now, conn: ConnId, stanza: Stanza) {
        if let Some((key, session)) = self.session(conn) {
            self.in_account(now, key, |account, cx| {
                account.outbound(cx, session, stanza);
            });
        }
    }

    /// The answer to what a session sent and is no stanza to be routed.
    pub(super) fn refused(&mut self, now: Now, conn: ConnId, error: Stanza) {
        if let Some((key, session)) = self.session(conn) {
            self.in_account(now, key, |_, cx| cx.tell(session, error.into()));
        }
    }

    fn session(&self, conn: ConnId) -> Option<(AccountKey, SessionKey)> {
        let key = self.member(conn)?;
        Some((key, self.accounts.get(key)?.session_on(conn)?))
    }

    /// The session on this connection is over, if there was one: of which account.
    pub(super) fn end_session(&mut self, now: Now, conn: ConnId) -> Option<AccountKey> {
        // Nobody waits for it any more, nor it for anybody.
        self.fx.relieve(conn);
        self.slowed.forget(conn);
        let key = self.member(conn)?;
        let session = self.session(conn);
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.role = Role::Stranger;
        }
        if let Some(account) = self.accounts.get_mut(key) {
            account.forget(conn);
        }
        if let Some((_, session)) = session {
            self.in_account(now, key, |account, cx| account.end(cx, session));
        }
        self.drop_if_idle(key);
        Some(key)
    }

    /// This session's queue is long. If those of its account are too long together, the one with the longest is put down for
    /// closing, and the rest is looked at again when it is gone.
    pub(super) fn bound_account(&mut self, conn: ConnId) {
        let Some(account) = self.member(conn).and_then(|key| self.accounts.get(key)) else {
            return;
        };
        let mut owed_together = 0_usize;
        let mut longest = (0, conn);
        for conn in account.connections() {
            let owed = self.fx.outgoing(conn).len();
            owed_together = owed_together.saturating_add(owed);
            longest = longest.max((owed, conn));
        }
        if owed_together > self.config.limits.account_queue_bytes {
            self.fx.overflow(longest.1);
        }
    }

    fn member(&self, conn: ConnId) -> Option<AccountKey> {
        match self.connections.get(conn)?.role {
            Role::Member(key) => Some(key),
            Role::Stranger | Role::Leaving(_) | Role::Ending | Role::Gone => None,
        }
    }

    /// Runs one call of an account, and says what it said; `None` if the account is gone.
    pub(super) fn in_account<T>(
        &mut self,
        now: Now,
        key: AccountKey,
        call: impl FnOnce(&mut Account, &mut account::Cx<'_>) -> T,
    ) -> Option<T> {
        let account = self.accounts.get_mut(key)?;
        // A host that went away with a reload: its streams are being closed. Made only then, this runs for every stanza.
        let fallback;
        let host = match self.config.accounts(account.jid().domain()) {
            Some(host) => host,
            None => {
                fallback = HostConfig::default();
                &fallback
            }
        };
        let mut cx = account::Cx {
            now,
            config: &self.config,
            host,
            entropy: &mut self.entropy,
            said: &mut self.said,
        };
        let outcome = call(account, &mut cx);
        for saying in self.said.drain(..) {
            match saying {
                Saying::Tell(session, stanza, to) => {
                    account.send(&mut self.fx, session, &stanza, to.as_ref());
                }
                Saying::Route(delivery) => self.fx.route(delivery),
            }
        }
        Some(outcome)
    }
}
