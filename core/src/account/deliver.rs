//! Delivery to a local user by RFC 6121 §8.5, the table of §8.5.4.

use super::iq::{answer, asker};
use super::{Account, Cx, Session};
use crate::stanza::{Condition, IqType, Kind, MessageType, PresenceType, Stanza};
use crate::xep::Entity;

/// Delivers a stanza whose `to` is an account of ours; `account` is `None` where nobody is signed in, whether or not there is
/// such an account, so that nobody learns which (RFC 6121 §8.1): §8.5.1 and §8.5.2.2 are met by the same answers.
///
/// What cannot be delivered is ignored or answered as the RFC says; offline storage takes its place here once it exists.
pub(crate) fn deliver(mut account: Option<&mut Account>, cx: &mut Cx<'_>, stanza: &Stanza) {
    let Some(to) = stanza.to() else { return };
    if stanza.kind() == Kind::Presence(PresenceType::Unavailable)
        && let (Some(account), Some(from)) = (&mut account, stanza.from())
    {
        account.forget_directed(from, to.resource());
    }
    let account = account.as_deref();
    let sessions = account.map_or(&[][..], |account| &account.sessions);
    let matching = to
        .resource()
        .and_then(|resource| account?.session_of(resource));
    match (stanza.kind(), to.resource(), matching) {
        (Kind::Message(kind), None, _) => to_bare(sessions, cx, kind, stanza),
        (Kind::Message(_), Some(_), Some(session)) => cx.fx.deliver(session.conn, stanza),
        (Kind::Message(kind), Some(_), None) => to_absent(sessions, cx, kind, stanza),
        (Kind::Presence(kind), ..) => presence(sessions, matching, cx, kind, stanza),
        // §8.5.2.1.3: the server answers for the account.
        (Kind::Iq(_), None, _) => {
            if let Some(reply) = answer(cx.now, cx.config, Entity::Account(asker(stanza)), stanza) {
                cx.fx.route(reply);
            }
        }
        // §8.5.3.1. `Choice:` requests are delivered without looking at shared presence, as Prosody and ejabberd do: who
        // knows the full address has it from the user, and the rule needs subscriptions.
        (Kind::Iq(_), Some(_), Some(session)) => cx.fx.deliver(session.conn, stanza),
        // §8.5.3.2.3.
        (Kind::Iq(IqType::Get | IqType::Set), Some(_), None) => refuse(cx, stanza),
        (Kind::Iq(IqType::Result | IqType::Error), Some(_), None) => {}
    }
}

/// §8.5.2: a message to the bare address.
fn to_bare(sessions: &[Session], cx: &mut Cx<'_>, kind: MessageType, stanza: &Stanza) {
    let non_negative = || {
        sessions
            .iter()
            .filter(|s| s.priority().is_some_and(|p| p >= 0))
    };
    match kind {
        MessageType::Normal | MessageType::Chat => {
            // `Choice:` (a) of §8.5.2.1.1: the resources of the highest priority are the most available.
            let Some(highest) = non_negative().filter_map(Session::priority).max() else {
                return refuse(cx, stanza);
            };
            for session in non_negative().filter(|s| s.priority() == Some(highest)) {
                cx.fx.deliver(session.conn, stanza);
            }
        }
        MessageType::Headline => {
            for session in non_negative() {
                cx.fx.deliver(session.conn, stanza);
            }
        }
        MessageType::Groupchat => refuse(cx, stanza),
        MessageType::Error => {}
    }
}

/// §8.5.3.2.1: a message to a resource that is not there.
fn to_absent(sessions: &[Session], cx: &mut Cx<'_>, kind: MessageType, stanza: &Stanza) {
    match kind {
        MessageType::Chat => to_bare(sessions, cx, kind, stanza),
        // `Choice:` an error rather than silence, so that nobody waits for an answer; a headline expects none.
        MessageType::Normal | MessageType::Groupchat => refuse(cx, stanza),
        MessageType::Headline | MessageType::Error => {}
    }
}

/// §8.5.2.1.2, §8.5.3.1, §8.5.3.2.2.
fn presence(
    sessions: &[Session],
    matching: Option<&Session>,
    cx: &mut Cx<'_>,
    kind: PresenceType,
    stanza: &Stanza,
) {
    let to_full = stanza.to().is_some_and(|to| to.resource().is_some());
    match kind {
        PresenceType::Available | PresenceType::Unavailable | PresenceType::Error if to_full => {
            if let Some(session) = matching {
                cx.fx.deliver(session.conn, stanza);
            }
        }
        PresenceType::Available | PresenceType::Unavailable => {
            for session in sessions
                .iter()
                .filter(|session| session.priority().is_some())
            {
                cx.fx.deliver(session.conn, stanza);
            }
        }
        // Subscriptions and probes are for the roster (§3, §4.3), which is still to come; until then they are ignored, as §8.5.1 has
        // it where there is no such account.
        PresenceType::Error
        | PresenceType::Probe
        | PresenceType::Subscribe
        | PresenceType::Subscribed
        | PresenceType::Unsubscribe
        | PresenceType::Unsubscribed => {}
    }
}

/// The sender is told, where an error may answer.
fn refuse(cx: &mut Cx<'_>, stanza: &Stanza) {
    if let Some(error) = stanza.refusal(Condition::ServiceUnavailable, None) {
        cx.fx.route(error);
    }
}
