//! What is asked of a card.

use alloc::vec::Vec;

use super::rows;
use crate::limits::VCARD_BYTES;
use crate::stanza::Condition;
use crate::store::Op;
use crate::xml::{Node, Ns};

/// Reads the payload of an IQ of type `get`. Whatever stands in it, a card is wanted: some clients write which parts, as nobody ever had it.
///
/// # Errors
/// What to answer instead.
pub fn get(payload: &Node<'_>) -> Result<(), Condition> {
    match payload.is(Ns::VCard, "vCard") {
        true => Ok(()),
        // RFC 6120 §8.3.3.3: "understands the namespace but does not recognize the element name".
        false => Err(Condition::FeatureNotImplemented),
    }
}

/// Reads the payload of an IQ of type `set`: what it writes. The card is kept as it came, for it says of itself what it is (XEP-0054 §3.2: "the
/// entire vCard"); without anything in it there is none any more.
///
/// # Errors
/// What to answer instead.
pub fn set(payload: &Node<'_>) -> Result<Op, Condition> {
    get(payload)?;
    if payload.children().next().is_none() && payload.text().trim_ascii().is_empty() {
        return Ok(rows::delete());
    }
    let mut xml = Vec::new();
    payload.write_standalone(&mut xml);
    match xml.len() > VCARD_BYTES {
        true => Err(Condition::PolicyViolation),
        false => Ok(rows::put(xml.into())),
    }
}
