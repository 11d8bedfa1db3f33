//! What is asked of logs.
//!
//! A log has one index for everything, (owner, key, tag); the tag is 24 bits of a hash of the peer's address, so that most entries
//! with others are passed over without reading them. Which days hold entries with a peer is kept beside it: a page by
//! contact looks at those days only, and somebody who is not there costs one look.

use bytes::Bytes;
use rusqlite::{OptionalExtension as _, StatementStatus, ToSql, params};
use spondee_core::limits::{STORE_OWED_ENTRIES, STORE_PAGE_BYTES};
use spondee_core::store::{
    Cut, End, Entry, Kept, Log, Order, Owed, Page, Payload, Peer, Pick, Reply,
};

use super::fields::{Text, text};
use super::owners::Day;
use super::sql::{KeptSql, LogSql};
use super::{Answer, Fault, Sqlite};
use crate::limits::{SQLITE_PAGE_SPAN, SQLITE_PAGE_STEPS};
use crate::store::page::{Begun, Filling};

/// Microseconds of a day: keys are times.
pub(super) const DAY: i64 = 86_400_000_000;

/// 24 bits of FNV-1a: as small as a number, and no table of strangers that somebody must sweep. Equal tags cost a row read in
/// vain.
fn tag(peer: &[u8]) -> i64 {
    let hash = peer.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    i64::from((hash >> 24) ^ (hash & 0x00ff_ffff))
}

/// Entries of an owner with keys between these two, the bounds not included.
#[derive(Clone, Copy)]
struct Range {
    owner: i64,
    behind: i64,
    before: i64,
}

impl Range {
    fn day(self, day: i64) -> Self {
        let first = day.saturating_mul(DAY);
        Self {
            behind: self.behind.max(first.saturating_sub(1)),
            before: self.before.min(first.saturating_add(DAY)),
            ..self
        }
    }

    /// Takes off the end at which a page begins, so many keys of it at most.
    fn split(&mut self, keys: i64, order: Order) -> Option<Self> {
        if self.behind.saturating_add(1) >= self.before {
            return None;
        }
        let mut part = *self;
        match order {
            Order::Backward => {
                let behind = self.before.saturating_sub(keys).saturating_sub(1);
                part.behind = self.behind.max(behind);
                self.before = part.behind.saturating_add(1);
            }
            Order::Forward => {
                let before = self.behind.saturating_add(keys).saturating_add(1);
                part.before = self.before.min(before);
                self.behind = part.before.saturating_sub(1);
            }
        }
        Some(part)
    }
}

impl Sqlite {
    pub(super) fn log_sql(&self, log: Log) -> Result<&LogSql, Fault> {
        self.sql.log(log).ok_or(Fault::Bug("there is no such log"))
    }

    pub(super) fn append(&mut self, owner: i64, log: Log, entries: &[Entry]) -> Answer {
        let sql = self.sql.clone();
        let sql = sql.log(log).ok_or(Fault::Bug("there is no such log"))?;
        for entry in entries {
            let tag = tag(&entry.peer);
            let payload = entry.payload.joined();
            let mut append = self.connection.prepare_cached(&sql.append)?;
            append.execute(params![
                owner,
                entry.key,
                tag,
                Text(Some(&entry.peer)),
                Text(entry.resource.as_deref()),
                entry.kept.bits(),
                Text((!payload.is_empty()).then_some(&payload[..])),
            ])?;
            let day = entry.key.div_euclid(DAY);
            let seen = Day {
                log,
                owner,
                tag,
                day,
            };
            if !self.remembered.knows_day(&seen) {
                let mut append = self.connection.prepare_cached(&sql.append_day)?;
                append.execute([owner, tag, day])?;
                self.remembered.learn_day(seen);
            }
        }
        Ok(Reply::Done)
    }

    pub(super) fn blank(&self, owner: i64, log: Log, key: i64) -> Answer {
        let mut blank = self.connection.prepare_cached(&self.log_sql(log)?.blank)?;
        blank.execute([owner, key])?;
        Ok(Reply::Done)
    }

    /// A page in one go.
    pub(super) fn whole_page(&self, owner: Option<i64>, log: Log, pick: &Pick) -> Answer {
        let mut begun = Begun::default();
        let page = self.page_step(owner, log, pick, &mut begun, i32::MAX)?;
        page.ok_or(Fault::Bug("a page that has no end"))
    }

