//! Subscriptions between the account and its contacts (RFC 6121 §3): what its own sessions send, what contacts send, and what is said again
//! because it may not have been heard.
//!
//! Each account keeps its own side of a pair, on its own shard. So that the two agree whatever gets lost and whatever crosses on the way:
//! what is told to a contact is kept until that has it on disk (`roster/unsaid.rs`), and as long as a `subscribe` or `unsubscribe` of
//! the user is on its way, nothing that comes from the contact can be an answer to it.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::kept::Sight;
use super::session::Interest;
use super::{Account, Addressed, Asked, Cx, SessionKey, StoreRoom};
use crate::envelope::Told;
use crate::jid::{BareJid, Jid};
use crate::limits::PRESENCE_BYTES;
use crate::roster::{Act, Ask, Change, Gone, Inbound, Push, Request, Route, State};
use crate::stanza::{Condition, Kind, PresenceType, Stanza};

impl Account {
    /// One of the account's own sessions manages a subscription.
    pub(super) fn subscription_out(
        &mut self,
        cx: &mut Cx<'_>,
        key: SessionKey,
        act: Act,
        presence: &Arc<Stanza>,
    ) {
        if let Err(condition) = self.manage(cx, key, act, presence) {
            cx.refuse(key, presence, condition);
        }
    }

    fn manage(
        &mut self,
        cx: &mut Cx<'_>,
        key: SessionKey,
        act: Act,
        presence: &Arc<Stanza>,
    ) -> Result<(), Condition> {
        let to = presence.to().ok_or(Condition::BadRequest)?;
        // RFC 6121 §3.1.2: "treat it as if the request had been directed to the contact's bare JID".
        let contact = to.to_bare();
        if contact == self.jid {
            // `Choice:` an account sees its own presence always (§4.2.2), and has no contact of its own name (`roster::set`).
            return Err(Condition::NotAllowed);
        }
        // It is kept, on either side.
        if presence.size() > PRESENCE_BYTES {
            return Err(Condition::PolicyViolation);
        }
        let kept = self.kept.sound().ok_or(Condition::InternalServerError)?;
        let before = kept.state(contact.as_str());
        let (after, route) = before.outbound(act);
        let is_reachable = cx.config.routes_to(contact.domain());
        if !is_reachable && (act == Act::Subscribe || before == after) {
            // RFC 6121 §3.1.2: what cannot be routed changes nothing and is returned. What ends here ends all the same.
            return Err(Condition::RemoteServerNotFound);
        }
        if cx.store == StoreRoom::Spent || !kept.unsaid.has_room() {
            return Err(Condition::ResourceConstraint);
        }
        let push = self.stand(cx, &contact, before, after)?;
        if before.shows() && !after.shows() {
            self.withdraw(cx, &contact);
        }
        if route == Route::Routed {
            // RFC 6121 §3: "the server MUST stamp the outgoing presence stanza with the bare JID".
            let mut stanza = Stanza::clone(presence);
            stanza.set_from(self.jid.clone().into());
            stanza.set_to(contact.clone().into());
            let stanza = Arc::new(stanza);
            match before != after || act == Act::Subscribe {
                true => self.inform(cx, &contact, act, stanza),
                // What changes nothing on this side and asks for nothing is told and forgotten.
                false => cx.route(stanza),
            }
        }
        self.push(cx, push);
        if !before.shows() && after.shows() {
            self.show(cx, &contact);
        }
        if !cx.spoken.changes.is_empty() {
            cx.asked_by(Asked {
                by: key,
                stanza: Arc::clone(presence),
            });
        }
        Ok(())
    }

    /// Changes where a contact stands: gives back what the account's own devices are to hear.
    fn stand(
        &mut self,
        cx: &mut Cx<'_>,
        contact: &BareJid,
        before: State,
        after: State,
    ) -> Result<Option<Push>, Condition> {
        let kept = self
            .kept
            .sound_mut()
            .ok_or(Condition::InternalServerError)?;
        let mut pushed = None;
        if before.standing != after.standing {
            let most = cx.host.roster.max_contacts;
            let Change { ops, push } = kept.roster.stand(contact, after.standing, cx.now, most)?;
            if !before.shows() && after.shows() {
                kept.turn(contact, Sight::Hidden);
            }
            cx.change_each(ops);
            pushed = Some(push);
        }
        if before.request == Request::Waits && after.request == Request::Nothing {
            cx.change_each(kept.requests.remove(contact.as_str()));
        }
        Ok(pushed)
    }

