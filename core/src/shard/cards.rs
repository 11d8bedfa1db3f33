//! XEP-0054 §3.3: others' cards, which everybody may see who is not blocked.
//!
//! Nobody comes into memory for it, and whoever is there is not asked: what decides is read from the store, the same for everybody, so that
//! neither the answer nor how soon it comes tells who exists.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Shard;
use crate::account::Session;
use crate::blocking;
use crate::envelope::{Awaited, Delivery};
use crate::jid::{BareJid, Jid};
use crate::limits::CARD_READS;
use crate::port::ConnId;
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::store::{Batch, Class, Reply, StoreError};
use crate::time::Now;
use crate::vcard;
use crate::wait::Wait;

/// Cards that are asked for.
#[derive(Debug, Default)]
pub(super) struct Cards {
    /// How many are reading whose.
    readers: BTreeMap<BareJid, u16>,
    /// Connections of this shard that wait for one.
    waiting: BTreeSet<ConnId>,
}

impl Cards {
    /// A session is over.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.waiting.remove(&conn);
    }
}

impl Shard {
    /// A card is read for somebody, and whether that is blocked.
    pub(super) fn ask_for_card(&mut self, stanza: &Arc<Stanza>, to: &Jid) {
        let Some(from) = stanza.from() else {
            return self.fx.bug("a request from nobody");
        };
        let whose = to.to_bare();
        let readers = self.cards.readers.entry(whose.clone()).or_default();
        // Its owner's changes wait for these reads, and its sign-ins come first.
        if *readers >= CARD_READS || self.credit.is_low() {
            if *readers == 0 {
                self.cards.readers.remove(&whose);
            }
            return self.refuse(stanza, Condition::ResourceConstraint);
        }
        *readers = readers.saturating_add(1);
        let mut ops = blocking::reads_about(from);
        ops.push(vcard::read());
        let batch = Batch {
            owner: whose,
            tenure: 0,
            class: Class::Change,
            ops,
        };
        let asked = Box::new((Arc::clone(stanza), to.clone()));
        self.store(batch, Wait::Card(asked));
    }

    /// A session has asked for one: it is read no further until there is an answer, but not for ever.
    pub(super) fn await_card(&mut self, now: Now, conn: ConnId) {
        self.cards.waiting.insert(conn);
        self.hold_up(now, conn, (self.place, Awaited::Card));
    }

    /// An answer on behalf of an account: whoever waits for a card has that, or asks soon for another.
    pub(super) fn note_card(&mut self, stanza: &Stanza, to: &Jid) {
        let is_answer = matches!(stanza.kind(), Kind::Iq(IqType::Result | IqType::Error));
        if self.cards.waiting.is_empty() || !is_answer {
            return;
        }
        let is_of_server = stanza.from().is_some_and(|from| from.resource().is_none());
        let owner = self.by_name.get(to.bare()).copied();
        let owner = owner.and_then(|key| self.owners.get(key));
        let session = owner
            .zip(to.resource())
            .and_then(|(owner, resource)| owner.account.session_of(resource));
        if let Some(conn) = session.and_then(Session::conn).filter(|_| is_of_server)
            && self.cards.waiting.remove(&conn)
        {
            self.free(conn, (self.place, Awaited::Card));
        }
    }

    /// The store has answered.
    pub(super) fn card_came(
        &mut self,
        (stanza, to): &(Arc<Stanza>, Jid),
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        let whose = to.to_bare();
        if let Some(readers) = self.cards.readers.get_mut(&whose) {
            *readers = readers.saturating_sub(1);
            if *readers == 0 {
                self.cards.readers.remove(&whose);
            }
        }
        let reply = match card(outcome) {
            Ok(xml) => Some(stanza.result(|w| {
                w.raw(&xml);
            })),
            Err(condition) => stanza.refusal(condition, None),
        };
        if let Some(reply) = reply {
            self.fx.route(Delivery::named(reply));
        }
    }
}

/// What the store has of the card and of who is blocked.
fn card(outcome: Result<Vec<Reply>, StoreError>) -> Result<bytes::Bytes, Condition> {
    let mut rows = outcome
        .map_err(|_| Condition::InternalServerError)?
        .into_iter()
        .map(|reply| {
            if let Reply::Row(row) = reply {
                return Ok(row);
            }
            Err(Condition::InternalServerError)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let card = rows.pop().flatten();
    let is_blocked = rows.iter().any(Option::is_some);
    match card {
        Some(row) if !is_blocked => vcard::xml(&row).cloned(),
        // "If no vCard exists or the user does not exist [..] MUST return the same error condition", <service-unavailable/>; XEP-0191 §3.3
        // has the same.
        Some(_) | None => Err(Condition::ServiceUnavailable),
    }
}
