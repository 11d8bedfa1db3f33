//! Databases that were lost, cut off or damaged: each is refused with what to do, or nothing of it is missing.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::examine;
use super::*;

const ACCOUNTS: usize = 60;

/// A database, and the log beside it, as a killed server leaves them.
#[derive(Clone)]
struct Files {
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Files {
    fn of(directory: &Path) -> Self {
        let read = |end: &str| fs::read(directory.join(format!("{FILE_NAME}{end}")));
        Self {
            database: read("").unwrap(),
            log: read("-wal").unwrap_or_default(),
        }
    }

    fn put(&self, directory: &Path) {
        for entry in fs::read_dir(directory).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        fs::write(directory.join(FILE_NAME), &self.database).unwrap();
        if !self.log.is_empty() {
            fs::write(wal(directory), &self.log).unwrap();
        }
    }

    fn cut(&self, length: usize) -> Self {
        let mut cut = self.clone();
        cut.database.truncate(length);
        cut
    }
}

fn wal(directory: &Path) -> PathBuf {
    directory.join(format!("{FILE_NAME}-wal"))
}

/// One account, some of them with more than a page holds.
fn account(number: usize) -> Batch {
    let word = "v".repeat(if number.is_multiple_of(7) { 9000 } else { 300 });
    batch(&format!("user{number}@x.example"), vec![state(&word)])
}

fn add(sqlite: &mut Sqlite, numbers: std::ops::Range<usize>) {
    let batches: Vec<Batch> = numbers.map(account).collect();
    assert!(sqlite.apply(&batches).iter().all(Result::is_ok));
}

/// Everything is there.
fn is_whole(sqlite: &mut Sqlite) -> bool {
    let checked: String = sqlite
        .connection()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    let all = sqlite.apply(&[batch("x.example", vec![owners(None, 1000)])]);
    let [Ok(replies)] = &all[..] else {
        return false;
    };
    let [Reply::Owners(owners)] = &replies[..] else {
        return false;
    };
    let bytes = |number: usize| if number.is_multiple_of(7) { 9000 } else { 300 };
    let expected: usize = (0..ACCOUNTS).map(bytes).sum();
    checked == "ok"
        && owners.len() == ACCOUNTS
        && owners.iter().map(|(_, row)| row.weight()).sum::<usize>() == expected
}

/// Closed in good order, so that there is no log.
fn closed() -> Files {
    let directory = Scratch::new();
    let mut sqlite = open_in(directory.path(), History::Unknown).unwrap();
    add(&mut sqlite, 0..ACCOUNTS);
    drop(sqlite);
    let files = Files::of(directory.path());
    assert!(files.log.is_empty());
    files
}

/// Killed, with some of it written back from the log and some not.
fn killed(written_back: usize) -> Files {
    let directory = Scratch::new();
    let mut sqlite = open_in(directory.path(), History::Unknown).unwrap();
    add(&mut sqlite, 0..written_back);
    if written_back > 0 {
        sqlite
            .connection()
            .query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))
            .unwrap();
    }
    add(&mut sqlite, written_back..ACCOUNTS);
    // Those that were written back are changed once more.
    add(&mut sqlite, 0..written_back / 2);
    Files::of(directory.path())
}

/// Lengths on both sides of each page's end, and many in between.
fn lengths(whole: usize) -> impl Iterator<Item = usize> {
    let near = (0..=whole)
        .step_by(4096)
        .flat_map(|end| [end, end + 1, end + 100, end + 4095]);
    near.chain((0..whole).step_by(1237))
        .filter(move |length| *length < whole)
}

#[test]
fn a_database_cut_anywhere_is_refused_and_left_as_it_is() {
    let scratch = Scratch::new();
    let directory = scratch.path();
    let whole = closed();
    for length in lengths(whole.database.len()).filter(|length| *length > 0) {
        whole.cut(length).put(directory);
        let refusal = open_in(directory, History::Unknown).unwrap_err();
        assert!(refusal.contains("is cut off"), "{length}: {refusal}");
        assert!(
            refusal.contains("restore it from a backup"),
            "{length}: {refusal}"
        );
        assert_eq!(examine(directory, History::Unknown), Err(refusal));
        let after = fs::read(directory.join(FILE_NAME)).unwrap();
        assert_eq!(after.len(), length);
    }
    whole.put(directory);
    assert!(is_whole(&mut open_in(directory, History::Unknown).unwrap()));
}

/// What is in the log may be missing from the file.
#[test]
fn a_database_cut_beside_its_log_is_refused_or_whole() {
    let scratch = Scratch::new();
    let directory = scratch.path();
    for written_back in [0, 20, 45, ACCOUNTS] {
        let whole = killed(written_back);
        let (mut refused, mut opened) = (0, 0);
        for length in lengths(whole.database.len()) {
            whole.cut(length).put(directory);
            match open_in(directory, History::Unknown) {
                Ok(mut sqlite) => {
                    assert!(is_whole(&mut sqlite), "{written_back}: {length}");
                    opened += 1;
                }
                Err(refusal) => {
                    assert!(refusal.contains("backup"), "{refusal}");
                    // The log may hold what is to be saved.
                    assert_eq!(fs::read(wal(directory)).unwrap(), whole.log, "{length}");
                    refused += 1;
                }
            }
        }
        assert!(
            refused > 0 && (written_back > 0 || opened > 0),
            "{written_back}"
        );
        whole.put(directory);
        assert!(is_whole(&mut open_in(directory, History::Unknown).unwrap()));
    }
}