    fn push(&self, cx: &mut Cx<'_>, push: Option<Push>) {
        if let Some(push) = push {
            self.push_roster(cx, &push);
        }
    }

    /// Tells the contact, and keeps that until it has it on disk.
    fn inform(&mut self, cx: &mut Cx<'_>, contact: &BareJid, act: Act, stanza: Arc<Stanza>) {
        // Nobody elsewhere can hear it.
        let Some(kept) = self.kept.sound_mut() else {
            return;
        };
        if !cx.config.routes_to(contact.domain()) {
            return;
        }
        let receipt = cx.receipt();
        let Gone { op, owed } = kept.unsaid.say(contact, act, Arc::clone(&stanza), receipt);
        cx.change(op);
        if let Some(owed) = owed {
            // A refusal that it takes the place of is not said any more.
            cx.settle(&self.jid, contact, owed);
        }
        cx.route_with(stanza, receipt);
    }

    /// The same in the server's own words.
    fn inform_of(&mut self, cx: &mut Cx<'_>, contact: &BareJid, act: Act) {
        let kind = Kind::Presence(act.kind());
        let (from, to) = (self.jid.clone().into(), contact.clone().into());
        let stanza = Stanza::build(kind, None, Some(from), Some(to), |_| {});
        self.inform(cx, contact, act, stanza.into());
    }

    /// The contact may see the account's presence now (RFC 6121 §3.1.5): "current presence [..] from each of the contact's available
    /// resources".
    pub(super) fn show(&self, cx: &mut Cx<'_>, contact: &BareJid) {
        // XEP-0191 §3.3: who is blocked is shown it when that ends.
        if self.blocks(&contact.clone().into()) {
            return;
        }
        for session in &self.sessions {
            if let Some(presence) = session.last_presence() {
                cx.fan_out(Arc::clone(presence), vec![contact.clone().into()]);
            }
        }
    }

    /// The contact may not see it any more (RFC 6121 §3.2.2): "unavailable" from all available resources, directed presence or not
    /// (§4.6.1).
    pub(super) fn withdraw(&mut self, cx: &mut Cx<'_>, contact: &BareJid) {
        let was_told = self.blocks(&contact.clone().into());
        if let Some(kept) = self.kept.sound_mut() {
            kept.turn(contact, Sight::Seen);
        }
        for session in &mut self.sessions {
            let before = session.directed.len();
            session
                .directed
                .retain(|jid| jid.bare() != contact.as_str());
            let told = session.directed.len() != before;
            if !was_told && (told || session.priority().is_some()) {
                let presence = super::presence::unavailable(session.jid.clone());
                cx.fan_out(presence.into(), vec![contact.clone().into()]);
            }
        }
    }

    /// A contact has sent something about a subscription; `receipt` if it wants to know when that is on disk.
    pub(super) fn subscription_in(
        &mut self,
        cx: &mut Cx<'_>,
        act: Act,
        stanza: &Arc<Stanza>,
        receipt: Option<Told>,
    ) {
        let Some(contact) = stanza.from().map(Jid::to_bare) else {
            return;
        };
        let Some(kept) = self.kept.sound() else {
            return;
        };
        // It is said again.
        if cx.store == StoreRoom::Spent || !kept.unsaid.has_room() {
            return;
        }
        let blocked = self.blocks_sender(stanza);
        let before = kept.state(contact.as_str());
        let is_ours = cx.config.hosts.contains_key(contact.domain());
        let (after, inbound) = match (act, kept.unsaid.asking(contact.as_str())) {
            _ if contact == self.jid => (before, Inbound::Ignored),
            // XEP-0191 §3.3. But who is subscribed already may not have heard it: what answered an earlier request crossed this one.
            (Act::Subscribe, _) if blocked && !before.shows() => (before, Inbound::Ignored),
            // Sent before the contact heard of what is on its way.
            (Act::Unsubscribed, Some(Act::Subscribe)) if before.standing.subscription.is_to() => {
                (before.asking_anew(), Inbound::Delivered)
            }
            // Another server says that it has heard of it a while after its user has answered.
            (Act::Subscribed | Act::Unsubscribed, Some(_)) if is_ours => (before, Inbound::Ignored),
            (_, _) => before.inbound(act),
        };
        match act {
            Act::Subscribe => self.subscribe_in(cx, &contact, stanza, after, inbound),
            Act::Subscribed | Act::Unsubscribe | Act::Unsubscribed => {
                self.change_in(cx, &contact, stanza, before, after);
            }
        }
        if let Some(receipt) = receipt {
            match self.is_unrefused(&contact, act, inbound) {
                true => self.owe(&contact, receipt),
                // Before what answers it: so that is known to be an answer.
                false => cx.settle(&self.jid, &contact, receipt),
            }
        }
        if inbound == Inbound::Answered {
            self.answer_subscribe(cx, &contact, before, after);
        }
    }

