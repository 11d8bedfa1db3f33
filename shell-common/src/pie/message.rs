//! Messages: from a file as they would have been kept here.

use bytes::Bytes;
use spondee_core::jid::{BareJid, Jid};
use spondee_core::stanza::{Kind, Stanza};
use spondee_core::store::{Entry, Kept, Payload};
use spondee_core::time::parse_xep0082;
use spondee_core::xml::{Element, Node};

use super::EXPORT;
use super::walk::scan;

const DELAY: &str = "urn:xmpp:delay";
const FORWARD: &str = "urn:xmpp:forward:0";
const STANZA_ID: &str = "urn:xmpp:sid:0";

/// A message as the account keeps it.
#[derive(Debug)]
pub(super) struct Message {
    /// Without a key.
    pub(super) peer: Jid,
    pub(super) xml: Bytes,
    /// Its id in the account's archive, where it says one.
    pub(super) id: Option<String>,
    /// When it was kept, where it says so.
    pub(super) stamp: Option<i64>,
}

/// What stands beside a message of ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Mark {
    pub(super) key: i64,
    pub(super) peer: BareJid,
    pub(super) resource: Option<String>,
    pub(super) kept: Kept,
}

/// An entry of an archive (`<result/>`): its id, when it was kept, what it says, and our mark, if there is one.
#[derive(Debug)]
pub(super) struct Archived {
    pub(super) id: Option<String>,
    pub(super) stamp: i64,
    pub(super) message: Message,
    pub(super) mark: Option<Mark>,
}

impl Archived {
    pub(super) fn read(result: &Element, own: &BareJid) -> Result<Self, String> {
        let mut message = None;
        let mut mark = None;
        for child in result.children() {
            match (&*child.ns_uri(), child.name()) {
                (FORWARD, "forwarded") => message = Some(forwarded(&child, own)?),
                (EXPORT, "entry") => mark = Some(Mark::read(&child)?),
                _ => {}
            }
        }
        let (stamp, message) = message.ok_or("it has no <forwarded/>")?;
        Ok(Self {
            id: result.attribute("id").map(|id| id.into_owned()),
            stamp,
            message,
            mark,
        })
    }
}

fn forwarded(forwarded: &Node<'_>, own: &BareJid) -> Result<(i64, Message), String> {
    let (mut stamp, mut message) = (None, None);
    for child in forwarded.children() {
        match (&*child.ns_uri(), child.name()) {
            (DELAY, "delay") => stamp = Some(stamp_of(&child)?),
            ("jabber:client", "message") => {
                let mut xml = Vec::with_capacity(child.raw().len() + 64);
                child.write_standalone(&mut xml);
                message = Some(Message::read(&scan(&xml)?, own, None)?);
            }
            _ => {}
        }
    }
    let stamp = stamp.ok_or("it does not say when it was kept")?;
    Ok((stamp, message.ok_or("it has no message")?))
}

fn stamp_of(delay: &Node<'_>) -> Result<i64, String> {
    let stamp = delay.attribute("stamp").unwrap_or_default();
    parse_xep0082(&stamp).ok_or_else(|| format!("{stamp:?} is no time"))
}

impl Message {
    /// `waited`: it has waited at this host for who was away, which says so in it, and will say so again.
    pub(super) fn read(
        element: &Element,
        own: &BareJid,
        waited: Option<&str>,
    ) -> Result<Self, String> {
        let is_own = |jid: &str| BareJid::parse(jid).is_ok_and(|jid| jid == *own);
        // Ids that the account's archive gave it: it has others here.
        let is_id = |child: &Node<'_>| {
            child.name() == "stanza-id"
                && child.ns_uri() == STANZA_ID
                && child.attribute("by").is_some_and(|by| is_own(&by))
        };
        let is_delay = |child: &Node<'_>| {
            let from = child.attribute("from");
            child.name() == "delay"
                && child.ns_uri() == DELAY
                && waited.is_some_and(|host| from.as_deref() == Some(host))
        };
        let id = element.children().filter(is_id).last();
        let id = id.and_then(|id| Some(id.attribute("id")?.into_owned()));
        let delay = element.children().filter(is_delay).last();
        let stamp = delay.map(|delay| stamp_of(&delay)).transpose()?;
        let bare = element.without(|child| is_id(child) || is_delay(child));
        let from = element.attribute("from").map(|from| Jid::parse(&from));
        let stanza = Stanza::parse(bare.unwrap_or_else(|| element.clone()), None);
        let mut stanza = stanza.map_err(|_| "no message that a client could have sent")?;
        if !matches!(stanza.kind(), Kind::Message(_)) {
            return Err("it is no message".to_owned());
        }
        let own = Jid::from(own.clone());
        let from = match from {
            None => own.clone(),
            Some(Ok(from)) => from,
            Some(Err(_)) => return Err("`from` is no address".to_owned()),
        };
        let to = stanza.to().cloned().unwrap_or_else(|| own.clone());
        let peer = match from.bare() == own.bare() {
            true => to.clone(),
            false => from.clone(),
        };
        stanza.set_from(from);
        stanza.set_to(to);
        Ok(Self {
            // One to oneself is with oneself, whichever device it was for.
            peer,
            xml: stanza.to_xml(),
            id,
            stamp,
        })
    }

    /// As it is kept.
    pub(super) fn entry(self, key: i64, kept: Kept, mark: Option<Mark>) -> Entry {
        let (peer, resource) = match mark {
            Some(mark) => (mark.peer.as_str().to_owned(), mark.resource),
            None => (
                self.peer.bare().to_owned(),
                self.peer.resource().map(str::to_owned),
            ),
        };
        Entry {
            key,
            peer: peer.into(),
            resource: resource.map(Into::into),
            kept,
            payload: Payload(vec![self.xml]),
        }
    }
}

impl Mark {
    pub(super) fn read(node: &Node<'_>) -> Result<Self, String> {
        Self::of(|name| node.attribute(name).map(|value| value.into_owned()))
    }

    pub(super) fn of_element(element: &Element) -> Result<Self, String> {
        Self::of(|name| element.attribute(name).map(|value| value.into_owned()))
    }

    fn of(attribute: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let key = attribute("key").and_then(|key| key.parse().ok());
        let peer = attribute("peer").and_then(|peer| BareJid::parse(&peer).ok());
        let kept = attribute("kept").and_then(|kept| kept_of(&kept));
        let (Some(key), Some(peer), Some(kept)) = (key, peer, kept) else {
            return Err("an <entry/> or <blank/> without key, peer or what it is kept for".into());
        };
        let resource = attribute("resource");
        let full = |resource: &String| Jid::parse(&format!("{peer}/{resource}"));
        if let Some(resource) = &resource
            && full(resource).ok().as_ref().and_then(Jid::resource) != Some(resource)
        {
            return Err(format!("{resource:?} is no resource"));
        }
        Ok(Self {
            key,
            peer,
            resource,
            kept,
        })
    }
}

pub(super) const fn word(kept: Kept) -> &'static str {
    match kept {
        Kept::Archived => "archived",
        Kept::Owed => "owed",
        Kept::Both => "both",
    }
}

fn kept_of(text: &str) -> Option<Kept> {
    [Kept::Archived, Kept::Owed, Kept::Both]
        .into_iter()
        .find(|kept| word(*kept) == text)
}
