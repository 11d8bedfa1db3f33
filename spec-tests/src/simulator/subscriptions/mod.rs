//! Oracle: subscriptions (RFC 6121 §3), as far as both users' devices can know.
//!
//! Each direction of each pair is a register (`register.rs`) to which both sides do something; what they did is known to have been done, may have
//! been done, or was refused. At rest, when everybody has signed in once more, both sides read it: they must agree, and what they read
//! must be what some order of all that was done makes of it. Who asked and was not answered is asked about again at each initial presence.

mod acts;
mod register;

use std::collections::{BTreeMap, BTreeSet};

use spondee_core::stanza::PresenceType;

use self::register::{Approval, Bond, Deed, Done, Echo, Event, VALUES, Value, reach};
use super::Moment;
use super::accounts::NAMES;
use super::rosters::{Shares, Toward};

/// What a witness read of its account at rest.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Of each contact.
    pub(super) roster: BTreeMap<String, (Toward, Shares)>,
    /// The accounts whose requests wait for an answer.
    pub(super) requests: BTreeSet<usize>,
}

/// How much can be held against a pair at rest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pairing {
    /// All of it.
    Calm,
    /// One may have blocked the other: a request does not pass, everything else does.
    Blocked,
    /// Something may have stood between the two that nothing passes: an account that was not there, a host that was not served.
    Hindered,
}

/// Whether the two sides must agree.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Accord {
    #[default]
    Due,
    /// Something stood between them when they last did not.
    Excused,
}

#[derive(Debug)]
struct Pair {
    /// What it may have been when all was last at rest.
    base: BTreeSet<Value>,
    /// Since then.
    events: Vec<Event>,
    accord: Accord,
}

impl Default for Pair {
    fn default() -> Self {
        Self {
            base: BTreeSet::from([Value::default()]),
            events: Vec::new(),
            accord: Accord::Due,
        }
    }
}

/// A subscription stanza that a client sent.
#[derive(Clone, Debug)]
struct Said {
    account: usize,
    by: usize,
    number: u32,
    kind: PresenceType,
    /// The bare address it is for, if it is one.
    to: Option<String>,
    answers: Vec<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// From the subscriber to the publisher.
    pairs: BTreeMap<(usize, usize), Pair>,
    said: BTreeMap<String, Said>,
    /// What a client was told that a push must follow.
    expected: BTreeMap<usize, (String, PresenceType)>,
    /// Whether anything was lost on its way since all was last at rest.
    echo: Option<Echo>,
}

/// The account of this bare address.
pub(super) fn account_of(bare: &str) -> Option<usize> {
    NAMES.iter().position(|name| *name == bare)
}

/// Whether it is about a subscription.
pub(super) const fn is_about_subscription(kind: PresenceType) -> bool {
    match kind {
        PresenceType::Subscribe
        | PresenceType::Subscribed
        | PresenceType::Unsubscribe
        | PresenceType::Unsubscribed => true,
        PresenceType::Available
        | PresenceType::Error
        | PresenceType::Probe
        | PresenceType::Unavailable => false,
    }
}

impl Subscriptions {
    fn pair(&mut self, subscriber: usize, publisher: usize) -> &mut Pair {
        self.pairs.entry((subscriber, publisher)).or_default()
    }

    /// A client sends a stanza about a subscription.
    fn sent(&mut self, at: Moment, id: &str, said: Said) {
        let other = said.to.as_deref().and_then(account_of);
        if let Some(other) = other.filter(|other| *other != said.account) {
            let deed = match said.kind {
                PresenceType::Subscribe => Some(Deed::Ask),
                PresenceType::Unsubscribe => Some(Deed::Withdraw),
                PresenceType::Subscribed => Some(Deed::Grant),
                PresenceType::Unsubscribed => Some(Deed::Deny),
                PresenceType::Available
                | PresenceType::Error
                | PresenceType::Probe
                | PresenceType::Unavailable => None,
            };
            if let Some(deed) = deed {
                let by = Some((said.by, said.number));
                self.event(at, id, deed, said.account, other, by);
            }
        }
        self.said.insert(id.to_owned(), said);
    }

