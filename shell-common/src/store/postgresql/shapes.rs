//! Tables and views made from the shapes of a catalog.

use std::fmt::Write as _;

use spondee_core::store::{Catalog, Column, Kind, Log, Need, Table};

use super::sql::is_in;
use crate::store::views::{self, Words};

/// Makes what is not there yet.
pub(super) fn make(catalog: &Catalog) -> String {
    let mut words = String::new();
    for table in catalog.tables {
        words += &create(table);
        words += &replace(&views::of_table(table, &WORDS));
    }
    for subset in catalog.subsets {
        let (name, table) = (subset.index(), subset.table.name);
        let condition = is_in(subset);
        // Writing to a `String` does not fail.
        let _ = writeln!(
            words,
            "CREATE INDEX IF NOT EXISTS {name} ON {table} (owner) WHERE {condition};"
        );
    }
    for log in catalog.logs {
        words += &create_log(*log);
        words += &replace(&views::of_log(*log, &WORDS));
    }
    words
}

fn create(table: Table) -> String {
    let key = |column: &Column| format!(", {}", column.name);
    let keys: String = table.key.iter().map(key).collect();
    let columns = table.key.iter().map(|column| (column, order(column)));
    let columns = columns.chain(table.columns.iter().map(|column| (column, "")));
    let columns: String = columns
        .map(|(column, order)| {
            format!(
                "\n        {} {}{order}{},",
                column.name,
                kind(column),
                need(column)
            )
        })
        .collect();
    format!(
        "CREATE TABLE IF NOT EXISTS {} (
        owner bigint NOT NULL,{columns}
        PRIMARY KEY (owner{keys})
    );\n",
        table.name
    )
}

/// Times are numbers here, too: a `timestamptz` ends before the last of them.
const fn kind(column: &Column) -> &'static str {
    match column.kind {
        Kind::Bytes => "bytea",
        Kind::Int | Kind::Time => "bigint",
        Kind::Text | Kind::Xml => "text",
    }
}

/// Keys are in the order of bytes, whatever the database's own order is.
const fn order(column: &Column) -> &'static str {
    match column.kind {
        Kind::Text | Kind::Xml => " COLLATE \"C\"",
        Kind::Bytes | Kind::Int | Kind::Time => "",
    }
}

const fn need(column: &Column) -> &'static str {
    match column.need {
        Need::Always => " NOT NULL",
        Need::Sometimes => "",
    }
}

/// A page by contact is read from an index of its own. Dead rows are few if they are looked for often: a log is long.
fn create_log(log: Log) -> String {
    let name = log.name;
    format!(
        "CREATE TABLE IF NOT EXISTS {name} (
        owner    bigint NOT NULL,
        key      bigint NOT NULL,
        peer     text COLLATE \"C\" NOT NULL,
        resource text COLLATE \"C\",
        kept     smallint NOT NULL,
        xml      text,
        PRIMARY KEY (owner, key)
    ) WITH (autovacuum_vacuum_scale_factor = 0.02);
    CREATE INDEX IF NOT EXISTS {name}_by_peer ON {name} (owner, peer, key);
    CREATE INDEX IF NOT EXISTS {name}_owed ON {name} (owner, key) WHERE kept >= 2;
    CREATE INDEX IF NOT EXISTS {name}_owed_only ON {name} (owner, key) WHERE kept = 2;\n"
    )
}

fn replace(view: &str) -> String {
    format!("CREATE OR REPLACE {view};\n")
}

const WORDS: Words = Words {
    hex: |value| format!("encode({value}, 'hex')"),
    time,
};

/// What is beyond the year 9999 is shown as the number that it is: PostgreSQL would refuse the whole view.
fn time(value: &str) -> String {
    format!(
        "CASE WHEN {value} BETWEEN -62135596800000000 AND 253402300799999999
        THEN to_char(to_timestamp({value} / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')
        ELSE {value}::text END"
    )
}