    /// As far as so many steps of SQLite's machine go, or some more. `None` if that was not enough.
    pub(super) fn page_step(
        &self,
        owner: Option<i64>,
        log: Log,
        pick: &Pick,
        begun: &mut Begun,
        steps: i32,
    ) -> Result<Option<Reply>, Fault> {
        let sql = self.log_sql(log)?;
        let Some(owner) = owner else {
            return Ok(Some(match pick.ids {
                Some(_) => Reply::Missing,
                None => Reply::Page(Page::default()),
            }));
        };
        if let Some(ids) = &pick.ids {
            let oldest = self.first(&sql.oldest, owner)?;
            return self.ids(owner, sql, pick, ids, oldest).map(Some);
        }
        let filling = begun.page(|| Filling::new(owner, pick, DAY));
        // Purged meanwhile, and somebody else has its name.
        if filling.owner != owner {
            return Ok(Some(Reply::Page(Page::default())));
        }
        match &pick.peer {
            None => self.fill(filling, sql.kept(pick.kept), pick)?,
            Some(peer) => {
                if !self.fill_with(filling, sql, pick, peer, steps)? {
                    return Ok(None);
                }
            }
        }
        // Last: what was trimmed meanwhile may be missing from the page, but not without a sign.
        let oldest = self.first(&sql.oldest, owner)?;
        let mut entries = std::mem::take(&mut filling.entries);
        if pick.order == Order::Backward {
            entries.reverse();
        }
        Ok(Some(Reply::Page(Page {
            entries,
            oldest,
            more: filling.more,
        })))
    }

    fn fill(&self, filling: &mut Filling, sql: &KeptSql, pick: &Pick) -> Result<(), Fault> {
        let sql = match pick.order {
            Order::Backward => &sql.backward,
            Order::Forward => &sql.forward,
        };
        let limit = i64::from(pick.limit) + 1;
        let params = [filling.owner, filling.behind, filling.before, limit];
        let [owner, behind, before, limit] = &params;
        self.pour(filling, sql, params![owner, behind, before, limit])?;
        Ok(())
    }

