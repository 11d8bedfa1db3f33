//! A text that is not all TOML, cut into what are probably its statements.

use super::options;

/// A key with its value, the first line of a section, a comment or an empty line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement<'a> {
    /// Where it starts in the text.
    pub(super) start: usize,
    /// Which line it begins in.
    pub(super) line: usize,
    pub(super) text: &'a str,
}

/// One line of a statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) start: usize,
    pub(super) text: &'a str,
}

impl<'a> Statement<'a> {
    /// Whether it begins a section.
    pub(super) fn is_header(&self) -> bool {
        is_header(self.text)
    }

    /// Where it begins in the text, blanks left out.
    pub(super) fn begin(&self) -> usize {
        let text = self.text.trim_start();
        self.start + self.text.len() - text.len()
    }

    /// The line of it that this byte of the text is in.
    pub(super) fn line_at(&self, at: usize) -> Line<'a> {
        let mut start = self.start;
        for line in self.text.split_inclusive('\n') {
            if at < start + line.len() {
                return Line { start, text: line };
            }
            start += line.len();
        }
        Line {
            start: self.start,
            text: self.text,
        }
    }
}

/// Statements that together are the text, each of one or more whole lines.
pub(super) fn statements(text: &str) -> Vec<Statement<'_>> {
    let mut statements: Vec<Statement<'_>> = Vec::new();
    let mut start = 0;
    let mut open = Open::default();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        // An open bracket or quotation mark goes on in the next line, unless that is clearly the beginning of something else.
        let goes_on = open.goes_on() && !(open.is_bracket() && begins(line));
        if goes_on {
            if let Some(last) = statements.last_mut() {
                let end = start + line.len();
                last.text = text.get(last.start..end).unwrap_or(last.text);
            }
        } else {
            open = Open::default();
            statements.push(Statement {
                start,
                line: number + 1,
                text: line,
            });
        }
        open.read(line);
        start += line.len();
    }
    statements
}

fn is_header(text: &str) -> bool {
    let text = text.trim_start().trim_start_matches('\u{feff}');
    text.starts_with('[') || text.starts_with("VirtualHost")
}

/// Whether a line begins a section or one of our options.
fn begins(line: &str) -> bool {
    let line = line.trim_start();
    if line.starts_with("[host") || line.starts_with("[[host") {
        return true;
    }
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    options::is_known(key) && rest.trim_start().starts_with('=')
}

/// What is open at the end of a line.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    brackets: usize,
    /// `"""` or `'''`.
    lines: Option<&'static str>,
}

impl Open {
    const fn goes_on(&self) -> bool {
        self.brackets > 0 || self.lines.is_some()
    }

    const fn is_bracket(&self) -> bool {
        self.lines.is_none()
    }

    fn read(&mut self, line: &str) {
        if self.brackets == 0 && self.lines.is_none() && is_header(line) {
            return;
        }
        let mut rest = line;
        while !rest.is_empty() {
            if let Some(mark) = self.lines {
                let Some(end) = rest.find(mark) else { return };
                rest = rest.get(end + mark.len()..).unwrap_or_default();
                self.lines = None;
                continue;
            }
            let Some(at) = rest.find(['"', '\'', '#', '[', ']', '{', '}']) else {
                return;
            };
            rest = self.step(rest.get(at..).unwrap_or_default());
        }
    }

    /// Takes what begins with one of the characters that matter; returns what is behind it.
    fn step<'a>(&mut self, rest: &'a str) -> &'a str {
        if let Some(mark) = ["\"\"\"", "'''"]
            .into_iter()
            .find(|mark| rest.starts_with(mark))
        {
            self.lines = Some(mark);
            return rest.get(mark.len()..).unwrap_or_default();
        }
        let behind = rest.get(1..).unwrap_or_default();
        match rest.as_bytes().first() {
            Some(b'[' | b'{') => self.brackets += 1,
            Some(b']' | b'}') => self.brackets = self.brackets.saturating_sub(1),
            Some(b'#') => return "",
            Some(mark @ (b'"' | b'\'')) => {
                let mut escaped = false;
                for (at, byte) in behind.bytes().enumerate() {
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' if *mark == b'"' => escaped = true,
                        byte if byte == *mark => return behind.get(at + 1..).unwrap_or_default(),
                        _ => {}
                    }
                }
                // Without an end it ends with the line.
                return "";
            }
            Some(_) | None => {}
        }
        behind
    }
}
