//! How cards are kept: a row for each account that has one.

use bytes::Bytes;

use crate::stanza::Condition;
use crate::store::{Column, Expect, Field, Kind, Loading, Op, Puts, Row, Shape, Table};

/// The card of an account.
pub static VCARD: Shape = Shape {
    name: "vcard",
    key: &[],
    columns: &[Column::new("xml", Kind::Xml)],
    loading: Loading::Alone,
    puts: Puts::Awaited,
};

const TABLE: Table = &VCARD;

/// Reads it.
#[must_use]
pub fn read() -> Op {
    Op::Get {
        table: TABLE,
        key: Row::default(),
    }
}

pub(super) fn put(xml: Bytes) -> Op {
    Op::Put {
        table: TABLE,
        row: Row([Field::Xml(xml)].into()),
        expect: Expect::Anything,
    }
}

pub(super) fn delete() -> Op {
    Op::Delete {
        table: TABLE,
        key: Row::default(),
    }
}

/// The card of a row.
///
/// # Errors
/// The row is none of ours.
pub fn xml(row: &Row) -> Result<&Bytes, Condition> {
    match &row.0[..] {
        [Field::Xml(xml)] => Ok(xml),
        _ => Err(Condition::InternalServerError),
    }
}
