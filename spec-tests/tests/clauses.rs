//! What RFC 6120, RFC 6121 and some extensions ask of a server, sentence by sentence (`clauses/`), held to the tests, the transcripts and
//! the sources that it names and that cite it.
//!
//! `cargo test -p spec-tests --test clauses -- --nocapture` prints how much of it is shown and how much is open.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "the counts are for who reads the output"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use spec_tests::script::parse;

/// The documents that have a table.
const DOCUMENTS: &[&str] = &[
    "RFC 6120", "RFC 6121", "XEP-0012", "XEP-0049", "XEP-0054", "XEP-0059", "XEP-0077", "XEP-0114",
    "XEP-0115", "XEP-0157", "XEP-0160", "XEP-0175", "XEP-0178", "XEP-0191", "XEP-0198", "XEP-0199",
    "XEP-0202", "XEP-0203", "XEP-0280", "XEP-0288", "XEP-0297", "XEP-0313", "XEP-0334", "XEP-0352",
    "XEP-0359", "XEP-0441", "XEP-0474",
];

/// What may be open, and the work that it waits for.
const TOPICS: &[(&str, &str)] = &[("abuse", "limits on how many a session writes to")];

const LEVELS: &[&str] = &["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "says"];

/// Where the level and the sentence of a row begin.
const LEVEL_COLUMN: usize = 3;
const TEXT_COLUMN: usize = 14;

/// What becomes of a sentence.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Status {
    Transcript(String),
    Test(String, String),
    /// The topic; the rest of the line says which part.
    Open(String),
    NotApplicable,
    Deviation,
}

/// One sentence.
#[derive(Clone, Debug)]
struct Row {
    /// As `clauses/rfc6120.txt:17`.
    at: String,
    level: String,
    statuses: Vec<Status>,
}

/// A section with its rows; with none, it says for whom it is instead.
#[derive(Clone, Debug)]
struct Section {
    at: String,
    number: String,
    title: String,
    rows: Vec<Row>,
    is_none: bool,
}

/// The table of one document.
#[derive(Debug)]
struct Table {
    document: &'static str,
    sections: Vec<Section>,
    /// All sections that the document has: how often they say a word in capitals, and their titles.
    known: Vec<(String, usize, String)>,
    faults: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

impl Status {
    fn read(line: &str) -> Option<Self> {
        if let Some(why) = line.strip_prefix("not applicable: ") {
            return (!why.is_empty()).then_some(Self::NotApplicable);
        }
        if let Some(why) = line.strip_prefix("deviation: ") {
            return (!why.is_empty()).then_some(Self::Deviation);
        }
        let (word, rest) = line.split_once(' ')?;
        match word {
            "transcript" => Some(Self::Transcript(rest.to_owned())),
            "test" => {
                let (file, name) = rest.split_once(' ')?;
                Some(Self::Test(file.to_owned(), name.to_owned()))
            }
            "open" => {
                let topic = rest.split(": ").next().unwrap_or_default();
                let known = TOPICS.iter().any(|(name, _)| *name == topic);
                known.then(|| Self::Open(topic.to_owned()))
            }
            _ => None,
        }
    }

    const fn is_shown(&self) -> bool {
        matches!(self, Self::Transcript(_) | Self::Test(..))
    }
}

impl Row {
    /// `1  MUST       The sentence.`
    fn read(line: &str, ordinal: usize, at: String) -> Result<Self, String> {
        let (number, rest) = line.split_at_checked(LEVEL_COLUMN).ok_or("too short")?;
        if number.trim_end() != ordinal.to_string() {
            return Err(format!("it is row {ordinal} of its section"));
        }
        let (level, text) = rest
            .split_at_checked(TEXT_COLUMN - LEVEL_COLUMN)
            .ok_or("too short")?;
        let level = level.trim_end().to_owned();
        if !LEVELS.contains(&level.as_str()) {
            return Err(format!("{level:?} is no level"));
        }
        if text.starts_with(' ') || !text.ends_with('.') {
            return Err("a sentence stands in its column and ends with a full stop".to_owned());
        }
        Ok(Self {
            at,
            level,
            statuses: Vec::new(),
        })
    }

