//! Who of an account gets a stanza (RFC 6121 §8.5, the table of §8.5.4).

use alloc::vec::Vec;

use super::{Session, SessionKey};
use crate::jid::Jid;
use crate::stanza::{IqType, Kind, MessageType, PresenceType};

/// Who gets it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Recipients {
    /// Each of these sessions, of which there are several.
    Each(Vec<SessionKey>),
    /// This session.
    One(SessionKey),
    /// No session.
    Unreached(Unreached),
}

/// What becomes of a stanza that no session gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unreached {
    /// The sender is told.
    Refused,
    /// The server answers on behalf of the account.
    Server,
    /// Nobody hears of it.
    Silent,
    /// It waits until somebody is there, if it is worth it (§8.5.2.2.1); otherwise the sender is told.
    Away,
}

impl Recipients {
    fn of(mut sessions: impl Iterator<Item = SessionKey>, otherwise: Unreached) -> Self {
        match (sessions.next(), sessions.next()) {
            (None, _) => Self::Unreached(otherwise),
            (Some(one), None) => Self::One(one),
            (Some(one), Some(other)) => {
                let mut each = Vec::with_capacity(4);
                each.extend([one, other]);
                each.extend(sessions);
                Self::Each(each)
            }
        }
    }
}

const REFUSED: Recipients = Recipients::Unreached(Unreached::Refused);
const SILENT: Recipients = Recipients::Unreached(Unreached::Silent);

/// Chooses among an account's sessions. None at all and no account are the same, so that nobody learns which (RFC 6121 §8.1): §8.5.1
/// and §8.5.2.2 are met by the same answers.
///
/// What cannot be delivered is ignored or answered as the RFC says, or waits (XEP-0160).
pub(super) fn choose(sessions: &[Session], kind: Kind, to: &Jid) -> Recipients {
    let matching = to.resource().map(|resource| {
        sessions
            .iter()
            .find(|session| session.jid.resource() == Some(resource))
            .map(|session| session.key)
    });
    match (kind, matching) {
        (Kind::Message(kind), None) => to_bare(sessions, kind),
        (Kind::Message(_) | Kind::Iq(_), Some(Some(session))) => Recipients::One(session),
        (Kind::Message(kind), Some(None)) => to_absent(sessions, kind),
        (Kind::Presence(kind), _) => presence(sessions, matching, kind),
        // §8.5.2.1.3: the server answers for the account.
        (Kind::Iq(_), None) => Recipients::Unreached(Unreached::Server),
        // §8.5.3.2.3. `Choice:` requests to a session, above, are delivered without looking at shared presence (§8.5.3.1), as Prosody and
        // ejabberd do: who knows the full address has it from the user.
        (Kind::Iq(IqType::Get | IqType::Set), Some(None)) => REFUSED,
        (Kind::Iq(IqType::Result | IqType::Error), Some(None)) => SILENT,
    }
}

/// §8.5.2: a message to the bare address.
fn to_bare(sessions: &[Session], kind: MessageType) -> Recipients {
    let non_negative = || {
        sessions
            .iter()
            .filter(|s| s.priority().is_some_and(|p| p >= 0))
    };
    match kind {
        MessageType::Normal | MessageType::Chat => {
            // `Choice:` (a) of §8.5.2.1.1: the resources of the highest priority are the most available.
            let highest = non_negative().filter_map(Session::priority).max();
            let chosen = non_negative().filter(|session| session.priority() == highest);
            Recipients::of(chosen.map(|session| session.key), Unreached::Away)
        }
        MessageType::Headline => {
            Recipients::of(non_negative().map(|session| session.key), Unreached::Silent)
        }
        MessageType::Groupchat => REFUSED,
        MessageType::Error => SILENT,
    }
}

/// §8.5.3.2.1: a message to a resource that is not there.
fn to_absent(sessions: &[Session], kind: MessageType) -> Recipients {
    match kind {
        MessageType::Chat => to_bare(sessions, kind),
        // `Choice:` an error rather than silence, so that nobody waits for an answer; a headline expects none.
        MessageType::Normal | MessageType::Groupchat => REFUSED,
        MessageType::Headline | MessageType::Error => SILENT,
    }
}

/// §8.5.2.1.2, §8.5.3.1, §8.5.3.2.2.
fn presence(
    sessions: &[Session],
    matching: Option<Option<SessionKey>>,
    kind: PresenceType,
) -> Recipients {
    match (kind, matching) {
        (
            PresenceType::Available | PresenceType::Unavailable | PresenceType::Error,
            Some(session),
        ) => session.map_or(SILENT, Recipients::One),
        (PresenceType::Available | PresenceType::Unavailable, None) => {
            let available = sessions
                .iter()
                .filter(|session| session.priority().is_some());
            Recipients::of(available.map(|session| session.key), Unreached::Silent)
        }
        // Where there is no such account (§8.5.1); one that is there sees to subscriptions and probes itself.
        (
            PresenceType::Error
            | PresenceType::Probe
            | PresenceType::Subscribe
            | PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed,
            _,
        ) => SILENT,
    }
}
