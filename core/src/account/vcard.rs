//! XEP-0054: vcard-temp, version 1.3.0: the card of the account, as its own sessions set it and ask for it. Others' are `shard/cards.rs`.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Account, Asked, Cx, Read, SessionKey, StoreRoom};
use crate::jid::Jid;
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::store::{Class, Reply, StoreError};
use crate::vcard;
use crate::xml::Ns;

/// Whether this asks for the card of somebody else.
pub(crate) fn asks_for_card(stanza: &Stanza, to: &Jid) -> bool {
    stanza.kind() == Kind::Iq(IqType::Get)
        && to.resource().is_none()
        && stanza.from().is_some_and(|from| from.bare() != to.bare())
        && stanza
            .payload()
            .is_some_and(|payload| payload.is(Ns::VCard, "vCard"))
}

/// A session wants to see its account's card.
#[derive(Debug)]
pub(crate) struct VCardRead {
    pub(super) by: SessionKey,
    asked: Arc<Stanza>,
}

impl Account {
    /// A request about the card by one of the account's own sessions.
    pub(super) fn vcard_out(cx: &mut Cx<'_>, by: SessionKey, iq: &Arc<Stanza>) {
        let done = match iq.kind() {
            Kind::Iq(IqType::Get) => ask(cx, by, iq),
            Kind::Iq(IqType::Set) => set(cx, by, iq),
            Kind::Iq(IqType::Result | IqType::Error) | Kind::Message(_) | Kind::Presence(_) => {
                Ok(())
            }
        };
        if let Err(condition) = done {
            cx.refuse(by, iq, condition);
        }
    }

    /// The store has it, or has none.
    pub(super) fn vcard_came(
        cx: &mut Cx<'_>,
        read: VCardRead,
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        let VCardRead { by, asked } = read;
        let reply = outcome.ok().and_then(|mut replies| replies.pop());
        let found = match &reply {
            // XEP-0054 §3.1: "SHOULD be <item-not-found/>".
            Some(Reply::Row(None)) => Err(Condition::ItemNotFound),
            Some(Reply::Row(Some(row))) => vcard::xml(row),
            Some(_) | None => Err(Condition::InternalServerError),
        };
        match found {
            Ok(xml) => {
                let result = asked.result(|w| {
                    w.raw(xml);
                });
                cx.answer(by, result.into());
            }
            Err(condition) => cx.refuse(by, &asked, condition),
        }
    }
}

fn ask(cx: &mut Cx<'_>, by: SessionKey, iq: &Arc<Stanza>) -> Result<(), Condition> {
    let payload = iq.payload().ok_or(Condition::BadRequest)?;
    vcard::get(&payload)?;
    let asked = Arc::clone(iq);
    let read = Read::VCard(Box::new(VCardRead { by, asked }));
    cx.read(Class::Change, [vcard::read()].into(), read);
    Ok(())
}

/// XEP-0054 §3.2.
fn set(cx: &mut Cx<'_>, by: SessionKey, iq: &Arc<Stanza>) -> Result<(), Condition> {
    let payload = iq.payload().ok_or(Condition::BadRequest)?;
    let op = vcard::set(&payload)?;
    if cx.store == StoreRoom::Spent {
        return Err(Condition::ResourceConstraint);
    }
    cx.change(op);
    cx.answer(by, iq.result(|_| {}).into());
    cx.asked_by(Asked {
        by,
        stanza: Arc::clone(iq),
    });
    Ok(())
}
