//! XEP-0030: Service Discovery, version 2.5.0.
//!
//! What the server says of its hosts and, to their owners and to contacts that see their presence (§8), of accounts. The features come
//! from `INDEX`. There are no nodes and no items yet, which is all that strangers learn of an account.

use alloc::vec::Vec;

use super::{Answer, Asked, Entity, INDEX};
use crate::stanza::Condition;
use crate::xml::Ns;

/// XEP-0030 §3.1.
pub(super) fn info(asked: &Asked<'_>) -> Answer {
    if let Some(refusal) = unknown_node(asked) {
        return refusal;
    }
    Answer::result(|w| {
        w.open("query").attribute("xmlns", Ns::DiscoInfo.uri());
        w.open("identity");
        match asked.entity {
            Entity::Host => w
                .attribute("category", "server")
                .attribute("type", "im")
                .attribute("name", &asked.config.software.name),
            Entity::Account(_) => w
                .attribute("category", "account")
                .attribute("type", "registered"),
        };
        w.close();
        for xep in INDEX.iter().filter(|xep| xep.bearer.is(asked.entity)) {
            for feature in xep.features {
                w.open("feature").attribute("var", feature).close();
            }
        }
        w.close();
    })
}

/// XEP-0030 §4.1.
///
/// `Choice:` an account's resources are not listed to its owner and its contacts, whom presence tells of them.
pub(super) fn items(asked: &Asked<'_>) -> Answer {
    unknown_node(asked).unwrap_or_else(|| no_items(asked))
}

/// XEP-0030 §4.1: "If there are no items [..] MUST return an empty query element"; §3.2: with the node that was asked for, which is
/// copied as it came, so that the answer is no longer than the request.
pub(super) fn no_items(asked: &Asked<'_>) -> Answer {
    let mut xml = Vec::from(&b"<query xmlns='"[..]);
    xml.extend_from_slice(Ns::DiscoItems.uri().as_bytes());
    xml.push(b'\'');
    let mut attributes = asked.payload.attributes();
    if let Some(node) = attributes.find(|attribute| attribute.name == "node") {
        xml.extend_from_slice(b" node=");
        xml.extend_from_slice(node.quoted);
    }
    xml.extend_from_slice(b"/>");
    Answer::Result(xml)
}

/// XEP-0030 §7: no node exists, and to say so gives nothing away to those who get an answer at all.
fn unknown_node(asked: &Asked<'_>) -> Option<Answer> {
    asked
        .payload
        .attribute("node")
        .map(|_| Answer::Refuse(Condition::ItemNotFound))
}
