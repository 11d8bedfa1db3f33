//! Presence that a session sends: broadcast, directed, and the end of both (RFC 6121 §4).

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::kept::Past;
use super::session::{Presence, Session};
use super::{Account, Addressed, Cx, SessionKey};
use crate::jid::Jid;
use crate::limits::{DIRECTED_BYTES, PRESENCE_BYTES, STATUS_SHOWN_BYTES};
use crate::port::{Availability, Show};
use crate::sm::Outbound;
use crate::stanza::{Condition, Kind, PresenceType, Stanza};
use crate::time::Now;
use crate::xep::{Activity, bounded_status};
use crate::xml::Ns;

impl Session {
    /// What it has said of its availability, in words for an administrator.
    pub(crate) fn availability(&self) -> Availability {
        let Presence::Available(priority, presence) = &self.presence else {
            return Availability::Connected;
        };
        let show = text(presence, "show");
        Availability::Available {
            priority: *priority,
            show: show.and_then(|show| Show::ALL.into_iter().find(|known| known.word() == show)),
            status: text(presence, "status").map(shortened),
        }
    }
}

/// What a presence says in this element. One for each language is allowed of `<status/>` (RFC 6121 §4.7.2.2): the first stands for all.
fn text(presence: &Stanza, name: &str) -> Option<String> {
    let mut children = presence.children();
    let child = children.find(|child| child.is(Ns::Client, name))?;
    Some(child.text().trim().to_owned()).filter(|text| !text.is_empty())
}

impl Account {
    /// Presence without `to` (RFC 6121 §4.2.2, §4.4.2, §4.5.2).
    pub(super) fn broadcast(&mut self, cx: &mut Cx<'_>, key: SessionKey, presence: Arc<Stanza>) {
        match presence.kind() {
            Kind::Presence(PresenceType::Available) => self.become_available(cx, key, presence),
            Kind::Presence(PresenceType::Unavailable) => {
                self.become_unavailable(cx, key, &presence);
            }
            // The other types say nothing without an address.
            Kind::Presence(_) | Kind::Iq(_) | Kind::Message(_) => {}
        }
    }

    fn become_available(&mut self, cx: &mut Cx<'_>, key: SessionKey, presence: Arc<Stanza>) {
        let Some(session) = self.session(key) else {
            return;
        };
        if presence.size() > PRESENCE_BYTES {
            // RFC 6120 §13.12: the client may recover.
            return cx.refuse(key, &presence, Condition::PolicyViolation);
        }
        let initial = session.priority().is_none();
        if initial {
            // Before contacts see it: who is told now that it may see it looks.
            self.say_again(cx);
        }
        let Some(session) = self.session(key) else {
            return;
        };
        let priority = priority(&presence);
        session.presence = Presence::Available(priority, Arc::clone(&presence));
        session.farewell = None;
        // RFC 6121 §4.2.2: to all available resources, the one that sent it included.
        self.tell_own(cx, &presence);
        if initial {
            // An account is subscribed to itself: the new resource learns of the others.
            for other in self.sessions.iter().filter(|other| other.key != key) {
                if let Some(last) = other.last_presence() {
                    cx.tell_at(key, Arc::clone(last), Addressed::Own);
                }
            }
        }
        if let Some(kept) = self.kept.sound() {
            // RFC 6121 §4.2.2, §4.4.2.
            cx.fan_out(presence, kept.subscribers());
        }
        if initial {
            self.probe_contacts(cx, key);
            self.tell_requests(cx, key);
        }
        if priority >= 0 {
            // XEP-0160 §2, also where it was negative before.
            self.claim(cx, key);
        }
    }

    /// RFC 6121 §4.2.2: "presence probes to the user's contacts", from the bare address (§4.3). `Deviation:` within one server they come from
    /// the resource that wants to know and has the only need to.
    fn probe_contacts(&self, cx: &mut Cx<'_>, key: SessionKey) {
        let session = self.session_by_key(key);
        if let (Some(kept), Some(session)) = (self.kept.sound(), session) {
            let is_here = |jid: &Jid| cx.config.hosts.contains_key(jid.domain());
            let (here, elsewhere): (Vec<_>, Vec<_>) =
                kept.subscriptions().into_iter().partition(is_here);
            for (from, asked) in [
                (session.jid.clone(), here),
                (self.jid.clone().into(), elsewhere),
            ] {
                // Mostly all are here: nothing is written for nobody.
                if !asked.is_empty() {
                    cx.fan_out(probe(from).into(), asked);
                }
            }
        }
    }

