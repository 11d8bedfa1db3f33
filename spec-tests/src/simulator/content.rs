//! What messages are made of, and what becomes of each by that: kept in archives, owed to who is away, copied to devices. Written from
//! the standards, apart from the server's own table.

use spondee_core::stanza::{Kind, MessageType};

use super::accounts::NAMES;
use super::random::Random;
use crate::element::escape;

/// The namespace of carbons (XEP-0280).
pub(super) const CARBONS: &str = "urn:xmpp:carbons:2";
/// The namespace of hints (XEP-0334).
const HINTS: &str = "urn:xmpp:hints";
/// The namespace of ids (XEP-0359).
pub(super) const SIDS: &str = "urn:xmpp:sid:0";

/// Who gives ids that nobody here may take away.
pub(super) const ROOM: &str = "room@muc.example";

/// The payload that decides.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Matter {
    #[default]
    Text,
    Subject,
    /// XEP-0380.
    Explicit,
    /// XEP-0384, its namespace of now.
    Omemo,
    /// The one before.
    OldOmemo,
    /// XEP-0184.
    Receipt,
    /// XEP-0333.
    Marker,
    /// XEP-0424.
    Retraction,
    /// XEP-0444.
    Reactions,
    /// XEP-0249.
    Invitation,
    /// XEP-0045 §7.8.2.
    Mediated,
    /// XEP-0353.
    Call,
    /// XEP-0085, and nothing else that counts.
    State,
    /// The same with something that nobody knows.
    StateAndMore,
    /// A body, as said aside in a room (XEP-0045 §7.5).
    Aside,
    /// Nothing that anybody knows.
    Unknown,
}

/// What the sender would have of who might keep it (XEP-0334 §4).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Hint {
    #[default]
    Unsaid,
    NoStore,
    NoPermanentStore,
    Store,
    /// Both, of which the stricter counts.
    StoreAndNot,
}

/// What the sender would have of who might copy it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Copying {
    #[default]
    Unsaid,
    Private,
    NoCopy,
    Both,
}

/// Whose id a sender pretends to have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Forged {
    /// That of its own account.
    Own,
    /// That of whom it is for.
    Receiver,
    /// The same, written as nobody writes it.
    Shouted,
    /// Of somebody else: it stays.
    Room,
}

/// Where in a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Position {
    First,
    Last,
}

/// What stands in a stanza.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Content {
    /// The body, or the whole payload of a request.
    pub(super) text: String,
    pub(super) matter: Matter,
    pub(super) hint: Hint,
    pub(super) copying: Copying,
    pub(super) forged: Vec<(Forged, Position)>,
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }
}

impl Content {
    /// Something that a message might contain.
    pub(super) fn any(random: &mut Random, text: String) -> Self {
        let matter = match random.below(40) {
            0 => Matter::Subject,
            1 => Matter::Explicit,
            2 => Matter::Omemo,
            3 => Matter::OldOmemo,
            4 => Matter::Receipt,
            5 => Matter::Marker,
            6 => Matter::Retraction,
            7 => Matter::Reactions,
            8 => Matter::Invitation,
            9 => Matter::Mediated,
            10 => Matter::Call,
            11..=13 => Matter::State,
            14 => Matter::StateAndMore,
            15 => Matter::Aside,
            16..=17 => Matter::Unknown,
            _ => Matter::Text,
        };
        let hint = match random.below(30) {
            0..=1 => Hint::NoStore,
            2..=3 => Hint::NoPermanentStore,
            4..=5 => Hint::Store,
            6 => Hint::StoreAndNot,
            _ => Hint::Unsaid,
        };
        let copying = match (random.below(24), matter) {
            // Beside a chat state it would be something more.
            (0..=1, Matter::State) => Copying::NoCopy,
            (_, Matter::State) => Copying::Unsaid,
            (0, _) => Copying::Private,
            (1, _) => Copying::NoCopy,
            (2, _) => Copying::Both,
            _ => Copying::Unsaid,
        };
        let mut forged = Vec::new();
        while random.percent(12) {
            let whose = random.pick(&[
                Forged::Own,
                Forged::Receiver,
                Forged::Receiver,
                Forged::Shouted,
                Forged::Room,
            ]);
            forged.push((whose, random.pick(&[Position::First, Position::Last])));
        }
        Self {
            text,
            matter,
            hint,
            copying,
            forged,
        }
    }

    /// Whether it has a body.
    pub(super) const fn has_body(&self) -> bool {
        matches!(self.matter, Matter::Text | Matter::Aside)
    }

