//! What a turn leaves behind: actions for the shell, bytes owed to peers, stanzas still to be routed.
//!
//! The output of all connections lives here and not in their streams, so that an account can write to its sessions while it
//! knows nothing of streams.

mod debts;
mod deliver;
mod late;
mod managed;
mod pressure;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::arena::ArenaKey as _;
use crate::envelope::{Body, Delivery, Envelope, Place, Sent, Settled};
use crate::jid::Jid;
use crate::limits::{
    DEBT_FLOOR, ENVELOPE_BYTES, Limits, OUTPUT_CAPACITY, SPARE_BUFFERS, SPARE_CAPACITY,
};
use crate::port::{Action, ConnId, Note};
use crate::sm::{Outbound, write_request};
use crate::time::{Instant, Now, UnixTime};

use self::debts::{Debts, Unread};
pub(crate) use self::deliver::{Relief, Stored};
use self::pressure::Pressure;
pub(crate) use self::pressure::{Feeder, Hearing, Reach};

/// Output of one connection.
#[derive(Debug)]
struct Out {
    conn: ConnId,
    bytes: Vec<u8>,
    /// How many of the bytes are sent. They are dropped when they are half of all, so that each byte moves once on average.
    sent: usize,
    /// How much was sent before the bytes that are here.
    before: u64,
    flush: Flush,
    /// Since more than half of a session's queue is owed.
    pressure: Option<Box<Pressure>>,
    /// Whose bytes these are, where more than a little is owed.
    unread: Option<Box<Unread>>,
    drain: Drain,
    /// What its client is to acknowledge (XEP-0198).
    managed: Option<Box<Outbound>>,
    peer: Peer,
}

/// Whether there is anybody at the other end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Peer {
    There,
    /// Nobody any more. What is written waits for the session's next connection.
    Gone,
}

/// Whether more waits for sessions that are asleep than was looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Growth {
    None,
    Some,
}

/// Whether somebody waits until all that is owed is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Drain {
    Unwatched,
    Watched,
}

/// What is done once stanzas that were stored are with the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Then {
    /// Nothing.
    GoOn,
    /// Its account hears of it.
    Tell,
}

impl Out {
    fn owed(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    /// What was sent is not here any more.
    const fn begin_anew(&mut self) {
        self.before = self.before.saturating_add(self.sent as u64);
        self.sent = 0;
    }

    /// Whether what is written needs no more attention than its length: nobody waits for it, and nobody is to acknowledge it.
    const fn is_carefree(&self) -> bool {
        self.managed.is_none() && self.pressure.is_none() && matches!(self.peer, Peer::There)
    }

    /// Writes, and queues a `Flush` unless there is one.
    fn write(
        &mut self,
        spare: &mut Vec<Vec<u8>>,
        actions: &mut VecDeque<Action>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if self.bytes.capacity() == 0 {
            let spare = spare.pop();
            self.bytes = spare.unwrap_or_else(|| Vec::with_capacity(OUTPUT_CAPACITY));
        }
        write(&mut self.bytes);
        if self.flush == Flush::Idle && !self.bytes.is_empty() {
            self.flush = Flush::Queued;
            actions.push_back(Action::Flush { conn: self.conn });
        }
    }
}

/// Whether the shell knows that there is output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flush {
    Idle,
    Queued,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Effects {
    actions: VecDeque<Action>,
    outs: Vec<Option<Out>>,
    routes: VecDeque<Routed>,
    /// Stanzas to other shards since the last drain.
    outboxes: BTreeMap<Place, Outbox>,
    /// Parts of what sessions of this shard sent that are done.
    handled: Vec<Sent>,
    /// The same of sessions of other shards, since the last drain.
    handled_elsewhere: BTreeMap<Place, Vec<Sent>>,
    place: Place,
    overflowed: Vec<ConnId>,
    swollen: Vec<ConnId>,
    /// Sessions of which it is to be looked at after a while how much they read.
    pressed: Vec<ConnId>,
    /// Sessions that feed another faster than it reads.
    feeding: Vec<(Feeder, ConnId)>,
    /// Sessions that have read most of what they were owed.
    relieved: Vec<Relief>,
    /// Sessions that have taken all, of which somebody waits for it.
    drained: Vec<ConnId>,
    debts: Debts,
    /// Sessions that were asked what they have handled.
    asked: Vec<ConnId>,
    /// Bytes of what waits for sessions that are asleep.
    asleep: usize,
    /// Whether they have become more.
    grown: Growth,
    now: Instant,
    wall: UnixTime,
    spare: Vec<Vec<u8>>,
    queues: Queues,
}

/// What one account has for another.
#[derive(Debug)]
pub(crate) enum Routed {
    /// A stanza.
    Stanza(Delivery),
    /// That one which came has done what it does.
    Settled(Settled),
}

/// An envelope that is not closed yet.
#[derive(Debug, Default)]
struct Outbox {
    deliveries: Vec<Delivery>,
    bytes: usize,
}

/// What peers may leave unread.
#[derive(Clone, Copy, Debug)]
struct Queues {
    /// Each of a session: beyond it, it ends.
    session: usize,
    /// All of an account's together.
    account: usize,
    /// Each of an account's sessions on the average: below it the account's bound holds whatever the others owe.
    share: usize,
    /// Each, before it is to be looked at by whose doing.
    carefree: usize,
}

impl Queues {
    fn new(limits: &Limits) -> Self {
        let half = limits.session_queue_bytes / 2;
        let share = limits.account_queue_bytes / limits.sessions_per_account.max(1);
        Self {
            session: limits.session_queue_bytes,
            account: limits.account_queue_bytes,
            share,
            carefree: DEBT_FLOOR.min(half).min(share),
        }
    }
}

impl Effects {
    /// Nothing yet, for the shard at this place, with these bounds for queues.
    pub(crate) fn new(place: Place, limits: &Limits) -> Self {
        Self {
            actions: VecDeque::new(),
            outs: Vec::new(),
            routes: VecDeque::new(),
            outboxes: BTreeMap::new(),
            handled: Vec::new(),
            handled_elsewhere: BTreeMap::new(),
            place,
            overflowed: Vec::new(),
            swollen: Vec::new(),
            pressed: Vec::new(),
            feeding: Vec::new(),
            relieved: Vec::new(),
            drained: Vec::new(),
            debts: Debts::new(limits.account_queue_bytes),
            asked: Vec::new(),
            asleep: 0,
            grown: Growth::None,
            now: Instant(0),
            wall: UnixTime(0),
            spare: Vec::new(),
            queues: Queues::new(limits),
        }
    }

