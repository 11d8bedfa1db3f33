//! Fields and rows, to PostgreSQL and back, in its binary format.

use bytes::{BufMut as _, Bytes, BytesMut};
use spondee_core::jid::BareJid;
use spondee_core::store::{Column, Field, Kind, Row, Table};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

use super::faults::Fault;

/// What a statement is given.
pub(super) enum Param<'a> {
    /// `bytea` or text, which have one format.
    Bytes(&'a [u8]),
    Null,
    Number(i64),
    Numbers(Vec<i64>),
    Texts(Vec<Option<Bytes>>),
}

impl<'a> Param<'a> {
    pub(super) fn field(field: &'a Field) -> Self {
        match field {
            Field::Absent => Self::Null,
            Field::Bytes(bytes) | Field::Text(bytes) | Field::Xml(bytes) => Self::Bytes(bytes),
            Field::Int(number) | Field::Time(number) => Self::Number(*number),
        }
    }

    pub(super) const fn text(text: &'a str) -> Self {
        Self::Bytes(text.as_bytes())
    }

    pub(super) fn maybe(bytes: Option<&'a [u8]>) -> Self {
        bytes.map_or(Self::Null, Self::Bytes)
    }
}

/// Messages and keys are not for logs.
impl std::fmt::Debug for Param<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Param")
    }
}

type Fallible<T> = Result<T, Box<dyn std::error::Error + Sync + Send>>;

impl ToSql for Param<'_> {
    fn to_sql(&self, to: &Type, out: &mut BytesMut) -> Fallible<IsNull> {
        match self {
            Self::Bytes(bytes) => out.put_slice(bytes),
            Self::Null => return Ok(IsNull::Yes),
            // The server says of each parameter what it takes it for.
            Self::Number(number) => match *to {
                Type::INT2 => out.put_i16(i16::try_from(*number)?),
                Type::INT4 => out.put_i32(i32::try_from(*number)?),
                _ => out.put_i64(*number),
            },
            Self::Numbers(numbers) => return numbers.to_sql(to, out),
            Self::Texts(texts) => {
                let texts: Vec<Option<Raw<'_>>> =
                    texts.iter().map(|text| text.as_deref().map(Raw)).collect();
                return texts.to_sql(to, out);
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// The bytes of a value as they come and go.
#[derive(Debug)]
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Fallible<Self> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Raw<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Fallible<IsNull> {
        out.put_slice(self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

type Found = tokio_postgres::Row;

/// Reads a row whose first field stands in column `first`. The bytes of all its fields lie together.
pub(super) fn read_row(table: Table, row: &Found, first: usize) -> Result<Row, Fault> {
    let raw = |number: usize| -> Result<Option<&[u8]>, Fault> {
        let value: Option<Raw<'_>> = row.try_get(number)?;
        Ok(value.map(|value| value.0))
    };
    let mut length = 0;
    for (number, column) in (first..).zip(table.all()) {
        if !is_number(column) {
            length += raw(number)?.map_or(0, <[u8]>::len);
        }
    }
    let mut together = BytesMut::with_capacity(length);
    let mut piece = |bytes: &[u8]| {
        together.extend_from_slice(bytes);
        together.split().freeze()
    };
    let mut fields = Vec::with_capacity(table.width());
    for (number, column) in (first..).zip(table.all()) {
        let field = match (raw(number)?, column.kind) {
            (None, _) => Field::Absent,
            (Some(bytes), Kind::Bytes) => Field::Bytes(piece(bytes)),
            (Some(bytes), Kind::Text) => Field::Text(piece(bytes)),
            (Some(bytes), Kind::Xml) => Field::Xml(piece(bytes)),
            (Some(_), Kind::Int) => Field::Int(row.try_get(number)?),
            (Some(_), Kind::Time) => Field::Time(row.try_get(number)?),
        };
        fields.push(field);
    }
    Ok(Row(fields))
}

/// Whether its values are numbers, which take no bytes of their own.
pub(super) const fn is_number(column: &Column) -> bool {
    matches!(column.kind, Kind::Int | Kind::Time)
}

/// Bytes of a text column, if there are any.
pub(super) fn text(row: &Found, column: usize) -> Result<Option<Bytes>, Fault> {
    let text: Option<Raw<'_>> = row.try_get(column)?;
    Ok(text.map(|text| Bytes::copy_from_slice(text.0)))
}

pub(super) fn address(row: &Found, column: usize) -> Result<BareJid, Fault> {
    let text: &str = row.try_get(column)?;
    BareJid::parse(text).map_err(|_| Fault::Foreign("an owner whose name is no address"))
}

/// A count or a size.
pub(super) fn amount(row: &Found, column: usize) -> Result<u64, Fault> {
    let number: Option<i64> = row.try_get(column)?;
    Ok(number
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or(0))
}

/// Whether something is so.
pub(super) fn is_so(row: &Found, column: usize) -> Result<bool, Fault> {
    Ok(row.try_get(column)?)
}
