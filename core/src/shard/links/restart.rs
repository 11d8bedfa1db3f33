//! After a start: what was kept for other servers is found, one domain after another, read and sent.
//!
//! Each shard looks through what each host has kept, and takes what is for domains that it owns. Until it has come to the end of that, a pair that
//! is new looks for itself, and what is said meanwhile goes behind what it finds.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use crate::due::Due;
use crate::jid::Domain;
use crate::limits::{S2S_KEPT_AGAIN, S2S_KEPT_PACE, S2S_KEPT_PAGE};
use crate::link::{NamedBy, RemoteKey, Tail, forget, next_remote, page, place_of, remote_of};
use crate::port::QueueTrouble;
use crate::shard::Shard;
use crate::store::{Class, Reply, Row, StoreError};
use crate::time::{Instant, Now};
use crate::wait::Wait;

/// How far it has come.
#[derive(Debug, Default)]
pub(super) struct Restart {
    /// Hosts whose queues are to be looked for, the one that is being looked at first.
    hosts: VecDeque<Domain>,
    /// The last that was found there.
    behind: Option<Row>,
}

impl Restart {
    /// What a pair of this domain of ours that is new may have on disk.
    pub(super) fn tail_of(&self, ours: &Domain) -> Tail {
        match self.hosts.contains(ours) {
            true => Tail::Unread(Instant::default()),
            false => Tail::Read,
        }
    }
}

impl Shard {
    /// The server starts.
    pub(in crate::shard) fn begin_links(&mut self) {
        self.links.restart.hosts = self.config.hosts.keys().cloned().collect();
        self.timers
            .set(Due::Kept, Instant::default(), Duration::ZERO);
    }

    /// These hosts are new: they may have been here before.
    pub(in crate::shard) fn look_for_kept_of(&mut self, now: Now, hosts: Vec<Domain>) {
        let is_at_rest = self.links.restart.hosts.is_empty();
        self.links.restart.hosts.extend(hosts);
        if is_at_rest && !self.links.restart.hosts.is_empty() {
            self.timers.set(Due::Kept, now.mono, Duration::ZERO);
        }
    }

    /// Looks for the next domain for which something was kept.
    pub(in crate::shard) fn look_for_kept(&mut self, now: Now) {
        if self.is_stopping() {
            return;
        }
        let Some(host) = self.links.restart.hosts.front().cloned() else {
            return;
        };
        if self.credit.is_spent() {
            return self.look_for_kept_in(now, S2S_KEPT_AGAIN);
        }
        let op = next_remote(self.links.restart.behind.as_ref());
        self.store_link(&host, Class::Upkeep, vec![op], Wait::LinkScan);
    }

    fn look_for_kept_in(&mut self, now: Now, pause: Duration) {
        self.timers.set(Due::Kept, now.mono, pause);
    }

    /// The store has answered that.
    pub(in crate::shard) fn link_found(
        &mut self,
        now: Now,
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        let Ok([Reply::Rows { rows, more: _ }]) = outcome.as_deref() else {
            return self.look_for_kept_in(now, S2S_KEPT_AGAIN);
        };
        let Some(row) = rows.first() else {
            self.links.restart.hosts.pop_front();
            self.links.restart.behind = None;
            return self.look_for_kept(now);
        };
        let theirs = remote_of(row).filter(|d| self.placement.owner(d.as_str()) == self.place);
        let host = self.links.restart.hosts.front().cloned();
        let (Some(theirs), Some(ours)) = (theirs, host) else {
            self.links.restart.behind = Some(row.clone());
            return self.look_for_kept(now);
        };
        let Some(key) = self.remote_of(now, &theirs, NamedBy::Kept) else {
            // There are as many as there may be: later.
            return self.look_for_kept_in(now, S2S_KEPT_AGAIN);
        };
        self.links.restart.behind = Some(row.clone());
        let tail = self.links.restart.tail_of(&ours);
        if let Some(remote) = self.links.remotes.get_mut(key) {
            remote.pair(&ours, tail);
        }
        self.tend(now, key, &ours);
        self.look_for_kept_in(now, S2S_KEPT_PACE);
    }

    /// Reads what was kept for a pair, if that is to be done now.
    pub(super) fn read_kept(&mut self, now: Now, key: RemoteKey, ours: &Domain) {
        let is_stopping = self.is_stopping();
        let Some(pair) = self.pair(key, ours) else {
            return;
        };
        if is_stopping {
            // The next start reads it.
            pair.queue.has_read();
        } else if pair.queue.is_to_be_read(now.mono) {
            self.read_page(key, ours, None);
        }
    }

    fn read_page(&mut self, key: RemoteKey, ours: &Domain, behind: Option<i64>) {
        if let Some(remote) = self.links.remotes.get(key) {
            let op = page(&remote.domain, behind, S2S_KEPT_PAGE);
            let wait = Wait::LinkRows(key, ours.clone());
            self.store_link(ours, Class::Load, vec![op], wait);
        }
    }

    /// The store has answered that.
    pub(in crate::shard) fn link_rows(
        &mut self,
        now: Now,
        key: RemoteKey,
        ours: &Domain,
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        let retry_for = self.config.federation.retry_for;
        let Some(pair) = self.pair(key, ours).filter(|pair| pair.queue.is_read_now()) else {
            return;
        };
        let Ok([Reply::Rows { rows, more }]) = outcome.as_deref() else {
            pair.queue.reads_later(now.mono);
            return self.look_at_remote(key);
        };
        let bad = pair.queue.read(now, rows, retry_for);
        let behind = rows.last().and_then(place_of).filter(|_| *more);
        if behind.is_none() {
            pair.queue.has_read();
        }
        if bad > 0 {
            self.note_queue(key, ours, QueueTrouble::Unreadable(bad));
        }
        match behind {
            Some(_) => self.read_page(key, ours, behind),
            None => self.kept_is_read(now, key, ours),
        }
    }

    fn kept_is_read(&mut self, now: Now, key: RemoteKey, ours: &Domain) {
        let theirs = self.links.remotes.get(key).map(|remote| &remote.domain);
        // It was another server's, and is one of ours now.
        if theirs.is_some_and(|theirs| self.config.hosts.contains_key(theirs)) {
            self.end_pair(now, key, ours);
            return self.look_at_remote(key);
        }
        self.tend(now, key, ours);
    }

    /// What was kept for a pair that is no more is not needed there.
    pub(super) fn forget_kept(&mut self, theirs: &Domain, ours: &Domain, places: &[i64]) {
        for places in places.chunks(crate::limits::STORE_BATCH_OPS) {
            let ops = forget(theirs, places);
            self.store_link(ours, Class::Change, ops, Wait::Quiet);
        }
    }
}
