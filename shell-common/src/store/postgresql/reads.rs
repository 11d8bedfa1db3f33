//! What is read: asked of tables and logs with one statement or a few, none of which needs the answer of another.

use spondee_core::jid::BareJid;
use spondee_core::limits::{STORE_LIST_BYTES, STORE_LOAD_BYTES, STORE_LOAD_ROWS, STORE_PAGE_BYTES};
use spondee_core::store::{
    Cut, End, Entry, Kept, Loaded, Loading, Log, Measured, Op, Order, Owed, Page, Payload, Peer,
    Pick, Reply, Row, Table,
};

use super::connect::Ask;
use super::faults::{Answer, Fault};
use super::fields::{Param, address, amount, read_row, text};
use super::log_sql::LogSql;
use super::owners::Owners;
use super::sql::Sql;
use super::unseen;

/// Rows as they come.
pub(super) type Found = Vec<tokio_postgres::Row>;

/// The answers to the statements of one operation, in their order.
pub(super) type Answers = std::vec::IntoIter<Found>;

type Asks<'a> = Result<Vec<Ask<'a>>, Fault>;

/// The statements of an operation that reads.
pub(super) fn ask<'a>(sql: &'a Sql, owners: &Owners, owner: &'a BareJid, op: &'a Op) -> Asks<'a> {
    let jid = || Param::text(owner.as_str());
    match op {
        Op::Count { log, .. } => Ok(vec![count(log_sql(sql, *log)?, owner, op)?]),
        Op::CountIn { subset, limit } => {
            let count = sql.subset(subset);
            let count = count.ok_or(Fault::Bug("there is no such subset"))?;
            let params = vec![Param::text(owner.domain()), Param::Number((*limit).into())];
            Ok(vec![Ask::new(count, params)])
        }
        Op::Get { table, .. } if table.loading == Loading::Unseen => {
            let get = table_sql(sql, table)?;
            Ok(vec![unseen::ask(get, &owners.stand_ins, owner)])
        }
        Op::Get { table, key } => {
            let get = &table_sql(sql, table)?.get;
            let params = [jid()].into_iter().chain(key.0.iter().map(Param::field));
            Ok(vec![Ask::new(get, params.collect())])
        }
        Op::List {
            table,
            prefix,
            after,
            limit,
        } => list(sql, owner, table, prefix, after.as_ref(), *limit),
        Op::Load => Ok(load(sql, owner)),
        Op::Measure {
            log, kept, upto, ..
        } => measure(sql, owner, *log, *kept, upto.saturating_add(1), None),
        Op::Owners {
            table,
            after,
            limit,
        } => {
            let behind = after.as_ref().map_or("", BareJid::as_str);
            let params = vec![
                Param::text(owner.domain()),
                Param::text(behind),
                Param::Number((*limit).into()),
            ];
            Ok(vec![Ask::new(&table_sql(sql, table)?.owners, params)])
        }
        Op::Page { log, pick } => page(log_sql(sql, *log)?, owner, pick),
        Op::Append { .. }
        | Op::Blank { .. }
        | Op::Delete { .. }
        | Op::DeletePrefix { .. }
        | Op::Erase
        | Op::Purge
        | Op::Put { .. }
        | Op::Sweep { .. }
        | Op::Trim { .. } => Err(Fault::Bug("a write among reads")),
    }
}

/// What the answers mean.
pub(super) fn answer(
    sql: &Sql,
    owners: &Owners,
    owner: &BareJid,
    op: &Op,
    answers: &mut Answers,
) -> Answer {
    match op {
        Op::Count { .. } | Op::CountIn { .. } => {
            let found = next(answers)?;
            let row = found.first().ok_or(Fault::Bug("no count"))?;
            Ok(Reply::Count(amount(row, 0)?))
        }
        Op::Get { table, .. } if table.loading == Loading::Unseen => {
            unseen::read(table, &next(answers)?, &owners.stand_ins, owner)
        }
        Op::Get { table, .. } => {
            let found = next(answers)?;
            let row = found.first().map(|row| read_row(table, row, 0));
            Ok(Reply::Row(row.transpose()?))
        }
        // Behind the only row of a key nothing was looked for.
        Op::List {
            table,
            prefix,
            after: Some(_),
            ..
        } if prefix.0.len() == table.key.len() => Ok(Reply::Rows {
            rows: Vec::new(),
            more: false,
        }),
        Op::List { table, limit, .. } => read_list(table, &next(answers)?, *limit),
        Op::Load => read_load(sql, answers),
        Op::Measure { most, .. } => {
            let mut measured = Measured::default();
            for (key, bytes) in read_sizes(&next(answers)?)? {
                measured.count(key, bytes, *most);
            }
            measured.owed = read_owed(&next(answers)?)?;
            Ok(Reply::Measured(measured))
        }
        Op::Owners { table, .. } => {
            let read = |row| Ok((address(row, 0)?, read_row(table, row, 1)?));
            let found = next(answers)?;
            let owners: Result<_, Fault> = found.iter().map(read).collect();
            Ok(Reply::Owners(owners?))
        }
        Op::Page { pick, .. } => read_page(pick, answers),
        Op::Append { .. }
        | Op::Blank { .. }
        | Op::Delete { .. }
        | Op::DeletePrefix { .. }
        | Op::Erase
        | Op::Purge
        | Op::Put { .. }
        | Op::Sweep { .. }
        | Op::Trim { .. } => Err(Fault::Bug("a write among reads")),
    }
}

