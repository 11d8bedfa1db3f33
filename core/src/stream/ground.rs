//! What every stream stands on, whoever its peer is.

use alloc::vec::Vec;

use super::close::CLOSING_TAG;
use crate::config::Config;
use crate::effects::Effects;
use crate::entropy::Entropy;
use crate::federation::DialbackKeys;
use crate::port::ConnId;
use crate::sasl::Tallies;
use crate::time::Now;
use crate::xep::Capabilities;

/// What a stream may use during one call.
#[derive(Debug)]
pub(crate) struct Cx<'a> {
    pub(crate) now: Now,
    pub(crate) config: &'a Config,
    pub(crate) entropy: &'a mut Entropy,
    pub(crate) fx: &'a mut Effects,
    pub(crate) conn: ConnId,
    pub(crate) capabilities: &'a Capabilities,
    pub(crate) tallies: &'a Tallies,
    pub(crate) dialback: &'a DialbackKeys,
}

impl Cx<'_> {
    /// Writes to the peer: one whole child of the stream, one of its two tags, or a space, so that a transport can frame what it is given.
    pub(super) fn say(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.fx.out(self.conn, |out| {
            let before = out.len();
            write(out);
            debug_assert!(
                is_one(out.get(before..).unwrap_or_default()),
                "half an element, or more than one"
            );
        });
    }
}

/// Whether that is one thing to say. It is written by us, so what is looked for is no more than that.
fn is_one(mut said: &[u8]) -> bool {
    if said == b" " || said == CLOSING_TAG {
        return true;
    }
    if let Some(tag) = said.strip_prefix(b"<?xml version='1.0'?><stream:stream ") {
        return tag_len(tag) == tag.len() && !tag.ends_with(b"/>");
    }
    let mut depth = 0_usize;
    loop {
        if depth == 0 && said.first() != Some(&b'<') {
            return false;
        }
        let text = memchr::memchr(b'<', said).unwrap_or(said.len());
        said = said.get(text..).unwrap_or_default();
        let len = match said {
            [] => return false,
            [b'<', b'!', ..] => memchr::memmem::find(said, b"]]>").map_or(said.len(), |at| at + 3),
            _ => tag_len(said),
        };
        let (tag, behind) = said.split_at_checked(len).unwrap_or_default();
        said = behind;
        match tag {
            [b'<', b'!', ..] | [.., b'/', b'>'] => {}
            [b'<', b'/', ..] => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
        if depth == 0 {
            return said.is_empty();
        }
    }
}

/// Up to the `>` that stands in no value.
fn tag_len(tag: &[u8]) -> usize {
    let mut quote = None;
    for (at, byte) in tag.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'\'' | b'"') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            (None | Some(_), _) => {}
        }
    }
    tag.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_said_at_a_time() {
        for one in [
            " ",
            "</stream:stream>",
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' id='>'>",
            "<a/>",
            "<a b='/>'>x</a>",
            "<a><b/><b>y<![CDATA[</b>]]></b></a>",
        ] {
            assert!(is_one(one.as_bytes()), "{one}");
        }
        for other in [
            "",
            "x",
            "<a/> ",
            "<a/><b/>",
            "<a>",
            "<a><b></b>",
            "<a></a></stream:stream>",
            "<?xml version='1.0'?><stream:stream id='a'><a/>",
        ] {
            assert!(!is_one(other.as_bytes()), "{other}");
        }
    }
}
