//! Writing to sessions: who has room, who waits, what is kept for later.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::late::Late;
use super::pressure::{Doing, Feeder, Hearing, Pressure, Reach, Verdict};
use super::{Drain, Effects, Out, Then};
use crate::arena::ArenaKey as _;
use crate::jid::Jid;
use crate::limits::DEBT_FLOOR;
use crate::port::ConnId;
use crate::sm::{Due, Fate, Piece, Written};
use crate::stanza::Stanza;
use crate::time::UnixTime;

/// Stanzas that are kept, as they are to be written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    /// One behind the other.
    pub(crate) xml: Bytes,
    /// Where each ends, with its key if it was owed.
    pub(crate) ends: Vec<(usize, Option<i64>)>,
}

impl Stored {
    /// Each by itself, written at that moment.
    pub(crate) fn pieces(&self, at: UnixTime) -> impl Iterator<Item = Piece> {
        let mut start = 0;
        self.ends.iter().map(move |(end, key)| {
            // They rise, and the last is the length: an empty piece would stand for a bug.
            let end = (*end).min(self.xml.len());
            let xml = self.xml.slice(start.min(end)..end);
            start = end;
            let what = Written::Stored(xml, *key);
            Piece { what, at }
        })
    }
}

/// A session that need not be waited for any more.
#[derive(Debug)]
pub(crate) struct Relief {
    pub(crate) reader: ConnId,
    /// Who waited.
    pub(crate) feeders: Vec<Feeder>,
    /// What it was not told yet.
    late: Late,
}

impl Relief {
    pub(super) fn of(reader: ConnId, pressure: Pressure) -> Self {
        let (feeders, late) = pressure.into_parts();
        Self {
            reader,
            feeders: feeders.into_keys().collect(),
            late,
        }
    }

    /// Only the session itself waits no more, as long as others do.
    pub(super) fn of_itself(reader: ConnId) -> Self {
        Self {
            reader,
            feeders: [Feeder::Itself].into(),
            late: Late::new(),
        }
    }
}

impl Effects {
    /// Writes a stanza addressed to `to` to a session's peer. Over half of the bound, who sends it is to wait; over the bound, a session
    /// that does not read is put down for closing instead.
    pub(crate) fn deliver(
        &mut self,
        conn: ConnId,
        stanza: &Arc<Stanza>,
        to: Option<&Jid>,
        reach: Reach,
        fate: &Fate,
    ) {
        // Most sessions owe next to nothing, and acknowledge nothing: presence is told to thousands of them at a time.
        if let Some(Some(out)) = self.outs.get_mut(conn.key().index())
            && out.conn == conn
            && out.is_carefree()
            && out.owed().len().saturating_add(stanza.size()) <= self.queues.carefree
        {
            let write = |bytes: &mut Vec<u8>| stanza.write_to(to, bytes);
            return out.write(&mut self.spare, &mut self.actions, write);
        }
        self.deliver_with_care(conn, stanza, to, reach, fate);
    }

    /// The same, where it is to be looked at who has to wait, or at what is not acknowledged.
    #[inline(never)]
    fn deliver_with_care(
        &mut self,
        conn: ConnId,
        stanza: &Arc<Stanza>,
        to: Option<&Jid>,
        reach: Reach,
        fate: &Fate,
    ) {
        let before = self.owed(conn);
        let owed = before.saturating_add(stanza.size());
        self.swell(conn, owed);
        // Usually nothing is owed, and it need not be looked at who did it.
        let unsent = match owed > DEBT_FLOOR {
            true => self.outgoing(conn).len(),
            false => 0,
        };
        let debtor = match unsent.saturating_add(stanza.size()) > DEBT_FLOOR {
            true => debtor(stanza, reach),
            false => None,
        };
        let too_much = debtor.is_some_and(|(debtor, _)| self.debts.is_over(debtor));
        if too_much && reach == Reach::Many && before > 0 {
            self.begin_pressure(conn, self.queues.session / 2);
        }
        if owed > self.queues.session / 2 || self.is_pressed(conn) {
            if self.is_late(conn, before, stanza, to, reach) {
                return;
            }
            let room = self.press(conn, owed, stanza, reach);
            // One is always taken: the longest roster would end each session that asks for it where queues are set to be shorter.
            if before > 0 && owed > room {
                self.keep_unwritten(conn, stanza, to, *fate);
                return self.overflow(conn);
            }
        }
        self.write(conn, stanza, to, *fate);
        if let Some((debtor, waits)) = debtor {
            self.charge(conn, unsent, debtor, waits);
        }
    }