pub(super) fn next(answers: &mut Answers) -> Result<Found, Fault> {
    answers.next().ok_or(Fault::Bug("an answer too few"))
}

pub(super) fn table_sql(sql: &Sql, table: Table) -> Result<&super::sql::TableSql, Fault> {
    sql.table(table).ok_or(Fault::Bug("there is no such table"))
}

pub(super) fn log_sql(sql: &Sql, log: Log) -> Result<&LogSql, Fault> {
    sql.log(log).ok_or(Fault::Bug("there is no such log"))
}

fn list<'a>(
    sql: &'a Sql,
    owner: &'a BareJid,
    table: Table,
    prefix: &'a Row,
    after: Option<&'a Row>,
    limit: u32,
) -> Asks<'a> {
    let sql = table_sql(sql, table)?.by_prefix.get(prefix.0.len());
    let sql = sql.ok_or(Fault::Bug("a prefix longer than the key"))?;
    let list = match after {
        None => Some(&sql.list),
        Some(_) => sql.list_after.as_ref(),
    };
    let fields = after.unwrap_or(prefix).0.iter().map(Param::field);
    let params = [Param::text(owner.as_str())]
        .into_iter()
        .chain(fields)
        .chain([Param::Number(i64::from(limit) + 1)]);
    // Behind the only row of a key there is nothing.
    Ok(list
        .map(|list| Ask::new(list, params.collect()))
        .into_iter()
        .collect())
}

fn read_list(table: Table, found: &Found, limit: u32) -> Answer {
    let (mut rows, mut more) = (Vec::new(), false);
    let mut cut = Cut::new(limit, STORE_LIST_BYTES);
    for row in found {
        let row = read_row(table, row, 0)?;
        if !cut.takes(row.weight()) {
            more = true;
            break;
        }
        rows.push(row);
    }
    Ok(Reply::Rows { rows, more })
}

fn load<'a>(sql: &'a Sql, owner: &'a BareJid) -> Vec<Ask<'a>> {
    let ask = |sql: &'a String| Ask::new(sql, vec![Param::text(owner.as_str())]);
    let loaded = sql.tables().filter(|(table, _)| is_loaded(table));
    let tables = loaded.map(|(_, sql)| ask(&sql.load));
    let logs = sql
        .logs()
        .flat_map(|(_, sql)| [ask(&sql.last), ask(&sql.owed)]);
    tables.chain(logs).collect()
}

fn is_loaded(table: Table) -> bool {
    table.loading == Loading::Loaded
}

fn read_load(sql: &Sql, answers: &mut Answers) -> Answer {
    let mut loaded = Loaded::default();
    let (mut count, mut bytes) = (0, 0);
    for (table, _) in sql.tables().filter(|(table, _)| is_loaded(table)) {
        let mut rows = Vec::new();
        for row in &next(answers)? {
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
    for (log, _) in sql.logs() {
        let (last, owed) = (read_key(&next(answers)?)?, read_owed(&next(answers)?)?);
        loaded.ends.extend(last.map(|last| End { log, last, owed }));
    }
    loaded.ends.sort_by_key(|end| end.log);
    Ok(Reply::Loaded(Box::new(loaded)))
}

/// The key of the only row.
fn read_key(found: &Found) -> Result<Option<i64>, Fault> {
    let key = found.first().map(|row| row.try_get(0));
    Ok(key.transpose()?)
}

pub(super) fn read_owed(found: &Found) -> Result<Owed, Fault> {
    let mut owed = Owed::default();
    for row in found {
        let bytes = usize::try_from(amount(row, 0)?).unwrap_or(usize::MAX);
        if !owed.count(bytes) {
            break;
        }
    }
    Ok(owed)
}

/// What is before a key, so many entries of it at most, and what is owed.
pub(super) fn measure<'a>(
    sql: &'a Sql,
    owner: &'a BareJid,
    log: Log,
    kept: Kept,
    before: i64,
    limit: Option<u32>,
) -> Asks<'a> {
    let sql = log_sql(sql, log)?;
    let jid = || Param::text(owner.as_str());
    // No limit is none.
    let limit = limit.map_or(Param::Null, |limit| Param::Number(limit.into()));
    Ok(vec![
        Ask::new(
            &sql.kept(kept).sizes,
            vec![jid(), Param::Number(before), limit],
        ),
        Ask::new(&sql.owed, vec![jid()]),
    ])
}