    /// What is to be settled once the contact has heard a refusal.
    fn owe(&mut self, contact: &BareJid, receipt: Told) {
        if let Some(kept) = self.kept.sound_mut() {
            kept.unsaid.owe(contact.as_str(), receipt);
        }
    }

    /// Whether a request has come before its sender heard that an earlier one, or what it saw, was refused. It is kept, and not settled yet:
    /// that refusal may be said once more, and be taken for an answer to this one.
    fn is_unrefused(&self, contact: &BareJid, act: Act, inbound: Inbound) -> bool {
        let kept = self.kept.sound();
        let granting = kept.and_then(|kept| kept.unsaid.granting(contact.as_str()));
        act == Act::Subscribe && inbound != Inbound::Answered && granting == Some(Act::Unsubscribed)
    }

    /// RFC 6121 §3.1.3.
    fn subscribe_in(
        &mut self,
        cx: &mut Cx<'_>,
        contact: &BareJid,
        stanza: &Arc<Stanza>,
        after: State,
        inbound: Inbound,
    ) {
        if after.request == Request::Nothing {
            return;
        }
        let most = cx.host.roster.max_requests;
        let Some(kept) = self.kept.sound_mut() else {
            return;
        };
        let mut kept_stanza = Stanza::clone(stanza);
        kept_stanza.set_from(contact.clone().into());
        kept_stanza.set_to(self.jid.clone().into());
        let kept_stanza = Arc::new(kept_stanza);
        let request = Arc::clone(&kept_stanza);
        // "Tools for counteracting": who has no room is not told, as for somebody who is not there.
        let Some(op) = kept.requests.put(contact.clone(), request, cx.now, most) else {
            return;
        };
        cx.change(op);
        cx.change(kept.unsaid.row(contact));
        if inbound == Inbound::Delivered {
            // RFC 6121 §8.5.2.1.2: "the server MUST NOT rewrite the 'to' attribute".
            cx.tell_each(self.available(), kept_stanza, Addressed::Named);
        }
    }

    /// What ends or begins something on this side.
    fn change_in(
        &mut self,
        cx: &mut Cx<'_>,
        contact: &BareJid,
        stanza: &Arc<Stanza>,
        before: State,
        after: State,
    ) {
        if before == after {
            return;
        }
        // Nothing becomes a contact that was none, so that there is room.
        let Ok(push) = self.stand(cx, contact, before, after) else {
            return;
        };
        if let Some(kept) = self.kept.sound_mut() {
            if before.shows() != after.shows() {
                kept.unsaid.drop_granting(contact.as_str());
            }
            cx.change(kept.unsaid.row(contact));
        }
        // RFC 6121 §3.1.6, §3.2.3, §3.3.3: to interested resources, "before sending the roster push". §8.5.2.1.2: "MUST NOT rewrite
        // the 'to' attribute".
        //
        // `Deviation:` of who is blocked nothing is delivered (XEP-0191 §3.3), but what it has changed on its side is so here, too, where
        // XEP-0016 §2.2 has blocking supersede "the handling of subscription-related presence stanzas": or the two would disagree for ever.
        if !self.blocks_sender(stanza) {
            cx.tell_each(self.interested(), Arc::clone(stanza), Addressed::Named);
        }
        self.push(cx, push);
        if before.shows() && !after.shows() {
            self.withdraw(cx, contact);
        }
        // `Deviation:` §A.3.2 has us answer `unsubscribe` with `unsubscribed`. Whoever sent it has changed its side already, and the answer
        // would undo a request sent right behind it.
    }

