//! What clients ask of their rosters, and how they read what they are told.

use std::collections::BTreeMap;

use spondee_core::stanza::{IqType, Kind};

use super::super::random::Random;
use crate::element::{Element, escape};

/// The namespace of rosters (RFC 6121 §2.1.1).
pub(in super::super) const ROSTER: &str = "jabber:iq:roster";

/// Whom clients know. Few, so that they change the same ones.
pub(super) const CONTACTS: [&str; 7] = [
    "benvolio@example.com",
    "juliet@localhost",
    "mercutio@example.com",
    "romeo@localhost",
    "rosaline.example",
    "nurse@localhost",
    "tybalt@other.test",
];

/// Everybody who can come to be in a roster: whom clients know, and whom they ask.
pub(in super::super) const EVERYBODY: [&str; 12] = [
    "benvolio@example.com",
    "juliet@localhost",
    "mercutio@example.com",
    "romeo@localhost",
    "rosaline.example",
    "nurse@localhost",
    "tybalt@other.test",
    "paris@localhost",
    "nobody@localhost",
    "somebody@remote.example",
    "localhost",
    "other.test",
];

/// A contact as the user wants it. Who was asked, or approved, and never named has no name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in super::super) struct Contact {
    /// No other request has the same, so that it tells which of them is seen.
    pub(super) name: String,
    pub(super) groups: Vec<String>,
}

/// Whether the user hears of a contact's presence.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(in super::super) enum Toward {
    #[default]
    Nothing,
    Asked,
    Subscribed,
}

/// Whether a contact hears of the user's presence.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(in super::super) enum Shares {
    #[default]
    Nothing,
    /// It will, as soon as it asks (RFC 6121 §3.4).
    Approved,
    Yes,
}

/// What a client is told of a contact.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in super::super) struct Item {
    pub(super) contact: Contact,
    pub(in super::super) toward: Toward,
    pub(in super::super) shares: Shares,
}

impl Item {
    /// Both directions.
    pub(super) const fn bond(&self) -> (Toward, Shares) {
        (self.toward, self.shares)
    }
}

/// Contacts by their addresses.
pub(in super::super) type Roster = BTreeMap<String, Item>;

