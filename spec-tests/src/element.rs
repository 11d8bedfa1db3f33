//! Elements as trees, and a reader of XMPP streams that makes them: what tests look at.
//!
//! The reader is rxml, the reference parser: whatever the server writes has to pass it, byte for byte. It must not share code
//! with the server's own scanner.

use std::collections::BTreeMap;
use std::fmt;

use rxml::error::EndOrError;
use rxml::parser::{Options, WithOptions as _};
use rxml::{Event, Parse as _, Parser};

/// The namespace of the stream's own elements (RFC 6120 §4.8.1).
pub const STREAMS: &str = "http://etherx.jabber.org/streams";
/// The content namespace of clients (RFC 6120 §4.8.2).
pub const CLIENT: &str = "jabber:client";
/// The content namespace of servers (RFC 6120 §4.8.2).
pub const SERVER: &str = "jabber:server";
/// STARTTLS (RFC 6120 §5.2).
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// SASL (RFC 6120 §6.2).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Resource binding (RFC 6120 §7.2).
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// Conditions of stream errors (RFC 6120 §4.9.2).
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// Conditions of stanza errors (RFC 6120 §8.3.2).
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// An element with everything below it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Element {
    /// The local name.
    pub name: String,
    /// The namespace name, empty for none.
    pub ns: String,
    /// Attributes by namespace (empty for none) and local name. Declarations are not attributes.
    pub attributes: BTreeMap<(String, String), String>,
    /// Content in document order; neighbouring text is one node.
    pub content: Vec<Content>,
}

/// What an element can contain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// A child element.
    Element(Element),
    /// Character data, decoded.
    Text(String),
}

impl Element {
    /// Whether this is `name` in `ns`.
    #[must_use]
    pub fn is(&self, ns: &str, name: &str) -> bool {
        self.ns == ns && self.name == name
    }

    /// An attribute without a namespace; `xml:lang` by that name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let key = name.strip_prefix("xml:").map_or_else(
            || (String::new(), name.to_owned()),
            |name| (XML.to_owned(), name.to_owned()),
        );
        self.attributes.get(&key).map(String::as_str)
    }

    /// The child elements.
    pub fn children(&self) -> impl Iterator<Item = &Self> {
        self.content.iter().filter_map(|content| match content {
            Content::Element(child) => Some(child),
            Content::Text(_) => None,
        })
    }

    /// The first child `name` in `ns`.
    #[must_use]
    pub fn child(&self, ns: &str, name: &str) -> Option<&Self> {
        self.children().find(|child| child.is(ns, name))
    }

    /// The character data directly inside.
    #[must_use]
    pub fn text(&self) -> String {
        self.content
            .iter()
            .filter_map(|content| match content {
                Content::Text(text) => Some(text.as_str()),
                Content::Element(_) => None,
            })
            .collect()
    }

    /// The name of the condition in this `<error/>`, `<stream:error/>` or `<failure/>`.
    #[must_use]
    pub fn condition(&self) -> Option<&str> {
        self.children()
            .find(|child| {
                [STANZA_ERRORS, STREAM_ERRORS, SASL].contains(&child.ns.as_str())
                    && child.name != "text"
            })
            .map(|child| child.name.as_str())
    }

    fn push_text(&mut self, text: &str) {
        if let Some(Content::Text(before)) = self.content.last_mut() {
            before.push_str(text);
        } else {
            self.content.push(Content::Text(text.to_owned()));
        }
    }
}

/// For people who read a failed test: every element says its namespace.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} xmlns='{}'", self.name, self.ns)?;
        for ((ns, name), value) in &self.attributes {
            let prefix = match ns.as_str() {
                "" => String::new(),
                XML => "xml:".to_owned(),
                other => format!("{{{other}}}"),
            };
            write!(f, " {prefix}{name}='{}'", escape(value))?;
        }
        if self.content.is_empty() {
            return f.write_str("/>");
        }
        f.write_str(">")?;
        for content in &self.content {
            match content {
                Content::Element(child) => write!(f, "{child}")?,
                Content::Text(text) => f.write_str(&escape(text))?,
            }
        }
        write!(f, "</{}>", self.name)
    }
}

/// `text` for use in content and between quotes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            other => out.push(other),
        }
    }
    out
}

/// One item of a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Item {
    /// The stream header, without content.
    Open(Element),
    /// A complete child of the stream.
    Element(Element),
    /// `</stream:stream>`.
    Close,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(header) => write!(f, "header {header}"),
            Self::Element(element) => write!(f, "{element}"),
            Self::Close => f.write_str("</stream:stream>"),
        }
    }
}