    /// Somebody asks how available the account is (RFC 6121 §4.3.2).
    ///
    /// `Deviation:` who may not know hears nothing, and so does who may where nobody is available: §4.3.2 would have `unsubscribed` and
    /// `unavailable`. No account is loaded for a probe: the first would tell which are in memory, and the second tells nothing new.
    pub(super) fn probed(&self, cx: &mut Cx<'_>, probe: &Stanza, to: &Jid) {
        let (Some(from), Some(kept)) = (probe.from(), self.kept.sound()) else {
            return;
        };
        let asked = self.sessions.iter().filter(|session| {
            to.resource()
                .is_none_or(|r| session.jid.resource() == Some(r))
        });
        if kept.shows_to(from.bare()) {
            for session in asked {
                let Some(presence) = session.last_presence() else {
                    continue;
                };
                let presence = match to.resource() {
                    None => Arc::clone(presence),
                    // "only the fact that the resource is available".
                    Some(_) => available(session.jid.clone()).into(),
                };
                cx.fan_out(presence, vec![from.clone()]);
            }
        } else if to.resource().is_some() {
            // RFC 6121 §4.6.6: who got directed presence may ask whether that is still so.
            let told = asked.filter(|session| {
                let jid = |jid: &Jid| jid == from || jid.as_str() == from.bare();
                session.directed.iter().any(jid)
            });
            for session in told {
                let mut presence = available(session.jid.clone());
                presence.set_to(from.clone());
                cx.route(presence);
            }
        }
    }

    fn become_unavailable(&mut self, cx: &mut Cx<'_>, key: SessionKey, presence: &Arc<Stanza>) {
        let Some(session) = self.session(key) else {
            return;
        };
        let directed = core::mem::take(&mut session.directed);
        let farewell = text(presence, "status").map(bounded_status);
        // It ends all the same, without the words: nobody tells everybody more at its end than at its beginning.
        let mere;
        let presence = match presence.size() > PRESENCE_BYTES {
            true => {
                mere = Arc::new(unavailable(session.jid.clone()));
                &mere
            }
            false => presence,
        };
        // RFC 6121 §4.5.2: to all available resources, the one that was until now included.
        if session.priority().is_some() {
            self.tell_own(cx, presence);
        }
        if let Some(session) = self.session(key) {
            let was = core::mem::replace(&mut session.presence, Presence::Unavailable);
            session.farewell = farewell;
            self.tell_end(cx, presence, &was, directed);
        }
    }

    /// Everybody who thought a session available hears of its end, once: subscribers (RFC 6121 §4.5.2) and those who heard by directed
    /// presence (§4.6.3).
    fn tell_end(
        &self,
        cx: &mut Cx<'_>,
        presence: &Arc<Stanza>,
        was: &Presence,
        directed: BTreeSet<Jid>,
    ) {
        // Who is blocked heard it then.
        let heard = |to: &Jid| self.has_blocked(to);
        let mut told: Vec<Jid> = directed.into_iter().filter(|to| !heard(to)).collect();
        if let Presence::Available(..) = was {
            told.retain(|to| !self.hears_broadcasts(to));
            let subscribers = self
                .kept
                .last()
                .map(|kept| kept.audience_of(|to| !heard(to)));
            told.extend(subscribers.unwrap_or_default());
            told.extend(self.seldom.unheard.iter().cloned().map(Jid::from));
        }
        cx.fan_out(Arc::clone(presence), told);
    }

    /// Whether presence without `to` reaches this address: an available resource of the account, or a subscriber, whichever of whose
    /// resources was named (RFC 6121 §4.6.3, case 1).
    fn hears_broadcasts(&self, to: &Jid) -> bool {
        if to.bare() == self.jid.as_str() {
            let session = to.resource().map(|resource| self.session_of(resource));
            return session.is_none_or(|found| found.is_some_and(|s| s.priority().is_some()));
        }
        let kept = self.kept.last();
        kept.is_some_and(|kept| kept.has_shown_to(to.bare()))
    }

    /// A copy to each available resource of the account.
    pub(super) fn tell_own(&self, cx: &mut Cx<'_>, presence: &Arc<Stanza>) {
        cx.tell_each(self.available(), Arc::clone(presence), Addressed::Own);
    }

    /// Its available resources.
    pub(super) fn available(&self) -> Vec<SessionKey> {
        let sessions = self.sessions.iter();
        sessions
            .filter(|session| session.priority().is_some())
            .map(|session| session.key)
            .collect()
    }

