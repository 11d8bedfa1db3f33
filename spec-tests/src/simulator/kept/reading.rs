//! At rest: somebody of each account reads its archive, and what is there is held to what is expected, to what was there, and to every
//! page that anybody got meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use spondee_core::time::UnixTime;

use super::super::accounts::NAMES;
use super::super::blocks::Blocked;
use super::super::client::Nature;
use super::super::lives::{Attention, Life, Standing, State};
use super::super::stanzas::Sent;
use super::super::{Moment, Simulation};
use super::archive::{Archive, Ask, Entry, Loss, Oldest, Reach};
use super::{Around, Circumstances, Course, Ending, Kept, Likely, Query, Request, Session};

/// Pages come to an end long before.
const PAGES_MAX: usize = 200;

/// In which direction an archive is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Towards {
    Oldest,
    Newest,
}

/// What one client reads of its archive.
#[derive(Debug)]
pub(in super::super) struct Reading {
    account: usize,
    client: usize,
    reach: Reach,
    entries: Vec<Entry>,
}

impl Simulation {
    /// Somebody of each account reads what is new in its archive, or all of it, and its preferences.
    pub(in super::super) fn read_archives(&mut self, reach: Reach) -> Result<Vec<Reading>, String> {
        self.kept.last_read.clear();
        let mut readings = Vec::new();
        for account in 0..NAMES.len() {
            let there = self.devices_of(account);
            let witness = self.witnesses.get(&account);
            let witness = witness.filter(|witness| there.contains(witness));
            let Some(client) = witness.or_else(|| there.first()).copied() else {
                continue;
            };
            self.read_prefs(client);
            let rest = self.ledger.rest_of_all;
            let whole = reach == Reach::Whole
                || self.accounts.may_have_been_absent(account, rest)
                || self.kept.deleted.contains(&account)
                || self.kept.bounds.may_forget()
                || self.random.percent(25);
            let reach = if whole { Reach::Whole } else { Reach::News };
            readings.push(Reading {
                account,
                client,
                reach,
                entries: Vec::new(),
            });
        }
        let towards = match self.random.percent(30) {
            true => Towards::Oldest,
            false => Towards::Newest,
        };
        let mut open: Vec<usize> = (0..readings.len()).collect();
        for _ in 0..PAGES_MAX {
            let asked: Vec<(usize, String)> = open
                .iter()
                .map(|at| (*at, self.turn_page(&readings[*at], towards)))
                .collect();
            if asked.is_empty() {
                return Ok(readings);
            }
            self.exhaust()?;
            self.wait_for_slowed()?;
            open.clear();
            for (at, id) in asked {
                if self.take_page(&mut readings[at], &id, towards)? {
                    open.push(at);
                }
            }
        }
        Err("an archive has pages without end".to_owned())
    }

    /// The next page is asked for.
    fn turn_page(&mut self, reading: &Reading, towards: Towards) -> String {
        let archive = &self.kept.archives[reading.account];
        let mut ask = Ask {
            max: self.random.pick(&[None, None, Some(100), Some(7)]),
            ..Ask::default()
        };
        if towards == Towards::Oldest && reading.reach == Reach::Whole {
            let first = reading.entries.first();
            ask.before = Some(first.map(|first| first.id.clone()).unwrap_or_default());
        } else {
            let known = match reading.reach {
                Reach::Whole => None,
                Reach::News => archive.last(),
            };
            let last = reading.entries.last().or(known);
            ask.after = last.map(|last| last.id.clone());
        }
        self.query(reading.client, ask)
    }

    /// It came. Whether there is another.
    fn take_page(
        &mut self,
        reading: &mut Reading,
        id: &str,
        towards: Towards,
    ) -> Result<bool, String> {
        let client = reading.client;
        let place = self.kept.answered.iter().position(|query| query.id == id);
        let Some(query) = place.map(|place| self.kept.answered.remove(place)) else {
            return match self.is_session(client) {
                true => Err(format!(
                    "client {client} was never told its archive by {id}"
                )),
                false => Ok(false),
            };
        };
        let fin = match query.fin {
            Some(Ok(fin)) => fin,
            // The entry that the last page began or ended with was forgotten meanwhile: from the beginning.
            Some(Err(condition))
                if condition == "item-not-found" && self.kept.bounds.may_forget() =>
            {
                reading.entries.clear();
                return Ok(true);
            }
            other => {
                return Err(format!(
                    "client {client} cannot read its archive: {other:?}"
                ));
            }
        };
        if towards == Towards::Oldest && reading.reach == Reach::Whole {
            let later = std::mem::replace(&mut reading.entries, query.results);
            reading.entries.extend(later);
        } else {
            reading.entries.extend(query.results);
        }
        Ok(!fin.complete)
    }

