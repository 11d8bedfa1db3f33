//! Stream management (XEP-0198) of what is written: counted as it is written, in the order in which it is.

use alloc::boxed::Box;

use super::{Effects, Growth, Peer};
use crate::arena::ArenaKey as _;
use crate::port::ConnId;
use crate::sm::{Acked, Outbound, TooHigh, write_ack, write_request};
use crate::time::Instant;

impl Effects {
    /// From now on what is written to a session is to be acknowledged; what is not yet is sent again first.
    pub(crate) fn manage(&mut self, conn: ConnId, mut managed: Box<Outbound>) {
        self.out(conn, |out| managed.resend(out));
        if let Some(out) = self.of(conn) {
            out.managed = Some(managed);
        }
    }

    /// What a session has not acknowledged, if it was to: its connection carries it no more.
    pub(crate) fn unmanage(&mut self, conn: ConnId) -> Option<Box<Outbound>> {
        self.release(conn);
        let mut managed = self.of(conn)?.managed.take()?;
        managed.lose();
        Some(managed)
    }

    /// Bytes that are kept because a client has not acknowledged them.
    pub(crate) fn unacknowledged(&mut self, conn: ConnId) -> usize {
        let out = self.of(conn);
        let managed = out.and_then(|out| out.managed.as_ref());
        managed.map_or(0, |managed| managed.bytes())
    }

    /// Whether what is written to a connection is to be acknowledged.
    pub(crate) fn is_managed(&mut self, conn: ConnId) -> bool {
        self.of(conn).is_some_and(|out| out.managed.is_some())
    }

    /// Nobody is at the other end any more, but the session is not over yet: what it is told waits.
    pub(crate) fn lose_peer(&mut self, conn: ConnId) {
        // Nobody waits for who takes nothing any more.
        self.release(conn);
        if let Some(Some(out)) = self.outs.get_mut(conn.key().index())
            && out.conn == conn
        {
            if let Some(mut unread) = out.unread.take() {
                unread.take(usize::MAX, &mut self.debts);
            }
            out.peer = Peer::Gone;
            out.bytes.clear();
            out.sent = 0;
        }
    }

    /// A client has handled so many stanzas.
    ///
    /// # Errors
    /// There were not so many.
    pub(crate) fn acked(&mut self, conn: ConnId, h: u32) -> Result<Acked, TooHigh> {
        let now = self.now;
        let Some(out) = self.of(conn) else {
            return Ok(Acked::default());
        };
        let Some(managed) = &mut out.managed else {
            return Ok(Acked::default());
        };
        let (was_asked, had_owed) = (managed.asked_since().is_some(), managed.has_owed());
        let acked = managed.ack(h)?;
        let asks = was_asked && managed.asks(now);
        let has_all = had_owed && !managed.has_owed();
        if asks {
            self.out(conn, write_request);
            self.asked.push(conn);
        }
        if has_all {
            self.drained.push(conn);
        }
        Ok(acked)
    }

    /// A session has all that it was told of what had waited.
    pub(crate) fn has_taken(&mut self, conn: ConnId) {
        self.drained.push(conn);
    }

    /// A client is asked how many it has handled, whatever there is to be acknowledged, unless it is already.
    pub(crate) fn ask(&mut self, conn: ConnId) {
        let now = self.now;
        let asks = self
            .of(conn)
            .and_then(|out| out.managed.as_mut())
            .is_some_and(|managed| managed.ask(now));
        if asks {
            self.out(conn, write_request);
            self.asked.push(conn);
        }
    }

    /// Since when a client was asked and has not answered.
    pub(crate) fn asked_since(&mut self, conn: ConnId) -> Option<Instant> {
        self.of(conn)?.managed.as_ref()?.asked_since()
    }

    /// So many stanzas may be unacknowledged before a client is asked.
    pub(crate) fn set_ask_over(&mut self, conn: ConnId, ask_over: usize) {
        if let Some(managed) = self.of(conn).and_then(|out| out.managed.as_mut()) {
            managed.set_ask_over(ask_over);
        }
    }

    /// What waits for a session that is asleep had so many bytes, and has so many now.
    pub(crate) const fn sleeping(&mut self, before: usize, now: usize) {
        self.asleep = self.asleep.saturating_sub(before).saturating_add(now);
        if now > before {
            self.grown = Growth::Some;
        }
    }

    /// Too much waits for a session that is asleep.
    pub(crate) const fn sleeps_too_full(&mut self) {
        self.grown = Growth::Some;
    }

    /// Whether more waits for sessions that are asleep than when this was asked last.
    pub(crate) fn has_grown(&mut self) -> bool {
        core::mem::replace(&mut self.grown, Growth::None) == Growth::Some
    }

    /// Bytes of what waits for all that are asleep.
    pub(crate) const fn asleep(&self) -> usize {
        self.asleep
    }

    /// The next session that was asked.
    pub(crate) fn next_asked(&mut self) -> Option<ConnId> {
        self.asked.pop()
    }

    /// Tells a client how many of its stanzas are settled (XEP-0198 §4).
    pub(crate) fn acknowledge(&mut self, conn: ConnId, h: u32) {
        self.answer(conn, |out| write_ack(out, h));
    }
}