    /// Presence to somebody (RFC 6121 §4.6): remembered, so that the end can be told.
    pub(super) fn directed(&mut self, cx: &mut Cx<'_>, key: SessionKey, presence: Arc<Stanza>) {
        let limit = cx.config.limits.directed_presence;
        let Some(to) = presence.to().cloned() else {
            return;
        };
        let Some(session) = self.session(key) else {
            return;
        };
        match presence.kind() {
            Kind::Presence(PresenceType::Available) => {
                let bytes = session.directed.iter().map(|jid| jid.as_str().len());
                let is_full = session.directed.len() >= limit
                    || bytes.sum::<usize>() + to.as_str().len() > DIRECTED_BYTES;
                if is_full && !session.directed.contains(&to) {
                    return cx.refuse(key, &presence, Condition::ResourceConstraint);
                }
                session.directed.insert(to);
            }
            Kind::Presence(PresenceType::Unavailable) => {
                session.directed.remove(&to);
            }
            Kind::Presence(_) | Kind::Iq(_) | Kind::Message(_) => {}
        }
        cx.route(presence);
    }

    /// Somebody became unavailable to a session, or to all: it need not hear of the end (RFC 6121 §4.6.1).
    pub(super) fn forget_directed(&mut self, from: &Jid, resource: Option<&str>) {
        for session in &mut self.sessions {
            if resource.is_none() || session.jid.resource() == resource {
                session.directed.remove(from);
            }
        }
    }

    /// A session is over, however it ended: everybody who thought it available is told (RFC 6121 §4.5.2).
    pub(crate) fn end(
        &mut self,
        cx: &mut Cx<'_>,
        key: SessionKey,
        outbound: Option<Box<Outbound>>,
    ) {
        let Some(index) = self.sessions.iter().position(|session| session.key == key) else {
            return;
        };
        // Not to the session itself: its output ends with the closing tag.
        let mut session = self.sessions.remove(index);
        self.remember(cx, &mut session);
        let unacknowledged = session.take_unacknowledged(outbound);
        let presence = Arc::new(unavailable(session.jid));
        if matches!(session.presence, Presence::Available(..)) {
            self.tell_own(cx, &presence);
        }
        self.tell_end(cx, &presence, &session.presence, session.directed);
        self.unclaim(cx, key);
        for piece in unacknowledged {
            self.redeliver(cx, piece);
        }
        if self.sessions.is_empty() {
            self.seldom.change(|seldom| {
                seldom.untold = None;
                seldom.unheard.clear();
            });
            self.was_active(cx.now, session.farewell);
            if self.spool.last > self.kept.sound().and_then(|kept| kept.spool.last)
                || self.spool.done > self.kept.sound().and_then(|kept| kept.spool.done)
            {
                // A key is not given out again, though all that it was given to may be gone by then.
                cx.keep_quietly(self.spool.put());
            }
        }
    }

    /// The last session is over (XEP-0012 §3). Nothing is to be put where nothing could be read: it might be damaged.
    fn was_active(&mut self, now: Now, farewell: Option<Box<str>>) {
        if let Some(kept) = self.kept.sound_mut() {
            kept.past = Past::InMemory(Activity::new(now.wall, farewell));
        }
    }
}

pub(super) fn unavailable(from: Jid) -> Stanza {
    mere(PresenceType::Unavailable, from)
}

fn available(from: Jid) -> Stanza {
    mere(PresenceType::Available, from)
}

pub(super) fn probe(from: Jid) -> Stanza {
    mere(PresenceType::Probe, from)
}

/// Presence that says its type and nothing else.
fn mere(kind: PresenceType, from: Jid) -> Stanza {
    Stanza::build(Kind::Presence(kind), None, Some(from), None, |_| {})
}

/// RFC 6121 §4.7.2.3: an integer between -128 and +127, 0 if it says nothing usable.
fn priority(presence: &Stanza) -> i8 {
    presence
        .children()
        .find(|child| child.is(Ns::Client, "priority"))
        .and_then(|child| child.text().trim().parse().ok())
        .unwrap_or(0)
}

/// At most `STATUS_SHOWN_BYTES` of a text, and an ellipsis where that is not all.
fn shortened(mut text: String) -> String {
    if text.len() > STATUS_SHOWN_BYTES {
        text.truncate(text.floor_char_boundary(STATUS_SHOWN_BYTES));
        text.push('\u{2026}');
    }
    text
}