    /// What became of what was sent, and what is read of it.
    pub(in super::super) fn judge_kept(
        &mut self,
        courses: Vec<Course>,
        readings: Vec<Reading>,
        ending: Ending,
    ) -> Result<(), String> {
        let nothing = Kept::new(self.kept.bounds);
        let mut kept = std::mem::replace(&mut self.kept, nothing);
        let outcome = self.judge_with(&mut kept, courses, readings, ending);
        self.kept = kept;
        outcome
    }

    fn judge_with(
        &self,
        kept: &mut Kept,
        courses: Vec<Course>,
        readings: Vec<Reading>,
        ending: Ending,
    ) -> Result<(), String> {
        let now = self.now;
        let rest = self.ledger.rest_of_all;
        let accounts = 0..NAMES.len();
        let absent = accounts.filter(|account| self.accounts.may_have_been_absent(*account, rest));
        kept.deleted.extend(absent);
        let circumstances = Circumstances {
            now,
            ending,
            sessions: &|since| {
                let lives = self.ledger.lives.iter();
                let session = |life: &Life| Session {
                    client: life.client,
                    account: life.account,
                    there: match life.during(since, now) {
                        Standing::Never => Likely::No,
                        Standing::Always(_) => Likely::Yes,
                        Standing::Unsure | Standing::MayLose => Likely::Maybe,
                    },
                };
                lives.map(session).collect()
            },
            store_failed: &|account, since| self.faults.store_since(since, NAMES[account]),
            may_have_gone: &|account, since| self.accounts.may_have_been_absent(account, since),
            listed: &|account, jid, since| self.rosters.lists(account, jid, since, now),
            may_leave: &|account| self.ledger.may_leave(Some(account)),
            may_block: &|account, jid, since| {
                self.blocks.standing(account, jid, since, now) != Blocked::No
            },
        };
        kept.judge(courses, &circumstances)?;
        for (account, name) in NAMES.iter().enumerate() {
            let around = self.around(kept, account);
            let blocked =
                |from: &str, since| self.blocks.standing(account, from, since, now) != Blocked::No;
            let mut debts = std::mem::take(&mut kept.debts[account]);
            let paged = |mark: &str, client: usize| kept.has_read(account, mark, client);
            let fault = debts.judge(&around, &blocked, &paged);
            kept.debts[account] = debts;
            fault.map_err(|fault| format!("what waits for {name}: {fault}"))?;
            let (least, _) = kept.debts[account].count();
            if least > kept.bounds.owed {
                return Err(format!("{least} messages wait for {name}"));
            }
        }
        if ending != Ending::Rest {
            kept.crash(now);
            return Ok(());
        }
        for carbons in kept.carbons.values_mut() {
            carbons.settle(now);
        }
        let read = self.compare_all(kept, readings)?;
        let reads = |client: &usize| {
            self.devices_of(self.clients[*client].account)
                .contains(client)
        };
        let blocked = |account, from: &str, since| {
            self.blocks.standing(account, from, since, self.now) != Blocked::No
        };
        kept.judge_queries(&read, &reads, &blocked)?;
        for account in 0..NAMES.len() {
            if self.accounts.is_there(account) == Some(false) {
                kept.archives[account].clear();
                kept.debts[account].clear();
                kept.dues[account].clear();
            }
        }
        Ok(())
    }

    /// What was read of archives is held to what is known of them. By whom, where the account was there all the time.
    fn compare_all(
        &self,
        kept: &mut Kept,
        readings: Vec<Reading>,
    ) -> Result<BTreeMap<usize, usize>, String> {
        let mut read = BTreeMap::new();
        for reading in readings {
            let (account, client) = (reading.account, reading.client);
            let gone = kept.deleted.remove(&account);
            kept.compare(reading, gone.into(), self.latest_clock())
                .map_err(|fault| {
                    format!("client {client} reads that {} {fault}", NAMES[account])
                })?;
            if !gone {
                read.insert(account, client);
            }
            if let Some(prefs) = kept.last_read.remove(&account) {
                kept.prefs[account].turn_page(prefs);
            }
        }
        Ok(read)
    }

