//! Writing XML: text is escaped here and nowhere else.

use alloc::vec::Vec;

/// Appends `text` with `&`, `<`, `>` escaped, and CR as a reference so that it survives.
pub fn escape_text(out: &mut Vec<u8>, text: &str) {
    let _ = (out, text);
    todo!()
}

/// Appends `text` for use between double or single quotes: also quotes, TAB, LF and CR as references.
pub fn escape_attribute(out: &mut Vec<u8>, text: &str) {
    let _ = (out, text);
    todo!()
}

/// Writes elements into a byte buffer: open, attributes, then text or children, close. Names are the program's own
/// literals; values are escaped.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    // what the helper needs: the stack of open names, whether a start tag is open
}

impl<'a> Writer<'a> {
    /// Appends to `out`.
    pub const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }
    /// `<name`. Closes a start tag that is still open first.
    pub fn open(&mut self, name: &'static str) -> &mut Self {
        let _ = (&mut self.out, name);
        todo!()
    }
    /// ` name='value'` on the start tag just opened.
    pub fn attribute(&mut self, name: &'static str, value: &str) -> &mut Self {
        let _ = (name, value);
        todo!()
    }
    /// Escaped character data.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let _ = text;
        todo!()
    }
    /// Bytes known to be well-formed and self-contained.
    pub fn raw(&mut self, xml: &[u8]) -> &mut Self {
        let _ = xml;
        todo!()
    }
    /// Ends the innermost open element, as `/>` if it is empty.
    pub fn close(&mut self) -> &mut Self {
        todo!()
    }
    /// `open`, `text`, `close`.
    pub fn leaf(&mut self, name: &'static str, text: &str) -> &mut Self {
        self.open(name).text(text).close()
    }
}
