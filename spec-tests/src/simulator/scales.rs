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
        // What is wrapped is somebody's.
        let wrapped = wrapped(stanza);
        let said = wrapped.unwrap_or(stanza);
        let name = mark(said).or_else(|| said.attribute("id"));
        let came = name.and_then(|name| self.0.get(name)).copied();
        let came = came.unwrap_or_default();
        let address = |stanza: &Element, name| {
            let value = stanza.attribute(name);
            value.map_or(0, |value: &str| format!(" {name}='{value}'").len())
        };
        let addresses = |stanza| address(stanza, "to") + address(stanza, "from");
        let most = 2 * came + GROWTH + addresses(stanza) + wrapped.map_or(0, addresses);
        if size > most {
            return Err(format!("of {came} bytes {size} came: {stanza}"));
        }
        Ok(())
    }
}

/// The message that another brings.
pub(super) fn wrapped(stanza: &Element) -> Option<&Element> {
    let of = |name: &'static str| move |element: &&Element| element.name == name;
    let mut below = stanza.children().flat_map(Element::children);
    let forwarded = below.find(of("forwarded"))?;
    forwarded.children().find(of("message"))
}
