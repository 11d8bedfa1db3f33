//! What contacts may not have heard: kept in the batch of the change that it tells of, until they have it on disk (RFC 6121 §3: both
//! sides keep their own view of a subscription, and no crash may leave them with two).
//!
//! It also tells what is under way. As long as the contact has not settled the user's last `subscribe` or `unsubscribe`, nothing that
//! comes from it can be an answer to that.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Act;
use super::rows::{address, bad_of};
use crate::envelope::Told;
use crate::jid::BareJid;
use crate::limits::{ROSTER_UNSAID_BYTES, ROSTER_UNSAID_CONTACTS};
use crate::stanza::{Kind as StanzaKind, Stanza};
use crate::store::{BadRow, Column, Expect, Field, Kind, Loaded, Loading, Op, Puts, Row, Shape};

/// The last stanza of each kind to each contact: what the user asked, what it granted.
pub static ROSTER_UNSAID: Shape = Shape {
    name: "roster_unsaid",
    key: &[Column::new("contact", Kind::Text)],
    columns: &[
        Column::new("asking", Kind::Xml).optional(),
        Column::new("granting", Kind::Xml).optional(),
    ],
    loading: Loading::Loaded,
    // It goes when it is settled, and nobody waits for that.
    puts: Puts::Quiet,
};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unsaid {
    contacts: BTreeMap<BareJid, Both>,
    bytes: usize,
}

/// To one contact.
#[derive(Clone, Debug, Default)]
struct Both {
    /// `subscribe` or `unsubscribe`.
    asking: Option<Said>,
    /// `subscribed` or `unsubscribed`.
    granting: Option<Said>,
}

/// A stanza that is under way.
#[derive(Clone, Debug)]
struct Said {
    stanza: Arc<Stanza>,
    /// By which the contact settles it; `None` for what was read and not said yet.
    receipt: Option<Told>,
    /// Of a refusal: what of the contact is to be settled once this is.
    owed: Option<Told>,
}

/// What becomes of a stanza that was under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Gone {
    /// For the disk.
    pub(crate) op: Op,
    /// What of the contact can be settled now, behind that.
    pub(crate) owed: Option<Told>,
}

impl Unsaid {
    pub(crate) fn is_empty(&self) -> bool {
        self.contacts.is_empty()
    }

    /// Whether one more has room.
    pub(crate) fn has_room(&self) -> bool {
        self.contacts.len() < ROSTER_UNSAID_CONTACTS && self.bytes < ROSTER_UNSAID_BYTES
    }

    /// What the user has asked of this contact that is not settled.
    pub(crate) fn asking(&self, contact: &str) -> Option<Act> {
        let said = self.contacts.get(contact)?.asking.as_ref()?;
        act(&said.stanza)
    }

    /// A stanza is about to be said, in place of the last that did the same.
    pub(crate) fn say(
        &mut self,
        contact: &BareJid,
        act: Act,
        stanza: Arc<Stanza>,
        receipt: Told,
    ) -> Gone {
        self.bytes = self.bytes.saturating_add(stanza.size());
        let both = self.contacts.entry(contact.clone()).or_default();
        let place = both.place(act);
        let old = place.replace(Said {
            stanza,
            receipt: Some(receipt),
            owed: None,
        });
        let op = both.op(contact);
        self.less(old.as_ref());
        let owed = old.and_then(|old| old.owed);
        Gone { op, owed }
    }

    /// What of this contact is to be settled once it has heard what it is granted.
    pub(crate) fn owe(&mut self, contact: &str, receipt: Told) {
        let both = self.contacts.get_mut(contact);
        if let Some(said) = both.and_then(|both| both.granting.as_mut()) {
            said.owed = Some(receipt);
        }
    }

    /// What the user has granted this contact, or does not any more, that is not settled.
    pub(crate) fn granting(&self, contact: &str) -> Option<Act> {
        let said = self.contacts.get(contact)?.granting.as_ref()?;
        act(&said.stanza)
    }

    /// The contact has ended what was granted, so that it need not hear of that any more.
    pub(crate) fn drop_granting(&mut self, contact: &str) {
        let both = self.contacts.get_mut(contact);
        let gone = both.and_then(|both| both.granting.take());
        self.less(gone.as_ref());
        self.forget_empty(contact);
    }

    /// The row of this contact as it is to be. For the batch of what the contact has changed: that nobody waited for an earlier one to go
    /// means that it may still be there, and what was true before that change must not be said behind it.
    pub(crate) fn row(&self, contact: &BareJid) -> Op {
        match self.contacts.get(contact.as_str()) {
            Some(both) => both.op(contact),
            None => Both::default().op(contact),
        }
    }

