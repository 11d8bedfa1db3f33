//! What wakes a client that nobody looks at. One table, and a test for each of its rows.
//!
//! A phone whose radio sleeps spends seconds of it on each stanza, however small. So what wakes it is what somebody would want to see now,
//! or to have stop being shown: what people say, calls, invitations, requests to be somebody's contact, what somebody asked for and what
//! went wrong with it. Not that somebody came, went, types, or got something (XEP-0352 §3.2 names both as examples).

use crate::stanza::{Kind, MessageType, PresenceType, Stanza};
use crate::xml::{Children, Node, Ns};

/// How soon an inactive client is to be told of something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Urgency {
    /// At once, behind all that waits.
    Wakes,
    /// With the next that wakes it, or when it is active.
    Waits,
}

impl Urgency {
    /// That of a stanza for a session of the account `own`, a bare address. See the module.
    #[must_use]
    pub fn of(stanza: &Stanza, own: &str) -> Self {
        let wakes = match stanza.kind() {
            // Requests and answers: somebody waits for each, and the client itself for most.
            Kind::Iq(_) => true,
            Kind::Presence(kind) => does_presence_wake(kind),
            Kind::Message(kind) => {
                let from = stanza.from();
                let by = match from.is_some_and(|from| from.bare() == own) {
                    true => By::Own,
                    false => By::Others,
                };
                match copied(stanza, by) {
                    Some((message, by)) => {
                        does_message_wake(type_of(&message), message.children(), by)
                    }
                    None => does_message_wake(kind, stanza.children(), by),
                }
            }
        };
        match wakes {
            true => Self::Wakes,
            false => Self::Waits,
        }
    }
}

/// Who says something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum By {
    /// The account itself: another of its devices, or its server.
    Own,
    /// Anybody else.
    Others,
}

const fn does_presence_wake(kind: PresenceType) -> bool {
    match kind {
        PresenceType::Available | PresenceType::Unavailable | PresenceType::Probe => false,
        // Somebody wants an answer, or gave one.
        PresenceType::Subscribe
        | PresenceType::Subscribed
        | PresenceType::Unsubscribe
        | PresenceType::Unsubscribed => true,
        // What the client asked for, to enter a room for instance, is not to be had.
        PresenceType::Error => true,
    }
}

fn does_message_wake(kind: MessageType, children: Children<'_>, by: By) -> bool {
    match kind {
        // Something that the user sent did not arrive.
        MessageType::Error => true,
        // RFC 6121 §5.2.2: "an alert, a notification, or other transient information to which no reply is expected".
        MessageType::Headline => false,
        MessageType::Chat | MessageType::Groupchat | MessageType::Normal => {
            let mut children = children;
            children.any(|child| does_child_wake(&child, by))
        }
    }
}

fn does_child_wake(child: &Node<'_>, by: By) -> bool {
    match (child.ns(), child.name()) {
        // What people say. Whoever enters a room knows by its subject that it is in.
        (Ns::Client, "body" | "subject") => true,
        // What they say in secret: nobody but the client can tell whether it is worth being shown.
        (Ns::Encryption, "encryption") | (Ns::Omemo | Ns::LegacyOmemo, "encrypted") => true,
        // Invitations, by somebody and by a room.
        (Ns::Conference, "x") => true,
        (Ns::MucUser, "x") => child
            .children()
            .any(|child| child.is(Ns::MucUser, "invite")),
        // A phone that is to ring, and to stop.
        (Ns::JingleMessage, _) => true,
        // Somebody read it elsewhere: what this device shows of it goes. That others have read something can wait.
        (Ns::ChatMarkers, "displayed") => by == By::Own,
        // What the client asked an archive for, that of a room for instance; the end of it is an IQ.
        (Ns::Mam, "result") => true,
        _ => false,
    }
}

/// What a copy (XEP-0280 §7, §8) is a copy of, and who says that. One that was not made by the account's server is none (§11).
fn copied<'a>(copy: &'a Stanza, by: By) -> Option<(Node<'a>, By)> {
    let is_servers = by == By::Own && copy.from().is_some_and(|from| from.resource().is_none());
    if !is_servers {
        return None;
    }
    let carbon = copy.children().find(|child| child.ns() == Ns::Carbons)?;
    let by = match carbon.name() {
        "received" => By::Others,
        "sent" => By::Own,
        _ => return None,
    };
    let forwarded = carbon
        .children()
        .find(|child| child.is(Ns::Forward, "forwarded"))?;
    let message = forwarded
        .children()
        .find(|child| child.is(Ns::Client, "message"))?;
    Some((message, by))
}

/// RFC 6121 §5.2.2: what is none of the types is normal.
fn type_of(message: &Node<'_>) -> MessageType {
    let name = message.attribute("type");
    name.and_then(|name| MessageType::from_name(&name))
        .unwrap_or(MessageType::Normal)
}

#[cfg(test)]
mod tests;
