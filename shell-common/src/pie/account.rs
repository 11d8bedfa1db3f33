//! One account out of a file: everything but its archive, as rows.

use std::collections::BTreeMap;

use spondee_core::archive::{ARCHIVE, SPOOL, Spool};
use spondee_core::blocking::BLOCKLIST;
use spondee_core::check_loaded;
use spondee_core::config::HostConfig;
use spondee_core::jid::BareJid;
use spondee_core::limits::{
    BLOCKLIST_BYTES, PRIVATE_BYTES, ROSTER_BYTES, ROSTER_REQUESTS_BYTES, STORE_LOAD_BYTES,
    STORE_LOAD_ROWS, STORE_OWED_BYTES, STORE_OWED_ENTRIES,
};
use spondee_core::port::{Imported, ImportedProof};
use spondee_core::private::PRIVATE;
use spondee_core::roster::{ROSTER, ROSTER_REQUESTS, ROSTER_VERSION, Roster, imported_version};
use spondee_core::sasl::{Provider, ScramKeys, Status, prepare_new_password};
use spondee_core::secret::Secret;
use spondee_core::store::{Entry, Expect, Field, Kept, Loaded, Loading, Op, Payload, Row, Table};
use spondee_core::time::{Now, UnixTime, parse_xep0082};

use super::message::{Mark, Message};
use super::report::Report;
use super::walk::Piece;
use super::{At, EXPORT, Fault, table};
use crate::limits::pie::AHEAD;

mod elements;

/// An account on its way here.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) jid: BareJid,
    pub(super) at: At,
    password: Option<Secret>,
    keys: Vec<ScramKeys>,
    status: Status,
    created: Option<UnixTime>,
    updated: Option<UnixTime>,
    /// By their keys, which is the order in which they are loaded.
    rows: BTreeMap<Table, BTreeMap<Row, Row>>,
    /// Which version of the roster it is, as it is written.
    version: Option<String>,
    /// Since when addresses are blocked, and requests wait.
    since: BTreeMap<(Table, String), i64>,
    pub(super) spool: Waiting,
    /// When it is brought here.
    now: Now,
}

/// Messages that wait for who was away, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    pub(super) entries: Vec<Owed>,
    bytes: usize,
    /// What our mark before the next message says of it.
    mark: Option<Mark>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Owed {
    pub(super) entry: Entry,
    /// Its id in the archive, if it is there, too.
    pub(super) id: Option<String>,
}

impl Account {
    pub(super) fn new(jid: BareJid, password: Option<String>, at: At, now: Now) -> Self {
        // As ejabberd wrote keys when the XEP had no element for them.
        let keys = password.as_deref().and_then(elements::keys_in_password);
        let password = password.filter(|_| keys.is_none());
        Self {
            jid,
            at,
            password: password.map(|password| Secret::new(password.into_bytes())),
            keys: keys.into_iter().collect(),
            status: Status::Enabled,
            created: None,
            updated: None,
            rows: BTreeMap::new(),
            version: None,
            since: BTreeMap::new(),
            spool: Waiting::default(),
            now,
        }
    }

    /// Takes an element of the user.
    pub(super) fn take(&mut self, piece: &Piece, report: &mut Report) -> Result<(), Fault> {
        let element = piece.element()?;
        match (piece.ns.as_str(), piece.name.as_str()) {
            (super::PIE_SCRAM, _) => self.scram(&element, &piece.at, report),
            ("jabber:iq:roster", _) => self.roster(&element, &piece.at, report),
            ("jabber:iq:private", _) => self.private(&element, &piece.at, report),
            ("jabber:iq:privacy", _) => self.privacy(&element, &piece.at, report),
            ("jabber:client", _) => self.request(&element, &piece.at, report),
            ("vcard-temp", _) => self.card(&element, &piece.at, report),
            (EXPORT, "account") => self.account(&element),
            (EXPORT, "blocked" | "requested") => self.when(&element),
            (EXPORT, _) => self.table(&element, &piece.at, report),
            _ => Err("it has no meaning here".to_owned()),
        }
        .map_err(|why| piece.fault(why))
    }

    fn put(&mut self, table: Table, row: Row) -> Result<(), String> {
        if !row.fits(table) {
            return Err(format!("no row of the table {}", table.name));
        }
        let key = Row(row.0.iter().take(table.key.len()).cloned().collect());
        let before = self.rows.entry(table).or_default().insert(key, row);
        match before {
            None => Ok(()),
            Some(_) => Err("it is there twice".to_owned()),
        }
    }

    fn table(
        &mut self,
        element: &spondee_core::xml::Element,
        at: &At,
        report: &mut Report,
    ) -> Result<(), String> {
        match table::read(element) {
            Ok((table, rows)) => rows.into_iter().try_for_each(|row| self.put(table, row)),
            Err(table::Unreadable::Bad(why)) => Err(why),
            Err(table::Unreadable::Unknown(name)) => {
                report.add(
                    format!("the table {name:?}, which this version does not have"),
                    at,
                );
                Ok(())
            }
        }
    }