/// A server killed while the log is written back leaves a file that is shorter than its own first page says, and loses nothing.
#[test]
fn a_database_whose_log_was_half_written_back_is_whole() {
    let scratch = Scratch::new();
    let directory = scratch.path();
    for written_back in [0, 20] {
        let before = killed(written_back);
        before.put(directory);
        let sqlite = open_in(directory, History::Unknown).unwrap();
        sqlite
            .connection()
            .query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))
            .unwrap();
        let after = Files::of(directory);
        drop(sqlite);
        assert!(after.database.len() > before.database.len());
        for length in lengths(after.database.len()).filter(|at| *at >= before.database.len()) {
            let half = Files {
                database: after.database[..length].to_vec(),
                log: before.log.clone(),
            };
            half.put(directory);
            let opened = open_in(directory, History::Unknown);
            let mut sqlite = opened.unwrap_or_else(|refusal| panic!("{length}: {refusal}"));
            assert!(is_whole(&mut sqlite), "{length}");
        }
    }
}

/// What follows the last commit, and what was not written whole, counts for nothing.
#[test]
fn a_log_cut_anywhere_is_one_that_was_not_finished() {
    let scratch = Scratch::new();
    let directory = scratch.path();
    let whole = killed(20);
    for length in lengths(whole.log.len()) {
        let mut files = whole.clone();
        files.log.truncate(length);
        files.put(directory);
        let sqlite = open_in(directory, History::Unknown).unwrap();
        let checked: String = sqlite
            .connection()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(checked, "ok", "{length}");
    }
}

#[test]
fn a_database_that_is_gone_is_not_taken_for_a_new_one() {
    let scratch = Scratch::new();
    let directory = scratch.path();
    let sign = scratch.path().join("sign");
    let files = killed(20);
    let used = History::Used(&sign);
    let refused = |history, words: &str| {
        let refusal = open_in(directory, history).unwrap_err();
        assert!(refusal.contains(words), "{refusal}");
        assert!(refusal.contains("restore it from a backup"), "{refusal}");
        assert!(refusal.contains("to begin anew"), "{refusal}");
        refusal
    };
    let refusal = refused(used, "is gone");
    assert!(
        refusal.contains(&format!("remove {}", sign.display())),
        "{refusal}"
    );
    assert!(!directory.join(FILE_NAME).exists());
    assert_eq!(examine(directory, used), Err(refusal));

    files.cut(0).put(directory);
    refused(used, "is empty");
    // The log alone is sign enough, and SQLite would remove it.
    refused(History::Unknown, "-wal shows");
    assert_eq!(fs::read(wal(directory)).unwrap(), files.log);
    fs::remove_file(wal(directory)).unwrap();
    refused(used, "is empty");

    // A database, but without anything.
    fs::remove_file(directory.join(FILE_NAME)).unwrap();
    let empty = rusqlite::Connection::open(directory.join(FILE_NAME)).unwrap();
    empty.execute_batch("VACUUM").unwrap();
    drop(empty);
    refused(used, "is empty");
    open_in(directory, History::Unknown).unwrap();
    open_in(directory, used).unwrap();
}

#[test]
fn what_is_no_file_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.path().join(FILE_NAME);
    fs::create_dir(&path).unwrap();
    let refusal = open_in(scratch.path(), History::Unknown).unwrap_err();
    assert!(refusal.contains("is not a file"), "{refusal}");
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("elsewhere/db", &path).unwrap();
    let refusal = open_in(scratch.path(), History::Unknown).unwrap_err();
    assert!(refusal.contains("is a link to elsewhere/db"), "{refusal}");
}

/// Where the file is small enough, SQLite looks through it.
#[test]
fn a_page_of_nonsense_is_found_at_the_start() {
    let scratch = Scratch::new();
    let mut files = closed();
    let pages = files.database.len() / 4096;
    let mut refused = 0;
    for page in 1..pages {
        let nonsense = page * 4096..(page + 1) * 4096;
        let good = files.database[nonsense.clone()].to_vec();
        files.database[nonsense.clone()].fill(0xa5);
        files.put(scratch.path());
        match open_in(scratch.path(), History::Unknown) {
            Err(refusal) => {
                assert!(refusal.contains("is damaged"), "{refusal}");
                assert!(refusal.contains(".recover"), "{refusal}");
                refused += 1;
            }
            // The last page of a long value holds nothing but a part of it.
            Ok(_) => assert!(page > 1),
        }
        files.database[nonsense].copy_from_slice(&good);
    }
    assert!(refused * 2 > pages, "{refused} of {pages}");
}
