//! What is wrong with a line that is not TOML, told by what was probably meant: the parser's own words are for those who know
//! TOML's grammar.

use toml::de::{DeTable, Error};

use super::options::{self, Kind};
use super::statements::{Statement, statements};
use super::value::{Faults, NEVER, seconds, truth};
use crate::limits::CONFIG_SYNTAX_FAULTS;

/// A text without what is not TOML in it. The lines are as many, so that faults found in it are where they are said to be.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) text: String,
    /// Whether a section's first line is missing: then so are its hosts.
    pub(super) headers: Headers,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Headers {
    Whole,
    Missing,
}

/// Notes a fault for each statement that is not TOML. Returns the rest, where what is left is TOML.
pub(super) fn diagnose(source: &str, errors: Vec<Error>, faults: &mut Faults<'_>) -> Option<Rest> {
    let statements = statements(source);
    let mut parts = vec![Part::Whole; statements.len()];
    let mut left = CONFIG_SYNTAX_FAULTS;
    let mut errors = errors;
    // What is never closed hides from the parser what follows it, so it goes first.
    for (statement, part) in statements.iter().zip(&mut parts) {
        if left > 0
            && !statement.is_header()
            && let Some(words) = unclosed(statement.text)
        {
            *part = Part::Broken;
            left -= 1;
            let at = statement.begin();
            faults.at(&(at..at), format!("not TOML: {words}"));
        }
    }
    let mut text = blank(source, &statements, &mut parts);
    if parts.contains(&Part::Broken) {
        errors = DeTable::parse_recoverable(&text).1;
    }
    while !errors.is_empty() && left > 0 {
        let before = left;
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            let number = statements
                .partition_point(|statement| statement.start <= at)
                .saturating_sub(1);
            if left == 0 || parts.get(number) != Some(&Part::Whole) {
                continue;
            }
            parts[number] = Part::Broken;
            left -= 1;
            let (at, words) = explain(&statements, number, at, error);
            faults.at(&(at..at), format!("not TOML: {words}"));
        }
        if left == before {
            // The parser finds fault with what is not there: there is nothing to go on with.
            return None;
        }
        text = blank(source, &statements, &mut parts);
        errors = DeTable::parse_recoverable(&text).1;
    }
    if !errors.is_empty() {
        faults.whole("there are more lines that are not TOML".to_owned());
        return None;
    }
    let is_header =
        |(statement, part): (&Statement<'_>, &Part)| *part != Part::Whole && statement.is_header();
    let headers = match statements.iter().zip(&parts).any(is_header) {
        true => Headers::Missing,
        false => Headers::Whole,
    };
    Some(Rest { text, headers })
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    /// Nothing is wrong with it.
    Whole,
    /// It is not TOML.
    Broken,
    /// It belongs to a section that nobody knows.
    Orphan,
}

/// The text, as long as before, with nothing where the broken statements were, nor where those were whose section is broken.
fn blank(source: &str, statements: &[Statement<'_>], parts: &mut [Part]) -> String {
    let mut text = String::with_capacity(source.len());
    let mut section = Part::Whole;
    for (statement, part) in statements.iter().zip(parts) {
        match *part {
            Part::Broken if statement.is_header() => section = Part::Broken,
            Part::Whole if statement.is_header() => section = Part::Whole,
            Part::Whole if section == Part::Broken => *part = Part::Orphan,
            Part::Whole | Part::Broken | Part::Orphan => {}
        }
        match part {
            Part::Whole => text.push_str(statement.text),
            Part::Broken | Part::Orphan => {
                let blank = |byte| if byte == b'\n' { '\n' } else { ' ' };
                text.extend(statement.text.bytes().map(blank));
            }
        }
    }
    text
}

/// Where the fault of a statement is, and what.
fn explain(
    statements: &[Statement<'_>],
    number: usize,
    at: usize,
    error: &Error,
) -> (usize, String) {
    let Some(statement) = statements.get(number) else {
        return (at, error.message().to_owned());
    };
    let begin = statement.begin();
    if error.message() == "duplicate key" {
        return (begin, twice(statements, number));
    }
    let said = error.message().to_owned();
    let line = statement.line_at(at);
    if let Some(words) = strange(without_mark(line.text)) {
        return (line.start, words);
    }
    if line.start > begin {
        // In the middle of a list over several lines: its own line says nothing of what it belongs to.
        let missing = unclosed(statement.text);
        return missing.map_or((line.start, said), |words| (begin, words));
    }
    (
        begin,
        of_line(without_mark(statement.text).trim()).unwrap_or(said),
    )
}

/// A key or section that was there before.
fn twice(statements: &[Statement<'_>], number: usize) -> String {
    let (section, name) = name(statements, number);
    let first = (0..number).find(|other| self::name(statements, *other) == (section, name));
    let what = match statements.get(number) {
        Some(statement) if statement.is_header() => format!("the section {name}"),
        Some(_) | None => format!("`{name}`"),
    };
    match first.and_then(|first| statements.get(first)) {
        Some(first) => format!(
            "{what} is here a second time, after line {}: remove one of them",
            first.line
        ),
        None => format!("{what} is here a second time: remove one of them"),
    }
}

/// What a statement is called: the line of its section, and its key or, for a section, its own line.
fn name<'a>(statements: &[Statement<'a>], number: usize) -> (&'a str, &'a str) {
    let bare = |statement: &Statement<'a>| {
        let text = statement.text.trim();
        let end = comment(text).unwrap_or(text.len());
        text.get(..end).unwrap_or(text).trim_end()
    };
    let Some(statement) = statements.get(number) else {
        return ("", "");
    };
    let text = bare(statement);
    if statement.is_header() {
        return ("", text);
    }
    let mut above = statements.get(..number).unwrap_or_default().iter().rev();
    let section = above.find(|other| other.is_header()).map_or("", bare);
    let key = text.split('=').next().unwrap_or(text).trim_end();
    (section, key)
}