    /// What is shown, open for a part or a deviation in a part may stand together; what is not applicable stands alone.
    fn fault(&self) -> Option<&'static str> {
        let alone = self.statuses.contains(&Status::NotApplicable);
        match self.statuses.len() {
            0 => Some("nothing is said of what becomes of it"),
            1 => None,
            _ if alone => Some("what is not applicable is nothing else"),
            _ => None,
        }
    }

    /// One word for the count: the worst that is said of it.
    fn verdict(&self) -> &'static str {
        let any = |is: fn(&Status) -> bool| self.statuses.iter().any(is);
        if any(|status| *status == Status::Deviation) {
            "deviation"
        } else if any(|status| matches!(status, Status::Open(_))) {
            match any(Status::is_shown) {
                true => "open in part",
                false => "open",
            }
        } else if any(Status::is_shown) {
            "shown"
        } else {
            "not applicable"
        }
    }
}

impl Table {
    fn read(document: &'static str) -> Self {
        // `rfc6120`, `xep0191`.
        let file = document.to_lowercase().replace([' ', '-'], "");
        let sections = read(&format!("spec-tests/clauses/{file}.sections"));
        let known = sections.lines().filter(|line| !line.starts_with('#'));
        let known = known.map(|line| {
            let mut words = line.splitn(3, ' ');
            let number = words.next().unwrap().to_owned();
            let count = words.next().unwrap().parse().unwrap();
            (number, count, words.next().unwrap().to_owned())
        });
        let mut table = Self {
            document,
            sections: Vec::new(),
            known: known.collect(),
            faults: Vec::new(),
        };
        let name = format!("clauses/{file}.txt");
        for (index, line) in read(&format!("spec-tests/{name}")).lines().enumerate() {
            let at = format!("{name}:{}", index + 1);
            if let Err(fault) = table.take(line, &at) {
                table.faults.push(format!("{at}: {fault}: {line}"));
            }
        }
        table
    }

    fn take(&mut self, line: &str, at: &str) -> Result<(), String> {
        if line.is_empty() || line == "#" || line.starts_with("# ") {
            return Ok(());
        }
        if let Some(heading) = line.strip_prefix("## ") {
            let (number, title) = heading.split_once(' ').ok_or("a heading has a title")?;
            self.sections.push(Section {
                at: at.to_owned(),
                number: number.to_owned(),
                title: title.to_owned(),
                rows: Vec::new(),
                is_none: false,
            });
            return Ok(());
        }
        let section = self.sections.last_mut().ok_or("before the first heading")?;
        if let Some(whom) = line.strip_prefix("none: ") {
            section.is_none = !whom.is_empty();
            return Ok(());
        }
        if let Some(status) = line.strip_prefix(&" ".repeat(TEXT_COLUMN)) {
            let row = section.rows.last_mut().ok_or("before the first row")?;
            row.statuses.push(Status::read(status).ok_or("no status")?);
            return Ok(());
        }
        let row = Row::read(line, section.rows.len() + 1, at.to_owned())?;
        section.rows.push(row);
        Ok(())
    }

    fn rows(&self) -> impl Iterator<Item = (&Section, &Row)> {
        let rows = |section| std::iter::repeat(section);
        self.sections
            .iter()
            .flat_map(move |section| rows(section).zip(&section.rows))
    }
}

fn tables() -> Vec<Table> {
    DOCUMENTS
        .iter()
        .map(|document| Table::read(document))
        .collect()
}

/// The sections of these documents that a line cites: `RFC 6120 §4.2, §4.7`, `RFC 6121 §8.5.2 to §8.5.4`.
fn citations(line: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for document in DOCUMENTS {
        for cited in line.split(&format!("{document} ")).skip(1) {
            let mut rest = cited;
            while let Some(behind) = rest.strip_prefix('\u{a7}') {
                let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.';
                let end = behind.find(|c| !is_part(c)).unwrap_or(behind.len());
                let (number, behind) = behind.split_at(end);
                found.push((
                    (*document).to_owned(),
                    number.trim_end_matches('.').to_owned(),
                ));
                let joined = [", ", " and ", " to ", ", and "].iter().find_map(|word| {
                    behind
                        .strip_prefix(word)
                        .filter(|rest| rest.starts_with('\u{a7}'))
                });
                rest = joined.unwrap_or_default();
            }
        }
    }
    found
}

