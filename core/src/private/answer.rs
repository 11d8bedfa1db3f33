//! What a client that asks for private XML is told.

use alloc::vec::Vec;

use super::rows;
use crate::stanza::Condition;
use crate::store::Row;
use crate::xml::{Node, Ns, Writer};

/// The payload that answers a request for `wanted`: what is kept, or what was asked for.
///
/// `Choice:` XEP-0049 does not say what is told where nothing is kept. What comes back is what every other server gives, and what clients take
/// for nothing.
///
/// # Errors
/// What is kept makes no sense.
pub fn answer(wanted: &Node<'_>, row: Option<&Row>) -> Result<Vec<u8>, Condition> {
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out);
    w.open("query").attribute("xmlns", Ns::Private.uri());
    match row {
        Some(row) => {
            w.raw(rows::xml(row)?);
        }
        None => {
            let mut xml = Vec::new();
            wanted.write_standalone(&mut xml);
            w.raw(&xml);
        }
    }
    w.close();
    Ok(out)
}
