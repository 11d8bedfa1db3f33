//! Tables and views made from the shapes of a catalog.

use rusqlite::{Connection, OptionalExtension as _};
use spondee_core::store::{Catalog, Column, Kind, Need, Table};

use crate::store::sqlite::is_in;
use crate::store::views::{self, Words};

/// Makes what is not there yet.
pub(super) fn make(connection: &Connection, catalog: &Catalog) -> rusqlite::Result<()> {
    for table in catalog.tables {
        if !is_there(connection, table.name)? {
            connection.execute_batch(&create(table))?;
        }
        connection.execute_batch(&format!("CREATE {}", views::of_table(table, &WORDS)))?;
    }
    for subset in catalog.subsets {
        let (name, table) = (subset.index(), subset.table.name);
        let condition = is_in(subset);
        connection.execute_batch(&format!(
            "CREATE INDEX IF NOT EXISTS {name} ON {table} (owner) WHERE {condition}"
        ))?;
    }
    for log in catalog.logs {
        connection.execute_batch(&format!("CREATE {}", views::of_log(*log, &WORDS)))?;
    }
    Ok(())
}

/// The first table of a catalog that is not there.
pub(super) fn missing(
    connection: &Connection,
    catalog: &Catalog,
) -> rusqlite::Result<Option<String>> {
    let tables = catalog.tables.iter().map(|table| table.name.to_owned());
    let logs = catalog.logs.iter();
    let logs = logs.flat_map(|log| [log.name.to_owned(), format!("{}_day", log.name)]);
    for name in tables.chain(logs) {
        if !is_there(connection, &name)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Views show tables as they are: before these change, views go.
pub(super) fn drop_views(connection: &Connection) -> rusqlite::Result<()> {
    let mut names = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'view' AND name GLOB 'readable_*'")?;
    let names: Vec<String> = names
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for name in names {
        connection.execute_batch(&format!("DROP VIEW {name}"))?;
    }
    Ok(())
}

fn is_there(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let find = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    let found = connection.query_row(find, [name], |_| Ok(())).optional()?;
    Ok(found.is_some())
}

/// Small rows lie together, those of one owner on a page or two. XML is long: its rows lie in the order of arrival, and only the
/// keys together.
pub(super) fn create(table: Table) -> String {
    let columns: String = table.all().map(column).collect();
    let keys: String = table
        .key
        .iter()
        .map(|key| format!(", {}", key.name))
        .collect();
    let long = table.all().any(|column| column.kind == Kind::Xml);
    format!(
        "CREATE TABLE {} (
        owner INTEGER NOT NULL REFERENCES owner (id),{columns}
        PRIMARY KEY (owner{keys})
    ) STRICT{}",
        table.name,
        if long { "" } else { ", WITHOUT ROWID" }
    )
}

fn column(column: &Column) -> String {
    let kind = match column.kind {
        Kind::Bytes => "BLOB",
        Kind::Int | Kind::Time => "INTEGER",
        Kind::Text | Kind::Xml => "TEXT",
    };
    let need = match column.need {
        Need::Always => " NOT NULL",
        Need::Sometimes => "",
    };
    format!("\n        {} {kind}{need},", column.name)
}

const WORDS: Words = Words {
    hex: |value| format!("hex({value})"),
    time: |value| format!("strftime('%Y-%m-%dT%H:%M:%fZ', {value} / 1e6, 'unixepoch')"),
};