    /// From now on, queues have these bounds.
    pub(crate) fn limit_queues(&mut self, limits: &Limits) {
        self.queues = Queues::new(limits);
        self.debts.bound = limits.account_queue_bytes;
    }

    /// Gives a new connection its output, with what it already owes.
    pub(crate) fn open(&mut self, conn: ConnId, bytes: Vec<u8>) {
        let index = conn.key().index();
        if self.outs.len() <= index {
            self.outs.resize_with(index + 1, || None);
        }
        let owes = !bytes.is_empty();
        if let Some(slot) = self.outs.get_mut(index) {
            *slot = Some(Out {
                conn,
                bytes,
                sent: 0,
                before: 0,
                flush: Flush::Idle,
                pressure: None,
                unread: None,
                drain: Drain::Unwatched,
                managed: None,
                peer: Peer::There,
            });
        }
        if owes {
            self.out(conn, |_| {});
        }
    }

    /// Takes the output of a connection that goes away.
    pub(crate) fn close(&mut self, conn: ConnId) -> Vec<u8> {
        self.release(conn);
        match self.outs.get_mut(conn.key().index()) {
            Some(slot) if slot.as_ref().is_some_and(|out| out.conn == conn) => {
                let Some(mut out) = slot.take() else {
                    return Vec::new();
                };
                if let Some(unread) = &mut out.unread {
                    unread.take(usize::MAX, &mut self.debts);
                }
                out.bytes.drain(..out.sent);
                out.bytes
            }
            _ => Vec::new(),
        }
    }

    /// Writes to a connection; queues one `Flush` for each drain. Does nothing for a dead one.
    pub(crate) fn out(&mut self, conn: ConnId, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(Some(out)) = self.outs.get_mut(conn.key().index()) else {
            return;
        };
        if out.conn == conn && out.peer == Peer::There {
            out.write(&mut self.spare, &mut self.actions, write);
        }
    }

    /// The time of what is handled now.
    pub(crate) const fn at(&mut self, now: Now) {
        self.now = now.mono;
        self.wall = now.wall;
    }

    /// That.
    pub(crate) const fn now(&self) -> Instant {
        self.now
    }

    /// The same, as it is said to people.
    pub(crate) const fn wall(&self) -> UnixTime {
        self.wall
    }

    /// The next session that is to wait for another.
    pub(crate) fn next_feeding(&mut self) -> Option<(Feeder, ConnId)> {
        self.feeding.pop()
    }

    /// The next session to be looked at after a while.
    pub(crate) fn next_pressed(&mut self) -> Option<ConnId> {
        self.pressed.pop()
    }

    /// The next session that need not be waited for any more.
    pub(crate) fn next_relieved(&mut self) -> Option<Relief> {
        self.relieved.pop()
    }

