//! What guests (XEP-0175) may not do: nothing is kept of them, so what asks for that is refused, and no contact is made who would have to be
//! told of the end of an account that nobody ends. Nor do they begin to talk to other servers, where nobody could be held to account for it.

use super::{Account, Cx, SessionKey};
use crate::jid::Jid;
use crate::roster::Act;
use crate::sasl::Provider;
use crate::stanza::{Condition, IqType, Kind, MessageType, PresenceType, Stanza};
use crate::xml::Ns;

impl Account {
    /// Whether a session of a guest asked for what guests do not have, and was told so.
    pub(super) fn refuse_to_guest(
        &self,
        cx: &mut Cx<'_>,
        session: SessionKey,
        stanza: &Stanza,
    ) -> bool {
        let refused = cx.host.provider == Provider::Anonymous
            && (self.asks_to_keep(stanza) || goes_elsewhere(cx, stanza));
        if refused {
            cx.refuse(session, stanza, Condition::NotAllowed);
        }
        refused
    }

    fn asks_to_keep(&self, stanza: &Stanza) -> bool {
        let ns = stanza.payload().map(|payload| payload.ns());
        let to = stanza.to();
        let own = to.is_none_or(|to| to.as_str() == self.jid.as_str());
        let host = to.is_some_and(|to| to.as_str() == self.jid.domain());
        match (stanza.kind(), ns) {
            (Kind::Presence(kind), _) => Act::of(kind).is_some(),
            // Of an account that is not registered there is nothing to say either.
            (Kind::Iq(IqType::Get | IqType::Set), Some(Ns::Registration)) => own || host,
            (Kind::Iq(IqType::Set), Some(Ns::Blocking | Ns::Private | Ns::Roster | Ns::VCard)) => {
                own
            }
            // Queries are sets, too.
            (Kind::Iq(IqType::Set), Some(Ns::Mam)) => {
                own && stanza
                    .payload()
                    .is_some_and(|payload| payload.is(Ns::Mam, "prefs"))
            }
            _ => false,
        }
    }
}

/// Whether it is for another server, and no answer (XEP-0175 §3).
fn goes_elsewhere(cx: &Cx<'_>, stanza: &Stanza) -> bool {
    let is_answer = matches!(
        stanza.kind(),
        Kind::Iq(IqType::Result | IqType::Error)
            | Kind::Message(MessageType::Error)
            | Kind::Presence(PresenceType::Error)
    );
    let is_elsewhere = |to: &Jid| !cx.config.hosts.contains_key(to.domain());
    !is_answer && stanza.to().is_some_and(is_elsewhere)
}
