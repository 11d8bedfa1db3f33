//! What a client asks of its blocklist.

use alloc::vec::Vec;

use crate::jid::{BareJid, Jid};
use crate::limits::BLOCKLIST_REQUEST_ITEMS;
use crate::stanza::Condition;
use crate::xml::{Node, Ns};

/// A request to block or to unblock (XEP-0191 §3.3 to §3.5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Set {
    pub(super) wish: Wish,
}

/// What is to become of the list. Addresses are in the order of their bytes, each once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Wish {
    /// These come, one at least.
    Block(Vec<Jid>),
    /// These go, one at least.
    Unblock(Vec<Jid>),
    /// All go.
    UnblockAll,
}

/// Reads the payload of an IQ of type `get`, which can ask for nothing but the list.
///
/// # Errors
/// What to answer instead.
pub fn get(payload: &Node<'_>) -> Result<(), Condition> {
    match payload.is(Ns::Blocking, "blocklist") {
        true => Ok(()),
        false => Err(misplaced(payload)),
    }
}

/// Reads the payload of an IQ of type `set` by the user of the account `own`.
///
/// # Errors
/// What to answer instead.
pub fn set(payload: &Node<'_>, own: &BareJid) -> Result<Set, Condition> {
    let wish = if payload.is(Ns::Blocking, "block") {
        let addresses = addresses(payload)?;
        // XEP-0191 §3.3: without "at least one <item/> child element".
        if addresses.is_empty() {
            return Err(Condition::BadRequest);
        }
        // `Choice:` XEP-0191 §5 allows such an item and has it do nothing. Whoever was told that it is blocked would believe it. An
        // account's domain can be blocked: that is about all the others there.
        if addresses.iter().any(|jid| jid.bare() == own.as_str()) {
            return Err(Condition::NotAllowed);
        }
        Wish::Block(addresses)
    } else if payload.is(Ns::Blocking, "unblock") {
        let addresses = addresses(payload)?;
        match (addresses.is_empty(), payload.children().next()) {
            // XEP-0191 §3.5.
            (true, None) => Wish::UnblockAll,
            // Something is meant that is not known here, and surely not everybody.
            (true, Some(_)) => return Err(Condition::BadRequest),
            (false, _) => Wish::Unblock(addresses),
        }
    } else {
        return Err(misplaced(payload));
    };
    Ok(Set { wish })
}

/// What is no request of its type.
fn misplaced(payload: &Node<'_>) -> Condition {
    let known = ["block", "blocklist", "unblock"];
    match known.iter().any(|name| payload.is(Ns::Blocking, name)) {
        true => Condition::BadRequest,
        // RFC 6120 §8.3.3.3: "understands the namespace but does not recognize the element name".
        false => Condition::FeatureNotImplemented,
    }
}

/// The addresses of all items. One that is wrong makes the request wrong: nobody would know which took effect.
fn addresses(payload: &Node<'_>) -> Result<Vec<Jid>, Condition> {
    let mut addresses = Vec::new();
    let items = payload.children();
    for item in items.filter(|child| child.is(Ns::Blocking, "item")) {
        if addresses.len() == BLOCKLIST_REQUEST_ITEMS {
            return Err(Condition::PolicyViolation);
        }
        let jid = item.attribute("jid").ok_or(Condition::BadRequest)?;
        // XEP-0191 §6: with or without a localpart, with or without a resource.
        addresses.push(Jid::parse(&jid).map_err(|_| Condition::JidMalformed)?);
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}
