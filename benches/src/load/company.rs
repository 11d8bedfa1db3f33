//! Accounts that know each other, for the scenarios with contacts: they have them for themselves, because what is kept of them stays from
//! run to run.
//!
//! Before the first run on a server they are made each other's contacts (`both`), by the stanzas that clients send for it (RFC 6121
//! §3.1), on a server that is stopped before anything is measured.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::client::Security;
use super::crowd::Crowd;
use super::heard::Heard;
use super::target::{Progress, Running};
use crate::scenarios::{HOST, RESOURCE};
use crate::scram::Account;

/// Of each account, in all scenarios with rosters.
pub(super) const CONTACTS: usize = 50;

/// Sign-ins at a time before anything begins.
pub(super) const PARALLEL: usize = 16;

/// Pairs that become acquainted at a time.
const PAIRS: usize = 64;

/// What asks for a roster.
pub(super) const GET: &[u8] = b"<iq type='get' id='r1'><query xmlns='jabber:iq:roster'/></iq>";

/// Which accounts they are, by their numbers.
#[derive(Clone, Debug)]
pub struct Company {
    /// The contacts of every user.
    pub contacts: Range<usize>,
    /// Who have all of them, and nobody else.
    pub users: Range<usize>,
    /// Each of these has the 25 before and the 25 behind it in the circle, if there are so many.
    pub circle: Range<usize>,
}

impl Company {
    /// With these numbers and those behind them.
    #[must_use]
    pub const fn new(first: usize, users: usize, circle: usize) -> Self {
        let contacts = first..first + CONTACTS;
        let users = contacts.end..contacts.end + users;
        let circle = users.end..users.end + circle;
        Self {
            contacts,
            users,
            circle,
        }
    }

    /// None of them.
    #[must_use]
    pub const fn nobody(first: usize) -> Self {
        Self {
            contacts: first..first,
            users: first..first,
            circle: first..first,
        }
    }

    /// How many accounts there must be.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.circle.end
    }

    /// The contacts of the users.
    pub(super) fn pairs_of_users(&self) -> Vec<(usize, usize)> {
        let users = self.users.clone();
        let with_each = |user| self.contacts.clone().map(move |contact| (user, contact));
        users.flat_map(with_each).collect()
    }

    /// The contacts of the circle.
    pub(super) fn pairs_of_circle(&self) -> Vec<(usize, usize)> {
        let Range { start, .. } = self.circle;
        let size = self.circle.len();
        let next = |one: usize, step: usize| start + (one - start + step) % size.max(1);
        let circle = self.circle.clone();
        let pairs =
            circle.flat_map(|one| (1..=CONTACTS / 2).map(move |step| (one, next(one, step))));
        // In a small circle two may meet twice, or oneself.
        let mut met = BTreeSet::new();
        let is_new = |(a, b): &(usize, usize)| a != b && met.insert((*a.min(b), *a.max(b)));
        pairs.filter(is_new).collect()
    }
}

/// Makes each other's contacts of those pairs that are not yet, and makes sure that all are.
///
/// # Errors
/// The server does not play along.
pub(super) fn acquaint(
    running: &Running,
    accounts: &mut [Account],
    pairs: &[(usize, usize)],
    progress: &Progress,
) -> Result<(), String> {
    let mut crowd = Crowd::new(accounts, running, Security::Clear)?;
    let all: BTreeSet<usize> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
    let who = all.iter().map(|account| (*account, RESOURCE.to_owned()));
    let seats = crowd.sign_in(who, PARALLEL)?;
    let seats: BTreeMap<usize, usize> = seats
        .into_iter()
        .map(|seat| (crowd.account_of(seat), seat))
        .collect();
    let mut strangers = strangers(&mut crowd, &seats, pairs)?;
    if !strangers.is_empty() {
        progress.say(&format!("making {} pairs of contacts", strangers.len()));
        become_available(&mut crowd, &seats)?;
        introduce(&mut crowd, &seats, &strangers)?;
        strangers = self::strangers(&mut crowd, &seats, pairs)?;
    }
    if let Some((a, b)) = strangers.first() {
        return Err(format!(
            "accounts {a} and {b} are no contacts of each other"
        ));
    }
    crowd.leave()
}