    /// Day by day, as long as there is room and steps are left; a day with very many entries in parts. Whether it is done.
    fn fill_with(
        &self,
        filling: &mut Filling,
        sql: &LogSql,
        pick: &Pick,
        peer: &Peer,
        steps: i32,
    ) -> Result<bool, Fault> {
        let kept = sql.kept(pick.kept);
        let (days, sql) = match pick.order {
            Order::Backward => (&sql.days_backward, &kept.backward_with),
            Order::Forward => (&sql.days_forward, &kept.forward_with),
        };
        let tag = tag(&peer.bare);
        let whole = Range {
            owner: filling.owner,
            behind: filling.behind,
            before: filling.before,
        };
        let mut used = 0_i32;
        let mut days = self.connection.prepare_cached(days)?;
        let mut days = days.query(days_of(whole, tag))?;
        while let Some(day) = days.next()? {
            let mut rest = whole.day(day.get(0)?);
            while let Some(part) = rest.split(filling.span, pick.order) {
                let params = params![
                    part.owner,
                    part.behind,
                    part.before,
                    tag,
                    Text(Some(&peer.bare)),
                    Text(peer.resource.as_deref()),
                    i64::from(pick.limit) + 1,
                ];
                let steps_of_part = self.pour(filling, sql, params)?;
                if filling.more {
                    return Ok(true);
                }
                match pick.order {
                    Order::Backward => filling.before = part.behind.saturating_add(1),
                    Order::Forward => filling.behind = part.before.saturating_sub(1),
                }
                filling.span = span_after(filling.span, steps_of_part);
                used = used.saturating_add(steps_of_part);
                if used >= steps {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Returns how many steps of SQLite's machine it took.
    fn pour(&self, filling: &mut Filling, sql: &str, params: &[&dyn ToSql]) -> Result<i32, Fault> {
        let mut page = self.connection.prepare_cached(sql)?;
        let before = page.get_status(StatementStatus::VmStep);
        let mut rows = page.query(params)?;
        while let Some(row) = rows.next()? {
            if !filling.take(read_entry(row)?) {
                break;
            }
        }
        drop(rows);
        Ok(page
            .get_status(StatementStatus::VmStep)
            .wrapping_sub(before))
    }

    /// One look for each.
    fn ids(
        &self,
        owner: i64,
        sql: &LogSql,
        pick: &Pick,
        ids: &[i64],
        oldest: Option<i64>,
    ) -> Answer {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let mut one = self.connection.prepare_cached(&sql.kept(pick.kept).one)?;
        let mut entries = Vec::with_capacity(ids.len());
        let mut more = false;
        let mut cut = Cut::new(u32::MAX, STORE_PAGE_BYTES);
        for key in ids {
            let found = one.query_row([owner, key], read_entry).optional()?;
            let with = |entry: &Entry| {
                key <= pick.upto && pick.peer.as_ref().is_none_or(|peer| is_with(entry, peer))
            };
            let Some(entry) = found.filter(with) else {
                return Ok(Reply::Missing);
            };
            if more || !cut.takes(entry.weight()) {
                more = true;
                continue;
            }
            entries.push(entry);
        }
        Ok(Reply::Page(Page {
            entries,
            oldest,
            more,
        }))
    }

    pub(super) fn count(
        &self,
        owner: Option<i64>,
        log: Log,
        kept: Kept,
        peer: Option<&Peer>,
        (behind, before): (i64, i64),
    ) -> Answer {
        let sql = self.log_sql(log)?;
        let Some(owner) = owner else {
            return Ok(Reply::Count(0));
        };
        let range = Range {
            owner,
            behind,
            before,
        };
        let kept = sql.kept(kept);
        let number =
            |row: &rusqlite::Row<'_>| Ok(u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default());
        let Some(peer) = peer else {
            let mut count = self.connection.prepare_cached(&kept.count)?;
            let count = count.query_row([owner, range.behind, range.before], number)?;
            return Ok(Reply::Count(count));
        };
        let tag = tag(&peer.bare);
        let mut days = self.connection.prepare_cached(&sql.days_forward)?;
        let mut days = days.query(days_of(range, tag))?;
        let mut count = self.connection.prepare_cached(&kept.count_with)?;
        let mut sum = 0_u64;
        while let Some(day) = days.next()? {
            let range = range.day(day.get(0)?);
            let params = params![
                owner,
                range.behind,
                range.before,
                tag,
                Text(Some(&peer.bare)),
                Text(peer.resource.as_deref()),
            ];
            sum = sum.saturating_add(count.query_row(params, number)?);
        }
        Ok(Reply::Count(sum))
    }

    /// Where a log ends, if it has entries; `done` is the key up to which nothing is owed.
    pub(super) fn end(
        &self,
        owner: i64,
        log: Log,
        done: Option<i64>,
    ) -> Result<Option<End>, Fault> {
        let sql = self.log_sql(log)?;
        let Some(last) = self.first(&sql.last, owner)? else {
            return Ok(None);
        };
        let mut owed = Owed::default();
        let mut payloads = self.connection.prepare_cached(&sql.owed)?;
        let limit = i64::from(STORE_OWED_ENTRIES) + 1;
        let mut payloads = payloads.query([owner, done.unwrap_or(i64::MIN), limit])?;
        while let Some(row) = payloads.next()? {
            let bytes: Option<i64> = row.get(0)?;
            let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
            if !owed.count(bytes.unwrap_or(0)) {
                break;
            }
        }
        Ok(Some(End { log, last, owed }))
    }

    pub(super) fn first(&self, sql: &str, owner: i64) -> Result<Option<i64>, Fault> {
        Self::first_of(self.connection.prepare_cached(sql)?, [owner])
    }

    pub(super) fn first_of(
        mut statement: rusqlite::CachedStatement<'_>,
        params: impl rusqlite::Params,
    ) -> Result<Option<i64>, Fault> {
        Ok(statement.query_row(params, |row| row.get(0)).optional()?)
    }
}

/// How long parts of days should be, when one so long took so many steps.
fn span_after(span: i64, steps: i32) -> i64 {
    if steps <= SQLITE_PAGE_STEPS {
        return span;
    }
    let shorter = i128::from(span) * i128::from(SQLITE_PAGE_STEPS) / i128::from(steps);
    i64::try_from(shorter).unwrap_or(span).max(SQLITE_PAGE_SPAN)
}

/// The days on which entries of a range can lie.
fn days_of(range: Range, tag: i64) -> [i64; 4] {
    let first = range.behind.saturating_add(1).div_euclid(DAY);
    let last = range.before.saturating_sub(1).div_euclid(DAY);
    [range.owner, tag, first, last]
}

fn is_with(entry: &Entry, peer: &Peer) -> bool {
    entry.peer == peer.bare
        && peer
            .resource
            .as_ref()
            .is_none_or(|resource| entry.resource.as_ref() == Some(resource))
}

fn read_entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    let bits = row.get(3)?;
    let kept = Kept::from_bits(bits).ok_or(rusqlite::Error::IntegralValueOutOfRange(3, bits))?;
    Ok(Entry {
        key: row.get(0)?,
        peer: text(row, 1)?.unwrap_or_else(Bytes::new),
        resource: text(row, 2)?,
        kept,
        payload: Payload(text(row, 4)?.into_iter().collect()),
    })
}