    /// `account` does that about its subscription to `other`, or the other's to it.
    fn event(
        &mut self,
        at: Moment,
        id: &str,
        deed: Deed,
        account: usize,
        other: usize,
        by: Option<(usize, u32)>,
    ) {
        let pair = match deed {
            Deed::Ask | Deed::Withdraw => self.pair(account, other),
            Deed::Grant | Deed::Deny => self.pair(other, account),
        };
        pair.events.push(Event {
            deed,
            id: id.to_owned(),
            account,
            by,
            from: at,
            until: None,
            done: None,
        });
    }

    /// A client removes a contact: both directions end.
    pub(super) fn removed(
        &mut self,
        at: Moment,
        id: &str,
        account: usize,
        jid: &str,
        by: (usize, u32),
    ) {
        if let Some(other) = account_of(jid).filter(|other| *other != account) {
            for deed in [Deed::Withdraw, Deed::Deny] {
                self.event(at, id, deed, account, other, Some(by));
            }
        }
    }

    /// An administrator deletes an account: all its subscriptions end at both sides.
    pub(super) fn deleted(&mut self, at: Moment, id: &str, account: usize) {
        for other in (0..NAMES.len()).filter(|other| *other != account) {
            for deed in [Deed::Withdraw, Deed::Deny] {
                self.event(at, id, deed, account, other, None);
            }
        }
    }

    fn events(&mut self) -> impl Iterator<Item = &mut Event> {
        self.pairs.values_mut().flat_map(|pair| &mut pair.events)
    }

    /// What becomes of what has this id was said.
    pub(super) fn answered(&mut self, now: Moment, id: &str, done: Option<bool>) {
        for event in self.events().filter(|event| event.id == id) {
            match done {
                Some(true) => {
                    event.done = Some(Done::Surely);
                    // The subscriber's words are on their way.
                    if matches!(event.deed, Deed::Grant | Deed::Deny) {
                        event.until.get_or_insert(now);
                    }
                }
                Some(false) => event.done = Some(Done::Never),
                None => event.done = Some(Done::Perhaps),
            }
        }
    }

    /// A client was answered something that it sent behind what has a lower number, which therefore was done at its account. `held` says
    /// whether something may have kept the account from it.
    pub(super) fn acknowledged(
        &mut self,
        now: Moment,
        client: usize,
        number: u32,
        held: &dyn Fn(Moment) -> bool,
    ) {
        let said = &self.said;
        let behind = |event: &&mut Event| {
            let first = event.by.is_some_and(|(by, n)| by == client && n < number);
            // What becomes of a removal is said by its own answer.
            first && event.done.is_none() && said.contains_key(&event.id)
        };
        let events = self.pairs.values_mut().flat_map(|pair| &mut pair.events);
        for event in events.filter(behind) {
            if !held(event.from) {
                event.done = Some(Done::Surely);
                if matches!(event.deed, Deed::Grant | Deed::Deny) {
                    event.until.get_or_insert(now);
                }
            }
        }
    }

    /// Something was lost on its way, or nobody heard that it had come.
    pub(super) const fn lost(&mut self) {
        self.echo = Some(Echo::Possible);
    }

    /// Everything sent by clients has come to its end: what of it was done. `sure` says so of what a client sent at a moment.
    pub(super) fn settle(&mut self, sure: &dyn Fn(usize, usize, Moment) -> bool) {
        for event in self.pairs.values_mut().flat_map(|pair| &mut pair.events) {
            let Some((client, _)) = event.by else {
                event.done.get_or_insert(Done::Perhaps);
                continue;
            };
            if event.done.is_none() {
                let sure =
                    self.said.contains_key(&event.id) && sure(client, event.account, event.from);
                event.done = Some(if sure { Done::Surely } else { Done::Perhaps });
            }
        }
    }

    /// The server died.
    pub(super) fn crash(&mut self) {
        self.settle(&|_, _, _| false);
        self.expected.clear();
        self.lost();
    }

