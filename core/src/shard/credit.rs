//! What a shard may have with the store at a time. Who has none left says so before anything is done; who has less than half reads its
//! clients no more until there is.

use alloc::collections::BTreeSet;

use super::Shard;
use crate::limits::StoreCredit;
use crate::port::ConnId;
use crate::store::Batch;
use crate::time::Now;

/// See the module.
#[derive(Debug)]
pub(super) struct Credit {
    batches: usize,
    bytes: usize,
    all: StoreCredit,
    /// Connections that are not read for want of credit.
    paused: BTreeSet<ConnId>,
}

impl Credit {
    /// The equal share of one of so many shards.
    pub(super) fn new(shards: u16) -> Self {
        Self {
            batches: 0,
            bytes: 0,
            all: StoreCredit::of_one(shards),
            paused: BTreeSet::new(),
        }
    }

    /// Another credit than the share of one shard, so that it matters.
    #[cfg(any(test, feature = "testing"))]
    pub(super) const fn narrow(&mut self, all: StoreCredit) {
        self.all = all;
    }

    /// Takes credit for a batch; returns how many bytes to give back.
    pub(super) fn take(&mut self, batch: &Batch) -> usize {
        let bytes = batch.weight();
        self.batches = self.batches.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        bytes
    }

    /// The store has answered a batch of so many bytes.
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.batches = self.batches.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Messages of so many bytes wait for others before they go to the store: until then they count like what is there.
    pub(super) const fn put_by(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// They go there, and take credit of their own.
    pub(super) const fn take_up(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    pub(super) const fn is_spent(&self) -> bool {
        self.batches >= self.all.batches || self.bytes >= self.all.bytes
    }

    /// Whether more than half is used.
    pub(super) const fn is_low(&self) -> bool {
        self.batches > self.all.batches / 2 || self.bytes > self.all.bytes / 2
    }

    /// How many batches are with the store.
    pub(super) const fn used(&self) -> usize {
        self.batches
    }

    pub(super) fn pause(&mut self, conn: ConnId) {
        self.paused.insert(conn);
    }

    pub(super) fn forget(&mut self, conn: ConnId) {
        if !self.paused.is_empty() {
            self.paused.remove(&conn);
        }
    }
}

impl Shard {
    /// Reads those again that waited for credit, as long as there is enough.
    pub(super) fn spend(&mut self, now: Now) {
        while !self.credit.is_low()
            && let Some(conn) = self.credit.paused.pop_first()
        {
            self.proceed(now, conn);
        }
    }
}
