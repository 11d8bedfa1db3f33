//! Fields and rows, to SQLite and back.

use bytes::{Bytes, BytesMut};
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Type, ValueRef};
use spondee_core::jid::BareJid;
use spondee_core::store::{Column, Field, Kind, Row, Table};

/// A field as it is bound.
pub(super) struct Bound<'a>(pub(super) &'a Field);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Field::Absent => ValueRef::Null,
            Field::Bytes(bytes) => ValueRef::Blob(bytes),
            Field::Int(number) | Field::Time(number) => ValueRef::Integer(*number),
            Field::Text(text) | Field::Xml(text) => ValueRef::Text(text),
        }))
    }
}

/// Text as it is bound; `None` is NULL.
pub(super) struct Text<'a>(pub(super) Option<&'a [u8]>);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = self.0.map_or(ValueRef::Null, ValueRef::Text);
        Ok(ToSqlOutput::Borrowed(text))
    }
}

/// Reads a row whose first field stands in column `first`. The bytes of all its fields lie together.
pub(super) fn read_row(
    table: Table,
    row: &rusqlite::Row<'_>,
    first: usize,
) -> rusqlite::Result<Row> {
    read_fields(table.all(), table.width(), row, first)
}

/// Reads the key of a row.
pub(super) fn read_key(table: Table, row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    read_fields(table.key.iter(), table.key.len(), row, 0)
}

fn read_fields<'a>(
    columns: impl Iterator<Item = &'a Column>,
    width: usize,
    row: &rusqlite::Row<'_>,
    first: usize,
) -> rusqlite::Result<Row> {
    let bytes = (first..first + width).map(|number| match row.get_ref(number) {
        Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => bytes.len(),
        Ok(ValueRef::Integer(_) | ValueRef::Null | ValueRef::Real(_)) | Err(_) => 0,
    });
    let mut together = BytesMut::with_capacity(bytes.sum());
    let mut piece = |bytes: &[u8]| {
        together.extend_from_slice(bytes);
        together.split().freeze()
    };
    let mut fields = Vec::with_capacity(width);
    for (number, column) in (first..).zip(columns) {
        let value = row.get_ref(number)?;
        fields.push(match (value, column.kind) {
            (ValueRef::Null, _) => Field::Absent,
            (ValueRef::Integer(number), Kind::Int) => Field::Int(number),
            (ValueRef::Integer(number), Kind::Time) => Field::Time(number),
            (ValueRef::Text(text), Kind::Text) => Field::Text(piece(text)),
            (ValueRef::Text(text), Kind::Xml) => Field::Xml(piece(text)),
            (ValueRef::Blob(blob), Kind::Bytes) => Field::Bytes(piece(blob)),
            (value, _) => return Err(unexpected(number, value.data_type(), column.name)),
        });
    }
    Ok(Row(fields))
}

/// Something that a person or another program wrote there.
fn unexpected(column: usize, found: Type, name: &str) -> rusqlite::Error {
    let what = format!("{name} cannot be of this type");
    rusqlite::Error::FromSqlConversionFailure(column, found, what.into())
}

/// Bytes of a text column, if there are any.
pub(super) fn text(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<Bytes>> {
    let text = row.get_ref(column)?.as_bytes_or_null()?;
    Ok(text.map(Bytes::copy_from_slice))
}

pub(super) fn address(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<BareJid> {
    let text = row.get_ref(column)?.as_str()?;
    BareJid::parse(text).map_err(|_| {
        let what = format!("{text:?} is not an address");
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.into())
    })
}
