//! Which sessions get copies (XEP-0280 §4, §5): from when on, as far as the clients know that ask for them.

use super::super::Moment;
use super::Likely;

/// Whether a session gets copies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Copies {
    Off,
    On,
}

#[derive(Debug)]
struct Change {
    id: String,
    from: Moment,
    /// From here on it is certain.
    sure: Option<Moment>,
    copies: Copies,
}

/// One session's. It begins without.
#[derive(Debug, Default)]
pub(super) struct Carbons {
    changes: Vec<Change>,
}

impl Carbons {
    pub(super) fn asked(&mut self, at: Moment, id: String, copies: Copies) {
        self.changes.push(Change {
            id,
            from: at,
            sure: None,
            copies,
        });
    }

    /// It is answered. Whether it was asked.
    pub(super) fn answered(&mut self, at: Moment, id: &str) -> bool {
        let change = self.changes.iter_mut().find(|change| change.id == id);
        let is_ours = change.is_some();
        if let Some(change) = change {
            change.sure.get_or_insert(at);
        }
        is_ours
    }

    /// Everything that was asked for has happened.
    pub(super) fn settle(&mut self, at: Moment) {
        for change in &mut self.changes {
            change.sure.get_or_insert(at);
        }
    }

    /// How many changes were asked for.
    pub(super) const fn changes(&self) -> usize {
        self.changes.len()
    }

    /// Whether they are on from the last of so many changes on.
    pub(super) fn stay_on(&self, changes: usize) -> bool {
        changes > 0
            && self.changes[changes - 1..]
                .iter()
                .all(|change| change.copies == Copies::On)
    }

    /// Whether they were ever asked for.
    pub(super) fn were_on(&self) -> bool {
        self.changes
            .iter()
            .any(|change| change.copies == Copies::On)
    }

    /// Whether they were on in a window of time.
    pub(super) fn during(&self, from: Moment, to: Moment) -> Likely {
        let is_sure = |change: &Change| change.sure.is_some_and(|sure| sure <= from);
        let settled = self.changes.iter().rposition(is_sure);
        let first = settled.is_some_and(|at| self.changes[at].copies == Copies::On);
        let later = &self.changes[settled.map_or(0, |at| at + 1)..];
        let later = later.iter().filter(|change| change.from <= to);
        Likely::agreed(
            std::iter::once(first)
                .chain(later.map(|change| change.copies == Copies::On))
                .map(Likely::from),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_on_once_that_was_said() {
        let mut carbons = Carbons::default();
        assert_eq!(carbons.during(0, 9), Likely::No);
        carbons.asked(10, "a".into(), Copies::On);
        assert_eq!(carbons.during(5, 12), Likely::Maybe);
        assert!(carbons.answered(15, "a") && !carbons.answered(15, "b"));
        assert_eq!(carbons.during(15, 20), Likely::Yes);
        carbons.asked(30, "b".into(), Copies::On);
        assert_eq!(carbons.during(15, 40), Likely::Yes);
        carbons.asked(50, "c".into(), Copies::Off);
        assert_eq!(carbons.during(15, 60), Likely::Maybe);
        carbons.settle(70);
        assert_eq!(carbons.during(70, 80), Likely::No);
    }
}