/// Keys, and the bytes of their payloads.
pub(super) fn read_sizes(found: &Found) -> Result<Vec<(i64, usize)>, Fault> {
    let size = |row: &tokio_postgres::Row| {
        let bytes = usize::try_from(amount(row, 1)?).unwrap_or(usize::MAX);
        Ok((row.try_get(0)?, bytes))
    };
    found.iter().map(size).collect()
}

/// Behind and before which keys.
fn between(after: Option<i64>, before: Option<i64>, upto: i64) -> [Param<'static>; 2] {
    let upto = upto.saturating_add(1);
    let before = before.map_or(upto, |before| before.min(upto));
    [after.unwrap_or(i64::MIN), before].map(Param::Number)
}

fn with(peer: &Peer) -> [Param<'_>; 2] {
    [
        Param::Bytes(&peer.bare),
        Param::maybe(peer.resource.as_deref()),
    ]
}

fn count<'a>(sql: &'a LogSql, owner: &'a BareJid, op: &'a Op) -> Result<Ask<'a>, Fault> {
    let Op::Count {
        kept,
        peer,
        after,
        before,
        upto,
        ..
    } = op
    else {
        return Err(Fault::Bug("what is no count"));
    };
    let sql = sql.kept(*kept);
    let mut params = vec![Param::text(owner.as_str())];
    params.extend(between(*after, *before, *upto));
    let count = match peer {
        None => &sql.count,
        Some(peer) => {
            params.extend(with(peer));
            &sql.count_with
        }
    };
    Ok(Ask::new(count, params))
}

/// Entries, then the oldest key.
fn page<'a>(sql: &'a LogSql, owner: &'a BareJid, pick: &'a Pick) -> Asks<'a> {
    let jid = || Param::text(owner.as_str());
    let kept = sql.kept(pick.kept);
    let mut params = vec![jid()];
    let entries = if let Some(ids) = &pick.ids {
        params.push(Param::Numbers(ids.clone()));
        &kept.some
    } else {
        params.extend(between(pick.after, pick.before, pick.upto));
        let page = match &pick.peer {
            None => kept.page(pick.order),
            Some(peer) => {
                params.extend(with(peer));
                kept.page_with(pick.order)
            }
        };
        params.push(Param::Number(i64::from(pick.limit) + 1));
        page
    };
    Ok(vec![
        Ask::new(entries, params),
        Ask::new(&sql.oldest, vec![jid()]),
    ])
}

fn read_page(pick: &Pick, answers: &mut Answers) -> Answer {
    let (found, oldest) = (next(answers)?, read_key(&next(answers)?)?);
    let limit = match &pick.ids {
        None => pick.limit,
        Some(ids) => {
            let mut ids = ids.clone();
            ids.sort_unstable();
            ids.dedup();
            if found.len() != ids.len() {
                return Ok(Reply::Missing);
            }
            u32::MAX
        }
    };
    let (mut entries, mut more) = (Vec::new(), false);
    let mut cut = Cut::new(limit, STORE_PAGE_BYTES);
    for row in &found {
        let entry = read_entry(row)?;
        let is_meant = |peer| entry.key <= pick.upto && is_with(&entry, peer);
        if pick.ids.is_some() && !is_meant(pick.peer.as_ref()) {
            return Ok(Reply::Missing);
        }
        // What is not there any more shows behind where a page by key is full, too.
        more = more || !cut.takes(entry.weight());
        if !more {
            entries.push(entry);
        } else if pick.ids.is_none() {
            break;
        }
    }
    if pick.ids.is_none() && pick.order == Order::Backward {
        entries.reverse();
    }
    Ok(Reply::Page(Page {
        entries,
        oldest,
        more,
    }))
}

fn is_with(entry: &Entry, peer: Option<&Peer>) -> bool {
    peer.is_none_or(|peer| {
        let resource = peer.resource.as_ref();
        entry.peer == peer.bare
            && resource.is_none_or(|resource| entry.resource.as_ref() == Some(resource))
    })
}

fn read_entry(row: &tokio_postgres::Row) -> Result<Entry, Fault> {
    let bits: i16 = row.try_get(3)?;
    let kept = Kept::from_bits(bits.into());
    Ok(Entry {
        key: row.try_get(0)?,
        peer: text(row, 1)?.unwrap_or_default(),
        resource: text(row, 2)?,
        kept: kept.ok_or(Fault::Foreign("an entry that is kept for nothing"))?,
        payload: Payload(text(row, 4)?.into_iter().collect()),
    })
}
