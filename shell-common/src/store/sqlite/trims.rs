//! What is taken from logs: by an owner, by a sweep over all owners of a domain, and what purged owners have left.

use spondee_core::jid::BareJid;
use spondee_core::limits::STORE_SWEEP_OWNERS;
use spondee_core::store::{Kept, Log, Reply};

use super::fields::address;
use super::logs::DAY;
use super::sql::{self, LogSql};
use super::{Answer, Fault, Sqlite};
use crate::limits::SQLITE_UPKEEP_ENTRIES;

/// An entry that may go.
struct Old {
    id: i64,
    key: i64,
    kept: i64,
}

impl Sqlite {
    /// Owner after owner, as far as the limits go.
    pub(super) fn sweep(
        &mut self,
        domain: &str,
        log: Log,
        before: i64,
        kept: Kept,
        from: Option<&BareJid>,
        limit: u32,
    ) -> Answer {
        let most = usize::try_from(STORE_SWEEP_OWNERS).unwrap_or(usize::MAX);
        // No address is empty.
        let from = from.map_or("", BareJid::as_str);
        let mut owners: Vec<(i64, BareJid)> = self
            .connection
            .prepare_cached(sql::OWNERS)?
            .query_map((domain, from, STORE_SWEEP_OWNERS + 1), |row| {
                Ok((row.get(0)?, address(row, 1)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let behind = owners.drain(most.min(owners.len())..).next();
        let mut entries = 0;
        for (id, owner) in owners {
            entries += self.sweep_one(id, log, before, kept, limit - entries)?;
            if entries >= limit {
                let next = Some(owner);
                return Ok(Reply::Swept { entries, next });
            }
        }
        let next = behind.map(|(_, owner)| owner);
        Ok(Reply::Swept { entries, next })
    }

    fn sweep_one(
        &mut self,
        owner: i64,
        log: Log,
        before: i64,
        kept: Kept,
        limit: u32,
    ) -> Result<u32, Fault> {
        let sql = self.sql.clone();
        let sql = sql.log(log).ok_or(Fault::Bug("there is no such log"))?;
        let oldest = self.first(&sql.oldest, owner)?;
        let mut entries = match oldest {
            None => return Ok(0),
            Some(oldest) if oldest >= before => 0,
            Some(_) => self.trim(owner, log, before, kept, limit)?.0,
        };
        if kept.meets(Kept::Owed) && entries < limit {
            entries += self.forget_delivered(owner, sql, limit - entries)?;
        }
        Ok(entries)
    }

    /// How many, and whether some are left.
    pub(super) fn trim(
        &mut self,
        owner: i64,
        log: Log,
        before: i64,
        kept: Kept,
        limit: u32,
    ) -> Result<(u32, bool), Fault> {
        let sql = self.sql.clone();
        let sql = sql.log(log).ok_or(Fault::Bug("there is no such log"))?;
        let mut old = self.old(&sql.kept(kept).old, owner, before, limit)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = old.len() > limit;
        old.truncate(limit);
        if old.is_empty() {
            return Ok((0, false));
        }
        let done = self.done(owner, sql)?;
        let mut gone = None;
        for entry in &old {
            let was = Kept::from_bits(entry.kept);
            match was.and_then(|was| was.left(kept, entry.key, done)) {
                Some(left) => {
                    let mut less = self.connection.prepare_cached(&sql.keep_less)?;
                    less.execute([entry.id, left.bits()])?;
                }
                None => gone = Some(self.forget(entry, sql)?),
            }
        }
        self.are_gone(owner, sql, gone)?;
        if !more {
            self.trim_days(owner, sql)?;
        }
        Ok((u32::try_from(old.len()).unwrap_or(u32::MAX), more))
    }

    /// What was kept for delivery only, and was delivered.
    fn forget_delivered(&mut self, owner: i64, sql: &LogSql, limit: u32) -> Result<u32, Fault> {
        let Some(done) = self.done(owner, sql)? else {
            return Ok(0);
        };
        let before = done.saturating_add(1);
        let mut old = self.old(&sql.delivered, owner, before, limit)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = old.len() > limit;
        old.truncate(limit);
        let mut gone = None;
        for entry in &old {
            gone = Some(self.forget(entry, sql)?);
        }
        self.are_gone(owner, sql, gone)?;
        if !more && !old.is_empty() {
            self.trim_days(owner, sql)?;
        }
        Ok(u32::try_from(old.len()).unwrap_or(u32::MAX))
    }

    /// One more than the limit, if there are so many.
    fn old(&self, sql: &str, owner: i64, before: i64, limit: u32) -> Result<Vec<Old>, Fault> {
        let mut old = self.connection.prepare_cached(sql)?;
        let old = old.query_map([owner, before, i64::from(limit) + 1], |row| {
            Ok(Old {
                id: row.get(0)?,
                key: row.get(1)?,
                kept: row.get(2)?,
            })
        })?;
        Ok(old.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns its key.
    fn forget(&self, entry: &Old, sql: &LogSql) -> Result<i64, Fault> {
        let mut forget = self.connection.prepare_cached(&sql.forget)?;
        forget.execute([entry.id])?;
        Ok(entry.key)
    }

    /// Entries are gone, the last of them with this key: if it was the last of the log, the key stays behind.
    fn are_gone(&self, owner: i64, sql: &LogSql, gone: Option<i64>) -> Result<(), Fault> {
        let (Some(gone), Some(put)) = (gone, &sql.put_last) else {
            return Ok(());
        };
        if self
            .first(&sql.last, owner)?
            .is_some_and(|last| last > gone)
        {
            return Ok(());
        }
        let mut put = self.connection.prepare_cached(put)?;
        put.execute([owner, gone])?;
        Ok(())
    }

    /// Up to where nothing is owed.
    pub(super) fn done(&self, owner: i64, sql: &LogSql) -> Result<Option<i64>, Fault> {
        let Some(done) = &sql.done else {
            return Ok(None);
        };
        self.first(done, owner)
    }

    /// Days that lie wholly before what is left.
    fn trim_days(&mut self, owner: i64, sql: &LogSql) -> Result<(), Fault> {
        let oldest = self.first(&sql.oldest, owner)?;
        let first = oldest.map_or(i64::MAX, |key| key.div_euclid(DAY));
        let mut forget = self.connection.prepare_cached(&sql.forget_days)?;
        if forget.execute([owner, first])? > 0 {
            self.remembered.forget_days();
        }
        Ok(())
    }

    /// One step towards emptying what purged owners have left. Tells whether there was anything to do.
    pub(super) fn forget_some(&self) -> Result<bool, Fault> {
        let left = self.connection.prepare_cached(sql::LEFT)?;
        let Some(owner) = Self::first_of(left, [])? else {
            return Ok(false);
        };
        let sql = self.sql.clone();
        for (_, sql) in sql.logs() {
            let mut some = self.connection.prepare_cached(&sql.some)?;
            let ids: Vec<i64> = some
                .query_map([owner, i64::from(SQLITE_UPKEEP_ENTRIES)], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            if ids.is_empty() {
                continue;
            }
            let mut forget = self.connection.prepare_cached(&sql.forget)?;
            for id in ids {
                forget.execute([id])?;
            }
            return Ok(true);
        }
        for (_, sql) in sql.logs() {
            let mut forget = self.connection.prepare_cached(&sql.forget_days)?;
            forget.execute([owner, i64::MAX])?;
        }
        let mut forget = self.connection.prepare_cached(sql::FORGET_OWNER)?;
        forget.execute([owner])?;
        Ok(true)
    }
}
