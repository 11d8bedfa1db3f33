use alloc::format;
use alloc::string::String;

use super::Urgency::{self, Waits, Wakes};
use crate::stanza::Stanza;

const OWN: &str = "juliet@localhost";

fn urgency(xml: &str) -> Urgency {
    Urgency::of(&Stanza::from_xml(xml.as_bytes()).expect(xml), OWN)
}

fn message(from: &str, kind: &str, children: &str) -> String {
    let inside = format!("{children}</message>");
    format!("<message xmlns='jabber:client' from='{from}' type='{kind}'>{inside}")
}

fn carbon(direction: &str, inside: &str) -> String {
    format!(
        "<{direction} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>{inside}</forwarded></{direction}>"
    )
}

const BODY: &str = "<body>hi</body>";
const STATE: &str = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
const DISPLAYED: &str = "<displayed xmlns='urn:xmpp:chat-markers:0' id='x'/>";

/// Each row: a child, and what a message with it is by a contact, and by another device of the user.
const ROWS: &[(&str, Urgency, Urgency)] = &[
    ("", Waits, Waits),
    (BODY, Wakes, Wakes),
    ("<subject>s</subject>", Wakes, Wakes),
    ("<subject/>", Wakes, Wakes),
    ("<thread>t</thread>", Waits, Waits),
    (STATE, Waits, Waits),
    (
        "<encryption xmlns='urn:xmpp:eme:0' namespace='x'/>",
        Wakes,
        Wakes,
    ),
    ("<encrypted xmlns='urn:xmpp:omemo:2'/>", Wakes, Wakes),
    (
        "<encrypted xmlns='eu.siacs.conversations.axolotl'/>",
        Wakes,
        Wakes,
    ),
    ("<x xmlns='jabber:x:conference' jid='a@b'/>", Wakes, Wakes),
    (
        "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@b'/></x>",
        Wakes,
        Wakes,
    ),
    (
        "<x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x>",
        Waits,
        Waits,
    ),
    (
        "<propose xmlns='urn:xmpp:jingle-message:0' id='x'/>",
        Wakes,
        Wakes,
    ),
    (
        "<retract xmlns='urn:xmpp:jingle-message:0' id='x'/>",
        Wakes,
        Wakes,
    ),
    (
        "<accept xmlns='urn:xmpp:jingle-message:0' id='x'/>",
        Wakes,
        Wakes,
    ),
    (DISPLAYED, Waits, Wakes),
    (
        "<received xmlns='urn:xmpp:chat-markers:0' id='x'/>",
        Waits,
        Waits,
    ),
    ("<markable xmlns='urn:xmpp:chat-markers:0'/>", Waits, Waits),
    ("<received xmlns='urn:xmpp:receipts' id='x'/>", Waits, Waits),
    ("<request xmlns='urn:xmpp:receipts'/>", Waits, Waits),
    ("<result xmlns='urn:xmpp:mam:2' id='x'/>", Wakes, Wakes),
    (
        "<reactions xmlns='urn:xmpp:reactions:0' id='x'/>",
        Waits,
        Waits,
    ),
    (
        "<retract xmlns='urn:xmpp:message-retract:1' id='x'/>",
        Waits,
        Waits,
    ),
    ("<origin-id xmlns='urn:xmpp:sid:0' id='x'/>", Waits, Waits),
    ("<store xmlns='urn:xmpp:hints'/>", Waits, Waits),
    ("<unknown xmlns='x'/>", Waits, Waits),
];

#[test]
fn each_kind_of_child_has_its_row() {
    for (child, by_others, by_own) in ROWS {
        for kind in ["chat", "normal", "groupchat"] {
            let theirs = urgency(&message("romeo@localhost/x", kind, child));
            assert_eq!(theirs, *by_others, "{kind} {child}");
            let own = urgency(&message("juliet@localhost/x", kind, child));
            assert_eq!(own, *by_own, "{kind} {child}");
        }
    }
}

