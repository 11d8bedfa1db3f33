//! A group of batches in one transaction: what its batches say goes out together, and is waited for only where something depends on the
//! answer.

use std::collections::HashMap;

use bytes::Bytes;
use spondee_core::jid::BareJid;
use spondee_core::store::{Batch, Entry, Erased, Expect, Log, Op, Reply, Row, StoreError, Table};
use tokio::runtime::Runtime;

use super::connect::{Ask, Link};
use super::faults::{Commit, Fault, Stop, cannot_read};
use super::fields::{Param, address, amount, is_so};
use super::mark::{self, Mark};
use super::owners::Owners;
use super::reads::{self, Answers, Found, log_sql, next, table_sql};
use super::sql::{self, Sql};
use super::trims::Left;
use crate::store::refuse::{Outcome, refuse};

/// What is under way.
#[derive(Debug)]
pub(super) struct Group<'a> {
    runtime: &'a Runtime,
    link: &'a mut Link,
    sql: &'a Sql,
    remembered: &'a Owners,
    /// What this transaction has learnt: `None` has no number.
    owners: HashMap<&'a BareJid, Option<i64>>,
    batches: &'a [Batch],
    asks: Vec<Ask<'a>>,
    pending: Vec<Pending<'a>>,
    outcomes: Vec<Outcome>,
    mark: Mark,
}

/// An operation whose statements are among those that are to be asked.
#[derive(Debug)]
struct Pending<'a> {
    batch: usize,
    what: Awaited<'a>,
    asks: usize,
}

#[derive(Debug)]
enum Awaited<'a> {
    /// Nothing, but its turn.
    Nothing(Reply),
    /// How many, and whether there are more.
    Deleted,
    /// That it was done.
    Done,
    Read(&'a BareJid, &'a Op),
    Trimmed,
    /// Not an operation: what the transaction itself is about.
    Unanswered,
}

/// What a transaction that was committed leaves.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) outcomes: Vec<Outcome>,
    /// Owners and their numbers; `None` was purged.
    pub(super) learnt: Vec<(BareJid, Option<i64>)>,
}

pub(super) type Step<T> = Result<T, Stop>;

const BEGIN: &str = "BEGIN";
const COMMIT: &str = "COMMIT";

impl<'a> Group<'a> {
    pub(super) fn new(
        runtime: &'a Runtime,
        link: &'a mut Link,
        sql: &'a Sql,
        remembered: &'a Owners,
        mark: Mark,
    ) -> Self {
        Self {
            runtime,
            link,
            sql,
            remembered,
            owners: HashMap::new(),
            batches: &[],
            asks: Vec::new(),
            pending: Vec::new(),
            outcomes: Vec::new(),
            mark,
        }
    }

    /// All of them, to the end of the transaction.
    pub(super) fn run(mut self, batches: &'a [Batch]) -> Step<Committed> {
        let check = |batch: &Batch| match batch.check() {
            Ok(()) => Ok(Vec::with_capacity(batch.ops.len())),
            Err(flaw) => refuse(batch, &format!("{flaw:?}")),
        };
        self.batches = batches;
        self.outcomes = batches.iter().map(check).collect();
        self.begin();
        self.find_owners(batches)?;
        for (number, batch) in batches.iter().enumerate() {
            if self.outcomes.get(number).is_none_or(Result::is_err) {
                continue;
            }
            if batch.is_read_only() {
                for op in &batch.ops {
                    let asks = reads::ask(self.sql, self.remembered, &batch.owner, op);
                    let asks = asks.map_err(Stop::fault)?;
                    self.await_all(number, Awaited::Read(&batch.owner, op), asks);
                }
            } else if self.expects(batch)? {
                for op in &batch.ops {
                    self.write(number, &batch.owner, op)?;
                }
            } else if let Some(outcome) = self.outcomes.get_mut(number) {
                *outcome = Err(StoreError::Conflict);
            }
        }
        self.end()?;
        let learnt = self.owners.into_iter();
        Ok(Committed {
            outcomes: self.outcomes,
            learnt: learnt.map(|(owner, id)| (owner.clone(), id)).collect(),
        })
    }

    /// One step of upkeep, and nothing else.
    pub(super) fn tend(mut self) -> Step<Left> {
        self.begin();
        let left = self.forget_some()?;
        self.end()?;
        Ok(left)
    }

