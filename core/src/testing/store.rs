//! A store in memory. The shortest statement of what a back end does; the others are held to it by the tests of `shell-common`.

mod log;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::jid::BareJid;
use crate::limits::{STORE_LIST_BYTES, STORE_LIST_ROWS, STORE_LOAD_BYTES, STORE_LOAD_ROWS};
use crate::store::{
    self, Amount, Batch, Class, Cut, End, Entry, Erased, Expect, Field, Loaded, Loading, Log,
    Measured, Op, Reply, Row, StoreError, Subset, Table,
};

/// Keeps everything in maps.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    owners: Owners,
}

type Owners = BTreeMap<BareJid, Kept>;

/// What one owner keeps.
#[derive(Clone, Debug, Default)]
struct Kept {
    tables: BTreeMap<Table, BTreeMap<Row, Row>>,
    logs: BTreeMap<Log, BTreeMap<i64, Entry>>,
}

impl Memory {
    /// Applies a batch, whole or not at all.
    ///
    /// # Errors
    /// It is flawed, or what it insists on is not so.
    pub fn apply(&mut self, batch: &Batch) -> Result<Vec<Reply>, StoreError> {
        if batch.check().is_err() {
            return Err(StoreError::Failed);
        }
        let owners = &mut self.owners;
        let nothing = Kept::default();
        if batch.is_read_only() {
            let kept = owners.get(&batch.owner).unwrap_or(&nothing);
            let read = |op| kept.read(owners, &batch.owner, op);
            return batch.ops.iter().map(read).collect();
        }
        if let [
            Op::Sweep {
                log,
                before,
                kept,
                from,
                limit,
            },
        ] = &batch.ops[..]
        {
            let below = owners_below(owners, &batch.owner, from.as_ref());
            return Ok([sweep(below, *log, *before, *kept, *limit)].into());
        }
        if let [Op::Erase] = &batch.ops[..] {
            // What is gone is gone.
            return Ok([Reply::Erased(Erased::All)].into());
        }
        let adds = |op: &Op| matches!(op, Op::Append { .. } | Op::Put { .. });
        if batch.class == Class::Append && batch.ops.iter().all(adds) {
            // It cannot fail any more, and a long log is not copied for each of them.
            let kept = owners.entry(batch.owner.clone()).or_default();
            kept.expect(batch)?;
            return batch.ops.iter().map(|op| kept.write(op)).collect();
        }
        // Whole after a panic too: a batch works on a copy.
        let mut kept = owners.get(&batch.owner).cloned().unwrap_or_default();
        kept.expect(batch)?;
        let replies = batch.ops.iter().map(|op| kept.write(op)).collect();
        owners.insert(batch.owner.clone(), kept);
        replies
    }
}

impl Kept {
    fn expect(&self, batch: &Batch) -> Result<(), StoreError> {
        for op in &batch.ops {
            let Op::Put { table, row, expect } = op else {
                continue;
            };
            let rows = self.tables.get(table);
            let found = rows.is_some_and(|rows| rows.contains_key(&key_of(table, row)));
            match (expect, found) {
                (Expect::Absent, true) | (Expect::Present, false) => {
                    return Err(StoreError::Conflict);
                }
                (Expect::Absent | Expect::Anything, false)
                | (Expect::Anything | Expect::Present, true) => {}
            }
        }
        Ok(())
    }

    fn read(&self, owners: &Owners, owner: &BareJid, op: &Op) -> Result<Reply, StoreError> {
        Ok(match op {
            Op::Count {
                log,
                kept,
                peer,
                after,
                before,
                upto,
            } => {
                let within = |key: i64| {
                    key <= *upto
                        && after.is_none_or(|after| key > after)
                        && before.is_none_or(|before| key < before)
                };
                log::count(self.logs.get(log), *kept, peer.as_ref(), within)
            }
            Op::CountIn { subset, limit } => count_in(owners, owner, subset, *limit),
            Op::Get { table, key } => {
                let rows = self.tables.get(table);
                Reply::Row(rows.and_then(|rows| rows.get(key)).cloned())
            }
            Op::List {
                table,
                prefix,
                after,
                limit,
            } => self.list(table, prefix, after.as_ref(), *limit),
            Op::Load => self.load()?,
            Op::Owners {
                table,
                after,
                limit,
            } => list_owners(owners, owner, table, after.as_ref(), *limit),
            Op::Measure {
                log,
                kept,
                most,
                upto,
            } => Reply::Measured(self.measure(*log, *kept, *most, *upto)),
            Op::Page { log, pick } => log::page(self.logs.get(log), pick),
            Op::Append { .. }
            | Op::Blank { .. }
            | Op::Delete { .. }
            | Op::DeletePrefix { .. }
            | Op::Erase
            | Op::Purge
            | Op::Put { .. }
            | Op::Sweep { .. }
            | Op::Trim { .. } => return Err(StoreError::Failed),
        })
    }

