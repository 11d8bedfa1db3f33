//! What becomes of a message beside being delivered: whether it is archived (XEP-0313 §6.1.1), owed to who is away (XEP-0160 §3), copied to
//! other devices (XEP-0280 §6). One table, and a test for each of its rows.
//!
//! Hints (XEP-0334) come first, but not in errors (§5). What is archived is what Prosody archives: what people say, and what clients need to
//! show it rightly later: receipts, markers, reactions, retractions (XEP-0424 §2 has a server that knows them keep them), invitations, what is
//! encrypted.

use alloc::sync::Arc;

use crate::stanza::{Kind, MessageType, Stanza};
use crate::xml::{Node, Ns};

/// What a message is worth to the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Worth {
    pub(crate) storing: Storing,
    pub(crate) copying: Copying,
}

/// Whether it is to be kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Storing {
    /// In the archive, and for who is away.
    Archived,
    /// For who is away alone.
    Owed,
    /// Nowhere.
    Passing,
}

/// Whether other devices are to have a copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Copying {
    /// Those of its sender and of its receiver.
    Both,
    /// Those of its sender: the receiver's have theirs from the room (XEP-0280 §6.1).
    Sent,
    /// If it answers one of which there were copies.
    Answer,
    /// None.
    Nobody,
}

const NOTHING: Worth = Worth {
    storing: Storing::Passing,
    copying: Copying::Nobody,
};

/// What of it is among a message's children.
#[derive(Default)]
struct Found(u16);

impl Found {
    /// `<body/>`.
    const BODY: u16 = 1;
    /// XEP-0085.
    const STATE: u16 = 1 << 1;
    /// XEP-0184, XEP-0333.
    const RECEIPT: u16 = 1 << 2;
    /// XEP-0249, or of a room (XEP-0045 §7.8.2).
    const INVITATION: u16 = 1 << 3;
    /// From somebody in a room, or to.
    const ROOM: u16 = 1 << 4;
    /// What clients show later.
    const SHOWN: u16 = 1 << 5;
    /// Something else that is for its receiver.
    const OTHER: u16 = 1 << 6;
    /// XEP-0280 §9 and XEP-0334 §4.3.
    const PRIVATE: u16 = 1 << 7;
    /// XEP-0334 §4.1.
    const NO_PERMANENT_STORE: u16 = 1 << 8;
    /// XEP-0334 §4.2.
    const NO_STORE: u16 = 1 << 9;
    /// XEP-0334 §4.4.
    const STORE: u16 = 1 << 10;
    /// What servers add: XEP-0359, XEP-0203.
    const ADDED: u16 = 1 << 11;

    fn of(message: &Stanza) -> Self {
        if let Some(found) = message.found() {
            return Self(found);
        }
        let mut found = Self::default();
        for child in message.children() {
            found.0 |= Self::bit(&child);
        }
        found
    }

    fn bit(child: &Node<'_>) -> u16 {
        match (child.ns(), child.name()) {
            (Ns::Client, "body") => Self::BODY,
            (Ns::Client, "subject") => Self::SHOWN,
            (Ns::ChatStates, _) => Self::STATE,
            (Ns::Receipts, "received") => Self::RECEIPT | Self::SHOWN,
            (Ns::Receipts, _) => Self::RECEIPT,
            (Ns::ChatMarkers, "markable") => Self::RECEIPT,
            (Ns::ChatMarkers, _) => Self::RECEIPT | Self::SHOWN,
            (Ns::Conference, "x") => Self::INVITATION | Self::SHOWN,
            (Ns::MucUser, "x") => match child.children().any(|c| c.is(Ns::MucUser, "invite")) {
                true => Self::INVITATION | Self::SHOWN,
                false => Self::ROOM,
            },
            (
                Ns::Encryption
                | Ns::Omemo
                | Ns::LegacyOmemo
                | Ns::Retraction
                | Ns::Reactions
                | Ns::JingleMessage,
                _,
            ) => Self::SHOWN,
            (Ns::Carbons, "private") | (Ns::Hints, "no-copy") => Self::PRIVATE,
            (Ns::Hints, "no-permanent-store") => Self::NO_PERMANENT_STORE,
            (Ns::Hints, "no-store") => Self::NO_STORE,
            (Ns::Hints, "store") => Self::STORE,
            (Ns::StanzaIds, "stanza-id") | (Ns::Delay, "delay") => Self::ADDED,
            // They say nothing by themselves.
            (Ns::Client, "thread") | (Ns::StanzaIds | Ns::Hints, _) => 0,
            _ => Self::OTHER,
        }
    }

    const fn any(&self, bits: u16) -> bool {
        self.0 & bits != 0
    }
}

impl Worth {
    /// See the module.
    pub(crate) fn of(message: &Stanza) -> Self {
        let Kind::Message(kind) = message.kind() else {
            return NOTHING;
        };
        let found = Found::of(message);
        let (storing, copying) = match kind {
            // XEP-0280 §6.1, "in response to a message that was eligible".
            MessageType::Error => (Storing::Passing, Copying::Answer),
            MessageType::Groupchat => (Storing::Passing, Copying::Nobody),
            MessageType::Headline => (Storing::Passing, copying(kind, &found)),
            MessageType::Chat | MessageType::Normal => (storing(&found), copying(kind, &found)),
        };
        Self { storing, copying }
    }

    /// The same, so that whoever asks next need not look at the message again, if nobody else has it yet.
    pub(crate) fn note(message: &mut Arc<Stanza>) -> Self {
        if let (Kind::Message(_), Some(message)) = (message.kind(), Arc::get_mut(message)) {
            let found = Found::of(message);
            message.note_found(found.0);
        }
        Self::of(message)
    }
}

/// Whether there is something in it that servers add, or somebody says so.
pub(crate) fn tells_of_server(message: &Stanza) -> bool {
    Found::of(message).any(Found::ADDED)
}

fn storing(found: &Found) -> Storing {
    let shown = Found::BODY | Found::SHOWN | Found::STORE;
    if found.any(Found::NO_STORE) {
        Storing::Passing
    } else if found.any(Found::NO_PERMANENT_STORE) {
        Storing::Owed
    } else if found.any(shown) {
        Storing::Archived
    } else if found.any(Found::OTHER | Found::RECEIPT | Found::ROOM) {
        // XEP-0160 §3: all of them but those that "contain only" chat states.
        Storing::Owed
    } else {
        Storing::Passing
    }
}

/// XEP-0280 §6.1.
fn copying(kind: MessageType, found: &Found) -> Copying {
    let im = Found::STATE | Found::RECEIPT | Found::INVITATION;
    let is_eligible = match kind {
        MessageType::Chat => true,
        MessageType::Normal => found.any(Found::BODY | im),
        MessageType::Headline => found.any(im),
        MessageType::Error | MessageType::Groupchat => false,
    };
    if !is_eligible || found.any(Found::PRIVATE) {
        Copying::Nobody
    } else if found.any(Found::ROOM) && !found.any(Found::INVITATION) {
        Copying::Sent
    } else {
        Copying::Both
    }
}

#[cfg(test)]
mod tests;