    /// The next session that is to wait because too much is unread of what its account sent.
    pub(crate) fn next_debtor(&mut self) -> Option<Jid> {
        self.debts.told.pop()
    }

    /// The next that need not wait for that any more.
    pub(crate) fn next_cleared(&mut self) -> Option<Jid> {
        self.debts.cleared.pop()
    }

    /// The next session that has taken all, if its account waits for that.
    pub(crate) fn next_drained(&mut self) -> Option<ConnId> {
        self.drained.pop()
    }

    /// Whether there is anybody who may go on.
    pub(crate) const fn has_relieved(&self) -> bool {
        !self.relieved.is_empty() || !self.drained.is_empty() || !self.debts.cleared.is_empty()
    }

    /// Puts a session down for closing.
    pub(crate) fn overflow(&mut self, conn: ConnId) {
        if !self.overflowed.contains(&conn) {
            self.overflowed.push(conn);
        }
    }

    /// Bytes owed.
    pub(crate) fn outgoing(&self, conn: ConnId) -> &[u8] {
        match self.outs.get(conn.key().index()) {
            Some(Some(out)) if out.conn == conn => out.owed(),
            _ => &[],
        }
    }

    /// How much of all that was ever written to a connection was sent.
    pub(crate) fn taken(&self, conn: ConnId) -> u64 {
        match self.outs.get(conn.key().index()) {
            Some(Some(out)) if out.conn == conn => out.before.saturating_add(out.sent as u64),
            _ => 0,
        }
    }

    /// How much was ever written to it.
    pub(crate) fn end(&self, conn: ConnId) -> u64 {
        let owed = self.outgoing(conn).len();
        self.taken(conn).saturating_add(owed as u64)
    }