    fn write(&mut self, op: &Op) -> Result<Reply, StoreError> {
        Ok(match op {
            Op::Append { log, entries } => {
                let kept = self.logs.entry(*log).or_default();
                log::append(kept, entries);
                Reply::Done
            }
            Op::Blank { log, key } => {
                if let Some(entry) = self.logs.get_mut(log).and_then(|log| log.get_mut(key)) {
                    entry.payload.0.clear();
                }
                Reply::Done
            }
            Op::Delete { table, key } => {
                if let Some(rows) = self.tables.get_mut(table) {
                    rows.remove(key);
                }
                Reply::Done
            }
            Op::DeletePrefix { table, prefix } => self.delete_prefix(table, prefix),
            Op::Purge => {
                *self = Self::default();
                Reply::Done
            }
            Op::Put { table, row, .. } => {
                let rows = self.tables.entry(table).or_default();
                rows.insert(key_of(table, row), row.clone());
                Reply::Done
            }
            Op::Trim {
                log,
                before,
                kept,
                limit,
            } => {
                let (entries, more) = self.trim(*log, *before, *kept, *limit);
                Reply::Trimmed { entries, more }
            }
            Op::Count { .. }
            | Op::CountIn { .. }
            | Op::Erase
            | Op::Get { .. }
            | Op::List { .. }
            | Op::Load
            | Op::Measure { .. }
            | Op::Owners { .. }
            | Op::Page { .. }
            | Op::Sweep { .. } => return Err(StoreError::Failed),
        })
    }

    fn list(&self, table: Table, prefix: &Row, after: Option<&Row>, limit: u32) -> Reply {
        let (mut rows, mut more) = (Vec::new(), false);
        let mut cut = Cut::new(limit, STORE_LIST_BYTES);
        for (key, row) in self.tables.get(table).into_iter().flatten() {
            if !key.0.starts_with(&prefix.0) || after.is_some_and(|after| key <= after) {
                continue;
            }
            if !cut.takes(row.weight()) {
                more = true;
                break;
            }
            rows.push(row.clone());
        }
        Reply::Rows { rows, more }
    }

    fn load(&self) -> Result<Reply, StoreError> {
        let loaded = self
            .tables
            .iter()
            .filter(|(table, rows)| table.loading == Loading::Loaded && !rows.is_empty());
        let tables: Vec<(Table, Vec<Row>)> = loaded
            .map(|(table, rows)| (*table, rows.values().cloned().collect()))
            .collect();
        let rows = || tables.iter().flat_map(|(_, rows)| rows);
        let bytes: usize = rows().map(Row::weight).sum();
        if rows().count() > STORE_LOAD_ROWS || bytes > STORE_LOAD_BYTES {
            return Err(StoreError::Failed);
        }
        let end = |(log, entries): (&Log, &BTreeMap<i64, Entry>)| {
            let (last, _) = entries.last_key_value()?;
            Some(End {
                log: *log,
                last: *last,
                owed: log::owed(entries, self.done(*log)),
            })
        };
        let ends = self.logs.iter().filter_map(end).collect();
        Ok(Reply::Loaded(Box::new(Loaded { tables, ends })))
    }

    /// Up to where nothing is owed.
    fn done(&self, log: Log) -> Option<i64> {
        let mark = log.done?;
        let rows = self.tables.get(mark.table)?.values().cloned();
        mark.read(&rows.collect::<Vec<_>>())
    }

    fn measure(&self, log: Log, kept: store::Kept, most: Amount, upto: i64) -> Measured {
        let mut measured = Measured::default();
        let Some(entries) = self.logs.get(&log) else {
            return measured;
        };
        for (key, entry) in entries.range(..=upto).rev() {
            if entry.kept.meets(kept) {
                measured.count(*key, entry.payload.len(), most);
            }
        }
        measured.owed = log::owed(entries, self.done(log));
        measured
    }

    fn trim(&mut self, log: Log, before: i64, kept: store::Kept, limit: u32) -> (u32, bool) {
        let done = self.done(log);
        self.take(log, |entries| log::trim(entries, before, kept, done, limit))
    }