    fn begin(&mut self) {
        self.unanswered(Ask::new(BEGIN, Vec::new()));
        let numbers = [self.mark.number, self.mark.session];
        self.unanswered(Ask::new(mark::PUT, numbers.map(Param::Number).into()));
    }

    fn end(&mut self) -> Step<()> {
        self.unanswered(Ask::new(COMMIT, Vec::new()));
        let ready = self.link.make_ready(self.runtime, &self.asks);
        ready.map_err(Stop::failed)?;
        self.flush().map_err(|stop| Stop {
            commit: Commit::Sent(std::mem::take(&mut self.outcomes)),
            ..stop
        })
    }

    pub(super) const fn sql(&self) -> &'a Sql {
        self.sql
    }

    fn unanswered(&mut self, ask: Ask<'a>) {
        self.await_all(0, Awaited::Unanswered, vec![ask]);
    }

    fn await_all(&mut self, batch: usize, what: Awaited<'a>, asks: Vec<Ask<'a>>) {
        let pending = Pending {
            batch,
            what,
            asks: asks.len(),
        };
        self.pending.push(pending);
        self.asks.extend(asks);
    }

    /// Asks what is to be asked, and gives each operation its answer.
    fn flush(&mut self) -> Step<()> {
        self.ask_now(Vec::new()).map(drop)
    }

    /// The same with something behind it that is needed now.
    pub(super) fn ask_now(&mut self, needed: Vec<Ask<'a>>) -> Step<Vec<Found>> {
        let mut asks = std::mem::take(&mut self.asks);
        let count = asks.len();
        asks.extend(needed);
        let answers = self.link.ask(self.runtime, &asks);
        let mut answers = answers.map_err(Stop::failed)?;
        let found = answers.split_off(count.min(answers.len()));
        let mut answers = answers.into_iter();
        for pending in std::mem::take(&mut self.pending) {
            let own: Vec<Found> = answers.by_ref().take(pending.asks).collect();
            let answer = self.answer(pending.what, own.into_iter());
            let Some(outcome) = self.outcomes.get_mut(pending.batch) else {
                continue;
            };
            match (answer, &mut *outcome) {
                (Ok(Some(reply)), Ok(replies)) => replies.push(reply),
                (Ok(_), _) | (Err(_), Err(_)) => {}
                (Err(fault), Ok(_)) => {
                    let batch = self.batches.get(pending.batch);
                    *outcome =
                        Err(batch.map_or(StoreError::Failed, |batch| cannot_read(batch, fault)));
                }
            }
        }
        Ok(found)
    }

    fn answer(&self, what: Awaited<'_>, mut answers: Answers) -> Result<Option<Reply>, Fault> {
        let counted = |answers: &mut Answers| {
            let found = next(answers)?;
            let row = found.first().ok_or(Fault::Bug("no count"))?;
            let count = u32::try_from(amount(row, 0)?).unwrap_or(u32::MAX);
            Ok::<_, Fault>((count, is_so(row, 1)?))
        };
        Ok(Some(match what {
            Awaited::Nothing(reply) => reply,
            Awaited::Deleted => {
                let (rows, more) = counted(&mut answers)?;
                Reply::Deleted { rows, more }
            }
            Awaited::Done => Reply::Done,
            Awaited::Read(owner, op) => {
                reads::answer(self.sql, self.remembered, owner, op, &mut answers)?
            }
            Awaited::Trimmed => {
                let (entries, more) = counted(&mut answers)?;
                Reply::Trimmed { entries, more }
            }
            Awaited::Unanswered => return Ok(None),
        }))
    }

    /// The numbers of those who write, and new ones for who adds something and insists on nothing.
    fn find_owners(&mut self, batches: &'a [Batch]) -> Step<()> {
        let (mut all, mut new) = (Vec::new(), Vec::new());
        for batch in batches {
            let owner = &batch.owner;
            if batch.is_read_only() || self.owners.contains_key(owner) {
                continue;
            }
            if let Some(id) = self.remembered.get(owner) {
                self.owners.insert(owner, Some(id));
                continue;
            }
            self.owners.insert(owner, None);
            all.push(owner);
            let adds = |op: &Op| matches!(op, Op::Append { .. } | Op::Put { .. });
            if batch.check().is_ok() && batch.ops.iter().any(adds) && insists_on(batch).is_empty() {
                new.push(owner);
            }
        }
        if all.is_empty() {
            return Ok(());
        }
        self.look_for(&all, &new)
    }

    fn look_for(&mut self, all: &[&'a BareJid], new: &[&'a BareJid]) -> Step<()> {
        let bytes = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
        let jids = |owners: &[&BareJid]| {
            let jids = owners.iter().map(|owner| bytes(owner.as_str()));
            Param::Texts(jids.collect())
        };
        let domains = new.iter().map(|owner| bytes(owner.domain()));
        let params = vec![jids(all), jids(new), Param::Texts(domains.collect())];
        let found = self.ask_now(vec![Ask::new(sql::FIND_OWNERS, params)])?;
        for row in found.iter().flatten() {
            let read = || Ok::<_, Fault>((row.try_get(0)?, address(row, 1)?));
            let (id, jid): (i64, _) = read().map_err(Stop::fault)?;
            if let Some(known) = self.owners.get_mut(&jid) {
                *known = Some(id);
            }
        }
        Ok(())
    }

    fn owner(&self, owner: &BareJid) -> Option<i64> {
        self.owners.get(owner).copied().flatten()
    }

    /// The number of an owner who is there from now on.
    fn make_owner(&mut self, owner: &'a BareJid) -> Step<i64> {
        if self.owner(owner).is_none() {
            self.look_for(&[owner], &[owner])?;
        }
        let made = self.owner(owner);
        made.ok_or_else(|| Stop::fault(Fault::Bug("an owner without a number")))
    }

    /// Whether everything is as the batch insists on.
    fn expects(&mut self, batch: &'a Batch) -> Step<bool> {
        let insists = insists_on(batch);
        let Some(owner) = self.owner(&batch.owner) else {
            return Ok(insists
                .iter()
                .all(|(_, _, expect)| *expect == Expect::Absent));
        };
        if insists.is_empty() {
            return Ok(true);
        }
        let mut asks = Vec::with_capacity(insists.len());
        for (table, row, _) in &insists {
            let sql = table_sql(self.sql, table).map_err(Stop::fault)?;
            let key = row.0.iter().take(table.key.len()).map(Param::field);
            let params = [Param::Number(owner)].into_iter().chain(key);
            asks.push(Ask::new(&sql.exists, params.collect()));
        }
        let found = self.ask_now(asks)?;
        let mut holds = insists.iter().zip(&found);
        Ok(holds.all(|((_, _, expect), rows)| (*expect == Expect::Present) != rows.is_empty()))
    }

    fn write(&mut self, batch: usize, owner: &'a BareJid, op: &'a Op) -> Step<()> {
        let id = match op {
            Op::Append { .. } | Op::Put { .. } => Some(self.make_owner(owner)?),
            Op::Sweep { .. } => {
                let swept = self.sweep(owner, op)?;
                self.await_all(batch, Awaited::Nothing(swept), Vec::new());
                return Ok(());
            }
            // In a group with others it is one step of upkeep, and never the last.
            Op::Erase => {
                self.forget_some()?;
                let some = Reply::Erased(Erased::Some);
                self.await_all(batch, Awaited::Nothing(some), Vec::new());
                return Ok(());
            }
            Op::Blank { .. }
            | Op::Count { .. }
            | Op::CountIn { .. }
            | Op::Delete { .. }
            | Op::DeletePrefix { .. }
            | Op::Get { .. }
            | Op::List { .. }
            | Op::Load
            | Op::Measure { .. }
            | Op::Owners { .. }
            | Op::Page { .. }
            | Op::Purge
            | Op::Trim { .. } => self.owner(owner),
        };
        let Some(id) = id else {
            self.await_all(batch, Awaited::Nothing(of_nobody(op)), Vec::new());
            return Ok(());
        };
        if let Op::Append { log, entries } = op {
            return self.append(batch, id, *log, entries);
        }
        let (what, asks) = change(self.sql, id, op).map_err(Stop::fault)?;
        self.await_all(batch, what, asks);
        if let Op::Purge = op {
            self.owners.insert(owner, None);
        }
        Ok(())
    }

    /// Appends that come one after another are one statement: most of a busy server's writes are.
    fn append(&mut self, batch: usize, owner: i64, log: Log, entries: &[Entry]) -> Step<()> {
        let sql = log_sql(self.sql, log).map_err(Stop::fault)?;
        let is_open = self
            .asks
            .last()
            .is_some_and(|ask| std::ptr::eq(ask.sql, &raw const *sql.append));
        match is_open {
            true => self.await_all(batch, Awaited::Done, Vec::new()),
            false => {
                let numbers = || Param::Numbers(Vec::new());
                let texts = || Param::Texts(Vec::new());
                let columns = vec![numbers(), numbers(), texts(), texts(), numbers(), texts()];
                self.await_all(batch, Awaited::Done, vec![Ask::new(&sql.append, columns)]);
            }
        }
        let columns = self.asks.last_mut().map(|ask| &mut ask.params[..]);
        let Some(
            [
                Param::Numbers(owners),
                Param::Numbers(keys),
                Param::Texts(peers),
                Param::Texts(resources),
                Param::Numbers(kept),
                Param::Texts(payloads),
            ],
        ) = columns
        else {
            return Err(Stop::fault(Fault::Bug("an append without columns")));
        };
        for entry in entries {
            owners.push(owner);
            keys.push(entry.key);
            peers.push(Some(entry.peer.clone()));
            resources.push(entry.resource.clone());
            kept.push(entry.kept.bits());
            let payload = entry.payload.joined();
            payloads.push((!payload.is_empty()).then_some(payload));
        }
        Ok(())
    }
}

