//! Archives and what is left of users, looked after by the command line without a server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use spondee_core::archive::{ARCHIVE, Spool};
use spondee_core::jid::BareJid;
use spondee_core::private::PRIVATE;
use spondee_core::roster::{ROSTER, ROSTER_VERSION};
use spondee_core::store::{Batch, Class, Entry, Expect, Field, Kept, Op, Payload, Row, Table};
use spondee_core::vcard::VCARD;
use spondee_shell_common::boot::DataDirectory;
use spondee_shell_common::cli::{Console, Input, Surroundings, main_with};
use spondee_shell_common::store::Backend as _;

const JULIET: &str = "juliet@example.org";
const ROMEO: &str = "romeo@example.org";
/// In everything of Juliet's.
const MARKER: &str = "QUEEN-MAB";
const DAY: i64 = 86_400_000_000;
/// 2026-11-22T00:00:00Z.
const FIRST: i64 = 20_779 * DAY;

/// A directory with a configuration and two users, gone afterwards.
struct Place(PathBuf);

/// What a command line left behind: exit code, output, errors.
type Outcome = (u8, String, String);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("spondee-archive-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Left over from a run that was killed.
        let _ = fs::remove_dir_all(&path);
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        let place = Self(path);
        let options = "data_directory = \"data\"\n\
                       default_iteration_count = 4096\n\
                       [host.\"example.org\"]\n\
                       [host.\"example.net\"]\n";
        fs::write(place.0.join("spondee.toml"), options).unwrap();
        for user in [JULIET, ROMEO] {
            assert_eq!(place.run(&["user", "add", user]).0, 0);
        }
        place
    }

    fn run(&self, line: &[&str]) -> Outcome {
        let (mut input, mut out, mut err) = (&b"secret"[..], Vec::new(), Vec::new());
        let console = Console {
            input: Input::Pipe(&mut input),
            out: &mut out,
            err: &mut err,
            surroundings: Surroundings {
                config: Some(self.0.join("spondee.toml")),
                system_config: self.0.join("no-such-file"),
                directory: self.0.clone(),
                renewed: Vec::new(),
            },
        };
        let args = ["spondee"].iter().chain(line).map(OsString::from);
        let code = main_with(args, console, |_, _| Ok(()));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (code, text(out), text(err))
    }

    /// What was printed, by a command that was done.
    #[track_caller]
    fn done(&self, line: &[&str]) -> String {
        let (code, out, err) = self.run(line);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        let aside = format!(
            " (in {}; no server runs there)",
            self.0.join("data").display()
        );
        out.replace(&aside, "")
    }

    #[track_caller]
    fn refused(&self, line: &[&str], code: u8, words: &str) {
        let outcome = self.run(line);
        assert_eq!(outcome.0, code, "{outcome:?}");
        assert!(outcome.2.contains(words), "{outcome:?}");
    }

    fn write(&self, owner: &str, ops: Vec<Op>) {
        let data = DataDirectory::open(&self.0.join("data")).unwrap();
        let mut store = data.store().unwrap();
        let batch = Batch {
            owner: BareJid::parse(owner).unwrap(),
            tenure: 0,
            class: Class::Change,
            ops,
        };
        store.apply(&[batch]).remove(0).unwrap();
    }

    /// One message an hour from a day on, of which the last ones wait.
    fn append(&self, owner: &str, first: i64, count: i64, waiting: i64) {
        let entry = |number: i64| Entry {
            key: first + number * DAY / 24,
            peer: Bytes::from_static(b"nurse@example.org"),
            resource: None,
            kept: match number >= count - waiting {
                true => Kept::Both,
                false => Kept::Archived,
            },
            payload: Payload(vec![Bytes::from(format!("<message>{MARKER}</message>"))]),
        };
        for part in (0..count).collect::<Vec<_>>().chunks(500) {
            let entries = part.iter().map(|number| entry(*number)).collect();
            self.write(
                owner,
                vec![Op::Append {
                    log: ARCHIVE,
                    entries,
                }],
            );
        }
    }

    /// How often it stands in the files of the data directory.
    fn found(&self, word: &str) -> usize {
        let files = fs::read_dir(self.0.join("data")).unwrap();
        let files = files.map(|file| fs::read(file.unwrap().path()).unwrap_or_default());
        let word = word.as_bytes();
        files
            .map(|bytes| {
                bytes
                    .windows(word.len())
                    .filter(|part| *part == word)
                    .count()
            })
            .sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn put(table: Table, fields: Vec<Field>) -> Op {
    Op::Put {
        table,
        row: Row(fields),
        expect: Expect::Absent,
    }
}

#[test]
fn how_much_is_archived_is_told_by_host_and_by_user() {
    let place = Place::new();
    place.append(JULIET, FIRST, 1200, 3);
    place.append(ROMEO, FIRST - 2 * DAY, 1, 0);
    let juliet = "juliet@example.org: 1200 messages, 33600 bytes, from 2026-11-22 to 2027-01-10; 3 to be delivered\n";
    let romeo = "romeo@example.org: 1 message, 28 bytes, from 2026-11-20 to 2026-11-20\n";
    let all = "example.org: 2 users, 1201 messages, 33628 bytes, from 2026-11-20 to 2027-01-10; 3 to be delivered\n";
    assert_eq!(place.done(&["archive", "stats", JULIET]), juliet);
    assert_eq!(
        place.done(&["archive", "stats", "example.org"]),
        format!("{juliet}{romeo}{all}")
    );
    let nobody = "example.net: 0 users, 0 messages, 0 bytes\n";
    assert_eq!(place.done(&["archive", "stats"]), format!("{nobody}{all}"));
    // What is delivered does not wait.
    let spool = Spool {
        done: Some(i64::MAX),
        ..Spool::default()
    };
    place.write(JULIET, vec![spool.put()]);
    let text = place.done(&["archive", "stats", JULIET]);
    assert!(!text.contains("delivered"), "{text}");
}

#[test]
fn how_much_is_archived_is_told_to_programs() {
    let place = Place::new();
    place.append(JULIET, FIRST, 2, 1);
    let json =
        |line: &[&str]| -> serde_json::Value { serde_json::from_str(&place.done(line)).unwrap() };
    let juliet = serde_json::json!({
        "jid": JULIET,
        "messages": 2,
        "bytes": 56,
        "oldest": "2026-11-22T00:00:00.000000Z",
        "newest": "2026-11-22T01:00:00.000000Z",
        "waiting": 1,
    });
    assert_eq!(json(&["archive", "stats", "--json", JULIET]), juliet);
    let list = json(&["archive", "stats", "--json", "example.org"]);
    assert_eq!(list[0], juliet);
    assert_eq!(list[1]["host"], "example.org");
    assert_eq!(list[1]["users"], 1);
    assert_eq!(list[1]["messages"], 2);
    let romeo = json(&["archive", "stats", "--json", ROMEO]);
    assert_eq!(romeo["messages"], 0);
    assert_eq!(romeo["oldest"], serde_json::Value::Null);
    let hosts = json(&["archive", "stats", "--json"]);
    assert_eq!(hosts.as_array().unwrap().len(), 2);
}

#[test]
fn what_is_older_than_a_date_is_removed_and_what_waits_stays() {
    let place = Place::new();
    place.append(JULIET, FIRST, 1200, 1190);
    place.append(ROMEO, FIRST, 48, 0);
    let before = "2026-11-23";
    let trim = |whose| place.done(&["archive", "trim", "--yes", whose, "--before", before]);
    assert_eq!(
        trim(JULIET),
        "24 messages of juliet@example.org from before 2026-11-23 removed\n"
    );
    let juliet = place.done(&["archive", "stats", JULIET]);
    assert!(
        juliet.starts_with("juliet@example.org: 1176 messages, "),
        "{juliet}"
    );
    assert!(juliet.ends_with("; 1190 to be delivered\n"), "{juliet}");
    assert_eq!(
        trim("example.org"),
        "24 messages of users of example.org from before 2026-11-23 removed\n"
    );
    // In steps, to a moment; the empty archive is no fault.
    let time = "2027-06-01T02:00:00+02:00";
    let line = ["archive", "trim", "--yes", "example.org", "--before", time];
    assert_eq!(
        place.done(&line),
        "1200 messages of users of example.org from before 2027-06-01 removed\n"
    );
    assert!(place.done(&line).starts_with("0 messages"));
}

#[test]
fn what_is_older_than_an_age_is_removed() {
    let place = Place::new();
    // Some of long ago, some of a time to come.
    place.append(JULIET, 19_000 * DAY, 3, 0);
    place.append(JULIET, 40_000 * DAY, 2, 0);
    for age in ["90 days", "1y", "6 months", "2w"] {
        let line = ["archive", "trim", "--yes", JULIET, "--older-than", age];
        let expected = if age == "90 days" {
            "3 messages"
        } else {
            "0 messages"
        };
        let said = place.done(&line);
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn who_trims_or_erases_is_told_what_is_wrong_and_what_to_do() {
    let place = Place::new();
    let age = ["--older-than", "1y"];
    let trim = |whose, rest: &[&'static str]| [&["archive", "trim", whose], rest].concat();
    place.refused(
        &trim(JULIET, &age),
        2,
        "`spondee archive trim --yes juliet@example.org --before 20",
    );
    place.refused(
        &["user", "erase", JULIET],
        2,
        "`spondee user erase --yes juliet@example.org`",
    );
    place.refused(
        &trim(JULIET, &["--yes"]),
        2,
        "--before <DATE>|--older-than <AGE>",
    );
    place.refused(&trim(JULIET, &["--before", "yesterday"]), 2, "2026-11-22");
    place.refused(&trim(JULIET, &["--before", "2026-02-30"]), 2, "2026-11-22");
    place.refused(&trim(JULIET, &["--older-than", "soon"]), 2, "90 days");
    place.refused(
        &trim(JULIET, &["--older-than", "6m"]),
        2,
        "minutes or months",
    );
    place.refused(
        &trim("example.com", &["--yes", "--older-than", "1y"]),
        1,
        "is not served; those of",
    );
    place.refused(
        &trim("nurse@example.org", &["--yes", "--older-than", "1y"]),
        1,
        "no user nurse@example.org",
    );
    place.refused(
        &["archive", "stats", "nurse@example.org"],
        1,
        "no user nurse@example.org",
    );
    place.refused(
        &["archive", "stats", "example.com"],
        1,
        "is not served; those of",
    );
    place.refused(
        &["archive", "stats", "a@example.org/b"],
        2,
        "leave out the /",
    );
    place.refused(
        &["user", "erase", "--yes", "nurse@example.com"],
        1,
        "is not served",
    );
}

#[test]
fn nothing_readable_is_left_of_a_user_that_was_erased() {
    let place = Place::new();
    place.append(JULIET, FIRST, 2500, 7);
    let text = |text: &str| Field::text(text);
    let xml = || Field::Xml(Bytes::from(format!("<x>{MARKER}</x>")));
    let none = || Field::Absent;
    place.write(
        JULIET,
        vec![
            put(&VCARD, vec![xml()]),
            put(&PRIVATE, vec![text("urn:x"), text(MARKER), xml()]),
            put(
                &ROSTER,
                vec![
                    text("nurse@elsewhere.example"),
                    text(MARKER),
                    text("none"),
                    none(),
                    none(),
                    none(),
                ],
            ),
            put(&ROSTER_VERSION, vec![Field::Int(7)]),
        ],
    );
    assert!(place.found(MARKER) > 2500);
    let said = place.done(&["user", "erase", "--yes", JULIET]);
    assert_eq!(
        said,
        "juliet@example.org was erased: nothing that the server kept for it is left in the database\n"
    );
    assert_eq!(place.found(MARKER), 0);
    assert_eq!(place.done(&["user", "list"]), "romeo@example.org\n");
    // Once more: there is nothing to be done, and who mistypes a name hears of it.
    place.refused(
        &["user", "erase", "--yes", JULIET],
        1,
        "there is no user juliet@example.org; of users that were deleted before, nothing is left",
    );
}

#[test]
fn a_user_that_was_deleted_before_can_be_erased() {
    let place = Place::new();
    place.append(JULIET, FIRST, 1000, 0);
    place.done(&["user", "delete", "--yes", JULIET]);
    assert!(place.found(MARKER) > 0);
    place.refused(&["user", "erase", "--yes", JULIET], 1, "nothing is left");
    assert_eq!(place.found(MARKER), 0);
}