/// What a client asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) enum Wish {
    /// The roster, unless it is of this version.
    Get(Option<String>),
    /// This contact is to be so.
    Set(&'static str, Contact),
    /// This contact is to go.
    Remove(&'static str),
    /// What nobody may ask: with this payload, to be refused for this reason.
    Bad(IqType, &'static str, String),
}

impl Wish {
    /// Something a client might ask that knows these versions. `name` is what it calls whom it asks for.
    pub(super) fn any(random: &mut Random, name: &str, own: &str, versions: &[i64]) -> Self {
        let contact = random.pick(&CONTACTS);
        match random.below(20) {
            0..=4 => Self::Get(known(random, versions)),
            // Nobody is one's own contact (RFC 6121 §2.3.3).
            5..=14 if contact == own => Self::Bad(IqType::Set, "not-allowed", item(own, name, &[])),
            5..=14 => {
                let groups = &["Montague", "F&F", "Verona"][..random.below(4)];
                let groups = groups.iter().map(|group| (*group).to_owned()).collect();
                let name = name.to_owned();
                Self::Set(contact, Contact { name, groups })
            }
            15..=17 => Self::Remove(contact),
            _ => bad(random, name),
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Get(_) => Kind::Iq(IqType::Get),
            Self::Set(..) | Self::Remove(_) => Kind::Iq(IqType::Set),
            Self::Bad(kind, ..) => Kind::Iq(*kind),
        }
    }

    /// On the wire, without the IQ around it.
    pub(super) fn payload(&self) -> String {
        match self {
            Self::Get(None) => format!("<query xmlns='{ROSTER}'/>"),
            Self::Get(Some(ver)) => format!("<query xmlns='{ROSTER}' ver='{}'/>", escape(ver)),
            Self::Set(jid, Contact { name, groups }) => query(&item(jid, name, groups)),
            Self::Remove(jid) => query(&format!("<item jid='{jid}' subscription='remove'/>")),
            Self::Bad(_, _, items) => query(items),
        }
    }
}

/// A version to ask with: none, one that was told, or one that never was (RFC 6121 §2.6.2).
fn known(random: &mut Random, versions: &[i64]) -> Option<String> {
    let last = versions.last().map(i64::to_string);
    match random.below(8) {
        0..=2 => None,
        3 => Some(String::new()),
        4 => Some("7f".to_owned()),
        5 if !versions.is_empty() => Some(random.pick(versions).to_string()),
        _ => last,
    }
}

/// RFC 6121 §2.3.3, §2.1.3 and §2.1.5.
fn bad(random: &mut Random, name: &str) -> Wish {
    let contact = CONTACTS[0]; // nobody's own address
    let one = item(contact, name, &[]);
    let (kind, condition, items) = match random.below(7) {
        0 => (IqType::Get, "bad-request", one),
        1 => (IqType::Set, "bad-request", String::new()),
        2 => (IqType::Set, "bad-request", one.clone() + &one),
        3 => (IqType::Set, "bad-request", item("@", name, &[])),
        4 => (
            IqType::Set,
            "bad-request",
            item("romeo@localhost/orchard", name, &[]),
        ),
        5 => {
            let twice = ["Verona".to_owned(), "Verona".to_owned()];
            (IqType::Set, "bad-request", item(contact, name, &twice))
        }
        _ => {
            let empty = [String::new()];
            (IqType::Set, "not-acceptable", item(contact, name, &empty))
        }
    };
    Wish::Bad(kind, condition, items)
}

fn query(items: &str) -> String {
    format!("<query xmlns='{ROSTER}'>{items}</query>")
}

fn item(jid: &str, name: &str, groups: &[String]) -> String {
    let group = |group: &String| format!("<group>{}</group>", escape(group));
    let groups: String = groups.iter().map(group).collect();
    format!("<item jid='{jid}' name='{}'>{groups}</item>", escape(name))
}

/// One item as a client reads it: whose, and how it is; `None` if it goes.
pub(super) fn read_item(item: &Element) -> Result<(String, Option<Item>), String> {
    let fail = || Err(format!("no item of a roster: {item}"));
    let (true, Some(jid)) = (item.is(ROSTER, "item"), item.attribute("jid")) else {
        return fail();
    };
    let says = |name, value| match item.attribute(name) {
        None => Some(false),
        Some(said) => (said == value).then_some(true),
    };
    let (Some(ask), Some(approved)) = (says("ask", "subscribe"), says("approved", "true")) else {
        return fail();
    };
    let (to, from) = match item.attribute("subscription") {
        Some("remove") if item.attribute("name").is_none() && !ask && !approved => {
            return Ok((jid.to_owned(), None));
        }
        Some("none") => (false, false),
        Some("to") => (true, false),
        Some("from") => (false, true),
        Some("both") => (true, true),
        _ => return fail(),
    };
    let toward = match (to, ask) {
        (false, false) => Toward::Nothing,
        (false, true) => Toward::Asked,
        (true, false) => Toward::Subscribed,
        (true, true) => return fail(),
    };
    let shares = match (from, approved) {
        (false, false) => Shares::Nothing,
        (false, true) => Shares::Approved,
        (true, false) => Shares::Yes,
        // An approval is used up by the request that it answers.
        (true, true) => return fail(),
    };
    let contact = Contact {
        name: item.attribute("name").unwrap_or_default().to_owned(),
        groups: item.children().map(Element::text).collect(),
    };
    let item = Item {
        contact,
        toward,
        shares,
    };
    Ok((jid.to_owned(), Some(item)))
}

/// A version and the roster that it names, as a client reads them.
pub(super) fn read_query(query: &Element) -> Result<(i64, Roster), String> {
    let mut roster = Roster::new();
    for item in query.children() {
        match read_item(item)? {
            (jid, Some(item)) if !roster.contains_key(&jid) => drop(roster.insert(jid, item)),
            (jid, _) => return Err(format!("{jid} is twice, or gone, in {query}")),
        }
    }
    Ok((read_version(query)?, roster))
}

/// Versions are numbers that rise, whoever counts them.
pub(super) fn read_version(query: &Element) -> Result<i64, String> {
    let ver = query.attribute("ver").and_then(|ver| ver.parse().ok());
    ver.ok_or_else(|| format!("without a version: {query}"))
}