    /// Whether anything beside it would make it something else.
    pub(super) const fn is_bare_state(&self) -> bool {
        matches!(self.matter, Matter::State)
    }

    /// How many ids of this one are in it.
    pub(super) fn count(&self, whose: Forged) -> usize {
        let of = self.forged.iter().filter(|(forged, _)| *forged == whose);
        of.count()
    }

    /// Whether it is worth keeping for good: what holds meaningful content (XEP-0313 §3, XEP-0334 §4).
    pub(super) const fn is_archived(&self, kind: Kind) -> bool {
        if !matches!(kind, Kind::Message(MessageType::Normal | MessageType::Chat)) {
            return false;
        }
        match self.hint {
            Hint::NoStore | Hint::NoPermanentStore | Hint::StoreAndNot => false,
            Hint::Store => true,
            Hint::Unsaid => match self.matter {
                Matter::State | Matter::StateAndMore | Matter::Unknown => false,
                Matter::Text
                | Matter::Subject
                | Matter::Explicit
                | Matter::Omemo
                | Matter::OldOmemo
                | Matter::Receipt
                | Matter::Marker
                | Matter::Retraction
                | Matter::Reactions
                | Matter::Invitation
                | Matter::Mediated
                | Matter::Call
                | Matter::Aside => true,
            },
        }
    }

    /// Whether it waits for who is away (XEP-0160 §3, XEP-0334 §4).
    pub(super) const fn is_owed(&self, kind: Kind) -> bool {
        if !matches!(kind, Kind::Message(MessageType::Normal | MessageType::Chat)) {
            return false;
        }
        match self.hint {
            Hint::NoStore | Hint::StoreAndNot => false,
            Hint::Store | Hint::NoPermanentStore => true,
            Hint::Unsaid => !matches!(self.matter, Matter::State),
        }
    }

    /// Whether devices get copies of it (XEP-0280 §6.1).
    pub(super) const fn is_copied(&self, kind: Kind) -> bool {
        if !matches!(self.copying, Copying::Unsaid) {
            return false;
        }
        let is_of_messaging = matches!(
            self.matter,
            Matter::Receipt
                | Matter::Marker
                | Matter::Invitation
                | Matter::Mediated
                | Matter::State
                | Matter::StateAndMore
        );
        match kind {
            Kind::Message(MessageType::Chat) => true,
            Kind::Message(MessageType::Normal) => is_of_messaging || self.has_body(),
            Kind::Message(MessageType::Headline) => is_of_messaging,
            Kind::Message(MessageType::Groupchat | MessageType::Error)
            | Kind::Iq(_)
            | Kind::Presence(_) => false,
        }
    }

    /// Whether the receiver's devices do: what is said aside in a room, the room itself copies.
    pub(super) const fn is_copied_to_receiver(&self, kind: Kind) -> bool {
        self.is_copied(kind) && !matches!(self.matter, Matter::Aside)
    }

    /// On the wire: what stands in a message of this sender to this address, `c` before names of its namespace.
    pub(super) fn xml(&self, c: &str, from: &str, to: Option<&str>, mark: &str) -> String {
        let mut out = String::new();
        let forge = |out: &mut String, position| {
            for (number, (whose, at)) in self.forged.iter().enumerate() {
                if *at == position {
                    *out += &self.forgery(*whose, from, to, number);
                }
            }
        };
        forge(&mut out, Position::First);
        out += &self.payload(c);
        match self.hint {
            Hint::Unsaid => {}
            Hint::NoStore => out += &hint("no-store"),
            Hint::NoPermanentStore => out += &hint("no-permanent-store"),
            Hint::Store => out += &hint("store"),
            Hint::StoreAndNot => out += &(hint("store") + &hint("no-store")),
        }
        if matches!(self.copying, Copying::Private | Copying::Both) {
            out += &format!("<private xmlns='{CARBONS}'/>");
        }
        if matches!(self.copying, Copying::NoCopy | Copying::Both) {
            out += &hint("no-copy");
        }
        if !self.is_bare_state() {
            out += mark;
        }
        forge(&mut out, Position::Last);
        out
    }