    /// Takes an entry of the messages that wait.
    pub(super) fn wait(&mut self, piece: &Piece, report: &mut Report) -> Result<(), Fault> {
        let element = piece.element()?;
        let fault = |why: String| piece.fault(why);
        if piece.ns == EXPORT {
            self.spool.mark = Some(Mark::of_element(&element).map_err(fault)?);
            return Ok(());
        }
        let message = Message::read(&element, &self.jid, Some(self.jid.domain()));
        let mut message = message.map_err(fault)?;
        let mark = self.spool.mark.take();
        let id = message.id.take();
        let last = self.spool.entries.last().map(|owed| owed.entry.key);
        let key = match (&mark, message.stamp) {
            (Some(mark), _) if last.is_some_and(|last| last >= mark.key) => {
                return Err(piece.fault("it comes before the one that stands before it"));
            }
            (Some(mark), _) => mark.key,
            (None, Some(stamp)) => {
                let least = last.map_or(0, |last| last.saturating_add(1));
                // Several of one second are nothing strange.
                if stamp.saturating_add(1_000_000) < least {
                    report.add(
                        "the time of a message that waits: the one before it came later",
                        &piece.at,
                    );
                }
                stamp.max(least)
            }
            (None, None) => {
                report.add(
                    "the time of a message that waits, which the file does not say",
                    &piece.at,
                );
                last.map_or_else(|| self.now_us(), |last| last.saturating_add(1))
            }
        };
        let kept = mark.as_ref().map_or(Kept::Owed, |mark| mark.kept);
        let entry = message.entry(key, kept, mark);
        self.spool.bytes = self.spool.bytes.saturating_add(entry.payload.len());
        self.spool.entries.push(Owed { entry, id });
        let most = usize::try_from(STORE_OWED_ENTRIES).unwrap_or(usize::MAX);
        if self.spool.entries.len() > most || self.spool.bytes > STORE_OWED_BYTES {
            return Err(piece.fault(format!(
                "more messages wait for {} than can for anybody: {STORE_OWED_ENTRIES}, of {STORE_OWED_BYTES} bytes in all",
                self.jid
            )));
        }
        Ok(())
    }

    fn now_us(&self) -> i64 {
        self.now.wall.0.saturating_mul(1000)
    }

    /// All of it but the archive is here: what is kept, in rows that go together.
    pub(super) fn finish(&mut self, host: &HostConfig, report: &mut Report) -> Result<(), Fault> {
        self.settle();
        let fault = |what: String| self.at.fault(format!("{}: {what}", self.jid));
        self.is_within(host).map_err(fault)?;
        let loaded = self
            .rows
            .iter()
            .filter(|(table, _)| table.loading == Loading::Loaded);
        let tables =
            loaded.map(|(table, rows)| (*table, rows.values().cloned().collect::<Vec<_>>()));
        let loaded = Loaded {
            tables: tables.collect(),
            ends: Vec::new(),
        };
        let all = || loaded.tables.iter().flat_map(|(_, rows)| rows);
        let bytes: usize = all().map(Row::weight).sum();
        if all().count() > STORE_LOAD_ROWS || bytes > STORE_LOAD_BYTES {
            return Err(fault(
                "contacts, requests and lists are more than an account can have".into(),
            ));
        }
        check_loaded(&loaded).map_err(|bad| fault(bad.to_string()))?;
        let spool = Spool::from_loaded(&loaded).map_err(|bad| fault(bad.to_string()))?;
        if spool.done.max(spool.last) > Some(self.now_us().saturating_add(AHEAD)) {
            let what = "its archive goes on at a day that is still to come".to_owned();
            return Err(fault(what));
        }
        if Roster::from_loaded(&loaded).is_ok_and(|roster| roster.bytes() > ROSTER_BYTES) {
            let what = format!(
                "its contacts have more than {ROSTER_BYTES} bytes together, which no client could be sent"
            );
            return Err(fault(what));
        }
        if host.provider == Provider::Ldap {
            if self.password.is_some() || !self.keys.is_empty() {
                report.add(
                    "a password, or keys of one: the host asks a directory (`authentication`)",
                    &self.at,
                );
            }
        } else if let Some(password) = &self.password {
            if prepare_new_password(password.expose()).is_err() {
                return Err(fault("its password is none that can be used here".into()));
            }
            if !self.keys.is_empty() {
                report.add(
                    "keys of a password that is there itself, and of which others are made",
                    &self.at,
                );
            }
        } else if self.keys.is_empty() {
            report.add(
                "a password: nobody can sign in before `spondee user passwd` sets one",
                &self.at,
            );
        } else if self.keys.len() < spondee_core::sasl::Hash::ALL.len() {
            report.add(
                "keys for each SCRAM mechanism: as long as such accounts are there, the host offers nobody the mechanisms that they lack, and \
                 clients that have signed in by those may refuse the others; a new password, or a sign-in by PLAIN, brings all keys",
                &self.at,
            );
        }
        Ok(())
    }

