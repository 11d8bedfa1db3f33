//! Blocking (XEP-0191) between accounts, on one shard and across several: what the blocker hears and does not, what the blocked one sees,
//! and what comes of it when the store is slow, fails, or is lost.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use spec_tests::element::Element;
use spec_tests::memory::World;
use spec_tests::talk::Talk;
use spondee_core::jid::BareJid;
use spondee_core::roster::{ROSTER, ROSTER_VERSION};
use spondee_core::store::{Expect, Field, Row};

mod disk;
mod list;
mod presence;
#[path = "../stage/mod.rs"]
mod stage;
mod stanzas;
mod subscription;

use stage::{Outcome, world};

const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";
const NURSE: &str = "nurse@localhost";
const TYBALT: &str = "tybalt@other.test";

/// A world in which each of these pairs sees each other's presence.
fn friends(shards: u16, pairs: &[(&str, &str)]) -> World {
    let mut world = world(shards, |_| {});
    for (one, other) in pairs {
        subscribe(&mut world, one, other, "both");
        subscribe(&mut world, other, one, "both");
    }
    world
}

/// What is kept of a contact.
fn subscribe(world: &mut World, owner: &str, contact: &str, subscription: &str) {
    let owner = BareJid::parse(owner).unwrap();
    let mut row = Row(vec![Field::Absent; ROSTER.width()]);
    row.0[0] = Field::text(contact);
    row.0[2] = Field::text(subscription);
    world.keep(owner.clone(), &ROSTER, row, Expect::Anything);
    let version = Row(vec![Field::Int(1)]);
    world.keep(owner, &ROSTER_VERSION, version, Expect::Anything);
}

/// Somebody who has asked for both lists and is available.
fn arrive(world: &mut World, account: &str, resource: &str) -> Result<Talk, String> {
    let mut talk = Talk::session(world, account, resource)?;
    talk.send(world, &get("l"));
    let roster = "<iq id='r' type='get'><query xmlns='jabber:iq:roster'/></iq>";
    talk.send(world, roster);
    talk.send(world, "<presence/>");
    world.run();
    Ok(talk)
}

fn get(id: &str) -> String {
    format!("<iq id='{id}' type='get'><blocklist xmlns='urn:xmpp:blocking'/></iq>")
}

/// `block` or `unblock`.
fn set(name: &str, addresses: &[&str]) -> String {
    let item = |address: &&str| format!("<item jid='{address}'/>");
    let items: String = addresses.iter().map(item).collect();
    format!("<iq id='s' type='set'><{name} xmlns='urn:xmpp:blocking'>{items}</{name}></iq>")
}

/// What this session heard, each in a few words.
fn heard(world: &mut World, talk: &mut Talk) -> Result<Vec<String>, String> {
    let elements = talk.rest(world)?;
    Ok(elements.iter().map(words).collect())
}

/// Presence as `FROM TYPE`, messages as `FROM: BODY`, lists and pushes as their name and the addresses in them; errors as what they
/// are of, their type and condition.
fn words(element: &Element) -> String {
    let attribute = |name: &str| element.attribute(name).unwrap_or_default().to_owned();
    let (name, kind) = (element.name.as_str(), attribute("type"));
    if kind == "error" {
        let error = element.children().find(|child| child.name == "error");
        let error = error.map(|error| {
            let conditions = error.children().map(|condition| condition.name.as_str());
            let kind = error.attribute("type").unwrap_or_default();
            let conditions: Vec<&str> = conditions.collect();
            format!("{kind} {}", conditions.join(" "))
        });
        return format!("{name} error {}", error.unwrap_or_default());
    }
    match name {
        "presence" if kind.is_empty() => format!("{} available", attribute("from")),
        "presence" => format!("{} {kind}", attribute("from")),
        "message" => {
            let body = element.children().find(|child| child.name == "body");
            let body = body.map(Element::text).unwrap_or_default();
            format!("{}: {body}", attribute("from"))
        }
        _ => {
            let Some(payload) = element.children().next() else {
                return kind;
            };
            let items = payload.children().map(|item| {
                let mut word = item.attribute("jid").unwrap_or_default().to_owned();
                if let Some(subscription) = item.attribute("subscription") {
                    word.push(' ');
                    word.push_str(subscription);
                }
                word
            });
            let items: Vec<String> = items.collect();
            format!("{} {}", payload.name, items.join(" "))
                .trim_end()
                .to_owned()
        }
    }
}

fn ask(world: &mut World, talk: &mut Talk, xml: &str) -> Result<Vec<String>, String> {
    talk.send(world, xml);
    heard(world, talk)
}

/// Nothing more of what these heard until now.
fn hush(world: &mut World, talks: &mut [&mut Talk]) -> Outcome {
    for talk in talks {
        heard(world, talk)?;
    }
    Ok(())
}

const NOTHING: [&str; 0] = [];
