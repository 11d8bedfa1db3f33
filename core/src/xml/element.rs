//! A complete element as validated bytes.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use bytes::Bytes;

use super::item::Top;
use super::scope::Range;
use super::{Attributes, Children, Node, Ns, head, pull};

/// One complete element: well-formed, namespace-complete (it uses no prefix and no default namespace that it does not
/// declare itself, but for the content namespace of the stream, jabber:client, which an unprefixed name without `xmlns`
/// means), and within the scanner's limits.
///
/// An element of the content namespace is always written without a prefix here, whatever the peer wrote.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Element {
    raw: Bytes,
    ns: Ns,
    /// Byte offsets into `raw`: where the local name begins and ends, where the start tag ends (after its `>` or `/>`),
    /// where the end tag begins (equal to the former for an empty element).
    name_start: u32,
    name_end: u32,
    head_end: u32,
    inner_end: u32,
    /// How many bytes came for it: more or fewer than `raw` has, if it was written again.
    came: u32,
}

impl Element {
    /// Takes bytes the server itself wrote (with `Writer`): one unprefixed element of the content namespace.
    #[must_use]
    pub(crate) fn from_written(raw: Vec<u8>) -> Self {
        let name_end = head::name_end(&raw, 1);
        let head_end = head::tag_end(&raw);
        let empty = head_end == raw.len();
        let end_tag = memchr::memrchr(b'<', &raw).filter(|_| !empty);
        let inner_end = end_tag.map_or(head_end, |start| start.max(head_end));
        let top = Top {
            ns: Ns::Client,
            name: Range::new(1, name_end),
            inner: Range::new(Range::offset(head_end), inner_end),
        };
        let came = raw.len();
        Self::scanned(Bytes::from(raw), came, top)
    }

    /// Takes what the scanner has proven: of `came` bytes, which are `raw` or became it.
    pub(super) fn scanned(raw: Bytes, came: usize, top: Top) -> Self {
        Self {
            raw,
            came: Range::offset(came),
            ns: top.ns,
            name_start: top.name.start,
            name_end: top.name.end,
            head_end: top.inner.start,
            inner_end: top.inner.end,
        }
    }

    /// The whole element, UTF-8.
    #[must_use]
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// How many bytes came for it.
    #[must_use]
    pub const fn came(&self) -> usize {
        self.came as usize
    }

    /// It is written because of `other`, so that its size is to be held against what came for that.
    pub(crate) const fn caused_by(&mut self, other: &Self) {
        self.came = other.came;
    }

    /// The namespace of the element's name.
    #[must_use]
    pub const fn ns(&self) -> Ns {
        self.ns
    }

    /// The local name.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = self.part(self.name_start, self.name_end);
        core::str::from_utf8(name).unwrap_or_default()
    }

    /// Everything between start tag and end tag, as it stands.
    #[must_use]
    pub fn inner(&self) -> &[u8] {
        self.part(self.head_end, self.inner_end)
    }

    /// Where `inner` lies in `raw`.
    #[must_use]
    pub const fn inner_range(&self) -> core::ops::Range<usize> {
        self.head_end as usize..self.inner_end as usize
    }

    /// All attributes, namespace declarations included, in document order.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes {
            rest: self.part(self.name_end, self.head_end),
        }
    }

    /// The decoded value of the attribute with this qualified name (`to`, `xml:lang`). A prefixed `x:to` is not `to`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        let found = self.attributes().find(|attribute| attribute.name == name);
        found.map(|attribute| attribute.value())
    }

    /// The child elements in order.
    #[must_use]
    pub fn children(&self) -> Children<'_> {
        Children::of(self.inner(), pull::Scope::outermost(self.attributes()))
    }

    /// The same without those of its children of which this is so; `None` if it is so of none.
    #[must_use]
    pub fn without(&self, is_gone: impl Fn(&Node<'_>) -> bool) -> Option<Self> {
        let mut gone = self.children().filter(is_gone).peekable();
        gone.peek()?;
        let mut raw = Vec::with_capacity(self.raw.len());
        let mut from = 0;
        for child in gone {
            let start = (child.raw().as_ptr() as usize).saturating_sub(self.raw.as_ptr() as usize);
            raw.extend_from_slice(self.raw.get(from..start).unwrap_or_default());
            from = start.saturating_add(child.raw().len());
        }
        raw.extend_from_slice(self.raw.get(from..).unwrap_or_default());
        let less = Range::offset(self.raw.len().saturating_sub(raw.len()));
        Some(Self {
            raw: Bytes::from(raw),
            inner_end: self.inner_end.saturating_sub(less),
            ..*self
        })
    }

    /// The same with this behind its other content: well-formed and self-contained elements, which the server adds.
    #[must_use]
    pub(crate) fn with(&self, more: &[u8]) -> Self {
        let mut raw = Vec::with_capacity(self.raw.len() + more.len() + self.name().len() + 3);
        let inner_start = match self.raw.len() == self.head_end as usize {
            true => {
                // `/>`
                let head = self.raw.strip_suffix(b"/>").unwrap_or_default();
                raw.extend_from_slice(head);
                raw.push(b'>');
                raw.len()
            }
            false => {
                raw.extend_from_slice(self.part(0, self.inner_end));
                self.head_end as usize
            }
        };
        raw.extend_from_slice(more);
        let inner_end = raw.len();
        raw.extend_from_slice(b"</");
        raw.extend_from_slice(self.name().as_bytes());
        raw.push(b'>');
        Self {
            raw: Bytes::from(raw),
            head_end: Range::offset(inner_start),
            inner_end: Range::offset(inner_end),
            // Nobody sent it to make the server write it.
            came: Range::offset(self.came().saturating_add(more.len())),
            ..*self
        }
    }

    /// The character data directly inside this element, references decoded, CDATA unwrapped, line ends normalised.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        pull::text(self.inner())
    }

    fn part(&self, start: u32, end: u32) -> &[u8] {
        Range { start, end }.of(&self.raw)
    }
}