    /// The sessions of an account, and what may have become of what it is owed.
    fn around(&self, kept: &Kept, account: usize) -> Around {
        let rest = self.ledger.rest_of_all;
        let there = self.devices_of(account);
        let mut around = Around {
            store_failed: self.faults.store_since(rest, NAMES[account]),
            may_have_gone: self.accounts.may_have_been_absent(account, rest),
            expired: self.latest_clock() - kept.bounds.owed_ms,
            ..Around::default()
        };
        for life in self
            .ledger
            .lives
            .iter()
            .filter(|life| life.account == account)
        {
            let client = life.client;
            if life.managed.is_none() {
                around.silent.push(client);
            }
            let took = |priority: &Option<i8>| priority.is_some_and(|priority| priority >= 0);
            let may_take = match life.during(rest, self.now) {
                Standing::Never => false,
                Standing::Always(priorities) => priorities.iter().any(took),
                Standing::Unsure | Standing::MayLose => true,
            };
            if !may_take {
                continue;
            }
            around.may_have_taken.push(client);
            if life.is_over() {
                around.may_be_lost |= !self.ledger.read_out.contains(&client);
            } else if !there.contains(&client) {
                around.may_be_stuck = true;
            } else if matches!(life.state(), State::Bound(Some(priority)) if priority >= 0) {
                around.takers.push(client);
            }
        }
        let deaf = |life: &&Life| {
            let is_deaf = self.clients[life.client].nature == Nature::Deaf;
            life.account == account && (is_deaf || life.attention == Attention::Loses)
        };
        around.may_be_stuck |= self.ledger.lives.iter().any(|life| deaf(&life));
        around.there = there;
        around
    }

    /// Whether a device of its receiver may have a copy of a message.
    pub(in super::super) fn may_be_copied(&self, sent: &Sent) -> bool {
        let receiver = sent.receiver();
        sent.content.is_copied_to_receiver(sent.kind)
            && self.ledger.lives.iter().any(|life| {
                let copies = self.kept.copies(life.client, sent.at, self.now);
                Some(life.account) == receiver
                    && life.client != sent.by
                    && life.during(sent.at, self.now) != Standing::Never
                    && copies != Likely::No
            })
    }

    /// What the server's clock said at its latest, before anybody set it back.
    fn latest_clock(&self) -> i64 {
        self.latest_clock.max(self.clock())
    }

    /// The server's clock, in milliseconds.
    pub(in super::super) fn clock(&self) -> i64 {
        self.world.now().wall.0
    }
}

impl super::Bounds {
    /// Whether anything is forgotten in the time that a run takes.
    pub(super) const fn may_forget(&self) -> bool {
        self.archived < 10_000 || self.archive_ms < 100 * 24 * 3_600_000
    }
}

impl Kept {
    /// Somebody read an archive, all being at rest.
    fn compare(&mut self, reading: Reading, gone: Likely, clock: i64) -> Result<(), String> {
        let Reading {
            account,
            reach,
            entries,
            ..
        } = reading;
        let archive = &mut self.archives[account];
        let oldest = Oldest {
            old: too_old(archive, &self.bounds, clock),
            most: self.bounds.archived,
        };
        let loss = match (gone, self.bounds.may_forget()) {
            (Likely::Yes | Likely::Maybe, _) => Loss::All(oldest),
            (Likely::No, true) => Loss::Oldest(oldest),
            (Likely::No, false) => Loss::None,
        };
        let news = archive.read(entries, reach, loss)?;
        let mut dues = std::mem::take(&mut self.dues[account]);
        for entry in &news {
            match dues.remove(&entry.mark) {
                Some(due) if due.archived == Likely::No => {
                    return Err(format!("has {entry:?}, which it must not: {}", due.why));
                }
                Some(_) => {}
                None => return Err(format!("has {entry:?}, of which nobody knows")),
            }
        }
        let forgets = self.bounds.may_forget();
        let expired = |stored: i64| forgets && stored <= clock - self.bounds.archive_ms;
        let crowded = forgets && self.archives[account].entries.len() >= self.bounds.archived;
        let missing = dues.values().find(|due| {
            due.archived == Likely::Yes && gone == Likely::No && !expired(due.stored) && !crowded
        });
        match missing {
            Some(due) => Err(format!("has not what it must have: {}", due.why)),
            None => Ok(()),
        }
    }

