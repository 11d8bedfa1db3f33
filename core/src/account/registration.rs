//! XEP-0077: In-Band Registration, version 2.4: what a session asks about its own account. Who wants to change it asks more than the account
//! can do: its credentials are not its own business.

use alloc::sync::Arc;

use super::{Account, Cx, Saying, SessionKey, Wish};
use crate::effects::Effects;
use crate::registration::{self, Change, IN_DIRECTORY};
use crate::sasl::Provider;
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::xml::Ns;

impl Account {
    /// A request about its registration by one of the account's own sessions.
    pub(super) fn registration_out(
        &self,
        cx: &mut Cx<'_>,
        key: SessionKey,
        iq: Arc<Stanza>,
    ) -> Option<Wish> {
        let payload = iq.payload()?;
        let change = match iq.kind() {
            Kind::Iq(IqType::Get) if payload.is(Ns::Registration, "query") => {
                let on_file = match cx.host.provider {
                    Provider::Ldap => registration::in_directory,
                    Provider::Anonymous | Provider::Hashed | Provider::Plain => {
                        registration::on_file
                    }
                };
                cx.answer(key, iq.result(|w| on_file(w, &self.jid)).into());
                return None;
            }
            // RFC 6120 §8.3.3.3: "understands the namespace but does not recognize the element name".
            Kind::Iq(IqType::Get) => Err(Condition::FeatureNotImplemented),
            Kind::Iq(IqType::Set) => registration::change(&payload, &self.jid),
            Kind::Iq(IqType::Result | IqType::Error) | Kind::Message(_) | Kind::Presence(_) => {
                return None;
            }
        };
        match change {
            Ok(Change::Password(_)) if cx.host.provider == Provider::Ldap => {
                // XEP-0077 §3.3: "does not allow password changes"; the text is for people.
                if let Some(error) = iq.refusal(Condition::NotAllowed, Some(IN_DIRECTORY)) {
                    cx.answer(key, error.into());
                }
                None
            }
            // Not before it is done.
            Ok(change) => Some(Wish::Change(change, Arc::clone(&iq), cx.part())),
            Err(condition) => {
                cx.refuse(key, &iq, condition);
                None
            }
        }
    }

    /// Tells a session what became of its wish.
    pub(crate) fn tell_now(&mut self, fx: &mut Effects, key: SessionKey, stanza: Arc<Stanza>) {
        self.say(fx, Saying::Answer(key, stanza));
    }
}
