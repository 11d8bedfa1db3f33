use alloc::format;
use alloc::string::String;

use super::Copying::{Answer, Both, Nobody, Sent};
use super::Storing::{Archived, Owed, Passing};
use super::{Copying, Storing, Worth};
use crate::stanza::Stanza;

fn worth(kind: &str, children: &str) -> Worth {
    let xml = format!("<message from='romeo@localhost/x' type='{kind}'>{children}</message>");
    Worth::of(&Stanza::from_xml(xml.as_bytes()).expect(&xml))
}

fn hint(name: &str) -> String {
    format!("<{name} xmlns='urn:xmpp:hints'/>")
}

const BODY: &str = "<body>hi</body>";
const ROOM: &str = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
const STATE: &str = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";

/// Each row: a child, what of it is kept in a chat, which of its copies are made if it is a chat and if it is none.
const ROWS: &[(&str, Storing, Copying, Copying)] = &[
    ("", Passing, Both, Nobody),
    (BODY, Archived, Both, Both),
    ("<subject>s</subject>", Archived, Both, Nobody),
    ("<thread>t</thread>", Passing, Both, Nobody),
    (STATE, Passing, Both, Both),
    (
        "<encryption xmlns='urn:xmpp:eme:0' namespace='x'/>",
        Archived,
        Both,
        Nobody,
    ),
    (
        "<encrypted xmlns='urn:xmpp:omemo:2'/>",
        Archived,
        Both,
        Nobody,
    ),
    (
        "<encrypted xmlns='eu.siacs.conversations.axolotl'/>",
        Archived,
        Both,
        Nobody,
    ),
    (
        "<received xmlns='urn:xmpp:receipts' id='x'/>",
        Archived,
        Both,
        Both,
    ),
    ("<request xmlns='urn:xmpp:receipts'/>", Owed, Both, Both),
    (
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='x'/>",
        Archived,
        Both,
        Both,
    ),
    (
        "<markable xmlns='urn:xmpp:chat-markers:0'/>",
        Owed,
        Both,
        Both,
    ),
    (
        "<retract xmlns='urn:xmpp:message-retract:1' id='x'/>",
        Archived,
        Both,
        Nobody,
    ),
    (
        "<reactions xmlns='urn:xmpp:reactions:0' id='x'/>",
        Archived,
        Both,
        Nobody,
    ),
    (
        "<x xmlns='jabber:x:conference' jid='a@b'/>",
        Archived,
        Both,
        Both,
    ),
    (
        "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@b'/></x>",
        Archived,
        Both,
        Both,
    ),
    (ROOM, Owed, Sent, Nobody),
    (
        "<propose xmlns='urn:xmpp:jingle-message:0' id='x'/>",
        Archived,
        Both,
        Nobody,
    ),
    (
        "<origin-id xmlns='urn:xmpp:sid:0' id='x'/>",
        Passing,
        Both,
        Nobody,
    ),
    ("<unknown xmlns='x'/>", Owed, Both, Nobody),
];

#[test]
fn each_kind_of_child_has_its_row() {
    for (child, keeping, chat, normal) in ROWS {
        let kept = *keeping;
        let of_chat = Worth {
            storing: kept,
            copying: *chat,
        };
        assert_eq!(worth("chat", child), of_chat, "chat {child}");
        let of_normal = Worth {
            storing: kept,
            copying: *normal,
        };
        assert_eq!(worth("normal", child), of_normal, "normal {child}");
    }
}

#[test]
fn other_types_are_kept_nowhere() {
    let store = format!("{BODY}{}", hint("store"));
    for (kind, child, copying) in [
        ("headline", BODY, Nobody),
        ("headline", STATE, Both),
        ("headline", &store, Nobody),
        ("groupchat", BODY, Nobody),
        ("groupchat", &store, Nobody),
        ("error", BODY, Answer),
        ("error", &store, Answer),
        ("error", &hint("no-copy"), Answer),
    ] {
        let storing = Passing;
        assert_eq!(worth(kind, child), Worth { storing, copying }, "{kind}");
    }
}

#[test]
fn hints_decide_before_what_is_said() {
    for (hints, child, keeping) in [
        (&["no-store"][..], BODY, Passing),
        (&["no-store", "store"], BODY, Passing),
        (&["no-permanent-store"], BODY, Owed),
        (&["no-permanent-store", "store"], BODY, Owed),
        (&["no-store", "no-permanent-store"], BODY, Passing),
        (&["store"], STATE, Archived),
        (&["store"], "", Archived),
        (&["unknown"], BODY, Archived),
    ] {
        let hints: String = hints.iter().map(|name| hint(name)).collect();
        for xml in [format!("{child}{hints}"), format!("{hints}{child}")] {
            assert_eq!(worth("chat", &xml).storing, keeping, "{xml}");
        }
    }
}

#[test]
fn what_is_private_is_copied_to_nobody() {
    for mark in ["<private xmlns='urn:xmpp:carbons:2'/>", &hint("no-copy")] {
        let xml = format!("{mark}{BODY}");
        let (storing, copying) = (Archived, Nobody);
        assert_eq!(worth("chat", &xml), Worth { storing, copying }, "{xml}");
    }
}

#[test]
fn what_somebody_says_in_private_in_a_room_is_copied_to_its_senders_devices_alone() {
    assert_eq!(worth("chat", &format!("{BODY}{ROOM}")).copying, Sent);
}

#[test]
fn a_name_in_another_namespace_counts_for_nothing() {
    let xml = format!("{BODY}<no-store xmlns='x'/><private xmlns='y'/>");
    let (storing, copying) = (Archived, Both);
    assert_eq!(worth("chat", &xml), Worth { storing, copying });
    // Nor does what is further inside.
    let xml = format!("{BODY}<x xmlns='x'>{}</x>", hint("no-store"));
    assert_eq!(worth("chat", &xml).storing, Archived);
}