    /// The contact has it on disk. `None` if that is no news.
    pub(crate) fn settle(&mut self, contact: &BareJid, receipt: Told) -> Option<Gone> {
        let both = self.contacts.get_mut(contact.as_str())?;
        let places = [&mut both.asking, &mut both.granting];
        let settled = |said: &mut Said| said.receipt == Some(receipt);
        let gone = places
            .into_iter()
            .find_map(|place| place.take_if(settled))?;
        let op = both.op(contact);
        self.less(Some(&gone));
        self.forget_empty(contact.as_str());
        let owed = gone.owed;
        Some(Gone { op, owed })
    }

    /// All of it is to be said again, with these receipts: an answer to what was said before is none any more.
    pub(crate) fn again(&mut self, mut receipt: impl FnMut() -> Told) -> Vec<(Arc<Stanza>, Told)> {
        let mut again = Vec::new();
        for both in self.contacts.values_mut() {
            for said in [&mut both.granting, &mut both.asking].into_iter().flatten() {
                let receipt = receipt();
                said.receipt = Some(receipt);
                again.push((Arc::clone(&said.stanza), receipt));
            }
        }
        again
    }

    fn less(&mut self, gone: Option<&Said>) {
        let bytes = gone.map_or(0, |said| said.stanza.size());
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn forget_empty(&mut self, contact: &str) {
        if self.contacts.get(contact).is_some_and(Both::is_empty) {
            self.contacts.remove(contact);
        }
    }

    /// What was kept.
    ///
    /// # Errors
    /// A row that none of ours is.
    pub(crate) fn from_loaded(loaded: &Loaded) -> Result<Self, BadRow> {
        let mut unsaid = Self::default();
        for row in loaded.rows(&ROSTER_UNSAID) {
            let contact = address(&ROSTER_UNSAID, row)?;
            let [_, asking, granting] = &row.0[..] else {
                return Err(bad_of(
                    &ROSTER_UNSAID,
                    &contact,
                    "not as many columns as there are",
                ));
            };
            let bad = |why| bad_of(&ROSTER_UNSAID, &contact, why);
            let asking = read(&contact, asking, Act::asks);
            let granting = read(&contact, granting, Act::grants);
            let both = Both {
                asking: asking.ok_or_else(|| bad("nothing that is asked"))?,
                granting: granting.ok_or_else(|| bad("nothing that is granted"))?,
            };
            if both.is_empty() {
                return Err(bad("nothing at all"));
            }
            for said in [&both.asking, &both.granting].into_iter().flatten() {
                unsaid.bytes = unsaid.bytes.saturating_add(said.stanza.size());
            }
            unsaid.contacts.insert(contact, both);
        }
        Ok(unsaid)
    }
}

impl Both {
    const fn is_empty(&self) -> bool {
        self.asking.is_none() && self.granting.is_none()
    }

    const fn place(&mut self, act: Act) -> &mut Option<Said> {
        match act.asks() {
            true => &mut self.asking,
            false => &mut self.granting,
        }
    }

    fn op(&self, contact: &BareJid) -> Op {
        let table = &ROSTER_UNSAID;
        let contact = Field::text(contact.as_str());
        if self.is_empty() {
            let key = Row(Vec::from([contact]));
            return Op::Delete { table, key };
        }
        let field = |said: &Option<Said>| {
            let said = said.as_ref();
            said.map_or(Field::Absent, |said| Field::Xml(said.stanza.to_xml()))
        };
        let row = Row(Vec::from([
            contact,
            field(&self.asking),
            field(&self.granting),
        ]));
        let expect = Expect::Anything;
        Op::Put { table, row, expect }
    }
}

fn act(stanza: &Stanza) -> Option<Act> {
    match stanza.kind() {
        StanzaKind::Presence(kind) => Act::of(kind),
        StanzaKind::Iq(_) | StanzaKind::Message(_) => None,
    }
}

/// A stanza of the right kind to this contact, or none; `None` if it is neither.
fn read(contact: &BareJid, field: &Field, fits: fn(Act) -> bool) -> Option<Option<Said>> {
    match field {
        Field::Absent => Some(None),
        Field::Xml(xml) => {
            let stanza = Stanza::from_xml(xml)?;
            act(&stanza).filter(|act| fits(*act))?;
            stanza.to().filter(|to| to.as_str() == contact.as_str())?;
            let stanza = Arc::new(stanza);
            let receipt = None;
            let owed = None;
            Some(Some(Said {
                stanza,
                receipt,
                owed,
            }))
        }
        Field::Bytes(_) | Field::Int(_) | Field::Text(_) | Field::Time(_) => None,
    }
}
