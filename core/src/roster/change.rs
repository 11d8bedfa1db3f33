//! What a roster set changes: memory, rows, and what devices are told.

use alloc::vec;
use alloc::vec::Vec;

use super::item::Standing;
use super::request::Wish;
use super::{Item, ROSTER, ROSTER_VERSION, Roster, Set, Version, query};
use crate::jid::BareJid;
use crate::limits::ROSTER_BYTES;
use crate::stanza::Condition;
use crate::store::{Expect, Field, Op, Row, Table};
use crate::time::Now;
use crate::xml::Writer;

/// What becomes of a change in memory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// What is to be written, in one batch.
    pub ops: Vec<Op>,
    /// What every interested resource is to hear, the one that asked for it included, once that is on disk.
    pub push: Push,
}

/// The payload of a roster push (RFC 6121 §2.1.6): one item and the version that it makes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Push {
    version: Version,
    xml: Vec<u8>,
}

impl Push {
    /// Writes it into an IQ of type `set`.
    pub fn write(&self, w: &mut Writer<'_>) {
        w.raw(&self.xml);
    }

    /// The version that it makes, which no other push makes.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    fn new(version: Version, item: impl FnOnce(&mut Writer<'_>)) -> Self {
        let mut xml = Vec::with_capacity(256);
        let mut w = Writer::new(&mut xml);
        query(version, &mut w);
        item(&mut w);
        w.close();
        Self { version, xml }
    }
}

impl Roster {
    /// Does what a roster set says. An error leaves everything as it was.
    ///
    /// # Errors
    /// `item-not-found` for what is to be removed and is not there (RFC 6121 §2.5.3). `Choice:` its type is that of RFC 6120 §8.3.3.7,
    /// "cancel", and not that of the example. `policy-violation` for one contact or one byte too many: no other request would do either
    /// ("modify"), and waiting does not help.
    pub fn apply(&mut self, set: Set, now: Now, max_contacts: usize) -> Result<Change, Condition> {
        let Set { contact, wish } = set;
        match (wish, self.find(contact.as_str())) {
            (Wish::Remove, Err(_)) => Err(Condition::ItemNotFound),
            (Wish::Remove, Ok(at)) => Ok(self.remove(at, &contact, now)),
            (Wish::Update { name, groups }, found) => {
                let old = found.ok().and_then(|at| self.items.get(at));
                let standing = old.map_or_else(Standing::default, |old| old.standing);
                let groups = groups.iter().map(|group| &**group);
                let new = Item::new(&contact, standing, &name, groups);
                self.put(found, &new, now, max_contacts)
            }
        }
    }

    /// A contact goes, if it is one.
    pub(crate) fn take(&mut self, contact: &BareJid, now: Now) -> Option<Change> {
        let at = self.find(contact.as_str()).ok()?;
        Some(self.remove(at, contact, now))
    }

    /// A contact stands otherwise than before; who was none becomes one.
    ///
    /// # Errors
    /// As `apply`, for one contact or one byte too many.
    pub(crate) fn stand(
        &mut self,
        contact: &BareJid,
        standing: Standing,
        now: Now,
        max_contacts: usize,
    ) -> Result<Change, Condition> {
        let found = self.find(contact.as_str());
        let new = match found.ok().and_then(|at| self.items.get(at)) {
            Some(old) => Item {
                texts: old.texts.into_owned().into(),
                standing,
            },
            None => Item::new(contact, standing, "", [].into_iter()),
        };
        self.put(found, &new, now, max_contacts)
    }

    /// A contact comes, or takes the place of what it was.
    ///
    /// `Choice:` who sets what is already so is not refused, and gets a version and a push like everybody (RFC 6121 §2.4.2 and §2.3.2
    /// have no exception, and §2.6.3 wants the version of each push to be unique). The version alone is written then.
    fn put(
        &mut self,
        place: Result<usize, usize>,
        new: &Item<'_>,
        now: Now,
        max_contacts: usize,
    ) -> Result<Change, Condition> {
        if place.is_err() && self.items.len() >= max_contacts {
            return Err(Condition::PolicyViolation);
        }
        let old = place.ok().and_then(|at| self.items.get(at));
        let less = old.as_ref().map_or(0, |old| old.written());
        let written = (self.written - less) + new.written();
        let is_so = old.as_ref() == Some(new);
        // Whoever has too much, because it came from elsewhere, may shorten it.
        if written > ROSTER_BYTES && written > self.written {
            return Err(Condition::PolicyViolation);
        }
        self.written = written;
        self.version = self.version.next(now);
        let mut ops = Vec::with_capacity(2);
        if !is_so {
            ops.push(put(&ROSTER, new.to_row()));
        }
        ops.push(put(&ROSTER_VERSION, self.version.to_row()));
        let push = Push::new(self.version, |w| new.write(w));
        match place {
            Ok(at) => self.items.replace(at, new),
            Err(at) => self.items.insert(at, new),
        }
        Ok(Change { ops, push })
    }

    /// A contact goes.
    fn remove(&mut self, at: usize, contact: &BareJid, now: Now) -> Change {
        self.written -= self.items.get(at).map_or(0, |gone| gone.written());
        self.items.remove(at);
        self.version = self.version.next(now);
        let key = Row(vec![Field::text(contact.as_str())]);
        let table = &ROSTER;
        Change {
            ops: vec![
                Op::Delete { table, key },
                put(&ROSTER_VERSION, self.version.to_row()),
            ],
            push: Push::new(self.version, |w| {
                w.open("item")
                    .attribute("jid", contact.as_str())
                    .attribute("subscription", "remove")
                    .close();
            }),
        }
    }
}

fn put(table: Table, row: Row) -> Op {
    Op::Put {
        table,
        row,
        expect: Expect::Anything,
    }
}
