//! What a client asks of its roster.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Version;
use crate::jid::BareJid;
use crate::limits::{ROSTER_GROUP_BYTES, ROSTER_GROUPS, ROSTER_NAME_BYTES};
use crate::stanza::Condition;
use crate::xml::{Node, Ns};

/// A roster get (RFC 6121 §2.1.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Get {
    /// Which version the client says it has. `None` also if it has none (`ver=''`, RFC 6121 §2.6.2) or one that was never told.
    pub(super) known: Option<Version>,
}

/// A roster set (RFC 6121 §2.1.5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Set {
    pub(super) contact: BareJid,
    pub(super) wish: Wish,
}

impl Set {
    /// Whom it is about.
    pub(crate) const fn contact(&self) -> &BareJid {
        &self.contact
    }

    /// Whether that goes.
    pub(crate) const fn removes(&self) -> bool {
        matches!(self.wish, Wish::Remove)
    }
}

/// What is to become of the contact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Wish {
    /// It goes.
    Remove,
    /// It comes, or becomes exactly so (RFC 6121 §2.4.1).
    Update {
        name: Box<str>,
        groups: Vec<Box<str>>,
    },
}

/// Reads the payload of an IQ of type `get`.
///
/// # Errors
/// What to answer instead.
pub fn get(payload: &Node<'_>) -> Result<Get, Condition> {
    check_query(payload)?;
    // RFC 6121 §2.1.3: it "MUST NOT contain any <item/> child elements".
    if items(payload).next().is_some() {
        return Err(Condition::BadRequest);
    }
    let known = payload.attribute("ver");
    Ok(Get {
        known: known.and_then(|ver| Version::parse(&ver)),
    })
}

/// Reads the payload of an IQ of type `set` by the user of the account `own`. What the client says of subscriptions is none of its
/// business and ignored: any `subscription` but `remove` (RFC 6121 §2.1.5), `ask` and `approved`.
///
/// # Errors
/// What to answer instead.
pub fn set(payload: &Node<'_>, own: &BareJid) -> Result<Set, Condition> {
    check_query(payload)?;
    let mut items = items(payload);
    // RFC 6121 §2.1.5: "one and only one".
    let (Some(item), None) = (items.next(), items.next()) else {
        return Err(Condition::BadRequest);
    };
    // `Choice:` contacts are bare addresses, since subscriptions are of those (RFC 6121 §3.1.1); others are refused, as in Prosody.
    let jid = item.attribute("jid").ok_or(Condition::BadRequest)?;
    let contact = BareJid::parse(&jid).map_err(|_| Condition::BadRequest)?;
    if item.attribute("subscription").as_deref() == Some("remove") {
        let wish = Wish::Remove;
        return Ok(Set { contact, wish });
    }
    // `Choice:` RFC 6121 §2.3.3 knows servers that refuse it, Prosody among them: nobody subscribes to oneself. One that came from
    // elsewhere can be removed.
    if contact == *own {
        return Err(Condition::NotAllowed);
    }
    let name = item.attribute("name").unwrap_or_default();
    if name.len() > ROSTER_NAME_BYTES {
        return Err(Condition::NotAcceptable);
    }
    let wish = Wish::Update {
        name: name.into(),
        groups: groups(&item)?,
    };
    Ok(Set { contact, wish })
}

/// RFC 6120 §8.3.3.3: "understands the namespace but does not recognize the element name".
fn check_query(payload: &Node<'_>) -> Result<(), Condition> {
    match payload.is(Ns::Roster, "query") {
        true => Ok(()),
        false => Err(Condition::FeatureNotImplemented),
    }
}

fn items<'a>(query: &Node<'a>) -> impl Iterator<Item = Node<'a>> + use<'a> {
    query
        .children()
        .filter(|child| child.is(Ns::Roster, "item"))
}

/// RFC 6121 §2.3.3: none empty, none too long, none twice. `Choice:` two are the same if their bytes are, since a group is "opaque to
/// the server" (§2.1.2.6) and stored unmodified.
fn groups(item: &Node<'_>) -> Result<Vec<Box<str>>, Condition> {
    let mut groups: Vec<Box<str>> = Vec::new();
    for child in item
        .children()
        .filter(|child| child.is(Ns::Roster, "group"))
    {
        let group: Cow<'_, str> = child.text();
        if group.is_empty() || group.len() > ROSTER_GROUP_BYTES || groups.len() == ROSTER_GROUPS {
            return Err(Condition::NotAcceptable);
        }
        if groups.iter().any(|other| **other == *group) {
            return Err(Condition::BadRequest);
        }
        groups.push(group.into());
    }
    Ok(groups)
}
