//! Blocking (XEP-0191): the list as the account's own sessions ask for it, change it and hear of changes, and what is kept apart by it.
//!
//! Who is blocked was told `unavailable` then, and hears nothing more until it is unblocked. Whom a session sent directed presence stays
//! remembered meanwhile, so that nothing is lost if the change comes to nothing.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::presence::{probe, unavailable};
use super::session::Interest;
use super::{Account, Addressed, Asked, Cx, Manner, Session, SessionKey, StoreRoom, nobody};
use crate::blocking::{self, Blocklist, Change, Push};
use crate::jid::{BareJid, Jid};
use crate::limits::STORE_BATCH_OPS;
use crate::roster::Act;
use crate::stanza::{Condition, IqType, Kind, Stanza};

impl Account {
    /// Whether the user has blocked this address. XEP-0191 §5: never one of the account's own, whatever is on the list.
    pub(super) fn blocks(&self, jid: &Jid) -> bool {
        let kept = self.kept.sound();
        kept.is_some_and(|kept| kept.blocks(jid)) && jid.bare() != self.jid.as_str()
    }

    /// Whether who sent this is.
    pub(super) fn blocks_sender(&self, stanza: &Stanza) -> bool {
        stanza.from().is_some_and(|from| self.blocks(from))
    }

    /// The same, as those who are blocked may have heard it: not by a change that is not known to be on disk.
    pub(super) fn has_blocked(&self, jid: &Jid) -> bool {
        let last = self.kept.last();
        let last = last.map(|kept| kept.blocklist_before.as_ref().unwrap_or(&kept.blocklist));
        let told = self.seldom.untold.as_ref().or(last);
        told.is_some_and(|list| list.blocks(jid)) && jid.bare() != self.jid.as_str()
    }

    /// Whether a stanza is answered as where there is nobody, whatever the account waits for: its sender learns nothing of that, and fills
    /// no inbox. What changes a subscription must still be looked at.
    pub(crate) fn is_nobody_to(&self, stanza: &Stanza) -> bool {
        let manages = match stanza.kind() {
            Kind::Presence(kind) => Act::of(kind).is_some(),
            Kind::Iq(_) | Kind::Message(_) => false,
        };
        !manages && stanza.from().is_some_and(|from| self.has_blocked(from))
    }

    /// A session writes to somebody whom its user has blocked (XEP-0191 §3.3): it "MUST NOT" be routed. What nothing may answer is
    /// dropped.
    pub(super) fn refuse_to_blocked(cx: &mut Cx<'_>, key: SessionKey, stanza: &Stanza) {
        if let Some(refusal) = stanza.refusal_of_blocked() {
            cx.answer(key, refusal.into());
        }
    }

    /// Somebody whom the user has blocked writes to the account (XEP-0191 §3.3): "the user will appear offline", and not to be told from
    /// nobody.
    pub(super) fn answer_blocked(cx: &mut Cx<'_>, stanza: &Stanza, to: &Jid, manner: Manner) {
        if let Some(reply) = nobody(cx.now, cx.config, stanza, to, manner) {
            cx.route(reply);
        }
    }

    /// A request about the list by one of the account's own sessions.
    pub(super) fn blocking_out(&mut self, cx: &mut Cx<'_>, key: SessionKey, iq: &Arc<Stanza>) {
        let done = match iq.kind() {
            Kind::Iq(IqType::Get) => self.get_blocklist(cx, key, iq),
            Kind::Iq(IqType::Set) => self.set_blocklist(cx, key, iq),
            // What devices say of a push.
            Kind::Iq(IqType::Result | IqType::Error) | Kind::Message(_) | Kind::Presence(_) => {
                Ok(())
            }
        };
        if let Err(condition) = done {
            cx.refuse(key, iq, condition);
        }
    }

    /// XEP-0191 §3.2.
    fn get_blocklist(
        &mut self,
        cx: &mut Cx<'_>,
        key: SessionKey,
        iq: &Stanza,
    ) -> Result<(), Condition> {
        let payload = iq.payload().ok_or(Condition::BadRequest)?;
        blocking::get(&payload)?;
        let kept = self.kept.sound().ok_or(Condition::InternalServerError)?;
        let result = iq.result(|w| kept.blocklist.result(w));
        cx.answer(key, result.into());
        // XEP-0191 §3.3: pushes go to "all of the user's resources that have requested the blocklist".
        if let Some(session) = self.session(key) {
            session.blocklist = Interest::Changes;
        }
        Ok(())
    }

    /// XEP-0191 §3.3 to §3.5.
    fn set_blocklist(
        &mut self,
        cx: &mut Cx<'_>,
        key: SessionKey,
        iq: &Arc<Stanza>,
    ) -> Result<(), Condition> {
        let payload = iq.payload().ok_or(Condition::BadRequest)?;
        let set = blocking::set(&payload, &self.jid)?;
        if cx.store == StoreRoom::Spent {
            return Err(Condition::ResourceConstraint);
        }
        let kept = self
            .kept
            .sound_mut()
            .ok_or(Condition::InternalServerError)?;
        let max_items = cx.host.blocking.max_items;
        let Change {
            ops,
            push,
            before,
            changed,
        } = kept.blocklist.apply(set, cx.now, max_items)?;
        cx.change_each(ops);
        self.forget_requests(cx, &before);
        // The result first: whoever asked knows then what the push is of.
        cx.answer(key, iq.result(|_| {}).into());
        self.push_blocklist(cx, &push);
        self.withdraw_from_blocked(cx, &before, &changed);
        self.show_to_unblocked(cx, &before, &changed);
        if let Some(kept) = self.kept.sound_mut() {
            kept.blocklist_before = Some(before);
        }
        self.seldom.change(|seldom| seldom.untold = None);
        if !cx.spoken.changes.is_empty() {
            cx.asked_by(Asked {
                by: key,
                stanza: Arc::clone(iq),
            });
        }
        Ok(())
    }