    /// Whether the subscriber may be told of the publisher's presence.
    pub(super) fn may_share(&self, subscriber: usize, publisher: usize) -> bool {
        if subscriber == publisher {
            return true;
        }
        let Some(pair) = self.pairs.get(&(subscriber, publisher)) else {
            return false;
        };
        let did = |deed| {
            let mut events = pair.events.iter();
            events.any(|event| event.deed == deed && event.done != Some(Done::Never))
        };
        let was = |of: &dyn Fn(&Value) -> bool| pair.base.iter().any(of);
        let asked = did(Deed::Ask) || was(&|(bond, _)| *bond == Bond::Asked);
        let agreed = did(Deed::Grant) || was(&|(_, approval)| *approval == Approval::Given);
        was(&|(bond, _)| *bond == Bond::Granted) || asked && agreed
    }

    /// Whether it certainly is, everything being at rest and read.
    pub(super) fn shares(&self, subscriber: usize, publisher: usize) -> Option<bool> {
        if subscriber == publisher {
            return Some(true);
        }
        let Some(pair) = self.pairs.get(&(subscriber, publisher)) else {
            return Some(false);
        };
        let mut base = pair.base.iter().map(|(bond, _)| *bond == Bond::Granted);
        let first = base.next()?;
        let certain = base.all(|other| other == first) && pair.accord == Accord::Due;
        certain.then_some(first)
    }

    /// Whether a request may come a second time, because it was answered or withdrawn and said again.
    fn may_come_again(&self, subscriber: usize, publisher: usize) -> bool {
        let pair = self.pairs.get(&(subscriber, publisher));
        pair.is_some_and(|pair| {
            let mut events = pair.events.iter();
            events.any(|event| event.deed != Deed::Ask && event.done != Some(Done::Never))
        })
    }

    /// Whether anything happened between these two since all was last at rest, or may still be under way.
    pub(super) fn stirred(&self, one: usize, two: usize) -> bool {
        [(one, two), (two, one)].iter().any(|pair| {
            let pair = self.pairs.get(pair);
            pair.is_some_and(|pair| {
                !pair.events.is_empty() || pair.base.len() > 1 || pair.accord == Accord::Excused
            })
        })
    }

    /// A client is told of a change, `item` being what it now knows of the contact.
    pub(super) fn pushed(
        &mut self,
        client: usize,
        jid: &str,
        item: (Toward, Shares),
    ) -> Result<(), String> {
        let Some((of, kind)) = self.expected.remove(&client) else {
            return Ok(());
        };
        let fits = match kind {
            PresenceType::Subscribed => item.0 == Toward::Subscribed,
            // Not what was asked for meanwhile.
            PresenceType::Unsubscribed => item.0 != Toward::Subscribed,
            PresenceType::Available
            | PresenceType::Error
            | PresenceType::Probe
            | PresenceType::Subscribe
            | PresenceType::Unavailable
            | PresenceType::Unsubscribe => item.1 != Shares::Yes,
        };
        if of == jid && fits {
            return Ok(());
        }
        Err(format!(
            "client {client} was told {kind:?} by {of}, and then that {jid} is {item:?}"
        ))
    }

    /// Those who wait for a push.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (usize, &str)> {
        let each = self.expected.iter();
        each.map(|(client, (jid, _))| (*client, jid.as_str()))
    }

    /// Everything is at rest, and these accounts were looked at: so it is.
    pub(super) fn judge(
        &mut self,
        views: &BTreeMap<usize, View>,
        is_there: &dyn Fn(usize) -> Option<bool>,
        pairing: &dyn Fn(usize, usize) -> Pairing,
    ) -> Result<(), String> {
        for (account, view) in views {
            foreigners(*account, view)?;
        }
        let echo = self.echo.take().unwrap_or(Echo::None);
        for (subscriber, one) in NAMES.iter().enumerate() {
            for (publisher, two) in NAMES.iter().enumerate() {
                if publisher == subscriber {
                    continue;
                }
                let nobody = View::default();
                let view = |account: usize| match is_there(account) {
                    Some(true) => views.get(&account),
                    Some(false) => Some(&nobody),
                    None => None,
                };
                let pair = self.pairs.entry((subscriber, publisher)).or_default();
                let seen = (view(subscriber), view(publisher));
                let fault = pair.rest(
                    subscriber,
                    publisher,
                    seen,
                    pairing(subscriber, publisher),
                    echo,
                );
                fault.map_err(|fault| format!("of the subscription of {one} to {two}: {fault}"))?;
            }
        }
        Ok(())
    }
}

