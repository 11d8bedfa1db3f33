//! What waits for a way to a remote domain, and what is on one and not confirmed.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::Kept;
use super::disk::{Disk, Tail};
use crate::envelope::Receipt;
use crate::jid::Jid;
use crate::limits::{
    S2S_DELAYED, S2S_PRESENCE_LOOKED_BACK, S2S_QUEUE_BYTES, S2S_QUEUES_BYTES, S2S_REQUEST_PATIENCE,
};
use crate::planted::{Fault, is_planted};
use crate::stanza::{Kind, Stanza, delay as write_delay};
use crate::time::{Instant, Now};
use crate::xml::Ns;

/// One stanza for a remote domain.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    pub(crate) stanza: Arc<Stanza>,
    /// To whom, if the stanza does not say so itself.
    pub(crate) to: Option<Jid>,
    pub(crate) receipt: Option<Receipt>,
    pub(crate) urgency: Urgency,
    /// When it was said, in microseconds since 1970-01-01T00:00:00Z, or one more than the one before it where that is no more: its place in the
    /// queue, also on disk.
    pub(crate) at: i64,
    /// The same by the other clock, or since when it is in memory.
    pub(crate) since: Instant,
    /// When its author is told that it could not be sent.
    pub(crate) gives_up: Instant,
    pub(crate) kept: Kept,
}

/// Who waits for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Urgency {
    /// Its author, who is told if it cannot be sent.
    Directed,
    /// The same, but the author was cut off when the server ended, and is told no sooner than it can be back.
    Kept,
    /// Nobody: the server tells it to many, and a later one takes its place.
    FanOut,
}

/// There is no room for it.
#[derive(Debug)]
pub(crate) struct Full(pub(crate) Queued);

/// Bytes of all queues of a shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Total(Arc<AtomicUsize>);

impl Total {
    /// About how many there are.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn take(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// See the module. First in, first out.
#[derive(Debug)]
pub(crate) struct Queue {
    total: Total,
    /// Written to a stream, and not confirmed.
    pub(super) sent: VecDeque<Queued>,
    pub(super) waiting: VecDeque<Queued>,
    /// Of both.
    bytes: usize,
    /// Nobody's patience ends before.
    soonest: Option<Instant>,
    /// What of it is on disk.
    pub(super) disk: Disk,
}

impl Queued {
    fn size(&self) -> usize {
        size_of::<Self>() + self.stanza.size()
    }

    /// Appends it, as it is kept.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.stanza.write_to(self.to(), out);
    }

    /// Appends it, as it goes to the other server: a message that has waited says so (XEP-0203 §3).
    pub(crate) fn send(&self, now: Now, out: &mut Vec<u8>) {
        let waited = now.wall.0.saturating_mul(1000).saturating_sub(self.at);
        let from = self.stanza.from().map(Jid::domain);
        let is_late = waited > S2S_DELAYED && matches!(self.stanza.kind(), Kind::Message(_));
        let says = |child: &crate::xml::Node<'_>| {
            child.is(Ns::Delay, "delay") && child.attribute("from").as_deref() == from
        };
        if !is_late || self.stanza.children().any(|child| says(&child)) {
            return self.write(out);
        }
        let mut delay = Vec::with_capacity(128);
        write_delay(&mut delay, from, self.at);
        self.stanza.with(&delay).write_to(self.to(), out);
    }

    /// Whether it is longer than so many bytes, as it goes to the other server; about.
    pub(crate) fn is_over(&self, max: u32) -> bool {
        let addresses = [self.stanza.from(), self.to()];
        let addresses: usize = addresses
            .iter()
            .flatten()
            .map(|jid| jid.as_str().len())
            .sum();
        let most = usize::try_from(max).unwrap_or(usize::MAX);
        self.stanza.size().saturating_add(addresses) > most
    }

    /// Whom it is for.
    pub(crate) fn to(&self) -> Option<&Jid> {
        self.to.as_ref().or_else(|| self.stanza.to())
    }

    /// Whether it tells the same of the same to the same.
    fn replaces(&self, earlier: &Self) -> bool {
        self.urgency == Urgency::FanOut
            && earlier.urgency == Urgency::FanOut
            && self.stanza.announces().is_some()
            && self.stanza.announces() == earlier.stanza.announces()
            && self.to() == earlier.to()
    }
}

impl Queue {
    pub(crate) fn new(total: Total, tail: Tail) -> Self {
        Self {
            total,
            sent: VecDeque::new(),
            waiting: VecDeque::new(),
            bytes: 0,
            soonest: None,
            disk: Disk::new(tail),
        }
    }

    fn grow(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.total.add(bytes);
    }

    fn shrink(&mut self, bytes: usize) {
        // Never more than was added.
        let bytes = bytes.min(self.bytes);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.total.take(bytes);
    }

    /// One more, behind all others.
    pub(crate) fn push(&mut self, mut queued: Queued, most: usize) -> Result<(), Box<Full>> {
        let size = queued.size();
        let is_over = |bytes: usize, most: usize| bytes.saturating_add(size) > most;
        if self.len() >= most
            || is_over(self.bytes, S2S_QUEUE_BYTES)
            || is_over(self.total.bytes(), S2S_QUEUES_BYTES)
        {
            return Err(Box::new(Full(queued)));
        }
        self.replace_by(&queued);
        self.grow(size);
        self.is_awaited_until(queued.gives_up);
        queued.at = self.disk.place_of(queued.at);
        self.disk.comes(&queued);
        self.waiting.push_back(queued);
        Ok(())
    }