    /// Every page that came since the last time was one of what was there.
    fn judge_queries(
        &mut self,
        read: &BTreeMap<usize, usize>,
        reads: &dyn Fn(&usize) -> bool,
        blocked: &dyn Fn(usize, &str, Moment) -> bool,
    ) -> Result<(), String> {
        for query in std::mem::take(&mut self.answered) {
            if !read.contains_key(&query.account) {
                continue;
            }
            self.judge_query(&query)
                .map_err(|fault| format!("client {} got for {:?}: {fault}", query.by, query.ask))?;
            if reads(&query.by) {
                self.judge_seam(&query, blocked)?;
            }
        }
        // What was never answered was asked by somebody who is gone.
        self.requests
            .retain(|_, request| !matches!(request, Request::Query(_)));
        Ok(())
    }

    fn judge_query(&self, query: &Query) -> Result<(), String> {
        let archive = &self.archives[query.account];
        let Query { ask, results, .. } = query;
        let (must, compared) = ask.names();
        let is_known = |id: &&str| archive.place(id).is_some();
        let all_known = must.iter().chain(&compared).all(&is_known);
        let fin = match &query.fin {
            Some(Ok(fin)) if all_known => fin,
            Some(Ok(_)) if must.iter().all(is_known) => return Ok(()),
            Some(Err(condition)) if condition == "item-not-found" => {
                // What was removed is not there, either.
                let there = |id: &&str| archive.place(id).is_some_and(|at| at >= archive.start);
                let mut named = must.iter().chain(&compared);
                return match named.all(there) {
                    true => Err("item-not-found, though all is there".to_owned()),
                    false => Ok(()),
                };
            }
            other => return Err(format!("{other:?}")),
        };
        let seen = self
            .clients
            .get(&query.by)
            .map(|known| &known.seen[..query.seen]);
        let seen = seen
            .into_iter()
            .flatten()
            .filter_map(|id| archive.place(id));
        let (earliest, known) = query.known;
        let least = seen.map(|place| place + 1).max().unwrap_or(0).max(known);
        let ids: Vec<String> = results.iter().map(|entry| entry.id.clone()).collect();
        // What came and went between two rests is not known.
        if self.bounds.may_forget() && ids.iter().any(|id| archive.place(id).is_none()) {
            return Ok(());
        }
        if let Some(entry) = results.iter().find(|entry| {
            let place = archive.place(&entry.id);
            place.is_some_and(|place| archive.entries[place] != **entry)
        }) {
            return Err(format!("another {entry:?}"));
        }
        if least > archive.entries.len() {
            return Ok(()); // the account was made anew
        }
        archive.judge(ask, (earliest, least), self.bounds.page, (&ids, fin))
    }

    /// Who has copies on and reads to the end has everything, from the page or live.
    fn judge_seam(
        &self,
        query: &Query,
        blocked: &dyn Fn(usize, &str, Moment) -> bool,
    ) -> Result<(), String> {
        let Query {
            by, ask, results, ..
        } = query;
        let whole = matches!(&query.fin, Some(Ok(fin)) if fin.complete);
        let carbons = self.carbons.get(by);
        let on = carbons.is_some_and(|carbons| carbons.stay_on(query.changes));
        if !whole || !ask.is_plain() || !on {
            return Ok(());
        }
        let archive = &self.archives[query.account];
        let places = results.iter().filter_map(|entry| archive.place(&entry.id));
        let after = ask.after.as_ref().and_then(|after| archive.place(after));
        let Some(last) = places.max().or(after) else {
            return Ok(());
        };
        let seen: BTreeSet<&String> = self
            .clients
            .get(by)
            .into_iter()
            .flat_map(|known| &known.seen)
            .collect();
        for entry in archive.entries.iter().skip(last + 1) {
            let Some(sent) = self.past.get(&entry.mark) else {
                continue;
            };
            // Nothing comes of who was blocked before it was told, though the archive has it.
            let is_copied = sent.content.is_copied_to_receiver(sent.kind)
                && !blocked(query.account, &sent.from, sent.at);
            if sent.by != *by && is_copied && !seen.contains(&entry.id) {
                return Err(format!(
                    "client {by} has neither from its page nor live what its archive has: {sent:?}"
                ));
            }
        }
        Ok(())
    }
}

/// How many of the oldest entries may be forgotten by now.
fn too_old(archive: &Archive, bounds: &super::Bounds, clock: i64) -> usize {
    let latest = UnixTime(clock - bounds.archive_ms).to_xep0082();
    let latest = latest.trim_end_matches('Z');
    let there = archive.there().iter();
    there
        .take_while(|entry| entry.stamp.as_str() < latest)
        .count()
}
