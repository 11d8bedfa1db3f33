//! What a session never acknowledged that is over: it passes the delivery table once more (XEP-0198 §4: "in the same way that it would
//! treat a stanza sent to an unavailable resource").
//!
//! What another session has, or still holds, is not told again. What nobody is there for waits as any message does that came now, with the
//! time when it came first; what the archive has is not archived twice.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::choose::{Recipients, Unreached, choose};
use super::{Account, Addressed, Cx, SessionKey};
use crate::archive::{Storing, Worth};
use crate::jid::Jid;
use crate::sm::{Due, Piece, Written};
use crate::stanza::{self, Condition, IqType, Kind, MessageType, Stanza};
use crate::store::{Entry, Kept};
use crate::time::UnixTime;
use crate::xml::Ns;

/// A message that waits for the second time.
pub(super) struct Again {
    /// As it is to be written: it says itself since when it waits.
    pub(super) xml: Bytes,
    /// Its key in the archive, if it is there.
    pub(super) archived: Option<i64>,
}

impl Account {
    /// What becomes of a message if these sessions never acknowledge it.
    #[inline]
    pub(super) fn due(&mut self, recipients: &Recipients, copies: &[SessionKey]) -> Due {
        // In most accounts nobody acknowledges anything.
        if self
            .sessions
            .iter()
            .all(|session| session.managed.is_none())
        {
            return Due::Nothing;
        }
        self.due_to(recipients, copies)
    }

    fn due_to(&mut self, recipients: &Recipients, copies: &[SessionKey]) -> Due {
        let chosen = match recipients {
            Recipients::One(one) => core::slice::from_ref(one),
            Recipients::Each(each) => each,
            Recipients::Unreached(_) => &[],
        };
        let all = || chosen.iter().chain(copies);
        // Who does not acknowledge anything has it once it is written.
        if !all().all(|key| self.is_managed(*key)) {
            return Due::Nothing;
        }
        match all().nth(1) {
            None => Due::Alone,
            Some(_) => Due::Shared(self.seldom.make().holders.next()),
        }
    }

    /// A session is over that never acknowledged this.
    pub(super) fn redeliver(&mut self, cx: &mut Cx<'_>, piece: Piece) {
        let Written::Stanza(stanza, _, due) = piece.what else {
            // What is owed stays so; what was asked for is asked for again.
            return;
        };
        let is_due = match due {
            Due::Nothing => false,
            Due::Alone => true,
            Due::Shared(number) => self.seldom.make().holders.lost(number),
        };
        if !is_due {
            return;
        }
        // Who had a copy is the last who might have had it.
        let original = self.is_copy(&stanza).then(|| stanza.copied()).flatten();
        let stanza = original.map_or(stanza, Arc::new);
        match stanza.kind() {
            Kind::Message(MessageType::Chat | MessageType::Normal) => {
                self.deliver_again(cx, &stanza, piece.at);
            }
            // RFC 6121 §8.5.3.2: a room learns that its occupant is gone, and who asks that there is nobody to answer.
            Kind::Message(MessageType::Groupchat) | Kind::Iq(IqType::Get | IqType::Set) => {
                bounce(cx, &stanza);
            }
            Kind::Message(MessageType::Error | MessageType::Headline)
            | Kind::Iq(IqType::Error | IqType::Result)
            | Kind::Presence(_) => {}
        }
    }

    fn deliver_again(&mut self, cx: &mut Cx<'_>, message: &Arc<Stanza>, at: UnixTime) {
        let Some(from) = message.from().cloned() else {
            return;
        };
        let archived = self.archived_as(cx, message);
        if self.blocks_sender(message) {
            // XEP-0191 §3.3, of a message that came before. Whose archive has it will read it there.
            if archived.is_none() {
                bounce(cx, message);
            }
            return;
        }
        // `Choice:` what was for a session that is over is for its user, of whatever type: nobody who was told that it was delivered is to
        // hear otherwise because of a resource that only a client knows.
        let to = Jid::from(self.jid.clone());
        let recipients = choose(&self.sessions, Kind::Message(MessageType::Chat), &to);
        let Some(recipients) = self.without_those_who_have(recipients, archived) else {
            return;
        };
        let worth = Worth::of(message);
        let message = match self.is_delayed(message) {
            // It was told to another session that is over, too.
            true => Arc::clone(message),
            false => {
                let mut more = Vec::with_capacity(128);
                let us = archived.unwrap_or_else(|| at.0.saturating_mul(1000));
                stanza::delay(&mut more, Some(self.jid.domain()), us);
                Arc::new(message.with(&more))
            }
        };
        // Nothing is kept any more for who is deleted or may not sign in.
        let is_kept = worth.storing != Storing::Passing && !self.is_shut();
        if is_kept && self.owes(&from, &recipients) {
            let is_full = self.offline.is_full(cx.host.archive.max_offline);
            match (is_full, archived) {
                (false, _) => {
                    self.append(cx, &message, &from, Kept::Owed);
                }
                (true, Some(_)) => {}
                (true, None) => bounce(cx, &message),
            }
            return;
        }
        let due = self.due(&recipients, &[]);
        match recipients {
            Recipients::One(one) => cx.tell_due(one, message, Addressed::Named, due),
            Recipients::Each(each) => cx.tell_each_due(each, message, Addressed::Named, due),
            Recipients::Unreached(Unreached::Silent) => {}
            Recipients::Unreached(_) if archived.is_some() => {}
            Recipients::Unreached(_) => bounce(cx, &message),
        }
    }

