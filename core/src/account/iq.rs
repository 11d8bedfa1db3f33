//! Requests that the server answers itself: for a host, or on behalf of an account.

use super::Account;
use crate::config::Config;
use crate::jid::Jid;
use crate::stanza::{Kind, Stanza};
use crate::time::Now;
use crate::xep::{self, Answer, Asked, Asker, Entity};
use crate::xml::Ns;

/// The answer to an IQ addressed to a host of ours or to a bare account; `None` where nothing answers: a result or an error
/// that nobody asked for (RFC 6120 §10.3.3).
pub(crate) fn answer(now: Now, config: &Config, entity: Entity, iq: &Stanza) -> Option<Stanza> {
    let Kind::Iq(kind) = iq.kind() else {
        return None;
    };
    if !iq.kind().may_be_refused() {
        return None;
    }
    let payload = iq.payload()?;
    let asked = Asked {
        now,
        config,
        iq: kind,
        payload: &payload,
        entity,
    };
    match xep::answer(&asked) {
        Answer::Result(payload) => Some(iq.result(|w| {
            w.raw(&payload);
        })),
        Answer::Refuse(condition) => iq.refusal(condition, None),
    }
}

/// Whether the answer to a request depends on who asks an account: what only its contacts may know.
pub(super) fn asks_of_account(iq: &Stanza) -> bool {
    let payload = iq.payload();
    payload.is_some_and(|payload| matches!(payload.ns(), Ns::DiscoInfo | Ns::DiscoItems))
}

impl Account {
    /// Who asks the account.
    pub(super) fn asker(&self, iq: &Stanza) -> Asker {
        let Some(from) = iq.from().map(Jid::bare) else {
            return Asker::Stranger;
        };
        if from == self.jid.as_str() {
            return Asker::Owner;
        }
        match self.kept.sound() {
            Some(kept) if kept.shows_to(from) => Asker::Contact,
            Some(_) | None => Asker::Stranger,
        }
    }

    /// Whether who sent this is known to be a stranger.
    pub(crate) fn is_stranger(&self, stanza: &Stanza) -> bool {
        self.kept.sound().is_some() && self.asker(stanza) == Asker::Stranger
    }
}