#[test]
fn copies_wake_by_what_they_carry() {
    for (child, by_others, by_own) in ROWS {
        for (direction, from, expected) in [
            ("received", "romeo@localhost/x", by_others),
            ("sent", "juliet@localhost/x", by_own),
        ] {
            let inside = message(from, "chat", child);
            let xml = message(OWN, "chat", &carbon(direction, &inside));
            assert_eq!(urgency(&xml), *expected, "{xml}");
        }
    }
}

#[test]
fn one_child_that_wakes_is_enough_wherever_it_stands() {
    for xml in [format!("{STATE}{BODY}"), format!("{BODY}{STATE}")] {
        assert_eq!(urgency(&message("romeo@localhost/x", "chat", &xml)), Wakes);
    }
}

#[test]
fn a_name_in_another_namespace_or_further_inside_wakes_nobody() {
    for xml in [
        "<body xmlns='x'>hi</body>",
        "<x xmlns='x'><body xmlns='jabber:client'>hi</body></x>",
        "<result xmlns='x'/>",
    ] {
        assert_eq!(urgency(&message("romeo@localhost/x", "chat", xml)), Waits);
    }
}

#[test]
fn errors_wake_and_headlines_do_not_whatever_is_in_them() {
    for child in ["", BODY, STATE] {
        let error = message("romeo@localhost/x", "error", child);
        assert_eq!(urgency(&error), Wakes, "{child}");
        let headline = message("romeo@localhost/x", "headline", child);
        assert_eq!(urgency(&headline), Waits, "{child}");
        let copy = message(OWN, "error", &carbon("received", &error));
        assert_eq!(urgency(&copy), Wakes, "{child}");
        let copy = message(OWN, "headline", &carbon("received", &headline));
        assert_eq!(urgency(&copy), Waits, "{child}");
    }
}

#[test]
fn what_only_looks_like_a_copy_wakes_nobody() {
    let inside = message("romeo@localhost/x", "chat", BODY);
    for from in ["romeo@localhost", "romeo@localhost/x", "juliet@localhost/x"] {
        let xml = message(from, "chat", &carbon("received", &inside));
        assert_eq!(urgency(&xml), Waits, "{xml}");
    }
    for nothing in [
        "<received xmlns='urn:xmpp:carbons:2'/>",
        "<private xmlns='urn:xmpp:carbons:2'/>",
        "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent>",
    ] {
        assert_eq!(urgency(&message(OWN, "chat", nothing)), Waits, "{nothing}");
    }
    // A copy of a copy is none.
    let copy = message(OWN, "chat", &carbon("received", &inside));
    let xml = message(OWN, "chat", &carbon("received", &copy));
    assert_eq!(urgency(&xml), Waits);
}

#[test]
fn requests_and_answers_wake() {
    for kind in ["get", "set", "result", "error"] {
        let payload = match kind {
            "get" | "set" => "<ping xmlns='urn:xmpp:ping'/>",
            _ => "",
        };
        let xml = format!("<iq from='romeo@localhost/x' type='{kind}' id='1'>{payload}</iq>");
        assert_eq!(urgency(&xml), Wakes, "{kind}");
    }
}

#[test]
fn of_presence_what_wants_an_answer_or_is_one_wakes() {
    for (kind, expected) in [
        ("", Waits),
        (" type='unavailable'", Waits),
        (" type='probe'", Waits),
        (" type='subscribe'", Wakes),
        (" type='subscribed'", Wakes),
        (" type='unsubscribe'", Wakes),
        (" type='unsubscribed'", Wakes),
        (" type='error'", Wakes),
    ] {
        for status in ["", "<status>away</status>"] {
            let xml = format!("<presence from='romeo@localhost'{kind}>{status}</presence>");
            assert_eq!(urgency(&xml), expected, "{xml}");
        }
    }
}
