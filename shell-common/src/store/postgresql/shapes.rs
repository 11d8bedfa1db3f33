//! Tables and views made from the shapes of a catalog.

use std::fmt::Write as _;

use spondee_core::store::{Catalog, Column, Kind, Log, Need, Table};

use super::sql::is_in;

/// Makes what is not there yet.
pub(super) fn make(catalog: &Catalog) -> String {
    let mut words = String::new();
    for table in catalog.tables {
        words += &create(table);
        words += &view(table);
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
        words += &log_view(*log);
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

/// What a person reads: addresses instead of numbers, times, keys in hexadecimal.
fn view(table: Table) -> String {
    let name = table.name;
    let columns: String = table
        .all()
        .map(|column| {
            let value = format!("{name}.{}", column.name);
            let shown = match column.kind {
                Kind::Bytes => format!("encode({value}, 'hex')"),
                Kind::Time => time(&value),
                Kind::Int | Kind::Text | Kind::Xml => value,
            };
            format!(",\n        {shown} AS {}", column.name)
        })
        .collect();
    format!(
        "CREATE OR REPLACE VIEW readable_{name} AS SELECT
        owner.jid AS address{columns}
    FROM {name} JOIN owner ON owner.id = {name}.owner;\n"
    )
}

fn log_view(log: Log) -> String {
    let name = log.name;
    let time = time(&format!("{name}.key"));
    // What lies before the mark is owed no more, whatever it was kept for.
    let (delivered, mark) = log.done.map_or_else(Default::default, |mark| {
        let (table, column) = (mark.table.name, mark.column);
        let passed = format!("kept >= 2 AND {name}.key <= {table}.{column}");
        (
            format!(
                "
            WHEN {passed} AND kept = 2 THEN 'delivered'
            WHEN {passed} THEN 'archived and delivered'"
            ),
            format!(" LEFT JOIN {table} ON {table}.owner = {name}.owner"),
        )
    });
    format!(
        "CREATE OR REPLACE VIEW readable_{name} AS SELECT
        owner.jid AS address,
        {time} AS time,
        peer, resource,
        CASE{delivered}
            WHEN kept = 1 THEN 'archived'
            WHEN kept = 2 THEN 'owed'
            ELSE 'archived and owed'
        END AS kept,
        xml
    FROM {name} JOIN owner ON owner.id = {name}.owner{mark};\n"
    )
}

/// What is beyond the year 9999 is shown as the number that it is: PostgreSQL would refuse the whole view.
fn time(value: &str) -> String {
    format!(
        "CASE WHEN {value} BETWEEN -62135596800000000 AND 253402300799999999
        THEN to_char(to_timestamp({value} / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')
        ELSE {value}::text END"
    )
}
