//! What clients ask of archives, and what they are answered, on the wire (XEP-0313, XEP-0059, XEP-0441).

use std::collections::BTreeSet;

use super::super::accounts::NAMES;
use super::super::random::Random;
use super::MAM;
use super::archive::{Archive, Ask, Entry, Fin};
use super::copies::Arrival;
use super::prefs::{Policy, Prefs};
use crate::element::{Element, escape};

const RSM: &str = "http://jabber.org/protocol/rsm";

/// An id that no archive gave.
const BOGUS: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Whom preferences name: accounts, a resource, and somebody elsewhere.
const PEERS: [&str; 6] = [
    "romeo@localhost",
    "juliet@localhost",
    "nurse@localhost",
    "tybalt@other.test",
    "juliet@localhost/a",
    "romeo@localhost/b",
];

impl Ask {
    /// Something a client might ask of this archive.
    pub(super) fn any(random: &mut Random, archive: &Archive) -> Self {
        let there = archive.there();
        let some = |random: &mut Random| match there.is_empty() || random.percent(3) {
            true => BOGUS.to_owned(),
            false => there[random.below(there.len())].id.clone(),
        };
        let stamp = |random: &mut Random| match there.is_empty() {
            true => "2026-11-26T10:00:00Z".to_owned(),
            false => there[random.below(there.len())].stamp.clone(),
        };
        let mut ask = Self::default();
        match random.below(12) {
            0..=3 => {}
            4 => ask.after = Some(some(random)),
            5 => ask.before = Some(some(random)),
            6..=7 => ask.before = Some(String::new()),
            8 => ask.after_id = Some(some(random)),
            9 => ask.before_id = Some(some(random)),
            10 => ask.ids = (0..=random.below(3)).map(|_| some(random)).collect(),
            _ => {
                ask.after = Some(some(random));
                ask.before = Some(some(random));
            }
        }
        if random.percent(30) {
            ask.with = Some(match there.is_empty() || random.percent(50) {
                true => random.pick(&NAMES).to_owned(),
                false => there[random.below(there.len())].peer.clone(),
            });
        }
        if random.percent(15) {
            ask.start = Some(stamp(random));
        }
        if random.percent(15) {
            ask.end = Some(stamp(random));
        }
        ask.max = random.pick(&[None, None, Some(1), Some(3), Some(10), Some(0), Some(500)]);
        ask.flipped = random.percent(10);
        ask
    }

    /// The payload of the request.
    pub(super) fn xml(&self, query: &str) -> String {
        let field = |name: &str, values: &[&str]| {
            let values = values
                .iter()
                .map(|value| format!("<value>{}</value>", escape(value)));
            format!("<field var='{name}'>{}</field>", values.collect::<String>())
        };
        let mut fields = String::new();
        for (name, value) in [
            ("with", &self.with),
            ("start", &self.start),
            ("end", &self.end),
            ("after-id", &self.after_id),
            ("before-id", &self.before_id),
        ] {
            if let Some(value) = value {
                fields += &field(name, &[value]);
            }
        }
        if !self.ids.is_empty() {
            let ids: Vec<&str> = self.ids.iter().map(String::as_str).collect();
            fields += &field("ids", &ids);
        }
        let mut out = format!("<query xmlns='{MAM}' queryid='{query}'>");
        if !fields.is_empty() {
            let form = field("FORM_TYPE", &[MAM]);
            out += &format!("<x xmlns='jabber:x:data' type='submit'>{form}{fields}</x>");
        }
        let mut set = String::new();
        if let Some(max) = self.max {
            set += &format!("<max>{max}</max>");
        }
        for (name, value) in [("after", &self.after), ("before", &self.before)] {
            if let Some(value) = value {
                set += &format!("<{name}>{value}</{name}>");
            }
        }
        if !set.is_empty() {
            out += &format!("<set xmlns='{RSM}'>{set}</set>");
        }
        if self.flipped {
            out += "<flip-page/>";
        }
        out + "</query>"
    }
}

impl Fin {
    /// What an answer says.
    pub(super) fn read(answer: &Element) -> Option<Self> {
        let fin = answer.child(MAM, "fin")?;
        let set = fin.child(RSM, "set")?;
        let text = |name| set.child(RSM, name).map(Element::text);
        Some(Self {
            complete: fin.attribute("complete") == Some("true"),
            first: text("first"),
            last: text("last"),
            count: text("count").and_then(|count| count.parse().ok()),
        })
    }
}

impl Entry {
    /// A result, as the archive of `own` has it.
    pub(super) fn read(arrival: &Arrival<'_>, own: &str) -> Option<Self> {
        let message = arrival.message;
        let from = message.attribute("from").unwrap_or_default();
        let to = message.attribute("to").unwrap_or(own);
        let is_own = |jid: &str| jid.split('/').next() == Some(own);
        let peer = match (is_own(from), is_own(to)) {
            (true, true) => own,
            (true, false) => to,
            (false, _) => from,
        };
        Some(Self {
            id: arrival.id?.to_owned(),
            mark: arrival.mark()?.to_owned(),
            peer: peer.to_owned(),
            stamp: arrival.stamp?.to_owned(),
        })
    }
}

impl Prefs {
    /// What somebody might want. Nobody is named twice, with a resource or without.
    pub(super) fn any(random: &mut Random) -> Self {
        let mut prefs = Self::new(random.pick(&Policy::ALL));
        let mut named = BTreeSet::new();
        for _ in 0..random.below(4) {
            let peer = random.pick(&PEERS);
            if named.insert(peer.split('/').next()) {
                let list = match random.percent(50) {
                    true => &mut prefs.always,
                    false => &mut prefs.never,
                };
                list.insert(peer.to_owned());
            }
        }
        prefs
    }

    pub(super) fn xml(&self) -> String {
        let list = |name: &str, of: &BTreeSet<String>| {
            let jids: String = of.iter().map(|jid| format!("<jid>{jid}</jid>")).collect();
            format!("<{name}>{jids}</{name}>")
        };
        let (always, never) = (list("always", &self.always), list("never", &self.never));
        let policy = self.policy.name();
        format!("<prefs xmlns='{MAM}' default='{policy}'>{always}{never}</prefs>")
    }

    pub(super) fn read(answer: &Element) -> Option<Self> {
        let prefs = answer.child(MAM, "prefs")?;
        let policy = prefs.attribute("default")?;
        let list = |name| {
            let jids = prefs.child(MAM, name)?.children().map(Element::text);
            Some(jids.collect())
        };
        Some(Self {
            policy: Policy::ALL.into_iter().find(|one| one.name() == policy)?,
            always: list("always")?,
            never: list("never")?,
        })
    }
}
