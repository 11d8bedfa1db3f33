//! What an account has archived stays within its bounds.

use alloc::vec::Vec;

use super::{Account, Cx, Read, StoreRoom};
use crate::archive::Next;
use crate::store::{Class, Op, Reply, StoreError};

impl Account {
    /// One message more is archived, with so many bytes.
    pub(super) fn count_archived(&mut self, cx: &mut Cx<'_>, payload: usize) {
        self.bounds.appended(payload);
        if self.bounds.is_to_be_kept() {
            self.keep_spool(cx);
        }
        self.look_after_bounds(cx);
    }

    /// How far the archive has come, and how much there is of it, goes to the disk, and nobody waits for it.
    pub(super) fn keep_spool(&mut self, cx: &mut Cx<'_>) {
        self.bounds.keep(&mut self.spool);
        cx.keep_quietly(self.spool.put());
    }

    /// What quiet tables are to keep of an account that is about to leave memory: the same, and when it was active last.
    pub(crate) fn last_puts(&mut self) -> Vec<Op> {
        let spool = self.bounds.is_unsaid().then(|| {
            self.bounds.keep(&mut self.spool);
            self.spool.put()
        });
        let past = self.kept.sound_mut().and_then(|kept| kept.past.put());
        [spool, past].into_iter().flatten().collect()
    }

    /// Asks the store what is due, if anything.
    fn look_after_bounds(&mut self, cx: &mut Cx<'_>) {
        if cx.store == StoreRoom::Spent {
            return;
        }
        let upto = self.spool.last.unwrap_or(i64::MIN);
        let next = self.bounds.next(&cx.host.archive, upto);
        let (class, op) = match next {
            Some(Next::Measure(op)) => (Class::Page, op),
            Some(Next::Trim(op)) => (Class::Upkeep, op),
            None => return,
        };
        cx.read(class, [op].into(), Read::Bounds);
    }

    /// The store has answered.
    pub(super) fn bounds_came(&mut self, cx: &mut Cx<'_>, outcome: Result<Vec<Reply>, StoreError>) {
        match outcome.as_deref() {
            Ok([Reply::Measured(measured)]) => self.bounds.measured(measured),
            Ok([Reply::Trimmed { entries, more: _ }]) => self.bounds.trimmed(*entries),
            Ok(_) | Err(_) => self.bounds.failed(&cx.host.archive),
        }
        if self.bounds.is_to_be_kept() {
            self.keep_spool(cx);
        }
        self.look_after_bounds(cx);
    }
}
