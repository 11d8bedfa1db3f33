//! How SQLite carries out what it is told, and what is left of purged owners.

use spondee_core::catalog::CATALOG;
use spondee_core::sasl::TALLIED;
use spondee_core::store::{Entry, Kept, Log, Order, Page, Payload, Peer, Pick, Subset};

use super::sql::Sql;
use super::*;
use crate::scratch::Scratch;
use crate::store::page::Filling;
use crate::store::tests::{LOG, TESTED, open};
use crate::store::{History, open_sqlite};

#[test]
fn no_statement_scans_or_sorts() {
    let (tested, served) = (Scratch::new(), Scratch::new());
    let databases = [
        (open(&tested), Sql::new(&TESTED)),
        (
            open_sqlite(served.path(), History::Unknown).unwrap(),
            Sql::new(&CATALOG),
        ),
    ];
    let statements = databases
        .iter()
        .flat_map(|(sqlite, sql)| sql.all().into_iter().map(move |text| (sqlite, text)));
    let all: Vec<_> = statements.collect();
    assert!(all.len() > 80);
    for (sqlite, statement) in all {
        let explain = format!("EXPLAIN QUERY PLAN {statement}");
        let mut explain = sqlite.connection.prepare(&explain).unwrap();
        let count = explain.parameter_count();
        let nulls = std::iter::repeat_n(rusqlite::types::Null, count);
        let plan: Vec<String> = explain
            .query_map(rusqlite::params_from_iter(nulls), |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for step in &plan {
            // A row of constants is no table; and what is counted is all that its index has.
            let counts = |subset: &Subset| {
                let index = format!("INDEX {}", subset.index());
                step.ends_with(&index)
                    || *step == "SCAN (subquery-1)" && statement.contains(&subset.index())
            };
            let scans = step.starts_with("SCAN")
                && step != "SCAN CONSTANT ROW"
                && !TALLIED.iter().any(counts);
            let sorts = step.contains("TEMP B-TREE");
            assert!(!scans && !sorts, "{statement}\n{plan:?}");
        }
    }
}

fn append(owner: &str, keys: std::ops::Range<i64>) -> Batch {
    append_with(owner, "b@y.example", keys)
}

fn append_with(owner: &str, peer: &'static str, keys: impl IntoIterator<Item = i64>) -> Batch {
    let entry = |key| Entry {
        key,
        peer: peer.into(),
        resource: None,
        kept: Kept::Archived,
        payload: Payload(vec!["<message/>".into()]),
    };
    Batch {
        owner: BareJid::parse(owner).unwrap(),
        tenure: 0,
        class: spondee_core::store::Class::Append,
        ops: vec![Op::Append {
            log: LOG,
            entries: keys.into_iter().map(entry).collect(),
        }],
    }
}

fn change(owner: &str, ops: Vec<Op>) -> Batch {
    Batch {
        class: spondee_core::store::Class::Change,
        ops,
        ..append(owner, 0..0)
    }
}

fn count(sqlite: &Sqlite, table: &str) -> i64 {
    let count = format!("SELECT count(*) FROM {table}");
    sqlite
        .connection
        .query_row(&count, [], |row| row.get(0))
        .unwrap()
}

#[test]
fn what_a_purged_owner_left_goes_in_steps_and_nothing_stays() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
    let purge = change("a@x.example", vec![Op::Purge]);
    let outcomes = sqlite.apply(&[
        append("a@x.example", 0..400),
        append("a@x.example", 400..800),
        append("a@x.example", 800..1200),
        append("b@x.example", 0..5),
        purge,
    ]);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(count(&sqlite, "archive"), 1205, "still there, and nobody's");
    // The namesake sees nothing of it.
    let outcomes = sqlite.apply(&[append("a@x.example", 7..8)]);
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    let mut steps = 0;
    while sqlite.tend(Quiet::Yes) == Tended::More {
        steps += 1;
    }
    assert_eq!(steps, 4, "three with entries, and the owner itself");
    assert_eq!(count(&sqlite, "archive"), 6);
    assert_eq!(count(&sqlite, "archive_day"), 2);
    assert_eq!(count(&sqlite, "owner"), 2);
}

#[test]
fn days_of_a_group_that_was_rolled_back_are_not_remembered() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
    let log = Log::new("nowhere");
    let unknown = change("a@x.example", vec![Op::Blank { log, key: 1 }]);
    let first = append("a@x.example", 1..2);
    let outcomes = sqlite.apply(&[first, unknown]);
    assert_eq!(outcomes, [Ok(vec![Reply::Done]), Err(StoreError::Failed)]);
    assert_eq!(count(&sqlite, "archive_day"), 1);
    assert_eq!(count(&sqlite, "archive"), 1);
}

