//! The rare forms: rxml reads what the scanner has proven but what cannot be forwarded as it stands (prefixes and default
//! namespaces taken from the stream header, content elements written with a prefix or with a namespace said twice), and it is
//! written again self-contained.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use rxml::{Event, Namespace, Options, Parse, Parser, QName, WithOptions};

use super::item::Top;
use super::scope::{self, Context, Range};
use super::{Element, Ns, ScanLimits, XmlError, chars, escape_attribute, escape_text};

/// Writes `raw`, an element proven in `context`, again so that it uses nothing of the header and no prefix for the content
/// namespace.
///
/// # Errors
/// `TooBig` where what it takes from the header makes it larger than an element may be: a header with long namespaces must
/// not multiply what its elements cost.
pub(super) fn rewrite(
    raw: &[u8],
    context: &Context,
    limits: &ScanLimits,
) -> Result<Element, XmlError> {
    let mut document = scope::synthetic_root(context);
    for_rxml(raw, &mut document);
    let mut parser = Parser::with_options(Options {
        max_token_length: document.len(),
        ..Options::default()
    });
    let mut copy = Copy::new(raw.len());
    let mut input = document.as_slice();
    let mut depth = 0_usize;
    loop {
        // The scanner has proven the element: an error here is a rule on which rxml is stricter.
        let event = parser
            .parse(&mut input, false)
            .map_err(|_| XmlError::Syntax)?;
        match event {
            Some(Event::StartElement(_, name, attributes)) => {
                if depth > 0 {
                    let attributes = attributes
                        .iter()
                        .map(|((ns, name), v)| (ns, name.as_str(), v));
                    copy.start(&name, attributes);
                }
                depth += 1;
            }
            Some(Event::EndElement(_)) => {
                depth = depth.saturating_sub(1);
                copy.end();
                if depth == 1 {
                    return copy.finish(limits);
                }
            }
            Some(Event::Text(_, text)) => copy.text(&text),
            Some(Event::XmlDeclaration(..)) => {}
            None => return Err(XmlError::Syntax),
        }
        if copy.out.len() > limits.element_bytes as usize {
            return Err(XmlError::TooBig);
        }
    }
}

/// The copy being written.
struct Copy {
    out: Vec<u8>,
    opens: Vec<Open>,
    tag: Tag,
    top: Top,
}

struct Open {
    /// Its local name in `out`.
    name: Range,
    /// The default namespace inside: every element is written without a prefix.
    default: Namespace<'static>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Tag {
    /// The last start tag still wants its end.
    Open,
    Closed,
}

impl Copy {
    fn new(size: usize) -> Self {
        Self {
            out: Vec::with_capacity(size),
            opens: Vec::new(),
            tag: Tag::Closed,
            top: Top {
                ns: Ns::Client,
                name: Range::default(),
                inner: Range::default(),
            },
        }
    }

    fn start<'e>(
        &mut self,
        (ns, local): &QName,
        attributes: impl Iterator<Item = (&'e Namespace<'static>, &'e str, &'e String)>,
    ) {
        self.end_tag();
        self.out.push(b'<');
        let name = self.append(local.as_bytes());
        let default = self
            .opens
            .last()
            .map_or(Ns::Client.uri(), |open| open.default.as_str());
        if *ns != *default {
            self.append(b" xmlns");
            self.value(ns);
        }
        let mut prefixes: Vec<&Namespace<'static>> = Vec::new();
        for (attribute_ns, attribute, value) in attributes {
            match attribute_ns.as_str() {
                "" => self.append(b" "),
                uri if uri == Ns::Xml.uri() => self.append(b" xml:"),
                uri => {
                    let known = prefixes.iter().position(|known| **known == *uri);
                    let prefix = format!("ns{}", known.unwrap_or(prefixes.len()));
                    if known.is_none() {
                        prefixes.push(attribute_ns);
                        self.append(b" xmlns:");
                        self.append(prefix.as_bytes());
                        self.value(uri);
                    }
                    self.append(b" ");
                    self.append(prefix.as_bytes());
                    self.append(b":")
                }
            };
            self.append(attribute.as_bytes());
            self.value(value);
        }
        if self.opens.is_empty() {
            self.top.ns = Ns::from_uri(ns);
            self.top.name = name;
        }
        let default = ns.clone();
        self.opens.push(Open { name, default });
        self.tag = Tag::Open;
    }

    fn end(&mut self) {
        let Some(open) = self.opens.pop() else {
            return;
        };
        let start = self.out.len();
        if self.tag == Tag::Open {
            self.append(b"/>");
            self.tag = Tag::Closed;
            if self.opens.is_empty() {
                self.top.inner = self.here();
            }
            return;
        }
        self.append(b"</");
        let name = open.name.start as usize..open.name.end as usize;
        self.out.extend_from_within(name);
        self.out.push(b'>');
        if self.opens.is_empty() {
            self.top.inner.end = Range::offset(start);
        }
    }

    fn text(&mut self, text: &str) {
        self.end_tag();
        escape_text(&mut self.out, text);
    }

    fn end_tag(&mut self) {
        if self.tag == Tag::Open {
            self.out.push(b'>');
            self.tag = Tag::Closed;
            if self.opens.len() == 1 {
                self.top.inner.start = self.here().start;
            }
        }
    }

    fn value(&mut self, value: &str) {
        self.append(b"='");
        escape_attribute(&mut self.out, value);
        self.out.push(b'\'');
    }

    fn here(&self) -> Range {
        Range::new(Range::offset(self.out.len()), self.out.len())
    }

    fn append(&mut self, bytes: &[u8]) -> Range {
        let start = Range::offset(self.out.len());
        self.out.extend_from_slice(bytes);
        Range::new(start, self.out.len())
    }

    fn finish(self, limits: &ScanLimits) -> Result<Element, XmlError> {
        if self.out.len() > limits.element_bytes as usize {
            return Err(XmlError::TooBig);
        }
        let raw = Bytes::from(self.out.into_boxed_slice());
        Ok(Element::scanned(raw, self.top))
    }
}

/// Appends well-formed bytes in words on which rxml and XML agree (spec-tests/rxml-differences.md): line ends normalised, no
/// leading zeros in character references.
pub(super) fn for_rxml(raw: &[u8], out: &mut Vec<u8>) {
    const CDATA: &[u8] = b"<![CDATA[";
    let mut rest = raw;
    while let Some(at) = memchr::memchr3(b'&', b'\r', b'<', rest) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        if special.starts_with(b"\r") {
            rest = chars::line_end(special, out);
            continue;
        }
        if special.starts_with(CDATA) {
            let end = memchr::memmem::find(special, b"]]>").unwrap_or(special.len());
            let (section, behind) = special.split_at(end);
            chars::decode_cdata(section, out);
            rest = behind;
            continue;
        }
        let openings = [b"&#x".as_slice(), b"&#", b"&", b"<"];
        let opening = openings.into_iter().find(|o| special.starts_with(o));
        let opening = opening.unwrap_or_default();
        out.extend_from_slice(opening);
        rest = special.get(opening.len()..).unwrap_or_default();
        if opening.len() > 1 {
            let zeros = rest.iter().take_while(|byte| **byte == b'0').count();
            rest = rest.get(zeros..).unwrap_or_default();
        }
    }
    out.extend_from_slice(rest);
}
