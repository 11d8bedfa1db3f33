//! XEP-0049: Private XML Storage, version 1.2: what the account's own sessions keep and want to see again. To others there is no such thing.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Account, Asked, Cx, Read, SessionKey, StoreRoom, Watch};
use crate::envelope::Sent;
use crate::private::{self, Set, Tally};
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::store::{Class, Op, Reply, Row, StoreError};

/// An element that a session wants to see, or is about to keep.
#[derive(Debug)]
pub(crate) struct PrivateRead {
    pub(super) by: SessionKey,
    asked: Arc<Stanza>,
    then: Then,
    /// Who hears what became of it, if something is kept.
    receipt: Option<Sent>,
}

/// What the answer is for.
#[derive(Debug)]
enum Then {
    /// To be shown.
    Show,
    /// Something is kept, if there is room beside what was counted.
    Keep(Set, Tally),
}

impl Account {
    /// A request about private XML by one of the account's own sessions.
    pub(super) fn private_out(cx: &mut Cx<'_>, by: SessionKey, iq: &Arc<Stanza>) {
        let Some(payload) = iq.payload() else {
            return;
        };
        let read = match iq.kind() {
            Kind::Iq(IqType::Get) => {
                private::get(&payload).map(|(key, _)| (key.read(), Then::Show))
            }
            Kind::Iq(IqType::Set) => match private::set(&payload) {
                Ok(set) if set.only_removes() => return keep(cx, by, iq, &set),
                set => set.map(|set| (Tally::begin(), Then::Keep(set, Tally::default()))),
            },
            Kind::Iq(IqType::Result | IqType::Error) | Kind::Message(_) | Kind::Presence(_) => {
                return;
            }
        };
        match read {
            Ok((op, then)) => {
                let asked = Arc::clone(iq);
                PrivateRead::ask(cx, by, asked, then, op);
            }
            Err(condition) => cx.refuse(by, iq, condition),
        }
    }

    /// The store has what was asked for.
    pub(super) fn private_came(
        cx: &mut Cx<'_>,
        read: PrivateRead,
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        let PrivateRead {
            by,
            asked,
            then,
            receipt,
        } = read;
        if let Some(sent) = receipt {
            cx.spoken.watch = Watch::In(sent);
        }
        let reply = outcome.ok().and_then(|mut replies| replies.pop());
        let done = match (then, reply) {
            (Then::Show, Some(Reply::Row(row))) => show(cx, by, &asked, row.as_ref()),
            (Then::Keep(set, mut tally), Some(reply)) => match tally.count(&set, &reply) {
                Ok(Some(op)) => {
                    let then = Then::Keep(set, tally);
                    return PrivateRead::ask(cx, by, asked, then, op);
                }
                Ok(None) => match tally.judge(&set, cx.host.private.max_items) {
                    Ok(()) => return keep(cx, by, &asked, &set),
                    Err(condition) => Err(condition),
                },
                Err(condition) => Err(condition),
            },
            (Then::Show | Then::Keep(..), _) => Err(Condition::InternalServerError),
        };
        if let Err(condition) = done {
            cx.refuse(by, &asked, condition);
        }
    }
}

impl PrivateRead {
    /// Whether it is to be shown, and nothing else.
    pub(super) const fn is_shown(&self) -> bool {
        matches!(self.then, Then::Show)
    }

    fn ask(cx: &mut Cx<'_>, by: SessionKey, asked: Arc<Stanza>, then: Then, op: Op) {
        let receipt = match then {
            Then::Show => None,
            Then::Keep(..) => cx.part(),
        };
        let read = Self {
            by,
            asked,
            then,
            receipt,
        };
        cx.read(Class::Change, [op].into(), Read::Private(Box::new(read)));
    }
}

fn show(
    cx: &mut Cx<'_>,
    by: SessionKey,
    asked: &Stanza,
    row: Option<&Row>,
) -> Result<(), Condition> {
    let payload = asked.payload().ok_or(Condition::BadRequest)?;
    let (_, wanted) = private::get(&payload)?;
    let answer = private::answer(&wanted, row)?;
    let result = asked.result(|w| {
        w.raw(&answer);
    });
    cx.answer(by, result.into());
    Ok(())
}

/// What was asked to be kept is; the result waits for the disk.
fn keep(cx: &mut Cx<'_>, by: SessionKey, iq: &Arc<Stanza>, set: &Set) {
    if cx.store == StoreRoom::Spent {
        return cx.refuse(by, iq, Condition::ResourceConstraint);
    }
    cx.change_each(set.ops());
    cx.answer(by, iq.result(|_| {}).into());
    cx.asked_by(Asked {
        by,
        stanza: Arc::clone(iq),
    });
}
