//! Oracle: both sides of a subscription agree about it, once all is at rest. A stanza that was lost on its way is not said again by itself: what
//! it left is healed when the user says it again (RFC 6121 §3.1.2, §3.1.3).

use std::collections::BTreeMap;

use super::Simulation;
use crate::element::Element;

const ROSTER: &str = "jabber:iq:roster";

/// How often it is said again: a domain may be waited for longer than a subscription is kept (`s2s_retry_for`).
const TRIES: usize = 3;

/// What the server of each user says of the others.
#[derive(Debug, Default)]
pub(super) struct Rosters(BTreeMap<usize, Vec<Contact>>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Contact {
    bare: String,
    to: Subscribed,
    from: Subscribed,
}

/// Whether one sees the other.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Subscribed {
    Yes,
    /// It is asked, and not answered.
    Asks,
    #[default]
    No,
}

impl Contact {
    fn read(item: &Element) -> Option<Self> {
        let (to, from) = match item.attribute("subscription")? {
            "both" => (Subscribed::Yes, Subscribed::Yes),
            "to" => (Subscribed::Yes, Subscribed::No),
            "from" => (Subscribed::No, Subscribed::Yes),
            _ => (Subscribed::No, Subscribed::No),
        };
        let asks = item.attribute("ask").is_some() && to == Subscribed::No;
        Some(Self {
            bare: item.attribute("jid")?.to_owned(),
            to: match asks {
                true => Subscribed::Asks,
                false => to,
            },
            from,
        })
    }
}

impl Rosters {
    /// What `user` is told of all.
    pub(super) fn take(&mut self, user: usize, answer: &Element) {
        if let Some(query) = answer.child(ROSTER, "query") {
            let contacts = query.children().filter_map(Contact::read).collect();
            self.0.insert(user, contacts);
        }
    }

    fn of(&self, user: usize, other: &str) -> (Subscribed, Subscribed) {
        let contacts = self.0.get(&user).into_iter().flatten();
        let mut found = contacts.filter(|contact| contact.bare == other);
        let found = found.next();
        found.map_or_else(Default::default, |contact| (contact.to, contact.from))
    }
}

impl Simulation {
    /// Whether all agree, if those that do not say it again.
    pub(super) fn agree(&mut self) -> Result<(), String> {
        let mut apart = self.apart()?;
        if !self.plan.is_sociable() {
            // Who may not talk to whom cannot agree with it either.
            self.counts.apart += apart.len();
            return Ok(());
        }
        for _ in 0..TRIES {
            if apart.is_empty() {
                return Ok(());
            }
            for (user, other) in &apart {
                let to = self.users[*other].bare.clone();
                self.note(format_args!("user {user} subscribes to {to} again"));
                let words = format!("<presence type='subscribe' to='{to}'/>");
                self.say(*user, &words, None);
            }
            self.counts.said_again += apart.len();
            self.come_to_rest()?;
            apart = self.apart()?;
        }
        match apart.first() {
            None => Ok(()),
            Some((user, other)) => {
                let (one, two) = (&self.users[*user].bare, &self.users[*other].bare);
                let (seen, back) = (self.rosters.of(*user, two), self.rosters.of(*other, one));
                Err(format!(
                    "{one} has {two} as {seen:?}, and {two} has {one} as {back:?}"
                ))
            }
        }
    }

    /// Who sees whom by one side alone, or asks and is not answered.
    fn apart(&mut self) -> Result<Vec<(usize, usize)>, String> {
        self.ask_rosters()?;
        let mut apart = Vec::new();
        for user in 0..self.users.len() {
            for other in 0..self.users.len() {
                if self.users[user].site == self.users[other].site {
                    continue;
                }
                let (to, _) = self.rosters.of(user, &self.users[other].bare);
                let (_, from) = self.rosters.of(other, &self.users[user].bare);
                match (to, from) {
                    (Subscribed::Yes, Subscribed::Yes) => self.counts.agreed += 1,
                    (Subscribed::No, Subscribed::No) => {}
                    (Subscribed::Yes | Subscribed::Asks | Subscribed::No, _) => {
                        apart.push((user, other));
                    }
                }
            }
        }
        Ok(apart)
    }

    fn ask_rosters(&mut self) -> Result<(), String> {
        self.rosters = Rosters::default();
        for user in 0..self.users.len() {
            let words = format!("<iq type='get' id='roster'><query xmlns='{ROSTER}'/></iq>");
            self.say(user, &words, None);
        }
        self.net.run();
        self.observe()
    }
}
