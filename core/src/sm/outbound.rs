//! What was written to a session with stream management and is not acknowledged (XEP-0198 §4, §5), and what waits for it while it sleeps.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::jid::Jid;
use crate::limits::SM_QUEUE_BYTES;
use crate::stanza::{Latest, Stanza};
use crate::time::{Instant, UnixTime};

/// What becomes of a stanza that was never acknowledged when its session is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Due {
    /// Nothing.
    Nothing,
    /// It was for this session alone.
    Alone,
    /// The account knows by this number who else has it.
    Shared(u64),
}

/// What is to be known of a stanza that a session is told, as long as that may not acknowledge it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    pub(crate) due: Due,
    /// When it was for the session first.
    pub(crate) at: UnixTime,
}

/// One stanza, as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) what: Written,
    /// When it was for the session first.
    pub(crate) at: UnixTime,
}

/// See `Piece`.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    /// A stanza, and to whom it is addressed if it does not say so itself.
    Stanza(Arc<Stanza>, Option<Jid>, Due),
    /// One of those that are kept, as it is written, with its key if it was owed.
    Stored(Bytes, Option<i64>),
}

impl Piece {
    /// A stanza addressed to `to`.
    pub(crate) fn new(stanza: &Arc<Stanza>, to: Option<&Jid>, fate: Fate) -> Self {
        let to = to.filter(|to| stanza.to() != Some(*to)).cloned();
        let Fate { due, at } = fate;
        let what = Written::Stanza(Arc::clone(stanza), to, due);
        Self { what, at }
    }

    fn size(&self) -> usize {
        size_of::<Self>()
            + match &self.what {
                Written::Stanza(stanza, ..) => stanza.size(),
                Written::Stored(xml, _) => xml.len(),
            }
    }

    /// Appends it, to the byte as it was or is to be written for the first time.
    fn write(&self, out: &mut Vec<u8>) {
        match &self.what {
            Written::Stanza(stanza, None, _) => stanza.write(out),
            Written::Stanza(stanza, Some(to), _) => stanza.write_to(Some(to), out),
            Written::Stored(xml, _) => out.extend_from_slice(xml),
        }
    }
}

/// More was acknowledged than was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooHigh {
    pub(crate) h: u32,
    /// So many were.
    pub(crate) sent: u32,
}

/// What an acknowledgement tells.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Acked {
    /// Numbers of what others have, too.
    pub(crate) shared: Vec<u64>,
    /// What was owed is there up to this key.
    pub(crate) upto: Option<i64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    /// How many are acknowledged.
    acked: u32,
    /// What was written and is not, in its order.
    written: VecDeque<Piece>,
    /// What waits for a connection behind that, if anything does.
    waiting: Option<Box<Latest<Piece>>>,
    /// Of both.
    bytes: usize,
    /// How many of these were owed.
    owed: usize,
    /// More than so many may not be unacknowledged without a request.
    ask_over: usize,
    request: Request,
    room: Room,
}

/// How many may be unacknowledged at all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Room {
    For(usize),
    #[default]
    None,
}

/// Whether the client is asked how many it has handled.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Request {
    #[default]
    None,
    /// Since then.
    Unanswered(Instant),
}

impl Outbound {
    /// Nothing was written yet. `most` stanzas may be unacknowledged, `ask_over` without that the client is asked.
    pub(crate) const fn new(most: usize, ask_over: usize) -> Self {
        Self {
            acked: 0,
            written: VecDeque::new(),
            waiting: None,
            bytes: 0,
            owed: 0,
            ask_over,
            request: Request::None,
            room: Room::For(most),
        }
    }

    /// A stanza was written.
    pub(crate) fn push(&mut self, piece: Piece) {
        self.count(&piece);
        self.written.push_back(piece);
    }

    /// A stanza waits for a connection. Presence that tells no more than this one goes, unless it was written.
    pub(crate) fn put_by(&mut self, piece: Piece) {
        self.count(&piece);
        let announces = match &piece.what {
            Written::Stanza(stanza, ..) => stanza.announces().cloned(),
            Written::Stored(..) => None,
        };
        let waiting = self.waiting.get_or_insert_default();
        if let Some(replaced) = waiting.push(piece, announces) {
            self.bytes = self.bytes.saturating_sub(replaced.size());
        }
    }

    fn count(&mut self, piece: &Piece) {
        self.bytes = self.bytes.saturating_add(piece.size());
        if let Written::Stored(_, Some(_)) = &piece.what {
            self.owed = self.owed.saturating_add(1);
        }
    }

