//! How private XML is kept: a row for each element.

use bytes::Bytes;

use super::request::Content;
use super::{Key, Set};
use crate::limits::STORE_LIST_ROWS;
use crate::stanza::Condition;
use crate::store::{Column, Expect, Field, Kind, Loading, Op, Puts, Row, Shape, Table};

/// Elements, each known by its namespace and name.
pub static PRIVATE: Shape = Shape {
    name: "private",
    key: &[
        Column::new("namespace", Kind::Text),
        Column::new("name", Kind::Text),
    ],
    columns: &[Column::new("xml", Kind::Xml)],
    loading: Loading::Alone,
    puts: Puts::Awaited,
};

const TABLE: Table = &PRIVATE;

impl Key {
    fn row(&self) -> Row {
        Row([Field::text(&self.namespace), Field::text(&self.name)].into())
    }

    /// Reads what is kept under it.
    #[must_use]
    pub fn read(&self) -> Op {
        let key = self.row();
        Op::Get { table: TABLE, key }
    }

    /// Of a row, if it makes sense.
    pub(super) fn of_row(row: &Row) -> Option<Self> {
        let [Field::Text(namespace), Field::Text(name), _] = &row.0[..] else {
            return None;
        };
        let [namespace, name] = [namespace, name].map(|text| core::str::from_utf8(text).ok());
        Some(Self::from((namespace?, name?)))
    }
}

impl Set {
    /// What it writes.
    #[must_use]
    pub fn ops(&self) -> alloc::vec::Vec<Op> {
        let ops = self.elements.iter().map(|(key, content)| match content {
            Content::Xml(xml) => {
                let mut row = key.row();
                row.0.push(Field::Xml(Bytes::clone(xml)));
                Op::Put {
                    table: TABLE,
                    row,
                    expect: Expect::Anything,
                }
            }
            Content::Nothing => Op::Delete {
                table: TABLE,
                key: key.row(),
            },
        });
        ops.collect()
    }
}

/// Reads rows behind this one, or from the first on.
pub(super) fn page(behind: Option<&Row>) -> Op {
    let key = |row: &Row| Row(row.0.iter().take(TABLE.key.len()).cloned().collect());
    Op::List {
        table: TABLE,
        prefix: Row::default(),
        after: behind.map(key),
        limit: STORE_LIST_ROWS,
    }
}

/// The element of a row.
///
/// # Errors
/// The row is none of ours.
pub(super) fn xml(row: &Row) -> Result<&Bytes, Condition> {
    match &row.0[..] {
        [_, _, Field::Xml(xml)] => Ok(xml),
        _ => Err(Condition::InternalServerError),
    }
}
