//! The house's rules that no compiler knows: layers, lengths, headers, citations, budgets.
//!
//! Each test names every offence it finds, as `FILE:LINE`. Words that must not appear are put together from parts here, so that
//! this file passes its own tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use spec_tests::server::Scratch;

/// The modules of the core from the bottom up. A module may name those of lower layers.
const LAYERS: &[&[&str]] = &[
    &[
        "arena", "entropy", "limits", "map", "options", "planted", "rare", "rate", "secret",
        "time", "timer", "work",
    ],
    &["jid", "xml"],
    &[
        "stanza",
        "sasl",
        "store",
        "envelope",
        "port",
        "config",
        "csi",
        "sm",
        "federation",
    ],
    &[
        "due",
        "effects",
        "wait",
        "stream",
        "account",
        "archive",
        "blocking",
        "link",
        "private",
        "registration",
        "roster",
        "vcard",
        "xep",
    ],
    &["catalog", "shard", "fuzzing", "testing"],
];

/// What modules may name in their own layer.
const EDGES: &[(&str, &str)] = &[
    ("limits", "options"),
    ("limits", "rate"),
    ("options", "rate"),
    ("options", "secret"),
    ("rate", "time"),
    ("timer", "time"),
    // The options of a feature are plain data.
    ("config", "archive"),
    ("config", "blocking"),
    ("config", "csi"),
    ("config", "private"),
    ("config", "registration"),
    ("config", "roster"),
    ("config", "sasl"),
    ("config", "sm"),
    ("config", "xep"),
    ("csi", "stanza"),
    ("envelope", "sasl"),
    ("config", "federation"),
    ("envelope", "federation"),
    ("federation", "stanza"),
    ("port", "federation"),
    ("due", "link"),
    ("envelope", "stanza"),
    ("fuzzing", "shard"),
    ("fuzzing", "testing"),
    ("testing", "shard"),
    ("port", "config"),
    ("port", "envelope"),
    ("port", "sasl"),
    ("port", "store"),
    ("sasl", "store"),
    ("sm", "stanza"),
    ("sm", "store"),
    ("account", "archive"),
    ("account", "blocking"),
    ("account", "effects"),
    ("account", "private"),
    ("account", "registration"),
    ("account", "roster"),
    ("account", "vcard"),
    ("account", "xep"),
    ("stream", "effects"),
    ("stream", "registration"),
    ("stream", "xep"),
    ("due", "account"),
    ("wait", "account"),
    ("wait", "link"),
];

/// Code lines of each shell: neither blank nor comment. What is not about waiting belongs to shell-common.
const BUDGETS: &[(&str, usize)] = &[("shell-mio/src", 1500), ("shell-smol/src", 1200)];

const FILE_LINES_MAX: usize = 800;
const FILE_BYTES_MAX: u64 = 1 << 20;

struct Text {
    /// Relative to the root.
    name: String,
    text: String,
}

