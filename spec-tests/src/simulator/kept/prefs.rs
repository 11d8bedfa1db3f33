//! What each account would have archived (XEP-0441): a place that is written and read.

use std::collections::BTreeSet;

use spondee_core::archive;

use super::super::Moment;
use super::Likely;

/// Where nothing else is said.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in super::super) enum Policy {
    Always,
    Never,
    Roster,
}

impl Policy {
    pub(in super::super) const ALL: [Self; 3] = [Self::Always, Self::Never, Self::Roster];

    /// As a host has it.
    pub(super) const fn option(self) -> archive::Policy {
        match self {
            Self::Always => archive::Policy::Always,
            Self::Never => archive::Policy::Never,
            Self::Roster => archive::Policy::Roster,
        }
    }

    pub(in super::super) const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Never => "never",
            Self::Roster => "roster",
        }
    }
}

/// Preferences, whole as they are set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Prefs {
    pub(super) policy: Policy,
    pub(super) always: BTreeSet<String>,
    pub(super) never: BTreeSet<String>,
}

impl Prefs {
    pub(super) const fn new(policy: Policy) -> Self {
        Self {
            policy,
            always: BTreeSet::new(),
            never: BTreeSet::new(),
        }
    }

    /// XEP-0441 §2.3.1, where `listed` tells whether somebody is in the roster.
    fn allow(&self, peer: &str, listed: impl Fn(&str) -> Likely) -> Likely {
        let bare = peer.split('/').next().unwrap_or_default();
        // The more exact address counts, where both lists have one.
        for name in [peer, bare] {
            if self.never.contains(name) {
                return Likely::No;
            }
            if self.always.contains(name) {
                return Likely::Yes;
            }
        }
        match self.policy {
            Policy::Always => Likely::Yes,
            Policy::Never => Likely::No,
            Policy::Roster => listed(bare),
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Open,
    Done,
    Refused,
}

#[derive(Debug)]
struct Write {
    id: String,
    by: Option<(usize, u32)>,
    prefs: Prefs,
    from: Moment,
    until: Option<Moment>,
    outcome: Outcome,
}

impl Write {
    fn is_before(&self, other: &Self) -> bool {
        let asked_first = match (self.by, other.by) {
            (Some((one, first)), Some((two, second))) => one == two && first < second,
            (None, _) | (_, None) => false,
        };
        asked_first || self.until.is_some_and(|until| until < other.from)
    }
}

/// The preferences of one account.
#[derive(Debug)]
pub(super) struct Place {
    /// What was read when all was at rest.
    base: Prefs,
    writes: Vec<Write>,
}

impl Place {
    pub(super) const fn new(policy: Policy) -> Self {
        Self {
            base: Prefs::new(policy),
            writes: Vec::new(),
        }
    }

    pub(super) fn asked(&mut self, at: Moment, id: String, by: Option<(usize, u32)>, prefs: Prefs) {
        self.writes.push(Write {
            id,
            by,
            prefs,
            from: at,
            until: None,
            outcome: Outcome::Open,
        });
    }

    pub(super) fn becomes(&mut self, now: Moment, id: &str, outcome: Outcome) {
        for write in self.writes.iter_mut().filter(|write| write.id == id) {
            write.outcome = outcome;
            write.until.get_or_insert(now);
        }
    }

    /// What was not done by now never will be.
    pub(super) fn settle(&mut self, now: Moment) {
        for write in &mut self.writes {
            write.until.get_or_insert(now);
        }
    }

    /// What they may have been in a span of time, to one that asked nothing itself.
    pub(super) fn possible(&self, from: Moment, to: Moment) -> Vec<&Prefs> {
        let over = |write: &Write| {
            write.outcome == Outcome::Done && write.until.is_some_and(|until| until < from)
        };
        let writes = || {
            let writes = self.writes.iter();
            writes.filter(|write| write.outcome != Outcome::Refused)
        };
        let base = (!writes().any(over)).then_some(&self.base);
        let written = writes().filter(|write| {
            write.from <= to && !writes().any(|later| over(later) && write.is_before(later))
        });
        base.into_iter()
            .chain(written.map(|write| &write.prefs))
            .collect()
    }

    /// Whether a message with this one is archived in a span of time.
    pub(super) fn allow(
        &self,
        peer: &str,
        (from, to): (Moment, Moment),
        listed: impl Fn(&str) -> Likely,
    ) -> Likely {
        let possible = self.possible(from, to);
        Likely::agreed(possible.iter().map(|prefs| prefs.allow(peer, &listed)))
    }

    /// They were read when all was at rest.
    pub(super) fn turn_page(&mut self, read: Prefs) {
        self.base = read;
        self.writes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_count_before_the_default() {
        let mut prefs = Prefs::new(Policy::Never);
        prefs.always.insert("juliet@localhost".into());
        prefs.never.insert("juliet@localhost/b".into());
        let allow = |peer| prefs.allow(peer, |_| Likely::Maybe);
        assert_eq!(allow("juliet@localhost/a"), Likely::Yes);
        assert_eq!(allow("juliet@localhost/b"), Likely::No);
        assert_eq!(allow("romeo@localhost"), Likely::No);
    }

    #[test]
    fn what_is_not_answered_may_or_may_not_be() {
        let mut place = Place::new(Policy::Always);
        let allow = |place: &Place, span| place.allow("a@b", span, |_| Likely::Maybe);
        place.asked(10, "x".into(), Some((1, 1)), Prefs::new(Policy::Never));
        assert_eq!(allow(&place, (5, 9)), Likely::Yes);
        assert_eq!(allow(&place, (5, 12)), Likely::Maybe);
        place.becomes(20, "x", Outcome::Done);
        assert_eq!(allow(&place, (21, 30)), Likely::No);
        assert_eq!(allow(&place, (20, 30)), Likely::Maybe);
    }
}