/// Without the byte order mark that some editors put in front of a file, which TOML allows.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Characters that look like others, or like nothing.
fn strange(line: &str) -> Option<String> {
    let line = line.trim_end_matches(['\r', '\n']);
    let (_, c) = outside(line).find(|(_, c)| *c != '\t' && is_strange(*c))?;
    let code = u32::from(c);
    Some(match c {
        '\u{ff1d}' => "this = is another character, U+FF1D; type it on the keyboard".to_owned(),
        c if c.is_whitespace() || c.is_control() || is_invisible(c) => {
            format!(
                "there is a character that cannot be seen, U+{code:04X}; delete it, or type a space in its place"
            )
        }
        c => format!(
            "{c} is not a quotation mark that programs know; write text as \"text\", with the straight one"
        ),
    })
}

fn is_strange(c: char) -> bool {
    const QUOTES: &str = "“”„‟‘’‚‛«»‹›″′´`＂";
    QUOTES.contains(c)
        || c == '\u{ff1d}'
        || c.is_control()
        || is_invisible(c)
        || c.is_whitespace() && c != ' '
}

const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}')
}

/// The characters of a line that are neither in straight quotes nor in a comment.
fn outside(line: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    let mut escaped = false;
    let mut ended = false;
    line.char_indices().filter(move |(_, c)| {
        if ended {
            return false;
        }
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"') if *c == '\\' => escaped = true,
            Some(open) if open == *c => quote = None,
            Some(_) => {}
            None if *c == '#' => ended = true,
            None if matches!(c, '"' | '\'') => quote = Some(*c),
            None => return true,
        }
        false
    })
}

/// Where a comment begins.
fn comment(line: &str) -> Option<usize> {
    // The first # that is outside of quotes is the one that ends `outside`.
    line.match_indices('#').map(|(at, _)| at).find(|at| {
        line.get(..*at)
            .is_some_and(|before| quote(before).is_none())
    })
}

/// The quotation mark that is still open at the end.
fn quote(line: &str) -> Option<char> {
    let mut open = None;
    let mut escaped = false;
    for c in line.chars() {
        match open {
            Some(_) if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(mark) if mark == c => open = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => open = Some(c),
            None => {}
        }
    }
    open
}

fn unclosed(text: &str) -> Option<String> {
    let count = |bracket| outside_lines(text).filter(|c| *c == bracket).count();
    if count('[') > count(']') {
        return Some(
            "the list that begins here does not end: put ] behind its last value".to_owned(),
        );
    }
    (count('{') > count('}'))
        .then(|| "what begins here with { does not end: put } behind it".to_owned())
}

fn outside_lines(text: &str) -> impl Iterator<Item = char> {
    text.lines().flat_map(|line| outside(line).map(|(_, c)| c))
}

/// What is wrong with a statement, by its first line.
fn of_line(text: &str) -> Option<String> {
    let line = text.lines().next().unwrap_or(text);
    let marks = ["--", "//", ";", "/*"];
    if let Some(mark) = marks.iter().find(|mark| line.starts_with(**mark)) {
        return Some(format!("a comment begins with #, not with {mark}"));
    }
    if line.starts_with('[') {
        return Some(header(line));
    }
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"')))
        .unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    if key == "VirtualHost" || key == "Host" || key == "host" && !rest.trim_start().starts_with('=')
    {
        return Some(header(line));
    }
    if key.is_empty() {
        return None;
    }
    let rest = rest.trim_start();
    let signs = ["==", "=>", ":=", "+=", ":"];
    if let Some(sign) = signs.iter().find(|sign| rest.starts_with(**sign)) {
        return Some(format!(
            "write = in place of {sign} behind `{key}`: {}",
            shown(key)
        ));
    }
    match rest.strip_prefix('=') {
        None if without_comment(rest).is_empty() => {
            Some(format!("`{key}` has no value: {}", shown(key)))
        }
        None => Some(format!(
            "there is no = between `{key}` and its value: {}",
            shown(key)
        )),
        Some(value) => of_value(key, without_comment(value), text),
    }
}