    /// To all sessions that have asked for the list, who changed it included.
    fn push_blocklist(&self, cx: &mut Cx<'_>, push: &Push) {
        let hear = self
            .sessions
            .iter()
            .filter(|session| session.blocklist == Interest::Changes);
        let each: Vec<SessionKey> = hear.map(|session| session.key).collect();
        if each.is_empty() {
            return;
        }
        // What answers it is ignored.
        let id = cx.entropy.id("push");
        let iq = Kind::Iq(IqType::Set);
        let stanza = Stanza::build(iq, Some(&id), None, None, |w| push.write(w));
        cx.tell_each(each, stanza.into(), Addressed::Own);
    }

    /// Requests that wait (RFC 6121 §3.1.3) of those who are blocked now, or were until now: nobody is asked about them any more. As many as
    /// one batch holds; others wait unseen.
    fn forget_requests(&mut self, cx: &mut Cx<'_>, before: &Blocklist) {
        let room = STORE_BATCH_OPS.saturating_sub(cx.spoken.changes.len());
        let Some(kept) = self.kept.sound_mut() else {
            return;
        };
        let gone = kept
            .requests
            .contacts()
            .filter(|contact| kept.blocklist.blocks_bare(contact) || before.blocks_bare(contact));
        let gone: Vec<BareJid> = gone.take(room).cloned().collect();
        for contact in gone {
            cx.change_each(kept.requests.remove(contact.as_str()));
        }
    }

    /// XEP-0191 §3.3: "unavailable presence information to the JID", where it is "allowed to receive presence": a subscriber, or somebody
    /// whom a session sent directed presence. Once, also to one resource of those.
    ///
    /// `Choice:` "polite blocking" (XEP-0191 §4): subscriptions stay, and nobody is told more than that.
    fn withdraw_from_blocked(&self, cx: &mut Cx<'_>, before: &Blocklist, changed: &[Jid]) {
        let Some(kept) = self.kept.sound() else {
            return;
        };
        let newly = |jid: &Jid| self.blocks(jid) && !before.blocks(jid);
        let subscribers = kept.subscribers_of(newly);
        let resources = |jid: &&Jid| {
            jid.resource().is_some() && newly(jid) && !self.blocks(&jid.to_bare().into())
        };
        let resources: Vec<&Jid> = changed.iter().filter(resources).collect();
        for session in &self.sessions {
            let is_available = session.priority().is_some();
            let by_broadcast = |jid: &Jid| is_available && kept.shows_to(jid.bare());
            let by_directed = |jid: &Jid| {
                session.directed.contains(&Jid::from(jid.to_bare()))
                    && !session.directed.contains(jid)
            };
            let mut told = match is_available {
                true => subscribers.clone(),
                false => Vec::new(),
            };
            let directed = session.directed.iter();
            told.extend(
                directed
                    .filter(|to| newly(to) && !by_broadcast(to))
                    .cloned(),
            );
            let heard = |jid: &&&Jid| by_broadcast(jid) || by_directed(jid);
            told.extend(resources.iter().filter(heard).map(|jid| (*jid).clone()));
            let presence = unavailable(session.jid.clone());
            cx.fan_out(presence.into(), told);
        }
    }

    /// XEP-0191 §3.4: "the user's current presence information to the JID", where it is subscribed to that. What the account missed of
    /// contacts meanwhile it asks for (RFC 6121 §4.3.1).
    fn show_to_unblocked(&mut self, cx: &mut Cx<'_>, before: &Blocklist, changed: &[Jid]) {
        let Some(kept) = self.kept.sound() else {
            return;
        };
        let own = self.jid.as_str();
        let newly = |jid: &Jid| before.blocks(jid) && !kept.blocks(jid) && jid.bare() != own;
        // Resources of addresses that were not blocked themselves.
        let resources = |jid: &&Jid| {
            jid.resource().is_some() && newly(jid) && !before.blocks_bare(&jid.to_bare())
        };
        let resources = changed.iter().filter(resources);
        let (mut shown, mut asked) = (kept.subscribers_of(newly), kept.subscriptions_of(newly));
        for jid in resources {
            if kept.shows_to(jid.bare()) {
                shown.push(jid.clone());
            }
            let bare = Jid::from(jid.to_bare());
            if kept.sees(jid.bare()) && !asked.contains(&bare) {
                asked.push(bare);
            }
        }
        let unblocked = newly;
        let available = self.sessions.iter().filter_map(Session::last_presence);
        let mut available = available.peekable();
        if available.peek().is_some() {
            for presence in available {
                cx.fan_out(Arc::clone(presence), shown.clone());
            }
            cx.fan_out(probe(self.jid.clone().into()).into(), asked);
        }
        // They were told when they were blocked.
        for session in &mut self.sessions {
            session.directed.retain(|jid| !unblocked(jid));
        }
    }
}