    /// One stanza to the peer; if it is to acknowledge it, it is kept until then.
    fn write(&mut self, conn: ConnId, stanza: &Arc<Stanza>, to: Option<&Jid>, fate: Fate) {
        if let Some(out) = self.of(conn)
            && out.managed.is_some()
        {
            let waits = out.waits();
            out.keep(Piece::new(stanza, to, fate));
            let bytes = self.unacknowledged(conn);
            self.swell(conn, bytes);
            if waits {
                return;
            }
        }
        self.out(conn, |bytes| stanza.write_to(to, bytes));
    }

    /// That of what is told now and not missed.
    const fn fate(&self) -> Fate {
        Fate {
            due: Due::Nothing,
            at: self.wall,
        }
    }

    /// There is no room for a stanza, and its session is to end for it: it is not lost, if that one has stream management.
    fn keep_unwritten(&mut self, conn: ConnId, stanza: &Arc<Stanza>, to: Option<&Jid>, fate: Fate) {
        if let Some(managed) = self.managed(conn) {
            managed.put_by(Piece::new(stanza, to, fate));
        }
    }

    /// Writes stanzas that were stored to a session's peer: what it asked for, or what waited for it. Over half of the bound it is not read
    /// itself. Nothing of it is too much: whoever has it written waits until it was taken.
    pub(crate) fn deliver_stored(&mut self, conn: ConnId, stored: &Stored, then: Then) {
        let xml = &stored.xml;
        let owed = self.outgoing(conn).len().saturating_add(xml.len());
        self.swell(conn, owed);
        self.press_itself(conn, owed);
        if !self.of(conn).is_some_and(|out| out.waits()) {
            self.out(conn, |bytes| bytes.extend_from_slice(xml));
        }
        let at = self.wall;
        if let Some(out) = self.of(conn)
            && out.managed.is_some()
        {
            stored.pieces(at).for_each(|piece| out.keep(piece));
        }
        if self.managed(conn).is_some_and(|managed| managed.has_owed()) {
            // Its client says when it has them.
            return;
        }
        if then == Then::Tell
            && let Some(out) = self.of(conn)
        {
            match owed {
                0 => self.drained.push(conn),
                _ => out.drain = Drain::Watched,
            }
        }
    }

    /// Says when a connection has taken all that was written to it.
    pub(crate) fn watch(&mut self, conn: ConnId) {
        if let Some(out) = self.of(conn) {
            out.drain = Drain::Watched;
        }
    }

    /// Writes an answer that is no stanza. Over half of the bound, who asks is read no more.
    pub(crate) fn answer(&mut self, conn: ConnId, write: impl FnOnce(&mut Vec<u8>)) {
        self.out(conn, write);
        let owed = self.outgoing(conn).len();
        self.press_itself(conn, owed);
    }

    /// It owes so much: over half of the bound, it is read no more.
    fn press_itself(&mut self, conn: ConnId, owed: usize) {
        let now = self.now;
        if let Some(pressure) = self.pressure(conn, owed)
            && owed > pressure.line()
            && pressure.tells(now, Feeder::Itself)
        {
            self.feeding.push((Feeder::Itself, conn));
        }
    }