    /// Retires a prefix. An empty buffer goes back to the shard's pool: an idle connection keeps none.
    pub(crate) fn sent(&mut self, conn: ConnId, count: usize) {
        let Some(Some(out)) = self.outs.get_mut(conn.key().index()) else {
            return;
        };
        if out.conn != conn {
            return;
        }
        out.sent = out.sent.saturating_add(count);
        let queue = self.queues.session;
        out.unread
            .take_if(|unread| !unread.take(count, &mut self.debts));
        if let Some(mut pressure) = out.pressure.take() {
            pressure.take(count);
            if pressure.is_over(out.unread_of(queue)) {
                self.relieved.push(Relief::of(conn, *pressure));
            } else {
                if pressure.frees_itself(out.owed().len()) {
                    self.relieved.push(Relief::of_itself(conn));
                }
                out.pressure = Some(pressure);
            }
        }
        if out.sent < out.bytes.len() {
            if out.sent >= out.bytes.len() / 2 {
                out.bytes.drain(..out.sent);
                out.begin_anew();
            }
            return;
        }
        out.begin_anew();
        if out.drain == Drain::Watched {
            out.drain = Drain::Unwatched;
            self.drained.push(conn);
        }
        let mut bytes = core::mem::take(&mut out.bytes);
        if self.spare.len() < SPARE_BUFFERS && bytes.capacity() <= SPARE_CAPACITY {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// A stanza to be routed before the turn's input is done with. It has `from`, and `to` if it goes to whom it names.
    pub(crate) fn route(&mut self, delivery: Delivery) {
        self.say(Routed::Stanza(delivery));
    }

    /// A stanza that came has done what it does: its sender is to know, behind all that was routed before.
    pub(crate) fn settle(&mut self, settled: Settled) {
        self.say(Routed::Settled(settled));
    }

    /// A part of what a session sent is done: it is to know, behind all that is said in this turn.
    pub(crate) fn handled(&mut self, sent: Sent) {
        match sent.place == self.place {
            true => self.handled.push(sent),
            false => {
                let handled = self.handled_elsewhere.entry(sent.place).or_default();
                handled.push(sent);
            }
        }
    }

    /// The next such part of a session of this shard. Which comes first makes no difference.
    pub(crate) fn next_handled(&mut self) -> Option<Sent> {
        self.handled.pop()
    }

    /// Something for others.
    pub(crate) fn say(&mut self, routed: Routed) {
        self.routes.push_back(routed);
    }

    /// The next to route.
    pub(crate) fn next_route(&mut self) -> Option<Routed> {
        self.routes.pop_front()
    }

    /// A stanza for another shard: it goes with all that this turn says to that one, in order.
    pub(crate) fn send(&mut self, to: Place, delivery: Delivery) {
        let outbox = self.outboxes.entry(to).or_default();
        outbox.bytes = outbox.bytes.saturating_add(delivery.weight());
        outbox.deliveries.push(delivery);
        if outbox.bytes >= ENVELOPE_BYTES {
            let full = core::mem::take(outbox);
            self.close_envelope(to, full);
        }
    }

    /// Something else for another shard, behind all stanzas that go there.
    pub(crate) fn send_behind(&mut self, to: Place, body: Body) {
        if let Some(outbox) = self.outboxes.remove(&to) {
            self.close_envelope(to, outbox);
        }
        self.send_body(to, body);
    }

    /// Something else for another shard, before the stanzas of this turn that are not on their way yet.
    pub(crate) fn send_body(&mut self, to: Place, body: Body) {
        self.actions.push_back(Action::Send(Box::new(Envelope {
            from: self.place,
            to,
            body,
        })));
    }

    fn close_envelope(&mut self, to: Place, outbox: Outbox) {
        if !outbox.deliveries.is_empty() {
            self.send_body(to, Body::Deliver(outbox.deliveries));
        }
    }

    /// The next session whose queue is full.
    pub(crate) fn next_overflowed(&mut self) -> Option<ConnId> {
        self.overflowed.pop()
    }

    /// The next session with so long a queue that its account's is to be looked at.
    pub(crate) fn next_swollen(&mut self) -> Option<ConnId> {
        self.swollen.pop()
    }

    /// Something for the shell to do.
    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// What cannot happen did: fatal in tests, a line in the log of a server.
    pub(crate) fn bug(&mut self, what: &'static str) {
        self.note(Note::Bug(what));
    }

    /// Something for the log.
    pub(crate) fn note(&mut self, note: Note) {
        self.actions.push_back(Action::Note(note));
    }

    /// Drains. A connection may be flushed again once its `Flush` was handed out.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        loop {
            if self.actions.is_empty() {
                while let Some((to, outbox)) = self.outboxes.pop_first() {
                    self.close_envelope(to, outbox);
                }
                while let Some((to, handled)) = self.handled_elsewhere.pop_first() {
                    self.send_body(to, Body::Handled(handled));
                }
            }
            let action = self.actions.pop_front()?;
            let Action::Flush { conn } = &action else {
                return Some(action);
            };
            // The connection may have been detached or closed since.
            if let Some(Some(out)) = self.outs.get_mut(conn.key().index())
                && out.conn == *conn
            {
                out.flush = Flush::Idle;
                if let Some(managed) = &mut out.managed
                    && managed.asks(self.now)
                {
                    write_request(&mut out.bytes);
                    self.asked.push(*conn);
                }
                return Some(action);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;
    use alloc::vec;

    use crate::stanza::{Kind, MessageType, Stanza};

    use super::*;
    use crate::arena::Arena;
    use crate::sm::{Due, Fate};

    #[test]
    fn what_is_owed_is_what_was_written_and_not_sent_however_it_is_sent() {
        let mut conns = Arena::<ConnId, ()>::default();
        let conn = conns.insert(());
        let place = Place { node: 0, shard: 0 };
        let mut fx = Effects::new(place, &Limits::default());
        fx.open(conn, Vec::new());
        let mut owed = VecDeque::new();
        let mut next = 0_u8;
        for round in 0..200_usize {
            let fresh: Vec<u8> = (0..round % 23)
                .map(|_| {
                    next = next.wrapping_add(1);
                    next
                })
                .collect();
            fx.out(conn, |out| out.extend_from_slice(&fresh));
            owed.extend(fresh);
            let count = owed.len().min(round * 7 % 19);
            fx.sent(conn, count);
            owed.drain(..count);
            assert!(owed.iter().eq(fx.outgoing(conn)), "in round {round}");
        }
        fx.out(conn, |out| out.extend_from_slice(b"abcdefgh"));
        fx.sent(conn, owed.len() + 3);
        assert_eq!(fx.close(conn), b"defgh");
        assert_eq!(fx.outgoing(conn), vec![0; 0]);
    }

    #[test]
    fn an_empty_queue_takes_one_stanza_of_any_length_and_no_other() {
        let mut conns = Arena::<ConnId, ()>::default();
        let conn = conns.insert(());
        let limits = Limits {
            session_queue_bytes: 1000,
            ..Limits::default()
        };
        let mut fx = Effects::new(Place { node: 0, shard: 0 }, &limits);
        fx.open(conn, Vec::new());
        let kind = Kind::Message(MessageType::Headline);
        let fate = Fate {
            due: Due::Nothing,
            at: UnixTime(0),
        };
        let long = Arc::new(Stanza::build(kind, None, None, None, |w| {
            w.open("body").text(&"x".repeat(5000)).close();
        }));
        fx.deliver(conn, &long, None, Reach::One, &fate);
        assert!(fx.outgoing(conn).len() > 5000);
        assert_eq!(fx.next_overflowed(), None);
        fx.deliver(conn, &long, None, Reach::One, &fate);
        assert_eq!(fx.next_overflowed(), Some(conn));
    }
}