#[test]
fn behind_an_outcome_that_nobody_can_know_no_batch_is_begun() {
    let batches = [0, 1, 2, 3].map(|key| append("a@x.example", key..key + 1));
    let mut begun = 0;
    let outcomes = each_until_unknown(&batches, |_| {
        begun += 1;
        match begun {
            1 => Ok(vec![Reply::Done]),
            _ => Err(StoreError::Unknown),
        }
    });
    let failed = Err(StoreError::Failed);
    let expected = [
        Ok(vec![Reply::Done]),
        Err(StoreError::Unknown),
        failed.clone(),
        failed,
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(begun, 2);
}

/// Every page of what is kept becomes nonsense; the first, with the schema, stays.
fn damage(directory: &Scratch) {
    let path = directory.path().join(crate::store::FILE_NAME);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn nothing_is_written_to_a_database_that_turned_out_to_be_damaged() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
    let good = sqlite.apply(&[append("a@x.example", 0..9)]);
    assert_eq!(good, [Ok(vec![Reply::Done])]);
    sqlite.tend(Quiet::Yes);
    let path = directory.path().join(crate::store::FILE_NAME);
    let before = std::fs::read(&path).unwrap();
    damage(&directory);
    // What is in memory is read again when another has written.
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 2).unwrap();
    let write = || append("b@x.example", 1..2);
    assert_eq!(sqlite.apply(&[write()]), [Err(StoreError::Failed)]);
    // Also when it looks well again.
    std::fs::write(&path, before).unwrap();
    other.pragma_update(None, "user_version", 2).unwrap();
    let read = change("a@x.example", vec![Op::Load]);
    let outcomes = sqlite.apply(&[read, write()]);
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    assert_eq!(outcomes[1], Err(StoreError::Failed));
    assert_eq!(sqlite.tend(Quiet::Yes), Tended::Done);
}

fn log_bytes(directory: &Scratch) -> u64 {
    let log = format!("{}-wal", crate::store::FILE_NAME);
    std::fs::metadata(directory.path().join(log)).unwrap().len()
}

#[test]
fn a_log_that_was_held_open_begins_anew_once_nobody_holds_it() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
    let mut key = 0;
    let mut write = |sqlite: &mut Sqlite, megabytes: usize| {
        for _ in 0..megabytes {
            key += 1;
            let mut batch = append("a@x.example", key..key + 1);
            if let Op::Append { entries, .. } = &mut batch.ops[0] {
                entries[0].payload = Payload(vec![vec![b'x'; 1_000_000].into()]);
            }
            assert_eq!(sqlite.apply(&[batch]), [Ok(vec![Reply::Done])]);
            sqlite.tend(Quiet::No);
        }
    };
    write(&mut sqlite, 1);
    let other = Connection::open(directory.path().join(crate::store::FILE_NAME)).unwrap();
    other
        .execute_batch("BEGIN; SELECT count(*) FROM owner")
        .unwrap();
    write(&mut sqlite, 100);
    assert!(log_bytes(&directory) > 90_000_000);
    other.execute_batch("COMMIT").unwrap();
    write(&mut sqlite, 20);
    assert!(log_bytes(&directory) < 25_000_000);
}

const A: &str = "a@x.example";

/// An archive with so many entries in a day: one of a thousand is with `c@y.example`.
fn fill(sqlite: &mut Sqlite, day: i64, count: i64) {
    let first = day * DAY;
    let keys: Vec<i64> = (0..count).collect();
    let step = DAY / count;
    for keys in keys.chunks(500) {
        let at = |key: &i64| first + key * step;
        let (rare, usual): (Vec<i64>, Vec<i64>) = keys.iter().partition(|key| *key % 1000 == 500);
        let mut batches = vec![append_with(A, "b@y.example", usual.iter().map(at))];
        if !rare.is_empty() {
            batches.push(append_with(A, "c@y.example", rare.iter().map(at)));
        }
        let outcomes = sqlite.apply(&batches);
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
}

const DAY: i64 = 86_400_000_000;

fn everything() -> Pick {
    Pick {
        kept: Kept::Archived,
        peer: None,
        ids: None,
        after: None,
        before: None,
        upto: i64::MAX,
        order: Order::Forward,
        limit: 50,
    }
}

fn with(bare: &'static str) -> Option<Peer> {
    let bare = bare.into();
    let resource = None;
    Some(Peer { bare, resource })
}

fn asking(pick: Pick) -> Batch {
    let pick = Box::new(pick);
    change(A, vec![Op::Page { log: LOG, pick }])
}

#[test]
fn a_long_page_takes_steps_and_holds_nothing_between_them() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
    for day in [1, 2, 5] {
        fill(&mut sqlite, day, 30_000);
    }
    for order in [Order::Backward, Order::Forward] {
        let resource = Some("never".into());
        let bare = "c@y.example".into();
        let never = Some(Peer { bare, resource });
        for (peer, after) in [(with("c@y.example"), None), (never, Some(DAY + 7))] {
            let page = asking(Pick {
                peer,
                after,
                order,
                limit: 256,
                ..everything()
            });
            let whole = sqlite.apply(std::slice::from_ref(&page)).pop();
            sqlite.set_page_steps(SQLITE_PAGE_STEPS / 4);
            let mut begun = Begun::default();
            let mut steps = 0;
            let outcome = loop {
                steps += 1;
                let outcome = sqlite.page(&page, &mut begun);
                assert!(sqlite.connection.is_autocommit());
                if outcome.is_some() {
                    break outcome;
                }
            };
            assert_eq!(outcome, whole);
            assert!(steps > 2, "{steps}");
        }
    }
    // Whoever has the name now sees nothing of it.
    let page = asking(Pick {
        peer: with("nobody@y.example"),
        ..everything()
    });
    let mut begun = Begun::default();
    assert!(sqlite.page(&page, &mut begun).is_some(), "one look");
}