    /// It owes so much: over its share, it is looked at what those of its account owe together.
    fn swell(&mut self, conn: ConnId, owed: usize) {
        if owed > self.queues.share && !self.swollen.contains(&conn) {
            self.swollen.push(conn);
        }
    }

    /// What was written to a session behind `before` bytes is owed by its sender's doing.
    fn charge(&mut self, conn: ConnId, before: usize, debtor: &Jid, waits: Waits) {
        let bytes = self.outgoing(conn).len().saturating_sub(before);
        let now = self.now;
        if let Some(out) = self.of(conn) {
            let unread = out.unread.get_or_insert_default();
            unread.add(before, debtor, bytes);
            self.debts.add(debtor, bytes);
            if waits == Waits::Yes {
                self.debts.press(now, debtor);
            }
        }
    }

    pub(super) fn of(&mut self, conn: ConnId) -> Option<&mut Out> {
        let out = self.outs.get_mut(conn.key().index())?.as_mut()?;
        (out.conn == conn).then_some(out)
    }

    fn is_pressed(&self, conn: ConnId) -> bool {
        let out = self.outs.get(conn.key().index()).and_then(Option::as_ref);
        out.is_some_and(|out| out.conn == conn && out.pressure.is_some())
    }

    /// The pressure on a session that owes so much, if that is too much or was.
    fn pressure(&mut self, conn: ConnId, owed: usize) -> Option<&mut Pressure> {
        let half = self.queues.session / 2;
        if owed > half {
            self.begin_pressure(conn, half);
        }
        self.of(conn)?.pressure.as_deref_mut()
    }

    /// Whoever writes to it waits where more than `line` is owed, from now on, if nobody had to before.
    fn begin_pressure(&mut self, conn: ConnId, line: usize) {
        let now = self.now;
        if let Some(out) = self.of(conn)
            && out.pressure.is_none()
        {
            out.pressure = Some(Box::new(Pressure::new(now, line)));
            self.pressed.push(conn);
        }
    }

    /// Keeps for later what was told to many; what else an account says comes behind that. Whether it was kept, or has no room.
    fn is_late(
        &mut self,
        conn: ConnId,
        before: usize,
        stanza: &Arc<Stanza>,
        to: Option<&Jid>,
        reach: Reach,
    ) -> bool {
        let owed = before.saturating_add(stanza.size());
        let Some(from) = stanza.from() else {
            return false;
        };
        let too_much = owed > DEBT_FLOOR && self.debts.is_over(from);
        let Some(pressure) = self.pressure(conn, owed) else {
            return false;
        };
        if reach == Reach::Many && stanza.announces().is_some() {
            let has_room = before == 0 || owed <= pressure.line() && !too_much;
            if has_room && !pressure.late.holds(from) {
                return false;
            }
            if !pressure.late.keep(from, stanza, to) {
                self.overflow(conn);
            }
            return true;
        }
        for (earlier, to) in pressure.late.take_of(from.bare()) {
            self.write(conn, &earlier, to.as_ref(), self.fate());
        }
        false
    }

    /// Tells who sends this to wait, if too much is owed. Returns how much may be.
    fn press(&mut self, conn: ConnId, owed: usize, stanza: &Stanza, reach: Reach) -> usize {
        let (now, queues) = (self.now, self.queues);
        let unsent = self.outgoing(conn).len().saturating_add(stanza.size());
        let Some(pressure) = self.pressure(conn, owed) else {
            return queues.session;
        };
        let doing = Doing::of(stanza, reach);
        let room = match doing.is_foreign() && pressure.reads(now) {
            true => queues.session.max(queues.account),
            false => queues.session,
        };
        if owed <= pressure.line() {
            return room;
        }
        let (own, other) = match doing {
            Doing::Own => (true, None),
            // Who is asked much does not wait for who does not read the answers, but who says much unasked does.
            Doing::Answer(from) => (true, Some(from).filter(|_| owed > queues.session / 4 * 3)),
            Doing::Other(from) => (false, Some(from)),
            Doing::Server => (false, None),
        };
        // What it has not acknowledged it may be about to: that comes behind what it has said before.
        let own = (own && unsent > pressure.line()).then_some(Feeder::Itself);
        let told: Vec<Feeder> = [own, other.cloned().map(Feeder::Other)]
            .into_iter()
            .flatten()
            .filter(|feeder| pressure.tells(now, feeder.clone()))
            .collect();
        self.feeding
            .extend(told.into_iter().map(|feeder| (feeder, conn)));
        room
    }

