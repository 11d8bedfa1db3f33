//! Stream management (XEP-0198) of what is written: counted as it is written, in the order in which it is.

use alloc::boxed::Box;

use super::{Effects, Growth, Out, Peer};
use crate::arena::ArenaKey as _;
use crate::port::ConnId;
use crate::sm::{Acked, Outbound, Piece, TooHigh, write_ack, write_request};
use crate::time::Instant;

impl Out {
    /// See `Effects::owed`.
    pub(super) fn unread_of(&self, queue: usize) -> usize {
        let unsent = self.owed().len();
        let managed = self.managed.as_ref();
        managed.map_or(unsent, |managed| managed.weight(queue).max(unsent))
    }

    /// Whether what is written now waits for another connection: behind what does already, or because nobody is at the end of this one.
    pub(super) fn waits(&self) -> bool {
        let managed = self.managed.as_ref();
        self.peer == Peer::Gone || managed.is_some_and(|managed| managed.waits())
    }

    /// Keeps what is written now until it is acknowledged, if it is to be.
    pub(super) fn keep(&mut self, piece: Piece) {
        let waits = self.waits();
        if let Some(managed) = &mut self.managed {
            match waits {
                true => managed.put_by(piece),
                false => managed.push(piece),
            }
        }
    }
}

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

    /// What a session has not acknowledged, if it is to.
    pub(super) fn managed(&mut self, conn: ConnId) -> Option<&mut Outbound> {
        self.of(conn)?.managed.as_deref_mut()
    }

    /// Bytes that are kept because a client has not acknowledged them.
    pub(crate) fn unacknowledged(&mut self, conn: ConnId) -> usize {
        self.managed(conn).map_or(0, |managed| managed.bytes())
    }

    /// How much a client has not taken: bytes that were not sent, or what it has not acknowledged of what was, where that is more. Its queue is as
    /// full as that.
    pub(super) fn owed(&self, conn: ConnId) -> usize {
        let Some(Some(out)) = self.outs.get(conn.key().index()) else {
            return 0;
        };
        if out.conn != conn {
            return 0;
        }
        out.unread_of(self.queues.session)
    }

    /// Whether what is written to a connection is to be acknowledged.
    pub(crate) fn is_managed(&mut self, conn: ConnId) -> bool {
        self.managed(conn).is_some()
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
        let (now, queue) = (self.now, self.queues.session);
        let Some(managed) = self.managed(conn) else {
            return Ok(Acked::default());
        };
        let (was_asked, had_owed) = (managed.asked_since().is_some(), managed.has_owed());
        let before = managed.weight(queue);
        let acked = managed.ack(h)?;
        // Who acknowledges has read.
        let taken = before.saturating_sub(managed.weight(queue));
        let asks = was_asked && managed.asks(now);
        let has_all = had_owed && !managed.has_owed();
        if asks {
            self.out(conn, write_request);
            self.asked.push(conn);
        }
        if has_all {
            self.drained.push(conn);
        }
        let owed = self.owed(conn);
        if let Some(pressure) = self.of(conn).and_then(|out| out.pressure.as_mut()) {
            pressure.take(taken);
            if pressure.is_over(owed) {
                self.relieve(conn);
            }
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
        if self.managed(conn).is_some_and(|managed| managed.ask(now)) {
            self.out(conn, write_request);
            self.asked.push(conn);
        }
    }

    /// Since when a client was asked and has not answered.
    pub(crate) fn asked_since(&mut self, conn: ConnId) -> Option<Instant> {
        self.managed(conn)?.asked_since()
    }

    /// So many stanzas may be unacknowledged before a client is asked.
    pub(crate) fn set_ask_over(&mut self, conn: ConnId, ask_over: usize) {
        if let Some(managed) = self.managed(conn) {
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

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::sync::Arc;
    use alloc::vec::Vec;
    use core::time::Duration;

    use crate::arena::Arena;
    use crate::effects::{Effects, Hearing, Reach};
    use crate::envelope::Place;
    use crate::jid::Jid;
    use crate::limits::{FLOW_PATIENCE, Limits};
    use crate::port::ConnId;
    use crate::sm::{Due, Fate, Outbound};
    use crate::stanza::{Kind, MessageType, Stanza};
    use crate::time::{Instant, Now, UnixTime};

    const MOST: usize = 1000;

    /// A session that takes all that is written, and may leave so many stanzas unacknowledged.
    fn reader() -> (Effects, ConnId) {
        let mut conns = Arena::<ConnId, ()>::default();
        let conn = conns.insert(());
        let mut fx = Effects::new(Place { node: 0, shard: 0 }, &Limits::default());
        fx.open(conn, Vec::new());
        fx.manage(conn, Box::new(Outbound::new(MOST, 0)));
        (fx, conn)
    }

    /// Somebody writes so many short messages to it, each of which is sent.
    fn write(fx: &mut Effects, conn: ConnId, count: usize) {
        let kind = Kind::Message(MessageType::Chat);
        let from = Jid::parse("romeo@localhost/orchard").unwrap();
        let short = Arc::new(Stanza::build(kind, None, Some(from), None, |_| {}));
        let fate = Fate {
            due: Due::Alone,
            at: UnixTime(0),
        };
        for _ in 0..count {
            fx.deliver(conn, &short, None, Reach::One, &fate);
            let unsent = fx.outgoing(conn).len();
            fx.sent(conn, unsent);
        }
    }

    fn at(seconds: u64) -> Now {
        Now {
            mono: Instant(0) + Duration::from_secs(seconds),
            ..Now::default()
        }
    }

    #[test]
    fn who_writes_much_that_is_not_acknowledged_waits_until_it_is() {
        let (mut fx, conn) = reader();
        write(&mut fx, conn, MOST / 2 - 1);
        assert!(fx.next_feeding().is_none());
        write(&mut fx, conn, 2);
        assert!(fx.next_feeding().is_some());
        fx.acked(conn, 100).unwrap();
        assert!(fx.next_relieved().is_none());
        fx.acked(conn, 400).unwrap();
        assert!(fx.next_relieved().is_some());
    }

    #[test]
    fn who_acknowledges_slowly_stays_and_who_does_not_is_ended() {
        for (acknowledges, ends) in [(true, false), (false, true)] {
            let (mut fx, conn) = reader();
            fx.at(at(0));
            write(&mut fx, conn, MOST / 2 + 100);
            for second in 1..=FLOW_PATIENCE.as_secs() {
                fx.at(at(second));
                if acknowledges {
                    fx.acked(conn, u32::try_from(second).unwrap() * 20).unwrap();
                }
            }
            fx.judge(conn, Hearing::Heard);
            assert_eq!(fx.next_overflowed().is_some(), ends);
        }
    }
}