/// The pairs of which one has not the other, as both rosters say.
fn strangers(
    crowd: &mut Crowd<'_>,
    seats: &BTreeMap<usize, usize>,
    pairs: &[(usize, usize)],
) -> Result<Vec<(usize, usize)>, String> {
    for seat in seats.values() {
        crowd.client(*seat).send(GET)?;
    }
    let mut known: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    while known.len() < seats.len() {
        crowd.turn(|client| {
            let account = client.account();
            client.take_stanzas(|heard| {
                if heard.name == "iq" && heard.attribute("id") == Some("r1") {
                    known.insert(account, heard.contacts().0.into_iter().collect());
                }
                Ok(())
            })
        })?;
    }
    let knows = |a, b| known.get(a).is_some_and(|contacts| contacts.contains(b));
    let strangers = pairs.iter().filter(|(a, b)| !knows(a, b) || !knows(b, a));
    Ok(strangers.copied().collect())
}

/// All of them say that they are there, and hear it.
fn become_available(crowd: &mut Crowd<'_>, seats: &BTreeMap<usize, usize>) -> Result<(), String> {
    for seat in seats.values() {
        crowd.client(*seat).send(b"<presence/>")?;
    }
    let mut silent: BTreeSet<usize> = seats.keys().copied().collect();
    while !silent.is_empty() {
        crowd.turn(|client| {
            let account = client.account();
            client.take_stanzas(|heard| {
                if heard.name == "presence" && heard.sender() == Some(account) {
                    silent.remove(&account);
                }
                Ok(())
            })
        })?;
    }
    Ok(())
}

/// The first of each pair asks the second, who grants it and asks in return, and is granted it.
fn introduce(
    crowd: &mut Crowd<'_>,
    seats: &BTreeMap<usize, usize>,
    pairs: &[(usize, usize)],
) -> Result<(), String> {
    let say = |kind: &str, to: usize| format!("<presence to='user{to:04}@{HOST}' type='{kind}'/>");
    let mut waiting = pairs.iter().copied();
    let mut under_way = BTreeSet::new();
    loop {
        while under_way.len() < PAIRS {
            let Some((asks, asked)) = waiting.next() else {
                break;
            };
            let seat = seats.get(&asks).copied();
            let seat = seat.ok_or("one of a pair is not there")?;
            crowd
                .client(seat)
                .send(say("subscribe", asked).as_bytes())?;
            under_way.insert((asks, asked));
        }
        if under_way.is_empty() {
            return Ok(());
        }
        crowd.turn(|client| {
            let own = client.account();
            let mut answers = Vec::new();
            client.take_stanzas(|heard| {
                let Some((kind, from)) = asking(heard) else {
                    return Ok(());
                };
                if kind == "subscribe" {
                    answers.push(say("subscribed", from));
                    if under_way.contains(&(from, own)) {
                        answers.push(say("subscribe", from));
                    }
                } else if kind == "subscribed" {
                    under_way.remove(&(from, own));
                }
                Ok(())
            })?;
            answers
                .iter()
                .try_for_each(|answer| client.send(answer.as_bytes()))
        })?;
    }
}

/// Of presence the kind and the sender.
fn asking<'a>(heard: &Heard<'a>) -> Option<(&'a str, usize)> {
    if heard.name != "presence" {
        return None;
    }
    Some((heard.attribute("type")?, heard.sender()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_in_a_circle_has_as_many_contacts() {
        let company = Company::new(3, 2, 60);
        assert_eq!(company.end(), 3 + CONTACTS + 2 + 60);
        let pairs = company.pairs_of_circle();
        for one in company.circle.clone() {
            let of_one = pairs.iter().filter(|(a, b)| *a == one || *b == one);
            assert_eq!(of_one.count(), CONTACTS);
        }
        assert_eq!(company.pairs_of_users().len(), 2 * CONTACTS);
        // Whoever is in a small circle knows everybody else.
        assert_eq!(Company::new(0, 0, 5).pairs_of_circle().len(), 10);
    }
}