    /// As `trim`, and what was delivered and is kept for nothing else goes, too.
    fn sweep(&mut self, log: Log, before: i64, kept: store::Kept, limit: u32) -> u32 {
        let (mut entries, _) = self.trim(log, before, kept, limit);
        if let Some(done) = self.done(log).filter(|_| kept.meets(store::Kept::Owed)) {
            let rest = limit.saturating_sub(entries);
            let delivered = |log: &mut Entries| log::forget_delivered(log, done, rest);
            entries += self.take(log, delivered);
        }
        entries
    }

    /// Takes entries from a log. If the last is among them its key stays behind.
    fn take<T>(&mut self, log: Log, take: impl FnOnce(&mut Entries) -> T) -> T {
        let entries = self.logs.entry(log).or_default();
        let last = |entries: &Entries| entries.last_key_value().map(|(key, _)| *key);
        let before = last(entries);
        let taken = take(entries);
        if let (Some(mark), Some(key)) = (log.last, before)
            && last(entries) != before
        {
            let rows = self.tables.entry(mark.table).or_default();
            let row = rows.entry(Row::default()).or_insert_with(|| {
                let absent = |_| Field::Absent;
                Row(mark.table.all().map(absent).collect())
            });
            let known = mark.read(core::slice::from_ref(row));
            let place = mark.table.all().position(|c| c.name == mark.column);
            if let Some(field) = place.and_then(|place| row.0.get_mut(place)) {
                *field = Field::Time(known.map_or(key, |known| known.max(key)));
            }
        }
        taken
    }

    fn delete_prefix(&mut self, table: Table, prefix: &Row) -> Reply {
        let (mut rows, mut more) = (0, false);
        if let Some(kept) = self.tables.get_mut(table) {
            kept.retain(|key, _| {
                if !key.0.starts_with(&prefix.0) {
                    return true;
                }
                more |= rows == STORE_LIST_ROWS;
                rows += u32::from(!more);
                more
            });
        }
        Reply::Deleted { rows, more }
    }
}

type Entries = BTreeMap<i64, Entry>;

/// A domain's owners, in the order of their addresses.
fn owners_below<'a>(
    owners: &'a mut Owners,
    domain: &'a BareJid,
    from: Option<&'a BareJid>,
) -> impl Iterator<Item = (&'a BareJid, &'a mut Kept)> {
    let below = move |owner: &BareJid| {
        owner.domain() == domain.domain() && from.is_none_or(|from| owner >= from)
    };
    owners.iter_mut().filter(move |(owner, _)| below(owner))
}

fn sweep<'a>(
    owners: impl Iterator<Item = (&'a BareJid, &'a mut Kept)>,
    log: Log,
    before: i64,
    kept: store::Kept,
    limit: u32,
) -> Reply {
    let mut entries = 0;
    for (owner, keeps) in owners {
        if keeps.logs.contains_key(&log) {
            entries += keeps.sweep(log, before, kept, limit.saturating_sub(entries));
        }
        if entries >= limit {
            let next = Some(owner.clone());
            return Reply::Swept { entries, next };
        }
    }
    let next = None;
    Reply::Swept { entries, next }
}

fn count_in(owners: &Owners, host: &BareJid, subset: &Subset, limit: u32) -> Reply {
    let is_of_it = |(owner, kept): &(&BareJid, &Kept)| {
        let rows = kept.tables.get(subset.table);
        let row = rows.and_then(|rows| rows.get(&Row::default()));
        owner.local().is_some()
            && owner.domain() == host.domain()
            && row.is_some_and(|row| subset.has(row))
    };
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = owners.iter().filter(is_of_it).take(most).count();
    Reply::Count(u64::try_from(count).unwrap_or(u64::MAX))
}

fn list_owners(
    owners: &Owners,
    host: &BareJid,
    table: Table,
    after: Option<&BareJid>,
    limit: u32,
) -> Reply {
    let below = |owner: &BareJid| {
        owner.local().is_some()
            && owner.domain() == host.domain()
            && after.is_none_or(|after| owner > after)
    };
    let with_row = owners
        .iter()
        .filter(|(owner, _)| below(owner))
        .filter_map(|(owner, kept)| {
            let row = kept.tables.get(table)?.get(&Row::default())?;
            Some((owner.clone(), row.clone()))
        });
    Reply::Owners(
        with_row
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .collect(),
    )
}

fn key_of(table: Table, row: &Row) -> Row {
    Row(row.0.iter().take(table.key.len()).cloned().collect())
}