/// Whom nobody can reach, nobody hears of.
fn foreigners(account: usize, view: &View) -> Result<(), String> {
    for (jid, (toward, shares)) in &view.roster {
        let reached = *toward == Toward::Subscribed || *shares == Shares::Yes;
        if reached && account_of(jid).is_none_or(|other| other == account) {
            let name = NAMES[account];
            return Err(format!("{name} has {jid} as {toward:?} and {shares:?}"));
        }
    }
    Ok(())
}

impl View {
    /// What it is to a contact.
    fn toward(&self, other: usize) -> Toward {
        self.roster
            .get(NAMES[other])
            .map_or(Toward::Nothing, |(toward, _)| *toward)
    }

    /// What a contact is to it.
    fn value(&self, other: usize) -> Result<Value, String> {
        let shares = self
            .roster
            .get(NAMES[other])
            .map_or(Shares::Nothing, |(_, shares)| *shares);
        match (shares, self.requests.contains(&other)) {
            (Shares::Nothing, false) => Ok((Bond::Nothing, Approval::None)),
            (Shares::Nothing, true) => Ok((Bond::Asked, Approval::None)),
            (Shares::Approved, false) => Ok((Bond::Nothing, Approval::Given)),
            (Shares::Yes, false) => Ok((Bond::Granted, Approval::None)),
            (Shares::Approved | Shares::Yes, true) => Err(format!(
                "a request waits although the contact has {shares:?}"
            )),
        }
    }
}

/// What the subscriber may have said before the last rest and says again, because nobody heard that it had come.
fn unsaid(subscriber: usize) -> Vec<Event> {
    let word = |deed| Event {
        deed,
        id: "unsaid".to_owned(),
        account: subscriber,
        by: None,
        from: 0,
        until: None,
        done: Some(Done::Perhaps),
    };
    vec![word(Deed::Ask), word(Deed::Withdraw)]
}

impl Pair {
    fn rest(
        &mut self,
        subscriber: usize,
        publisher: usize,
        seen: (Option<&View>, Option<&View>),
        pairing: Pairing,
        echo: Echo,
    ) -> Result<(), String> {
        let events = std::mem::take(&mut self.events);
        let (Some(one), Some(two)) = seen else {
            // Something may still be unsaid.
            if !events.is_empty() || pairing == Pairing::Hindered {
                self.base = BTreeSet::from(VALUES);
            }
            // And one of them may have blocked the other for a while, which is not known any more when both are seen again.
            if !events.is_empty() || pairing == Pairing::Hindered {
                self.accord = Accord::Excused;
            }
            return Ok(());
        };
        let toward = one.toward(publisher);
        let value = two.value(subscriber)?;
        let earlier = self.accord;
        let agree = matches!(
            (toward, value.0),
            (Toward::Nothing, Bond::Nothing)
                | (Toward::Asked, Bond::Asked)
                | (Toward::Subscribed, Bond::Granted)
        );
        if agree {
            self.accord = Accord::Due;
        } else if pairing == Pairing::Hindered
            || self.accord == Accord::Excused
            || pairing == Pairing::Blocked && (toward, value.0) == (Toward::Asked, Bond::Nothing)
        {
            self.accord = Accord::Excused;
        } else {
            return Err(format!(
                "one side says {toward:?}, the other {value:?}, after {events:?}"
            ));
        }
        let all = match earlier {
            Accord::Due => events.clone(),
            Accord::Excused => [unsaid(subscriber), events.clone()].concat(),
        };
        if pairing == Pairing::Calm
            && agree
            && let Some(possible) = reach(&self.base, &all, echo)
            && !possible.contains(&value)
        {
            return Err(format!(
                "it is {value:?}, but may be {possible:?}: it was {:?}, then came {events:?}",
                self.base
            ));
        }
        self.base = BTreeSet::from([value]);
        Ok(())
    }
}
