//! Lazy reading of an element's content, for payloads addressed to the server.

use alloc::borrow::Cow;

use super::{Attributes, Ns};

/// The child elements of a validated element.
#[derive(Clone, Debug)]
pub struct Children<'a> {
    rest: &'a [u8],
}

/// A child element inside a validated element, borrowed.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    raw: &'a [u8],
}

impl<'a> Iterator for Children<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        todo!()
    }
}

impl<'a> Node<'a> {
    /// The local name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        todo!()
    }
    /// The namespace of the name, by the declarations in scope.
    #[must_use]
    pub fn ns(&self) -> Ns {
        todo!()
    }
    /// The namespace name to the byte, decoded, also where `ns` says `Other`.
    #[must_use]
    pub fn ns_uri(&self) -> Cow<'a, str> {
        todo!()
    }
    /// Whether this is `name` in `ns`.
    #[must_use]
    pub fn is(&self, ns: Ns, name: &str) -> bool {
        self.ns() == ns && self.name() == name
    }
    /// All attributes, declarations included.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        todo!()
    }
    /// The decoded value of the attribute with this qualified name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Cow<'a, str>> {
        let _ = name;
        todo!()
    }
    /// Child elements.
    #[must_use]
    pub fn children(&self) -> Children<'a> {
        todo!()
    }
    /// Direct character data, decoded.
    #[must_use]
    pub fn text(&self) -> Cow<'a, str> {
        todo!()
    }
    /// The element as bytes of its own: every prefix and default namespace in scope that it uses is declared again, so
    /// that it parses inside any wrapper (house contract 12).
    pub fn write_standalone(&self, out: &mut alloc::vec::Vec<u8>) {
        let _ = (self.raw, out);
        todo!()
    }
}