impl Text {
    fn is_rust(&self) -> bool {
        self.name.ends_with(".rs")
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file of the project: what git tracks. Whatever else lies about in a work tree is nobody's business. Files that are new
/// and not yet added count where the code is, because there they take part in the build.
fn files() -> Vec<PathBuf> {
    let root = root();
    let mut found = git_lists(&root).unwrap_or_else(|| walk(&root));
    found.sort();
    assert!(
        found.len() > 20,
        "the project is not where it is looked for"
    );
    found
}

/// What holds nothing but the project's own.
const OWN: &[&str] = &[
    "benches",
    "core",
    "fuzz/fuzz_targets",
    "shell-common",
    "shell-mio",
    "shell-smol",
    "spec-tests",
];

/// Git about this directory, also when git itself runs the tests, from a hook.
fn git(directory: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(directory);
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        git.env_remove(name);
    }
    git
}

/// `None` where there is no git or no repository.
fn git_lists(root: &Path) -> Option<Vec<PathBuf>> {
    let list = |arguments: &[&str]| {
        let output = git(root)
            .args(["ls-files", "-z"])
            .args(arguments)
            .output()
            .ok()?;
        let names = output.status.success().then_some(output.stdout)?;
        let names = String::from_utf8(names).ok()?;
        let paths = names.split_terminator('\0').map(|name| root.join(name));
        // One that was removed is tracked until it is committed so.
        Some(paths.filter(|path| path.is_file()).collect::<Vec<_>>())
    };
    let mut found = list(&["--cached"])?;
    // Sources alone are a directory in somebody else's repository, perhaps.
    if !found.contains(&root.join("Cargo.toml")) {
        return None;
    }
    let others = ["--others", "--exclude-standard", "--"];
    found.extend(list(&[&others, OWN].concat())?);
    Some(found)
}

/// All there is, but for what is made: for sources that came without git.
fn walk(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let made = ["target", ".git", "spondee-data", "node_modules"];
            if entry.file_type().unwrap().is_file() {
                found.push(entry.path());
            } else if entry.file_type().unwrap().is_dir() && !made.iter().any(|made| name == *made)
            {
                open.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn what_lies_about_is_not_looked_at_but_new_code_is() {
    let scratch = Scratch::new().unwrap();
    let root = scratch.path();
    let run = |arguments: &[&str]| {
        let done = git(root).args(arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?}");
    };
    if Command::new("git").arg("--version").output().is_err() {
        return;
    }
    fs::create_dir_all(root.join("core/src")).unwrap();
    for name in [
        "Cargo.toml",
        "notes",
        "core/src/new.rs",
        "core/a.log",
        ".gitignore",
    ] {
        fs::write(root.join(name), "*.log\n").unwrap();
    }
    run(&["init", "-q"]);
    run(&["add", "Cargo.toml"]);
    let found = git_lists(root).unwrap();
    assert_eq!(
        found,
        [root.join("Cargo.toml"), root.join("core/src/new.rs")]
    );
    let walked = walk(root);
    assert!(walked.contains(&root.join("notes")) && walked.len() == 5);
}

fn name_of(path: &Path) -> String {
    let root = root();
    path.strip_prefix(&root).unwrap().display().to_string()
}

/// Everything that is text. `.git` is a file in a linked work tree; Cargo.lock names its registry and is not ours.
fn texts() -> Vec<Text> {
    files()
        .iter()
        .map(|path| (name_of(path), path))
        .filter(|(name, _)| name != ".git" && name != "Cargo.lock")
        .filter_map(|(name, path)| {
            let text = fs::read_to_string(path).ok()?;
            Some(Text { name, text })
        })
        .collect()
}

/// Collects `FILE:LINE: fault` for every line for which `fault` gives one.
fn faults(texts: &[Text], fault: impl Fn(&Text, &str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for text in texts {
        for (index, line) in text.text.lines().enumerate() {
            if let Some(fault) = fault(text, line) {
                faults.push(format!("{}:{}: {fault}", text.name, index + 1));
            }
        }
    }
    faults
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The modules a line names as `crate::name` or `crate::{name, …}`.
fn named(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or_default();
    let is_part = |c: char| !(c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit());
    let mut names = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let group = rest.strip_prefix('{').map(|rest| {
            let inside = rest.split('}').next().unwrap_or_default();
            inside.split(", ").collect::<Vec<_>>()
        });
        for name in group.unwrap_or_else(|| vec![rest]) {
            names.push(name.split(is_part).next().unwrap_or_default());
        }
    }
    names
}

#[test]
fn modules_of_the_core_name_only_lower_layers() {
    let layer = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let faults = faults(&texts(), |text, line| {
        let path = text.name.strip_prefix("core/src/")?;
        let module = path.split(['/', '.']).next()?;
        // Tests may drive what they test from wherever that is.
        let is_test = path.contains("/tests/") || path.ends_with("/tests.rs");
        if module == "lib" || is_test {
            return None;
        }
        let Some(own) = layer(module) else {
            return Some(format!("{module} is in no layer"));
        };
        named(line)
            .into_iter()
            .filter(|name| *name != module && !EDGES.contains(&(module, name)))
            // What `lib.rs` re-exports begins with a capital and is for others than the core.
            .find(|name| layer(name).is_none_or(|other| other >= own))
            .map(|name| format!("{module} must not name {name:?}"))
    });
    assert_none(&faults);
}

#[test]
fn rust_files_have_a_header_and_are_not_too_long() {
    let mut faults = Vec::new();
    for text in texts().iter().filter(|text| text.is_rust()) {
        // `foo/tests.rs` and `foo/tests/` are the end of `foo.rs`, whose header speaks for all.
        let end = text.name.contains("/src/") && text.name.contains("/tests");
        if !text.text.starts_with("//! ") && !end {
            faults.push(format!("{}: no //! header", text.name));
        }
        let lines = text.text.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(format!(
                "{}: {lines} lines; split it along a phase",
                text.name
            ));
        }
    }
    assert_none(&faults);
}

/// `RFC n §s` and `XEP-nnnn §s`; a document may be named without a section.
fn citation_fault(line: &str) -> Option<String> {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).count();
    for rest in line.split("RFC").skip(1) {
        if rest.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return Some("write `RFC n`".to_owned());
        }
    }
    for rest in line.split("XEP").skip(1) {
        let four = rest.strip_prefix('-').is_some_and(|rest| digits(rest) == 4);
        let number = rest.starts_with(['-', ' ']) && digits(&rest[1..]) > 0;
        if number && !four {
            return Some("write `XEP-nnnn`".to_owned());
        }
    }
    for rest in line.split('\u{a7}').skip(1) {
        if !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Some("write the number right behind \u{a7}".to_owned());
        }
    }
    let lower = line.to_lowercase();
    for rest in lower.split("section ").skip(1) {
        if digits(rest) > 0 {
            return Some("write \u{a7} for a section".to_owned());
        }
    }
    None
}

