//! A complete element as validated bytes.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Attributes, Children, Ns};

/// One complete element: well-formed, namespace-complete (it uses no prefix and no default namespace that it does not
/// declare itself, but for the content namespace of the stream, jabber:client, which an unprefixed name without `xmlns`
/// means), and within the scanner's limits.
///
/// An element of the content namespace is always written without a prefix here, whatever the peer wrote.
#[derive(Clone, Debug)]
pub struct Element {
    pub(super) raw: Bytes,
    pub(super) ns: Ns,
    /// Byte offsets into `raw`: where the local name ends, where the start tag ends (after its `>` or `/>`), where the end
    /// tag begins (equal to the former for an empty element).
    pub(super) name_start: u32,
    pub(super) name_end: u32,
    pub(super) head_end: u32,
    pub(super) inner_end: u32,
}

impl Element {
    /// Takes bytes the server itself wrote (with `Writer`): one unprefixed element of the content namespace.
    #[must_use]
    pub(crate) fn from_written(raw: Vec<u8>) -> Self {
        let _ = raw;
        todo!()
    }

    /// The whole element, UTF-8.
    #[must_use]
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The namespace of the element's name.
    #[must_use]
    pub const fn ns(&self) -> Ns {
        self.ns
    }

    /// The local name.
    #[must_use]
    pub fn name(&self) -> &str {
        todo!()
    }

    /// Everything between start tag and end tag, as it stands.
    #[must_use]
    pub fn inner(&self) -> &[u8] {
        todo!()
    }

    /// Where `inner` lies in `raw`.
    #[must_use]
    pub const fn inner_range(&self) -> core::ops::Range<usize> {
        self.head_end as usize..self.inner_end as usize
    }

    /// All attributes, namespace declarations included, in document order.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'_> {
        todo!()
    }

    /// The decoded value of the attribute with this qualified name (`to`, `xml:lang`). A prefixed `x:to` is not `to`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        let _ = name;
        todo!()
    }

    /// The child elements in order.
    #[must_use]
    pub fn children(&self) -> Children<'_> {
        todo!()
    }

    /// The character data directly inside this element, references decoded, CDATA unwrapped, line ends normalised.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        todo!()
    }
}
