//! The ways between threads: a bounded lane for each pair of shards, first in, first out, and an inbox with a waker for each.
//!
//! What a lane has no room for waits on the sender's side. The cores see to it that this is little: they count what is on its way, and
//! have those wait who feed a way that is full (`limits::WAY_BYTES` of the core). A thread
//! that is awake is never woken, a sleeping one once. `M` is a connection as the shell moves it.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::limits::shell::{ENVELOPE_COST, LANE_BYTES, TURN_BYTES};
use crate::mailbox::{Letter, Mailbox};
use crate::tls::TlsHosts;
use spondee_core::config::Config;
use spondee_core::envelope::{Envelope, Place};

/// What travels between shards.
#[derive(Debug)]
pub enum Parcel<M> {
    /// From core to core.
    Envelope(Box<Envelope>),
    /// A connection on its way to its account's shard.
    Moved(Box<M>),
}

/// A parcel with what it counts in a lane.
#[derive(Debug)]
struct Load<M> {
    parcel: Parcel<M>,
    bytes: usize,
}

impl<M> Load<M> {
    fn new(parcel: Parcel<M>) -> Self {
        let bytes = match &parcel {
            Parcel::Envelope(envelope) => ENVELOPE_COST + envelope.body.weight(),
            // A pump, a stream and what was not written yet.
            Parcel::Moved(_) => 16 * ENVELOPE_COST,
        };
        Self { parcel, bytes }
    }
}

/// What the main thread tells a shard's thread.
#[derive(Clone, Debug)]
pub enum Order {
    /// A new configuration, and certificates for new connections.
    Reload(Arc<Config>, Arc<TlsHosts>),
    /// Close every stream; accept nobody.
    Shutdown,
    /// End the thread.
    Stop,
}

/// One piece of an inbox that comes from no shard.
#[derive(Debug)]
pub enum Mail {
    /// An answer or a command.
    Letter(Letter),
    /// From the main thread.
    Order(Order),
}

/// Where everything for one thread arrives.
#[derive(Debug)]
pub struct Inbox<M> {
    state: AtomicU8,
    waker: Waker,
    wakes: AtomicU64,
    mail: Mutex<Vec<Mail>>,
    /// By sending shard.
    lanes: Vec<Mutex<Lane<M>>>,
}

/// The thread sleeps, or is about to: ring to be heard.
const ASLEEP: u8 = 0;
/// The thread is in a turn and will look before it sleeps.
const AWAKE: u8 = 1;
/// Something came since the thread last looked.
const RUNG: u8 = 2;

impl<M> Inbox<M> {
    /// The inbox of the thread that `waker` wakes, in a mesh of `shards`.
    #[must_use]
    pub fn new(waker: Waker, shards: usize) -> Self {
        Self {
            state: AtomicU8::new(RUNG),
            waker,
            wakes: AtomicU64::new(0),
            mail: Mutex::default(),
            lanes: (0..shards).map(|_| Mutex::new(Lane::new())).collect(),
        }
    }

    /// Posts an order.
    pub fn order(&self, order: Order) {
        locked(&self.mail).push(Mail::Order(order));
        self.ring();
    }

    /// Called before waiting: `false` if something came, so that there is no waiting. From `true` on, senders wake.
    #[must_use]
    pub fn may_sleep(&self) -> bool {
        self.state
            .compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Called after waiting: whether something came.
    #[must_use]
    pub fn wake_up(&self) -> bool {
        self.state.swap(AWAKE, Ordering::AcqRel) == RUNG
    }

    /// Letters and orders in the order they came.
    #[must_use]
    pub fn take_mail(&self) -> Vec<Mail> {
        std::mem::take(&mut locked(&self.mail))
    }

    /// How often the thread was woken.
    #[must_use]
    pub fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Relaxed)
    }

    fn ring(&self) {
        if self.state.swap(RUNG, Ordering::AcqRel) == ASLEEP {
            self.wakes.fetch_add(1, Ordering::Relaxed);
            self.waker.wake_by_ref();
        }
    }
}

impl<M: Debug + Send> Mailbox for Inbox<M> {
    fn post(&self, letters: Vec<Letter>) {
        if letters.is_empty() {
            return;
        }
        locked(&self.mail).extend(letters.into_iter().map(Mail::Letter));
        self.ring();
    }
}

/// What is on the way from one shard to another.
#[derive(Debug)]
struct Lane<M> {
    parcels: VecDeque<Load<M>>,
    bytes: usize,
    sender: Sender,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Sender {
    /// Has nothing left to send.
    #[default]
    Content,
    /// Has more than fits and is to be rung when half of the lane is free.
    Waiting,
}

/// Whether a lane has more than what was taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Left {
    Nothing,
    Some,
}

/// One thread's end of the mesh.
#[derive(Debug)]
pub struct Mesh<M> {
    own: Place,
    inboxes: Arc<[Arc<Inbox<M>>]>,
    /// What waits here, by receiving shard.
    outboxes: Vec<Outbox<M>>,
    /// See `sent`.
    sent: u64,
}

#[derive(Debug)]
struct Outbox<M> {
    parcels: VecDeque<Load<M>>,
    bytes: usize,
}

/// What one dispatch did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Dispatched {
    /// Parcels put on their way.
    pub parcels: usize,
    /// Shards they went to.
    pub batches: usize,
}