    /// RFC 6121 §3.1.3 and §3.4.2: on behalf of the user.
    fn answer_subscribe(
        &mut self,
        cx: &mut Cx<'_>,
        contact: &BareJid,
        before: State,
        after: State,
    ) {
        // It was a contact before, or approved nobody.
        let Ok(push) = self.stand(cx, contact, before, after) else {
            return;
        };
        self.inform_of(cx, contact, Act::Subscribed);
        self.push(cx, push);
        // Also to who was a subscriber: it may have asked again before it heard that it is, and what came behind that was not shown there.
        self.show(cx, contact);
    }

    /// The contact has on disk what it was told.
    pub(crate) fn settled(&mut self, cx: &mut Cx<'_>, contact: &BareJid, receipt: Told) {
        let settled = self
            .kept
            .sound_mut()
            .and_then(|kept| kept.unsaid.settle(contact, receipt));
        match settled {
            Some(Gone {
                op,
                owed: Some(owed),
            }) => {
                // Not before the refusal is sure not to be said again.
                cx.change(op);
                cx.settle(&self.jid, contact, owed);
            }
            Some(Gone { op, owed: None }) => cx.keep_quietly(op),
            None => {}
        }
    }

    /// Whether contacts may not have heard something.
    pub(crate) fn has_unsaid(&self) -> bool {
        let kept = self.kept.sound();
        kept.is_some_and(|kept| !kept.unsaid.is_empty())
    }

    /// What contacts may not have heard is said again, when the account comes into memory and when somebody becomes available (RFC 6121
    /// §3.1.2 recommends that for requests).
    pub(crate) fn say_again(&mut self, cx: &mut Cx<'_>) {
        let Some(kept) = self.kept.sound_mut() else {
            return;
        };
        let again = kept.unsaid.again(|| cx.receipt());
        for (stanza, receipt) in again {
            let shown = match stanza.kind() {
                Kind::Presence(PresenceType::Subscribed) => stanza.to().map(Jid::to_bare),
                Kind::Presence(_) | Kind::Iq(_) | Kind::Message(_) => None,
            };
            cx.route_with(stanza, receipt);
            // It did not look as long as it had not heard.
            if let Some(contact) = shown {
                self.show(cx, &contact);
            }
        }
    }

    /// Requests that wait, to a session that has become available (RFC 6121 §3.1.3).
    pub(super) fn tell_requests(&self, cx: &mut Cx<'_>, key: SessionKey) {
        if let Some(kept) = self.kept.sound() {
            for stanza in kept.requests.stanzas() {
                if stanza.from().is_some_and(|from| kept.blocks(from)) {
                    continue;
                }
                cx.tell_at(key, Arc::clone(stanza), Addressed::Named);
            }
        }
    }

    /// A contact was removed from the roster, or its request: both sides end (RFC 6121 §2.5.2), and whoever asked has withdrawn it.
    pub(super) fn part(&mut self, cx: &mut Cx<'_>, contact: &BareJid, was: State) {
        if let Some(kept) = self.kept.sound_mut() {
            cx.change_each(kept.requests.remove(contact.as_str()));
        }
        if was.standing.subscription.is_to() || was.standing.ask == Ask::Subscribe {
            self.inform_of(cx, contact, Act::Unsubscribe);
        }
        if was.shows() {
            self.withdraw(cx, contact);
        }
        if was.shows() || was.request == Request::Waits {
            self.inform_of(cx, contact, Act::Unsubscribed);
        }
    }

    /// Sessions that hear of changes of the roster.
    pub(super) fn interested(&self) -> Vec<SessionKey> {
        let sessions = self.sessions.iter();
        sessions
            .filter(|session| session.roster == Interest::Changes)
            .map(|session| session.key)
            .collect()
    }
}

impl State {
    /// Whether the contact sees the user's presence.
    const fn shows(self) -> bool {
        self.standing.subscription.is_from()
    }
}
