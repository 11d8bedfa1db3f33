//! What is kept of an archive beside its messages.

mod bounds;

use alloc::vec;

use super::*;
use crate::store::{End, Field, Loaded, Op, Owed, Row};

fn loaded(rows: vec::Vec<Row>, last: Option<i64>) -> Loaded {
    let owed = Owed::default();
    Loaded {
        tables: vec![(&SPOOL, rows)],
        ends: last
            .map(|last| End {
                log: ARCHIVE,
                last,
                owed,
            })
            .into_iter()
            .collect(),
    }
}

#[test]
fn a_spool_comes_back_as_it_was_put() {
    let spool = Spool {
        done: Some(3),
        last: Some(9),
        messages: 4,
        bytes: 400,
    };
    for spool in [spool, Spool::default()] {
        let Op::Put { row, .. } = spool.put() else {
            panic!("no put");
        };
        assert!(row.fits(&SPOOL));
        assert_eq!(Spool::from_loaded(&loaded(vec![row], None)), Ok(spool));
    }
    assert_eq!(
        Spool::from_loaded(&Loaded::default()),
        Ok(Spool::default()),
        "of who never had a message"
    );
}

#[test]
fn the_last_key_is_that_of_the_log_or_of_the_row_whichever_is_later() {
    let row = |last: Option<i64>| {
        let last = last.map_or(Field::Absent, Field::Time);
        Row(vec![Field::Absent, last, Field::Absent, Field::Absent])
    };
    for (kept, end, last) in [
        (None, None, None),
        (Some(7), None, Some(7)),
        (Some(7), Some(5), Some(7)),
        (Some(7), Some(8), Some(8)),
        (None, Some(8), Some(8)),
    ] {
        let spool = Spool::from_loaded(&loaded(vec![row(kept)], end)).unwrap();
        assert_eq!(spool.last, last);
    }
}

#[test]
fn a_spool_that_makes_no_sense_is_not_written_over() {
    let good = || vec![Field::Time(1), Field::Time(2), Field::Int(3), Field::Int(4)];
    let mut negative = good();
    negative[2] = Field::Int(-1);
    let mut text = good();
    text[0] = Field::text("1");
    let short = good()[..3].to_vec();
    for fields in [negative, text, short] {
        assert!(Spool::from_loaded(&loaded(vec![Row(fields)], None)).is_err());
    }
    let two = vec![Row(good()), Row(good())];
    assert!(Spool::from_loaded(&loaded(two, None)).is_err());
}

#[test]
fn the_marks_of_the_log_stand_in_the_row_of_the_spool() {
    let row = Row(vec![
        Field::Time(1),
        Field::Time(2),
        Field::Int(3),
        Field::Int(4),
    ]);
    let rows = [row];
    assert_eq!(ARCHIVE.done.unwrap().read(&rows), Some(1));
    assert_eq!(ARCHIVE.last.unwrap().read(&rows), Some(2));
}
