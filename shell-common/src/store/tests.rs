//! What every back end must do, and what the threads in front of them must.

mod backends;
pub(super) mod cluster;
mod erase;
mod files;
mod logs;
mod million;
mod random;
mod threads;
mod trims;
mod unseen;
mod upkeep;
mod whole;

use std::path::Path;

use bytes::Bytes;
use spondee_core::archive::{ARCHIVE, SPOOL, Spool};
use spondee_core::jid::BareJid;
use spondee_core::sasl::{CREDENTIALS, TALLIED};
use spondee_core::store::{
    Batch, Catalog, Class, Column, Expect, Field, Kind, Loading, Log, Op, Puts, Reply, Row, Shape,
    StoreError,
};

use super::{Backend, FILE_NAME, History, Memory, Postgresql, Sqlite};
use crate::scratch::Scratch;

/// One text under each key.
pub(super) static NOTES: Shape = Shape {
    name: "notes",
    key: &[Column::new("key", Kind::Text)],
    columns: &[Column::new("value", Kind::Text)],
    loading: Loading::Alone,
    puts: Puts::Awaited,
};

/// Every kind of column.
pub(super) static PLACES: Shape = Shape {
    name: "places",
    key: &[
        Column::new("room", Kind::Text),
        Column::new("number", Kind::Int),
    ],
    columns: &[
        Column::new("since", Kind::Time).optional(),
        Column::new("card", Kind::Xml),
        Column::new("raw", Kind::Bytes).optional(),
    ],
    loading: Loading::Loaded,
    puts: Puts::Awaited,
};

/// One row for each owner.
pub(super) static STATE: Shape = Shape {
    name: "state",
    key: &[],
    columns: &[Column::new("word", Kind::Text)],
    loading: Loading::Loaded,
    puts: Puts::Awaited,
};

/// The log of the server.
pub(super) const LOG: Log = ARCHIVE;

/// The tables of these tests, and the log of the server with its marks.
pub(super) static TESTED: Catalog = Catalog {
    tables: &[&CREDENTIALS, &NOTES, &PLACES, &SPOOL, &STATE],
    logs: &[LOG],
    subsets: &TALLIED,
};

pub(super) fn open(directory: &Scratch) -> Sqlite {
    open_in(directory.path(), History::Unknown).unwrap()
}

/// With the tables of these tests.
fn open_in(directory: &Path, history: History<'_>) -> Result<Sqlite, String> {
    Sqlite::open(&directory.join(FILE_NAME), &TESTED, history)
}

/// Those that outlive a process.
fn databases(directory: &Scratch) -> Vec<Box<dyn Backend>> {
    let postgresql = cluster::postgresql(&TESTED);
    let postgresql = postgresql.map(|store| Box::new(store) as _);
    [Box::new(open(directory)) as _]
        .into_iter()
        .chain(postgresql)
        .collect()
}

type Outcomes = Vec<Result<Vec<Reply>, StoreError>>;

/// Asks all back ends and returns their common answer.
struct Backends {
    memory: Memory,
    sqlite: Sqlite,
    /// Where it is tested.
    postgresql: Option<Postgresql>,
    _directory: Scratch,
}

impl Backends {
    fn new() -> Self {
        let directory = Scratch::new();
        Self {
            memory: Memory::default(),
            sqlite: open(&directory),
            postgresql: cluster::postgresql(&TESTED),
            _directory: directory,
        }
    }

    fn apply(&mut self, batches: &[Batch]) -> Outcomes {
        let outcomes = self.memory.apply(batches);
        assert_eq!(self.sqlite.apply(batches), outcomes, "{batches:?}");
        if let Some(postgresql) = &mut self.postgresql {
            assert_eq!(
                postgresql.apply(batches),
                outcomes,
                "PostgreSQL: {batches:?}"
            );
        }
        outcomes
    }

    fn all(&mut self, owner: &str, ops: Vec<Op>) -> Result<Vec<Reply>, StoreError> {
        self.apply(&[batch(owner, ops)]).remove(0)
    }

    fn one(&mut self, owner: &str, op: Op) -> Reply {
        self.all(owner, vec![op]).unwrap().remove(0)
    }
}

fn jid(text: &str) -> BareJid {
    BareJid::parse(text).unwrap()
}

fn batch(owner: &str, ops: Vec<Op>) -> Batch {
    let mut batch = Batch {
        owner: jid(owner),
        tenure: 0,
        class: Class::Change,
        ops,
    };
    if batch.is_read_only() {
        batch.class = Class::SignIn;
    }
    batch
}

fn note(key: &str, value: &str) -> Row {
    Row(vec![Field::text(key), Field::text(value)])
}

fn put(key: &str, value: &str, expect: Expect) -> Op {
    Op::Put {
        table: &NOTES,
        row: note(key, value),
        expect,
    }
}

fn get(key: &str) -> Op {
    Op::Get {
        table: &NOTES,
        key: Row(vec![Field::text(key)]),
    }
}

fn state(word: &str) -> Op {
    Op::Put {
        table: &STATE,
        row: Row(vec![Field::text(word)]),
        expect: Expect::Anything,
    }
}

/// Up to this key nothing is owed any more.
pub(super) fn done(key: i64) -> Op {
    Spool {
        done: Some(key),
        ..Spool::default()
    }
    .put()
}

fn owners(after: Option<&str>, limit: u32) -> Op {
    Op::Owners {
        table: &STATE,
        after: after.map(jid),
        limit,
    }
}

fn place(room: &str, number: i64, card: &str) -> Row {
    Row(vec![
        Field::text(room),
        Field::Int(number),
        Field::Absent,
        Field::Xml(Bytes::copy_from_slice(card.as_bytes())),
        Field::Absent,
    ])
}

fn put_place(row: Row) -> Op {
    Op::Put {
        table: &PLACES,
        row,
        expect: Expect::Anything,
    }
}

fn list(prefix: Row, after: Option<Row>, limit: u32) -> Op {
    Op::List {
        table: &PLACES,
        prefix,
        after,
        limit,
    }
}