    fn payload(&self, c: &str) -> String {
        let text = escape(&self.text);
        match self.matter {
            Matter::Text => format!("<{c}body>{text}</{c}body>"),
            Matter::Subject => format!("<{c}subject>plans</{c}subject>"),
            Matter::Explicit => {
                "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:otr:0'/>".to_owned()
            }
            Matter::Omemo => "<encrypted xmlns='urn:xmpp:omemo:2'/>".to_owned(),
            Matter::OldOmemo => "<encrypted xmlns='eu.siacs.conversations.axolotl'/>".to_owned(),
            Matter::Receipt => "<received xmlns='urn:xmpp:receipts' id='m'/>".to_owned(),
            Matter::Marker => "<displayed xmlns='urn:xmpp:chat-markers:0' id='m'/>".to_owned(),
            Matter::Retraction => "<retract xmlns='urn:xmpp:message-retract:1' id='m'/>".to_owned(),
            Matter::Reactions => "<reactions xmlns='urn:xmpp:reactions:0' id='m'/>".to_owned(),
            Matter::Invitation => format!("<x xmlns='jabber:x:conference' jid='{ROOM}'/>"),
            Matter::Mediated => {
                "<x xmlns='http://jabber.org/protocol/muc#user'><invite/></x>".to_owned()
            }
            Matter::Call => "<propose xmlns='urn:xmpp:jingle-message:0' id='m'/>".to_owned(),
            Matter::State => {
                format!(
                    "<composing xmlns='http://jabber.org/protocol/chatstates'/><{c}thread>t</{c}thread>"
                )
            }
            Matter::StateAndMore => {
                "<active xmlns='http://jabber.org/protocol/chatstates'/>".to_owned()
            }
            Matter::Aside => {
                format!("<{c}body>{text}</{c}body><x xmlns='http://jabber.org/protocol/muc#user'/>")
            }
            Matter::Unknown => String::new(),
        }
    }

    fn forgery(&self, whose: Forged, from: &str, to: Option<&str>, number: usize) -> String {
        let bare = |jid: &str| jid.split('/').next().unwrap_or_default().to_owned();
        let receiver = to.map(bare).filter(|to| NAMES.contains(&to.as_str()));
        let by = match whose {
            Forged::Own => bare(from),
            Forged::Receiver => receiver.unwrap_or_else(|| bare(from)),
            Forged::Shouted => receiver.unwrap_or_else(|| bare(from)).to_uppercase(),
            Forged::Room => ROOM.to_owned(),
        };
        format!("<stanza-id xmlns='{SIDS}' by='{by}' id='forged-{number}'/>")
    }
}

fn hint(name: &str) -> String {
    format!("<{name} xmlns='{HINTS}'/>")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: Kind = Kind::Message(MessageType::Chat);
    const NORMAL: Kind = Kind::Message(MessageType::Normal);
    const HEADLINE: Kind = Kind::Message(MessageType::Headline);

    fn of(matter: Matter) -> Content {
        Content {
            matter,
            ..Content::default()
        }
    }

    #[test]
    fn a_body_is_kept_owed_and_copied_and_a_chat_state_only_copied() {
        let text = of(Matter::Text);
        assert!(text.is_archived(NORMAL) && text.is_owed(CHAT) && text.is_copied(NORMAL));
        assert!(!text.is_archived(HEADLINE) && !text.is_owed(HEADLINE));
        assert!(!text.is_copied(HEADLINE));
        let state = of(Matter::State);
        assert!(!state.is_archived(CHAT) && !state.is_owed(CHAT) && state.is_copied(CHAT));
        assert!(state.is_copied(HEADLINE));
    }

    #[test]
    fn what_nobody_knows_is_owed_and_not_kept() {
        let unknown = of(Matter::Unknown);
        assert!(!unknown.is_archived(CHAT) && unknown.is_owed(NORMAL));
        assert!(unknown.is_copied(CHAT) && !unknown.is_copied(NORMAL));
    }

    #[test]
    fn hints_say_what_is_kept_and_private_what_is_copied() {
        let with = |hint| Content {
            hint,
            ..of(Matter::Text)
        };
        assert!(!with(Hint::NoStore).is_owed(CHAT));
        assert!(!with(Hint::StoreAndNot).is_archived(CHAT));
        let passing = with(Hint::NoPermanentStore);
        assert!(passing.is_owed(CHAT) && !passing.is_archived(CHAT));
        let state = Content {
            hint: Hint::Store,
            ..of(Matter::State)
        };
        assert!(state.is_owed(CHAT) && state.is_archived(CHAT));
        let private = Content {
            copying: Copying::Private,
            ..of(Matter::Text)
        };
        assert!(!private.is_copied(CHAT) && private.is_archived(CHAT));
        assert!(!of(Matter::Aside).is_copied_to_receiver(CHAT));
        assert!(of(Matter::Aside).is_copied(CHAT));
    }
}
