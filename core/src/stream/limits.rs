//! XEP-0478: Stream Limits Advertisement, version 0.2.0, as other servers say theirs: in features (§3.1), or as they ask for stanzas (§3.2).

use crate::xml::{Node, Ns};

/// The longest element that is taken, if one of these says so.
pub(super) fn max_bytes<'a>(mut children: impl Iterator<Item = Node<'a>>) -> Option<u32> {
    let limits = children.find(|child| child.is(Ns::Limits, "limits"))?;
    let mut limits = limits.children();
    let max = limits.find(|limit| limit.is(Ns::Limits, "max-bytes"))?;
    max.text().trim().parse().ok()
}
