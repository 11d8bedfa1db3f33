//! Which thread serves which batch, and when: queues and the order of each owner, without threads.
//!
//! An owner with anything unanswered is either reading or writing. While it writes, all its batches go to the writer, in
//! order. While it reads, reads go to its one reader; the first write, and whatever follows it, is parked until those reads
//! are answered. So the batches of one owner take effect and are answered in the order submitted, and no owner waits for
//! another's reads.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use spondee_core::jid::BareJid;
use spondee_core::port::Ticket;
use spondee_core::store::{Batch, Op, StoreError};

use crate::limits::{STORE_GROUP_BATCHES, STORE_QUEUE_BATCHES, STORE_QUEUE_BYTES};
use crate::mailbox::Mailbox;

/// A batch and where its answer goes.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) mailbox: Arc<dyn Mailbox>,
    pub(super) ticket: Ticket,
    pub(super) batch: Batch,
}

/// A storage thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Server {
    Writer,
    Reader(usize),
}

/// All that is submitted and not yet answered.
#[derive(Debug)]
pub(super) struct Lanes {
    phase: Phase,
    batches: usize,
    bytes: usize,
    writer: VecDeque<Job>,
    readers: Vec<VecDeque<Job>>,
    owners: HashMap<BareJid, Lane>,
    /// Keyed at random: nobody outside can crowd one reader with chosen names.
    shards: RandomState,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Running,
    Stopping,
}

/// One owner's unanswered batches.
#[derive(Debug)]
enum Lane {
    /// So many with its reader; behind them, jobs for the writer.
    Reading { reads: usize, parked: Vec<Job> },
    /// So many with the writer.
    Writing(usize),
}

impl Lanes {
    /// For one writer and so many readers, none included.
    pub(super) fn new(readers: usize) -> Self {
        Self {
            phase: Phase::Running,
            batches: 0,
            bytes: 0,
            writer: VecDeque::new(),
            readers: (0..readers).map(|_| VecDeque::new()).collect(),
            owners: HashMap::new(),
            shards: RandomState::new(),
        }
    }

    /// Queues a job and tells whose queue grew, if it can be served now.
    pub(super) fn submit(&mut self, job: Job) -> Result<Option<Server>, StoreError> {
        let bytes = weight(&job.batch);
        // One batch alone is always taken: a bound must not make it impossible.
        let full = self.batches >= STORE_QUEUE_BATCHES
            || (self.batches > 0 && self.bytes.saturating_add(bytes) > STORE_QUEUE_BYTES);
        if full || self.phase == Phase::Stopping {
            return Err(StoreError::Busy);
        }
        self.batches += 1;
        self.bytes += bytes;
        let reader = self.reader_for(&job.batch);
        let owner = job.batch.owner.clone();
        Ok(match (self.owners.get_mut(&owner), reader) {
            (Some(Lane::Reading { reads, parked }), Some(reader)) if parked.is_empty() => {
                *reads += 1;
                self.push(Server::Reader(reader), job)
            }
            (Some(Lane::Reading { parked, .. }), _) => {
                parked.push(job);
                None
            }
            (Some(Lane::Writing(writes)), _) => {
                *writes += 1;
                self.push(Server::Writer, job)
            }
            (None, Some(reader)) => {
                let lane = Lane::Reading {
                    reads: 1,
                    parked: Vec::new(),
                };
                self.owners.insert(owner, lane);
                self.push(Server::Reader(reader), job)
            }
            (None, None) => {
                self.owners.insert(owner, Lane::Writing(1));
                self.push(Server::Writer, job)
            }
        })
    }

    /// All that waits for this thread, up to one group.
    pub(super) fn take(&mut self, server: Server) -> Vec<Job> {
        let Some(queue) = self.queue(server) else {
            return Vec::new();
        };
        let group = queue.len().min(STORE_GROUP_BATCHES);
        let jobs = queue.drain(..group).collect();
        if queue.is_empty() {
            queue.shrink_to(STORE_GROUP_BATCHES);
        }
        jobs
    }

    /// These batches, taken by `server`, have been answered. Tells whether the writer has more to do now.
    pub(super) fn answered(&mut self, server: Server, batches: &[Batch]) -> Option<Server> {
        let queued = self.writer.len();
        for batch in batches {
            self.batches = self.batches.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(weight(batch));
            self.step(server, &batch.owner);
        }
        (self.writer.len() > queued).then_some(Server::Writer)
    }

    /// Refuses what comes from now on.
    pub(super) const fn stop(&mut self) {
        self.phase = Phase::Stopping;
    }

    /// Whether nothing is left and nothing will come.
    pub(super) fn is_finished(&self) -> bool {
        self.phase == Phase::Stopping && self.batches == 0
    }

    /// The reader that may serve this batch. A list of owners goes to the writer: it must see what other owners' batches
    /// wrote that were submitted before.
    fn reader_for(&self, batch: &Batch) -> Option<usize> {
        let lists = |op: &Op| matches!(op, Op::Owners { .. });
        if !batch.is_read_only() || batch.ops.iter().any(lists) {
            return None;
        }
        let readers = u64::try_from(self.readers.len()).ok()?;
        let shard = self.shards.hash_one(&batch.owner).checked_rem(readers)?;
        usize::try_from(shard).ok()
    }

    fn queue(&mut self, server: Server) -> Option<&mut VecDeque<Job>> {
        match server {
            Server::Writer => Some(&mut self.writer),
            Server::Reader(reader) => self.readers.get_mut(reader),
        }
    }

    fn push(&mut self, server: Server, job: Job) -> Option<Server> {
        self.queue(server)?.push_back(job);
        Some(server)
    }

    /// One batch of this owner less.
    fn step(&mut self, server: Server, owner: &BareJid) {
        let Some(lane) = self.owners.get_mut(owner) else {
            return;
        };
        match (lane, server) {
            (Lane::Reading { reads, parked }, Server::Reader(_)) => {
                *reads = reads.saturating_sub(1);
                if *reads > 0 {
                    return;
                }
                let parked = std::mem::take(parked);
                if parked.is_empty() {
                    self.owners.remove(owner);
                } else {
                    self.owners
                        .insert(owner.clone(), Lane::Writing(parked.len()));
                    self.writer.extend(parked);
                }
            }
            (Lane::Writing(writes), Server::Writer) => {
                *writes = writes.saturating_sub(1);
                if *writes == 0 {
                    self.owners.remove(owner);
                }
            }
            (Lane::Reading { .. }, Server::Writer) | (Lane::Writing(_), Server::Reader(_)) => {
                debug_assert!(false, "an owner is served by one thread at a time");
            }
        }
    }
}

/// About how many bytes a batch holds.
fn weight(batch: &Batch) -> usize {
    let ops = batch.ops.iter().map(|op| {
        size_of::<Op>()
            + match op {
                Op::Delete { key, .. } | Op::Get { key, .. } => key.len(),
                Op::List { after, .. } => after.len(),
                Op::Owners { .. } | Op::Purge => 0,
                Op::Put { key, value, .. } => key.len() + value.len(),
            }
    });
    ops.sum::<usize>() + size_of::<Job>()
}