impl<M> Mesh<M> {
    /// The end of shard `own` in the mesh of `inboxes`.
    #[must_use]
    pub fn new(own: Place, inboxes: Arc<[Arc<Inbox<M>>]>) -> Self {
        Self {
            own,
            outboxes: inboxes.iter().map(|_| Outbox::new()).collect(),
            inboxes,
            sent: 0,
        }
    }

    /// This thread's inbox.
    #[must_use]
    pub fn inbox(&self) -> &Arc<Inbox<M>> {
        &self.inboxes[usize::from(self.own.shard)]
    }

    /// Queues an envelope for the next dispatch. Its core counts it.
    ///
    /// # Errors
    /// Gives it back if there is no such shard.
    pub fn send(&mut self, envelope: Box<Envelope>) -> Result<(), Box<Envelope>> {
        let Some(index) = self.index(envelope.to) else {
            return Err(envelope);
        };
        self.outboxes[index].push(Parcel::Envelope(envelope));
        self.sent = self.sent.wrapping_add(1);
        Ok(())
    }

    /// Whether a connection sent now would leave with the next dispatch. If not, this thread is rung when there is room.
    #[must_use]
    pub fn has_room(&self, to: Place) -> bool {
        let Some(index) = self.index(to) else {
            return false;
        };
        let mut lane = locked(&self.inboxes[index].lanes[usize::from(self.own.shard)]);
        let room = lane.bytes + self.outboxes[index].bytes < LANE_BYTES;
        if !room {
            lane.sender = Sender::Waiting;
        }
        room
    }

    /// Queues a connection for the next dispatch, after `has_room` said yes.
    pub fn hand_off(&mut self, to: Place, moved: Box<M>) {
        match self.index(to) {
            Some(index) => {
                self.outboxes[index].push(Parcel::Moved(moved));
                self.sent = self.sent.wrapping_add(1);
            }
            // `has_room` would have said no; dropping it closes the socket.
            None => tracing::error!("a connection was to move to {to:?}, which does not exist"),
        }
    }

    /// How many parcels were queued so far.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Puts on the way what there is room for: for each shard one batch and at most one wake.
    pub fn dispatch(&mut self) -> Dispatched {
        let mut done = Dispatched::default();
        for index in 0..self.outboxes.len() {
            if self.outboxes[index].parcels.is_empty() {
                continue;
            }
            let outbox = &mut self.outboxes[index];
            let mut lane = locked(&self.inboxes[index].lanes[usize::from(self.own.shard)]);
            let sent = outbox.empty_into(&mut lane);
            drop(lane);
            if sent > 0 {
                done.parcels += sent;
                done.batches += 1;
                self.inboxes[index].ring();
            }
        }
        done
    }

    /// Whether more waits here than the ways can take. This thread is rung when there is room.
    #[cfg(test)]
    fn is_congested(&self) -> bool {
        self.outboxes
            .iter()
            .any(|outbox| !outbox.parcels.is_empty())
    }

    /// What came from the other shards, about `TURN_BYTES` from each, and rings those that wait for room. If anything is left, this thread does
    /// not sleep before it has collected again.
    #[must_use]
    pub fn collect(&self) -> Vec<Parcel<M>> {
        let mut parcels = Vec::new();
        for (from, lane) in self.inbox().lanes.iter().enumerate() {
            let mut lane = locked(lane);
            let left = lane.take_turn(&mut parcels);
            let ring = lane.sender == Sender::Waiting && lane.bytes <= LANE_BYTES / 2;
            if ring {
                lane.sender = Sender::Content;
            }
            drop(lane);
            if left == Left::Some {
                self.inbox().state.store(RUNG, Ordering::Release);
            }
            if ring {
                self.inboxes[from].ring();
            }
        }
        parcels
    }

    fn index(&self, place: Place) -> Option<usize> {
        let index = usize::from(place.shard);
        (place.node == self.own.node && index < self.inboxes.len()).then_some(index)
    }
}

impl<M> Lane<M> {
    const fn new() -> Self {
        Self {
            parcels: VecDeque::new(),
            bytes: 0,
            sender: Sender::Content,
        }
    }

    /// Takes one turn's share. More would overrun those it is for before anything could be written to them.
    fn take_turn(&mut self, parcels: &mut Vec<Parcel<M>>) -> Left {
        let mut taken = 0;
        while taken < TURN_BYTES
            && let Some(Load { parcel, bytes }) = self.parcels.pop_front()
        {
            taken += bytes;
            parcels.push(parcel);
        }
        self.bytes = self.bytes.saturating_sub(taken);
        if !self.parcels.is_empty() {
            return Left::Some;
        }
        // A burst should not keep its memory.
        if self.parcels.capacity() > 1024 {
            self.parcels = VecDeque::new();
        }
        Left::Nothing
    }
}

impl<M> Outbox<M> {
    const fn new() -> Self {
        Self {
            parcels: VecDeque::new(),
            bytes: 0,
        }
    }

    fn push(&mut self, parcel: Parcel<M>) {
        let load = Load::new(parcel);
        self.bytes += load.bytes;
        self.parcels.push_back(load);
    }

    /// Moves what fits; returns how many parcels that were.
    fn empty_into(&mut self, lane: &mut Lane<M>) -> usize {
        let mut sent = 0;
        while lane.bytes < LANE_BYTES
            && let Some(load) = self.parcels.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(load.bytes);
            lane.bytes += load.bytes;
            lane.parcels.push_back(load);
            sent += 1;
        }
        if self.parcels.is_empty() {
            *self = Self::new();
        } else {
            lane.sender = Sender::Waiting;
        }
        sent
    }
}

/// A thread that panics ends the process, so what it left behind is never looked at for long.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