#[test]
fn steps_and_parts_of_days_leave_nothing_out_where_they_meet() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
    // Around midnight, and every microsecond of a moment.
    let midnights = [1, 2, 3].map(|day| [day * DAY - 1, day * DAY]);
    let moment = 3 * DAY + 7..3 * DAY + 17;
    let keys: Vec<i64> = midnights.concat().into_iter().chain(moment).collect();
    let written = sqlite.apply(&[append_with(A, "c@y.example", keys.clone())]);
    assert_eq!(written, [Ok(vec![Reply::Done])]);
    let owner = sqlite.find_owner(&BareJid::parse(A).unwrap());
    let owner = owner.unwrap().unwrap();
    let mut all_of = |after: i64, span: i64, order, steps| {
        sqlite.set_page_steps(steps);
        let pick = Pick {
            peer: with("c@y.example"),
            after: Some(after),
            order,
            ..everything()
        };
        let upto = *keys.last().unwrap();
        let pick = Pick { upto, ..pick };
        let mut begun = Begun::default();
        begun.page(|| Filling::new(owner, &pick, span));
        let page = asking(pick);
        let outcome = std::iter::repeat_with(|| sqlite.page(&page, &mut begun)).find_map(|o| o);
        let Some(Ok(replies)) = outcome else {
            panic!("{outcome:?}");
        };
        let [Reply::Page(page)] = &replies[..] else {
            panic!("{replies:?}");
        };
        page.entries.iter().map(|e| e.key).collect::<Vec<_>>()
    };
    for order in [Order::Backward, Order::Forward] {
        // A part a step, and many.
        for steps in [1, SQLITE_PAGE_STEPS] {
            for span in [DAY / 7, DAY - 1, DAY, 2 * DAY] {
                assert_eq!(all_of(0, span, order, steps), keys, "{span}");
            }
            for span in [1, 2, 3, 9, 10, 11] {
                let found = all_of(3 * DAY + 5, span, order, steps);
                assert_eq!(found, keys[6..], "{span}");
            }
        }
    }
}

#[test]
fn a_page_begun_before_its_owner_was_purged_shows_nothing_of_it() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
    for day in [1, 2] {
        fill(&mut sqlite, day, 1000);
    }
    sqlite.set_page_steps(1);
    let page = asking(Pick {
        peer: with("c@y.example"),
        ..everything()
    });
    let mut begun = Begun::default();
    assert_eq!(sqlite.page(&page, &mut begun), None);
    let outcomes = sqlite.apply(&[change(A, vec![Op::Purge]), append(A, 7..8)]);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let nothing = Reply::Page(Page::default());
    assert_eq!(sqlite.page(&page, &mut begun), Some(Ok(vec![nothing])));
}

/// Steps of SQLite's machine in all statements so far.
fn steps(sqlite: &Sqlite) -> i32 {
    sqlite.all_statements(rusqlite::StatementStatus::VmStep)
}

/// What is asked of an archive, of which only a part is wanted.
fn questions() -> Vec<Batch> {
    let picks = [
        everything(),
        Pick {
            order: Order::Backward,
            before: Some(3 * DAY),
            ..everything()
        },
        Pick {
            peer: with("c@y.example"),
            limit: 2,
            ..everything()
        },
        Pick {
            peer: with("nobody@y.example"),
            ..everything()
        },
        Pick {
            ids: Some(vec![DAY, 2 * DAY]),
            ..everything()
        },
        Pick {
            kept: Kept::Owed,
            ..everything()
        },
    ];
    let mut questions: Vec<Batch> = picks.into_iter().map(asking).collect();
    questions.push(change(A, vec![Op::Load]));
    questions.push(change(A, vec![Op::Blank { log: LOG, key: 7 }]));
    questions
}

#[test]
fn what_is_asked_reads_as_much_of_a_long_archive_as_of_a_short_one() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
    let mut measure = |days: std::ops::Range<i64>| {
        for day in days {
            fill(&mut sqlite, day, 1000);
        }
        let mut measured = Vec::new();
        // Once to prepare the statements.
        for _ in 0..2 {
            measured.clear();
            for question in questions() {
                let before = steps(&sqlite);
                let outcome = sqlite.apply(&[question]).remove(0);
                assert!(outcome.is_ok(), "{outcome:?}");
                measured.push(steps(&sqlite) - before);
            }
        }
        measured
    };
    let short = measure(1..4);
    let long = measure(4..34);
    assert_eq!(short, long);
    assert!(short.iter().all(|steps| *steps < 20_000), "{short:?}");
}

#[test]
fn every_statement_has_a_place_among_those_that_are_kept_prepared() {
    let server = Sql::new(&CATALOG);
    assert!(server.all().len() + 20 < crate::limits::SQLITE_STATEMENTS);
}