#[test]
fn citations_have_one_form() {
    assert!(citation_fault("RFC 6120 \u{a7}4.9.3.1, XEP-0198 \u{a7}5, XEPs").is_none());
    for wrong in ["RFC6120", "XEP-198", "XEP 0198", "\u{a7} 4", "Section 4.2"] {
        assert!(citation_fault(wrong).is_some(), "{wrong}");
    }
    let faults = faults(&texts(), |text, line| {
        let checked = text.is_rust() || text.name.ends_with(".xmpp");
        let tidy = text.name == "spec-tests/tests/tidy.rs";
        (checked && !tidy).then(|| citation_fault(line)).flatten()
    });
    assert_none(&faults);
}

#[test]
fn shells_keep_their_budget() {
    for (directory, budget) in BUDGETS {
        let texts = texts();
        let count = texts
            .iter()
            .filter(|text| text.is_rust() && text.name.starts_with(directory))
            .flat_map(|text| text.text.lines())
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("//"))
            .count();
        assert!(count <= *budget, "{directory}: {count} of {budget} lines");
    }
}

/// What names a running server, by whichever way.
const DRIVES: [&str; 2] = ["spec_tests::server::", "server::{"];

/// Those that ask no server of what depends on the shell.
const DRIVES_ALONE: [&str; 4] = [
    // What certbot and lego bring in; that a server takes it, `certificate_swap` shows of both.
    "acme",
    // The README's commands, which are of one shell.
    "readme",
    // The calls that a thread of shell-mio may make: one of smol waits otherwise.
    "shard_calls",
    "tidy",
];

/// What is not in the list is not run for the second shell.
#[test]
fn whatever_drives_a_server_drives_both() {
    let listed = texts();
    let listed = listed
        .iter()
        .find(|text| text.name == "spec-tests/shells.txt");
    let listed: BTreeSet<&str> = listed
        .expect("the list")
        .text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let texts = texts();
    let drives = texts.iter().filter_map(|text| {
        let name = text.name.strip_prefix("spec-tests/tests/")?;
        let name = name.split(['/', '.']).next()?;
        let drives = text.is_rust() && DRIVES.iter().any(|word| text.text.contains(word));
        (drives && !DRIVES_ALONE.contains(&name)).then_some(name)
    });
    assert_eq!(listed, drives.collect());
}

#[test]
fn nothing_is_left_half_done_or_switched_off() {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ig", "nore"),
        concat!("#[al", "low("),
        concat!("#![al", "low("),
    ];
    let faults = faults(&texts(), |_, line| {
        let word = words.iter().find(|word| line.contains(**word))?;
        Some(format!("{word:?}"))
    });
    assert_none(&faults);
}

#[test]
fn the_text_speaks_of_the_project_alone() {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/tmp", "/wt"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("registry.", "npmjs"),
        concat!("py", "pi.org"),
        concat!("deb.", "debian.org"),
        concat!("proxy.", "golang"),
        concat!("static.", "crates.io"),
    ];
    let faults = faults(&texts(), |_, line| {
        let word = words.iter().find(|word| line.contains(**word))?;
        Some(format!("{word:?}"))
    });
    assert_none(&faults);
}

#[test]
fn the_changelog_begins_with_what_is_unreleased() {
    let text = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let first = text.lines().find(|line| line.starts_with("## "));
    assert_eq!(first, Some("## Unreleased"));
}

#[test]
fn no_file_is_large() {
    let mut faults = Vec::new();
    for path in files() {
        let bytes = fs::metadata(&path).unwrap().len();
        if bytes > FILE_BYTES_MAX {
            faults.push(format!("{}: {bytes} bytes", name_of(&path)));
        }
    }
    assert_none(&faults);
}