    /// Those who would be told a message, but for those who have found it in the archive; nobody, if that are all.
    fn without_those_who_have(
        &self,
        recipients: Recipients,
        archived: Option<i64>,
    ) -> Option<Recipients> {
        let has = |key: &SessionKey| {
            let session = self.session_by_key(*key);
            let fetched = session.map(|session| &session.fetched);
            fetched
                .zip(archived)
                .is_some_and(|(fetched, key)| fetched.has(key))
        };
        match recipients {
            Recipients::One(one) if has(&one) => None,
            Recipients::Each(mut each) => {
                each.retain(|key| !has(key));
                (!each.is_empty()).then_some(Recipients::Each(each))
            }
            Recipients::One(_) | Recipients::Unreached(_) => Some(recipients),
        }
    }

    /// Whether it is a copy of what came for another session (XEP-0280 §6): as only the account itself says so.
    fn is_copy(&self, stanza: &Stanza) -> bool {
        let from = stanza.from();
        let payload = stanza.payload();
        from.is_some_and(|from| from.as_str() == self.jid.as_str())
            && payload.is_some_and(|payload| payload.is(Ns::Carbons, "received"))
    }

    /// Whether a message says already since when it waits.
    fn is_delayed(&self, message: &Stanza) -> bool {
        let mut children = message.children();
        children.any(|child| {
            let from = child.attribute("from");
            child.is(Ns::Delay, "delay") && from.as_deref() == Some(self.jid.domain())
        })
    }

    /// The key of a message in the archive, as it was told to its client.
    fn archived_as(&self, cx: &Cx<'_>, message: &Stanza) -> Option<i64> {
        let mut children = message.children();
        let id = children.find(|child| {
            let by = child.attribute("by");
            child.is(Ns::StanzaIds, "stanza-id") && by.as_deref() == Some(self.jid.as_str())
        })?;
        self.ids(cx).key(&id.attribute("id")?)
    }

    /// Whether an entry was told before, to a session that is over: it says so itself.
    pub(super) fn told_before(&self, cx: &Cx<'_>, entry: &Entry) -> Option<Again> {
        // What is archived waits for the first time.
        if entry.kept != Kept::Owed {
            return None;
        }
        let xml = entry.payload.joined();
        let says = |who: &[u8], what: &[u8]| {
            let mut text = Vec::with_capacity(who.len() + 96);
            text.extend_from_slice(what);
            text.extend_from_slice(who);
            text.push(b'\'');
            text
        };
        // As only the server writes it, last of all: where others say so it is within something else, or was taken out.
        let delay = says(
            self.jid.domain().as_bytes(),
            b"<delay xmlns='urn:xmpp:delay' from='",
        );
        let (before, stamp) = around_last(xml.strip_suffix(b"'/></message>")?, &delay)?;
        is_value(stamp.strip_prefix(b" stamp='")?).then_some(())?;
        let id = says(
            self.jid.as_str().as_bytes(),
            b"<stanza-id xmlns='urn:xmpp:sid:0' by='",
        );
        let archived = before.strip_suffix(b"'/>").and_then(|before| {
            let (_, id) = around_last(before, &id)?;
            let id = id.strip_prefix(b" id='").filter(|id| is_value(id))?;
            self.ids(cx).key(core::str::from_utf8(id).ok()?)
        });
        Some(Again { xml, archived })
    }
}

/// What stands before the last `part` of this, and behind it.
fn around_last<'a>(xml: &'a [u8], part: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (before, rest) = xml.split_at_checked(memchr::memmem::rfind(xml, part)?)?;
    Some((before, rest.strip_prefix(part)?))
}

/// Whether it is the whole of one value, and not the beginning of something longer.
fn is_value(text: &[u8]) -> bool {
    memchr::memchr2(b'\'', b'<', text).is_none()
}

/// Nobody got it, and nobody will: who sent it hears so.
pub(super) fn bounce(cx: &mut Cx<'_>, stanza: &Stanza) {
    if let Some(error) = stanza.refusal(Condition::ServiceUnavailable, None) {
        cx.route(error);
    }
}