    /// The sessions of this one's account owe too much together: it is held to its share of that.
    pub(crate) fn strain(&mut self, conn: ConnId) {
        let line = self.queues.share / 2;
        if self.owed(conn) <= line {
            return;
        }
        self.begin_pressure(conn, line);
        if let Some(pressure) = self.of(conn).and_then(|out| out.pressure.as_mut()) {
            pressure.lower(line);
        }
    }

    /// Time has come to look at what a session has taken. When to look again, if so.
    pub(crate) fn judge(&mut self, conn: ConnId, hearing: Hearing) -> Option<Duration> {
        let (now, owed) = (self.now, self.owed(conn));
        let unsent = self.outgoing(conn).len();
        let pressure = self.of(conn)?.pressure.as_mut()?;
        match pressure.judge(now, owed, unsent, hearing) {
            Verdict::Ends => self.overflow(conn),
            Verdict::Relieved => self.relieve(conn),
            Verdict::Reads(wait) => return Some(wait),
        }
        None
    }

    /// Whoever waits for this connection waits no more.
    pub(crate) fn relieve(&mut self, conn: ConnId) {
        if let Some(out) = self.of(conn)
            && let Some(pressure) = out.pressure.take()
        {
            self.relieved.push(Relief::of(conn, *pressure));
        }
    }

    /// Tells a session what it was not told, as far as there is room.
    pub(crate) fn catch_up(&mut self, relief: Relief) {
        let Relief {
            reader, mut late, ..
        } = relief;
        while let Some((from, (stanza, to))) = late.pop() {
            // One that came since is the later one.
            let pressure = self.of(reader).and_then(|out| out.pressure.as_ref());
            if !pressure.is_some_and(|pressure| pressure.late.holds(&from)) {
                let fate = self.fate();
                self.deliver(reader, &stanza, to.as_ref(), Reach::Many, &fate);
            }
        }
    }

    /// A session is told nothing any more on this connection, and nobody waits for it. What was put off because it did not read is for its
    /// next, if it may have one.
    pub(crate) fn release(&mut self, conn: ConnId) {
        let fate = self.fate();
        if let Some(out) = self.of(conn)
            && let Some(mut pressure) = out.pressure.take()
        {
            let mut late = core::mem::replace(&mut pressure.late, Late::new());
            if let Some(managed) = &mut out.managed {
                while let Some((_, (stanza, to))) = late.pop() {
                    managed.put_by(Piece::new(&stanza, to.as_ref(), fate));
                }
            }
            self.relieved.push(Relief::of(conn, *pressure));
        }
    }
}

/// Whether who owes too much is to wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Waits {
    Yes,
    /// What it told to many is kept for later instead.
    No,
}

/// The account by whose doing a stanza is in a queue.
fn debtor(stanza: &Stanza, reach: Reach) -> Option<(&Jid, Waits)> {
    match (Doing::of(stanza, reach), reach) {
        (Doing::Other(from), _) => Some((from, Waits::Yes)),
        (Doing::Server, Reach::Many) => {
            let from = stanza.from().filter(|from| from.local().is_some())?;
            Some((from, Waits::No))
        }
        (Doing::Server, Reach::One) | (Doing::Own | Doing::Answer(_), _) => None,
    }
}
