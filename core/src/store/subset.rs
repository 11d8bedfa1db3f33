//! Subsets: rows of a table that have something in common, so that back ends can keep them together and count their owners.

use alloc::format;
use alloc::string::String;
use core::fmt;

use super::{Column, Field, Row, Table};

/// Rows of a table of one row each, told by which of their columns are empty.
#[derive(Clone, Copy)]
pub struct Subset {
    /// Its name in the database, behind that of the table.
    pub name: &'static str,
    /// The table.
    pub table: Table,
    /// All of these are empty.
    pub empty: &'static [&'static str],
    /// One of these at least is not.
    pub filled: &'static [&'static str],
}

impl Subset {
    /// What a back end calls what keeps them together.
    #[must_use]
    pub fn index(&self) -> String {
        format!("{}_{}", self.table.name, self.name)
    }

    /// Whether the row is one of it.
    #[must_use]
    pub fn has(&self, row: &Row) -> bool {
        let is_filled = |name: &&str| {
            let mut all = self.table.all().zip(&row.0);
            all.any(|(column, field): (&Column, &Field)| {
                column.name == *name && *field != Field::Absent
            })
        };
        !self.empty.iter().any(is_filled) && self.filled.iter().any(is_filled)
    }
}

/// The names say which it is: no two subsets of a table share one.
impl PartialEq for Subset {
    fn eq(&self, other: &Self) -> bool {
        (self.table, self.name) == (other.table, other.name)
    }
}

impl Eq for Subset {}

impl fmt::Debug for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table.name, self.name)
    }
}
