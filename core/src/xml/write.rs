//! Writing XML: text is escaped here and nowhere else.

use alloc::vec::Vec;

use super::stack::Stack;

/// Appends `text` with `&`, `<`, `>` escaped, and CR as a reference so that it survives.
///
/// A character that XML cannot carry at all becomes U+FFFD.
pub fn escape_text(out: &mut Vec<u8>, text: &str) {
    escape(out, text.as_bytes(), |byte| match byte {
        b'&' => Some(b"&amp;"),
        b'<' => Some(b"&lt;"),
        b'>' => Some(b"&gt;"),
        b'\r' => Some(b"&#13;"),
        _ => None,
    });
}

/// Appends `text` for use between double or single quotes: also quotes, TAB, LF and CR as references.
pub fn escape_attribute(out: &mut Vec<u8>, text: &str) {
    escape(out, text.as_bytes(), |byte| match byte {
        b'&' => Some(b"&amp;"),
        b'<' => Some(b"&lt;"),
        b'>' => Some(b"&gt;"),
        b'\'' => Some(b"&apos;"),
        b'"' => Some(b"&quot;"),
        b'\t' => Some(b"&#9;"),
        b'\n' => Some(b"&#10;"),
        b'\r' => Some(b"&#13;"),
        _ => None,
    });
}

/// Appends `text` as a value with its quotes: those of which it has fewer, and no more references than XML needs. So what came as
/// a value in quotes, and was decoded, becomes no longer than it was.
pub fn quote(out: &mut Vec<u8>, text: &str) {
    if stands_for_itself(text) {
        return quote_plain(out, text);
    }
    let bytes = text.as_bytes();
    let count = |quote: u8| memchr::memchr_iter(quote, bytes).count();
    let quote = if count(b'\'') <= count(b'"') {
        b'\''
    } else {
        b'"'
    };
    out.push(quote);
    escape(out, bytes, |byte| match byte {
        b'&' => Some(b"&amp;"),
        b'<' => Some(b"&lt;"),
        b'\'' if quote == b'\'' => Some(b"&#39;"),
        b'"' if quote == b'"' => Some(b"&#34;"),
        b'\t' => Some(b"&#9;"),
        b'\n' => Some(b"&#10;"),
        b'\r' => Some(b"&#13;"),
        _ => None,
    });
    out.push(quote);
}

/// The same of what stands for itself.
pub(crate) fn quote_plain(out: &mut Vec<u8>, text: &str) {
    out.push(b'\'');
    out.extend_from_slice(text.as_bytes());
    out.push(b'\'');
}

/// Whether nothing in a text need be escaped, wherever it stands. `false` may be wrong, `true` is not.
pub(crate) fn stands_for_itself(text: &str) -> bool {
    text.bytes().all(is_plain)
}

/// U+FFFD, for what XML 1.0 §2.2 allows in no form: an element must be well-formed whatever a program wants to say.
const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

/// Whether each byte stands for itself wherever it stands: nearly all of an address do, so a look is cheaper than the rules.
#[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
static PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut byte = 0;
    while byte < b' ' {
        plain[byte as usize] = false;
        byte += 1;
    }
    let special = b"&<>'\"\xEF";
    let mut at = 0;
    while at < special.len() {
        plain[special[at] as usize] = false;
        at += 1;
    }
    plain
};

fn is_plain(byte: u8) -> bool {
    PLAIN.get(usize::from(byte)).is_some_and(|plain| *plain)
}

fn escape(out: &mut Vec<u8>, text: &[u8], escaped: impl Fn(u8) -> Option<&'static [u8]>) {
    let mut plain = 0;
    let mut next = 0;
    while let Some(found) = text
        .get(next..)
        .and_then(|rest| rest.iter().position(|byte| !is_plain(*byte)))
    {
        let at = next + found;
        next = at + 1;
        let (by, len) = match text.get(at).copied().unwrap_or_default() {
            byte @ (b'\t' | b'\n' | b'\r' | b' '..=0x7F) => match escaped(byte) {
                Some(by) => (by, 1),
                None => continue,
            },
            0..b' ' => (REPLACEMENT, 1),
            // U+FFFE and U+FFFF.
            0xEF if is_noncharacter(text, at) => (REPLACEMENT, 3),
            0x80.. => continue,
        };
        out.extend_from_slice(text.get(plain..at).unwrap_or_default());
        out.extend_from_slice(by);
        plain = at + len;
        next = plain;
    }
    out.extend_from_slice(text.get(plain..).unwrap_or_default());
}

fn is_noncharacter(text: &[u8], at: usize) -> bool {
    matches!(text.get(at + 1..at + 3), Some([0xBF, 0xBE | 0xBF]))
}

/// Writes elements into a byte buffer: open, attributes, then text or children, close. Names are the program's own
/// literals; values are escaped.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    open: Stack<&'static str, 8>,
    tag: Tag,
}

/// Whether the last start tag still takes attributes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tag {
    Open,
    Closed,
}

impl<'a> Writer<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            open: Stack::new(),
            tag: Tag::Closed,
        }
    }

    /// `<name`. Closes a start tag that is still open first.
    pub fn open(&mut self, name: &'static str) -> &mut Self {
        self.end_tag();
        self.open.push(name);
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        self.tag = Tag::Open;
        self
    }

    /// ` name='value'` on the start tag just opened.
    pub fn attribute(&mut self, name: &'static str, value: &str) -> &mut Self {
        if self.tag == Tag::Open {
            self.out.push(b' ');
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(b"='");
            escape_attribute(self.out, value);
            self.out.push(b'\'');
        }
        self
    }

    /// ` name=` and a value with its quotes, as it stood in a validated tag.
    pub(crate) fn quoted_attribute(&mut self, name: &'static str, quoted: &[u8]) -> &mut Self {
        if self.tag == Tag::Open {
            self.out.push(b' ');
            self.out.extend_from_slice(name.as_bytes());
            self.out.push(b'=');
            self.out.extend_from_slice(quoted);
        }
        self
    }

    /// Escaped character data.
    pub fn text(&mut self, text: &str) -> &mut Self {
        if !text.is_empty() {
            self.end_tag();
            escape_text(self.out, text);
        }
        self
    }

    /// Bytes known to be well-formed and self-contained.
    pub fn raw(&mut self, xml: &[u8]) -> &mut Self {
        if !xml.is_empty() {
            self.end_tag();
            self.out.extend_from_slice(xml);
        }
        self
    }

    /// Ends the innermost open element, as `/>` if it is empty.
    pub fn close(&mut self) -> &mut Self {
        let Some(&name) = self.open.last() else {
            return self;
        };
        self.open.truncate(self.open.len() - 1);
        match self.tag {
            Tag::Open => self.out.extend_from_slice(b"/>"),
            Tag::Closed => {
                self.out.extend_from_slice(b"</");
                self.out.extend_from_slice(name.as_bytes());
                self.out.push(b'>');
            }
        }
        self.tag = Tag::Closed;
        self
    }

    /// `open`, `text`, `close`.
    pub fn leaf(&mut self, name: &'static str, text: &str) -> &mut Self {
        self.open(name).text(text).close()
    }

    fn end_tag(&mut self) {
        if self.tag == Tag::Open {
            self.out.push(b'>');
            self.tag = Tag::Closed;
        }
    }
}
