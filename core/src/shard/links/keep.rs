//! What waits for other servers goes to the disk, and from it once it is there (`link/kept.rs`, `link/disk.rs`).

use alloc::boxed::Box;

use crate::jid::{BareJid, Domain};
use crate::link::RemoteKey;
use crate::port::{LinkFailure, Note, QueueTrouble, Unreached};
use crate::shard::Shard;
use crate::store::{Batch, Class, Op, StoreError};
use crate::time::Now;
use crate::wait::{LinkKept, Wait};

impl Shard {
    /// Writes what is to be written of a pair's queue by now.
    pub(super) fn keep_queue(&mut self, now: Now, key: RemoteKey, ours: &Domain) {
        let is_spent = self.credit.is_spent() && !self.is_stopping();
        let Some(remote) = self.links.remotes.get_mut(key) else {
            return;
        };
        let Some(pair) = remote.pairs.get_mut(ours) else {
            return;
        };
        let pace = pair.pace();
        let next = pair.queue.next_write(pace);
        if next.is_none_or(|next| next > now.mono) {
            return;
        }
        if is_spent {
            return pair.queue.writes_later(now.mono);
        }
        if let Some((ops, written)) = pair.queue.take_writes(now, pace, &remote.domain) {
            let kept = LinkKept {
                key,
                ours: ours.clone(),
                written,
            };
            self.store_link(ours, Class::Change, ops, Wait::LinkKept(Box::new(kept)));
        }
    }

    /// Asks the store something about what one of our domains has for others.
    pub(super) fn store_link(
        &mut self,
        ours: &Domain,
        class: Class,
        ops: alloc::vec::Vec<Op>,
        wait: Wait,
    ) {
        let batch = Batch {
            owner: BareJid::of_domain(ours),
            tenure: 0,
            class,
            ops,
        };
        self.store(batch, wait);
    }

    /// For the log.
    pub(super) fn note_queue(&mut self, key: RemoteKey, ours: &Domain, trouble: QueueTrouble) {
        if let Some(remote) = self.links.remotes.get(key) {
            self.fx.note(Note::LinkQueue {
                ours: ours.clone(),
                theirs: remote.domain.clone(),
                trouble,
            });
        }
    }

    /// The store has answered.
    pub(in crate::shard) fn link_kept(
        &mut self,
        now: Now,
        kept: &LinkKept,
        outcome: Result<(), StoreError>,
    ) {
        let LinkKept { key, ours, written } = kept;
        let is_stopping = self.is_stopping();
        let Some(pair) = self.pair(*key, ours) else {
            return;
        };
        let heard = pair.queue.written(now.mono, written, outcome);
        let returned = match (is_stopping, outcome) {
            (false, _) => Default::default(),
            (true, Ok(())) => {
                pair.queue.forget_kept();
                Default::default()
            }
            // There is no other time.
            (true, Err(_)) => pair.queue.take(),
        };
        self.all_handled(heard);
        if outcome.is_err() {
            self.note_queue(*key, ours, QueueTrouble::Unkept(written.len()));
        }
        for queued in returned {
            self.bounce(&queued, &LinkFailure::Unreached(Unreached::Stopped, None));
        }
        self.tend(now, *key, ours);
    }
}
