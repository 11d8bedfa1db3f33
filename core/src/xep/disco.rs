//! XEP-0030: Service Discovery, version 2.5.0.
//!
//! What the server says of its hosts and, to their owners and to contacts that see their presence (§8), of accounts. The features come
//! from `INDEX`. Items of a host are the components below it; accounts have none, which is all that strangers learn of one. There are no
//! nodes but that by which a host's capabilities are asked for (XEP-0115).

use alloc::vec::Vec;

use super::{Answer, Asked, ContactAddresses, Entity, INDEX, caps};
use crate::config::{Config, HostConfig};
use crate::jid::Domain;
use crate::sasl::Provider;
use crate::stanza::Condition;
use crate::xml::{Ns, Writer};

/// What an entity says of itself: its one identity, its features, and what else there is to know.
#[derive(Debug)]
pub(super) struct Info<'a> {
    pub(super) category: &'static str,
    pub(super) kind: &'static str,
    /// Empty for none.
    pub(super) name: &'a str,
    pub(super) features: Vec<&'static str>,
    /// XEP-0157, in a form of its own.
    pub(super) contacts: Option<&'a ContactAddresses>,
}

impl<'a> Info<'a> {
    /// Of a host with these options.
    pub(super) fn of_host(config: &'a Config, host: Option<&'a HostConfig>) -> Self {
        Self {
            category: "server",
            kind: "im",
            name: &config.software.name,
            features: features_of(Entity::Host),
            contacts: host
                .map(|host| &host.contacts)
                .filter(|contacts| !contacts.is_empty()),
        }
    }

    fn of(asked: &Asked<'a>) -> Self {
        match asked.entity {
            Entity::Host => Self::of_host(asked.config, asked.host),
            Entity::Account(_) => Self {
                category: "account",
                kind: match asked.host.map(|host| host.provider) {
                    // XEP-0175 §5.
                    Some(Provider::Anonymous) => "anonymous",
                    Some(Provider::Hashed | Provider::Ldap | Provider::Plain) | None => {
                        "registered"
                    }
                },
                name: "",
                features: features_of(asked.entity),
                contacts: None,
            },
        }
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.open("identity")
            .attribute("category", self.category)
            .attribute("type", self.kind);
        if !self.name.is_empty() {
            w.attribute("name", self.name);
        }
        w.close();
        for feature in &self.features {
            w.open("feature").attribute("var", feature).close();
        }
        if let Some(contacts) = self.contacts {
            contacts.write(w);
        }
    }
}

fn features_of(entity: Entity<'_>) -> Vec<&'static str> {
    let theirs = INDEX.iter().filter(|xep| xep.bearer.is(entity));
    theirs.flat_map(|xep| xep.features).copied().collect()
}

/// XEP-0030 §3.1.
pub(super) fn info(asked: &Asked<'_>) -> Answer {
    let info = Info::of(asked);
    if let Some(node) = asked.payload.attribute("node")
        && (asked.entity != Entity::Host || node != caps::node(&caps::verification(&info)))
    {
        // §7: no other node exists, and to say so gives nothing away to those who get an answer at all.
        return Answer::Refuse(Condition::ItemNotFound);
    }
    Answer::result(|w| {
        w.open("query").attribute("xmlns", Ns::DiscoInfo.uri());
        // §3.2: the node that was asked for.
        if let Some(node) = quoted_node(asked) {
            w.quoted_attribute("node", node);
        }
        info.write(w);
        w.close();
    })
}

/// XEP-0030 §4.1.
///
/// `Choice:` an account's resources are not listed to its owner and its contacts, whom presence tells of them.
pub(super) fn items(asked: &Asked<'_>) -> Answer {
    match asked.payload.attribute("node") {
        // XEP-0030 §7. That of capabilities is none for items (XEP-0115 §6.2).
        Some(_) => Answer::Refuse(Condition::ItemNotFound),
        None => match asked.entity {
            Entity::Host => components_of(asked),
            Entity::Account(_) => no_items(asked),
        },
    }
}

/// The components whose names are below that of the host, as in Prosody: so clients find gateways.
fn components_of(asked: &Asked<'_>) -> Answer {
    let host = asked.domain.into_iter();
    let names = host.flat_map(|host| asked.config.components_below(host));
    let names: Vec<&Domain> = names.collect();
    if names.is_empty() {
        return no_items(asked);
    }
    Answer::result(|w| {
        w.open("query").attribute("xmlns", Ns::DiscoItems.uri());
        for name in names {
            w.open("item").attribute("jid", name.as_str()).close();
        }
        w.close();
    })
}

/// XEP-0030 §4.1: "If there are no items [..] MUST return an empty query element"; §3.2: with the node that was asked for, which is
/// copied as it came, so that the answer is no longer than the request.
pub(super) fn no_items(asked: &Asked<'_>) -> Answer {
    let mut xml = Vec::from(&b"<query xmlns='"[..]);
    xml.extend_from_slice(Ns::DiscoItems.uri().as_bytes());
    xml.push(b'\'');
    if let Some(node) = quoted_node(asked) {
        xml.extend_from_slice(b" node=");
        xml.extend_from_slice(node);
    }
    xml.extend_from_slice(b"/>");
    Answer::Result(xml)
}

/// The node that is asked for, as it came, with its quotes.
fn quoted_node<'a>(asked: &Asked<'a>) -> Option<&'a [u8]> {
    let mut attributes = asked.payload.attributes();
    let node = attributes.find(|attribute| attribute.name == "node");
    node.map(|node| node.quoted)
}