    /// How much of a queue of so many bytes it fills: by its bytes, or by its number where that is more. Many short ones weigh as much as few
    /// long ones.
    pub(crate) fn weight(&self, queue: usize) -> usize {
        let by_number = match self.room {
            Room::For(most) => queue.saturating_mul(self.len()).checked_div(most),
            Room::None => None,
        };
        by_number.unwrap_or(usize::MAX).max(self.bytes)
    }

    /// Whether more is unacknowledged than may be of a session that is asleep.
    pub(crate) fn is_full(&self) -> bool {
        match self.room {
            Room::For(most) => self.len() > most || self.bytes > SM_QUEUE_BYTES,
            Room::None => true,
        }
    }

    /// No more is to be held.
    pub(crate) const fn overflow(&mut self) {
        self.room = Room::None;
    }

    /// Whether something waits for a connection.
    pub(crate) const fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// How many stanzas it holds.
    pub(crate) fn len(&self) -> usize {
        let waiting = self.waiting.as_ref();
        self.written.len() + waiting.map_or(0, |waiting| waiting.len())
    }

    /// About how many bytes they keep alive.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether something of what was owed is not acknowledged.
    pub(crate) const fn has_owed(&self) -> bool {
        self.owed > 0
    }

    /// From now on, so many may be unacknowledged without a request.
    pub(crate) const fn set_ask_over(&mut self, ask_over: usize) {
        self.ask_over = ask_over;
    }

    /// Whether the client is to be asked now; it is then. What was owed is always asked about: all else waits behind it.
    pub(crate) fn asks(&mut self, now: Instant) -> bool {
        (self.written.len() > self.ask_over || self.owed > 0) && self.ask(now)
    }

    /// The client is asked, whatever there is to be acknowledged; `false` if it is already.
    pub(crate) fn ask(&mut self, now: Instant) -> bool {
        match self.request {
            Request::Unanswered(_) => false,
            Request::None => {
                self.request = Request::Unanswered(now);
                true
            }
        }
    }

    /// Since when a request waits for its answer.
    pub(crate) const fn asked_since(&self) -> Option<Instant> {
        match self.request {
            Request::Unanswered(since) => Some(since),
            Request::None => None,
        }
    }

    /// How many were written: what an acknowledgement may cover.
    fn sent(&self) -> u32 {
        let written = u32::try_from(self.written.len()).unwrap_or(u32::MAX);
        self.acked.wrapping_add(written)
    }

    /// The client has handled so many (§4). One that is lower than the last is late, and says nothing.
    ///
    /// # Errors
    /// It cannot have: there were not so many.
    pub(crate) fn ack(&mut self, h: u32) -> Result<Acked, TooHigh> {
        self.request = Request::None;
        let handled = h.wrapping_sub(self.acked);
        let count = usize::try_from(handled).unwrap_or(usize::MAX);
        if count > self.written.len() {
            // Counters wrap: half of them is behind us.
            let is_late = handled > u32::MAX / 2;
            let sent = self.sent();
            return match is_late {
                true => Ok(Acked::default()),
                false => Err(TooHigh { h, sent }),
            };
        }
        let mut acked = Acked::default();
        for piece in self.written.drain(..count) {
            self.bytes = self.bytes.saturating_sub(piece.size());
            match piece.what {
                Written::Stanza(_, _, Due::Shared(number)) => acked.shared.push(number),
                Written::Stanza(_, _, Due::Alone | Due::Nothing) | Written::Stored(_, None) => {}
                Written::Stored(_, Some(key)) => {
                    self.owed = self.owed.saturating_sub(1);
                    acked.upto = Some(key);
                }
            }
        }
        self.acked = h;
        if self.written.is_empty() {
            // An idle session keeps no room for what it may be told.
            self.written = VecDeque::new();
        }
        Ok(acked)
    }

    /// Its connection is lost: a request cannot be answered any more.
    pub(crate) const fn lose(&mut self) {
        self.request = Request::None;
    }

    /// A new connection: all that is not acknowledged, once more.
    pub(crate) fn resend(&mut self, out: &mut Vec<u8>) {
        self.join();
        for piece in &self.written {
            piece.write(out);
        }
    }

    /// It is over: what was never acknowledged, in its order.
    pub(crate) fn into_pieces(mut self) -> VecDeque<Piece> {
        self.join();
        self.written
    }

    /// What waits is as what was written, behind it.
    fn join(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.written.extend(waiting.into_values());
        }
    }
}

#[cfg(test)]
#[path = "outbound/tests.rs"]
mod tests;