/// The first line of a section.
fn header(line: &str) -> String {
    let line = without_comment(line);
    let inner = line.trim_matches(|c| matches!(c, '[' | ']'));
    let mut words = inner
        .split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | '{' | '}'))
        .map(|word| word.trim_matches('.'))
        .filter(|word| !word.is_empty());
    let first = words.next();
    let name = words
        .next_back()
        .or_else(|| first.filter(|name| name.contains('.')));
    let name = name.map_or("example.org", |name| {
        name.strip_prefix("host.").unwrap_or(name)
    });
    format!("the section of a host begins with [host.\"{name}\"]")
}

fn without_comment(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    let end = comment(line).unwrap_or(line.len());
    line.get(..end).unwrap_or(line).trim()
}

/// The option as it could be written.
fn shown(key: &str) -> String {
    let example = options::example(key);
    example.map_or_else(
        || format!("{key} = \"text\", or {key} = 5"),
        |example| format!("such as {example}"),
    )
}

fn of_value(key: &str, value: &str, text: &str) -> Option<String> {
    let kind = options::kind(key);
    if value.is_empty() {
        return Some(format!("`{key}` has no value: {}", shown(key)));
    }
    // Nothing of the line is repeated, also where the name is not quite right.
    let means = |word| key.contains(word);
    if kind == Some(Kind::Secret) || kind.is_none() && ["pass", "secret"].into_iter().any(means) {
        return Some(format!(
            "a secret stands in quotes, or in a file that is named: {key} = {{ file = \"PATH\" }}"
        ));
    }
    if let Some(mark) = quote(value) {
        return Some(format!(
            "text that begins with {mark} ends with {mark} in the same line"
        ));
    }
    if let Some(mark) = [';', ','].into_iter().find(|mark| value.ends_with(*mark)) {
        return Some(format!("there is a {mark} behind the value: remove it"));
    }
    if value.starts_with('{') && matches!(kind, Some(Kind::Numbers | Kind::Texts)) {
        return Some(format!(
            "a list stands in [ ], not in {{ }}: {}",
            shown(key)
        ));
    }
    if let Some(words) = unclosed(text) {
        return Some(words);
    }
    if value.contains('\\') && value.starts_with('"') {
        return Some(
            "a \\ in text between \" means something else: put such text between '".to_owned(),
        );
    }
    if value.starts_with('[') || outside(value).any(|(_, c)| c == ',') {
        return of_list(key, value, kind);
    }
    if value.starts_with(['"', '\'']) {
        return Some(format!(
            "there is something behind the value: {}",
            shown(key)
        ));
    }
    of_word(key, value, kind)
}

/// A value that is neither in quotes nor a list.
fn of_word(key: &str, value: &str, kind: Option<Kind>) -> Option<String> {
    match kind {
        Some(Kind::Truth) => Some(match truth(value) {
            Some(meant) => format!("what is true or false is so in small letters: {key} = {meant}"),
            None => format!("`{key}` is true or false: {}", shown(key)),
        }),
        Some(Kind::Number) => Some(format!(
            "`{key}` is a whole number, in digits alone and not beginning with 0: {}",
            shown(key)
        )),
        Some(Kind::Period) if seconds(value).is_none() => Some(format!(
            "`{key}` is a number of seconds, or text such as \"2 minutes\""
        )),
        Some(Kind::Expiry) if value != NEVER && seconds(value).is_none() => Some(format!(
            "`{key}` is a number of seconds, or text such as \"2 minutes\", or \"{NEVER}\""
        )),
        Some(Kind::Numbers | Kind::Texts) => of_list(key, value, kind),
        Some(Kind::Table) => Some(format!("`{key}` has parts: {}", shown(key))),
        Some(Kind::Secret) => None,
        Some(Kind::Expiry | Kind::Text | Kind::Period) | None => {
            (!value.contains('"')).then(|| format!("text stands in quotes: {key} = \"{value}\""))
        }
    }
}

/// The values of a list, with its brackets or without them.
fn of_list(key: &str, value: &str, kind: Option<Kind>) -> Option<String> {
    let inner = value
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'));
    let items: Vec<&str> = inner
        .unwrap_or(value)
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .collect();
    let marks = ['"', '\''];
    let begins = |item: &str| item.starts_with(marks);
    let numbers = kind == Some(Kind::Numbers);
    let apart = |item: &&str| item.split_whitespace().nth(1).is_some();
    if items.iter().any(apart) && (numbers || items.iter().all(|item| begins(item))) {
        return Some(format!(
            "there is a comma between the values of a list: {}",
            shown(key)
        ));
    }
    if numbers && items.iter().any(|item| item.parse::<u16>().is_err()) {
        return Some(format!("`{key}` is a list of numbers: {}", shown(key)));
    }
    let half = |item: &&str| item.contains(marks) && !(begins(item) && item.ends_with(marks));
    if items.iter().any(half) {
        return None;
    }
    let what = match items.len() {
        1 if !numbers => "text stands in quotes",
        _ if inner.is_none() => "several values stand in [ ], with commas between them",
        _ => "each text in a list stands in quotes",
    };
    let written = |item: &&str| match begins(item) || numbers || item.parse::<i64>().is_ok() {
        true => (*item).to_owned(),
        false => format!("\"{item}\""),
    };
    let items: Vec<String> = items.iter().map(written).collect();
    Some(format!("{what}: {key} = [{}]", items.join(", ")))
}