    /// Whether it has no more than the host lets an account have.
    fn is_within(&self, host: &HostConfig) -> Result<(), String> {
        for (table, what, option, most) in [
            (
                &ROSTER,
                "contacts",
                "roster_max_contacts",
                host.roster.max_contacts,
            ),
            (
                &ROSTER_REQUESTS,
                "requests",
                "roster_max_requests",
                host.roster.max_requests,
            ),
            (
                &BLOCKLIST,
                "blocked addresses",
                "blocklist_max_items",
                host.blocking.max_items,
            ),
            (
                &PRIVATE,
                "elements of private XML",
                "private_storage_max_items",
                host.private.max_items,
            ),
        ] {
            let count = self.count(table);
            if count > most {
                return Err(format!(
                    "it has {count} {what}, more than `{option}` of the host allows ({most}): raise that first"
                ));
            }
        }
        for (table, what, most) in [
            (&ROSTER_REQUESTS, "requests", ROSTER_REQUESTS_BYTES),
            (&BLOCKLIST, "blocked addresses", BLOCKLIST_BYTES),
            (&PRIVATE, "elements of private XML", PRIVATE_BYTES),
        ] {
            let rows = self.rows.get(&table).into_iter().flat_map(BTreeMap::values);
            if rows.map(Row::weight).sum::<usize>() > most {
                return Err(format!(
                    "its {what} have more than {most} bytes, which is more than an account can have"
                ));
            }
        }
        Ok(())
    }

    /// Puts together what stands in several elements.
    fn settle(&mut self) {
        for ((table, key), us) in std::mem::take(&mut self.since) {
            let key = Row(vec![Field::text(&key)]);
            let row = self.rows.get_mut(table).and_then(|rows| rows.get_mut(&key));
            if let Some(time) = row.and_then(|row| row.0.get_mut(1)) {
                *time = Field::Time(us);
            }
        }
        if self.version.is_some() || self.rows.contains_key(&&ROSTER) {
            let row = imported_version(self.version.as_deref(), self.now);
            self.rows
                .entry(&ROSTER_VERSION)
                .or_default()
                .insert(Row::default(), row);
        }
    }

    /// How far the archive has come, unless that came with it.
    pub(super) fn count_archive(&mut self, last: Option<i64>, messages: u64, bytes: u64) {
        let Some(last) = last else {
            return;
        };
        let spool = Spool {
            done: None,
            last: Some(last),
            messages,
            bytes,
        };
        if let Op::Put { table, row, .. } = spool.put() {
            self.rows
                .entry(table)
                .or_insert_with(|| BTreeMap::from([(Row::default(), row)]));
        }
        debug_assert!(self.rows.contains_key(&&SPOOL));
    }

    /// How many rows of a table there are.
    pub(super) fn count(&self, table: Table) -> usize {
        self.rows.get(table).map_or(0, BTreeMap::len)
    }

    /// All that it keeps beside the archive.
    pub(super) fn puts(&mut self) -> Vec<Op> {
        let rows = std::mem::take(&mut self.rows);
        let rows = rows
            .into_iter()
            .flat_map(|(table, rows)| rows.into_values().map(move |row| (table, row)));
        let expect = Expect::Anything;
        rows.map(|(table, row)| Op::Put { table, row, expect })
            .collect()
    }

    /// How it is signed in to.
    pub(super) fn imported(&mut self) -> Imported {
        Imported {
            status: self.status,
            proof: match self.password.take() {
                Some(password) => ImportedProof::Password(password),
                None => ImportedProof::Keys(std::mem::take(&mut self.keys)),
            },
            created: self.created.or(Some(self.now.wall)),
            updated: self.updated.or(Some(self.now.wall)),
        }
    }
}

/// An entry of which nothing but the mark is left.
pub(super) fn blank(element: &spondee_core::xml::Element) -> Result<Entry, String> {
    let mark = Mark::of_element(element)?;
    Ok(Entry {
        key: mark.key,
        peer: mark.peer.as_str().to_owned().into(),
        resource: mark.resource.map(Into::into),
        kept: mark.kept,
        payload: Payload::default(),
    })
}

/// Appends entries in one operation.
pub(super) const fn append(entries: Vec<Entry>) -> Op {
    Op::Append {
        log: ARCHIVE,
        entries,
    }
}

fn time_of(text: Option<std::borrow::Cow<'_, str>>) -> Result<Option<i64>, String> {
    let read = |text: std::borrow::Cow<'_, str>| {
        parse_xep0082(&text).ok_or_else(|| format!("{text:?} is no time"))
    };
    text.map(read).transpose()
}
