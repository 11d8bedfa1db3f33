//! One top-level item of a stream, proven byte by byte: XML 1.0, Namespaces in XML and the limits in one pass.
//!
//! The machine sees the item from its first byte, as far as it has come, and goes on where it stopped. Each decision is made at
//! the byte that decides, so that no cut changes the outcome. It knows nothing of where the bytes come from.

use super::chars::{self, Wide};
use super::scope::{Context, Range, Scope};
use super::stack::Stack;
use super::tag::{Name, Open, Tag};
use super::{Ns, ScanLimits, XmlError, declaration};
use crate::work;

/// What has been found out about an unfinished item. Offsets count from its `<`.
#[derive(Debug)]
pub(super) struct Item {
    /// The first byte not yet understood.
    pub(super) at: usize,
    state: State,
    pub(super) kind: Kind,
    pub(super) opens: Stack<Open, 8>,
    pub(super) scope: Scope,
    /// The start tag being read, or the last one.
    pub(super) tag: Tag,
    elements: u32,
    pub(super) form: Form,
    pub(super) top: Top,
}

/// Which item may stand here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// An XML declaration, then the root's start tag.
    Start,
    /// The root's start tag.
    Root,
    /// A child of the root, or the root's end tag.
    Content,
}

/// What the bytes so far amount to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// Not yet an item.
    More,
    /// The root's start tag, which begins at `tag_start`.
    Root(Empty),
    /// A complete element: see `form` and `top`.
    Element,
    /// The root's end tag.
    End,
}

/// Whether the value of an attribute is its raw form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Raw {
    Plain,
    /// Perhaps not, or not ASCII.
    Coded,
}

/// Whether a start tag is an end tag as well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Empty {
    Yes,
    No,
}

/// Whether the bytes of an element can be forwarded as they stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// It declares all that it uses, and writes the content namespace in the one form.
    Standalone,
    /// It is to be written again (`rewrite`).
    Rare,
}

/// The element itself: what `Element` wants to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Top {
    pub(super) ns: Ns,
    pub(super) name: Range,
    pub(super) inner: Range,
}

/// What the machine may consult.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    pub(super) limits: &'a ScanLimits,
    pub(super) context: &'a Context,
}

/// Where `at` stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// Behind `<?`.
    Declaration,
    /// Behind the XML declaration.
    Prolog,
    /// Behind `<`.
    Markup,
    /// Behind `<!`.
    Bang,
    Cdata {
        from: u32,
    },
    /// In character data that began at `from`.
    Text {
        from: u32,
    },
    TagName {
        from: u32,
    },
    /// In a start tag, where an attribute or its end may come.
    InTag,
    /// Behind an attribute value, where white space or the end of the tag must come.
    AfterValue,
    AttributeName {
        from: u32,
    },
    /// Behind the name of an attribute.
    Equals,
    /// Behind the `=` of an attribute.
    Quote,
    Value(Value),
    /// Behind the `/` of a start tag.
    Slash,
    EndName {
        from: u32,
    },
    /// Behind the name of an end tag.
    EndSpace,
    Reference(Within, Code),
}

/// An attribute value that began at `from`, behind this quote.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    from: u32,
    quote: u8,
}

/// What a reference is part of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Within {
    Text,
    Value(Value),
}

/// How much of a reference was read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Code {
    /// Nothing: `at` stands at its `&`.
    Ampersand,
    /// `&#`.
    Number,
    /// `&#8`.
    Decimal(u32),
    /// `&#x`.
    X,
    /// `&#xA`.
    Hexadecimal(u32),
}

/// What came of the bytes in one state. The next is in the item by then.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Go,
    /// The bytes are used up.
    Wait,
    Found(Found),
}

