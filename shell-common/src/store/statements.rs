//! The statements of a back end, made once from what there is to keep: those of each table, of each log, and of what is counted.

use spondee_core::store::{Catalog, Log, Subset, Table};

/// Everything that is ever said to a database about an owner's data.
#[derive(Debug)]
pub(super) struct Statements<T, L> {
    tables: Vec<(Table, T)>,
    logs: Vec<(Log, L)>,
    /// Domain and limit.
    subsets: Vec<(Subset, String)>,
}

impl<T, L> Statements<T, L> {
    pub(super) fn of(
        catalog: &Catalog,
        table: fn(Table) -> T,
        log: fn(Log) -> L,
        subset: fn(&Subset) -> String,
    ) -> Self {
        let (tables, logs, subsets) = (catalog.tables, catalog.logs, catalog.subsets);
        Self {
            tables: tables.iter().map(|one| (*one, table(one))).collect(),
            logs: logs.iter().map(|one| (*one, log(*one))).collect(),
            subsets: subsets.iter().map(|one| (*one, subset(one))).collect(),
        }
    }

    pub(super) fn table(&self, table: Table) -> Option<&T> {
        let mut tables = self.tables.iter();
        let found = tables.find(|(other, _)| *other == table);
        found.map(|(_, sql)| sql)
    }

    pub(super) fn log(&self, log: Log) -> Option<&L> {
        let mut logs = self.logs.iter();
        logs.find(|(other, _)| *other == log).map(|(_, sql)| sql)
    }

    pub(super) fn subset(&self, subset: &Subset) -> Option<&str> {
        let mut subsets = self.subsets.iter();
        let found = subsets.find(|(other, _)| other == subset);
        found.map(|(_, sql)| sql.as_str())
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = (Table, &T)> {
        self.tables.iter().map(|(table, sql)| (*table, sql))
    }

    pub(super) fn logs(&self) -> impl Iterator<Item = (Log, &L)> {
        self.logs.iter().map(|(log, sql)| (*log, sql))
    }

    #[cfg(test)]
    pub(super) fn subsets(&self) -> impl Iterator<Item = &str> {
        self.subsets.iter().map(|(_, sql)| sql.as_str())
    }
}
