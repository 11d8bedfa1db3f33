//! Transcripts: conversations written down with the clause each shows, read here and run against shards in memory.
//!
//! A file holds cases separated by empty lines; a case is a conversation of its own with a new server:
//!
//! ```text
//! # RFC 6120 §5.4.2.3  The server answers starttls with proceed.
//! @ encryption optional                      a setting of this case's server
//! C! open                                    an order: see `run`
//! C: <starttls xmlns='…'/>                   what the client writes, to the byte
//! S: <proceed xmlns='…'/>                    what the server writes next, compared as XML
//! S~ <a/><b/>                                the same, in any order
//! S! tls-failed                              in short what it writes, or how the connection ended: see `run`
//! ```
//!
//! `C[romeo]:` and `S[romeo]:` speak for another connection. A line that begins with a space continues the one before. The
//! server has the accounts `juliet@localhost` and `romeo@localhost`, with the password `secret`. In what is written,
//! `{base64:…}` (with `\0`), `{hex:…}`, `{repeat:N:…}` and `{each:N:…}` (with the number for `#`) are expanded; in what is expected,
//! `{name}` as a whole attribute value or text matches anything and is remembered, `{new:name}` too, if it is nothing that was
//! remembered before, `{?}` matches anything, `{of:ADDRESS}` matches that address or one of its resources, and `{...}` matches the
//! rest of an element; with elements behind it, these are there among others. `{each:N:…}` may be all that is expected.

mod archive;
mod client;
mod fill;
mod run;
mod servers;
mod settings;

pub use run::{Cut, run};

/// One case of a transcript.
#[derive(Clone, Debug)]
pub struct Case {
    /// Where it begins, as `FILE:LINE`.
    pub at: String,
    /// The clauses it shows, as in `RFC 6120 §5.4.2.3`, each with a sentence.
    pub clauses: Vec<(String, String)>,
    /// Settings of the server, as words.
    pub settings: Vec<Vec<String>>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One line of a case.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its line in the file.
    pub line: usize,
    /// Which connection.
    pub peer: String,
    /// What happens.
    pub act: Act,
}

/// What a line says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Act {
    /// `C:` the client writes this.
    Write(String),
    /// `C!` the client, or with `A!` the administrator, does something in words.
    Order(Vec<String>),
    /// `S:` the server writes this.
    Expect(String),
    /// `S~` the server writes these, in any order.
    ExpectAll(String),
    /// `S!` something about the connection.
    State(String),
}

/// Reads a transcript.
///
/// # Errors
/// The first line that is none of the forms, by its number.
pub fn parse(name: &str, text: &str) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    let mut open = false;
    for (number, line) in join_continued(text) {
        if line.trim().is_empty() {
            open = false;
            continue;
        }
        if !open {
            cases.push(Case {
                at: format!("{name}:{number}"),
                clauses: Vec::new(),
                settings: Vec::new(),
                steps: Vec::new(),
            });
            open = true;
        }
        if let Some(case) = cases.last_mut() {
            case.take(number, &line)
                .map_err(|fault| format!("{name}:{number}: {fault}: {line}"))?;
        }
    }
    cases.retain(|case| !case.steps.is_empty());
    match cases.iter().find(|case| case.clauses.is_empty()) {
        Some(case) => Err(format!("{}: a case without a clause", case.at)),
        None => Ok(cases),
    }
}

/// Lines with their numbers; one that begins with a space belongs to the one before.
fn join_continued(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        match lines.last_mut() {
            Some((_, before)) if line.starts_with(' ') && !before.is_empty() => {
                before.push(' ');
                before.push_str(line.trim_start());
            }
            _ => lines.push((index + 1, line.to_owned())),
        }
    }
    lines
}

impl Case {
    /// Whether archives have to do with it. In all other cases nothing is archived, so that messages come as they were sent.
    #[must_use]
    pub fn is_about_archives(&self) -> bool {
        self.steps.iter().any(|step| match &step.act {
            Act::Write(text) | Act::Expect(text) | Act::ExpectAll(text) => {
                text.contains("urn:xmpp:sid:0") || text.contains("urn:xmpp:mam:2")
            }
            Act::Order(words) => words.first().is_some_and(|word| word == "query"),
            Act::State(text) => text.starts_with("page"),
        })
    }

    fn take(&mut self, number: usize, line: &str) -> Result<(), &'static str> {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        if let Some(clause) = line.strip_prefix("# ") {
            // Two spaces stand between the clause and its sentence; a comment without a clause is only a comment.
            if let Some((clause, sentence)) = clause.split_once("  ") {
                self.clauses
                    .push((clause.to_owned(), sentence.trim().to_owned()));
            }
            return Ok(());
        }
        if let Some(setting) = line.strip_prefix("@ ") {
            self.settings.push(words(setting));
            return Ok(());
        }
        let mut chars = line.chars();
        let side = chars.next();
        let rest = chars.as_str();
        let (peer, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((peer, rest)) => (peer.to_owned(), rest),
            None => ("C".to_owned(), rest),
        };
        let (mark, text) = rest
            .split_at_checked(1)
            .ok_or("neither `:` nor `!` nor `~` behind the side")?;
        let text = text.strip_prefix(' ').unwrap_or(text);
        let act = match (side, mark) {
            (Some('C'), ":") => Act::Write(text.to_owned()),
            (Some('C' | 'A'), "!") => Act::Order(words(text)),
            (Some('S'), ":") => Act::Expect(text.to_owned()),
            (Some('S'), "~") => Act::ExpectAll(text.to_owned()),
            (Some('S'), "!") => Act::State(text.trim().to_owned()),
            _ => return Err("not a line of a transcript"),
        };
        self.steps.push(Step {
            line: number,
            peer,
            act,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cases_with_settings_orders_and_continued_lines() {
        let text = "# RFC 6120 §4.2  A header\n# opens.\n@ shards 2\nC: <a\n  b='c'/>\nS[x]! closed\n\n\n# RFC 6120 §4.4  B\nA! shut-down\n";
        let cases = parse("t", text).unwrap();
        assert_eq!(cases.len(), 2);
        assert_eq!(cases[0].clauses[0].0, "RFC 6120 §4.2");
        assert_eq!(cases[0].settings, [["shards", "2"]]);
        assert_eq!(cases[0].steps[0].act, Act::Write("<a b='c'/>".into()));
        assert_eq!(cases[0].steps[1].peer, "x");
        assert_eq!(cases[1].at, "t:9");
        assert!(parse("t", "# RFC 6120 §4.2  A\nX: y").is_err());
        assert!(parse("t", "C: y").is_err());
    }
}
