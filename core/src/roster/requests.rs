//! Requests of others that wait for an answer (RFC 6121 §3.1.3). The roster does not tell of them.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Request;
use super::rows::{address, bad_of};
use crate::jid::{BareJid, Jid};
use crate::limits::ROSTER_REQUESTS_BYTES;
use crate::stanza::{Kind as StanzaKind, PresenceType, Stanza};
use crate::store::{BadRow, Column, Expect, Field, Kind, Loaded, Loading, Op, Puts, Row, Shape};
use crate::time::Now;

/// The requests, whole: "including any extended content contained therein".
pub static ROSTER_REQUESTS: Shape = Shape {
    name: "roster_requests",
    key: &[Column::new("contact", Kind::Text)],
    columns: &[
        Column::new("received", Kind::Time),
        Column::new("stanza", Kind::Xml),
    ],
    loading: Loading::Loaded,
    puts: Puts::Awaited,
};

/// One of each contact at most, by the addresses of these.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    waiting: BTreeMap<BareJid, Arc<Stanza>>,
    /// Of all of them.
    bytes: usize,
}

impl Requests {
    /// Whether one of this contact does.
    pub(crate) fn of(&self, contact: &str) -> Request {
        match self.waiting.contains_key(contact) {
            true => Request::Waits,
            false => Request::Nothing,
        }
    }

    /// Whose requests wait.
    pub(crate) fn contacts(&self) -> impl Iterator<Item = &BareJid> {
        self.waiting.keys()
    }

    /// The requests.
    pub(crate) fn stanzas(&self) -> impl Iterator<Item = &Arc<Stanza>> {
        self.waiting.values()
    }

    /// One comes, or takes the place of an earlier one of its sender. `None` if there is no room for it; then nothing happens.
    pub(crate) fn put(
        &mut self,
        contact: BareJid,
        stanza: Arc<Stanza>,
        now: Now,
        most: usize,
    ) -> Option<Op> {
        let old = self.waiting.get(contact.as_str());
        let less = old.map_or(0, |old| old.size());
        let bytes = self
            .bytes
            .saturating_sub(less)
            .saturating_add(stanza.size());
        if bytes > ROSTER_REQUESTS_BYTES || (old.is_none() && self.waiting.len() >= most) {
            return None;
        }
        self.bytes = bytes;
        let op = Op::Put {
            table: &ROSTER_REQUESTS,
            row: Row(Vec::from([
                Field::text(contact.as_str()),
                Field::Time(now.wall.0.saturating_mul(1000)),
                Field::Xml(stanza.to_xml()),
            ])),
            expect: Expect::Anything,
        };
        self.waiting.insert(contact, stanza);
        Some(op)
    }

    /// That of this contact is answered or withdrawn. `None` if there was none.
    pub(crate) fn remove(&mut self, contact: &str) -> Option<Op> {
        let gone = self.waiting.remove(contact)?;
        self.bytes = self.bytes.saturating_sub(gone.size());
        Some(Op::Delete {
            table: &ROSTER_REQUESTS,
            key: Row(Vec::from([Field::text(contact)])),
        })
    }

    /// What was kept.
    ///
    /// # Errors
    /// A row that none of ours is.
    pub(crate) fn from_loaded(loaded: &Loaded) -> Result<Self, BadRow> {
        let mut requests = Self::default();
        for row in loaded.rows(&ROSTER_REQUESTS) {
            let contact = address(&ROSTER_REQUESTS, row)?;
            let stanza = match row.0.get(2) {
                Some(Field::Xml(xml)) => Stanza::from_xml(xml),
                _ => None,
            };
            let stanza = stanza.filter(|stanza| {
                let from = stanza.from().map(Jid::as_str);
                stanza.kind() == StanzaKind::Presence(PresenceType::Subscribe)
                    && from == Some(contact.as_str())
            });
            let Some(stanza) = stanza else {
                let why = "nothing that asks on behalf of it";
                return Err(bad_of(&ROSTER_REQUESTS, &contact, why));
            };
            requests.bytes = requests.bytes.saturating_add(stanza.size());
            requests.waiting.insert(contact, Arc::new(stanza));
        }
        Ok(requests)
    }
}