/// What a batch insists on, and of which rows.
fn insists_on(batch: &Batch) -> Vec<(Table, &Row, Expect)> {
    let puts = batch.ops.iter().filter_map(Op::put);
    puts.filter(|(_, _, expect)| *expect != Expect::Anything)
        .collect()
}

/// What becomes of it when there is no such owner.
const fn of_nobody(op: &Op) -> Reply {
    match op {
        Op::DeletePrefix { .. } => Reply::Deleted {
            rows: 0,
            more: false,
        },
        Op::Trim { .. } => Reply::Trimmed {
            entries: 0,
            more: false,
        },
        Op::Append { .. }
        | Op::Blank { .. }
        | Op::Count { .. }
        | Op::CountIn { .. }
        | Op::Delete { .. }
        | Op::Erase
        | Op::Get { .. }
        | Op::List { .. }
        | Op::Load
        | Op::Measure { .. }
        | Op::Owners { .. }
        | Op::Page { .. }
        | Op::Purge
        | Op::Put { .. }
        | Op::Sweep { .. } => Reply::Done,
    }
}

/// The statements of an operation that changes something of the owner with this number.
fn change<'a>(sql: &'a Sql, owner: i64, op: &'a Op) -> Result<(Awaited<'a>, Vec<Ask<'a>>), Fault> {
    let of = |row: &'a Row| -> Vec<Param<'a>> {
        let fields = row.0.iter().map(Param::field);
        [Param::Number(owner)].into_iter().chain(fields).collect()
    };
    let one = |what, sql: &'a str, params| Ok((what, vec![Ask::new(sql, params)]));
    match op {
        Op::Blank { log, key } => {
            let params = [owner, *key].map(Param::Number).into();
            one(Awaited::Done, &log_sql(sql, *log)?.blank, params)
        }
        Op::Delete { table, key } => one(Awaited::Done, &table_sql(sql, table)?.delete, of(key)),
        Op::DeletePrefix { table, prefix } => {
            let sql = table_sql(sql, table)?.by_prefix.get(prefix.0.len());
            let sql = sql.ok_or(Fault::Bug("a prefix longer than the key"))?;
            one(Awaited::Deleted, &sql.delete, of(prefix))
        }
        // The owner's rows go at once, and so does its name; what its logs hold is nobody's from here on and goes in steps.
        Op::Purge => {
            let whose = || vec![Param::Number(owner)];
            let tables = sql.tables().map(|(_, sql)| sql.purge.as_str());
            let all = tables.chain([sql::LEAVE]);
            Ok((
                Awaited::Done,
                all.map(|sql| Ask::new(sql, whose())).collect(),
            ))
        }
        Op::Put { table, row, .. } => one(Awaited::Done, &table_sql(sql, table)?.put, of(row)),
        Op::Trim {
            log,
            before,
            kept,
            limit,
        } => {
            let params = [owner, *before, i64::from(*limit)]
                .map(Param::Number)
                .into();
            one(
                Awaited::Trimmed,
                &log_sql(sql, *log)?.kept(*kept).trim,
                params,
            )
        }
        Op::Append { .. }
        | Op::Count { .. }
        | Op::CountIn { .. }
        | Op::Erase
        | Op::Get { .. }
        | Op::List { .. }
        | Op::Load
        | Op::Measure { .. }
        | Op::Owners { .. }
        | Op::Page { .. }
        | Op::Sweep { .. } => Err(Fault::Bug("what is no change of one owner")),
    }
}
