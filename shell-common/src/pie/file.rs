//! One XML file as a list of events, each with the bytes that it came from.

use std::fs;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

use rxml::error::EndOrError;
use rxml::parser::CommentMode;
use rxml::{Error, Options, Parse as _, RawEvent, RawParser, WithOptions as _};

use super::{At, Fault};
use crate::limits::pie::{ELEMENT_BYTES, PIECE};
use crate::remedy::explain;

/// A file that is being read.
#[derive(Debug)]
pub(super) struct File {
    at: At,
    input: Input,
    parser: RawParser,
    /// What was read, from the last event on.
    buffer: Vec<u8>,
    /// Where the bytes of the last event are in there.
    event: Range<usize>,
    /// Up to here the parser has seen it.
    seen: usize,
}

#[derive(Debug)]
enum Input {
    Open(fs::File),
    Ended,
}

impl File {
    /// Opens it. What is no file, such as a pipe, could not be read twice.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let at = At {
            file: path.to_owned(),
            line: 0,
        };
        let open = || {
            let kind = fs::metadata(path)?;
            if !kind.is_file() {
                return Err(io::Error::other("it is no file"));
            }
            fs::File::open(path)
        };
        let input = open().map_err(|error| {
            let why = explain(&error, path);
            at.fault(format!("cannot be read: {why}"))
        })?;
        let options = Options {
            max_token_length: ELEMENT_BYTES,
            context: None,
            comments: CommentMode::Discard,
        };
        Ok(Self {
            at: At { line: 1, ..at },
            input: Input::Open(input),
            parser: RawParser::with_options(options),
            buffer: Vec::new(),
            event: 0..0,
            seen: 0,
        })
    }

    /// Where the next event begins.
    pub(super) const fn at(&self) -> &At {
        &self.at
    }

    /// The bytes of the last event, comments before it included. None for the end of an element that has no end tag.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.event.clone()).unwrap_or_default()
    }

    /// The next event; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<RawEvent>, Fault> {
        self.event = self.event.end..self.event.end;
        loop {
            let ended = matches!(self.input, Input::Ended);
            let mut rest = self.buffer.get(self.seen..).unwrap_or_default();
            let parsed = self.parser.parse(&mut rest, ended);
            self.seen = self.buffer.len() - rest.len();
            match parsed {
                Ok(None) => return Ok(None),
                Ok(Some(event)) => {
                    let start = self.event.end;
                    self.event = start..start + event.metrics().len();
                    self.count_lines();
                    return Ok(Some(event));
                }
                Err(EndOrError::NeedMoreData) => self.read()?,
                Err(EndOrError::Error(error)) => return Err(self.malformed(error)),
            }
        }
    }

    fn count_lines(&mut self) {
        let lines = self.bytes().iter().filter(|byte| **byte == b'\n').count();
        self.at.line += u64::try_from(lines).unwrap_or(u64::MAX);
    }

    /// Reads some more behind what the parser has seen.
    fn read(&mut self) -> Result<(), Fault> {
        let Input::Open(input) = &mut self.input else {
            return Err(self.at.fault(CUT_OFF));
        };
        self.buffer.drain(..self.event.end);
        self.seen -= self.event.end;
        self.event = 0..0;
        // A value, a text or a comment that has no end.
        if self.buffer.len() > ELEMENT_BYTES + PIECE {
            let what = format!(
                "something of more than {ELEMENT_BYTES} bytes, which no account could keep"
            );
            return Err(self.at.fault(what));
        }
        let held = self.buffer.len();
        self.buffer.resize(held + PIECE, 0);
        let read = loop {
            match input.read(self.buffer.get_mut(held..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let read = read.map_err(|error| {
            let why = explain(&error, &self.at.file);
            self.at.fault(format!("cannot be read on: {why}"))
        })?;
        self.buffer.truncate(held + read);
        if read == 0 {
            self.input = Input::Ended;
        }
        Ok(())
    }

    fn malformed(&self, error: Error) -> Fault {
        let what = match error {
            Error::InvalidEof(_) => CUT_OFF.to_owned(),
            Error::RestrictedXml(what) => format!(
                "something that is not read here ({what}): document types, processing instructions, and whatever has more than \
                 {ELEMENT_BYTES} bytes"
            ),
            Error::UndeclaredEntity => "an entity that XML itself does not define, or no reference at all; others have no place here".to_owned(),
            Error::InvalidChar(..)
            | Error::UnexpectedChar(..)
            | Error::UnexpectedByte(..)
            | Error::InvalidSyntax(_)
            | Error::UnexpectedToken(..)
            | Error::DuplicateAttribute
            | Error::ElementMismatch
            | Error::MultiColonName(_)
            | Error::EmptyNamePart(_)
            | Error::UndeclaredNamespacePrefix(_)
            | Error::ReservedNamespacePrefix
            | Error::ReservedNamespaceName
            | Error::InvalidLocalName(_)
            | Error::EmptyNamespaceUri
            | Error::InvalidUtf8Byte(_) => format!("not well-formed: {error}"),
        };
        // Of a long value nobody knows where it went wrong.
        self.at.fault(what)
    }
}

const CUT_OFF: &str = "it ends before its end: it was cut off; make it anew";
