//! Requests that the server answers itself: for a host, or on behalf of an account.

use crate::config::Config;
use crate::stanza::{Kind, Stanza};
use crate::time::Now;
use crate::xep::{self, Answer, Asked, Asker, Entity};

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

/// Who asks an account: one of its own sessions, or anybody else.
pub(super) fn asker(iq: &Stanza) -> Asker {
    match (iq.from(), iq.to()) {
        (Some(from), Some(to)) if from.bare() != to.bare() => Asker::Stranger,
        _ => Asker::Owner,
    }
}
