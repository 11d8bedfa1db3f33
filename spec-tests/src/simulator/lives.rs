//! Oracle: who may have been signed in as what at which time, as far as the clients themselves can know.
//!
//! A change takes effect between the moment it was asked for and the moment it was seen. In between, both are possible.

use super::Moment;

/// What a client may be to others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// Not bound yet.
    Absent,
    /// A connected resource; available if it has a priority.
    Bound(Option<i8>),
    /// Its session is over.
    Gone,
}

/// The address of a life.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Name {
    /// As the server said.
    Known(String),
    /// Asked for; the server may have made another of it.
    Wished(String),
}

#[derive(Clone, Copy, Debug)]
struct Change {
    from: Moment,
    /// From here on it is certain.
    sure: Option<Moment>,
    state: State,
}

/// Whether what is sent to it may be lost without its connection's end being seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Attention {
    Reads,
    /// It does not read, or it read slowly and lost what was owed.
    Loses,
}

/// The session of one client.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) client: usize,
    pub(super) account: usize,
    pub(super) name: Name,
    pub(super) attention: Attention,
    /// Since when nothing is lost that reaches it, however it ends.
    pub(super) managed: Option<Moment>,
    /// When it was last told not all of who is there: without a connection, or where nobody looks at it.
    pub(super) muted: Option<Moment>,
    changes: Vec<Change>,
}

/// What is known of a life during a window of time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// It was not there.
    Never,
    /// It was there throughout, with one of these priorities.
    Always(Vec<Option<i8>>),
    /// It may have been there; what reached it was not lost.
    Unsure,
    /// It may have taken a stanza with it to the grave.
    MayLose,
}

impl Life {
    /// It asks for its resource.
    pub(super) fn new(client: usize, account: usize, wish: String, at: Moment) -> Self {
        Self {
            client,
            account,
            name: Name::Wished(wish),
            attention: Attention::Reads,
            managed: None,
            muted: None,
            changes: vec![Change {
                from: at,
                sure: None,
                state: State::Bound(None),
            }],
        }
    }

    /// It got one.
    pub(super) fn bound(&mut self, at: Moment, jid: String) {
        self.name = Name::Known(jid);
        self.settle(at);
    }

    /// Something was asked for.
    pub(super) fn becomes(&mut self, from: Moment, state: State) {
        if !self.is_over() {
            self.changes.push(Change {
                from,
                sure: None,
                state,
            });
        }
    }

    /// It ended, at the earliest at `from`.
    pub(super) fn ends(&mut self, from: Moment) {
        self.becomes(from, State::Gone);
    }

    /// Everything asked for has happened.
    pub(super) fn settle(&mut self, at: Moment) {
        for change in &mut self.changes {
            change.sure.get_or_insert(at);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state() == State::Gone
    }

    /// What it is once everything asked for has happened.
    pub(super) fn state(&self) -> State {
        self.changes.last().map_or(State::Absent, |c| c.state)
    }

    pub(super) fn jid(&self) -> &str {
        match &self.name {
            Name::Known(jid) | Name::Wished(jid) => jid,
        }
    }

    /// Whether this may be its full address.
    pub(super) fn may_be(&self, full: &str) -> bool {
        match &self.name {
            Name::Known(jid) => jid == full,
            Name::Wished(wish) => full
                .strip_prefix(wish.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('#')),
        }
    }

    /// Whether presence that came since that moment may have made room for later.
    pub(super) fn was_muted(&self, since: Moment) -> bool {
        self.muted.is_some_and(|at| at >= since)
    }

    /// What it was in a window of time.
    pub(super) fn during(&self, from: Moment, to: Moment) -> Standing {
        let settled = self
            .changes
            .iter()
            .rposition(|c| c.sure.is_some_and(|sure| sure <= from));
        let first = settled.map_or(State::Absent, |index| self.changes[index].state);
        let later = settled.map_or(0, |index| index + 1);
        let later = self.changes[later..]
            .iter()
            .filter(|change| change.from <= to)
            .map(|change| change.state);
        let states: Vec<State> = std::iter::once(first).chain(later).collect();
        let priorities: Vec<Option<i8>> = states
            .iter()
            .filter_map(|state| match state {
                State::Bound(priority) => Some(*priority),
                State::Absent | State::Gone => None,
            })
            .collect();
        if priorities.is_empty() {
            Standing::Never
        } else if self.attention == Attention::Loses
            || states.contains(&State::Gone) && self.managed.is_none_or(|since| since > from)
        {
            Standing::MayLose
        } else if states.contains(&State::Gone)
            || priorities.len() < states.len()
            || matches!(self.name, Name::Wished(_))
        {
            Standing::Unsure
        } else {
            Standing::Always(priorities)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_is_certain_and_what_is_not() {
        let mut life = Life::new(0, 0, "romeo@localhost/a".into(), 10);
        assert_eq!(life.during(1, 9), Standing::Never);
        assert_eq!(life.during(5, 12), Standing::Unsure);
        assert!(life.may_be("romeo@localhost/a#1") && life.may_be("romeo@localhost/a"));
        life.bound(15, "romeo@localhost/a#1".into());
        assert!(life.may_be("romeo@localhost/a#1") && !life.may_be("romeo@localhost/a"));
        assert_eq!(life.during(14, 20), Standing::Unsure);
        assert_eq!(life.during(15, 20), Standing::Always(vec![None]));
        life.becomes(30, State::Bound(Some(1)));
        assert_eq!(life.during(15, 29), Standing::Always(vec![None]));
        assert_eq!(life.during(15, 31), Standing::Always(vec![None, Some(1)]));
        life.settle(40);
        assert_eq!(life.during(40, 50), Standing::Always(vec![Some(1)]));
        life.ends(60);
        assert_eq!(life.during(40, 61), Standing::MayLose);
        life.settle(70);
        assert_eq!(life.during(70, 80), Standing::Never);
        life.managed = Some(45);
        assert_eq!(life.during(40, 61), Standing::MayLose);
        assert_eq!(life.during(45, 61), Standing::Unsure);
    }
}
