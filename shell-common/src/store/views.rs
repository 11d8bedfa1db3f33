//! Views of what is kept, for people who look into a database: addresses instead of numbers, times, keys in hexadecimal.

use spondee_core::store::{Kind, Log, Table};

/// How a database says some things.
pub(super) struct Words {
    /// Bytes, in hexadecimal.
    pub(super) hex: fn(&str) -> String,
    /// A number of microseconds, as the time that it is.
    pub(super) time: fn(&str) -> String,
}

/// Of a table, behind `CREATE`.
pub(super) fn of_table(table: Table, words: &Words) -> String {
    let name = table.name;
    let columns: String = table
        .all()
        .map(|column| {
            let value = format!("{name}.{}", column.name);
            let shown = match column.kind {
                Kind::Bytes => (words.hex)(&value),
                Kind::Time => (words.time)(&value),
                Kind::Int | Kind::Text | Kind::Xml => value,
            };
            format!(",\n        {shown} AS {}", column.name)
        })
        .collect();
    format!(
        "VIEW readable_{name} AS SELECT
        owner.jid AS address{columns}
    FROM {name} JOIN owner ON owner.id = {name}.owner"
    )
}

/// Of a log, behind `CREATE`.
pub(super) fn of_log(log: Log, words: &Words) -> String {
    let name = log.name;
    let time = (words.time)(&format!("{name}.key"));
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
        "VIEW readable_{name} AS SELECT
        owner.jid AS address,
        {time} AS time,
        peer, resource,
        CASE{delivered}
            WHEN kept = 1 THEN 'archived'
            WHEN kept = 2 THEN 'owed'
            ELSE 'archived and owed'
        END AS kept,
        xml
    FROM {name} JOIN owner ON owner.id = {name}.owner{mark}"
    )
}
