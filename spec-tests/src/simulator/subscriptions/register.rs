//! One direction of one pair: whether a subscriber hears of a publisher's presence. It is a register at the publisher's account, where what
//! both sides ask arrives in some order; which values it may have come to is all that is computed here.

use std::collections::BTreeSet;

use super::super::Moment;

/// Whether the subscriber hears of the publisher, as the publisher's account has it.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Bond {
    #[default]
    Nothing,
    /// A request waits.
    Asked,
    Granted,
}

/// Whether a request would be granted at once (RFC 6121 §3.4).
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Approval {
    #[default]
    None,
    Given,
}

/// What the register holds.
pub(super) type Value = (Bond, Approval);

/// All that it can hold.
pub(super) const VALUES: [Value; 4] = [
    (Bond::Nothing, Approval::None),
    (Bond::Nothing, Approval::Given),
    (Bond::Asked, Approval::None),
    (Bond::Granted, Approval::None),
];

/// What is done to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Deed {
    /// `subscribe` of the subscriber.
    Ask,
    /// Its `unsubscribe`, or it removes the publisher.
    Withdraw,
    /// `subscribed` of the publisher.
    Grant,
    /// Its `unsubscribed`, or it removes the subscriber.
    Deny,
}

impl Deed {
    /// Whether it is the subscriber's, and so has a way to go.
    const fn is_of_subscriber(self) -> bool {
        match self {
            Self::Ask | Self::Withdraw => true,
            Self::Grant | Self::Deny => false,
        }
    }

    /// RFC 6121 appendix A, both sides as one.
    const fn apply(self, (bond, approval): Value) -> Value {
        match (self, bond, approval) {
            (Self::Ask, Bond::Nothing, Approval::Given) => (Bond::Granted, Approval::None),
            (Self::Ask, Bond::Nothing, Approval::None) => (Bond::Asked, Approval::None),
            (Self::Ask, ..) => (bond, approval),
            (Self::Withdraw, ..) => (Bond::Nothing, approval),
            (Self::Grant, Bond::Nothing, _) => (Bond::Nothing, Approval::Given),
            (Self::Grant, Bond::Asked, _) => (Bond::Granted, Approval::None),
            (Self::Grant, Bond::Granted, _) => (bond, approval),
            (Self::Deny, ..) => (Bond::Nothing, Approval::None),
        }
    }
}

/// Whether something was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Done {
    Surely,
    Perhaps,
    Never,
}

/// One thing that was done, or was to be.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) deed: Deed,
    pub(super) id: String,
    /// The account that did it.
    pub(super) account: usize,
    /// The client and the number of its stanza; `None` if it was an administrator.
    pub(super) by: Option<(usize, u32)>,
    pub(super) from: Moment,
    /// Known to have come to the register by then.
    pub(super) until: Option<Moment>,
    pub(super) done: Option<Done>,
}

impl Event {
    /// Whether it came first, if both came.
    fn is_before(&self, other: &Self) -> bool {
        let asked_first = match (self.by, other.by) {
            (Some((one, first)), Some((two, second))) => one == two && first < second,
            (None, _) | (_, None) => false,
        };
        asked_first || self.until.is_some_and(|until| until < other.from)
    }
}

/// Whether the subscriber's words may have come more than once, because somebody did not hear that they had come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Echo {
    None,
    Possible,
}

/// More than that is not looked at.
const EVENTS_MAX: usize = 11;

/// What the register may hold after all these, in every order that is possible. `None` if there are too many to tell.
pub(super) fn reach(
    base: &BTreeSet<Value>,
    events: &[Event],
    echo: Echo,
) -> Option<BTreeSet<Value>> {
    let events: Vec<&Event> = events
        .iter()
        .filter(|event| event.done != Some(Done::Never))
        .collect();
    if events.len() > EVENTS_MAX {
        return None;
    }
    let all = (1_u32 << events.len()) - 1;
    let before: Vec<u32> = events
        .iter()
        .map(|event| mask(&events, |other| other.is_before(event)))
        .collect();
    // Whether it is the subscriber's, and another one of its may say the opposite before it comes: then it need not come.
    let overtaken = |at: usize, seen: u32| {
        let rest = events.iter().enumerate().any(|(other, event)| {
            other != at && seen & (1 << other) == 0 && event.deed.is_of_subscriber()
        });
        events[at].deed.is_of_subscriber() && rest
    };
    let mut found: BTreeSet<(u32, Value, Option<usize>)> = BTreeSet::new();
    let mut next: Vec<(u32, Value, Option<usize>)> =
        base.iter().map(|value| (0, *value, None)).collect();
    while let Some(state) = next.pop() {
        if !found.insert(state) {
            continue;
        }
        let (seen, value, last) = state;
        if echo == Echo::Possible
            && let Some(last) = last
        {
            next.push((seen, events[last].deed.apply(value), Some(last)));
        }
        for (at, event) in events.iter().enumerate() {
            let bit = 1 << at;
            if seen & bit != 0 || before[at] & !seen != 0 {
                continue;
            }
            let own = match event.deed.is_of_subscriber() {
                true => Some(at),
                false => last,
            };
            next.push((seen | bit, event.deed.apply(value), own));
            if event.done != Some(Done::Surely) || overtaken(at, seen) {
                next.push((seen | bit, value, last));
            }
        }
    }
    let last = found.into_iter().filter(|(seen, ..)| *seen == all);
    Some(last.map(|(_, value, _)| value).collect())
}

fn mask(events: &[&Event], of: impl Fn(&Event) -> bool) -> u32 {
    let those = events.iter().enumerate().filter(|(_, event)| of(event));
    those.fold(0, |mask, (at, _)| mask | 1 << at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(deed: Deed, by: (usize, u32), from: Moment, until: Option<Moment>) -> Event {
        Event {
            deed,
            id: String::new(),
            account: by.0,
            by: Some(by),
            from,
            until,
            done: Some(Done::Surely),
        }
    }

    fn from_nothing(events: &[Event]) -> Vec<Value> {
        let base = BTreeSet::from([Value::default()]);
        reach(&base, events, Echo::None)
            .into_iter()
            .flatten()
            .collect()
    }

    #[test]
    fn an_approval_behind_a_request_grants_and_in_front_of_it_too() {
        let ask = event(Deed::Ask, (0, 1), 1, None);
        let grant = event(Deed::Grant, (1, 1), 2, None);
        let granted = vec![(Bond::Granted, Approval::None)];
        assert_eq!(from_nothing(&[ask, grant]), granted);
    }

    #[test]
    fn what_races_may_end_either_way() {
        let ask = event(Deed::Ask, (0, 1), 1, None);
        let deny = event(Deed::Deny, (1, 1), 2, Some(5));
        let either = vec![Value::default(), (Bond::Asked, Approval::None)];
        assert_eq!(from_nothing(&[ask, deny.clone()]), either);
        let later = event(Deed::Ask, (0, 2), 6, None);
        assert_eq!(from_nothing(&[deny, later]), either[1..]);
    }

    #[test]
    fn what_may_have_been_lost_counts_as_both() {
        let mut ask = event(Deed::Ask, (0, 1), 1, None);
        ask.done = Some(Done::Perhaps);
        assert_eq!(from_nothing(&[ask]).len(), 2);
    }
}