    /// One that was kept, behind those that were and before those that came since. No bound holds it up: all that is kept was in some memory.
    pub(super) fn put_back(&mut self, queued: Queued) {
        self.grow(queued.size());
        self.is_awaited_until(queued.gives_up);
        let behind = self.waiting.partition_point(|of| of.kept == Kept::Yes);
        self.waiting.insert(behind, queued);
    }

    fn is_awaited_until(&mut self, until: Instant) {
        let soonest = self.soonest.unwrap_or(until);
        self.soonest = Some(soonest.min(until));
    }

    /// Of availability that the server tells the last is enough, at its own place: in that of the earlier one it would overtake messages.
    fn replace_by(&mut self, queued: &Queued) {
        match queued.urgency {
            Urgency::Directed | Urgency::Kept => return,
            Urgency::FanOut => {}
        }
        let from = self.waiting.len().saturating_sub(S2S_PRESENCE_LOOKED_BACK);
        let mut recent = self.waiting.range(from..);
        let Some(at) = recent.position(|earlier| queued.replaces(earlier)) else {
            return;
        };
        if let Some(earlier) = self.waiting.remove(from.saturating_add(at)) {
            self.leaves(&earlier);
        }
    }

    /// The first that waits is written now.
    pub(crate) fn next_sent(&mut self) -> Option<&Queued> {
        let queued = self.waiting.pop_front()?;
        if is_planted(Fault::ForgottenEarly) {
            self.disk.leaves(&queued);
        }
        self.sent.push_back(queued);
        self.sent.back()
    }

    /// The last that was to be written is not.
    pub(crate) fn take_back(&mut self) -> Option<Queued> {
        let queued = self.sent.pop_back()?;
        self.leaves(&queued);
        Some(queued)
    }

    /// It is in the queue no more.
    fn leaves(&mut self, queued: &Queued) {
        self.forget(queued);
        self.disk.leaves(queued);
    }

    /// The same, and if it is on disk it stays there.
    pub(super) fn forget(&mut self, queued: &Queued) {
        self.shrink(queued.size());
    }

    /// The first of those that were written is there.
    pub(crate) fn confirm(&mut self) -> Option<Queued> {
        let queued = self.sent.pop_front()?;
        self.leaves(&queued);
        Some(queued)
    }

    /// The stream is lost: what is not confirmed stands at the head again. Says how many those are.
    pub(crate) fn lose(&mut self) -> usize {
        let lost = self.sent.len();
        if is_planted(Fault::ResentBehind) {
            self.waiting.extend(self.sent.drain(..));
        }
        if is_planted(Fault::NotResent) {
            self.sent.clear();
        }
        while let Some(queued) = self.sent.pop_back() {
            self.soonest = self.soonest.map(|soonest| soonest.min(queued.gives_up));
            self.waiting.push_front(queued);
        }
        lost
    }

    /// Those whose authors can hear that they come back. Others wait for that a little longer.
    pub(crate) fn take_for_good(&mut self) -> Vec<Queued> {
        self.lose();
        self.soonest = None;
        let mut back = Vec::new();
        for mut queued in core::mem::take(&mut self.waiting) {
            match queued.urgency {
                Urgency::Directed | Urgency::FanOut => {
                    self.leaves(&queued);
                    back.push(queued);
                }
                Urgency::Kept => {
                    let soon = queued.since + S2S_REQUEST_PATIENCE;
                    queued.gives_up = queued.gives_up.min(soon);
                    self.is_awaited_until(queued.gives_up);
                    self.waiting.push_back(queued);
                }
            }
        }
        back
    }

    /// All of them.
    pub(crate) fn take(&mut self) -> VecDeque<Queued> {
        self.lose();
        self.soonest = None;
        let all = core::mem::take(&mut self.waiting);
        for queued in &all {
            self.leaves(queued);
        }
        all
    }

    /// Those that wait and whose patience is over.
    pub(crate) fn expired(&mut self, now: Instant) -> Vec<Queued> {
        let mut expired = Vec::new();
        if self.soonest.is_none_or(|soonest| now < soonest) {
            return expired;
        }
        self.soonest = None;
        for queued in core::mem::take(&mut self.waiting) {
            if queued.gives_up <= now {
                self.leaves(&queued);
                expired.push(queued);
                continue;
            }
            self.is_awaited_until(queued.gives_up);
            self.waiting.push_back(queued);
        }
        expired
    }

    /// When somebody's patience may be over.
    pub(crate) const fn gives_up(&self) -> Option<Instant> {
        self.soonest
    }

    /// Whether something waits that can be written: not before what was kept is read, which goes first.
    pub(crate) fn waits(&self) -> bool {
        !self.waiting.is_empty() && self.disk.tail == Tail::Read
    }

    /// How many are written and not confirmed.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.sent.len()
    }

    /// Whether nothing of it needs to be known.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty() && self.disk.is_done()
    }

    /// In memory.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len().saturating_add(self.sent.len())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}
