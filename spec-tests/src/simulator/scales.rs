//! Oracle: what a client is sent is hardly larger than what somebody sent for it, at most twice and 1 KiB, addresses not counted
//! (`spondee_core::limits::GROWTH`). What is done for it is weighed where the shards are told of it, in `memory.rs`.

use std::collections::BTreeMap;

use spondee_core::limits::GROWTH;

use super::stanzas::mark;
use crate::element::Element;

/// How large the stanzas were that clients sent, by their marks and ids.
#[derive(Debug, Default)]
pub(super) struct Scales(BTreeMap<String, usize>);

impl Scales {
    /// A client sends `xml`.
    pub(super) fn sent(&mut self, name: &str, xml: &str) {
        let size = self.0.entry(name.to_owned()).or_default();
        *size = xml.len().max(*size);
    }

    /// A client gets a stanza of `size` bytes: somebody's, or an answer to its own.
    pub(super) fn heard(&self, stanza: &Element, size: usize) -> Result<(), String> {
        let name = mark(stanza).or_else(|| stanza.attribute("id"));
        let came = name.and_then(|name| self.0.get(name)).copied();
        let came = came.unwrap_or_default();
        let address = |name| {
            let value = stanza.attribute(name);
            value.map_or(0, |value: &str| format!(" {name}='{value}'").len())
        };
        let most = 2 * came + GROWTH + address("to") + address("from");
        if size > most {
            return Err(format!("of {came} bytes {size} came: {stanza}"));
        }
        Ok(())
    }
}
