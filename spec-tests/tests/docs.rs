//! The pages below docs/, held to what is so: tests that they name are there, and sentences that they explain are said.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All that ends so below a directory.
fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// The rows of the tables below a heading of a page: their cells.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let section = page
        .split("\n## ")
        .find_map(|text| text.strip_prefix(heading));
    let lines = section.unwrap_or_default().lines();
    let rows = lines.filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let cells = |row: &str| {
        row.trim_matches('|')
            .split(" | ")
            .map(str::to_owned)
            .collect()
    };
    rows.skip(1).map(cells).collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Sources, with what is one text in them in one piece.
fn sources(directories: &[&str]) -> String {
    let mut all = String::new();
    for directory in directories {
        for file in files(&root().join(directory), ".rs") {
            let text = fs::read_to_string(file).unwrap();
            let mut lines = text.lines();
            // A backslash at the end takes the space in front of the next line away.
            while let Some(line) = lines.next() {
                let mut line = line.to_owned();
                while let (true, Some(next)) = (line.ends_with('\\'), lines.clone().next()) {
                    line.truncate(line.len() - 1);
                    line.push_str(next.trim_start());
                    lines.next();
                }
                all.push_str(&line);
                all.push('\n');
            }
        }
    }
    all
}

/// Wherever there are tests.
fn tests() -> String {
    sources(&[
        "core/src",
        "shell-common",
        "shell-mio/src",
        "spec-tests/tests",
    ])
}

#[test]
fn every_test_that_shows_a_promise_is_there() {
    let tests = tests();
    for page in files(&root().join("docs"), ".md") {
        let text = fs::read_to_string(&page).unwrap();
        for row in rows(&text, "What is promised, and the test that shows it") {
            let mut named = 0;
            for name in quoted(row.last().unwrap()) {
                named += 1;
                let there = tests.contains(&format!("fn {name}("));
                assert!(there, "{}: {name}", page.display());
            }
            assert!(named > 0, "{}: {row:?}", page.display());
        }
    }
}

/// Each sentence of Prosody's manual is shown by tests, or it is said why not.
#[test]
fn every_promise_of_prosodys_manual_is_shown_or_said_to_come() {
    let tests = tests();
    for (page, sentences) in [("security", 30), ("passwords", 20)] {
        let text = fs::read_to_string(root().join(format!("docs/{page}.md"))).unwrap();
        let rows = rows(&text, "Prosody's page, sentence by sentence");
        assert!(rows.len() > sentences, "{page}: {}", rows.len());
        for row in &rows {
            let [_, here, shown] = &row[..] else {
                panic!("{page}: {row:?}");
            };
            let names: Vec<_> = quoted(shown).collect();
            for name in &names {
                assert!(tests.contains(&format!("fn {name}(")), "{page}: {name}");
            }
            let is_open = ["advice", "later"].contains(&shown.trim());
            assert_eq!(names.is_empty(), is_open, "{page}: {row:?}");
            assert!(is_open || !here.trim().is_empty(), "{page}: {row:?}");
        }
    }
}

#[test]
fn every_sentence_about_certificates_that_is_explained_is_said() {
    let said = sources(&["shell-common/src/tls", "shell-common/src/boot"]);
    let page = fs::read_to_string(root().join("docs/certificates.md")).unwrap();
    let rows = rows(&page, "What is said, and what to do");
    assert!(rows.len() > 30, "{rows:?}");
    for row in &rows {
        for sentence in quoted(&row[0]) {
            assert!(said.contains(sentence), "{sentence}");
        }
    }
}
