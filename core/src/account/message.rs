//! Messages: what a session sends, what comes for the account. Kept, copied, delivered, in this order of thought: what is refused is
//! refused before anything else is done with it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::choose::{Recipients, Unreached, choose};
use super::deliver::{Manner, reply};
use super::{Account, Addressed, Append, Cx, SessionKey, StoreRoom};
use crate::archive::{self, Party, Storing, Worth, tells_of_server};
use crate::jid::{BareJid, Jid};
use crate::sm::Due;
use crate::stanza::{Condition, Stanza};
use crate::store::{Entry, Kept, Payload};
use crate::xml::{Node, Ns};

/// What is said to who writes to somebody for whom enough is kept.
const FULL: &str = "Too many messages wait for this user.";

impl Account {
    /// A message of one of its sessions.
    pub(super) fn message_out(
        &mut self,
        cx: &mut Cx<'_>,
        key: SessionKey,
        mut message: Arc<Stanza>,
    ) {
        if message.to().is_none() {
            // RFC 6120 §10.3.1: as if to the account itself.
            Arc::make_mut(&mut message).set_to(Jid::from(self.jid.clone()));
        }
        let worth = Worth::note(&mut message);
        let message = without_forged(message, &self.jid);
        let Some(to) = message.to() else {
            return;
        };
        // What goes to the account itself is kept and copied once, where it comes in.
        if to.bare() == self.jid.as_str() || !cx.is_routed(to) {
            return cx.send(message);
        }
        let archives = worth.storing == Storing::Archived && self.archives(cx, to);
        if archives && cx.store == StoreRoom::Spent {
            return cx.refuse(key, &message, Condition::ResourceConstraint);
        }
        let kept = archives.then_some(Kept::Archived);
        let archived = kept.map(|kept| self.append(cx, &message, to, kept));
        self.copy_sent(cx, key, &message, worth.copying, archived);
        cx.send(message);
    }

    /// A message for the account, at `to`.
    pub(super) fn message_in(
        &mut self,
        cx: &mut Cx<'_>,
        message: &Arc<Stanza>,
        to: &Jid,
        manner: Manner,
    ) {
        let worth = Worth::of(message);
        let message = without_forged(Arc::clone(message), &self.jid);
        let Some(from) = message.from().cloned() else {
            return;
        };
        let recipients = choose(&self.sessions, message.kind(), to);
        let copies = match recipients {
            // What is refused is copied to nobody.
            Recipients::Unreached(Unreached::Refused) => Vec::new(),
            Recipients::Unreached(_) | Recipients::One(_) | Recipients::Each(_) => {
                self.copied_to(cx, &message, &from, worth.copying, &recipients)
            }
        };
        let is_full = self.offline.is_full(cx.host.archive.max_offline);
        // Who is there, and hears first what waited, is not away: where no more may wait it comes behind that.
        let owes = worth.storing != Storing::Passing
            && self.owes(&from, &recipients)
            && !(is_full && matches!(recipients, Recipients::One(_)));
        if let (Recipients::Unreached(unreached), false, true) =
            (&recipients, owes, copies.is_empty())
        {
            let asker = self.asker(&message);
            if let Some(reply) = reply(cx.now, cx.config, &message, manner, *unreached, asker) {
                cx.route(reply);
            }
            return;
        }
        let archives = worth.storing == Storing::Archived && self.archives(cx, &from);
        let kept = match (archives, owes) {
            (true, true) => Some(Kept::Both),
            (true, false) => Some(Kept::Archived),
            (false, true) => Some(Kept::Owed),
            (false, false) => None,
        };
        if kept.is_some() && cx.store == StoreRoom::Spent {
            return refuse(cx, &message, Condition::ResourceConstraint, None);
        }
        if !owes && self.is_far_behind(&recipients, &copies) {
            // Its senders hear of it, and its session stays.
            return refuse(cx, &message, Condition::ResourceConstraint, None);
        }
        if owes && is_full {
            // XEP-0160 §2: "e.g., because the recipient's offline message queue is full".
            let why = (cx.host.archive.max_offline > 0).then_some(FULL);
            return refuse(cx, &message, Condition::ServiceUnavailable, why);
        }
        let key = kept.map(|kept| self.append(cx, &message, &from, kept));
        let archived = key.filter(|_| archives);
        if owes {
            self.remember_copies(&copies, key);
            self.copy_received(cx, &message, copies, archived, Due::Nothing);
        } else {
            let due = match manner {
                Manner::Directed => self.due(&recipients, &copies),
                Manner::FanOut => Due::Nothing,
            };
            self.hand_out(cx, &message, recipients, archived, due);
            self.copy_received(cx, &message, copies, archived, due);
        }
    }

