//! Tables that the XEP has no form for: their rows, column by column.

use spondee_core::catalog::CATALOG;
use spondee_core::store::{Column, Field, Kind, Row, Table};
use spondee_core::time::{parse_xep0082, to_xep0082};
use spondee_core::xml::{Element, Node};

use super::EXPORT;

/// Whether a table is written so. What has an element of the XEP has that alone; what tells of a name that is free is of no account.
pub(super) fn is_plain(table: Table) -> bool {
    use spondee_core::blocking::BLOCKLIST;
    use spondee_core::private::PRIVATE;
    use spondee_core::roster::{ROSTER, ROSTER_REQUESTS, ROSTER_VERSION};
    use spondee_core::sasl::{CREDENTIALS, IMPORTS, TOMBSTONES};
    use spondee_core::vcard::VCARD;
    let others: [Table; 9] = [
        &BLOCKLIST,
        &CREDENTIALS,
        &IMPORTS,
        &PRIVATE,
        &ROSTER,
        &ROSTER_REQUESTS,
        &ROSTER_VERSION,
        &TOMBSTONES,
        &VCARD,
    ];
    !others.contains(&table)
}

/// Reads `<table name='…'><row><column>…</column>…</row>…</table>`.
pub(super) fn read(element: &Element) -> Result<(Table, Vec<Row>), Unreadable> {
    let name = element.attribute("name").unwrap_or_default();
    let table = CATALOG.tables.iter().find(|table| table.name == name);
    let Some(table) = table.copied().filter(|table| is_plain(table)) else {
        return Err(Unreadable::Unknown(name.into_owned()));
    };
    let mut rows = Vec::new();
    for child in element.children() {
        if child.ns_uri() != EXPORT || child.name() != "row" {
            return Err(Unreadable::Bad(format!("<{}/> in a table", child.name())));
        }
        rows.push(row(table, &child).map_err(Unreadable::Bad)?);
    }
    Ok((table, rows))
}

/// Why a table could not be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// Something is wrong with it.
    Bad(String),
    /// There is no such table here: it was written by another version.
    Unknown(String),
}

fn row(table: Table, row: &Node<'_>) -> Result<Row, String> {
    let columns: Vec<Node<'_>> = row.children().collect();
    let mut fields = Vec::with_capacity(table.width());
    for column in table.all() {
        let mut found = columns.iter().filter(|node| node.name() == column.name);
        let value = found.next().map(|node| field(column, &node.text()));
        let value = value.unwrap_or(Some(Field::Absent));
        fields.push(value.ok_or_else(|| format!("no value of {}", column.name))?);
    }
    let known = |node: &Node<'_>| table.all().any(|column| column.name == node.name());
    let row = Row(fields);
    if !columns.iter().all(known) || !row.fits(table) {
        return Err(format!("no row of the table {}", table.name));
    }
    Ok(row)
}

fn field(column: &Column, text: &str) -> Option<Field> {
    Some(match column.kind {
        Kind::Bytes => return None,
        Kind::Int => Field::Int(text.parse().ok()?),
        Kind::Text => Field::text(text),
        Kind::Time => Field::Time(parse_xep0082(text)?),
        Kind::Xml => Field::Xml(text.to_owned().into()),
    })
}

/// What such a field is written as; `None` for what is not there. No table that is written so has bytes that are no text.
pub(super) fn text(field: &Field) -> Option<String> {
    match field {
        Field::Absent | Field::Bytes(_) => None,
        Field::Int(number) => Some(number.to_string()),
        Field::Time(us) => Some(to_xep0082(*us)),
        Field::Text(text) | Field::Xml(text) => Some(String::from_utf8_lossy(text).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that are no text would have no form.
    #[test]
    fn no_table_that_is_written_so_holds_anything_but_text_and_numbers() {
        for table in CATALOG.tables.iter().filter(|table| is_plain(table)) {
            assert!(
                table.all().all(|column| column.kind != Kind::Bytes),
                "{table:?}"
            );
        }
    }
}
