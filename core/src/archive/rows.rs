//! How archives are kept: a log of messages, a row of how far it has come, and what its user wants of it.

use crate::store::{
    BadRow, Column, Expect, Field, Kind, Loaded, Loading, Log, Mark, Op, Puts, Row, Shape,
};

/// Messages, each once for each of its two accounts. One that is `Kept::Owed` and lies behind `done` is yet to be delivered.
pub const ARCHIVE: Log = Log {
    name: "archive",
    done: Some(Mark {
        table: &SPOOL,
        column: "done",
    }),
    last: Some(Mark {
        table: &SPOOL,
        column: "last",
    }),
};

/// How far the archive of an account has come, one row each.
pub static SPOOL: Shape = Shape {
    name: "spool",
    key: &[],
    columns: &[
        // Up to here nothing is owed any more.
        Column::new("done", Kind::Time).optional(),
        // The last key that was ever given out: none is given out twice, though the archive may be empty.
        Column::new("last", Kind::Time).optional(),
        // About how much of it is archived, so that it is not counted at each load (`bounds`).
        Column::new("messages", Kind::Int).optional(),
        Column::new("bytes", Kind::Int).optional(),
    ],
    loading: Loading::Loaded,
    puts: Puts::Quiet,
};

/// What is archived where no rule says otherwise (XEP-0441 §2), one row each; without it the server's default holds.
pub static ARCHIVE_PREFS: Shape = Shape {
    name: "archive_prefs",
    key: &[],
    // In the words of the attribute.
    columns: &[Column::new("policy", Kind::Text)],
    loading: Loading::Loaded,
    puts: Puts::Awaited,
};

/// With whom messages are archived in any case, or in none (XEP-0441 §2).
pub static ARCHIVE_RULE: Shape = Shape {
    name: "archive_rule",
    key: &[Column::new("jid", Kind::Text)],
    // `always` or `never`.
    columns: &[Column::new("rule", Kind::Text)],
    loading: Loading::Loaded,
    puts: Puts::Awaited,
};

/// How far an account's archive has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Spool {
    /// The key up to which nothing is owed any more.
    pub done: Option<i64>,
    /// The last key that was given out, of whatever became of it.
    pub last: Option<i64>,
    /// About how many messages are archived.
    pub messages: u64,
    /// About how many bytes they have.
    pub bytes: u64,
}

impl Spool {
    /// What was kept. `last` is that of the log, where that is later: the row is put now and then.
    ///
    /// # Errors
    /// A row that is none of ours.
    pub fn from_loaded(loaded: &Loaded) -> Result<Self, BadRow> {
        let spool = match loaded.rows(&SPOOL) {
            [] => Self::default(),
            [row] => Self::from_row(row).ok_or(bad("no marks and counts"))?,
            [_, _, ..] => return Err(bad("two rows")),
        };
        let last = loaded.end(ARCHIVE).map(|end| end.last);
        Ok(Self {
            last: last.max(spool.last),
            ..spool
        })
    }

    fn from_row(row: &Row) -> Option<Self> {
        let [done, last, messages, bytes] = &row.0[..] else {
            return None;
        };
        Some(Self {
            done: time(done)?,
            last: time(last)?,
            messages: count(messages)?,
            bytes: count(bytes)?,
        })
    }

    /// What was read again of a spool that has gone on in memory: no key is given out twice.
    #[must_use]
    pub(crate) fn later(self, memory: &Self) -> Self {
        Self {
            done: self.done.max(memory.done),
            last: self.last.max(memory.last),
            ..self
        }
    }

    /// To be put beside appends, or alone: it is quiet.
    #[must_use]
    pub fn put(&self) -> Op {
        let time = |key: Option<i64>| key.map_or(Field::Absent, Field::Time);
        let count = |count: u64| Field::Int(i64::try_from(count).unwrap_or(i64::MAX));
        Op::Put {
            table: &SPOOL,
            row: Row([
                time(self.done),
                time(self.last),
                count(self.messages),
                count(self.bytes),
            ]
            .into()),
            expect: Expect::Anything,
        }
    }
}

fn time(field: &Field) -> Option<Option<i64>> {
    match field {
        Field::Absent => Some(None),
        Field::Time(key) => Some(Some(*key)),
        Field::Bytes(_) | Field::Int(_) | Field::Text(_) | Field::Xml(_) => None,
    }
}

/// What is not there was never counted.
fn count(field: &Field) -> Option<u64> {
    match field {
        Field::Absent => Some(0),
        Field::Int(count) => u64::try_from(*count).ok(),
        Field::Bytes(_) | Field::Text(_) | Field::Time(_) | Field::Xml(_) => None,
    }
}

const fn bad(why: &'static str) -> BadRow {
    BadRow {
        table: &SPOOL,
        contact: None,
        why,
    }
}
