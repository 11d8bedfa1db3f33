//! What a client asks of its private XML.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::limits::{PRIVATE_KEY_BYTES, PRIVATE_SET_BYTES, PRIVATE_SET_ITEMS};
use crate::stanza::Condition;
use crate::xml::{Node, Ns};

/// By what an element is known.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Key {
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
}

/// A request to keep something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Set {
    /// In the order of their keys, each once, one at least.
    pub(super) elements: Vec<(Key, Content)>,
}

/// What is to be kept under a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Content {
    /// This element, which declares all that it uses.
    Xml(Bytes),
    /// Nothing any more. `Choice:` an empty element is what a client is answered that asks for what is not there, so it is kept as that.
    Nothing,
}

/// Reads the payload of an IQ of type `get`: which element is wanted, as it stands in the request.
///
/// # Errors
/// What to answer instead.
pub fn get<'a>(payload: &Node<'a>) -> Result<(Key, Node<'a>), Condition> {
    let mut elements = elements(payload)?;
    let wanted = elements.next().ok_or(Condition::NotAcceptable)?;
    // XEP-0049 §2.3: "MUST NOT query for more than one namespace". `Choice:` nor for more than one element, so that an answer is never
    // longer than what was kept at once.
    if elements.next().is_some() {
        return Err(Condition::NotAcceptable);
    }
    Ok((Key::of(&wanted)?, wanted))
}

/// Reads the payload of an IQ of type `set`.
///
/// # Errors
/// What to answer instead.
pub fn set(payload: &Node<'_>) -> Result<Set, Condition> {
    let mut found = Vec::new();
    let mut bytes = 0_usize;
    for element in elements(payload)? {
        if found.len() == PRIVATE_SET_ITEMS {
            return Err(Condition::PolicyViolation);
        }
        let key = Key::of(&element)?;
        let content = Content::of(&element);
        bytes = bytes
            .saturating_add(key.weight())
            .saturating_add(content.weight());
        if bytes > PRIVATE_SET_BYTES {
            return Err(Condition::PolicyViolation);
        }
        found.push((key, content));
    }
    if found.is_empty() {
        // XEP-0049 §2.3.
        return Err(Condition::NotAcceptable);
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    // Two under one key: one of them would be lost, and nobody said which.
    if found.windows(2).any(|pair| match pair {
        [(a, _), (b, _)] => a == b,
        _ => false,
    }) {
        return Err(Condition::NotAcceptable);
    }
    Ok(Set { elements: found })
}

/// The elements in a request of either type.
fn elements<'a>(payload: &Node<'a>) -> Result<impl Iterator<Item = Node<'a>>, Condition> {
    match payload.is(Ns::Private, "query") {
        true => Ok(payload.children()),
        // RFC 6120 §8.3.3.3: "understands the namespace but does not recognize the element name".
        false => Err(Condition::FeatureNotImplemented),
    }
}

impl Key {
    fn of(element: &Node<'_>) -> Result<Self, Condition> {
        let key = Self {
            namespace: element.ns_uri().into(),
            name: element.name().into(),
        };
        // XEP-0049 §2.3: "a proper namespace", which is one of its own (§2.1). `Choice:` no other is reserved; that is optional.
        if matches!(element.ns(), Ns::Private | Ns::None) {
            return Err(Condition::NotAcceptable);
        }
        match key.weight() > PRIVATE_KEY_BYTES {
            true => Err(Condition::PolicyViolation),
            false => Ok(key),
        }
    }

    pub(super) const fn weight(&self) -> usize {
        self.namespace.len() + self.name.len()
    }
}

impl Content {
    fn of(element: &Node<'_>) -> Self {
        let declares = |name: &str| name == "xmlns" || name.starts_with("xmlns:");
        let is_empty = element.children().next().is_none()
            && element.text().trim_ascii().is_empty()
            && element
                .attributes()
                .all(|attribute| declares(attribute.name));
        if is_empty {
            return Self::Nothing;
        }
        let mut xml = Vec::new();
        element.write_standalone(&mut xml);
        Self::Xml(xml.into())
    }

    pub(super) const fn weight(&self) -> usize {
        match self {
            Self::Xml(xml) => xml.len(),
            Self::Nothing => 0,
        }
    }
}

impl Set {
    /// Whether it takes things away and adds nothing.
    #[must_use]
    pub fn only_removes(&self) -> bool {
        let mut contents = self.elements.iter();
        contents.all(|(_, content)| *content == Content::Nothing)
    }
}

impl From<(&str, &str)> for Key {
    fn from((namespace, name): (&str, &str)) -> Self {
        Self {
            namespace: namespace.to_owned().into(),
            name: name.to_owned().into(),
        }
    }
}
