//! What is asked of tables.

use rusqlite::{OptionalExtension as _, params_from_iter};
use spondee_core::jid::BareJid;
use spondee_core::limits::{STORE_LIST_BYTES, STORE_LIST_ROWS, STORE_LOAD_BYTES, STORE_LOAD_ROWS};
use spondee_core::store::{Cut, Loaded, Loading, Reply, Row, Subset, Table};

use super::fields::{Bound, address, read_key, read_row};
use super::sql::{self, TableSql};
use super::{Answer, Fault, Sqlite};

/// A parameter of a statement.
type Param<'a> = Box<dyn rusqlite::ToSql + 'a>;

/// The owner's number, then fields.
fn params<'a>(owner: i64, rows: &[&'a Row]) -> Vec<Param<'a>> {
    let fields = rows.iter().flat_map(|row| &row.0);
    let fields = fields.map(|field| Box::new(Bound(field)) as Param<'a>);
    std::iter::once(Box::new(owner) as Param<'a>)
        .chain(fields)
        .collect()
}

impl Sqlite {
    pub(super) fn table_sql(&self, table: Table) -> Result<&TableSql, Fault> {
        self.sql
            .table(table)
            .ok_or(Fault::Bug("there is no such table"))
    }

    /// By address: who signs in is looked up with one statement.
    pub(super) fn get(&self, owner: &BareJid, table: Table, key: &Row) -> Answer {
        if table.loading == Loading::Unseen {
            return self.get_unseen(owner, table);
        }
        let mut get = self
            .connection
            .prepare_cached(&self.table_sql(table)?.get)?;
        let read = |row: &rusqlite::Row<'_>| read_row(table, row, 0);
        let row = match &key.0[..] {
            [] => get.query_row([owner.as_str()], read),
            fields => {
                let owner = Box::new(owner.as_str()) as Param<'_>;
                let fields = fields
                    .iter()
                    .map(|field| Box::new(Bound(field)) as Param<'_>);
                get.query_row(params_from_iter(std::iter::once(owner).chain(fields)), read)
            }
        };
        Ok(Reply::Row(row.optional()?))
    }

    pub(super) fn list(
        &self,
        owner: Option<i64>,
        table: Table,
        prefix: &Row,
        after: Option<&Row>,
        limit: u32,
    ) -> Answer {
        let (mut rows, mut more) = (Vec::new(), false);
        let sql = self.table_sql(table)?.by_prefix.get(prefix.0.len());
        let sql = sql.ok_or(Fault::Bug("a prefix longer than the key"))?;
        let sql = match after {
            None => Some(&sql.list),
            Some(_) => sql.list_after.as_ref(),
        };
        // Behind the only row of a key there is nothing.
        let (Some(owner), Some(sql)) = (owner, sql) else {
            return Ok(Reply::Rows { rows, more });
        };
        let mut list = self.connection.prepare_cached(sql)?;
        let mut params = params(owner, &[after.unwrap_or(prefix)]);
        params.push(Box::new(i64::from(limit) + 1));
        let mut found = list.query(params_from_iter(params))?;
        let mut cut = Cut::new(limit, STORE_LIST_BYTES);
        while let Some(row) = found.next()? {
            let row = read_row(table, row, 0)?;
            if !cut.takes(row.weight()) {
                more = true;
                break;
            }
            rows.push(row);
        }
        Ok(Reply::Rows { rows, more })
    }

    pub(super) fn owners(
        &self,
        host: &BareJid,
        table: Table,
        after: Option<&BareJid>,
        limit: u32,
    ) -> Answer {
        let mut owners = self
            .connection
            .prepare_cached(&self.table_sql(table)?.owners)?;
        let behind = after.map_or("", BareJid::as_str);
        let found = owners.query_map((host.domain(), behind, limit), |row| {
            Ok((address(row, 0)?, read_row(table, row, 1)?))
        })?;
        Ok(Reply::Owners(found.collect::<rusqlite::Result<_>>()?))
    }

    pub(super) fn count_in(&self, host: &BareJid, subset: &Subset, limit: u32) -> Answer {
        let sql = self.sql.subset(subset);
        let sql = sql.ok_or(Fault::Bug("there is no such subset"))?;
        let mut count = self.connection.prepare_cached(sql)?;
        let count: i64 = count.query_row((host.domain(), limit), |row| row.get(0))?;
        Ok(Reply::Count(u64::try_from(count).unwrap_or(0)))
    }

    pub(super) fn load(&self, owner: Option<i64>) -> Answer {
        let mut loaded = Loaded::default();
        let Some(owner) = owner else {
            return Ok(Reply::Loaded(Box::new(loaded)));
        };
        let (mut count, mut bytes) = (0, 0);
        for (table, sql) in self.sql.tables() {
            if table.loading != Loading::Loaded {
                continue;
            }
            let mut rows = Vec::new();
            let mut load = self.connection.prepare_cached(&sql.load)?;
            let mut found = load.query([owner])?;
            while let Some(row) = found.next()? {
                let row = read_row(table, row, 0)?;
                count += 1;
                bytes += row.weight();
                if count > STORE_LOAD_ROWS || bytes > STORE_LOAD_BYTES {
                    return Err(Fault::TooMuch);
                }
                rows.push(row);
            }
            if !rows.is_empty() {
                loaded.tables.push((table, rows));
            }
        }
        loaded.tables.sort_by_key(|(table, _)| *table);
        for (log, _) in self.sql.logs() {
            let done = log.done.and_then(|mark| mark.read(loaded.rows(mark.table)));
            loaded.ends.extend(self.end(owner, log, done)?);
        }
        loaded.ends.sort_by_key(|end| end.log);
        Ok(Reply::Loaded(Box::new(loaded)))
    }

    pub(super) fn exists(&self, owner: i64, table: Table, key: &Row) -> Result<bool, Fault> {
        let mut exists = self
            .connection
            .prepare_cached(&self.table_sql(table)?.exists)?;
        Ok(exists.exists(params_from_iter(params(owner, &[key])))?)
    }

    pub(super) fn put(&self, owner: i64, table: Table, row: &Row) -> Answer {
        self.execute_on(&self.table_sql(table)?.put, owner, &[row])?;
        Ok(Reply::Done)
    }

    pub(super) fn delete(&self, owner: i64, table: Table, key: &Row) -> Answer {
        self.execute_on(&self.table_sql(table)?.delete, owner, &[key])?;
        Ok(Reply::Done)
    }

    /// Up to the key of the first row that may stay.
    pub(super) fn delete_prefix(&self, owner: i64, table: Table, prefix: &Row) -> Answer {
        let sql = self.table_sql(table)?.by_prefix.get(prefix.0.len());
        let sql = sql.ok_or(Fault::Bug("a prefix longer than the key"))?;
        let mut nth = self.connection.prepare_cached(&sql.nth)?;
        let mut params = params(owner, &[prefix]);
        params.push(Box::new(STORE_LIST_ROWS));
        let stays = nth.query_row(params_from_iter(params), |row| read_key(table, row));
        let (rows, more) = match (stays.optional()?, &sql.delete_before) {
            (Some(key), Some(delete)) => (self.execute_on(delete, owner, &[&key])?, true),
            (_, _) => (self.execute_on(&sql.delete, owner, &[prefix])?, false),
        };
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        Ok(Reply::Deleted { rows, more })
    }

    /// The owner's rows go at once, and so does its name; what its logs hold is nobody's from here on and goes in steps.
    pub(super) fn purge(&mut self, owner: &BareJid) -> Answer {
        let Some(id) = self.owner_id(owner)? else {
            return Ok(Reply::Done);
        };
        for (_, sql) in self.sql.tables() {
            self.execute_on(&sql.purge, id, &[])?;
        }
        self.execute_on(sql::LEAVE, id, &[])?;
        self.remembered.forget_owner(owner);
        Ok(Reply::Done)
    }

    fn execute_on(&self, sql: &str, owner: i64, rows: &[&Row]) -> rusqlite::Result<usize> {
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.execute(params_from_iter(params(owner, rows)))
    }
}

/// The key of a row that is put.
pub(super) fn key_of(table: Table, row: &Row) -> Row {
    Row(row.0.iter().take(table.key.len()).cloned().collect())
}
