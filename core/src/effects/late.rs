//! Presence that was told to many, for a session that has much to read: of each sender the last, until there is room. Nobody waits
//! for such a session, and nobody ends it by telling.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::jid::{BareJid, Jid};
use crate::limits::{LATE_PRESENCES, LATE_SENDER_BYTES};
use crate::stanza::Stanza;

/// One presence, with the address it is told to.
pub(crate) type Told = (Arc<Stanza>, Option<Jid>);

/// Of each sender the last, in the order in which they first spoke.
#[derive(Debug)]
pub(crate) struct Late {
    last: BTreeMap<Jid, Told>,
    order: VecDeque<Jid>,
    /// How many bytes the sessions of each account have here.
    said: BTreeMap<BareJid, usize>,
}

impl Late {
    pub(super) const fn new() -> Self {
        Self {
            last: BTreeMap::new(),
            order: VecDeque::new(),
            said: BTreeMap::new(),
        }
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    /// Whether presence of this sender waits.
    pub(super) fn holds(&self, from: &Jid) -> bool {
        !self.last.is_empty() && self.last.contains_key(from)
    }

    /// Keeps it instead of what this sender said before. `false` if there are too many senders.
    ///
    /// Choice: an account that says too much at a time is told without what it says beside whether it is there.
    pub(super) fn keep(&mut self, from: &Jid, stanza: &Arc<Stanza>, to: Option<&Jid>) -> bool {
        if self.take(from).is_none() {
            if self.last.len() >= LATE_PRESENCES {
                return false;
            }
            self.order.push_back(from.clone());
        }
        let said = self.said.get(from.bare()).copied().unwrap_or_default();
        let kept = match said.saturating_add(stanza.size()) > LATE_SENDER_BYTES {
            true => Arc::new(bare(stanza)),
            false => Arc::clone(stanza),
        };
        self.said
            .insert(from.to_bare(), said.saturating_add(kept.size()));
        self.last.insert(from.clone(), (kept, to.cloned()));
        true
    }

    fn take(&mut self, from: &Jid) -> Option<Told> {
        let told = self.last.remove(from)?;
        if let Some(said) = self.said.get_mut(from.bare()) {
            *said = said.saturating_sub(told.0.size());
            if *said == 0 {
                self.said.remove(from.bare());
            }
        }
        Some(told)
    }

    /// The next to be told.
    pub(super) fn pop(&mut self) -> Option<(Jid, Told)> {
        let from = self.order.pop_front()?;
        let told = self.take(&from)?;
        Some((from, told))
    }

    /// What an account's sessions said, which is to be told before anything else of it.
    pub(super) fn take_of(&mut self, account: &str) -> Vec<Told> {
        if !self.said.contains_key(account) {
            return Vec::new();
        }
        let mut of = Vec::new();
        self.order.retain(|from| {
            let other = from.bare() != account;
            if !other {
                of.push(from.clone());
            }
            other
        });
        of.iter().filter_map(|from| self.take(from)).collect()
    }
}

fn bare(stanza: &Stanza) -> Stanza {
    let (from, to) = (stanza.from().cloned(), stanza.to().cloned());
    Stanza::build(stanza.kind(), None, from, to, |_| {})
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::stanza::{Kind, PresenceType};

    fn presence(from: &Jid, kind: PresenceType, status: usize) -> Arc<Stanza> {
        let from = Some(from.clone());
        Arc::new(Stanza::build(Kind::Presence(kind), None, from, None, |w| {
            w.open("status").text(&"x".repeat(status)).close();
        }))
    }

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    #[test]
    fn of_each_sender_the_last_is_told_in_the_order_in_which_they_spoke() {
        let mut late = Late::new();
        let [romeo, nurse] = ["romeo@localhost/a", "nurse@localhost/b"].map(jid);
        for (from, kind) in [
            (&romeo, PresenceType::Available),
            (&nurse, PresenceType::Available),
            (&romeo, PresenceType::Unavailable),
        ] {
            assert!(late.keep(from, &presence(from, kind, 10), None));
        }
        let told: Vec<_> = core::iter::from_fn(|| late.pop())
            .map(|(from, (stanza, _))| (from, stanza.kind()))
            .collect();
        let kind = Kind::Presence;
        assert_eq!(
            told,
            [
                (romeo, kind(PresenceType::Unavailable)),
                (nurse, kind(PresenceType::Available)),
            ]
        );
    }

    #[test]
    fn an_account_that_says_too_much_is_told_without_its_words() {
        let mut late = Late::new();
        let mut bytes = 0;
        for n in 0..20 {
            let from = jid(&format!("romeo@localhost/{n}"));
            let said = presence(&from, PresenceType::Unavailable, LATE_SENDER_BYTES / 3);
            assert!(late.keep(&from, &said, None));
        }
        while let Some((_, (stanza, _))) = late.pop() {
            assert_eq!(stanza.kind(), Kind::Presence(PresenceType::Unavailable));
            bytes += stanza.size();
        }
        assert!(bytes < LATE_SENDER_BYTES + 20 * 200, "{bytes}");
    }

    #[test]
    fn what_an_account_said_can_be_told_before_the_rest() {
        let mut late = Late::new();
        let all = [
            "romeo@localhost/a",
            "nurse@localhost/b",
            "romeo@localhost/c",
        ]
        .map(jid);
        for from in &all {
            late.keep(from, &presence(from, PresenceType::Available, 1), None);
        }
        let first = late.take_of("romeo@localhost");
        let from: Vec<_> = first.iter().map(|(stanza, _)| stanza.from()).collect();
        assert_eq!(from, [Some(&all[0]), Some(&all[2])]);
        assert_eq!(late.pop().map(|(from, _)| from), Some(all[1].clone()));
        assert!(late.is_empty());
    }
}