fn files(directory: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(directory)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(root().join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let path = directory.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == extension) {
                found.push(path.display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// For each section that a transcript says it shows, by name below `transcripts/`: where it says so first.
fn shown_by_transcripts() -> BTreeMap<(String, String, String), String> {
    let mut shown = BTreeMap::new();
    for path in files("spec-tests/transcripts", "xmpp") {
        let name = path.strip_prefix("spec-tests/transcripts/").unwrap();
        let cases = parse(name, &read(&path)).unwrap_or_else(|fault| panic!("{fault}"));
        for case in cases {
            for (clause, _) in &case.clauses {
                for (document, section) in citations(clause) {
                    let key = (document, section, name.to_owned());
                    shown.entry(key).or_insert_with(|| case.at.clone());
                }
            }
        }
    }
    shown
}

#[test]
fn rows_are_well_formed() {
    let mut faults = Vec::new();
    for table in tables() {
        faults.extend(table.faults.iter().cloned());
        for section in &table.sections {
            if section.rows.is_empty() != section.is_none {
                faults.push(format!("{}: either rows, or `none: …`", section.at));
            }
        }
        for (_, row) in table.rows() {
            if let Some(fault) = row.fault() {
                faults.push(format!("{}: {fault}", row.at));
            }
        }
    }
    assert_none(&faults);
}

/// Each section with a word in capitals is there, in the order of the document, under its own title.
#[test]
fn no_section_is_left_out() {
    let mut faults = Vec::new();
    for table in tables() {
        let mut known = table.known.iter();
        for section in &table.sections {
            match known.find(|(number, ..)| *number == section.number) {
                Some((.., title)) if *title == section.title => {}
                Some((.., title)) => faults.push(format!("{}: it is {title:?}", section.at)),
                None => {
                    faults.push(format!("{}: no such section, or out of order", section.at));
                    known = table.known.iter();
                }
            }
        }
        let there: BTreeSet<&str> = table.sections.iter().map(|s| s.number.as_str()).collect();
        for (number, count, _) in &table.known {
            if *count > 0 && !there.contains(number.as_str()) {
                faults.push(format!("{} \u{a7}{number} is missing", table.document));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn every_test_that_is_named_exists() {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let mut faults = Vec::new();
    for table in tables() {
        for (_, row) in table.rows() {
            for status in &row.statuses {
                let Status::Test(file, name) = status else {
                    continue;
                };
                let text = texts
                    .entry(file.clone())
                    .or_insert_with(|| fs::read_to_string(root().join(file)).unwrap_or_default());
                // Those of proptest have arguments.
                let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
                let begins = format!("fn {name}(");
                let place = lines.iter().position(|line| line.starts_with(&begins));
                let is_test = place.is_some_and(|place| {
                    let above = lines[..place].iter().rev();
                    above
                        .take_while(|line| line.starts_with('#') || line.starts_with("//"))
                        .any(|line| *line == "#[test]")
                });
                if !is_test {
                    faults.push(format!("{}: no test {name} in {file}", row.at));
                }
            }
        }
    }
    assert_none(&faults);
}

/// A row that names a transcript stands in a section that the transcript says it shows, and the other way round.
#[test]
fn transcripts_and_rows_name_each_other() {
    let shown = shown_by_transcripts();
    let mut faults = Vec::new();
    let mut named = BTreeSet::new();
    for table in tables() {
        for (section, row) in table.rows() {
            for status in &row.statuses {
                let Status::Transcript(name) = status else {
                    continue;
                };
                let key = (
                    table.document.to_owned(),
                    section.number.clone(),
                    name.clone(),
                );
                if !shown.contains_key(&key) {
                    let number = &section.number;
                    faults.push(format!("{}: {name} says nothing of \u{a7}{number}", row.at));
                }
                named.insert(key);
            }
        }
    }
    for ((document, section, name), at) in &shown {
        if !named.contains(&(document.clone(), section.clone(), name.clone())) {
            faults.push(format!(
                "{at}: no row of {document} \u{a7}{section} names it"
            ));
        }
    }
    assert_none(&faults);
}

/// What sources, tests and transcripts cite is there; and where the document asks for something in it, the table says what.
#[test]
fn what_is_cited_exists_and_is_accounted_for() {
    let tables = tables();
    let mut faults = Vec::new();
    let mut count = 0;
    let directories = [
        "core/src",
        "shell-common/src",
        "shell-common/tests",
        "shell-mio",
        "spec-tests/src",
        "spec-tests/tests",
        "benches/src",
    ];
    let sources = directories.iter().flat_map(|path| files(path, "rs"));
    for path in sources.chain(files("spec-tests/transcripts", "xmpp")) {
        for (index, line) in read(&path).lines().enumerate() {
            for (document, number) in citations(line) {
                count += 1;
                let table = tables
                    .iter()
                    .find(|table| table.document == document)
                    .unwrap();
                let known = table.known.iter().find(|(known, ..)| *known == number);
                let listed = table.sections.iter().any(|one| one.number == number);
                let fault = match known {
                    None => "there is no such section",
                    Some((_, asks, _)) if *asks > 0 && !listed => "the table has no such section",
                    Some(_) => continue,
                };
                faults.push(format!(
                    "{path}:{}: {document} \u{a7}{number}: {fault}",
                    index + 1
                ));
            }
        }
    }
    assert_none(&faults);
    assert!(count > 300, "only {count} citations");
}

/// Every deviation of the table is among those that ARCHITECTURE.md tells.
#[test]
fn deviations_are_told_where_people_look_for_them() {
    let text = read("ARCHITECTURE.md");
    let choices = text
        .split("\n## ")
        .find(|part| part.starts_with("Choices and deviations"));
    // Lines are wrapped anywhere.
    let choices = choices
        .unwrap()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let told: BTreeSet<(String, String)> = citations(&choices).into_iter().collect();
    let mut faults = Vec::new();
    for table in tables() {
        for (section, row) in table.rows() {
            let key = (table.document.to_owned(), section.number.clone());
            if row.statuses.contains(&Status::Deviation) && !told.contains(&key) {
                faults.push(format!("{}: ARCHITECTURE.md says nothing of it", row.at));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn a_topic_is_open_as_long_as_a_row_waits_for_it() {
    let mut open: BTreeMap<String, usize> = BTreeMap::new();
    for table in tables() {
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (_, row) in table.rows() {
            *counts.entry((&row.level, row.verdict())).or_default() += 1;
            for status in &row.statuses {
                if let Status::Open(topic) = status {
                    *open.entry(topic.clone()).or_default() += 1;
                }
            }
        }
        let all: usize = counts.values().sum();
        println!("{}: {all} rows", table.document);
        for verdict in [
            "shown",
            "open in part",
            "open",
            "deviation",
            "not applicable",
        ] {
            let of = |level| counts.get(&(level, verdict)).copied().unwrap_or_default();
            let must = of("MUST") + of("MUST NOT");
            let should = of("SHOULD") + of("SHOULD NOT");
            let others = of("MAY") + of("says");
            println!("  {verdict:<14} {must:>4} MUST {should:>4} SHOULD {others:>4} others");
        }
    }
    for (topic, what) in TOPICS {
        let count = open.get(*topic).copied().unwrap_or_default();
        println!("{count:>4} rows wait for {topic}: {what}");
        assert!(count > 0, "{topic} is open for nothing");
    }
}

#[test]
fn citations_are_found_in_their_forms() {
    let found = |line| {
        let found = citations(line).into_iter();
        found.map(|(_, number)| number).collect::<Vec<_>>()
    };
    assert_eq!(found("RFC 6120 §4.2, §4.7."), ["4.2", "4.7"]);
    assert_eq!(found("(RFC 6121 §8.5.3.1 and §A.2) §9"), ["8.5.3.1", "A.2"]);
    assert_eq!(found("RFC 6120 §4 to §7; RFC 6122 §2"), ["4", "7"]);
    assert!(found("RFC 6120, XEP-0030 §8").is_empty());
    assert_eq!(found("XEP-0191 §3.3 and §6; XEP-0030 §8"), ["3.3", "6"]);
}
