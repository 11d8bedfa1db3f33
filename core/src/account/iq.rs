//! Requests that the server answers itself: for a host, or on behalf of an account.

use crate::config::{Config, HostConfig};
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::time::Now;
use crate::xml::Ns;

/// The answer to an IQ addressed to a host of ours (`host`) or to a bare account; `None` where nothing answers: a result or
/// an error that nobody asked for (RFC 6120 §10.3.3).
pub(crate) fn answer(
    now: Now,
    config: &Config,
    host: Option<&HostConfig>,
    iq: &Stanza,
) -> Option<Stanza> {
    let Kind::Iq(IqType::Get | IqType::Set) = iq.kind() else {
        return None;
    };
    let payload = iq.payload()?;
    let _ = (now, config, host);
    // RFC 3921 §3: the session is there already; old clients want to hear so.
    if payload.is(Ns::Session, "session") {
        return Some(iq.result(|_| {}));
    }
    iq.refusal(Condition::ServiceUnavailable, None)
}
