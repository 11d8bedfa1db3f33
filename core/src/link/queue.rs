//! What waits for a way to a remote domain, and what is on one and not confirmed.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::envelope::Receipt;
use crate::jid::Jid;
use crate::limits::{S2S_PRESENCE_LOOKED_BACK, S2S_QUEUE_BYTES, S2S_QUEUES_BYTES};
use crate::planted::{Fault, is_planted};
use crate::stanza::Stanza;
use crate::time::Instant;

/// One stanza for a remote domain.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    pub(crate) stanza: Arc<Stanza>,
    /// To whom, if the stanza does not say so itself.
    pub(crate) to: Option<Jid>,
    pub(crate) receipt: Option<Receipt>,
    pub(crate) urgency: Urgency,
    /// When its author is told that it could not be sent.
    pub(crate) gives_up: Instant,
}

/// Who waits for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Urgency {
    /// Its author, who is told if it cannot be sent.
    Directed,
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
    sent: VecDeque<Queued>,
    waiting: VecDeque<Queued>,
    /// Of both.
    bytes: usize,
    /// Nobody's patience ends before.
    soonest: Option<Instant>,
}

impl Queued {
    fn size(&self) -> usize {
        size_of::<Self>() + self.stanza.size()
    }

    /// Appends it, as it goes to the other server.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match &self.to {
            Some(to) => self.stanza.write_to(Some(to), out),
            None => self.stanza.write(out),
        }
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
    pub(crate) const fn new(total: Total) -> Self {
        Self {
            total,
            sent: VecDeque::new(),
            waiting: VecDeque::new(),
            bytes: 0,
            soonest: None,
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
    pub(crate) fn push(&mut self, queued: Queued, most: usize) -> Result<(), Box<Full>> {
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
        let soonest = self.soonest.unwrap_or(queued.gives_up);
        self.soonest = Some(soonest.min(queued.gives_up));
        self.waiting.push_back(queued);
        Ok(())
    }

    /// Of availability that the server tells the last is enough, at its own place: in that of the earlier one it would overtake messages.
    fn replace_by(&mut self, queued: &Queued) {
        if queued.urgency == Urgency::Directed {
            return;
        }
        let from = self.waiting.len().saturating_sub(S2S_PRESENCE_LOOKED_BACK);
        let mut recent = self.waiting.range(from..);
        let Some(at) = recent.position(|earlier| queued.replaces(earlier)) else {
            return;
        };
        if let Some(earlier) = self.waiting.remove(from.saturating_add(at)) {
            self.shrink(earlier.size());
        }
    }

    /// The first that waits is written now.
    pub(crate) fn send(&mut self) -> Option<&Queued> {
        let queued = self.waiting.pop_front()?;
        self.sent.push_back(queued);
        self.sent.back()
    }

    /// The last that was to be written is not.
    pub(crate) fn take_back(&mut self) -> Option<Queued> {
        let queued = self.sent.pop_back()?;
        self.shrink(queued.size());
        Some(queued)
    }

    /// The first of those that were written is there.
    pub(crate) fn confirm(&mut self) -> Option<Queued> {
        let queued = self.sent.pop_front()?;
        self.shrink(queued.size());
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

    /// All of them.
    pub(crate) fn take(&mut self) -> VecDeque<Queued> {
        self.lose();
        self.shrink(self.bytes);
        self.soonest = None;
        core::mem::take(&mut self.waiting)
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
                self.shrink(queued.size());
                expired.push(queued);
                continue;
            }
            let soonest = self.soonest.unwrap_or(queued.gives_up);
            self.soonest = Some(soonest.min(queued.gives_up));
            self.waiting.push_back(queued);
        }
        expired
    }

    /// When somebody's patience may be over.
    pub(crate) const fn gives_up(&self) -> Option<Instant> {
        self.soonest
    }

    /// Whether something waits to be written.
    pub(crate) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many are written and not confirmed.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.sent.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty()
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