    /// Gives a message to those of whom RFC 6121 §8.5 says so.
    fn hand_out(
        &self,
        cx: &mut Cx<'_>,
        message: &Arc<Stanza>,
        recipients: Recipients,
        archived: Option<i64>,
        due: Due,
    ) {
        let message = |cx: &Cx<'_>| match archived {
            Some(key) => Arc::new(message.with(&self.stanza_id(cx, key))),
            None => Arc::clone(message),
        };
        match recipients {
            Recipients::One(one) => cx.tell_due(one, message(cx), Addressed::Named, due),
            Recipients::Each(each) => {
                cx.tell_each_due(each, message(cx), Addressed::Named, due);
            }
            Recipients::Unreached(_) => {}
        }
    }

    /// Whether a message with this one is archived for the user (XEP-0441 §2.3).
    fn archives(&self, cx: &Cx<'_>, with: &Jid) -> bool {
        self.kept.sound().is_some_and(|kept| {
            let party = Party {
                jid: with,
                is_contact: kept.roster.item(with.bare()).is_some(),
            };
            kept.prefs.archives(party, cx.host.archive.policy)
        })
    }

    /// Puts a message behind all others of the account. Returns its key.
    pub(super) fn append(
        &mut self,
        cx: &mut Cx<'_>,
        message: &Arc<Stanza>,
        with: &Jid,
        kept: Kept,
    ) -> i64 {
        let key = self.next_key(cx.now);
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let payload = Payload(message.to_parts().into());
        if kept.meets(Kept::Owed) {
            self.offline.owed.count(payload.len());
        }
        if kept.meets(Kept::Archived) {
            self.count_archived(cx, payload.len());
        }
        let entry = Entry {
            key,
            peer: bytes(with.bare()),
            resource: with.resource().map(bytes),
            kept,
            payload,
        };
        // Who got it need not hear that it is not in the archive; who is to get it later would not, and its sender must know.
        let refused = kept.meets(Kept::Owed).then(|| Arc::clone(message));
        let receipt = cx.part();
        cx.append(Append {
            entry,
            refused,
            receipt,
        });
        key
    }

    /// `<stanza-id/>` of an entry of its archive.
    pub(super) fn stanza_id(&self, cx: &Cx<'_>, key: i64) -> Vec<u8> {
        archive::stanza_id(&self.jid, self.ids(cx).text(key))
    }
}

/// Takes out of a message what only the account's server may say: `<stanza-id/>` of its archive (XEP-0359 §3: "MUST delete that element even
/// if they are not adding their own") and how long it waited there (XEP-0203 §5).
fn without_forged(message: Arc<Stanza>, account: &BareJid) -> Arc<Stanza> {
    // Hardly any message has one.
    if !tells_of_server(&message) {
        return message;
    }
    let says = |child: &Node<'_>, name: &str, is_ours: &dyn Fn(&Jid) -> bool| {
        let who = child.attribute(name).and_then(|who| Jid::parse(&who).ok());
        who.is_some_and(|who| is_ours(&who))
    };
    let clean = message.without(|child| {
        let own = |jid: &Jid| jid.as_str() == account.as_str();
        let host = |jid: &Jid| own(jid) || jid.as_str() == account.domain();
        child.is(Ns::StanzaIds, "stanza-id") && says(child, "by", &own)
            || child.is(Ns::Delay, "delay") && says(child, "from", &host)
    });
    clean.map_or(message, Arc::new)
}

fn refuse(cx: &mut Cx<'_>, message: &Stanza, condition: Condition, text: Option<&str>) {
    if let Some(error) = message.refusal(condition, text) {
        cx.route(error);
    }
}