/// Reads one stream; a restarted stream needs a new one.
#[derive(Debug)]
pub struct Reader {
    parser: Parser,
    unread: Vec<u8>,
    /// The stream header first, then the elements that are open.
    open: Vec<Element>,
    /// Bytes of the item being read, and of the last one.
    used: usize,
    size: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// Before the header.
    #[must_use]
    pub fn new() -> Self {
        let options = Options {
            max_token_length: 1 << 20,
            ..Options::default()
        };
        Self {
            parser: Parser::with_options(options),
            unread: Vec::new(),
            open: Vec::new(),
            used: 0,
            size: 0,
        }
    }

    /// How many bytes the last item was.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Takes bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// Whether nothing is half read: no tail of bytes and no open element below the stream's.
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        self.unread.is_empty() && self.open.len() <= 1
    }

    /// The bytes that no item was made of yet.
    pub fn take_unread(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unread)
    }

    /// The next item, `None` until more bytes arrive.
    ///
    /// # Errors
    /// Anything that is not a well-formed stream with nothing but white space between its children, in words.
    pub fn next_item(&mut self) -> Result<Option<Item>, String> {
        loop {
            let mut rest = self.unread.as_slice();
            let parsed = self.parser.parse(&mut rest, false);
            let used = self.unread.len() - rest.len();
            let fault = |what: String, unread: &[u8]| {
                format!("{what}, at {:?}", String::from_utf8_lossy(unread))
            };
            let event = match parsed {
                Ok(Some(event)) => event,
                Ok(None) | Err(EndOrError::NeedMoreData) => {
                    self.unread.drain(..used);
                    self.used += used;
                    return Ok(None);
                }
                Err(EndOrError::Error(error)) => {
                    return Err(fault(error.to_string(), &self.unread));
                }
            };
            self.unread.drain(..used);
            self.used += used;
            if let Some(item) = self.take(event).map_err(|e| fault(e, &self.unread))? {
                self.size = std::mem::take(&mut self.used);
                return Ok(Some(item));
            }
            if self.open.len() <= 1 {
                self.used = 0; // it was space
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<Option<Item>, String> {
        match event {
            Event::XmlDeclaration(..) => Ok(None),
            Event::StartElement(_, (ns, name), attributes) => {
                let element = Element {
                    name: name.to_string(),
                    ns: ns.as_str().to_owned(),
                    attributes: attributes
                        .iter()
                        .map(|((ns, name), value)| {
                            ((ns.as_str().to_owned(), name.to_string()), value.clone())
                        })
                        .collect(),
                    content: Vec::new(),
                };
                self.open.push(element.clone());
                Ok((self.open.len() == 1).then_some(Item::Open(element)))
            }
            Event::EndElement(_) => {
                let element = self.open.pop().ok_or("an end tag too many")?;
                match self.open.len() {
                    0 => Ok(Some(Item::Close)),
                    1 => Ok(Some(Item::Element(element))),
                    _ => {
                        if let Some(parent) = self.open.last_mut() {
                            parent.content.push(Content::Element(element));
                        }
                        Ok(None)
                    }
                }
            }
            Event::Text(_, text) => match self.open.as_mut_slice() {
                [_] if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() => Ok(None),
                [] | [_] => Err(format!("text between elements: {text:?}")),
                [.., inner] => {
                    inner.push_text(&text);
                    Ok(None)
                }
            },
        }
    }
}

/// Reads one element written as in a client's stream: `jabber:client` is the default namespace, `stream:` is bound.
///
/// # Errors
/// What is wrong with it.
pub fn parse(xml: &str) -> Result<Element, String> {
    let mut reader = Reader::new();
    reader.push(format!("<stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>").as_bytes());
    reader.push(xml.as_bytes());
    reader.next_item()?;
    match reader.next_item()? {
        Some(Item::Element(element)) if reader.is_at_boundary() => Ok(element),
        other => Err(format!("not one element: {xml} ({other:?})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_stream_in_any_cut() {
        let bytes = b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' id='x'
            xmlns:stream='http://etherx.jabber.org/streams'> <message xml:lang='de'><body>a&amp;<![CDATA[<]]></body></message>
            <stream:features/></stream:stream>";
        for cut in 1..bytes.len() {
            let mut reader = Reader::new();
            let mut items = Vec::new();
            for part in bytes.chunks(cut) {
                reader.push(part);
                while let Some(item) = reader.next_item().unwrap() {
                    items.push(item);
                }
            }
            let [
                Item::Open(header),
                Item::Element(message),
                Item::Element(features),
                Item::Close,
            ] = items.as_slice()
            else {
                panic!("{items:?}")
            };
            assert_eq!(header.attribute("id"), Some("x"));
            assert_eq!(message.attribute("xml:lang"), Some("de"));
            assert_eq!(message.child(CLIENT, "body").unwrap().text(), "a&<");
            assert!(features.is(STREAMS, "features"));
        }
    }

    #[test]
    fn refuses_text_between_elements_and_unbound_prefixes() {
        for xml in ["hello", "<x:y/>", "<a></b>", "<!-- -->"] {
            assert!(parse(xml).is_err(), "{xml}");
        }
    }
}
