//! What a session sends, stage by stage. The order is the specification: each line says which clause fixes its place.

use alloc::sync::Arc;

use super::{Account, Cx, SessionKey, answer, asks_for_card};
use crate::envelope::Sent;
use crate::registration::Change;
use crate::roster::Act;
use crate::stanza::{Condition, IqType, Kind, PresenceType, Stanza};
use crate::xep::Entity;
use crate::xml::Ns;

/// What a session asks that is not for its account to decide.
#[derive(Debug)]
pub(crate) enum Wish {
    /// The card of somebody else: its request is on the way, and nothing more is to be read until there is an answer, or cards would come
    /// faster than anybody reads.
    Card,
    /// This is to become of its account, and this request to be answered then; and who hears that it was.
    Change(Change, Arc<Stanza>, Option<Sent>),
}

impl Account {
    /// A stanza from one of the account's own sessions, `from` stamped. What it asks that is not for the account to decide comes back.
    pub(crate) fn outbound(
        &mut self,
        cx: &mut Cx<'_>,
        session: SessionKey,
        stanza: Arc<Stanza>,
    ) -> Option<Wish> {
        // XEP-0191 §3.3: nothing that is refused is looked at any further. By XEP-0016 §2.2, which §5 refers to, that is "the first
        // delivery rule", before "the handling of subscription-related presence stanzas".
        if stanza.to().is_some_and(|to| self.blocks(to)) {
            Self::refuse_to_blocked(cx, session, &stanza);
            return None;
        }
        if self.refuse_to_guest(cx, session, &stanza) {
            return None;
        }
        match stanza.kind() {
            Kind::Message(_) => self.message_out(cx, session, stanza),
            Kind::Presence(kind) => self.presence_out(cx, session, kind, stanza),
            Kind::Iq(_) => return self.iq_out(cx, session, stanza),
        }
        None
    }

    fn presence_out(
        &mut self,
        cx: &mut Cx<'_>,
        session: SessionKey,
        kind: PresenceType,
        presence: Arc<Stanza>,
    ) {
        match kind {
            _ if presence.to().is_none() => self.broadcast(cx, session, presence),
            PresenceType::Available | PresenceType::Unavailable => {
                self.directed(cx, session, presence);
            }
            PresenceType::Subscribe
            | PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed => {
                if let Some(act) = Act::of(kind) {
                    self.subscription_out(cx, session, act, &presence);
                }
            }
            // RFC 6121 §4.3: clients need not send probes, and are not refused for it.
            PresenceType::Error | PresenceType::Probe => cx.route(presence),
        }
    }

    fn iq_out(&mut self, cx: &mut Cx<'_>, session: SessionKey, iq: Arc<Stanza>) -> Option<Wish> {
        let own = iq.to().is_none_or(|to| to.as_str() == self.jid.as_str());
        let host = iq.to().is_some_and(|to| to.as_str() == self.jid.domain());
        if (own || host)
            && let Some(reply) = negotiation(&iq)
        {
            cx.answer(session, reply.into());
            return None;
        }
        let ns = iq.payload().map(|payload| payload.ns());
        // XEP-0077 §3.2, §3.3: to the account or to its host.
        if (own || host) && ns == Some(Ns::Registration) {
            return self.registration_out(cx, session, iq);
        }
        if own {
            self.own_iq(cx, session, iq, ns);
            return None;
        }
        let is_for_card = iq
            .to()
            .is_some_and(|to| cx.is_routed(to) && asks_for_card(&iq, to));
        cx.route(iq);
        is_for_card.then_some(Wish::Card)
    }

    /// A request of a session to its own account.
    fn own_iq(&mut self, cx: &mut Cx<'_>, session: SessionKey, iq: Arc<Stanza>, ns: Option<Ns>) {
        // RFC 6121 §2: the account's own, and nobody else's.
        match ns {
            Some(Ns::Roster) => return self.roster_out(cx, session, iq),
            // XEP-0191 §3.2: "thus handled by the user's server".
            Some(Ns::Blocking) => return self.blocking_out(cx, session, &iq),
            Some(Ns::Carbons) => return self.carbons_out(cx, session, &iq),
            Some(Ns::Mam) => return self.archive_out(cx, session, &iq),
            Some(Ns::Private) => return Self::private_out(cx, session, &iq),
            // XEP-0054 §3.1, §3.2: "with no 'to' address"; to the own address it is the same (RFC 6120 §10.3.3).
            Some(Ns::VCard) => return Self::vcard_out(cx, session, &iq),
            Some(_) | None => {}
        }
        // RFC 6120 §10.3.3: the server answers on behalf of the account.
        if let Some(reply) = answer(cx.now, cx.config, Entity::Account(self.asker(&iq)), &iq) {
            cx.answer(session, reply.into());
        }
    }
}

/// The answer to a request that belongs before the session, which clients send to their account or their host.
fn negotiation(iq: &Stanza) -> Option<Stanza> {
    let payload = iq.payload()?;
    if iq.kind() != Kind::Iq(IqType::Set) {
        return None;
    }
    if payload.is(Ns::Session, "session") {
        // RFC 3921 §3: the session is there already; old clients want to hear so.
        return Some(iq.result(|_| {}));
    }
    // RFC 6120 §7.6.2.2: one resource for each stream.
    let bind = payload.is(Ns::Bind, "bind");
    bind.then(|| iq.refusal(Condition::NotAllowed, None))?
}
