//! Version 3: requests that wait and what is unsaid have tables of their own. Nothing was ever written into the column that was to hold the
//! one.

use rusqlite::{OptionalExtension as _, Transaction};

/// Takes the column away, where there is one: a database made by the second version alone has the table.
pub(super) fn convert(step: &Transaction<'_>) -> rusqlite::Result<()> {
    let find = "SELECT 1 FROM pragma_table_info('roster') WHERE name = 'unsaid'";
    let found = step.query_row(find, [], |_| Ok(())).optional()?;
    match found {
        Some(()) => step.execute_batch("ALTER TABLE roster DROP COLUMN unsaid"),
        None => Ok(()),
    }
}
