//! XEP-0280: Message Carbons, version 1.0.1: copies for those of an account's devices that want to see all.
//!
//! What is a copy is known by who made it, never by what a stanza says: a copy is told to a session and goes nowhere else, so there are
//! no copies of copies.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::choose::Recipients;
use super::{Account, Addressed, Cx, SessionKey};
use crate::archive::Copying;
use crate::jid::Jid;
use crate::limits::CARBONS_SENT;
use crate::sm::Due;
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::xml::Ns;

/// Whether a session wants copies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Carbons {
    Off,
    On,
}

/// The last messages of an account of which there were copies, so that errors which answer them are copied, too (§6.1). Of each, a hash of
/// whom it was for and its id.
#[derive(Debug, Default)]
pub(super) struct Copied(VecDeque<u64>);

impl Copied {
    /// None.
    pub(super) const NOTHING: Self = Self(VecDeque::new());

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn insert(&mut self, print: u64) {
        if self.0.len() >= CARBONS_SENT {
            self.0.pop_front();
        }
        self.0.push_back(print);
    }
}

impl Account {
    /// A session wants copies, or does not any more (§4, §5). To ask twice is no error (§10.1).
    pub(super) fn carbons_out(&mut self, cx: &mut Cx<'_>, key: SessionKey, iq: &Stanza) {
        let payload = iq.payload();
        let wanted = match payload.as_ref().map(|payload| payload.name()) {
            Some("enable") => Some(Carbons::On),
            Some("disable") => Some(Carbons::Off),
            Some(_) | None => None,
        };
        let done = match (iq.kind(), wanted) {
            (Kind::Iq(IqType::Set), Some(wanted)) => {
                if let Some(session) = self.session(key) {
                    session.carbons = wanted;
                }
                Ok(())
            }
            (Kind::Iq(IqType::Get | IqType::Set), _) => Err(Condition::BadRequest),
            (Kind::Iq(_) | Kind::Message(_) | Kind::Presence(_), _) => return,
        };
        match done {
            Ok(()) => cx.answer(key, iq.result(|_| {}).into()),
            Err(condition) => cx.refuse(key, iq, condition),
        }
    }

    /// Whether any of its sessions but this one wants copies.
    fn carbons_but(&self, key: Option<SessionKey>) -> impl Iterator<Item = SessionKey> {
        let wants = move |session: &&super::Session| {
            session.carbons == Carbons::On && Some(session.key) != key
        };
        self.sessions
            .iter()
            .filter(wants)
            .map(|session| session.key)
    }

    /// Copies of what a session sends (§8), for the others.
    pub(super) fn copy_sent(
        &mut self,
        cx: &mut Cx<'_>,
        key: SessionKey,
        message: &Arc<Stanza>,
        copying: Copying,
        archived: Option<i64>,
    ) {
        match copying {
            Copying::Both | Copying::Sent => {}
            Copying::Answer | Copying::Nobody => return,
        }
        // Where there is one session only, there is nobody to be told of an error either.
        if self.sessions.len() > 1
            && let Some(print) = self.print(cx, message.to(), message)
        {
            self.seldom.make().copied.insert(print);
        }
        let others: Vec<SessionKey> = self.carbons_but(Some(key)).collect();
        if !others.is_empty() {
            // Its sender has it.
            let copied = (message, archived);
            self.copy(cx, "sent", copied, others, Due::Nothing);
        }
    }

    /// Which sessions get a copy of a message that came (§7): those that do not get it by themselves, and did not send it.
    pub(super) fn copied_to(
        &self,
        cx: &Cx<'_>,
        message: &Stanza,
        from: &Jid,
        copying: Copying,
        recipients: &Recipients,
    ) -> Vec<SessionKey> {
        let is_copied = match copying {
            Copying::Both => true,
            Copying::Answer => {
                let print = self.print(cx, Some(from), message);
                print.is_some_and(|print| self.seldom.copied.0.contains(&print))
            }
            // From somebody in a room, which sends it to each of the user's sessions there.
            Copying::Sent => from.resource().is_none(),
            Copying::Nobody => false,
        };
        if !is_copied {
            return Vec::new();
        }
        let sender = from.resource().filter(|_| from.bare() == self.jid.as_str());
        let sender = sender.and_then(|resource| self.session_of(resource));
        self.carbons_but(sender.map(|session| session.key))
            .filter(|key| match recipients {
                Recipients::One(one) => one != key,
                Recipients::Each(each) => !each.contains(key),
                Recipients::Unreached(_) => true,
            })
            .collect()
    }

    /// Copies of a message that came.
    pub(super) fn copy_received(
        &self,
        cx: &mut Cx<'_>,
        message: &Arc<Stanza>,
        copies: Vec<SessionKey>,
        archived: Option<i64>,
        due: Due,
    ) {
        if !copies.is_empty() {
            let copied = (message, archived);
            self.copy(cx, "received", copied, copies, due);
        }
    }

    fn copy(
        &self,
        cx: &mut Cx<'_>,
        direction: &'static str,
        (message, archived): (&Arc<Stanza>, Option<i64>),
        copies: Vec<SessionKey>,
        due: Due,
    ) {
        let stanza_id = archived.map(|key| self.stanza_id(cx, key));
        let stanza_id = stanza_id.unwrap_or_default();
        let own = Jid::from(self.jid.clone());
        let mut forwarded = Vec::with_capacity(message.size() + stanza_id.len() + 256);
        message.write_forwarded(&stanza_id, &mut forwarded);
        let mut copy = Stanza::build(message.kind(), None, Some(own), None, |w| {
            w.open(direction).attribute("xmlns", Ns::Carbons.uri());
            w.open("forwarded").attribute("xmlns", Ns::Forward.uri());
            w.raw(&forwarded).close().close();
        });
        copy.caused_by(message.from().cloned());
        cx.tell_each_due(copies, Arc::new(copy), Addressed::Copy, due);
    }

    /// Tells a message with this id, to or from somebody, from others. None without id.
    fn print(&self, cx: &Cx<'_>, with: Option<&Jid>, message: &Stanza) -> Option<u64> {
        let id = message.id()?;
        let ids = self.ids(cx);
        Some(ids.print(&[with?.bare().as_bytes(), id.as_bytes()]))
    }
}
