//! What one client of the crowd asked for and what became of it, and what its roster may therefore be.

use std::collections::{BTreeMap, VecDeque};

use spec_tests::dice::Dice;
use spec_tests::element::{CLIENT, Element};
use spondee_core::limits::ROSTER_NAME_BYTES;

const ROSTER: &str = "jabber:iq:roster";

/// How many contacts a client names.
const CONTACTS: usize = 50;

/// How many it may have: below what it names, so that changes are refused all the time.
pub(super) const MAX_CONTACTS: usize = 40;

/// Names of contacts by their numbers.
pub(super) type Roster = BTreeMap<usize, String>;

/// What a request asks for.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// The name is there once in a run.
    Put(usize, String),
    Remove(usize),
    /// Has a name that is too long.
    Refused(usize),
}

impl Change {
    fn item(&self) -> String {
        match self {
            Self::Put(contact, name) => {
                format!("<item jid='{}' name='{name}'/>", jid(*contact))
            }
            Self::Remove(contact) => {
                format!("<item jid='{}' subscription='remove'/>", jid(*contact))
            }
            Self::Refused(contact) => {
                let name = "x".repeat(ROSTER_NAME_BYTES + 1);
                format!("<item jid='{}' name='{name}'/>", jid(*contact))
            }
        }
    }

    /// Does it as the server must, or tells the condition of the refusal.
    fn apply(&self, roster: &mut Roster) -> Result<(), &'static str> {
        match self {
            Self::Refused(_) => Err("not-acceptable"),
            Self::Put(contact, _)
                if roster.len() >= MAX_CONTACTS && !roster.contains_key(contact) =>
            {
                Err("policy-violation")
            }
            Self::Put(contact, name) => {
                roster.insert(*contact, name.clone());
                Ok(())
            }
            Self::Remove(contact) => match roster.remove(contact) {
                Some(_) => Ok(()),
                None => Err("item-not-found"),
            },
        }
    }

    /// Whether this is what a push of it tells.
    fn is_told_by(&self, item: &Element) -> bool {
        let (contact, name, subscription) = match self {
            Self::Put(contact, name) => (contact, Some(name.as_str()), "none"),
            Self::Remove(contact) => (contact, None, "remove"),
            Self::Refused(_) => return false,
        };
        item.attribute("jid") == Some(jid(*contact).as_str())
            && item.attribute("name") == name
            && item.attribute("subscription") == Some(subscription)
    }
}

fn jid(contact: usize) -> String {
    format!("c{contact}@example.com")
}

/// The contacts in an answer to a get.
pub(super) fn read(result: &Element) -> Result<Roster, String> {
    let query = result.child(ROSTER, "query").ok_or("no query")?;
    let read = |item: &Element| {
        let jid = item.attribute("jid").unwrap_or_default();
        let number = jid.strip_prefix('c')?.strip_suffix("@example.com")?;
        let name = item.attribute("name").unwrap_or_default();
        Some((number.parse().ok()?, name.to_owned()))
    };
    let items = query.children();
    items
        .map(|item| read(item).ok_or_else(|| format!("a contact nobody named: {item}")))
        .collect()
}

/// What a session hears of changes.
#[derive(Clone, Debug)]
pub(super) enum Pushes {
    /// It has not asked for the roster (RFC 6121 §2.2).
    None,
    /// One behind each result (RFC 6121 §2.1.6): of what has none yet.
    Of(Option<Change>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Book {
    dice: Dice,
    asked: usize,
    /// What was not answered yet, by the ids of the requests.
    waiting: VecDeque<(String, Change)>,
    pushes: Pushes,
    /// What the answers make of the roster.
    roster: Roster,
    pub(super) done: usize,
    /// By condition.
    pub(super) refused: BTreeMap<String, usize>,
}

impl Book {
    pub(super) const fn new(seed: u64, pushes: Pushes) -> Self {
        Self {
            dice: Dice::new(seed),
            asked: 0,
            waiting: VecDeque::new(),
            pushes,
            roster: Roster::new(),
            done: 0,
            refused: BTreeMap::new(),
        }
    }

    /// The next request, which waits for its answer from now on.
    pub(super) fn ask(&mut self) -> String {
        self.asked += 1;
        let contact = self.dice.below(CONTACTS);
        let change = match self.dice.below(100) {
            0..5 => Change::Refused(contact),
            5..20 => Change::Remove(contact),
            _ => Change::Put(contact, format!("name {}", self.asked)),
        };
        let id = format!("s{}", self.asked);
        let item = change.item();
        let xml = format!("<iq type='set' id='{id}'><query xmlns='{ROSTER}'>{item}</query></iq>");
        self.waiting.push_back((id, change));
        xml
    }

    /// Takes what came: whether it answers a request.
    pub(super) fn hear(&mut self, came: &Element) -> Result<bool, String> {
        let fault = |what: &str| Err(format!("{what}: {came}"));
        if !came.is(CLIENT, "iq") {
            return fault("no answer");
        }
        let kind = came.attribute("type");
        if kind == Some("set") {
            let query = came.child(ROSTER, "query");
            let item = query.and_then(|query| query.children().next());
            let due = match &mut self.pushes {
                Pushes::Of(due) => due.take(),
                Pushes::None => None,
            };
            return match (due, item) {
                (Some(due), Some(item)) if due.is_told_by(item) => Ok(false),
                (due, _) => fault(&format!("a push, which should be of {due:?}")),
            };
        }
        if let Pushes::Of(Some(change)) = &self.pushes {
            return fault(&format!("{change:?} is not pushed"));
        }
        // In their order, each once.
        let Some((_, change)) = self
            .waiting
            .pop_front_if(|(id, _)| came.attribute("id") == Some(id))
        else {
            return fault(&format!("no answer to {:?}", self.waiting.front()));
        };
        let mut after = self.roster.clone();
        let due = change.apply(&mut after);
        let error = came.child(CLIENT, "error").and_then(Element::condition);
        match (kind, due, error) {
            (Some("result"), Ok(()), None) => {
                self.roster = after;
                self.done += 1;
                if let Pushes::Of(due) = &mut self.pushes {
                    *due = Some(change);
                }
            }
            // Whoever has too much to do may refuse anything.
            (Some("error"), _, Some("resource-constraint")) => {
                *self
                    .refused
                    .entry("resource-constraint".to_owned())
                    .or_default() += 1;
            }
            (Some("error"), Err(due), Some(condition)) if due == condition => {
                *self.refused.entry(condition.to_owned()).or_default() += 1;
            }
            (_, due, _) => return fault(&format!("{change:?} should be {due:?}")),
        }
        Ok(true)
    }

    /// Whether a roster that was found is what the answers say, with as many of the unanswered requests as the server may have come to:
    /// how many.
    pub(super) fn judge(&self, found: &Roster) -> Result<usize, String> {
        let mut roster = self.roster.clone();
        if roster == *found {
            return Ok(0);
        }
        for (count, (_, change)) in self.waiting.iter().enumerate() {
            // What would have been refused changes nothing.
            let _ = change.apply(&mut roster);
            if roster == *found {
                return Ok(count + 1);
            }
        }
        Err(format!(
            "found {found:?}, answered for {:?}, unanswered {:?}",
            self.roster, self.waiting
        ))
    }
}