impl Item {
    /// An item whose first byte is the `<` that was found.
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            at: 1,
            state: State::Markup,
            kind,
            opens: Stack::new(),
            scope: Scope::new(),
            tag: Tag::new(),
            elements: 0,
            form: Form::Standalone,
            top: Top {
                ns: Ns::Client,
                name: Range::default(),
                inner: Range::default(),
            },
        }
    }

    /// How long the item is, once it is found.
    pub(super) const fn len(&self) -> usize {
        self.at
    }

    /// Where the root's start tag begins, behind the XML declaration.
    pub(super) const fn tag_start(&self) -> usize {
        self.tag.start as usize
    }

    const fn here(&self) -> u32 {
        Range::offset(self.at)
    }

    /// Goes on in `item`, which is longer than the last time and the same so far.
    pub(super) fn advance(&mut self, item: &[u8], around: Around<'_>) -> Result<Found, XmlError> {
        let before = self.at;
        let found = loop {
            work::step(1);
            match self.step(item, around)? {
                Step::Go => {}
                Step::Wait => break Found::More,
                Step::Found(found) => break found,
            }
        };
        work::step(self.at - before);
        Ok(found)
    }

    pub(super) const fn go(&mut self, state: State) -> Step {
        self.state = state;
        Step::Go
    }

    const fn wait(&mut self, state: State) -> Step {
        self.state = state;
        Step::Wait
    }

    #[inline]
    fn step(&mut self, item: &[u8], around: Around<'_>) -> Result<Step, XmlError> {
        match self.state {
            State::Declaration => self.declaration(item),
            State::Prolog => self.prolog(item),
            State::Markup => self.markup(item, around),
            State::Bang => self.bang(item),
            State::Cdata { from } => self.cdata(item, from),
            State::Text { from } => self.text(item, around, from),
            State::TagName { from } => self.tag_name(item, around, from),
            State::InTag => self.in_tag(item, around),
            State::AfterValue => self.after_value(item, around),
            State::AttributeName { from } => self.attribute_name(item, around, from),
            State::Equals => self.equals(item),
            State::Quote => self.quote(item),
            State::Value(value) => self.value(item, around, value),
            State::Slash => self.slash(item, around),
            State::EndName { from } => self.end_name(item, around, from),
            State::EndSpace => self.end_space(item),
            State::Reference(place, code) => self.reference(item, place, code),
        }
    }

    /// XML 1.0 §2.8. Waits for the whole, which `declaration::LONGEST` bounds, then reads it at once.
    fn declaration(&mut self, item: &[u8]) -> Result<Step, XmlError> {
        while let Some(byte) = item.get(self.at) {
            self.at += 1;
            if *byte == b'>' {
                declaration::check(item.get(..self.at).unwrap_or_default())?;
                return Ok(self.go(State::Prolog));
            }
            declaration::check_start(item.get(..self.at).unwrap_or_default())?;
        }
        Ok(self.wait(State::Declaration))
    }

    fn prolog(&mut self, item: &[u8]) -> Result<Step, XmlError> {
        self.at = chars::skip_space(item, self.at);
        match item.get(self.at) {
            None => Ok(self.wait(State::Prolog)),
            Some(b'<') => {
                self.at += 1;
                self.kind = Kind::Root;
                Ok(self.go(State::Markup))
            }
            Some(_) => Err(XmlError::OutsideRoot),
        }
    }

    #[inline]
    fn markup(&mut self, item: &[u8], around: Around<'_>) -> Result<Step, XmlError> {
        let Some(&byte) = item.get(self.at) else {
            return Ok(self.wait(State::Markup));
        };
        if chars::is_name_start(byte) {
            return self.tag_name(item, around, self.here());
        }
        self.at += 1;
        match byte {
            b'/' if self.kind == Kind::Content => self.end_name(item, around, self.here()),
            b'!' => Ok(self.go(State::Bang)),
            b'?' if self.kind == Kind::Start => Ok(self.go(State::Declaration)),
            b'?' => Err(XmlError::ProcessingInstruction),
            // The first character of a stream in UTF-16 (RFC 6120 §11.6).
            0 if self.kind == Kind::Start => Err(XmlError::Encoding),
            _ => Err(XmlError::Syntax),
        }
    }

    fn bang(&mut self, item: &[u8]) -> Result<Step, XmlError> {
        const CDATA: &[u8] = b"[CDATA[";
        let rest = item.get(self.at..).unwrap_or_default();
        match rest.first() {
            None => return Ok(self.wait(State::Bang)),
            Some(b'-') => return Err(XmlError::Comment),
            Some(b'D') => return Err(XmlError::DocumentType),
            Some(_) => {}
        }
        if rest.starts_with(CDATA) {
            if self.opens.len() == 0 {
                return Err(match self.kind {
                    Kind::Content => XmlError::TextInStream,
                    Kind::Start | Kind::Root => XmlError::OutsideRoot,
                });
            }
            self.at += CDATA.len();
            return Ok(self.go(State::Cdata { from: self.here() }));
        }
        if CDATA.starts_with(rest) {
            return Ok(self.wait(State::Bang));
        }
        Err(XmlError::Syntax)
    }

    fn cdata(&mut self, item: &[u8], from: u32) -> Result<Step, XmlError> {
        loop {
            self.at = chars::plain_run(item, self.at, b'>');
            match item.get(self.at) {
                None => return Ok(self.wait(State::Cdata { from })),
                Some(b'>') if ends_cdata(item, from, self.at) => {
                    self.at += 1;
                    return Ok(self.go(State::Text { from: self.here() }));
                }
                Some(b'<' | b'&' | b'>') => self.at += 1,
                Some(&byte) => {
                    if !self.pass(item, byte)? {
                        return Ok(self.wait(State::Cdata { from }));
                    }
                }
            }
        }
    }

    #[inline]
    fn text(&mut self, item: &[u8], around: Around<'_>, from: u32) -> Result<Step, XmlError> {
        loop {
            self.at = chars::plain_run(item, self.at, b'>');
            match item.get(self.at) {
                None => return Ok(self.wait(State::Text { from })),
                Some(b'<') => {
                    self.at += 1;
                    return self.markup(item, around);
                }
                Some(b'&') => return Ok(self.go(State::Reference(Within::Text, Code::Ampersand))),
                Some(b'>') if ends_cdata(item, from, self.at) => return Err(XmlError::CdataEnd),
                Some(b'>') => self.at += 1,
                Some(&byte) => {
                    if !self.pass(item, byte)? {
                        return Ok(self.wait(State::Text { from }));
                    }
                }
            }
        }
    }

    /// Goes past a byte that is white space or begins a character that is not ASCII. False if that is cut.
    #[inline]
    fn pass(&mut self, item: &[u8], byte: u8) -> Result<bool, XmlError> {
        match byte {
            b'\t' | b'\n' | b'\r' => self.at += 1,
            0x80.. => match chars::wide(item, self.at)? {
                Wide::Char(len) => self.at += len,
                Wide::Cut => return Ok(false),
            },
            _ => return Err(XmlError::Character),
        }
        Ok(true)
    }

    /// Reads to the end of a name that began at `from`. `None` if it may go on.
    #[inline]
    fn name(
        &mut self,
        item: &[u8],
        around: Around<'_>,
        from: u32,
    ) -> Result<Option<Name>, XmlError> {
        // Nearly all are plain ASCII and not cut.
        if self.at == from as usize
            && let Some((end, colon)) = chars::plain_name(item, self.at)
        {
            self.at = end;
            let range = Range::new(from, end);
            if range.len() > u32::from(around.limits.name_bytes) {
                return Err(XmlError::NameTooLong);
            }
            return Ok(Some(Name::plain(range, colon)));
        }
        self.long_name(item, around, from)
    }

    fn long_name(
        &mut self,
        item: &[u8],
        around: Around<'_>,
        from: u32,
    ) -> Result<Option<Name>, XmlError> {
        let limit = from as usize + usize::from(around.limits.name_bytes);
        loop {
            if self.at > limit {
                return Err(XmlError::NameTooLong);
            }
            match item.get(self.at) {
                None => return Ok(None),
                Some(0x80..) => match chars::wide(item, self.at)? {
                    Wide::Char(len) => self.at += len,
                    Wide::Cut => return Ok(None),
                },
                Some(byte) if chars::is_name(*byte) => self.at += 1,
                Some(_) => return Name::new(item, Range::new(from, self.at)).map(Some),
            }
        }
    }

    #[inline]
    fn tag_name(&mut self, item: &[u8], around: Around<'_>, from: u32) -> Result<Step, XmlError> {
        let Some(name) = self.name(item, around, from)? else {
            return Ok(self.wait(State::TagName { from }));
        };
        self.elements += 1;
        if self.elements > around.limits.elements {
            return Err(XmlError::TooManyElements);
        }
        if self.opens.len() >= usize::from(around.limits.depth) {
            return Err(XmlError::TooDeep);
        }
        self.tag.begin(from - 1, name, self.scope.len());
        // Whatever ended the name must be white space or the end of the tag.
        self.after_value(item, around)
    }

    fn in_tag(&mut self, item: &[u8], around: Around<'_>) -> Result<Step, XmlError> {
        self.at = chars::skip_space(item, self.at);
        let Some(&byte) = item.get(self.at) else {
            return Ok(self.wait(State::InTag));
        };
        if chars::is_name_start(byte) {
            return Ok(self.go(State::AttributeName { from: self.here() }));
        }
        self.tag_end(item, around, byte)
    }

    #[inline]
    fn after_value(&mut self, item: &[u8], around: Around<'_>) -> Result<Step, XmlError> {
        match item.get(self.at) {
            None => Ok(self.wait(State::AfterValue)),
            Some(byte) if chars::is_space(*byte) => {
                self.at += 1;
                match item.get(self.at) {
                    Some(byte) if chars::is_name_start(*byte) => {
                        Ok(self.go(State::AttributeName { from: self.here() }))
                    }
                    _ => Ok(self.go(State::InTag)),
                }
            }
            Some(&byte) => self.tag_end(item, around, byte),
        }
    }

    fn tag_end(&mut self, item: &[u8], around: Around<'_>, byte: u8) -> Result<Step, XmlError> {
        self.at += 1;
        match byte {
            b'>' => self.finish_tag(item, around, Empty::No),
            b'/' => self.slash(item, around),
            _ => Err(XmlError::Syntax),
        }
    }

    fn slash(&mut self, item: &[u8], around: Around<'_>) -> Result<Step, XmlError> {
        match item.get(self.at) {
            None => Ok(self.wait(State::Slash)),
            Some(b'>') => {
                self.at += 1;
                self.finish_tag(item, around, Empty::Yes)
            }
            Some(_) => Err(XmlError::Syntax),
        }
    }

    #[inline]
    fn attribute_name(
        &mut self,
        item: &[u8],
        around: Around<'_>,
        from: u32,
    ) -> Result<Step, XmlError> {
        let Some(name) = self.name(item, around, from)? else {
            return Ok(self.wait(State::AttributeName { from }));
        };
        // Namespaces in XML §3: `xmlns` is declared by nobody. Said here, for the value may never end.
        if name.range.of(item) == b"xmlns:xmlns" {
            return Err(XmlError::ReservedPrefix);
        }
        self.tag.push(name);
        let rest = item.get(self.at..).unwrap_or_default();
        if let [b'=', quote @ (b'\'' | b'"'), ..] = rest {
            self.at += 2;
            let value = Value {
                from: self.here(),
                quote: *quote,
            };
            return self.value(item, around, value);
        }
        Ok(self.go(State::Equals))
    }

    fn equals(&mut self, item: &[u8]) -> Result<Step, XmlError> {
        self.at = chars::skip_space(item, self.at);
        match item.get(self.at) {
            None => Ok(self.wait(State::Equals)),
            Some(b'=') => {
                self.at += 1;
                Ok(self.go(State::Quote))
            }
            Some(_) => Err(XmlError::Syntax),
        }
    }

    fn quote(&mut self, item: &[u8]) -> Result<Step, XmlError> {
        self.at = chars::skip_space(item, self.at);
        match item.get(self.at) {
            None => Ok(self.wait(State::Quote)),
            Some(&quote @ (b'\'' | b'"')) => {
                self.at += 1;
                Ok(self.go(State::Value(Value {
                    from: self.here(),
                    quote,
                })))
            }
            Some(_) => Err(XmlError::Syntax),
        }
    }

    #[inline]
    fn value(&mut self, item: &[u8], around: Around<'_>, value: Value) -> Result<Step, XmlError> {
        let mut raw = if self.at == value.from as usize {
            Raw::Plain
        } else {
            Raw::Coded
        };
        loop {
            self.at = chars::plain_run(item, self.at, value.quote);
            match item.get(self.at) {
                None => return Ok(self.wait(State::Value(value))),
                Some(b'<') => return Err(XmlError::MarkupInValue),
                Some(b'&') => {
                    return Ok(self.go(State::Reference(Within::Value(value), Code::Ampersand)));
                }
                Some(&byte) if byte == value.quote => {
                    let range = Range::new(value.from, self.at);
                    self.at += 1;
                    self.attribute(item, around, range, raw)?;
                    return self.after_value(item, around);
                }
                Some(&byte) => {
                    raw = Raw::Coded;
                    if !self.pass(item, byte)? {
                        return Ok(self.wait(State::Value(value)));
                    }
                }
            }
        }
    }

    fn reference(&mut self, item: &[u8], place: Within, code: Code) -> Result<Step, XmlError> {
        if let Code::Ampersand = code {
            return self.ampersand(item, place);
        }
        let Some(&byte) = item.get(self.at) else {
            return Ok(self.wait(State::Reference(place, code)));
        };
        self.at += 1;
        let digit = |radix| char::from(byte).to_digit(radix).ok_or(XmlError::Reference);
        let code = match (code, byte) {
            (Code::Decimal(number) | Code::Hexadecimal(number), b';') => {
                chars::character(number).ok_or(XmlError::Character)?;
                return Ok(self.go(self.behind_reference(place)));
            }
            (Code::Number, b'x') => Code::X,
            (Code::Ampersand | Code::Number, _) => Code::Decimal(digit(10)?),
            (Code::Decimal(number), _) => {
                Code::Decimal(number.saturating_mul(10).saturating_add(digit(10)?))
            }
            (Code::X, _) => Code::Hexadecimal(digit(16)?),
            (Code::Hexadecimal(number), _) => {
                Code::Hexadecimal(number.saturating_mul(16).saturating_add(digit(16)?))
            }
        };
        // More digits make no character of it again, and may never end.
        if let Code::Decimal(number) | Code::Hexadecimal(number) = code
            && number > u32::from(char::MAX)
        {
            return Err(XmlError::Character);
        }
        Ok(self.go(State::Reference(place, code)))
    }

    /// RFC 6120 §11.1: the predefined entities and no others.
    fn ampersand(&mut self, item: &[u8], place: Within) -> Result<Step, XmlError> {
        let rest = item.get(self.at + 1..).unwrap_or_default();
        if rest.first() == Some(&b'#') {
            self.at += 2;
            return Ok(self.go(State::Reference(place, Code::Number)));
        }
        for (entity, _) in chars::ENTITIES {
            if rest.starts_with(entity) {
                self.at += 1 + entity.len();
                return Ok(self.go(self.behind_reference(place)));
            }
        }
        // The first byte with which it begins no predefined entity decides.
        for end in 1..=rest.len() {
            let (Some(start), Some(&last)) = (rest.get(..end), rest.get(end - 1)) else {
                break;
            };
            if !chars::ENTITIES
                .iter()
                .any(|(entity, _)| entity.starts_with(start))
            {
                let named = chars::is_name(last) || (last == b';' && end > 1);
                return Err(if named {
                    XmlError::Entity
                } else {
                    XmlError::Reference
                });
            }
        }
        Ok(self.wait(State::Reference(place, Code::Ampersand)))
    }

    const fn behind_reference(&self, place: Within) -> State {
        match place {
            Within::Text => State::Text { from: self.here() },
            Within::Value(value) => State::Value(value),
        }
    }

    #[inline]
    fn end_name(&mut self, item: &[u8], around: Around<'_>, from: u32) -> Result<Step, XmlError> {
        let start = from.saturating_sub(2);
        let rest = item.get(from as usize..).unwrap_or_default();
        // Nearly always the name that must come stands here, with nothing behind it but `>`.
        if let Some(open) = self.opens.last() {
            let name = open.name.of(item);
            let behind = rest.strip_prefix(name).and_then(<[u8]>::first);
            if behind == Some(&b'>') {
                self.at = from as usize + name.len() + 1;
                return Ok(self.close(start));
            }
        }
        match rest.first() {
            None => return Ok(self.wait(State::EndName { from })),
            Some(byte) if !chars::is_name_start(*byte) => return Err(XmlError::Syntax),
            Some(_) => {}
        }
        let Some(name) = self.name(item, around, from)? else {
            return Ok(self.wait(State::EndName { from }));
        };
        let expected = match self.opens.last() {
            Some(open) => open.name.of(item),
            None => around.context.root().as_bytes(),
        };
        if name.range.of(item) != expected {
            return Err(XmlError::Mismatch);
        }
        self.tag.start = start;
        Ok(self.go(State::EndSpace))
    }

    fn end_space(&mut self, item: &[u8]) -> Result<Step, XmlError> {
        self.at = chars::skip_space(item, self.at);
        match item.get(self.at) {
            None => Ok(self.wait(State::EndSpace)),
            Some(b'>') => {
                self.at += 1;
                Ok(self.close(self.tag.start))
            }
            Some(_) => Err(XmlError::Syntax),
        }
    }

    /// Behind an end tag that began at `start`.
    #[inline]
    fn close(&mut self, start: u32) -> Step {
        let Some(open) = self.opens.last() else {
            return Step::Found(Found::End);
        };
        self.scope.truncate(open.scope as usize);
        self.opens.truncate(self.opens.len() - 1);
        if self.opens.len() > 0 {
            return self.go(State::Text { from: self.here() });
        }
        self.top.inner.end = start;
        Step::Found(Found::Element)
    }
}

/// Whether the `>` at `at` ends `]]>`, all of it within what began at `from`.
fn ends_cdata(item: &[u8], from: u32, at: usize) -> bool {
    item.get(from as usize..at)
        .is_some_and(|before| before.ends_with(b"]]"))
}
