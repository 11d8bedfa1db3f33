//! What accounts have in the queues of all sessions of this shard that they wrote to: charged to who sent it, and bounded, so that nobody
//! fills the memory with what many do not read.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::jid::{BareJid, Jid};
use crate::limits::FLOW_NEWS;
use crate::time::Instant;

/// See the module.
#[derive(Debug)]
pub(super) struct Debts {
    of: BTreeMap<BareJid, Debt>,
    /// What each account may have.
    pub(super) bound: usize,
    /// Who is to wait.
    pub(super) told: Vec<Jid>,
    /// Who need not wait any more.
    pub(super) cleared: Vec<Jid>,
}

#[derive(Debug, Default)]
struct Debt {
    bytes: usize,
    /// Sessions that were told to wait, and when.
    waiting: BTreeMap<Jid, Instant>,
}

impl Debts {
    pub(super) const fn new(bound: usize) -> Self {
        Self {
            of: BTreeMap::new(),
            bound,
            told: Vec::new(),
            cleared: Vec::new(),
        }
    }

    pub(super) fn is_over(&self, account: &Jid) -> bool {
        let debt = self.of.get(account.bare());
        debt.is_some_and(|debt| debt.bytes > self.bound)
    }

    pub(super) fn add(&mut self, account: &Jid, bytes: usize) {
        match self.of.get_mut(account.bare()) {
            Some(debt) => debt.bytes = debt.bytes.saturating_add(bytes),
            None => {
                let waiting = BTreeMap::new();
                self.of.insert(account.to_bare(), Debt { bytes, waiting });
            }
        }
    }

    /// A session wrote to one who has not read all: if its account has too much, it is to wait.
    pub(super) fn press(&mut self, now: Instant, session: &Jid) {
        let Some(debt) = self.of.get_mut(session.bare()) else {
            return;
        };
        let told = debt.waiting.get(session);
        let knows = told.is_some_and(|told| now.since(*told) < FLOW_NEWS);
        if debt.bytes > self.bound && !knows {
            debt.waiting.insert(session.clone(), now);
            self.told.push(session.clone());
        }
    }

    pub(super) fn repay(&mut self, account: &Jid, bytes: usize) {
        let Some(debt) = self.of.get_mut(account.bare()) else {
            return;
        };
        debt.bytes = debt.bytes.saturating_sub(bytes);
        if debt.bytes <= self.bound / 2 && !debt.waiting.is_empty() {
            let waiting = core::mem::take(&mut debt.waiting);
            self.cleared.extend(waiting.into_keys());
        }
        if debt.bytes == 0 {
            self.of.remove(account.bare());
        }
    }
}

/// Whose bytes the queue of one session has, in their order.
#[derive(Debug, Default)]
pub(super) struct Unread {
    parts: VecDeque<(Option<Jid>, usize)>,
    bytes: usize,
}

impl Unread {
    /// Behind `before` bytes that are owed, so many of this sender were written.
    pub(super) fn add(&mut self, before: usize, sender: &Jid, bytes: usize) {
        let others = before.saturating_sub(self.bytes);
        if others > 0 {
            self.parts.push_back((None, others));
        }
        match self.parts.back_mut() {
            Some((Some(last), part)) if last.bare() == sender.bare() => {
                *part = part.saturating_add(bytes);
            }
            Some(_) | None => self.parts.push_back((Some(sender.clone()), bytes)),
        }
        self.bytes = self.bytes.saturating_add(others).saturating_add(bytes);
    }

    /// So many bytes were taken: senders owe that less. Whether anybody's is left.
    pub(super) fn take(&mut self, mut count: usize, debts: &mut Debts) -> bool {
        while count > 0
            && let Some((sender, part)) = self.parts.front_mut()
        {
            let taken = count.min(*part);
            count = count.saturating_sub(taken);
            *part = part.saturating_sub(taken);
            self.bytes = self.bytes.saturating_sub(taken);
            if let Some(sender) = sender {
                debts.repay(sender, taken);
            }
            if *part == 0 {
                self.parts.pop_front();
            }
        }
        !self.parts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const BOUND: usize = 1000;

    fn sessions() -> [Jid; 3] {
        [
            "romeo@localhost/a",
            "romeo@localhost/b",
            "nurse@localhost/c",
        ]
        .map(|jid| Jid::parse(jid).unwrap())
    }

    #[test]
    fn who_has_too_much_in_all_queues_waits_until_half_of_it_is_read() {
        let mut debts = Debts::new(BOUND);
        let [romeo, other, nurse] = sessions();
        let mut queues = [Unread::default(), Unread::default()];
        for queue in &mut queues {
            queue.add(70, &romeo, 500);
            queue.add(570, &nurse, 100);
            debts.add(&romeo, 500);
            debts.add(&nurse, 100);
        }
        debts.press(Instant(0), &romeo);
        assert!(debts.told.is_empty() && !debts.is_over(&romeo));
        queues[0].add(670, &other, 1);
        debts.add(&other, 1);
        debts.press(Instant(0), &other);
        debts.press(Instant(0), &other);
        debts.press(Instant(0), &nurse);
        assert_eq!(debts.told, vec![other.clone()]);
        assert!(debts.is_over(&romeo) && !debts.is_over(&nurse));
        // Seventy of the first are nobody's.
        assert!(queues[0].take(570, &mut debts));
        assert!(debts.cleared.is_empty());
        assert!(queues[1].take(71, &mut debts));
        assert_eq!(debts.cleared, vec![other]);
        assert!(!queues[0].take(101, &mut debts));
        assert!(!queues[1].take(1000, &mut debts));
        assert!(debts.of.is_empty());
    }

    #[test]
    fn what_others_wrote_between_is_nobodys() {
        let mut debts = Debts::new(BOUND);
        let [romeo, ..] = sessions();
        let mut queue = Unread::default();
        queue.add(0, &romeo, 10);
        queue.add(30, &romeo, 10);
        debts.add(&romeo, 20);
        queue.take(30, &mut debts);
        assert_eq!(debts.of.get("romeo@localhost").map(|d| d.bytes), Some(10));
        queue.take(10, &mut debts);
        assert!(debts.of.is_empty());
    }
}
